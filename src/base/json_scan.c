/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/json.h"

#include "walferry/base/assert.h"
#include "walferry/base/swar.h"
#include "walferry/base/utf8.h"

/* What the grammar allows next, white space aside. */
enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* after [ */
    EXPECT_KEY,          /* after a comma in an object */
    EXPECT_KEY_OR_END,   /* after { */
    EXPECT_MORE,         /* after a value: a comma or the end of what is open */
};

#define DEPTH_WORD 64
_Static_assert(JSON_DEPTH_MAX % DEPTH_WORD == 0, "one bit a level, in whole words");

struct scan {
    const uint8_t *pos;
    const uint8_t *end;
    enum expect expect;
    size_t depth;
    uint64_t in_object[JSON_DEPTH_MAX / DEPTH_WORD]; /* one bit a level: object, else array */
};

/* Bytes by what they mean to the scanner. */
enum byte_class {
    BYTE_OTHER,
    BYTE_SPACE = 1,
    BYTE_DIGIT = 2,
    BYTE_HEX = 4,
    BYTE_ESCAPE = 8, /* may follow a backslash, \u aside */
};

static const uint8_t classes[256] = {
    [' '] = BYTE_SPACE,
    ['\t'] = BYTE_SPACE,
    ['\n'] = BYTE_SPACE,
    ['\r'] = BYTE_SPACE,
    ['0'] = BYTE_DIGIT | BYTE_HEX,
    ['1'] = BYTE_DIGIT | BYTE_HEX,
    ['2'] = BYTE_DIGIT | BYTE_HEX,
    ['3'] = BYTE_DIGIT | BYTE_HEX,
    ['4'] = BYTE_DIGIT | BYTE_HEX,
    ['5'] = BYTE_DIGIT | BYTE_HEX,
    ['6'] = BYTE_DIGIT | BYTE_HEX,
    ['7'] = BYTE_DIGIT | BYTE_HEX,
    ['8'] = BYTE_DIGIT | BYTE_HEX,
    ['9'] = BYTE_DIGIT | BYTE_HEX,
    ['a'] = BYTE_HEX,
    ['b'] = BYTE_HEX | BYTE_ESCAPE,
    ['c'] = BYTE_HEX,
    ['d'] = BYTE_HEX,
    ['e'] = BYTE_HEX,
    ['f'] = BYTE_HEX | BYTE_ESCAPE,
    ['A'] = BYTE_HEX,
    ['B'] = BYTE_HEX,
    ['C'] = BYTE_HEX,
    ['D'] = BYTE_HEX,
    ['E'] = BYTE_HEX,
    ['F'] = BYTE_HEX,
    ['"'] = BYTE_ESCAPE,
    ['\\'] = BYTE_ESCAPE,
    ['/'] = BYTE_ESCAPE,
    ['n'] = BYTE_ESCAPE,
    ['r'] = BYTE_ESCAPE,
    ['t'] = BYTE_ESCAPE,
};

static bool is_class(uint8_t byte, enum byte_class class)
{
    return (classes[byte] & class) != 0;
}

static const uint8_t *skip_class(const uint8_t *pos, const uint8_t *end, enum byte_class class)
{
    while (pos < end && is_class(*pos, class))
        pos++;
    return pos;
}

static bool scan_byte(struct scan *scan, uint8_t wanted)
{
    if (scan->pos == scan->end || *scan->pos != wanted)
        return false;
    scan->pos++;
    return true;
}

/* After the backslash. */
static bool scan_escape(struct scan *scan)
{
    if (scan->pos == scan->end)
        return false;
    uint8_t byte = *scan->pos++;
    if (byte != 'u')
        return is_class(byte, BYTE_ESCAPE);
    if (scan->end - scan->pos < 4)
        return false;
    for (int i = 0; i < 4; i++)
        if (!is_class(*scan->pos++, BYTE_HEX))
            return false;
    return true;
}

static const uint8_t *skip_plain_words(const uint8_t *pos, const uint8_t *end)
{
    while (end - pos >= SWAR_SIZE) {
        uint64_t word = swar_load(pos);
        if (swar_needs_escape(word) || swar_not_ascii(word))
            break;
        pos += SWAR_SIZE;
    }
    return pos;
}

