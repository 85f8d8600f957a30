/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

#include <inttypes.h>

void pull_drop(struct relay *relay)
{
    relay->offered.present = false;
    relay->sink_busy = false;
}

void pull_reset(struct relay *relay)
{
    pgoutput_reset(relay->decoder);
    capture_reset(relay->stages.capture);
    relay->in_hand = (struct in_hand){0};
    pull_drop(relay);
}

bool pull_allowed(const struct relay *relay)
{
    if (relay->stop || relay->halting || relay->offered.present || relay->save_failed ||
        relay->now_ns < relay->hold_until_ns || keep_holds(relay))
        return false;
    if (relay->ledger != NULL && !ledger_room(relay->ledger))
        return false;
    if (!delivery_may_submit(relay))
        return false;
    /* While draining, only what completes the transaction in hand: half a transaction would be sent
     * again from where its acknowledged part ends. */
    if (relay->draining && !relay->ending)
        return relay->suspended || (relay->in_hand.open && !relay->in_hand.skip);
    return true;
}

static void count_skip(struct relay *relay, enum skip_reason reason)
{
    metrics_add_label(relay->metrics, METRIC_EVENTS_SKIPPED, skip_reason_name(reason), 1);
}

/* The row in hand is done with: the next one is looked at from here. */
static void row_passed(struct relay *relay, bool published)
{
    struct in_hand *hand = &relay->in_hand;
    hand->at.ordinal++;
    if (published)
        hand->at.index++;
    relay->newest = hand->at;
}

static void told_wrong(struct relay *relay, const char *what, struct lsn lsn)
{
    struct err err;
    discard(err_set(&err, ERR_PROTOCOL, "a transaction %s at %s, but the WAL ends at %s", what,
                    lsn_format(lsn).text, lsn_format(source_wal_end(relay->source)).text));
    err_where(&err, "slot %s", relay->config->source.slot);
    session_protocol_error(relay, &err);
}

static void begin(struct relay *relay, const struct change *change)
{
    struct in_hand *hand = &relay->in_hand;
    struct lsn commit = change->as.begin.commit_lsn;
    if (source_too_far(relay->source, commit)) {
        told_wrong(relay, "committed", commit);
        return;
    }
    *hand = (struct in_hand){
        .open = true,
        .at = {.commit_lsn = commit},
        .commit_time_us = change->as.begin.commit_time_us,
        .xid = change->as.begin.xid,
    };
    int order = lsn_cmp(commit, relay->newest.commit_lsn);
    hand->skip = order < 0 || (order == 0 && relay->newest_closed) ||
                 lsn_cmp(commit, ledger_published(relay->ledger)) < 0;
    if (hand->skip)
        return;
    if (relay->suspended && order != 0) {
        struct err err;
        discard(err_set(&err, ERR_TIMELINE_DIVERGED,
                        "transaction %s was half sent, and the server does not know it any more",
                        lsn_format(relay->newest.commit_lsn).text));
        err_where(&err, "slot %s", relay->config->source.slot);
        err_hint(&err, "the server lost history that was published already: look at its log for a "
                       "failover or a restore");
        relay_fail(relay, &err);
        hand->skip = true;
        return;
    }
    if (lsn_cmp(commit, relay->resume.commit_lsn) == 0) {
        hand->skip_ordinal = relay->resume.ordinal;
        hand->at.index = relay->resume.index;
    }
    if (relay->suspended) {
        ASSERT(ledger_resume(relay->ledger, commit));
        relay->suspended = false;
        return;
    }
    ledger_begin(relay->ledger, commit, hand->commit_time_us);
    relay->newest = (struct cursor){commit, hand->skip_ordinal, hand->at.index};
    relay->newest_closed = false;
    relay->submitted = lsn_max(relay->submitted, commit);
}

static void commit(struct relay *relay, const struct change *change)
{
    struct in_hand *hand = &relay->in_hand;
    struct lsn end = change->as.commit.end_lsn;
    /* The frame that carries the Commit names the same end. */
    if (lsn_cmp(end, source_wal_end(relay->source)) > 0) {
        told_wrong(relay, "ends", end);
        return;
    }
    if (!hand->skip) {
        ledger_commit(relay->ledger, end);
        relay->newest_closed = true;
    }
    relay->received = lsn_max(relay->received, end);
    hand->open = false;
}

/* Give the event its place and its form. True when relay->offered holds a record to submit. */
static bool prepare(struct relay *relay)
{
    struct offered *offered = &relay->offered;
    const char *rejected = careful_rejected(&relay->careful, relay->in_hand.at);
    UNFILLED struct err err;
    switch (stages_render(&relay->stages, &offered->event, rejected, &offered->record,
                          &offered->intended_topic, &err)) {
    case STAGES_DROP:
        count_skip(relay, SKIP_RULE);
        row_passed(relay, false);
        return false;
    case STAGES_POISON:
        poison_row(relay, &offered->event, offered->intended_topic, &err);
        return offered->present;
    case STAGES_RECORD:
        offered->present = true;
        offered->dead_letter = false;
        return true;
    }
    UNREACHABLE();
}

