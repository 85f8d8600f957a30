/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: writers that never rest, and what their traces in Kafka must look like after crashes.
 *
 * A writer is a process with a session of its own. It commits transactions of many sizes into
 * outbox.event for keys that all writers share, rolls some back, whole or to a savepoint, and
 * connects again when the server was away.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "consumer.h"
#include "relay_process.h"
#include "world.h"

#define WRITERS_MAX 8

struct load;

/* Topic: aggregate type "order". */
struct load *load_start(struct world *world, int writers);
/* Ends the writers; what they had not committed is rolled back. */
void load_stop(struct load *load);
/* Rows of `aggregate_type` "order" for `keys` keys, in one transaction of the session. */
void insert_orders(PGconn *db, int count, int keys);

/* A place in the stream of events: PostgreSQL's position of the commit, number in the
 * transaction. */
struct place {
    uint64_t lsn;
    unsigned index;
};

int place_compare(struct place left, struct place right);
/* From the sequence of a CloudEvents document. */
struct place record_place(const struct kafka_record *record);
uint64_t parse_lsn(const char *text);

/* What a checkpoint says. */
struct saved {
    uint64_t lsn;
    struct place partial; /* lsn 0: none */
    uint64_t previous;
    uint64_t events;
    uint32_t chain;
    uint64_t sequence; /* 0: there is no checkpoint */
};

/* "": none. */
struct saved parse_checkpoint(const char *content);
/* The newest generation in the world's directory "state". */
char *checkpoint_path(const struct relay *relay);
struct saved read_checkpoint(const struct relay *relay);
/* As checkpoints have it. */
uint32_t crc32c(const void *data, size_t len);
/* What the start from this checkpoint may send first. */
bool saved_covers(struct saved saved, struct place place);

/* Follows records from one start of the relay to the next. */
struct replay_check;

struct replay_check *replay_check_new(void);
/* Judges the records that came since the last call: all of them were sent by one start, which began
 * at `start`. In each partition they are a piece of the one row of events, without a hole, that
 * begins at or before the end of what was there. Counts what is there again. */
size_t replay_check_segment(struct replay_check *check, struct records records, struct saved start);
/* No event twice. */
void expect_unique(struct records records);
