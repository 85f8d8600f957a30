/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/checkpoint/ledger.h"

#include <stdlib.h>

#include "walferry/base/assert.h"

#define CURSOR_NONE ((struct cursor){.commit_lsn = {0}})

/* A record in flight, or one that was acknowledged while an older one was not. */
struct flight_slot {
    struct flight flight;
    bool acknowledged;
};

/* One source transaction with records. */
struct entry {
    struct lsn end_lsn; /* meaningful once closed; raised by empty transactions that follow */
    int64_t commit_time_us;
    uint64_t first_tag;
    uint64_t end_tag; /* one past its last record; meaningful once closed */
    bool closed;
};

enum open_state {
    OPEN_NONE,
    OPEN_NOW,
    OPEN_SUSPENDED, /* the connection broke inside: it comes again */
};

struct ledger {
    struct ledger_opts opts;
    /* A tag is the number of a record, counted from 1 and never given twice to a sink, so that an
     * acknowledgement that comes twice, or from before a rewind, is recognised. Record n lies at
     * n % slot_count. */
    struct flight_slot *slots;
    uint64_t slot_count; /* one more than records: the last one outlives one that is withdrawn */
    uint64_t first_tag;  /* the oldest not acknowledged; next_tag when there is none */
    uint64_t next_tag;
    uint32_t records; /* not acknowledged */
    uint64_t bytes;

    /* Entry n lies at n % ring_size. One more than records: all may belong to transactions of their
     * own, behind one that is open with nothing in flight. */
    struct entry *ring;
    uint64_t ring_size;
    uint64_t head; /* number of the oldest entry */
    uint64_t tail; /* number of the next entry */

    /* The transaction that is open or suspended. It has an entry, always the newest, from its
     * first record on. */
    enum open_state open;
    bool open_has_entry;
    int64_t open_commit_time_us;

    struct lsn newest_commit_lsn; /* of the newest transaction begun */
    struct lsn published;
    struct cursor partial;
    struct cursor passed; /* the newest row passed without a record */
    uint64_t finished;
    bool poisoned;
};

static struct entry *entry_at(const struct ledger *ledger, uint64_t number)
{
    ASSERT(number >= ledger->head && number < ledger->tail);
    return &ledger->ring[number % ledger->ring_size];
}

static struct entry *newest_entry(const struct ledger *ledger)
{
    return entry_at(ledger, ledger->tail - 1);
}

static bool ring_empty(const struct ledger *ledger)
{
    return ledger->head == ledger->tail;
}

static struct flight_slot *slot_at(const struct ledger *ledger, uint64_t tag)
{
    return &ledger->slots[tag % ledger->slot_count];
}

bool ledger_new(const struct ledger_opts *opts, struct lsn start, struct ledger **ret_ledger,
                struct err *err)
{
    ASSERT(opts->max_records >= 1 && opts->max_bytes >= 1);
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    if (ledger != NULL) {
        ledger->opts = *opts;
        ledger->published = start;
        ledger->first_tag = ledger->next_tag = 1;
        ledger->ring_size = (uint64_t)opts->max_records + 1;
        ledger->slot_count = (uint64_t)opts->max_records + 1;
        ledger->slots = calloc(ledger->slot_count, sizeof(*ledger->slots));
        ledger->ring = calloc(ledger->ring_size, sizeof(*ledger->ring));
    }
    if (ledger == NULL || ledger->slots == NULL || ledger->ring == NULL) {
        ledger_free(ledger);
        discard(err_set(err, ERR_MEMORY, "no memory to follow %u records in flight",
                        opts->max_records));
        return err_hint(err, "lower delivery.max_in_flight_events");
    }
    *ret_ledger = ledger;
    return true;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    free(ledger->slots);
    free(ledger->ring);
    free(ledger);
}

static void raise_published(struct ledger *ledger, struct lsn lsn)
{
    if (ledger->poisoned)
        return;
    ledger->published = lsn_max(ledger->published, lsn);
    if (lsn_cmp(ledger->partial.commit_lsn, ledger->published) < 0)
        ledger->partial = CURSOR_NONE;
}

/* Never back: what was acknowledged once stays so when it is sent again after a rewind. */
static void raise_partial(struct ledger *ledger, struct cursor after)
{
    if (ledger->poisoned || lsn_cmp(after.commit_lsn, ledger->published) < 0)
        return;
    int by_lsn = lsn_cmp(after.commit_lsn, ledger->partial.commit_lsn);
    if (by_lsn > 0 || (by_lsn == 0 && after.ordinal >= ledger->partial.ordinal))
        ledger->partial = after;
}

