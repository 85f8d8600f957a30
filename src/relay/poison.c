/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

/* The row is passed by without a trace in Kafka; the counter and the log keep it. */
static void skip_row(struct relay *relay)
{
    metrics_add_label(relay->metrics, METRIC_EVENTS_SKIPPED, skip_reason_name(SKIP_POISON), 1);
    relay->in_hand.at.ordinal++;
    relay->newest = relay->in_hand.at;
    relay->offered.present = false;
}

static void halt(struct relay *relay, const struct err *reason)
{
    struct err err;
    discard(err_set(&err, ERR_POISON_HALT, "a row cannot be published (WF-%u): %s",
                    err_number(reason->code), reason->message));
    err_where(&err, "%s", reason->where);
    err_hint(&err,
             "%s%smend the row's cause, or set delivery.poison to dead_letter or skip, and "
             "start again",
             reason->hint, reason->hint[0] == '\0' ? "" : "; ");
    relay_halt(relay, &err);
}

static void send_letter(struct relay *relay, const struct event *event, struct bytes intended,
                        const struct err *reason)
{
    struct offered *offered = &relay->offered;
    struct err err;
    const struct dead_letter letter = {
        .topic = relay->config->delivery.dead_letter_topic,
        .intended_topic = intended,
        .reason = reason,
        .pipeline = relay->config->name,
        .time_us = clock_wall_us(),
        .value_max = delivery_letter_max(relay, relay->in_hand.at),
    };
    if (!envelope_dead_letter(event, &letter, &relay->arena, &offered->record, &err)) {
        struct err fatal;
        discard(err_set(&fatal, ERR_DEAD_LETTER, "a dead letter cannot be made: %s", err.message));
        err_where(&fatal, "%s", reason->where);
        err_hint(&fatal, "set delivery.poison to skip to pass the row by");
        relay_halt(relay, &fatal);
        return;
    }
    offered->present = true;
    offered->dead_letter = true;
    offered->reason = reason->code;
}

void poison_row(struct relay *relay, const struct event *event, struct bytes intended,
                const struct err *reason)
{
    struct err placed = *reason;
    if (placed.where[0] == '\0')
        err_where(&placed, "event %s", position_format(event->position).text);
    switch (relay->config->delivery.poison) {
    case POISON_DEAD_LETTER:
        health_error(relay, LOG_WARN, "row goes to the dead letter topic", &placed);
        send_letter(relay, event, intended, reason);
        return;
    case POISON_HALT:
        halt(relay, &placed);
        return;
    case POISON_SKIP:
        health_error(relay, LOG_WARN, "row is skipped", &placed);
        skip_row(relay);
        return;
    }
    UNREACHABLE();
}
