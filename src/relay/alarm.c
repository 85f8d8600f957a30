/* SPDX-License-Identifier: Apache-2.0 */
/* What a person ought to know before it hurts, and what the monitor finds that the stream does not
 * tell. */
#include "relay_private.h"

/* Of all the WAL that a slot may retain, one part in so many is left: the end is near. */
#define SAFE_PART 4

/* The stream merely goes on without the rows, or without the column. */
static void look_at_publication(struct relay *relay, const struct monitor_facts *facts)
{
    struct err err;
    if (relay->draining || source_state(relay->source) != SOURCE_STATE_STREAMING)
        return;
    if (!guard_publishes(relay->config->source.publication, &facts->gaps, &err))
        relay_halt(relay, &err);
}

static void look_at_filter(struct relay *relay, const struct publication_gaps *gaps)
{
    struct err err;
    if (gaps->filtered[0] == '\0') {
        relay->alarms.filter = false;
        return;
    }
    if (relay->alarms.filter)
        return;
    relay->alarms.filter = true;
    discard(err_set(&err, ERR_PUBLICATION_FILTER,
                    "rows that the publication's filter keeps back are never published"));
    err_where(&err, "publication %s, tables: %s", relay->config->source.publication,
              gaps->filtered);
    err_hint(&err,
             "look: SELECT tablename, rowfilter FROM pg_publication_tables WHERE pubname = '%s'; "
             "route.rules with drop: true do the same and count what they drop",
             relay->config->source.publication);
    health_error(relay, LOG_WARN, "the publication filters rows", &err);
}

static bool in_danger(const struct monitor_facts *facts)
{
    const struct slot_facts *slot = &facts->slot;
    if (slot->wal_status == WAL_UNRESERVED || slot->wal_status == WAL_LOST)
        return true;
    if (!slot->has_safe_wal_size)
        return false;
    uint64_t safe = slot->safe_wal_size > 0 ? (uint64_t)slot->safe_wal_size : 0;
    return safe < (facts->retained_bytes + safe) / SAFE_PART;
}

static void look_at_slot(struct relay *relay, const struct monitor_facts *facts)
{
    struct err err;
    bool danger = facts->slot.exists && in_danger(facts);
    if (danger == relay->alarms.slot)
        return;
    relay->alarms.slot = danger;
    if (!danger) {
        log_info("the slot is out of danger", F_U64("retained_bytes", facts->retained_bytes));
        return;
    }
    discard(err_set(&err, ERR_SLOT_DANGER,
                    "the slot retains %llu bytes of WAL, and the server gives it up after %lld "
                    "more (wal_status %s)",
                    (unsigned long long)facts->retained_bytes, (long long)facts->slot.safe_wal_size,
                    wal_status_name(facts->slot.wal_status)));
    err_where(&err, "slot %s", relay->config->source.slot);
    err_hint(&err, "see why walferry is behind (walferry status), and give it time: ALTER SYSTEM "
                   "SET max_slot_wal_keep_size = '...'; SELECT pg_reload_conf()");
    health_error(relay, LOG_WARN, "the slot may be lost soon", &err);
}

void alarm_turn(struct relay *relay)
{
    const struct monitor_facts *facts = monitor_facts(relay->monitor);
    if (!facts->known || facts->read_at_ns == relay->alarms.looked_ns)
        return;
    relay->alarms.looked_ns = facts->read_at_ns;
    look_at_publication(relay, facts);
    look_at_filter(relay, &facts->gaps);
    look_at_slot(relay, facts);
}

void alarm_session(struct relay *relay)
{
    relay->alarms.update = false;
    look_at_filter(relay, &source_facts(relay->source)->gaps);
}

static void tell_changed(struct relay *relay, const struct relation *relation, const char *what,
                         const char *hint)
{
    struct err err;
    discard(err_set(&err, ERR_OUTBOX_CHANGED, "%s", what));
    err_where(&err, "table %s.%s", relation->schema, relation->name);
    err_hint(&err, "%s", hint);
    health_error(relay, LOG_WARN, "the outbox was changed", &err);
}

void alarm_skip(struct relay *relay, const struct change *change)
{
    if (change->kind == CHANGE_TRUNCATE && change->as.truncate.count > 0) {
        tell_changed(relay, change->as.truncate.relations[0],
                     "the table was truncated: rows committed before are published all the same, "
                     "but cannot be published again",
                     "delete rows that are confirmed instead, or drop partitions: SELECT "
                     "outbox.drop_partitions_before(...)");
    } else if (change->kind == CHANGE_UPDATE && !relay->alarms.update) {
        relay->alarms.update = true;
        tell_changed(relay, change->as.row.relation,
                     "a row was updated, which publishes nothing: an INSERT ... ON CONFLICT DO "
                     "UPDATE that finds its row makes no event",
                     "insert every event as a row with an id of its own; further updates are "
                     "counted in walferry_events_skipped_total{reason=\"update\"}");
    }
}
