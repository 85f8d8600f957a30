/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/relay/careful.h"

#include "walferry/base/clock.h"

/* Failures alone after which a record is poison. */
#define FAILURES_ALONE 2
/* What the letter keeps of a row whose letter the broker refused: its key and identity, but no
 * payload worth the name. */
#define LETTER_SMALL   1024
#define PAUSE_FIRST_NS (100 * NS_PER_MS)
#define PAUSE_MAX_NS   (30 * NS_PER_S)

void careful_until(struct careful *careful, struct cursor until)
{
    if (!careful->on || cursor_cmp(careful->until, until) < 0)
        careful->until = until;
    careful->on = true;
}

bool careful_refused(struct careful *careful, const struct flight *flight, struct cursor newest,
                     const char *error)
{
    bool alone = careful->on;
    careful->error = error;
    if (alone && cursor_cmp(flight->after, careful->suspect) != 0) {
        careful->suspect = flight->after;
        careful->failures = 0;
        careful->letters = 0;
    }
    if (alone) {
        careful->failures++;
        careful->letters += flight->dead_letter ? 1 : 0;
    }
    careful_until(careful, newest);
    return !alone || careful->letters < FAILURES_ALONE;
}

void careful_delivered(struct careful *careful, const struct flight *flight)
{
    if (careful->on && cursor_cmp(flight->after, careful->until) >= 0)
        *careful = (struct careful){0};
}

static bool suspected(const struct careful *careful, struct cursor at)
{
    at.ordinal++;
    return careful->on && cursor_cmp(at, careful->suspect) == 0;
}

const char *careful_rejected(const struct careful *careful, struct cursor at)
{
    return careful->failures >= FAILURES_ALONE && suspected(careful, at) ? careful->error : NULL;
}

size_t careful_letter_max(const struct careful *careful, struct cursor at, size_t max)
{
    bool refused = careful->letters > 0 && suspected(careful, at);
    return refused && max > LETTER_SMALL ? LETTER_SMALL : max;
}

uint64_t careful_pause_ns(unsigned failures)
{
    uint64_t pause_ns = PAUSE_FIRST_NS << (failures < 9 ? failures : 9);
    return pause_ns < PAUSE_MAX_NS ? pause_ns : PAUSE_MAX_NS;
}
