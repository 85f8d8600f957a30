/* SPDX-License-Identifier: Apache-2.0 */
#include "outcome.h"
#include "producer.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

/* librdkafka copies at once what it is given; its interface only lacks the const. */
static void *mutable(struct bytes b)
{
    return (void *)(uintptr_t)b.ptr;
}

/* Made for each attempt: they are librdkafka's as soon as it took the message. */
static rd_kafka_headers_t *headers_of(const struct record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct header *header = &record->headers[i];
        rd_kafka_resp_err_t code =
            rd_kafka_header_add(headers, (const char *)header->name.ptr, (ssize_t)header->name.len,
                                header->value.ptr, (ssize_t)header->value.len);
        ASSERT(code == RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    return headers;
}

/* librdkafka takes 0 for "now": one millisecond late is the nearest that it can be told. */
static int64_t timestamp_of(const struct record *record)
{
    return record->timestamp_ms == 0 ? 1 : record->timestamp_ms;
}

static rd_kafka_resp_err_t enqueue(struct producer *self, rd_kafka_topic_t *topic,
                                   const struct record *record, uint64_t tag)
{
    const struct placement *placement = &record->placement;
    if (FAILPOINT(PRODUCE_ENQUEUE)) {
        return RD_KAFKA_RESP_ERR__FAIL;
    }
    if (FAILPOINT(PRODUCE_QUEUE_FULL)) {
        return RD_KAFKA_RESP_ERR__QUEUE_FULL;
    }
    int32_t partition = placement->partition < 0 ? RD_KAFKA_PARTITION_UA : placement->partition;
    rd_kafka_headers_t *headers = headers_of(record);
    /* The typed macros around these are no standard C. */
    rd_kafka_resp_err_t code = rd_kafka_producev(
        self->rk, RD_KAFKA_VTYPE_RKT, topic, RD_KAFKA_VTYPE_PARTITION, partition,
        RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_VALUE, mutable(record->value),
        record->value.len, RD_KAFKA_VTYPE_KEY, mutable(placement->key), placement->key.len,
        RD_KAFKA_VTYPE_TIMESTAMP, timestamp_of(record), RD_KAFKA_VTYPE_OPAQUE,
        (void *)(uintptr_t)tag, RD_KAFKA_VTYPE_HEADERS, headers, RD_KAFKA_VTYPE_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
    }
    return code;
}

static uint64_t size_of(const struct record *record)
{
    uint64_t size = record->value.len + record->placement.key.len;
    for (size_t i = 0; i < record->header_count; i++) {
        size += record->headers[i].name.len + record->headers[i].value.len;
    }
    return size;
}

static enum sink_result too_large(const struct producer *self, const struct record *record,
                                  struct err *err)
{
    err_set(err, ERR_ROW_TOO_LARGE,
            "the record has %llu bytes, with Kafka's framing more than message.max.bytes=%zu",
            (unsigned long long)size_of(record), self->message_max);
    err_hint(err, "raise message.max.bytes under sink.kafka and max.message.bytes of the topic, "
                  "or keep large objects outside the event");
    return SINK_POISON;
}

static enum sink_result no_partition(const struct producer *self, uint32_t topic, int32_t partition,
                                     struct err *err)
{
    const char *name = names_text(&self->topics.names, topic);
    err_set(err, ERR_ROW_PARTITION, "topic \"%s\" has no partition %d", name, partition);
    err_hint(err,
             "mend the row's partition, or add partitions: kafka-topics.sh --alter --topic %s "
             "--partitions %lld",
             name, (long long)partition + 1);
    return SINK_POISON;
}

static enum sink_result refused(struct producer *self, uint32_t topic, const struct record *record,
                                rd_kafka_resp_err_t code, struct err *err)
{
    uint64_t now_ns = clock_mono_ns();
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return SINK_BUSY;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return too_large(self, record, err);
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        if (topics_partition_unknown(&self->topics, topic, now_ns)) {
            return no_partition(self, topic, record->placement.partition, err);
        }
        producer_topic_detail(self, topic, "is asked for a partition it lacks", NULL);
        asking_refresh(self, topic);
        return SINK_BUSY;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        topics_gone(&self->topics, topic, now_ns);
        return SINK_BUSY;
    case RD_KAFKA_RESP_ERR__FATAL:
        self->fatal = rd_kafka_fatal_error(self->rk, NULL, 0);
        return producer_unusable(self, err);
    default:
        break;
    }
    struct outcome outcome = outcome_of(code);
    if (outcome.outcome == SINK_BLOCKED) {
        topics_refused(&self->topics, topic, outcome_name(code), now_ns);
        producer_topic_detail(self, topic, "is refused", outcome_name(code));
        return SINK_BUSY;
    }
    err_set(err, outcome.err, "librdkafka does not take a record for topic \"%s\": %s",
            names_text(&self->topics.names, topic), outcome_name(code));
    err_hint(err, "the producer is replaced and the records are sent again");
    return SINK_FAIL;
}

static void took(struct producer *self, uint32_t topic)
{
    discard(FAILPOINT(PRODUCE_QUEUED));
    self->topics.items[topic].taken = true;
    self->topic_detail[0] = '\0';
    self->in_flight++;
    hurry_count(self->hurry);
}

enum sink_result produce(struct producer *self, uint32_t topic, const struct record *record,
                         uint64_t tag, struct err *err)
{
    if (record->placement.partition == PROBE_PARTITION) {
        return no_partition(self, topic, PROBE_PARTITION, err);
    }
    rd_kafka_resp_err_t code = enqueue(self, self->topics.items[topic].handle, record, tag);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return refused(self, topic, record, code, err);
    }
    took(self, topic);
    return SINK_TAKEN;
}

rd_kafka_resp_err_t produce_staged(struct producer *self, uint32_t topic,
                                   const struct record *record, uint64_t tag)
{
    rd_kafka_resp_err_t code = enqueue(self, self->topics.items[topic].handle, record, tag);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        took(self, topic);
    } else if (code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
               code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        topics_gone(&self->topics, topic, clock_mono_ns());
    }
    return code;
}
