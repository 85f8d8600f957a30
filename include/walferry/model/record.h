/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: what a sink is asked to publish. Borrowed bytes, good until the next row; a sink that
 * keeps a record copies it.
 */
#pragma once

#include "walferry/model/event.h"

/* The event's own headers, CloudEvents attributes, trace context, dead letter fields. */
#define RECORD_HEADERS_MAX (EVENT_HEADERS_MAX + 32)
/* Kafka's limit for topic names. */
#define TOPIC_NAME_MAX 249

struct placement {
    struct bytes topic;
    int32_t partition; /* -1: by the partitioner */
    struct bytes key;  /* absent: no key */
};

struct record {
    struct placement placement;
    struct bytes value;   /* absent: a tombstone */
    int64_t timestamp_ms; /* since 1970, not negative */
    size_t header_count;
    struct header headers[RECORD_HEADERS_MAX];
};

/* Payload, key, topic, header names and values, and a constant for the producer's own book-keeping:
 * what the record costs while it is in flight, in bytes. */
uint64_t record_cost(const struct record *record);
/* Add a header; false when there is no room. */
MUST_USE bool record_header(struct record *record, struct bytes name, struct bytes value);
