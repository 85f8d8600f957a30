/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

#define SAVE_RETRY_NS (1 * NS_PER_S)
#define OPEN_RETRY_NS (1 * NS_PER_S)

static void made_durable(struct relay *relay, const struct checkpoint *saved)
{
    /* A session may have begun on a later timeline since the save was asked for. */
    uint32_t timeline = relay->checkpoint.timeline;
    relay->checkpoint = *saved;
    if (timeline > saved->timeline)
        relay->checkpoint.timeline = timeline;
    relay->has_checkpoint = true;
    relay->durable = saved->lsn;
    relay->save_failed = false;
    relay->checkpoint_previous = false;
    metrics_add(relay->metrics, METRIC_CHECKPOINT_WRITES, 1);
}

static bool load(struct relay *relay, struct err *err)
{
    struct err previous;
    switch (checkpoint_load(relay->store, &relay->checkpoint, &previous)) {
    case CHECKPOINT_UNREADABLE:
        *err = previous;
        return false;
    case CHECKPOINT_ABSENT:
        return true;
    case CHECKPOINT_PREVIOUS:
        relay->checkpoint_previous = true;
        log_err(LOG_WARN, "the newest checkpoint is not readable, starting at the one before",
                &previous);
        break;
    case CHECKPOINT_FOUND:
        break;
    }
    relay->has_checkpoint = true;
    relay->durable = relay->checkpoint.lsn;
    return true;
}

bool confirm_open(struct relay *relay, struct err *err)
{
    if (relay->source_opts.temporary || relay->config->store != STORE_FILE)
        return checkpoint_none_open(&relay->store, err);
    if (checkpoint_file_open(&relay->config->checkpoint, &relay->store, err)) {
        relay->waiting = ERR_INIT;
        return load(relay, err);
    }
    if (err->code != ERR_CHECKPOINT_LOCKED || !relay->source_opts.standby_wait)
        return false;
    if (!err_is_set(&relay->waiting))
        log_err(LOG_INFO, "waiting as a standby", err);
    relay->waiting = *err;
    relay->next_open_ns = relay->now_ns + OPEN_RETRY_NS;
    return true;
}

void confirm_open_again(struct relay *relay)
{
    struct err err;
    if (relay->store == NULL && relay->now_ns >= relay->next_open_ns && !confirm_open(relay, &err))
        relay_fail(relay, &err);
}

bool confirm_begin(struct relay *relay, struct lsn start, struct err *err)
{
    const struct source_facts *facts = source_facts(relay->source);
    struct checkpoint next = relay->checkpoint;
    snprintf(next.pipeline, sizeof next.pipeline, "%s", relay->config->name);
    snprintf(next.slot, sizeof next.slot, "%s", relay->config->source.slot);
    next.system_id = facts->system_id;
    next.timeline = facts->timeline;
    next.lsn = start;
    next.partial = (struct cursor){0};
    next.saved_at_us = clock_wall_us();
    if (!checkpoint_save(relay->store, &next, err))
        return false;
    made_durable(relay, &next);
    return true;
}

int64_t confirm_commit_time_us(const struct relay *relay)
{
    int64_t oldest_us = ledger_oldest_commit_us(relay->ledger);
    if (oldest_us != 0)
        return oldest_us;
    return relay->received_commit_us != 0 ? relay->received_commit_us
                                          : relay->checkpoint.commit_time_us;
}

bool confirm_moved(const struct relay *relay, struct lsn published, struct cursor partial)
{
    const struct checkpoint *last = &relay->checkpoint;
    if (lsn_cmp(published, last->lsn) > 0)
        return true;
    return !lsn_is_none(partial.commit_lsn) &&
           (lsn_cmp(partial.commit_lsn, last->partial.commit_lsn) != 0 ||
            partial.ordinal != last->partial.ordinal);
}

uint64_t confirm_deadline(const struct relay *relay)
{
    if (relay->keep.by_sink)
        return keep_deadline(relay);
    if (relay->ledger == NULL || !relay->has_checkpoint || relay->keep.anew)
        return UINT64_MAX;
    if (relay->save_failed)
        return relay->save_retry_ns;
    return confirm_moved(relay, ledger_published(relay->ledger), ledger_partial(relay->ledger))
               ? relay->next_save_ns
               : UINT64_MAX;
}

void confirm_saved(struct relay *relay, const struct checkpoint *saved)
{
    made_durable(relay, saved);
    relay->next_save_ns = relay->now_ns + relay->checkpoint_interval_ms * NS_PER_MS;
    /* At once: a server that shuts down waits for it, and its WAL is kept as long. */
    discard(FAILPOINT(CONFIRM_SAVED));
    source_confirm(relay->source, relay->durable, true);
}

bool confirm_turn(struct relay *relay, bool force)
{
    if (relay->keep.by_sink)
        return keep_turn(relay, force);
    if (relay->ledger == NULL || !relay->has_checkpoint || relay->keep.anew)
        return true;
    struct lsn published = ledger_published(relay->ledger);
    struct cursor partial = ledger_partial(relay->ledger);
    if (!confirm_moved(relay, published, partial) && !relay->save_failed)
        return true;
    uint64_t due = relay->save_failed ? relay->save_retry_ns : relay->next_save_ns;
    if (!force && relay->now_ns < due)
        return true;
    struct checkpoint next = relay->checkpoint;
    struct err err;
    next.lsn = published;
    next.partial = partial;
    next.commit_time_us = confirm_commit_time_us(relay);
    next.saved_at_us = clock_wall_us();
    if (!checkpoint_save(relay->store, &next, &err)) {
        metrics_add(relay->metrics, METRIC_CHECKPOINT_ERRORS, 1);
        health_error(relay, LOG_ERROR, "checkpoint cannot be saved: nothing is confirmed or read",
                     &err);
        relay->save_failed = true;
        relay->save_retry_ns = relay->now_ns + SAVE_RETRY_NS;
        return false;
    }
    confirm_saved(relay, &next);
    return true;
}
