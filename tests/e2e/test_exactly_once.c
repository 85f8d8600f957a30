/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.guarantee: exactly_once, as a consumer that reads committed records sees it, and as one
 * sees it that reads everything. Kills at random are in tests/kill; the sink alone is in
 * test_transactions.c. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "load.h"
#include "pair.h"

#define POSITIONS_MAX 4096
/* A transaction stays open until the test wants its end. */
#define LONG         ", commit_interval: 4m"
#define LONG_TIMEOUT ", transaction.timeout.ms: 900000"

struct scene {
    struct world *world;
    struct relay *relay;
    struct oracle *oracle;
    struct consumer *committed;
    struct consumer *everything;
    struct consumer *positions;
};

static void set_up(struct scene *scene, enum mode mode, const char *source, const char *delivery,
                   const char *kafka)
{
    struct world *world = scene->world;
    scene->relay = relay_new(world, mode_config(mode, source, delivery, kafka));
    relay_begin(scene->relay);
    scene->oracle = oracle_new(world, "outbox.event");
    scene->committed = consumer_new(world, world_topic(world, "order"), NULL);
    scene->everything = consumer_new_uncommitted(world, world_topic(world, "order"));
    scene->positions = consumer_new(world, world_topic(world, "checkpoints"), NULL);
}

static struct scene scene_on(const char *label, struct pg_server *pg, struct kafka_server *kafka,
                             const char *delivery)
{
    struct scene scene = {.world = world_new_on(label, pg, kafka)};
    set_up(&scene, MODE_ONCE, "", delivery, "");
    return scene;
}

static struct scene scene_new(const char *label, const char *delivery)
{
    return scene_on(label, shared_pg(), shared_kafka(), delivery);
}

static struct scene scene_long(const char *label, const char *source)
{
    struct scene scene = {.world = world_new(label)};
    set_up(&scene, MODE_ONCE, source, LONG, LONG_TIMEOUT);
    return scene;
}

static size_t committed(const struct scene *scene)
{
    return consumer_drain(scene->committed).count;
}

static size_t everything(const struct scene *scene)
{
    return consumer_drain(scene->everything).count;
}

static void scene_free(struct scene *scene)
{
    oracle_free(scene->oracle);
    consumer_free(scene->committed);
    consumer_free(scene->everything);
    consumer_free(scene->positions);
    relay_free(scene->relay);
    world_free(scene->world);
}

/* All that was committed in PostgreSQL is there once each and in order; ends the scene. */
static void scene_end(struct scene *scene)
{
    wait_rows_confirmed(scene->oracle);
    relay_wait_ready(scene->relay);
    relay_stop(scene->relay);
    struct records records = consumer_drain(scene->committed);
    oracle_compare(scene->oracle, records, EXACTLY_ONCE_EACH);
    expect_unique(records);
    scene_free(scene);
}

/* Those of this pipeline, oldest first. */
static size_t positions_of(const struct scene *scene, struct saved *ret_positions)
{
    const char *key = position_key(scene->world);
    struct records records = consumer_drain(scene->positions);
    size_t count = 0;
    for (size_t i = 0; i < records.count; i++) {
        if (records.items[i].key == NULL || strcmp(records.items[i].key, key) != 0)
            continue;
        REQUIRE(count < POSITIONS_MAX, "too many positions");
        ret_positions[count++] = parse_checkpoint(records.items[i].value);
    }
    return count;
}

static size_t count_positions(const struct scene *scene)
{
    static struct saved positions[POSITIONS_MAX];
    return positions_of(scene, positions);
}

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

/* ---- what consumers see -------------------------------------------------------------------- */

