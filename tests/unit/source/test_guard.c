/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/source/guard.h"

#include <stdio.h>

#include "../test.h"

static struct source_facts facts;
static struct checkpoint checkpoint;
static struct guard_input input;
static struct err err;
static struct lsn start;

/* A server, slot and checkpoint that fit one another; each test spoils one thing. */
static void setup(void)
{
    facts = (struct source_facts){
        .system_id = 7,
        .timeline = 3,
        .wal_end = lsn_make(1000),
        .database = "shop",
        .server_version = 150020,
        .wal_level = "logical",
        .slot = {.exists = true,
                 .logical = true,
                 .plugin = "pgoutput",
                 .database = "shop",
                 .confirmed_flush = lsn_make(400),
                 .restart_lsn = lsn_make(300),
                 .wal_status = WAL_RESERVED},
        .publication_exists = true,
        .publication_inserts = true,
    };
    checkpoint = (struct checkpoint){.pipeline = "orders",
                                     .slot = "walferry_orders",
                                     .system_id = 7,
                                     .timeline = 3,
                                     .lsn = lsn_make(500)};
    input = (struct guard_input){.facts = &facts,
                                 .checkpoint = &checkpoint,
                                 .pipeline = "orders",
                                 .slot = "walferry_orders",
                                 .publication = "pub_orders",
                                 .forget = "forget what was kept"};
    err = ERR_INIT;
    start = LSN_NONE;
}

static void expect(enum guard_verdict verdict, enum err_code code, int exit_status)
{
    enum guard_verdict got = guard_check(&input, &start, &err);
    ck_assert_msg(got == verdict, "verdict %d is not %d (%s)", (int)got, (int)verdict, err.message);
    ck_assert_msg(err.code == code, "%s is not %s", err_name(err.code), err_name(code));
    ck_assert(lsn_is_none(start));
    ck_assert_int_eq(err_exit_status(err.code), exit_status);
    ck_assert_msg(err.hint[0] != '\0', "no hint for %s", err_name(code));
    ck_assert_uint_lt(strlen(err.hint), sizeof err.hint - 1);
    if (exit_status == 66 && code != ERR_PUBLICATION_TABLES)
        ck_assert(strstr(err.hint, "forget what was kept and run walferry init") != NULL);
    ck_assert_uint_lt(strlen(err.message), sizeof err.message - 1);
}

static void refuse(enum err_code code, int exit_status)
{
    expect(GUARD_REFUSE, code, exit_status);
}

static void starts_at(uint64_t value)
{
    enum guard_verdict got = guard_check(&input, &start, &err);
    ck_assert_msg(got == GUARD_START, "refused: %s", err.message);
    ck_assert_uint_eq(start.value, value);
    ck_assert(!err_is_set(&err));
}

START_TEST(fits)
{
    starts_at(500);
}
END_TEST

START_TEST(old_server)
{
    facts.server_version = 139999;
    refuse(ERR_PG_VERSION, 78);
}
END_TEST

START_TEST(wal_level)
{
    snprintf(facts.wal_level, sizeof facts.wal_level, "replica");
    refuse(ERR_PG_WAL_LEVEL, 78);
    ck_assert(strstr(err.hint, "ALTER SYSTEM SET wal_level = logical") != NULL);
}
END_TEST

START_TEST(recovery_waits)
{
    facts.in_recovery = true;
    expect(GUARD_WAIT, ERR_PG_RECOVERY, 75);
}
END_TEST

START_TEST(other_pipeline)
{
    snprintf(checkpoint.pipeline, sizeof checkpoint.pipeline, "invoices");
    refuse(ERR_IDENTITY_CHECKPOINT, 73);
}
END_TEST

START_TEST(other_slot)
{
    snprintf(checkpoint.slot, sizeof checkpoint.slot, "walferry_invoices");
    refuse(ERR_IDENTITY_CHECKPOINT, 73);
}
END_TEST

