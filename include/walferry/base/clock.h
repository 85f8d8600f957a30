/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: the two clocks, and times as text.
 *
 * Timeouts and ages come from the monotonic clock (nanoseconds, no meaning across processes);
 * stamps from the wall clock (microseconds since 1970-01-01 UTC, may jump). PostgreSQL counts
 * microseconds since 2000-01-01 UTC (protocol documentation, section 55.4).
 * Only this module asks the operating system for the time; pure code is handed it.
 */
#pragma once

#include "walferry/base/bytes.h"
#include "walferry/base/compiler.h"

#define NS_PER_MS         UINT64_C(1000000)
#define NS_PER_S          UINT64_C(1000000000)
#define US_PER_S          INT64_C(1000000)
#define CLOCK_PG_EPOCH_US INT64_C(946684800000000)
#define CLOCK_RFC3339_MAX 32 /* "2026-01-31T12:34:56.123456Z" and NUL */

uint64_t clock_mono_ns(void);
int64_t clock_wall_us(void);

/* Microseconds since 2000 (PostgreSQL) to microseconds since 1970; saturates. */
int64_t clock_from_pg(int64_t pg_us);
int64_t clock_to_pg(int64_t unix_us);

struct clock_text {
    char text[CLOCK_RFC3339_MAX];
};

/* RFC 3339 in UTC. The fraction has six digits, or none when it is zero. Years 1 to 9999; what
 * lies outside is clamped to them. */
struct clock_text clock_format(int64_t unix_us);
/* RFC 3339, and PostgreSQL's ISO output ("2026-01-31 12:34:56.123456+00", offset optional and then
 * UTC, +HH, +HHMM, +HH:MM, +HH:MM:SS). False for infinity, BC and anything else. */
MUST_USE bool clock_parse(struct bytes text, int64_t *ret_unix_us);
