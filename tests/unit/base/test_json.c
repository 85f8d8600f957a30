/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/json.h"

#include <math.h>
#include <stdio.h>

#include "test.h"

/* ---- writer ---- */

static struct buf out;
static struct json_writer json;

static void setup_writer(void)
{
    buf_init(&out, 1 << 20);
    json_writer_init(&json, &out);
}

static void teardown_writer(void)
{
    buf_deinit(&out);
}

static void check_out(const char *expected)
{
    ck_assert(buf_ok(&out));
    ck_assert_str_eq(buf_cstr(&out), expected);
}

START_TEST(writer_puts_commas)
{
    json_object_begin(&json);
    json_key(&json, "a");
    json_u64(&json, 1);
    json_key(&json, "b");
    json_array_begin(&json);
    json_array_begin(&json);
    json_array_end(&json);
    json_object_begin(&json);
    json_object_end(&json);
    json_bool(&json, true);
    json_bool(&json, false);
    json_null(&json);
    json_raw(&json, BYTES_LIT("{ \"x\" : 1.0 }"));
    json_str(&json, "t");
    json_base64(&json, BYTES_LIT("x"));
    json_double(&json, 0.5);
    json_array_end(&json);
    json_key(&json, "c");
    json_object_begin(&json);
    json_key(&json, "d");
    json_i64(&json, -2);
    json_object_end(&json);
    json_object_end(&json);
    check_out("{\"a\":1,\"b\":[[],{},true,false,null,{ \"x\" : 1.0 },\"t\",\"eA==\",0.5],"
              "\"c\":{\"d\":-2}}");
}
END_TEST

START_TEST(writer_takes_absent_for_null)
{
    json_array_begin(&json);
    json_string(&json, BYTES_ABSENT);
    json_str(&json, NULL);
    json_base64(&json, BYTES_ABSENT);
    json_raw(&json, BYTES_ABSENT);
    json_string(&json, BYTES_LIT(""));
    json_base64(&json, BYTES_LIT(""));
    json_array_end(&json);
    check_out("[null,null,null,null,\"\",\"\"]");
}
END_TEST

START_TEST(writer_escapes)
{
    json_string(&json, BYTES_LIT("\"\\/\b\f\n\r\t\v\x7F\xC3\xA9\x1F\0 '<"));
    check_out("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u000b\x7F\xC3\xA9\\u001f\\u0000 '<\"");
}
END_TEST

/* Each byte at each place in its word of eight and its step of four words, and behind them. */
START_TEST(writer_escapes_every_byte_at_every_place)
{
    for (unsigned byte = 0; byte < 0x80; byte++) {
        bool escaped = byte < 0x20 || byte == '"' || byte == '\\';
        for (size_t at = 0; at < 75; at++) {
            uint8_t text[75];
            memset(text, 'x', sizeof(text));
            text[at] = (uint8_t)byte;
            buf_reset(&out);
            json_writer_init(&json, &out);
            json_string(&json, bytes_make(text, sizeof(text)));
            struct bytes written = buf_bytes(&out);
            ck_assert(written.len > 77 || !escaped);
            ck_assert(written.len == 77 || escaped);
            struct json_value value = json_parse(written);
            ck_assert_int_eq(value.kind, JSON_STRING);
            ck_assert(memcmp(written.ptr + 1, text, at) == 0);
            ck_assert(written.ptr[at + 1] == (escaped ? '\\' : byte));
            size_t rest = sizeof(text) - at - 1;
            ck_assert(memcmp(written.ptr + written.len - 1 - rest, text + at + 1, rest) == 0);
        }
    }
}
END_TEST

/* The room asked for is exact: a string fits a ceiling of its own length and no less. */
START_TEST(writer_string_meets_the_ceiling_exactly)
{
    const struct bytes text = BYTES_LIT("abcdefghij\nkl\x01\"mnopqrstu");
    json_string(&json, text);
    size_t len = buf_bytes(&out).len;
    ck_assert_uint_eq(len, text.len + 2 + 1 + 5 + 1);
    struct buf small;
    buf_init(&small, len);
    json_writer_init(&json, &small);
    json_string(&json, text);
    ck_assert(buf_ok(&small));
    ck_assert(bytes_equal(buf_bytes(&small), buf_bytes(&out)));
    buf_deinit(&small);
    buf_init(&small, len - 1);
    json_writer_init(&json, &small);
    json_string(&json, text);
    ck_assert(!buf_ok(&small));
    ck_assert_uint_eq(small.len, 0);
    buf_deinit(&small);
}
END_TEST

