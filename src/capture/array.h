/* SPDX-License-Identifier: Apache-2.0 */
/*
 * array: walks the text of a one-dimensional PostgreSQL array (PostgreSQL documentation, section
 * 8.15.6): {a,"b c",NULL}. Elements are borrowed, or in the arena when they hold escapes.
 */
#pragma once

#include "walferry/base/arena.h"

struct array_reader {
    const uint8_t *pos;
    const uint8_t *end;
    struct arena *arena;
    bool first;
    bool failed; /* malformed, of more dimensions, or the arena is full */
};

void array_init(struct array_reader *array, struct bytes text, struct arena *arena);
/* False at the end and when `failed`; the element is absent for NULL. */
MUST_USE bool array_next(struct array_reader *array, struct bytes *ret_element);
