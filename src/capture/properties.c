/* SPDX-License-Identifier: Apache-2.0 */
#include "properties.h"

#include "walferry/base/parse.h"

struct scan {
    const uint8_t *pos;
    const uint8_t *end;
    uint8_t *out; /* room for as much as is left of the input */
    bool malformed;
};

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\f';
}

static bool is_newline(uint8_t byte)
{
    return byte == '\n' || byte == '\r';
}

static void skip_spaces(struct scan *scan)
{
    while (scan->pos < scan->end && is_space(*scan->pos))
        scan->pos++;
}

/* \r\n is one line's end. */
static void skip_newline(struct scan *scan)
{
    if (*scan->pos++ == '\r' && scan->pos < scan->end && *scan->pos == '\n')
        scan->pos++;
}

static bool hex_value(const uint8_t *digits, unsigned *ret_value)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = parse_hex_digit(digits[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    *ret_value = value;
    return true;
}

/* After \u. Trace context is ASCII: surrogates have no business there. */
static void take_unicode(struct scan *scan)
{
    unsigned code;
    if (scan->end - scan->pos < 4 || !hex_value(scan->pos, &code) ||
        (code >= 0xD800 && code <= 0xDFFF)) {
        scan->malformed = true;
        return;
    }
    scan->pos += 4;
    if (code < 0x80) {
        *scan->out++ = (uint8_t)code;
    } else if (code < 0x800) {
        *scan->out++ = (uint8_t)(0xC0 | code >> 6);
        *scan->out++ = (uint8_t)(0x80 | (code & 0x3F));
    } else {
        *scan->out++ = (uint8_t)(0xE0 | code >> 12);
        *scan->out++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        *scan->out++ = (uint8_t)(0x80 | (code & 0x3F));
    }
}

/* After the backslash. */
static void take_escape(struct scan *scan)
{
    static const char names[] = "tnrf";
    static const char meanings[] = "\t\n\r\f";
    if (scan->pos == scan->end)
        return;
    uint8_t byte = *scan->pos;
    if (is_newline(byte)) {
        skip_newline(scan);
        skip_spaces(scan);
        return;
    }
    scan->pos++;
    const char *name = byte == '\0' ? NULL : strchr(names, byte);
    if (byte == 'u')
        take_unicode(scan);
    else
        *scan->out++ = name == NULL ? byte : (uint8_t)meanings[name - names];
}

/* Up to the end of the logical line; a key also ends at white space, = or :. */
static struct bytes take_text(struct scan *scan, bool key)
{
    const uint8_t *start = scan->out;
    while (scan->pos < scan->end && !is_newline(*scan->pos) && !scan->malformed) {
        uint8_t byte = *scan->pos;
        if (key && (is_space(byte) || byte == '=' || byte == ':'))
            break;
        scan->pos++;
        if (byte == '\\')
            take_escape(scan);
        else
            *scan->out++ = byte;
    }
    return bytes_make(start, (size_t)(scan->out - start));
}

static void skip_separator(struct scan *scan)
{
    skip_spaces(scan);
    if (scan->pos < scan->end && (*scan->pos == '=' || *scan->pos == ':'))
        scan->pos++;
    skip_spaces(scan);
}

static void skip_comment(struct scan *scan)
{
    while (scan->pos < scan->end && !is_newline(*scan->pos))
        scan->pos++;
}

enum properties_outcome properties_find(struct bytes text, const char *key, struct arena *arena,
                                        struct bytes *ret_value)
{
    uint8_t *out = arena_alloc(arena, text.len);
    if (out == NULL)
        return PROPERTIES_MALFORMED;
    struct scan scan = {.pos = text.ptr, .end = text.ptr + text.len, .out = out};
    struct bytes found = BYTES_ABSENT;
    while (scan.pos < scan.end) {
        skip_spaces(&scan);
        if (scan.pos == scan.end)
            break;
        if (is_newline(*scan.pos)) {
            skip_newline(&scan);
        } else if (*scan.pos == '#' || *scan.pos == '!') {
            skip_comment(&scan);
        } else {
            struct bytes name = take_text(&scan, true);
            skip_separator(&scan);
            struct bytes value = take_text(&scan, false);
            if (scan.malformed)
                return PROPERTIES_MALFORMED;
            if (bytes_is(name, key))
                found = value;
        }
    }
    if (!bytes_present(found))
        return PROPERTIES_NONE;
    *ret_value = found;
    return PROPERTIES_FOUND;
}
