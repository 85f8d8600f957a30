/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger against a model that is too simple to be wrong: a list of all transactions and all
 * records, searched from the beginning for every answer.
 */
#include "walferry/base/assert.h"
#include "walferry/checkpoint/ledger.h"

#include "test.h"

#define SEEDS      2000
#define STEPS      160
#define RECORD_MAX (STEPS + 1)

struct model_record {
    uint64_t tag;
    uint64_t cost;
    uint32_t ordinal;
    size_t transaction;
    bool acknowledged;
};

struct model_transaction {
    uint64_t commit;
    uint64_t end;
    bool closed;
    uint32_t records;
};

struct model {
    struct model_transaction transactions[STEPS];
    size_t transaction_count;
    struct model_record records[RECORD_MAX];
    size_t record_count;
    uint64_t published;
    struct cursor partial;
    bool open;
    bool suspended;
    bool poisoned;
    uint32_t max_records;
    uint64_t max_bytes;
    uint64_t next_lsn;
};

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % limit;
}

static struct model_transaction *newest(struct model *model)
{
    return &model->transactions[model->transaction_count - 1];
}

static uint32_t in_flight(const struct model *model, size_t transaction)
{
    uint32_t count = 0;
    for (size_t i = 0; i < model->record_count; i++)
        count += model->records[i].transaction == transaction && !model->records[i].acknowledged;
    return count;
}

/* The run of acknowledged records at the front of transaction `t`. */
static void derive_partial(struct model *model, size_t t)
{
    uint64_t commit_lsn = model->transactions[t].commit;
    for (size_t i = 0; i < model->record_count; i++) {
        const struct model_record *record = &model->records[i];
        if (record->transaction != t)
            continue;
        if (!record->acknowledged)
            return;
        if (commit_lsn > model->partial.commit_lsn.value ||
            (commit_lsn == model->partial.commit_lsn.value &&
             record->ordinal > model->partial.ordinal))
            model->partial =
                (struct cursor){lsn_make(commit_lsn), record->ordinal, record->ordinal};
    }
}

/* Walk all transactions from the first: the position is the end of the last before one that is
 * open or has a record in flight. */
static void derive(struct model *model)
{
    size_t t = 0;
    uint64_t published = model->published;
    while (t < model->transaction_count && model->transactions[t].closed &&
           in_flight(model, t) == 0) {
        if (model->transactions[t].end > published)
            published = model->transactions[t].end;
        t++;
    }
    if (model->poisoned)
        return;
    model->published = published;
    if (model->partial.commit_lsn.value < published)
        model->partial = (struct cursor){.commit_lsn = LSN_NONE};
    if (t < model->transaction_count && model->transactions[t].commit >= published)
        derive_partial(model, t);
}

static uint32_t model_records(const struct model *model)
{
    uint32_t count = 0;
    for (size_t t = 0; t < model->transaction_count; t++)
        count += in_flight(model, t);
    return count;
}

static uint64_t model_bytes(const struct model *model)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < model->record_count; i++)
        bytes += model->records[i].acknowledged ? 0 : model->records[i].cost;
    return bytes;
}

/* Records from the oldest in flight to the newest. */
static uint32_t model_span(const struct model *model)
{
    for (size_t i = 0; i < model->record_count; i++) {
        if (!model->records[i].acknowledged)
            return (uint32_t)(model->record_count - i);
    }
    return 0;
}

static bool model_room(const struct model *model)
{
    return model_span(model) < model->max_records && model_bytes(model) < model->max_bytes;
}

static bool model_quiet(const struct model *model)
{
    return !model->open && !model->suspended && model_records(model) == 0;
}

static void compare(const struct ledger *ledger, struct model *model, unsigned seed, int step)
{
    derive(model);
    ck_assert_msg(ledger_published(ledger).value == model->published,
                  "seed %u step %d: published %lu, not %lu", seed, step,
                  (unsigned long)ledger_published(ledger).value, (unsigned long)model->published);
    struct cursor partial = ledger_partial(ledger);
    ck_assert_msg(partial.commit_lsn.value == model->partial.commit_lsn.value &&
                      partial.ordinal == model->partial.ordinal,
                  "seed %u step %d: partial %lu/%u, not %lu/%u", seed, step,
                  (unsigned long)partial.commit_lsn.value, partial.ordinal,
                  (unsigned long)model->partial.commit_lsn.value, model->partial.ordinal);
    ck_assert_msg(ledger_records(ledger) == model_records(model), "seed %u step %d: records", seed,
                  step);
    ck_assert_msg(ledger_bytes(ledger) == model_bytes(model), "seed %u step %d: bytes", seed, step);
    ck_assert_msg(ledger_room(ledger) == model_room(model), "seed %u step %d: room", seed, step);
    ck_assert_msg(ledger_quiet(ledger) == model_quiet(model), "seed %u step %d: quiet", seed, step);
}

