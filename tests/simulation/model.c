/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be true, judged by what the edges see: commits, writes of the brokers, confirmations,
 * and what lies on disk.
 *
 * Every partition has the list of rows that belong there, in the order of commit. A producer may
 * write the next of that list or one that was written before; only one of whose batches failed may
 * leave something out, and what it writes there after that has to be written again.
 */
#include <stdlib.h>

#include "sim.h"
#include "walferry/base/assert.h"

/* From an acknowledgement to a checkpoint on disk, beyond the interval: a turn of the loop late. */
#define SAVE_SLACK_NS (2 * SEC)

struct domain {
    uint32_t rows[ROWS_MAX];
    uint32_t count;
    uint32_t seen; /* rows before it are there, in order */
};

static struct domain domains[DOMAINS_MAX];
static bool clean[ROWS_MAX];  /* written after everything that belongs before it */
static uint32_t checked_txns; /* before it everything is delivered */
static uint32_t settled_txns;

void model_reset(void)
{
    for (size_t i = 0; i < DOMAINS_MAX; i++)
        domains[i].count = domains[i].seen = 0;
    checked_txns = 0;
    settled_txns = 0;
}

static bool lost(const struct row *row)
{
    return txns[row->txn].lost;
}

unsigned domain_of(const struct row *row)
{
    return row->domain;
}

void model_row_added(uint32_t number)
{
    struct row *row = &rows[number];
    uint32_t spread = row->key != 0 ? row->key : number;
    uint32_t partition = spread % sim.plan.partitions;
    if (row->explicit_partition)
        partition = row->partition;
    row->domain = (uint8_t)((uint32_t)row->topic * PARTITIONS_MAX + partition);
    clean[number] = false;
    if (row->expect == EXPECT_NONE)
        return;
    unsigned target = row->expect == EXPECT_LETTER ? DOMAINS_MAX - 1 : row->domain;
    struct domain *domain = &domains[target];
    row->place = domain->count;
    domain->rows[domain->count++] = number;
}

/* ---- writes ---- */

static void pass_clean(struct domain *domain)
{
    while (domain->seen < domain->count) {
        uint32_t number = domain->rows[domain->seen];
        if (!clean[number] && !rows[number].excused && !lost(&rows[number]))
            return;
        domain->seen++;
    }
}

void model_append(unsigned instance, uint32_t number, unsigned target, bool gapped)
{
    struct row *row = &rows[number];
    unsigned expected = row->expect == EXPECT_LETTER ? DOMAINS_MAX - 1u : row->domain;
    bool again = row->appended > 0;
    CHECK(row->expect != EXPECT_NONE && target == expected,
          "row %u is written to partition %u, it belongs to %u", number, target, expected);
    CHECK(!again || row->last_instance != instance, "producer %u wrote row %u twice", instance,
          number);
    row->appended++;
    row->last_instance = instance;
    if (lost(row) || row->excused)
        return;
    CHECK(number >= instance_start_row(instance),
          "row %u is sent again by producer %u, which had to begin at row %u", number, instance,
          instance_start_row(instance));
    struct domain *domain = &domains[target];
    pass_clean(domain);
    /* A letter of a row that the broker refuses waits until it has refused it alone; what was sent
     * before that comes again. */
    if (gapped || (target == DOMAINS_MAX - 1 && row->place > domain->seen))
        return;
    CHECK(row->place <= domain->seen, "row %u is written to partition %u before row %u", number,
          target, domain->rows[domain->seen]);
    clean[number] = true;
}

static void advance_base(struct life *life)
{
    while (life->base < row_count) {
        struct row *row = &rows[life->base];
        /* When the relay passes a row that the broker refused cannot be seen. */
        bool done = row->acked_instance == life->instance || row->excused || lost(row) ||
                    (row->expect == EXPECT_NONE && row->kind != ROW_REFUSED);
        if (!done)
            return;
        row->passed_ns = sim.now_ns;
        life->base++;
    }
}

/* What is acknowledged behind a gap counts for the producer that has the gap, and no longer. */
void model_acked(struct life *life, unsigned instance, uint32_t number)
{
    CHECK(rows[number].appended > 0, "row %u is acknowledged and not written", number);
    rows[number].acked_life = life->id;
    rows[number].acked_instance = instance;
    advance_base(life);
}

/* ---- positions ---- */

/* The first row at or behind the position. */
static uint32_t row_at(struct lsn lsn, struct cursor partial)
{
    /* What lies between the two holds no events. */
    uint32_t at = server_find(lsn_max(lsn, partial.commit_lsn));
    if (at == txn_count)
        return row_count;
    const struct txn *txn = &txns[at];
    uint32_t number = txn->first_row;
    if (lsn_cmp(txn->commit_lsn, partial.commit_lsn) != 0)
        return number;
    while (number < txn->first_row + txn->row_count &&
           (rows[number].ordinal < partial.ordinal || rows[number].kind == ROW_HEARTBEAT ||
            rows[number].unpublished))
        number++;
    return number;
}

static bool delivered(const struct row *row)
{
    return row->expect == EXPECT_NONE || row->excused || row->appended > 0;
}

