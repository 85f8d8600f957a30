/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/stage.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static struct stage stage;
static struct record record;
static struct record found;
static uint32_t topic;
static uint64_t tag;

static void setup(void)
{
    stage = (struct stage){0};
    record = (struct record){
        .placement = {.topic = BYTES_LIT("orders"), .partition = -1, .key = BYTES_LIT("k")},
        .value = BYTES_LIT("value"),
        .timestamp_ms = 1700000000123,
        .header_count = 2,
        .headers = {{BYTES_LIT("a"), BYTES_LIT("one")}, {BYTES_LIT("bb"), BYTES_ABSENT}}};
}

static void teardown(void)
{
    stage_deinit(&stage);
}

static void put(uint64_t number)
{
    ck_assert(stage_put(&stage, &record, (uint32_t)number + 1, number));
}

static void expect_same(void)
{
    ck_assert(!bytes_present(found.placement.topic));
    ck_assert_int_eq(found.placement.partition, -1);
    ck_assert(bytes_equal(found.placement.key, record.placement.key));
    ck_assert_int_eq(bytes_present(found.placement.key), bytes_present(record.placement.key));
    ck_assert(bytes_equal(found.value, record.value));
    ck_assert_int_eq(bytes_present(found.value), bytes_present(record.value));
    ck_assert_int_eq(found.timestamp_ms, record.timestamp_ms);
    ck_assert_uint_eq(found.header_count, record.header_count);
    for (size_t i = 0; i < record.header_count; i++) {
        ck_assert(bytes_equal(found.headers[i].name, record.headers[i].name));
        ck_assert(bytes_equal(found.headers[i].value, record.headers[i].value));
        ck_assert_int_eq(bytes_present(found.headers[i].value),
                         bytes_present(record.headers[i].value));
    }
}

START_TEST(an_empty_stage_has_nothing)
{
    ck_assert(!stage_get(&stage, &found, &topic, &tag));
    stage_clear(&stage);
    ck_assert_uint_eq(stage.count, 0);
}
END_TEST

START_TEST(a_record_comes_back_as_it_was)
{
    put(7);
    ck_assert(stage_get(&stage, &found, &topic, &tag));
    expect_same();
    ck_assert_uint_eq(topic, 8);
    ck_assert_uint_eq(tag, 7);
    stage_pop(&stage);
    ck_assert(!stage_get(&stage, &found, &topic, &tag));
}
END_TEST

START_TEST(it_is_a_copy)
{
    char value[] = "before";
    record.value = bytes_str(value);
    put(1);
    memcpy(value, "after!", 6);
    ck_assert(stage_get(&stage, &found, &topic, &tag));
    ck_assert(bytes_is(found.value, "before"));
}
END_TEST

START_TEST(absent_is_not_empty)
{
    record.placement.key = BYTES_ABSENT;
    record.value = BYTES_ABSENT;
    put(1);
    record.placement.key = bytes_make("", 0);
    record.value = bytes_make("", 0);
    record.header_count = 0;
    put(2);
    ck_assert(stage_get(&stage, &found, &topic, &tag));
    ck_assert(!bytes_present(found.placement.key) && !bytes_present(found.value));
    stage_pop(&stage);
    ck_assert(stage_get(&stage, &found, &topic, &tag));
    expect_same();
}
END_TEST

/* Many pieces, records larger than one among them, put and taken in turn. */
START_TEST(they_come_in_order)
{
    static uint8_t large[(size_t)600 << 10];
    uint64_t in = 0;
    uint64_t out = 0;
    memset(large, 'x', sizeof(large));
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 50; i++, in++) {
            record.value = bytes_make(large, in % 97 == 0 ? sizeof(large) : in * 131 % 9000);
            put(in);
        }
        for (unsigned i = 0; i < 45; i++, out++) {
            ck_assert(stage_get(&stage, &found, &topic, &tag));
            ck_assert_uint_eq(tag, out);
            ck_assert_uint_eq(found.value.len, out % 97 == 0 ? sizeof(large) : out * 131 % 9000);
            stage_pop(&stage);
        }
        ck_assert_uint_eq(stage.count, in - out);
    }
    for (; out < in; out++) {
        ck_assert(stage_get(&stage, &found, &topic, &tag));
        ck_assert_uint_eq(tag, out);
        stage_pop(&stage);
    }
    ck_assert_uint_eq(stage.count, 0);
}
END_TEST

START_TEST(what_is_cleared_does_not_come_back)
{
    for (uint64_t i = 0; i < 5000; i++)
        put(i);
    stage_clear(&stage);
    ck_assert(!stage_get(&stage, &found, &topic, &tag));
    put(9000);
    ck_assert(stage_get(&stage, &found, &topic, &tag));
    ck_assert_uint_eq(tag, 9000);
    expect_same();
}
END_TEST

static Suite *suite_of_stage(void)
{
    Suite *suite = suite_create("sink/stage");
    TCase *tests = tcase_create("stage");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_empty_stage_has_nothing);
    tcase_add_test(tests, a_record_comes_back_as_it_was);
    tcase_add_test(tests, it_is_a_copy);
    tcase_add_test(tests, absent_is_not_empty);
    tcase_add_test(tests, they_come_in_order);
    tcase_add_test(tests, what_is_cleared_does_not_come_back);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_stage())
