/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane: one relay in one mode, and what was noted about it on the way.
 *
 * All lanes relay the same outbox, each with a slot and topics of its own, so that one kill of a
 * server hits every mode. A relay that ends by itself fails the run, but for 75 (start me again).
 *
 * Notes are for verdict.h: at this number of records, this was known.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumer.h"
#include "load.h"
#include "relay_process.h"

enum mode { MODE_FILE, MODE_KAFKA, MODE_SLOT, MODE_EXACTLY_ONCE, MODE_COUNT };

/* Records in flight at most; a transaction of PostgreSQL larger than half of it may be split. */
#define IN_FLIGHT_MAX 4000

struct note {
    enum {
        NOTE_CLAIM,  /* everything that ended at or before `lsn` is among the records */
        NOTE_START,  /* the relay starts, and may send again what `durable` does not cover */
        NOTE_BROKER, /* the broker was killed: a producer in doubt may be replaced */
    } kind;
    size_t seen;  /* records */
    bool drained; /* all that was sent before is among them */
    uint64_t lsn;
    struct saved durable;
};

struct lane {
    enum mode mode;
    const char *name;
    struct world *world;
    struct relay *relay;
    struct consumer *consumer;
    struct consumer *positions; /* NULL: none of its own in Kafka */
    char pipeline[48];
    char slot[64];
    char topic[64];
    struct note *notes;
    size_t note_count;
    struct saved durable; /* newest that is known */
    uint64_t confirmed;   /* newest that is known */
    size_t seen;          /* records so far */
    size_t seen_at_start; /* when the relay was started */
    size_t samples;
    int kills;
    int ended; /* by itself, with 75 */
};

const char *mode_name(enum mode mode);
/* Initialised, not started. */
struct lane *lane_new(struct world *world, enum mode mode);
void lane_free(struct lane *lane);
/* Notes what it may send again. The servers run, or else what was known last has to do. */
void lane_start(struct lane *lane, bool pg_runs, bool kafka_runs);
void lane_kill(struct lane *lane, bool kafka_runs);
/* Starts it again when it ended with 75; fails the run when it ended with anything else. */
void lane_tend(struct lane *lane, bool pg_runs, bool kafka_runs);
/* What is confirmed, durable and published now; fails the run when these change places. Both
 * servers run. */
void lane_sample(struct lane *lane);
void lane_broker_killed(struct lane *lane);
/* PostgreSQL crashed, and runs again: what it had confirmed may have been forgotten. */
void lane_server_crashed(struct lane *lane);
/* It published something since it was started. */
bool lane_moved(const struct lane *lane);
/* Stopped in order, everything read. */
void lane_end(struct lane *lane);
