/* SPDX-License-Identifier: Apache-2.0 */
/* The position when the sink keeps it: claim it, save it, give it up. */
#include "relay_private.h"

#include <string.h>
#include <unistd.h>

/* Without events the position is saved seldom: every save is a transaction of the broker. */
#define IDLE_SAVE_NS    (60 * NS_PER_S)
#define IDLE_SAVE_BYTES (UINT64_C(16) << 20)
#define RETRY_NS        (1 * NS_PER_S)
/* In a row, without a commit between: two instances would fence each other for ever. */
#define FENCED_MAX 3

bool keep_init(struct relay *relay, struct err *err)
{
    struct keep *keep = &relay->keep;
    keep->by_sink = relay->config->sink.position_topic != NULL && !relay->source_opts.temporary;
    keep->transactional = keep->by_sink && relay->config->sink.transactional;
    buf_init(&keep->text, CHECKPOINT_TEXT_MAX);
    if (gethostname(keep->host, sizeof keep->host) != 0)
        return err_set(err, ERR_OS, "the name of this host is not known");
    keep->host[sizeof keep->host - 1] = '\0';
    for (char *c = keep->host; *c != '\0'; c++)
        if (strchr(CHECKPOINT_HOST_LETTERS, *c) == NULL)
            *c = '-';
    return true;
}

/* --- claim --- */

static void claim_failed(struct relay *relay, const struct err *err)
{
    relay->keep.claim = CLAIM_NONE;
    relay->keep.next_claim_ns = relay->now_ns + RETRY_NS;
    if (err_class(err->code) == ERR_CLASS_TRANSIENT) {
        relay->blocked = *err;
        health_error(relay, LOG_WARN, "the position in Kafka cannot be claimed yet", err);
    } else if (keep_fenced(relay, err)) {
        health_error(relay, LOG_WARN, "another instance claimed the position", err);
    } else {
        relay_fail(relay, err);
    }
}

static void ask(struct relay *relay)
{
    const struct sink_identity identity = {
        .pipeline = relay->config->name,
        .system_id = source_facts(relay->source)->system_id,
        .slot = relay->config->source.slot,
    };
    struct err err;
    relay->keep.stale = false;
    if (relay->sink->ops->claim(relay->sink, &identity, &err))
        relay->keep.claim = CLAIM_ASKED;
    else
        claim_failed(relay, &err);
}

bool keep_ready(struct relay *relay, const struct guard_input *input)
{
    struct err err;
    const struct keep *keep = &relay->keep;
    bool held = keep->claim == CLAIM_HELD && (keep->transactional || !keep->stale);
    if (!keep->by_sink || held)
        return true;
    if (keep->claim == CLAIM_ASKED || keep->saving)
        return false;
    switch (guard_claim(input, &err)) {
    case GUARD_START:
        ask(relay);
        return false;
    case GUARD_WAIT:
        source_wait(relay->source, &err, relay->now_ns);
        return false;
    case GUARD_REFUSE:
        relay_fail(relay, &err);
        return false;
    case GUARD_ASK_FORK:
        break;
    }
    UNREACHABLE();
}

/* From now on this is what counts, and the ledger begins there. */
static void adopt(struct relay *relay, const struct checkpoint *found)
{
    struct keep *keep = &relay->keep;
    checkpoint_none_set(relay->store, found);
    relay->checkpoint = *found;
    relay->has_checkpoint = true;
    relay->durable = found->lsn;
    relay->submitted = found->partial.commit_lsn;
    keep->events = found->events;
    keep->chain = found->chain;
    keep->anew = relay->ledger != NULL;
    keep->known = true;
}

static void gone(struct relay *relay, const char *what)
{
    struct err err;
    discard(err_set(&err, ERR_CHECKPOINT_GONE, "%s", what));
    err_where(&err, "topic %s", relay->config->checkpoint_topic);
    err_hint(&err,
             "find out who deleted or restored the topic. Started again walferry goes on at what "
             "stands there, or else at the slot's own position: what was published past it would "
             "come twice");
    relay_fail(relay, &err);
}

