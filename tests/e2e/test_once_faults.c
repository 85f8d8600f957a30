/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.guarantee: exactly_once, when another relay takes over, and when PostgreSQL, the broker
 * or the coordinator goes away in the middle of a transaction. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "once.h"

static void insert(struct world *world, int count)
{
    insert_orders(world->db, count, 7);
}

/* The server process that feeds the relay. */
static pid_t walsender(struct world *world)
{
    const char *pid = NULL;
    wait_until((pid = sql_value(world,
                                "SELECT active_pid FROM pg_replication_slots WHERE "
                                "slot_name = '%s'",
                                world->slot)) != NULL,
               "the slot is not taken");
    return (pid_t)strtol(pid, NULL, 10);
}
START_TEST(database_away_in_the_middle_of_a_transaction)
{
    enum { ROWS = 100000 };
    struct pg_server *pg = pg_start(NULL);
    struct once scene = once_on("middle", pg, shared_kafka(),
                                ", max_in_flight_events: 200000, max_in_flight_bytes: 256MiB");
    relay_stop(scene.relay);
    /* What waits for the rest of a transaction is taken back after a third of this. */
    relay_start(scene.relay, "--set", "sink.kafka.transaction.timeout.ms=6000", NULL);
    relay_wait_ready(scene.relay);
    insert(scene.world, ROWS);
    relay_wait_counter(scene.relay, "received", 5000);
    relay_signal(scene.relay, SIGSTOP);
    pg_stop(pg, PG_KILL);
    relay_signal(scene.relay, SIGCONT);
    relay_wait_log(scene.relay, "a transaction is taken back");
    ck_assert_uint_eq(once_committed(&scene), 0);
    pg_resume(pg);
    world_reconnect(scene.world);
    consumer_exactly(scene.committed, ROWS);
    once_end(&scene);
    pg_free(pg);
}
END_TEST

/* ---- two instances ------------------------------------------------------------------------- */

/* The first is stopped with a transaction open, as a machine that hangs, while the second takes
 * over; then it wakes. */
static struct relay *hang_and_take_over(struct once *scene)
{
    struct relay *second = relay_new(scene->world, mode_config(MODE_ONCE, "", "", LONG_TIMEOUT));
    relay_start(second, NULL);
    relay_wait_log(second, "WF-3005");
    insert(scene->world, 30);
    wait_until(once_everything(scene) == 30, "nothing is written");
    relay_signal(scene->relay, SIGSTOP);
    insert(scene->world, 10);
    sql(scene->world, "SELECT pg_terminate_backend(%d)", (int)walsender(scene->world));
    consumer_exactly(scene->committed, 40);
    relay_wait_ready(second);
    relay_signal(scene->relay, SIGCONT);
    return second;
}

START_TEST(zombie_publishes_nothing_and_stands_by)
{
    struct once scene = once_long("zombie", "");
    struct relay *second = hang_and_take_over(&scene);
    wait_until(strcmp(json_string_value(json_object_get(relay_status(scene.relay), "state")),
                      "standby") == 0,
               "the first one does not stand by:\n%s", relay_errors(scene.relay));
    insert(scene.world, 10);
    consumer_exactly(scene.committed, 50);
    REQUIRE(relay_running(second), "the second one was fenced:\n%s", relay_errors(second));
    /* And it is a good standby. */
    relay_kill(second);
    relay_free(second);
    insert(scene.world, 10);
    wait_until(once_everything(&scene) == 90, "the first one does not take over again");
    relay_stop(scene.relay);
    consumer_exactly(scene.committed, 60);
    relay_start(scene.relay, NULL);
    once_end(&scene);
}
END_TEST

START_TEST(zombie_that_may_not_wait_ends)
{
    struct once scene = once_long("fenced", ", standby: fail");
    struct relay *second = hang_and_take_over(&scene);
    int status = relay_wait(scene.relay);
    REQUIRE(status == 79 || status == 75, "status %d:\n%s", status, relay_errors(scene.relay));
    REQUIRE(strstr(relay_errors(scene.relay), status == 79 ? "WF-6008" : "WF-3005") != NULL,
            "it does not say why:\n%s", relay_errors(scene.relay));
    insert(scene.world, 10);
    consumer_exactly(scene.committed, 50);
    relay_free(scene.relay);
    scene.relay = second;
    once_end(&scene);
}
END_TEST

