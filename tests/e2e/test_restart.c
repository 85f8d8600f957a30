/* SPDX-License-Identifier: Apache-2.0 */
/* What survives when the relay, PostgreSQL or Kafka stop, in order or not, under load. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "load.h"

/* Checkpoints are frequent, so that kills find them at many ages. */
#define CONFIG                                                                                     \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n"                                                                               \
    "source: {conninfo: \"@CONNINFO@\"}\n"                                                         \
    "capture: [{outbox: outbox.event}]\n"                                                          \
    "route: {topic: \"@NAME@.${aggregate_type}\"}\n"                                               \
    "delivery: {max_in_flight_events: 5000}\n"                                                     \
    "sink: {kafka: {bootstrap.servers: \"@KAFKA@\"}}\n"                                            \
    "checkpoint: {directory: \"@DIR@/state\", interval: 100ms}\n"                                  \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: info}\n"

/* wal_sender_timeout, which ends a server's wait for a relay, is 60 s. */
#define PROMPTLY_MS  25000
#define KILLS        12
#define TERMINATIONS 6

struct scene {
    struct world *world;
    struct relay *relay;
    struct oracle *oracle;
    struct consumer *consumer;
};

static struct scene scene_on(const char *label, struct pg_server *pg, struct kafka_server *kafka)
{
    struct scene scene = {.world = world_new_on(label, pg, kafka)};
    scene.relay = relay_new(scene.world, CONFIG);
    relay_begin(scene.relay);
    scene.oracle = oracle_new(scene.world, "outbox.event");
    scene.consumer = consumer_new(scene.world, world_topic(scene.world, "order"), NULL);
    return scene;
}

static struct scene scene_new(const char *label)
{
    return scene_on(label, shared_pg(), shared_kafka());
}

/* All that is committed has arrived; compare, and end. */
static void scene_end(struct scene *scene, int duplicates)
{
    wait_confirmed(scene->world);
    relay_stop(scene->relay);
    struct records records = consumer_drain(scene->consumer);
    oracle_compare(scene->oracle, records, duplicates);
    if (duplicates == EXACTLY_ONCE_EACH)
        expect_unique(records);
    REQUIRE(records.count > 100, "only %zu records: there was no load", records.count);
    oracle_free(scene->oracle);
    consumer_free(scene->consumer);
    relay_free(scene->relay);
    world_free(scene->world);
}

static void wait_for_more(const struct scene *scene, size_t count)
{
    consumer_expect(scene->consumer, consumer_drain(scene->consumer).count + count);
}

START_TEST(stop_under_load_loses_nothing_and_repeats_nothing)
{
    struct scene scene = scene_new("stop");
    struct load *load = load_start(scene.world, 4);
    PGconn *large = world_connect(scene.world);
    for (int round = 0; round < 4; round++) {
        wait_for_more(&scene, 200);
        /* Open while the relay stops, committed while it is away. */
        PQclear(sql_on(large, "BEGIN"));
        insert_orders(large, 4000, 30);
        if (round % 2 == 1) {
            /* Most likely in the middle of this one. */
            PQclear(sql_on(large, "COMMIT"));
            wait_for_more(&scene, 300);
        }
        relay_stop(scene.relay);
        if (round % 2 == 0)
            PQclear(sql_on(large, "COMMIT"));
        relay_start(scene.relay, NULL);
        relay_wait_ready(scene.relay);
    }
    PQfinish(large);
    load_stop(load);
    scene_end(&scene, EXACTLY_ONCE_EACH);
}
END_TEST

