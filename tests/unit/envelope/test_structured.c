/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "walferry/base/json.h"

#define SMALLEST                                                                                   \
    "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"/orders\",\"type\":\"order.placed\","    \
    "\"time\":\"2026-01-01T00:00:00Z\""
#define SMALLEST_EXTENSIONS ",\"sequence\":\"00000016B374D848-00000003\",\"envelopeversion\":\"1\""

START_TEST(the_smallest_event)
{
    fixture_render();
    ck_assert_bytes(fixture.record.value,
                    SMALLEST ",\"datacontenttype\":\"application/json\"" SMALLEST_EXTENSIONS
                             ",\"data\":{\"a\": 1}}");
    fixture_assert_headers("content-type=application/cloudevents+json; charset=UTF-8\n");
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767225600000));
    ck_assert_bytes(fixture.record.placement.topic, "outbox.event.order");
    ck_assert_int_eq(fixture.record.placement.partition, -1);
    ck_assert(!bytes_present(fixture.record.placement.key));
}
END_TEST

START_TEST(the_full_event)
{
    fixture_fill();
    fixture_header("tenant", BYTES_LIT("acme"));
    fixture_header("Empty", BYTES_LIT(""));
    fixture_header("null", BYTES_ABSENT);
    fixture_header("tenant", BYTES_LIT("twice"));
    fixture_render();
    ck_assert_bytes(
        fixture.record.value,
        "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"/orders\",\"type\":\"order.placed\","
        "\"subject\":\"4711\",\"time\":\"2026-01-01T00:00:00.123456Z\","
        "\"datacontenttype\":\"application/json\",\"sequence\":\"00000016B374D848-00000003\","
        "\"partitionkey\":\"4711\",\"aggregatetype\":\"order\",\"dataversion\":\"2\","
        "\"envelopeversion\":\"1\",\"correlationid\":\"workflow-9\",\"causationid\":\"e-0\","
        "\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\","
        "\"tracestate\":\"congo=t61rcWkgMzE\",\"replay\":\"true\",\"data\":{\"a\": 1}}");
    fixture_assert_headers("content-type=application/cloudevents+json; charset=UTF-8\n"
                           "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n"
                           "tracestate=congo=t61rcWkgMzE\n"
                           "tenant=acme\nEmpty=\nnull\ntenant=twice\n");
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767225600123));
    ck_assert_bytes(fixture.record.placement.key, "4711");
    ck_assert_int_eq(fixture.record.placement.partition, 2);
}
END_TEST

/* What the table alone tells: neither the place of the commit nor its time. */
START_TEST(a_replay_has_no_sequence)
{
    fixture.event.position = (struct position){0};
    fixture.event.replay = true;
    fixture.event.has_occurred_at = true;
    fixture.event.occurred_at_us = INT64_C(1767225600123456);
    fixture_render();
    ck_assert_bytes(fixture.record.value,
                    "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"/orders\","
                    "\"type\":\"order.placed\",\"time\":\"2026-01-01T00:00:00.123456Z\","
                    "\"datacontenttype\":\"application/json\",\"envelopeversion\":\"1\","
                    "\"replay\":\"true\",\"data\":{\"a\": 1}}");
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767225600123));
}
END_TEST

START_TEST(a_replay_without_occurred_at_has_no_time)
{
    fixture.event.position = (struct position){0};
    fixture.event.replay = true;
    fixture.event.commit_time_us = INT64_C(1767225600999999);
    fixture_render();
    ck_assert_bytes(fixture.record.value,
                    "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"/orders\","
                    "\"type\":\"order.placed\",\"datacontenttype\":\"application/json\","
                    "\"envelopeversion\":\"1\",\"replay\":\"true\",\"data\":{\"a\": 1}}");
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767225600999));
}
END_TEST

START_TEST(json_enters_byte_for_byte)
{
    fixture_payload(PAYLOAD_JSON, BYTES_LIT(" {\"b\" : 1.50,\n\t\"b\":\"\\u00e4\\/\xC3\xA4\"} "));
    fixture_render();
    ck_assert_bytes(fixture.record.value,
                    SMALLEST ",\"datacontenttype\":\"application/json\"" SMALLEST_EXTENSIONS
                             ",\"data\": {\"b\" : 1.50,\n\t\"b\":\"\\u00e4\\/\xC3\xA4\"} }");
}
END_TEST

START_TEST(json_that_is_no_object)
{
    static const char *const payloads[] = {"null", "true", "0", "-1.5e300", "\"x\"", "[]", "[1,2]"};
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        fixture_payload(PAYLOAD_JSON, bytes_str(payloads[i]));
        fixture_render();
        struct bytes document = fixture.record.value;
        size_t length = strlen(payloads[i]);
        ck_assert_int_eq(memcmp(document.ptr + document.len - length - 1, payloads[i], length), 0);
        ck_assert_int_eq(json_parse(document).kind, JSON_OBJECT);
    }
}
END_TEST

