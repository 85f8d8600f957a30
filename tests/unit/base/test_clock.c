/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/clock.h"

#include <stdio.h>
#include <time.h>

#include "test.h"

#define FIRST_US INT64_C(-62135596800000000)
#define LAST_US  INT64_C(253402300799999999)

START_TEST(malformed_is_refused)
{
    static const char *const malformed[] = {
        "",
        "infinity",
        "-infinity",
        "2026",
        "2026-01-31",
        "2026-01-31T12:34",
        "2026-01-31 12:34:56 BC",
        "2026-01-31 12:34:56+00 BC",
        "12026-01-31 12:34:56+00",
        "0000-01-01T00:00:00Z",
        "226-01-31T12:34:56Z",
        "2026-00-31T12:34:56Z",
        "2026-13-01T12:34:56Z",
        "2026-01-00T12:34:56Z",
        "2026-01-32T12:34:56Z",
        "2026-04-31T12:34:56Z",
        "2026-02-29T12:34:56Z",
        "2100-02-29T12:34:56Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:34:61Z",
        "2026-01-31T12:34:60Z",
        "2026-06-30T23:59:60.5+01:00",
        "2026-01-31T12:34:56.Z",
        "2026-01-31T12:34:56,5Z",
        "2026-01-31_12:34:56Z",
        "2026-01-31T12:34:56 Z",
        "2026-01-31T12:34:56Zx",
        "2026-01-31T12:34:56ZZ",
        "2026-01-31T12:34:56+",
        "2026-01-31T12:34:56+1",
        "2026-01-31T12:34:56+123",
        "2026-01-31T12:34:56+12:",
        "2026-01-31T12:34:56+12:3",
        "2026-01-31T12:34:56+12345",
        "2026-01-31T12:34:56+12:34:5",
        "2026-01-31T12:34:56+12:34:60",
        "2026-01-31T12:34:56+24:00",
        "2026-01-31T12:34:56+12:60",
        "2026-01-31T12:34:56+00:00Z",
        " 2026-01-31T12:34:56Z",
        "2026-01-31T12:34:56Z ",
        "+2026-01-31T12:34:56Z",
        "2026/01/31 12:34:56",
        "2026-1-31T12:34:56Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59.999999-00:01",
    };
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        int64_t us = 7;
        ck_assert_msg(!clock_parse(bytes_str(malformed[i]), &us), "\"%s\"", malformed[i]);
        ck_assert_msg(us == 7, "\"%s\" was written", malformed[i]);
    }
    int64_t us = 7;
    ck_assert(!clock_parse(BYTES_ABSENT, &us));
}
END_TEST

START_TEST(every_shape_of_an_offset)
{
    static const struct {
        const char *text;
        int64_t us;
    } pairs[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01 00:00:00", 0},
        {"1970-01-01T00:00:00", 0},
        {"1970-01-01 00:00:00+00", 0},
        {"1970-01-01 00:00:00-00:00", 0},
        {"1970-01-01 00:00:01.5+00", 1500000},
        {"1970-01-01 02:00:00+02", 0},
        {"1970-01-01 05:30:00+0530", 0},
        {"1970-01-01T05:30:00+05:30", 0},
        {"1969-12-31 16:00:00-08", 0},
        {"1970-01-01 00:19:32+00:19:32", 0},
        {"1969-12-31 23:59:59.999999+00", -1},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"1970-01-01T00:00:00.0000019Z", 1},
        {"1970-01-01T00:00:00.1234567890123456789012345Z", 123456},
        {"2000-01-01 00:00:00+00", CLOCK_PG_EPOCH_US},
        {"2026-01-31 12:34:56.123456+00", INT64_C(1769862896123456)},
        {"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"2017-01-01T00:59:60+01:00", INT64_C(1483228800000000)},
        {"0001-01-01 00:00:00+00", FIRST_US},
        {"9999-12-31 23:59:59.999999+00", LAST_US},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        int64_t us = 7;
        ck_assert_msg(clock_parse(bytes_str(pairs[i].text), &us), "\"%s\"", pairs[i].text);
        ck_assert_msg(us == pairs[i].us, "\"%s\": %jd", pairs[i].text, (intmax_t)us);
    }
}
END_TEST