static void row(struct relay *relay, const struct change *change)
{
    struct in_hand *hand = &relay->in_hand;
    struct offered *offered = &relay->offered;
    enum skip_reason reason;
    UNFILLED struct err err;
    if (hand->open && (hand->skip || hand->at.ordinal < hand->skip_ordinal)) {
        hand->at.ordinal++;
        count_skip(relay, SKIP_POSITION);
        return;
    }
    enum capture_outcome outcome = capture_change(
        relay->stages.capture, change, &relay->stages.arena, &offered->event, &reason, &err);
    if (outcome == CAPTURE_SKIP) {
        count_skip(relay, reason);
        alarm_skip(relay, change);
        if (hand->open)
            row_passed(relay, false);
        return;
    }
    if (outcome == CAPTURE_FAIL) {
        relay_halt(relay, &err);
        return;
    }
    ASSERT(hand->open);
    metrics_add(relay->metrics, METRIC_EVENTS_RECEIVED, 1);
    offered->event.position = (struct position){hand->at.commit_lsn, hand->at.index};
    offered->event.commit_time_us = hand->commit_time_us;
    offered->event.xid = hand->xid;
    offered->event.replay = false;
    relay->received_commit_us = hand->commit_time_us;
    if (outcome == CAPTURE_POISON)
        poison_row(relay, &offered->event, stages_destination(&relay->stages, &offered->event),
                   &err);
    else if (!prepare(relay))
        return;
    discard(pull_offer(relay));
}

static void message(struct relay *relay, const struct change *change)
{
    if (bytes_is(change->as.message.prefix, HEARTBEAT_PREFIX)) {
        metrics_add(relay->metrics, METRIC_HEARTBEATS, 1);
        return;
    }
    row(relay, change);
}

static void relation(struct relay *relay, const struct change *change)
{
    struct err err;
    if (!capture_relation(relay->stages.capture, change->as.relation.relation, &err))
        relay_halt(relay, &err);
}

void pull_message(struct relay *relay, struct bytes data)
{
    struct change change;
    UNFILLED struct err err;
    stages_next_row(&relay->stages);
    if (!pgoutput_decode(relay->decoder, data, &change, &err)) {
        session_protocol_error(relay, &err);
        return;
    }
    switch (change.kind) {
    case CHANGE_BEGIN:
        begin(relay, &change);
        return;
    case CHANGE_COMMIT:
        commit(relay, &change);
        return;
    case CHANGE_RELATION:
        relation(relay, &change);
        return;
    case CHANGE_MESSAGE:
        message(relay, &change);
        return;
    case CHANGE_INSERT:
    case CHANGE_UPDATE:
    case CHANGE_DELETE:
    case CHANGE_TRUNCATE:
        row(relay, &change);
        return;
    case CHANGE_ORIGIN:
    case CHANGE_TYPE:
        return;
    }
    UNREACHABLE();
}

/* The sink holds the record: it is in flight, and the row is done with. */
static void taken(struct relay *relay, uint64_t tag, uint32_t topic, uint64_t cost)
{
    if (!relay->offered.dead_letter)
        ledger_label(relay->ledger, tag, health_topic(relay, topic));
    relay->offered.present = false;
    keep_took(relay, relay->offered.event.position, cost);
    row_passed(relay, true);
    if (relay->offered.dead_letter && relay->offered.reason == ERR_ROW_REJECTED)
        keep_cut(relay);
}

/* The sink says that the record in hand can never be published. */
static void refused(struct relay *relay, const struct err *err)
{
    struct offered *offered = &relay->offered;
    offered->present = false;
    if (!offered->dead_letter) {
        poison_row(relay, &offered->event, offered->intended_topic, err);
        return;
    }
    struct err fatal;
    discard(
        err_set(&fatal, ERR_DEAD_LETTER, "a dead letter cannot be published: %s", err->message));
    err_where(&fatal, "topic %s", relay->config->delivery.dead_letter_topic);
    err_hint(&fatal, "%s", err->hint);
    relay_halt(relay, &fatal);
}

bool pull_offer(struct relay *relay)
{
    struct offered *offered = &relay->offered;
    UNFILLED struct err err;
    while (offered->present) {
        if (relay->stop || relay->now_ns < relay->hold_until_ns || !ledger_room(relay->ledger) ||
            !delivery_may_submit(relay) || keep_holds(relay))
            return false;
        struct cursor at = relay->in_hand.at;
        struct flight flight = {
            .after = {at.commit_lsn, at.ordinal + 1, at.index + 1},
            .submitted_ns = relay->now_ns,
            .cost = record_cost(&offered->record),
            .label = offered->dead_letter ? (uint32_t)offered->reason : 0,
            .dead_letter = offered->dead_letter,
        };
        uint32_t topic = 0;
        uint64_t tag = ledger_record(relay->ledger, &flight);
        switch (relay->sink->ops->submit(relay->sink, &offered->record, tag, &topic, &err)) {
        case SINK_TAKEN:
            taken(relay, tag, topic, flight.cost);
            relay->sink_busy = false;
            break;
        case SINK_BUSY:
            ledger_withdraw(relay->ledger, tag);
            relay->sink_busy = true;
            return false;
        case SINK_POISON:
            ledger_withdraw(relay->ledger, tag);
            refused(relay, &err);
            break;
        case SINK_FAIL:
            ledger_withdraw(relay->ledger, tag);
            delivery_failed(relay, &err);
            return false;
        }
    }
    return true;
}
