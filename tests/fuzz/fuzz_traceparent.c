/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace context and headers are passed on untouched, whatever a row has there. What is rendered is
 * a record that consumers can read: the document is JSON, header names are never empty or
 * ambiguous, and the trace context arrives as it was written; what is not rendered can be
 * dead-lettered.
 */
#include "fields.h"
#include "other_json.h"
#include "walferry/base/assert.h"
#include "walferry/base/json.h"
#include "walferry/base/utf8.h"
#include "walferry/capture/capture.h"
#include "walferry/envelope/envelope.h"

#define ARENA_SIZE (256U << 10)
#define VALUE_MAX  (1U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMN_COUNT = 9 };

/* In the order of the input's fields. */
static const struct column columns[COLUMN_COUNT] = {
    {.name = "traceparent", .type_oid = 25},  {.name = "tracestate", .type_oid = 25},
    {.name = "headers", .type_oid = 114},     {.name = "id", .type_oid = 2950},
    {.name = "event_type", .type_oid = 25},   {.name = "aggregate_id", .type_oid = 25},
    {.name = "payload", .type_oid = 25},      {.name = "correlation_id", .type_oid = 25},
    {.name = "causation_id", .type_oid = 25},
};
static const struct relation relation = {
    .oid = 16384,
    .schema = "a",
    .name = "event",
    .replica_identity = 'd',
    .column_count = COLUMN_COUNT,
    .columns = columns,
    .generation = 1,
};
static const struct envelope_opts formats[] = {
    {ENVELOPE_CLOUDEVENTS, ENVELOPE_STRUCTURED, "/a"},
    {ENVELOPE_CLOUDEVENTS, ENVELOPE_BINARY, "/a"},
    {ENVELOPE_DEBEZIUM, ENVELOPE_BINARY, "/a"},
    {ENVELOPE_RAW, ENVELOPE_BINARY, "/a"},
};

static struct capture *capture;
static struct arena arena;
static struct event event;
static struct record record;

static void open_once(void)
{
    static const struct capture_entry entry = {.kind = CAPTURE_OUTBOX, .name = "a.event"};
    struct err err = ERR_INIT;
    ASSERT(capture_new(&entry, 1, &capture, &err));
    ASSERT(capture_relation(capture, &relation, &err));
    ASSERT(arena_init(&arena, ARENA_SIZE, ARENA_SIZE));
}

static size_t headers_named(const char *name, struct bytes *ret_value)
{
    size_t count = 0;
    for (size_t i = 0; i < record.header_count; i++) {
        if (bytes_is(record.headers[i].name, name)) {
            *ret_value = record.headers[i].value;
            count++;
        }
    }
    return count;
}

/* There once, and as it is in the event; or not at all. */
static void check_trace_header(const char *name, struct bytes field)
{
    struct bytes value = BYTES_ABSENT;
    size_t count = headers_named(name, &value);
    ASSERT(bytes_empty(field) || (count == 1 && bytes_equal(value, field)));
}

static void check_headers(void)
{
    ASSERT(record.header_count <= RECORD_HEADERS_MAX);
    for (size_t i = 0; i < record.header_count; i++) {
        ASSERT(!bytes_empty(record.headers[i].name) && utf8_valid(record.headers[i].name));
        ASSERT(utf8_valid(record.headers[i].value));
    }
    check_trace_header("traceparent", event.traceparent);
    check_trace_header("tracestate", event.tracestate);
}

static void check_member(const struct other *document, const char *name, struct bytes field)
{
    const struct other *member = other_member(document, name);
    ASSERT(bytes_empty(field) == (member == NULL));
    ASSERT(member == NULL || bytes_equal(field, other_text(member)));
}

static void check_document(void)
{
    struct other *document = NULL;
    ASSERT(json_parse(record.value).kind == JSON_OBJECT);
    ASSERT(other_read(record.value, true, &document) == OTHER_READ);
    check_member(document, "traceparent", event.traceparent);
    check_member(document, "tracestate", event.tracestate);
    check_member(document, "id", event.id);
    check_member(document, "type", event.event_type);
    check_member(document, "subject", event.aggregate_id);
    check_member(document, "correlationid", event.correlation_id);
    check_member(document, "causationid", event.causation_id);
    check_member(document, "data", event.payload);
    other_free(document);
}