START_TEST(writer_failure_sticks)
{
    struct buf small;
    buf_init(&small, 4);
    json_writer_init(&json, &small);
    json_array_begin(&json);
    json_str(&json, "too long");
    json_key(&json, "k");
    json_base64(&json, BYTES_LIT("xyz"));
    json_raw(&json, BYTES_LIT("1"));
    json_u64(&json, 1);
    json_array_end(&json);
    ck_assert(!buf_ok(&small));
    ck_assert_bytes(buf_bytes(&small), "[");
    buf_deinit(&small);
}
END_TEST

START_TEST(writer_base64)
{
    /* RFC 4648, section 10, and the two digits that differ from the URL alphabet. */
    json_array_begin(&json);
    json_base64(&json, BYTES_LIT("f"));
    json_base64(&json, BYTES_LIT("fo"));
    json_base64(&json, BYTES_LIT("foo"));
    json_base64(&json, BYTES_LIT("foob"));
    json_base64(&json, BYTES_LIT("fooba"));
    json_base64(&json, BYTES_LIT("foobar"));
    json_base64(&json, BYTES_LIT("\xFB\xEF\xFF\0\xFF\xFF"));
    json_array_end(&json);
    check_out("[\"Zg==\",\"Zm8=\",\"Zm9v\",\"Zm9vYg==\",\"Zm9vYmE=\",\"Zm9vYmFy\",\"++//AP//\"]");
}
END_TEST

START_TEST(writer_numbers)
{
    json_array_begin(&json);
    json_u64(&json, 0);
    json_u64(&json, UINT64_MAX);
    json_i64(&json, 0);
    json_i64(&json, -1);
    json_i64(&json, INT64_MIN);
    json_i64(&json, INT64_MAX);
    json_array_end(&json);
    check_out("[0,18446744073709551615,0,-1,-9223372036854775808,9223372036854775807]");
}
END_TEST

START_TEST(writer_doubles)
{
    json_array_begin(&json);
    json_double(&json, 0.1);
    json_double(&json, 1.0 / 3);
    json_double(&json, -2);
    json_double(&json, 1e300);
    json_double(&json, (double)NAN);
    json_double(&json, (double)INFINITY);
    json_double(&json, -(double)INFINITY);
    json_array_end(&json);
    check_out("[0.1,0.3333333333333333,-2,1e+300,null,null,null]");
}
END_TEST

START_TEST(writer_doubles_read_back)
{
    static const double values[] = {
        5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1 + 0.2,
        -0.0,   123456789.123456789};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        buf_reset(&out);
        json_writer_init(&json, &out);
        json_double(&json, values[i]);
        double read_back = strtod(buf_cstr(&out), NULL);
        ck_assert_mem_eq(&read_back, &values[i], sizeof(read_back));
        ck_assert_int_eq(json_parse(buf_bytes(&out)).kind, JSON_NUMBER);
    }
}
END_TEST

/* ---- scanner ---- */