static void do_begin(struct ledger *ledger, struct model *model)
{
    if (model->open)
        return;
    if (model->suspended) {
        ASSERT(!ledger_resume(ledger, lsn_make(newest(model)->commit + 1)));
        ASSERT(ledger_resume(ledger, lsn_make(newest(model)->commit)));
        model->suspended = false;
    } else {
        model->next_lsn += 1 + random_below(50);
        ledger_begin(ledger, lsn_make(model->next_lsn), (int64_t)model->next_lsn);
        model->transactions[model->transaction_count++] =
            (struct model_transaction){.commit = model->next_lsn};
    }
    model->open = true;
}

static void do_record(struct ledger *ledger, struct model *model)
{
    if (!model->open || !ledger_room(ledger))
        return;
    struct model_transaction *transaction = newest(model);
    uint64_t cost = 1 + random_below(random_below(20) == 0 ? 5000 : 50);
    struct flight flight = {
        .after = {lsn_make(transaction->commit), transaction->records + 1,
                  transaction->records + 1},
        .cost = cost,
    };
    uint64_t tag = ledger_record(ledger, &flight);
    if (random_below(8) == 0) {
        ledger_withdraw(ledger, tag);
        return;
    }
    for (size_t i = 0; i < model->record_count; i++)
        ASSERT(model->records[i].tag != tag);
    model->records[model->record_count++] = (struct model_record){
        .tag = tag,
        .cost = cost,
        .ordinal = ++transaction->records,
        .transaction = model->transaction_count - 1,
    };
}

static void do_ack(struct ledger *ledger, struct model *model)
{
    if (model_records(model) == 0)
        return;
    size_t i = random_below((uint32_t)model->record_count);
    while (model->records[i].acknowledged)
        i = (i + 1) % model->record_count;
    struct flight flight = ledger_ack(ledger, model->records[i].tag);
    ASSERT(flight.after.ordinal == model->records[i].ordinal);
    ASSERT(flight.after.commit_lsn.value ==
           model->transactions[model->records[i].transaction].commit);
    model->records[i].acknowledged = true;
}

static void do_commit(struct ledger *ledger, struct model *model)
{
    if (!model->open)
        return;
    model->next_lsn += 1 + random_below(10);
    ledger_commit(ledger, lsn_make(model->next_lsn));
    newest(model)->end = model->next_lsn;
    newest(model)->closed = true;
    model->open = false;
}

static void do_rewind(struct ledger *ledger, struct model *model)
{
    derive(model);
    ledger_rewind(ledger);
    model->transaction_count = 0;
    model->record_count = 0;
    model->open = model->suspended = false;
    /* The server sends again what is not published; now and then a little more. */
    model->next_lsn = model->published - random_below(3);
}

static void do_step(struct ledger *ledger, struct model *model)
{
    uint32_t what = random_below(100);
    if (what < 20) {
        do_begin(ledger, model);
    } else if (what < 50) {
        do_record(ledger, model);
    } else if (what < 75) {
        do_ack(ledger, model);
    } else if (what < 90) {
        do_commit(ledger, model);
    } else if (what < 93) {
        ledger_suspend(ledger);
        model->suspended = model->suspended || model->open;
        model->open = false;
    } else if (what < 97) {
        uint64_t wal_end = model->next_lsn + random_below(20);
        if (model_quiet(model) && !model->poisoned && wal_end > model->published)
            model->published = model->next_lsn = wal_end;
        ledger_idle(ledger, lsn_make(wal_end));
    } else if (what < 99) {
        do_rewind(ledger, model);
    } else if (random_below(10) == 0) {
        derive(model);
        ledger_poison(ledger);
        model->poisoned = true;
    }
}

static void run_seed(unsigned seed)
{
    random_state = UINT64_C(0x9E3779B97F4A7C15) * (seed + 1);
    struct model model = {.published = 1000, .next_lsn = 1000};
    model.max_records = 1 + random_below(random_below(2) == 0 ? 4 : 40);
    model.max_bytes = 1 + random_below(random_below(2) == 0 ? 100 : 100000);
    struct ledger_opts opts = {.max_records = model.max_records, .max_bytes = model.max_bytes};
    struct ledger *ledger = NULL;
    ASSERT(ledger_new(&opts, lsn_make(model.published), &ledger, NULL));
    for (int step = 0; step < STEPS; step++) {
        do_step(ledger, &model);
        compare(ledger, &model, seed, step);
    }
    ledger_free(ledger);
}

START_TEST(agrees_with_the_model)
{
    for (unsigned seed = 0; seed < SEEDS; seed++)
        run_seed(seed);
}
END_TEST

static Suite *suite_of_ledger_property(void)
{
    Suite *suite = suite_create("ledger_property");
    TCase *tcase = tcase_create("ledger_property");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, agrees_with_the_model);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_ledger_property())
