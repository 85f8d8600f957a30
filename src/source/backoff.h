/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backoff: how long to wait before the next attempt.
 *
 * Doubles from a tenth of a second to thirty, each drawn anew from the upper half of its span, so
 * that many relays that lost one server do not come back in step. Pure: seeded once, no clock.
 */
#pragma once

#include "walferry/base/compiler.h"

struct backoff {
    uint64_t random; /* state of the generator */
    unsigned attempts;
};

void backoff_init(struct backoff *backoff, uint64_t seed);
void backoff_reset(struct backoff *backoff);
uint64_t backoff_next_ns(struct backoff *backoff);
