/* SPDX-License-Identifier: Apache-2.0 */
#include "feedback.h"

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

#define REPLY_PACE_NS   (250 * NS_PER_MS) /* answers to the server's requests */
#define INTERVAL_MIN_NS (10 * NS_PER_MS)
#define SILENCE_MIN_NS  (60 * NS_PER_S)
#define QUIET_NS        (1 * NS_PER_S)
/* At one answer each 250 ms this is two seconds of nothing but the same question. */
#define STORM_PINGS  8
#define STORM_GAP_NS (1 * NS_PER_S)

void feedback_init(struct feedback *feedback, uint64_t status_interval_ms,
                   uint64_t wal_sender_timeout_ms, uint64_t now_ns)
{
    uint64_t interval = status_interval_ms * NS_PER_MS;
    uint64_t silence = 3 * interval > SILENCE_MIN_NS ? 3 * interval : SILENCE_MIN_NS;
    uint64_t third = wal_sender_timeout_ms * NS_PER_MS / 3;
    if (third > 0 && third < interval) {
        interval = third;
    }
    if (interval < INTERVAL_MIN_NS) {
        interval = INTERVAL_MIN_NS;
    }
    *feedback =
        (struct feedback){.interval_ns = interval, .silence_ns = silence, .sent_at_ns = now_ns};
}

static void heard(struct feedback *feedback, struct lsn wal_end)
{
    feedback->received = lsn_max(feedback->received, wal_end);
    feedback->idle_at_ns = 0;
    feedback->silent_ns = 0;
}

void feedback_data(struct feedback *feedback, struct lsn wal_end)
{
    heard(feedback, wal_end);
    feedback->pings = 0;
}

bool feedback_keepalive(struct feedback *feedback, struct lsn wal_end, bool reply, uint64_t now_ns)
{
    heard(feedback, wal_end);
    if (!reply) {
        feedback->pings = 0;
        return true;
    }
    bool repeats = feedback->pings > 0 && lsn_cmp(wal_end, feedback->ping_end) == 0 &&
                   now_ns - feedback->ping_at_ns <= STORM_GAP_NS;
    feedback->pings = repeats ? feedback->pings + 1 : 1;
    feedback->ping_end = wal_end;
    feedback->ping_at_ns = now_ns;
    feedback->reply_due = true;
    return !FAILPOINT(KEEPALIVE_REPLY) && feedback->pings < STORM_PINGS;
}

bool feedback_idle(struct feedback *feedback, uint64_t now_ns)
{
    if (feedback->idle_at_ns != 0 && now_ns > feedback->idle_at_ns) {
        /* A longer gap between two reads means that the relay had no room in between. */
        uint64_t gap = now_ns - feedback->idle_at_ns;
        feedback->silent_ns += gap < feedback->interval_ns ? gap : feedback->interval_ns;
    }
    feedback->idle_at_ns = now_ns;
    return feedback->silent_ns < feedback->silence_ns;
}

bool feedback_quiet(const struct feedback *feedback)
{
    return feedback->silent_ns >= QUIET_NS;
}

void feedback_part(struct feedback *feedback)
{
    feedback->idle_at_ns = 0;
    feedback->silent_ns = 0;
}

void feedback_hurry(struct feedback *feedback)
{
    feedback->urgent = true;
}

uint64_t feedback_deadline(const struct feedback *feedback)
{
    if (feedback->urgent) {
        return 0;
    }
    uint64_t wait = feedback->interval_ns;
    if (feedback->reply_due && wait > REPLY_PACE_NS) {
        wait = REPLY_PACE_NS;
    }
    return feedback->sent_at_ns + wait;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (56 - 8 * i));
    }
    return at + 8;
}

void feedback_encode(struct feedback *feedback, struct lsn confirmed, uint64_t now_ns,
                     int64_t wall_us, uint8_t ret_status[FEEDBACK_SIZE])
{
    uint8_t *at = ret_status;
    *at++ = 'r';
    at = put_u64(at, lsn_max(feedback->received, confirmed).value);
    at = put_u64(at, confirmed.value);
    at = put_u64(at, confirmed.value);
    at = put_u64(at, (uint64_t)clock_to_pg(wall_us));
    /* Ask for a sign of life only when there was none for a while. */
    *at++ = feedback->silent_ns >= feedback->interval_ns ? 1 : 0;
    ASSERT(at == ret_status + FEEDBACK_SIZE);
    feedback->sent_at_ns = now_ns;
    feedback->reply_due = false;
    feedback->urgent = false;
}
