/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong. A seed enables some of the kinds and draws among them; the rest of the time the
 * world behaves. Some faults happen at once, some are armed and come true at the next call that
 * they concern.
 */
#include <signal.h>

#include "sim.h"
#include "walferry/base/assert.h"

/* How many of those that end in a gap one seed may have. */
#define GAPS_MAX  2
#define ARMED_MAX 3

enum fault_group {
    GROUP_ANY,
    GROUP_FILE, /* with a checkpoint in a file */
    GROUP_GAP,  /* what is lost is lost: few, and not in every seed */
};

static const struct kind {
    const char *name;
    unsigned weight;
    enum fault_group group;
} KINDS[] = {
#define FAULT(id, text, often, of_group)                                                           \
    [FAULT_##id] = {.name = (text), .weight = (often), .group = GROUP_##of_group},
#include "faults.def"
#undef FAULT
};

uint64_t fault_totals[FAULT_COUNT];

static struct {
    unsigned armed[FAULT_COUNT];
    unsigned gaps;
} faults;

const char *fault_name(enum fault fault)
{
    return KINDS[fault].name;
}

void fault_fired(enum fault fault)
{
    fault_totals[fault]++;
    sim.fired++;
}

unsigned faults_fired(void)
{
    return sim.fired;
}

bool fault_take(enum fault fault)
{
    if (faults.armed[fault] == 0)
        return false;
    faults.armed[fault]--;
    fault_fired(fault);
    return true;
}

/* ---- those that happen at once; false: not now ---- */

static uint64_t span_ms(uint64_t low, uint64_t high)
{
    return rng_span(&sim.fate, low, high) * MS;
}

/* At the n-th call from now. */
static bool burn(enum fault fault)
{
    struct life *life = life_on(0);
    if (!life_runs(life) || life->fuse > 0)
        return false;
    bool at_file = fault == FAULT_KILL_AT_FILE;
    bool at_sink = fault == FAULT_KILL_AT_SINK;
    life->fuse_edge = at_file ? EDGE_FILE : at_sink ? EDGE_SINK : EDGE_ANY;
    life->fuse = (unsigned)rng_span(&sim.fate, 1, at_file ? 16 : at_sink ? 64 : 512);
    life->fuse_pause_ns = fault == FAULT_PAUSE_AT_EDGE ? span_ms(50, 90000) : 0;
    life->fuse_fault = fault;
    return true;
}

static bool kill_now(enum fault fault)
{
    struct life *life = life_on(0);
    if (!life_runs(life))
        return false;
    life_kill(life);
    fault_fired(fault);
    return true;
}

static bool power_loss(enum fault fault)
{
    struct life *life = life_on(0);
    TRACE("host 0 loses its power", 0);
    if (life_runs(life))
        life_kill(life);
    disk_power_loss(0);
    fault_fired(fault);
    return true;
}

static void stop_again(uint64_t id, uint64_t b)
{
    (void)b;
    struct life *life = life_by_id((unsigned)id);
    if (!life_runs(life))
        return;
    fault_fired(FAULT_STOP_TWICE);
    cause_add(CAUSE_SECOND_SIGNAL);
    life_signal(life, SIGINT);
}

static bool stop(enum fault fault)
{
    struct life *life = life_on(0);
    if (!life_runs(life) || life->stopping)
        return false;
    TRACE("relay %u is asked to stop", life->id);
    life->stopping = true;
    life_signal(life, SIGTERM);
    if (fault == FAULT_STOP_TWICE)
        event_in(span_ms(1, 256), stop_again, life->id, 0);
    else
        fault_fired(fault);
    return true;
}

static bool stop_process(enum fault fault)
{
    struct life *life = life_on(0);
    uint64_t ns = span_ms(50, 90000);
    if (!life_runs(life) || life->state == LIFE_PAUSED)
        return false;
    TRACE("relay %u is stopped for %u ms", life->id, ns / MS);
    life_pause(life, ns);
    fault_fired(fault);
    return true;
}

static bool reload_now(enum fault fault)
{
    struct life *life = life_on(0);
    if (!life_runs(life))
        return false;
    life_signal(life, SIGHUP);
    fault_fired(fault);
    return true;
}

static bool jump(enum fault fault)
{
    int64_t us = (int64_t)rng_below(&sim.fate, (uint64_t)(7200 * US_PER_S)) - 3600 * US_PER_S;
    sim.wall_jump_us += us;
    fault_fired(fault);
    return true;
}

static bool end_streams(enum fault fault)
{
    bool told = fault == FAULT_TERMINATED;
    if (!conn_streams())
        return false;
    TRACE("%s", TEXT(fault_name(fault)));
    conns_break(true, rng_chance(&sim.fate, 300), told ? "57P01" : "",
                told ? "terminating connection due to administrator command" : "");
    fault_fired(fault);
    return true;
}

static bool half_open(enum fault fault)
{
    if (!conn_streams())
        return false;
    TRACE("the connection is half open", 0);
    conns_half_open();
    fault_fired(fault);
    return true;
}

static bool server_event(enum fault fault)
{
    if (server.state != SERVER_UP || server.foreign)
        return false;
    if (fault == FAULT_SERVER_CRASH)
        server_crash(span_ms(10, 4000));
    else if (fault == FAULT_SERVER_DOWN)
        server_crash(span_ms(10000, 90000));
    else
        server_restart(span_ms(10, 4000));
    fault_fired(fault);
    return true;
}

static bool refuse(enum fault fault)
{
    uint64_t until = sim.now_ns + span_ms(100, 20000);
    if (fault == FAULT_REFUSED)
        server.refuse_until_ns = until;
    else
        server.login_until_ns = until;
    conns_break(true, true, "", "");
    fault_fired(fault);
    return true;
}

static bool stall(enum fault fault)
{
    if (!conn_streams())
        return false;
    if (fault == FAULT_STREAM_STALLS)
        conns_stall(span_ms(10, 5000));
    else
        conns_block_writes(span_ms(10, 8000));
    fault_fired(fault);
    return true;
}

static bool garbage(enum fault fault)
{
    if (!conn_streams())
        return false;
    TRACE("garbage comes in the stream", 0);
    conns_garbage();
    cause_add(CAUSE_GARBAGE);
    fault_fired(fault);
    return true;
}

static bool slot_busy(enum fault fault)
{
    if (server.slot.conn < 0 || server.foreign)
        return false;
    conns_break(true, false, "57P01", "terminating connection due to administrator command");
    server.slot.busy_until_ns = sim.now_ns + span_ms(100, 10000);
    TRACE("another session takes the slot", 0);
    fault_fired(fault);
    return true;
}

static void recovered(uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    server.in_recovery = false;
}

static bool promote(enum fault fault)
{
    if (server.state != SERVER_UP || server.foreign || server.timeline > 12)
        return false;
    server_crash(span_ms(10, 2000));
    server_promote(server.wal_end, server.slot.saved);
    if (rng_chance(&sim.fate, 500)) {
        server.in_recovery = true;
        event_at(server.until_ns + span_ms(100, 5000), recovered, 0, 0);
    }
    fault_fired(fault);
    return true;
}

/* ---- those that cannot be mended by trying again ---- */

static bool slot_gap(enum fault fault)
{
    struct slot *slot = &server.slot;
    struct lsn ignored;
    struct cursor partial;
    /* Before the first checkpoint nobody knows where the slot stood. */
    if (!disk_durable(0, &ignored, &partial))
        return false;
    if (!slot->exists || slot->lost || server.state != SERVER_UP || server.foreign)
        return false;
    conns_break(true, false, "57P01", "terminating connection due to administrator command");
    slot->conn = -1;
    TRACE("%s", TEXT(fault_name(fault)));
    if (fault == FAULT_SLOT_DROPPED) {
        slot->exists = false;
        cause_add(CAUSE_SLOT_GONE);
    } else if (fault == FAULT_SLOT_LOST) {
        slot->lost = true;
        cause_add(CAUSE_SLOT_LOST);
    } else {
        slot->confirmed = slot->saved = server.wal_end;
        cause_add(CAUSE_SLOT_ADVANCED);
    }
    fault_fired(fault);
    return true;
}

static bool unpublish(enum fault fault)
{
    if (!server.publication || !server.table_published)
        return false;
    TRACE("%s", TEXT(fault_name(fault)));
    if (fault == FAULT_PUBLICATION_DROPPED)
        server.publication = false;
    else
        server.table_published = false;
    cause_add(fault == FAULT_PUBLICATION_DROPPED ? CAUSE_PUBLICATION : CAUSE_TABLE);
    fault_fired(fault);
    return true;
}

static bool failover_behind(enum fault fault)
{
    uint32_t back = (uint32_t)rng_span(&sim.fate, 1, 8);
    uint32_t at = txn_count;
    while (at > 0 && back > 0 && !txns[at - 1].lost) {
        at--;
        back--;
    }
    if (server.state != SERVER_UP || server.foreign || server.timeline > 12 || at == txn_count)
        return false;
    struct lsn fork = txns[at].commit_lsn;
    struct lsn slot = server.slot.saved;
    server_crash(span_ms(10, 2000));
    server_promote(fork, lsn_cmp(slot, fork) < 0 ? slot : fork);
    cause_add(CAUSE_DIVERGED);
    fault_fired(fault);
    return true;
}

static void home_again(uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    server.foreign = false;
}

static bool foreign(enum fault fault)
{
    struct lsn ignored;
    struct cursor partial;
    if (server.foreign || server.state != SERVER_UP || !disk_durable(0, &ignored, &partial))
        return false;
    TRACE("another server answers", 0);
    conns_break(true, true, "", "");
    server.foreign = true;
    cause_add(CAUSE_FOREIGN);
    event_in(span_ms(1000, 20000), home_again, 0, 0);
    fault_fired(fault);
    return true;
}

/* ---- brokers ---- */

static bool brokers_event(enum fault fault)
{
    if (fault == FAULT_BROKER_DOWN)
        brokers.away_until_ns = sim.now_ns + span_ms(20, 20000);
    else if (fault == FAULT_BROKER_SLOW)
        brokers.slow_until_ns = sim.now_ns + span_ms(100, 8000);
    else if (fault == FAULT_SINK_BUSY)
        brokers.busy_until_ns = sim.now_ns + span_ms(10, 4000);
    else
        brokers.revoked_until_ns[rng_below(&sim.fate, TOPICS + 1)] =
            sim.now_ns + span_ms(100, 8000);
    TRACE("%s", TEXT(fault_name(fault)));
    fault_fired(fault);
    return true;
}

static bool altered(enum fault fault)
{
    if (server.table_version > 9)
        return false;
    server.table_version++;
    fault_fired(fault);
    return true;
}

/* ---- drawing ---- */

static bool arm(enum fault fault)
{
    if (faults.armed[fault] >= ARMED_MAX)
        return false;
    faults.armed[fault] += 1 + (unsigned)rng_below(&sim.fate, 2);
    /* A new producer is made only when the old one is given up. */
    if (fault == FAULT_RESET_FAILS && faults.armed[FAULT_BATCH_FAILED] == 0)
        faults.armed[FAULT_BATCH_FAILED] = 1;
    return true;
}

static bool damage(enum fault fault)
{
    (void)fault;
    disk_damage(0);
    return true;
}

/* The others are armed. */
static bool (*const HAPPEN[FAULT_COUNT])(enum fault fault) = {
    [FAULT_KILL] = kill_now,
    [FAULT_KILL_AT_EDGE] = burn,
    [FAULT_KILL_AT_FILE] = burn,
    [FAULT_KILL_AT_SINK] = burn,
    [FAULT_POWER_LOSS] = power_loss,
    [FAULT_STOP] = stop,
    [FAULT_STOP_TWICE] = stop,
    [FAULT_PAUSE] = stop_process,
    [FAULT_PAUSE_AT_EDGE] = burn,
    [FAULT_RELOAD] = reload_now,
    [FAULT_CLOCK_JUMP] = jump,
    [FAULT_CONNECTION_LOST] = end_streams,
    [FAULT_TERMINATED] = end_streams,
    [FAULT_HALF_OPEN] = half_open,
    [FAULT_SERVER_CRASH] = server_event,
    [FAULT_SERVER_RESTART] = server_event,
    [FAULT_SERVER_DOWN] = server_event,
    [FAULT_REFUSED] = refuse,
    [FAULT_LOGIN_FAILS] = refuse,
    [FAULT_SOCKET_FULL] = stall,
    [FAULT_STREAM_STALLS] = stall,
    [FAULT_GARBAGE] = garbage,
    [FAULT_SLOT_BUSY] = slot_busy,
    [FAULT_TABLE_ALTERED] = altered,
    [FAULT_PROMOTED] = promote,
    [FAULT_SLOT_DROPPED] = slot_gap,
    [FAULT_SLOT_LOST] = slot_gap,
    [FAULT_SLOT_ADVANCED] = slot_gap,
    [FAULT_PUBLICATION_DROPPED] = unpublish,
    [FAULT_TABLE_UNPUBLISHED] = unpublish,
    [FAULT_FAILOVER_BEHIND] = failover_behind,
    [FAULT_FOREIGN_SERVER] = foreign,
    [FAULT_BROKER_DOWN] = brokers_event,
    [FAULT_BROKER_SLOW] = brokers_event,
    [FAULT_RIGHTS_REVOKED] = brokers_event,
    [FAULT_SINK_BUSY] = brokers_event,
    [FAULT_BITS_FLIPPED] = damage,
};

static bool happen(enum fault fault)
{
    return HAPPEN[fault] != NULL ? HAPPEN[fault](fault) : arm(fault);
}

static void draw(uint64_t a, uint64_t b)
{
    unsigned sum = 0;
    (void)a;
    (void)b;
    if (sim.healing)
        return;
    for (size_t i = 0; i < FAULT_COUNT; i++)
        sum += sim.plan.enabled[i] ? KINDS[i].weight : 0;
    uint64_t at = sum == 0 ? 0 : rng_below(&sim.fate, sum);
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        unsigned weight = sim.plan.enabled[i] ? KINDS[i].weight : 0;
        if (at >= weight) {
            at -= weight;
            continue;
        }
        bool gap = KINDS[i].group == GROUP_GAP;
        if (gap && faults.gaps >= GAPS_MAX)
            break;
        if (!happen((enum fault)i)) {
            /* It does not fit now: another one soon. */
            event_in(rng_between(&sim.fate, 1, 30) * MS, draw, 0, 0);
            return;
        }
        faults.gaps += gap;
        break;
    }
    uint64_t mean = sim.plan.fault_ns;
    event_in(rng_between(&sim.fate, mean / 8, mean * 15 / 8), draw, 0, 0);
}

