/* SPDX-License-Identifier: Apache-2.0 */
#include "source_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

#define ANSWER_NS      (30 * NS_PER_S)  /* for one question */
#define CREATE_NS      (600 * NS_PER_S) /* a slot waits for every transaction that is writing */
#define SLOW_RETRY_NS  (30 * NS_PER_S)  /* after a refused login */
#define AGAIN_NS       NS_PER_S         /* between two looks at a slot in use */
#define GOOD_STREAM_NS (30 * NS_PER_S)  /* one that lived so long proves the way open */
#define END_BATCH      1000             /* messages dropped in one call */
#define PROTOCOL_TRIES 3
#define START_TRIES    3

static const char *const STATE_NAMES[] = {
    [SOURCE_STATE_BACKOFF] = "backoff",     [SOURCE_STATE_CONNECTING] = "connecting",
    [SOURCE_STATE_ASKING] = "asking",       [SOURCE_STATE_READY] = "ready",
    [SOURCE_STATE_STANDBY] = "standby",     [SOURCE_STATE_STARTING] = "starting",
    [SOURCE_STATE_STREAMING] = "streaming", [SOURCE_STATE_ENDING] = "ending",
    [SOURCE_STATE_CLOSED] = "closed",
};

const char *source_state_name(enum source_state state)
{
    return STATE_NAMES[state];
}

bool source_new(const struct source_opts *opts, struct source **ret_source, struct err *err)
{
    if (!pg_conninfo_check(opts->conninfo, err)) {
        return false;
    }
    struct source *source = calloc(1, sizeof *source);
    if (source == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for the replication session");
    }
    source->opts = *opts;
    snprintf(source->slot, sizeof source->slot, "%s", opts->slot);
    buf_init(&source->sql, (size_t)64 << 10);
    backoff_init(&source->backoff, clock_mono_ns() ^ ((uint64_t)getpid() << 32));
    *ret_source = source;
    return true;
}

void source_free(struct source *source)
{
    if (source == NULL) {
        return;
    }
    pg_close(source->pg);
    buf_deinit(&source->sql);
    free(source);
}

void session_enter(struct source *source, enum source_state state, uint64_t deadline_ns)
{
    source->state = state;
    source->deadline_ns = deadline_ns;
}

void session_drop(struct source *source, uint64_t now_ns)
{
    bool streamed = source->state == SOURCE_STATE_STREAMING;
    if (streamed && now_ns - source->streaming_since_ns >= GOOD_STREAM_NS) {
        backoff_reset(&source->backoff);
    }
    if (source->state >= SOURCE_STATE_ASKING && source->pg != NULL) {
        source->reconnects++;
    }
    pg_close(source->pg);
    source->pg = NULL;
    source->slot_made = false;
    source->has_failure = false;
    source->has_why = false;
    source->why_said = false;
    source->facts = (struct source_facts){0};
}

static bool is_slow(enum err_code code)
{
    return code == ERR_PG_AUTH || code == ERR_PG_PERMISSION || code == ERR_PG_DATABASE;
}

bool session_is_final(const struct source *source, const struct err *err)
{
    enum err_class class = err_class(err->code);
    bool in_use = err->code == ERR_SLOT_ACTIVE && !source->opts.standby_wait;
    return class == ERR_CLASS_CONFIG || class == ERR_CLASS_STOP || class == ERR_CLASS_BUG || in_use;
}

static void count_protocol_error(struct source *source, struct err *err)
{
    if (err->code == ERR_PROTOCOL && ++source->protocol_errors >= PROTOCOL_TRIES) {
        err->code = ERR_PROTOCOL_REPEATED;
    }
}

enum source_event session_lost(struct source *source, uint64_t now_ns, struct err *err)
{
    bool ending = source->state == SOURCE_STATE_ENDING;
    count_protocol_error(source, err);
    session_drop(source, now_ns);
    if (ending || session_is_final(source, err)) {
        session_enter(source, SOURCE_STATE_CLOSED, UINT64_MAX);
        return ending ? SOURCE_LOST : SOURCE_FAIL;
    }
    discard(FAILPOINT(RECONNECT_SLEEP));
    uint64_t wait = backoff_next_ns(&source->backoff);
    session_enter(source, SOURCE_STATE_BACKOFF,
                  now_ns + (is_slow(err->code) ? SLOW_RETRY_NS : wait));
    return SOURCE_LOST;
}

static enum source_event too_late(struct source *source, uint64_t now_ns, const char *what,
                                  struct err *err)
{
    err_set(err, ERR_PG_SILENT, "the server took too long to %s", what);
    err_where(err, "slot %s", source->slot);
    err_hint(err, "see what it waits for: SELECT pid, state, wait_event, query FROM "
                  "pg_stat_activity WHERE application_name LIKE 'walferry%%'");
    return session_lost(source, now_ns, err);
}

