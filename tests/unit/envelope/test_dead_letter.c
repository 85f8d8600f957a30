/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static struct err reason;
static struct dead_letter letter;

static void setup(void)
{
    fixture_setup();
    reason = ERR_INIT;
    discard(err_set(&reason, ERR_ROW_TOPIC, "the topic \"a b\" is no good"));
    letter = (struct dead_letter){
        .topic = "orders.dead-letter",
        .intended_topic = BYTES_LIT("a b"),
        .reason = &reason,
        .pipeline = "orders",
        .time_us = INT64_C(1767229200000000), /* an hour later */
        .value_max = 1000000,
    };
}

static void write_letter(void)
{
    fixture.err = ERR_INIT;
    ck_assert_msg(envelope_dead_letter(&fixture.event, &letter, &fixture.arena, &fixture.record,
                                       &fixture.err),
                  "%s", fixture.err.message);
}

#define WHY                                                                                        \
    "walferry_error=WF-5004\nwalferry_reason=the topic \"a b\" is no good\nwalferry_topic=a b\n"   \
    "walferry_position=00000016B374D848-00000003\n"                                                \
    "walferry_commit_time=2026-01-01T00:00:00Z\nwalferry_pipeline=orders\n"                        \
    "walferry_time=2026-01-01T01:00:00Z\n"

START_TEST(the_smallest_event)
{
    write_letter();
    ck_assert_bytes(fixture.record.placement.topic, "orders.dead-letter");
    ck_assert_int_eq(fixture.record.placement.partition, -1);
    ck_assert(!bytes_present(fixture.record.placement.key));
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767229200000));
    ck_assert_bytes(fixture.record.value, "{\"a\": 1}");
    fixture_assert_headers(WHY "walferry_event_id=e-1\nwalferry_event_type=order.placed\n"
                               "walferry_payload_kind=json\n");
}
END_TEST

START_TEST(the_full_event)
{
    fixture_fill();
    fixture_header("tenant", BYTES_LIT("acme"));
    fixture_header("ce_id", BYTES_LIT("of the row"));
    fixture_header("null", BYTES_ABSENT);
    write_letter();
    ck_assert_bytes(fixture.record.placement.key, "4711");
    ck_assert_int_eq(fixture.record.placement.partition, -1);
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767229200000));
    fixture_assert_headers(
        WHY "walferry_replay=true\n"
            "walferry_event_id=e-1\nwalferry_event_type=order.placed\nwalferry_event_version=2\n"
            "walferry_aggregate_type=order\nwalferry_aggregate_id=4711\n"
            "walferry_visibility=public\nwalferry_correlation_id=workflow-9\n"
            "walferry_causation_id=e-0\nwalferry_occurred_at=2026-01-01T00:00:00.123456Z\n"
            "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n"
            "tracestate=congo=t61rcWkgMzE\n"
            "tenant=acme\nce_id=of the row\nnull\nwalferry_payload_kind=json\n");
}
END_TEST

START_TEST(the_key_column_wins_even_empty)
{
    fixture_fill();
    fixture.event.key = BYTES_LIT("");
    write_letter();
    ck_assert(bytes_present(fixture.record.placement.key));
    ck_assert_uint_eq(fixture.record.placement.key.len, 0);
    fixture.event.key = BYTES_ABSENT;
    fixture.event.aggregate_id = BYTES_LIT("");
    write_letter();
    ck_assert(!bytes_present(fixture.record.placement.key));
}
END_TEST

START_TEST(an_unknown_topic_is_left_out)
{
    letter.intended_topic = BYTES_ABSENT;
    write_letter();
    ck_assert(!bytes_present(fixture_header_value("walferry_topic")));
}
END_TEST

START_TEST(reason_and_topic_are_printable)
{
    discard(err_set(&reason, ERR_ROW_FIELD, "odd \x1B[31m text \xFF"));
    letter.intended_topic = BYTES_LIT("a\nb");
    write_letter();
    ck_assert_bytes(fixture_header_value("walferry_reason"), "odd \\x1B[31m text \\xFF");
    ck_assert_bytes(fixture_header_value("walferry_topic"), "a\\x0Ab");
    ck_assert_bytes(fixture_header_value("walferry_error"), "WF-5001");
}
END_TEST

