/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/lsn.h"

#include "test.h"

START_TEST(malformed_is_refused)
{
    static const char *const malformed[] = {
        "",     "/",     "0",    "0/",   "/0",    "0//0",        "0/0/0",       " 0/0",
        "0/0 ", "0 /0",  "-1/0", "0/-1", "0x1/0", "123456789/0", "0/123456789", "G/0",
        "0/g",  "0/0\n", "+1/0", "0\\0", "0/0.",  "000000000/0",
    };
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        struct lsn lsn = lsn_make(7);
        ck_assert_msg(!lsn_parse(bytes_str(malformed[i]), &lsn), "\"%s\"", malformed[i]);
        ck_assert_msg(lsn.value == 7, "\"%s\" was written", malformed[i]);
    }
    struct lsn lsn = lsn_make(7);
    ck_assert(!lsn_parse(BYTES_ABSENT, &lsn));
    ck_assert(!lsn_parse(BYTES_LIT("0/0\0"), &lsn));
}
END_TEST

START_TEST(text_and_value)
{
    static const struct {
        const char *text;
        uint64_t value;
    } pairs[] = {
        {"0/0", 0},
        {"0/1", 1},
        {"16/B374D848", UINT64_C(0x16B374D848)},
        {"1/0", UINT64_C(0x100000000)},
        {"FFFFFFFF/FFFFFFFF", UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct lsn lsn = lsn_make(7);
        ck_assert_msg(lsn_parse(bytes_str(pairs[i].text), &lsn), "%s", pairs[i].text);
        ck_assert_uint_eq(lsn.value, pairs[i].value);
        ck_assert_str_eq(lsn_format(lsn_make(pairs[i].value)).text, pairs[i].text);
    }
}
END_TEST

START_TEST(lower_case_and_leading_zeros)
{
    struct lsn lsn = LSN_NONE;
    ck_assert(lsn_parse(BYTES_LIT("0000abcd/00000eF0"), &lsn));
    ck_assert_uint_eq(lsn.value, UINT64_C(0xABCD00000EF0));
}
END_TEST

START_TEST(order_and_distance)
{
    struct lsn low = lsn_make(1);
    struct lsn high = lsn_make(UINT64_MAX);
    ck_assert_int_lt(lsn_cmp(low, high), 0);
    ck_assert_int_gt(lsn_cmp(high, low), 0);
    ck_assert_int_eq(lsn_cmp(high, high), 0);
    ck_assert_uint_eq(lsn_max(low, high).value, high.value);
    ck_assert_uint_eq(lsn_max(high, low).value, high.value);
    ck_assert_uint_eq(lsn_distance(low, high), UINT64_MAX - 1);
    ck_assert_uint_eq(lsn_distance(high, low), 0);
    ck_assert_uint_eq(lsn_distance(low, low), 0);
    ck_assert(lsn_is_none(LSN_NONE));
    ck_assert(!lsn_is_none(low));
}
END_TEST

static Suite *suite_of_lsn(void)
{
    Suite *suite = suite_create("lsn");
    TCase *tcase = tcase_create("lsn");
    tcase_add_test(tcase, malformed_is_refused);
    tcase_add_test(tcase, text_and_value);
    tcase_add_test(tcase, lower_case_and_leading_zeros);
    tcase_add_test(tcase, order_and_distance);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_lsn())