static enum source_event say_waiting(struct source *source, struct err *err)
{
    source->has_why = false;
    *err = source->failure;
    return SOURCE_WAITING;
}

/* Look again in a moment; `why` is said once in one wait. */
void session_stand_by(struct source *source, const struct err *why, uint64_t now_ns)
{
    if (!source->why_said) {
        source->why_said = true;
        source->has_why = true;
        source->failure = *why;
    }
    session_enter(source, SOURCE_STATE_STANDBY, now_ns + AGAIN_NS);
}

/* What is no table, or lacks a column, would be taken for a table without a row: that there is no
 * such slot. */
static bool is_table(const struct source *source, struct err *err)
{
    static const int COLUMNS[] = {
        [ASK_IDENTIFY] = 4, [ASK_SETTINGS] = 3,    [ASK_CREATE] = 2,
        [ASK_SLOT] = 13,    [ASK_PUBLICATION] = 2, [ASK_FORK] = 2,
    };
    int columns = pg_columns(source->pg);
    if (columns >= COLUMNS[source->step]) {
        return true;
    }
    err_set(err, ERR_PROTOCOL, "the server answered a question with %d columns instead of %d",
            columns, COLUMNS[source->step]);
    err_where(err, "slot %s", source->slot);
    return err_hint(err, "connect to PostgreSQL 14 or later itself, without a pooler in between");
}

/* ---- one function a state ---- */

static enum source_event step_asking(struct source *source, uint64_t now_ns,
                                     struct source_item *ret_item, struct err *err)
{
    (void)ret_item;
    enum pg_poll answer = pg_query_poll(source->pg, err);
    while (answer == PG_POLL_DONE) {
        if (!is_table(source, err) || !ask_take(source, err)) {
            return session_lost(source, now_ns, err);
        }
        if (source->step == ASK_DONE) {
            session_enter(source, SOURCE_STATE_READY, UINT64_MAX);
            return SOURCE_READY;
        }
        if (!ask_send(source, err)) {
            return session_lost(source, now_ns, err);
        }
        source->deadline_ns = 0;
        answer = pg_query_poll(source->pg, err);
    }
    if (answer == PG_POLL_FAILED) {
        return session_lost(source, now_ns, err);
    }
    if (source->deadline_ns == 0) {
        source->deadline_ns = now_ns + (source->step == ASK_CREATE ? CREATE_NS : ANSWER_NS);
    }
    return now_ns < source->deadline_ns ? SOURCE_IDLE
                                        : too_late(source, now_ns, "answer a question", err);
}

static enum source_event begin_asking(struct source *source, uint64_t now_ns,
                                      struct source_item *ret_item, struct err *err)
{
    source->step = ASK_IDENTIFY;
    source->facts = (struct source_facts){0};
    session_enter(source, SOURCE_STATE_ASKING, 0);
    if (!ask_send(source, err)) {
        return session_lost(source, now_ns, err);
    }
    return step_asking(source, now_ns, ret_item, err);
}

static enum source_event step_connecting(struct source *source, uint64_t now_ns,
                                         struct source_item *ret_item, struct err *err)
{
    switch (pg_connect_poll(source->pg, err)) {
    case PG_POLL_WAIT:
        if (now_ns < source->deadline_ns) {
            return SOURCE_IDLE;
        }
        err_set(err, ERR_PG_CONNECT, "no connection within %llu ms",
                (unsigned long long)pg_connect_timeout_ms(source->pg));
        pg_conninfo_describe(source->opts.conninfo, err->where, sizeof err->where);
        err_hint(err, "check host, port and firewall, or give connect_timeout more seconds");
        return session_lost(source, now_ns, err);
    case PG_POLL_DONE:
        return begin_asking(source, now_ns, ret_item, err);
    case PG_POLL_FAILED:
        return session_lost(source, now_ns, err);
    }
    UNREACHABLE();
}

static enum source_event step_backoff(struct source *source, uint64_t now_ns,
                                      struct source_item *ret_item, struct err *err)
{
    if (now_ns < source->deadline_ns) {
        return SOURCE_IDLE;
    }
    char name[80];
    snprintf(name, sizeof name, "walferry_%s", source->opts.pipeline);
    struct pg_opts opts = {
        .conninfo = source->opts.conninfo,
        .password_file = source->opts.password_file,
        .application_name = name,
        .replication = true,
    };
    source->sessions++;
    if (!pg_connect_start(&opts, &source->pg, err)) {
        return session_lost(source, now_ns, err);
    }
    session_enter(source, SOURCE_STATE_CONNECTING,
                  now_ns + pg_connect_timeout_ms(source->pg) * NS_PER_MS);
    return step_connecting(source, now_ns, ret_item, err);
}

