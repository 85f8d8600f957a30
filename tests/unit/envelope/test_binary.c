/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#define US_PER_DAY INT64_C(86400000000)

static void setup(void)
{
    fixture_setup();
    fixture_format(ENVELOPE_CLOUDEVENTS, ENVELOPE_BINARY);
}

START_TEST(the_smallest_event)
{
    fixture_render();
    ck_assert_bytes(fixture.record.value, "{\"a\": 1}");
    ck_assert_ptr_eq(fixture.record.value.ptr, fixture.event.payload.ptr);
    fixture_assert_headers("ce_specversion=1.0\nce_id=e-1\nce_source=/orders\n"
                           "ce_type=order.placed\nce_time=2026-01-01T00:00:00Z\n"
                           "content-type=application/json\n"
                           "ce_sequence=00000016B374D848-00000003\nce_envelopeversion=1\n");
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767225600000));
}
END_TEST

START_TEST(the_full_event)
{
    fixture_fill();
    fixture_header("tenant", BYTES_LIT("acme"));
    fixture_render();
    fixture_assert_headers(
        "ce_specversion=1.0\nce_id=e-1\nce_source=/orders\nce_type=order.placed\n"
        "ce_subject=4711\nce_time=2026-01-01T00:00:00.123456Z\ncontent-type=application/json\n"
        "ce_sequence=00000016B374D848-00000003\nce_partitionkey=4711\nce_aggregatetype=order\n"
        "ce_dataversion=2\nce_envelopeversion=1\nce_correlationid=workflow-9\n"
        "ce_causationid=e-0\n"
        "ce_traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n"
        "ce_tracestate=congo=t61rcWkgMzE\nce_replay=true\n"
        "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n"
        "tracestate=congo=t61rcWkgMzE\ntenant=acme\n");
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767225600123));
    ck_assert_bytes(fixture.record.placement.key, "4711");
    ck_assert_int_eq(fixture.record.placement.partition, 2);
}
END_TEST

START_TEST(a_replay_has_no_sequence)
{
    fixture.event.position = (struct position){0};
    fixture.event.replay = true;
    fixture_render();
    fixture_assert_headers("ce_specversion=1.0\nce_id=e-1\nce_source=/orders\n"
                           "ce_type=order.placed\ncontent-type=application/json\n"
                           "ce_envelopeversion=1\nce_replay=true\n");
}
END_TEST

START_TEST(header_values_are_plain_utf8)
{
    fixture.event.id = BYTES_LIT("a\"b%\\ \xC3\xA4");
    fixture_render();
    ck_assert_bytes(fixture_header_value("ce_id"), "a\"b%\\ \xC3\xA4");
}
END_TEST

START_TEST(the_content_type_follows_the_payload)
{
    fixture_payload(PAYLOAD_TEXT, BYTES_LIT("hello"));
    fixture_render();
    ck_assert_bytes(fixture.record.value, "hello");
    ck_assert_bytes(fixture_header_value("content-type"), "text/plain");
    fixture_payload(PAYLOAD_BINARY, BYTES_LIT("\x00\xFF"));
    fixture_render();
    ck_assert_bytes(fixture.record.value, "\x00\xFF");
    ck_assert_bytes(fixture_header_value("content-type"), "application/octet-stream");
    ck_assert(!bytes_present(fixture_header_value("ce_datacontenttype")));
}
END_TEST

START_TEST(no_payload_is_a_tombstone)
{
    fixture_payload(PAYLOAD_NONE, BYTES_ABSENT);
    fixture_render();
    ck_assert(!bytes_present(fixture.record.value));
    ck_assert(!bytes_present(fixture_header_value("content-type")));
    ck_assert_bytes(fixture_header_value("ce_id"), "e-1");
}
END_TEST

START_TEST(an_empty_payload_is_no_tombstone)
{
    fixture_payload(PAYLOAD_BINARY, BYTES_LIT(""));
    fixture_render();
    ck_assert(bytes_present(fixture.record.value));
    ck_assert_uint_eq(fixture.record.value.len, 0);
}
END_TEST

START_TEST(text_made_for_headers_lives_as_long_as_the_arena)
{
    fixture_render();
    static struct record first;
    first = fixture.record;
    fixture.event.position.index++;
    fixture.event.commit_time_us += US_PER_DAY;
    fixture_render();
    ck_assert_bytes(fixture_header_value("ce_sequence"), "00000016B374D848-00000004");
    ck_assert_bytes(fixture_header_value("ce_time"), "2026-01-02T00:00:00Z");
    fixture.record = first;
    ck_assert_bytes(fixture_header_value("ce_sequence"), "00000016B374D848-00000003");
    ck_assert_bytes(fixture_header_value("ce_time"), "2026-01-01T00:00:00Z");
}
END_TEST

START_TEST(as_many_headers_as_an_event_may_have)
{
    fixture_fill();
    while (fixture.event.header_count < EVENT_HEADERS_MAX) {
        fixture_header("x", BYTES_LIT("y"));
    }
    fixture_render();
    ck_assert_uint_eq(fixture.record.header_count, EVENT_HEADERS_MAX + 19);
}
END_TEST

static Suite *suite_of_binary(void)
{
    Suite *suite = suite_create("binary");
    TCase *tcase = tcase_create("binary");
    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_add_test(tcase, the_smallest_event);
    tcase_add_test(tcase, the_full_event);
    tcase_add_test(tcase, a_replay_has_no_sequence);
    tcase_add_test(tcase, header_values_are_plain_utf8);
    tcase_add_test(tcase, the_content_type_follows_the_payload);
    tcase_add_test(tcase, no_payload_is_a_tombstone);
    tcase_add_test(tcase, an_empty_payload_is_no_tombstone);
    tcase_add_test(tcase, text_made_for_headers_lives_as_long_as_the_arena);
    tcase_add_test(tcase, as_many_headers_as_an_event_may_have);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_binary())
