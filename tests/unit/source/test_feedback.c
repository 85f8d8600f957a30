/* SPDX-License-Identifier: Apache-2.0 */
#include "feedback.h"

#include "../test.h"
#include "walferry/base/clock.h"
#include "walferry/base/reader.h"

#define T0 (1000 * NS_PER_S)

static struct feedback feedback;
static uint8_t status[FEEDBACK_SIZE];

static void setup(void)
{
    feedback_init(&feedback, 10000, 60000, T0);
}

static void send(uint64_t confirmed, uint64_t now)
{
    feedback_encode(&feedback, lsn_make(confirmed), now, CLOCK_PG_EPOCH_US + 5, status);
}

static uint64_t field(size_t at)
{
    struct reader reader;
    reader_init(&reader, bytes_make(status + at, 8));
    return reader_u64(&reader);
}

START_TEST(interval_is_the_smaller_of_both)
{
    ck_assert_uint_eq(feedback_deadline(&feedback), T0 + 10 * NS_PER_S);
    feedback_init(&feedback, 10000, 3000, T0);
    ck_assert_uint_eq(feedback_deadline(&feedback), T0 + NS_PER_S);
    feedback_init(&feedback, 10000, 0, T0);
    ck_assert_uint_eq(feedback_deadline(&feedback), T0 + 10 * NS_PER_S);
    feedback_init(&feedback, 10000, 1, T0);
    ck_assert_uint_eq(feedback_deadline(&feedback), T0 + 10 * NS_PER_MS);
}
END_TEST

START_TEST(status_layout)
{
    feedback_data(&feedback, lsn_make(0x300));
    send(0x200, T0);
    ck_assert_uint_eq(status[0], 'r');
    ck_assert_uint_eq(field(1), 0x300);
    ck_assert_uint_eq(field(9), 0x200);
    ck_assert_uint_eq(field(17), 0x200);
    ck_assert_uint_eq(field(25), 5);
    ck_assert_uint_eq(status[33], 0);
}
END_TEST

START_TEST(nothing_confirmed_is_no_news)
{
    feedback_data(&feedback, lsn_make(0x300));
    send(0, T0);
    ck_assert_uint_eq(field(9), 0);
    ck_assert_uint_eq(field(17), 0);
}
END_TEST

/* What was heard never becomes what is flushed, whatever the server says. */
START_TEST(flush_is_what_was_confirmed)
{
    ck_assert(feedback_keepalive(&feedback, lsn_make(UINT64_MAX), true, T0));
    feedback_data(&feedback, lsn_make(12));
    send(7, T0);
    ck_assert_uint_eq(field(9), 7);
    ck_assert_uint_eq(field(17), 7);
}
END_TEST

START_TEST(write_is_never_behind_flush)
{
    send(0x500, T0);
    ck_assert_uint_eq(field(1), 0x500);
}
END_TEST

START_TEST(a_request_is_answered_but_not_too_often)
{
    send(1, T0);
    ck_assert(feedback_keepalive(&feedback, lsn_make(9), true, T0 + 1));
    ck_assert_uint_eq(feedback_deadline(&feedback), T0 + 250 * NS_PER_MS);
    send(1, T0 + NS_PER_S);
    ck_assert_uint_eq(feedback_deadline(&feedback), T0 + 11 * NS_PER_S);
}
END_TEST

START_TEST(a_keepalive_without_request_is_not_answered)
{
    ck_assert(feedback_keepalive(&feedback, lsn_make(9), false, T0));
    ck_assert_uint_eq(feedback_deadline(&feedback), T0 + 10 * NS_PER_S);
}
END_TEST

START_TEST(hurry_is_at_once)
{
    feedback_hurry(&feedback);
    ck_assert_uint_eq(feedback_deadline(&feedback), 0);
    send(1, T0);
    ck_assert_uint_eq(feedback_deadline(&feedback), T0 + 10 * NS_PER_S);
}
END_TEST

START_TEST(storm)
{
    uint64_t now = T0;
    for (unsigned i = 1; i < 8; i++) {
        ck_assert(feedback_keepalive(&feedback, lsn_make(9), true, now));
        now += 250 * NS_PER_MS;
    }
    ck_assert(!feedback_keepalive(&feedback, lsn_make(9), true, now));
}
END_TEST

static void seven_pings(void)
{
    setup();
    for (unsigned i = 1; i < 8; i++) {
        ck_assert(feedback_keepalive(&feedback, lsn_make(9), true, T0));
    }
}

START_TEST(no_storm_while_something_happens)
{
    seven_pings();
    feedback_data(&feedback, lsn_make(9));
    ck_assert(feedback_keepalive(&feedback, lsn_make(9), true, T0));
    seven_pings();
    ck_assert(feedback_keepalive(&feedback, lsn_make(10), true, T0));
    seven_pings();
    ck_assert(feedback_keepalive(&feedback, lsn_make(9), false, T0));
    ck_assert(feedback_keepalive(&feedback, lsn_make(9), true, T0));
    seven_pings();
    ck_assert(feedback_keepalive(&feedback, lsn_make(9), true, T0 + NS_PER_S + 1));
}
END_TEST

START_TEST(silence_is_asked_about_then_fatal)
{
    uint64_t now = T0;
    ck_assert(feedback_idle(&feedback, now));
    send(1, now);
    ck_assert_uint_eq(status[33], 0);
    for (unsigned i = 0; i < 5; i++) {
        now += 10 * NS_PER_S;
        ck_assert(feedback_idle(&feedback, now));
        send(1, now);
        ck_assert_uint_eq(status[33], 1);
    }
    ck_assert(!feedback_idle(&feedback, now + 10 * NS_PER_S));
}
END_TEST

START_TEST(any_word_ends_the_silence)
{
    uint64_t now = T0;
    for (unsigned i = 0; i < 100; i++) {
        ck_assert(feedback_idle(&feedback, now));
        now += 10 * NS_PER_S;
        if (i % 5 == 4) {
            ck_assert(feedback_keepalive(&feedback, lsn_make(i), false, now));
        }
    }
}
END_TEST

/* An hour without room to read, then a read that finds nothing yet. */
START_TEST(time_without_reading_is_no_silence)
{
    ck_assert(feedback_idle(&feedback, T0));
    ck_assert(feedback_idle(&feedback, T0 + 3600 * NS_PER_S));
    ck_assert(feedback_idle(&feedback, T0 + 7200 * NS_PER_S));
}
END_TEST

START_TEST(long_intervals_allow_longer_silence)
{
    feedback_init(&feedback, 60000, 0, T0);
    uint64_t now = T0;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(feedback_idle(&feedback, now));
        now += 60 * NS_PER_S;
    }
    ck_assert(!feedback_idle(&feedback, now));
}
END_TEST

static Suite *feedback_suite(void)
{
    const TTest *const tests[] = {interval_is_the_smaller_of_both,
                                  status_layout,
                                  nothing_confirmed_is_no_news,
                                  flush_is_what_was_confirmed,
                                  write_is_never_behind_flush,
                                  a_request_is_answered_but_not_too_often,
                                  a_keepalive_without_request_is_not_answered,
                                  hurry_is_at_once,
                                  storm,
                                  no_storm_while_something_happens,
                                  silence_is_asked_about_then_fatal,
                                  any_word_ends_the_silence,
                                  time_without_reading_is_no_silence,
                                  long_intervals_allow_longer_silence};
    Suite *suite = suite_create("feedback");
    TCase *tcase = tcase_create("feedback");
    tcase_add_checked_fixture(tcase, setup, NULL);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(feedback_suite())
