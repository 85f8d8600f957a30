/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static enum capture_outcome take_message(bool transactional, struct bytes prefix,
                                         struct bytes content)
{
    struct change change = {.kind = CHANGE_MESSAGE};
    change.as.message.transactional = transactional;
    change.as.message.prefix = prefix;
    change.as.message.content = content;
    return fixture_take(&change);
}

static enum capture_outcome take(const char *content)
{
    return take_message(true, BYTES_LIT("outbox"), bytes_str(content));
}

static void setup(void)
{
    fixture_open(&(struct capture_entry){.kind = CAPTURE_MESSAGES, .name = "outbox"}, 1);
}

START_TEST(every_field_is_read)
{
    enum capture_outcome outcome =
        take(" {\"id\":\"u1\",\"aggregate_type\":\"order\",\"aggregate_id\":\"4\\u0032\","
             "\"event_type\":\"made\",\"event_version\":2,\"payload\": {\"a\" : [1, 2]} ,"
             "\"headers\":{\"h\":\"v\"},\"visibility\":\"private\",\"traceparent\":\"p\","
             "\"tracestate\":\"s\",\"correlation_id\":\"c1\",\"causation_id\":\"c0\","
             "\"topic\":\"t\",\"partition\":3,\"key\":\"k\","
             "\"occurred_at\":\"2026-01-31T12:34:56.123456+00:00\"} ");
    ck_assert_msg(outcome == CAPTURE_EVENT, "%s", fixture.err.message);
    const struct event *event = &fixture.event;
    ck_assert_bytes(event->id, "u1");
    ck_assert_bytes(event->aggregate_type, "order");
    ck_assert_bytes(event->aggregate_id, "42");
    ck_assert_bytes(event->event_type, "made");
    ck_assert_bytes(event->event_version, "2");
    ck_assert_int_eq(event->payload_kind, PAYLOAD_JSON);
    ck_assert_bytes(event->payload, "{\"a\" : [1, 2]}");
    ck_assert_bytes(event->visibility, "private");
    ck_assert_bytes(event->traceparent, "p");
    ck_assert_bytes(event->tracestate, "s");
    ck_assert_bytes(event->correlation_id, "c1");
    ck_assert_bytes(event->causation_id, "c0");
    ck_assert_bytes(event->topic, "t");
    ck_assert_int_eq(event->partition, 3);
    ck_assert_bytes(event->key, "k");
    ck_assert(event->has_occurred_at);
    ck_assert_int_eq(event->occurred_at_us, INT64_C(1769862896123456));
    ck_assert_uint_eq(event->header_count, 1);
    ck_assert_bytes(event->headers[0].value, "v");
}
END_TEST

START_TEST(nulls_are_absent)
{
    ck_assert_int_eq(take("{\"id\":\"1\",\"event_type\":\"t\",\"payload\":null,\"headers\":null,"
                          "\"key\":null,\"partition\":null,\"occurred_at\":null,"
                          "\"event_version\":null}"),
                     CAPTURE_EVENT);
    ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_NONE);
    ck_assert(!bytes_present(fixture.event.payload));
    ck_assert(!bytes_present(fixture.event.key));
    ck_assert_int_eq(fixture.event.partition, -1);
    ck_assert(!fixture.event.has_occurred_at);
}
END_TEST

START_TEST(payload_is_passed_on_as_written)
{
    static const char *const payloads[] = {"\"text \\u00e9\"", "1.0", "true", "[ ]", "{}", "\"\""};
    static const char *const contents[] = {
        "{\"id\":\"1\",\"event_type\":\"t\",\"payload\":\"text \\u00e9\"}",
        "{\"id\":\"1\",\"event_type\":\"t\",\"payload\": 1.0 }",
        "{\"id\":\"1\",\"event_type\":\"t\",\"payload\":true}",
        "{\"id\":\"1\",\"event_type\":\"t\",\"payload\":[ ]}",
        "{\"id\":\"1\",\"event_type\":\"t\",\"payload\":{}}",
        "{\"id\":\"1\",\"event_type\":\"t\",\"payload\":\"\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        ck_assert_int_eq(take(contents[i]), CAPTURE_EVENT);
        ck_assert_int_eq(fixture.event.payload_kind, PAYLOAD_JSON);
        ck_assert_msg(bytes_is(fixture.event.payload, payloads[i]), "%s", contents[i]);
    }
}
END_TEST

