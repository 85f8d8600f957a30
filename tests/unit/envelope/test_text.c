/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "rendering.h"

/* UTF-8 of any code point, surrogates too. */
static struct bytes encode(uint32_t character, uint8_t *out)
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return bytes_make(out, 1);
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, character >>= 6) {
        out[i] = (uint8_t)(0x80 | (character & 0x3F));
    }
    out[0] = (uint8_t)((0xF00U >> length & 0xFF) | character);
    return bytes_make(out, length);
}

static enum text_fault expected_of(uint32_t character)
{
    if (character >= 0xD800 && character <= 0xDFFF) {
        return TEXT_NOT_UTF8;
    }
    bool forbidden = character <= 0x1F || (character >= 0x7F && character <= 0x9F) ||
                     (character >= 0xFDD0 && character <= 0xFDEF) ||
                     character % 0x10000 == 0xFFFE || character % 0x10000 == 0xFFFF;
    return forbidden ? TEXT_FORBIDDEN : TEXT_GOOD;
}

START_TEST(every_character_is_judged_as_cloudevents_says)
{
    for (uint32_t character = 0; character <= 0x10FFFF; character++) {
        uint8_t text[4];
        uint32_t found = UINT32_MAX;
        enum text_fault expected = expected_of(character);
        enum text_fault fault = text_check(encode(character, text), &found);
        if (fault != expected || (fault == TEXT_FORBIDDEN && found != character)) {
            ck_abort_msg("U+%04X: %d", character, (int)fault);
        }
    }
    uint32_t found = 0;
    ck_assert_int_eq(text_check(BYTES_LIT("\xF4\x90\x80\x80"), &found), TEXT_NOT_UTF8);
}
END_TEST

START_TEST(the_first_fault_counts_wherever_it_stands)
{
    uint32_t found = 0;
    ck_assert_int_eq(text_check(BYTES_LIT("abc\xC3\xA4\nd\xFF"), &found), TEXT_FORBIDDEN);
    ck_assert_uint_eq(found, 0x0A);
    ck_assert_int_eq(text_check(BYTES_LIT("abc\xFF\n"), &found), TEXT_NOT_UTF8);
    ck_assert_int_eq(text_check(BYTES_LIT("ab\xE2\x82"), &found), TEXT_NOT_UTF8);
    ck_assert_int_eq(text_check(BYTES_LIT(""), &found), TEXT_GOOD);
    ck_assert_int_eq(text_check(BYTES_ABSENT, &found), TEXT_GOOD);
}
END_TEST

START_TEST(every_byte_is_seen_at_every_place)
{
    for (size_t place = 0; place < 24; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t text[24];
            uint32_t found = 0;
            memset(text, place % 2 == 0 ? '~' : ' ', sizeof(text));
            text[place] = (uint8_t)byte;
            enum text_fault expected = byte >= 0x80                  ? TEXT_NOT_UTF8
                                       : byte < 0x20 || byte == 0x7F ? TEXT_FORBIDDEN
                                                                     : TEXT_GOOD;
            enum text_fault fault = text_check(bytes_make(text, sizeof(text)), &found);
            ck_assert_msg(fault == expected, "byte %u at %zu: %d", byte, place, (int)fault);
        }
    }
}
END_TEST

START_TEST(plain_is_judged_byte_by_byte_at_every_length)
{
    ck_assert(text_is_plain(BYTES_ABSENT));
    ck_assert(text_is_plain(BYTES_LIT("")));
    for (size_t length = 1; length <= 41; length++) {
        for (size_t at = 0; at < length; at++) {
            for (unsigned byte = 0; byte <= 0xFF; byte++) {
                uint8_t text[41];
                memset(text, 'x', sizeof(text));
                text[at] = (uint8_t)byte;
                bool expected = byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
                if (text_is_plain(bytes_make(text, length)) != expected)
                    ck_abort_msg("0x%02X at %zu of %zu", byte, at, length);
            }
        }
    }
}
END_TEST

START_TEST(names_compare_in_any_case)
{
    ck_assert(text_begins(BYTES_LIT("CE_id"), "ce_"));
    ck_assert(text_begins(BYTES_LIT("ce_"), "ce_"));
    ck_assert(!text_begins(BYTES_LIT("ce"), "ce_"));
    ck_assert(!text_begins(BYTES_LIT("c\x05_"), "ce_")); /* E without its 0x40 */
    ck_assert(!text_begins(BYTES_ABSENT, "ce_"));
    ck_assert(text_equals(BYTES_LIT("Content-TYPE"), "content-type"));
    ck_assert(!text_equals(BYTES_LIT("content-type2"), "content-type"));
    ck_assert(!text_equals(BYTES_LIT("content\rtype"), "content-type"));
}
END_TEST

START_TEST(printable_text_escapes_and_ends)
{
    ck_assert_bytes(text_printable(BYTES_LIT("a\n\x7F\xFF\xC3\xA4"), &fixture.arena),
                    "a\\x0A\\x7F\\xFF\xC3\xA4");
    ck_assert_bytes(text_printable(BYTES_LIT(""), &fixture.arena), "");
    static uint8_t controls[1000];
    ck_assert_uint_eq(text_printable(bytes_make(controls, sizeof(controls)), &fixture.arena).len,
                      4 * sizeof(controls));
    arena_deinit(&fixture.arena);
    ck_assert(arena_init(&fixture.arena, 16, 16));
    ck_assert(!bytes_present(text_printable(BYTES_LIT("abcdef"), &fixture.arena)));
}
END_TEST

static Suite *suite_of_text(void)
{
    Suite *suite = suite_create("text");
    TCase *tcase = tcase_create("text");
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, every_character_is_judged_as_cloudevents_says);
    tcase_add_test(tcase, the_first_fault_counts_wherever_it_stands);
    tcase_add_test(tcase, every_byte_is_seen_at_every_place);
    tcase_add_test(tcase, plain_is_judged_byte_by_byte_at_every_length);
    tcase_add_test(tcase, names_compare_in_any_case);
    tcase_add_test(tcase, printable_text_escapes_and_ends);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_text())