START_TEST(second_signal_ends_at_once)
{
    struct world *world = world_new("signals");
    struct relay *relay = relay_new(world, CONFIG);
    relay_begin(relay);
    relay_stop(relay);
    insert_orders(world->db, 1, 1);
    /* Nobody is there to take it, so that draining would take its full time. */
    const char *nobody = text("delivery.drain_timeout=1h");
    const char *broker = text("sink.kafka.bootstrap.servers=127.0.0.1:%u", free_port());
    relay_start(relay, "--set", nobody, "--set", broker, NULL);
    relay_wait_counter(relay, "received", 1);
    relay_signal(relay, SIGTERM);
    relay_wait_log(relay, "draining");
    relay_signal(relay, SIGTERM);
    ck_assert_int_eq(relay_wait(relay), 75);
    ck_assert_ptr_nonnull(strstr(relay_errors(relay), "WF-9004"));
    /* And nothing was lost by it. */
    struct consumer *consumer = consumer_new(world, world_topic(world, "order"), NULL);
    relay_start(relay, NULL);
    consumer_exactly(consumer, 1);
    relay_stop(relay);
    consumer_free(consumer);
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(killed_many_times_replays_from_the_checkpoint_only)
{
    struct scene scene = scene_new("killed");
    struct load *load = load_start(scene.world, 4);
    struct replay_check *check = replay_check_new();
    struct saved start = read_checkpoint(scene.relay);
    size_t again = 0;
    for (int i = 0; i < KILLS; i++) {
        struct saved before = read_checkpoint(scene.relay);
        wait_until(read_checkpoint(scene.relay).lsn > before.lsn, "the checkpoint stands still");
        pause_ms((i * 37) % 150);
        relay_kill(scene.relay);
        again += replay_check_segment(check, consumer_drain(scene.consumer), start);
        start = read_checkpoint(scene.relay);
        relay_start(scene.relay, NULL);
    }
    load_stop(load);
    wait_confirmed(scene.world);
    struct records records = consumer_drain(scene.consumer);
    again += replay_check_segment(check, records, start);
    REQUIRE(again > 0, "%d kills left no trace: they hit nothing", KILLS);
    scene_end(&scene, DUPLICATES_ALLOWED);
}
END_TEST

START_TEST(killed_inside_a_large_transaction_goes_on_inside)
{
    enum { ROWS = 200000 };
    struct world *world = world_new("inside");
    struct relay *relay = relay_new(world, CONFIG);
    relay_begin(relay);
    struct consumer *consumer = consumer_new(world, world_topic(world, "order"), NULL);
    struct replay_check *check = replay_check_new();
    struct saved start = read_checkpoint(relay);
    insert_orders(world->db, ROWS, 1000);
    size_t sent = 0;
    for (unsigned kill = 1; kill <= 3; kill++) {
        struct saved saved = read_checkpoint(relay);
        uint64_t give_up = now_ms() + DEADLINE_MS;
        while (saved.partial.index < kill * 20000) {
            REQUIRE(now_ms() < give_up, "no partial place in the checkpoint: index %u",
                    saved.partial.index);
            pause_ms(2);
            saved = read_checkpoint(relay);
        }
        relay_kill(relay);
        struct records records = consumer_drain(consumer);
        replay_check_segment(check, records, start);
        start = read_checkpoint(relay);
        REQUIRE(start.partial.index > 0, "the transaction was already through");
        REQUIRE(records.count < ROWS + sent, "all of it was sent");
        sent = records.count;
        relay_start(relay, NULL);
    }
    wait_confirmed(world);
    relay_stop(relay);
    struct records records = consumer_drain(consumer);
    replay_check_segment(check, records, start);
    char *there = calloc(ROWS, 1);
    for (size_t i = 0; i < records.count; i++)
        there[record_place(&records.items[i]).index] = 1;
    for (int i = 0; i < ROWS; i++)
        REQUIRE(there[i] == 1, "row %d is lost", i);
    free(there);
    consumer_free(consumer);
    relay_free(relay);
    world_free(world);
}
END_TEST

static char *walsender(struct world *world)
{
    return sql_value(world, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '%s'",
                     world->slot);
}

START_TEST(ended_connections_repeat_nothing)
{
    struct scene scene = scene_new("ended");
    struct load *load = load_start(scene.world, 4);
    for (int i = 0; i < TERMINATIONS; i++) {
        wait_for_more(&scene, 300);
        wait_until(walsender(scene.world) != NULL, "the slot is not taken again");
        sql(scene.world, "SELECT pg_terminate_backend(%s)", walsender(scene.world));
    }
    /* In the middle of a large one, which then comes again from its first row. */
    for (int i = 0; i < 3; i++) {
        insert_orders(scene.world->db, 20000, 30);
        wait_for_more(&scene, 3000);
        wait_until(walsender(scene.world) != NULL, "the slot is not taken again");
        sql(scene.world, "SELECT pg_terminate_backend(%s)", walsender(scene.world));
    }
    load_stop(load);
    REQUIRE(relay_metric(scene.relay, "walferry_reconnects_total{side=\"source\"}") >= TERMINATIONS,
            "the relay did not notice");
    scene_end(&scene, EXACTLY_ONCE_EACH);
}
END_TEST

START_TEST(server_restarts_repeat_nothing_and_are_not_held_up)
{
    struct pg_server *pg = pg_start(NULL);
    struct scene scene = scene_on("restarts", pg, shared_kafka());
    struct load *load = load_start(scene.world, 4);
    for (int i = 0; i < 4; i++) {
        bool crash = i % 2 == 1;
        wait_for_more(&scene, 500);
        uint64_t start = now_ms();
        pg_stop(pg, crash ? PG_KILL : PG_FAST);
        REQUIRE(now_ms() - start < PROMPTLY_MS, "the relay holds the server up");
        pg_resume(pg);
        world_reconnect(scene.world);
    }
    wait_for_more(&scene, 500);
    load_stop(load);
    scene_end(&scene, EXACTLY_ONCE_EACH);
    pg_free(pg);
}
END_TEST

START_TEST(server_stops_though_the_sink_is_away)
{
    struct pg_server *pg = pg_start(NULL);
    struct world *world = world_new_on("yields", pg, shared_kafka());
    struct relay *relay = relay_new(world, CONFIG);
    relay_begin(relay);
    relay_stop(relay);
    /* The relay has no room, so that it reads nothing, and nothing that it could confirm. */
    const char *broker = text("sink.kafka.bootstrap.servers=127.0.0.1:%u", free_port());
    relay_start(relay, "--set", broker, "--set", "delivery.max_in_flight_events=10", NULL);
    insert_orders(world->db, 50000, 10);
    relay_wait_counter(relay, "received", 1);
    uint64_t start = now_ms();
    pg_stop(pg, PG_FAST);
    REQUIRE(now_ms() - start < PROMPTLY_MS, "the relay holds the server up");
    pg_resume(pg);
    world_reconnect(world);
    wait_until(walsender(world) != NULL, "the relay does not come back");
    relay_kill(relay);
    struct consumer *consumer = consumer_new(world, world_topic(world, "order"), NULL);
    relay_start(relay, NULL);
    expect_unique(consumer_exactly(consumer, 50000));
    relay_stop(relay);
    consumer_free(consumer);
    relay_free(relay);
    world_free(world);
    pg_free(pg);
}
END_TEST

START_TEST(killed_broker_loses_nothing_and_keeps_the_order)
{
    struct kafka_server *kafka = kafka_start(NULL);
    struct scene scene = scene_on("broker", shared_pg(), kafka);
    /* It is not there when the relay starts. */
    relay_stop(scene.relay);
    kafka_kill(kafka);
    insert_orders(scene.world->db, 500, 20);
    relay_start(scene.relay, NULL);
    relay_wait_counter(scene.relay, "received", 1);
    kafka_resume(kafka);
    consumer_expect(scene.consumer, 500);
    struct load *load = load_start(scene.world, 4);
    wait_for_more(&scene, 1000);
    kafka_kill(kafka);
    pause_ms(500);
    kafka_resume(kafka);
    wait_for_more(&scene, 1000);
    load_stop(load);
    REQUIRE(relay_running(scene.relay), "the relay ended");
    scene_end(&scene, DUPLICATES_ALLOWED);
    kafka_free(kafka);
}
END_TEST

START_TEST(server_down_at_start_is_waited_for)
{
    struct pg_server *pg = pg_start(NULL);
    struct world *world = world_new_on("down", pg, shared_kafka());
    struct relay *relay = relay_new(world, CONFIG);
    relay_begin(relay);
    relay_stop(relay);
    insert_orders(world->db, 3, 3);
    pg_stop(pg, PG_FAST);
    relay_start(relay, NULL);
    relay_wait_log(relay, "PostgreSQL is away");
    REQUIRE(relay_running(relay), "it does not wait");
    pg_resume(pg);
    struct consumer *consumer = consumer_new(world, world_topic(world, "order"), NULL);
    consumer_exactly(consumer, 3);
    relay_wait_ready(relay);
    relay_stop(relay);
    consumer_free(consumer);
    relay_free(relay);
    world_reconnect(world);
    world_free(world);
    pg_free(pg);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, stop_under_load_loses_nothing_and_repeats_nothing);
    tcase_add_test(tests, second_signal_ends_at_once);
    tcase_add_test(tests, killed_many_times_replays_from_the_checkpoint_only);
    tcase_add_test(tests, killed_inside_a_large_transaction_goes_on_inside);
    tcase_add_test(tests, ended_connections_repeat_nothing);
    tcase_add_test(tests, server_restarts_repeat_nothing_and_are_not_held_up);
    tcase_add_test(tests, server_stops_though_the_sink_is_away);
    tcase_add_test(tests, killed_broker_loses_nothing_and_keeps_the_order);
    tcase_add_test(tests, server_down_at_start_is_waited_for);
}

static const struct e2e_suite restart = {"restart", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&restart)