static const char *const invalid[] = {
    /* nothing, or not a value */
    "", " ", "\n", "nul", "nulll", "True", "truefalse", "NaN", "Infinity", "-Infinity", "undefined",
    "'a'", "\xEF\xBB\xBF{}", "\xEF\xBB\xBF", "\f1", "\v1", "\xC2\xA0\x31", "// c\n1", "/**/1",
    /* numbers */
    "01", "-01", "00", "1.", ".5", "-.5", "+1", "1e", "1e+", "1e-", "1E", "1.e1", "1.5e", "-",
    "--1", "-a", "0x10", "1_0", "1 2", "1e1.5", "1e1e1", "0e", "0.", "0.0.0", "1a",
    /* strings */
    "\"", "\"a", "a\"", "\"\\\"", "\"\\", "\"\\x\"", "\"\\'\"", "\"\\U0041\"", "\"\\u\"",
    "\"\\u0\"", "\"\\u00\"", "\"\\u004\"", "\"\\u004g\"", "\"\\u 041\"", "\"\\u+041\"", "\"\n\"",
    "\"\t\"", "\"\x1F\"", "\"\x01\"", "\"a\"b", "\"a\" \"b\"", "\"\xFF\"", "\"\x80\"", "\"\xC3\"",
    "\"\xC0\xAF\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xE2\x82\"", "\"\\\xC3\xA9\"",
    "\"0123456\xFF\"", "\"01234567\x1F\"", "\"0123456789\\",
    /* arrays */
    "[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1,,2]", "[1}", "[]]", "[][]", "[1:2]",
    "[\"a\":1]", "[[]", "[\"", "[1;2]",
    /* objects */
    "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{,\"a\":1}",
    "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{\"a\" 1}", "{\"a\",1}", "{\"a\":1 \"b\":2}",
    "{\"a\":1;\"b\":2}", "{\"a\":1]", "{\"a\"::1}", "{\"a\":}", "{\"a\":1}}", "{}{}", "{}x", "{} 1",
    "{[]:1}", "{\"a\n\":1}", "{\"a\":1,,\"b\":2}", "{\"\xFF\":1}",
    /* the wrong end inside, where the level below is of the other kind */
    "[{]}", "{\"a\":[}]", "[[{}]}", "[{\"a\":1],2]"};

START_TEST(scanner_refuses)
{
    for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
        struct json_value value = json_parse(bytes_str(invalid[i]));
        ck_assert_msg(value.kind == JSON_INVALID && !bytes_present(value.raw), "%s", invalid[i]);
    }
    ck_assert_int_eq(json_parse(BYTES_ABSENT).kind, JSON_INVALID);
    ck_assert_int_eq(json_parse(BYTES_LIT("1\0")).kind, JSON_INVALID);
    ck_assert_int_eq(json_parse(BYTES_LIT("\0")).kind, JSON_INVALID);
    ck_assert_int_eq(json_parse(BYTES_LIT("\"\0\"")).kind, JSON_INVALID);
    ck_assert_int_eq(json_parse(BYTES_LIT("[1\0]")).kind, JSON_INVALID);
}
END_TEST

struct accepted {
    const char *text;
    enum json_kind kind;
};

static const struct accepted valid[] = {
    {"null", JSON_NULL},
    {"true", JSON_TRUE},
    {"false", JSON_FALSE},
    {"0", JSON_NUMBER},
    {"-0", JSON_NUMBER},
    {"7", JSON_NUMBER},
    {"10", JSON_NUMBER},
    {"-12.50", JSON_NUMBER},
    {"0.0", JSON_NUMBER},
    {"1e5", JSON_NUMBER},
    {"1E+05", JSON_NUMBER},
    {"0e-0", JSON_NUMBER},
    {"-0.1e1", JSON_NUMBER},
    {"123456789012345678901234567890.123456789012345678901234567890e999", JSON_NUMBER},
    {"\"\"", JSON_STRING},
    {"\"a\x7F/\"", JSON_STRING},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uABcd\"", JSON_STRING},
    {"\"\\u0000\"", JSON_STRING},
    {"\"\\ud800\"", JSON_STRING},
    {"\"\\udc00\\ud800\"", JSON_STRING},
    {"\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x92\xA9\"", JSON_STRING},
    {"\"0123456789abcdef\xF0\x9F\x92\xA9"
     "0123456789\\n\"",
     JSON_STRING},
    {"[]", JSON_ARRAY},
    {"[ ]", JSON_ARRAY},
    {"[1]", JSON_ARRAY},
    {"[ 1 ,\t2\n,\r3 ]", JSON_ARRAY},
    {"[[],[[]],{}]", JSON_ARRAY},
    {"{}", JSON_OBJECT},
    {"{ }", JSON_OBJECT},
    {"{\"\":null}", JSON_OBJECT},
    {"{\"a\":1,\"a\":2}", JSON_OBJECT},
    {"{ \"a\" : [ { \"b\" : { } } , \"}\" , \"]\" ] , \"c\" : -1.5e+3 }", JSON_OBJECT},
};

