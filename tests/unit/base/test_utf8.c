/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/utf8.h"

#include "test.h"

struct sample {
    const char *name;
    struct bytes text;
    bool valid;
};

static const struct sample samples[] = {
    {"empty", {(const uint8_t *)"", 0}, true},
    {"ascii", {(const uint8_t *)"order", 5}, true},
    {"nul is a character", {(const uint8_t *)"a\0b", 3}, true},
    {"first of two", {(const uint8_t *)"\xC2\x80", 2}, true},
    {"last of two", {(const uint8_t *)"\xDF\xBF", 2}, true},
    {"first of three", {(const uint8_t *)"\xE0\xA0\x80", 3}, true},
    {"before the surrogates", {(const uint8_t *)"\xED\x9F\xBF", 3}, true},
    {"after the surrogates", {(const uint8_t *)"\xEE\x80\x80", 3}, true},
    {"last of three", {(const uint8_t *)"\xEF\xBF\xBF", 3}, true},
    {"first of four", {(const uint8_t *)"\xF0\x90\x80\x80", 4}, true},
    {"last of all", {(const uint8_t *)"\xF4\x8F\xBF\xBF", 4}, true},
    {"lone continuation", {(const uint8_t *)"\x80", 1}, false},
    {"last continuation", {(const uint8_t *)"\xBF", 1}, false},
    {"overlong slash", {(const uint8_t *)"\xC0\xAF", 2}, false},
    {"overlong DEL", {(const uint8_t *)"\xC1\xBF", 2}, false},
    {"overlong of three", {(const uint8_t *)"\xE0\x9F\xBF", 3}, false},
    {"overlong of four", {(const uint8_t *)"\xF0\x8F\xBF\xBF", 4}, false},
    {"first surrogate", {(const uint8_t *)"\xED\xA0\x80", 3}, false},
    {"last surrogate", {(const uint8_t *)"\xED\xBF\xBF", 3}, false},
    {"beyond the last", {(const uint8_t *)"\xF4\x90\x80\x80", 4}, false},
    {"F5", {(const uint8_t *)"\xF5\x80\x80\x80", 4}, false},
    {"FF", {(const uint8_t *)"\xFF", 1}, false},
    {"two bytes cut", {(const uint8_t *)"\xC3", 1}, false},
    {"three bytes cut", {(const uint8_t *)"\xE2\x82", 2}, false},
    {"four bytes cut", {(const uint8_t *)"\xF0\x9F\x92", 3}, false},
    {"second is no continuation", {(const uint8_t *)"\xC3(", 2}, false},
    {"third is no continuation", {(const uint8_t *)"\xE2\x82(", 3}, false},
    {"fourth is no continuation", {(const uint8_t *)"\xF0\x9F\x92(", 4}, false},
    {"fourth is a lead", {(const uint8_t *)"\xF0\x9F\x92\xC3", 4}, false},
};

START_TEST(samples_are_judged)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        ck_assert_msg(utf8_valid(samples[i].text) == samples[i].valid, "%s", samples[i].name);
}
END_TEST

/* Words of eight bytes and steps of four words must not hide anything, wherever it stands. */
START_TEST(samples_are_judged_at_every_offset)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        for (size_t before = 0; before <= 75; before++) {
            for (size_t after = 0; after <= 41; after++) {
                uint8_t text[128];
                memset(text, 'x', sizeof(text));
                memcpy(text + before, samples[i].text.ptr, samples[i].text.len);
                bool valid = utf8_valid(bytes_make(text, before + samples[i].text.len + after));
                ck_assert_msg(valid == samples[i].valid, "%s at %zu before %zu", samples[i].name,
                              before, after);
            }
        }
    }
}
END_TEST

START_TEST(absent_is_valid)
{
    ck_assert(utf8_valid(BYTES_ABSENT));
}
END_TEST

static void write_code(uint8_t out[4], size_t length, uint32_t code)
{
    static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length; i > 1; i--, code >>= 6)
        out[i - 1] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(length == 1 ? code : leads[length] | code);
}

/* Every number that two to four bytes can spell: valid exactly when it is a character in its
 * shortest form. */
START_TEST(every_code_in_every_length)
{
    static const uint32_t limits[] = {0, 0x80, 0x800, 0x10000, 0x200000};
    for (size_t length = 1; length <= 4; length++) {
        for (uint32_t code = 0; code < limits[length]; code++) {
            uint8_t text[4];
            write_code(text, length, code);
            bool shortest = length == 1 || code >= limits[length - 1];
            bool surrogate = code >= 0xD800 && code < 0xE000;
            size_t expected = shortest && !surrogate && code <= 0x10FFFF ? length : 0;
            if (utf8_sequence(text, text + length) != expected)
                ck_abort_msg("U+%X in %zu bytes", code, length);
            if (length > 1 && utf8_sequence(text, text + length - 1) != 0)
                ck_abort_msg("U+%X in %zu bytes, cut", code, length);
        }
    }
}
END_TEST

static void check_printable(struct bytes text, size_t max, const char *expected)
{
    struct buf buf;
    buf_init(&buf, 4096);
    utf8_put_printable(&buf, text, max);
    ck_assert(buf_ok(&buf));
    ck_assert_str_eq(buf_cstr(&buf), expected);
    buf_deinit(&buf);
}

