/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "fixture.h"

static enum capture_outcome insert_headers(const char *headers, const char *traceparent)
{
    const struct given row[] = {
        {"id", UUID, "1"},          {"event_type", TEXT, "t"},          {"payload", JSON, "{}"},
        {"headers", JSON, headers}, {"traceparent", TEXT, traceparent}, {0}};
    fixture_row("outbox", "event", row);
    return fixture_insert();
}

static void setup(void)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
}

START_TEST(order_and_duplicates_are_kept)
{
    ck_assert_int_eq(insert_headers("{\"b\":\"1\",\"a\":\"2\",\"b\":\"3\"}", NULL), CAPTURE_EVENT);
    ck_assert_uint_eq(fixture.event.header_count, 3);
    ck_assert_bytes(fixture.event.headers[0].name, "b");
    ck_assert_bytes(fixture.event.headers[0].value, "1");
    ck_assert_bytes(fixture.event.headers[1].name, "a");
    ck_assert_bytes(fixture.event.headers[2].value, "3");
}
END_TEST

START_TEST(scalars_are_their_text_and_null_has_no_value)
{
    ck_assert_int_eq(insert_headers("{\"n\": -1.50, \"t\": true, \"f\": false, \"z\": null, "
                                    "\"e\": \"\", \"u\": \"\\u00e9\\n\"}",
                                    NULL),
                     CAPTURE_EVENT);
    ck_assert_uint_eq(fixture.event.header_count, 6);
    ck_assert_bytes(fixture_header("n"), "-1.50");
    ck_assert_bytes(fixture_header("t"), "true");
    ck_assert_bytes(fixture_header("f"), "false");
    ck_assert(!bytes_present(fixture_header("z")));
    ck_assert_bytes(fixture_header("e"), "");
    ck_assert_bytes(fixture_header("u"), "\xC3\xA9\n");
}
END_TEST

static const char *const poison_headers[] = {
    "",
    "{",
    "[]",
    "\"text\"",
    "null",
    "1",
    "{\"a\":{}}",
    "{\"a\":[]}",
    "{\"\":\"x\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\\u0000\":\"x\"}",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":\"\xFF\"}",
};

START_TEST(malformed_headers_are_poison)
{
    ck_assert_msg(insert_headers(poison_headers[_i], NULL) == CAPTURE_POISON, "%s",
                  poison_headers[_i]);
    ck_assert_int_eq(fixture.err.code, ERR_ROW_HEADERS);
    ck_assert_ptr_nonnull(strstr(fixture.err.message, "\"headers\""));
}
END_TEST

START_TEST(sound_headers_around_a_fault_are_kept)
{
    ck_assert_int_eq(insert_headers("{\"a\":\"1\",\"bad\":{\"x\":1},\"b\":\"2\"}", NULL),
                     CAPTURE_POISON);
    ck_assert_uint_eq(fixture.event.header_count, 2);
    ck_assert_bytes(fixture_header("a"), "1");
    ck_assert_bytes(fixture_header("b"), "2");
}
END_TEST

static const char *many_headers(int count)
{
    static char text[EVENT_HEADERS_MAX * 16];
    int len = snprintf(text, sizeof(text), "{");
    for (int i = 0; i < count; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%s\"h%d\":\"\"", i == 0 ? "" : ",",
                        i);
    snprintf(text + len, sizeof(text) - (size_t)len, "}");
    return text;
}

START_TEST(the_number_of_headers_has_a_ceiling)
{
    ck_assert_int_eq(insert_headers(many_headers(EVENT_HEADERS_MAX), NULL), CAPTURE_EVENT);
    ck_assert_uint_eq(fixture.event.header_count, EVENT_HEADERS_MAX);
    ck_assert_int_eq(insert_headers(many_headers(EVENT_HEADERS_MAX + 1), NULL), CAPTURE_POISON);
    ck_assert_int_eq(fixture.err.code, ERR_ROW_HEADERS);
    ck_assert_uint_eq(fixture.event.header_count, EVENT_HEADERS_MAX);
}
END_TEST

START_TEST(trace_context_in_headers_fills_the_fields)
{
    const char *headers = "{\"traceparent\":\"p\",\"x\":\"1\",\"tracestate\":\"s\"}";
    ck_assert_int_eq(insert_headers(headers, NULL), CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.traceparent, "p");
    ck_assert_bytes(fixture.event.tracestate, "s");
    ck_assert_uint_eq(fixture.event.header_count, 1);
    ck_assert_bytes(fixture_header("x"), "1");
}
END_TEST

START_TEST(a_column_of_trace_context_wins_over_a_header)
{
    const char *headers = "{\"traceparent\":\"p\"}";
    ck_assert_int_eq(insert_headers(headers, "column"), CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.traceparent, "column");
    ck_assert_bytes(fixture_header("traceparent"), "p");
    /* Saying the same twice is saying it once. */
    ck_assert_int_eq(insert_headers(headers, "p"), CAPTURE_EVENT);
    ck_assert_uint_eq(fixture.event.header_count, 0);
}
END_TEST

static Suite *headers_suite(void)
{
    Suite *suite = suite_create("capture_headers");
    TCase *tcase = tcase_create("headers");
    tcase_add_checked_fixture(tcase, setup, fixture_close);
    tcase_add_test(tcase, order_and_duplicates_are_kept);
    tcase_add_test(tcase, scalars_are_their_text_and_null_has_no_value);
    tcase_add_loop_test(tcase, malformed_headers_are_poison, 0, ARRAY_LEN(poison_headers));
    tcase_add_test(tcase, sound_headers_around_a_fault_are_kept);
    tcase_add_test(tcase, the_number_of_headers_has_a_ceiling);
    tcase_add_test(tcase, trace_context_in_headers_fills_the_fields);
    tcase_add_test(tcase, a_column_of_trace_context_wins_over_a_header);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(headers_suite())