START_TEST(numbers_stand_for_their_text_where_ids_do)
{
    ck_assert_int_eq(take("{\"id\":17,\"event_type\":\"t\",\"payload\":{},\"aggregate_id\":-4,"
                          "\"event_version\":\"5\"}"),
                     CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.id, "17");
    ck_assert_bytes(fixture.event.aggregate_id, "-4");
    ck_assert_bytes(fixture.event.event_version, "5");
}
END_TEST

#define REST ",\"id\":\"1\",\"event_type\":\"t\",\"payload\":{\"kept\":1}}"

struct poison_case {
    const char *content;
    enum err_code code;
    const char *message; /* part of the error's */
    bool keeps_payload;  /* the member's; else the whole content */
};

static const struct poison_case poison_cases[] = {
    {"", ERR_ROW_MESSAGE, "not valid JSON", false},
    {"{\"id\":", ERR_ROW_MESSAGE, "not valid JSON", false},
    {"{\"id\":\"\xFF\"}", ERR_ROW_MESSAGE, "not valid JSON", false},
    {"{} {}", ERR_ROW_MESSAGE, "not valid JSON", false},
    {"[]", ERR_ROW_MESSAGE, "not a JSON object", false},
    {"\"x\"", ERR_ROW_MESSAGE, "not a JSON object", false},
    {"{}", ERR_ROW_MESSAGE, "\"payload\"", false},
    {"{\"id\":\"1\",\"event_type\":\"t\"}", ERR_ROW_MESSAGE, "is missing", false},
    {"{\"event_type\":\"t\",\"payload\":1}", ERR_ROW_FIELD, "\"id\"", true},
    {"{\"id\":null,\"event_type\":\"t\",\"payload\":1}", ERR_ROW_FIELD, "\"id\"", true},
    {"{\"id\":\"\",\"event_type\":\"t\",\"payload\":1}", ERR_ROW_FIELD, "\"id\"", true},
    {"{\"id\":\"1\",\"payload\":1}", ERR_ROW_FIELD, "\"event_type\"", true},
    {"{\"tenant\":1" REST, ERR_ROW_MESSAGE, "\"tenant\"", true},
    {"{\"Key\":\"k\"" REST, ERR_ROW_MESSAGE, "\"Key\"", true},
    {"{\"\\u001b\\ud800\":1" REST, ERR_ROW_MESSAGE, "no such field", true},
    {"{\"id\":\"1\"" REST, ERR_ROW_MESSAGE, "twice", true},
    {"{\"key\":null,\"key\":\"k\"" REST, ERR_ROW_MESSAGE, "twice", true},
    {"{\"payload\":2" REST, ERR_ROW_MESSAGE, "twice", true},
    {"{\"headers\":{},\"headers\":{}" REST, ERR_ROW_MESSAGE, "twice", true},
    {"{\"key\":1" REST, ERR_ROW_MESSAGE, "not a string", true},
    {"{\"topic\":{}" REST, ERR_ROW_MESSAGE, "not a string", true},
    {"{\"aggregate_id\":true" REST, ERR_ROW_MESSAGE, "not a string", true},
    {"{\"occurred_at\":1769862896" REST, ERR_ROW_MESSAGE, "not a string", true},
    {"{\"partition\":\"1\"" REST, ERR_ROW_MESSAGE, "not a number", true},
    {"{\"key\":\"\\u0000\"" REST, ERR_ROW_MESSAGE, "\"key\"", true},
    {"{\"partition\":-1" REST, ERR_ROW_FIELD, "\"partition\"", true},
    {"{\"partition\":1.5" REST, ERR_ROW_FIELD, "\"partition\"", true},
    {"{\"event_version\":1e3" REST, ERR_ROW_FIELD, "\"event_version\"", true},
    {"{\"occurred_at\":\"infinity\"" REST, ERR_ROW_TIME, "\"occurred_at\"", true},
    {"{\"headers\":[]" REST, ERR_ROW_HEADERS, "\"headers\"", true},
    {"{\"headers\":{\"a\":{}}" REST, ERR_ROW_HEADERS, "\"headers\"", true},
};