/* Once nothing of the open transaction is in flight, what it passed without a record is done. */
static void take_passed(struct ledger *ledger)
{
    bool open = ledger->open != OPEN_NONE &&
                lsn_cmp(ledger->passed.commit_lsn, ledger->newest_commit_lsn) == 0;
    if (open && ledger->first_tag == ledger->next_tag)
        raise_partial(ledger, ledger->passed);
}

/* Pass the records that are acknowledged, oldest first, and the transactions that are done. */
static void take_finished_prefix(struct ledger *ledger)
{
    take_passed(ledger);
    while (!ring_empty(ledger)) {
        const struct entry *oldest = entry_at(ledger, ledger->head);
        uint64_t end_tag = oldest->closed ? oldest->end_tag : ledger->next_tag;
        while (ledger->first_tag < end_tag && slot_at(ledger, ledger->first_tag)->acknowledged) {
            raise_partial(ledger, slot_at(ledger, ledger->first_tag)->flight.after);
            ledger->first_tag++;
        }
        take_passed(ledger);
        if (!oldest->closed || ledger->first_tag < end_tag)
            return;
        raise_published(ledger, oldest->end_lsn);
        ledger->finished++;
        ledger->head++;
    }
}

void ledger_begin(struct ledger *ledger, struct lsn commit_lsn, int64_t commit_time_us)
{
    ASSERT(ledger->open == OPEN_NONE);
    ASSERT(lsn_cmp(commit_lsn, ledger->newest_commit_lsn) > 0);
    ledger->open = OPEN_NOW;
    ledger->open_has_entry = false;
    ledger->open_commit_time_us = commit_time_us;
    ledger->newest_commit_lsn = commit_lsn;
}

static void add_entry(struct ledger *ledger)
{
    ASSERT(ledger->tail - ledger->head < ledger->ring_size);
    ledger->tail++;
    *newest_entry(ledger) = (struct entry){
        .commit_time_us = ledger->open_commit_time_us,
        .first_tag = ledger->next_tag,
    };
    ledger->open_has_entry = true;
}

uint64_t ledger_record(struct ledger *ledger, const struct flight *flight)
{
    ASSERT(ledger->open == OPEN_NOW);
    ASSERT(lsn_cmp(flight->after.commit_lsn, ledger->newest_commit_lsn) == 0);
    ASSERT(ledger_room(ledger));
    if (!ledger->open_has_entry)
        add_entry(ledger);
    uint64_t tag = ledger->next_tag++;
    struct flight_slot *slot = slot_at(ledger, tag);
    slot->flight = *flight;
    slot->flight.commit_time_us = ledger->open_commit_time_us;
    slot->acknowledged = false;
    ledger->records++;
    ledger->bytes += flight->cost;
    return tag;
}

static struct flight_slot *slot_in_flight(const struct ledger *ledger, uint64_t tag)
{
    ASSERT(tag >= ledger->first_tag && tag < ledger->next_tag);
    struct flight_slot *slot = slot_at(ledger, tag);
    ASSERT(!slot->acknowledged);
    return slot;
}

static void leave_flight(struct ledger *ledger, const struct flight_slot *slot)
{
    ASSERT(ledger->records > 0 && ledger->bytes >= slot->flight.cost);
    ledger->records--;
    ledger->bytes -= slot->flight.cost;
}

void ledger_withdraw(struct ledger *ledger, uint64_t tag)
{
    ASSERT(ledger->open == OPEN_NOW && ledger->open_has_entry && tag + 1 == ledger->next_tag);
    leave_flight(ledger, slot_in_flight(ledger, tag));
    ledger->next_tag--;
    /* Without a record it needs no entry: it may yet turn out to be empty. */
    if (newest_entry(ledger)->first_tag == ledger->next_tag) {
        ledger->tail--;
        ledger->open_has_entry = false;
    }
}

void ledger_pass(struct ledger *ledger, struct cursor after)
{
    ASSERT(ledger->open == OPEN_NOW);
    ASSERT(lsn_cmp(after.commit_lsn, ledger->newest_commit_lsn) == 0);
    ledger->passed = after;
    take_finished_prefix(ledger);
}

struct flight ledger_ack(struct ledger *ledger, uint64_t tag)
{
    struct flight_slot *slot = slot_in_flight(ledger, tag);
    struct flight flight = slot->flight;
    leave_flight(ledger, slot);
    slot->acknowledged = true;
    take_finished_prefix(ledger);
    return flight;
}

void ledger_label(struct ledger *ledger, uint64_t tag, uint32_t label)
{
    slot_in_flight(ledger, tag)->flight.label = label;
}

const struct flight *ledger_flight(const struct ledger *ledger, uint64_t tag)
{
    return &slot_in_flight(ledger, tag)->flight;
}

