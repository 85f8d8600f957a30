/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

#include "../test.h"
#include "walferry/base/clock.h"

START_TEST(grows_to_thirty_seconds)
{
    struct backoff backoff;
    backoff_init(&backoff, 1);
    uint64_t span = 100 * NS_PER_MS;
    for (unsigned i = 0; i < 50; i++) {
        uint64_t wait = backoff_next_ns(&backoff);
        ck_assert_uint_ge(wait, span / 2);
        ck_assert_uint_le(wait, span);
        span = span * 2 < 30 * NS_PER_S ? span * 2 : 30 * NS_PER_S;
    }
}
END_TEST

START_TEST(reset_begins_anew)
{
    struct backoff backoff;
    backoff_init(&backoff, 2);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_uint_gt(backoff_next_ns(&backoff), 0);
    }
    backoff_reset(&backoff);
    ck_assert_uint_le(backoff_next_ns(&backoff), 100 * NS_PER_MS);
}
END_TEST

START_TEST(seeds_differ)
{
    struct backoff a;
    struct backoff b;
    struct backoff same;
    backoff_init(&a, 0);
    backoff_init(&b, 1);
    backoff_init(&same, 0);
    unsigned equal = 0;
    for (unsigned i = 0; i < 30; i++) {
        uint64_t wait = backoff_next_ns(&a);
        ck_assert_uint_eq(wait, backoff_next_ns(&same));
        equal += wait == backoff_next_ns(&b);
    }
    ck_assert_uint_lt(equal, 3);
}
END_TEST

static Suite *backoff_suite(void)
{
    Suite *suite = suite_create("backoff");
    TCase *tcase = tcase_create("backoff");
    tcase_add_test(tcase, grows_to_thirty_seconds);
    tcase_add_test(tcase, reset_begins_anew);
    tcase_add_test(tcase, seeds_differ);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(backoff_suite())
