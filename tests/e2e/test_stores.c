/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.store kafka and slot, under at_least_once: where a start goes on, and what it does
 * when the position is not what it left there. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "load.h"
#include "pair.h"

struct scene {
    struct world *world;
    struct relay *relay;
    struct oracle *oracle;
    struct consumer *consumer;
    struct consumer *positions;
};

/* `delivery` and `kafka`: of mode_config(). */
static struct scene scene_with(enum mode mode, const char *label, struct pg_server *pg,
                               const char *delivery, const char *kafka)
{
    struct scene scene = {.world = world_new_on(label, pg, shared_kafka())};
    scene.relay = relay_new(scene.world, mode_config(mode, "", delivery, kafka));
    relay_begin(scene.relay);
    scene.oracle = oracle_new(scene.world, "outbox.event");
    scene.consumer = consumer_new(scene.world, world_topic(scene.world, "order"), NULL);
    scene.positions = consumer_new(scene.world, world_topic(scene.world, "checkpoints"), NULL);
    return scene;
}

static struct scene scene_on(enum mode mode, const char *label, struct pg_server *pg)
{
    return scene_with(mode, label, pg, "", "");
}

static struct scene scene_new(enum mode mode, const char *label)
{
    return scene_on(mode, label, shared_pg());
}

static size_t published(const struct scene *scene)
{
    return consumer_drain(scene->consumer).count;
}

static void scene_free(struct scene *scene)
{
    oracle_free(scene->oracle);
    consumer_free(scene->consumer);
    consumer_free(scene->positions);
    relay_free(scene->relay);
    world_free(scene->world);
}

static void scene_end(struct scene *scene, int duplicates)
{
    wait_rows_confirmed(scene->oracle);
    relay_stop(scene->relay);
    oracle_compare(scene->oracle, consumer_drain(scene->consumer), duplicates);
    scene_free(scene);
}

static void insert(struct world *world, int count)
{
    insert_orders(world->db, count, 7);
}

/* The newest position; sequence 0: none. */
static struct saved position(const struct scene *scene)
{
    struct records records = consumer_drain(scene->positions);
    const struct kafka_record *last = records.count == 0 ? NULL : &records.items[records.count - 1];
    return parse_checkpoint(last == NULL || last->value == NULL ? "" : last->value);
}

static uint64_t confirmed(const struct scene *scene)
{
    return parse_lsn(sql_value(scene->world,
                               "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE "
                               "slot_name = '%s'",
                               scene->world->slot));
}

static void expect_end(struct relay *relay, int status, const char *code)
{
    ck_assert_int_eq(relay_wait(relay), status);
    const char *said = relay_errors(relay);
    REQUIRE(strstr(said, code) != NULL, "no %s in:\n%s", code, said);
}

/* ---- where a start goes on ----------------------------------------------------------------- */

START_TEST(stop_and_start_repeat_nothing)
{
    struct scene scene = scene_new((enum mode)_i, "again");
    const char *directory = text("%s/state", scene.world->dir);
    for (size_t i = 1; i <= 4; i++) {
        insert(scene.world, 100);
        relay_stop(scene.relay);
        insert(scene.world, 100);
        relay_start(scene.relay, "--set", text("checkpoint.directory=%s", directory), NULL);
        consumer_exactly(scene.consumer, 200 * i);
        relay_wait_ready(scene.relay);
    }
    REQUIRE(access(directory, F_OK) != 0, "the store keeps files");
    scene_end(&scene, EXACTLY_ONCE_EACH);
}
END_TEST

/* The server forgets what was confirmed when it crashes, and the position knows better. */
START_TEST(after_a_crash_of_the_server_the_position_counts)
{
    struct pg_server *pg = pg_start(NULL);
    struct scene scene = scene_on(MODE_KAFKA, "forgets", pg);
    bool forgot = false;
    /* Now and then it saves the slot by itself. */
    for (size_t i = 1; i <= 10 && !forgot; i++) {
        sql(scene.world, "CHECKPOINT");
        insert(scene.world, 500);
        consumer_exactly(scene.consumer, 500 * i);
        wait_rows_confirmed(scene.oracle);
        uint64_t before = confirmed(&scene);
        relay_stop(scene.relay);
        pg_stop(pg, PG_KILL);
        pg_resume(pg);
        world_reconnect(scene.world);
        forgot = confirmed(&scene) < before;
        relay_start(scene.relay, NULL);
        relay_wait_ready(scene.relay);
    }
    REQUIRE(forgot, "the server forgets nothing");
    scene_end(&scene, EXACTLY_ONCE_EACH);
    pg_free(pg);
}
END_TEST

