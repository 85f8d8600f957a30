/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

#include <inttypes.h>

/* Messages that cannot be decoded, without one that could between them. */
#define PROTOCOL_STRIKES 3

static void started(struct relay *relay)
{
    const struct source_facts *facts = source_facts(relay->source);
    pull_reset(relay);
    log_info("streaming", F_STR("slot", relay->config->source.slot),
             F_LSN("start", ledger_published(relay->ledger)), F_U64("timeline", facts->timeline),
             F_I64("server_version", facts->server_version));
    if (!relay->announced && relay->hooks != NULL && relay->hooks->started != NULL)
        relay->hooks->started(relay->hooks->context,
                              relay->http == NULL ? 0 : http_port(relay->http));
    relay->announced = true;
    relay->streams_since_ns = relay->now_ns;
    relay->waiting = ERR_INIT;
    keep_streams(relay);
    alarm_session(relay);
}

static void restart(struct relay *relay, struct lsn start)
{
    ledger_restart(relay->ledger, start);
    relay->suspended = false;
    relay->newest = (struct cursor){0};
    relay->newest_closed = false;
    relay->resume = (struct cursor){0};
}

/* The ledger counts from here. A temporary slot begins anew with every session: what was committed
 * between two of them is not relayed, and that is said. */
static bool begin_at(struct relay *relay, struct lsn start, struct err *err)
{
    const struct ledger_opts opts = {
        .max_records = relay->config->delivery.max_in_flight_events,
        .max_bytes = relay->config->delivery.max_in_flight_bytes,
    };
    bool anew = keep_begin_anew(relay);
    if (relay->ledger != NULL && !relay->source_opts.temporary && !anew)
        return true;
    if (relay->ledger != NULL && !anew) {
        log_warn("a temporary slot was lost with its session: what was committed between the two "
                 "positions is not relayed",
                 F_LSN("from", relay->durable), F_LSN("to", start));
        restart(relay, start);
        return true;
    }
    if (anew) {
        session_rewind(relay);
        restart(relay, start);
    } else if (!ledger_new(&opts, start, &relay->ledger, err)) {
        return false;
    }
    if (relay->has_checkpoint && lsn_cmp(start, relay->checkpoint.lsn) == 0) {
        relay->resume = relay->checkpoint.partial;
        ledger_restore_partial(relay->ledger, relay->resume);
    }
    return true;
}

static void start(struct relay *relay, struct lsn start)
{
    struct err err;
    bool first = !relay->has_checkpoint || relay->source_opts.temporary;
    if (!begin_at(relay, start, &err) || (first && !confirm_begin(relay, start, &err))) {
        relay_fail(relay, &err);
        return;
    }
    if (first)
        log_info("no checkpoint: relaying from the slot's own position", F_LSN("start", start));
    uint32_t timeline = source_facts(relay->source)->timeline;
    if (relay->checkpoint.timeline != timeline) {
        log_warn("the server is on a new timeline that contains everything published",
                 F_U64("old", relay->checkpoint.timeline), F_U64("new", timeline));
        relay->checkpoint.timeline = timeline;
    }
    source_start(relay->source, relay->durable);
    keep_session_lost(relay);
}

/* What the server has to contain: the checkpoint, and what was published since. */
static struct checkpoint published(const struct relay *relay)
{
    struct checkpoint checkpoint = relay->checkpoint;
    if (relay->ledger != NULL && !relay->keep.anew) {
        checkpoint.lsn = lsn_max(checkpoint.lsn, ledger_published(relay->ledger));
        checkpoint.partial = ledger_partial(relay->ledger);
    }
    return checkpoint;
}

/* A transaction that begins before the given position is not sent again, and the next one begins
 * behind the whole of its commit record. */
void session_advise(struct relay *relay)
{
    const struct in_hand *hand = &relay->in_hand;
    enum err_code code = relay->fatal.code;
    if ((code != ERR_PG_ROW_TOO_LARGE && code != ERR_PG_ENCODING) || !hand->open ||
        relay->save_failed || ledger_records(relay->ledger) > 0)
        return;
    struct lsn_text commit = lsn_format(hand->at.commit_lsn);
    struct lsn_text past = lsn_format(lsn_make(hand->at.commit_lsn.value + 1));
    err_where(&relay->fatal, "slot %s, in the transaction that committed at %s",
              relay->config->source.slot, commit.text);
    err_hint(&relay->fatal,
             "the server cannot send a row of this transaction and never will; all before it is "
             "published. To pass it by, and it alone: SELECT pg_replication_slot_advance('%s', "
             "'%s'); %s, and start again. Its other rows still stand in the table: mend the one at "
             "fault and insert them anew",
             relay->config->source.slot, past.text, source_forget(relay->config->source.forget));
}

static void ready(struct relay *relay)
{
    struct err err;
    struct lsn position;
    keep_follow_slot(relay);
    const struct checkpoint checkpoint = published(relay);
    const struct guard_input input = {
        .facts = source_facts(relay->source),
        .checkpoint = relay->has_checkpoint && !relay->source_opts.temporary ? &checkpoint : NULL,
        .previous = relay->checkpoint_previous,
        .pipeline = relay->config->name,
        .slot = relay->config->source.slot,
        .publication = relay->config->source.publication,
        .forget = relay->config->source.forget,
        .temporary = relay->source_opts.temporary,
        .submitted = relay->submitted,
    };
    if (!keep_ready(relay, &input))
        return;
    switch (guard_check(&input, &position, &err)) {
    case GUARD_START:
        start(relay, position);
        return;
    case GUARD_ASK_FORK:
        source_fork(relay->source, relay->checkpoint.timeline);
        return;
    case GUARD_WAIT:
        keep_release(relay, &err);
        source_wait(relay->source, &err, relay->now_ns);
        return;
    case GUARD_REFUSE:
        if (!keep_doubts(relay, &err))
            relay_fail(relay, &err);
        return;
    }
    UNREACHABLE();
}