/* The database does not see the second one, so that only Kafka can tell. */
START_TEST(fenced_without_a_word_from_the_database)
{
    struct once scene = {.world = world_new("usurped")};
    once_set_up(&scene, MODE_ONCE, ", standby: fail", "", "");
    insert(scene.world, 5);
    consumer_exactly(scene.committed, 5);
    wait_rows_confirmed(scene.oracle);
    kafka_fence(scene.world->kafka,
                text("walferry-%s-%s-%s", scene.world->name,
                     sql_value(scene.world, "SELECT system_identifier FROM pg_control_system()"),
                     scene.world->slot));
    insert(scene.world, 5);
    ck_assert_int_eq(relay_wait(scene.relay), 79);
    const char *said = relay_errors(scene.relay);
    REQUIRE(strstr(said, "WF-6008") != NULL, "no WF-6008 in:\n%s", said);
    ck_assert_uint_eq(once_committed(&scene), 5);
    /* Started again it is the newest. */
    relay_start(scene.relay, NULL);
    once_end(&scene);
}
END_TEST

/* ---- servers that go away ------------------------------------------------------------------ */

START_TEST(transaction_that_the_coordinator_ended_is_sent_again)
{
    struct kafka_server *kafka =
        kafka_start("transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n");
    struct once scene = {.world = world_new_on("late", shared_pg(), kafka)};
    once_set_up(&scene, MODE_ONCE, "", ", commit_interval: 5s", ", transaction.timeout.ms: 15000");
    insert(scene.world, 30);
    wait_until(once_everything(&scene) == 30, "nothing is written");
    /* The whole machine stands still, the database's view of the relay too. */
    relay_signal(scene.relay, SIGSTOP);
    ck_assert_uint_eq(once_committed(&scene), 0);
    /* Ended by the coordinator: what comes behind it can be read. */
    const char *topic = world_topic(scene.world, "order");
    kafka_produce(kafka, topic, 0, "k", "{\"id\":\"marker\",\"sequence\":\"0-0\"}");
    kafka_produce(kafka, topic, 1, "k", "{\"id\":\"marker\",\"sequence\":\"0-0\"}");
    kafka_produce(kafka, topic, 2, "k", "{\"id\":\"marker\",\"sequence\":\"0-0\"}");
    wait_until(once_committed(&scene) == 3, "the transaction is not ended");
    relay_signal(scene.relay, SIGCONT);
    consumer_exactly(scene.committed, 33);
    insert(scene.world, 5);
    consumer_exactly(scene.committed, 38);
    REQUIRE(relay_running(scene.relay), "it ended:\n%s", relay_errors(scene.relay));
    relay_stop(scene.relay);
    ck_assert_uint_eq(once_committed(&scene), 38);
    once_free(&scene);
    kafka_free(kafka);
}
END_TEST

START_TEST(broker_killed_in_transactions)
{
    struct kafka_server *kafka = kafka_start(NULL);
    struct once scene = {.world = world_new_on("broker", shared_pg(), kafka)};
    /* What was open when it was killed is given up soon. */
    once_set_up(&scene, MODE_ONCE, "", ", commit_interval: 300ms",
                ", transaction.timeout.ms: 15000");
    struct load *load = load_start(scene.world, 2);
    consumer_expect(scene.committed, 300);
    kafka_kill(kafka);
    kafka_resume(kafka);
    consumer_expect(scene.committed, once_committed(&scene) + 300);
    load_stop(load);
    REQUIRE(relay_running(scene.relay), "it ended:\n%s", relay_errors(scene.relay));
    once_end(&scene);
    kafka_free(kafka);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, database_away_in_the_middle_of_a_transaction);
    tcase_add_test(tests, zombie_publishes_nothing_and_stands_by);
    tcase_add_test(tests, zombie_that_may_not_wait_ends);
    tcase_add_test(tests, fenced_without_a_word_from_the_database);
    tcase_add_test(tests, transaction_that_the_coordinator_ended_is_sent_again);
    tcase_add_test(tests, broker_killed_in_transactions);
}

static const struct e2e_suite once_faults = {"once_faults", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&once_faults)
