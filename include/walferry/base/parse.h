/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse: strict readers of small values, as they stand in configuration, columns and files.
 *
 * Each consumes the whole text or fails; no white space, no sign where none belongs, no overflow.
 */
#pragma once

#include "walferry/base/bytes.h"

/* Decimal digits (leading zeros are no octal), for i64 after at most one minus. */
MUST_USE bool parse_u64(struct bytes text, uint64_t *ret_value);
MUST_USE bool parse_i64(struct bytes text, int64_t *ret_value);
/* true false; nothing else. */
MUST_USE bool parse_bool(struct bytes text, bool *ret_value);
/* 0 to 15 of a digit in either case; -1 when it is none. */
static inline int parse_hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
/* A number with one of the units ms s m h d: "250ms", "1.5s"; "0" alone too. The result must be a
 * whole number of milliseconds: "1.5ms" fails. */
MUST_USE bool parse_duration_ms(struct bytes text, uint64_t *ret_ms);
/* A whole number with B, KiB, MiB, GiB, TiB, KB (1000), MB, GB, TB or no unit (bytes). */
MUST_USE bool parse_size(struct bytes text, uint64_t *ret_bytes);
/* Glob match over the whole text: * any run, ? one byte, [...] is not special, \ quotes the next
 * byte. Runs in time linear in text times pattern. A glob that is not valid matches nothing. */
MUST_USE bool glob_match(struct bytes pattern, struct bytes text);
/* A trailing backslash is the only thing that is wrong with a glob. */
MUST_USE bool glob_valid(struct bytes pattern);
/* Levenshtein distance with transpositions of neighbours, capped at 255, for "did you mean"; 255
 * too when a text is longer than that. */
unsigned edit_distance(const char *a, const char *b);
