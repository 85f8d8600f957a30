/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../unit/scratch.h"

#define NUMBERS_MAX 256
#define SKIP        "delivery: {poison: skip}\n"
#define HALT        "delivery: {poison: halt}\n"

static unsigned numbers[NUMBERS_MAX];
static size_t count;

static void teardown(void)
{
    world_free();
}

static void await_numbers(size_t wanted)
{
    while (world_read(numbers, NUMBERS_MAX) < wanted) {
        ck_assert_msg(!world_ended(), "the relay ended by itself with %d", world_wait());
        world_pump();
    }
}

/* The relay takes signals from before its first session on. */
static void stop(void)
{
    while (world_sessions() < 1)
        world_pump();
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
}

/* The output is exactly `wanted`, 0 at its end. */
static void expect(const unsigned *wanted, int place)
{
    count = world_read(numbers, NUMBERS_MAX);
    size_t i = 0;
    for (; wanted[i] != 0; i++)
        ck_assert_msg(i < count && numbers[i] == wanted[i], "place %d: event %u stands at %zu/%zu",
                      place, i < count ? numbers[i] : 0, i, count);
    ck_assert_msg(count == i, "place %d: %zu events instead of %zu", place, count, i);
}

/* Transactions with everything that is no event between the events. */
static void mixed(void)
{
    world_transaction("eue");
    world_transaction("");
    world_transaction("h");
    world_transaction("ehpdkeKd");
    world_transaction("dhe");
    world_transaction("eee");
}

#define MIXED_MESSAGES 29
static const unsigned MIXED_EVENTS[] = {1, 2, 3, 6, 9, 10, 11, 12, 0};

/* Whether the relay's log has the text. */
static bool said(const char *text)
{
    char path[160], line[1024];
    bool found = false;
    snprintf(path, sizeof path, "%s/log", world_directory);
    FILE *file = fopen(path, "r");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, text) != NULL;
    if (file != NULL)
        ck_assert_int_eq(fclose(file), 0);
    return found;
}

/* ---- the connection breaks ---- */

START_TEST(lost_at_every_message)
{
    world_start(SKIP);
    mixed();
    ck_assert_uint_eq(world_messages(), MIXED_MESSAGES);
    world_cut_after((unsigned)_i);
    world_relay();
    while (world_sessions() < 1)
        world_pump();
    world_cut_after((unsigned)(_i * 7 % MIXED_MESSAGES + 1));
    while (world_sessions() < 2)
        world_pump();
    world_cut_after(0);
    await_numbers(8);
    stop();
    expect(MIXED_EVENTS, _i);
    ck_assert_uint_eq(walsender_status(world_server).flush.value, world_end().value);
}
END_TEST

/* ---- asked to stop ---- */

START_TEST(stopped_at_every_message)
{
    world_start(SKIP);
    mixed();
    world_pause_after((unsigned)_i);
    world_relay();
    while (!world_paused())
        world_pump();
    world_pause_after(0);
    world_signal(SIGTERM);
    world_resume();
    ck_assert_int_eq(world_wait(), 0);
    world_relay();
    await_numbers(8);
    stop();
    expect(MIXED_EVENTS, _i);
}
END_TEST

/* The transaction in hand is finished, on another connection if need be. */
START_TEST(stopped_while_the_server_is_away)
{
    world_start("");
    world_transaction("eeee");
    world_pause_after(4);
    world_transaction("e");
    world_relay();
    await_numbers(2);
    world_pause_after(0);
    walsender_refuse(world_server, "57P03", "the database system is starting up");
    unsigned connections = walsender_connections(world_server);
    world_cut();
    while (walsender_connections(world_server) < connections + 3)
        world_pump();
    world_signal(SIGTERM);
    connections = walsender_connections(world_server);
    while (walsender_connections(world_server) < connections + 2)
        world_pump();
    ck_assert(!world_ended());
    walsender_refuse(world_server, NULL, NULL);
    ck_assert_int_eq(world_wait(), 0);
    expect((const unsigned[]){1, 2, 3, 4, 0}, 0);
    world_relay();
    await_numbers(5);
    stop();
    expect((const unsigned[]){1, 2, 3, 4, 5, 0}, 0);
}
END_TEST