START_TEST(scanner_accepts_and_slices)
{
    for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
        struct json_value value = json_parse(bytes_str(valid[i].text));
        ck_assert_msg(value.kind == valid[i].kind, "%s", valid[i].text);
        ck_assert_msg(bytes_is(value.raw, valid[i].text), "%s", valid[i].text);
        char padded[256];
        snprintf(padded, sizeof(padded), " \t\r\n%s\n\r\t ", valid[i].text);
        value = json_parse(bytes_str(padded));
        ck_assert_msg(value.kind == valid[i].kind, "padded %s", valid[i].text);
        ck_assert(value.raw.ptr == (const uint8_t *)padded + 4);
        ck_assert_uint_eq(value.raw.len, strlen(valid[i].text));
    }
}
END_TEST

static const char rich[] =
    "{\"id\":\"3f1c\\u00e9\",\"n\":[0,-1.25e-3,true,false,null,[],{}],\"text\":\"caf\xC3\xA9 "
    "\xE2\x82\xAC \xF0\x9F\x92\xA9 \\\"quoted\\\" \\\\ and a longer run of plain text\","
    "\"deep\":{\"a\":{\"b\":[[[{\"c\":1}]]]}},\"e\":{}}";

/* From a block of exactly the length, so that a sanitizer sees every byte read too many. */
START_TEST(scanner_refuses_every_truncation)
{
    const size_t len = sizeof(rich) - 1;
    ck_assert_int_eq(json_parse(bytes_make(rich, len)).kind, JSON_OBJECT);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut + 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy + 1, rich, cut);
        ck_assert_msg(json_parse(bytes_make(copy + 1, cut)).kind == JSON_INVALID, "cut to %zu",
                      cut);
        free(copy);
    }
}
END_TEST

START_TEST(scanner_refuses_every_byte_added)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        bool space = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
        char text[sizeof(rich)];
        memcpy(text, rich, sizeof(rich) - 1);
        text[sizeof(rich) - 1] = (char)byte;
        bool accepted = json_parse(bytes_make(text, sizeof(text))).kind == JSON_OBJECT;
        ck_assert_msg(accepted == space, "byte 0x%02X after the document", byte);
    }
}
END_TEST

/* A byte below 0x20 or a lone one beyond ASCII, wherever it stands in a string, is seen. */
START_TEST(scanner_sees_bad_bytes_at_every_place)
{
    static const uint8_t bad[] = {0x00, 0x1F, 0x0A, 0x80, 0xFF, 0xC0};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (size_t at = 1; at < 30; at++) {
            uint8_t text[31];
            memset(text, 'x', sizeof(text));
            text[0] = text[30] = '"';
            ck_assert_int_eq(json_parse(bytes_make(text, sizeof(text))).kind, JSON_STRING);
            text[at] = bad[i];
            ck_assert_int_eq(json_parse(bytes_make(text, sizeof(text))).kind, JSON_INVALID);
        }
    }
}
END_TEST

static bool nests(size_t depth, const char *open, const char *inner, char close)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < depth; i++)
        buf_put_str(&text, open);
    buf_put_str(&text, inner);
    for (size_t i = 0; i < depth; i++)
        buf_put_u8(&text, (uint8_t)close);
    ck_assert(buf_ok(&text));
    bool accepted = json_parse(buf_bytes(&text)).kind != JSON_INVALID;
    buf_deinit(&text);
    return accepted;
}

START_TEST(scanner_bounds_nesting)
{
    ck_assert(nests(JSON_DEPTH_MAX, "[", "", ']'));
    ck_assert(!nests(JSON_DEPTH_MAX + 1, "[", "", ']'));
    ck_assert(nests(JSON_DEPTH_MAX, "{\"a\":", "1", '}'));
    ck_assert(!nests(JSON_DEPTH_MAX + 1, "{\"a\":", "1", '}'));
    ck_assert(!nests(200000, "[", "", ']'));
    ck_assert(!nests(JSON_DEPTH_MAX, "[", "", '}'));
}
END_TEST

/* Each level remembers its own kind, also where one word of levels ends and the next begins, and
 * after a level was left and entered again as the other kind. */
