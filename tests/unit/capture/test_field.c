/* SPDX-License-Identifier: Apache-2.0 */
/* Single values: what a field accepts, and the poison that it makes of the rest. */
#include <stdio.h>

#include "fixture.h"

struct field_case {
    const char *column;
    uint32_t type_oid;
    const char *text;
    enum err_code code; /* ERR_NONE: an event */
};

static const struct field_case field_cases[] = {
    {"id", UUID, NULL, ERR_ROW_FIELD},
    {"id", TEXT, "", ERR_ROW_FIELD},
    {"id", TEXT, "\xC3", ERR_ROW_FIELD},
    {"id", INT8, "42", ERR_NONE},
    {"event_type", TEXT, NULL, ERR_ROW_FIELD},
    {"event_type", TEXT, "", ERR_ROW_FIELD},
    {"event_type", TEXT, "a\xED\xA0\x80", ERR_ROW_FIELD},
    {"aggregate_type", TEXT, "\xFF", ERR_ROW_FIELD},
    {"aggregate_id", TEXT, "\xC0\x80", ERR_ROW_FIELD},
    {"aggregate_id", BOOL, "t", ERR_NONE},
    {"visibility", TEXT, "\xF5", ERR_ROW_FIELD},
    {"traceparent", TEXT, "\x80", ERR_ROW_FIELD},
    {"tracestate", TEXT, "\x80", ERR_ROW_FIELD},
    {"correlation_id", TEXT, "\x80", ERR_ROW_FIELD},
    {"causation_id", TEXT, "\x80", ERR_ROW_FIELD},
    {"topic", TEXT, "\x80", ERR_ROW_FIELD},
    {"key", TEXT, "\x80", ERR_ROW_FIELD},
    {"key", TEXT, "\xF0\x9F\x90\x98", ERR_NONE},
    {"event_version", INT4, "0", ERR_NONE},
    {"event_version", TEXT, "18446744073709551615", ERR_NONE},
    {"event_version", INT4, "-1", ERR_ROW_FIELD},
    {"event_version", TEXT, "", ERR_ROW_FIELD},
    {"event_version", TEXT, "1.0", ERR_ROW_FIELD},
    {"event_version", TEXT, "v2", ERR_ROW_FIELD},
    {"event_version", TEXT, " 1", ERR_ROW_FIELD},
    {"partition", INT4, "0", ERR_NONE},
    {"partition", INT8, "2147483647", ERR_NONE},
    {"partition", INT8, "2147483648", ERR_ROW_FIELD},
    {"partition", INT4, "-1", ERR_ROW_FIELD},
    {"partition", TEXT, "one", ERR_ROW_FIELD},
    {"partition", TEXT, "", ERR_ROW_FIELD},
    {"occurred_at", TIMESTAMPTZ, "1970-01-01 00:00:00+00", ERR_NONE},
    {"occurred_at", TIMESTAMP, "2026-01-31 12:34:56", ERR_NONE},
    {"occurred_at", TEXT, "2026-01-31T12:34:56Z", ERR_NONE},
    {"occurred_at", TIMESTAMPTZ, "infinity", ERR_ROW_TIME},
    {"occurred_at", TIMESTAMPTZ, "-infinity", ERR_ROW_TIME},
    {"occurred_at", TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC", ERR_ROW_TIME},
    {"occurred_at", TIMESTAMPTZ, "1969-12-31 23:59:59.999999+00", ERR_ROW_TIME},
    {"occurred_at", TIMESTAMPTZ, "10000-01-01 00:00:00+00", ERR_ROW_TIME},
    {"occurred_at", TEXT, "yesterday", ERR_ROW_TIME},
    {"occurred_at", TEXT, "", ERR_ROW_TIME},
    {"occurred_at", TEXT, "1769862896123", ERR_ROW_TIME},
    {"occurred_at", INT8, "0", ERR_NONE},
    {"occurred_at", INT8, "253402300799999", ERR_NONE},
    {"occurred_at", INT8, "253402300800000", ERR_ROW_TIME},
    {"occurred_at", INT8, "-1", ERR_ROW_TIME},
    {"occurred_at", INT8, "9223372036854775807", ERR_ROW_TIME},
    {"payload", TEXT, "\x80", ERR_ROW_PAYLOAD},
    {"headers", JSON, "[]", ERR_ROW_HEADERS},
};

/* A sound row with one column replaced. */
static void row_with(const char *column, uint32_t type_oid, const char *text)
{
    struct given row[] = {
        {"id", UUID, "row-1"},
        {"event_type", TEXT, "made"},
        {"payload", JSON, "{}"},
        {"key", TEXT, "k"},
        {"aggregate_id", TEXT, "a"},
        {"headers", JSON, "{\"h\":\"v\"}"},
        {"aggregate_type", TEXT, NULL},
        {"visibility", TEXT, NULL},
        {"traceparent", TEXT, NULL},
        {"tracestate", TEXT, NULL},
        {"correlation_id", TEXT, NULL},
        {"causation_id", TEXT, NULL},
        {"topic", TEXT, NULL},
        {"event_version", INT4, "1"},
        {"partition", INT4, NULL},
        {"occurred_at", TIMESTAMPTZ, NULL},
        {0},
    };
    for (size_t i = 0; row[i].name != NULL; i++) {
        if (strcmp(row[i].name, column) == 0)
            row[i] = (struct given){column, type_oid, text};
    }
    fixture_row("outbox", "event", row);
}

START_TEST(values_are_checked)
{
    const struct field_case *field_case = &field_cases[_i];
    char quoted[64];
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    row_with(field_case->column, field_case->type_oid, field_case->text);
    enum capture_outcome outcome = fixture_insert();
    ck_assert_msg(fixture.err.code == field_case->code, "%s \"%s\": %s", field_case->column,
                  field_case->text, fixture.err.message);
    ck_assert_int_eq(outcome, field_case->code == ERR_NONE ? CAPTURE_EVENT : CAPTURE_POISON);
    if (outcome == CAPTURE_POISON) {
        snprintf(quoted, sizeof(quoted), "column \"%s\"", field_case->column);
        ck_assert_msg(strstr(fixture.err.message, quoted) != NULL, "%s", fixture.err.message);
        ck_assert_ptr_nonnull(strstr(fixture.err.where, "table outbox.event"));
        ck_assert_str_ne(fixture.err.hint, "");
        ck_assert_int_eq(err_class(fixture.err.code), ERR_CLASS_POISON);
    }
    fixture_close();
}
END_TEST

START_TEST(a_fault_does_not_end_the_reading)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    row_with("event_version", TEXT, "new");
    ck_assert_int_eq(fixture_insert(), CAPTURE_POISON);
    const struct event *event = &fixture.event;
    ck_assert_bytes(event->id, "row-1");
    ck_assert_bytes(event->event_type, "made");
    ck_assert(!bytes_present(event->event_version));
    ck_assert_bytes(event->aggregate_id, "a");
    ck_assert_bytes(event->key, "k");
    ck_assert_bytes(event->payload, "{}");
    ck_assert_uint_eq(event->header_count, 1);
    ck_assert_bytes(event->headers[0].value, "v");
    ck_assert_str_eq(fixture.err.where, "table outbox.event, id row-1");
    fixture_close();
}
END_TEST

