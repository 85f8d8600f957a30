/* SPDX-License-Identifier: Apache-2.0 */
/* The position when the sink keeps it: claim it, read it, give it up. save.c saves it. */
#include "relay_private.h"

#include <string.h>
#include <unistd.h>

#define RETRY_NS (1 * NS_PER_S)
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
    relay->keep.troubled = true;
    relay->blocked = *err;
    if (err_class(err->code) == ERR_CLASS_TRANSIENT) {
        health_error(relay, LOG_WARN, "the position in Kafka cannot be claimed yet", err);
    } else if (keep_fenced(relay, err)) {
        health_error(relay, LOG_WARN, "another instance claimed the position", err);
    } else {
        relay_fail(relay, err);
    }
}

void keep_claim(struct relay *relay)
{
    const struct sink_identity identity = {
        .pipeline = relay->config->name,
        .system_id = source_facts(relay->source)->system_id,
        .slot = relay->config->source.slot,
    };
    struct err err;
    relay->keep.stale = false;
    relay->keep.elsewhere =
        relay->has_checkpoint && identity.system_id != relay->checkpoint.system_id;
    relay->waiting = ERR_INIT;
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
        keep_claim(relay);
        return false;
    case GUARD_WAIT:
        keep_release(relay, &err);
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
    /* What was aborted was never seen; without transactions what was sent may have been. */
    relay->submitted = keep->transactional ? found->partial.commit_lsn
                                           : lsn_max(relay->submitted, found->partial.commit_lsn);
    /* Without transactions no chain is kept. */
    keep->events = keep->transactional ? found->events : 0;
    keep->chain = keep->transactional ? found->chain : 0;
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

static int place_cmp(const struct checkpoint *a, const struct checkpoint *b)
{
    int by_lsn = lsn_cmp(a->lsn, b->lsn);
    return by_lsn != 0 ? by_lsn : cursor_cmp(a->partial, b->partial);
}

/* Whether somebody published more than this process did. */
static bool further(const struct relay *relay, const struct checkpoint *found)
{
    if (relay->ledger == NULL || !relay->has_checkpoint)
        return true;
    if (relay->keep.anew)
        return found->sequence > relay->checkpoint.sequence;
    const struct checkpoint mine = {.lsn = ledger_published(relay->ledger),
                                    .partial = ledger_partial(relay->ledger)};
    return place_cmp(found, &mine) > 0;
}

static void found_in_transaction(struct relay *relay, const struct checkpoint *found)
{
    int order = relay->has_checkpoint ? place_cmp(found, &relay->checkpoint) : 1;
    if (order < 0) {
        gone(relay, "the position in Kafka is older than the one committed there before");
        return;
    }
    /* What was in doubt came about: that trouble is over. */
    if (order > 0)
        relay->blocked = ERR_INIT;
    adopt(relay, found);
}

static void found_position(struct relay *relay, const struct checkpoint *found)
{
    if (relay->keep.transactional) {
        found_in_transaction(relay, found);
        return;
    }
    if (!further(relay, found)) {
        struct checkpoint mine = relay->checkpoint;
        if (found->sequence > mine.sequence)
            mine.sequence = found->sequence;
        checkpoint_none_set(relay->store, &mine);
        relay->keep.known = true;
        return;
    }
    adopt(relay, found);
    if (relay->ledger == NULL)
        return;
    log_warn("another instance published in the meantime: this one goes on where that one ended",
             F_LSN("from", found->lsn));
    delivery_drop(relay);
}

/* Nothing came about of the first transactions of all: they are begun as if they had not been. */
static void nothing_yet(struct relay *relay)
{
    if (!relay->keep.transactional || !relay->has_checkpoint)
        return;
    checkpoint_none_set(relay->store, &relay->checkpoint);
    relay->submitted = LSN_NONE;
    relay->keep.events = 0;
    relay->keep.chain = 0;
}

static void no_position(struct relay *relay)
{
    if (!relay->keep.known) {
        nothing_yet(relay);
        return;
    }
    if (relay->keep.transactional) {
        gone(relay, "the position is not in Kafka any more");
        return;
    }
    log_warn("the position was gone from its topic, it is written again",
             F_STR("topic", relay->config->checkpoint_topic));
    relay->keep.rewrite = true;
}

/* The sink gives another server's or slot's position when there is none of ours. */
static bool foreign(const struct relay *relay, const struct checkpoint *found)
{
    return found->system_id != relay->checkpoint.system_id ||
           strcmp(found->slot, relay->checkpoint.slot) != 0;
}

static void read_position(struct relay *relay)
{
    struct bytes text = relay->sink->ops->position(relay->sink);
    struct checkpoint found;
    struct err err;
    if (!bytes_present(text)) {
        no_position(relay);
    } else if (checkpoint_decode(text, &found, &err)) {
        if (relay->keep.known && foreign(relay, &found))
            no_position(relay);
        else
            found_position(relay, &found);
    } else {
        err_where(&err, "topic %s", relay->config->checkpoint_topic);
        if (err.hint[0] == '\0')
            err_hint(&err,
                     "find out who wrote it; a record with the same key and no value removes it, "
                     "and the next start is at the slot's own position");
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
    if (keep->troubled)
        relay->blocked = ERR_INIT;
    keep->troubled = false;
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

void keep_session_lost(struct relay *relay)
{
    relay->keep.stale = true;
}

void keep_streams(struct relay *relay)
{
    relay->keep.stale = false;
    relay->keep.rival = false;
    relay->keep.doubted = LSN_NONE;
}

void keep_dropped(struct relay *relay)
{
    struct keep *keep = &relay->keep;
    bool idle = keep->opened_ns == 0 && keep->saving_ns == 0;
    if (keep->transactional && !idle)
        metrics_add_label(relay->metrics, METRIC_KAFKA_TRANSACTIONS, "aborted", 1);
    /* A position without records that was not saved is not put off for another minute. */
    if (keep->saving && idle)
        keep->saved_ns = 0;
    keep->opened_ns = 0;
    keep->saving_ns = 0;
    keep->cut = false;
    keep->saving = false;
    keep->claim = CLAIM_NONE;
    keep->next_claim_ns = relay->now_ns;
}

void keep_release(struct relay *relay, const struct err *why)
{
    relay->waiting = *why;
    relay->keep.stale = true;
    relay->keep.rival |= why->code == ERR_SLOT_ACTIVE;
    if (relay->keep.transactional && relay->keep.claim == CLAIM_HELD)
        delivery_drop(relay);
}

/* Since the claim another instance may have come, published and gone; and of a transaction that is
 * open consumers saw nothing, so that a server which lacks it is no worse for that. */
bool keep_doubts(struct relay *relay, const struct err *err)
{
    struct keep *keep = &relay->keep;
    bool old = keep->transactional && keep->stale;
    /* The slot was looked at later than the position, which has to reach where it stood by now. */
    bool passed =
        err->code == ERR_SLOT_ADVANCED && lsn_cmp(relay->checkpoint.lsn, keep->doubted) >= 0;
    if (!keep->by_sink || keep->claim != CLAIM_HELD || (!old && !passed))
        return false;
    if (passed)
        keep->doubted = source_facts(relay->source)->slot.confirmed_flush;
    if (keep->transactional) {
        delivery_drop(relay);
    } else {
        keep->claim = CLAIM_NONE;
        keep->next_claim_ns = relay->now_ns;
    }
    return true;
}

void keep_follow_slot(struct relay *relay)
{
    const struct source_facts *facts = source_facts(relay->source);
    const struct slot_facts *slot = &facts->slot;
    struct lsn known = relay->checkpoint.lsn;
    if (relay->ledger != NULL && !relay->keep.anew)
        known = ledger_published(relay->ledger);
    if (relay->config->store != STORE_SLOT || !relay->keep.rival || relay->ledger == NULL ||
        slot->active || lsn_cmp(slot->confirmed_flush, known) <= 0)
        return;
    struct checkpoint found = relay->checkpoint;
    found.lsn = slot->confirmed_flush;
    found.timeline = facts->timeline;
    found.partial = (struct cursor){0};
    adopt(relay, &found);
    log_warn("another instance held the slot in the meantime: this one goes on where it stands",
             F_LSN("from", found.lsn));
    delivery_drop(relay);
}

bool keep_fenced(struct relay *relay, const struct err *err)
{
    if (err->code != ERR_KAFKA_FENCED)
        return false;
    discard(FAILPOINT(FENCE_DETECT));
    return relay->keep.transactional && relay->source_opts.standby_wait && !relay->draining &&
           ++relay->keep.fenced < FENCED_MAX;
}

void keep_report(struct relay *relay, const struct sink_report *report)
{
    if (report->kind == REPORT_CLAIMED)
        claimed(relay, report);
    else
        keep_saved(relay, report);
}
