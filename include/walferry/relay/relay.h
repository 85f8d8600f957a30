/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: the pipeline, and the only module that knows the order of its stages.
 *
 * A newcomer should read this first.
 *
 * Data walks one way. A message of the replication stream (source) is decoded into a change
 * (decode), a change of a captured table or a captured WAL message becomes an event (capture), an
 * event is given a topic, partition and key (route), it is rendered as a record (envelope), and the
 * record is handed to the sink. Each stage is a pure function of what stands before it; only source
 * and sink touch the world. One row is in hand at a time: its bytes are borrowed all the way down,
 * from libpq's buffer and one arena that is emptied for the next row, and are copied once, by the
 * sink.
 *
 * What was acknowledged walks back as a number, not as a chain of callbacks. Every record in flight
 * stands in the ledger under its source transaction, in commit order. Acknowledgements arrive in
 * any order; the end of the longest finished prefix is the published position. The published
 * position is made durable (checkpoint), and only what is durable is confirmed to PostgreSQL. Hence
 * the four positions that explain every state: received >= published >= durable >= confirmed.
 *
 * One thread, one loop. A turn collects delivery reports into the ledger; saves the checkpoint and
 * confirms when that is due; while ledger and sink have room, pulls rows and pushes them down; then
 * waits for a descriptor or the next deadline. Each of these steps is bounded, so that none starves
 * the others. When there is no room, PostgreSQL's socket is simply not read: TCP carries the
 * pressure to the walsender, and the WAL on its disk is the queue. Status replies have a timer of
 * their own and go on meanwhile, because a client that falls silent is cut off.
 *
 * There is one way to recover: the stream starts again at the durable position. Two cases differ in
 * what is skipped on the way.
 *  - The connection to PostgreSQL broke: records in flight are still valid. The server sends again
 *    everything past the durable position; what was submitted already is recognised by its position
 *    (commit LSN and ordinal in the transaction, never by a row's LSN or id, which do not rise in
 *    commit order) and is skipped. Nothing is sent twice.
 *  - A delivery failed, or the producer is in doubt: a batch may be missing while later ones were
 *    written. The producer is dropped with all it holds, the ledger forgets what is in flight, and
 *    everything past the last contiguous acknowledgement is sent again, as after a crash. Order is
 *    kept, records may be sent twice.
 *
 * A record that the broker refuses need not be the guilty one of its batch. After such a refusal
 * the replay is careful: records go one at a time until the place of the failure is passed, and
 * only what fails alone, twice, is poison. Poison goes where delivery.poison says: to the dead
 * letter topic through the same ledger (so that it is durable before anything is confirmed), to a
 * halt, or to a counter. A refusal for lack of rights is never poison: the relay holds and says so.
 *
 * Where the sink keeps the position (checkpoint.store kafka, and always under exactly_once) a
 * session first claims it: the slot is ours, the sink becomes the only writer and tells the newest
 * position, the guards judge it, and only then does the stream start. Under exactly_once records
 * and position are one transaction of the broker: whole PostgreSQL transactions, as many as come in
 * commit_interval or fill half of the limits in flight, and parts of one that is larger than the
 * limits. Nothing is acknowledged before its commit. While one is committed the next is filled. A
 * commit whose outcome is not known costs the producer; the claim that follows tells the outcome.
 *
 * Rows that come fast are read many at a time, between naps of a fraction of a millisecond, and
 * gathered into large batches; a row that comes alone is read at once and does not wait for
 * company.
 *
 * Before any row is read, the guards (source/guard.h) prove that server, slot, timeline and
 * checkpoint belong together; the server itself would accept any position, and lose rows in
 * silence.
 *
 * SIGHUP loads the configuration anew, whole. What is wrong is said and changes nothing; what can
 * be changed while running is applied, and every other difference is named and waits for a restart.
 *
 * States: starting, standby (another session holds the slot), streaming, blocked (something must
 * change outside: the reason says what), draining (after SIGTERM: the transaction in hand is
 * finished, records in flight are awaited, the checkpoint is saved, the server gets its last
 * confirmation), stopped.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/config/config.h"

/* For commands that run a relay as a part of something else (the demo). */
struct relay_hooks {
    /* Called once when the first session streams, with the port of the HTTP listener (0: none). */
    void (*started)(void *context, unsigned http_port);
    /* Asked every turn, at least every 100 ms; true ends the relay as SIGTERM would. */
    bool (*stop)(void *context);
    /* Called once before relay_run() returns, with the last state; not when the relay could not be
     * opened. */
    void (*ended)(void *context, const struct status *status);
    /* SIGHUP: load the configuration anew. NULL when it is not in order; the hook has said why, and
     * the relay goes on with the old one. The relay frees what it is given. */
    struct config *(*reload)(void *context);
    void *context;
};

/* Run until a signal or a terminal error; `hooks` may be NULL. Returns the exit status. */
int relay_run(const struct config *config, const struct relay_hooks *hooks);