START_TEST(headers_like_ours_get_a_prefix)
{
    fixture_header("walferry_error", BYTES_LIT("mine"));
    fixture_header("fine", BYTES_LIT("x"));
    fixture_header("Walferry_x", BYTES_ABSENT);
    write_letter();
    fixture_assert_headers(WHY "walferry_event_id=e-1\nwalferry_event_type=order.placed\n"
                               "original_walferry_error=mine\nfine=x\noriginal_Walferry_x\n"
                               "walferry_payload_kind=json\n");
}
END_TEST

START_TEST(payloads_stay_as_they_are)
{
    fixture_payload(PAYLOAD_BINARY, BYTES_LIT("\x00\xFF"));
    write_letter();
    ck_assert_bytes(fixture.record.value, "\x00\xFF");
    ck_assert_bytes(fixture_header_value("walferry_payload_kind"), "binary");
    fixture_payload(PAYLOAD_TEXT, BYTES_LIT(""));
    write_letter();
    ck_assert(bytes_present(fixture.record.value));
    ck_assert_bytes(fixture_header_value("walferry_payload_kind"), "text");
    fixture_payload(PAYLOAD_NONE, BYTES_ABSENT);
    write_letter();
    ck_assert(!bytes_present(fixture.record.value));
    ck_assert_bytes(fixture_header_value("walferry_payload_kind"), "none");
    ck_assert(!bytes_present(fixture_header_value("walferry_truncated")));
}
END_TEST

START_TEST(a_payload_too_large_is_left_out)
{
    fixture.event.event_type = BYTES_ABSENT;
    letter.intended_topic = BYTES_ABSENT;
    size_t rest = fixture.event.id.len + fixture.event.payload.len;
    letter.value_max = rest;
    write_letter();
    ck_assert_bytes(fixture.record.value, "{\"a\": 1}");
    ck_assert(!bytes_present(fixture_header_value("walferry_truncated")));
    letter.value_max = rest - 1;
    write_letter();
    ck_assert(!bytes_present(fixture.record.value));
    ck_assert_bytes(fixture_header_value("walferry_truncated"), "true");
    ck_assert_bytes(fixture_header_value("walferry_event_id"), "e-1");
}
END_TEST

START_TEST(headers_and_keys_too_large_are_left_out)
{
    static uint8_t large[2000];
    memset(large, 'x', sizeof(large));
    letter.value_max = 1000;
    fixture_header("small", BYTES_LIT("1"));
    fixture_header("large", bytes_make(large, sizeof(large)));
    write_letter();
    ck_assert_bytes(fixture_header_value("small"), "1");
    ck_assert(!bytes_present(fixture_header_value("large")));
    ck_assert_bytes(fixture_header_value("walferry_truncated"), "true");
    ck_assert_bytes(fixture.record.value, "{\"a\": 1}");
    fixture.event.header_count = 0;
    fixture.event.key = bytes_make(large, sizeof(large));
    fixture.event.aggregate_type = bytes_make(large, sizeof(large));
    letter.intended_topic = bytes_make(large, sizeof(large));
    write_letter();
    ck_assert(!bytes_present(fixture.record.placement.key));
    ck_assert(!bytes_present(fixture_header_value("walferry_aggregate_type")));
    ck_assert(!bytes_present(fixture_header_value("walferry_topic")));
    ck_assert_bytes(fixture_header_value("walferry_event_id"), "e-1");
    ck_assert_bytes(fixture_header_value("walferry_truncated"), "true");
}
END_TEST

START_TEST(the_time_is_the_letters)
{
    fixture.event.has_occurred_at = true;
    fixture.event.occurred_at_us = -1;
    write_letter();
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767229200000));
    ck_assert_bytes(fixture_header_value("walferry_occurred_at"), "1969-12-31T23:59:59.999999Z");
    fixture.event.occurred_at_us = INT64_C(253402300800000000); /* year 10000 */
    write_letter();
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767229200000));
    ck_assert(!bytes_present(fixture_header_value("walferry_occurred_at")));
}
END_TEST

