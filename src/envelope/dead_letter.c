/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <stdio.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/utf8.h"

#define ORIGINAL_PREFIX "original_"
/* "WF-" and the digits of an unsigned. */
#define CODE_TEXT_MAX 16

/* What a requeue needs to render the event again, beside key, headers and payload. */
static const struct {
    const char *header;
    enum event_field field;
} event_headers[] = {
    {"walferry_event_id", EVENT_id},
    {"walferry_event_type", EVENT_event_type},
    {"walferry_event_version", EVENT_event_version},
    {"walferry_aggregate_type", EVENT_aggregate_type},
    {"walferry_aggregate_id", EVENT_aggregate_id},
    {"walferry_visibility", EVENT_visibility},
    {"walferry_correlation_id", EVENT_correlation_id},
    {"walferry_causation_id", EVENT_causation_id},
};

/* walferry_error, _reason, _topic, _position, _commit_time, _pipeline, _time, _replay,
 * _occurred_at, _payload_kind, _truncated. */
#define LETTER_HEADERS 11
_Static_assert(EVENT_HEADERS_MAX + 2 + ARRAY_LEN(event_headers) + LETTER_HEADERS <=
                   RECORD_HEADERS_MAX,
               "a dead letter has room for the row's headers, the trace context and its own");

/* Text of our own that the record borrows: the arena's. */
struct letter_text {
    char code[CODE_TEXT_MAX];
    struct position_text position;
    struct clock_text commit_time;
    struct clock_text time;
    struct clock_text occurred_at;
    struct bytes reason;
    struct bytes topic; /* absent when the intended one is not known */
    uint8_t *names;     /* where renamed headers go; exactly as much as they need */
};

/* A letter being written. What came with the row spends from `left`; what does not fit is left out,
 * since the letter itself must not be refused for its size. */
struct writing {
    const struct event *event;
    const struct dead_letter *letter;
    struct letter_text *text;
    struct record *record;
    size_t left;
    bool truncated;
};

/* Such a name in a row could not be told from ours. */
static bool clashes(struct bytes name)
{
    return text_begins(name, "walferry_");
}

static size_t renamed_size(const struct event *event)
{
    size_t size = 0;
    for (size_t i = 0; i < event->header_count; i++) {
        if (clashes(event->headers[i].name)) {
            size += sizeof(ORIGINAL_PREFIX) - 1 + event->headers[i].name.len;
        }
    }
    return size;
}

/* Everything that can fail. NULL when the arena is full. */
static struct letter_text *prepare(const struct event *event, const struct dead_letter *letter,
                                   struct arena *arena)
{
    struct letter_text *text = arena_alloc(arena, sizeof(*text));
    uint8_t *names = arena_alloc(arena, renamed_size(event));
    struct bytes reason = text_printable(bytes_str(letter->reason->message), arena);
    struct bytes topic = BYTES_ABSENT;
    bool has_topic = !bytes_empty(letter->intended_topic);
    if (has_topic) {
        topic = text_printable(letter->intended_topic, arena);
    }
    if (text == NULL || names == NULL || !bytes_present(reason) ||
        bytes_present(topic) != has_topic) {
        return NULL;
    }
    *text = (struct letter_text){
        .position = position_format(event->position),
        .commit_time = clock_format(event->commit_time_us),
        .time = clock_format(letter->time_us),
        .occurred_at = clock_format(event->occurred_at_us),
        .reason = reason,
        .topic = topic,
        .names = names,
    };
    snprintf(text->code, sizeof(text->code), "WF-%04u", err_number(letter->reason->code));
    return text;
}

static bool spend(struct writing *writing, size_t size)
{
    if (size > writing->left) {
        writing->truncated = true;
        return false;
    }
    writing->left -= size;
    return true;
}

static void add_text(struct writing *writing, const char *name, const char *value)
{
    record_add(writing->record, bytes_str(name), bytes_str(value));
}

/* As the route would choose it. */
static void add_key(struct writing *writing)
{
    const struct event *event = writing->event;
    struct bytes key = event->key;
    if (!bytes_present(key) && !bytes_empty(event->aggregate_id)) {
        key = event->aggregate_id;
    }
    writing->record->placement.key = spend(writing, key.len) ? key : BYTES_ABSENT;
}

/* Text of times that RFC 3339 cannot say is clamped: such a time is left out. */
static bool occurred_at_readable(const struct event *event, const struct clock_text *text)
{
    int64_t read_back = 0;
    return event->has_occurred_at && clock_parse(bytes_str(text->text), &read_back) &&
           read_back == event->occurred_at_us;
}

