/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <stdio.h>

#include "test.h"

START_TEST(a_full_table_takes_no_more)
{
    struct names names;
    struct err err;
    ck_assert(names_init(&names, 2, &err));
    ck_assert_uint_eq(names_find(&names, BYTES_LIT("a")), NAMES_NONE);
    ck_assert_uint_eq(names_add(&names, BYTES_LIT("a")), 0);
    ck_assert_uint_eq(names_add(&names, BYTES_LIT("b")), 1);
    ck_assert_uint_eq(names_add(&names, BYTES_LIT("c")), NAMES_NONE);
    ck_assert_uint_eq(names_find(&names, BYTES_LIT("c")), NAMES_NONE);
    ck_assert_uint_eq(names_find(&names, BYTES_LIT("b")), 1);
    names_deinit(&names);
}
END_TEST

START_TEST(a_thousand_names_keep_their_numbers)
{
    struct names names;
    struct err err;
    ck_assert(names_init(&names, 1000, &err));
    char text[32];
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "topic-%u", i);
        ck_assert_uint_eq(names_add(&names, bytes_str(text)), i);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "topic-%u", i);
        ck_assert_uint_eq(names_find(&names, bytes_str(text)), i);
        ck_assert_str_eq(names_text(&names, i), text);
    }
    names_deinit(&names);
}
END_TEST

START_TEST(a_replaced_name_is_gone_and_the_others_stay)
{
    struct names names;
    struct err err;
    ck_assert(names_init(&names, 100, &err));
    char text[32];
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "t%u", i);
        ck_assert_uint_eq(names_add(&names, bytes_str(text)), i);
    }
    names_replace(&names, 41, BYTES_LIT("other"));
    ck_assert_uint_eq(names_find(&names, BYTES_LIT("t41")), NAMES_NONE);
    ck_assert_uint_eq(names_find(&names, BYTES_LIT("other")), 41);
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "t%u", i);
        ck_assert_uint_eq(names_find(&names, bytes_str(text)), i == 41 ? NAMES_NONE : i);
    }
    names_deinit(&names);
}
END_TEST

static Suite *suite_of_names(void)
{
    Suite *suite = suite_create("sink/names");
    TCase *tests = tcase_create("names");
    tcase_add_test(tests, a_full_table_takes_no_more);
    tcase_add_test(tests, a_thousand_names_keep_their_numbers);
    tcase_add_test(tests, a_replaced_name_is_gone_and_the_others_stay);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_names())
