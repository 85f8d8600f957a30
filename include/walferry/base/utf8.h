/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8: validation of text from outside (RFC 3629: no overlong forms, no surrogates, at most
 * U+10FFFF), and its safe display.
 */
#pragma once

#include "walferry/base/buf.h"

/* Absent text is valid, as empty text is. U+0000 is a character like any other. */
MUST_USE bool utf8_valid(struct bytes text);
/* Length in bytes, 1 to 4, of the character that begins at `pos`; 0 when there is no valid one
 * before `end`. `pos` must be before `end`. */
MUST_USE size_t utf8_sequence(const uint8_t *pos, const uint8_t *end);
/* The first `max` bytes, or a little less, so that no character is cut in two. */
struct bytes utf8_cut(struct bytes text, size_t max);
/* Copy, cut in this way to `size` bytes with the NUL. The two do not overlap. */
void utf8_copy(char *to, size_t size, const char *from);
/* Append for people: control characters (C0, DEL, C1), the line separators and direction overrides
 * of Unicode, and bytes that are not UTF-8 become \xHH a byte. At most `max` bytes of input are
 * shown, never half a character; "..." tells that there were more. */
void utf8_put_printable(struct buf *buf, struct bytes text, size_t max);