START_TEST(printable_shows_text_as_it_is)
{
    check_printable(BYTES_ABSENT, 10, "");
    check_printable(BYTES_LIT(""), 0, "");
    check_printable(BYTES_LIT("order 7 \\ \"x\""), 100, "order 7 \\ \"x\"");
    check_printable(BYTES_LIT("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x92\xA9"), 100,
                    "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x92\xA9");
}
END_TEST

START_TEST(printable_escapes_controls)
{
    check_printable(BYTES_LIT("a\nb\x1B[31m\x7F\0z"), 100, "a\\x0Ab\\x1B[31m\\x7F\\x00z");
    /* C1: U+009B is the 8-bit form of ESC [; U+00A0 is an ordinary space. */
    check_printable(BYTES_LIT("\xC2\x9B\xC2\xA0"), 100, "\\xC2\\x9B\xC2\xA0");
}
END_TEST

START_TEST(printable_escapes_separators_and_direction)
{
    check_printable(BYTES_LIT("\xE2\x80\xA8|\xE2\x80\xAE|\xE2\x81\xA6|\xE2\x81\xA9"), 100,
                    "\\xE2\\x80\\xA8|\\xE2\\x80\\xAE|\\xE2\\x81\\xA6|\\xE2\\x81\\xA9");
    check_printable(BYTES_LIT("\xE2\x80\xA7\xE2\x80\xAF\xE2\x81\xA5\xE2\x81\xAA"), 100,
                    "\xE2\x80\xA7\xE2\x80\xAF\xE2\x81\xA5\xE2\x81\xAA");
}
END_TEST

START_TEST(printable_escapes_what_is_not_utf8)
{
    check_printable(BYTES_LIT("\xFF\xC3(\xED\xA0\x80"), 100, "\\xFF\\xC3(\\xED\\xA0\\x80");
    check_printable(BYTES_LIT("a\xE2\x82"), 100, "a\\xE2\\x82");
}
END_TEST

START_TEST(printable_stops_at_max)
{
    check_printable(BYTES_LIT("abcdef"), 6, "abcdef");
    check_printable(BYTES_LIT("abcdef"), 5, "abcde...");
    check_printable(BYTES_LIT("abcdef"), 0, "...");
    check_printable(BYTES_LIT("a\nb"), 2, "a\\x0A...");
}
END_TEST

START_TEST(printable_never_halves_a_character)
{
    check_printable(BYTES_LIT("a\xE2\x82\xAC"), 4, "a\xE2\x82\xAC");
    check_printable(BYTES_LIT("a\xE2\x82\xAC"), 3, "a...");
    check_printable(BYTES_LIT("a\xE2\x82\xAC"), 2, "a...");
}
END_TEST

static void check_cut(const char *text, size_t max, const char *expected)
{
    ck_assert_msg(bytes_is(utf8_cut(bytes_str(text), max), expected), "%s cut to %zu", text, max);
    char copy[16];
    memset(copy, 'x', sizeof(copy));
    ck_assert_uint_lt(max, sizeof(copy) - 1);
    utf8_copy(copy, max + 1, text);
    ck_assert_str_eq(copy, expected);
    ck_assert_int_eq(copy[max + 1], 'x');
}

START_TEST(cut_never_halves_a_character)
{
    check_cut("a\xE2\x82\xACz", 5, "a\xE2\x82\xACz");
    check_cut("a\xE2\x82\xACz", 4, "a\xE2\x82\xAC");
    check_cut("a\xE2\x82\xACz", 3, "a");
    check_cut("a\xE2\x82\xACz", 2, "a");
    check_cut("a\xE2\x82\xACz", 1, "a");
    check_cut("a\xE2\x82\xACz", 0, "");
    check_cut("\xF0\x9F\x98\x80", 3, "");
    check_cut("", 0, "");
    check_cut("", 9, "");
}
END_TEST

START_TEST(cut_of_what_is_not_utf8_loses_little)
{
    check_cut("\x80\x80\x80\x80\x80\x80\x80", 6, "\x80\x80\x80");
    ck_assert(!bytes_present(utf8_cut(BYTES_ABSENT, 3)));
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("utf8");
    TCase *valid = tcase_create("valid");
    tcase_add_test(valid, samples_are_judged);
    tcase_add_test(valid, samples_are_judged_at_every_offset);
    tcase_add_test(valid, absent_is_valid);
    tcase_add_test(valid, every_code_in_every_length);
    suite_add_tcase(suite, valid);
    TCase *printable = tcase_create("printable");
    tcase_add_test(printable, printable_shows_text_as_it_is);
    tcase_add_test(printable, printable_escapes_controls);
    tcase_add_test(printable, printable_escapes_separators_and_direction);
    tcase_add_test(printable, printable_escapes_what_is_not_utf8);
    tcase_add_test(printable, printable_stops_at_max);
    tcase_add_test(printable, printable_never_halves_a_character);
    suite_add_tcase(suite, printable);
    TCase *cut = tcase_create("cut");
    tcase_add_test(cut, cut_never_halves_a_character);
    tcase_add_test(cut, cut_of_what_is_not_utf8_loses_little);
    suite_add_tcase(suite, cut);
    return suite;
}

TEST_MAIN(suite())