static enum source_event step_nothing(struct source *source, uint64_t now_ns,
                                      struct source_item *ret_item, struct err *err)
{
    (void)source;
    (void)now_ns;
    (void)ret_item;
    (void)err;
    return SOURCE_IDLE;
}

static enum source_event step_standby(struct source *source, uint64_t now_ns,
                                      struct source_item *ret_item, struct err *err)
{
    if (source->has_why) {
        return say_waiting(source, err);
    }
    if (now_ns < source->deadline_ns) {
        return SOURCE_IDLE;
    }
    return begin_asking(source, now_ns, ret_item, err);
}

/* What the server refused at START_REPLICATION. Where the guard can say it better, ask again. */
static enum source_event start_refused(struct source *source, uint64_t now_ns, struct err *err)
{
    if (strcmp(err->sqlstate, "55006") == 0) {
        err_where(err, "slot %s", source->slot);
        if (session_is_final(source, err)) {
            return session_lost(source, now_ns, err);
        }
        session_stand_by(source, err, now_ns);
        return source->has_why ? say_waiting(source, err) : SOURCE_IDLE;
    }
    bool asks = strcmp(err->sqlstate, "42704") == 0 || strcmp(err->sqlstate, "55000") == 0;
    if (asks && ++source->start_refusals < START_TRIES) {
        session_enter(source, SOURCE_STATE_STANDBY, now_ns + AGAIN_NS);
        return SOURCE_IDLE;
    }
    return session_lost(source, now_ns, err);
}

static enum source_event step_starting(struct source *source, uint64_t now_ns,
                                       struct source_item *ret_item, struct err *err)
{
    (void)ret_item;
    if (source->deadline_ns == 0) {
        source->deadline_ns = now_ns + ANSWER_NS;
    }
    switch (pg_query_poll(source->pg, err)) {
    case PG_POLL_WAIT:
        return now_ns < source->deadline_ns ? SOURCE_IDLE
                                            : too_late(source, now_ns, "start the stream", err);
    case PG_POLL_FAILED:
        return start_refused(source, now_ns, err);
    case PG_POLL_DONE:
        break;
    }
    if (FAILPOINT(START_COPY) || !pg_copying(source->pg)) {
        err_set(err, ERR_PROTOCOL, "START_REPLICATION did not start a stream");
        err_where(err, "slot %s", source->slot);
        return session_lost(source, now_ns, err);
    }
    feedback_init(&source->feedback, source->opts.status_interval_ms,
                  source->facts.wal_sender_timeout_ms, now_ns);
    source->streaming_since_ns = now_ns;
    source->start_refusals = 0;
    source->why_said = false;
    session_enter(source, SOURCE_STATE_STREAMING, 0);
    return SOURCE_STARTED;
}

/* Whatever still comes is dropped: the next session gets it again. */
static enum source_event step_ending(struct source *source, uint64_t now_ns,
                                     struct source_item *ret_item, struct err *err)
{
    (void)ret_item;
    struct bytes ignored = BYTES_ABSENT;
    enum pg_copy got = source->pg == NULL ? PG_COPY_END : PG_COPY_DATA;
    for (unsigned i = 0; i < END_BATCH && got == PG_COPY_DATA; i++) {
        got = pg_copy_get(source->pg, &ignored, err);
    }
    if (got == PG_COPY_FAILED) {
        return session_lost(source, now_ns, err);
    }
    if (got == PG_COPY_IDLE || got == PG_COPY_DATA) {
        return now_ns < source->deadline_ns ? SOURCE_IDLE
                                            : too_late(source, now_ns, "end the stream", err);
    }
    pg_close(source->pg);
    source->pg = NULL;
    session_enter(source, SOURCE_STATE_CLOSED, UINT64_MAX);
    return SOURCE_ENDED;
}

typedef enum source_event step_function(struct source *, uint64_t, struct source_item *,
                                        struct err *);

static step_function *const STEPS[] = {
    [SOURCE_STATE_BACKOFF] = step_backoff,  [SOURCE_STATE_CONNECTING] = step_connecting,
    [SOURCE_STATE_ASKING] = step_asking,    [SOURCE_STATE_READY] = step_nothing,
    [SOURCE_STATE_STANDBY] = step_standby,  [SOURCE_STATE_STARTING] = step_starting,
    [SOURCE_STATE_STREAMING] = stream_next, [SOURCE_STATE_ENDING] = step_ending,
    [SOURCE_STATE_CLOSED] = step_nothing,
};

enum source_event source_next(struct source *source, uint64_t now_ns, struct source_item *ret_item,
                              struct err *err)
{
    if (source->has_failure) {
        *err = source->failure;
        return session_lost(source, now_ns, err);
    }
    return STEPS[source->state](source, now_ns, ret_item, err);
}
