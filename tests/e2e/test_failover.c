/* SPDX-License-Identifier: Apache-2.0 */
/* A primary that dies, and a standby that is promoted, with slots that were kept alike on both.
 * Wants PostgreSQL 17 or later; what can be had before is in test_guards.c. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "load.h"

#define CONFIG                                                                                     \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n"                                                                               \
    "source: {conninfo: \"@CONNINFO@\", status_interval: 1s}\n"                                    \
    "capture: [{outbox: outbox.event}]\n"                                                          \
    "route: {topic: \"@NAME@.${aggregate_type}\"}\n"                                               \
    "sink: {kafka: {bootstrap.servers: \"@KAFKA@\"}}\n"                                            \
    "checkpoint: {directory: \"@DIR@/state\", interval: 100ms}\n"                                  \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: info}\n"

/* The primary waits for a standby of this name before it shows anything to a failover slot. */
#define PHYSICAL "physical_standby"
#define HELD     "synchronized_standby_slots = '" PHYSICAL "'"
#define FOLLOWS                                                                                    \
    "primary_slot_name = '" PHYSICAL "'\n"                                                         \
    "hot_standby_feedback = on\n"                                                                  \
    "wal_receiver_status_interval = 1s\n"

struct scene {
    struct pg_server *primary;
    struct pg_server *standby;
    struct world *world;
    struct relay *relay;
    struct oracle *oracle;
    struct consumer *consumer;
};

static void wait_caught_up(struct world *world)
{
    const char *end = sql_value(world, "SELECT pg_current_wal_insert_lsn()");
    wait_until(sql_number(world,
                          "SELECT count(*) FROM pg_stat_replication WHERE application_name = "
                          "'walreceiver' AND replay_lsn >= '%s'",
                          end) == 1,
               "the standby does not catch up");
}

/* A pair of servers; every client knows both. */
static struct scene scene_new(const char *label, const char *on_primary)
{
    struct scene scene = {.primary = pg_start(NULL)};
    struct pg_server *primary = scene.primary;
    REQUIRE(primary->version >= 17, "PostgreSQL %d has no failover slots", primary->version);
    scene.standby = pg_standby(primary, FOLLOWS);
    PGconn *db = pg_session(primary, "postgres");
    PQclear(sql_on(db, "SELECT pg_create_physical_replication_slot('" PHYSICAL "', true)"));
    PQfinish(db);
    pg_resume(scene.standby);
    if (on_primary != NULL) {
        pg_configure(primary, on_primary);
        pg_reload(primary);
    }
    scene.world = world_new_on(label, primary, shared_kafka());
    const char *both = text("host=%s,%s port=%u,%u user=postgres dbname=%s "
                            "target_session_attrs=primary",
                            primary->dir, scene.standby->dir, primary->port, scene.standby->port,
                            scene.world->name);
    snprintf(scene.world->conninfo, sizeof scene.world->conninfo, "%s", both);
    /* Slots of a database that the standby does not know yet would disturb it. */
    wait_caught_up(scene.world);
    scene.relay = relay_new(scene.world, CONFIG);
    relay_begin(scene.relay);
    ck_assert_int_eq(sql_number(scene.world,
                                "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s' "
                                "AND failover",
                                scene.world->slot),
                     1);
    scene.oracle = oracle_new(scene.world, "outbox.event");
    scene.consumer = consumer_new(scene.world, world_topic(scene.world, "order"), NULL);
    return scene;
}

static void scene_end(struct scene *scene)
{
    oracle_free(scene->oracle);
    consumer_free(scene->consumer);
    relay_free(scene->relay);
    world_free(scene->world);
    pg_free(scene->standby);
    pg_free(scene->primary);
}

static bool both_synced(const struct scene *scene, PGconn *standby)
{
    PGresult *result =
        sql_on(standby, text("SELECT count(*) FROM pg_replication_slots WHERE slot_name IN ('%s', "
                             "'%s') AND synced AND NOT temporary",
                             scene->world->slot, scene->oracle->slot));
    bool both = strcmp(PQgetvalue(result, 0, 0), "2") == 0;
    PQclear(result);
    return both;
}

/* A slot is taken over only while it moves; and the longer nothing moved, the longer the server
 * sleeps before it looks again, so that it is told to look now. */
static void wait_synced(const struct scene *scene)
{
    pg_configure(scene->standby, "sync_replication_slots = on");
    pg_reload(scene->standby);
    PGconn *standby = pg_session(scene->standby, "postgres");
    uint64_t give_up = now_ms() + DEADLINE_MS;
    while (!both_synced(scene, standby)) {
        REQUIRE(now_ms() < give_up, "the standby does not take over the slots:\n%s",
                read_file(scene->standby->log));
        insert_orders(scene->world->db, 2, 2);
        /* What a slot has to know of running transactions, the server notes every 15 s. */
        sql(scene->world, "SELECT pg_log_standby_snapshot()");
        oracle_read(scene->oracle);
        pause_ms(100);
    }
    PQfinish(standby);
}