/* Everything that committed before `lsn` must be there. */
static void check_delivered(struct lsn lsn, const char *why)
{
    for (; checked_txns < txn_count; checked_txns++) {
        const struct txn *txn = &txns[checked_txns];
        if (txn->lost)
            continue;
        if (lsn_cmp(txn->commit_lsn, lsn) >= 0)
            return;
        for (uint32_t i = 0; i < txn->row_count; i++) {
            uint32_t number = txn->first_row + i;
            CHECK(delivered(&rows[number]), "%s %s, but row %u of the transaction at %s is lost",
                  why, lsn_format(lsn).text, number, lsn_format(txn->commit_lsn).text);
        }
    }
}

struct lsn model_durable(unsigned host)
{
    struct lsn lsn;
    struct cursor partial;
    bool found = disk_durable(host, &lsn, &partial);
    return lsn_max(found ? lsn : LSN_NONE, disk_was_durable(host));
}

void model_start(struct life *life, struct lsn asked, struct lsn effective)
{
    CHECK(lsn_cmp(asked, server.wal_end) <= 0, "asked for %s, the WAL ends at %s",
          lsn_format(asked).text, lsn_format(server.wal_end).text);
    CHECK(!life->has_loaded || lsn_cmp(asked, life->loaded) >= 0,
          "asked for %s, the checkpoint says %s", lsn_format(asked).text,
          lsn_format(life->loaded).text);
    /* The slot stood ahead of the older generation anyway: nobody can tell how far. */
    if (life->damaged && cause_stands(CAUSE_SLOT_ADVANCED))
        model_excuse_before(effective);
    check_delivered(effective, "streaming begins at");
    TRACE("model: loaded %x, partial %x at %u, base %u", life->loaded.value,
          life->partial.commit_lsn.value, life->partial.ordinal, life->base);
    bool same = life->has_loaded && lsn_cmp(effective, life->loaded) == 0;
    uint32_t base = row_at(effective, same ? life->partial : (struct cursor){.ordinal = 0});
    /* What the slot has passed is passed now, however long ago it was acknowledged. */
    for (; life->base < base; life->base++)
        rows[life->base].passed_ns = sim.now_ns;
    advance_base(life);
}

void model_confirm(struct life *life, struct lsn flush)
{
    struct lsn durable = model_durable(life->host);
    CHECK(lsn_cmp(flush, durable) <= 0, "confirmed %s, durable is %s", lsn_format(flush).text,
          lsn_format(durable).text);
    check_delivered(flush, "confirmed");
}

/* ---- ends ---- */

/* The first row that would be sent again; none when a fault took what was durable. */
static uint32_t durable_row(unsigned host)
{
    struct lsn lsn;
    struct cursor partial;
    if (!disk_durable(host, &lsn, &partial) || disk_is_damaged(host))
        return row_count;
    return row_at(lsn, partial);
}

void model_died(const struct life *life)
{
    uint64_t allowed = sim.plan.interval_ms * MS + SAVE_SLACK_NS;
    bool trouble = life->save_trouble_ns != 0 || life->paused_ns != 0;
    for (uint32_t i = durable_row(life->host); i < life->base && !trouble; i++) {
        const struct row *row = &rows[i];
        if (row->acked_life == life->id && !lost(row))
            CHECK(sim.now_ns - row->passed_ns <= allowed,
                  "row %u was acknowledged %llu ms ago, and no checkpoint covers it", i,
                  (unsigned long long)((sim.now_ns - row->passed_ns) / MS));
    }
}

void model_ended(const struct life *life)
{
    for (uint32_t i = durable_row(life->host); i < life->base; i++) {
        const struct row *row = &rows[i];
        CHECK(row->acked_life != life->id || lost(row),
              "stopped in good order, but row %u will be sent again", i);
    }
}

void model_excuse_before(struct lsn lsn)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        if (lost(&rows[i]) || delivered(&rows[i]))
            continue;
        if (lsn_cmp(txns[rows[i].txn].commit_lsn, lsn) >= 0)
            continue;
        rows[i].excused = true;
        count++;
    }
    /* What was written behind a gap that nobody closes any more. */
    for (uint32_t i = 0; i < row_count; i++)
        if (rows[i].appended > 0 && !clean[i] && lsn_cmp(txns[rows[i].txn].commit_lsn, lsn) < 0)
            rows[i].excused = true;
    TRACE("operator: accepts a gap before %x, %u rows", lsn.value, count);
}

bool model_settled(void)
{
    for (; settled_txns < txn_count; settled_txns++) {
        const struct txn *txn = &txns[settled_txns];
        if (txn->lost)
            continue;
        for (uint32_t i = 0; i < txn->row_count; i++) {
            const struct row *row = &rows[txn->first_row + i];
            if (row->expect != EXPECT_NONE && !row->excused && !clean[txn->first_row + i])
                return false;
        }
    }
    return true;
}

uint32_t model_missing(void)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < row_count; i++)
        missing +=
            !lost(&rows[i]) && rows[i].expect != EXPECT_NONE && !rows[i].excused && !clean[i];
    return missing;
}

void model_finish(void)
{
    for (size_t i = 0; i < DOMAINS_MAX; i++) {
        pass_clean(&domains[i]);
        CHECK(domains[i].seen == domains[i].count, "row %u never came",
              domains[i].rows[domains[i].seen]);
    }
}
