/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include "walferry/base/parse.h"
#include "walferry/base/swar.h"
#include "walferry/base/utf8.h"

/* Of a sequence that utf8_sequence() accepted. */
static uint32_t decode_sequence(const uint8_t *pos, size_t length)
{
    static const uint8_t lead_masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t character = pos[0] & lead_masks[length];
    for (size_t i = 1; i < length; i++) {
        character = character << 6 | (pos[i] & 0x3FU);
    }
    return character;
}

static bool forbidden(uint32_t character)
{
    bool control = character < 0x20 || (character >= 0x7F && character <= 0x9F);
    bool noncharacter =
        (character >= 0xFDD0 && character <= 0xFDEF) || (character & 0xFFFE) == 0xFFFE;
    return control || noncharacter;
}

/* High bits, none when eight bytes are all of 0x20 to 0x7E, as nearly all text is. Taking 0x20 away
 * borrows into the high bit of a byte below it, and adding 1 carries into that of 0x7F; what a
 * borrow or a carry does to the next byte does not matter, since the answer is no already. */
static uint64_t beyond_printable(uint64_t word)
{
    return word | (word - SWAR_OF(0x20)) | (word + SWAR_OF(0x01));
}

/* The same for quotes and backslashes among ASCII: taking 1 from what differs in nothing. */
static uint64_t beyond_plain(uint64_t word)
{
    return beyond_printable(word) | ((word ^ SWAR_OF('"')) - SWAR_OF(0x01)) |
           ((word ^ SWAR_OF('\\')) - SWAR_OF(0x01));
}

static bool plain_word(const uint8_t *pos)
{
    return (beyond_printable(swar_load(pos)) & SWAR_HIGH_BITS) == 0;
}

bool text_is_plain(struct bytes text)
{
    if (bytes_empty(text)) {
        return true;
    }
    if (text.len < SWAR_SIZE) {
        return (beyond_plain(swar_load_short(text)) & SWAR_HIGH_BITS) == 0;
    }
    /* The last word begins where it has to, over some bytes for the second time. */
    const uint8_t *last = text.ptr + text.len - SWAR_SIZE;
    for (const uint8_t *pos = text.ptr; pos < last; pos += SWAR_SIZE) {
        if ((beyond_plain(swar_load(pos)) & SWAR_HIGH_BITS) != 0) {
            return false;
        }
    }
    return (beyond_plain(swar_load(last)) & SWAR_HIGH_BITS) == 0;
}

static size_t plain_run(struct bytes text, size_t from)
{
    size_t at = from;
    while (text.len - at >= sizeof(uint64_t) && plain_word(text.ptr + at)) {
        at += sizeof(uint64_t);
    }
    while (at < text.len && text.ptr[at] >= 0x20 && text.ptr[at] < 0x7F) {
        at++;
    }
    return at - from;
}

enum text_fault text_check(struct bytes text, uint32_t *ret_character)
{
    size_t at = plain_run(text, 0);
    while (at < text.len) {
        size_t length = utf8_sequence(text.ptr + at, text.ptr + text.len);
        if (length == 0) {
            return TEXT_NOT_UTF8;
        }
        uint32_t character = decode_sequence(text.ptr + at, length);
        if (forbidden(character)) {
            *ret_character = character;
            return TEXT_FORBIDDEN;
        }
        at += length;
        at += plain_run(text, at);
    }
    return TEXT_GOOD;
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool text_begins(struct bytes text, const char *lower_case_prefix)
{
    size_t at = 0;
    while (lower_case_prefix[at] != '\0') {
        if (at == text.len || lower(text.ptr[at]) != (uint8_t)lower_case_prefix[at]) {
            return false;
        }
        at++;
    }
    return true;
}

bool text_equals(struct bytes text, const char *lower_case)
{
    return text.len == strlen(lower_case) && text_begins(text, lower_case);
}

struct bytes text_printable(struct bytes text, struct arena *arena)
{
    /* A byte becomes at most four. */
    size_t room = 4 * text.len + 1;
    uint8_t *memory = arena_alloc(arena, room);
    if (memory == NULL) {
        return BYTES_ABSENT;
    }
    /* A buffer over the arena's memory: as large as it can need to be, so it never allocates. */
    struct buf printable = {.ptr = memory, .cap = room, .max = room};
    utf8_put_printable(&printable, text, text.len);
    return bytes_make(memory, printable.len);
}

bool text_is_uri_reference(struct bytes text)
{
    static const char marks[] = "-._~:/?#[]@!$&'()*+,;=";
    for (size_t at = 0; at < text.len; at++) {
        uint8_t byte = text.ptr[at];
        bool letter = lower(byte) >= 'a' && lower(byte) <= 'z';
        bool digit = byte >= '0' && byte <= '9';
        bool mark = byte != '\0' && strchr(marks, byte) != NULL;
        bool quoted = byte == '%' && text.len - at > 2 && parse_hex_digit(text.ptr[at + 1]) >= 0 &&
                      parse_hex_digit(text.ptr[at + 2]) >= 0;
        if (!letter && !digit && !mark && !quoted) {
            return false;
        }
    }
    return text.len > 0;
}
