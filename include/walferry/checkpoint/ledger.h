/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger: what was submitted and not yet acknowledged, in commit order.
 *
 * A ring of source transactions, each with the number of its records that are in flight. The
 * published position is the end of the longest finished prefix: every transaction in it is closed
 * and all of its records were acknowledged, in whatever order the acknowledgements came. The same
 * book-keeping gives back-pressure: no room means that the source is not read.
 *
 * All memory is allocated by ledger_new() from the limits. A transaction without records costs no
 * entry: it moves the end of the last finished prefix, or of the newest entry. ledger_poison()
 * freezes the published position for good: what follows can never be confirmed.
 *
 * The bytes in flight pass max_bytes by one record at most, since its cost is not known before it
 * is rendered. A record that is acknowledged keeps its place while an older one is not: so what a
 * crash sends again is at most max_records, even when a single partition stands still.
 * Pure: the caller brings the time. Not thread-safe: one thread owns it.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/model/event.h"

struct ledger_opts {
    uint32_t max_records; /* in flight; at least 1 */
    uint64_t max_bytes;   /* in flight, by record_cost(); a single larger record passes alone */
};

/* One record in flight, as its acknowledgement returns it. */
struct flight {
    struct cursor after;    /* the place behind this record: what a later start may skip */
    int64_t commit_time_us; /* of its transaction, since 1970 */
    uint64_t submitted_ns;  /* monotonic */
    uint64_t cost;          /* bytes */
    uint32_t label;         /* the caller's number, for metrics */
    bool dead_letter;
};

struct ledger;

MUST_USE bool ledger_new(const struct ledger_opts *opts, struct lsn start,
                         struct ledger **ret_ledger, struct err *err);
void ledger_free(struct ledger *ledger);

/* A transaction begins. Asserts that none is open or suspended, and that commit_lsn is past every
 * earlier one since ledger_new() or ledger_rewind(). */
void ledger_begin(struct ledger *ledger, struct lsn commit_lsn, int64_t commit_time_us);
/* A record of the open transaction will be submitted; asserts ledger_room() or nothing in flight.
 * commit_time_us of `flight` is filled in by the ledger; after.commit_lsn must be the open
 * transaction's (asserted). Returns the tag for the sink: not 0, and
 * no other record that was submitted has it, before or after a rewind. */
uint64_t ledger_record(struct ledger *ledger, const struct flight *flight);
/* The last ledger_record() was not submitted after all. Its tag is given to the next one. */
void ledger_withdraw(struct ledger *ledger, uint64_t tag);
/* The row that ends at `after`, of the open transaction (asserted), is passed without a record. It
 * is as good as acknowledged: ledger_partial() passes it as soon as nothing before it is in flight.
 */
void ledger_pass(struct ledger *ledger, struct cursor after);
/* One record was acknowledged. Asserts that the tag is in flight. */
struct flight ledger_ack(struct ledger *ledger, uint64_t tag);
/* Change the label of a record in flight. */
void ledger_label(struct ledger *ledger, uint64_t tag, uint32_t label);
/* Look without acknowledging. */
const struct flight *ledger_flight(const struct ledger *ledger, uint64_t tag);
/* The open transaction is complete; `end_lsn` may be confirmed once it and all before it are done.
 */
void ledger_commit(struct ledger *ledger, struct lsn end_lsn);
/* The connection broke: what was closed stays in flight. If a transaction is open, forget that it
 * is, and keep its records: it comes again from its first row, and ledger_resume() opens it again.
 * Until it is committed the published position does not pass it. Harmless when none is open. */
void ledger_suspend(struct ledger *ledger);
/* The suspended transaction comes again: it is open, with its records. False, and nothing happens,
 * when `commit_lsn` is not the suspended one. */
MUST_USE bool ledger_resume(struct ledger *ledger, struct lsn commit_lsn);
/* The server, in this session, has nothing more for us before wal_end: move the published position
 * when nothing is outstanding. Does nothing otherwise. */
void ledger_idle(struct ledger *ledger, struct lsn wal_end);
/* Forget all that is in flight (the producer was dropped): everything past the published position
 * will come again. The published position stays, a poisoned ledger stays poisoned, and every tag
 * from before is invalid. Transactions at or before the published position may come again too. */
void ledger_rewind(struct ledger *ledger);
/* The slot is gone with its past, and a new one begins at `start`, wherever that lies: what has not
 * come of the transactions before will not come. Records in flight keep their tags, and the
 * published position, now `start`, waits for them as before. */
void ledger_restart(struct ledger *ledger, struct lsn start);
/* Freeze the published position for ever. */
void ledger_poison(struct ledger *ledger);

bool ledger_room(const struct ledger *ledger);
/* End of the finished prefix. */
struct lsn ledger_published(const struct ledger *ledger);
/* The place behind the longest run of acknowledged records at the front of the oldest unfinished
 * transaction; commit_lsn is LSN_NONE when there is no such record. Flights are a ring in the order
 * of submission, so that this run is known whatever the order of acknowledgements. A later start
 * may skip what lies before it. Like the published position it never falls, and ledger_rewind()
 * leaves it: what it covers was acknowledged, also when it is sent once more. */
struct cursor ledger_partial(const struct ledger *ledger);
/* What ledger_published() and ledger_partial() will be when all that is in flight is acknowledged:
 * the position that a transaction with all of it stands for. */
void ledger_submitted(const struct ledger *ledger, struct lsn *ret_lsn, struct cursor *ret_partial);
/* Before the first transaction: the partial of the checkpoint that the start goes on from. */
void ledger_restore_partial(struct ledger *ledger, struct cursor partial);
/* Nothing in flight and no transaction open or suspended. */
bool ledger_quiet(const struct ledger *ledger);
uint32_t ledger_records(const struct ledger *ledger);
uint64_t ledger_bytes(const struct ledger *ledger);
/* Transactions with records that are not finished, or wait behind one that is not. */
uint32_t ledger_transactions(const struct ledger *ledger);
/* Transactions with records that were finished in order, since ledger_new(). */
uint64_t ledger_finished(const struct ledger *ledger);
/* Commit time of the oldest transaction that is not finished (open and suspended ones are not),
 * since 1970; 0 when there is none. */
int64_t ledger_oldest_commit_us(const struct ledger *ledger);
