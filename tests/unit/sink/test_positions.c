/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/positions.h"

#include <stdio.h>

#include "test.h"

#define OWN "orders/7/slot"

static struct positions positions;

static void setup(void)
{
    positions_init(&positions, OWN);
}

static void teardown(void)
{
    positions_deinit(&positions);
}

static void add(const char *key, const char *value)
{
    ck_assert(positions_add(&positions, bytes_str(key), bytes_str(value)));
}

static void expect(const char *value)
{
    struct bytes found = positions_pick(&positions);
    ck_assert_msg(bytes_equal(found, bytes_str(value)), "\"%.*s\"", BYTES_FMT(found));
}

START_TEST(nothing_is_absent)
{
    expect(NULL);
    add("payments/7/slot", "a");
    add("orders2/7/slot", "b");
    add("orders", "c");
    add("", "d");
    add(NULL, "e");
    expect(NULL);
}
END_TEST

START_TEST(the_newest_of_the_own_key_counts)
{
    add(OWN, "a");
    add(OWN, "b");
    add("orders/7/slot2", "other");
    expect("b");
    add(OWN, "");
    expect("");
}
END_TEST

START_TEST(without_it_the_newest_of_the_pipeline_counts)
{
    add("orders/1/a", "first");
    add("orders/2/a", "second");
    add("orders/1/a", "third");
    expect("third");
    add(OWN, "own");
    expect("own");
}
END_TEST

START_TEST(a_tombstone_takes_its_key_away)
{
    add("orders/1/a", "a");
    add("orders/2/a", "b");
    add(OWN, "own");
    add(OWN, NULL);
    expect("b");
    add("orders/2/a", NULL);
    add("orders/3/a", NULL);
    expect("a");
    add("orders/1/a", NULL);
    expect(NULL);
    add("orders/1/a", "again");
    expect("again");
}
END_TEST

START_TEST(only_the_newest_others_are_kept)
{
    char key[32];
    for (int i = 0; i < 3 * POSITIONS_OTHERS; i++) {
        snprintf(key, sizeof(key), "orders/%d/a", i);
        add(key, key);
    }
    for (int i = 3 * POSITIONS_OTHERS - 1; i >= 2 * POSITIONS_OTHERS; i--) {
        snprintf(key, sizeof(key), "orders/%d/a", i);
        expect(key);
        add(key, NULL);
    }
    expect(NULL);
}
END_TEST

START_TEST(a_key_that_is_too_long_is_nobodys)
{
    char key[POSITIONS_KEY_MAX + 2] = "orders/";
    memset(key + 7, 'x', POSITIONS_KEY_MAX - 7);
    add(key, "fits");
    expect("fits");
    add(key, NULL);
    key[POSITIONS_KEY_MAX] = 'x';
    add(key, "too long");
    expect(NULL);
}
END_TEST

static Suite *suite_of_positions(void)
{
    Suite *suite = suite_create("sink/positions");
    TCase *tests = tcase_create("positions");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, nothing_is_absent);
    tcase_add_test(tests, the_newest_of_the_own_key_counts);
    tcase_add_test(tests, without_it_the_newest_of_the_pipeline_counts);
    tcase_add_test(tests, a_tombstone_takes_its_key_away);
    tcase_add_test(tests, only_the_newest_others_are_kept);
    tcase_add_test(tests, a_key_that_is_too_long_is_nobodys);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_positions())