void faults_plan(void)
{
    static const unsigned SHARES[] = {150, 300, 500, 800, 1000};
    memset(&faults, 0, sizeof faults);
    sim.fired = 0;
    unsigned share = SHARES[rng_below(&sim.fate, ARRAY_LEN(SHARES))];
    bool gaps = rng_chance(&sim.fate, 250);
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        bool fits = KINDS[i].group == GROUP_ANY ||
                    (KINDS[i].group == GROUP_FILE && sim.plan.store == STORE_FILE) ||
                    (KINDS[i].group == GROUP_GAP && gaps);
        sim.plan.enabled[i] = fits && KINDS[i].weight > 0 && rng_chance(&sim.fate, share);
    }
    /* Something has to happen. */
    sim.plan.enabled[FAULT_CONNECTION_LOST] = true;
    event_in(rng_between(&sim.fate, 100, 3000) * MS, draw, 0, 0);
}

void faults_heal(void)
{
    struct life *life = life_on(0);
    memset(faults.armed, 0, sizeof faults.armed);
    brokers.away_until_ns = brokers.slow_until_ns = brokers.busy_until_ns = 0;
    brokers.reset_until_ns = 0;
    memset(brokers.revoked_until_ns, 0, sizeof brokers.revoked_until_ns);
    server.refuse_until_ns = server.login_until_ns = 0;
    server.slot.busy_until_ns = 0;
    server.foreign = false;
    disk_heal();
    if (life == NULL)
        return;
    life->fuse = 0;
    life->floor_ns = life->resume_ns = sim.now_ns;
}
