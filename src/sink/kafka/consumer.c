/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer: reads whole topics by manual assignment. The group protocol is left out on purpose:
 * librdkafka before 2.11 cannot join a group on Kafka 4.
 */
#include <fnmatch.h>
#include <stdlib.h>

#include "outcome.h"
#include "properties.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/sink/kafka.h"

#define DISCOVER_INTERVAL_NS NS_PER_S
/* Until the first topic is found. */
#define DISCOVER_EAGER_NS   (100 * NS_PER_MS)
#define DISCOVER_TIMEOUT_MS 5000
#define RETRY_MS            200

struct kafka_consumer {
    rd_kafka_t *rk;
    const char *const *topics;
    size_t topic_count;
    rd_kafka_topic_partition_list_t *assigned; /* opaque is set once read to the end */
    int ended;
    uint64_t discover_ns;
    rd_kafka_message_t *message; /* lent to the caller until the next poll */
};

bool kafka_consumer_new(const struct sink_opts *opts, const char *const *topics, size_t topic_count,
                        struct kafka_consumer **ret_consumer, struct err *err)
{
    rd_kafka_conf_t *conf;
    if (!properties_reader(opts, "read_committed", &conf, err)) {
        return false;
    }
    char reason[256] = "";
    struct kafka_consumer *consumer = calloc(1, sizeof(*consumer));
    rd_kafka_t *rk =
        consumer == NULL ? NULL : rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        free(consumer);
        char line[256];
        properties_printable(reason, line, sizeof(line));
        err_set(err, ERR_KAFKA_CONFIG, "librdkafka does not start a consumer: %s", line);
        return err_hint(err, "mend the properties under sink.kafka");
    }
    rd_kafka_poll_set_consumer(rk);
    *consumer = (struct kafka_consumer){.rk = rk,
                                        .topics = topics,
                                        .topic_count = topic_count,
                                        .assigned = rd_kafka_topic_partition_list_new(8)};
    *ret_consumer = consumer;
    return true;
}

static void give_back(struct kafka_consumer *consumer)
{
    if (consumer->message != NULL) {
        rd_kafka_message_destroy(consumer->message);
        consumer->message = NULL;
    }
}

void kafka_consumer_free(struct kafka_consumer *consumer)
{
    if (consumer == NULL) {
        return;
    }
    give_back(consumer);
    rd_kafka_topic_partition_list_destroy(consumer->assigned);
    rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(consumer);
}

static bool wanted(const struct kafka_consumer *consumer, const char *topic)
{
    for (size_t i = 0; i < consumer->topic_count; i++) {
        if (fnmatch(consumer->topics[i], topic, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* Returns how many partitions are new; those are read from their beginning. */
static int add_partitions(struct kafka_consumer *consumer, const struct rd_kafka_metadata *metadata)
{
    rd_kafka_topic_partition_list_t *added = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        for (int j = 0; wanted(consumer, topic->topic) && j < topic->partition_cnt; j++) {
            int32_t id = topic->partitions[j].id;
            if (rd_kafka_topic_partition_list_find(consumer->assigned, topic->topic, id) == NULL) {
                rd_kafka_topic_partition_list_add(added, topic->topic, id)->offset =
                    RD_KAFKA_OFFSET_BEGINNING;
                rd_kafka_topic_partition_list_add(consumer->assigned, topic->topic, id);
            }
        }
    }
    int count = added->cnt;
    if (count > 0) {
        rd_kafka_error_t *error = rd_kafka_incremental_assign(consumer->rk, added);
        if (error != NULL) {
            rd_kafka_error_destroy(error);
        }
    }
    rd_kafka_topic_partition_list_destroy(added);
    return count;
}

static bool discover(struct kafka_consumer *consumer, struct err *err)
{
    uint64_t now_ns = clock_mono_ns();
    if (now_ns < consumer->discover_ns) {
        return true;
    }
    consumer->discover_ns =
        now_ns + (consumer->assigned->cnt == 0 ? DISCOVER_EAGER_NS : DISCOVER_INTERVAL_NS);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(consumer->rk, 1, NULL, &metadata, DISCOVER_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        err_set(err, ERR_KAFKA_CONNECT, "no answer from Kafka: %s", outcome_name(code));
        return err_hint(err, "is Kafka up at bootstrap.servers, and do its advertised.listeners "
                             "lead there from here?");
    }
    add_partitions(consumer, metadata);
    rd_kafka_metadata_destroy(metadata);
    return true;
}

static void set_ended(struct kafka_consumer *consumer, const rd_kafka_message_t *message, bool end)
{
    rd_kafka_topic_partition_t *partition = rd_kafka_topic_partition_list_find(
        consumer->assigned, rd_kafka_topic_name(message->rkt), message->partition);
    if (partition == NULL) {
        return;
    }
    bool before = partition->opaque != NULL;
    partition->opaque = end ? consumer : NULL;
    consumer->ended += (end ? 1 : 0) - (before ? 1 : 0);
}

static void read_headers(const rd_kafka_message_t *message, struct kafka_message *out)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    const char *name;
    const void *value;
    size_t size;
    for (size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        if (out->header_count == RECORD_HEADERS_MAX) {
            out->headers_cut = true;
            return;
        }
        out->headers[out->header_count++] =
            (struct header){bytes_str(name), bytes_make(value, size)};
    }
}

static void fill(const rd_kafka_message_t *message, struct kafka_message *out)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    out->topic = rd_kafka_topic_name(message->rkt);
    out->partition = message->partition;
    out->offset = message->offset;
    out->timestamp_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp;
    out->key = bytes_make(message->key, message->key_len);
    out->value = bytes_make(message->payload, message->len);
    out->header_count = 0;
    out->headers_cut = false;
    read_headers(message, out);
}

/* True when the poll is answered. */
static bool answer(struct kafka_consumer *consumer, struct kafka_message *ret_message,
                   enum kafka_poll *ret_poll, struct err *err)
{
    const rd_kafka_message_t *message = consumer->message;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        set_ended(consumer, message, false);
        fill(message, ret_message);
        *ret_poll = KAFKA_MESSAGE;
        return true;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        set_ended(consumer, message, true);
        *ret_poll = KAFKA_END;
        return consumer->ended == consumer->assigned->cnt;
    }
    struct outcome outcome = outcome_of(message->err);
    if (outcome.outcome == SINK_RETRY) {
        return false;
    }
    err_set(err, outcome.err, "reading failed: %s", outcome_name(message->err));
    err_hint(err, "grant walferry's Kafka user Read and Describe on the topics");
    *ret_poll = KAFKA_FAILED;
    return true;
}

enum kafka_poll kafka_consumer_poll(struct kafka_consumer *consumer, uint64_t timeout_ms,
                                    struct kafka_message *ret_message, struct err *err)
{
    uint64_t deadline_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
    uint64_t now_ns;
    do {
        give_back(consumer);
        if (!discover(consumer, err)) {
            return KAFKA_FAILED;
        }
        now_ns = clock_mono_ns();
        uint64_t left_ms = now_ns < deadline_ns ? (deadline_ns - now_ns) / NS_PER_MS : 0;
        consumer->message =
            rd_kafka_consumer_poll(consumer->rk, left_ms > RETRY_MS ? RETRY_MS : (int)left_ms);
        enum kafka_poll poll;
        if (consumer->message != NULL && answer(consumer, ret_message, &poll, err)) {
            return poll;
        }
    } while (clock_mono_ns() < deadline_ns);
    return KAFKA_NOTHING;
}
