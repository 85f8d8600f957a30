/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/reader.h"

#include "test.h"

static struct reader over(struct bytes bytes)
{
    struct reader reader;
    reader_init(&reader, bytes);
    return reader;
}

/* After a failure everything gives zero or absent and nothing moves. */
static void check_stuck(struct reader *reader)
{
    const uint8_t *pos = reader->pos;
    ck_assert(reader->failed);
    ck_assert_uint_eq(reader_u8(reader), 0);
    ck_assert_uint_eq(reader_u16(reader), 0);
    ck_assert_uint_eq(reader_u32(reader), 0);
    ck_assert_uint_eq(reader_u64(reader), 0);
    ck_assert(!bytes_present(reader_take(reader, 0)));
    ck_assert(!bytes_present(reader_cstr(reader)));
    ck_assert_uint_eq(reader_left(reader), 0);
    ck_assert(!reader_done(reader));
    ck_assert_ptr_eq(reader->pos, pos);
}

START_TEST(each_read_past_the_end_fails)
{
    static const char data[] = {1, 2, 3, 4, 5, 6, 7};
    struct reader reader = over(bytes_make(data, 0));
    ck_assert_uint_eq(reader_u8(&reader), 0);
    check_stuck(&reader);
    reader = over(bytes_make(data, 1));
    ck_assert_uint_eq(reader_u16(&reader), 0);
    check_stuck(&reader);
    reader = over(bytes_make(data, 3));
    ck_assert_uint_eq(reader_u32(&reader), 0);
    check_stuck(&reader);
    reader = over(bytes_make(data, 7));
    ck_assert_uint_eq(reader_u64(&reader), 0);
    check_stuck(&reader);
    reader = over(bytes_make(data, 7));
    ck_assert(!bytes_present(reader_take(&reader, 8)));
    check_stuck(&reader);
    reader = over(bytes_make(data, 7));
    ck_assert(!bytes_present(reader_take(&reader, SIZE_MAX)));
    check_stuck(&reader);
    reader = over(bytes_make(data, 7));
    ck_assert(!bytes_present(reader_cstr(&reader)));
    check_stuck(&reader);
}
END_TEST

START_TEST(failure_does_not_consume)
{
    struct reader reader = over(BYTES_LIT("\x01\x02\x03"));
    ck_assert_uint_eq(reader_u8(&reader), 1);
    const uint8_t *pos = reader.pos;
    ck_assert_uint_eq(reader_u32(&reader), 0);
    ck_assert_ptr_eq(reader.pos, pos);
    check_stuck(&reader);
}
END_TEST

START_TEST(leftover_is_not_done)
{
    struct reader reader = over(BYTES_LIT("\x01\x02"));
    ck_assert(!reader_done(&reader));
    ck_assert_uint_eq(reader_u8(&reader), 1);
    ck_assert_uint_eq(reader_left(&reader), 1);
    ck_assert(!reader_done(&reader));
    ck_assert_uint_eq(reader_u8(&reader), 2);
    ck_assert(reader_done(&reader));
}
END_TEST

START_TEST(integers_are_big_endian)
{
    struct reader reader =
        over(BYTES_LIT("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5\xf4\xf3\xf2\xf1"));
    ck_assert_uint_eq(reader_u8(&reader), 0xFF);
    ck_assert_uint_eq(reader_u16(&reader), 0xFEFD);
    ck_assert_uint_eq(reader_u32(&reader), 0xFCFBFAF9);
    ck_assert_uint_eq(reader_u64(&reader), UINT64_C(0xF8F7F6F5F4F3F2F1));
    ck_assert(reader_done(&reader));
}
END_TEST

START_TEST(take_borrows_and_empty_is_present)
{
    struct bytes data = BYTES_LIT("abcdef");
    struct reader reader = over(data);
    struct bytes taken = reader_take(&reader, 0);
    ck_assert(bytes_present(taken) && bytes_empty(taken));
    taken = reader_take(&reader, 4);
    ck_assert_ptr_eq(taken.ptr, data.ptr);
    ck_assert_bytes(taken, "abcd");
    ck_assert_bytes(reader_take(&reader, 2), "ef");
    taken = reader_take(&reader, 0);
    ck_assert(bytes_present(taken));
    ck_assert(reader_done(&reader));
}
END_TEST

START_TEST(cstr_consumes_the_nul)
{
    struct reader reader = over(BYTES_LIT("one\0\0two"));
    ck_assert_bytes(reader_cstr(&reader), "one");
    struct bytes empty = reader_cstr(&reader);
    ck_assert(bytes_present(empty) && bytes_empty(empty));
    ck_assert_uint_eq(reader_left(&reader), 3);
    ck_assert(!bytes_present(reader_cstr(&reader)));
    check_stuck(&reader);
}
END_TEST

START_TEST(absent_reads_as_empty)
{
    struct reader reader = over(BYTES_ABSENT);
    ck_assert(reader_done(&reader));
    ck_assert(bytes_present(reader_take(&reader, 0)));
    ck_assert_uint_eq(reader_u8(&reader), 0);
    check_stuck(&reader);
}
END_TEST

static Suite *suite_of_reader(void)
{
    Suite *suite = suite_create("reader");
    TCase *tcase = tcase_create("reader");
    tcase_add_test(tcase, each_read_past_the_end_fails);
    tcase_add_test(tcase, failure_does_not_consume);
    tcase_add_test(tcase, leftover_is_not_done);
    tcase_add_test(tcase, integers_are_big_endian);
    tcase_add_test(tcase, take_borrows_and_empty_is_present);
    tcase_add_test(tcase, cstr_consumes_the_nul);
    tcase_add_test(tcase, absent_reads_as_empty);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_reader())