START_TEST(other_system)
{
    checkpoint.system_id = 8;
    refuse(ERR_IDENTITY_SYSTEM, 73);
}
END_TEST

START_TEST(nothing_set_up)
{
    input.checkpoint = NULL;
    facts.slot = (struct slot_facts){0};
    facts.publication_exists = false;
    refuse(ERR_SLOT_MISSING, 78);
    ck_assert_str_eq(err.hint, "walferry init -c FILE");
}
END_TEST

START_TEST(slot_gone)
{
    facts.slot = (struct slot_facts){0};
    refuse(ERR_SLOT_GONE, 66);
    ck_assert(strstr(err.message, "0/1F4") != NULL);
    ck_assert(strstr(err.message, "0/3E8") != NULL);
}
END_TEST

START_TEST(slot_foreign)
{
    facts.slot.logical = false;
    refuse(ERR_SLOT_FOREIGN, 73);
    setup();
    snprintf(facts.slot.plugin, sizeof facts.slot.plugin, "test_decoding");
    refuse(ERR_SLOT_FOREIGN, 73);
    setup();
    snprintf(facts.slot.database, sizeof facts.slot.database, "other");
    refuse(ERR_SLOT_FOREIGN, 73);
    setup();
    facts.slot.two_phase = true;
    refuse(ERR_SLOT_FOREIGN, 73);
    setup();
    facts.slot.temporary = true;
    refuse(ERR_SLOT_FOREIGN, 73);
}
END_TEST

START_TEST(slot_active)
{
    facts.slot.active = true;
    facts.slot.active_pid = 4711;
    expect(GUARD_WAIT, ERR_SLOT_ACTIVE, 75);
    ck_assert(strstr(err.message, "4711") != NULL);
}
END_TEST

/* The holder is ahead of what we know; that is judged when it is gone. */
START_TEST(active_before_advanced)
{
    facts.slot.active = true;
    facts.slot.confirmed_flush = lsn_make(600);
    expect(GUARD_WAIT, ERR_SLOT_ACTIVE, 75);
}
END_TEST

START_TEST(slot_lost)
{
    facts.slot.wal_status = WAL_LOST;
    refuse(ERR_SLOT_LOST, 66);
    setup();
    snprintf(facts.slot.invalidation, sizeof facts.slot.invalidation, "idle_timeout");
    refuse(ERR_SLOT_LOST, 66);
    ck_assert(strstr(err.message, "idle_timeout") != NULL);
    setup();
    input.checkpoint = NULL;
    facts.slot.confirmed_flush = LSN_NONE;
    facts.slot.restart_lsn = LSN_NONE;
    refuse(ERR_SLOT_LOST, 66);
}
END_TEST

START_TEST(slot_in_danger_goes_on)
{
    facts.slot.wal_status = WAL_UNRESERVED;
    starts_at(500);
}
END_TEST

START_TEST(publication_missing)
{
    facts.publication_exists = false;
    refuse(ERR_PUBLICATION_MISSING, 66);
    setup();
    facts.publication_exists = false;
    input.checkpoint = NULL;
    refuse(ERR_PUBLICATION_ABSENT, 78);
    ck_assert(strstr(err.hint, "walferry init") != NULL);
}
END_TEST

START_TEST(publication_without_inserts)
{
    facts.publication_inserts = false;
    refuse(ERR_PUBLICATION_TABLES, 66);
    ck_assert(strstr(err.hint, "ALTER PUBLICATION \"pub_orders\"") != NULL);
}
END_TEST

START_TEST(publication_without_a_captured_table)
{
    snprintf(facts.gaps.table, sizeof facts.gaps.table, "outbox.event");
    refuse(ERR_PUBLICATION_TABLES, 66);
    ck_assert(strstr(err.hint, "ALTER PUBLICATION \"pub_orders\" ADD TABLE \"outbox\".\"event\"") !=
              NULL);
    ck_assert(strstr(err.where, "outbox.event") != NULL);
}
END_TEST

