/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compiler: the few extensions of GNU C that the tree uses, behind plain names.
 *
 * Nothing else in the tree spells an attribute. gcc does not let a (void) cast silence
 * MUST_USE; discard() says that ignoring a result is meant.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument)                                                  \
    __attribute__((format(printf, format_index, first_argument)))
#define NORETURN __attribute__((noreturn))
#define UNUSED   __attribute__((unused))
/* A large local on the way of every event, that is only read where it was filled: without the
 * zeroes that the build puts into every other one beforehand. */
#define UNFILLED __attribute__((uninitialized))
/* Run FN(&variable) when the variable leaves its scope. */
#define AUTO(fn) __attribute__((cleanup(fn)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

static inline void discard(bool ignored)
{
    (void)ignored;
}
