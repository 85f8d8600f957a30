/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

#define REPORTS_A_TURN 4096

bool delivery_may_submit(const struct relay *relay)
{
    if (!relay->careful.on || relay->ledger == NULL)
        return true;
    if (!relay->keep.transactional)
        return ledger_records(relay->ledger) == 0;
    struct sink_state state;
    /* All of a transaction is in flight until it is committed. */
    relay->sink->ops->state(relay->sink, &state);
    return state.pending == 0;
}

static void hold(struct relay *relay)
{
    relay->hold_until_ns = relay->now_ns + careful_pause_ns(relay->replays++);
}

/* The producer is dropped with all it holds; what is past the last contiguous acknowledgement comes
 * again. */
static void replay(struct relay *relay)
{
    if (!relay->keep.by_sink)
        discard(confirm_turn(relay, false));
    hold(relay);
    delivery_drop(relay);
    if (!relay->stop)
        source_restart(relay->source, relay->now_ns);
}

void delivery_drop(struct relay *relay)
{
    struct err err;
    metrics_add_label(relay->metrics, METRIC_RECONNECTS, "sink", 1);
    if (!relay->sink->ops->reset(relay->sink, &err)) {
        if (err_class(err.code) != ERR_CLASS_TRANSIENT) {
            relay_fail(relay, &err);
            return;
        }
        health_error(relay, LOG_WARN, "sink is not usable yet", &err);
    }
    keep_dropped(relay);
    session_rewind(relay);
    /* Halting, without a session that could bring it again. */
    if (source_state(relay->source) == SOURCE_STATE_CLOSED)
        relay->stop = true;
}

/* It can pass. */
static void send_again(struct relay *relay, const struct err *err)
{
    metrics_add_label(relay->metrics, METRIC_PUBLISH_ERRORS, err_label(err->code), 1);
    if (relay->ending) {
        health_error(relay, LOG_WARN, "delivery failed, the next start sends again", err);
        return;
    }
    health_error(relay, LOG_WARN,
                 "delivery failed, sending again from the last acknowledged record", err);
    relay->blocked = *err;
    replay(relay);
}

void delivery_failed(struct relay *relay, const struct err *err)
{
    if (err_class(err->code) == ERR_CLASS_TRANSIENT || keep_fenced(relay, err))
        send_again(relay, err);
    else
        relay_fail(relay, err);
}

/* Deliveries that are alike, for the metrics: of one topic, or one reason of dead letters, and one
 * transaction. */
struct tally {
    uint64_t count; /* 0: nothing else is meant */
    uint64_t cost;
    int64_t commit_time_us;
    uint32_t label;
    bool dead_letter;
};

static void count_tally(struct relay *relay, const struct tally *tally)
{
    if (tally->count == 0)
        return;
    metrics_add(relay->metrics, METRIC_BYTES_PUBLISHED, (double)tally->cost);
    if (tally->dead_letter)
        metrics_add_label(relay->metrics, METRIC_DEAD_LETTERS,
                          err_label((enum err_code)tally->label), (double)tally->count);
    else
        metrics_add_topic(relay->metrics, METRIC_EVENTS_PUBLISHED, tally->label,
                          (double)tally->count);
    int64_t age_us = relay->wall_us - tally->commit_time_us;
    metrics_observe(relay->metrics, METRIC_COMMIT_TO_ACK, age_us > 0 ? (double)age_us / 1e6 : 0,
                    tally->count);
    relay->replays = 0;
    relay->progress_ns = relay->now_ns;
    if (err_is_set(&relay->blocked))
        relay->blocked = ERR_INIT;
}

static void delivered(struct relay *relay, uint64_t tag, struct tally *tally)
{
    struct flight flight = ledger_ack(relay->ledger, tag);
    if (flight.label != tally->label || flight.dead_letter != tally->dead_letter ||
        flight.commit_time_us != tally->commit_time_us) {
        count_tally(relay, tally);
        *tally = (struct tally){.commit_time_us = flight.commit_time_us,
                                .label = flight.label,
                                .dead_letter = flight.dead_letter};
    }
    tally->count++;
    tally->cost += flight.cost;
    careful_delivered(&relay->careful, &flight);
}

/* Nothing moved since the last failure: another attempt would send what lies behind once more. */
static bool stuck(struct relay *relay)
{
    struct lsn published = ledger_published(relay->ledger);
    struct cursor partial = ledger_partial(relay->ledger);
    bool same = lsn_cmp(published, relay->failed_published) == 0 &&
                cursor_cmp(partial, relay->failed_partial) == 0;
    relay->failed_published = published;
    relay->failed_partial = partial;
    return same;
}

void delivery_explain(struct relay *relay, const struct sink_report *report, struct err *err)
{
    struct sink_state state;
    relay->sink->ops->state(relay->sink, &state);
    discard(err_set(err, report->code, "%s (%s)", err_text(report->code), report->error));
    err_where(err, "sink %s", relay->sink->ops->name);
    if (state.detail[0] != '\0')
        err_hint(err, "%s", state.detail);
}

static void failed(struct relay *relay, const struct sink_report *report)
{
    struct flight flight = *ledger_flight(relay->ledger, report->tag);
    struct err err;
    delivery_explain(relay, report, &err);
    switch (report->outcome) {
    case SINK_SUSPECT:
        if (careful_refused(&relay->careful, &flight, relay->newest, report->error))
            break;
        err.code = ERR_DEAD_LETTER;
        relay_fail(relay, &err);
        return;
    case SINK_HALT:
        delivery_failed(relay, &err);
        return;
    case SINK_BLOCKED:
        careful_until(&relay->careful, flight.after);
        break;
    case SINK_RETRY:
    case SINK_FATAL:
        if (stuck(relay))
            careful_until(&relay->careful, flight.after);
        break;
    case SINK_DELIVERED:
        UNREACHABLE();
    }
    send_again(relay, &err);
}

void delivery_refused(struct relay *relay, const struct sink_report *report)
{
    struct err err;
    delivery_explain(relay, report, &err);
    delivery_failed(relay, &err);
}

/* Deliveries first: what was acknowledged in the same breath need not be sent again. The first of
 * the others decides: a failure makes the rest void, and the position comes after its records. */
static bool take_reports(struct relay *relay, const struct sink_report *reports, size_t count)
{
    const struct sink_report *failure = NULL;
    const struct sink_report *position = NULL;
    struct tally tally = {0};
    for (size_t i = 0; i < count; i++) {
        if (reports[i].kind != REPORT_RECORD)
            position = &reports[i];
        else if (reports[i].outcome == SINK_DELIVERED)
            delivered(relay, reports[i].tag, &tally);
        else if (failure == NULL)
            failure = &reports[i];
    }
    count_tally(relay, &tally);
    /* A claim proves nothing: one comes with every session. */
    if (count > 0 && reports[0].kind == REPORT_RECORD && reports[0].outcome == SINK_DELIVERED) {
        relay->strikes = 0;
        source_healthy(relay->source);
    }
    if (failure != NULL)
        failed(relay, failure);
    else if (position != NULL)
        keep_report(relay, position);
    return failure == NULL && position == NULL;
}

bool delivery_collect(struct relay *relay)
{
    UNFILLED struct sink_report reports[256];
    size_t total = 0;
    while (total < REPORTS_A_TURN && !relay->stop) {
        size_t count = relay->sink->ops->collect(relay->sink, reports, ARRAY_LEN(reports));
        total += count;
        if (!take_reports(relay, reports, count) || count < ARRAY_LEN(reports))
            break;
    }
    return total > 0;
}