START_TEST(scanner_remembers_the_kind_of_each_level)
{
    char text[4 * JSON_DEPTH_MAX + 64];
    size_t len = 0;
    bool object[JSON_DEPTH_MAX];
    text[len++] = '[';
    for (int round = 0; round < 2; round++) {
        if (round == 1)
            text[len++] = ',';
        for (size_t level = 0; level < 200; level++) {
            object[level] = (level * 7 + level / 3 + (size_t)round) % 2 == 0;
            const struct bytes open = object[level] ? BYTES_LIT("{\"\":") : BYTES_LIT("[");
            memcpy(text + len, open.ptr, open.len);
            len += open.len;
        }
        text[len++] = '1';
        for (size_t level = 200; level > 0; level--)
            text[len++] = object[level - 1] ? '}' : ']';
    }
    text[len++] = ']';
    ck_assert_int_eq(json_parse(bytes_make(text, len)).kind, JSON_ARRAY);
    for (size_t at = 0; at < len; at++) {
        if (text[at] != '}' && text[at] != ']')
            continue;
        text[at] = text[at] == '}' ? ']' : '}';
        ck_assert_msg(json_parse(bytes_make(text, len)).kind == JSON_INVALID, "end at %zu", at);
        text[at] = text[at] == '}' ? ']' : '}';
    }
}
END_TEST

/* ---- members ---- */

struct member {
    const char *key;
    enum json_kind kind;
    const char *raw;
};

static void check_members(const char *text, const struct member *expected, size_t count)
{
    struct json_value object = json_parse(bytes_str(text));
    ck_assert_msg(object.kind == JSON_OBJECT, "%s", text);
    struct json_members members;
    json_members_init(&members, object);
    struct bytes key = BYTES_ABSENT;
    struct json_value value = {JSON_INVALID, BYTES_ABSENT};
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(json_members_next(&members, &key, &value), "member %zu of %s", i, text);
        ck_assert_msg(bytes_is(key, expected[i].key), "%s", expected[i].key);
        ck_assert_msg(value.kind == expected[i].kind, "%s", expected[i].raw);
        ck_assert_msg(bytes_is(value.raw, expected[i].raw), "%.*s is not %s", BYTES_FMT(value.raw),
                      expected[i].raw);
    }
    ck_assert(!json_members_next(&members, &key, &value));
    ck_assert(!json_members_next(&members, &key, &value));
}

START_TEST(members_of_an_empty_object)
{
    check_members("{}", NULL, 0);
    check_members(" { \n } ", NULL, 0);
}
END_TEST

START_TEST(members_are_exact_slices)
{
    static const struct member expected[] = {
        {"\"id\"", JSON_STRING, "\"a\\\"},b\""},
        {"\"\"", JSON_NULL, "null"},
        {"\"t\"", JSON_TRUE, "true"},
        {"\"f\"", JSON_FALSE, "false"},
        {"\"n\"", JSON_NUMBER, "-1.50e+3"},
        {"\"o\"", JSON_OBJECT, "{ \"x\" : [ \"]}\\\\\" , {} ] }"},
        {"\"a\"", JSON_ARRAY, "[[1 , 2],{\"y\":\"\\\"\"}]"},
        {"\"k\\\"\\\\\"", JSON_STRING, "\"\\\\\""},
        {"\"id\"", JSON_NUMBER, "0"},
    };
    check_members("{ \"id\" : \"a\\\"},b\" ,\"\":null,\"t\":true ,\n\"f\":false,\"n\":-1.50e+3\t,"
                  "\"o\": { \"x\" : [ \"]}\\\\\" , {} ] } ,\"a\":[[1 , 2],{\"y\":\"\\\"\"}],"
                  "\"k\\\"\\\\\":\"\\\\\",\"id\":0 }",
                  expected, ARRAY_LEN(expected));
}
END_TEST

START_TEST(members_of_long_strings)
{
    static const struct member expected[] = {
        {"\"a long key, beyond a word\"", JSON_STRING, "\"0123456789\\\\0123456789\xC3\xA9\\\"z\""},
        {"\"n\"", JSON_NUMBER, "1"},
    };
    check_members(
        "{\"a long key, beyond a word\":\"0123456789\\\\0123456789\xC3\xA9\\\"z\",\"n\":1}",
        expected, ARRAY_LEN(expected));
}
END_TEST

