/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "walferry/base/buf.h"
#include "walferry/sink/sink.h"

static struct record record;
static struct buf line;

static void setup(void)
{
    record = (struct record){
        .placement = {.topic = BYTES_LIT("orders"), .partition = -1, .key = BYTES_LIT("k")},
        .value = BYTES_LIT("{}"),
        .timestamp_ms = 1700000000123};
    buf_init(&line, 1 << 20);
}

static void teardown(void)
{
    buf_deinit(&line);
}

static void add_header(struct bytes name, struct bytes value)
{
    record.headers[record.header_count++] = (struct header){name, value};
}

START_TEST(members_stand_in_a_fixed_order)
{
    add_header(BYTES_LIT("a"), BYTES_LIT("1"));
    add_header(BYTES_LIT("b"), BYTES_LIT("2"));
    record.placement.partition = 3;
    sink_render_line(&record, &line);
    ck_assert_bytes(
        buf_bytes(&line),
        "{\"topic\":\"orders\",\"partition\":3,\"key\":\"k\",\"timestamp\":1700000000123,"
        "\"headers\":{\"a\":\"1\",\"b\":\"2\"},\"value\":\"{}\"}\n");
}
END_TEST

START_TEST(absent_is_null_and_empty_is_empty)
{
    record.placement.key = BYTES_ABSENT;
    record.value = BYTES_ABSENT;
    add_header(BYTES_LIT("n"), BYTES_ABSENT);
    add_header(BYTES_LIT("e"), BYTES_LIT(""));
    sink_render_line(&record, &line);
    ck_assert_bytes(buf_bytes(&line),
                    "{\"topic\":\"orders\",\"partition\":null,\"key\":null,"
                    "\"timestamp\":1700000000123,\"headers\":{\"n\":null,\"e\":\"\"},"
                    "\"value\":null}\n");
    buf_reset(&line);
    record.header_count = 0;
    record.placement.key = BYTES_LIT("");
    record.value = BYTES_LIT("");
    sink_render_line(&record, &line);
    ck_assert_bytes(buf_bytes(&line),
                    "{\"topic\":\"orders\",\"partition\":null,\"key\":\"\","
                    "\"timestamp\":1700000000123,\"headers\":{},\"value\":\"\"}\n");
}
END_TEST

START_TEST(bytes_that_are_no_text_become_base64)
{
    record.placement.key = BYTES_LIT("\xff\x00");
    record.value = BYTES_LIT("\xc3");
    add_header(BYTES_LIT("h\"x"), BYTES_LIT("\xfe"));
    sink_render_line(&record, &line);
    ck_assert_bytes(buf_bytes(&line),
                    "{\"topic\":\"orders\",\"partition\":null,\"key_base64\":\"/wA=\","
                    "\"timestamp\":1700000000123,\"headers\":{\"h\\\"x_base64\":\"/g==\"},"
                    "\"value_base64\":\"ww==\"}\n");
}
END_TEST

START_TEST(a_value_never_breaks_the_line)
{
    record.value = BYTES_LIT("a\nb\"\\\x01");
    sink_render_line(&record, &line);
    struct bytes text = buf_bytes(&line);
    ck_assert_ptr_eq(memchr(text.ptr, '\n', text.len), text.ptr + text.len - 1);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&line), "a\\nb\\\"\\\\\\u0001"));
}
END_TEST

START_TEST(a_ceiling_fails_the_buffer)
{
    buf_deinit(&line);
    buf_init(&line, 40);
    sink_render_line(&record, &line);
    ck_assert(!buf_ok(&line));
}
END_TEST

static Suite *suite_of_line(void)
{
    Suite *suite = suite_create("sink/line");
    TCase *tests = tcase_create("line");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, members_stand_in_a_fixed_order);
    tcase_add_test(tests, absent_is_null_and_empty_is_empty);
    tcase_add_test(tests, bytes_that_are_no_text_become_base64);
    tcase_add_test(tests, a_value_never_breaks_the_line);
    tcase_add_test(tests, a_ceiling_fails_the_buffer);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_line())
