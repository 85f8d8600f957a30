/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/model/record.h"

#include "test.h"

/* What an empty record costs: the constant. */
static uint64_t bare_cost(void)
{
    static const struct record bare = {0};
    return record_cost(&bare);
}

START_TEST(a_bare_record_costs_the_book_keeping)
{
    ck_assert_uint_eq(bare_cost(), 512);
}
END_TEST

START_TEST(value_key_and_topic_cost_their_bytes)
{
    struct record record = {0};
    record.value = BYTES_LIT("12345");
    ck_assert_uint_eq(record_cost(&record), bare_cost() + 5);
    record.placement.key = BYTES_LIT("123");
    ck_assert_uint_eq(record_cost(&record), bare_cost() + 8);
    record.placement.topic = BYTES_LIT("1234567");
    ck_assert_uint_eq(record_cost(&record), bare_cost() + 15);
}
END_TEST

START_TEST(headers_cost_names_and_values)
{
    struct record record = {0};
    ck_assert(record_header(&record, BYTES_LIT("name"), BYTES_LIT("value")));
    ck_assert_uint_eq(record_cost(&record), bare_cost() + 64 + 9);
    ck_assert(record_header(&record, BYTES_LIT("null"), BYTES_ABSENT));
    ck_assert_uint_eq(record_cost(&record), bare_cost() + 64 + 64 + 13);
}
END_TEST

START_TEST(headers_behind_the_count_cost_nothing)
{
    struct record record = {0};
    ck_assert(record_header(&record, BYTES_LIT("name"), BYTES_LIT("value")));
    record.header_count = 0;
    ck_assert_uint_eq(record_cost(&record), bare_cost());
}
END_TEST

START_TEST(sizes_beyond_32_bits_add_up)
{
    struct record record = {0};
    record.value = bytes_make("", (size_t)1 << 33);
    ck_assert_uint_eq(record_cost(&record), bare_cost() + (UINT64_C(1) << 33));
}
END_TEST

START_TEST(headers_keep_their_order_and_absence)
{
    struct record record = {0};
    ck_assert(record_header(&record, BYTES_LIT("a"), BYTES_LIT("1")));
    ck_assert(record_header(&record, BYTES_LIT("b"), BYTES_ABSENT));
    ck_assert(record_header(&record, BYTES_LIT("a"), BYTES_LIT("")));
    ck_assert_uint_eq(record.header_count, 3);
    ck_assert_bytes(record.headers[0].name, "a");
    ck_assert_bytes(record.headers[0].value, "1");
    ck_assert_bytes(record.headers[1].name, "b");
    ck_assert(!bytes_present(record.headers[1].value));
    ck_assert(bytes_present(record.headers[2].value));
}
END_TEST

START_TEST(a_full_record_takes_no_more)
{
    struct record record = {0};
    for (size_t i = 0; i < RECORD_HEADERS_MAX; i++)
        ck_assert(record_header(&record, BYTES_LIT("n"), BYTES_LIT("v")));
    ck_assert(!record_header(&record, BYTES_LIT("one"), BYTES_LIT("more")));
    ck_assert_uint_eq(record.header_count, RECORD_HEADERS_MAX);
    ck_assert_bytes(record.headers[RECORD_HEADERS_MAX - 1].name, "n");
    ck_assert_uint_eq(record_cost(&record), bare_cost() + (uint64_t)(64 + 2) * RECORD_HEADERS_MAX);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("record");
    TCase *cost = tcase_create("cost");
    tcase_add_test(cost, a_bare_record_costs_the_book_keeping);
    tcase_add_test(cost, value_key_and_topic_cost_their_bytes);
    tcase_add_test(cost, headers_cost_names_and_values);
    tcase_add_test(cost, headers_behind_the_count_cost_nothing);
    tcase_add_test(cost, sizes_beyond_32_bits_add_up);
    suite_add_tcase(suite, cost);
    TCase *headers = tcase_create("headers");
    tcase_add_test(headers, headers_keep_their_order_and_absence);
    tcase_add_test(headers, a_full_record_takes_no_more);
    suite_add_tcase(suite, headers);
    return suite;
}

TEST_MAIN(suite())
