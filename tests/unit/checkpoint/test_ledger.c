/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/checkpoint/ledger.h"

#include "test.h"

static struct ledger *make(uint32_t max_records, uint64_t max_bytes, uint64_t start)
{
    struct ledger_opts opts = {.max_records = max_records, .max_bytes = max_bytes};
    struct ledger *ledger = NULL;
    struct err err = ERR_INIT;
    ck_assert_msg(ledger_new(&opts, lsn_make(start), &ledger, &err), "%s", err.message);
    return ledger;
}

static void begin(struct ledger *ledger, uint64_t commit)
{
    ledger_begin(ledger, lsn_make(commit), (int64_t)commit * 10);
}

static uint64_t record(struct ledger *ledger, uint64_t commit, uint32_t ordinal)
{
    struct flight flight = {
        .after = {.commit_lsn = lsn_make(commit), .ordinal = ordinal, .index = ordinal},
        .cost = 10,
        .label = 7,
    };
    return ledger_record(ledger, &flight);
}

static void commit(struct ledger *ledger, uint64_t end)
{
    ledger_commit(ledger, lsn_make(end));
}

static void ack(struct ledger *ledger, uint64_t tag)
{
    (void)ledger_ack(ledger, tag);
}

#define ck_published(ledger, expected)                                                             \
    ck_assert_uint_eq(ledger_published(ledger).value, (uint64_t)(expected))

static void ck_partial(const struct ledger *ledger, uint64_t commit_lsn, uint32_t ordinal)
{
    struct cursor partial = ledger_partial(ledger);
    ck_assert_uint_eq(partial.commit_lsn.value, commit_lsn);
    ck_assert_uint_eq(partial.ordinal, ordinal);
}

START_TEST(starts_quiet_at_the_given_position)
{
    struct ledger *ledger = make(4, 100, 50);
    ck_published(ledger, 50);
    ck_partial(ledger, 0, 0);
    ck_assert(ledger_quiet(ledger));
    ck_assert(ledger_room(ledger));
    ck_assert_uint_eq(ledger_records(ledger), 0);
    ck_assert_uint_eq(ledger_bytes(ledger), 0);
    ck_assert_uint_eq(ledger_transactions(ledger), 0);
    ck_assert_int_eq(ledger_oldest_commit_us(ledger), 0);
    ledger_free(ledger);
    ledger_free(NULL);
}
END_TEST

START_TEST(publishes_only_a_contiguous_finished_prefix)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    uint64_t a = record(ledger, 100, 1);
    commit(ledger, 110);
    begin(ledger, 200);
    uint64_t b = record(ledger, 200, 1);
    uint64_t c = record(ledger, 200, 2);
    commit(ledger, 210);
    ack(ledger, c);
    ack(ledger, b);
    ck_published(ledger, 50);
    ck_assert_uint_eq(ledger_records(ledger), 1);
    ck_assert_uint_eq(ledger_transactions(ledger), 2);
    ck_assert_uint_eq(ledger_finished(ledger), 0);
    ack(ledger, a);
    ck_published(ledger, 210);
    ck_assert(ledger_quiet(ledger));
    ck_assert_uint_eq(ledger_finished(ledger), 2);
    ledger_free(ledger);
}
END_TEST

START_TEST(an_open_transaction_holds_the_position_even_when_all_is_acknowledged)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    ack(ledger, record(ledger, 100, 1));
    ck_published(ledger, 50);
    ck_assert(!ledger_quiet(ledger));
    ck_assert_int_eq(ledger_oldest_commit_us(ledger), 1000);
    ledger_idle(ledger, lsn_make(5000));
    ck_published(ledger, 50);
    commit(ledger, 110);
    ck_published(ledger, 110);
    ledger_free(ledger);
}
END_TEST

