/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/relay/careful.h"

#include "test.h"
#include "walferry/base/clock.h"

static struct careful careful;

static void setup(void)
{
    careful = (struct careful){0};
}

/* Behind the row of this number; rows count from 0. */
static struct cursor behind(uint32_t row)
{
    return (struct cursor){.commit_lsn = lsn_make(7), .ordinal = row + 1};
}

static struct cursor at(uint32_t row)
{
    return (struct cursor){.commit_lsn = lsn_make(7), .ordinal = row};
}

static bool refuse(uint32_t row, uint32_t newest, bool dead_letter)
{
    const struct flight flight = {.after = behind(row), .dead_letter = dead_letter};
    return careful_refused(&careful, &flight, behind(newest), "INVALID_RECORD");
}

static void deliver(uint32_t row)
{
    const struct flight flight = {.after = behind(row)};
    careful_delivered(&careful, &flight);
}

START_TEST(a_refused_batch_accuses_nobody)
{
    ck_assert(refuse(3, 9, false));
    ck_assert(careful.on);
    for (uint32_t row = 0; row < 10; row++) {
        ck_assert_ptr_null(careful_rejected(&careful, at(row)));
        ck_assert_uint_eq(careful_letter_max(&careful, at(row), 100000), 100000);
    }
}
END_TEST

START_TEST(what_fails_alone_and_twice_is_rejected)
{
    ck_assert(refuse(3, 9, false));
    deliver(3);
    ck_assert(refuse(4, 4, false));
    ck_assert_ptr_null(careful_rejected(&careful, at(4)));
    ck_assert(refuse(4, 4, false));
    ck_assert_str_eq(careful_rejected(&careful, at(4)), "INVALID_RECORD");
    ck_assert_ptr_null(careful_rejected(&careful, at(3)));
    ck_assert_ptr_null(careful_rejected(&careful, at(5)));
}
END_TEST

START_TEST(another_one_begins_to_count_anew)
{
    ck_assert(refuse(3, 9, false));
    ck_assert(refuse(4, 4, false));
    ck_assert(refuse(5, 5, false));
    ck_assert_ptr_null(careful_rejected(&careful, at(4)));
    ck_assert_ptr_null(careful_rejected(&careful, at(5)));
    ck_assert(refuse(5, 5, false));
    ck_assert_ptr_nonnull(careful_rejected(&careful, at(5)));
}
END_TEST

START_TEST(it_ends_when_the_place_is_passed)
{
    ck_assert(refuse(3, 9, false));
    deliver(8);
    ck_assert(careful.on);
    deliver(9);
    ck_assert(!careful.on);
}
END_TEST

START_TEST(the_later_place_counts)
{
    careful_until(&careful, behind(5));
    careful_until(&careful, behind(2));
    deliver(4);
    ck_assert(careful.on);
    careful_until(&careful, behind(8));
    deliver(5);
    ck_assert(careful.on);
    deliver(8);
    ck_assert(!careful.on);
}
END_TEST

/* A place of a later transaction is later, whatever its ordinal. */
START_TEST(transactions_order_places)
{
    careful_until(&careful, behind(5));
    careful_delivered(&careful,
                      &(const struct flight){.after = {.commit_lsn = lsn_make(6), .ordinal = 90}});
    ck_assert(careful.on);
    careful_delivered(&careful,
                      &(const struct flight){.after = {.commit_lsn = lsn_make(8), .ordinal = 1}});
    ck_assert(!careful.on);
}
END_TEST

START_TEST(a_refused_letter_is_made_small_once)
{
    ck_assert(refuse(3, 3, false));
    ck_assert(refuse(3, 3, false));
    ck_assert(refuse(3, 3, false));
    ck_assert_uint_eq(careful_letter_max(&careful, at(3), 100000), 100000);
    ck_assert(refuse(3, 3, true));
    ck_assert_uint_eq(careful_letter_max(&careful, at(3), 100000), 1024);
    ck_assert_uint_eq(careful_letter_max(&careful, at(3), 100), 100);
    ck_assert_uint_eq(careful_letter_max(&careful, at(4), 100000), 100000);
    ck_assert(!refuse(3, 3, true));
}
END_TEST

START_TEST(pauses_double_up_to_half_a_minute)
{
    ck_assert_uint_eq(careful_pause_ns(0), 100 * NS_PER_MS);
    ck_assert_uint_eq(careful_pause_ns(1), 200 * NS_PER_MS);
    ck_assert_uint_eq(careful_pause_ns(8), 25600 * NS_PER_MS);
    ck_assert_uint_eq(careful_pause_ns(9), 30 * NS_PER_S);
    ck_assert_uint_eq(careful_pause_ns(1000000), 30 * NS_PER_S);
}
END_TEST

static Suite *suite_of_careful(void)
{
    Suite *suite = suite_create("careful");
    TCase *tcase = tcase_create("careful");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, a_refused_batch_accuses_nobody);
    tcase_add_test(tcase, what_fails_alone_and_twice_is_rejected);
    tcase_add_test(tcase, another_one_begins_to_count_anew);
    tcase_add_test(tcase, it_ends_when_the_place_is_passed);
    tcase_add_test(tcase, the_later_place_counts);
    tcase_add_test(tcase, transactions_order_places);
    tcase_add_test(tcase, a_refused_letter_is_made_small_once);
    tcase_add_test(tcase, pauses_double_up_to_half_a_minute);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_careful())
