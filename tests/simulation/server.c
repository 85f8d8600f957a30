/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: what is committed, and the slot.
 *
 * Transactions stand in the order of their commit records. Now and then one commits right where the
 * record before ends, as interleaved ones do. A commit is known to the walsender a moment later.
 * The slot's position is kept in memory and saved now and then: a crash goes back to what was
 * saved. After a failover to a standby that lags, transactions past the fork are lost.
 */
#include <inttypes.h>

#include "sim.h"
#include "walferry/base/assert.h"

#define LSN_START UINT64_C(0x1000000)
#define STOPS_NS  (30 * SEC)

struct row rows[ROWS_MAX];
uint32_t row_count;
struct txn txns[TXNS_MAX];
uint32_t txn_count;
struct server server;

static void work(uint64_t a, uint64_t b);
static void save_slot(uint64_t a, uint64_t b);

void server_reset(void)
{
    row_count = 0;
    txn_count = 0;
    server = (struct server){
        .state = SERVER_UP,
        .system_id = UINT64_C(7000000000000000001),
        .timeline = 1,
        .wal_end = lsn_make(LSN_START),
        .next_xid = 700,
        .publication = true,
        .table_published = true,
        .table_version = 1,
    };
    server.slot.conn = -1;
    server_init_slot();
}

void server_init_slot(void)
{
    struct slot *slot = &server.slot;
    slot->exists = true;
    slot->lost = false;
    slot->confirmed = slot->saved = server.wal_end;
    server.publication = true;
    server.table_published = true;
}

void server_begin_work(void)
{
    event_in(rng_between(&sim.work, 1, 200) * MS, work, 0, 0);
    event_in(rng_between(&sim.work, 1, 5) * SEC, save_slot, 0, 0);
}

/* The server's own checkpoint. */
static void save_slot(uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (server.state == SERVER_UP)
        server.slot.saved = server.slot.confirmed;
    event_in(rng_between(&sim.work, 1, 15) * SEC, save_slot, 0, 0);
}

/* ---- what is written ---- */

size_t row_payload(uint32_t row, char *out, size_t size)
{
    int len = rows[row].pad == 0 ? snprintf(out, size, "{\"n\":%u}", row)
                                 : snprintf(out, size, "{\"n\":%u,\"pad\":\"", row);
    size_t at = (size_t)len;
    if (rows[row].pad > 0) {
        ASSERT(at + rows[row].pad + 3 <= size);
        memset(out + at, 'a' + (int)(row % 26), rows[row].pad);
        at += rows[row].pad;
        memcpy(out + at, "\"}", 2);
        at += 2;
    }
    return at;
}

static void put_key(char *out, size_t size, const struct row *row)
{
    if (row->key == 0)
        snprintf(out, size, "null");
    else
        snprintf(out, size, "\"k%u\"", row->key);
}

size_t row_content(uint32_t row, char *out, size_t size)
{
    char key[16];
    put_key(key, sizeof key, &rows[row]);
    if (rows[row].kind == ROW_BAD_MESSAGE)
        return (size_t)snprintf(out, size, "{\"n\":%u, no JSON", row);
    int len = snprintf(out, size,
                       "{\"id\":\"00000000-0000-4000-8000-%012u\",\"aggregate_type\":\"%u\","
                       "\"aggregate_id\":%s,\"event_type\":\"order.made\",\"payload\":",
                       row, rows[row].topic, key);
    size_t at = (size_t)len;
    at += row_payload(row, out + at, size - at - 2);
    out[at++] = '}';
    return at;
}

static enum row_kind draw_kind(void)
{
    static const struct {
        enum row_kind kind;
        unsigned weight;
    } KINDS[] = {
        {ROW_EVENT, 800}, {ROW_MESSAGE, 50},  {ROW_DROPPED, 30},      {ROW_UPDATE, 20},
        {ROW_DELETE, 20}, {ROW_TRUNCATE, 4},  {ROW_HEARTBEAT, 10},    {ROW_FOREIGN_MESSAGE, 20},
        {ROW_NO_ID, 3},   {ROW_BAD_TOPIC, 3}, {ROW_BAD_PARTITION, 3}, {ROW_BAD_MESSAGE, 3},
        {ROW_LARGE, 3},   {ROW_REFUSED, 5},
    };
    unsigned sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        sum += KINDS[i].weight;
    uint64_t at = rng_below(&sim.work, sum);
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (at < KINDS[i].weight) {
            bool poison = KINDS[i].kind >= ROW_NO_ID;
            return poison && !sim.plan.poison_rows ? ROW_EVENT : KINDS[i].kind;
        }
        at -= KINDS[i].weight;
    }
    UNREACHABLE();
}