START_TEST(the_first_fault_is_reported)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    row_with("event_version", TEXT, "new");
    fixture.values[2] = (struct value){.kind = VALUE_TEXT, .bytes = BYTES_LIT("\xFF")};
    fixture.values[5] = (struct value){.kind = VALUE_TEXT, .bytes = BYTES_LIT("{")};
    ck_assert_int_eq(fixture_insert(), CAPTURE_POISON);
    ck_assert_int_eq(fixture.err.code, ERR_ROW_FIELD);
    ck_assert_ptr_nonnull(strstr(fixture.err.message, "event_version"));
    ck_assert_bytes(fixture.event.payload, "\xFF");
    ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_BINARY);
    fixture_close();
}
END_TEST

START_TEST(untrusted_values_are_shown_escaped_and_cut)
{
    static char text[5000];
    memset(text, '\x1B', sizeof(text) - 1);
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    row_with("partition", TEXT, text);
    ck_assert_int_eq(fixture_insert(), CAPTURE_POISON);
    ck_assert_ptr_null(strchr(fixture.err.message, '\x1B'));
    ck_assert_ptr_nonnull(strstr(fixture.err.message, "\\x1B"));
    ck_assert_ptr_nonnull(strstr(fixture.err.message, "is not a partition"));
    row_with("id", TEXT, text);
    fixture.values[1] = (struct value){.kind = VALUE_NULL};
    ck_assert_int_eq(fixture_insert(), CAPTURE_POISON);
    ck_assert_ptr_null(strchr(fixture.err.where, '\x1B'));
    fixture_close();
}
END_TEST

START_TEST(times_keep_microseconds_and_zones)
{
    static const struct {
        uint32_t type_oid;
        const char *text;
        int64_t time_us;
    } times[] = {
        {TIMESTAMPTZ, "2026-01-31 12:34:56.123456+00", INT64_C(1769862896123456)},
        {TIMESTAMPTZ, "2026-01-31 14:34:56+02", INT64_C(1769862896000000)},
        {TIMESTAMP, "2026-01-31 12:34:56.5", INT64_C(1769862896500000)},
        {INT8, "1769862896123", INT64_C(1769862896123000)},
    };
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        row_with("occurred_at", times[i].type_oid, times[i].text);
        ck_assert_int_eq(fixture_insert(), CAPTURE_EVENT);
        ck_assert(fixture.event.has_occurred_at);
        ck_assert_int_eq(fixture.event.occurred_at_us, times[i].time_us);
    }
    fixture_close();
}
END_TEST

static Suite *field_suite(void)
{
    Suite *suite = suite_create("capture_field");
    TCase *tcase = tcase_create("field");
    tcase_add_loop_test(tcase, values_are_checked, 0, ARRAY_LEN(field_cases));
    tcase_add_test(tcase, a_fault_does_not_end_the_reading);
    tcase_add_test(tcase, the_first_fault_is_reported);
    tcase_add_test(tcase, untrusted_values_are_shown_escaped_and_cut);
    tcase_add_test(tcase, times_keep_microseconds_and_zones);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(field_suite())