START_TEST(after_a_crash_of_the_server_the_slot_sends_again)
{
    struct pg_server *pg = pg_start(NULL);
    struct scene scene = scene_on(MODE_SLOT, "resends", pg);
    sql(scene.world, "CHECKPOINT");
    insert(scene.world, 500);
    consumer_exactly(scene.consumer, 500);
    wait_rows_confirmed(scene.oracle);
    /* A relay that lives knows what it sent. */
    pg_stop(pg, PG_KILL);
    pg_resume(pg);
    world_reconnect(scene.world);
    insert(scene.world, 500);
    consumer_exactly(scene.consumer, 1000);
    wait_rows_confirmed(scene.oracle);
    /* One that is started anew has only the slot. */
    relay_kill(scene.relay);
    pg_stop(pg, PG_KILL);
    pg_resume(pg);
    world_reconnect(scene.world);
    struct saved start = {.lsn = confirmed(&scene)};
    struct replay_check *check = replay_check_new();
    replay_check_segment(check, consumer_drain(scene.consumer), (struct saved){0});
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    insert(scene.world, 1);
    wait_rows_confirmed(scene.oracle);
    size_t again = replay_check_segment(check, consumer_drain(scene.consumer), start);
    printf("# slot: %zu events again after a crash of server and relay\n", again);
    scene_end(&scene, DUPLICATES_ALLOWED);
    pg_free(pg);
}
END_TEST

#define KILLS 5

START_TEST(killed_under_load_sends_again_what_was_not_saved)
{
    struct scene scene = scene_new((enum mode)_i, "killed");
    struct load *load = load_start(scene.world, 3);
    struct replay_check *check = replay_check_new();
    struct saved start = {0};
    size_t again = 0;
    for (int i = 0; i < KILLS; i++) {
        consumer_expect(scene.consumer, published(&scene) + 300);
        pause_ms((i * 57) % 150);
        relay_kill(scene.relay);
        again += replay_check_segment(check, consumer_drain(scene.consumer), start);
        start = _i == MODE_KAFKA ? position(&scene) : (struct saved){.lsn = confirmed(&scene)};
        relay_start(scene.relay, NULL);
    }
    load_stop(load);
    wait_rows_confirmed(scene.oracle);
    again += replay_check_segment(check, consumer_drain(scene.consumer), start);
    printf("# %s: %zu events again after %d kills\n", mode_name((enum mode)_i), again, KILLS);
    scene_end(&scene, DUPLICATES_ALLOWED);
}
END_TEST

START_TEST(place_in_a_large_transaction_is_kept)
{
    enum { ROWS = 30000 };
    /* At most 200 events in 20 ms, so that many positions are saved on the way. */
    struct scene scene = scene_with(MODE_KAFKA, "inside", shared_pg(),
                                    ", max_in_flight_events: 200", ", linger.ms: 20");
    struct replay_check *check = replay_check_new();
    insert(scene.world, ROWS);
    wait_until(position(&scene).partial.index != 0, "no partial position");
    relay_kill(scene.relay);
    replay_check_segment(check, consumer_drain(scene.consumer), (struct saved){0});
    struct saved start = position(&scene);
    REQUIRE(start.partial.index > 0, "the transaction was already through");
    relay_start(scene.relay, NULL);
    wait_rows_confirmed(scene.oracle);
    replay_check_segment(check, consumer_drain(scene.consumer), start);
    scene_end(&scene, DUPLICATES_ALLOWED);
}
END_TEST

/* ---- positions that are not what was left -------------------------------------------------- */

static char *checksummed(const char *content)
{
    char *body = text("%s", content);
    char *sum = strstr(body, "crc32c=");
    REQUIRE(sum != NULL, "no checksum in:\n%s", content);
    *sum = '\0';
    return text("%scrc32c=%08x\n", body, crc32c(body, strlen(body)));
}

static char *newest(const struct scene *scene)
{
    struct records records = consumer_drain(scene->positions);
    REQUIRE(records.count > 0, "there is no position");
    return text("%s", records.items[records.count - 1].value);
}

static void put_position(const struct scene *scene, const char *value)
{
    kafka_produce(scene->world->kafka, world_topic(scene->world, "checkpoints"), 0,
                  position_key(scene->world), value);
}

static struct scene scene_used(enum mode mode, const char *label)
{
    struct scene scene = scene_new(mode, label);
    insert(scene.world, 20);
    consumer_exactly(scene.consumer, 20);
    wait_rows_confirmed(scene.oracle);
    relay_stop(scene.relay);
    return scene;
}

START_TEST(position_of_a_newer_version_is_refused)
{
    struct scene scene = scene_used((enum mode)_i, "newer");
    const char *good = newest(&scene);
    char *value = text("%s", good);
    static const char label[] = "walferry_checkpoint=";
    REQUIRE(strncmp(value, label, strlen(label)) == 0, "%s", value);
    value[strlen(label)] = '9';
    put_position(&scene, checksummed(value));
    insert(scene.world, 1);
    relay_start(scene.relay, NULL);
    expect_end(scene.relay, 73, "WF-7004");
    ck_assert_uint_eq(published(&scene), 20);
    put_position(&scene, good);
    relay_start(scene.relay, NULL);
    consumer_exactly(scene.consumer, 21);
    scene_end(&scene, EXACTLY_ONCE_EACH);
}
END_TEST