START_TEST(an_empty_transaction_moves_the_prefix_or_the_newest_entry)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 60);
    ck_assert(!ledger_quiet(ledger));
    ck_assert_int_eq(ledger_oldest_commit_us(ledger), 600);
    commit(ledger, 70);
    ck_published(ledger, 70);
    begin(ledger, 100);
    uint64_t a = record(ledger, 100, 1);
    commit(ledger, 110);
    begin(ledger, 200);
    commit(ledger, 210);
    ck_published(ledger, 70);
    ck_assert_uint_eq(ledger_transactions(ledger), 1);
    ack(ledger, a);
    ck_published(ledger, 210);
    ck_assert_uint_eq(ledger_finished(ledger), 1);
    /* The end is raised, never lowered. */
    begin(ledger, 300);
    uint64_t b = record(ledger, 300, 1);
    commit(ledger, 390);
    begin(ledger, 350);
    commit(ledger, 360);
    ack(ledger, b);
    ck_published(ledger, 390);
    ledger_free(ledger);
}
END_TEST

START_TEST(idle_moves_only_when_quiet_and_never_back)
{
    struct ledger *ledger = make(8, 1000, 50);
    ledger_idle(ledger, lsn_make(80));
    ck_published(ledger, 80);
    ledger_idle(ledger, lsn_make(60));
    ck_published(ledger, 80);
    begin(ledger, 100);
    ledger_idle(ledger, lsn_make(90));
    ck_published(ledger, 80);
    uint64_t a = record(ledger, 100, 1);
    commit(ledger, 110);
    ledger_idle(ledger, lsn_make(500));
    ck_published(ledger, 80);
    ack(ledger, a);
    ck_published(ledger, 110);
    ledger_free(ledger);
}
END_TEST

START_TEST(the_acknowledged_flight_comes_back_as_it_went)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    struct flight flight = {.after = {lsn_make(100), 3, 2},
                            .commit_time_us = -1,
                            .submitted_ns = 77,
                            .cost = 11,
                            .label = 4,
                            .dead_letter = true};
    uint64_t tag = ledger_record(ledger, &flight);
    ck_assert_uint_ne(tag, 0);
    ck_assert_uint_eq(ledger_bytes(ledger), 11);
    ck_assert_uint_eq(ledger_flight(ledger, tag)->label, 4);
    ledger_label(ledger, tag, 9);
    struct flight back = ledger_ack(ledger, tag);
    ck_assert_uint_eq(back.after.commit_lsn.value, 100);
    ck_assert_uint_eq(back.after.ordinal, 3);
    ck_assert_uint_eq(back.after.index, 2);
    ck_assert_int_eq(back.commit_time_us, 1000);
    ck_assert_uint_eq(back.submitted_ns, 77);
    ck_assert_uint_eq(back.cost, 11);
    ck_assert_uint_eq(back.label, 9);
    ck_assert(back.dead_letter);
    ck_assert_uint_eq(ledger_bytes(ledger), 0);
    ledger_free(ledger);
}
END_TEST

START_TEST(room_ends_with_records_and_with_bytes)
{
    struct ledger *ledger = make(2, 1000, 50);
    begin(ledger, 100);
    uint64_t a = record(ledger, 100, 1);
    ck_assert(ledger_room(ledger));
    uint64_t b = record(ledger, 100, 2);
    ck_assert(!ledger_room(ledger));
    /* The place of b is needed until a is acknowledged. */
    ack(ledger, b);
    ck_assert(!ledger_room(ledger));
    ack(ledger, a);
    ck_assert(ledger_room(ledger));
    ledger_free(ledger);

    ledger = make(100, 20, 50);
    begin(ledger, 100);
    a = record(ledger, 100, 1);
    ck_assert(ledger_room(ledger));
    b = record(ledger, 100, 2);
    ck_assert(!ledger_room(ledger));
    ack(ledger, b);
    ck_assert(ledger_room(ledger));
    ledger_free(ledger);
}
END_TEST

START_TEST(a_record_larger_than_the_limit_passes_alone)
{
    struct ledger *ledger = make(100, 20, 50);
    begin(ledger, 100);
    struct flight flight = {.after = {lsn_make(100), 1, 1}, .cost = 5000};
    uint64_t tag = ledger_record(ledger, &flight);
    ck_assert(!ledger_room(ledger));
    ack(ledger, tag);
    ck_assert(ledger_room(ledger));
    commit(ledger, 110);
    ck_published(ledger, 110);
    ledger_free(ledger);
}
END_TEST

