/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/utf8.h"

#include "walferry/base/assert.h"
#include "walferry/base/swar.h"

/* What may follow a leading byte (RFC 3629, section 4): the length of the sequence and the range of
 * the second byte, which is where overlong forms, surrogates and too large values show. */
struct lead {
    uint8_t length;
    uint8_t second_min;
    uint8_t second_max;
};

static struct lead lead_of(uint8_t byte)
{
    if (byte < 0x80)
        return (struct lead){1, 0, 0};
    if (byte < 0xC2)
        return (struct lead){0, 0, 0};
    if (byte < 0xE0)
        return (struct lead){2, 0x80, 0xBF};
    if (byte < 0xF0)
        return (struct lead){3, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF};
    if (byte < 0xF5)
        return (struct lead){4, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF};
    return (struct lead){0, 0, 0};
}

size_t utf8_sequence(const uint8_t *pos, const uint8_t *end)
{
    struct lead lead = lead_of(*pos);
    if (lead.length <= 1)
        return lead.length;
    if ((size_t)(end - pos) < lead.length)
        return 0;
    if (pos[1] < lead.second_min || pos[1] > lead.second_max)
        return 0;
    for (size_t i = 2; i < lead.length; i++)
        if ((pos[i] & 0xC0) != 0x80)
            return 0;
    return lead.length;
}

/* Past the ASCII text at `pos`, or most of it: less than a word may be left. */
static const uint8_t *skip_ascii(const uint8_t *pos, const uint8_t *end)
{
    while (end - pos >= SWAR_STEP && !swar_step_not_ascii(pos))
        pos += SWAR_STEP;
    while (end - pos >= SWAR_SIZE && !swar_not_ascii(swar_load(pos)))
        pos += SWAR_SIZE;
    return pos;
}

bool utf8_valid(struct bytes text)
{
    if (bytes_empty(text))
        return true;
    if (text.len < SWAR_SIZE && !swar_not_ascii(swar_load_short(text)))
        return true;
    const uint8_t *end = text.ptr + text.len;
    const uint8_t *pos = skip_ascii(text.ptr, end);
    /* The last word again, in part: it is cheaper than byte by byte. */
    if (text.len >= SWAR_SIZE && end - pos < SWAR_SIZE &&
        !swar_not_ascii(swar_load(end - SWAR_SIZE)))
        return true;
    while (pos < end) {
        if (*pos < 0x80) {
            pos = skip_ascii(pos + 1, end);
            continue;
        }
        size_t length = utf8_sequence(pos, end);
        if (length == 0)
            return false;
        pos += length;
    }
    return true;
}

/* Valid characters that must not reach a terminal or a log line as they are: they move the cursor,
 * begin a line, or turn the reading direction. */
static bool hides_or_moves(const uint8_t *pos, size_t length)
{
    if (length == 1)
        return pos[0] < 0x20 || pos[0] == 0x7F;
    if (length == 2)
        return pos[0] == 0xC2 && pos[1] < 0xA0; /* C1 controls */
    if (length != 3 || pos[0] != 0xE2)
        return false;
    bool separator_or_override = pos[1] == 0x80 && pos[2] >= 0xA8 && pos[2] <= 0xAE;
    bool isolate = pos[1] == 0x81 && pos[2] >= 0xA6 && pos[2] <= 0xA9;
    return separator_or_override || isolate;
}

static void put_hex(struct buf *buf, const uint8_t *pos, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < length; i++) {
        const char escape[4] = {'\\', 'x', digits[pos[i] >> 4], digits[pos[i] & 0x0F]};
        buf_put(buf, escape, sizeof(escape));
    }
}

struct bytes utf8_cut(struct bytes text, size_t max)
{
    if (text.len <= max) {
        return text;
    }
    size_t len = max;
    /* Of what is not UTF-8, no more is lost than of a character. */
    while (len > 0 && max - len < 3 && (text.ptr[len] & 0xC0u) == 0x80u) {
        len--;
    }
    return bytes_make(text.ptr, len);
}

void utf8_copy(char *to, size_t size, const char *from)
{
    ASSERT(size > 0 && from != NULL);
    struct bytes shown = utf8_cut(bytes_str(from), size - 1);
    memcpy(to, shown.ptr, shown.len);
    to[shown.len] = '\0';
}

void utf8_put_printable(struct buf *buf, struct bytes text, size_t max)
{
    size_t shown = 0;
    while (shown < text.len) {
        const uint8_t *pos = text.ptr + shown;
        size_t length = utf8_sequence(pos, text.ptr + text.len);
        bool valid = length != 0;
        if (!valid)
            length = 1;
        if (length > max - shown) {
            buf_put_str(buf, "...");
            return;
        }
        if (valid && !hides_or_moves(pos, length))
            buf_put(buf, pos, length);
        else
            put_hex(buf, pos, length);
        shown += length;
    }
}
