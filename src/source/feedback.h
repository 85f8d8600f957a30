/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feedback: when to tell the server how far we are, what to tell, and what its questions mean.
 *
 * Pure: handed the time, sends nothing. One feedback lives as long as one stream.
 * Standby status update, section 55.4 of PostgreSQL's documentation:
 *     'r' write8 flush8 apply8 time8 reply1            (microseconds since 2000-01-01)
 * Only `flush` moves the slot, and it is never more than what the relay confirmed. `write` is the
 * newest WAL end the server told of, which makes it tell of the next one while the database is
 * idle.
 */
#pragma once

#include "walferry/base/lsn.h"

#define FEEDBACK_SIZE 34

struct feedback {
    uint64_t interval_ns; /* between two statuses */
    uint64_t silence_ns;  /* heard nothing for so long while reading: the server is gone */
    uint64_t sent_at_ns;
    bool reply_due;
    bool urgent;
    struct lsn received; /* newest WAL end the server told of */
    struct lsn ping_end; /* of the newest request for a reply */
    uint64_t ping_at_ns;
    unsigned pings;      /* requests in a row that repeat it */
    uint64_t idle_at_ns; /* last time that a read found nothing; 0: something came since */
    uint64_t silent_ns;  /* spent reading without hearing anything */
};

void feedback_init(struct feedback *feedback, uint64_t status_interval_ms,
                   uint64_t wal_sender_timeout_ms, uint64_t now_ns);
/* Data came, up to `wal_end`. */
void feedback_data(struct feedback *feedback, struct lsn wal_end);
/* A keepalive came. False when the server asks in a storm: it repeats its question as soon as the
 * last one is answered, as a walsender does that waits for confirmation before it shuts down. */
MUST_USE bool feedback_keepalive(struct feedback *feedback, struct lsn wal_end, bool reply,
                                 uint64_t now_ns);
/* A read found nothing. False when the server has been silent for too long. Time in which nobody
 * read does not count. */
MUST_USE bool feedback_idle(struct feedback *feedback, uint64_t now_ns);
/* Nothing came for a moment. */
bool feedback_quiet(const struct feedback *feedback);
/* Bytes came that are no message yet: the server is there, and sends a large row. */
void feedback_part(struct feedback *feedback);
/* Send at the next opportunity. */
void feedback_hurry(struct feedback *feedback);
/* When the next status is due; 0 for at once. */
uint64_t feedback_deadline(const struct feedback *feedback);
/* Write the status and count it as sent. */
void feedback_encode(struct feedback *feedback, struct lsn confirmed, uint64_t now_ns,
                     int64_t wall_us, uint8_t ret_status[FEEDBACK_SIZE]);
