/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as the projects behind the presets write them. */
#include "fixture.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

START_TEST(names_are_parsed_and_unique)
{
    static const char *const names[PRESET_COUNT] = {
        [PRESET_WALFERRY] = "walferry",
        [PRESET_DEBEZIUM] = "debezium",
        [PRESET_OPEN_OUTBOX] = "open_outbox",
        [PRESET_EVENTUATE] = "eventuate",
        [PRESET_GOHARVEST] = "goharvest",
        [PRESET_PG_TRANSACTIONAL_OUTBOX] = "pg_transactional_outbox",
    };
    for (int i = 0; i < PRESET_COUNT; i++) {
        enum preset_id preset = PRESET_COUNT;
        ck_assert_str_eq(preset_name((enum preset_id)i), names[i]);
        ck_assert(preset_parse(bytes_str(names[i]), &preset));
        ck_assert_int_eq(preset, i);
    }
    enum preset_id preset;
    ck_assert(!preset_parse(BYTES_LIT("Debezium"), &preset));
    ck_assert(!preset_parse(BYTES_LIT(""), &preset));
    ck_assert(!preset_parse(BYTES_ABSENT, &preset));
}
END_TEST

START_TEST(every_preset_has_what_an_event_needs)
{
    for (int i = 0; i < PRESET_COUNT; i++) {
        ck_assert_ptr_nonnull(preset_column((enum preset_id)i, EVENT_id));
        ck_assert_ptr_nonnull(preset_column((enum preset_id)i, EVENT_event_type));
        ck_assert_ptr_nonnull(preset_column((enum preset_id)i, EVENT_payload));
        ck_assert_ptr_null(preset_column(PRESET_DEBEZIUM, EVENT_headers));
    }
    for (int i = 0; i < EVENT_FIELD_COUNT; i++)
        ck_assert_str_eq(preset_column(PRESET_WALFERRY, (enum event_field)i),
                         event_field_name((enum event_field)i));
    ck_assert_str_eq(preset_column(PRESET_DEBEZIUM, EVENT_aggregate_id), "aggregateid");
    ck_assert_str_eq(preset_column(PRESET_OPEN_OUTBOX, EVENT_id), "event_id");
    ck_assert_str_eq(preset_column(PRESET_EVENTUATE, EVENT_aggregate_id), "headers");
    ck_assert_str_eq(preset_column(PRESET_GOHARVEST, EVENT_key), "kafka_key");
}
END_TEST

static bool reads(const struct capture_entry *entry, const char *column)
{
    size_t at = 0;
    for (const char *name; (name = capture_column(entry, &at)) != NULL;)
        if (strcmp(name, column) == 0)
            return true;
    return false;
}

START_TEST(columns_that_are_read_are_listed)
{
    struct capture_entry entry = {.kind = CAPTURE_OUTBOX, .name = "a.b"};
    ck_assert(reads(&entry, "id") && reads(&entry, "traceparent") && reads(&entry, "occurred_at"));
    entry.columns[EVENT_aggregate_id] = "order_no";
    entry.columns[EVENT_traceparent] = "";
    ck_assert(reads(&entry, "order_no") && !reads(&entry, "aggregate_id"));
    ck_assert(!reads(&entry, "traceparent") && !reads(&entry, ""));
    const struct capture_entry arrays = {.kind = CAPTURE_OUTBOX, .preset = PRESET_GOHARVEST};
    ck_assert(reads(&arrays, "kafka_header_keys") && reads(&arrays, "kafka_header_values"));
    ck_assert(!reads(&arrays, "id_of_nothing"));
    const struct capture_entry messages = {.kind = CAPTURE_MESSAGES, .name = "outbox"};
    ck_assert(!reads(&messages, "id"));
}
END_TEST

START_TEST(debezium_row)
{
    const struct given row[] = {{"id", UUID, "u1"},
                                {"aggregatetype", VARCHAR, "Order"},
                                {"aggregateid", VARCHAR, "1"},
                                {"type", VARCHAR, "OrderCreated"},
                                {"payload", JSONB, "{\"id\": 1}"},
                                {0}};
    fixture_open_one("public.outbox", PRESET_DEBEZIUM);
    fixture_row("public", "outbox", row);
    fixture_insert_event();
    ck_assert_bytes(fixture.event.id, "u1");
    ck_assert_bytes(fixture.event.aggregate_type, "Order");
    ck_assert_bytes(fixture.event.aggregate_id, "1");
    ck_assert_bytes(fixture.event.event_type, "OrderCreated");
    ck_assert_bytes(fixture.event.payload, "{\"id\": 1}");
    ck_assert(!bytes_present(fixture.event.traceparent));
    fixture_close();
}
END_TEST