START_TEST(stopped_twice)
{
    world_start("");
    world_transaction("eeee");
    world_pause_after(4);
    world_relay();
    await_numbers(2);
    world_signal(SIGTERM);
    /* Two that are pending are one. */
    while (!said("draining"))
        world_pump();
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 75);
    world_pause_after(0);
    world_relay();
    await_numbers(4);
    stop();
    expect((const unsigned[]){1, 2, 3, 4, 0}, 0);
}
END_TEST

START_TEST(stopped_before_the_first_session)
{
    world_start("");
    walsender_refuse(world_server, "57P03", "the database system is starting up");
    world_relay();
    while (walsender_connections(world_server) < 2)
        world_pump();
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
    ck_assert_uint_eq(world_read(numbers, NUMBERS_MAX), 0);
}
END_TEST

START_TEST(stopped_as_a_standby)
{
    static const char *const SLOT[] = {
        "walferry_orders", "t",     "4712",     "t",  "f", "f", "pgoutput", "shop",
        "0/1000",          "0/800", "reserved", NULL, NULL};
    struct buf reply;
    world_start("");
    buf_init(&reply, 4096);
    reply_row(&reply, ARRAY_LEN(SLOT), SLOT);
    walsender_on(world_server, "pg_replication_slots", &reply);
    buf_deinit(&reply);
    world_relay();
    while (walsender_queries(world_server, "pg_publication_rel") < 2)
        world_pump();
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
}
END_TEST

/* ---- killed ---- */

/* What a crash leaves: whole lines that nobody acknowledged may come again, and the disk may hold
 * a part of one more. */
static void tear(size_t bytes)
{
    static const char LINE[] =
        "{\"topic\":\"events\",\"partition\":null,\"value\":\"{\\\"n\\\":999}\"}\n";
    FILE *file = fopen(world_output, "a");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_lt(bytes, sizeof LINE - 1);
    ck_assert_uint_eq(fwrite(LINE, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
}

/* In commit order; what comes twice is one run that goes back and never skips. */
static void expect_one_replay(int place)
{
    size_t next = 0, back = 0;
    count = world_read(numbers, NUMBERS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (MIXED_EVENTS[at] != 0 && MIXED_EVENTS[at] != numbers[i])
            at++;
        ck_assert_msg(MIXED_EVENTS[at] != 0, "place %d: a stranger, %u", place, numbers[i]);
        if (at < next)
            back++;
        ck_assert_msg(at <= next, "place %d: %u comes too early", place, numbers[i]);
        next = at + 1;
    }
    ck_assert_msg(next == 8, "place %d: only %zu events", place, next);
    ck_assert_msg(back <= 1, "place %d: %zu replays", place, back);
}

START_TEST(killed_at_every_message)
{
    world_start(_i % 2 == 0 ? SKIP : SKIP "checkpoint: {interval: 1ms}\n");
    mixed();
    world_pause_after((unsigned)_i);
    world_relay();
    while (!world_paused())
        world_pump();
    /* Some runs wait until the relay went on, some do not. */
    for (int i = 0; i < _i % 5 * 4; i++)
        world_pump();
    world_pause_after(0);
    world_signal(SIGKILL);
    ck_assert_int_eq(world_wait(), 1000 + SIGKILL);
    tear((size_t)(_i * 5) % 60);
    world_relay();
    while (world_read(numbers, NUMBERS_MAX) == 0 ||
           numbers[world_read(numbers, NUMBERS_MAX) - 1] != 12)
        world_pump();
    stop();
    expect_one_replay(_i);
}
END_TEST

/* ---- the checkpoint ---- */

/* An end that is no crash sends nothing again. */
START_TEST(fatal_end_is_saved)
{
    world_start("checkpoint: {interval: 10m}\n");
    world_transaction("e");
    world_transaction("ee");
    world_transaction("ex");
    world_pause_after(4);
    world_relay();
    while (walsender_status(world_server).flush.value == 0)
        world_pump();
    world_pause_after(0);
    world_resume();
    ck_assert_int_eq(world_wait(), 76);
    world_replace(2, "ee");
    world_relay();
    await_numbers(5);
    stop();
    expect((const unsigned[]){1, 2, 3, 4, 5, 0}, 0);
}
END_TEST

START_TEST(directory_taken_away)
{
    char directory[160];
    world_start("checkpoint: {interval: 10ms}\n");
    world_transaction("e");
    world_pause_after(4);
    world_transaction("e");
    world_relay();
    await_numbers(1);
    while (walsender_status(world_server).flush.value == 0)
        world_pump();
    struct lsn before = walsender_status(world_server).flush;
    snprintf(directory, sizeof directory, "%s/state", world_directory);
    ck_assert(scratch_remove(directory));
    world_resume();
    await_numbers(2);
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 71);
    ck_assert_uint_eq(walsender_status(world_server).flush.value, before.value);
}
END_TEST

static bool saved_in_part(void)
{
    char path[160], text[4096];
    snprintf(path, sizeof path, "%s/state/orders.checkpoint", world_directory);
    FILE *file = fopen(path, "r");
    size_t len = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL)
        ck_assert_int_eq(fclose(file), 0);
    text[len] = '\0';
    return strstr(text, "partial_ordinal=4\n") != NULL;
}