static bool scan_string(struct scan *scan)
{
    if (!scan_byte(scan, '"'))
        return false;
    while (true) {
        scan->pos = skip_plain_words(scan->pos, scan->end);
        if (scan->pos == scan->end)
            return false;
        uint8_t byte = *scan->pos;
        if (byte >= 0x80) {
            size_t length = utf8_sequence(scan->pos, scan->end);
            if (length == 0)
                return false;
            scan->pos += length;
            continue;
        }
        if (byte < 0x20)
            return false;
        scan->pos++;
        if (byte == '"')
            return true;
        if (byte == '\\' && !scan_escape(scan))
            return false;
    }
}

static bool scan_digits(struct scan *scan)
{
    const uint8_t *start = scan->pos;
    scan->pos = skip_class(scan->pos, scan->end, BYTE_DIGIT);
    return scan->pos > start;
}

static bool scan_number(struct scan *scan)
{
    discard(scan_byte(scan, '-'));
    /* A zero in front stands alone. */
    if (!scan_byte(scan, '0') && !scan_digits(scan))
        return false;
    if (scan_byte(scan, '.') && !scan_digits(scan))
        return false;
    if (!scan_byte(scan, 'e') && !scan_byte(scan, 'E'))
        return true;
    if (!scan_byte(scan, '+'))
        discard(scan_byte(scan, '-'));
    return scan_digits(scan);
}

static bool scan_word(struct scan *scan, struct bytes word)
{
    if ((size_t)(scan->end - scan->pos) < word.len || memcmp(scan->pos, word.ptr, word.len) != 0)
        return false;
    scan->pos += word.len;
    return true;
}

static bool scan_open(struct scan *scan, bool object)
{
    if (scan->depth == JSON_DEPTH_MAX)
        return false;
    uint64_t *word = &scan->in_object[scan->depth / DEPTH_WORD];
    uint64_t bit = UINT64_C(1) << scan->depth % DEPTH_WORD;
    if (bit == 1)
        *word = 0;
    *word = object ? *word | bit : *word & ~bit;
    scan->depth++;
    scan->pos++;
    scan->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    return true;
}

static void scan_close(struct scan *scan)
{
    ASSERT(scan->depth > 0);
    scan->depth--;
    scan->pos++;
    scan->expect = EXPECT_MORE;
}

static enum json_kind kind_of(uint8_t first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return first == '-' || is_class(first, BYTE_DIGIT) ? JSON_NUMBER : JSON_INVALID;
    }
}

/* A whole scalar, or the opening of an array or object. */
static bool scan_value(struct scan *scan)
{
    scan->expect = EXPECT_MORE;
    switch (kind_of(*scan->pos)) {
    case JSON_OBJECT:
        return scan_open(scan, true);
    case JSON_ARRAY:
        return scan_open(scan, false);
    case JSON_STRING:
        return scan_string(scan);
    case JSON_NUMBER:
        return scan_number(scan);
    case JSON_TRUE:
        return scan_word(scan, BYTES_LIT("true"));
    case JSON_FALSE:
        return scan_word(scan, BYTES_LIT("false"));
    case JSON_NULL:
        return scan_word(scan, BYTES_LIT("null"));
    case JSON_INVALID:
        break;
    }
    return false;
}

static bool scan_key(struct scan *scan)
{
    if (!scan_string(scan))
        return false;
    scan->pos = skip_class(scan->pos, scan->end, BYTE_SPACE);
    scan->expect = EXPECT_VALUE;
    return scan_byte(scan, ':');
}

static bool scan_more(struct scan *scan)
{
    size_t level = scan->depth - 1;
    bool object = (scan->in_object[level / DEPTH_WORD] >> level % DEPTH_WORD & 1) != 0;
    if (scan_byte(scan, ',')) {
        scan->expect = object ? EXPECT_KEY : EXPECT_VALUE;
        return true;
    }
    if (*scan->pos != (object ? '}' : ']'))
        return false;
    scan_close(scan);
    return true;
}