static void draw_place(struct row *row)
{
    row->topic = (uint8_t)rng_below(&sim.work, TOPICS);
    row->key = rng_chance(&sim.work, 950) ? (uint16_t)rng_between(&sim.work, 1, 12) : 0;
    row->explicit_partition = row->kind != ROW_MESSAGE && rng_chance(&sim.work, 40);
    row->partition = (uint8_t)rng_below(&sim.work, sim.plan.partitions);
    if (row->kind == ROW_LARGE)
        row->pad = (uint32_t)(sim.plan.value_max + rng_between(&sim.work, 100, 900));
    else if (row->kind == ROW_REFUSED)
        row->pad = (uint32_t)(sim.plan.topic_max + rng_between(&sim.work, 1, 300));
    else
        row->pad = rng_chance(&sim.work, 300) ? (uint32_t)rng_span(&sim.work, 1, 600) : 0;
}

static enum expect expect_of(enum row_kind kind)
{
    if (kind == ROW_EVENT || kind == ROW_MESSAGE)
        return EXPECT_TOPIC;
    if (kind < ROW_NO_ID)
        return EXPECT_NONE;
    return sim.plan.poison == POISON_SKIP ? EXPECT_NONE : EXPECT_LETTER;
}

static bool add_row(enum row_kind kind, uint32_t *ordinal, uint32_t *index)
{
    if (row_count == ROWS_MAX)
        return false;
    struct row *row = &rows[row_count];
    *row = (struct row){.kind = kind, .txn = txn_count, .ordinal = *ordinal, .index = *index};
    draw_place(row);
    row->expect = expect_of(kind);
    row->unpublished = !server.table_published && kind != ROW_MESSAGE &&
                       kind != ROW_FOREIGN_MESSAGE && kind != ROW_HEARTBEAT &&
                       kind != ROW_BAD_MESSAGE;
    row->orphaned = !server.publication;
    if (row->unpublished)
        row->expect = EXPECT_NONE;
    /* A walsender without the table does not send its rows: they are not counted either. */
    if (kind != ROW_HEARTBEAT && !row->unpublished)
        ++*ordinal;
    if (row->expect != EXPECT_NONE)
        ++*index;
    model_row_added(row_count++);
    return true;
}

static void commit(uint32_t rows_wanted, bool heartbeat)
{
    if (txn_count == TXNS_MAX)
        return;
    struct txn *txn = &txns[txn_count];
    uint32_t ordinal = 0, index = 0;
    /* The record begins where the last one ended when its rows were written before. */
    bool adjacent = rng_chance(&sim.work, 300);
    uint64_t gap = adjacent ? 0 : rows_wanted * 64u + rng_below(&sim.work, 4) * 8;
    uint64_t size = 0x30 + 8 * rng_below(&sim.work, 8);
    *txn = (struct txn){
        .commit_lsn = lsn_make(server.wal_end.value + gap),
        .end_lsn = lsn_make(server.wal_end.value + gap + size),
        .commit_us = clock_wall_us(),
        .visible_ns = sim.now_ns + rng_span(&sim.work, 1, 4096) * 1000,
        .xid = server.next_xid++,
        .first_row = row_count,
        .table_version = server.table_version,
    };
    for (uint32_t i = 0; i < rows_wanted; i++) {
        enum row_kind kind = heartbeat ? ROW_HEARTBEAT : draw_kind();
        if (!add_row(kind, &ordinal, &index))
            break;
        txn->row_count++;
    }
    server.wal_end = txn->end_lsn;
    TRACE("server: commits %x to %x with %u rows from %u", txn->commit_lsn.value,
          txn->end_lsn.value, txn->row_count, txn->first_row);
    txn_count++;
}

void server_emit_heartbeat(void)
{
    commit(1, true);
}

void server_noise(uint64_t bytes)
{
    server.wal_end.value += bytes;
}

static uint32_t draw_size(void)
{
    uint64_t draw = rng_below(&sim.work, 1000);
    if (draw < 80)
        return 0;
    if (draw < 600)
        return 1;
    if (draw < 920)
        return (uint32_t)rng_between(&sim.work, 2, 5);
    if (draw < 990)
        return (uint32_t)rng_between(&sim.work, 6, 20);
    return (uint32_t)rng_between(&sim.work, 30, 120);
}

