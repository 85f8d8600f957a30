/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

struct fixture fixture;

void fixture_setup(void)
{
    memset(&fixture, 0, sizeof(fixture));
    buf_init(&fixture.value, FIXTURE_VALUE_MAX);
    ck_assert(arena_init(&fixture.arena, 1U << 16, 1U << 16));
    fixture.event = (struct event){
        .position = {lsn_make(0x16B374D848), 3},
        .commit_time_us = INT64_C(1767225600000000), /* 2026-01-01 */
        .xid = 771,
        .id = BYTES_LIT("e-1"),
        .event_type = BYTES_LIT("order.placed"),
        .payload_kind = PAYLOAD_JSON,
        .payload = BYTES_LIT("{\"a\": 1}"),
        .partition = -1,
    };
    fixture.placement = (struct placement){BYTES_LIT("outbox.event.order"), -1, BYTES_ABSENT};
    fixture_format(ENVELOPE_CLOUDEVENTS, ENVELOPE_STRUCTURED);
}

void fixture_teardown(void)
{
    buf_deinit(&fixture.value);
    arena_deinit(&fixture.arena);
}

void fixture_fill(void)
{
    struct event *event = &fixture.event;
    event->aggregate_type = BYTES_LIT("order");
    event->aggregate_id = BYTES_LIT("4711");
    event->event_version = BYTES_LIT("2");
    event->visibility = BYTES_LIT("public");
    event->traceparent = BYTES_LIT("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    event->tracestate = BYTES_LIT("congo=t61rcWkgMzE");
    event->correlation_id = BYTES_LIT("workflow-9");
    event->causation_id = BYTES_LIT("e-0");
    event->has_occurred_at = true;
    event->occurred_at_us = INT64_C(1767225600123456);
    event->replay = true;
    fixture.placement.key = event->aggregate_id;
    fixture.placement.partition = 2;
}

void fixture_payload(enum payload_kind kind, struct bytes payload)
{
    fixture.event.payload_kind = kind;
    fixture.event.payload = payload;
}

void fixture_header(const char *name, struct bytes value)
{
    ck_assert_uint_lt(fixture.event.header_count, EVENT_HEADERS_MAX);
    fixture.event.headers[fixture.event.header_count++] = (struct header){bytes_str(name), value};
}

void fixture_format(enum envelope_format format, enum envelope_mode mode)
{
    const struct envelope_opts opts = {format, mode, "/orders"};
    ck_assert(envelope_init(&fixture.envelope, &opts, &fixture.err));
}

static bool render(void)
{
    fixture.err = ERR_INIT;
    return envelope_render(&fixture.envelope, &fixture.event, &fixture.placement, &fixture.value,
                           &fixture.arena, &fixture.record, &fixture.err);
}

void fixture_render(void)
{
    ck_assert_msg(render(), "%s", fixture.err.message);
}

void fixture_refuse(enum err_code code, const char *message_part)
{
    static struct record before;
    memset(&fixture.record, 0x5A, sizeof(fixture.record));
    memcpy(&before, &fixture.record, sizeof(before));
    ck_assert_msg(!render(), "rendered, though \"%s\"", message_part);
    ck_assert_str_eq(err_name(fixture.err.code), err_name(code));
    ck_assert_int_eq(err_class(code), ERR_CLASS_POISON);
    ck_assert_msg(strstr(fixture.err.message, message_part) != NULL, "\"%s\" does not say \"%s\"",
                  fixture.err.message, message_part);
    ck_assert_str_ne(fixture.err.hint, "");
    ck_assert_str_eq(fixture.err.where, "16/B374D848 row 3");
    ck_assert_int_eq(memcmp(&before, &fixture.record, sizeof(before)), 0);
}

void fixture_assert_headers(const char *lines)
{
    struct buf text;
    buf_init(&text, 1U << 20);
    for (size_t i = 0; i < fixture.record.header_count; i++) {
        const struct header *header = &fixture.record.headers[i];
        buf_put_bytes(&text, header->name);
        if (bytes_present(header->value)) {
            buf_put_str(&text, "=");
            buf_put_bytes(&text, header->value);
        }
        buf_put_str(&text, "\n");
    }
    ck_assert_str_eq(buf_cstr(&text), lines);
    buf_deinit(&text);
}

struct bytes fixture_header_value(const char *name)
{
    struct bytes value = BYTES_ABSENT;
    size_t found = 0;
    for (size_t i = 0; i < fixture.record.header_count; i++) {
        if (bytes_is(fixture.record.headers[i].name, name)) {
            value = fixture.record.headers[i].value;
            found++;
        }
    }
    ck_assert_msg(found <= 1, "%s is there %zu times", name, found);
    return value;
}
