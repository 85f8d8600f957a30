/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/bytes.h"

#include "test.h"

START_TEST(absent_is_not_empty)
{
    struct bytes empty = BYTES_LIT("");
    ck_assert(!bytes_present(BYTES_ABSENT));
    ck_assert(bytes_present(empty));
    ck_assert(bytes_empty(BYTES_ABSENT) && bytes_empty(empty));
    ck_assert(!bytes_equal(BYTES_ABSENT, empty));
    ck_assert(bytes_equal(BYTES_ABSENT, BYTES_ABSENT));
    ck_assert(!bytes_is(BYTES_ABSENT, ""));
    ck_assert(bytes_is(empty, ""));
    ck_assert(!bytes_present(bytes_str(NULL)));
}
END_TEST

START_TEST(equality_is_of_every_byte)
{
    ck_assert(!bytes_equal(BYTES_LIT("abc"), BYTES_LIT("ab")));
    ck_assert(!bytes_equal(BYTES_LIT("a\0b"), BYTES_LIT("a\0c")));
    ck_assert(bytes_equal(BYTES_LIT("a\0b"), BYTES_LIT("a\0b")));
    ck_assert(bytes_is(BYTES_LIT("abc"), "abc"));
    ck_assert(!bytes_is(BYTES_LIT("abc"), "abcd"));
}
END_TEST

/* Published vectors of 32-bit FNV-1a. */
START_TEST(hash_is_fnv_1a)
{
    ck_assert_uint_eq(bytes_hash(BYTES_ABSENT), 0x811c9dc5);
    ck_assert_uint_eq(bytes_hash(BYTES_LIT("")), 0x811c9dc5);
    ck_assert_uint_eq(bytes_hash(BYTES_LIT("a")), 0xe40c292c);
    ck_assert_uint_eq(bytes_hash(BYTES_LIT("foobar")), 0xbf9cf968);
}
END_TEST

static Suite *suite_of_bytes(void)
{
    Suite *suite = suite_create("base/bytes");
    TCase *tests = tcase_create("bytes");
    tcase_add_test(tests, absent_is_not_empty);
    tcase_add_test(tests, equality_is_of_every_byte);
    tcase_add_test(tests, hash_is_fnv_1a);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_bytes())
