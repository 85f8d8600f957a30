/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer: reads topics from their beginning, as a read_committed consumer sees them.
 *
 * Topics may come into being later; topics that are not there hold no records. Records are kept in
 * the order of arrival, which is the order of offsets within a partition, until consumer_free().
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "world.h"

struct header {
    char *name;
    char *value; /* NUL added; NULL for null */
    size_t len;
};

struct kafka_record {
    char *topic;
    int partition;
    int64_t offset;
    int64_t timestamp_ms;
    char *key; /* NUL added; NULL for null */
    size_t key_len;
    char *value; /* NUL added; NULL for null */
    size_t value_len;
    struct header *headers;
    size_t header_count;
};

struct records {
    struct kafka_record *items;
    size_t count;
};

struct consumer;

/* Names of topics follow, the last is NULL. */
struct consumer *consumer_new(const struct world *world, const char *topic, ...)
    __attribute__((sentinel));
/* The same, and records of open and aborted transactions too. */
struct consumer *consumer_new_uncommitted(const struct world *world, const char *topic);
/* Of a file of lines, as the sinks beside Kafka write them: consumer_drain() has what is there now,
 * without a last line that is not whole. Records without a partition are in partition 0. */
struct consumer *consumer_new_lines(const char *path);
void consumer_free(struct consumer *consumer);
/* Until at least `count` records were read in all; the records so far. Fails at the deadline. */
struct records consumer_expect(struct consumer *consumer, size_t count);
/* Reads up to the end that each partition has now (the last stable offset); all records so far. */
struct records consumer_drain(struct consumer *consumer);
/* Drains, and there are exactly `count`. */
struct records consumer_exactly(struct consumer *consumer, size_t count);

/* Value of the first header of the name; NULL when there is none. */
const char *received_header(const struct kafka_record *record, const char *name);
/* The value as JSON; fails the test when it is none. json_decref() it. */
json_t *record_json(const struct kafka_record *record);
/* Identity of the event: header ce_id or id, else "id" of the JSON value. Never freed. */
char *record_event_id(const struct kafka_record *record);
/* First record of the event; NULL when there is none. */
const struct kafka_record *records_find(struct records records, const char *event_id);
