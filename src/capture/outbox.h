/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox: one captured table: its column map, resolved against the table's last Relation, and the
 * reading of a row by it. No memory of its own; borrows the entry's strings.
 */
#pragma once

#include "walferry/capture/capture.h"

#include "preset.h"

#define OUTBOX_PLACE_MAX 200

struct outbox_source {
    int column; /* position in the relation; -1: not read from a column */
    int pair;
    uint32_t type_oid;
    const char *header; /* of the row, whose text wins; or NULL */
    enum reader reader;
};

/* A field that is read from a column which the relation has. */
struct outbox_step {
    enum event_field field;
    uint16_t column;
    bool property; /* READ_PROPERTIES */
    uint16_t text; /* where the event keeps a value that only has to be UTF-8 to be taken; or 0 */
};

struct outbox {
    const struct capture_entry *entry;
    struct bytes schema;
    struct bytes table;
    char place[OUTBOX_PLACE_MAX]; /* "table outbox.event", for errors */
    bool resolved;
    uint32_t oid;
    uint64_t generation;
    enum payload_mode payload;
    struct outbox_source sources[EVENT_FIELD_COUNT];
    /* What a row is read by, of the sources: without those that are not there, payload and headers
     * apart; and the fields that may be among the headers. */
    size_t step_count;
    struct outbox_step steps[EVENT_FIELD_COUNT];
    size_t from_header_count;
    enum event_field from_headers[EVENT_FIELD_COUNT];
};

/* ERR_CONFIG_VALUE when the entry's name or overrides cannot be meant. */
MUST_USE bool outbox_init(struct outbox *outbox, const struct capture_entry *entry,
                          struct err *err);
bool outbox_matches(const struct outbox *outbox, const struct relation *relation);
/* The map was made for exactly this Relation. */
bool outbox_is_current(const struct outbox *outbox, const struct relation *relation);
/* ERR_RELATION_CHANGED when needed columns are missing; the outbox is then not resolved. */
MUST_USE bool outbox_resolve(struct outbox *outbox, const struct relation *relation,
                             struct err *err);
/* An inserted row. True: an event; false: poison, see the header of capture. */
bool outbox_read(const struct outbox *outbox, const struct relation *relation, struct tuple row,
                 struct arena *arena, struct event *ret_event, struct err *err);
