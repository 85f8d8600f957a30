/* SPDX-License-Identifier: Apache-2.0 */
/* A second relay of the same pipeline, a second server of the same data, and slots that somebody
 * else has moved: who goes on, who waits, who is refused, and whether the remedies are true. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "load.h"
#include "pair.h"

#define EXCHANGES 4

static void expect_said(const struct relay *relay, int status, const char *code, const char *words)
{
    const char *said = relay_errors(relay);
    REQUIRE(relay->status == status, "status %d, not %d:\n%s", relay->status, status, said);
    REQUIRE(strstr(said, code) != NULL, "no %s in:\n%s", code, said);
    REQUIRE(strstr(said, words) != NULL, "no \"%s\" in:\n%s", words, said);
}

static void expect_refusal(const struct pair *pair, struct relay *relay, int status,
                           const char *code, const char *words)
{
    size_t before = consumer_drain(pair->consumer).count;
    relay_start(relay, NULL);
    relay_wait(relay);
    expect_said(relay, status, code, words);
    ck_assert_uint_eq(consumer_drain(pair->consumer).count, before);
}

/* The id of a row that is committed now. */
static char *insert_one(struct world *world)
{
    return sql_value(world, "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, "
                            "payload) VALUES ('order', 'k0', 'order.placed', '1') RETURNING id");
}

static void expect_event(const struct pair *pair, const char *id)
{
    wait_until(records_find(consumer_drain(pair->consumer), id) != NULL, "event %s does not come",
               id);
}

/* ---- one takes over from the other --------------------------------------------------------- */

static void exchange(const struct pair *pair, struct relay *active, struct relay *standby)
{
    relay_kill(active);
    uint64_t start = now_ms();
    relay_wait_counter(standby, "published", 1);
    printf("# %s: killed, and %llu ms later the other one publishes\n", mode_name(pair->mode),
           (unsigned long long)(now_ms() - start));
}

START_TEST(standby_takes_over_under_load)
{
    struct pair pair = pair_new((enum mode)_i, "", "");
    struct load *load = load_start(pair.world, 3);
    struct relay *active = pair.first;
    struct relay *standby = pair.second;
    for (int i = 0; i < EXCHANGES; i++) {
        relay_start(standby, NULL);
        relay_wait_log(standby, mode_waits(pair.mode));
        REQUIRE(relay_http(standby, "/readyz", NULL) == 503, "a standby says that it is ready");
        pair_expect_more(&pair, 200);
        exchange(&pair, active, standby);
        struct relay *swap = active;
        active = standby;
        standby = swap;
    }
    load_stop(load);
    pair_end(&pair);
}
END_TEST

/* Which of the two streams. */
static struct relay *active_of(struct pair *pair)
{
    uint64_t give_up = now_ms() + DEADLINE_MS;
    for (;;) {
        bool first = relay_http(pair->first, "/readyz", NULL) == 200;
        bool second = relay_http(pair->second, "/readyz", NULL) == 200;
        if (first != second)
            return first ? pair->first : pair->second;
        REQUIRE(now_ms() < give_up, "%s of the two streams", first ? "each" : "none");
        pause_ms(20);
    }
}

/* Whoever is faster has the slot. */
START_TEST(cut_off_from_the_database_one_of_two_goes_on)
{
    struct pair pair = pair_new((enum mode)_i, "", "");
    struct load *load = load_start(pair.world, 3);
    relay_start(pair.second, NULL);
    relay_wait_log(pair.second, mode_waits(pair.mode));
    for (int i = 0; i < EXCHANGES; i++) {
        pair_expect_more(&pair, 200);
        wait_until(sql_value(pair.world,
                             "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                             "WHERE slot_name = '%s' AND active_pid IS NOT NULL",
                             pair.world->slot) != NULL,
                   "nobody has the slot");
        pair_expect_more(&pair, 200);
        active_of(&pair);
    }
    REQUIRE(relay_running(pair.first), "the first one ended with %d", pair.first->status);
    REQUIRE(relay_running(pair.second), "the second one ended with %d", pair.second->status);
    load_stop(load);
    pair_end(&pair);
}
END_TEST

START_TEST(one_of_many_takes_over)
{
    struct pair pair = pair_new((enum mode)_i, "", "");
    struct relay *third = relay_new(pair.world, mode_config(pair.mode, "", "", ""));
    relay_start(pair.second, NULL);
    relay_start(third, NULL);
    relay_wait_log(pair.second, mode_waits(pair.mode));
    relay_wait_log(third, mode_waits(pair.mode));
    relay_kill(pair.first);
    expect_event(&pair, insert_one(pair.world));
    struct relay *other = third;
    wait_until(relay_http(pair.second, "/readyz", NULL) == 200 ||
                   relay_http(third, "/readyz", NULL) == 200,
               "nobody takes over");
    if (relay_http(third, "/readyz", NULL) == 200) {
        other = pair.second;
        relay_kill(third);
    } else {
        relay_kill(pair.second);
    }
    expect_event(&pair, insert_one(pair.world));
    relay_wait_ready(other);
    relay_stop(other);
    relay_free(third);
    /* Somebody has to confirm the last row. */
    relay_start(pair.first, NULL);
    relay_wait_ready(pair.first);
    pair_end(&pair);
}
END_TEST

