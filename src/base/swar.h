/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swar: eight bytes at a time in a plain register, for the loops that look at every byte of a row.
 *
 * Private to base. Each test answers "is there any such byte among the eight", exactly, whatever
 * the byte order; which of them it is, the caller finds byte by byte.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#define SWAR_SIZE      8
#define SWAR_OF(byte)  (UINT64_C(0x0101010101010101) * (byte))
#define SWAR_HIGH_BITS SWAR_OF(0x80)

static inline uint64_t swar_load(const uint8_t *pos)
{
    uint64_t word;
    memcpy(&word, pos, sizeof(word));
    return word;
}

/* Any byte beyond ASCII. */
static inline int swar_not_ascii(uint64_t word)
{
    return (word & SWAR_HIGH_BITS) != 0;
}

/* Any byte that JSON wants escaped in a string: a control, a quote, a backslash. Subtracting lets a
 * byte below the bound borrow into its high bit; bytes beyond ASCII are masked out by ~word. */
static inline int swar_needs_escape(uint64_t word)
{
    uint64_t control = word - SWAR_OF(0x20);
    uint64_t quote = (word ^ SWAR_OF('"')) - SWAR_OF(1);
    uint64_t backslash = (word ^ SWAR_OF('\\')) - SWAR_OF(1);
    return ((control | quote | backslash) & ~word & SWAR_HIGH_BITS) != 0;
}
