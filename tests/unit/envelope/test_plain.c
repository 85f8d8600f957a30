/* SPDX-License-Identifier: Apache-2.0 */
/* The formats without attributes: raw and debezium. */
#include "fixture.h"

#define TRACE_HEADERS                                                                              \
    "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n"                        \
    "tracestate=congo=t61rcWkgMzE\n"

START_TEST(raw_is_payload_key_and_headers)
{
    fixture_format(ENVELOPE_RAW, ENVELOPE_STRUCTURED);
    fixture_fill();
    fixture_header("content-type", BYTES_LIT("application/avro"));
    fixture_header("ce_id", BYTES_LIT("mine"));
    fixture_header("id", BYTES_LIT("mine"));
    fixture_render();
    ck_assert_bytes(fixture.record.value, "{\"a\": 1}");
    fixture_assert_headers(TRACE_HEADERS "content-type=application/avro\nce_id=mine\nid=mine\n");
    ck_assert_bytes(fixture.record.placement.topic, "outbox.event.order");
    ck_assert_bytes(fixture.record.placement.key, "4711");
    ck_assert_int_eq(fixture.record.placement.partition, 2);
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767225600123));
}
END_TEST

START_TEST(debezium_adds_the_id)
{
    fixture_format(ENVELOPE_DEBEZIUM, ENVELOPE_STRUCTURED);
    fixture_fill();
    fixture_header("eventType", BYTES_LIT("mine"));
    fixture_header("ID", BYTES_LIT("another name"));
    fixture_render();
    ck_assert_bytes(fixture.record.value, "{\"a\": 1}");
    fixture_assert_headers("id=e-1\n" TRACE_HEADERS "eventType=mine\nID=another name\n");
    ck_assert_bytes(fixture.record.placement.key, "4711");
    ck_assert_int_eq(fixture.record.placement.partition, 2);
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767225600123));
}
END_TEST

START_TEST(the_mode_means_nothing_to_them)
{
    fixture_format(ENVELOPE_RAW, ENVELOPE_BINARY);
    fixture_render();
    fixture_assert_headers("");
    fixture_format(ENVELOPE_DEBEZIUM, ENVELOPE_BINARY);
    fixture_render();
    fixture_assert_headers("id=e-1\n");
}
END_TEST

static void assert_payloads(enum envelope_format format)
{
    fixture_format(format, ENVELOPE_STRUCTURED);
    fixture_payload(PAYLOAD_NONE, BYTES_ABSENT);
    fixture_render();
    ck_assert(!bytes_present(fixture.record.value));
    fixture_payload(PAYLOAD_TEXT, BYTES_LIT(""));
    fixture_render();
    ck_assert(bytes_present(fixture.record.value));
    ck_assert_uint_eq(fixture.record.value.len, 0);
    fixture_payload(PAYLOAD_BINARY, BYTES_LIT("\x00\xFE"));
    fixture_render();
    ck_assert_bytes(fixture.record.value, "\x00\xFE");
    fixture_payload(PAYLOAD_TEXT, BYTES_LIT("\xFE from SQL_ASCII"));
    fixture_render();
    ck_assert_bytes(fixture.record.value, "\xFE from SQL_ASCII");
}

START_TEST(the_payload_is_the_value_and_none_a_tombstone)
{
    assert_payloads(ENVELOPE_RAW);
    assert_payloads(ENVELOPE_DEBEZIUM);
}
END_TEST

START_TEST(what_only_attributes_may_not_hold_is_fine)
{
    fixture_format(ENVELOPE_RAW, ENVELOPE_STRUCTURED);
    fixture.event.event_type = BYTES_LIT("a\nb");
    fixture.event.id = BYTES_LIT("");
    fixture.event.has_occurred_at = true;
    fixture.event.occurred_at_us = INT64_C(253402300800000000);
    fixture_render();
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(253402300800000));
}
END_TEST

START_TEST(the_end_of_the_first_millisecond_is_its_beginning)
{
    fixture_format(ENVELOPE_RAW, ENVELOPE_STRUCTURED);
    fixture.event.has_occurred_at = true;
    fixture.event.occurred_at_us = 0;
    fixture_render();
    ck_assert_int_eq(fixture.record.timestamp_ms, 0);
    fixture.event.occurred_at_us = 999;
    fixture_render();
    ck_assert_int_eq(fixture.record.timestamp_ms, 0);
    fixture.event.occurred_at_us = 1000;
    fixture_render();
    ck_assert_int_eq(fixture.record.timestamp_ms, 1);
}
END_TEST

static Suite *suite_of_plain(void)
{
    Suite *suite = suite_create("plain");
    TCase *tcase = tcase_create("plain");
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, raw_is_payload_key_and_headers);
    tcase_add_test(tcase, debezium_adds_the_id);
    tcase_add_test(tcase, the_mode_means_nothing_to_them);
    tcase_add_test(tcase, the_payload_is_the_value_and_none_a_tombstone);
    tcase_add_test(tcase, what_only_attributes_may_not_hold_is_fine);
    tcase_add_test(tcase, the_end_of_the_first_millisecond_is_its_beginning);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_plain())
