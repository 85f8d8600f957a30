/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/source/monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backoff.h"
#include "publication.h"
#include "slot.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/loop/loop.h"
#include "walferry/pg/pg.h"

#define LOOK_NS   (10 * NS_PER_S)
#define ANSWER_NS (10 * NS_PER_S)

enum monitor_state {
    MONITOR_APART, /* no connection; the deadline says when to try */
    MONITOR_CONNECTING,
    MONITOR_IDLE,
    MONITOR_LOOKING, /* the query runs */
    MONITOR_BEATING, /* the heartbeat runs */
};

struct monitor {
    struct source_opts opts;
    enum monitor_state state;
    uint64_t deadline_ns; /* of the state; IDLE uses the two below */
    uint64_t look_at_ns;
    uint64_t beat_at_ns;
    struct pg *pg;
    struct buf sql;
    struct backoff backoff;
    bool in_recovery;
    struct monitor_facts facts;
    struct err error;
};

bool monitor_new(const struct source_opts *opts, struct monitor **ret_monitor, struct err *err)
{
    if (!pg_conninfo_check(opts->conninfo, err)) {
        return false;
    }
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (monitor == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for the monitor");
    }
    monitor->opts = *opts;
    buf_init(&monitor->sql, (size_t)64 << 10);
    backoff_init(&monitor->backoff, clock_mono_ns() ^ ((uint64_t)getpid() << 24));
    *ret_monitor = monitor;
    return true;
}

void monitor_free(struct monitor *monitor)
{
    if (monitor == NULL) {
        return;
    }
    pg_close(monitor->pg);
    buf_deinit(&monitor->sql);
    free(monitor);
}

static void enter(struct monitor *monitor, enum monitor_state state, uint64_t deadline_ns)
{
    monitor->state = state;
    monitor->deadline_ns = deadline_ns;
}

/* monitor->error says why. */
static void part(struct monitor *monitor, uint64_t now_ns)
{
    const char *state = monitor->error.sqlstate;
    monitor->facts.shutting_down = strcmp(state, "57P01") == 0 || strcmp(state, "57P03") == 0;
    monitor->facts.shutdown_ns = now_ns;
    pg_close(monitor->pg);
    monitor->pg = NULL;
    enter(monitor, MONITOR_APART, now_ns + backoff_next_ns(&monitor->backoff));
}

static void part_late(struct monitor *monitor, uint64_t now_ns)
{
    err_set(&monitor->error, ERR_PG_SILENT, "the server took too long to answer the monitor");
    err_where(&monitor->error, "slot %s", monitor->opts.slot);
    part(monitor, now_ns);
}

static void connect_start(struct monitor *monitor, uint64_t now_ns)
{
    char name[80];
    snprintf(name, sizeof name, "walferry_%s_monitor", monitor->opts.pipeline);
    struct pg_opts opts = {
        .conninfo = monitor->opts.conninfo,
        .password_file = monitor->opts.password_file,
        .application_name = name,
    };
    if (!pg_connect_start(&opts, &monitor->pg, &monitor->error)) {
        part(monitor, now_ns);
        return;
    }
    enter(monitor, MONITOR_CONNECTING, now_ns + pg_connect_timeout_ms(monitor->pg) * NS_PER_MS);
}

static void connect_turn(struct monitor *monitor, uint64_t now_ns)
{
    switch (pg_connect_poll(monitor->pg, &monitor->error)) {
    case PG_POLL_WAIT:
        if (now_ns >= monitor->deadline_ns) {
            part_late(monitor, now_ns);
        }
        return;
    case PG_POLL_FAILED:
        part(monitor, now_ns);
        return;
    case PG_POLL_DONE:
        monitor->look_at_ns = now_ns;
        /* The first beat waits for the first look, which tells whether the server may write. */
        monitor->beat_at_ns = now_ns + monitor->opts.heartbeat_interval_ms * NS_PER_MS;
        enter(monitor, MONITOR_IDLE, 0);
        return;
    }
    UNREACHABLE();
}

static bool write_look(struct monitor *monitor)
{
    struct buf *sql = &monitor->sql;
    buf_reset(sql);
    buf_put_str(sql, "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                     "pg_catalog.pg_last_wal_replay_lsn() ELSE "
                     "pg_catalog.pg_current_wal_insert_lsn() END, pg_catalog.pg_is_in_recovery(), "
                     "EXISTS (SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = ");
    if (!put_literal(sql, monitor->pg, monitor->opts.publication, &monitor->error)) {
        return false;
    }
    buf_put_str(sql, "), ");
    slot_put_columns(sql, pg_server_version(monitor->pg));
    buf_put_str(sql, ", ");
    if (!publication_put_gaps(sql, monitor->pg, &monitor->opts, &monitor->error)) {
        return false;
    }
    buf_put_str(sql, " FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_replication_slots s ON "
                     "s.slot_name = ");
    return put_literal(sql, monitor->pg, monitor->opts.slot, &monitor->error);
}