START_TEST(standby_that_may_not_wait_disturbs_nobody)
{
    struct pair pair = pair_new((enum mode)_i, "", "");
    expect_event(&pair, insert_one(pair.world));
    relay_start(pair.second, "--set", "source.standby=fail", NULL);
    relay_wait(pair.second);
    expect_said(pair.second, 75, mode_waits(pair.mode), "hint");
    expect_event(&pair, insert_one(pair.world));
    REQUIRE(strstr(relay_errors(pair.first), "\"warn\"") == NULL,
            "the first one was disturbed:\n%s", relay_errors(pair.first));
    pair_end(&pair);
}
END_TEST

START_TEST(standby_ends_when_asked)
{
    struct pair pair = pair_new((enum mode)_i, "", "");
    relay_start(pair.second, NULL);
    relay_wait_log(pair.second, mode_waits(pair.mode));
    relay_stop(pair.second);
    expect_event(&pair, insert_one(pair.world));
    pair_end(&pair);
}
END_TEST

/* ---- copies of the server ------------------------------------------------------------------ */

/* As a snapshot of the disk has it: with the slot, and not told that it is a copy. */
static struct pg_server *clone_of(struct pair *pair)
{
    struct pg_server *original = pair->world->pg;
    pg_stop(original, PG_FAST);
    struct pg_server *clone = pg_copy(original, NULL);
    pg_resume(original);
    world_reconnect(pair->world);
    pg_resume(clone);
    return clone;
}

START_TEST(copy_of_the_server_is_refused)
{
    struct pg_server *pg = pg_start(NULL);
    struct pair pair = pair_new_on((enum mode)_i, pg, "", "");
    expect_event(&pair, insert_one(pair.world));
    struct pg_server *clone = clone_of(&pair);
    insert_orders(pair.world->db, 300, 10);
    wait_rows_confirmed(pair.oracle);
    /* The same pipeline, by mistake, at the copy, which has not come as far. */
    if (pair.mode == MODE_FILE)
        relay_stop(pair.first);
    relay_rewrite(pair.second, mode_config(pair.mode, "", "", ""));
    const char *there = text("source.conninfo=%s", pg_conninfo(clone, pair.world->name));
    size_t before = consumer_drain(pair.consumer).count;
    PGconn *db = pg_session(clone, pair.world->name);
    insert_orders(db, 1, 1);
    PQfinish(db);
    relay_start(pair.second, "--set", there, NULL);
    relay_wait(pair.second);
    expect_said(pair.second, 66, "WF-3012", "is a copy");
    ck_assert_uint_eq(consumer_drain(pair.consumer).count, before);
    if (pair.mode == MODE_FILE)
        relay_start(pair.first, NULL);
    /* The original goes on, whatever the other one did. */
    expect_event(&pair, insert_one(pair.world));
    pg_free(clone);
    pair_end(&pair);
    pg_free(pg);
}
END_TEST

/* Removes the position as the hint says. */
static void forget(const struct pair *pair, const char *key, const char *said)
{
    const char *name = pair->world->name;
    const char *topic = text("%s.checkpoints", name);
    const char *files =
        text("remove the files %s.checkpoint and %s.checkpoint.previous", name, name);
    const char *record =
        text("write a record with the key %s/SYSTEM_IDENTIFIER/%s", name, pair->world->slot);
    const char *where = text("no value to partition 0 of the topic %s", topic);
    if (pair->mode == MODE_FILE) {
        REQUIRE(strstr(said, files) != NULL, "no \"%s\" in:\n%s", files, said);
        REQUIRE(remove(checkpoint_path(pair->first)) == 0, "there is no checkpoint");
        remove(text("%s.previous", checkpoint_path(pair->first)));
    } else {
        REQUIRE(strstr(said, record) != NULL, "no \"%s\" in:\n%s", record, said);
        REQUIRE(strstr(said, where) != NULL, "no \"%s\" in:\n%s", where, said);
        kafka_produce(pair->world->kafka, topic, 0, key, NULL);
    }
    REQUIRE(strstr(said, "run walferry init -c FILE") != NULL, "no init in:\n%s", said);
    REQUIRE(relay_command(pair->first, "init", NULL) == 0, "%s", relay_errors(pair->first));
}

/* What is committed after the remedy comes; `gone` does not. */
static void expect_repaired(struct pair *pair, const char *gone)
{
    relay_start(pair->first, NULL);
    relay_wait_ready(pair->first);
    expect_event(pair, insert_one(pair->world));
    if (gone != NULL)
        REQUIRE(records_find(consumer_drain(pair->consumer), gone) == NULL,
                "a row was streamed that cannot be");
    relay_stop(pair->first);
}