START_TEST(text_is_a_json_string)
{
    fixture_payload(PAYLOAD_TEXT, BYTES_LIT("say \"hi\" \\ {} \xF0\x9F\x90\xA6"));
    fixture_render();
    ck_assert_bytes(fixture.record.value,
                    SMALLEST ",\"datacontenttype\":\"text/plain\"" SMALLEST_EXTENSIONS
                             ",\"data\":\"say \\\"hi\\\" \\\\ {} \xF0\x9F\x90\xA6\"}");
}
END_TEST

START_TEST(empty_text_is_data)
{
    fixture_payload(PAYLOAD_TEXT, BYTES_LIT(""));
    fixture_render();
    ck_assert_bytes(fixture.record.value, SMALLEST
                    ",\"datacontenttype\":\"text/plain\"" SMALLEST_EXTENSIONS ",\"data\":\"\"}");
}
END_TEST

START_TEST(binary_is_base64)
{
    fixture_payload(PAYLOAD_BINARY, BYTES_LIT("\x00\xFF\x10z"));
    fixture_render();
    ck_assert_bytes(fixture.record.value,
                    SMALLEST ",\"datacontenttype\":\"application/octet-stream\"" SMALLEST_EXTENSIONS
                             ",\"data_base64\":\"AP8Qeg==\"}");
}
END_TEST

START_TEST(empty_binary_is_data)
{
    fixture_payload(PAYLOAD_BINARY, BYTES_LIT(""));
    fixture_render();
    ck_assert_bytes(fixture.record.value,
                    SMALLEST ",\"datacontenttype\":\"application/octet-stream\"" SMALLEST_EXTENSIONS
                             ",\"data_base64\":\"\"}");
}
END_TEST

START_TEST(no_payload_is_no_data_and_never_a_tombstone)
{
    fixture_payload(PAYLOAD_NONE, BYTES_ABSENT);
    fixture_render();
    ck_assert_bytes(fixture.record.value, SMALLEST SMALLEST_EXTENSIONS "}");
}
END_TEST

START_TEST(empty_attributes_are_left_out)
{
    struct event *event = &fixture.event;
    event->aggregate_type = event->aggregate_id = event->event_version = BYTES_LIT("");
    event->traceparent = event->tracestate = BYTES_LIT("");
    event->correlation_id = event->causation_id = BYTES_LIT("");
    fixture.placement.key = BYTES_LIT("");
    fixture_render();
    ck_assert_bytes(fixture.record.value,
                    SMALLEST ",\"datacontenttype\":\"application/json\"" SMALLEST_EXTENSIONS
                             ",\"data\":{\"a\": 1}}");
    fixture_assert_headers("content-type=application/cloudevents+json; charset=UTF-8\n");
    ck_assert(bytes_present(fixture.record.placement.key));
}
END_TEST

START_TEST(the_partitionkey_is_the_records_key)
{
    fixture_fill();
    fixture.placement.key = BYTES_LIT("other");
    fixture_render();
    struct buf text;
    buf_init(&text, FIXTURE_VALUE_MAX);
    buf_put_bytes(&text, fixture.record.value);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&text), "\"subject\":\"4711\""));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&text), "\"partitionkey\":\"other\""));
    buf_deinit(&text);
}
END_TEST

START_TEST(attributes_are_escaped)
{
    fixture.event.id = BYTES_LIT("a\"b\\c/\xC3\xA4");
    fixture_render();
    struct buf text;
    buf_init(&text, FIXTURE_VALUE_MAX);
    buf_put_bytes(&text, fixture.record.value);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&text), "\"id\":\"a\\\"b\\\\c/\xC3\xA4\","));
    buf_deinit(&text);
}
END_TEST

/* The document of an event whose id has that text, as a JSON writer makes it. */
static void expect_document(struct buf *out, struct bytes id)
{
    struct json_writer json;
    json_writer_init(&json, out);
    buf_put_str(out, "{\"specversion\":\"1.0\",\"id\":");
    json_string(&json, id);
    buf_put_str(
        out, ",\"source\":\"/orders\",\"type\":\"order.placed\",\"time\":"
             "\"2026-01-01T00:00:00Z\",\"datacontenttype\":\"application/json\"" SMALLEST_EXTENSIONS
             ",\"data\":{\"a\": 1}}");
}

/* Text of every length, with a byte that needs an escape and without, and a value that may be as
 * large as the document is and not a byte less. */
START_TEST(attributes_of_every_length_and_the_exact_ceiling)
{
    struct buf expected;
    buf_init(&expected, FIXTURE_VALUE_MAX);
    for (size_t length = 1; length <= 140; length++) {
        char id[71];
        memset(id, 'i', sizeof(id));
        if (length > 70)
            id[(length - 71) / 2] = '"';
        fixture.event.id = bytes_make(id, length > 70 ? length - 70 : length);
        arena_reset(&fixture.arena);
        buf_reset(&expected);
        expect_document(&expected, fixture.event.id);
        buf_deinit(&fixture.value);
        buf_init(&fixture.value, expected.len);
        fixture_render();
        ck_assert_msg(bytes_equal(fixture.record.value, buf_bytes(&expected)), "%s is not %s",
                      buf_cstr(&fixture.value), buf_cstr(&expected));
        buf_deinit(&fixture.value);
        buf_init(&fixture.value, expected.len - 1);
        fixture_refuse(ERR_ROW_TOO_LARGE, "larger");
    }
    buf_deinit(&expected);
}
END_TEST