START_TEST(open_transaction_is_not_seen_and_a_killed_one_never)
{
    struct scene scene = scene_long("unseen", "");
    insert(scene.world, 20);
    for (size_t i = 1; i <= 3; i++) {
        /* Written, and not committed. */
        wait_until(everything(&scene) == i * 20, "nothing is written");
        ck_assert_uint_eq(committed(&scene), 0);
        ck_assert_uint_eq(count_positions(&scene), 0);
        relay_kill(scene.relay);
        relay_start(scene.relay, NULL);
    }
    wait_until(everything(&scene) == 80, "nothing is written");
    relay_stop(scene.relay);
    ck_assert_uint_eq(committed(&scene), 20);
    ck_assert_uint_eq(everything(&scene), 80);
    relay_start(scene.relay, NULL);
    scene_end(&scene);
}
END_TEST

START_TEST(transactions_of_the_database_are_grouped_by_time)
{
    static struct saved positions[POSITIONS_MAX];
    struct scene scene = scene_new("grouped", ", commit_interval: 2s");
    insert(scene.world, 1);
    consumer_expect(scene.committed, 1);
    for (int i = 0; i < 300; i++)
        insert(scene.world, 3);
    consumer_exactly(scene.committed, 901);
    size_t count = positions_of(&scene, positions);
    REQUIRE(count >= 2 && count < 100, "%zu transactions of Kafka for 301 of PostgreSQL", count);
    for (size_t i = 0; i < count; i++) {
        REQUIRE(positions[i].partial.lsn == 0, "a transaction of three rows was split");
        REQUIRE(positions[i].events % 3 == 1, "%llu events",
                (unsigned long long)positions[i].events);
    }
    ck_assert_uint_eq(positions[count - 1].events, 901);
    scene_end(&scene);
}
END_TEST

START_TEST(stop_commits_at_once)
{
    struct scene scene = scene_long("drain", "");
    insert(scene.world, 50);
    wait_until(everything(&scene) == 50, "nothing is written");
    ck_assert_uint_eq(committed(&scene), 0);
    relay_stop(scene.relay);
    ck_assert_uint_eq(committed(&scene), 50);
    ck_assert_uint_eq(everything(&scene), 50);
    relay_start(scene.relay, NULL);
    insert(scene.world, 1);
    wait_until(everything(&scene) == 51, "it does not go on");
    relay_stop(scene.relay);
    ck_assert_uint_eq(everything(&scene), 51);
    relay_start(scene.relay, NULL);
    scene_end(&scene);
}
END_TEST

/* ---- the position -------------------------------------------------------------------------- */

static void expect_line(const char *value, const char *line)
{
    REQUIRE(strstr(text("\n%s", value), text("\n%s\n", line)) != NULL, "no line \"%s\" in:\n%s",
            line, value);
}

START_TEST(position_says_whose_it_is_and_is_chained)
{
    static struct saved positions[POSITIONS_MAX];
    static const char *const names[] = {
        "lsn=",  "partial_commit_lsn=", "partial_index=", "chain=",
        "host=", "sequence=",           "saved_at=",      "crc32c="};
    struct scene scene = scene_new("position", ", commit_interval: 10ms");
    for (int i = 0; i < 5; i++) {
        insert(scene.world, 2);
        consumer_exactly(scene.committed, (size_t)(i + 1) * 2);
    }
    struct records records = consumer_drain(scene.positions);
    const struct kafka_record *record = &records.items[records.count - 1];
    ck_assert_int_eq(record->partition, 0);
    ck_assert_str_eq(record->key, position_key(scene.world));
    expect_line(record->value, text("pipeline=%s", scene.world->name));
    expect_line(record->value, text("slot=%s", scene.world->slot));
    expect_line(record->value,
                text("system_identifier=%s",
                     sql_value(scene.world, "SELECT system_identifier FROM pg_control_system()")));
    expect_line(record->value, "timeline=1");
    expect_line(record->value, "events=10");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        REQUIRE(strstr(record->value, text("\n%s", names[i])) != NULL, "no %s in:\n%s", names[i],
                record->value);
    char *sum = strstr(record->value, "crc32c=");
    ck_assert_str_eq(sum,
                     text("crc32c=%08x\n", crc32c(record->value, (size_t)(sum - record->value))));
    size_t count = positions_of(&scene, positions);
    REQUIRE(count >= 5, "%zu positions for 5 transactions", count);
    for (size_t i = 1; i < count; i++) {
        REQUIRE(positions[i].previous == positions[i - 1].lsn, "position %zu is not chained", i);
        REQUIRE(positions[i].sequence == positions[i - 1].sequence + 1, "a number is left out");
        REQUIRE(positions[i].chain != positions[i - 1].chain ||
                    positions[i].events == positions[i - 1].events,
                "the chain stands still");
    }
    scene_end(&scene);
}
END_TEST

