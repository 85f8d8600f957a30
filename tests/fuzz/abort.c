/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broken invariant ends the program with an exit status of its own; a fuzzer keeps an input only
 * when the program dies of a signal.
 */
#include <stdio.h>
#include <stdlib.h>

#include "walferry/base/assert.h"

NORETURN void __wrap_assert_failed(const char *condition, const char *file, int line,
                                   const char *function);

NORETURN void __wrap_assert_failed(const char *condition, const char *file, int line,
                                   const char *function)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, condition);
    abort();
}