START_TEST(position_that_is_damaged_is_refused)
{
    struct scene scene = scene_used((enum mode)_i, "damaged");
    const char *good = newest(&scene);
    char *value = text("%s", good);
    value[60] ^= 1;
    put_position(&scene, value);
    insert(scene.world, 1);
    relay_start(scene.relay, NULL);
    expect_end(scene.relay, 66, "WF-7002");
    ck_assert_uint_eq(published(&scene), 20);
    put_position(&scene, good);
    relay_start(scene.relay, NULL);
    consumer_exactly(scene.consumer, 21);
    scene_end(&scene, EXACTLY_ONCE_EACH);
}
END_TEST

START_TEST(position_with_a_tombstone_is_none)
{
    struct scene scene = scene_used((enum mode)_i, "tombstone");
    put_position(&scene, NULL);
    insert(scene.world, 5);
    relay_start(scene.relay, NULL);
    relay_wait_log(scene.relay, "relaying from the slot's own position");
    consumer_expect(scene.consumer, 25);
    scene_end(&scene, DUPLICATES_ALLOWED);
}
END_TEST

static void empty_topic(const struct scene *scene)
{
    const char *topic = world_topic(scene->world, "checkpoints");
    kafka_delete_topic(scene->world->kafka, topic);
    wait_until(!kafka_topic_exists(scene->world->kafka, topic), "the topic does not go");
}

/* Nobody can tell that from a first start; the slot is there. */
START_TEST(topic_deleted_while_nobody_runs)
{
    struct scene scene = scene_used((enum mode)_i, "deleted");
    empty_topic(&scene);
    insert(scene.world, 5);
    relay_start(scene.relay, NULL);
    relay_wait_log(scene.relay, "relaying from the slot's own position");
    consumer_expect(scene.consumer, 25);
    scene_end(&scene, DUPLICATES_ALLOWED);
}
END_TEST

START_TEST(topic_deleted_while_it_runs)
{
    /* librdkafka waits for a partition that went until the transaction ends by its time-out. */
    const char *timeout = _i == MODE_ONCE ? ", transaction.timeout.ms: 10000" : "";
    struct scene scene = scene_with((enum mode)_i, "vanished", shared_pg(), "", timeout);
    insert(scene.world, 20);
    consumer_exactly(scene.consumer, 20);
    wait_rows_confirmed(scene.oracle);
    empty_topic(&scene);
    insert(scene.world, 5);
    if (_i == MODE_ONCE) {
        /* Nobody but the relay knows what was published, and it says so. */
        expect_end(scene.relay, 66, "WF-7006");
        relay_start(scene.relay, NULL);
        relay_wait_ready(scene.relay);
    }
    consumer_expect(scene.consumer, 25);
    scene_end(&scene, DUPLICATES_ALLOWED);
}
END_TEST

/* One that forgets by age would lose the position of an idle pipeline. */
START_TEST(topic_that_is_not_compacted_is_refused)
{
    struct world *world = world_new("forgetful");
    const char *topic = world_topic(world, "checkpoints");
    struct relay *relay = relay_new(world, mode_config((enum mode)_i, "", "", ""));
    kafka_create_topic(world->kafka, topic, 1, "cleanup.policy=delete");
    relay_command(relay, "init", NULL);
    relay_start(relay, NULL);
    expect_end(relay, 78, "WF-6014");
    const char *said = relay_errors(relay);
    REQUIRE(strstr(said, "--add-config cleanup.policy=compact") != NULL, "no remedy in:\n%s", said);
    kafka_delete_topic(world->kafka, topic);
    wait_until(!kafka_topic_exists(world->kafka, topic), "the topic does not go");
    /* Made by the relay it is right. */
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, stop_and_start_repeat_nothing, MODE_SLOT, MODE_ONCE);
    tcase_add_test(tests, after_a_crash_of_the_server_the_position_counts);
    tcase_add_test(tests, after_a_crash_of_the_server_the_slot_sends_again);
    tcase_add_loop_test(tests, killed_under_load_sends_again_what_was_not_saved, MODE_SLOT,
                        MODE_ONCE);
    tcase_add_test(tests, place_in_a_large_transaction_is_kept);
    tcase_add_loop_test(tests, position_of_a_newer_version_is_refused, MODE_KAFKA, MODE_COUNT);
    tcase_add_loop_test(tests, position_that_is_damaged_is_refused, MODE_KAFKA, MODE_COUNT);
    tcase_add_loop_test(tests, position_with_a_tombstone_is_none, MODE_KAFKA, MODE_COUNT);
    tcase_add_loop_test(tests, topic_deleted_while_nobody_runs, MODE_KAFKA, MODE_COUNT);
    tcase_add_loop_test(tests, topic_deleted_while_it_runs, MODE_KAFKA, MODE_COUNT);
    tcase_add_loop_test(tests, topic_that_is_not_compacted_is_refused, MODE_KAFKA, MODE_COUNT);
}

static const struct e2e_suite stores = {"stores", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&stores)
