/* SPDX-License-Identifier: Apache-2.0 */
/* What stays bounded, and what never comes before what: memory, back-pressure, confirmations,
 * checkpoints that cannot be saved, and the sinks beside Kafka. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "kafka_client.h"
#include "load.h"

#define SOURCE "source: {conninfo: \"@CONNINFO@\", status_interval: 200ms, heartbeat_interval: 0}\n"
#define TAIL                                                                                       \
    "route: {topic: \"@NAME@.${aggregate_type}\"}\n"                                               \
    "checkpoint: {directory: \"@DIR@/state\", interval: 50ms}\n"                                   \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: info}\n"
#define CONFIG(delivery)                                                                           \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n" SOURCE "capture: [{outbox: outbox.event}]\n"                                  \
    "delivery: {" delivery "}\n"                                                                   \
    "sink: {kafka: {bootstrap.servers: \"@KAFKA@\"}}\n" TAIL
#define CONFIG_SINK(sink)                                                                          \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n" SOURCE "capture: [{outbox: outbox.event}]\n"                                  \
    "sink: {" sink "}\n" TAIL

struct scene {
    struct world *world;
    struct relay *relay;
    struct consumer *consumer; /* NULL without Kafka */
};

static struct scene scene_on(const char *label, struct kafka_server *kafka, const char *config)
{
    struct scene scene = {.world = world_new_on(label, shared_pg(), kafka)};
    scene.relay = relay_new(scene.world, config);
    relay_begin(scene.relay);
    if (kafka != NULL)
        scene.consumer = consumer_new(scene.world, world_topic(scene.world, "order"), NULL);
    return scene;
}

static void scene_end(struct scene *scene)
{
    if (scene->consumer != NULL)
        consumer_free(scene->consumer);
    relay_free(scene->relay);
    world_free(scene->world);
}

/* ---- memory -------------------------------------------------------------------------------- */

static int64_t count_records(const struct world *world, const char *topic)
{
    static const char *const settings[] = {NULL};
    int64_t sum = 0;
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_CONSUMER, world->kafka->address, settings);
    for (int32_t partition = 0; partition < KAFKA_PARTITIONS; partition++) {
        int64_t low;
        int64_t high;
        REQUIRE(rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high,
                                                 DEADLINE_MS) == 0,
                "no end of %s[%d]", topic, partition);
        sum += high - low;
    }
    rd_kafka_destroy(client);
    return sum;
}

