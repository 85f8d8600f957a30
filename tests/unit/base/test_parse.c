/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/parse.h"

#include "test.h"

/* What no reader of numbers takes. */
static const char *const no_numbers[] = {
    "",     " ",   "-",     "+",     "+1",  " 1", "1 ", "1\n",
    "0x10", "1e3", "1_000", "1,000", "--1", "a",  "1a", "\xD9\xA1",
};

START_TEST(u64_refuses)
{
    uint64_t value = 42;
    for (size_t i = 0; i < ARRAY_LEN(no_numbers); i++)
        ck_assert_msg(!parse_u64(bytes_str(no_numbers[i]), &value), "\"%s\"", no_numbers[i]);
    ck_assert(!parse_u64(BYTES_ABSENT, &value));
    ck_assert(!parse_u64(BYTES_LIT("-1"), &value));
    ck_assert(!parse_u64(BYTES_LIT("1.0"), &value));
    ck_assert(!parse_u64(BYTES_LIT("1\0"), &value));
    ck_assert(!parse_u64(BYTES_LIT("18446744073709551616"), &value));
    ck_assert(!parse_u64(BYTES_LIT("18446744073709551620"), &value));
    ck_assert(!parse_u64(BYTES_LIT("99999999999999999999"), &value));
    ck_assert_uint_eq(value, 42);
}
END_TEST

START_TEST(u64_reads)
{
    uint64_t value = 42;
    ck_assert(parse_u64(BYTES_LIT("0"), &value) && value == 0);
    ck_assert(parse_u64(BYTES_LIT("010"), &value) && value == 10);
    ck_assert(parse_u64(BYTES_LIT("18446744073709551615"), &value) && value == UINT64_MAX);
    ck_assert(parse_u64(bytes_make("123", 2), &value) && value == 12);
}
END_TEST

START_TEST(i64_refuses)
{
    int64_t value = 42;
    for (size_t i = 0; i < ARRAY_LEN(no_numbers); i++)
        ck_assert_msg(!parse_i64(bytes_str(no_numbers[i]), &value), "\"%s\"", no_numbers[i]);
    ck_assert(!parse_i64(BYTES_ABSENT, &value));
    ck_assert(!parse_i64(BYTES_LIT("1-"), &value));
    ck_assert(!parse_i64(BYTES_LIT("9223372036854775808"), &value));
    ck_assert(!parse_i64(BYTES_LIT("-9223372036854775809"), &value));
    ck_assert_int_eq(value, 42);
}
END_TEST

START_TEST(i64_reads)
{
    int64_t value = 42;
    ck_assert(parse_i64(BYTES_LIT("-0"), &value) && value == 0);
    ck_assert(parse_i64(BYTES_LIT("-1"), &value) && value == -1);
    ck_assert(parse_i64(BYTES_LIT("9223372036854775807"), &value) && value == INT64_MAX);
    ck_assert(parse_i64(BYTES_LIT("-9223372036854775808"), &value) && value == INT64_MIN);
}
END_TEST

START_TEST(bool_takes_true_and_false_only)
{
    static const char *const others[] = {"", "True", "TRUE", "yes", "on", "1", "0", "true ", "tru"};
    bool value = true;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_msg(!parse_bool(bytes_str(others[i]), &value), "\"%s\"", others[i]);
    ck_assert(!parse_bool(BYTES_ABSENT, &value));
    ck_assert(value);
    ck_assert(parse_bool(BYTES_LIT("false"), &value) && !value);
    ck_assert(parse_bool(BYTES_LIT("true"), &value) && value);
}
END_TEST