/* Whether somebody published more than this process did. */
static bool further(const struct relay *relay, const struct checkpoint *found)
{
    if (relay->ledger == NULL || !relay->has_checkpoint)
        return true;
    if (relay->keep.anew)
        return found->sequence > relay->checkpoint.sequence;
    struct cursor partial = ledger_partial(relay->ledger);
    int order = lsn_cmp(found->lsn, ledger_published(relay->ledger));
    return order > 0 ||
           (order == 0 && (lsn_cmp(found->partial.commit_lsn, partial.commit_lsn) > 0 ||
                           (lsn_cmp(found->partial.commit_lsn, partial.commit_lsn) == 0 &&
                            found->partial.ordinal > partial.ordinal)));
}

static void found_position(struct relay *relay, const struct checkpoint *found)
{
    struct keep *keep = &relay->keep;
    if (keep->transactional) {
        if (relay->has_checkpoint && lsn_cmp(found->lsn, relay->durable) < 0)
            gone(relay, "the position in Kafka is older than the one committed there before");
        else
            adopt(relay, found);
        return;
    }
    if (!further(relay, found)) {
        struct checkpoint mine = relay->checkpoint;
        if (found->sequence > mine.sequence)
            mine.sequence = found->sequence;
        checkpoint_none_set(relay->store, &mine);
        keep->known = true;
        return;
    }
    adopt(relay, found);
    if (relay->ledger == NULL)
        return;
    log_warn("another instance published in the meantime: this one goes on where that one ended",
             F_LSN("from", found->lsn));
    delivery_drop(relay);
}

static void no_position(struct relay *relay)
{
    if (!relay->keep.known)
        return;
    if (relay->keep.transactional) {
        gone(relay, "the position is not in Kafka any more");
        return;
    }
    log_warn("the position was gone from its topic, it is written again",
             F_STR("topic", relay->config->checkpoint_topic));
    relay->keep.rewrite = true;
}

static void read_position(struct relay *relay)
{
    struct bytes text = relay->sink->ops->position(relay->sink);
    struct checkpoint found;
    struct err err;
    if (!bytes_present(text)) {
        no_position(relay);
    } else if (checkpoint_decode(text, &found, &err)) {
        found_position(relay, &found);
    } else {
        err_where(&err, "topic %s", relay->config->checkpoint_topic);
        relay_fail(relay, &err);
    }
}

static void claimed(struct relay *relay, const struct sink_report *report)
{
    struct keep *keep = &relay->keep;
    struct err err;
    if (report->outcome != SINK_DELIVERED) {
        delivery_explain(relay, report, &err);
        claim_failed(relay, &err);
        return;
    }
    /* Nothing fences others here: what was read may be old by now. */
    if (keep->stale && !keep->transactional) {
        keep->claim = CLAIM_NONE;
        keep->next_claim_ns = relay->now_ns;
        return;
    }
    keep->claim = CLAIM_HELD;
    relay->blocked = ERR_INIT;
    read_position(relay);
    if (!relay->stop && relay->keep.claim == CLAIM_HELD &&
        source_state(relay->source) == SOURCE_STATE_READY)
        source_ask(relay->source);
}

bool keep_begin_anew(struct relay *relay)
{
    bool anew = relay->keep.anew;
    relay->keep.anew = false;
    return anew;
}

/* A transactional producer is fenced by whoever takes over; another has to look again. */
void keep_session_lost(struct relay *relay)
{
    relay->keep.stale = true;
}

void keep_dropped(struct relay *relay)
{
    struct keep *keep = &relay->keep;
    if (keep->transactional && keep->opened_ns != 0)
        metrics_add_label(relay->metrics, METRIC_KAFKA_TRANSACTIONS, "aborted", 1);
    keep->opened_ns = 0;
    keep->saving = false;
    keep->claim = CLAIM_NONE;
    keep->next_claim_ns = relay->now_ns;
}

void keep_release(struct relay *relay)
{
    relay->keep.stale = true;
    if (relay->keep.transactional && relay->keep.claim == CLAIM_HELD)
        delivery_drop(relay);
}

bool keep_fenced(struct relay *relay, const struct err *err)
{
    return err->code == ERR_KAFKA_FENCED && relay->keep.transactional &&
           relay->source_opts.standby_wait && !relay->draining && ++relay->keep.fenced < FENCED_MAX;
}

/* --- save --- */

