/* SPDX-License-Identifier: Apache-2.0 */
#include "draft.h"

#include "walferry/base/utf8.h"

#define REASON_MAX 384
#define PLACE_MAX  256
#define ID_SHOWN   64

static const char *const row_hint =
    "mend what writes the row and publish it again; delivery.poison decides whether such rows are "
    "dead-lettered, skipped or stop the relay";

const uint16_t draft_text_offsets[EVENT_FIELD_COUNT] = {
    [EVENT_id] = offsetof(struct event, id),
    [EVENT_aggregate_type] = offsetof(struct event, aggregate_type),
    [EVENT_aggregate_id] = offsetof(struct event, aggregate_id),
    [EVENT_event_type] = offsetof(struct event, event_type),
    [EVENT_event_version] = offsetof(struct event, event_version),
    [EVENT_visibility] = offsetof(struct event, visibility),
    [EVENT_traceparent] = offsetof(struct event, traceparent),
    [EVENT_tracestate] = offsetof(struct event, tracestate),
    [EVENT_correlation_id] = offsetof(struct event, correlation_id),
    [EVENT_causation_id] = offsetof(struct event, causation_id),
    [EVENT_topic] = offsetof(struct event, topic),
    [EVENT_key] = offsetof(struct event, key),
};
_Static_assert(offsetof(struct event, position) == 0, "offset 0 is free to say: no text");

void draft_init(struct draft *draft, struct event *event, struct arena *arena, struct err *err,
                const char *source)
{
    *draft = (struct draft){.event = event, .arena = arena, .err = err, .source = source};
    event->id = BYTES_ABSENT;
    event->aggregate_type = BYTES_ABSENT;
    event->aggregate_id = BYTES_ABSENT;
    event->event_type = BYTES_ABSENT;
    event->event_version = BYTES_ABSENT;
    event->visibility = BYTES_ABSENT;
    event->traceparent = BYTES_ABSENT;
    event->tracestate = BYTES_ABSENT;
    event->correlation_id = BYTES_ABSENT;
    event->causation_id = BYTES_ABSENT;
    event->topic = BYTES_ABSENT;
    event->key = BYTES_ABSENT;
    event->payload_kind = PAYLOAD_NONE;
    event->payload = BYTES_ABSENT;
    event->partition = -1;
    event->has_occurred_at = false;
    event->occurred_at_us = 0;
    event->header_count = 0;
}

void draft_fault(struct draft *draft, enum err_code code, const char *hint, const char *format, ...)
{
    ASSERT(draft->name != NULL);
    if (draft->poisoned)
        return;
    draft->poisoned = true;
    char storage[REASON_MAX];
    struct buf reason;
    buf_init_over(&reason, storage, sizeof(storage));
    va_list args;
    va_start(args, format);
    buf_vprintf(&reason, format, args);
    va_end(args);
    discard(err_set(draft->err, code, "%s \"%s\": %s", draft->source, draft->name,
                    buf_ok(&reason) ? buf_cstr(&reason) : "not acceptable"));
    discard(err_hint(draft->err, "%s", hint == NULL ? row_hint : hint));
}

void draft_where(struct draft *draft, const char *place)
{
    char storage[PLACE_MAX];
    struct buf where;
    buf_init_over(&where, storage, sizeof(storage));
    buf_put_str(&where, place);
    if (!bytes_empty(draft->event->id)) {
        buf_put_str(&where, ", id ");
        utf8_put_printable(&where, draft->event->id, ID_SHOWN);
    }
    discard(err_where(draft->err, "%s", buf_cstr(&where)));
}