START_TEST(one_record_in_flight_is_enough)
{
    struct ledger *ledger = make(1, 1, 50);
    for (uint64_t i = 1; i <= 100; i++) {
        begin(ledger, 100 * i);
        ack(ledger, record(ledger, 100 * i, 1));
        uint64_t second = record(ledger, 100 * i, 2);
        commit(ledger, 100 * i + 10);
        ck_assert(!ledger_room(ledger));
        ack(ledger, second);
        ck_published(ledger, 100 * i + 10);
    }
    ledger_free(ledger);
}
END_TEST

START_TEST(withdraw_leaves_no_trace)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    ledger_withdraw(ledger, record(ledger, 100, 1));
    ck_assert_uint_eq(ledger_records(ledger), 0);
    ck_assert_uint_eq(ledger_bytes(ledger), 0);
    ck_assert_uint_eq(ledger_transactions(ledger), 0);
    ck_assert(!ledger_quiet(ledger));
    ck_assert_int_eq(ledger_oldest_commit_us(ledger), 1000);
    commit(ledger, 110);
    ck_published(ledger, 110);

    begin(ledger, 200);
    uint64_t a = record(ledger, 200, 1);
    ledger_withdraw(ledger, record(ledger, 200, 2));
    uint64_t b = record(ledger, 200, 2);
    commit(ledger, 210);
    ack(ledger, a);
    ck_published(ledger, 110);
    ck_partial(ledger, 200, 1);
    ack(ledger, b);
    ck_published(ledger, 210);
    ledger_free(ledger);
}
END_TEST

START_TEST(suspend_keeps_flights_and_resume_goes_on)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    uint64_t a = record(ledger, 100, 1);
    commit(ledger, 110);
    begin(ledger, 200);
    uint64_t b = record(ledger, 200, 1);
    ledger_suspend(ledger);
    ledger_suspend(ledger);
    ack(ledger, a);
    ack(ledger, b);
    ck_published(ledger, 110);
    ck_assert(!ledger_quiet(ledger));
    ledger_idle(ledger, lsn_make(5000));
    ck_published(ledger, 110);
    ck_assert(!ledger_resume(ledger, lsn_make(100)));
    ck_assert(!ledger_resume(ledger, lsn_make(300)));
    ck_assert(ledger_resume(ledger, lsn_make(200)));
    ck_assert(!ledger_resume(ledger, lsn_make(200)));
    uint64_t c = record(ledger, 200, 2);
    commit(ledger, 210);
    ck_published(ledger, 110);
    ack(ledger, c);
    ck_published(ledger, 210);
    ledger_free(ledger);
}
END_TEST

START_TEST(suspend_without_an_open_transaction_is_harmless)
{
    struct ledger *ledger = make(8, 1000, 50);
    ledger_suspend(ledger);
    ck_assert(ledger_quiet(ledger));
    ck_assert(!ledger_resume(ledger, LSN_NONE));
    /* A transaction that had no record yet waits all the same. */
    begin(ledger, 100);
    ledger_suspend(ledger);
    ck_assert(!ledger_quiet(ledger));
    ledger_idle(ledger, lsn_make(5000));
    ck_published(ledger, 50);
    ck_assert(ledger_resume(ledger, lsn_make(100)));
    commit(ledger, 110);
    ck_published(ledger, 110);
    ledger_free(ledger);
}
END_TEST

