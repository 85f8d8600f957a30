/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swar: eight bytes at a time in a plain register, for the loops that look at every byte of a row;
 * and four such words a step, with one branch, since nearly all text answers no.
 *
 * Each test answers "is there any such byte among the eight", exactly, whatever
 * the byte order; which of them it is, the caller finds byte by byte.
 */
#pragma once

#include "walferry/base/bytes.h"

#define SWAR_SIZE      8
#define SWAR_STEP      (4 * SWAR_SIZE)
#define SWAR_OF(byte)  (UINT64_C(0x0101010101010101) * (byte))
#define SWAR_HIGH_BITS SWAR_OF(0x80)

static inline uint64_t swar_load(const uint8_t *pos)
{
    uint64_t word;
    memcpy(&word, pos, sizeof(word));
    return word;
}

/* Text of 1 to 7 bytes, of which some stand in the word several times. */
static inline uint64_t swar_load_short(struct bytes text)
{
    const uint8_t *end = text.ptr + text.len;
    if (text.len < 4)
        return SWAR_OF(1) * text.ptr[0] ^ (uint64_t)(text.ptr[0] ^ text.ptr[text.len / 2]) << 8 ^
               (uint64_t)(text.ptr[0] ^ end[-1]) << 16;
    uint32_t first;
    uint32_t last;
    memcpy(&first, text.ptr, sizeof(first));
    memcpy(&last, end - sizeof(last), sizeof(last));
    return (uint64_t)first << 32 | last;
}

/* Any byte beyond ASCII. */
static inline int swar_not_ascii(uint64_t word)
{
    return (word & SWAR_HIGH_BITS) != 0;
}

static inline int swar_step_not_ascii(const uint8_t *pos)
{
    return swar_not_ascii(swar_load(pos) | swar_load(pos + SWAR_SIZE) |
                          swar_load(pos + 2 * SWAR_SIZE) | swar_load(pos + 3 * SWAR_SIZE));
}

/* Not 0 among the high bits when a byte is one that JSON wants escaped in a string: a control, a
 * quote, a backslash. Subtracting lets a byte below the bound borrow into its high bit; bytes
 * beyond ASCII are masked out by ~word. */
static inline uint64_t swar_escapes(uint64_t word)
{
    uint64_t control = word - SWAR_OF(0x20);
    uint64_t quote = (word ^ SWAR_OF('"')) - SWAR_OF(1);
    uint64_t backslash = (word ^ SWAR_OF('\\')) - SWAR_OF(1);
    return (control | quote | backslash) & ~word;
}

static inline int swar_needs_escape(uint64_t word)
{
    return (swar_escapes(word) & SWAR_HIGH_BITS) != 0;
}

static inline int swar_step_needs_escape(const uint8_t *pos)
{
    return ((swar_escapes(swar_load(pos)) | swar_escapes(swar_load(pos + SWAR_SIZE)) |
             swar_escapes(swar_load(pos + 2 * SWAR_SIZE)) |
             swar_escapes(swar_load(pos + 3 * SWAR_SIZE))) &
            SWAR_HIGH_BITS) != 0;
}
