/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/buf.h"

#include "test.h"

START_TEST(append_past_ceiling_fails_and_sticks)
{
    struct buf buf;
    buf_init(&buf, 5);
    buf_put_str(&buf, "abcd");
    buf_put_str(&buf, "ef");
    ck_assert(!buf_ok(&buf));
    ck_assert_bytes(buf_bytes(&buf), "abcd");
    buf_put_str(&buf, "e");
    buf_put(&buf, "", 0);
    buf_printf(&buf, "%s", "");
    ck_assert_ptr_null(buf_reserve(&buf, 0));
    ck_assert(!buf_ok(&buf));
    ck_assert_bytes(buf_bytes(&buf), "abcd");
    ck_assert_str_eq(buf_cstr(&buf), "abcd");
    buf_deinit(&buf);
}
END_TEST

/* Memory that is there already does not lift a ceiling that was lowered. */
START_TEST(a_lower_ceiling_holds_and_a_raised_one_gives_room)
{
    char storage[9];
    struct buf buf;
    buf_init_over(&buf, storage, sizeof(storage));
    buf.max -= 4;
    buf_put_str(&buf, "abc");
    buf_put(&buf, "de", 2);
    ck_assert(!buf_ok(&buf));
    buf.failed = false;
    buf_put_u8(&buf, 'd');
    buf_put_u8(&buf, 'e');
    ck_assert(!buf_ok(&buf));
    buf.failed = false;
    ck_assert_ptr_null(buf_reserve(&buf, 1));
    ck_assert_bytes(buf_bytes(&buf), "abcd");
    buf.failed = false;
    buf.max += 4;
    buf_put(&buf, "efgh", 4);
    ck_assert(buf_ok(&buf));
    ck_assert_str_eq(buf_cstr(&buf), "abcdefgh");
}
END_TEST

START_TEST(every_append_meets_the_ceiling)
{
    struct buf buf;
    buf_init(&buf, 0);
    buf_put_u8(&buf, 1);
    ck_assert(buf.failed);
    buf_reset(&buf);
    buf_put_u16(&buf, 1);
    ck_assert(buf.failed);
    buf_reset(&buf);
    buf_put_u32(&buf, 1);
    ck_assert(buf.failed);
    buf_reset(&buf);
    buf_put_u64(&buf, 1);
    ck_assert(buf.failed);
    buf_reset(&buf);
    buf_printf(&buf, "%d", 1);
    ck_assert(buf.failed);
    buf_reset(&buf);
    buf_put_bytes(&buf, BYTES_LIT("x"));
    ck_assert(buf.failed);
    buf_reset(&buf);
    ck_assert_ptr_null(buf_reserve(&buf, 1));
    ck_assert(buf.failed);
    ck_assert_uint_eq(buf.len, 0);
    buf_deinit(&buf);
}
END_TEST

START_TEST(lengths_that_overflow_are_refused)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    buf_put_u8(&buf, 'x');
    ck_assert_ptr_null(buf_reserve(&buf, SIZE_MAX));
    ck_assert(!buf_ok(&buf));
    buf_reset(&buf);
    buf_put_u8(&buf, 'x');
    ck_assert_ptr_null(buf_reserve(&buf, SIZE_MAX - 1));
    ck_assert(!buf_ok(&buf));
    ck_assert_bytes(buf_bytes(&buf), "x");
    buf_deinit(&buf);
}
END_TEST

START_TEST(ceiling_itself_fits)
{
    struct buf buf;
    buf_init(&buf, 1000);
    for (int i = 0; i < 1000; i++) {
        buf_put_u8(&buf, (uint8_t)i);
    }
    ck_assert(buf_ok(&buf));
    ck_assert_uint_eq(buf.len, 1000);
    ck_assert_uint_le(buf.cap, 1001);
    ck_assert_uint_eq(strlen(buf_cstr(&buf)), 0); /* the first byte is a NUL */
    ck_assert_uint_eq(buf.ptr[999], (uint8_t)999);
    buf_put_u8(&buf, 0);
    ck_assert(!buf_ok(&buf));
    buf_deinit(&buf);
}
END_TEST

START_TEST(reset_keeps_memory_and_clears_failure)
{
    struct buf buf;
    buf_init(&buf, 8);
    buf_put_str(&buf, "12345678");
    buf_put_u8(&buf, '9');
    const uint8_t *before = buf.ptr;
    buf_reset(&buf);
    ck_assert(buf_ok(&buf));
    ck_assert_uint_eq(buf.len, 0);
    buf_put_str(&buf, "abc");
    ck_assert_ptr_eq(buf.ptr, before);
    ck_assert_bytes(buf_bytes(&buf), "abc");
    buf_deinit(&buf);
}
END_TEST

START_TEST(shrink_frees_only_above_keep)
{
    struct buf buf;
    buf_init(&buf, 4096);
    buf_put_str(&buf, "abc");
    const uint8_t *before = buf.ptr;
    buf_shrink(&buf, buf.cap);
    ck_assert_ptr_eq(buf.ptr, before);
    ck_assert_uint_eq(buf.len, 0);
    buf_put_str(&buf, "abc");
    buf_shrink(&buf, buf.cap - 1);
    ck_assert_ptr_null(buf.ptr);
    ck_assert_uint_eq(buf.len, 0);
    buf_put_str(&buf, "again");
    ck_assert_bytes(buf_bytes(&buf), "again");
    buf_deinit(&buf);
}
END_TEST

START_TEST(deinit_twice_and_zeroed)
{
    struct buf buf = {0};
    buf_deinit(&buf);
    buf_init(&buf, 10);
    buf_put_str(&buf, "x");
    buf_deinit(&buf);
    buf_deinit(&buf);
    ck_assert_ptr_null(buf.ptr);
    ck_assert_uint_eq(buf.len, 0);
}
END_TEST