START_TEST(restart_waits_for_flights_and_for_nothing_else)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    uint64_t a = record(ledger, 100, 1);
    commit(ledger, 110);
    begin(ledger, 200);
    uint64_t b = record(ledger, 200, 1);
    ledger_suspend(ledger);
    ledger_restart(ledger, lsn_make(300));
    ck_assert_uint_eq(ledger_records(ledger), 2);
    begin(ledger, 400);
    uint64_t c = record(ledger, 400, 1);
    commit(ledger, 410);
    ack(ledger, c);
    ack(ledger, a);
    ck_published(ledger, 300);
    ack(ledger, b);
    ck_published(ledger, 410);
    ck_assert(ledger_quiet(ledger));
    ledger_free(ledger);
}
END_TEST

START_TEST(restart_may_lie_behind)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    uint64_t a = record(ledger, 100, 1);
    commit(ledger, 110);
    begin(ledger, 200);
    ledger_restart(ledger, lsn_make(60));
    ck_published(ledger, 60);
    ack(ledger, a);
    ck_published(ledger, 60);
    ck_assert(ledger_quiet(ledger));
    begin(ledger, 70);
    commit(ledger, 75);
    ck_published(ledger, 75);
    ledger_free(ledger);
}
END_TEST

START_TEST(rewind_forgets_flights_and_keeps_the_position)
{
    struct ledger *ledger = make(2, 1000, 50);
    begin(ledger, 100);
    ack(ledger, record(ledger, 100, 1));
    commit(ledger, 110);
    begin(ledger, 200);
    uint64_t old = record(ledger, 200, 1);
    (void)record(ledger, 200, 2);
    ledger_rewind(ledger);
    ck_published(ledger, 110);
    ck_assert(ledger_quiet(ledger));
    ck_assert(ledger_room(ledger));
    ck_assert_uint_eq(ledger_records(ledger), 0);
    ck_assert_uint_eq(ledger_bytes(ledger), 0);
    ck_assert_uint_eq(ledger_transactions(ledger), 0);
    /* What was published before may come again, and does not move the position back. */
    begin(ledger, 100);
    uint64_t again = record(ledger, 100, 1);
    ck_assert_uint_ne(again, old);
    commit(ledger, 110);
    begin(ledger, 200);
    uint64_t b = record(ledger, 200, 1);
    commit(ledger, 210);
    ack(ledger, again);
    ck_published(ledger, 110);
    ack(ledger, b);
    ck_published(ledger, 210);
    ledger_free(ledger);
}
END_TEST

START_TEST(poison_freezes_for_good)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    uint64_t a = record(ledger, 100, 1);
    uint64_t b = record(ledger, 100, 2);
    ack(ledger, a);
    ledger_poison(ledger);
    ack(ledger, b);
    ck_partial(ledger, 100, 1);
    commit(ledger, 110);
    ck_published(ledger, 50);
    ledger_idle(ledger, lsn_make(500));
    ck_published(ledger, 50);
    ledger_rewind(ledger);
    begin(ledger, 600);
    commit(ledger, 610);
    ck_published(ledger, 50);
    ledger_free(ledger);
}
END_TEST

START_TEST(partial_is_the_run_at_the_front)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    uint64_t a = record(ledger, 100, 2);
    uint64_t b = record(ledger, 100, 3);
    uint64_t c = record(ledger, 100, 5);
    ack(ledger, c);
    ck_partial(ledger, 0, 0);
    ack(ledger, a);
    ck_partial(ledger, 100, 2);
    ack(ledger, b);
    ck_partial(ledger, 100, 5);
    commit(ledger, 110);
    ck_partial(ledger, 0, 0);

    begin(ledger, 200);
    uint64_t d = record(ledger, 200, 1);
    commit(ledger, 210);
    begin(ledger, 300);
    uint64_t e = record(ledger, 300, 1);
    (void)record(ledger, 300, 2);
    ack(ledger, e);
    ck_partial(ledger, 0, 0);
    ack(ledger, d);
    ck_published(ledger, 210);
    ck_partial(ledger, 300, 1);
    ledger_free(ledger);
}
END_TEST