/* What the configuration takes for an event may change between two starts; the place inside a
 * transaction that was published in part may not. */
START_TEST(configured_anew_inside_a_transaction)
{
    world_start("checkpoint: {interval: 1ms}\n");
    world_transaction("mmmeeuueee");
    world_pause_after(6);
    world_capture(_i == 0 ? "[{outbox: outbox.event}, {messages: outbox}]"
                          : "[{outbox: outbox.event}]");
    world_relay();
    size_t before = _i == 0 ? 4 : 1;
    await_numbers(before);
    while (!saved_in_part())
        world_pump();
    world_signal(SIGKILL);
    ck_assert_int_eq(world_wait(), 1000 + SIGKILL);
    world_pause_after(0);
    world_capture(_i == 0 ? "[{outbox: outbox.event}]"
                          : "[{outbox: outbox.event}, {messages: outbox}]");
    world_relay();
    await_numbers(before + 4);
    stop();
    if (_i == 0)
        expect((const unsigned[]){1, 2, 3, 4, 5, 6, 7, 8, 0}, _i);
    else
        expect((const unsigned[]){4, 5, 6, 7, 8, 0}, _i);
}
END_TEST

/* ---- the server misbehaves ---- */

START_TEST(garbage_three_times)
{
    world_start("");
    world_transaction("ee");
    world_transaction("ex");
    world_relay();
    ck_assert_int_eq(world_wait(), 76);
    /* The first of them, with deliveries after it, does not count. */
    ck_assert_uint_ge(world_sessions(), 3);
    ck_assert_uint_le(world_sessions(), 4);
    expect((const unsigned[]){1, 2, 3, 0}, 0);
}
END_TEST

START_TEST(garbage_once)
{
    world_start("");
    world_transaction("exe");
    world_transaction("e");
    world_relay();
    while (world_sessions() < 1)
        world_pump();
    world_replace(0, "ee");
    await_numbers(3);
    stop();
    expect((const unsigned[]){1, 2, 3, 0}, 0);
}
END_TEST

/* The server repeats its question as soon as it is answered: it shuts down and waits for us. */
START_TEST(keepalive_storm)
{
    world_start("");
    world_transaction("eKKKKKKKKKKe");
    world_transaction("e");
    world_relay();
    while (world_sessions() < 1)
        world_pump();
    world_replace(0, "ee");
    await_numbers(3);
    stop();
    ck_assert_uint_eq(world_sessions(), 2);
    expect((const unsigned[]){1, 2, 3, 0}, 0);
}
END_TEST

START_TEST(keepalives_move_an_idle_slot)
{
    world_start("checkpoint: {interval: 10ms}\n");
    world_transaction("e");
    world_relay();
    await_numbers(1);
    world_keepalive(lsn_make(0x80000), true);
    while (walsender_status(world_server).flush.value != 0x80000) {
        world_keepalive(lsn_make(0x80000), false);
        world_pump();
    }
    stop();
}
END_TEST