/* The data of the document, unescaped. */
static struct bytes data_text(void)
{
    struct json_value document = json_parse(fixture.record.value);
    ck_assert_int_eq(document.kind, JSON_OBJECT);
    struct json_members members;
    json_members_init(&members, document);
    struct bytes key = BYTES_ABSENT;
    struct json_value value = {JSON_INVALID, BYTES_ABSENT};
    while (json_members_next(&members, &key, &value)) {
        if (bytes_is(key, "\"data\"")) {
            bool ok = true;
            struct bytes text = json_unescape(value.raw, &fixture.arena, &ok);
            ck_assert(ok);
            return text;
        }
    }
    ck_abort_msg("no data");
}

START_TEST(every_control_character_of_a_text_comes_back)
{
    for (unsigned byte = 1; byte < 0x100; byte++) {
        arena_reset(&fixture.arena);
        /* Beyond ASCII as the second byte of a character. */
        uint8_t text[] = {'a', (uint8_t)byte, 'b', 'c'};
        if (byte >= 0x80) {
            text[1] = (uint8_t)(0xC0 | byte >> 6);
            text[2] = (uint8_t)(0x80 | (byte & 0x3F));
        }
        fixture_payload(PAYLOAD_TEXT, bytes_make(text, sizeof(text)));
        fixture_render();
        for (size_t i = 0; i < fixture.record.value.len; i++) {
            ck_assert_uint_ge(fixture.record.value.ptr[i], 0x20);
        }
        ck_assert_msg(bytes_equal(data_text(), fixture.event.payload), "byte %u", byte);
    }
}
END_TEST

START_TEST(a_long_payload)
{
    static uint8_t text[500000];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)('a' + i % 26);
    }
    fixture_payload(PAYLOAD_TEXT, bytes_make(text, sizeof(text)));
    fixture_render();
    ck_assert(bytes_equal(data_text(), fixture.event.payload));
    fixture_payload(PAYLOAD_JSON, BYTES_LIT("1"));
    fixture_render(); /* the buffer is reset */
    ck_assert_bytes(fixture.record.value, SMALLEST
                    ",\"datacontenttype\":\"application/json\"" SMALLEST_EXTENSIONS ",\"data\":1}");
}
END_TEST

START_TEST(as_many_headers_as_an_event_may_have)
{
    fixture_fill();
    while (fixture.event.header_count < EVENT_HEADERS_MAX) {
        fixture_header("x", BYTES_LIT("y"));
    }
    fixture_render();
    ck_assert_uint_eq(fixture.record.header_count, EVENT_HEADERS_MAX + 3);
}
END_TEST

START_TEST(trace_context_may_come_as_headers_of_the_row)
{
    fixture_header("traceparent", BYTES_LIT("00-x"));
    fixture_header("tracestate", BYTES_LIT("a=b"));
    fixture_render();
    fixture_assert_headers("content-type=application/cloudevents+json; charset=UTF-8\n"
                           "traceparent=00-x\ntracestate=a=b\n");
}
END_TEST

static Suite *suite_of_structured(void)
{
    Suite *suite = suite_create("structured");
    TCase *tcase = tcase_create("structured");
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, the_smallest_event);
    tcase_add_test(tcase, the_full_event);
    tcase_add_test(tcase, a_replay_has_no_sequence);
    tcase_add_test(tcase, a_replay_without_occurred_at_has_no_time);
    tcase_add_test(tcase, json_enters_byte_for_byte);
    tcase_add_test(tcase, json_that_is_no_object);
    tcase_add_test(tcase, text_is_a_json_string);
    tcase_add_test(tcase, empty_text_is_data);
    tcase_add_test(tcase, binary_is_base64);
    tcase_add_test(tcase, empty_binary_is_data);
    tcase_add_test(tcase, no_payload_is_no_data_and_never_a_tombstone);
    tcase_add_test(tcase, empty_attributes_are_left_out);
    tcase_add_test(tcase, the_partitionkey_is_the_records_key);
    tcase_add_test(tcase, attributes_are_escaped);
    tcase_add_test(tcase, attributes_of_every_length_and_the_exact_ceiling);
    tcase_add_test(tcase, every_control_character_of_a_text_comes_back);
    tcase_add_test(tcase, a_long_payload);
    tcase_add_test(tcase, as_many_headers_as_an_event_may_have);
    tcase_add_test(tcase, trace_context_may_come_as_headers_of_the_row);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_structured())
