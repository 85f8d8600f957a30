/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields: the input of a fuzz target as several texts, cut at bytes 0xFF, which no UTF-8 holds.
 */
#pragma once

#include "walferry/base/bytes.h"

#define FIELD_END 0xFF

/* Up to the next end of a field; empty, never absent, when nothing is left. */
static inline struct bytes field_next(struct bytes *rest)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->ptr, FIELD_END, rest->len);
    struct bytes field = {rest->ptr, end == NULL ? rest->len : (size_t)(end - rest->ptr)};
    size_t used = field.len + (end == NULL ? 0 : 1);
    *rest = bytes_make(rest->ptr + used, rest->len - used);
    return field;
}

/* The same as text in `into`: up to a NUL, and to what has room. */
static inline const char *field_text(struct bytes *rest, char *into, size_t size)
{
    struct bytes field = field_next(rest);
    size_t len = 0;
    while (len < field.len && len + 1 < size && field.ptr[len] != '\0') {
        into[len] = (char)field.ptr[len];
        len++;
    }
    into[len] = '\0';
    return into;
}

/* Numbers of the input's own choice: 0 at its end. */
static inline uint64_t field_number(struct bytes *rest, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size && rest->len > 0; i++) {
        number = number << 8 | rest->ptr[0];
        *rest = bytes_make(rest->ptr + 1, rest->len - 1);
    }
    return number;
}
