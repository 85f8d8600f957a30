/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "walferry/base/swar.h"

#define NUMBER_TEXT_MAX 32

/* How a byte is written inside a string: 0 as it is, 'u' as \u00HH, else after a backslash. */
static const char escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',         't',           'n', 'u',
    'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',         'u',           'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\',
};

void json_writer_init(struct json_writer *json, struct buf *out)
{
    *json = (struct json_writer){.out = out};
}

/* Room for a value or key of `len` bytes, after the comma if one is due; NULL when there is none.
 */
static uint8_t *value_begin(struct json_writer *json, size_t len)
{
    size_t comma = json->comma ? 1 : 0;
    uint8_t *pos = buf_reserve(json->out, comma + len);
    json->comma = true;
    if (pos == NULL)
        return NULL;
    json->out->len += comma + len;
    if (comma == 1)
        *pos++ = ',';
    return pos;
}

static void put_literal(struct json_writer *json, const char *text, size_t len)
{
    uint8_t *pos = value_begin(json, len);
    if (pos != NULL)
        memcpy(pos, text, len);
}

void json_object_begin(struct json_writer *json)
{
    put_literal(json, "{", 1);
    json->comma = false;
}

void json_object_end(struct json_writer *json)
{
    buf_put_u8(json->out, '}');
    json->comma = true;
}

void json_array_begin(struct json_writer *json)
{
    put_literal(json, "[", 1);
    json->comma = false;
}

void json_array_end(struct json_writer *json)
{
    buf_put_u8(json->out, ']');
    json->comma = true;
}

void json_key(struct json_writer *json, const char *key)
{
    size_t len = strlen(key);
    uint8_t *pos = value_begin(json, len + 3);
    json->comma = false;
    if (pos == NULL)
        return;
    pos[0] = '"';
    memcpy(pos + 1, key, len);
    pos[len + 1] = '"';
    pos[len + 2] = ':';
}

static size_t growth_of(const uint8_t *pos, const uint8_t *end)
{
    size_t growth = 0;
    for (; pos < end; pos++) {
        char escape = escapes[*pos];
        growth += escape == 0 ? 0 : escape == 'u' ? 5 : 1;
    }
    return growth;
}

/* By how many bytes the text grows when it is escaped. */
static size_t escape_growth(struct bytes text)
{
    size_t growth = 0;
    const uint8_t *pos = text.ptr;
    const uint8_t *end = text.ptr + text.len;
    for (; end - pos >= SWAR_STEP; pos += SWAR_STEP) {
        if (swar_step_needs_escape(pos))
            growth += growth_of(pos, pos + SWAR_STEP);
    }
    for (; end - pos >= SWAR_SIZE; pos += SWAR_SIZE) {
        if (swar_needs_escape(swar_load(pos)))
            growth += growth_of(pos, pos + SWAR_SIZE);
    }
    return growth + growth_of(pos, end);
}

static uint8_t *write_char(uint8_t *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    char escape = escapes[byte];
    if (escape == 0) {
        *out++ = byte;
        return out;
    }
    *out++ = '\\';
    *out++ = (uint8_t)escape;
    if (escape != 'u')
        return out;
    *out++ = '0';
    *out++ = '0';
    *out++ = (uint8_t)digits[byte >> 4];
    *out++ = (uint8_t)digits[byte & 0x0F];
    return out;
}

/* Word by word: text that does need escapes, JSON inside a string above all, needs them every few
 * bytes, and a copy of a few bytes of unknown number costs more than a copy of eight. */
static void write_escaped(uint8_t *out, struct bytes text)
{
    const uint8_t *pos = text.ptr;
    const uint8_t *end = text.ptr + text.len;
    while (end - pos >= SWAR_SIZE) {
        if (!swar_needs_escape(swar_load(pos))) {
            memcpy(out, pos, SWAR_SIZE);
            out += SWAR_SIZE;
            pos += SWAR_SIZE;
            continue;
        }
        for (int i = 0; i < SWAR_SIZE; i++)
            out = write_char(out, *pos++);
    }
    while (pos < end)
        out = write_char(out, *pos++);
}

