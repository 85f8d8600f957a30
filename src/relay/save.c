/* SPDX-License-Identifier: Apache-2.0 */
/* The position when the sink keeps it: when it is saved, and with what. */
#include "relay_private.h"

#include <string.h>

/* Without events the position is saved seldom: every save is a transaction of the broker. */
#define IDLE_SAVE_NS    (60 * NS_PER_S)
#define IDLE_SAVE_BYTES (UINT64_C(16) << 20)
#define RETRY_NS        (1 * NS_PER_S)
#define BUSY_NS         (10 * NS_PER_MS)
/* For the last position of a relay that fails. */
#define LAST_NS (2 * NS_PER_S)

void keep_took(struct relay *relay, struct position position, uint64_t cost)
{
    struct keep *keep = &relay->keep;
    if (!keep->transactional)
        return;
    if (keep->opened_ns == 0) {
        keep->opened_ns = relay->now_ns;
        keep->records = 0;
        keep->bytes = 0;
    }
    keep->records++;
    keep->bytes += cost;
    keep->events++;
    keep->chain = checkpoint_chain(keep->chain, position);
}

static uint64_t commit_interval_ns(const struct relay *relay)
{
    return relay->config->delivery.commit_interval_ms * NS_PER_MS;
}

/* How long a transaction of the broker may wait for the end of PostgreSQL's. */
static uint64_t patience_ns(const struct relay *relay)
{
    return relay->config->delivery.transaction_timeout_ms * NS_PER_MS / 3;
}

/* The end of a PostgreSQL transaction that is in the open one is still to come. */
static bool midway(const struct relay *relay)
{
    return (relay->in_hand.open && !relay->in_hand.skip) || relay->suspended;
}

/* One more PostgreSQL transaction might not fit, and would be split for nothing; or the transaction
 * being committed has the other half. */
static bool full(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    return keep->records * 2 >= relay->config->delivery.max_in_flight_events ||
           keep->bytes * 2 >= relay->config->delivery.max_in_flight_bytes;
}

static bool enough(const struct relay *relay)
{
    return full(relay) || relay->now_ns >= relay->keep.opened_ns + commit_interval_ns(relay);
}

/* While another is being committed there is no hurry. */
static bool complete(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    return keep->opened_ns != 0 && !midway(relay) && (keep->saving ? full(relay) : enough(relay));
}

bool keep_holds(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    if (!keep->by_sink)
        return false;
    if (keep->claim != CLAIM_HELD)
        return keep->transactional;
    return keep->transactional && ((keep->saving && keep->apart) || keep->cut || complete(relay));
}

void keep_cut(struct relay *relay)
{
    relay->keep.cut = relay->keep.transactional;
}

/* When the open transaction is to be committed. */
static uint64_t commit_ns(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    if (keep->cut)
        return delivery_may_submit(relay) ? relay->now_ns : UINT64_MAX;
    if (relay->halting || !ledger_room(relay->ledger))
        return relay->now_ns;
    if (midway(relay))
        return keep->opened_ns + patience_ns(relay);
    return relay->draining || enough(relay) ? relay->now_ns
                                            : keep->opened_ns + commit_interval_ns(relay);
}

static uint64_t save_ns(const struct relay *relay, struct lsn lsn)
{
    const struct keep *keep = &relay->keep;
    if (!keep->transactional)
        return relay->save_failed ? relay->save_retry_ns : relay->next_save_ns;
    if (keep->opened_ns != 0 || keep->cut)
        return commit_ns(relay);
    if (relay->now_ns < relay->hold_until_ns)
        return relay->hold_until_ns;
    if (lsn_distance(relay->checkpoint.lsn, lsn) >= IDLE_SAVE_BYTES)
        return relay->now_ns;
    return keep->saved_ns + IDLE_SAVE_NS;
}

static void place(const struct relay *relay, struct lsn *ret_lsn, struct cursor *ret_partial)
{
    if (relay->keep.transactional) {
        ledger_submitted(relay->ledger, ret_lsn, ret_partial);
        return;
    }
    *ret_lsn = ledger_published(relay->ledger);
    *ret_partial = ledger_partial(relay->ledger);
}

/* Without a session another instance may be further by now, and nothing but a transaction keeps an
 * older position from taking the place of its newer one. */
