/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft: an event while a row or message is read into it.
 *
 * A fault does not end the reading: the first one makes the row poison and its error is the one
 * reported, what can still be read goes on filling the event, for the dead letter. Borrows
 * everything; lives for one row.
 */
#pragma once

#include "walferry/base/arena.h"
#include "walferry/base/assert.h"
#include "walferry/base/err.h"
#include "walferry/model/event.h"

struct draft {
    struct event *event;
    struct arena *arena;
    struct err *err;
    const char *source; /* what fields are read from: "column" or "member" */
    const char *name;   /* of the column or member in hand; not NULL when a fault is found */
    bool poisoned;
};

/* The event becomes empty, but for what the relay sets itself. */
void draft_init(struct draft *draft, struct event *event, struct arena *arena, struct err *err,
                const char *source);
/* 'column "name": ...'; a hint of NULL is the one that fits every row. */
void draft_fault(struct draft *draft, enum err_code code, const char *hint, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Where it happened, once all was read: the place and the event's id, to find the row again. */
void draft_where(struct draft *draft, const char *place);
/* Where the text of a field stands in an event; 0 for fields that are not kept as text. */
extern const uint16_t draft_text_offsets[EVENT_FIELD_COUNT];

/* The event's text of a plain text field, to be written; NULL for the other fields. */
static inline struct bytes *draft_text(struct draft *draft, enum event_field field)
{
    ASSERT((size_t)field < EVENT_FIELD_COUNT);
    size_t offset = draft_text_offsets[field];
    return offset == 0 ? NULL : (struct bytes *)(void *)((uint8_t *)draft->event + offset);
}
