/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ensure: topics for one-shot commands, waiting for the answer.
 */
#include <librdkafka/rdkafka.h>

#include "claim.h"
#include "outcome.h"
#include "properties.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/sink/kafka.h"

struct admin {
    const struct sink_opts *opts;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    uint64_t deadline_ns;
};

static bool admin_open(struct admin *admin, struct err *err)
{
    rd_kafka_conf_t *conf;
    size_t index;
    if (!properties_producer(admin->opts, &conf, &index, err)) {
        return false;
    }
    rd_kafka_conf_set_log_cb(conf, NULL);
    char reason[256] = "";
    admin->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (admin->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        char line[256];
        properties_printable(reason, line, sizeof(line));
        err_set(err, ERR_KAFKA_CONFIG, "librdkafka does not start: %s", line);
        return err_hint(err, "mend the properties under sink.kafka");
    }
    admin->queue = rd_kafka_queue_new(admin->rk);
    return true;
}

static void admin_close(struct admin *admin)
{
    rd_kafka_queue_destroy(admin->queue);
    rd_kafka_destroy(admin->rk);
}

static int remaining_ms(const struct admin *admin)
{
    uint64_t now_ns = clock_mono_ns();
    uint64_t left_ms = now_ns < admin->deadline_ns ? (admin->deadline_ns - now_ns) / NS_PER_MS : 0;
    return left_ms > 600000 ? 600000 : (int)left_ms + 1;
}

static bool failed(const char *topic, const char *what, rd_kafka_resp_err_t code, struct err *err)
{
    struct outcome outcome = outcome_of(code);
    if (outcome.err == ERR_KAFKA_CONNECT || code == RD_KAFKA_RESP_ERR__TIMED_OUT) {
        err_set(err, ERR_KAFKA_CONNECT, "no answer about topic \"%s\": %s", topic,
                outcome_name(code));
        return err_hint(err, "is Kafka up at bootstrap.servers, and do its advertised.listeners "
                             "lead there from here?");
    }
    err_set(err, outcome.outcome == SINK_BLOCKED ? outcome.err : ERR_KAFKA_TOPIC,
            "topic \"%s\" cannot be %s: %s", topic, what, outcome_name(code));
    return err_hint(err, "create it with an account that may: kafka-topics.sh --create --topic %s",
                    topic);
}

/* *ret_exists as the broker sees it. */
static bool look(struct admin *admin, const char *topic, bool *ret_exists, struct err *err)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(admin->rk, topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        handle == NULL ? rd_kafka_last_error()
                       : rd_kafka_metadata(admin->rk, 0, handle, &metadata, remaining_ms(admin));
    bool exists = false;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ASSERT(metadata != NULL);
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__BAD_MSG;
        exists =
            code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        rd_kafka_metadata_destroy(metadata);
    }
    if (handle != NULL) {
        rd_kafka_topic_destroy(handle);
    }
    if (!exists && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        return failed(topic, "described", code, err);
    }
    *ret_exists = exists;
    return true;
}

static rd_kafka_resp_err_t request(struct admin *admin, rd_kafka_NewTopic_t *topic)
{
    char reason[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(admin->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, remaining_ms(admin), reason, sizeof(reason));
    rd_kafka_CreateTopics(admin->rk, &topic, 1, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_event_t *event = rd_kafka_queue_poll(admin->queue, remaining_ms(admin) + 1000);
    if (event == NULL) {
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count = 0;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        code = count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
    }
    rd_kafka_event_destroy(event);
    return code;
}

static bool create(struct admin *admin, const char *topic, struct err *err)
{
    char reason[256] = "";
    const struct sink_opts *opts = admin->opts;
    bool positions = opts->position_topic != NULL && strcmp(topic, opts->position_topic) == 0;
    rd_kafka_NewTopic_t *new_topic =
        positions ? position_topic_new(topic, opts->topics_replication)
                  : rd_kafka_NewTopic_new(topic, opts->topics_partitions, opts->topics_replication,
                                          reason, sizeof(reason));
    if (new_topic == NULL) {
        err_set(err, ERR_KAFKA_TOPIC, "topic \"%s\" cannot be created: %s", topic, reason);
        return err_hint(err, "mend sink.topics.partitions and sink.topics.replication_factor");
    }
    rd_kafka_resp_err_t code = request(admin, new_topic);
    rd_kafka_NewTopic_destroy(new_topic);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        return true;
    }
    return failed(topic, "created", code, err);
}

bool kafka_topics_ensure(const struct sink_opts *opts, const char *const *names, size_t count,
                         uint64_t timeout_ms, struct err *err)
{
    if (opts->mock) {
        return true;
    }
    struct admin admin = {.opts = opts, .deadline_ns = clock_mono_ns() + timeout_ms * NS_PER_MS};
    if (!admin_open(&admin, err)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        bool exists = false;
        ok = look(&admin, names[i], &exists, err) && (exists || create(&admin, names[i], err));
    }
    admin_close(&admin);
    return ok;
}
