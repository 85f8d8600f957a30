/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the walferry table, overrides and payload modes. */
#include "fixture.h"

static const struct given full_row[] = {
    {"id", UUID, "0b5a1f60-0000-4000-8000-000000000001"},
    {"aggregate_type", TEXT, "order"},
    {"aggregate_id", TEXT, "42"},
    {"event_type", TEXT, "order.created"},
    {"event_version", INT4, "3"},
    {"payload", JSON, "{\"a\" : 1}"},
    {"headers", JSON, "{\"tenant\": \"t1\"}"},
    {"visibility", TEXT, "private"},
    {"traceparent", TEXT, "00-aa-bb-01"},
    {"tracestate", TEXT, "v=1"},
    {"correlation_id", TEXT, "c1"},
    {"causation_id", TEXT, "c0"},
    {"topic", TEXT, "elsewhere"},
    {"partition", INT4, "5"},
    {"key", TEXT, "k"},
    {"occurred_at", TIMESTAMPTZ, "2026-01-31 12:34:56.123456+00"},
    {0},
};

START_TEST(every_field_is_read)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", full_row);
    fixture_insert_event();
    const struct event *event = &fixture.event;
    ck_assert_bytes(event->id, "0b5a1f60-0000-4000-8000-000000000001");
    ck_assert_bytes(event->aggregate_type, "order");
    ck_assert_bytes(event->aggregate_id, "42");
    ck_assert_bytes(event->event_type, "order.created");
    ck_assert_bytes(event->event_version, "3");
    ck_assert_int_eq(event->payload_kind, PAYLOAD_JSON);
    ck_assert_bytes(event->payload, "{\"a\" : 1}");
    ck_assert_bytes(event->visibility, "private");
    ck_assert_bytes(event->traceparent, "00-aa-bb-01");
    ck_assert_bytes(event->tracestate, "v=1");
    ck_assert_bytes(event->correlation_id, "c1");
    ck_assert_bytes(event->causation_id, "c0");
    ck_assert_bytes(event->topic, "elsewhere");
    ck_assert_int_eq(event->partition, 5);
    ck_assert_bytes(event->key, "k");
    ck_assert(event->has_occurred_at);
    ck_assert_int_eq(event->occurred_at_us, INT64_C(1769862896123456));
    ck_assert_uint_eq(event->header_count, 1);
    ck_assert_bytes(event->headers[0].name, "tenant");
    ck_assert_bytes(event->headers[0].value, "t1");
    fixture_close();
}
END_TEST

START_TEST(nulls_and_absent_columns_are_absent_fields)
{
    const struct given nulls[] = {{"id", UUID, "1"},         {"event_type", TEXT, "t"},
                                  {"payload", JSON, NULL},   {"aggregate_id", TEXT, NULL},
                                  {"partition", INT4, NULL}, {"occurred_at", TIMESTAMPTZ, NULL},
                                  {"headers", JSON, NULL},   {0}};
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", nulls);
    fixture_insert_event();
    const struct event *event = &fixture.event;
    ck_assert_int_eq(event->payload_kind, PAYLOAD_NONE);
    ck_assert(!bytes_present(event->payload));
    ck_assert(!bytes_present(event->aggregate_id));
    ck_assert(!bytes_present(event->aggregate_type));
    ck_assert(!bytes_present(event->key));
    ck_assert(!bytes_present(event->topic));
    ck_assert(!bytes_present(event->event_version));
    ck_assert(!bytes_present(event->visibility));
    ck_assert(!bytes_present(event->traceparent));
    ck_assert_int_eq(event->partition, -1);
    ck_assert(!event->has_occurred_at);
    ck_assert_uint_eq(event->header_count, 0);
    fixture_close();
}
END_TEST

START_TEST(empty_text_is_not_null)
{
    const struct given empty[] = {{"id", UUID, "1"},     {"event_type", TEXT, "t"},
                                  {"payload", TEXT, ""}, {"aggregate_id", TEXT, ""},
                                  {"key", TEXT, ""},     {0}};
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", empty);
    fixture_insert_event();
    ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_TEXT);
    ck_assert_bytes(fixture.event.payload, "");
    ck_assert_bytes(fixture.event.aggregate_id, "");
    ck_assert_bytes(fixture.event.key, "");
    fixture_close();
}
END_TEST

START_TEST(what_the_relay_sets_is_left_alone)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", full_row);
    fixture_insert_event();
    ck_assert_uint_eq(fixture.event.xid, 0x5A5A5A5A);
    ck_assert_uint_eq(fixture.event.position.index, 0x5A5A5A5A);
    fixture_close();
}
END_TEST