START_TEST(duration_refuses)
{
    static const char *const bad[] = {
        "1",
        "00",
        "10",
        "1.0",
        "1.s",
        ".5s",
        "1..5s",
        "1.5.5s",
        "-1s",
        "+1s",
        "1 s",
        " 1s",
        "1s ",
        "1S",
        "1ns",
        "1us",
        "1min",
        "1sm",
        "s",
        "ms",
        "1.5ms",
        "0.0005s",
        "1.0000000000s",
        "1.123456789d",
        /* one past the end, by each of the ways: digits, factor, fraction */
        "18446744073709551616ms",
        "18446744073709552s",
        "213503982335d",
        "18446744073709551.616s",
    };
    uint64_t ms = 42;
    for (size_t i = 0; i < ARRAY_LEN(no_numbers); i++)
        ck_assert_msg(!parse_duration_ms(bytes_str(no_numbers[i]), &ms), "\"%s\"", no_numbers[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!parse_duration_ms(bytes_str(bad[i]), &ms), "\"%s\"", bad[i]);
    ck_assert(!parse_duration_ms(BYTES_ABSENT, &ms));
    ck_assert_uint_eq(ms, 42);
}
END_TEST

struct amount {
    const char *text;
    uint64_t value;
};

START_TEST(duration_reads)
{
    static const struct amount good[] = {
        {"0", 0},
        {"0s", 0},
        {"250ms", 250},
        {"10s", 10000},
        {"5m", 300000},
        {"2h", 7200000},
        {"3d", 259200000},
        {"1.5s", 1500},
        {"0.001s", 1},
        {"1.000ms", 1},
        {"0.25h", 900000},
        {"0.000015625d", 1350},
        {"18446744073709551615ms", UINT64_MAX},
        {"18446744073709551.615s", UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t ms = 42;
        ck_assert_msg(parse_duration_ms(bytes_str(good[i].text), &ms), "%s", good[i].text);
        ck_assert_msg(ms == good[i].value, "%s", good[i].text);
    }
}
END_TEST

START_TEST(size_refuses)
{
    static const char *const bad[] = {
        "-1",
        "1.5MiB",
        "1 KiB",
        "1K",
        "1k",
        "1kB",
        "1kib",
        "1KIB",
        "1KiBB",
        "1b",
        "B",
        "KiB",
        "18446744073709551616",
        "18014398509481984KiB",
        "16777216TiB",
        "18446745TB",
    };
    uint64_t size = 42;
    for (size_t i = 0; i < ARRAY_LEN(no_numbers); i++)
        ck_assert_msg(!parse_size(bytes_str(no_numbers[i]), &size), "\"%s\"", no_numbers[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!parse_size(bytes_str(bad[i]), &size), "\"%s\"", bad[i]);
    ck_assert(!parse_size(BYTES_ABSENT, &size));
    ck_assert_uint_eq(size, 42);
}
END_TEST

START_TEST(size_reads)
{
    static const struct amount good[] = {
        {"0", 0},
        {"7", 7},
        {"7B", 7},
        {"64KiB", 65536},
        {"16MiB", 16777216},
        {"1GiB", 1073741824},
        {"2TiB", UINT64_C(2199023255552)},
        {"3KB", 3000},
        {"3MB", 3000000},
        {"3GB", UINT64_C(3000000000)},
        {"3TB", UINT64_C(3000000000000)},
        {"16777215TiB", UINT64_C(16777215) << 40},
        {"18446744073709551615", UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t size = 42;
        ck_assert_msg(parse_size(bytes_str(good[i].text), &size), "%s", good[i].text);
        ck_assert_msg(size == good[i].value, "%s", good[i].text);
    }
}
END_TEST

struct glob_case {
    const char *pattern;
    const char *text;
    bool matches;
};

static const struct glob_case globs[] = {
    {"", "", true},
    {"", "a", false},
    {"a", "", false},
    {"abc", "abc", true},
    {"abc", "abd", false},
    {"abc", "ab", false},
    {"abc", "abcd", false},
    {"ABC", "abc", false},
    {"?", "", false},
    {"?", "a", true},
    {"?", "ab", false},
    {"a?c", "abc", true},
    {"a?c", "ac", false},
    {"*", "", true},
    {"*", "anything at all", true},
    {"**", "", true},
    {"a*", "a", true},
    {"a*", "ba", false},
    {"*a", "bca", true},
    {"*a", "ab", false},
    {"debug.*", "debug.x", true},
    {"debug.*", "debug", false},
    {"a*b*c", "axxbyyc", true},
    {"a*b*c", "axxcyyb", false},
    {"a*bc", "abcbc", true},
    {"*ab*ab*", "abab", true},
    {"*ab*ab*", "aba", false},
    {"*?", "", false},
    {"*?", "x", true},
    {"?*?", "x", false},
    {"?*?", "xy", true},
    {"a**b", "ab", true},
    {"[ab]", "a", false},
    {"[ab]", "[ab]", true},
    {"\\*", "*", true},
    {"\\*", "x", false},
    {"\\?", "?", true},
    {"\\?", "x", false},
    {"\\\\", "\\", true},
    {"\\a", "a", true},
    {"\\a", "\\a", false},
    {"*\\*", "a*", true},
    {"*\\*", "ab", false},
    {"*\\a*b", "xxaxxb", true},
    {"\\", "\\", false},
    {"a\\", "a", false},
    {"*\\", "x", false},
};

START_TEST(glob_cases)
{
    for (size_t i = 0; i < ARRAY_LEN(globs); i++) {
        bool matches = glob_match(bytes_str(globs[i].pattern), bytes_str(globs[i].text));
        ck_assert_msg(matches == globs[i].matches, "glob \"%s\" on \"%s\"", globs[i].pattern,
                      globs[i].text);
    }
}
END_TEST

START_TEST(glob_takes_absent_as_empty)
{
    ck_assert(glob_match(BYTES_LIT("*"), BYTES_ABSENT));
    ck_assert(!glob_match(BYTES_LIT("?"), BYTES_ABSENT));
    ck_assert(glob_match(BYTES_ABSENT, BYTES_ABSENT));
}
END_TEST

/* The plainest definition of a glob, exponential but surely right. */
static bool glob_by_definition(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return glob_by_definition(pattern + 1, text) ||
               (*text != '\0' && glob_by_definition(pattern, text + 1));
    if (*text == '\0')
        return false;
    return (*pattern == '?' || *pattern == *text) && glob_by_definition(pattern + 1, text + 1);
}

static void nth_word(char *out, size_t n, const char *alphabet)
{
    size_t base = strlen(alphabet) + 1;
    for (; n > 0; n /= base)
        if (n % base > 0)
            *out++ = alphabet[n % base - 1];
    *out = '\0';
}

START_TEST(glob_agrees_with_its_definition)
{
    for (size_t i = 0; i < 5 * 5 * 5 * 5 * 5; i++) {
        char pattern[8];
        nth_word(pattern, i, "ab*?");
        for (size_t j = 0; j < 3 * 3 * 3 * 3 * 3; j++) {
            char text[8];
            nth_word(text, j, "ab");
            if (glob_match(bytes_str(pattern), bytes_str(text)) !=
                glob_by_definition(pattern, text))
                ck_abort_msg("glob \"%s\" on \"%s\"", pattern, text);
        }
    }
}
END_TEST

/* Backtracking to every star would not end in the life of the test. */
START_TEST(glob_is_not_exponential)
{
    static uint8_t text[20000];
    memset(text, 'a', sizeof(text));
    ck_assert(!glob_match(BYTES_LIT("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"),
                          bytes_make(text, sizeof(text))));
}
END_TEST

START_TEST(glob_validity)
{
    ck_assert(glob_valid(BYTES_LIT("")));
    ck_assert(glob_valid(BYTES_ABSENT));
    ck_assert(glob_valid(BYTES_LIT("[a*?\\*")));
    ck_assert(glob_valid(BYTES_LIT("a\\\\")));
    ck_assert(!glob_valid(BYTES_LIT("\\")));
    ck_assert(!glob_valid(BYTES_LIT("a\\\\\\")));
}
END_TEST

START_TEST(edit_distances)
{
    ck_assert_uint_eq(edit_distance("", ""), 0);
    ck_assert_uint_eq(edit_distance("", "abc"), 3);
    ck_assert_uint_eq(edit_distance("abc", ""), 3);
    ck_assert_uint_eq(edit_distance("slot", "slot"), 0);
    ck_assert_uint_eq(edit_distance("slot", "slots"), 1);
    ck_assert_uint_eq(edit_distance("slot", "slt"), 1);
    ck_assert_uint_eq(edit_distance("slot", "slat"), 1);
    ck_assert_uint_eq(edit_distance("slot", "solt"), 1);
    ck_assert_uint_eq(edit_distance("ab", "ba"), 1);
    ck_assert_uint_eq(edit_distance("kitten", "sitting"), 3);
    ck_assert_uint_eq(edit_distance("publication", "pubilcatoin"), 2);
    ck_assert_uint_eq(edit_distance("ca", "abc"), 3);
}
END_TEST

START_TEST(edit_distance_is_capped)
{
    char a[300];
    char b[300];
    memset(a, 'a', sizeof(a));
    memset(b, 'b', sizeof(b));
    a[255] = '\0';
    b[255] = '\0';
    ck_assert_uint_eq(edit_distance(a, b), 255);
    b[0] = 'a';
    ck_assert_uint_eq(edit_distance(a, b), 254);
    a[255] = 'a';
    a[256] = '\0';
    ck_assert_uint_eq(edit_distance(a, a), 255);
    ck_assert_uint_eq(edit_distance("", a), 255);
    ck_assert_uint_eq(edit_distance(a, ""), 255);
}
END_TEST

START_TEST(hex_digits_are_those_alone)
{
    static const char digits[] = "0123456789abcdef";
    for (int byte = 0; byte < 256; byte++) {
        const char *found = byte == 0 ? NULL : strchr(digits, byte);
        if (byte >= 'A' && byte <= 'F')
            found = digits + 10 + byte - 'A';
        int value = found == NULL ? -1 : (int)(found - digits);
        ck_assert_msg(parse_hex_digit((uint8_t)byte) == value, "0x%02x is not %d", (unsigned)byte,
                      value);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("parse");
    TCase *numbers = tcase_create("numbers");
    tcase_add_test(numbers, u64_refuses);
    tcase_add_test(numbers, u64_reads);
    tcase_add_test(numbers, i64_refuses);
    tcase_add_test(numbers, i64_reads);
    tcase_add_test(numbers, bool_takes_true_and_false_only);
    tcase_add_test(numbers, duration_refuses);
    tcase_add_test(numbers, duration_reads);
    tcase_add_test(numbers, hex_digits_are_those_alone);
    tcase_add_test(numbers, size_refuses);
    tcase_add_test(numbers, size_reads);
    suite_add_tcase(suite, numbers);
    TCase *glob = tcase_create("glob");
    tcase_add_test(glob, glob_cases);
    tcase_add_test(glob, glob_takes_absent_as_empty);
    tcase_add_test(glob, glob_agrees_with_its_definition);
    tcase_add_test(glob, glob_is_not_exponential);
    tcase_add_test(glob, glob_validity);
    suite_add_tcase(suite, glob);
    TCase *distance = tcase_create("edit distance");
    tcase_add_test(distance, edit_distances);
    tcase_add_test(distance, edit_distance_is_capped);
    suite_add_tcase(suite, distance);
    return suite;
}

TEST_MAIN(suite())
