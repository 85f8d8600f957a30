/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle: the watchdog's arithmetic. Pure: handed what it counts.
 *
 * A tick is one wake-up of the watchdog. However long lay between two of them, it counts as one.
 */
#pragma once

#include "walferry/base/compiler.h"

struct idle {
    uint64_t seen;  /* pats at the last tick */
    unsigned ticks; /* in a row without a new one */
};

/* False when `limit` ticks in a row brought no pat. */
MUST_USE static inline bool idle_tick(struct idle *idle, uint64_t pats, unsigned limit)
{
    idle->ticks = pats == idle->seen ? idle->ticks + 1 : 0;
    idle->seen = pats;
    return idle->ticks < limit;
}