START_TEST(idle_relay_makes_no_transactions)
{
    struct scene scene = scene_new("idle", "");
    insert(scene.world, 1);
    consumer_exactly(scene.committed, 1);
    wait_rows_confirmed(scene.oracle);
    size_t before = count_positions(&scene);
    sql(scene.world, "CREATE TABLE elsewhere (n int, fill text)");
    /* Other work, which the relay is told of. */
    for (int i = 0; i < 30; i++) {
        sql(scene.world, "INSERT INTO elsewhere VALUES (%d, 'x')", i);
        pause_ms(100);
    }
    ck_assert_uint_eq(count_positions(&scene), before);
    /* And much of it: then the slot must not fall behind. */
    const char *start = sql_value(scene.world, "SELECT pg_current_wal_insert_lsn()");
    sql(scene.world, "INSERT INTO elsewhere SELECT i, repeat('x', 500) FROM generate_series(1, "
                     "60000) AS i");
    wait_until(sql_number(scene.world,
                          "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s' AND "
                          "confirmed_flush_lsn > '%s'::pg_lsn + 16777216",
                          scene.world->slot, start) == 1,
               "the slot does not advance");
    size_t after = count_positions(&scene);
    REQUIRE(after > before && after <= before + 4, "%zu positions more", after - before);
    scene_end(&scene);
}
END_TEST

/* ---- large transactions -------------------------------------------------------------------- */

#define LIMIT 2000
#define LARGE 150000

START_TEST(large_transaction_is_split_and_resumed_at_its_place)
{
    static struct saved positions[POSITIONS_MAX];
    struct scene scene = scene_new("split", text(", max_in_flight_events: %d", LIMIT));
    insert(scene.world, LARGE);
    size_t seen = 0;
    for (size_t kill = 1; kill <= 3; kill++) {
        uint64_t give_up = now_ms() + DEADLINE_MS;
        while (committed(&scene) < seen + LIMIT)
            REQUIRE(now_ms() < give_up, "it stands at %zu events", seen);
        relay_kill(scene.relay);
        relay_start(scene.relay, NULL);
        relay_wait_ready(scene.relay);
        seen = committed(&scene);
    }
    REQUIRE(seen < LARGE, "the kills came too late");
    consumer_exactly(scene.committed, LARGE);
    size_t count = positions_of(&scene, positions);
    size_t partial = 0;
    for (size_t i = 0; i < count; i++)
        partial += positions[i].partial.lsn != 0 ? 1 : 0;
    REQUIRE(partial >= LARGE / LIMIT - 1, "%zu positions inside the transaction", partial);
    /* What was committed was not even sent again. */
    REQUIRE(everything(&scene) <= LARGE + 3 * LIMIT, "%zu records were sent for %d events",
            everything(&scene), LARGE);
    scene_end(&scene);
}
END_TEST

START_TEST(what_is_not_large_is_whole_though_much_is_waiting)
{
    enum { ROWS = LIMIT / 2 };
    struct scene scene = scene_new("whole", text(", max_in_flight_events: %d", LIMIT));
    relay_stop(scene.relay);
    static const int sizes[] = {1, 700, ROWS, 3, ROWS, ROWS, 999, 40, ROWS, 1, ROWS, 500};
    size_t total = 0;
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof sizes[0]; i++) {
        int size = sizes[i % (sizeof sizes / sizeof sizes[0])];
        insert(scene.world, size);
        total += (size_t)size;
    }
    relay_start(scene.relay, NULL);
    consumer_exactly(scene.committed, total);
    static struct saved positions[POSITIONS_MAX];
    size_t count = positions_of(&scene, positions);
    for (size_t i = 0; i < count; i++)
        REQUIRE(positions[i].partial.lsn == 0, "a transaction was split at event %u of it",
                positions[i].partial.index);
    scene_end(&scene);
}
END_TEST