/* The primary is gone; the world lives on at the standby, which is promoted. */
static void fail_over(struct scene *scene)
{
    pg_promote(scene->standby);
    scene->world->pg = scene->standby;
    world_reconnect(scene->world);
}

static void wait_for_more(const struct scene *scene, size_t count)
{
    consumer_expect(scene->consumer, consumer_drain(scene->consumer).count + count);
}

static void expect_said(const struct relay *relay, int status, const char *code, const char *words)
{
    const char *said = relay_errors(relay);
    REQUIRE(relay->status == status, "status %d, not %d:\n%s", relay->status, status, said);
    REQUIRE(strstr(said, code) != NULL, "no %s in:\n%s", code, said);
    REQUIRE(strstr(said, words) != NULL, "no \"%s\" in:\n%s", words, said);
}

/* As the hints say it. */
static void accept_the_gap(const struct scene *scene)
{
    const char *said = relay_errors(scene->relay);
    const char *files = text("remove the files %s.checkpoint and %s.checkpoint.previous",
                             scene->world->name, scene->world->name);
    REQUIRE(strstr(said, files) != NULL, "no \"%s\" in:\n%s", files, said);
    REQUIRE(strstr(said, "run walferry init -c FILE") != NULL, "no init in:\n%s", said);
    REQUIRE(remove(checkpoint_path(scene->relay)) == 0, "there is no checkpoint");
    remove(text("%s.previous", checkpoint_path(scene->relay)));
    REQUIRE(relay_command(scene->relay, "init", NULL) == 0, "%s", relay_errors(scene->relay));
}

/* The id of a row that is committed now. */
static char *insert_one(struct world *world)
{
    return sql_value(world, "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, "
                            "payload) VALUES ('order', 'k0', 'order.placed', '1') RETURNING id");
}

static void expect_event(const struct scene *scene, const char *id)
{
    wait_until(records_find(consumer_drain(scene->consumer), id) != NULL, "event %s does not come",
               id);
}

/* ---- promotions that go well --------------------------------------------------------------- */

START_TEST(promotion_under_load_loses_and_repeats_nothing)
{
    struct scene scene = scene_new("promotion", HELD);
    wait_synced(&scene);
    struct load *load = load_start(scene.world, 3);
    wait_for_more(&scene, 300);
    uint64_t start = now_ms();
    pg_stop(scene.primary, PG_KILL);
    fail_over(&scene);
    uint64_t promoted = now_ms();
    wait_for_more(&scene, 300);
    uint64_t streaming = now_ms();
    load_stop(load);
    wait_confirmed(scene.world);
    REQUIRE(strstr(relay_errors(scene.relay), "new timeline") != NULL, "not a word of it");
    relay_stop(scene.relay);
    struct records records = consumer_drain(scene.consumer);
    oracle_compare(scene.oracle, records, EXACTLY_ONCE_EACH);
    expect_unique(records);
    printf("# promoted after %llu ms, 300 new events %llu ms later; %zu events, none twice\n",
           (unsigned long long)(promoted - start), (unsigned long long)(streaming - promoted),
           records.count);
    scene_end(&scene);
}
END_TEST

START_TEST(relay_that_dies_with_the_primary_goes_on_at_its_checkpoint)
{
    struct scene scene = scene_new("both", HELD);
    struct replay_check *check = replay_check_new();
    struct saved start = read_checkpoint(scene.relay);
    wait_synced(&scene);
    struct load *load = load_start(scene.world, 3);
    wait_for_more(&scene, 300);
    relay_kill(scene.relay);
    pg_stop(scene.primary, PG_KILL);
    size_t again = replay_check_segment(check, consumer_drain(scene.consumer), start);
    start = read_checkpoint(scene.relay);
    fail_over(&scene);
    relay_start(scene.relay, NULL);
    wait_for_more(&scene, 300);
    load_stop(load);
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    struct records records = consumer_drain(scene.consumer);
    again += replay_check_segment(check, records, start);
    oracle_compare(scene.oracle, records, DUPLICATES_ALLOWED);
    printf("# %zu records, %zu of them again\n", records.count, again);
    scene_end(&scene);
}
END_TEST