START_TEST(publication_without_a_column_that_is_read)
{
    snprintf(facts.gaps.column_table, sizeof facts.gaps.column_table, "outbox.event");
    snprintf(facts.gaps.column, sizeof facts.gaps.column, "aggregate_id");
    refuse(ERR_PUBLICATION_TABLES, 66);
    ck_assert(strstr(err.message, "column aggregate_id of the captured table outbox.event") !=
              NULL);
    ck_assert(strstr(err.hint, "ALTER PUBLICATION \"pub_orders\" ADD TABLE \"outbox\".\"event\"") !=
              NULL);
}
END_TEST

START_TEST(publication_with_a_row_filter)
{
    snprintf(facts.gaps.filtered, sizeof facts.gaps.filtered, "outbox.event");
    starts_at(500);
}
END_TEST

START_TEST(slot_ahead)
{
    facts.slot.confirmed_flush = lsn_make(501);
    refuse(ERR_SLOT_ADVANCED, 66);
    setup();
    facts.slot.confirmed_flush = lsn_make(500);
    starts_at(500);
}
END_TEST

/* The generation that was lost allowed the slot to stand there. */
START_TEST(slot_ahead_of_previous_generation)
{
    input.previous = true;
    facts.slot.confirmed_flush = lsn_make(700);
    starts_at(700);
    setup();
    input.previous = true;
    starts_at(500);
}
END_TEST

START_TEST(checkpoint_ahead)
{
    facts.wal_end = lsn_make(499);
    refuse(ERR_CHECKPOINT_AHEAD, 66);
    setup();
    facts.wal_end = lsn_make(500);
    starts_at(500);
}
END_TEST

START_TEST(submitted_ahead)
{
    input.submitted = lsn_make(1001);
    refuse(ERR_CHECKPOINT_AHEAD, 66);
    setup();
    input.checkpoint = NULL;
    input.submitted = lsn_make(1001);
    refuse(ERR_CHECKPOINT_AHEAD, 66);
    setup();
    input.submitted = lsn_make(999);
    starts_at(500);
    setup();
    /* A commit record that begins where the WAL ends is not in it. */
    input.submitted = lsn_make(1000);
    refuse(ERR_CHECKPOINT_AHEAD, 66);
}
END_TEST

START_TEST(older_timeline)
{
    facts.timeline = 2;
    refuse(ERR_TIMELINE_DIVERGED, 66);
}
END_TEST

START_TEST(newer_timeline_asks)
{
    facts.timeline = 5;
    ck_assert_int_eq((int)guard_check(&input, &start, &err), GUARD_ASK_FORK);
    /* What is known about another timeline does not count. */
    facts.fork_of = 2;
    facts.fork = lsn_make(900);
    ck_assert_int_eq((int)guard_check(&input, &start, &err), GUARD_ASK_FORK);
}
END_TEST

static void later_timeline(uint64_t fork)
{
    setup();
    facts.timeline = 5;
    facts.fork_of = 3;
    facts.fork = lsn_make(fork);
}

START_TEST(fork_after_all_that_was_published)
{
    later_timeline(500);
    starts_at(500);
    later_timeline(600);
    input.submitted = lsn_make(599);
    starts_at(500);
}
END_TEST

START_TEST(fork_before_the_checkpoint)
{
    later_timeline(499);
    refuse(ERR_TIMELINE_DIVERGED, 66);
}
END_TEST

START_TEST(fork_before_what_was_submitted)
{
    later_timeline(600);
    input.submitted = lsn_make(600);
    refuse(ERR_TIMELINE_DIVERGED, 66);
}
END_TEST