START_TEST(overrides_read_other_columns_or_none)
{
    const struct given row[] = {{"id", UUID, "1"},         {"kind", TEXT, "made"},
                                {"event_type", TEXT, "x"}, {"payload", JSON, "{}"},
                                {"order_no", INT8, "99"},  {"aggregate_id", TEXT, "no"},
                                {"topic", TEXT, "unread"}, {0}};
    struct capture_entry entry = {.kind = CAPTURE_OUTBOX, .name = "outbox.event"};
    entry.columns[EVENT_event_type] = "kind";
    entry.columns[EVENT_aggregate_id] = "order_no";
    entry.columns[EVENT_topic] = "";
    fixture_open(&entry, 1);
    fixture_row("outbox", "event", row);
    fixture_insert_event();
    ck_assert_bytes(fixture.event.event_type, "made");
    ck_assert_bytes(fixture.event.aggregate_id, "99");
    ck_assert(!bytes_present(fixture.event.topic));
    fixture_close();
}
END_TEST

struct payload_case {
    const char *name;
    enum payload_mode mode;
    uint32_t type_oid;
    const char *text;
    enum capture_outcome outcome;
    enum payload_kind kind;
    const char *payload; /* what the event has */
};

static const struct payload_case payload_cases[] = {
    {"json", PAYLOAD_AUTO, JSON, " {\"b\":1, \"b\":2} ", CAPTURE_EVENT, PAYLOAD_JSON,
     " {\"b\":1, \"b\":2} "},
    {"jsonb", PAYLOAD_AUTO, JSONB, "null", CAPTURE_EVENT, PAYLOAD_JSON, "null"},
    {"text", PAYLOAD_AUTO, TEXT, "{}", CAPTURE_EVENT, PAYLOAD_TEXT, "{}"},
    {"varchar", PAYLOAD_AUTO, VARCHAR, "x", CAPTURE_EVENT, PAYLOAD_TEXT, "x"},
    {"other type", PAYLOAD_AUTO, INT8, "12", CAPTURE_EVENT, PAYLOAD_TEXT, "12"},
    {"bytea", PAYLOAD_AUTO, BYTEA, "\\x41fFA0", CAPTURE_EVENT, PAYLOAD_BINARY, "A\xFF\xA0"},
    {"empty bytea", PAYLOAD_AUTO, BYTEA, "\\x", CAPTURE_EVENT, PAYLOAD_BINARY, ""},
    {"text as json", PAYLOAD_AS_JSON, TEXT, " [1] ", CAPTURE_EVENT, PAYLOAD_JSON, " [1] "},
    {"bytea as json", PAYLOAD_AS_JSON, BYTEA, "\\x5b315d", CAPTURE_EVENT, PAYLOAD_JSON, "[1]"},
    {"bytea as text", PAYLOAD_AS_TEXT, BYTEA, "\\xc3a9", CAPTURE_EVENT, PAYLOAD_TEXT, "\xC3\xA9"},
    {"json as text", PAYLOAD_AS_TEXT, JSON, "{}", CAPTURE_EVENT, PAYLOAD_TEXT, "{}"},
    {"text as binary", PAYLOAD_AS_BINARY, TEXT, "\xFFz", CAPTURE_EVENT, PAYLOAD_BINARY, "\xFFz"},
    {"json as binary", PAYLOAD_AS_BINARY, JSONB, "{}", CAPTURE_EVENT, PAYLOAD_BINARY, "{}"},
    {"bytea as binary", PAYLOAD_AS_BINARY, BYTEA, "\\x00", CAPTURE_EVENT, PAYLOAD_BINARY, NULL},
    /* What does not fit is kept as it came. */
    {"text not json", PAYLOAD_AS_JSON, TEXT, "{", CAPTURE_POISON, PAYLOAD_BINARY, "{"},
    {"empty not json", PAYLOAD_AS_JSON, TEXT, "", CAPTURE_POISON, PAYLOAD_BINARY, ""},
    {"bytea not json", PAYLOAD_AS_JSON, BYTEA, "\\x7b", CAPTURE_POISON, PAYLOAD_BINARY, "{"},
    {"bytea not text", PAYLOAD_AS_TEXT, BYTEA, "\\xff", CAPTURE_POISON, PAYLOAD_BINARY, "\xFF"},
    {"text not utf-8", PAYLOAD_AUTO, TEXT, "a\xFF", CAPTURE_POISON, PAYLOAD_BINARY, "a\xFF"},
    {"json not utf-8", PAYLOAD_AUTO, JSON, "\"\xFF\"", CAPTURE_POISON, PAYLOAD_BINARY, "\"\xFF\""},
    {"bytea odd", PAYLOAD_AUTO, BYTEA, "\\x4", CAPTURE_POISON, PAYLOAD_BINARY, "\\x4"},
    {"bytea no hex", PAYLOAD_AUTO, BYTEA, "\\x4g", CAPTURE_POISON, PAYLOAD_BINARY, "\\x4g"},
    {"bytea high no hex", PAYLOAD_AUTO, BYTEA, "\\xg4", CAPTURE_POISON, PAYLOAD_BINARY, "\\xg4"},
    {"bytea escape format", PAYLOAD_AUTO, BYTEA, "abcd", CAPTURE_POISON, PAYLOAD_BINARY, "abcd"},
    {"bytea empty text", PAYLOAD_AUTO, BYTEA, "", CAPTURE_POISON, PAYLOAD_BINARY, ""},
};