static void work(uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    bool up = server.state == SERVER_UP && !server.in_recovery;
    bool done = server.committed >= sim.plan.transactions && sim.healing;
    if (up && !done) {
        unsigned burst = rng_chance(&sim.work, 100) ? (unsigned)rng_span(&sim.work, 1, 16) : 1;
        for (unsigned i = 0; i < burst; i++) {
            commit(draw_size(), false);
            server.committed++;
        }
        if (rng_chance(&sim.work, 150))
            server_noise(rng_span(&sim.work, 8, 100000));
    }
    if (done)
        return;
    /* There is enough: a little goes on, for what has yet to go wrong. */
    uint64_t mean = sim.plan.work_ns;
    if (server.committed >= sim.plan.transactions)
        mean = 500 * MS;
    event_in(rng_between(&sim.work, mean / 4, mean * 7 / 4), work, 0, 0);
}

uint32_t server_find(struct lsn lsn)
{
    uint32_t found = txn_count;
    for (uint32_t i = txn_count; i > 0; i--) {
        if (txns[i - 1].lost)
            continue;
        if (lsn_cmp(txns[i - 1].commit_lsn, lsn) < 0)
            break;
        found = i - 1;
    }
    return found;
}

/* ---- ends and beginnings ---- */

static void started(uint64_t a, uint64_t b)
{
    (void)b;
    if (server.state != SERVER_STARTING || a != server.until_ns)
        return;
    TRACE("server: accepts connections", 0);
    server.state = SERVER_UP;
}

static void starting(uint64_t a, uint64_t b)
{
    (void)b;
    if (server.state != SERVER_AWAY || a != server.until_ns)
        return;
    server.state = SERVER_STARTING;
    server.until_ns = sim.now_ns + rng_span(&sim.net, 1, 500) * MS;
    event_at(server.until_ns, started, server.until_ns, 0);
}

static void away(uint64_t ns)
{
    server.state = SERVER_AWAY;
    server.until_ns = sim.now_ns + ns;
    server.slot.busy_until_ns = 0;
    event_at(server.until_ns, starting, server.until_ns, 0);
}

void server_crash(uint64_t away_ns)
{
    struct slot *slot = &server.slot;
    TRACE("server: crashes, away for %u ms", away_ns / MS);
    away(away_ns);
    conns_break(true, true, "", "");
    if (lsn_cmp(slot->saved, slot->confirmed) < 0) {
        TRACE("server: the slot goes back from %x to %x", slot->confirmed.value, slot->saved.value);
        slot->confirmed = slot->saved;
        slot->went_back = true;
        fault_fired(FAULT_SLOT_WENT_BACK);
    }
}

/* A server that is told to stop waits for walsenders whose clients have not confirmed all: the
 * relay has to let go. */
static void held_up(uint64_t since_ns, uint64_t b)
{
    (void)b;
    bool waits = server.state == SERVER_STOPPING && server.stopping_since_ns == since_ns;
    CHECK(!waits || !conn_listens() || life_was_paused(since_ns),
          "the relay holds up a server that is to stop");
}

void server_restart(uint64_t away_ns)
{
    TRACE("server: is to stop, and be away for %u ms", away_ns / MS);
    server.state = SERVER_STOPPING;
    server.stopping_since_ns = sim.now_ns;
    server.away_ns = away_ns;
    /* One whose monitor is not connected, or not told, learns of it from the stream alone. */
    if (rng_chance(&sim.fate, 500))
        conns_break(false, true, "57P01", "terminating connection due to administrator command");
    event_in(STOPS_NS, held_up, sim.now_ns, 0);
    if (conns_may_stop())
        server_stopped();
}

void server_stopped(void)
{
    TRACE("server: has stopped", 0);
    server.slot.saved = server.slot.confirmed;
    away(server.away_ns);
    conns_break(true, true, "", "");
}

void server_promote(struct lsn fork, struct lsn slot)
{
    TRACE("server: timeline %u begins at %x, the slot stands at %x", server.timeline + 1,
          fork.value, slot.value);
    for (uint32_t i = txn_count; i > 0; i--) {
        struct txn *txn = &txns[i - 1];
        if (txn->lost || lsn_cmp(txn->end_lsn, fork) <= 0)
            break;
        txn->lost = true;
    }
    ASSERT(server.timeline < ARRAY_LEN(server.forks));
    server.forks[server.timeline - 1] = fork;
    server.timeline++;
    server.wal_end = fork;
    if (lsn_cmp(server.sent_high, fork) > 0)
        server.sent_high = fork;
    server.slot.confirmed = server.slot.saved = slot;
}
