/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the position: partition 0, from its beginning to where it ended when the producer was
 * ours. The end is the high watermark, which counts what is not committed: a reader of committed
 * records alone would stop below an open transaction of anybody, in front of our newest position.
 */
#include <stdlib.h>

#include "claim.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

#define QUERY_MS  1000
#define POLL_MS   100
#define PAUSE_MS  200
#define PARTITION 0

struct reading {
    struct claim *claim;
    struct worker *worker;
    rd_kafka_t *asker;
    rd_kafka_t *reader;
    struct positions positions;
    int64_t low;       /* where it begins */
    int64_t high;      /* where it ended */
    uint64_t query_ns; /* when to ask for it again, 0: nothing is waited for */
};

enum progress { READ_ON, READ_DONE, READ_AGAIN, READ_FAILED };

static rd_kafka_resp_err_t query(const struct reading *reading, int64_t *ret_low, int64_t *ret_high)
{
    return FAILPOINT(POSITION_READ)
               ? RD_KAFKA_RESP_ERR__TRANSPORT
               : rd_kafka_query_watermark_offsets(reading->asker, reading->claim->topic, PARTITION,
                                                  ret_low, ret_high, QUERY_MS);
}

static bool find_end(struct reading *reading)
{
    rd_kafka_resp_err_t code;
    while ((code = query(reading, &reading->low, &reading->high)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!claim_may_pass(reading->claim, reading->worker, "does not tell its end", code) ||
            !worker_pause(reading->worker, PAUSE_MS)) {
            return false;
        }
    }
    return true;
}

/* By number: asked for the beginning by that name, librdkafka waits half a second before it asks a
 * broker that it is not connected to yet. */
static bool assign(struct reading *reading)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, reading->claim->topic, PARTITION)->offset =
        reading->low;
    rd_kafka_resp_err_t code = rd_kafka_assign(reading->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           (claim_may_pass(reading->claim, reading->worker, "cannot be read", code) &&
            worker_pause(reading->worker, PAUSE_MS));
}

static enum progress ended(struct reading *reading, int64_t offset)
{
    if (offset >= reading->high) {
        return READ_DONE;
    }
    worker_tell(reading->worker, "an open transaction of another producer on topic %.150s",
                reading->claim->topic);
    reading->query_ns = clock_mono_ns() + NS_PER_S;
    return READ_ON;
}

/* Somebody may have made the topic anew, and what is waited for will never come. */
static enum progress waiting(struct reading *reading)
{
    int64_t low;
    int64_t high;
    if (reading->query_ns == 0 || clock_mono_ns() < reading->query_ns) {
        return READ_ON;
    }
    reading->query_ns += NS_PER_S;
    bool shrunk = query(reading, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR && high < reading->high;
    return shrunk ? READ_AGAIN : READ_ON;
}

static enum progress no_memory(struct claim *claim)
{
    claim->verdict = (struct verdict){SINK_HALT, ERR_MEMORY, "no memory", ""};
    return READ_FAILED;
}

static enum progress take(struct reading *reading, const rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        return ended(reading, message->offset);
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        bool kept = positions_add(&reading->positions, bytes_make(message->key, message->key_len),
                                  bytes_make(message->payload, message->len));
        if (!kept) {
            return no_memory(reading->claim);
        }
        return message->offset + 1 >= reading->high ? READ_DONE : READ_ON;
    }
    if (!claim_may_pass(reading->claim, reading->worker, "cannot be read", message->err)) {
        return READ_FAILED;
    }
    return message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE ||
                   message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
               ? READ_AGAIN
               : READ_ON;
}

static enum progress read_once(struct reading *reading)
{
    enum progress progress = READ_ON;
    /* An empty topic is read too: the right to do so is missed now and not at the next start. */
    if (!find_end(reading) || !assign(reading)) {
        return READ_FAILED;
    }
    reading->query_ns = 0;
    while (progress == READ_ON) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reading->reader, POLL_MS);
        progress = message == NULL ? waiting(reading) : take(reading, message);
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
        if (worker_cancelled(reading->worker)) {
            return READ_FAILED;
        }
    }
    return progress;
}

static enum progress keep(struct claim *claim, struct bytes position)
{
    if (!bytes_present(position)) {
        return READ_DONE;
    }
    uint8_t *copy = malloc(position.len + 1);
    if (copy == NULL) {
        return no_memory(claim);
    }
    memcpy(copy, position.ptr, position.len);
    claim->position = bytes_make(copy, position.len);
    return READ_DONE;
}

bool position_read(struct claim *claim, struct worker *worker, rd_kafka_t *asker)
{
    struct reading reading = {.claim = claim, .worker = worker, .asker = asker};
    reading.reader = claim_reader(claim, &claim->committed);
    if (reading.reader == NULL) {
        return false;
    }
    rd_kafka_poll_set_consumer(reading.reader);
    enum progress progress = READ_AGAIN;
    while (progress == READ_AGAIN) {
        positions_init(&reading.positions, claim->key);
        progress = read_once(&reading);
        if (progress == READ_DONE) {
            progress = keep(claim, positions_pick(&reading.positions));
        }
        positions_deinit(&reading.positions);
        if (progress == READ_AGAIN && !worker_pause(worker, PAUSE_MS)) {
            progress = READ_FAILED;
        }
    }
    rd_kafka_destroy_flags(reading.reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return progress == READ_DONE;
}