START_TEST(payload_is_read_by_mode_and_type)
{
    const struct payload_case *payload_case = &payload_cases[_i];
    const struct given row[] = {{"id", UUID, "1"},
                                {"event_type", TEXT, "t"},
                                {"payload", payload_case->type_oid, payload_case->text},
                                {0}};
    struct capture_entry entry = {
        .kind = CAPTURE_OUTBOX, .name = "outbox.event", .payload = payload_case->mode};
    fixture_open(&entry, 1);
    fixture_row("outbox", "event", row);
    enum capture_outcome outcome = fixture_insert();
    ck_assert_msg(outcome == payload_case->outcome, "%s: %s", payload_case->name,
                  fixture.err.message);
    ck_assert_msg(fixture.event.payload_kind == payload_case->kind, "%s", payload_case->name);
    if (payload_case->payload != NULL)
        ck_assert_msg(bytes_is(fixture.event.payload, payload_case->payload), "%s",
                      payload_case->name);
    if (outcome == CAPTURE_POISON)
        ck_assert_int_eq(fixture.err.code, ERR_ROW_PAYLOAD);
    fixture_close();
}
END_TEST

START_TEST(payload_larger_than_the_arena_is_poison)
{
    static char hex[2 * FIXTURE_ARENA_SIZE + 8];
    memset(hex, '0', sizeof(hex) - 2);
    hex[1] = 'x';
    hex[0] = '\\';
    const struct given row[] = {
        {"id", UUID, "1"}, {"event_type", TEXT, "t"}, {"payload", BYTEA, hex}, {0}};
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", row);
    ck_assert_int_eq(fixture_insert(), CAPTURE_POISON);
    ck_assert_int_eq(fixture.err.code, ERR_ROW_TOO_LARGE);
    fixture_close();
}
END_TEST

/* A value as binary replication would send it. */
static enum capture_outcome insert_binary(uint32_t type_oid, struct bytes sent)
{
    const struct given row[] = {
        {"id", UUID, "1"}, {"event_type", TEXT, "t"}, {"payload", type_oid, "x"}, {0}};
    fixture_row("outbox", "event", row);
    fixture.values[2] = (struct value){.kind = VALUE_BINARY, .bytes = sent};
    return fixture_insert();
}

START_TEST(binary_values_of_text_like_types_are_read)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    ck_assert_int_eq(insert_binary(BYTEA, BYTES_LIT("\0\\x")), CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.payload, "\0\\x");
    ck_assert_int_eq(insert_binary(JSONB, BYTES_LIT("\1{}")), CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.payload, "{}");
    ck_assert_int_eq(insert_binary(TEXT, BYTES_LIT("t")), CAPTURE_EVENT);
    ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_TEXT);
    ck_assert_int_eq(insert_binary(JSONB, BYTES_LIT("\2{}")), CAPTURE_POISON);
    ck_assert_int_eq(insert_binary(JSONB, BYTES_LIT("")), CAPTURE_POISON);
    ck_assert_int_eq(insert_binary(INT8, BYTES_LIT("\0\0\0\0\0\0\0\1")), CAPTURE_POISON);
    ck_assert_int_eq(fixture.err.code, ERR_ROW_FIELD);
    fixture_close();
}
END_TEST

START_TEST(a_value_that_was_not_sent_is_poison)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", full_row);
    fixture.values[5] = (struct value){.kind = VALUE_UNCHANGED};
    ck_assert_int_eq(fixture_insert(), CAPTURE_POISON);
    ck_assert_int_eq(fixture.err.code, ERR_ROW_FIELD);
    ck_assert_ptr_nonnull(strstr(fixture.err.message, "\"payload\""));
    fixture_close();
}
END_TEST

static Suite *outbox_suite(void)
{
    Suite *suite = suite_create("capture_outbox");
    TCase *tcase = tcase_create("outbox");
    tcase_add_test(tcase, every_field_is_read);
    tcase_add_test(tcase, nulls_and_absent_columns_are_absent_fields);
    tcase_add_test(tcase, empty_text_is_not_null);
    tcase_add_test(tcase, what_the_relay_sets_is_left_alone);
    tcase_add_test(tcase, overrides_read_other_columns_or_none);
    tcase_add_loop_test(tcase, payload_is_read_by_mode_and_type, 0, ARRAY_LEN(payload_cases));
    tcase_add_test(tcase, payload_larger_than_the_arena_is_poison);
    tcase_add_test(tcase, binary_values_of_text_like_types_are_read);
    tcase_add_test(tcase, a_value_that_was_not_sent_is_poison);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(outbox_suite())