static bool write_beat(struct monitor *monitor)
{
    buf_reset(&monitor->sql);
    buf_put_str(&monitor->sql,
                "SELECT pg_catalog.pg_logical_emit_message(true, '" HEARTBEAT_PREFIX "', ");
    if (!put_literal(&monitor->sql, monitor->pg, monitor->opts.slot, &monitor->error)) {
        return false;
    }
    buf_put_u8(&monitor->sql, ')');
    return true;
}

static void take_look(struct monitor *monitor, uint64_t now_ns)
{
    struct monitor_facts *facts = &monitor->facts;
    facts->known = true;
    facts->read_at_ns = now_ns;
    facts->current = value_lsn(monitor->pg, 0);
    monitor->in_recovery = value_bool(monitor->pg, 1);
    facts->publication_exists = value_bool(monitor->pg, 2);
    slot_read(monitor->pg, 3, &facts->slot);
    publication_read_gaps(monitor->pg, 3 + SLOT_COLUMNS, &facts->gaps);
    bool pinned = !lsn_is_none(facts->slot.restart_lsn);
    bool placed = !lsn_is_none(facts->slot.confirmed_flush);
    facts->retained_bytes = pinned ? lsn_distance(facts->slot.restart_lsn, facts->current) : 0;
    facts->lag_bytes = placed ? lsn_distance(facts->slot.confirmed_flush, facts->current) : 0;
    facts->shutting_down = false;
    monitor->error = ERR_INIT;
    backoff_reset(&monitor->backoff);
}

static void ask(struct monitor *monitor, enum monitor_state state, uint64_t now_ns)
{
    bool written = state == MONITOR_LOOKING ? write_look(monitor) : write_beat(monitor);
    if (!written || !pg_query_start(monitor->pg, buf_cstr(&monitor->sql), &monitor->error)) {
        part(monitor, now_ns);
        return;
    }
    enter(monitor, state, now_ns + ANSWER_NS);
}

static bool beat_due(const struct monitor *monitor, uint64_t now_ns)
{
    return monitor->opts.heartbeat_interval_ms > 0 && monitor->facts.known &&
           !monitor->in_recovery && now_ns >= monitor->beat_at_ns;
}

static void idle_turn(struct monitor *monitor, uint64_t now_ns)
{
    if (!pg_alive(monitor->pg, &monitor->error)) {
        part(monitor, now_ns);
        return;
    }
    struct pg_notice ignored;
    while (pg_notice_next(monitor->pg, &ignored)) {
    }
    if (now_ns >= monitor->look_at_ns) {
        ask(monitor, MONITOR_LOOKING, now_ns);
    } else if (beat_due(monitor, now_ns)) {
        ask(monitor, MONITOR_BEATING, now_ns);
    }
}

static void answer_turn(struct monitor *monitor, uint64_t now_ns)
{
    switch (pg_query_poll(monitor->pg, &monitor->error)) {
    case PG_POLL_WAIT:
        if (now_ns >= monitor->deadline_ns) {
            part_late(monitor, now_ns);
        }
        return;
    case PG_POLL_FAILED:
        part(monitor, now_ns);
        return;
    case PG_POLL_DONE:
        break;
    }
    if (monitor->state == MONITOR_LOOKING) {
        take_look(monitor, now_ns);
        monitor->look_at_ns = now_ns + LOOK_NS;
    } else {
        monitor->facts.heartbeats++;
        monitor->beat_at_ns = now_ns + monitor->opts.heartbeat_interval_ms * NS_PER_MS;
    }
    enter(monitor, MONITOR_IDLE, 0);
}

void monitor_turn(struct monitor *monitor, uint64_t now_ns)
{
    switch (monitor->state) {
    case MONITOR_APART:
        if (now_ns >= monitor->deadline_ns) {
            connect_start(monitor, now_ns);
        }
        return;
    case MONITOR_CONNECTING:
        connect_turn(monitor, now_ns);
        return;
    case MONITOR_IDLE:
        idle_turn(monitor, now_ns);
        return;
    case MONITOR_LOOKING:
    case MONITOR_BEATING:
        answer_turn(monitor, now_ns);
        return;
    }
    UNREACHABLE();
}

int monitor_fd(const struct monitor *monitor)
{
    return monitor->pg == NULL ? -1 : pg_fd(monitor->pg);
}

unsigned monitor_wants(const struct monitor *monitor)
{
    return monitor->pg == NULL ? 0 : pg_wants(monitor->pg);
}

uint64_t monitor_deadline(const struct monitor *monitor)
{
    if (monitor->state != MONITOR_IDLE) {
        return monitor->deadline_ns;
    }
    bool beats =
        monitor->opts.heartbeat_interval_ms > 0 && monitor->facts.known && !monitor->in_recovery;
    return beats && monitor->beat_at_ns < monitor->look_at_ns ? monitor->beat_at_ns
                                                              : monitor->look_at_ns;
}

const struct monitor_facts *monitor_facts(const struct monitor *monitor)
{
    return &monitor->facts;
}

const struct err *monitor_error(const struct monitor *monitor)
{
    return &monitor->error;
}