START_TEST(text_of_a_time)
{
    static const struct {
        int64_t us;
        const char *text;
    } pairs[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {-1000000, "1969-12-31T23:59:59Z"},
        {INT64_C(1769862896123456), "2026-01-31T12:34:56.123456Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00Z"},
        {INT64_C(1769862896100000), "2026-01-31T12:34:56.100000Z"},
        {FIRST_US, "0001-01-01T00:00:00Z"},
        {FIRST_US - 1, "0001-01-01T00:00:00Z"},
        {INT64_MIN, "0001-01-01T00:00:00Z"},
        {LAST_US, "9999-12-31T23:59:59.999999Z"},
        {LAST_US + 1, "9999-12-31T23:59:59.999999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        ck_assert_str_eq(clock_format(pairs[i].us).text, pairs[i].text);
    }
}
END_TEST

/* Against the calendar of libc, and back again. Steps of 13 days meet every day of the 400 years
 * after which the calendar repeats, because 13 does not divide their 146,097 days. */
START_TEST(days_agree_with_libc)
{
    const int64_t day_us = INT64_C(86400) * US_PER_S;
    for (int64_t us = FIRST_US; us <= LAST_US; us += 13 * day_us) {
        time_t seconds = (time_t)(us / US_PER_S);
        struct tm parts;
        ck_assert_ptr_nonnull(gmtime_r(&seconds, &parts));
        char expected[CLOCK_RFC3339_MAX * 2];
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT00:00:00Z", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday);
        struct clock_text text = clock_format(us);
        int64_t back = us + 1;
        if (strcmp(text.text, expected) != 0 || !clock_parse(bytes_str(text.text), &back) ||
            back != us) {
            ck_abort_msg("%s is not %s, or %jd is not %jd", text.text, expected, (intmax_t)back,
                         (intmax_t)us);
        }
    }
}
END_TEST

/* Instants all over the years, at no regular distance. */
static int64_t some_instant(uint64_t number)
{
    uint64_t mixed = (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
    mixed ^= mixed >> 29;
    mixed *= UINT64_C(0xBF58476D1CE4E5B9);
    mixed ^= mixed >> 32;
    int64_t us = FIRST_US + (int64_t)(mixed % (uint64_t)(LAST_US - FIRST_US + 1));
    /* Every fourth is a whole second, which is written shorter. */
    return number % 4 == 0 ? us / US_PER_S * US_PER_S : us;
}

/* Every part of a text, and both ways that it is read, against libc. */
START_TEST(instants_agree_with_libc)
{
    for (uint64_t number = 0; number < 200000; number++) {
        int64_t us = some_instant(number);
        int64_t fraction = (us - FIRST_US) % US_PER_S;
        time_t seconds = (time_t)((us - fraction) / US_PER_S);
        struct tm parts;
        char whole[64];
        char expected[96];
        char postgresql[96];
        ck_assert_ptr_nonnull(gmtime_r(&seconds, &parts));
        snprintf(whole, sizeof(whole), "%04d-%02d-%02dT%02d:%02d:%02d", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
        if (fraction == 0)
            snprintf(expected, sizeof(expected), "%sZ", whole);
        else
            snprintf(expected, sizeof(expected), "%s.%06dZ", whole, (int)fraction);
        snprintf(postgresql, sizeof(postgresql), "%s.%06d+00", whole, (int)fraction);
        postgresql[10] = ' ';
        int64_t back = us + 1;
        int64_t read = us + 1;
        bool parsed = clock_parse(bytes_str(expected), &back) &&
                      clock_parse(bytes_str(postgresql), &read) && back == us && read == us;
        if (!parsed || strcmp(clock_format(us).text, expected) != 0)
            ck_abort_msg("%s is not %s", clock_format(us).text, expected);
    }
}
END_TEST

/* PostgreSQL's own form is read by a way of its own: a byte that is wrong is found there too. */
START_TEST(every_byte_of_the_usual_form_counts)
{
    static const char usual[] = "2024-02-29 12:34:56.123456+00";
    static const char wrong[] = "/:;aZ -+.\x80";
    int64_t good = 0;
    ck_assert(clock_parse(bytes_str(usual), &good));
    for (size_t at = 0; at < sizeof(usual) - 1; at++) {
        for (size_t i = 0; i < sizeof(wrong); i++) {
            char text[sizeof(usual)];
            memcpy(text, usual, sizeof(text));
            if (text[at] == wrong[i] || (at == 26 && wrong[i] == '-'))
                continue;
            text[at] = wrong[i];
            int64_t us = good;
            bool refused = !clock_parse(bytes_make(text, sizeof(text) - 1), &us);
            ck_assert_msg(refused && us == good, "byte %zu: 0x%02X", at, (unsigned char)wrong[i]);
        }
    }
    int64_t us = 7;
    ck_assert(!clock_parse(bytes_str("2023-02-29 12:34:56.123456+00"), &us));
    ck_assert(!clock_parse(bytes_str("2024-02-29 12:34:60.123456+00"), &us));
    ck_assert(!clock_parse(bytes_str("2024-02-29 24:00:00.000000+00"), &us));
    ck_assert(!clock_parse(bytes_str("2024-02-29 12:60:00.000000+00"), &us));
    ck_assert(!clock_parse(bytes_str("0000-02-29 12:34:56.123456+00"), &us));
    ck_assert_int_eq(us, 7);
    ck_assert(clock_parse(bytes_str("2024-02-29 12:34:56.123456+01"), &us));
    ck_assert_int_eq(us, good - 3600 * US_PER_S);
}
END_TEST

START_TEST(postgresql_epoch_saturates)
{
    ck_assert_int_eq(clock_from_pg(0), CLOCK_PG_EPOCH_US);
    ck_assert_int_eq(clock_to_pg(0), -CLOCK_PG_EPOCH_US);
    ck_assert_int_eq(clock_to_pg(clock_from_pg(-5)), -5);
    ck_assert_int_eq(clock_from_pg(INT64_MAX), INT64_MAX);
    ck_assert_int_eq(clock_from_pg(INT64_MAX - CLOCK_PG_EPOCH_US + 1), INT64_MAX);
    ck_assert_int_eq(clock_from_pg(INT64_MIN), INT64_MIN + CLOCK_PG_EPOCH_US);
    ck_assert_int_eq(clock_to_pg(INT64_MIN), INT64_MIN);
    ck_assert_int_eq(clock_to_pg(INT64_MIN + CLOCK_PG_EPOCH_US - 1), INT64_MIN);
    ck_assert_int_eq(clock_to_pg(INT64_MAX), INT64_MAX - CLOCK_PG_EPOCH_US);
}
END_TEST

START_TEST(clocks_are_those_of_the_system)
{
    uint64_t first = clock_mono_ns();
    ck_assert_uint_ge(clock_mono_ns(), first);
    int64_t before = (int64_t)time(NULL);
    int64_t wall = clock_wall_us();
    /* The wall clock may be set meanwhile; a day tells seconds from other units all the same. */
    ck_assert_int_gt(wall / US_PER_S, before - 86400);
    ck_assert_int_lt(wall / US_PER_S, before + 86400);
}
END_TEST

static Suite *suite_of_clock(void)
{
    Suite *suite = suite_create("clock");
    TCase *tcase = tcase_create("clock");
    /* The walk over the days takes long under instrumentation. */
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, malformed_is_refused);
    tcase_add_test(tcase, every_shape_of_an_offset);
    tcase_add_test(tcase, text_of_a_time);
    tcase_add_test(tcase, days_agree_with_libc);
    tcase_add_test(tcase, instants_agree_with_libc);
    tcase_add_test(tcase, every_byte_of_the_usual_form_counts);
    tcase_add_test(tcase, postgresql_epoch_saturates);
    tcase_add_test(tcase, clocks_are_those_of_the_system);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_clock())