/* One thing that the grammar allows here; at least one byte is left. */
static bool scan_step(struct scan *scan)
{
    switch (scan->expect) {
    case EXPECT_VALUE_OR_END:
        if (*scan->pos != ']')
            return scan_value(scan);
        scan_close(scan);
        return true;
    case EXPECT_VALUE:
        return scan_value(scan);
    case EXPECT_KEY_OR_END:
        if (*scan->pos != '}')
            return scan_key(scan);
        scan_close(scan);
        return true;
    case EXPECT_KEY:
        return scan_key(scan);
    case EXPECT_MORE:
        return scan_more(scan);
    }
    UNREACHABLE();
}

struct json_value json_parse(struct bytes text)
{
    const struct json_value invalid = {JSON_INVALID, BYTES_ABSENT};
    if (bytes_empty(text))
        return invalid;
    struct scan scan;
    scan.end = text.ptr + text.len;
    scan.pos = skip_class(text.ptr, scan.end, BYTE_SPACE);
    scan.expect = EXPECT_VALUE;
    scan.depth = 0;
    const uint8_t *start = scan.pos;
    while (scan.depth > 0 || scan.expect == EXPECT_VALUE) {
        scan.pos = skip_class(scan.pos, scan.end, BYTE_SPACE);
        if (scan.pos == scan.end || !scan_step(&scan))
            return invalid;
    }
    struct bytes raw = bytes_make(start, (size_t)(scan.pos - start));
    if (skip_class(scan.pos, scan.end, BYTE_SPACE) != scan.end)
        return invalid;
    return (struct json_value){kind_of(*start), raw};
}

/* The rest walks bytes that json_parse() accepted: it looks for ends and checks nothing, but never
 * leaves the slice even if it was given something else. */

/* From the opening quote to past the closing one. */
static const uint8_t *skip_string(const uint8_t *pos, const uint8_t *end)
{
    pos++;
    while (true) {
        while (end - pos >= SWAR_SIZE && !swar_needs_escape(swar_load(pos)))
            pos += SWAR_SIZE;
        if (pos == end)
            return end;
        uint8_t byte = *pos++;
        if (byte == '"')
            return pos;
        if (byte == '\\' && pos < end)
            pos++;
    }
}

static const uint8_t *skip_container(const uint8_t *pos, const uint8_t *end)
{
    size_t depth = 0;
    while (pos < end) {
        uint8_t byte = *pos;
        if (byte == '"') {
            pos = skip_string(pos, end);
            continue;
        }
        pos++;
        if (byte == '{' || byte == '[')
            depth++;
        else if ((byte == '}' || byte == ']') && --depth == 0)
            break;
    }
    return pos;
}

static const uint8_t *skip_value(const uint8_t *pos, const uint8_t *end)
{
    if (*pos == '"')
        return skip_string(pos, end);
    if (*pos == '{' || *pos == '[')
        return skip_container(pos, end);
    while (pos < end && *pos != ',' && *pos != '}' && !is_class(*pos, BYTE_SPACE))
        pos++;
    return pos;
}

void json_members_init(struct json_members *members, struct json_value object)
{
    ASSERT(object.kind == JSON_OBJECT && object.raw.len >= 2);
    *members = (struct json_members){object.raw.ptr + 1, object.raw.ptr + object.raw.len};
}

bool json_members_next(struct json_members *members, struct bytes *ret_key,
                       struct json_value *ret_value)
{
    const uint8_t *end = members->end;
    const uint8_t *key = skip_class(members->pos, end, BYTE_SPACE);
    if (key < end && *key == ',')
        key = skip_class(key + 1, end, BYTE_SPACE);
    if (key == end || *key != '"')
        return false;
    const uint8_t *key_end = skip_string(key, end);
    const uint8_t *colon = skip_class(key_end, end, BYTE_SPACE);
    ASSERT(colon < end && *colon == ':');
    const uint8_t *value = skip_class(colon + 1, end, BYTE_SPACE);
    ASSERT(value < end);
    members->pos = skip_value(value, end);
    *ret_key = bytes_make(key, (size_t)(key_end - key));
    *ret_value =
        (struct json_value){kind_of(*value), bytes_make(value, (size_t)(members->pos - value))};
    return true;
}
