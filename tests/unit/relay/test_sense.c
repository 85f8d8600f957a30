/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/relay/sense.h"

#include "../test.h"
#include "walferry/base/clock.h"

#define NOW   (1000 * NS_PER_S)
#define LIMIT (60 * NS_PER_S)
#define LATE  (NOW - 5 * NS_PER_S)

static struct sense_facts facts;

/* Streaming, with nothing to do. */
static void setup(void)
{
    facts = (struct sense_facts){
        .now_ns = NOW, .save_ns = UINT64_MAX, .turn_ns = NOW + 1, .end_ns = UINT64_MAX};
}

static void expect(enum sense_fault fault)
{
    enum sense_fault found = sense_find(&facts);
    ck_assert_msg(found == fault, "\"%s\" is not \"%s\"", sense_text(found), sense_text(fault));
}

/* ---- what has its reason outside ---- */

START_TEST(idle)
{
    expect(SENSE_NONE);
}
END_TEST

START_TEST(kafka_is_away_or_slow)
{
    facts.in_flight = 100000;
    facts.pending = 100000;
    facts.offered = true;
    facts.in_its_way = true;
    expect(SENSE_NONE);
}
END_TEST

START_TEST(one_record_is_enough_to_wait_for)
{
    facts.in_flight = 2;
    facts.pending = 1;
    expect(SENSE_NONE);
}
END_TEST

START_TEST(a_disk_is_full)
{
    facts.save_ns = LATE;
    facts.save_fails = true;
    expect(SENSE_NONE);
}
END_TEST

START_TEST(a_transaction_is_being_committed)
{
    facts.in_flight = 7;
    facts.reported_late = true;
    expect(SENSE_NONE);
}
END_TEST

START_TEST(what_is_due_in_this_turn_is_in_time)
{
    facts.save_ns = NOW;
    facts.turn_ns = NOW;
    facts.end_ns = NOW;
    expect(SENSE_NONE);
    facts.save_ns = facts.turn_ns = facts.end_ns = LATE + 1;
    expect(SENSE_NONE);
}
END_TEST

/* ---- what has none ---- */

START_TEST(a_report_that_never_comes)
{
    facts.in_flight = 1;
    expect(SENSE_REPORT_LOST);
}
END_TEST

START_TEST(a_record_that_nobody_offers)
{
    facts.offered = true;
    expect(SENSE_NOT_OFFERED);
}
END_TEST

START_TEST(a_position_that_nobody_saves)
{
    facts.save_ns = LATE;
    expect(SENSE_NOT_SAVED);
}
END_TEST

START_TEST(a_session_that_nobody_turns)
{
    facts.turn_ns = LATE;
    expect(SENSE_NOT_TURNED);
    facts.turn_ns = 0;
    expect(SENSE_NOT_TURNED);
}
END_TEST

START_TEST(a_drain_without_end)
{
    facts.end_ns = LATE;
    expect(SENSE_NOT_ENDED);
}
END_TEST

/* ---- how long ---- */

START_TEST(a_fault_may_pass)
{
    struct sense sense = {0};
    ck_assert(sense_holds(&sense, SENSE_NOT_SAVED, NOW, LIMIT));
    ck_assert(sense_holds(&sense, SENSE_NOT_SAVED, NOW + LIMIT - 1, LIMIT));
    ck_assert(sense_holds(&sense, SENSE_NONE, NOW + LIMIT, LIMIT));
    ck_assert(sense_holds(&sense, SENSE_NOT_SAVED, NOW + LIMIT, LIMIT));
    ck_assert(sense_holds(&sense, SENSE_NOT_SAVED, NOW + 2 * LIMIT - 1, LIMIT));
    ck_assert(!sense_holds(&sense, SENSE_NOT_SAVED, NOW + 2 * LIMIT, LIMIT));
}
END_TEST

START_TEST(another_fault_begins_anew)
{
    struct sense sense = {0};
    ck_assert(sense_holds(&sense, SENSE_NOT_SAVED, NOW, LIMIT));
    ck_assert(sense_holds(&sense, SENSE_NOT_TURNED, NOW + LIMIT, LIMIT));
    ck_assert(!sense_holds(&sense, SENSE_NOT_TURNED, NOW + 2 * LIMIT, LIMIT));
}
END_TEST

START_TEST(no_fault_is_ever_too_long)
{
    struct sense sense = {0};
    ck_assert(sense_holds(&sense, SENSE_NONE, NOW, LIMIT));
    ck_assert(sense_holds(&sense, SENSE_NONE, NOW + 1000 * LIMIT, LIMIT));
}
END_TEST

static Suite *suite_of_sense(void)
{
    const TTest *const tests[] = {idle,
                                  kafka_is_away_or_slow,
                                  one_record_is_enough_to_wait_for,
                                  a_disk_is_full,
                                  a_transaction_is_being_committed,
                                  what_is_due_in_this_turn_is_in_time,
                                  a_report_that_never_comes,
                                  a_record_that_nobody_offers,
                                  a_position_that_nobody_saves,
                                  a_session_that_nobody_turns,
                                  a_drain_without_end,
                                  a_fault_may_pass,
                                  another_fault_begins_anew,
                                  no_fault_is_ever_too_long};
    Suite *suite = suite_create("sense");
    TCase *tcase = tcase_create("sense");
    tcase_add_checked_fixture(tcase, setup, NULL);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_sense())
