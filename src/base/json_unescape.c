/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/json.h"

#include "walferry/base/assert.h"
#include "walferry/base/parse.h"

#define SURROGATE_HIGH 0xD800u
#define SURROGATE_LOW  0xDC00u
#define SURROGATE_END  0xE000u

/* What stands for the byte after a backslash; 0 for all that the grammar does not allow there. */
static const uint8_t meanings[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

/* The four digits at `pos`, which the scanner saw. */
static uint32_t hex_unit(const uint8_t *pos)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (uint32_t)parse_hex_digit(pos[i]);
    return unit;
}

static uint8_t *write_utf8(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (uint8_t)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (uint8_t)(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (uint8_t)(0xE0 | code >> 12);
        } else {
            *out++ = (uint8_t)(0xF0 | code >> 18);
            *out++ = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        }
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    }
    *out++ = (uint8_t)(0x80 | (code & 0x3F));
    return out;
}

/* From after "\u" to the character; both halves of a pair are taken. */
static bool unescape_unicode(const uint8_t **pos, const uint8_t *end, uint8_t **out)
{
    ASSERT(end - *pos >= 4);
    uint32_t code = hex_unit(*pos);
    *pos += 4;
    if (code == 0 || (code >= SURROGATE_LOW && code < SURROGATE_END))
        return false;
    if (code >= SURROGATE_HIGH && code < SURROGATE_LOW) {
        if (end - *pos < 6 || (*pos)[0] != '\\' || (*pos)[1] != 'u')
            return false;
        uint32_t low = hex_unit(*pos + 2);
        if (low < SURROGATE_LOW || low >= SURROGATE_END)
            return false;
        *pos += 6;
        code = 0x10000 + ((code - SURROGATE_HIGH) << 10) + (low - SURROGATE_LOW);
    }
    *out = write_utf8(*out, code);
    return true;
}

/* Returns the end of what was written, NULL when an escape names no character. */
static uint8_t *unescape_into(uint8_t *out, const uint8_t *pos, const uint8_t *end)
{
    while (pos < end) {
        const uint8_t *backslash = memchr(pos, '\\', (size_t)(end - pos));
        const uint8_t *run_end = backslash == NULL ? end : backslash;
        memcpy(out, pos, (size_t)(run_end - pos));
        out += run_end - pos;
        if (backslash == NULL)
            break;
        ASSERT(end - backslash >= 2);
        uint8_t escape = backslash[1];
        pos = backslash + 2;
        if (escape != 'u')
            *out++ = meanings[escape];
        else if (!unescape_unicode(&pos, end, &out))
            return NULL;
    }
    return out;
}

struct bytes json_unescape(struct bytes raw, struct arena *arena, bool *ret_ok)
{
    ASSERT(raw.len >= 2 && raw.ptr[0] == '"' && raw.ptr[raw.len - 1] == '"');
    struct bytes inner = bytes_make(raw.ptr + 1, raw.len - 2);
    if (memchr(inner.ptr, '\\', inner.len) == NULL)
        return inner;
    /* No escape is shorter than what it stands for. */
    uint8_t *text = arena_alloc(arena, inner.len);
    uint8_t *end = text == NULL ? NULL : unescape_into(text, inner.ptr, inner.ptr + inner.len);
    if (end == NULL) {
        *ret_ok = false;
        return BYTES_ABSENT;
    }
    return bytes_make(text, (size_t)(end - text));
}