static void pair_close(struct pair *pair)
{
    oracle_free(pair->oracle);
    consumer_free(pair->consumer);
    relay_free(pair->first);
    relay_free(pair->second);
    world_free(pair->world);
}

START_TEST(another_server_is_refused)
{
    struct pair pair = pair_new((enum mode)_i, "", "");
    expect_event(&pair, insert_one(pair.world));
    const char *key = position_key(pair.world);
    relay_stop(pair.first);
    oracle_free(pair.oracle);
    struct pg_server *pg = pg_start(NULL);
    PGconn *server = pg_session(pg, "postgres");
    PQclear(sql_on(server, text("CREATE DATABASE %s TEMPLATE template0", pair.world->name)));
    PQfinish(server);
    pair.world->pg = pg;
    world_reconnect(pair.world);
    snprintf(pair.world->conninfo, sizeof pair.world->conninfo, "%s",
             pg_conninfo(pg, pair.world->name));
    relay_rewrite(pair.first, mode_config(pair.mode, "", "", ""));
    pair.oracle = oracle_new(pair.world, "outbox.event");
    REQUIRE(relay_command(pair.first, "init", NULL) == 0, "%s", relay_errors(pair.first));
    expect_refusal(&pair, pair.first, 73, "WF-3009", "system identifier");
    forget(&pair, key, relay_errors(pair.first));
    expect_repaired(&pair, NULL);
    pair_close(&pair);
    pg_free(pg);
}
END_TEST

/* ---- slots that somebody moved ------------------------------------------------------------- */

static void drop_slot(struct world *world)
{
    sql(world, "SELECT pg_drop_replication_slot('%s')", world->slot);
}

/* Used and stopped; all is confirmed. */
static struct pair pair_used(enum mode mode)
{
    struct pair pair = pair_new(mode, "", "");
    expect_event(&pair, insert_one(pair.world));
    wait_rows_confirmed(pair.oracle);
    relay_stop(pair.first);
    return pair;
}

START_TEST(dropped_slot_is_a_gap)
{
    struct pair pair = pair_used((enum mode)_i);
    drop_slot(pair.world);
    const char *gone = insert_one(pair.world);
    expect_refusal(&pair, pair.first, 66, "WF-3002", "may be missing");
    forget(&pair, position_key(pair.world), relay_errors(pair.first));
    expect_repaired(&pair, gone);
    pair_close(&pair);
}
END_TEST

START_TEST(recreated_slot_is_a_gap)
{
    struct pair pair = pair_used((enum mode)_i);
    drop_slot(pair.world);
    const char *gone = insert_one(pair.world);
    sql(pair.world, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')",
        pair.world->slot);
    expect_refusal(&pair, pair.first, 66, "WF-3004", "somebody advanced or recreated it");
    forget(&pair, position_key(pair.world), relay_errors(pair.first));
    expect_repaired(&pair, gone);
    pair_close(&pair);
}
END_TEST

START_TEST(advanced_slot_is_a_gap)
{
    struct pair pair = pair_used((enum mode)_i);
    const char *gone = insert_one(pair.world);
    sql(pair.world, "SELECT pg_replication_slot_advance('%s', pg_current_wal_lsn())",
        pair.world->slot);
    expect_refusal(&pair, pair.first, 66, "WF-3004", "somebody advanced or recreated it");
    forget(&pair, position_key(pair.world), relay_errors(pair.first));
    expect_repaired(&pair, gone);
    pair_close(&pair);
}
END_TEST

static void add(TCase *tests)
{
    /* The store slot has nothing to compare the slot with. */
    static const int stores[] = {MODE_FILE, MODE_KAFKA, MODE_ONCE};
    tcase_add_loop_test(tests, standby_takes_over_under_load, 0, MODE_COUNT);
    tcase_add_loop_test(tests, cut_off_from_the_database_one_of_two_goes_on, 0, MODE_COUNT);
    tcase_add_loop_test(tests, one_of_many_takes_over, MODE_SLOT, MODE_COUNT);
    tcase_add_loop_test(tests, standby_that_may_not_wait_disturbs_nobody, MODE_SLOT, MODE_COUNT);
    tcase_add_loop_test(tests, standby_ends_when_asked, MODE_SLOT, MODE_COUNT);
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        int from = stores[i];
        tcase_add_loop_test(tests, copy_of_the_server_is_refused, from, from + 1);
        tcase_add_loop_test(tests, another_server_is_refused, from, from + 1);
        tcase_add_loop_test(tests, dropped_slot_is_a_gap, from, from + 1);
        tcase_add_loop_test(tests, recreated_slot_is_a_gap, from, from + 1);
        tcase_add_loop_test(tests, advanced_slot_is_a_gap, from, from + 1);
    }
}

static const struct e2e_suite standby = {"standby", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&standby)
