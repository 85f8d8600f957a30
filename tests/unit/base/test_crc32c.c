/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/crc32c.h"

#include "test.h"

START_TEST(check_value)
{
    ck_assert_uint_eq(crc32c(BYTES_LIT("123456789")), 0xE3069283);
}
END_TEST

START_TEST(empty_and_absent)
{
    ck_assert_uint_eq(crc32c(BYTES_LIT("")), 0);
    ck_assert_uint_eq(crc32c(BYTES_ABSENT), 0);
}
END_TEST

/* RFC 3720, appendix B.4, which writes the bytes of the sum in the order of the wire. */
START_TEST(vectors_of_the_rfc)
{
    uint8_t data[32];
    memset(data, 0, sizeof(data));
    ck_assert_uint_eq(crc32c(bytes_make(data, sizeof(data))), 0x8A9136AA);
    memset(data, 0xFF, sizeof(data));
    ck_assert_uint_eq(crc32c(bytes_make(data, sizeof(data))), 0x62A8AB43);
    for (uint8_t i = 0; i < sizeof(data); i++) {
        data[i] = i;
    }
    ck_assert_uint_eq(crc32c(bytes_make(data, sizeof(data))), 0x46DD794E);
    for (uint8_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(31 - i);
    }
    ck_assert_uint_eq(crc32c(bytes_make(data, sizeof(data))), 0x113FDB5C);
}
END_TEST

START_TEST(every_single_bit_counts)
{
    uint8_t data[64] = {0};
    uint32_t whole = crc32c(bytes_make(data, sizeof(data)));
    for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
        data[bit / 8] = (uint8_t)(1u << bit % 8);
        ck_assert_uint_ne(crc32c(bytes_make(data, sizeof(data))), whole);
        data[bit / 8] = 0;
    }
}
END_TEST

static Suite *suite_of_crc32c(void)
{
    Suite *suite = suite_create("crc32c");
    TCase *tcase = tcase_create("crc32c");
    tcase_add_test(tcase, check_value);
    tcase_add_test(tcase, empty_and_absent);
    tcase_add_test(tcase, vectors_of_the_rfc);
    tcase_add_test(tcase, every_single_bit_counts);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_crc32c())