/* ---- poison ---- */

static char poison_rows[8];

static void poisoned_at(int place)
{
    snprintf(poison_rows, sizeof poison_rows, "eeee");
    poison_rows[place] = 'p';
    world_transaction("e");
    world_transaction(poison_rows);
    world_transaction("e");
}

START_TEST(poison_skipped)
{
    unsigned wanted[8], n = 0;
    world_start(SKIP);
    poisoned_at(_i);
    world_relay();
    await_numbers(5);
    stop();
    for (unsigned i = 1; i <= 6; i++)
        if (i != (unsigned)_i + 2)
            wanted[n++] = i;
    wanted[n] = 0;
    expect(wanted, _i);
}
END_TEST

START_TEST(poison_to_dead_letters)
{
    world_start("");
    poisoned_at(_i);
    world_cut_after((unsigned)_i + 6);
    world_relay();
    while (world_sessions() < 1)
        world_pump();
    world_cut_after(0);
    await_numbers(6);
    stop();
    expect((const unsigned[]){1, 2, 3, 4, 5, 6, 0}, _i);
}
END_TEST

START_TEST(poison_halts)
{
    unsigned wanted[8], n = 0;
    world_start(HALT);
    poisoned_at(_i);
    world_relay();
    ck_assert_int_eq(world_wait(), 65);
    for (unsigned i = 1; i < (unsigned)_i + 2; i++)
        wanted[n++] = i;
    wanted[n] = 0;
    expect(wanted, _i);
    /* The row was mended at the source: the rest follows, nothing twice. */
    world_replace(1, "eeee");
    world_relay();
    await_numbers(6);
    stop();
    expect((const unsigned[]){1, 2, 3, 4, 5, 6, 0}, _i);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("relay");
    TCase *lost = tcase_create("lost");
    tcase_add_checked_fixture(lost, NULL, teardown);
    tcase_set_timeout(lost, 60);
    tcase_add_loop_test(lost, lost_at_every_message, 1, MIXED_MESSAGES);
    suite_add_tcase(suite, lost);
    TCase *stopped = tcase_create("stopped");
    tcase_add_checked_fixture(stopped, NULL, teardown);
    tcase_set_timeout(stopped, 60);
    tcase_add_loop_test(stopped, stopped_at_every_message, 1, MIXED_MESSAGES);
    tcase_add_test(stopped, stopped_while_the_server_is_away);
    tcase_add_test(stopped, stopped_twice);
    tcase_add_test(stopped, stopped_before_the_first_session);
    tcase_add_test(stopped, stopped_as_a_standby);
    tcase_add_loop_test(stopped, killed_at_every_message, 1, MIXED_MESSAGES);
    suite_add_tcase(suite, stopped);
    TCase *checkpoint = tcase_create("checkpoint");
    tcase_add_checked_fixture(checkpoint, NULL, teardown);
    tcase_set_timeout(checkpoint, 60);
    tcase_add_test(checkpoint, fatal_end_is_saved);
    tcase_add_test(checkpoint, directory_taken_away);
    tcase_add_loop_test(checkpoint, configured_anew_inside_a_transaction, 0, 2);
    suite_add_tcase(suite, checkpoint);
    TCase *server = tcase_create("server");
    tcase_add_checked_fixture(server, NULL, teardown);
    tcase_set_timeout(server, 60);
    tcase_add_test(server, garbage_three_times);
    tcase_add_test(server, garbage_once);
    tcase_add_test(server, keepalive_storm);
    tcase_add_test(server, keepalives_move_an_idle_slot);
    suite_add_tcase(suite, server);
    TCase *poison = tcase_create("poison");
    tcase_add_checked_fixture(poison, NULL, teardown);
    tcase_set_timeout(poison, 60);
    tcase_add_loop_test(poison, poison_skipped, 0, 4);
    tcase_add_loop_test(poison, poison_to_dead_letters, 0, 4);
    tcase_add_loop_test(poison, poison_halts, 0, 4);
    suite_add_tcase(suite, poison);
    return suite;
}

TEST_MAIN_SCRATCH(suite())