START_TEST(malformed_messages_are_poison)
{
    const struct poison_case *poison_case = &poison_cases[_i];
    ck_assert_msg(take(poison_case->content) == CAPTURE_POISON, "%s", poison_case->content);
    ck_assert_msg(fixture.err.code == poison_case->code &&
                      strstr(fixture.err.message, poison_case->message) != NULL,
                  "%s: %s %s", poison_case->content, err_name(fixture.err.code),
                  fixture.err.message);
    ck_assert_ptr_nonnull(strstr(fixture.err.where, "message outbox"));
    ck_assert_str_ne(fixture.err.hint, "");
    bool whole = bytes_is(fixture.event.payload, poison_case->content);
    ck_assert_msg(whole == !poison_case->keeps_payload, "%s", poison_case->content);
    ck_assert_int_eq(fixture.event.payload_kind, whole ? PAYLOAD_BINARY : PAYLOAD_JSON);
}
END_TEST

START_TEST(a_fault_does_not_end_the_reading)
{
    ck_assert_int_eq(take("{\"surprise\":1,\"key\":\"k\",\"aggregate_id\":\"a\",\"headers\":"
                          "{\"h\":\"v\"}" REST),
                     CAPTURE_POISON);
    ck_assert_bytes(fixture.event.id, "1");
    ck_assert_bytes(fixture.event.key, "k");
    ck_assert_bytes(fixture.event.aggregate_id, "a");
    ck_assert_bytes(fixture.event.payload, "{\"kept\":1}");
    ck_assert_bytes(fixture_header("h"), "v");
    ck_assert_str_eq(fixture.err.where, "message outbox, id 1");
}
END_TEST

START_TEST(member_names_may_be_escaped)
{
    ck_assert_int_eq(take("{\"\\u006bey\":\"k\"" REST), CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.key, "k");
}
END_TEST

START_TEST(trace_members_win_over_headers_in_any_order)
{
    ck_assert_int_eq(take("{\"headers\":{\"traceparent\":\"h\"},\"traceparent\":\"m\"" REST),
                     CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.traceparent, "m");
    ck_assert_int_eq(take("{\"headers\":{\"traceparent\":\"h\"}" REST), CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.traceparent, "h");
    ck_assert_uint_eq(fixture.event.header_count, 0);
}
END_TEST

START_TEST(other_messages_are_skipped_with_a_reason)
{
    ck_assert_int_eq(take_message(false, BYTES_LIT("outbox"), BYTES_LIT("{}")), CAPTURE_SKIP);
    ck_assert_int_eq(fixture.reason, SKIP_NOT_TRANSACTIONAL);
    ck_assert_int_eq(take_message(true, BYTES_LIT("outbox2"), BYTES_LIT("{}")), CAPTURE_SKIP);
    ck_assert_int_eq(fixture.reason, SKIP_PREFIX);
    ck_assert_int_eq(take_message(false, BYTES_LIT(""), BYTES_LIT("{}")), CAPTURE_SKIP);
    ck_assert_int_eq(fixture.reason, SKIP_PREFIX);
}
END_TEST

static Suite *message_suite(void)
{
    Suite *suite = suite_create("capture_message");
    TCase *tcase = tcase_create("message");
    tcase_add_checked_fixture(tcase, setup, fixture_close);
    tcase_add_test(tcase, every_field_is_read);
    tcase_add_test(tcase, nulls_are_absent);
    tcase_add_test(tcase, payload_is_passed_on_as_written);
    tcase_add_test(tcase, numbers_stand_for_their_text_where_ids_do);
    tcase_add_loop_test(tcase, malformed_messages_are_poison, 0, ARRAY_LEN(poison_cases));
    tcase_add_test(tcase, a_fault_does_not_end_the_reading);
    tcase_add_test(tcase, member_names_may_be_escaped);
    tcase_add_test(tcase, trace_members_win_over_headers_in_any_order);
    tcase_add_test(tcase, other_messages_are_skipped_with_a_reason);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(message_suite())