/* Records in flight stay valid; the open transaction will come again from its first row. */
static void lost(struct relay *relay)
{
    const struct in_hand *hand = &relay->in_hand;
    if (hand->open && !hand->skip && relay->ledger != NULL) {
        ledger_suspend(relay->ledger);
        relay->suspended = true;
    }
    relay->resume = relay->suspended ? relay->newest : relay->resume;
    pull_reset(relay);
    keep_session_lost(relay);
}

void session_rewind(struct relay *relay)
{
    pull_reset(relay);
    relay->suspended = false;
    relay->newest = (struct cursor){0};
    relay->newest_closed = false;
    if (relay->ledger != NULL) {
        ledger_rewind(relay->ledger);
        relay->resume = ledger_partial(relay->ledger);
    }
}

static void connection_lost(struct relay *relay, const struct err *err)
{
    lost(relay);
    if (relay->ending) {
        relay->stop = true;
        return;
    }
    metrics_add_label(relay->metrics, METRIC_RECONNECTS, "source", 1);
    health_error(relay, LOG_WARN, "PostgreSQL is away, trying again", err);
    relay->source_trouble = *err;
}

void session_yield(struct relay *relay)
{
    if (source_state(relay->source) != SOURCE_STATE_STREAMING || relay->ending)
        return;
    struct err err;
    discard(err_set(&err, ERR_PG_SHUTDOWN, "PostgreSQL is shutting down"));
    discard(confirm_turn(relay, true));
    source_tick(relay->source, relay->now_ns);
    connection_lost(relay, &err);
    source_restart(relay->source, relay->now_ns);
}

bool session_gone(struct relay *relay)
{
    struct err err;
    if (relay->ending || !source_hung_up(relay->source))
        return false;
    discard(err_set(&err, ERR_PG_LOST, "the server closed the connection"));
    connection_lost(relay, &err);
    source_restart(relay->source, relay->now_ns);
    return true;
}

void session_woke(struct relay *relay, uint64_t before_ns)
{
    uint64_t limit_ns = source_facts(relay->source)->wal_sender_timeout_ms * NS_PER_MS;
    uint64_t slept_ns = relay->now_ns - before_ns;
    struct err err;
    if (limit_ns == 0 || slept_ns < limit_ns || relay->ending ||
        source_state(relay->source) != SOURCE_STATE_STREAMING)
        return;
    discard(err_set(&err, ERR_PG_LOST, "this process did not run for %" PRIu64 " ms",
                    slept_ns / NS_PER_MS));
    err_hint(&err, "look for what stopped it: a signal, a suspended machine, a full disk");
    connection_lost(relay, &err);
    source_restart(relay->source, relay->now_ns);
}

void session_protocol_error(struct relay *relay, const struct err *err)
{
    /* The server is not to blame for that. */
    if (err->code == ERR_MEMORY) {
        relay_halt(relay, err);
        return;
    }
    relay->strikes++;
    if (relay->strikes >= PROTOCOL_STRIKES) {
        struct err fatal = *err;
        fatal.code = ERR_PROTOCOL_REPEATED;
        relay_fail(relay, &fatal);
        return;
    }
    health_error(relay, LOG_ERROR, "the stream cannot be decoded, the session is begun anew", err);
    lost(relay);
    source_restart(relay->source, relay->now_ns);
}

static void keepalive(struct relay *relay, struct lsn wal_end)
{
    relay->received = lsn_max(relay->received, wal_end);
    if (!relay->in_hand.open && !FAILPOINT(IDLE_PERSIST))
        ledger_idle(relay->ledger, wal_end);
}

/* The server will send no more, but neither history nor sink is at fault: what is in flight is
 * awaited, so that it need not come again. */
static void no_more(struct relay *relay, const struct err *err)
{
    if (relay->ledger != NULL && ledger_records(relay->ledger) > 0)
        relay_halt(relay, err);
    else
        relay_fail(relay, err);
}

bool session_turn(struct relay *relay)
{
    struct source_item item;
    UNFILLED struct err err;
    switch (source_next(relay->source, relay->now_ns, &item, &err)) {
    case SOURCE_IDLE:
        return false;
    case SOURCE_READY:
        ready(relay);
        return true;
    case SOURCE_STARTED:
        started(relay);
        return true;
    case SOURCE_DATA:
        pull_message(relay, item.data);
        return true;
    case SOURCE_KEEPALIVE:
        keepalive(relay, item.wal_end);
        return true;
    case SOURCE_LOST:
        connection_lost(relay, &err);
        return true;
    case SOURCE_WAITING:
        relay->waiting = err;
        relay->keep.rival |= err.code == ERR_SLOT_ACTIVE;
        log_err(LOG_INFO, "waiting as a standby", &err);
        return true;
    case SOURCE_ENDED:
        relay->stop = true;
        return false;
    case SOURCE_FAIL:
        no_more(relay, &err);
        return false;
    }
    UNREACHABLE();
}
