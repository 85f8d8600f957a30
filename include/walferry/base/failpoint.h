/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint: named places where a test makes the program fail.
 *
 * FAILPOINT(id) is true when the code at that place must behave as if what it is about to do (or
 * has just done) had failed, by its own path for errors; errno is ENOSPC then. It stands for no
 * code at all unless the build option `failpoints` is on, and the release build has it off: no
 * environment variable can make a released program fail (a test looks for the names in the binary).
 *
 * In a test build WALFERRY_FAILPOINTS holds entries separated by commas, each NAME=ACTION[@N[-M]]:
 * on the N-th passage (default the first), or on each from the N-th to the M-th, crash (SIGKILL to
 * itself), error (true), error! (true from the N-th on), hang (sleep for ever in this thread), or
 * stop (SIGSTOP to itself; when it goes on, nothing has failed). A name may stand in several
 * entries. An unknown name or action ends the program with 64. Each passage that fired writes one
 * line "failpoint NAME ACTION" to standard error before it acts, so that a test knows. Names are
 * rows of failpoint.def. May be called from any thread.
 *
 * FAILPOINT_PATIENCE(seconds) is how long something that hangs is waited for: `seconds`, or in a
 * test build WALFERRY_WATCHDOG_S where that is set and not 0.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef WALFERRY_FAILPOINTS

#define FAILPOINT_ROW(id, name, meaning) FAILPOINT_##id,
enum failpoint {
#include "walferry/base/failpoint.def"
    FAILPOINT_COUNT,
};
#undef FAILPOINT_ROW

bool failpoint_hit(enum failpoint failpoint);
/* Static. */
const char *failpoint_name(enum failpoint failpoint);
uint64_t failpoint_patience(uint64_t seconds);
#define FAILPOINT(id)               failpoint_hit(FAILPOINT_##id)
#define FAILPOINT_PATIENCE(seconds) failpoint_patience(seconds)

#else
#define FAILPOINT(id)               false
#define FAILPOINT_PATIENCE(seconds) (seconds)
#endif