START_TEST(partial_outlives_a_rewind_and_never_falls)
{
    struct ledger *ledger = make(8, 1000, 50);
    ledger_restore_partial(ledger, (struct cursor){lsn_make(100), 4, 4});
    ck_partial(ledger, 100, 4);
    begin(ledger, 100);
    ack(ledger, record(ledger, 100, 5));
    ck_partial(ledger, 100, 5);
    (void)record(ledger, 100, 6);
    ledger_rewind(ledger);
    ck_partial(ledger, 100, 5);
    begin(ledger, 100);
    ack(ledger, record(ledger, 100, 3));
    ck_partial(ledger, 100, 5);
    uint64_t last = record(ledger, 100, 6);
    commit(ledger, 110);
    ck_partial(ledger, 100, 5);
    ack(ledger, last);
    ck_partial(ledger, 0, 0);
    ck_published(ledger, 110);
    /* A partial from before the position says nothing. */
    ledger_restore_partial(ledger, (struct cursor){lsn_make(90), 4, 4});
    ck_partial(ledger, 0, 0);
    ledger_free(ledger);
}
END_TEST

/* Each of these is a bug of the caller: the process must end with status 70. They get a ledger with
 * room for one more record and a transaction 100 with two records, `newer` the second. */
static void begin_twice(struct ledger *ledger, UNUSED uint64_t newer)
{
    begin(ledger, 200);
}

static void begin_not_past_the_newest(struct ledger *ledger, UNUSED uint64_t newer)
{
    commit(ledger, 110);
    begin(ledger, 100);
}

static void begin_while_suspended(struct ledger *ledger, UNUSED uint64_t newer)
{
    ledger_suspend(ledger);
    begin(ledger, 200);
}

static void record_without_open(struct ledger *ledger, UNUSED uint64_t newer)
{
    commit(ledger, 110);
    (void)record(ledger, 100, 3);
}

static void record_of_another_commit(struct ledger *ledger, UNUSED uint64_t newer)
{
    (void)record(ledger, 101, 3);
}

static void record_without_room(struct ledger *ledger, UNUSED uint64_t newer)
{
    (void)record(ledger, 100, 3);
    (void)record(ledger, 100, 4);
}

static void acknowledge_twice(struct ledger *ledger, uint64_t newer)
{
    ack(ledger, newer);
    ack(ledger, newer);
}

static void acknowledge_from_before_a_rewind(struct ledger *ledger, uint64_t newer)
{
    ledger_rewind(ledger);
    ack(ledger, newer);
}

static void acknowledge_what_never_was(struct ledger *ledger, uint64_t newer)
{
    ack(ledger, newer + 1);
}

static void withdraw_an_older_one(struct ledger *ledger, uint64_t newer)
{
    ledger_withdraw(ledger, newer - 1);
}

static void withdraw_after_the_commit(struct ledger *ledger, uint64_t newer)
{
    commit(ledger, 110);
    ledger_withdraw(ledger, newer);
}

static void commit_twice(struct ledger *ledger, UNUSED uint64_t newer)
{
    commit(ledger, 110);
    commit(ledger, 120);
}

static void commit_that_ends_before_it_begins(struct ledger *ledger, UNUSED uint64_t newer)
{
    commit(ledger, 99);
}

static void look_at_an_acknowledged_one(struct ledger *ledger, uint64_t newer)
{
    ack(ledger, newer);
    (void)ledger_flight(ledger, newer);
}

static void restore_while_open(struct ledger *ledger, UNUSED uint64_t newer)
{
    ledger_restore_partial(ledger, (struct cursor){lsn_make(100), 1, 1});
}

static void ck_submitted(const struct ledger *ledger, uint64_t lsn, uint64_t commit_lsn,
                         uint32_t ordinal)
{
    struct lsn submitted;
    struct cursor partial;
    ledger_submitted(ledger, &submitted, &partial);
    ck_assert_uint_eq(submitted.value, lsn);
    ck_assert_uint_eq(partial.commit_lsn.value, commit_lsn);
    ck_assert_uint_eq(partial.ordinal, ordinal);
}