START_TEST(standby_alone_is_waited_for_and_used_when_promoted)
{
    struct scene scene = scene_new("alone", HELD);
    wait_synced(&scene);
    relay_stop(scene.relay);
    const char *before = insert_one(scene.world);
    wait_caught_up(scene.world);
    const char *standby = text("source.conninfo=%s", pg_conninfo(scene.standby, scene.world->name));
    relay_start(scene.relay, "--set", standby, NULL);
    relay_wait_log(scene.relay, "WF-2011");
    REQUIRE(relay_http(scene.relay, "/readyz", NULL) == 503, "it says that it is ready");
    REQUIRE(records_find(consumer_drain(scene.consumer), before) == NULL, "a standby was read");
    pg_stop(scene.primary, PG_FAST);
    fail_over(&scene);
    expect_event(&scene, before);
    expect_event(&scene, insert_one(scene.world));
    relay_stop(scene.relay);
    oracle_compare(scene.oracle, consumer_drain(scene.consumer), EXACTLY_ONCE_EACH);
    scene_end(&scene);
}
END_TEST

/* ---- standbys that lag --------------------------------------------------------------------- */

START_TEST(nothing_is_published_that_the_standby_does_not_have)
{
    struct scene scene = scene_new("held", HELD);
    wait_synced(&scene);
    wait_confirmed(scene.world);
    pg_stop(scene.standby, PG_FAST);
    const char *id = insert_one(scene.world);
    wait_until(sql_number(scene.world, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = "
                                       "'walsender' AND wait_event = "
                                       "'WaitForStandbyConfirmation'") == 1,
               "the server does not wait for its standby");
    REQUIRE(records_find(consumer_drain(scene.consumer), id) == NULL,
            "an event is out that a promotion would undo");
    /* The primary is lost now, and with it the row: nobody has seen it. */
    pg_stop(scene.primary, PG_KILL);
    pg_resume(scene.standby);
    fail_over(&scene);
    const char *after = insert_one(scene.world);
    expect_event(&scene, after);
    REQUIRE(relay_running(scene.relay), "the relay ended");
    relay_stop(scene.relay);
    struct records records = consumer_drain(scene.consumer);
    REQUIRE(records_find(records, id) == NULL, "a row that is lost was published");
    oracle_compare(scene.oracle, records, EXACTLY_ONCE_EACH);
    scene_end(&scene);
}
END_TEST

START_TEST(standby_that_lacks_what_was_published_is_refused)
{
    struct scene scene = scene_new("lacks", NULL);
    wait_synced(&scene);
    pg_stop(scene.standby, PG_FAST);
    const char *phantom = insert_one(scene.world);
    expect_event(&scene, phantom);
    wait_confirmed(scene.world);
    pg_stop(scene.primary, PG_KILL);
    pg_resume(scene.standby);
    fail_over(&scene);
    relay_wait(scene.relay);
    expect_said(scene.relay, 66, "WF-3011", "events of the lost branch are in Kafka");
    size_t count = consumer_drain(scene.consumer).count;
    /* Not the first commit there, nor those that lie where the lost ones lay, are passed over. */
    const char *first = insert_one(scene.world);
    relay_start(scene.relay, NULL);
    relay_wait(scene.relay);
    expect_said(scene.relay, 66, "WF-3011", "timeline 2");
    ck_assert_uint_eq(consumer_drain(scene.consumer).count, count);
    accept_the_gap(&scene);
    relay_start(scene.relay, NULL);
    expect_event(&scene, first);
    expect_event(&scene, insert_one(scene.world));
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(slot_that_was_not_taken_over_is_a_gap)
{
    struct scene scene = scene_new("gap", NULL);
    expect_event(&scene, insert_one(scene.world));
    wait_confirmed(scene.world);
    wait_caught_up(scene.world);
    pg_stop(scene.primary, PG_FAST);
    fail_over(&scene);
    relay_wait(scene.relay);
    expect_said(scene.relay, 66, "WF-3002", "may be missing");
    const char *missed = insert_one(scene.world);
    accept_the_gap(&scene);
    REQUIRE(strstr(relay_output(scene.relay), "older than the slot") != NULL,
            "init does not say which rows are left out:\n%s", relay_output(scene.relay));
    relay_start(scene.relay, NULL);
    expect_event(&scene, insert_one(scene.world));
    relay_stop(scene.relay);
    REQUIRE(records_find(consumer_drain(scene.consumer), missed) == NULL,
            "a row from before the slot was streamed");
    /* Its slot is gone too. */
    sql(scene.world, "SELECT pg_create_logical_replication_slot('%s', 'test_decoding')",
        scene.oracle->slot);
    scene_end(&scene);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, promotion_under_load_loses_and_repeats_nothing);
    tcase_add_test(tests, relay_that_dies_with_the_primary_goes_on_at_its_checkpoint);
    tcase_add_test(tests, standby_alone_is_waited_for_and_used_when_promoted);
    tcase_add_test(tests, nothing_is_published_that_the_standby_does_not_have);
    tcase_add_test(tests, standby_that_lacks_what_was_published_is_refused);
    tcase_add_test(tests, slot_that_was_not_taken_over_is_a_gap);
}

static const struct e2e_suite failover = {"failover", NEEDS_KAFKA, add};

E2E_MAIN(&failover)
