/* SPDX-License-Identifier: Apache-2.0 */
/* What the relay asks of a session and looks at; the states themselves are in session.c. */
#include "source_private.h"

#include <poll.h>

#include "frame.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/loop/loop.h"

#define END_NS (5 * NS_PER_S) /* for the server's last word */
/* Between two of its words, which are seconds apart, no server writes a tebibyte. */
#define WAL_UNHEARD_MAX (UINT64_C(1) << 40)

static void fail_later(struct source *source, const struct err *err)
{
    source->has_failure = true;
    source->failure = *err;
}

void source_start(struct source *source, struct lsn start)
{
    ASSERT(source->state == SOURCE_STATE_READY);
    if (source->opts.temporary) {
        /* What was said to a slot that is gone means nothing to the new one. */
        source->confirmed = LSN_NONE;
    }
    ASSERT(lsn_cmp(source->confirmed, start) <= 0);
    struct start_command command = {
        .slot = source->slot,
        .start = start,
        .publication = source->opts.publication,
    };
    buf_reset(&source->sql);
    start_command_write(&command, &source->sql);
    session_enter(source, SOURCE_STATE_STARTING, 0);
    discard(FAILPOINT(START_SEND));
    struct err err = ERR_INIT;
    if (!pg_query_start(source->pg, buf_cstr(&source->sql), &err)) {
        fail_later(source, &err);
    }
}

static void ask(struct source *source, enum ask_step step)
{
    ASSERT(source->state == SOURCE_STATE_READY);
    source->step = step;
    session_enter(source, SOURCE_STATE_ASKING, 0);
    struct err err = ERR_INIT;
    if (!ask_send(source, &err)) {
        fail_later(source, &err);
    }
}

void source_fork(struct source *source, uint32_t timeline)
{
    ASSERT(timeline != 0);
    source->fork_timeline = timeline;
    ask(source, ASK_FORK);
}

void source_ask(struct source *source)
{
    source->facts = (struct source_facts){0};
    ask(source, ASK_IDENTIFY);
}

void source_wait(struct source *source, const struct err *why, uint64_t now_ns)
{
    ASSERT(source->state == SOURCE_STATE_READY);
    if (session_is_final(source, why)) {
        fail_later(source, why);
        return;
    }
    session_stand_by(source, why, now_ns);
}

void source_confirm(struct source *source, struct lsn lsn, bool now)
{
    ASSERT(lsn_cmp(lsn, source->confirmed) >= 0);
    source->confirmed = lsn;
    if (now && source->state == SOURCE_STATE_STREAMING) {
        feedback_hurry(&source->feedback);
    }
}

void source_tick(struct source *source, uint64_t now_ns)
{
    bool streaming = source->state == SOURCE_STATE_STREAMING;
    if ((!streaming && source->state != SOURCE_STATE_ENDING) || source->pg == NULL ||
        source->has_failure) {
        return;
    }
    struct err err = ERR_INIT;
    bool pending = (pg_wants(source->pg) & LOOP_WRITE) != 0;
    bool ok = !pending || pg_flush(source->pg, &err);
    /* One status waiting for the socket is enough: a newer one would only pile up behind it. */
    pending = (pg_wants(source->pg) & LOOP_WRITE) != 0;
    if (ok && streaming && !pending && now_ns >= feedback_deadline(&source->feedback)) {
        ok = stream_status(source, now_ns, &err);
    }
    if (!ok) {
        stream_judge(source, &err);
        fail_later(source, &err);
    }
}

void source_end(struct source *source, uint64_t now_ns)
{
    if (source->state == SOURCE_STATE_CLOSED || source->state == SOURCE_STATE_ENDING) {
        return;
    }
    if (source->state != SOURCE_STATE_STREAMING || source->has_failure) {
        session_drop(source, now_ns);
        session_enter(source, SOURCE_STATE_ENDING, 0);
        return;
    }
    struct err err = ERR_INIT;
    session_enter(source, SOURCE_STATE_ENDING, now_ns + END_NS);
    if (!stream_status(source, now_ns, &err) || !pg_copy_end(source->pg, &err)) {
        fail_later(source, &err);
    }
}

void source_restart(struct source *source, uint64_t now_ns)
{
    ASSERT(source->state != SOURCE_STATE_ENDING && source->state != SOURCE_STATE_CLOSED);
    session_drop(source, now_ns);
    session_enter(source, SOURCE_STATE_BACKOFF, now_ns + backoff_next_ns(&source->backoff));
}

void source_healthy(struct source *source)
{
    backoff_reset(&source->backoff);
    source->protocol_errors = 0;
}

int source_fd(const struct source *source)
{
    return source->pg == NULL ? -1 : pg_fd(source->pg);
}

unsigned source_wants(const struct source *source, bool read)
{
    switch (source->state) {
    case SOURCE_STATE_CONNECTING:
    case SOURCE_STATE_ASKING:
    case SOURCE_STATE_STARTING:
    case SOURCE_STATE_ENDING:
        return source->pg == NULL ? 0 : pg_wants(source->pg);
    case SOURCE_STATE_STREAMING:
        return pg_wants(source->pg) & (read ? ~0u : (unsigned)LOOP_WRITE);
    case SOURCE_STATE_BACKOFF:
    case SOURCE_STATE_READY:
    case SOURCE_STATE_STANDBY:
    case SOURCE_STATE_CLOSED:
        return 0;
    }
    UNREACHABLE();
}

uint64_t source_deadline(const struct source *source)
{
    if (source->has_failure || source->has_why) {
        return 0;
    }
    if (source->state == SOURCE_STATE_STREAMING) {
        /* With a status stuck in the socket the descriptor wakes us, not the clock. */
        bool pending = (pg_wants(source->pg) & LOOP_WRITE) != 0;
        return pending ? UINT64_MAX : feedback_deadline(&source->feedback);
    }
    return source->deadline_ns;
}

const struct source_facts *source_facts(const struct source *source)
{
    return &source->facts;
}

struct lsn source_confirmed(const struct source *source)
{
    return source->sent;
}

bool source_broken(const struct source *source)
{
    return source->has_failure;
}

bool source_hung_up(const struct source *source)
{
    struct pollfd entry = {.fd = source_fd(source), .events = POLLRDHUP};
    return source->state == SOURCE_STATE_STREAMING && poll(&entry, 1, 0) > 0 &&
           (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

struct lsn source_wal_end(const struct source *source)
{
    return source->wal_end;
}

bool source_too_far(const struct source *source, struct lsn lsn)
{
    return lsn_cmp(lsn, source->wal_end) > 0 &&
           lsn_distance(source->wal_end, lsn) > WAL_UNHEARD_MAX;
}

enum source_state source_state(const struct source *source)
{
    return source->state;
}

uint64_t source_reconnects(const struct source *source)
{
    return source->reconnects;
}