/* The place of a record that is withdrawn is not that of the one before. */
START_TEST(submitted_with_one_in_flight)
{
    struct ledger *ledger = make(1, 1000, 50);
    begin(ledger, 100);
    ack(ledger, record(ledger, 100, 1));
    ledger_withdraw(ledger, record(ledger, 100, 2));
    ck_submitted(ledger, 50, 100, 1);
    ledger_free(ledger);
}
END_TEST

START_TEST(submitted_is_what_will_be_published)
{
    struct ledger *ledger = make(8, 1000, 50);
    ck_submitted(ledger, 50, 0, 0);
    begin(ledger, 100);
    ck_submitted(ledger, 50, 0, 0);
    uint64_t a = record(ledger, 100, 1);
    uint64_t b = record(ledger, 100, 2);
    ck_submitted(ledger, 50, 100, 2);
    commit(ledger, 110);
    ck_submitted(ledger, 110, 0, 0);
    begin(ledger, 120);
    commit(ledger, 130); /* without records */
    ck_submitted(ledger, 130, 0, 0);
    begin(ledger, 140);
    uint64_t c = record(ledger, 140, 5);
    ck_submitted(ledger, 130, 140, 5);
    ack(ledger, c);
    ck_partial(ledger, 0, 0);
    ck_submitted(ledger, 130, 140, 5);
    ack(ledger, a);
    ack(ledger, b);
    ck_published(ledger, 130);
    ck_partial(ledger, 140, 5);
    ck_submitted(ledger, 130, 140, 5);
    ledger_suspend(ledger);
    ck_submitted(ledger, 130, 140, 5);
    ck_assert(ledger_resume(ledger, lsn_make(140)));
    commit(ledger, 150);
    ck_submitted(ledger, 150, 0, 0);
    ck_published(ledger, 150);
    ledger_free(ledger);
}
END_TEST

static void pass(struct ledger *ledger, uint64_t commit, uint32_t ordinal, uint32_t index)
{
    ledger_pass(ledger, (struct cursor){
                            .commit_lsn = lsn_make(commit), .ordinal = ordinal, .index = index});
}

START_TEST(passed_is_as_good_as_acknowledged)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    pass(ledger, 100, 1, 0);
    ck_partial(ledger, 100, 1);
    ck_submitted(ledger, 50, 100, 1);
    uint64_t a = record(ledger, 100, 2);
    pass(ledger, 100, 3, 2);
    ck_partial(ledger, 100, 1);
    ck_submitted(ledger, 50, 100, 3);
    uint64_t b = record(ledger, 100, 4);
    pass(ledger, 100, 5, 4);
    ack(ledger, b);
    ck_partial(ledger, 100, 1);
    ck_submitted(ledger, 50, 100, 5);
    ack(ledger, a);
    ck_partial(ledger, 100, 5);
    ck_assert_uint_eq(ledger_partial(ledger).index, 4);
    commit(ledger, 110);
    ck_published(ledger, 110);
    ck_partial(ledger, 0, 0);
    ck_submitted(ledger, 110, 0, 0);
    ledger_free(ledger);
}
END_TEST

/* What a rewind takes back was passed nevertheless, as far as nothing before it was in flight. */
START_TEST(passed_before_a_rewind)
{
    struct ledger *ledger = make(8, 1000, 50);
    begin(ledger, 100);
    pass(ledger, 100, 1, 0);
    (void)record(ledger, 100, 2);
    pass(ledger, 100, 3, 1);
    ledger_rewind(ledger);
    ck_partial(ledger, 100, 1);
    ck_submitted(ledger, 50, 100, 1);
    begin(ledger, 100);
    ck_submitted(ledger, 50, 100, 1);
    ledger_suspend(ledger);
    ck_assert(ledger_resume(ledger, lsn_make(100)));
    ack(ledger, record(ledger, 100, 2));
    ck_partial(ledger, 100, 2);
    ledger_free(ledger);
}
END_TEST