/* Measure first: the room asked of the buffer is exact, so that its ceiling is, and text that needs
 * no escape, the usual case, is one copy. */
void json_string(struct json_writer *json, struct bytes text)
{
    if (!bytes_present(text)) {
        json_null(json);
        return;
    }
    size_t growth = escape_growth(text);
    uint8_t *pos = value_begin(json, text.len + growth + 2);
    if (pos == NULL)
        return;
    pos[0] = '"';
    if (growth == 0)
        memcpy(pos + 1, text.ptr, text.len);
    else
        write_escaped(pos + 1, text);
    pos[1 + text.len + growth] = '"';
}

void json_str(struct json_writer *json, const char *text)
{
    json_string(json, bytes_str(text));
}

static void base64_group(uint8_t *out, uint32_t group)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out[0] = (uint8_t)digits[group >> 18];
    out[1] = (uint8_t)digits[group >> 12 & 0x3F];
    out[2] = (uint8_t)digits[group >> 6 & 0x3F];
    out[3] = (uint8_t)digits[group & 0x3F];
}

/* The alphabet with padding of RFC 4648, section 4. */
void json_base64(struct json_writer *json, struct bytes data)
{
    if (!bytes_present(data)) {
        json_null(json);
        return;
    }
    size_t groups = data.len / 3;
    size_t rest = data.len % 3;
    size_t len = (groups + (rest == 0 ? 0 : 1)) * 4;
    uint8_t *pos = value_begin(json, len + 2);
    if (pos == NULL)
        return;
    *pos++ = '"';
    const uint8_t *in = data.ptr;
    for (size_t i = 0; i < groups; i++, in += 3, pos += 4)
        base64_group(pos, (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2]);
    if (rest != 0) {
        base64_group(pos, (uint32_t)in[0] << 16 | (rest == 2 ? (uint32_t)in[1] << 8 : 0));
        pos[3] = '=';
        if (rest == 1)
            pos[2] = '=';
        pos += 4;
    }
    *pos = '"';
}

static void put_decimal(struct json_writer *json, uint64_t magnitude, bool negative)
{
    char text[NUMBER_TEXT_MAX];
    size_t at = sizeof(text);
    do {
        text[--at] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (negative)
        text[--at] = '-';
    put_literal(json, text + at, sizeof(text) - at);
}

void json_u64(struct json_writer *json, uint64_t value)
{
    put_decimal(json, value, false);
}

void json_i64(struct json_writer *json, int64_t value)
{
    put_decimal(json, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

/* The shortest of the usual precisions that reads back as the same number. */
void json_double(struct json_writer *json, double value)
{
    if (!isfinite(value)) {
        json_null(json);
        return;
    }
    char text[NUMBER_TEXT_MAX];
    int len = 0;
    for (int precision = 15; precision <= 17; precision++) {
        len = snprintf(text, sizeof(text), "%.*g", precision, value);
        double read_back = strtod(text, NULL);
        /* Bit by bit, which tells 0 from -0. */
        /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
        if (memcmp(&read_back, &value, sizeof(value)) == 0)
            break;
    }
    /* A locale may have its own mark; JSON knows the point only. */
    char *mark = strchr(text, ',');
    if (mark != NULL)
        *mark = '.';
    put_literal(json, text, (size_t)len);
}

void json_bool(struct json_writer *json, bool value)
{
    if (value)
        put_literal(json, "true", 4);
    else
        put_literal(json, "false", 5);
}

void json_null(struct json_writer *json)
{
    put_literal(json, "null", 4);
}

void json_raw(struct json_writer *json, struct bytes text)
{
    if (!bytes_present(text)) {
        json_null(json);
        return;
    }
    uint8_t *pos = value_begin(json, text.len);
    if (pos != NULL)
        memcpy(pos, text.ptr, text.len);
}