static bool can_save(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    return relay->ledger != NULL && relay->has_checkpoint && !keep->anew && !keep->elsewhere &&
           keep->claim == CLAIM_HELD && !keep->saving && (keep->transactional || !keep->stale);
}

static bool may_save(const struct relay *relay)
{
    return !relay->stop && !relay->ending && can_save(relay);
}

static bool moved(const struct relay *relay, struct lsn *ret_lsn, struct cursor *ret_partial)
{
    place(relay, ret_lsn, ret_partial);
    return relay->keep.rewrite || relay->save_failed ||
           confirm_moved(relay, *ret_lsn, *ret_partial);
}

static bool to_save(const struct relay *relay, struct lsn *ret_lsn, struct cursor *ret_partial)
{
    return may_save(relay) && moved(relay, ret_lsn, ret_partial);
}

/* Without transactions. The topic may have gone, or somebody made it anew: a claim makes it again
 * and reads what stands there. The slot is ours meanwhile. */
static void save_failed(struct relay *relay, const struct err *err)
{
    relay->keep.claim = CLAIM_NONE;
    relay->keep.next_claim_ns = relay->now_ns + RETRY_NS;
    metrics_add(relay->metrics, METRIC_CHECKPOINT_ERRORS, 1);
    health_error(relay, LOG_ERROR, "checkpoint cannot be saved: nothing is confirmed or read", err);
    relay->save_failed = true;
    relay->save_retry_ns = relay->now_ns + RETRY_NS;
}

static void save(struct relay *relay, struct lsn lsn, struct cursor partial)
{
    struct keep *keep = &relay->keep;
    struct err err;
    keep->next = relay->checkpoint;
    keep->next.previous = keep->known ? relay->checkpoint.lsn : LSN_NONE;
    keep->next.lsn = lsn;
    keep->next.partial = partial;
    keep->next.events = keep->events;
    keep->next.chain = keep->chain;
    keep->next.commit_time_us = confirm_commit_time_us(relay);
    keep->next.saved_at_us = clock_wall_us();
    memcpy(keep->next.host, keep->host, sizeof keep->host);
    ASSERT(checkpoint_save(relay->store, &keep->next, &err));
    buf_reset(&keep->text);
    checkpoint_encode(&keep->next, &keep->text);
    ASSERT(buf_ok(&keep->text));
    switch (relay->sink->ops->save(relay->sink, buf_bytes(&keep->text), &err)) {
    case SINK_TAKEN:
        keep->saving = true;
        keep->rewrite = false;
        keep->apart = keep->cut || relay->careful.on;
        keep->cut = false;
        keep->saving_ns = keep->opened_ns;
        keep->opened_ns = 0;
        return;
    case SINK_BUSY:
        keep->busy_until_ns = relay->now_ns + BUSY_NS;
        return;
    case SINK_POISON:
    case SINK_FAIL:
        if (keep->transactional)
            delivery_failed(relay, &err);
        else
            save_failed(relay, &err);
        return;
    }
    UNREACHABLE();
}

/* The rest of PostgreSQL's transaction does not come: what there is of it is not shown. */
static bool give_up(struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    if (!keep->transactional || !relay->suspended || keep->opened_ns == 0 || !may_save(relay) ||
        relay->now_ns < keep->opened_ns + patience_ns(relay))
        return false;
    log_warn("a transaction is taken back, because its end does not come from PostgreSQL",
             F_LSN("commit", relay->newest.commit_lsn));
    delivery_drop(relay);
    if (!relay->stop)
        source_restart(relay->source, relay->now_ns);
    return true;
}

static bool ask_again(const struct relay *relay)
{
    return relay->keep.by_sink && relay->keep.claim == CLAIM_NONE && !relay->stop &&
           source_state(relay->source) == SOURCE_STATE_READY && !relay->ending;
}

/* In the middle of a session. */
static bool claim_again(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    return keep->by_sink && !keep->transactional && keep->claim == CLAIM_NONE && !keep->stale &&
           relay->save_failed && !relay->stop && !relay->ending &&
           source_state(relay->source) == SOURCE_STATE_STREAMING;
}