static void check_binary(void)
{
    struct bytes value = BYTES_ABSENT;
    ASSERT(bytes_equal(record.value, event.payload));
    ASSERT(headers_named("ce_id", &value) == 1 && bytes_equal(value, event.id));
    ASSERT(headers_named("ce_specversion", &value) == 1 && bytes_is(value, "1.0"));
    ASSERT(headers_named("ce_traceparent", &value) == !bytes_empty(event.traceparent));
    ASSERT(bytes_empty(event.traceparent) || bytes_equal(value, event.traceparent));
    ASSERT(headers_named("content-type", &value) == bytes_present(event.payload));
}

/* Every header of ours once, and the payload as it was. */
static void check_dead_letter(const struct err *reason)
{
    static const char *const ours[] = {"walferry_error", "walferry_reason", "walferry_position",
                                       "walferry_pipeline", "walferry_time"};
    const struct dead_letter letter = {.topic = "dead",
                                       .intended_topic = BYTES_LIT("t"),
                                       .reason = reason,
                                       .pipeline = "orders",
                                       .time_us = 1,
                                       .value_max = VALUE_MAX};
    struct err err = ERR_INIT;
    if (!envelope_dead_letter(&event, &letter, &arena, &record, &err)) {
        ASSERT(err.code == ERR_DEAD_LETTER);
        return;
    }
    struct bytes value = BYTES_ABSENT;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        ASSERT(headers_named(ours[i], &value) == 1);
    ASSERT(bytes_equal(record.value, event.payload));
    for (size_t i = 0; i < record.header_count; i++)
        ASSERT(!bytes_empty(record.headers[i].name));
}

static void check_format(const struct envelope_opts *opts, struct buf *value)
{
    struct envelope envelope;
    struct err err = ERR_INIT;
    const struct placement placement = {BYTES_LIT("t"), -1, event.aggregate_id};
    ASSERT(envelope_init(&envelope, opts, &err));
    if (!envelope_render(&envelope, &event, &placement, value, &arena, &record, &err)) {
        ASSERT(err_class(err.code) == ERR_CLASS_POISON && err.hint[0] != '\0');
        check_dead_letter(&err);
        return;
    }
    check_headers();
    if (opts->format == ENVELOPE_CLOUDEVENTS && opts->mode == ENVELOPE_STRUCTURED)
        check_document();
    else if (opts->format == ENVELOPE_CLOUDEVENTS)
        check_binary();
    else
        ASSERT(bytes_equal(record.value, event.payload));
}

/* What the columns say is taken as it is. */
static void check_taken(const struct value *values)
{
    const struct bytes *taken[] = {&event.traceparent, &event.tracestate};
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        ASSERT(values[i].kind == VALUE_NULL || bytes_equal(*taken[i], values[i].bytes));
    ASSERT(event.header_count <= EVENT_HEADERS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct value values[COLUMN_COUNT];
    struct bytes rest = bytes_make(data, size);
    if (capture == NULL)
        open_once();
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        struct bytes field = field_next(&rest);
        bool null = bytes_empty(field);
        values[i] = (struct value){null ? VALUE_NULL : VALUE_TEXT, null ? BYTES_ABSENT : field};
    }
    const struct change change = {
        .kind = CHANGE_INSERT,
        .as.row = {.relation = &relation, .new_tuple = {COLUMN_COUNT, values}}};
    struct err err = ERR_INIT;
    enum skip_reason reason = SKIP_COUNT;
    arena_reset(&arena);
    event = (struct event){.position = {lsn_make(1), 2}};
    enum capture_outcome outcome = capture_change(capture, &change, &arena, &event, &reason, &err);
    if (outcome == CAPTURE_POISON) {
        check_dead_letter(&err);
        return 0;
    }
    ASSERT(outcome == CAPTURE_EVENT);
    check_taken(values);
    struct buf value AUTO(buf_deinit);
    buf_init(&value, VALUE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        check_format(&formats[i], &value);
    return 0;
}
