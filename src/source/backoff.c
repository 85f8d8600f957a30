/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

#include "walferry/base/clock.h"

#define BACKOFF_FIRST_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS   (30 * NS_PER_S)

void backoff_init(struct backoff *backoff, uint64_t seed)
{
    *backoff = (struct backoff){.random = seed};
}

void backoff_reset(struct backoff *backoff)
{
    backoff->attempts = 0;
}

/* splitmix64: any seed will do, zero too. */
static uint64_t draw(struct backoff *backoff)
{
    backoff->random += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = backoff->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t backoff_next_ns(struct backoff *backoff)
{
    uint64_t span = BACKOFF_FIRST_NS;
    for (unsigned i = 0; i < backoff->attempts && span < BACKOFF_MAX_NS; i++) {
        span *= 2;
    }
    if (span >= BACKOFF_MAX_NS) {
        span = BACKOFF_MAX_NS;
    } else {
        backoff->attempts++;
    }
    return span / 2 + draw(backoff) % (span / 2 + 1);
}
