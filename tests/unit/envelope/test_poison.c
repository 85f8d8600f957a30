/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static const struct envelope_opts every_format[] = {
    {ENVELOPE_CLOUDEVENTS, ENVELOPE_STRUCTURED, "/"},
    {ENVELOPE_CLOUDEVENTS, ENVELOPE_BINARY, "/"},
    {ENVELOPE_DEBEZIUM, ENVELOPE_STRUCTURED, "/"},
    {ENVELOPE_RAW, ENVELOPE_STRUCTURED, "/"},
};
#define CLOUDEVENTS_FORMATS 2

static void refuse_in_formats(size_t count, enum err_code code, const char *message_part)
{
    for (size_t i = 0; i < count; i++) {
        fixture_format(every_format[i].format, every_format[i].mode);
        fixture_refuse(code, message_part);
    }
}

static void refuse_everywhere(enum err_code code, const char *message_part)
{
    refuse_in_formats(ARRAY_LEN(every_format), code, message_part);
}

static void render_from(size_t first)
{
    for (size_t i = first; i < ARRAY_LEN(every_format); i++) {
        fixture_format(every_format[i].format, every_format[i].mode);
        fixture_render();
    }
}

START_TEST(times_before_1970)
{
    fixture.event.has_occurred_at = true;
    fixture.event.occurred_at_us = -1; /* not 0 ms */
    refuse_everywhere(ERR_ROW_TIME, "occurred_at");
    fixture.event.occurred_at_us = INT64_MIN;
    refuse_everywhere(ERR_ROW_TIME, "occurred_at");
    fixture.event.has_occurred_at = false;
    fixture.event.commit_time_us = -1;
    refuse_everywhere(ERR_ROW_TIME, "time of the commit");
}
END_TEST

START_TEST(times_that_cloudevents_cannot_say)
{
    fixture.event.has_occurred_at = true;
    fixture.event.occurred_at_us = INT64_C(253402300800000000); /* year 10000 */
    refuse_in_formats(CLOUDEVENTS_FORMATS, ERR_ROW_TIME, "9999");
    render_from(CLOUDEVENTS_FORMATS);
    fixture.event.occurred_at_us--;
    render_from(0);
}
END_TEST

START_TEST(names_that_begin_with_walferry)
{
    fixture_header("fine", BYTES_LIT("x"));
    fixture_header("walferry_error", BYTES_LIT("x"));
    refuse_everywhere(ERR_ROW_HEADERS, "\"walferry_error\"");
    fixture.event.headers[1].name = BYTES_LIT("Walferry_");
    refuse_everywhere(ERR_ROW_HEADERS, "\"Walferry_\"");
    fixture.event.headers[1].name = BYTES_LIT("walferry");
    render_from(0);
}
END_TEST