START_TEST(database_away_in_the_middle_of_a_transaction)
{
    struct pg_server *pg = pg_start(NULL);
    /* What waits for the rest of a transaction is taken back after a third of this. */
    struct scene scene = scene_on("middle", pg, shared_kafka(),
                                  ", max_in_flight_events: 200000, max_in_flight_bytes: 256MiB");
    relay_stop(scene.relay);
    /* What waits for the rest of a transaction is taken back after a third of this. */
    relay_start(scene.relay, "--set", "sink.kafka.transaction.timeout.ms=6000", NULL);
    relay_wait_ready(scene.relay);
    insert(scene.world, 150000);
    relay_wait_counter(scene.relay, "received", 5000);
    relay_signal(scene.relay, SIGSTOP);
    pg_stop(pg, PG_KILL);
    relay_signal(scene.relay, SIGCONT);
    relay_wait_log(scene.relay, "a transaction is taken back");
    ck_assert_uint_eq(committed(&scene), 0);
    pg_resume(pg);
    world_reconnect(scene.world);
    consumer_exactly(scene.committed, 150000);
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* ---- two instances ------------------------------------------------------------------------- */

/* The first is stopped with a transaction open, as a machine that hangs, while the second takes
 * over; then it wakes. */
static struct relay *hang_and_take_over(struct scene *scene)
{
    struct relay *second = relay_new(scene->world, mode_config(MODE_ONCE, "", "", LONG_TIMEOUT));
    relay_start(second, NULL);
    relay_wait_log(second, "WF-3005");
    insert(scene->world, 30);
    wait_until(everything(scene) == 30, "nothing is written");
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
    struct scene scene = scene_long("zombie", "");
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
    wait_until(everything(&scene) == 90, "the first one does not take over again");
    relay_stop(scene.relay);
    consumer_exactly(scene.committed, 60);
    relay_start(scene.relay, NULL);
    scene_end(&scene);
}
END_TEST

START_TEST(zombie_that_may_not_wait_ends)
{
    struct scene scene = scene_long("fenced", ", standby: fail");
    struct relay *second = hang_and_take_over(&scene);
    int status = relay_wait(scene.relay);
    REQUIRE(status == 79 || status == 75, "status %d:\n%s", status, relay_errors(scene.relay));
    REQUIRE(strstr(relay_errors(scene.relay), status == 79 ? "WF-6008" : "WF-3005") != NULL,
            "it does not say why:\n%s", relay_errors(scene.relay));
    insert(scene.world, 10);
    consumer_exactly(scene.committed, 50);
    relay_free(scene.relay);
    scene.relay = second;
    scene_end(&scene);
}
END_TEST

/* The database does not see the second one, so that only Kafka can tell. */
START_TEST(fenced_without_a_word_from_the_database)
{
    struct scene scene = {.world = world_new("usurped")};
    set_up(&scene, MODE_ONCE, ", standby: fail", "", "");
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
    ck_assert_uint_eq(committed(&scene), 5);
    /* Started again it is the newest. */
    relay_start(scene.relay, NULL);
    scene_end(&scene);
}
END_TEST

/* ---- servers that go away ------------------------------------------------------------------ */

START_TEST(transaction_that_the_coordinator_ended_is_sent_again)
{
    struct kafka_server *kafka =
        kafka_start("transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n");
    struct scene scene = {.world = world_new_on("late", shared_pg(), kafka)};
    set_up(&scene, MODE_ONCE, "", ", commit_interval: 5s", ", transaction.timeout.ms: 15000");
    insert(scene.world, 30);
    wait_until(everything(&scene) == 30, "nothing is written");
    /* The whole machine stands still, the database's view of the relay too. */
    relay_signal(scene.relay, SIGSTOP);
    ck_assert_uint_eq(committed(&scene), 0);
    /* Ended by the coordinator: what comes behind it can be read. */
    const char *topic = world_topic(scene.world, "order");
    kafka_produce(kafka, topic, 0, "k", "{\"id\":\"marker\",\"sequence\":\"0-0\"}");
    kafka_produce(kafka, topic, 1, "k", "{\"id\":\"marker\",\"sequence\":\"0-0\"}");
    kafka_produce(kafka, topic, 2, "k", "{\"id\":\"marker\",\"sequence\":\"0-0\"}");
    wait_until(committed(&scene) == 3, "the transaction is not ended");
    relay_signal(scene.relay, SIGCONT);
    consumer_exactly(scene.committed, 33);
    insert(scene.world, 5);
    consumer_exactly(scene.committed, 38);
    REQUIRE(relay_running(scene.relay), "it ended:\n%s", relay_errors(scene.relay));
    relay_stop(scene.relay);
    ck_assert_uint_eq(committed(&scene), 38);
    scene_free(&scene);
    kafka_free(kafka);
}
END_TEST

START_TEST(broker_killed_in_transactions)
{
    struct kafka_server *kafka = kafka_start(NULL);
    struct scene scene = scene_on("broker", shared_pg(), kafka, ", commit_interval: 300ms");
    struct load *load = load_start(scene.world, 2);
    for (int i = 0; i < 3; i++) {
        consumer_expect(scene.committed, committed(&scene) + 300);
        kafka_kill(kafka);
        pause_ms(200);
        kafka_resume(kafka);
    }
    consumer_expect(scene.committed, committed(&scene) + 300);
    load_stop(load);
    REQUIRE(relay_running(scene.relay), "it ended:\n%s", relay_errors(scene.relay));
    scene_end(&scene);
    kafka_free(kafka);
}
END_TEST

/* ---- rows that cannot be published --------------------------------------------------------- */

static void insert_poison(struct world *world, const char *id)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, topic) "
        "VALUES ('%s', 'order', 'k1', 'order.placed', '1', 'no such/topic')",
        id);
}

