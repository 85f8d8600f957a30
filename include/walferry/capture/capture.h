/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture: turns a change into an event.
 *
 * A capture is a list of entries from the configuration: an outbox table read by a preset (a column
 * map) with overrides, or a prefix of WAL messages. For each Relation the column map is resolved
 * once and kept until a newer Relation with that oid comes. Pure: no I/O, no clock.
 *
 * An INSERT into a captured outbox is an event; UPDATE, DELETE and TRUNCATE are the application's
 * housekeeping and are skipped with a reason, to be counted. A row that cannot become an event is
 * CAPTURE_POISON with an error that names table, column and reason, and the event filled as far as
 * it could be read, for the dead letter. A row of a relation that no entry names is
 * ERR_RELATION_UNKNOWN: a renamed outbox goes on streaming under its new name, and skipping it
 * would lose events in silence.
 *
 * All memory is had by capture_new(); what a row needs beyond it comes from the caller's arena.
 */
#pragma once

#include "walferry/base/arena.h"
#include "walferry/base/err.h"
#include "walferry/model/change.h"
#include "walferry/model/event.h"

enum capture_kind { CAPTURE_OUTBOX, CAPTURE_MESSAGES };

enum payload_mode { PAYLOAD_AUTO, PAYLOAD_AS_JSON, PAYLOAD_AS_TEXT, PAYLOAD_AS_BINARY };

enum preset_id {
    PRESET_WALFERRY,
    PRESET_DEBEZIUM,
    PRESET_OPEN_OUTBOX,
    PRESET_EVENTUATE,
    PRESET_GOHARVEST,
    PRESET_PG_TRANSACTIONAL_OUTBOX,
    PRESET_COUNT
};

/* "pg_transactional_outbox" */
const char *preset_name(enum preset_id preset);
MUST_USE bool preset_parse(struct bytes name, enum preset_id *ret_preset);
/* The column a preset reads a field from; NULL when it has none. One column may serve several
 * fields. */
const char *preset_column(enum preset_id preset, enum event_field field);

/* Filled by the configuration; strings are borrowed and outlive the capture. */
struct capture_entry {
    enum capture_kind kind;
    const char *name; /* outbox: "schema.table", split at the first dot; messages: the prefix */
    enum preset_id preset;
    const char *columns[EVENT_FIELD_COUNT]; /* overrides; NULL: the preset's; "": not read */
    enum payload_mode payload;
};

enum capture_outcome {
    CAPTURE_EVENT,
    CAPTURE_SKIP,   /* not an event, see the reason */
    CAPTURE_POISON, /* err is of class POISON */
    CAPTURE_FAIL,   /* err says why the relay must not go on */
};

enum skip_reason {
    SKIP_UPDATE,
    SKIP_DELETE,
    SKIP_TRUNCATE,
    SKIP_NOT_TRANSACTIONAL, /* a message outside a transaction */
    SKIP_PREFIX,            /* a message of a prefix that is not captured */
    SKIP_RULE,              /* a routing rule says drop */
    SKIP_POISON,            /* poison: skip */
    SKIP_POSITION,          /* already submitted before the connection was lost */
    SKIP_COUNT
};

/* "update", the label of walferry_events_skipped_total. */
const char *skip_reason_name(enum skip_reason reason);

#define CAPTURE_COLUMNS_MAX (2 * (size_t)EVENT_FIELD_COUNT)
/* The columns that an entry reads, where its table has them: the one at *index or the next, which
 * *index is then behind; NULL at the end. Begin with 0. One may come twice. */
const char *capture_column(const struct capture_entry *entry, size_t *index);

struct capture;

/* ERR_CONFIG_* when a name, an override or two entries cannot be meant, ERR_MEMORY. */
MUST_USE bool capture_new(const struct capture_entry *entries, size_t count,
                          struct capture **ret_capture, struct err *err);
/* NULL is allowed. */
void capture_free(struct capture *capture);
/* Forget resolved relations: a new session starts. */
void capture_reset(struct capture *capture);
/* A Relation came: resolve it now, so that a table that no longer fits is found at its first
 * Relation and not at a row. False: ERR_RELATION_CHANGED, or ERR_RELATION_UNKNOWN for a captured
 * table that goes by a new name. Any other relation that no entry names is let pass until a row of
 * it comes: for rows published by the root of a partitioned table the server announces the
 * partition as well. */
MUST_USE bool capture_relation(struct capture *capture, const struct relation *relation,
                               struct err *err);
/* For INSERT, UPDATE, DELETE, TRUNCATE and MESSAGE. Fills every field of *ret_event except
 * position, commit_time_us, xid and replay, which the relay sets; on SKIP *ret_reason. */
MUST_USE enum capture_outcome capture_change(struct capture *capture, const struct change *change,
                                             struct arena *arena, struct event *ret_event,
                                             enum skip_reason *ret_reason, struct err *err);