START_TEST(names_that_cloudevents_uses)
{
    static const char *const names[] = {"ce_id", "CE_x", "ce_", "content-type", "Content-Type"};
    fixture_header("x", BYTES_LIT("x"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        fixture.event.headers[0].name = bytes_str(names[i]);
        refuse_in_formats(CLOUDEVENTS_FORMATS, ERR_ROW_HEADERS, names[i]);
        render_from(CLOUDEVENTS_FORMATS);
    }
    static const char *const near[] = {"ce", "cex", "content-types", "content-typ", "id"};
    for (size_t i = 0; i < ARRAY_LEN(near); i++) {
        fixture.event.headers[0].name = bytes_str(near[i]);
        fixture_format(ENVELOPE_CLOUDEVENTS, ENVELOPE_STRUCTURED);
        fixture_render();
    }
}
END_TEST

START_TEST(a_second_id_in_debezium)
{
    fixture_header("id", BYTES_LIT("x"));
    fixture_format(ENVELOPE_DEBEZIUM, ENVELOPE_STRUCTURED);
    fixture_refuse(ERR_ROW_HEADERS, "\"id\"");
}
END_TEST

START_TEST(a_second_trace_context)
{
    fixture_header("traceparent", BYTES_LIT("x"));
    render_from(0);
    fixture.event.tracestate = BYTES_LIT("a=b");
    render_from(0);
    fixture.event.traceparent = BYTES_LIT("y");
    refuse_everywhere(ERR_ROW_HEADERS, "\"traceparent\"");
    fixture.event.headers[0].name = BYTES_LIT("Tracestate");
    refuse_everywhere(ERR_ROW_HEADERS, "\"Tracestate\"");
    fixture.event.tracestate = BYTES_LIT("");
    render_from(0);
}
END_TEST

START_TEST(headers_that_are_no_text)
{
    fixture_header("a\xFF", BYTES_LIT("x"));
    refuse_everywhere(ERR_ROW_HEADERS, "UTF-8");
    fixture.event.headers[0] = (struct header){BYTES_LIT("a"), BYTES_LIT("\xC3")};
    refuse_everywhere(ERR_ROW_HEADERS, "UTF-8");
    fixture.event.headers[0].name = BYTES_LIT("");
    refuse_everywhere(ERR_ROW_HEADERS, "no name");
}
END_TEST

START_TEST(a_trace_context_that_is_no_text)
{
    fixture.event.traceparent = BYTES_LIT("\xFF");
    refuse_everywhere(ERR_ROW_FIELD, "UTF-8");
    fixture.event.traceparent = BYTES_ABSENT;
    fixture.event.tracestate = BYTES_LIT("\xED\xA0\x80");
    refuse_everywhere(ERR_ROW_FIELD, "UTF-8");
}
END_TEST

START_TEST(an_event_without_id_or_type)
{
    fixture.event.id = BYTES_LIT("");
    refuse_in_formats(CLOUDEVENTS_FORMATS + 1, ERR_ROW_FIELD, "id is empty");
    fixture.event.id = BYTES_ABSENT;
    refuse_in_formats(CLOUDEVENTS_FORMATS + 1, ERR_ROW_FIELD, "id is empty");
    fixture.event.id = BYTES_LIT("x");
    fixture.event.event_type = BYTES_ABSENT;
    refuse_in_formats(CLOUDEVENTS_FORMATS, ERR_ROW_FIELD, "event_type is empty");
    render_from(CLOUDEVENTS_FORMATS);
}
END_TEST

/* The fields that become attributes, each with the name that the error gives it. */
static struct {
    struct bytes *field;
    const char *name;
} attribute_fields[] = {
    {&fixture.event.id, "id "},
    {&fixture.event.event_type, "event_type "},
    {&fixture.event.aggregate_id, "aggregate_id "},
    {&fixture.placement.key, "key "},
    {&fixture.event.aggregate_type, "aggregate_type "},
    {&fixture.event.event_version, "event_version "},
    {&fixture.event.correlation_id, "correlation_id "},
    {&fixture.event.causation_id, "causation_id "},
    {&fixture.event.traceparent, "traceparent "},
    {&fixture.event.tracestate, "tracestate "},
};

START_TEST(attributes_with_characters_that_cloudevents_forbids)
{
    for (size_t i = 0; i < ARRAY_LEN(attribute_fields); i++) {
        struct bytes before = *attribute_fields[i].field;
        *attribute_fields[i].field = BYTES_LIT("a\x07z");
        refuse_in_formats(CLOUDEVENTS_FORMATS, ERR_ROW_FIELD, attribute_fields[i].name);
        ck_assert_ptr_nonnull(strstr(fixture.err.message, "U+0007"));
        render_from(CLOUDEVENTS_FORMATS);
        *attribute_fields[i].field = before;
    }
}
END_TEST

START_TEST(attributes_that_are_not_utf8)
{
    for (size_t i = 0; i < ARRAY_LEN(attribute_fields) - 2; i++) {
        struct bytes before = *attribute_fields[i].field;
        *attribute_fields[i].field = BYTES_LIT("a\xC0\x80z");
        refuse_in_formats(CLOUDEVENTS_FORMATS, ERR_ROW_FIELD, attribute_fields[i].name);
        ck_assert_ptr_nonnull(strstr(fixture.err.message, "UTF-8"));
        *attribute_fields[i].field = before;
    }
    fixture_format(ENVELOPE_DEBEZIUM, ENVELOPE_STRUCTURED);
    fixture.event.id = BYTES_LIT("\xFF");
    fixture_refuse(ERR_ROW_FIELD, "UTF-8");
}
END_TEST

START_TEST(a_value_past_the_ceiling)
{
    static uint8_t text[FIXTURE_VALUE_MAX + 1];
    memset(text, 'x', sizeof(text));
    fixture_payload(PAYLOAD_TEXT, bytes_make(text, sizeof(text)));
    refuse_everywhere(ERR_ROW_TOO_LARGE, "1048576");
    fixture.event.payload.len--;
    refuse_in_formats(1, ERR_ROW_TOO_LARGE, "1048576"); /* the document is larger */
    render_from(1);
    fixture.event.payload.len = 10;
    render_from(0); /* the failure does not stick */
}
END_TEST

START_TEST(a_full_arena)
{
    arena_deinit(&fixture.arena);
    ck_assert(arena_init(&fixture.arena, 64, 64));
    refuse_in_formats(CLOUDEVENTS_FORMATS, ERR_ROW_TOO_LARGE, "no room");
    render_from(CLOUDEVENTS_FORMATS);
}
END_TEST

static void assert_source(const char *source, bool expected)
{
    const struct envelope_opts opts = {ENVELOPE_CLOUDEVENTS, ENVELOPE_STRUCTURED, source};
    struct envelope envelope;
    struct err err = ERR_INIT;
    ck_assert_msg(envelope_init(&envelope, &opts, &err) == expected, "\"%s\"", source);
    if (!expected) {
        ck_assert_int_eq(err.code, ERR_CONFIG_VALUE);
        ck_assert_str_ne(err.hint, "");
    }
}

START_TEST(a_source_that_is_no_uri_reference)
{
    static const char *const bad[] = {
        "",      "a b", "\x07", "gr\xC3\xB6\xC3\x9F", "\xFF", "a\"b", "<a>", "a\\b", "%", "%4",
        "a%zzb", "{x}", "a|b"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_source(bad[i], false);
    }
    assert_source(NULL, false);
    static const char *const good[] = {
        "/orders", "urn:example:orders", "/", "%C3%B6", "https://shop.example/orders?x=1#y",
        "orders"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_source(good[i], true);
    }
}
END_TEST

static Suite *suite_of_poison(void)
{
    Suite *suite = suite_create("poison");
    TCase *tcase = tcase_create("poison");
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, times_before_1970);
    tcase_add_test(tcase, times_that_cloudevents_cannot_say);
    tcase_add_test(tcase, names_that_begin_with_walferry);
    tcase_add_test(tcase, names_that_cloudevents_uses);
    tcase_add_test(tcase, a_second_id_in_debezium);
    tcase_add_test(tcase, a_second_trace_context);
    tcase_add_test(tcase, headers_that_are_no_text);
    tcase_add_test(tcase, a_trace_context_that_is_no_text);
    tcase_add_test(tcase, an_event_without_id_or_type);
    tcase_add_test(tcase, attributes_with_characters_that_cloudevents_forbids);
    tcase_add_test(tcase, attributes_that_are_not_utf8);
    tcase_add_test(tcase, a_value_past_the_ceiling);
    tcase_add_test(tcase, a_full_arena);
    tcase_add_test(tcase, a_source_that_is_no_uri_reference);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_poison())