/* The process before died inside a transaction. */
START_TEST(partly_published_ahead)
{
    checkpoint.partial = (struct cursor){lsn_make(1000), 5, 5};
    refuse(ERR_CHECKPOINT_AHEAD, 66);
    checkpoint.partial.commit_lsn = lsn_make(600);
    facts.timeline = 4;
    facts.fork = lsn_make(600);
    facts.fork_of = 3;
    refuse(ERR_TIMELINE_DIVERGED, 66);
    facts.fork = lsn_make(601);
    err = ERR_INIT;
    starts_at(500);
}
END_TEST

START_TEST(fork_unknown_to_the_server)
{
    later_timeline(0);
    refuse(ERR_TIMELINE_DIVERGED, 66);
}
END_TEST

START_TEST(no_checkpoint_starts_at_the_slot)
{
    input.checkpoint = NULL;
    starts_at(400);
    facts.slot.confirmed_flush = LSN_NONE;
    starts_at(300);
}
END_TEST

START_TEST(temporary_slot)
{
    input.temporary = true;
    facts.slot.temporary = true;
    facts.slot.active = true;
    facts.slot.confirmed_flush = lsn_make(900);
    starts_at(900);
    input.checkpoint = NULL;
    starts_at(900);
    facts.publication_exists = false;
    start = LSN_NONE;
    refuse(ERR_PUBLICATION_ABSENT, 78);
}
END_TEST

/* Before a position is known: whether it is this relay's turn to ask for it. */
START_TEST(claims_when_the_slot_is_free)
{
    input.checkpoint = NULL;
    ck_assert_int_eq(guard_claim(&input, &err), GUARD_START);
    facts.slot.confirmed_flush = lsn_make(900);
    facts.publication_exists = false;
    ck_assert_int_eq(guard_claim(&input, &err), GUARD_START);
    facts.slot.active = true;
    ck_assert_int_eq(guard_claim(&input, &err), GUARD_WAIT);
    ck_assert_int_eq(err.code, ERR_SLOT_ACTIVE);
    facts.slot.two_phase = true;
    ck_assert_int_eq(guard_claim(&input, &err), GUARD_REFUSE);
    ck_assert_int_eq(err.code, ERR_SLOT_FOREIGN);
    facts.in_recovery = true;
    ck_assert_int_eq(guard_claim(&input, &err), GUARD_WAIT);
}
END_TEST

/* Whether something was lost with it depends on the position. */
START_TEST(claims_when_the_slot_is_gone)
{
    facts.slot = (struct slot_facts){.exists = false};
    input.checkpoint = NULL;
    ck_assert_int_eq(guard_claim(&input, &err), GUARD_START);
}
END_TEST

static Suite *guard_suite(void)
{
    const TTest *const tests[] = {fits,
                                  claims_when_the_slot_is_free,
                                  claims_when_the_slot_is_gone,
                                  old_server,
                                  wal_level,
                                  recovery_waits,
                                  other_pipeline,
                                  other_slot,
                                  other_system,
                                  nothing_set_up,
                                  slot_gone,
                                  slot_foreign,
                                  slot_active,
                                  active_before_advanced,
                                  slot_lost,
                                  slot_in_danger_goes_on,
                                  publication_missing,
                                  publication_without_inserts,
                                  publication_without_a_captured_table,
                                  publication_without_a_column_that_is_read,
                                  publication_with_a_row_filter,
                                  slot_ahead,
                                  slot_ahead_of_previous_generation,
                                  checkpoint_ahead,
                                  submitted_ahead,
                                  older_timeline,
                                  newer_timeline_asks,
                                  fork_after_all_that_was_published,
                                  fork_before_the_checkpoint,
                                  fork_before_what_was_submitted,
                                  partly_published_ahead,
                                  fork_unknown_to_the_server,
                                  no_checkpoint_starts_at_the_slot,
                                  temporary_slot};
    Suite *suite = suite_create("guard");
    TCase *tcase = tcase_create("guard");
    tcase_add_checked_fixture(tcase, setup, NULL);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(guard_suite())