struct properties_case {
    const char *text;
    const char *traceparent; /* NULL: absent */
    const char *tracestate;
    bool poison;
};

static const struct properties_case properties_cases[] = {
    {"#Sat Jan 31 12:34:56 UTC 2026\ntraceparent=" TRACEPARENT "\ntracestate=a\\=1,b\\=2\n",
     TRACEPARENT, "a=1,b=2", false},
    {"traceparent=" TRACEPARENT, TRACEPARENT, NULL, false},
    {"traceparent : x\r\n! tracestate=no\r\n\r\n  tracestate y", "x", "y", false},
    {"trace\\u0070arent = a\\\n   b\\tc", "ab\tc", NULL, false},
    {"tracestate=\\u00e9\\u20AC\\n\\r\\f\\:", NULL, "\xC3\xA9\xE2\x82\xAC\n\r\f:", false},
    {"traceparent=1\ntraceparent=2", "2", NULL, false},
    {"traceparents=1\nuber-trace-id=2\\", NULL, NULL, false},
    {"traceparent", "", NULL, false},
    {"", NULL, NULL, false},
    {"   \n\t", NULL, NULL, false},
    {"traceparent=\\u12", NULL, NULL, true},
    {"traceparent=\\u12x4", NULL, NULL, true},
    {"traceparent=\\uD83D\\uDE00", NULL, NULL, true},
    {"traceparent=\xFF", NULL, NULL, true},
};

static void check_text(struct bytes actual, const char *expected, const char *name)
{
    bool equal = expected == NULL ? !bytes_present(actual) : bytes_is(actual, expected);
    ck_assert_msg(equal, "%s: \"%.*s\"", name, BYTES_FMT(actual));
}

START_TEST(debezium_trace_context)
{
    const struct properties_case *properties_case = &properties_cases[_i];
    const struct given row[] = {{"id", UUID, "u1"},
                                {"type", VARCHAR, "t"},
                                {"payload", JSONB, "{}"},
                                {"tracingspancontext", VARCHAR, properties_case->text},
                                {0}};
    fixture_open_one("public.outbox", PRESET_DEBEZIUM);
    fixture_row("public", "outbox", row);
    enum capture_outcome outcome = fixture_insert();
    ck_assert_msg(outcome == (properties_case->poison ? CAPTURE_POISON : CAPTURE_EVENT), "%s: %s",
                  properties_case->text, fixture.err.message);
    check_text(fixture.event.traceparent, properties_case->traceparent, properties_case->text);
    check_text(fixture.event.tracestate, properties_case->tracestate, properties_case->text);
    fixture_close();
}
END_TEST

START_TEST(an_override_of_a_special_column_is_read_plainly)
{
    const struct given row[] = {{"id", UUID, "u1"},       {"type", VARCHAR, "t"},
                                {"payload", JSONB, "{}"}, {"tracingspancontext", TEXT, "a=b"},
                                {"parent", TEXT, "p=1"},  {0}};
    struct capture_entry entry = {
        .kind = CAPTURE_OUTBOX, .name = "public.outbox", .preset = PRESET_DEBEZIUM};
    entry.columns[EVENT_traceparent] = "parent";
    entry.columns[EVENT_tracestate] = "";
    fixture_open(&entry, 1);
    fixture_row("public", "outbox", row);
    fixture_insert_event();
    ck_assert_bytes(fixture.event.traceparent, "p=1");
    ck_assert(!bytes_present(fixture.event.tracestate));
    fixture_close();
}
END_TEST

START_TEST(open_outbox_row)
{
    const struct given row[] = {{"event_id", UUID, "u1"},
                                {"event_type", TEXT, "made"},
                                {"partition_key", TEXT, "p1"},
                                {"payload", BYTEA, "\\x7b7d"},
                                {"headers", JSONB, "{\"traceparent\": \"" TRACEPARENT "\"}"},
                                {"status", TEXT, "PENDING"},
                                {"attempts", INT4, "0"},
                                {"created_at", TIMESTAMPTZ, "2026-01-31 12:34:56+00"},
                                {0}};
    fixture_open_one("public.openoutbox_events", PRESET_OPEN_OUTBOX);
    fixture_row("public", "openoutbox_events", row);
    fixture_insert_event();
    ck_assert_bytes(fixture.event.id, "u1");
    ck_assert_bytes(fixture.event.aggregate_id, "p1");
    ck_assert(!bytes_present(fixture.event.aggregate_type));
    ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_BINARY);
    ck_assert_bytes(fixture.event.payload, "{}");
    ck_assert_bytes(fixture.event.traceparent, TRACEPARENT);
    ck_assert_uint_eq(fixture.event.header_count, 0);
    ck_assert(fixture.event.has_occurred_at);
    struct change update = fixture_change(CHANGE_UPDATE);
    ck_assert_int_eq(fixture_take(&update), CAPTURE_SKIP);
    fixture_close();
}
END_TEST