bool keep_turn(struct relay *relay, bool force)
{
    struct lsn lsn;
    struct cursor partial;
    bool claim_due = relay->now_ns >= relay->keep.next_claim_ns;
    if (ask_again(relay) && claim_due)
        source_ask(relay->source);
    if (claim_again(relay) && claim_due && !session_gone(relay))
        keep_claim(relay);
    if (give_up(relay) || !may_save(relay) || relay->now_ns < relay->keep.busy_until_ns)
        return true;
    if (!moved(relay, &lsn, &partial)) {
        relay->keep.cut = false;
        return true;
    }
    bool patient = relay->save_failed ||
                   (relay->keep.transactional && relay->keep.opened_ns != 0 && midway(relay));
    bool due = (force && !patient) || relay->now_ns >= save_ns(relay, lsn);
    if (due && (relay->keep.transactional || !session_gone(relay)))
        save(relay, lsn, partial);
    return true;
}

uint64_t keep_deadline(const struct relay *relay)
{
    struct lsn lsn;
    struct cursor partial;
    if (ask_again(relay) || claim_again(relay))
        return relay->keep.next_claim_ns;
    if (!to_save(relay, &lsn, &partial))
        return UINT64_MAX;
    uint64_t due_ns = save_ns(relay, lsn);
    return due_ns > relay->keep.busy_until_ns ? due_ns : relay->keep.busy_until_ns;
}

bool keep_settled(struct relay *relay)
{
    struct lsn lsn;
    struct cursor partial;
    if (!relay->keep.by_sink)
        return true;
    discard(keep_turn(relay, true));
    bool claiming = !relay->keep.transactional && !relay->keep.stale && relay->save_failed &&
                    relay->keep.claim != CLAIM_HELD;
    return !relay->keep.saving && !claiming && !to_save(relay, &lsn, &partial);
}

void keep_saved(struct relay *relay, const struct sink_report *report)
{
    struct keep *keep = &relay->keep;
    struct err err;
    keep->saving = false;
    if (keep->stale && source_state(relay->source) == SOURCE_STATE_READY)
        source_ask(relay->source);
    if (report->outcome == SINK_DELIVERED) {
        keep->saved_ns = relay->now_ns;
        keep->saving_ns = 0;
        keep->fenced = 0;
        keep->known = true;
        if (keep->transactional) {
            metrics_add_label(relay->metrics, METRIC_KAFKA_TRANSACTIONS, "committed", 1);
            relay->blocked = ERR_INIT;
            relay->replays = 0;
        }
        confirm_saved(relay, &keep->next);
        return;
    }
    if (keep->transactional) {
        bool idle = keep->opened_ns == 0 && keep->saving_ns == 0;
        delivery_refused(relay, report);
        /* No record waits whose delivery would tell that the trouble is over: the next claim does.
         */
        keep->troubled = idle;
        return;
    }
    delivery_explain(relay, report, &err);
    if (report->outcome == SINK_HALT)
        relay_fail(relay, &err);
    else
        save_failed(relay, &err);
}

/* The fate of the last save, if it is known by now. */
static void look_for_report(struct relay *relay)
{
    struct sink_report reports[256];
    size_t count = relay->sink->ops->collect(relay->sink, reports, ARRAY_LEN(reports));
    for (size_t i = 0; i < count; i++) {
        if (reports[i].kind != REPORT_SAVED)
            continue;
        relay->keep.saving = false;
        relay->keep.claim = CLAIM_NONE;
        if (reports[i].outcome == SINK_DELIVERED)
            confirm_saved(relay, &relay->keep.next);
    }
}

void keep_last(struct relay *relay)
{
    struct lsn lsn;
    struct cursor partial;
    struct err err;
    uint64_t until_ns = clock_mono_ns() + LAST_NS;
    if (relay->keep.transactional || !can_save(relay) || !moved(relay, &lsn, &partial))
        return;
    save(relay, lsn, partial);
    bool ok = true;
    for (unsigned i = 0; i < LOOP_WATCH_MAX; i++) {
        int fd = i == WATCH_SINK ? relay->sink->ops->fd(relay->sink) : -1;
        ok = loop_watch(&relay->loop, i, fd, LOOP_READ, &err) && ok;
    }
    for (uint64_t now_ns = clock_mono_ns(); ok && relay->keep.saving && now_ns < until_ns;
         now_ns = clock_mono_ns()) {
        look_for_report(relay);
        ok = !relay->keep.saving || loop_wait(&relay->loop, until_ns - now_ns, &err);
    }
}
