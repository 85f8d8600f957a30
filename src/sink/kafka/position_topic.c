/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topic of positions: there, and compacted. Whoever claims reads all of it, so that its
 * segments are small: what is not yet compacted is at most some of them.
 */
#include <stdio.h>

#include "claim.h"
#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"

#define LOOK_MS       1000
#define PAUSE_MS      200
#define PIECE_MS      200
#define REQUEST_MS    5000
#define SEGMENT_BYTES "16777216"

static rd_kafka_resp_err_t look(rd_kafka_t *asker, const char *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(asker, topic, NULL);
    if (handle == NULL) {
        return rd_kafka_last_error();
    }
    rd_kafka_resp_err_t code = FAILPOINT(POSITION_TOPIC)
                                   ? RD_KAFKA_RESP_ERR__TRANSPORT
                                   : rd_kafka_metadata(asker, 0, handle, &metadata, LOOK_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ASSERT(metadata != NULL);
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__BAD_MSG;
    }
    if (metadata != NULL) {
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    return code;
}

/* The answer to one request to the admin interface, the caller's to destroy; NULL: cancelled. */
static rd_kafka_event_t *answer(struct worker *worker, rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = NULL;
    while (event == NULL && !worker_cancelled(worker)) {
        event = rd_kafka_queue_poll(queue, PIECE_MS);
    }
    return event;
}

static rd_kafka_AdminOptions_t *options_new(rd_kafka_t *asker, rd_kafka_admin_op_t op)
{
    char reason[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(asker, op);
    ASSERT(options != NULL);
    rd_kafka_resp_err_t code =
        rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, reason, sizeof(reason));
    ASSERT(code == RD_KAFKA_RESP_ERR_NO_ERROR);
    return options;
}

static rd_kafka_resp_err_t created(rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return code;
    }
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    return count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
}

rd_kafka_NewTopic_t *position_topic_new(const char *topic, int32_t replication)
{
    char reason[256];
    rd_kafka_NewTopic_t *wish =
        rd_kafka_NewTopic_new(topic, 1, replication, reason, sizeof(reason));
    if (wish != NULL) {
        rd_kafka_NewTopic_set_config(wish, "cleanup.policy", "compact");
        rd_kafka_NewTopic_set_config(wish, "segment.bytes", SEGMENT_BYTES);
    }
    return wish;
}

/* _DESTROY: cancelled. */
static rd_kafka_resp_err_t create(const struct claim *claim, struct worker *worker,
                                  rd_kafka_t *asker)
{
    rd_kafka_NewTopic_t *topic = position_topic_new(claim->topic, claim->replication);
    if (topic == NULL) {
        return RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
    }
    rd_kafka_AdminOptions_t *options = options_new(asker, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(asker);
    rd_kafka_CreateTopics(asker, &topic, 1, options, queue);
    rd_kafka_event_t *event = answer(worker, queue);
    rd_kafka_resp_err_t code = event == NULL ? RD_KAFKA_RESP_ERR__DESTROY : created(event);
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(topic);
    return code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
}

/* Waits until it is there. */
static bool exists(struct claim *claim, struct worker *worker, rd_kafka_t *asker)
{
    do {
        rd_kafka_resp_err_t code = look(asker, claim->topic);
        const char *what = "cannot be described";
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return true;
        }
        if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && claim->create && !claim->mock) {
            code = create(claim, worker, asker);
            what = "cannot be created";
        }
        if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && !claim->mock) {
            worker_tell(worker,
                        "topic %.80s does not exist: kafka-topics.sh --create --topic %.80s "
                        "--partitions 1 --config cleanup.policy=compact",
                        claim->topic, claim->topic);
        } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR &&
                   !claim_may_pass(claim, worker, what, code)) {
            return false;
        }
    } while (worker_pause(worker, PAUSE_MS));
    return false;
}

/* How the topic is cleaned; NULL: it is not told. */
static const char *policy(const rd_kafka_ConfigResource_t *resource)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "cleanup.policy") == 0) {
            return rd_kafka_ConfigEntry_value(entries[i]);
        }
    }
    return NULL;
}

/* The policy that was told, or why not. */
static rd_kafka_resp_err_t judge(struct claim *claim, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return code;
    }
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    if (count != 1) {
        return RD_KAFKA_RESP_ERR__BAD_MSG;
    }
    code = rd_kafka_ConfigResource_error(resources[0]);
    const char *told = code == RD_KAFKA_RESP_ERR_NO_ERROR ? policy(resources[0]) : NULL;
    claim->policy_unknown = told == NULL;
    if (told != NULL && strcmp(told, "compact") != 0) {
        claim->verdict = (struct verdict){SINK_HALT, ERR_KAFKA_POSITIONS, "cleanup.policy", ""};
        snprintf(claim->verdict.hint, sizeof(claim->verdict.hint),
                 "kafka-configs.sh --alter --entity-type topics --entity-name %.120s --add-config "
                 "cleanup.policy=compact",
                 claim->topic);
        return RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
    }
    return code;
}

static rd_kafka_resp_err_t ask_policy(struct claim *claim, struct worker *worker, rd_kafka_t *asker)
{
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, claim->topic);
    rd_kafka_AdminOptions_t *options = options_new(asker, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(asker);
    rd_kafka_DescribeConfigs(asker, &resource, 1, options, queue);
    rd_kafka_event_t *event = answer(worker, queue);
    rd_kafka_resp_err_t code = event == NULL ? RD_KAFKA_RESP_ERR__DESTROY : judge(claim, event);
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    return code;
}

/* A topic that deletes by age or size loses the position of a pipeline that is idle. */
static bool keeps(struct claim *claim, struct worker *worker, rd_kafka_t *asker)
{
    do {
        rd_kafka_resp_err_t code = ask_policy(claim, worker, asker);
        if (code == RD_KAFKA_RESP_ERR_POLICY_VIOLATION) {
            return false;
        }
        /* Who may not ask has to trust. */
        bool refused = outcome_of(code).err == ERR_KAFKA_AUTH;
        claim->policy_unknown = claim->policy_unknown || refused;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR || refused) {
            return true;
        }
        if (!claim_may_pass(claim, worker, "does not tell its cleanup.policy", code)) {
            return false;
        }
    } while (worker_pause(worker, PAUSE_MS));
    return false;
}

bool position_topic_ensure(struct claim *claim, struct worker *worker, rd_kafka_t *asker)
{
    return exists(claim, worker, asker) && (claim->mock || keeps(claim, worker, asker));
}

bool position_topic_known(struct claim *claim, struct worker *worker, rd_kafka_t *client)
{
    rd_kafka_resp_err_t code;
    while ((code = look(client, claim->topic)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!claim_may_pass(claim, worker, "is not known to the producer", code) ||
            !worker_pause(worker, PAUSE_MS)) {
            return false;
        }
    }
    return true;
}