START_TEST(empty_is_present)
{
    struct buf buf;
    buf_init(&buf, 10);
    ck_assert(bytes_present(buf_bytes(&buf)));
    ck_assert(bytes_empty(buf_bytes(&buf)));
    ck_assert_str_eq(buf_cstr(&buf), "");
    buf_put(&buf, NULL, 0);
    buf_put_bytes(&buf, BYTES_ABSENT);
    ck_assert(buf_ok(&buf));
    ck_assert(bytes_present(buf_bytes(&buf)));
    buf_deinit(&buf);
}
END_TEST

START_TEST(integers_are_big_endian)
{
    struct buf buf;
    buf_init(&buf, 100);
    buf_put_u8(&buf, 0x01);
    buf_put_u16(&buf, 0x0203);
    buf_put_u32(&buf, 0x04050607);
    buf_put_u64(&buf, UINT64_C(0x08090A0B0C0D0E0F));
    ck_assert_bytes(buf_bytes(&buf),
                    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
    buf_deinit(&buf);
}
END_TEST

START_TEST(printf_leaves_out_the_nul)
{
    struct buf buf;
    buf_init(&buf, 100);
    buf_put_str(&buf, "<");
    buf_printf(&buf, "%s-%05d", "abc", 42);
    buf_put_str(&buf, ">");
    ck_assert_bytes(buf_bytes(&buf), "<abc-00042>");
    buf_printf(&buf, "%*d", 200, 1);
    ck_assert(!buf_ok(&buf));
    ck_assert_bytes(buf_bytes(&buf), "<abc-00042>");
    buf_deinit(&buf);
}
END_TEST

START_TEST(printf_fills_to_the_ceiling)
{
    struct buf buf;
    buf_init(&buf, 3);
    buf_printf(&buf, "%s", "abc");
    ck_assert(buf_ok(&buf));
    ck_assert_bytes(buf_bytes(&buf), "abc");
    buf_deinit(&buf);
}
END_TEST

START_TEST(reserve_then_count)
{
    struct buf buf;
    buf_init(&buf, 300);
    buf_put_str(&buf, "ab");
    uint8_t *room = buf_reserve(&buf, 298);
    ck_assert_ptr_nonnull(room);
    ck_assert_uint_eq(buf.len, 2);
    memset(room, 'z', 298);
    buf.len += 298;
    ck_assert_uint_eq(strlen(buf_cstr(&buf)), 300);
    ck_assert_ptr_null(buf_reserve(&buf, 1));
    buf_deinit(&buf);
}
END_TEST

START_TEST(cstr_does_not_count)
{
    struct buf buf;
    buf_init(&buf, 4);
    buf_put_str(&buf, "abcd");
    ck_assert_str_eq(buf_cstr(&buf), "abcd");
    ck_assert_uint_eq(buf.len, 4);
    ck_assert(buf_ok(&buf));
    buf_deinit(&buf);
}
END_TEST

START_TEST(over_callers_memory)
{
    char storage[6];
    struct buf buf;
    buf_init_over(&buf, storage, sizeof(storage));
    buf_put_str(&buf, "abcde");
    ck_assert(buf_ok(&buf));
    ck_assert_str_eq(buf_cstr(&buf), "abcde");
    ck_assert_ptr_eq(buf.ptr, storage);
    buf_put_u8(&buf, 'f');
    ck_assert(!buf_ok(&buf));
    ck_assert_str_eq(storage, "abcde");
    buf_reset(&buf);
    buf_put_str(&buf, "x");
    ck_assert_str_eq(buf_cstr(&buf), "x");
}
END_TEST

START_TEST(bytes_absent_is_not_empty)
{
    ck_assert(!bytes_equal(BYTES_ABSENT, BYTES_LIT("")));
    ck_assert(bytes_equal(BYTES_ABSENT, BYTES_ABSENT));
    ck_assert(bytes_equal(BYTES_LIT("a\0b"), bytes_make("a\0b", 3)));
    ck_assert(!bytes_equal(BYTES_LIT("ab"), BYTES_LIT("ac")));
    ck_assert(!bytes_equal(BYTES_LIT("ab"), BYTES_LIT("abc")));
    ck_assert(!bytes_present(bytes_str(NULL)));
    ck_assert(bytes_is(BYTES_LIT("ab"), "ab"));
    ck_assert(!bytes_is(BYTES_ABSENT, ""));
    ck_assert(bytes_is(BYTES_LIT(""), ""));
}
END_TEST

static Suite *suite_of_buf(void)
{
    Suite *suite = suite_create("buf");
    TCase *tcase = tcase_create("buf");
    tcase_add_test(tcase, append_past_ceiling_fails_and_sticks);
    tcase_add_test(tcase, a_lower_ceiling_holds_and_a_raised_one_gives_room);
    tcase_add_test(tcase, every_append_meets_the_ceiling);
    tcase_add_test(tcase, lengths_that_overflow_are_refused);
    tcase_add_test(tcase, ceiling_itself_fits);
    tcase_add_test(tcase, reset_keeps_memory_and_clears_failure);
    tcase_add_test(tcase, shrink_frees_only_above_keep);
    tcase_add_test(tcase, deinit_twice_and_zeroed);
    tcase_add_test(tcase, empty_is_present);
    tcase_add_test(tcase, integers_are_big_endian);
    tcase_add_test(tcase, printf_leaves_out_the_nul);
    tcase_add_test(tcase, printf_fills_to_the_ceiling);
    tcase_add_test(tcase, reserve_then_count);
    tcase_add_test(tcase, cstr_does_not_count);
    tcase_add_test(tcase, over_callers_memory);
    tcase_add_test(tcase, bytes_absent_is_not_empty);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_buf())
