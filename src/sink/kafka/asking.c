/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asking: is there such a topic, make it, is anybody there. All of it without waiting, and with no
 * more rights than producing needs (Describe and Write; Create to create).
 */
#include <stdio.h>

#include "outcome.h"
#include "producer.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

#define PROBES_MAX        1024
#define PING_INTERVAL_NS  NS_PER_S
#define PING_TIMEOUT_MS   5000
#define CREATE_BROKER_MS  5000
#define CREATE_TIMEOUT_MS 15000

static rd_kafka_topic_t *handle_of(struct producer *self, uint32_t number)
{
    struct topic *topic = &self->topics.items[number];
    if (topic->handle == NULL) {
        topic->handle = rd_kafka_topic_new(self->rk, names_text(&self->topics.names, number), NULL);
    }
    return topic->handle;
}

void asking_look(struct producer *self, rd_kafka_topic_t *handle)
{
    const struct rd_kafka_metadata *metadata;
    /* A timeout of 0 sends the request and leaves the answer to librdkafka's own cache, which the
     * next probe reads. */
    if (rd_kafka_metadata(self->rk, 0, handle, &metadata, 0) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
    }
}

void asking_refresh(struct producer *self, uint32_t topic)
{
    asking_look(self, handle_of(self, topic));
}

rd_kafka_resp_err_t asking_probe(struct producer *self, rd_kafka_topic_t *handle)
{
    rd_kafka_resp_err_t code =
        rd_kafka_producev(self->rk, RD_KAFKA_VTYPE_RKT, handle, RD_KAFKA_VTYPE_PARTITION,
                          PROBE_PARTITION, RD_KAFKA_VTYPE_END);
    self->probes += code == RD_KAFKA_RESP_ERR_NO_ERROR ? 1 : 0;
    return code;
}

/* Without a connection more probes learn nothing, and they pile up. */
static bool may_probe(const struct producer *self)
{
    return self->probes == 0 || (self->connected && self->probes < PROBES_MAX);
}

void asking_topic(struct producer *self, uint32_t topic, uint64_t now_ns)
{
    bool first = self->topics.items[topic].handle == NULL;
    rd_kafka_topic_t *handle = handle_of(self, topic);
    if (handle == NULL) {
        topics_refused(&self->topics, topic, outcome_name(rd_kafka_last_error()), now_ns);
        return;
    }
    if (self->opts->transactional) {
        transaction_ask(self, topic);
        return;
    }
    if (first || may_probe(self)) {
        rd_kafka_resp_err_t code = asking_probe(self, handle);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            asking_probed(self, topic, code, now_ns);
        }
    }
    if (!first && self->topics.items[topic].state != TOPIC_KNOWN) {
        asking_refresh(self, topic);
    }
}

void asking_probed(struct producer *self, uint32_t topic, rd_kafka_resp_err_t code, uint64_t now_ns)
{
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
        topics_exists(&self->topics, topic);
    } else if (code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
               code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        topics_missing(&self->topics, topic, now_ns);
    } else if (code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
        topics_bad_name(&self->topics, topic);
    } else if (code == RD_KAFKA_RESP_ERR__FATAL) {
        self->fatal = rd_kafka_fatal_error(self->rk, NULL, 0);
    } else if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL && outcome_of(code).outcome != SINK_RETRY) {
        topics_refused(&self->topics, topic, outcome_name(code), now_ns);
    }
}

static rd_kafka_AdminOptions_t *options_new(struct producer *self, rd_kafka_admin_op_t op,
                                            int timeout_ms, uint32_t topic)
{
    char reason[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(self->rk, op);
    ASSERT(options != NULL);
    rd_kafka_resp_err_t code =
        rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof(reason));
    ASSERT(code == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_AdminOptions_set_opaque(options, (void *)(uintptr_t)topic);
    return options;
}

void asking_create(struct producer *self, uint32_t topic, uint64_t now_ns)
{
    char reason[256] = "";
    const char *name = names_text(&self->topics.names, topic);
    rd_kafka_NewTopic_t *request =
        FAILPOINT(TOPIC_CREATE)
            ? NULL
            : rd_kafka_NewTopic_new(name, self->opts->topics_partitions,
                                    self->opts->topics_replication, reason, sizeof(reason));
    if (request == NULL) {
        producer_topic_detail(self, topic, "cannot be created", reason);
        topics_create_failed(&self->topics, topic, now_ns);
        return;
    }
    rd_kafka_AdminOptions_t *options =
        options_new(self, RD_KAFKA_ADMIN_OP_CREATETOPICS, CREATE_TIMEOUT_MS, topic);
    rd_kafka_resp_err_t code = rd_kafka_AdminOptions_set_operation_timeout(
        options, CREATE_BROKER_MS, reason, sizeof(reason));
    ASSERT(code == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_CreateTopics(self->rk, &request, 1, options, self->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(request);
}

/* The result for the topic, or the reason why there is none. */
static rd_kafka_resp_err_t created_code(rd_kafka_event_t *event)
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

void asking_created(struct producer *self, rd_kafka_event_t *event, uint64_t now_ns)
{
    uint32_t topic = (uint32_t)(uintptr_t)rd_kafka_event_opaque(event);
    rd_kafka_resp_err_t code = created_code(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        topics_created(&self->topics, topic, now_ns);
        asking_refresh(self, topic);
    } else if (code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
        topics_bad_name(&self->topics, topic);
    } else if (outcome_of(code).outcome == SINK_BLOCKED) {
        topics_refused(&self->topics, topic, outcome_name(code), now_ns);
    } else {
        producer_topic_detail(self, topic, "cannot be created", outcome_name(code));
        topics_create_failed(&self->topics, topic, now_ns);
    }
}

/* librdkafka tells when the last broker is lost, not when one is back. The question goes to every
 * broker and needs no rights; any answer will do, a refusal too. */
void asking_ping(struct producer *self, uint64_t now_ns)
{
    if (self->pinging || now_ns < self->ping_ns) {
        return;
    }
    rd_kafka_AdminOptions_t *options =
        options_new(self, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, PING_TIMEOUT_MS, 0);
    rd_kafka_ListConsumerGroups(self->rk, options, self->queue);
    rd_kafka_AdminOptions_destroy(options);
    self->pinging = true;
    self->ping_ns = now_ns + PING_INTERVAL_NS;
}

static bool answered(rd_kafka_resp_err_t code)
{
    return (int)code >= 0 || code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
}

void asking_pinged(struct producer *self, rd_kafka_event_t *event)
{
    self->pinging = false;
    bool any = false;
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_ListConsumerGroups_result_t *result =
            rd_kafka_event_ListConsumerGroups_result(event);
        size_t count = 0;
        const rd_kafka_error_t **errors = rd_kafka_ListConsumerGroups_result_errors(result, &count);
        any = count == 0;
        for (size_t i = 0; i < count; i++) {
            any = any || answered(rd_kafka_error_code(errors[i]));
        }
    }
    if (any) {
        producer_connected(self);
    }
}