void ledger_commit(struct ledger *ledger, struct lsn end_lsn)
{
    ASSERT(ledger->open == OPEN_NOW);
    ASSERT(lsn_cmp(end_lsn, ledger->newest_commit_lsn) >= 0);
    ledger->open = OPEN_NONE;
    if (ring_empty(ledger)) {
        raise_published(ledger, end_lsn);
        return;
    }
    struct entry *newest = newest_entry(ledger);
    ASSERT(newest->closed != ledger->open_has_entry);
    /* A transaction without records raises the end of the one before: that end is confirmed only
     * when that one and all older ones are done, and an empty one has nothing else to wait for. */
    newest->end_lsn = lsn_max(newest->end_lsn, end_lsn);
    if (!newest->closed) {
        newest->closed = true;
        newest->end_tag = ledger->next_tag;
    }
    ledger->open_has_entry = false;
    take_finished_prefix(ledger);
}

void ledger_suspend(struct ledger *ledger)
{
    if (ledger->open == OPEN_NOW)
        ledger->open = OPEN_SUSPENDED;
}

bool ledger_resume(struct ledger *ledger, struct lsn commit_lsn)
{
    if (ledger->open != OPEN_SUSPENDED || lsn_cmp(commit_lsn, ledger->newest_commit_lsn) != 0)
        return false;
    ledger->open = OPEN_NOW;
    return true;
}

void ledger_idle(struct ledger *ledger, struct lsn wal_end)
{
    if (ledger_quiet(ledger))
        raise_published(ledger, wal_end);
}

void ledger_rewind(struct ledger *ledger)
{
    ledger->first_tag = ledger->next_tag;
    ledger->records = 0;
    ledger->bytes = 0;
    ledger->head = ledger->tail;
    ledger->open = OPEN_NONE;
    ledger->open_has_entry = false;
    ledger->newest_commit_lsn = LSN_NONE;
    ledger->passed = CURSOR_NONE;
}

void ledger_restart(struct ledger *ledger, struct lsn start)
{
    if (ledger->open_has_entry) {
        newest_entry(ledger)->closed = true;
        newest_entry(ledger)->end_tag = ledger->next_tag;
    }
    for (uint64_t number = ledger->head; number < ledger->tail; number++)
        entry_at(ledger, number)->end_lsn = start;
    ledger->open = OPEN_NONE;
    ledger->open_has_entry = false;
    ledger->newest_commit_lsn = LSN_NONE;
    ledger->partial = CURSOR_NONE;
    ledger->passed = CURSOR_NONE;
    if (!ledger->poisoned)
        ledger->published = start;
    take_finished_prefix(ledger);
}

void ledger_poison(struct ledger *ledger)
{
    ledger->poisoned = true;
}

bool ledger_room(const struct ledger *ledger)
{
    return ledger->next_tag - ledger->first_tag < ledger->opts.max_records &&
           ledger->bytes < ledger->opts.max_bytes;
}

struct lsn ledger_published(const struct ledger *ledger)
{
    return ledger->published;
}

struct cursor ledger_partial(const struct ledger *ledger)
{
    return ledger->partial;
}

void ledger_submitted(const struct ledger *ledger, struct lsn *ret_lsn, struct cursor *ret_partial)
{
    uint64_t closed = ledger->tail;
    *ret_lsn = ledger->published;
    *ret_partial = ledger->partial;
    if (ledger->open_has_entry) {
        closed--;
        *ret_partial = slot_at(ledger, ledger->next_tag - 1)->flight.after;
    }
    if (ledger->open != OPEN_NONE && cursor_cmp(ledger->passed, *ret_partial) > 0)
        *ret_partial = ledger->passed;
    if (closed > ledger->head)
        *ret_lsn = lsn_max(*ret_lsn, entry_at(ledger, closed - 1)->end_lsn);
    if (lsn_cmp(ret_partial->commit_lsn, *ret_lsn) < 0)
        *ret_partial = CURSOR_NONE;
}

void ledger_restore_partial(struct ledger *ledger, struct cursor partial)
{
    ASSERT(ledger_quiet(ledger));
    raise_partial(ledger, partial);
}

bool ledger_quiet(const struct ledger *ledger)
{
    return ledger->open == OPEN_NONE && ring_empty(ledger);
}

uint32_t ledger_records(const struct ledger *ledger)
{
    return ledger->records;
}

uint64_t ledger_bytes(const struct ledger *ledger)
{
    return ledger->bytes;
}

uint32_t ledger_transactions(const struct ledger *ledger)
{
    return (uint32_t)(ledger->tail - ledger->head);
}

uint64_t ledger_finished(const struct ledger *ledger)
{
    return ledger->finished;
}

int64_t ledger_oldest_commit_us(const struct ledger *ledger)
{
    if (!ring_empty(ledger))
        return entry_at(ledger, ledger->head)->commit_time_us;
    return ledger->open == OPEN_NONE ? 0 : ledger->open_commit_time_us;
}
