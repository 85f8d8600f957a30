/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

/* The row is passed by without a trace in Kafka; the counter and the log keep it. To the ledger it
 * is as good as acknowledged: a replay that came back to it would offer it to the broker anew, and
 * two such rows in a row would take turns for ever. */
static void skip_row(struct relay *relay, enum err_code reason)
{
    struct in_hand *hand = &relay->in_hand;
    metrics_add_label(relay->metrics, METRIC_EVENTS_SKIPPED, skip_reason_name(SKIP_POISON), 1);
    hand->at.ordinal++;
    ledger_pass(relay->ledger, hand->at);
    relay->newest = hand->at;
    relay->offered.present = false;
    if (reason == ERR_ROW_REJECTED) {
        relay->replays = 0;
        source_healthy(relay->source);
        keep_cut(relay);
    }
}

static void send_letter(struct relay *relay, const struct event *event, struct bytes intended,
                        const struct err *reason)
{
    struct offered *offered = &relay->offered;
    struct err err;
    size_t max = careful_letter_max(&relay->careful, relay->in_hand.at,
                                    relay->sink->ops->value_max(relay->sink));
    if (!stages_letter(&relay->stages, event, intended, reason, clock_wall_us(), max,
                       &offered->record, &err)) {
        discard(stages_starved(&relay->stages, &err));
        relay_halt(relay, &err);
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
    struct err err;
    if (stages_starved(&relay->stages, &err)) {
        relay_halt(relay, &err);
        return;
    }
    if (placed.where[0] == '\0')
        err_where(&placed, "%s", event_place(event).text);
    switch (relay->config->delivery.poison) {
    case POISON_DEAD_LETTER:
        health_error(relay, LOG_WARN, "row goes to the dead letter topic", &placed);
        send_letter(relay, event, intended, reason);
        return;
    case POISON_HALT:
        stages_halt(&placed, &err);
        relay_halt(relay, &err);
        return;
    case POISON_SKIP:
        health_error(relay, LOG_WARN, "row is skipped", &placed);
        skip_row(relay, reason->code);
        return;
    }
    UNREACHABLE();
}