/* Whatever happened, acknowledging all of it leads to the place that was told before. */
START_TEST(submitted_comes_true)
{
    struct ledger *ledger = make(16, 100000, 50);
    uint64_t tags[16];
    unsigned seed = (unsigned)_i + 1;
    uint64_t at = 100;
    for (unsigned round = 0; round < 50; round++) {
        size_t count = 0;
        bool open = false;
        uint32_t ordinal = 0;
        for (unsigned step = 0; step < 20 && ledger_room(ledger); step++) {
            unsigned draw = (unsigned)rand_r(&seed) % 4;
            if (!open) {
                begin(ledger, at += 10);
                open = true;
                ordinal = 0;
            } else if (draw == 0) {
                commit(ledger, at += 10);
                open = false;
            } else {
                tags[count++] = record(ledger, at, ++ordinal);
            }
        }
        struct lsn lsn;
        struct cursor partial;
        ledger_submitted(ledger, &lsn, &partial);
        while (count > 0)
            ack(ledger, tags[--count]);
        ck_published(ledger, lsn.value);
        ck_partial(ledger, partial.commit_lsn.value, partial.ordinal);
        if (open)
            commit(ledger, at += 10);
    }
    ledger_free(ledger);
}
END_TEST

static void (*const broken_rules[])(struct ledger *ledger, uint64_t newer) = {
    begin_twice,
    begin_not_past_the_newest,
    begin_while_suspended,
    record_without_open,
    record_of_another_commit,
    record_without_room,
    acknowledge_twice,
    acknowledge_from_before_a_rewind,
    acknowledge_what_never_was,
    withdraw_an_older_one,
    withdraw_after_the_commit,
    commit_twice,
    commit_that_ends_before_it_begins,
    look_at_an_acknowledged_one,
    restore_while_open,
};

START_TEST(broken_rules_are_asserted)
{
    struct ledger *ledger = make(3, 1000, 50);
    begin(ledger, 100);
    (void)record(ledger, 100, 1);
    broken_rules[_i](ledger, record(ledger, 100, 2));
    exit(0);
}
END_TEST

static Suite *suite_of_ledger(void)
{
    Suite *suite = suite_create("ledger");
    TCase *tcase = tcase_create("ledger");
    tcase_add_test(tcase, starts_quiet_at_the_given_position);
    tcase_add_test(tcase, publishes_only_a_contiguous_finished_prefix);
    tcase_add_test(tcase, an_open_transaction_holds_the_position_even_when_all_is_acknowledged);
    tcase_add_test(tcase, an_empty_transaction_moves_the_prefix_or_the_newest_entry);
    tcase_add_test(tcase, idle_moves_only_when_quiet_and_never_back);
    tcase_add_test(tcase, the_acknowledged_flight_comes_back_as_it_went);
    tcase_add_test(tcase, room_ends_with_records_and_with_bytes);
    tcase_add_test(tcase, a_record_larger_than_the_limit_passes_alone);
    tcase_add_test(tcase, one_record_in_flight_is_enough);
    tcase_add_test(tcase, withdraw_leaves_no_trace);
    tcase_add_test(tcase, suspend_keeps_flights_and_resume_goes_on);
    tcase_add_test(tcase, suspend_without_an_open_transaction_is_harmless);
    tcase_add_test(tcase, rewind_forgets_flights_and_keeps_the_position);
    tcase_add_test(tcase, poison_freezes_for_good);
    tcase_add_test(tcase, partial_is_the_run_at_the_front);
    tcase_add_test(tcase, restart_waits_for_flights_and_for_nothing_else);
    tcase_add_test(tcase, restart_may_lie_behind);
    tcase_add_test(tcase, partial_outlives_a_rewind_and_never_falls);
    tcase_add_test(tcase, submitted_with_one_in_flight);
    tcase_add_test(tcase, submitted_is_what_will_be_published);
    tcase_add_test(tcase, passed_is_as_good_as_acknowledged);
    tcase_add_test(tcase, passed_before_a_rewind);
    tcase_add_loop_test(tcase, submitted_comes_true, 0, 20);
    tcase_add_loop_exit_test(tcase, broken_rules_are_asserted, 70, 0, (int)ARRAY_LEN(broken_rules));
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_ledger())
