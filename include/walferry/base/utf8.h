/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8: validation of text from outside (RFC 3629: no overlong forms, no surrogates, at most
 * U+10FFFF), and its safe display.
 */
#pragma once

#include "walferry/base/buf.h"

MUST_USE bool utf8_valid(struct bytes text);
/* Append for people: control characters, DEL and bytes that are not UTF-8 become \xHH, at most
 * `max` bytes of input are shown, "..." tells that there were more. */
void utf8_put_printable(struct buf *buf, struct bytes text, size_t max);
