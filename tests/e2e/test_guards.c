/* SPDX-License-Identifier: Apache-2.0 */
/* Who may go on, and from where: every refusal has its exit status, its code and its remedy, and
 * comes before a single event is published. The sink is a file, which is all these need. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "load.h"

#define CONFIG_WITH(source, capture)                                                               \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n"                                                                               \
    "source: {conninfo: \"@CONNINFO@\"" source "}\n"                                               \
    "capture: [{outbox: outbox.event" capture "}]\n"                                               \
    "route: {topic: \"@NAME@.${aggregate_type}\"}\n"                                               \
    "sink: {file: {path: \"@DIR@/out.jsonl\"}}\n"                                                  \
    "checkpoint: {directory: \"@DIR@/state\", interval: 50ms}\n"                                   \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: info}\n"
#define CONFIG CONFIG_WITH("", "")

struct scene {
    struct world *world;
    struct relay *relay;
};

static struct scene scene_on(const char *label, struct pg_server *pg)
{
    struct scene scene = {.world = world_new_on(label, pg, NULL)};
    scene.relay = relay_new(scene.world, CONFIG);
    return scene;
}

static void insert(struct world *world, const char *payload)
{
    sql(world,
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) VALUES "
        "('order', 'k', 'order.placed', '%s')",
        payload);
}

static char *out_path(const struct scene *scene)
{
    return text("%s/out.jsonl", scene->world->dir);
}

static size_t count_lines(const struct scene *scene)
{
    size_t count = 0;
    char *content = read_file(out_path(scene));
    for (const char *at = content; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    free(content);
    return count;
}

/* Initialised, with `rows` rows relayed, and stopped. */
static struct scene scene_used(const char *label, struct pg_server *pg, size_t rows)
{
    struct scene scene = scene_on(label, pg);
    relay_begin(scene.relay);
    for (size_t i = 0; i < rows; i++)
        insert(scene.world, "1");
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    ck_assert_uint_eq(count_lines(&scene), rows);
    return scene;
}

static void scene_end(struct scene *scene)
{
    relay_free(scene->relay);
    world_free(scene->world);
}

static void expect_said(const struct relay *relay, int status, const char *code, const char *words)
{
    const char *said = relay_errors(relay);
    REQUIRE(relay->status == status, "status %d, not %d:\n%s", relay->status, status, said);
    REQUIRE(strstr(said, code) != NULL, "no %s in:\n%s", code, said);
    REQUIRE(strstr(said, "error.hint") != NULL || strstr(said, "hint:") != NULL, "no hint in:\n%s",
            said);
    REQUIRE(strstr(said, words) != NULL, "no \"%s\" in:\n%s", words, said);
}

/* A start that ends with this status, code and words, and publishes nothing. */
static void expect_refusal(const struct scene *scene, int status, const char *code,
                           const char *words)
{
    size_t before = count_lines(scene);
    relay_start(scene->relay, NULL);
    relay_wait(scene->relay);
    expect_said(scene->relay, status, code, words);
    ck_assert_uint_eq(count_lines(scene), before);
}

static void drop_slot(struct world *world)
{
    sql(world, "SELECT pg_drop_replication_slot('%s')", world->slot);
}

static void create_slot(struct world *world, const char *plugin)
{
    sql(world, "SELECT pg_create_logical_replication_slot('%s', '%s')", world->slot, plugin);
}

static void forget(const struct scene *scene)
{
    remove_tree(text("%s/state", scene->world->dir));
}

/* ---- slots --------------------------------------------------------------------------------- */

