/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/relay/sense.h"

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"

#define SLACK_NS (5 * NS_PER_S)

static const char *const TEXTS[] = {
    [SENSE_NONE] = "",
    [SENSE_REPORT_LOST] = "records are in flight, and the sink knows of none",
    [SENSE_NOT_OFFERED] = "a record is in hand, nothing is in its way, and it is not submitted",
    [SENSE_NOT_SAVED] = "a position is due to be saved, and is not saved",
    [SENSE_NOT_TURNED] = "the session with PostgreSQL has something to do, and is not turned",
    [SENSE_NOT_ENDED] = "the drain is over, and the relay does not end",
};

const char *sense_text(enum sense_fault fault)
{
    ASSERT((size_t)fault < ARRAY_LEN(TEXTS));
    return TEXTS[fault];
}

/* Within a turn anything may just have become due. */
static bool overdue(uint64_t at_ns, uint64_t now_ns)
{
    return at_ns < now_ns && now_ns - at_ns >= SLACK_NS;
}

enum sense_fault sense_find(const struct sense_facts *facts)
{
    if (facts->in_flight > 0 && facts->pending == 0 && !facts->reported_late)
        return SENSE_REPORT_LOST;
    if (facts->offered && !facts->in_its_way)
        return SENSE_NOT_OFFERED;
    if (overdue(facts->save_ns, facts->now_ns) && !facts->save_fails)
        return SENSE_NOT_SAVED;
    if (overdue(facts->turn_ns, facts->now_ns))
        return SENSE_NOT_TURNED;
    return overdue(facts->end_ns, facts->now_ns) ? SENSE_NOT_ENDED : SENSE_NONE;
}

bool sense_holds(struct sense *sense, enum sense_fault fault, uint64_t now_ns, uint64_t limit_ns)
{
    if (fault != sense->fault)
        *sense = (struct sense){fault, now_ns};
    return fault == SENSE_NONE || now_ns - sense->since_ns < limit_ns;
}