/* Put together again from its members, the rich document is what it was. */
START_TEST(members_lose_nothing)
{
    struct json_members members;
    json_members_init(&members, json_parse(bytes_str(rich)));
    struct buf joined;
    buf_init(&joined, 4096);
    struct bytes key;
    struct json_value value;
    buf_put_u8(&joined, '{');
    for (size_t i = 0; json_members_next(&members, &key, &value); i++) {
        if (i > 0)
            buf_put_u8(&joined, ',');
        buf_put_bytes(&joined, key);
        buf_put_u8(&joined, ':');
        buf_put_bytes(&joined, value.raw);
        ck_assert_int_eq(json_parse(value.raw).kind, value.kind);
    }
    buf_put_u8(&joined, '}');
    ck_assert_str_eq(buf_cstr(&joined), rich);
    buf_deinit(&joined);
}
END_TEST

/* ---- unescape ---- */

static struct arena arena;

static void setup_arena(void)
{
    ck_assert(arena_init(&arena, 256, 1024));
}

static void teardown_arena(void)
{
    arena_deinit(&arena);
}

START_TEST(unescape_borrows_plain_text)
{
    const struct bytes raw = BYTES_LIT("\"caf\xC3\xA9\"");
    bool ok = true;
    struct bytes text = json_unescape(raw, &arena, &ok);
    ck_assert(ok);
    ck_assert(text.ptr == raw.ptr + 1);
    ck_assert_bytes(text, "caf\xC3\xA9");
    text = json_unescape(BYTES_LIT("\"\""), &arena, &ok);
    ck_assert(ok && bytes_present(text) && text.len == 0);
    ck_assert_uint_eq(arena.used, 0);
}
END_TEST

struct unescaped {
    const char *raw;
    const char *text;
};

static const struct unescaped unescapes[] = {
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
    {"\"a\\nb\"", "a\nb"},
    {"\"\\\\n\"", "\\n"},
    {"\"\\u0001\\u0041\\u007f\"", "\x01\x41\x7F"},
    {"\"\\u0080\\u00e9\\u07FF\"", "\xC2\x80\xC3\xA9\xDF\xBF"},
    {"\"\\u0800\\u20ac\\uD7ff\\ue000\\uFFFF\"",
     "\xE0\xA0\x80\xE2\x82\xAC\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF"},
    {"\"\\ud800\\udc00\\uD83D\\uDCA9\\udbff\\udfff\"",
     "\xF0\x90\x80\x80\xF0\x9F\x92\xA9\xF4\x8F\xBF\xBF"},
    {"\"caf\xC3\xA9\\tx\"", "caf\xC3\xA9\tx"},
};

START_TEST(unescape_gives_the_text)
{
    for (size_t i = 0; i < ARRAY_LEN(unescapes); i++) {
        struct bytes raw = json_parse(bytes_str(unescapes[i].raw)).raw;
        bool ok = true;
        struct bytes text = json_unescape(raw, &arena, &ok);
        ck_assert_msg(ok && bytes_is(text, unescapes[i].text), "%s", unescapes[i].raw);
    }
}
END_TEST

START_TEST(unescape_refuses_what_is_no_character)
{
    static const char *const bad[] = {
        "\"\\u0000\"",         "\"a\\u0000b\"",
        "\"\\ud800\"",         "\"\\udbff\"",
        "\"\\udc00\"",         "\"\\udfff\"",
        "\"\\ud800x\"",        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",  "\"\\ud800\\ud800\"",
        "\"\\udc00\\ud800\"",  "\"\\ud800\\ue000\"",
        "\"\\ud800\\\\dc00\"", "\"\\ud800\xC3\xA9 and more\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct json_value value = json_parse(bytes_str(bad[i]));
        ck_assert_msg(value.kind == JSON_STRING, "%s", bad[i]);
        bool ok = true;
        struct bytes text = json_unescape(value.raw, &arena, &ok);
        ck_assert_msg(!ok && !bytes_present(text), "%s", bad[i]);
    }
}
END_TEST

START_TEST(unescape_never_sets_ok_to_true)
{
    bool ok = false;
    struct bytes text = json_unescape(BYTES_LIT("\"a\\nb\""), &arena, &ok);
    ck_assert_bytes(text, "a\nb");
    ck_assert(!ok);
    text = json_unescape(BYTES_LIT("\"ab\""), &arena, &ok);
    ck_assert_bytes(text, "ab");
    ck_assert(!ok);
}
END_TEST