START_TEST(nothing_was_set_up)
{
    struct scene scene = scene_used("nothing", shared_pg(), 1);
    drop_slot(scene.world);
    forget(&scene);
    expect_refusal(&scene, 78, "WF-3001", "walferry init");
    /* And the hint is true. */
    relay_begin(scene.relay);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(slot_dropped)
{
    struct scene scene = scene_used("dropped", shared_pg(), 1);
    drop_slot(scene.world);
    insert(scene.world, "2");
    expect_refusal(&scene, 66, "WF-3002", "walferry init");
    /* And the hint is true: what comes from now on is relayed, the gap is accepted. */
    forget(&scene);
    relay_begin(scene.relay);
    insert(scene.world, "3");
    wait_until(count_lines(&scene) == 2, "the row after the repair does not come");
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(slot_recreated)
{
    struct scene scene = scene_used("recreated", shared_pg(), 1);
    drop_slot(scene.world);
    insert(scene.world, "2");
    create_slot(scene.world, "pgoutput");
    expect_refusal(&scene, 66, "WF-3004", "walferry init");
    scene_end(&scene);
}
END_TEST

START_TEST(slot_advanced)
{
    struct scene scene = scene_used("advanced", shared_pg(), 1);
    insert(scene.world, "2");
    sql(scene.world, "SELECT pg_replication_slot_advance('%s', pg_current_wal_lsn())",
        scene.world->slot);
    expect_refusal(&scene, 66, "WF-3004", "pg_replication_slots");
    scene_end(&scene);
}
END_TEST

START_TEST(slot_of_another_plugin)
{
    struct scene scene = scene_used("plugin", shared_pg(), 1);
    drop_slot(scene.world);
    create_slot(scene.world, "test_decoding");
    expect_refusal(&scene, 73, "WF-3006", "test_decoding");
    forget(&scene);
    expect_refusal(&scene, 73, "WF-3006", "pg_drop_replication_slot");
    scene_end(&scene);
}
END_TEST

START_TEST(slot_of_another_database)
{
    struct scene scene = scene_used("database", shared_pg(), 1);
    struct world *other = world_new_on("elsewhere", shared_pg(), NULL);
    drop_slot(scene.world);
    sql(other, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", scene.world->slot);
    expect_refusal(&scene, 73, "WF-3006", other->name);
    world_free(other);
    scene_end(&scene);
}
END_TEST

START_TEST(slot_invalidated)
{
    struct pg_server *pg = pg_start("max_slot_wal_keep_size = '1MB'\n"
                                    "min_wal_size = '32MB'\nmax_wal_size = '32MB'");
    struct scene scene = scene_used("invalid", pg, 1);
    insert(scene.world, "2");
    for (int i = 0; i < 4; i++) {
        sql(scene.world, "SELECT pg_switch_wal()");
        sql(scene.world, "CREATE TABLE filler%d AS SELECT 1", i);
        sql(scene.world, "CHECKPOINT");
    }
    ck_assert_str_eq(sql_value(scene.world, "SELECT wal_status FROM pg_replication_slots"), "lost");
    expect_refusal(&scene, 66, "WF-3003", "max_slot_wal_keep_size");
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

START_TEST(slot_invalidated_while_streaming)
{
    struct pg_server *pg = pg_start("max_slot_wal_keep_size = '1MB'\n"
                                    "min_wal_size = '32MB'\nmax_wal_size = '32MB'");
    struct scene scene = scene_on("cut", pg);
    relay_begin(scene.relay);
    /* It falls behind, as on a network that is stuck. */
    relay_signal(scene.relay, SIGSTOP);
    for (int i = 0; i < 4; i++) {
        sql(scene.world, "SELECT pg_switch_wal()");
        sql(scene.world, "CREATE TABLE filler%d AS SELECT 1", i);
        sql(scene.world, "CHECKPOINT");
    }
    ck_assert_str_eq(sql_value(scene.world, "SELECT wal_status FROM pg_replication_slots"), "lost");
    relay_signal(scene.relay, SIGCONT);
    relay_wait(scene.relay);
    expect_said(scene.relay, 66, "WF-3003", "max_slot_wal_keep_size");
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* ---- publications -------------------------------------------------------------------------- */

START_TEST(publication_missing_at_first)
{
    struct scene scene = scene_on("nopub", shared_pg());
    sql_file(scene.world, "001_outbox.sql");
    create_slot(scene.world, "pgoutput");
    expect_refusal(&scene, 78, "WF-3013", "walferry init");
    scene_end(&scene);
}
END_TEST

START_TEST(publication_dropped)
{
    struct scene scene = scene_used("droppub", shared_pg(), 1);
    sql(scene.world, "DROP PUBLICATION %s", scene.world->slot);
    insert(scene.world, "2");
    expect_refusal(&scene, 66, "WF-3007", "walferry init");
    scene_end(&scene);
}
END_TEST

START_TEST(publication_dropped_while_streaming)
{
    struct scene scene = scene_on("livepub", shared_pg());
    relay_begin(scene.relay);
    sql(scene.world, "DROP PUBLICATION %s", scene.world->slot);
    insert(scene.world, "1");
    relay_wait(scene.relay);
    expect_said(scene.relay, 66, "WF-3007", scene.world->slot);
    scene_end(&scene);
}
END_TEST

START_TEST(publication_without_the_table)
{
    struct scene scene = scene_used("notable", shared_pg(), 1);
    sql(scene.world, "ALTER PUBLICATION %s DROP TABLE outbox.event", scene.world->slot);
    insert(scene.world, "2");
    expect_refusal(&scene, 66, "WF-3008", "outbox.event");
    sql(scene.world, "ALTER PUBLICATION %s ADD TABLE outbox.event", scene.world->slot);
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    insert(scene.world, "3");
    wait_until(count_lines(&scene) == 2, "the row after the repair does not come");
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(table_taken_out_of_the_publication_while_streaming)
{
    struct scene scene = scene_on("livetable", shared_pg());
    relay_begin(scene.relay);
    insert(scene.world, "1");
    wait_until(count_lines(&scene) == 1, "the row does not come");
    sql(scene.world, "ALTER PUBLICATION %s DROP TABLE outbox.event", scene.world->slot);
    insert(scene.world, "2");
    relay_wait(scene.relay);
    expect_said(scene.relay, 66, "WF-3008", "ALTER PUBLICATION");
    scene_end(&scene);
}
END_TEST

START_TEST(publication_without_inserts)
{
    struct scene scene = scene_used("noinserts", shared_pg(), 1);
    sql(scene.world, "ALTER PUBLICATION %s SET (publish = 'update')", scene.world->slot);
    expect_refusal(&scene, 66, "WF-3008", "SET (publish = 'insert')");
    scene_end(&scene);
}
END_TEST

/* ---- checkpoints --------------------------------------------------------------------------- */

/* Another value in the checkpoint, under a checksum that is right. */
static void forge(const struct scene *scene, const char *key, const char *value)
{
    const char *path = checkpoint_path(scene->relay);
    char *content = read_file(path);
    char *at = strstr(content, text("\n%s=", key));
    REQUIRE(at != NULL, "no %s in:\n%s", key, content);
    at += strlen(key) + 2;
    char *end = strchr(at, '\n');
    char *sum = strstr(content, "\ncrc32c=");
    REQUIRE(end != NULL && sum != NULL && sum > end, "no checkpoint:\n%s", content);
    const char *body =
        text("%.*s%s%.*s", (int)(at - content), content, value, (int)(sum + 1 - end), end);
    write_file(path, text("%scrc32c=%08x\n", body, crc32c(body, strlen(body))));
}

START_TEST(checkpoint_of_another_server)
{
    struct scene scene = scene_used("system", shared_pg(), 1);
    forge(&scene, "system_identifier", "7000000000000000001");
    expect_refusal(&scene, 73, "WF-3009", "7000000000000000001");
    scene_end(&scene);
}
END_TEST

START_TEST(checkpoint_of_another_pipeline)
{
    struct scene scene = scene_used("pipeline", shared_pg(), 1);
    forge(&scene, "pipeline", "somebody_else");
    expect_refusal(&scene, 73, "WF-3010", "somebody_else");
    scene_end(&scene);
}
END_TEST

START_TEST(checkpoint_of_another_slot)
{
    struct scene scene = scene_used("slot", shared_pg(), 1);
    forge(&scene, "slot", "walferry_of_old");
    expect_refusal(&scene, 73, "WF-3010", "walferry_of_old");
    scene_end(&scene);
}
END_TEST

START_TEST(checkpoint_ahead_of_the_server)
{
    struct scene scene = scene_used("ahead", shared_pg(), 1);
    forge(&scene, "lsn", "FF/12345678");
    expect_refusal(&scene, 66, "WF-3012", "FF/12345678");
    scene_end(&scene);
}
END_TEST

static void damage(const char *path)
{
    char *content = read_file(path);
    REQUIRE(strlen(content) > 60, "%s is not there", path);
    content[50] = (char)(content[50] == 'x' ? 'y' : 'x');
    write_file(path, content);
}

START_TEST(both_generations_damaged)
{
    struct scene scene = scene_used("damaged", shared_pg(), 1);
    damage(checkpoint_path(scene.relay));
    damage(text("%s.previous", checkpoint_path(scene.relay)));
    expect_refusal(&scene, 66, "WF-7002", "restore");
    scene_end(&scene);
}
END_TEST

START_TEST(newest_generation_damaged)
{
    struct scene scene = scene_used("torn", shared_pg(), 3);
    insert(scene.world, "4");
    damage(checkpoint_path(scene.relay));
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    insert(scene.world, "5");
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    ck_assert_ptr_nonnull(strstr(relay_errors(scene.relay), "WF-7002"));
    /* The slot knew better than the older generation: nothing came twice either. */
    ck_assert_uint_eq(count_lines(&scene), 5);
    scene_end(&scene);
}
END_TEST

START_TEST(checkpoint_of_a_newer_version)
{
    struct scene scene = scene_used("newer", shared_pg(), 1);
    const char *path = checkpoint_path(scene.relay);
    char *content = read_file(path);
    *strstr(content, "crc32c=") = '\0';
    REQUIRE(strncmp(content, "walferry_checkpoint=2", 21) == 0, "%s", content);
    content[20] = '9';
    write_file(path, text("%scrc32c=%08x\n", content, crc32c(content, strlen(content))));
    expect_refusal(&scene, 73, "WF-7004", "newer");
    scene_end(&scene);
}
END_TEST

START_TEST(checkpoint_lost_goes_on_at_the_slot)
{
    struct scene scene = scene_used("lost", shared_pg(), 2);
    insert(scene.world, "3");
    forget(&scene);
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    ck_assert_uint_eq(count_lines(&scene), 3);
    scene_end(&scene);
}
END_TEST

/* By the server's clock, not by that of the saving: a relay that is behind saves late. */
START_TEST(checkpoint_says_up_to_when_commits_are_published)
{
    struct scene scene = scene_on("commits", shared_pg());
    struct world *world = scene.world;
    ck_assert_int_eq(relay_command(scene.relay, "init", NULL), 0);
    insert(world, "1");
    const char *before = sql_value(world, "SELECT clock_timestamp()");
    insert(world, "2");
    sql(world, "INSERT INTO outbox.event (aggregate_type, event_type, payload) VALUES ('not a "
               "topic', 'x', '3')");
    const char *after = sql_value(world, "SELECT clock_timestamp()");
    insert(world, "4");
    relay_start(scene.relay, "--set", "delivery.poison=halt", NULL);
    ck_assert_int_eq(relay_wait(scene.relay), 65);
    ck_assert_uint_eq(count_lines(&scene), 2);
    const char *content = read_file(checkpoint_path(scene.relay));
    const char *line = strstr(content, "\ncommit_time=");
    REQUIRE(line != NULL, "no time in:\n%s", content);
    ck_assert_str_eq(sql_value(world, "SELECT '%.*s'::timestamptz BETWEEN '%s' AND '%s'",
                               (int)strcspn(line + 13, "\n"), line + 13, before, after),
                     "t");
    scene_end(&scene);
}
END_TEST

/* ---- servers and logins -------------------------------------------------------------------- */

START_TEST(server_without_logical_wal)
{
    struct pg_server *pg = pg_start("wal_level = replica");
    struct scene scene = scene_on("level", pg);
    expect_refusal(&scene, 78, "WF-2009", "ALTER SYSTEM SET wal_level = logical");
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

START_TEST(wrong_password)
{
    struct pg_server *pg = pg_start(NULL);
    const char *hba = text("%s/pg_hba.conf", pg->data);
    struct scene scene = scene_used("password", pg, 1);
    char *rules = read_file(hba);
    sql(scene.world, "CREATE ROLE careful LOGIN SUPERUSER PASSWORD 'right'");
    write_file(hba, text("local all careful scram-sha-256\n%s", rules));
    pg_reload(pg);
    const char *conninfo = text("source.conninfo=host=%s port=%u user=careful dbname=%s "
                                "password=wrong",
                                pg->dir, pg->port, scene.world->name);
    wait_until(PQping(pg_conninfo(pg, "postgres")) == PQPING_OK, "the server is away");
    wait_until(sql_number(scene.world, "SELECT count(*) FROM pg_hba_file_rules WHERE user_name = "
                                       "'{careful}'") == 1,
               "the rule is not read");
    ck_assert_int_eq(relay_command(scene.relay, "init", "--set", conninfo, NULL), 77);
    ck_assert_ptr_nonnull(strstr(relay_errors(scene.relay), "WF-2002"));
    relay_start(scene.relay, "--set", conninfo, NULL);
    relay_wait_log(scene.relay, "WF-2002");
    pause_ms(500);
    REQUIRE(relay_running(scene.relay), "run gives up");
    REQUIRE(strstr(relay_errors(scene.relay), "password=wrong") == NULL,
            "the secret is in the log");
    relay_stop(scene.relay);
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* ---- two relays ---------------------------------------------------------------------------- */

/* A second relay of the same pipeline, with a checkpoint directory and an output of its own. */
static struct relay *second_relay(struct world *world, const char *source)
{
    return relay_new(world, text("version: 1\n"
                                 "name: @NAME@\n"
                                 "source: {conninfo: \"@CONNINFO@\"%s}\n"
                                 "capture: [{outbox: outbox.event}]\n"
                                 "sink: {file: {path: \"@DIR@/second.jsonl\"}}\n"
                                 "checkpoint: {directory: \"@DIR@/state2\"}\n"
                                 "http: {listen: \"@HTTP@\"}\n"
                                 "log: {format: json, level: info}\n",
                                 source));
}

START_TEST(second_relay_waits_and_takes_over)
{
    struct scene scene = scene_on("takeover", shared_pg());
    relay_begin(scene.relay);
    insert(scene.world, "1");
    wait_confirmed(scene.world);
    struct relay *second = second_relay(scene.world, "");
    relay_start(second, NULL);
    relay_wait_log(second, "WF-3005");
    pause_ms(300);
    REQUIRE(relay_running(second), "it does not wait");
    ck_assert_str_eq(json_string_value(json_object_get(relay_status(second), "state")), "standby");
    REQUIRE(relay_http(second, "/readyz", NULL) == 503, "a standby says that it is ready");
    relay_kill(scene.relay);
    insert(scene.world, "2");
    relay_wait_ready(second);
    wait_confirmed(scene.world);
    relay_stop(second);
    const char *published = read_file(text("%s/second.jsonl", scene.world->dir));
    REQUIRE(strchr(published, '\n') == strrchr(published, '\n') && published[0] != '\0',
            "one row was left to publish, and there is:\n%s", published);
    relay_free(second);
    scene_end(&scene);
}
END_TEST

START_TEST(second_relay_that_may_not_wait)
{
    struct scene scene = scene_on("fail", shared_pg());
    relay_begin(scene.relay);
    struct relay *second = second_relay(scene.world, ", standby: fail");
    relay_start(second, NULL);
    relay_wait(second);
    expect_said(second, 75, "WF-3005", "pg_terminate_backend");
    REQUIRE(relay_running(scene.relay), "the first one ended");
    relay_stop(scene.relay);
    relay_free(second);
    scene_end(&scene);
}
END_TEST

START_TEST(second_relay_in_the_same_directory)
{
    struct scene scene = scene_on("locked", shared_pg());
    relay_begin(scene.relay);
    struct relay *second = relay_new(scene.world, CONFIG);
    const char *elsewhere = text("sink.file.path=%s/second.jsonl", scene.world->dir);
    relay_start(second, "--set", elsewhere, "--set", "source.standby=fail", NULL);
    relay_wait(second);
    expect_said(second, 75, "WF-7003", text("%d", (int)scene.relay->pid));
    relay_stop(scene.relay);
    relay_free(second);
    scene_end(&scene);
}
END_TEST

START_TEST(second_relay_in_the_same_directory_takes_over)
{
    struct scene scene = scene_on("heir", shared_pg());
    relay_begin(scene.relay);
    insert(scene.world, "1");
    wait_confirmed(scene.world);
    struct relay *second = relay_new(scene.world, CONFIG);
    const char *elsewhere = text("sink.file.path=%s/second.jsonl", scene.world->dir);
    relay_start(second, "--set", elsewhere, NULL);
    relay_wait_log(second, "WF-7003");
    ck_assert_str_eq(json_string_value(json_object_get(relay_status(second), "state")), "standby");
    relay_kill(scene.relay);
    insert(scene.world, "2");
    relay_wait_ready(second);
    wait_confirmed(scene.world);
    relay_stop(second);
    const char *published = read_file(text("%s/second.jsonl", scene.world->dir));
    REQUIRE(strchr(published, '\n') == strrchr(published, '\n') && published[0] != '\0',
            "one row was left to publish, and there is:\n%s", published);
    relay_free(second);
    scene_end(&scene);
}
END_TEST

START_TEST(second_relay_in_the_same_directory_ends_when_asked)
{
    struct scene scene = scene_on("heir_ends", shared_pg());
    relay_begin(scene.relay);
    struct relay *second = relay_new(scene.world, CONFIG);
    const char *elsewhere = text("sink.file.path=%s/second.jsonl", scene.world->dir);
    relay_start(second, "--set", elsewhere, NULL);
    relay_wait_log(second, "WF-7003");
    relay_stop(second);
    relay_stop(scene.relay);
    relay_free(second);
    scene_end(&scene);
}
END_TEST

/* ---- standbys ------------------------------------------------------------------------------ */

static void wait_caught_up(struct world *world)
{
    wait_until(sql_number(world, "SELECT count(*) FROM pg_stat_replication WHERE application_name "
                                 "= 'walreceiver' AND replay_lsn = pg_current_wal_lsn()") == 1,
               "the standby does not catch up");
}

/* From now on the world lives on the other server. */
static void move(struct world *world, struct pg_server *to)
{
    world->pg = to;
    strncpy(world->conninfo, pg_conninfo(to, world->name), sizeof world->conninfo - 1);
    world_reconnect(world);
}

static char *both_hosts(const struct world *world, const struct pg_server *first,
                        const struct pg_server *second)
{
    return text("source.conninfo=host=%s,%s port=%u,%u user=postgres dbname=%s "
                "target_session_attrs=primary",
                first->dir, second->dir, first->port, second->port, world->name);
}

START_TEST(promoted_standby_that_has_everything)
{
    struct pg_server *primary = pg_start(NULL);
    struct scene scene = scene_used("promoted", primary, 2);
    struct pg_server *standby = pg_standby(primary, NULL);
    pg_resume(standby);
    world_reconnect(scene.world);
    const char *conninfo = both_hosts(scene.world, primary, standby);
    relay_start(scene.relay, "--set", conninfo, NULL);
    insert(scene.world, "3");
    wait_confirmed(scene.world);
    ck_assert_uint_eq(count_lines(&scene), 3);
    wait_caught_up(scene.world);
    /* Written last, and known to the standby when the primary is gone. */
    insert(scene.world, "4");
    pg_stop(primary, PG_FAST);
    pg_promote(standby);
    move(scene.world, standby);
    insert(scene.world, "5");
    relay_wait_ready(scene.relay);
    wait_until(count_lines(&scene) >= 5, "the relay does not go on at the new primary");
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    ck_assert_uint_eq(count_lines(&scene), 5);
    REQUIRE(strstr(relay_errors(scene.relay), "new timeline") != NULL, "not a word of it");
    /* The checkpoint is of the new timeline. */
    relay_start(scene.relay, "--set", conninfo, NULL);
    relay_wait_ready(scene.relay);
    relay_stop(scene.relay);
    ck_assert_uint_eq(count_lines(&scene), 5);
    scene_end(&scene);
    pg_free(standby);
    pg_free(primary);
}
END_TEST

START_TEST(promoted_standby_that_lagged)
{
    struct pg_server *primary = pg_start(NULL);
    struct scene scene = scene_used("lagged", primary, 2);
    struct pg_server *standby = pg_standby(primary, NULL);
    world_reconnect(scene.world);
    const char *conninfo = both_hosts(scene.world, primary, standby);
    relay_start(scene.relay, "--set", conninfo, NULL);
    /* Published, and never known to the standby. */
    insert(scene.world, "3");
    wait_confirmed(scene.world);
    pg_stop(primary, PG_KILL);
    pg_resume(standby);
    pg_promote(standby);
    relay_wait(scene.relay);
    expect_said(scene.relay, 66, "WF-3011", "lost branch");
    ck_assert_uint_eq(count_lines(&scene), 3);
    /* A new start judges the same. */
    relay_start(scene.relay, "--set", conninfo, NULL);
    relay_wait(scene.relay);
    expect_said(scene.relay, 66, "WF-3011", "timeline");
    move(scene.world, standby);
    scene_end(&scene);
    pg_free(standby);
    pg_free(primary);
}
END_TEST

START_TEST(standby_is_waited_for)
{
    struct pg_server *primary = pg_start(NULL);
    struct scene scene = scene_used("recovery", primary, 1);
    struct pg_server *standby = pg_standby(primary, NULL);
    pg_resume(standby);
    world_reconnect(scene.world);
    insert(scene.world, "2");
    wait_caught_up(scene.world);
    move(scene.world, standby);
    relay_rewrite(scene.relay, CONFIG);
    relay_start(scene.relay, NULL);
    relay_wait_log(scene.relay, "WF-2011");
    REQUIRE(relay_running(scene.relay), "it does not wait");
    ck_assert_uint_eq(count_lines(&scene), 1);
    pg_stop(primary, PG_FAST);
    pg_promote(standby);
    wait_until(count_lines(&scene) == 2, "it does not go on after the promotion");
    relay_stop(scene.relay);
    scene_end(&scene);
    pg_free(standby);
    pg_free(primary);
}
END_TEST

/* ---- tables that change -------------------------------------------------------------------- */

START_TEST(renamed_outbox_stops_before_its_row)
{
    struct scene scene = scene_on("renamed", shared_pg());
    relay_begin(scene.relay);
    insert(scene.world, "1");
    sql(scene.world, "ALTER TABLE outbox.event RENAME TO happening");
    sql(scene.world, "INSERT INTO outbox.happening (aggregate_type, event_type, payload) VALUES "
                     "('order', 'order.placed', '2')");
    relay_wait(scene.relay);
    expect_said(scene.relay, 78, "WF-400", "outbox.happening");
    ck_assert_uint_eq(count_lines(&scene), 1);
    relay_rewrite(scene.relay, text("%s", CONFIG_WITH("", "}, {outbox: outbox.happening")));
    relay_start(scene.relay, NULL);
    wait_until(count_lines(&scene) == 2, "it does not go on after the repair");
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    ck_assert_uint_eq(count_lines(&scene), 2);
    scene_end(&scene);
}
END_TEST

START_TEST(column_that_is_needed_goes)
{
    struct scene scene = scene_on("column", shared_pg());
    relay_begin(scene.relay);
    insert(scene.world, "1");
    /* One that is not needed may go. */
    sql(scene.world, "ALTER TABLE outbox.event DROP COLUMN tracestate");
    insert(scene.world, "2");
    wait_until(count_lines(&scene) == 2, "a column that nobody needs holds it up");
    sql(scene.world, "ALTER TABLE outbox.event ADD COLUMN kind text DEFAULT 'order.paid'");
    sql(scene.world, "ALTER TABLE outbox.event DROP COLUMN event_type");
    sql(scene.world, "INSERT INTO outbox.event (aggregate_type, payload) VALUES ('order', '3')");
    relay_wait(scene.relay);
    expect_said(scene.relay, 78, "WF-4003", "event_type");
    ck_assert_uint_eq(count_lines(&scene), 2);
    relay_rewrite(scene.relay, CONFIG_WITH("", ", columns: {event_type: kind}"));
    relay_start(scene.relay, NULL);
    wait_until(count_lines(&scene) == 3, "it does not go on after the repair");
    relay_stop(scene.relay);
    ck_assert_ptr_nonnull(strstr(read_file(out_path(&scene)), "order.paid"));
    scene_end(&scene);
}
END_TEST

static json_t *line_document(const struct scene *scene, size_t number)
{
    char *line = read_file(out_path(scene));
    for (size_t i = 0; i < number; i++)
        line = strchr(line, '\n') + 1;
    *strchr(line, '\n') = '\0';
    json_t *record = json_loads(line, 0, NULL);
    json_t *document = json_loads(json_string_value(json_object_get(record, "value")), 0, NULL);
    REQUIRE(document != NULL, "line %zu is no record: %s", number, line);
    return document;
}

START_TEST(changed_type_takes_effect_at_its_row)
{
    struct scene scene = scene_used("types", shared_pg(), 0);
    insert(scene.world, "{\"n\":1}");
    sql(scene.world, "ALTER TABLE outbox.event ALTER COLUMN payload TYPE text");
    insert(scene.world, "{\"n\":2}");
    sql(scene.world, "ALTER TABLE outbox.event DROP CONSTRAINT event_payload_size");
    sql(scene.world, "ALTER TABLE outbox.event ALTER COLUMN payload TYPE bytea USING "
                     "convert_to(payload, 'UTF8')");
    insert(scene.world, "\\x00ff");
    relay_start(scene.relay, NULL);
    wait_until(count_lines(&scene) == 3, "the rows do not come");
    relay_stop(scene.relay);
    static const char *const types[] = {"application/json", "text/plain",
                                        "application/octet-stream"};
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(
            json_string_value(json_object_get(line_document(&scene, i), "datacontenttype")),
            types[i]);
    ck_assert_str_eq(json_string_value(json_object_get(line_document(&scene, 1), "data")),
                     "{\"n\":2}");
    ck_assert_str_eq(json_string_value(json_object_get(line_document(&scene, 2), "data_base64")),
                     "AP8=");
    scene_end(&scene);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, nothing_was_set_up);
    tcase_add_test(tests, slot_dropped);
    tcase_add_test(tests, slot_recreated);
    tcase_add_test(tests, slot_advanced);
    tcase_add_test(tests, slot_of_another_plugin);
    tcase_add_test(tests, slot_of_another_database);
    tcase_add_test(tests, slot_invalidated);
    tcase_add_test(tests, slot_invalidated_while_streaming);
    tcase_add_test(tests, publication_missing_at_first);
    tcase_add_test(tests, publication_dropped);
    tcase_add_test(tests, publication_dropped_while_streaming);
    tcase_add_test(tests, publication_without_the_table);
    tcase_add_test(tests, table_taken_out_of_the_publication_while_streaming);
    tcase_add_test(tests, publication_without_inserts);
    tcase_add_test(tests, checkpoint_of_another_server);
    tcase_add_test(tests, checkpoint_of_another_pipeline);
    tcase_add_test(tests, checkpoint_of_another_slot);
    tcase_add_test(tests, checkpoint_ahead_of_the_server);
    tcase_add_test(tests, both_generations_damaged);
    tcase_add_test(tests, newest_generation_damaged);
    tcase_add_test(tests, checkpoint_of_a_newer_version);
    tcase_add_test(tests, checkpoint_lost_goes_on_at_the_slot);
    tcase_add_test(tests, checkpoint_says_up_to_when_commits_are_published);
    tcase_add_test(tests, server_without_logical_wal);
    tcase_add_test(tests, wrong_password);
    tcase_add_test(tests, second_relay_waits_and_takes_over);
    tcase_add_test(tests, second_relay_that_may_not_wait);
    tcase_add_test(tests, second_relay_in_the_same_directory);
    tcase_add_test(tests, second_relay_in_the_same_directory_takes_over);
    tcase_add_test(tests, second_relay_in_the_same_directory_ends_when_asked);
    tcase_add_test(tests, promoted_standby_that_has_everything);
    tcase_add_test(tests, promoted_standby_that_lagged);
    tcase_add_test(tests, standby_is_waited_for);
    tcase_add_test(tests, renamed_outbox_stops_before_its_row);
    tcase_add_test(tests, column_that_is_needed_goes);
    tcase_add_test(tests, changed_type_takes_effect_at_its_row);
}

static const struct e2e_suite guards = {"guards", NEEDS_PG, add};

E2E_MAIN(&guards)