START_TEST(dead_letter_is_in_the_transaction)
{
    static const char poison[] = "00000000-0000-4000-8000-000000000001";
    struct scene scene = scene_long("letter", "");
    const char *topic = text("%s.dead-letter", scene.world->name);
    struct consumer *letters = consumer_new(scene.world, topic, NULL);
    struct consumer *all_letters = consumer_new_uncommitted(scene.world, topic);
    sql(scene.world, "BEGIN");
    insert(scene.world, 10);
    insert_poison(scene.world, poison);
    insert(scene.world, 10);
    sql(scene.world, "COMMIT");
    for (size_t i = 1; i <= 2; i++) {
        wait_until(everything(&scene) == 20 * i, "nothing is written");
        wait_until(consumer_drain(all_letters).count == i, "no letter is written");
        ck_assert_uint_eq(committed(&scene), 0);
        ck_assert_uint_eq(consumer_drain(letters).count, 0);
        relay_kill(scene.relay);
        relay_start(scene.relay, NULL);
    }
    wait_until(everything(&scene) == 60, "nothing is written");
    relay_stop(scene.relay);
    ck_assert_uint_eq(committed(&scene), 20);
    struct records records = consumer_exactly(letters, 1);
    ck_assert_str_eq(record_header(&records.items[0], "walferry_event_id"), poison);
    /* The next start begins behind it. */
    relay_start(scene.relay, NULL);
    insert(scene.world, 1);
    wait_until(everything(&scene) == 61, "it does not go on");
    relay_stop(scene.relay);
    ck_assert_uint_eq(committed(&scene), 21);
    ck_assert_uint_eq(consumer_drain(letters).count, 1);
    consumer_free(letters);
    consumer_free(all_letters);
    scene_free(&scene);
}
END_TEST