START_TEST(transaction_of_a_million_rows_needs_no_memory)
{
    enum { ROWS = 1000000, LIMIT_KIB = 64 * 1024 };
    struct scene scene = scene_on("million", shared_kafka(), CONFIG("poison: halt"));
    sql(scene.world,
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) SELECT "
        "'order', 'k' || i %% 1000, 'order.changed', json_build_object('n', i, 'fill', "
        "repeat(md5(i::text), 17)) FROM generate_series(1, %d) AS i",
        ROWS);
    const char *end = sql_value(scene.world, "SELECT pg_current_wal_insert_lsn()");
    uint64_t give_up = now_ms() + 4 * DEADLINE_MS;
    while (sql_number(scene.world,
                      "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s' AND "
                      "confirmed_flush_lsn >= '%s'",
                      scene.world->slot, end) == 0) {
        REQUIRE(relay_running(scene.relay) && now_ms() < give_up, "it does not get through:\n%s",
                relay_errors(scene.relay));
        pause_ms(100);
    }
    long peak = relay_peak_kib(scene.relay);
    REQUIRE(peak > 0 && peak < LIMIT_KIB, "%ld KiB of memory", peak);
    ck_assert_int_eq(count_records(scene.world, world_topic(scene.world, "order")), ROWS);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(one_record_in_flight_is_enough)
{
    struct scene scene = scene_on("one", shared_kafka(), CONFIG("max_in_flight_events: 1"));
    insert_orders(scene.world->db, 60, 7);
    expect_unique(consumer_exactly(scene.consumer, 60));
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(large_rows_pass_one_by_one)
{
    enum { ROWS = 30, SIZE = 900 * 1000 };
    struct scene scene = scene_on("large", shared_kafka(), CONFIG("max_in_flight_bytes: 1MiB"));
    sql(scene.world,
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) SELECT "
        "'order', 'k', 'order.changed', to_json(repeat(chr(97 + i %% 26), %d)) FROM "
        "generate_series(1, %d) AS i",
        SIZE, ROWS);
    struct records records = consumer_exactly(scene.consumer, ROWS);
    expect_unique(records);
    for (size_t i = 0; i < ROWS; i++)
        ck_assert_uint_gt(records.items[i].value_len, SIZE);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

/* ---- pressure ------------------------------------------------------------------------------ */

START_TEST(broker_that_stands_still_holds_back_and_breaks_nothing)
{
    enum { ROWS = 60000, EVENTS_MAX = 4000, BYTES_MAX = 1 << 20, STILL_MS = 8000 };
    struct kafka_server *kafka = kafka_start(NULL);
    struct scene scene =
        scene_on("still", kafka, CONFIG("max_in_flight_events: 4000, max_in_flight_bytes: 1MiB"));
    relay_stop(scene.relay);
    sql(scene.world, "ALTER DATABASE %s SET wal_sender_timeout = '2s'", scene.world->name);
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    insert_orders(scene.world->db, 100, 30);
    consumer_exactly(scene.consumer, 100);
    static const char walsender[] =
        "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '%s'";
    const char *before = sql_value(scene.world, walsender, scene.world->slot);
    kill(kafka->pid, SIGSTOP);
    insert_orders(scene.world->db, ROWS, 30);
    double most = 0;
    for (uint64_t end = now_ms() + STILL_MS; now_ms() < end; pause_ms(100)) {
        double events = relay_metric(scene.relay, "walferry_in_flight_events");
        most = events > most ? events : most;
        REQUIRE(events <= EVENTS_MAX, "%.0f events in flight", events);
        /* One record may pass the limit, which is known only when it is rendered. */
        REQUIRE(relay_metric(scene.relay, "walferry_in_flight_bytes") <= BYTES_MAX + 4096,
                "too many bytes in flight");
    }
    kill(kafka->pid, SIGCONT);
    REQUIRE(most >= 1000, "at most %.0f events were in flight: no pressure", most);
    expect_unique(consumer_exactly(scene.consumer, ROWS + 100));
    ck_assert_str_eq(sql_value(scene.world, walsender, scene.world->slot), before);
    ck_assert(relay_metric(scene.relay, "walferry_reconnects_total") == 0);
    relay_stop(scene.relay);
    scene_end(&scene);
    kafka_free(kafka);
}
END_TEST

static uint64_t slot_lsn(struct world *world, const char *column)
{
    return parse_lsn(sql_value(world, "SELECT %s FROM pg_replication_slots WHERE slot_name = '%s'",
                               column, world->slot));
}

START_TEST(slot_moves_while_the_outbox_is_idle)
{
    struct scene scene = scene_on("idle", NULL, CONFIG_SINK("file: {path: \"@DIR@/out.jsonl\"}"));
    sql(scene.world, "CREATE TABLE busy (n int, fill text)");
    uint64_t restart = slot_lsn(scene.world, "restart_lsn");
    for (int i = 0; i < 5; i++)
        sql(scene.world, "INSERT INTO busy SELECT i, repeat('x', 900) FROM generate_series(1, "
                         "5000) i");
    wait_confirmed(scene.world);
    wait_until((sql(scene.world, "CHECKPOINT"), slot_lsn(scene.world, "restart_lsn") > restart),
               "restart_lsn stands still");
    ck_assert_str_eq(read_file(text("%s/out.jsonl", scene.world->dir)), "");
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(nothing_is_confirmed_before_the_checkpoint_has_it)
{
    enum { SAMPLES = 300 };
    struct scene scene = scene_on("before", shared_kafka(), CONFIG(""));
    struct load *load = load_start(scene.world, 2);
    uint64_t first = slot_lsn(scene.world, "confirmed_flush_lsn");
    uint64_t confirmed = first;
    for (int i = 0; i < SAMPLES; i++) {
        confirmed = slot_lsn(scene.world, "confirmed_flush_lsn");
        struct saved saved = read_checkpoint(scene.relay);
        REQUIRE(confirmed <= saved.lsn, "confirmed %llX, and the checkpoint says %llX",
                (unsigned long long)confirmed, (unsigned long long)saved.lsn);
        pause_ms(5);
    }
    REQUIRE(confirmed > first, "nothing was confirmed at all");
    load_stop(load);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

/* ---- a checkpoint that cannot be saved ----------------------------------------------------- */

/* A disk of the test's own that can be filled: it ends with the test's processes, whatever happens.
 * False: this user may not have one. */
static bool mount_small(const char *directory)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", directory, "tmpfs", 0, "size=32k") == 0;
}

static void fill_up(const char *path)
{
    static char page[4096];
    FILE *file = fopen(path, "we");
    REQUIRE(file != NULL, "%s: %s", path, strerror(errno));
    setvbuf(file, NULL, _IONBF, 0);
    while (fwrite(page, 1, sizeof page, file) == sizeof page)
        ;
    REQUIRE(errno == ENOSPC, "%s: %s", path, strerror(errno));
    fclose(file);
}

/* On a full disk; or, where no disk can be had, in a directory that may not be written. */
static void close_directory(const char *directory, bool mounted)
{
    if (mounted)
        fill_up(text("%s/filler", directory));
    else
        REQUIRE(chmod(directory, 0500) == 0, "chmod: %s", strerror(errno));
}

static void open_directory(const char *directory, bool mounted)
{
    int failed = mounted ? unlink(text("%s/filler", directory)) : chmod(directory, 0700);
    REQUIRE(failed == 0, "%s: %s", directory, strerror(errno));
}

static bool state_is(const struct scene *scene, const char *state)
{
    json_t *status = relay_status(scene->relay);
    const char *said = json_string_value(json_object_get(status, "state"));
    bool same = said != NULL && strcmp(said, state) == 0;
    json_decref(status);
    return same;
}

START_TEST(full_disk_confirms_nothing_and_loses_nothing)
{
    struct world *world = world_new("full");
    const char *directory = text("%s/state", world->dir);
    make_directory(directory);
    bool mounted = mount_small(directory);
    if (!mounted && geteuid() == 0) {
        /* Root may write everywhere: without a disk there is nothing to see. */
        world_free(world);
        return;
    }
    struct relay *relay = relay_new(world, CONFIG(""));
    relay_begin(relay);
    struct scene scene = {world, relay, consumer_new(world, world_topic(world, "order"), NULL)};
    struct oracle *oracle = oracle_new(world, "outbox.event");
    insert_orders(world->db, 10, 3);
    wait_confirmed(world);
    close_directory(directory, mounted);
    struct saved before = read_checkpoint(relay);
    insert_orders(world->db, 10, 3);
    relay_wait_log(relay, "WF-7001");
    wait_until(state_is(&scene, "blocked"), "the relay does not say that it is blocked");
    insert_orders(world->db, 500, 3);
    pause_ms(1500);
    uint64_t confirmed = slot_lsn(world, "confirmed_flush_lsn");
    ck_assert_uint_eq(read_checkpoint(relay).lsn, before.lsn);
    REQUIRE(confirmed <= before.lsn, "%llX was confirmed, and %llX is on disk",
            (unsigned long long)confirmed, (unsigned long long)before.lsn);
    REQUIRE(relay_http(relay, "/readyz", NULL) == 503, "it says that it is ready");
    open_directory(directory, mounted);
    consumer_exactly(scene.consumer, 520);
    wait_confirmed(world);
    wait_until(state_is(&scene, "streaming"), "it stays blocked");
    relay_stop(relay);
    oracle_compare(oracle, consumer_drain(scene.consumer), EXACTLY_ONCE_EACH);
    oracle_free(oracle);
    scene_end(&scene);
}
END_TEST

/* ---- sinks beside Kafka -------------------------------------------------------------------- */

/* Identities of the events of a file of JSON lines, each line of which is whole. */
static struct records read_lines(const char *path)
{
    struct records records = {0};
    char *content = read_file(path);
    size_t room = 0;
    for (char *end, *line = content; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        REQUIRE(end != NULL, "a line without an end: %s", line);
        *end = '\0';
        json_t *record = json_loads(line, 0, NULL);
        REQUIRE(record != NULL, "no JSON: %s", line);
        if (records.count == room) {
            room = room == 0 ? 256 : room * 2;
            records.items = reallocarray(records.items, room, sizeof *records.items);
            REQUIRE(records.items != NULL, "out of memory");
        }
        const char *value = json_string_value(json_object_get(record, "value"));
        const char *topic = json_string_value(json_object_get(record, "topic"));
        REQUIRE(value != NULL && topic != NULL, "no record: %s", line);
        records.items[records.count] = (struct kafka_record){
            .topic = text("%s", topic),
            .offset = (int64_t)records.count,
            .value = text("%s", value),
            .value_len = strlen(value),
        };
        records.count++;
        json_decref(record);
    }
    free(content);
    return records;
}

static void append(const char *path, const char *content)
{
    FILE *file = fopen(path, "ae");
    REQUIRE(file != NULL && fputs(content, file) >= 0 && fclose(file) == 0, "%s: %s", path,
            strerror(errno));
}

START_TEST(file_survives_kills_and_torn_lines)
{
    enum { KILLS = 8 };
    struct scene scene = scene_on("file", NULL, CONFIG_SINK("file: {path: \"@DIR@/out.jsonl\"}"));
    const char *path = text("%s/out.jsonl", scene.world->dir);
    struct oracle *oracle = oracle_new(scene.world, "outbox.event");
    struct load *load = load_start(scene.world, 3);
    for (int i = 0; i < KILLS; i++) {
        struct saved before = read_checkpoint(scene.relay);
        wait_until(read_checkpoint(scene.relay).lsn > before.lsn, "the checkpoint stands still");
        pause_ms(i * 13 % 70);
        relay_kill(scene.relay);
        /* What a crash of the machine may leave. */
        append(path, "{\"topic\":\"torn");
        relay_start(scene.relay, NULL);
        relay_wait_ready(scene.relay);
    }
    load_stop(load);
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    struct records records = read_lines(path);
    REQUIRE(records.count > 100, "only %zu records: there was no load", records.count);
    oracle_compare(oracle, records, DUPLICATES_ALLOWED);
    oracle_free(oracle);
    scene_end(&scene);
}
END_TEST

START_TEST(standard_output_leaves_nothing_behind)
{
    struct world *world = world_new_on("out", shared_pg(), NULL);
    struct relay *relay = relay_new(world, CONFIG_SINK("stdout: {}"));
    sql_file(world, "001_outbox.sql");
    sql(world, "CREATE PUBLICATION %s FOR TABLE outbox.event WITH (publish = 'insert')",
        world->slot);
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    static const char slots[] = "SELECT count(*) FROM pg_replication_slots WHERE database = '%s'%s";
    ck_assert_int_eq(sql_number(world, slots, world->name, " AND temporary"), 1);
    ck_assert_int_eq(sql_number(world, slots, world->name, " AND NOT temporary"), 0);
    insert_orders(world->db, 50, 3);
    relay_wait_counter(relay, "published", 50);
    relay_stop(relay);
    struct records records = read_lines(relay->out);
    ck_assert_uint_eq(records.count, 50);
    expect_unique(records);
    wait_until(sql_number(world, slots, world->name, "") == 0, "a slot is left");
    REQUIRE(access(text("%s/state", world->dir), F_OK) != 0, "a checkpoint directory is left");
    relay_free(relay);
    world_free(world);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, one_record_in_flight_is_enough);
    tcase_add_test(tests, large_rows_pass_one_by_one);
    tcase_add_test(tests, slot_moves_while_the_outbox_is_idle);
    tcase_add_test(tests, nothing_is_confirmed_before_the_checkpoint_has_it);
    tcase_add_test(tests, full_disk_confirms_nothing_and_loses_nothing);
    tcase_add_test(tests, file_survives_kills_and_torn_lines);
    tcase_add_test(tests, standard_output_leaves_nothing_behind);
    tcase_add_test(tests, broker_that_stands_still_holds_back_and_breaks_nothing);
    tcase_add_test(tests, transaction_of_a_million_rows_needs_no_memory);
}

static const struct e2e_suite limits = {"limits", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&limits)