static void eventuate_row(const char *headers, const char *payload)
{
    const struct given row[] = {{"id", VARCHAR, "0001-01"},
                                {"destination", TEXT, "ftgo.Order"},
                                {"headers", TEXT, headers},
                                {"payload", TEXT, payload},
                                {"published", INT4, "0"},
                                {"message_partition", INT4, "3"},
                                {"creation_time", INT8, "1769862896123"},
                                {0}};
    fixture_row("eventuate", "message", row);
}

START_TEST(eventuate_message)
{
    fixture_open_one("eventuate.message", PRESET_EVENTUATE);
    eventuate_row("{\"PARTITION_ID\":\"77\",\"event-type\":\"OrderMade\",\"ID\":\"0001-01\"}",
                  "{\"n\":1}");
    fixture_insert_event();
    ck_assert_bytes(fixture.event.id, "0001-01");
    ck_assert_bytes(fixture.event.topic, "ftgo.Order");
    ck_assert_bytes(fixture.event.aggregate_type, "ftgo.Order");
    ck_assert_bytes(fixture.event.event_type, "OrderMade");
    ck_assert_bytes(fixture.event.aggregate_id, "77");
    ck_assert_bytes(fixture.event.key, "77");
    ck_assert_int_eq(fixture.event.partition, -1);
    ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_JSON);
    ck_assert_int_eq(fixture.event.occurred_at_us, INT64_C(1769862896123000));
    ck_assert_uint_eq(fixture.event.header_count, 3);
    ck_assert_bytes(fixture_header("ID"), "0001-01");
    fixture_close();
}
END_TEST

START_TEST(eventuate_without_event_headers_falls_back)
{
    fixture_open_one("eventuate.message", PRESET_EVENTUATE);
    eventuate_row("{\"event-type\":null}", "[]");
    fixture_insert_event();
    ck_assert_bytes(fixture.event.event_type, "ftgo.Order");
    ck_assert(!bytes_present(fixture.event.key));
    eventuate_row(NULL, NULL);
    fixture_insert_event();
    ck_assert_bytes(fixture.event.event_type, "ftgo.Order");
    ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_NONE);
    fixture_close();
}
END_TEST

START_TEST(eventuate_payload_must_be_json)
{
    fixture_open_one("eventuate.message", PRESET_EVENTUATE);
    eventuate_row("{\"PARTITION_ID\":\"77\"}", "not json");
    ck_assert_int_eq(fixture_insert(), CAPTURE_POISON);
    ck_assert_int_eq(fixture.err.code, ERR_ROW_PAYLOAD);
    ck_assert_bytes(fixture.event.key, "77");
    ck_assert_bytes(fixture.event.payload, "not json");
    fixture_close();
}
END_TEST

static void goharvest_row(const char *keys, const char *values)
{
    const struct given row[] = {{"id", INT8, "12"},
                                {"create_time", TIMESTAMPTZ, "2026-01-31 12:34:56+00"},
                                {"kafka_topic", VARCHAR, "orders"},
                                {"kafka_key", VARCHAR, "k1"},
                                {"kafka_value", VARCHAR, "hello"},
                                {"kafka_header_keys", TEXT_ARRAY, keys},
                                {"kafka_header_values", TEXT_ARRAY, values},
                                {"leader_id", UUID, NULL},
                                {0}};
    fixture_row("public", "outbox", row);
}

START_TEST(goharvest_row_with_headers)
{
    fixture_open_one("public.outbox", PRESET_GOHARVEST);
    goharvest_row("{a,\"b c\",\"q\\\"\\\\\",d,e}", "{1,\"x,y\",\"{}\",NULL,\"\"}");
    fixture_insert_event();
    ck_assert_bytes(fixture.event.id, "12");
    ck_assert_bytes(fixture.event.topic, "orders");
    ck_assert_bytes(fixture.event.event_type, "orders");
    ck_assert_bytes(fixture.event.key, "k1");
    ck_assert_bytes(fixture.event.aggregate_id, "k1");
    ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_TEXT);
    ck_assert_bytes(fixture.event.payload, "hello");
    ck_assert_uint_eq(fixture.event.header_count, 5);
    ck_assert_bytes(fixture_header("a"), "1");
    ck_assert_bytes(fixture_header("b c"), "x,y");
    ck_assert_bytes(fixture_header("q\"\\"), "{}");
    ck_assert(!bytes_present(fixture_header("d")));
    ck_assert_bytes(fixture_header("e"), "");
    fixture_close();
}
END_TEST