START_TEST(unescape_meets_the_ceiling)
{
    char raw[4096];
    memset(raw, 'x', sizeof(raw));
    raw[0] = raw[sizeof(raw) - 1] = '"';
    bool ok = true;
    ck_assert_uint_eq(json_unescape(bytes_make(raw, sizeof(raw)), &arena, &ok).len,
                      sizeof(raw) - 2);
    ck_assert(ok);
    raw[1] = '\\';
    raw[2] = 'n';
    ck_assert(!bytes_present(json_unescape(bytes_make(raw, sizeof(raw)), &arena, &ok)));
    ck_assert(!ok);
}
END_TEST

/* What the writer escapes, the scanner accepts and gives back: every character of one unit. */
START_TEST(written_strings_come_back)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    for (unsigned byte = 1; byte < 0x80; byte++)
        for (unsigned times = 0; times < byte % 11 + 1; times++)
            buf_put_u8(&text, (uint8_t)byte);
    buf_put_str(&text, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x92\xA9");
    struct buf written;
    buf_init(&written, 1 << 16);
    json_writer_init(&json, &written);
    json_string(&json, buf_bytes(&text));
    struct json_value value = json_parse(buf_bytes(&written));
    ck_assert_int_eq(value.kind, JSON_STRING);
    struct arena large;
    ck_assert(arena_init(&large, 1 << 16, 1 << 16));
    bool ok = true;
    ck_assert(bytes_equal(json_unescape(value.raw, &large, &ok), buf_bytes(&text)));
    ck_assert(ok);
    arena_deinit(&large);
    buf_deinit(&written);
    buf_deinit(&text);
}
END_TEST

static TCase *writer_case(void)
{
    TCase *writer = tcase_create("writer");
    tcase_add_checked_fixture(writer, setup_writer, teardown_writer);
    tcase_add_test(writer, writer_puts_commas);
    tcase_add_test(writer, writer_takes_absent_for_null);
    tcase_add_test(writer, writer_escapes);
    tcase_add_test(writer, writer_escapes_every_byte_at_every_place);
    tcase_add_test(writer, writer_string_meets_the_ceiling_exactly);
    tcase_add_test(writer, writer_failure_sticks);
    tcase_add_test(writer, writer_base64);
    tcase_add_test(writer, writer_numbers);
    tcase_add_test(writer, writer_doubles);
    tcase_add_test(writer, writer_doubles_read_back);
    return writer;
}

static TCase *scanner_case(void)
{
    TCase *scanner = tcase_create("scanner");
    tcase_add_test(scanner, scanner_refuses);
    tcase_add_test(scanner, scanner_accepts_and_slices);
    tcase_add_test(scanner, scanner_refuses_every_truncation);
    tcase_add_test(scanner, scanner_refuses_every_byte_added);
    tcase_add_test(scanner, scanner_sees_bad_bytes_at_every_place);
    tcase_add_test(scanner, scanner_bounds_nesting);
    tcase_add_test(scanner, scanner_remembers_the_kind_of_each_level);
    tcase_add_test(scanner, members_of_an_empty_object);
    tcase_add_test(scanner, members_are_exact_slices);
    tcase_add_test(scanner, members_of_long_strings);
    tcase_add_test(scanner, members_lose_nothing);
    return scanner;
}

static TCase *unescape_case(void)
{
    TCase *unescape = tcase_create("unescape");
    tcase_add_checked_fixture(unescape, setup_arena, teardown_arena);
    tcase_add_test(unescape, unescape_borrows_plain_text);
    tcase_add_test(unescape, unescape_gives_the_text);
    tcase_add_test(unescape, unescape_refuses_what_is_no_character);
    tcase_add_test(unescape, unescape_never_sets_ok_to_true);
    tcase_add_test(unescape, unescape_meets_the_ceiling);
    tcase_add_test(unescape, written_strings_come_back);
    return unescape;
}

static Suite *suite(void)
{
    Suite *suite = suite_create("json");
    suite_add_tcase(suite, writer_case());
    suite_add_tcase(suite, scanner_case());
    suite_add_tcase(suite, unescape_case());
    return suite;
}

TEST_MAIN(suite())