START_TEST(a_replay_has_a_mark_and_no_position)
{
    fixture.event.position = (struct position){0};
    fixture.event.replay = true;
    write_letter();
    ck_assert(!bytes_present(fixture_header_value("walferry_position")));
    ck_assert(!bytes_present(fixture_header_value("walferry_commit_time")));
    ck_assert_bytes(fixture_header_value("walferry_replay"), "true");
    fixture.event.replay = false;
    write_letter();
    ck_assert(!bytes_present(fixture_header_value("walferry_replay")));
}
END_TEST

START_TEST(a_row_that_nobody_could_read)
{
    struct position position = fixture.event.position;
    memset(&fixture.event, 0, sizeof(fixture.event));
    fixture.event.position = position;
    fixture.event.id = BYTES_LIT("\xFF");
    letter.intended_topic = BYTES_ABSENT;
    write_letter();
    ck_assert(!bytes_present(fixture.record.value));
    ck_assert(!bytes_present(fixture_header_value("walferry_event_id")));
    ck_assert_bytes(fixture_header_value("walferry_error"), "WF-5004");
    ck_assert_int_eq(fixture.record.timestamp_ms, INT64_C(1767229200000));
}
END_TEST

START_TEST(as_many_headers_as_an_event_may_have)
{
    fixture_fill();
    while (fixture.event.header_count < EVENT_HEADERS_MAX) {
        fixture_header("walferry_x", BYTES_LIT("y"));
    }
    letter.value_max = 10; /* truncated too */
    write_letter();
    ck_assert_bytes(fixture_header_value("walferry_truncated"), "true");
    letter.value_max = 1000000;
    write_letter();
    ck_assert_uint_eq(fixture.record.header_count, EVENT_HEADERS_MAX + 2 + 8 + 10);
}
END_TEST

START_TEST(a_full_arena_fails_and_touches_nothing)
{
    static struct record before;
    static const size_t sizes[] = {16, 200, 400};
    fixture_header("walferry_x", BYTES_LIT("y"));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        arena_deinit(&fixture.arena);
        ck_assert(arena_init(&fixture.arena, 64, 64 + sizes[i]));
        memset(&fixture.record, 0x5A, sizeof(fixture.record));
        memcpy(&before, &fixture.record, sizeof(before));
        fixture.err = ERR_INIT;
        static char long_reason[400];
        memset(long_reason, 'x', sizeof(long_reason) - 1);
        discard(err_set(&reason, ERR_ROW_FIELD, "%s", long_reason));
        ck_assert(!envelope_dead_letter(&fixture.event, &letter, &fixture.arena, &fixture.record,
                                        &fixture.err));
        ck_assert_int_eq(fixture.err.code, ERR_DEAD_LETTER);
        ck_assert_str_ne(fixture.err.hint, "");
        ck_assert_str_eq(fixture.err.where, "16/B374D848 row 3");
        ck_assert_int_eq(memcmp(&before, &fixture.record, sizeof(before)), 0);
    }
}
END_TEST

static Suite *suite_of_dead_letter(void)
{
    Suite *suite = suite_create("dead_letter");
    TCase *tcase = tcase_create("dead_letter");
    tcase_add_checked_fixture(tcase, setup, fixture_teardown);
    tcase_add_test(tcase, the_smallest_event);
    tcase_add_test(tcase, the_full_event);
    tcase_add_test(tcase, the_key_column_wins_even_empty);
    tcase_add_test(tcase, an_unknown_topic_is_left_out);
    tcase_add_test(tcase, reason_and_topic_are_printable);
    tcase_add_test(tcase, headers_like_ours_get_a_prefix);
    tcase_add_test(tcase, payloads_stay_as_they_are);
    tcase_add_test(tcase, a_payload_too_large_is_left_out);
    tcase_add_test(tcase, headers_and_keys_too_large_are_left_out);
    tcase_add_test(tcase, the_time_is_the_letters);
    tcase_add_test(tcase, a_replay_has_a_mark_and_no_position);
    tcase_add_test(tcase, a_row_that_nobody_could_read);
    tcase_add_test(tcase, as_many_headers_as_an_event_may_have);
    tcase_add_test(tcase, a_full_arena_fails_and_touches_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_dead_letter())