/* The broker refuses a batch for one record of it; nothing of the rest comes twice or is lost. */
START_TEST(record_that_the_broker_refuses_is_found_out)
{
    struct scene scene = {.world = world_new("isolated")};
    const char *topic = world_topic(scene.world, "order");
    kafka_create_topic(scene.world->kafka, topic, 3, "max.message.bytes=3000");
    set_up(&scene, MODE_ONCE, "", ", commit_interval: 500ms", "");
    struct consumer *letters =
        consumer_new(scene.world, text("%s.dead-letter", scene.world->name), NULL);
    relay_stop(scene.relay);
    size_t good = 0;
    for (int i = 0; i < 6; i++) {
        insert(scene.world, 8);
        good += 8;
        if (i % 2 == 1)
            sql(scene.world,
                "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) "
                "SELECT 'order', 'k1', 'order.placed', json_build_object('fill', "
                "string_agg(md5(i::text), '')) FROM generate_series(1, 200) AS i");
    }
    relay_start(scene.relay, NULL);
    consumer_exactly(scene.committed, good);
    consumer_exactly(letters, 3);
    expect_unique(consumer_drain(scene.committed));
    wait_rows_confirmed(scene.oracle);
    relay_stop(scene.relay);
    ck_assert_uint_eq(committed(&scene), good);
    ck_assert_uint_eq(consumer_drain(letters).count, 3);
    consumer_free(letters);
    scene_free(&scene);
}
END_TEST

/* ---- from one guarantee to the other ------------------------------------------------------- */

START_TEST(guarantee_can_be_changed_after_a_stop)
{
    static const enum mode modes[] = {MODE_ONCE, MODE_KAFKA, MODE_ONCE, MODE_SLOT};
    struct scene scene = {.world = world_new("changed")};
    set_up(&scene, MODE_FILE, "", "", "");
    insert(scene.world, 10);
    consumer_exactly(scene.committed, 10);
    relay_stop(scene.relay);
    size_t count = 10;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        relay_rewrite(scene.relay, mode_config(modes[i], "", "", ""));
        insert(scene.world, 10);
        relay_start(scene.relay, NULL);
        relay_wait_ready(scene.relay);
        count += 10;
        consumer_exactly(scene.committed, count);
        relay_stop(scene.relay);
    }
    /* A store that was left is behind the slot by now, and that is seen. */
    relay_rewrite(scene.relay, mode_config(MODE_FILE, "", "", ""));
    relay_start(scene.relay, NULL);
    ck_assert_int_eq(relay_wait(scene.relay), 66);
    const char *said = relay_errors(scene.relay);
    REQUIRE(strstr(said, "WF-3004") != NULL, "no WF-3004 in:\n%s", said);
    relay_rewrite(scene.relay, mode_config(MODE_SLOT, "", "", ""));
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    scene_end(&scene);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, open_transaction_is_not_seen_and_a_killed_one_never);
    tcase_add_test(tests, transactions_of_the_database_are_grouped_by_time);
    tcase_add_test(tests, stop_commits_at_once);
    tcase_add_test(tests, position_says_whose_it_is_and_is_chained);
    tcase_add_test(tests, idle_relay_makes_no_transactions);
    tcase_add_test(tests, large_transaction_is_split_and_resumed_at_its_place);
    tcase_add_test(tests, what_is_not_large_is_whole_though_much_is_waiting);
    tcase_add_test(tests, database_away_in_the_middle_of_a_transaction);
    tcase_add_test(tests, zombie_publishes_nothing_and_stands_by);
    tcase_add_test(tests, zombie_that_may_not_wait_ends);
    tcase_add_test(tests, fenced_without_a_word_from_the_database);
    tcase_add_test(tests, transaction_that_the_coordinator_ended_is_sent_again);
    tcase_add_test(tests, broker_killed_in_transactions);
    tcase_add_test(tests, dead_letter_is_in_the_transaction);
    tcase_add_test(tests, record_that_the_broker_refuses_is_found_out);
    tcase_add_test(tests, guarantee_can_be_changed_after_a_stop);
}

static const struct e2e_suite exactly_once = {"exactly_once", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&exactly_once)
