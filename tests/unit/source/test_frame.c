/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include "../test.h"
#include "walferry/base/clock.h"

static struct buf buf;
static struct err err;

static void setup(void)
{
    buf_init(&buf, 4096);
    err = ERR_INIT;
}

static void teardown(void)
{
    buf_deinit(&buf);
}

static void put_data(const char *payload)
{
    buf_put_u8(&buf, 'w');
    buf_put_u64(&buf, 1);
    buf_put_u64(&buf, 2);
    buf_put_u64(&buf, 3);
    buf_put_str(&buf, payload);
}

static void put_keepalive(uint8_t reply)
{
    buf_put_u8(&buf, 'k');
    buf_put_u64(&buf, 9);
    buf_put_u64(&buf, 0);
    buf_put_u8(&buf, reply);
}

START_TEST(data)
{
    struct frame frame;
    put_data("B...");
    ck_assert(frame_parse(buf_bytes(&buf), &frame, &err));
    ck_assert_int_eq((int)frame.kind, FRAME_DATA);
    ck_assert_uint_eq(frame.wal_end.value, 2);
    ck_assert_int_eq(frame.sent_at_us, CLOCK_PG_EPOCH_US + 3);
    ck_assert_bytes(frame.data, "B...");
}
END_TEST

START_TEST(keepalive)
{
    struct frame frame;
    put_keepalive(1);
    ck_assert(frame_parse(buf_bytes(&buf), &frame, &err));
    ck_assert_int_eq((int)frame.kind, FRAME_KEEPALIVE);
    ck_assert_uint_eq(frame.wal_end.value, 9);
    ck_assert(frame.reply);
    ck_assert(!bytes_present(frame.data));
}
END_TEST

static void malformed(struct bytes bytes)
{
    struct frame frame = {.wal_end = lsn_make(77)};
    err = ERR_INIT;
    ck_assert_msg(!frame_parse(bytes, &frame, &err), "%zu bytes were accepted", bytes.len);
    ck_assert_int_eq((int)err.code, ERR_PROTOCOL);
    ck_assert_uint_eq(frame.wal_end.value, 77);
}

START_TEST(cut_at_every_byte)
{
    put_data("B");
    for (size_t len = 0; len < buf.len; len++) {
        malformed(bytes_make(buf.ptr, len));
    }
    buf_reset(&buf);
    put_keepalive(0);
    for (size_t len = 0; len < buf.len; len++) {
        malformed(bytes_make(buf.ptr, len));
    }
}
END_TEST

START_TEST(too_long_or_unknown)
{
    put_keepalive(0);
    buf_put_u8(&buf, 0);
    malformed(buf_bytes(&buf));
    buf_reset(&buf);
    buf_put_str(&buf, "xxxxxxxxxxxxxxxxxx");
    malformed(buf_bytes(&buf));
}
END_TEST

static void command_is(struct start_command command, const char *expected)
{
    buf_reset(&buf);
    start_command_write(&command, &buf);
    ck_assert(buf_ok(&buf));
    ck_assert_str_eq(buf_cstr(&buf), expected);
}

START_TEST(start_command)
{
    command_is((struct start_command){"s", lsn_make(0x16B374D848), "p"},
               "START_REPLICATION SLOT \"s\" LOGICAL 16/B374D848 (\"proto_version\" '1', "
               "\"publication_names\" '\"p\"', \"messages\" 'true')");
}
END_TEST

START_TEST(names_are_quoted_twice)
{
    command_is((struct start_command){"s\"t", lsn_make(1), "My \"Pub's\" \\"},
               "START_REPLICATION SLOT \"s\"\"t\" LOGICAL 0/1 (\"proto_version\" '1', "
               "\"publication_names\" '\"My \"\"Pub''s\"\" \\\"', \"messages\" 'true')");
}
END_TEST

static void fork_is(const char *history, uint32_t timeline, uint64_t expected)
{
    struct lsn end = lsn_make(77);
    ck_assert(history_find(bytes_str(history), timeline, &end, &err));
    ck_assert_uint_eq(end.value, expected);
}

START_TEST(history)
{
    static const char TEXT[] = "1\t0/90671F0\tno recovery target specified\n"
                               "# a comment\n\n"
                               "2\t1/2\tbefore 2026-01-01\n";
    fork_is(TEXT, 1, 0x90671F0);
    fork_is(TEXT, 2, 0x100000002);
    fork_is(TEXT, 3, 0);
    fork_is("", 1, 0);
    fork_is("4 0/5", 4, 5);
}
END_TEST

START_TEST(history_malformed)
{
    static const char *const TEXTS[] = {"1",        "1\t",       "1\tx\n",
                                        "x\t0/1\n", "-1\t0/1\n", "1\t0/1/2\n"};
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        struct lsn end = lsn_make(77);
        ck_assert_msg(!history_find(bytes_str(TEXTS[i]), 1, &end, &err), "\"%s\"", TEXTS[i]);
        ck_assert_int_eq((int)err.code, ERR_PROTOCOL);
        ck_assert_uint_eq(end.value, 77);
    }
}
END_TEST

static Suite *frame_suite(void)
{
    const TTest *const tests[] = {data,
                                  keepalive,
                                  cut_at_every_byte,
                                  start_command,
                                  names_are_quoted_twice,
                                  too_long_or_unknown,
                                  history,
                                  history_malformed};
    Suite *suite = suite_create("frame");
    TCase *tcase = tcase_create("frame");
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(frame_suite())
