/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervisor that restarts relays, and an operator who reads why one ended.
 *
 * An end of its own accord must have a cause in the world, and the remedy is the one that the error
 * names. An error without a cause, or an end that nobody can explain, breaks a promise.
 */
#include <signal.h>
#include <stdlib.h>

#include "sim.h"
#include "walferry/base/assert.h"

static struct {
    bool causes[CAUSE_COUNT];
    bool finishing;
    bool waiting[HOSTS]; /* a start is due */
} operator;

void operator_reset(void)
{
    memset(&operator, 0, sizeof operator);
}

void cause_add(enum cause cause)
{
    operator.causes[cause] = true;
}

bool cause_stands(enum cause cause)
{
    return operator.causes[cause];
}

static void start(uint64_t host, uint64_t b)
{
    (void)b;
    if (operator.finishing || !operator.waiting[host])
        return;
    operator.waiting[host] = false;
    (void)life_start((unsigned)host);
}

static void start_later(unsigned host, uint64_t delay_ns)
{
    operator.waiting[host] = true;
    event_in(delay_ns, start, host, 0);
}

void operator_begin(void)
{
    start_later(0, rng_between(&sim.net, 1, 50) * MS);
}

bool operator_quiet(void)
{
    return !operator.waiting[0] && !operator.waiting[1];
}

/* ---- remedies ---- */

static void restart_only(void)
{
}

static void forget(void)
{
    for (unsigned i = 0; i < HOSTS; i++)
        disk_clear(i);
    /* Without a checkpoint nothing tells one server from another. */
    server.foreign = false;
}

static void make_anew(void)
{
    forget();
    server.slot.conn = -1;
    server_init_slot();
    model_excuse_before(lsn_make(server.wal_end.value));
    operator.causes[CAUSE_PUBLICATION] = false;
}

static void accept_slot(void)
{
    forget();
    model_excuse_before(server.slot.confirmed);
}

static void publish_table(void)
{
    server.table_published = true;
}

static void right_server(void)
{
    server.foreign = false;
}

static void let_poison_pass(void)
{
    sim.plan.poison = POISON_DEAD_LETTER;
}

static const struct remedy {
    enum err_code code;
    enum cause cause;
    void (*apply)(void);
} REMEDIES[] = {
    {ERR_SLOT_GONE, CAUSE_SLOT_GONE, make_anew},
    {ERR_SLOT_MISSING, CAUSE_SLOT_GONE, make_anew},
    {ERR_SLOT_LOST, CAUSE_SLOT_LOST, make_anew},
    {ERR_SLOT_ADVANCED, CAUSE_SLOT_ADVANCED, accept_slot},
    {ERR_PUBLICATION_MISSING, CAUSE_PUBLICATION, make_anew},
    {ERR_PUBLICATION_ABSENT, CAUSE_PUBLICATION, make_anew},
    {ERR_PUBLICATION_TABLES, CAUSE_TABLE, publish_table},
    {ERR_TIMELINE_DIVERGED, CAUSE_DIVERGED, make_anew},
    {ERR_CHECKPOINT_AHEAD, CAUSE_DIVERGED, make_anew},
    {ERR_IDENTITY_SYSTEM, CAUSE_FOREIGN, right_server},
    {ERR_CHECKPOINT_INVALID, CAUSE_DISK_READ, forget},
    {ERR_CHECKPOINT_WRITE, CAUSE_DISK, restart_only},
    {ERR_POISON_HALT, CAUSE_POISON, let_poison_pass},
    {ERR_PROTOCOL_REPEATED, CAUSE_GARBAGE, restart_only},
    {ERR_INTERRUPTED, CAUSE_SECOND_SIGNAL, restart_only},
};

/* What needs no fault that was drawn. */
static bool has_cause(const struct life *life, const struct remedy *remedy)
{
    if (remedy->cause == CAUSE_POISON)
        return sim.plan.poison_rows && sim.plan.poison == POISON_HALT;
    if (remedy->cause == CAUSE_DISK_READ)
        return disk_was_disturbed(life->host);
    if (remedy->cause == CAUSE_DISK)
        return life->save_trouble_ns != 0;
    return operator.causes[remedy->cause];
}

static void explain(const struct life *life)
{
    if (life->ended_with == ERR_SLOT_ACTIVE && !sim.plan.standby_wait)
        return;
    for (size_t i = 0; i < ARRAY_LEN(REMEDIES); i++) {
        if (REMEDIES[i].code != life->ended_with)
            continue;
        CHECK(has_cause(life, &REMEDIES[i]), "the relay ended with %s, and there was no cause",
              err_name(life->ended_with));
        operator.causes[REMEDIES[i].cause] = false;
        TRACE("operator: mends %s", TEXT(err_name(life->ended_with)));
        REMEDIES[i].apply();
        return;
    }
    violation("the relay ended with %s, status %d", err_name(life->ended_with), life->status);
}

static uint64_t delay_ns(void)
{
    if (sim.healing)
        return rng_between(&sim.net, 1, 100) * MS;
    return rng_span(&sim.net, 1, 8192) * MS;
}

void operator_look(struct life *life)
{
    unsigned host = life->host;
    if (life->state == LIFE_DEAD) {
        model_died(life);
    } else {
        TRACE("relay %u ended with status %u: %s", life->id, (unsigned)life->status,
              TEXT(err_name(life->ended_with)));
        CHECK(life->status == err_exit_status(life->ended_with), "status %d for %s", life->status,
              err_name(life->ended_with));
        CHECK(life->status != 0 || life->stopping, "the relay ended by itself, without an error");
        if (life->status != 0)
            explain(life);
        else if (!life->drain_timeout)
            model_ended(life);
    }
    life_reap(life);
    if (!sim.failed && !operator.finishing)
        start_later(host, delay_ns());
}

/* ---- the end of a seed ---- */

static bool nobody_runs(void)
{
    return !life_runs(life_on(0)) && !life_runs(life_on(1));
}

static bool streams(void)
{
    return conn_streams();
}

static uint32_t appended;

static uint32_t count_appended(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < row_count; i++)
        count += rows[i].appended;
    return count;
}

static void stop_in_order(void)
{
    struct life *life = life_on(0);
    operator.finishing = true;
    if (!life_runs(life))
        return;
    if (!life->stopping)
        life_signal(life, SIGTERM);
    life->stopping = true;
    world_advance(sim.now_ns + (sim.plan.drain_ms + 20000) * MS, nobody_runs);
    CHECK(nobody_runs(), "asked to stop, and still there");
}

void operator_finish(void)
{
    stop_in_order();
    if (sim.failed)
        return;
    /* What dead producers had on the wire is written by then. */
    world_advance(sim.now_ns + 10 * SEC, NULL);
    /* What was published is not sent again by the next start. */
    operator.finishing = false;
    appended = count_appended();
    (void)life_start(0);
    world_advance(sim.now_ns + 120 * SEC, streams);
    CHECK(streams(), "does not come to streaming after a stop in good order");
    if (sim.failed)
        return;
    world_advance(sim.now_ns + 2 * SEC, NULL);
    CHECK(appended == count_appended(), "rows are sent again after a stop in good order");
    stop_in_order();
}
