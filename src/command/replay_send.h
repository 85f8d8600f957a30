/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_send: records of rows to the sink, in order, until they are acknowledged.
 *
 * Rows are numbered from 0 within a table, and are offered in order. When a delivery fails the sink
 * is dropped with all it holds: SEND_AGAIN says that the rows behind replay_send_done() have to
 * come once more, as they do after a failure of the relay, and with the same care (careful.h). When
 * nothing moves for as long as the timeout, it gives up. Counts what is acknowledged without a gap.
 * The sink is always a plain idempotent producer: a replay is outside the chain of transactions of
 * exactly_once.
 */
#pragma once

#include "walferry/checkpoint/ledger.h"
#include "walferry/config/config.h"
#include "walferry/relay/careful.h"

/* Which row was published last. */
struct replay_mark {
    uint32_t row;
    bool dead_letter;
    bool has_time;
    int64_t time_us;
    char *id; /* owned */
};

struct replay_send {
    struct sink_opts opts;
    struct sink *sink;
    struct ledger *ledger;
    struct careful careful;
    uint64_t timeout_ms;
    uint64_t now_ns; /* of this turn */
    uint64_t progress_ns;
    uint64_t hold_until_ns;
    uint64_t next_tick_ns;
    unsigned failures;  /* in a row */
    struct err trouble; /* the last failure; ERR_NONE since a delivery */
    struct lsn table;   /* number of the table, from 1, as a transaction */
    struct cursor newest;
    bool busy;

    struct replay_mark *marks; /* ring: rows in flight, oldest first */
    uint32_t mark_max;
    uint32_t mark_head;
    uint32_t mark_count;
    struct replay_mark last; /* the last row published; id NULL: none */
    uint64_t published;
    uint64_t dead_letters;
};

enum send_outcome {
    SEND_DONE,   /* taken, or nothing is wrong */
    SEND_BUSY,   /* offer the same record again later */
    SEND_POISON, /* err: this record can never be published */
    SEND_AGAIN,  /* rows from replay_send_done() on have to come again */
    SEND_FAILED, /* err: give up */
};

MUST_USE bool replay_send_open(struct replay_send *send, const struct config *config,
                               uint64_t timeout_ms, struct err *err);
/* Safe on a zeroed one. */
void replay_send_close(struct replay_send *send);
/* The rows of a table begin, and end; nothing may be in flight. */
void replay_send_begin(struct replay_send *send);
void replay_send_end(struct replay_send *send);
/* Collect reports and keep the sink going; once a turn. `waiting`: a record is to be offered again.
 */
MUST_USE enum send_outcome replay_send_turn(struct replay_send *send, uint64_t now_ns, bool waiting,
                                            struct err *err);
/* Whether another record may be offered. */
bool replay_send_room(const struct replay_send *send);
/* The mark is copied when the record is taken. */
MUST_USE enum send_outcome replay_send_offer(struct replay_send *send, const struct record *record,
                                             const struct replay_mark *mark, struct err *err);
/* Rows of this table that are acknowledged without a gap: the number of the next one. */
uint32_t replay_send_done(const struct replay_send *send);
bool replay_send_quiet(const struct replay_send *send);
/* Before the row is rendered: what the broker says of it, when it refused it alone and twice. */
const char *replay_send_rejected(const struct replay_send *send, uint32_t row);
size_t replay_send_letter_max(const struct replay_send *send, uint32_t row);
/* When replay_send_turn() has something to do without the sink's descriptor. */
uint64_t replay_send_deadline(const struct replay_send *send);