struct arrays_case {
    const char *keys;
    const char *values;
    bool poison;
};

static const struct arrays_case arrays_cases[] = {
    {"{}", "{}", false},
    {NULL, NULL, false},
    {"{}", NULL, false},
    {"{null}", "{x}", true},
    {"{\"NULL\"}", "{x}", false},
    {"{\"\"}", "{x}", true},
    {"{a}", "{}", true},
    {"{a}", NULL, true},
    {"{}", "{a}", true},
    {"{a,b}", "{1}", true},
    {"{a", "{1}", true},
    {"a}", "{1}", true},
    {"", "{}", true},
    {"{", "{}", true},
    {"{a,}", "{1,2}", true},
    {"{,a}", "{1,2}", true},
    {"{a}}", "{1}", true},
    {"{{a}}", "{1}", true},
    {"{{a}}", "{{1}}", true},
    {"[0:0]={a}", "{1}", true},
    {"{\"a}", "{1}", true},
    {"{\"a\\\"}", "{1}", true},
    {"{\"a\"b}", "{1}", true},
    {"{a\"b\"}", "{1}", true},
    {"{a}", "{\xFF}", true},
    {"{\xFF}", "{1}", true},
    {"{a}", "{\"\\\\\"}", false},
    {"{a}x", "{1}", true},
};

START_TEST(goharvest_arrays)
{
    const struct arrays_case *arrays_case = &arrays_cases[_i];
    fixture_open_one("public.outbox", PRESET_GOHARVEST);
    goharvest_row(arrays_case->keys, arrays_case->values);
    enum capture_outcome outcome = fixture_insert();
    ck_assert_msg(outcome == (arrays_case->poison ? CAPTURE_POISON : CAPTURE_EVENT), "%s %s: %s",
                  arrays_case->keys, arrays_case->values, fixture.err.message);
    if (arrays_case->poison)
        ck_assert_int_eq(fixture.err.code, ERR_ROW_HEADERS);
    fixture_close();
}
END_TEST

START_TEST(pg_transactional_outbox_row)
{
    const struct given row[] = {{"id", UUID, "u1"},
                                {"aggregate_type", TEXT, "movie"},
                                {"aggregate_id", TEXT, "5"},
                                {"message_type", TEXT, "movie_created"},
                                {"segment", TEXT, "s"},
                                {"concurrency", TEXT, "sequential"},
                                {"payload", JSONB, "{}"},
                                {"metadata", JSONB, "{\"routingKey\": {\"deep\": 1}}"},
                                {"created_at", TIMESTAMPTZ, "2026-01-31 12:34:56+00"},
                                {0}};
    fixture_open_one("public.outbox", PRESET_PG_TRANSACTIONAL_OUTBOX);
    fixture_row("public", "outbox", row);
    fixture_insert_event();
    ck_assert_bytes(fixture.event.aggregate_type, "movie");
    ck_assert_bytes(fixture.event.aggregate_id, "5");
    ck_assert_bytes(fixture.event.event_type, "movie_created");
    ck_assert(!bytes_present(fixture.event.key));
    ck_assert_uint_eq(fixture.event.header_count, 0);
    ck_assert(fixture.event.has_occurred_at);
    fixture_close();
}
END_TEST

static Suite *preset_suite(void)
{
    Suite *suite = suite_create("capture_preset");
    TCase *tcase = tcase_create("preset");
    tcase_add_test(tcase, columns_that_are_read_are_listed);
    tcase_add_test(tcase, names_are_parsed_and_unique);
    tcase_add_test(tcase, every_preset_has_what_an_event_needs);
    tcase_add_test(tcase, debezium_row);
    tcase_add_loop_test(tcase, debezium_trace_context, 0, ARRAY_LEN(properties_cases));
    tcase_add_test(tcase, an_override_of_a_special_column_is_read_plainly);
    tcase_add_test(tcase, open_outbox_row);
    tcase_add_test(tcase, eventuate_message);
    tcase_add_test(tcase, eventuate_without_event_headers_falls_back);
    tcase_add_test(tcase, eventuate_payload_must_be_json);
    tcase_add_test(tcase, goharvest_row_with_headers);
    tcase_add_loop_test(tcase, goharvest_arrays, 0, ARRAY_LEN(arrays_cases));
    tcase_add_test(tcase, pg_transactional_outbox_row);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(preset_suite())