void keep_took(struct relay *relay, struct position position)
{
    struct keep *keep = &relay->keep;
    if (!keep->transactional)
        return;
    if (keep->opened_ns == 0)
        keep->opened_ns = relay->now_ns;
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

bool keep_holds(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    if (!keep->by_sink)
        return false;
    if (keep->claim != CLAIM_HELD)
        return keep->transactional;
    return keep->transactional &&
           (keep->saving || (keep->opened_ns != 0 && !relay->in_hand.open && !relay->suspended &&
                             relay->now_ns >= keep->opened_ns + commit_interval_ns(relay)));
}

/* When the open transaction is to be committed. */
static uint64_t commit_ns(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    if (relay->halting || !ledger_room(relay->ledger))
        return relay->now_ns;
    if (relay->in_hand.open || relay->suspended)
        return keep->opened_ns + patience_ns(relay);
    return relay->draining ? relay->now_ns : keep->opened_ns + commit_interval_ns(relay);
}

static uint64_t save_ns(const struct relay *relay, struct lsn lsn)
{
    const struct keep *keep = &relay->keep;
    if (!keep->transactional)
        return relay->save_failed ? relay->save_retry_ns : relay->next_save_ns;
    if (keep->opened_ns != 0)
        return commit_ns(relay);
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
static bool may_save(const struct relay *relay)
{
    const struct keep *keep = &relay->keep;
    return relay->ledger != NULL && relay->has_checkpoint && !relay->stop && !keep->anew &&
           keep->claim == CLAIM_HELD && !keep->saving && (keep->transactional || !keep->stale);
}

static bool to_save(const struct relay *relay, struct lsn *ret_lsn, struct cursor *ret_partial)
{
    if (!may_save(relay))
        return false;
    place(relay, ret_lsn, ret_partial);
    return relay->keep.rewrite || confirm_moved(relay, *ret_lsn, *ret_partial);
}

static void save_failed(struct relay *relay, const struct err *err)
{
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
    keep->next.previous = relay->checkpoint.lsn;
    keep->next.lsn = lsn;
    keep->next.partial = partial;
    keep->next.events = keep->events;
    keep->next.chain = keep->chain;
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
        return;
    case SINK_BUSY:
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

bool keep_turn(struct relay *relay, bool force)
{
    struct lsn lsn;
    struct cursor partial;
    if (ask_again(relay) && relay->now_ns >= relay->keep.next_claim_ns)
        source_ask(relay->source);
    if (give_up(relay) || !to_save(relay, &lsn, &partial))
        return true;
    bool midway = relay->keep.transactional && relay->keep.opened_ns != 0 &&
                  (relay->in_hand.open || relay->suspended);
    if ((force && !midway) || relay->now_ns >= save_ns(relay, lsn))
        save(relay, lsn, partial);
    return true;
}

uint64_t keep_deadline(const struct relay *relay)
{
    struct lsn lsn;
    struct cursor partial;
    if (ask_again(relay))
        return relay->keep.next_claim_ns;
    return to_save(relay, &lsn, &partial) ? save_ns(relay, lsn) : UINT64_MAX;
}

bool keep_settled(struct relay *relay)
{
    struct lsn lsn;
    struct cursor partial;
    if (!relay->keep.by_sink)
        return true;
    discard(keep_turn(relay, true));
    return !relay->keep.saving && !to_save(relay, &lsn, &partial);
}

static void saved(struct relay *relay, const struct sink_report *report)
{
    struct keep *keep = &relay->keep;
    struct err err;
    keep->saving = false;
    if (keep->stale && source_state(relay->source) == SOURCE_STATE_READY)
        source_ask(relay->source);
    if (report->outcome == SINK_DELIVERED) {
        keep->opened_ns = 0;
        keep->saved_ns = relay->now_ns;
        keep->fenced = 0;
        keep->known = true;
        if (keep->transactional)
            metrics_add_label(relay->metrics, METRIC_KAFKA_TRANSACTIONS, "committed", 1);
        confirm_saved(relay, &keep->next);
        return;
    }
    if (keep->transactional) {
        delivery_refused(relay, report);
        return;
    }
    delivery_explain(relay, report, &err);
    if (report->outcome == SINK_HALT)
        relay_fail(relay, &err);
    else
        save_failed(relay, &err);
}

void keep_report(struct relay *relay, const struct sink_report *report)
{
    if (report->kind == REPORT_CLAIMED)
        claimed(relay, report);
    else
        saved(relay, report);
}