static void add_why(struct writing *writing)
{
    const struct letter_text *text = writing->text;
    add_text(writing, "walferry_error", text->code);
    record_add(writing->record, BYTES_LIT("walferry_reason"), text->reason);
    if (bytes_present(text->topic) && spend(writing, text->topic.len)) {
        record_add(writing->record, BYTES_LIT("walferry_topic"), text->topic);
    }
    if (!lsn_is_none(writing->event->position.commit_lsn)) {
        add_text(writing, "walferry_position", text->position.text);
        add_text(writing, "walferry_commit_time", text->commit_time.text);
    }
    add_text(writing, "walferry_pipeline", writing->letter->pipeline);
    add_text(writing, "walferry_time", text->time.text);
    if (writing->event->replay) {
        add_text(writing, "walferry_replay", "true");
    }
}

static void add_event(struct writing *writing)
{
    for (size_t i = 0; i < ARRAY_LEN(event_headers); i++) {
        struct bytes value = event_text(writing->event, event_headers[i].field);
        if (!bytes_empty(value) && utf8_valid(value) && spend(writing, value.len)) {
            record_add(writing->record, bytes_str(event_headers[i].header), value);
        }
    }
    if (occurred_at_readable(writing->event, &writing->text->occurred_at)) {
        add_text(writing, "walferry_occurred_at", writing->text->occurred_at.text);
    }
}

static struct bytes original_name(struct writing *writing, struct bytes name)
{
    if (!clashes(name)) {
        return name;
    }
    size_t prefix = sizeof(ORIGINAL_PREFIX) - 1;
    uint8_t *renamed = writing->text->names;
    writing->text->names += prefix + name.len;
    memcpy(renamed, ORIGINAL_PREFIX, prefix);
    memcpy(renamed + prefix, name.ptr, name.len);
    return bytes_make(renamed, prefix + name.len);
}

static void add_row_header(struct writing *writing, struct bytes name, struct bytes value)
{
    if (spend(writing, name.len + value.len)) {
        record_add(writing->record, original_name(writing, name), value);
    }
}

static void add_row_headers(struct writing *writing)
{
    const struct event *event = writing->event;
    if (!bytes_empty(event->traceparent)) {
        add_row_header(writing, BYTES_LIT("traceparent"), event->traceparent);
    }
    if (!bytes_empty(event->tracestate)) {
        add_row_header(writing, BYTES_LIT("tracestate"), event->tracestate);
    }
    for (size_t i = 0; i < event->header_count; i++) {
        add_row_header(writing, event->headers[i].name, event->headers[i].value);
    }
}

static const char *payload_kind_name(enum payload_kind kind)
{
    switch (kind) {
    case PAYLOAD_NONE:
        return "none";
    case PAYLOAD_JSON:
        return "json";
    case PAYLOAD_TEXT:
        return "text";
    case PAYLOAD_BINARY:
        return "binary";
    }
    UNREACHABLE();
}

static void add_value(struct writing *writing)
{
    struct bytes payload = writing->event->payload;
    writing->record->value = spend(writing, payload.len) ? payload : BYTES_ABSENT;
    add_text(writing, "walferry_payload_kind", payload_kind_name(writing->event->payload_kind));
    if (writing->truncated) {
        add_text(writing, "walferry_truncated", "true");
    }
}

bool envelope_dead_letter(const struct event *event, const struct dead_letter *letter,
                          struct arena *arena, struct record *ret_record, struct err *err)
{
    ASSERT(letter->topic != NULL);
    ASSERT(letter->pipeline != NULL);
    ASSERT(letter->time_us >= 0);
    ASSERT(event->header_count <= EVENT_HEADERS_MAX);
    struct letter_text *text = prepare(event, letter, arena);
    if (text == NULL) {
        err_set(err, ERR_DEAD_LETTER, "no room for the headers of a dead letter");
        err_where(err, "%s", event_place(event).text);
        return err_hint(err, "shorten the header names of the row that begin with walferry_");
    }
    struct writing writing = {
        .event = event,
        .letter = letter,
        .text = text,
        .record = ret_record,
        .left = letter->value_max,
    };
    ret_record->placement = (struct placement){bytes_str(letter->topic), -1, BYTES_ABSENT};
    ret_record->timestamp_ms = letter->time_us / 1000;
    ret_record->header_count = 0;
    add_key(&writing);
    add_why(&writing);
    add_event(&writing);
    add_row_headers(&writing);
    add_value(&writing);
    return true;
}
