/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong around a relay, one thing at a time, and what it does about it: see
 * tests/failures.md, which names every failure and its test. Events are numbered, and go to a file
 * unless Kafka is what fails. */
#include <errno.h>
#include <fcntl.h>
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

#define CONFIG_OF(source, capture, sink)                                                           \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n"                                                                               \
    "source: {conninfo: \"@CONNINFO@\", status_interval: 1s" source "}\n"                          \
    "capture: [{outbox: outbox.event" capture "}]\n"                                               \
    "route: {topic: \"@NAME@.${aggregate_type}\"}\n"                                               \
    "envelope: {format: raw}\n"                                                                    \
    "sink: {" sink "}\n"                                                                           \
    "checkpoint: {directory: \"@DIR@/state\", interval: 50ms}\n"                                   \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: info}\n"
#define TO_FILE  "file: {path: \"@DIR@/out.jsonl\"}"
#define TO_KAFKA "kafka: {bootstrap.servers: \"@KAFKA@\"}"
#define CONFIG   CONFIG_OF("", "", TO_FILE)

struct scene {
    struct world *world;
    struct relay *relay;
    int events; /* inserted */
};

static struct scene scene_with(const char *label, struct pg_server *pg, const char *config)
{
    struct scene scene = {.world = world_new_on(label, pg, NULL)};
    scene.relay = relay_new(scene.world, config);
    return scene;
}

/* Initialised, running and ready. */
static struct scene scene_on(const char *label, struct pg_server *pg)
{
    struct scene scene = scene_with(label, pg, CONFIG);
    relay_begin(scene.relay);
    return scene;
}

static void scene_end(struct scene *scene)
{
    relay_free(scene->relay);
    world_free(scene->world);
}

static void insert(struct scene *scene)
{
    sql(scene->world,
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) VALUES "
        "('order', 'k', 'order.placed', '{\"n\":%d}')",
        ++scene->events);
}

/* The numbers in the file, separated by spaces. */
static char *numbers(const struct scene *scene)
{
    static const char mark[] = "{\\\"n\\\":";
    char *list = text("%s", "");
    const char *at = read_file(text("%s/out.jsonl", scene->world->dir));
    while ((at = strstr(at, mark)) != NULL) {
        at += strlen(mark);
        list = text("%s%s%ld", list, list[0] == '\0' ? "" : " ", strtol(at, NULL, 10));
    }
    return list;
}

static char *first_numbers(int count)
{
    char *list = text("%s", "");
    for (int i = 1; i <= count; i++)
        list = text("%s%s%d", list, i == 1 ? "" : " ", i);
    return list;
}

/* Every event so far arrives, once and in order. */
static void expect_all(const struct scene *scene)
{
    const char *expected = first_numbers(scene->events);
    wait_until(strlen(numbers(scene)) >= strlen(expected), "%s of %s came:\n%s", numbers(scene),
               expected, relay_errors(scene->relay));
    ck_assert_str_eq(numbers(scene), expected);
}

static void expect_end(const struct relay *relay, int status, const char *code, const char *words)
{
    const char *said = relay_errors(relay);
    REQUIRE(relay->status == status, "status %d, not %d:\n%s", relay->status, status, said);
    REQUIRE(strstr(said, code) != NULL, "no %s in:\n%s", code, said);
    REQUIRE(strstr(said, "error.hint") != NULL, "no hint in:\n%s", said);
    REQUIRE(strstr(said, words) != NULL, "no \"%s\" in:\n%s", words, said);
}

/* It ends by itself, with this status, code and words. */
static void await_end(struct relay *relay, int status, const char *code, const char *words)
{
    relay_wait(relay);
    expect_end(relay, status, code, words);
}

static bool is_ready(const struct relay *relay)
{
    return relay_http(relay, "/readyz", NULL) == 200;
}

static void end_sessions(struct world *world, const char *user)
{
    sql(world, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s'", user);
}

/* ---- logins -------------------------------------------------------------------------------- */

/* A relay that runs as a role of its own, with a password from a file. */
static struct scene scene_as(const char *role, struct pg_server *pg)
{
    struct scene scene =
        scene_with(role, pg, CONFIG_OF(", password_file: @DIR@/password", "", TO_FILE));
    const char *file = text("%s/password", scene.world->dir);
    write_file(file, "first\n");
    REQUIRE(chmod(file, 0600) == 0, "chmod: %s", strerror(errno));
    ck_assert_int_eq(relay_command(scene.relay, "init", NULL), 0);
    sql(scene.world, "CREATE ROLE %s LOGIN REPLICATION PASSWORD 'first'", role);
    relay_start(scene.relay, "--set",
                text("source.conninfo=host=%s port=%u user=%s dbname=%s", pg->dir, pg->port, role,
                     scene.world->name),
                NULL);
    relay_wait_ready(scene.relay);
    insert(&scene);
    expect_all(&scene);
    return scene;
}

static void recovers(struct scene *scene)
{
    REQUIRE(relay_running(scene->relay), "it gave up:\n%s", relay_errors(scene->relay));
    insert(scene);
    expect_all(scene);
    wait_until(is_ready(scene->relay), "it is not ready");
    relay_stop(scene->relay);
    scene_end(scene);
}

/* Three at once, because a refused login is tried again only every 30 s. */
START_TEST(refused_logins_are_told_apart_and_waited_out)
{
    struct pg_server *pg = pg_start(NULL);
    const char *hba = text("%s/pg_hba.conf", pg->data);
    const char *rules = read_file(hba);
    write_file(hba, text("local all rotated scram-sha-256\n%s", rules));
    pg_reload(pg);
    struct scene rotated = scene_as("rotated", pg);
    struct scene demoted = scene_as("demoted", pg);
    struct scene banned = scene_as("banned", pg);
    sql(rotated.world, "ALTER ROLE rotated PASSWORD 'second'");
    sql(rotated.world, "ALTER ROLE demoted NOREPLICATION");
    write_file(hba, text("local all banned reject\nlocal all rotated scram-sha-256\n%s", rules));
    pg_reload(pg);
    wait_until(sql_number(rotated.world, "SELECT count(*) FROM pg_hba_file_rules WHERE user_name = "
                                         "'{banned}'") == 1,
               "the rule is not read");
    end_sessions(rotated.world, "rotated");
    end_sessions(rotated.world, "demoted");
    end_sessions(rotated.world, "banned");
    relay_wait_log(rotated.relay, "\"28P01\"");
    relay_wait_log(rotated.relay, "WF-2002");
    relay_wait_log(demoted.relay, "\"42501\"");
    relay_wait_log(demoted.relay, "ALTER ROLE \\\"demoted\\\" REPLICATION");
    relay_wait_log(banned.relay, "\"28000\"");
    ck_assert(!is_ready(rotated.relay) && !is_ready(demoted.relay) && !is_ready(banned.relay));
    ck_assert(relay_metric(rotated.relay, "walferry_source_connected") == 0);
    REQUIRE(strstr(relay_errors(rotated.relay), "first") == NULL, "the secret is in the log");
    write_file(text("%s/password", rotated.world->dir), "second\n");
    sql(rotated.world, "ALTER ROLE demoted REPLICATION");
    write_file(hba, text("local all rotated scram-sha-256\n%s", rules));
    pg_reload(pg);
    recovers(&rotated);
    recovers(&demoted);
    recovers(&banned);
    pg_free(pg);
}
END_TEST

/* Somebody else takes the only walsender that the server has. */
START_TEST(too_many_connections_are_waited_out)
{
    struct pg_server *pg = pg_start("max_wal_senders = 1");
    struct scene scene = scene_on("crowded", pg);
    insert(&scene);
    expect_all(&scene);
    relay_signal(scene.relay, SIGSTOP);
    sql(scene.world, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
                     "active");
    PGconn *other = NULL;
    const char *conninfo = text("%s replication=database", pg_conninfo(pg, scene.world->name));
    wait_until((PQfinish(other), other = PQconnectdb(conninfo), PQstatus(other) == CONNECTION_OK),
               "%s", PQerrorMessage(other));
    relay_signal(scene.relay, SIGCONT);
    relay_wait_log(scene.relay, "\"53300\"");
    relay_wait_log(scene.relay, "WF-2001");
    relay_wait_log(scene.relay, "max_wal_senders");
    insert(&scene);
    ck_assert_str_eq(numbers(&scene), "1");
    PQfinish(other);
    recovers(&scene);
    pg_free(pg);
}
END_TEST

/* ---- TLS ----------------------------------------------------------------------------------- */

static void run_program(const char *const *argv)
{
    const struct spawn spawn = {.argv = argv};
    REQUIRE(process_run(&spawn, DEADLINE_MS) == 0, "%s %s fails", argv[0], argv[1]);
}

/* A certificate that signs itself, for 127.0.0.1, and its key; readable by the server. */
static void make_certificate(const struct pg_server *pg, const char *name)
{
    struct stat owner;
    const char *key = text("%s/%s.key", pg->dir, name);
    const char *certificate = text("%s/%s.crt", pg->dir, name);
    const char *const argv[] = {"openssl",
                                "req",
                                "-x509",
                                "-newkey",
                                "ec",
                                "-pkeyopt",
                                "ec_paramgen_curve:prime256v1",
                                "-nodes",
                                "-days",
                                "2",
                                "-subj",
                                "/CN=127.0.0.1",
                                "-addext",
                                "subjectAltName=IP:127.0.0.1",
                                "-keyout",
                                key,
                                "-out",
                                certificate,
                                NULL};
    run_program(argv);
    REQUIRE(stat(pg->data, &owner) == 0, "%s: %s", pg->data, strerror(errno));
    REQUIRE(chmod(key, 0600) == 0 && chown(key, owner.st_uid, owner.st_gid) == 0 &&
                chmod(certificate, 0644) == 0,
            "%s: %s", key, strerror(errno));
}

static char *tls_conninfo(const struct scene *scene, const char *authority)
{
    return text("source.conninfo=%s sslmode=verify-full sslrootcert=%s/%s.crt",
                pg_conninfo_tcp(scene->world->pg, scene->world->name), scene->world->pg->dir,
                authority);
}

START_TEST(a_certificate_that_is_not_trusted_is_never_bypassed)
{
    struct pg_server *pg = pg_start(NULL);
    make_certificate(pg, "server");
    make_certificate(pg, "stranger");
    struct scene scene = scene_with("tls", pg, CONFIG);
    ck_assert_int_eq(relay_command(scene.relay, "init", NULL), 0);
    insert(&scene);
    /* A server without TLS is not good enough either. */
    relay_start(scene.relay, "--set", tls_conninfo(&scene, "server"), NULL);
    relay_wait_log(scene.relay, "server does not support SSL");
    relay_stop(scene.relay);
    pg_configure(pg, text("ssl = on\nssl_cert_file = '%s/server.crt'\nssl_key_file = "
                          "'%s/server.key'\n",
                          pg->dir, pg->dir));
    pg_reload(pg);
    wait_until(strcmp(sql_value(scene.world, "SHOW ssl"), "on") == 0, "no TLS");
    relay_start(scene.relay, "--set", tls_conninfo(&scene, "stranger"), NULL);
    relay_wait_log(scene.relay, "certificate verify failed");
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(sql_number(scene.world,
                                    "SELECT count(*) FROM pg_stat_activity WHERE application_name "
                                    "LIKE 'walferry%%'"),
                         0);
        pause_ms(50);
    }
    REQUIRE(relay_running(scene.relay), "it gave up");
    ck_assert_str_eq(numbers(&scene), "");
    /* The certificate is read anew at every attempt: one that was mended is taken. */
    const char *const copy[] = {"cp", text("%s/server.crt", pg->dir),
                                text("%s/stranger.crt", pg->dir), NULL};
    run_program(copy);
    expect_all(&scene);
    ck_assert_int_eq(sql_number(scene.world,
                                "SELECT count(*) FROM pg_stat_activity a JOIN pg_stat_ssl s USING "
                                "(pid) WHERE a.application_name LIKE 'walferry%%' AND NOT s.ssl"),
                     0);
    relay_stop(scene.relay);
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* ---- slots --------------------------------------------------------------------------------- */

/* Behind the back of a relay that stands still. */
START_TEST(slot_dropped_while_streaming)
{
    struct scene scene = scene_on("taken", shared_pg());
    insert(&scene);
    expect_all(&scene);
    relay_signal(scene.relay, SIGSTOP);
    sql(scene.world,
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '%s'",
        scene.world->slot);
    wait_until(sql_number(scene.world,
                          "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s' AND "
                          "active",
                          scene.world->slot) == 0,
               "the slot stays active");
    sql(scene.world, "SELECT pg_drop_replication_slot('%s')", scene.world->slot);
    relay_signal(scene.relay, SIGCONT);
    await_end(scene.relay, 66, "WF-3002", "walferry init");
    scene_end(&scene);
}
END_TEST

START_TEST(slot_in_danger_is_told_before_it_is_lost)
{
    struct pg_server *pg = pg_start("max_slot_wal_keep_size = '64MB'\n"
                                    "min_wal_size = '32MB'\nmax_wal_size = '32MB'");
    struct scene scene = scene_on("danger", pg);
    insert(&scene);
    wait_confirmed(scene.world);
    /* A transaction that stays open holds the slot's restart position, whatever is confirmed. */
    PGconn *writer = world_connect(scene.world);
    PQclear(sql_on(writer, "BEGIN; CREATE TABLE held (n int); SELECT pg_current_xact_id()"));
    for (int i = 0; i < 4; i++) {
        sql(scene.world, "SELECT pg_switch_wal()");
        sql(scene.world, "CREATE TABLE filler%d AS SELECT 1", i);
    }
    relay_wait_log(scene.relay, "WF-3015");
    wait_until(relay_metric(scene.relay, "walferry_slot_safe_wal_bytes") < 32 << 20,
               "the metric does not tell");
    ck_assert(is_ready(scene.relay));
    PQclear(sql_on(writer, "COMMIT"));
    PQfinish(writer);
    wait_until((sql(scene.world, "CHECKPOINT"),
                strstr(relay_errors(scene.relay), "out of danger") != NULL),
               "it does not say that it is over");
    relay_stop(scene.relay);
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* PostgreSQL 18. */
START_TEST(slot_given_up_because_nobody_used_it)
{
    struct pg_server *pg = pg_start("idle_replication_slot_timeout = '1s'");
    struct scene scene = scene_on("unused", pg);
    insert(&scene);
    expect_all(&scene);
    relay_stop(scene.relay);
    insert(&scene);
    wait_until((sql(scene.world, "CHECKPOINT"),
                sql_number(scene.world,
                           "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s' AND "
                           "invalidation_reason = 'idle_timeout'",
                           scene.world->slot) == 1),
               "the slot stays valid");
    relay_start(scene.relay, NULL);
    await_end(scene.relay, 66, "WF-3003", "idle_timeout");
    ck_assert_str_eq(numbers(&scene), "1");
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* ---- publications -------------------------------------------------------------------------- */

static void publish(struct world *world, const char *table, const char *with)
{
    sql(world, "DROP PUBLICATION IF EXISTS %s", world->slot);
    sql(world, "CREATE PUBLICATION %s FOR TABLE %s WITH (publish_via_partition_root = true%s)",
        world->slot, table, with);
}

static void make_slot(struct world *world)
{
    sql(world, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", world->slot);
}

/* The publication is made as a person would, and the slot after it. */
static struct scene scene_published(const char *label, const char *table, const char *with)
{
    struct scene scene = scene_with(label, shared_pg(), CONFIG);
    sql_file(scene.world, "001_outbox.sql");
    publish(scene.world, table, with);
    make_slot(scene.world);
    return scene;
}

/* What was committed in between is in no publication, whichever version it is. */
START_TEST(publication_dropped_and_made_again)
{
    struct scene scene = scene_on("remade", shared_pg());
    insert(&scene);
    expect_all(&scene);
    relay_stop(scene.relay);
    insert(&scene);
    sql(scene.world, "DROP PUBLICATION %s", scene.world->slot);
    insert(&scene);
    publish(scene.world, "outbox.event", "");
    insert(&scene);
    relay_start(scene.relay, NULL);
    await_end(scene.relay, 66, "WF-3007", "pg_drop_replication_slot");
    REQUIRE(strcmp(numbers(&scene), "1 2") == 0 || strcmp(numbers(&scene), "1") == 0,
            "more than was published came: %s", numbers(&scene));
    scene_end(&scene);
}
END_TEST

/* PostgreSQL 15 and later, as the next two. */
START_TEST(row_filter_is_told)
{
    struct scene scene = scene_published("filter", "outbox.event WHERE (aggregate_type = 'order')",
                                         ", publish = 'insert'");
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    relay_wait_log(scene.relay, "WF-3014");
    insert(&scene);
    sql(scene.world, "INSERT INTO outbox.event (aggregate_type, event_type, payload) VALUES "
                     "('other', 'order.placed', '{\"n\":99}')");
    insert(&scene);
    expect_all(&scene);
    wait_confirmed(scene.world);
    ck_assert_str_eq(numbers(&scene), "1 2");
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(column_list_that_leaves_out_a_field_is_refused)
{
    struct scene scene = scene_published("columns", "outbox.event (id, event_type, payload)",
                                         ", publish = 'insert'");
    relay_start(scene.relay, NULL);
    await_end(scene.relay, 66, "WF-3008", "ALTER PUBLICATION");
    /* And the hint is true. */
    sql(scene.world,
        "BEGIN; ALTER PUBLICATION \"%s\" DROP TABLE \"outbox\".\"event\"; ALTER PUBLICATION \"%s\" "
        "ADD TABLE \"outbox\".\"event\"; COMMIT",
        scene.world->slot, scene.world->slot);
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    insert(&scene);
    expect_all(&scene);
    relay_stop(scene.relay);
    /* So is the other one: who does not read it need not be sent it. */
    publish(scene.world, "outbox.event (id, aggregate_type, event_type, payload)",
            ", publish = 'insert'");
    relay_rewrite(scene.relay,
                  CONFIG_OF("",
                            ", columns: {aggregate_id: \"\", event_version: \"\", headers: \"\", "
                            "visibility: \"\", traceparent: \"\", tracestate: \"\", "
                            "correlation_id: \"\", causation_id: \"\", topic: \"\", partition: "
                            "\"\", key: \"\", occurred_at: \"\"}",
                            TO_FILE));
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(column_taken_out_of_the_list_while_streaming)
{
    struct scene scene = scene_published("narrow", "outbox.event", ", publish = 'insert'");
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    insert(&scene);
    expect_all(&scene);
    sql(scene.world,
        "ALTER PUBLICATION %s SET TABLE outbox.event (id, aggregate_type, event_type, payload)",
        scene.world->slot);
    await_end(scene.relay, 66, "WF-3008", "outbox.event");
    scene_end(&scene);
}
END_TEST

/* It is in the table, and in no message of the stream. */
START_TEST(generated_column_is_refused)
{
    struct scene scene = scene_with("generated", shared_pg(), CONFIG);
    sql(scene.world, "CREATE SCHEMA outbox; CREATE TABLE outbox.event (id uuid PRIMARY KEY DEFAULT "
                     "gen_random_uuid(), event_type text, payload json, aggregate_id text "
                     "GENERATED ALWAYS AS (payload ->> 'n') STORED, aggregate_type text)");
    publish(scene.world, "outbox.event", ", publish = 'insert'");
    make_slot(scene.world);
    relay_start(scene.relay, NULL);
    await_end(scene.relay, 66, "WF-3008", "aggregate_id");
    if (scene.world->pg->version >= 18) {
        publish(scene.world, "outbox.event",
                ", publish = 'insert', publish_generated_columns = stored");
        relay_start(scene.relay, NULL);
        relay_wait_ready(scene.relay);
        sql(scene.world, "INSERT INTO outbox.event (event_type, payload, aggregate_type) VALUES "
                         "('a', '{\"n\":1}', 'order')");
        scene.events = 1;
        expect_all(&scene);
        ck_assert_ptr_nonnull(
            strstr(read_file(text("%s/out.jsonl", scene.world->dir)), "\"key\":\"1\""));
        relay_stop(scene.relay);
    }
    scene_end(&scene);
}
END_TEST

/* ---- tables -------------------------------------------------------------------------------- */

START_TEST(what_is_no_insert_is_counted_and_told)
{
    struct scene scene = scene_published("changes", "outbox.event", "");
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    insert(&scene);
    sql(scene.world, "INSERT INTO outbox.event SELECT * FROM outbox.event ON CONFLICT (id) DO "
                     "UPDATE SET event_type = 'order.changed'");
    sql(scene.world, "UPDATE outbox.event SET event_type = 'order.lost'");
    sql(scene.world, "DELETE FROM outbox.event");
    insert(&scene);
    expect_all(&scene);
    relay_wait_log(scene.relay, "WF-5012");
    ck_assert_ptr_nonnull(strstr(relay_errors(scene.relay), "ON CONFLICT DO UPDATE"));
    sql(scene.world, "TRUNCATE outbox.event");
    insert(&scene);
    expect_all(&scene);
    relay_wait_log(scene.relay, "the table was truncated");
    static const char skipped[] = "walferry_events_skipped_total{reason=\"%s\"}";
    ck_assert(relay_metric(scene.relay, text(skipped, "update")) == 2);
    ck_assert(relay_metric(scene.relay, text(skipped, "delete")) == 1);
    ck_assert(relay_metric(scene.relay, text(skipped, "truncate")) == 1);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

START_TEST(detached_partition_takes_nothing_with_it)
{
    struct scene scene = scene_with("detached", shared_pg(), CONFIG);
    sql(scene.world, "CREATE SCHEMA outbox; CREATE TABLE outbox.event (id uuid NOT NULL DEFAULT "
                     "gen_random_uuid(), aggregate_type text, aggregate_id text, event_type text, "
                     "payload json, day int NOT NULL DEFAULT 1) PARTITION BY LIST (day)");
    for (int i = 1; i <= 2; i++)
        sql(scene.world,
            "CREATE TABLE outbox.event_%d PARTITION OF outbox.event FOR VALUES IN "
            "(%d)",
            i, i);
    publish(scene.world, "outbox.event", ", publish = 'insert'");
    make_slot(scene.world);
    insert(&scene);
    sql(scene.world, "ALTER TABLE outbox.event DETACH PARTITION outbox.event_1");
    sql(scene.world, "ALTER TABLE outbox.event ALTER day SET DEFAULT 2");
    insert(&scene);
    relay_start(scene.relay, NULL);
    expect_all(&scene);
    sql(scene.world, "DROP TABLE outbox.event_1");
    /* What goes into a table that left belongs to nobody, and holds nothing up. (PostgreSQL 14
     * sends it all the same.) */
    sql(scene.world, "ALTER TABLE outbox.event DETACH PARTITION outbox.event_2");
    if (scene.world->pg->version >= 15)
        sql(scene.world,
            "INSERT INTO outbox.event_2 (event_type, payload) VALUES ('a', '{\"n\":99}')");
    sql(scene.world, "ALTER TABLE outbox.event ATTACH PARTITION outbox.event_2 FOR VALUES IN (2)");
    insert(&scene);
    expect_all(&scene);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

/* ---- transactions -------------------------------------------------------------------------- */

START_TEST(prepared_transactions_come_when_they_commit)
{
    struct pg_server *pg = pg_start("max_prepared_transactions = 5");
    struct scene scene = scene_on("prepared", pg);
    static const char event[] = "INSERT INTO outbox.event (aggregate_type, event_type, payload) "
                                "VALUES ('order', 'a', '{\"n\":%d}')";
    sql(scene.world, "BEGIN");
    sql(scene.world, event, 2);
    sql(scene.world, "PREPARE TRANSACTION 'kept'");
    sql(scene.world, "BEGIN");
    sql(scene.world, event, 99);
    sql(scene.world, "PREPARE TRANSACTION 'dropped'");
    insert(&scene);
    expect_all(&scene);
    /* Nor does a restart of both hurry it. */
    relay_stop(scene.relay);
    pg_stop(pg, PG_FAST);
    pg_resume(pg);
    world_reconnect(scene.world);
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    ck_assert_str_eq(numbers(&scene), "1");
    sql(scene.world, "ROLLBACK PREPARED 'dropped'");
    sql(scene.world, "COMMIT PREPARED 'kept'");
    scene.events = 2;
    insert(&scene);
    expect_all(&scene);
    relay_stop(scene.relay);
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

START_TEST(a_hundred_thousand_subtransactions)
{
    struct scene scene = scene_on("nested", shared_pg());
    sql(scene.world,
        "DO $$ DECLARE n int := 0; BEGIN FOR i IN 1..100000 LOOP BEGIN "
        "IF i %% 1000 = 0 THEN n := n + 1; INSERT INTO outbox.event (aggregate_type, event_type, "
        "payload) VALUES ('order', 'a', json_build_object('n', n)); END IF; "
        "IF i %% 1000 = 500 THEN INSERT INTO outbox.event (aggregate_type, event_type, payload) "
        "VALUES ('order', 'a', '{\"n\":99999}'); RAISE EXCEPTION 'no'; END IF; "
        "IF i %% 7 = 0 THEN RAISE EXCEPTION 'no'; END IF; "
        "PERFORM pg_current_xact_id(); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$");
    /* json_build_object() writes a blank. */
    wait_confirmed(scene.world);
    const char *out = read_file(text("%s/out.jsonl", scene.world->dir));
    int rows = 0;
    for (const char *at = out; (at = strchr(at, '\n')) != NULL; at++)
        rows++;
    ck_assert_int_eq(rows, (int)sql_number(scene.world, "SELECT count(*) FROM outbox.event"));
    ck_assert_int_gt(rows, 80);
    ck_assert_ptr_null(strstr(out, "99999"));
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

/* ---- data that the server cannot send as it is ---------------------------------------------- */

static void recreate_database(struct world *world, const char *options)
{
    PGconn *server = pg_session(world->pg, "postgres");
    PQfinish(world->db);
    PQclear(sql_on(server, text("DROP DATABASE %s", world->name)));
    PQclear(sql_on(server, text("CREATE DATABASE %s TEMPLATE template0 %s", world->name, options)));
    PQfinish(server);
    world->db = world_connect(world);
}

START_TEST(latin1_becomes_utf8)
{
    struct scene scene = scene_with("latin", shared_pg(), CONFIG);
    recreate_database(scene.world, "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    relay_begin(scene.relay);
    sql(scene.world, "SET client_encoding = 'UTF8'");
    sql(scene.world,
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) VALUES "
        "('order', 'm\u00fcller', 'a', '{\"n\":1,\"t\":\"gr\u00fc\u00dfe\"}')");
    scene.events = 1;
    expect_all(&scene);
    const char *out = read_file(text("%s/out.jsonl", scene.world->dir));
    REQUIRE(strstr(out, "gr\u00fc\u00dfe") != NULL && strstr(out, "\"m\u00fcller\"") != NULL,
            "not as it was: %s", out);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

/* As text it would be more than the gigabyte that PostgreSQL can hold at a time. */
START_TEST(row_that_the_server_cannot_send)
{
    struct pg_server *pg = pg_start(NULL);
    struct scene scene = scene_with("huge", pg, CONFIG);
    sql(scene.world,
        "CREATE SCHEMA outbox; CREATE TABLE outbox.event (id uuid PRIMARY KEY DEFAULT "
        "gen_random_uuid(), aggregate_type text, aggregate_id text, event_type text, payload "
        "json, fat bytea)");
    publish(scene.world, "outbox.event", ", publish = 'insert'");
    make_slot(scene.world);
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    insert(&scene);
    sql(scene.world, "BEGIN");
    insert(&scene);
    sql(scene.world, "INSERT INTO outbox.event (aggregate_type, event_type, payload, fat) VALUES "
                     "('order', 'a', '{\"n\":99}', (SELECT half || half FROM (SELECT decode(repeat("
                     "'00', 300 * 1024 * 1024), 'hex') AS half) AS halves))");
    sql(scene.world, "COMMIT");
    insert(&scene);
    await_end(scene.relay, 65, "WF-2014", "pg_replication_slot_advance");
    ck_assert_str_eq(numbers(&scene), "1 2");
    /* A new start comes to the same end, and repeats nothing. */
    relay_start(scene.relay, NULL);
    await_end(scene.relay, 65, "WF-2014", "pg_replication_slot_advance");
    ck_assert_str_eq(numbers(&scene), "1 2");
    /* The hint passes this transaction and no other. */
    const char *at = strstr(relay_errors(scene.relay), "SELECT pg_replication_slot_advance(");
    REQUIRE(at != NULL && strchr(at, ';') != NULL, "no command: %s", at);
    wait_until(sql_number(scene.world, "SELECT count(*) FROM pg_replication_slots WHERE active") ==
                   0,
               "the server does not let go of the slot");
    sql(scene.world, "%.*s", (int)(strchr(at, ';') - at), at);
    remove_tree(text("%s/state", scene.world->dir));
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    expect_all(&scene);
    relay_stop(scene.relay);
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* ---- time ---------------------------------------------------------------------------------- */

/* Longer than the server waits for a sign of life: another relay may have taken over meanwhile. */
START_TEST(a_relay_that_stood_still_begins_anew)
{
    struct pg_server *pg = pg_start("wal_sender_timeout = '1s'");
    struct scene scene = scene_on("still", pg);
    for (int i = 0; i < 5; i++)
        insert(&scene);
    expect_all(&scene);
    relay_signal(scene.relay, SIGSTOP);
    for (int i = 0; i < 40; i++) {
        insert(&scene);
        pause_ms(100);
    }
    wait_until(sql_number(scene.world, "SELECT count(*) FROM pg_replication_slots WHERE active") ==
                   0,
               "the server waits for ever");
    relay_signal(scene.relay, SIGCONT);
    expect_all(&scene);
    relay_wait_log(scene.relay, "WF-2004");
    ck_assert(relay_metric(scene.relay, "walferry_reconnects_total{side=\"source\"}") >= 1);
    relay_stop(scene.relay);
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* The wall clock is moved by a library that is loaded before the C library: what the file that
 * WALFERRY_TEST_CLOCK names holds, in seconds, is added to it. */
START_TEST(a_clock_that_jumps_changes_nothing)
{
    static const char *const steps[] = {"864000", "-864000", "315360000", "0", "-1000000000"};
    struct world *world = world_new_on("clock", shared_pg(), NULL);
    const char *shift = text("%s/shift", world->dir);
    write_file(shift, "0");
    REQUIRE(getenv("WALFERRY_TEST_CLOCK_LIB") != NULL, "where is the library?");
    struct scene scene = {.world = world, .relay = relay_new(world, CONFIG)};
    ck_assert_int_eq(relay_command(scene.relay, "init", NULL), 0);
    setenv("WALFERRY_TEST_CLOCK", shift, 1);
    setenv("LD_PRELOAD", getenv("WALFERRY_TEST_CLOCK_LIB"), 1);
    relay_start(scene.relay, NULL);
    unsetenv("LD_PRELOAD");
    relay_wait_ready(scene.relay);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        write_file(shift, steps[i]);
        insert(&scene);
        expect_all(&scene);
        wait_confirmed(world);
        ck_assert(is_ready(scene.relay));
    }
    /* It did jump. */
    relay_signal(scene.relay, SIGHUP);
    relay_wait_log(scene.relay, "\"@timestamp\":\"199");
    ck_assert(relay_metric(scene.relay, "walferry_reconnects_total") == 0);
    relay_stop(scene.relay);
    scene_end(&scene);
}
END_TEST

/* ---- standard error, names, memory --------------------------------------------------------- */

START_TEST(a_log_that_nobody_reads_holds_nothing_up)
{
    struct world *world = world_new_on("log", shared_pg(), NULL);
    struct scene scene = {.world = world, .relay = relay_new(world, CONFIG)};
    ck_assert_int_eq(relay_command(scene.relay, "init", NULL), 0);
    const char *pipe_path = text("%s/log", world->dir);
    REQUIRE(mkfifo(pipe_path, 0600) == 0, "mkfifo: %s", strerror(errno));
    int reader = open(pipe_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(reader >= 0, "%s: %s", pipe_path, strerror(errno));
    char page[4096] = {0};
    while (write(reader, page, sizeof page) > 0)
        ;
    const char *const argv[] = {getenv("WALFERRY_BIN"), "run", "-c", scene.relay->config, "--set",
                                "log.level=debug",      NULL};
    const struct spawn spawn = {.argv = argv, .err_path = pipe_path};
    scene.relay->pid = process_spawn(&spawn);
    wait_until(is_ready(scene.relay), "it does not come up");
    for (int i = 0; i < 50; i++)
        insert(&scene);
    wait_until(strcmp(numbers(&scene), first_numbers(50)) == 0, "the data waits for the log");
    wait_confirmed(world);
    double dropped = relay_metric(scene.relay, "walferry_log_lines_dropped_total");
    REQUIRE(dropped > 0, "no line was dropped: was the pipe full?");
    /* When somebody reads again, he is told what he missed. */
    while (read(reader, page, sizeof page) > 0)
        ;
    relay_signal(scene.relay, SIGHUP);
    char *said = text("%s", "");
    wait_until((pause_ms(20), memset(page, 0, sizeof page),
                read(reader, page, sizeof page - 1) > 0 ? (said = text("%s%s", said, page)) : said,
                strstr(said, "log lines dropped") != NULL),
               "not a word of the lines that were dropped: %s", said);
    relay_stop(scene.relay);
    close(reader);
    scene_end(&scene);
}
END_TEST

/* A file of host names that is this test's own. False: this user may not have one. */
static bool own_hosts(const char *path)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(path, "/etc/hosts", NULL, MS_BIND, NULL) == 0;
}

START_TEST(a_name_is_looked_up_anew_at_every_attempt)
{
    struct pg_server *pg = pg_start(NULL);
    struct scene scene = scene_with("names", pg, CONFIG);
    const char *hosts = text("%s/hosts", scene.world->dir);
    write_file(hosts, "127.0.0.1 localhost\n127.0.0.1 moving.test\n");
    REQUIRE(own_hosts(hosts), "no file of host names of our own: %s", strerror(errno));
    ck_assert_int_eq(relay_command(scene.relay, "init", NULL), 0);
    relay_start(scene.relay, "--set",
                text("source.conninfo=host=moving.test port=%u user=postgres dbname=%s", pg->port,
                     scene.world->name),
                NULL);
    relay_wait_ready(scene.relay);
    insert(&scene);
    expect_all(&scene);
    pg_stop(pg, PG_FAST);
    write_file(hosts, "127.0.0.1 localhost\n");
    relay_wait_log(scene.relay, "could not translate host name");
    pg_configure(pg, "listen_addresses = '127.0.0.2'");
    write_file(text("%s/pg_hba.conf", pg->data), "local all all trust\nhost all all 127.0.0.0/8 "
                                                 "trust\nlocal replication all trust\n");
    pg_resume(pg);
    world_reconnect(scene.world);
    write_file(hosts, "127.0.0.1 localhost\n127.0.0.2 moving.test\n");
    insert(&scene);
    expect_all(&scene);
    relay_stop(scene.relay);
    scene_end(&scene);
    pg_free(pg);
}
END_TEST

/* ---- copies -------------------------------------------------------------------------------- */

/* A copy of the disk has the slot, the system identifier and the timeline of the original. What
 * betrays it is that it lacks what was published since. */
START_TEST(a_copy_of_the_server_is_refused_while_it_is_behind)
{
    struct pg_server *pg = pg_start(NULL);
    struct scene scene = scene_on("copied", pg);
    insert(&scene);
    expect_all(&scene);
    relay_stop(scene.relay);
    pg_stop(pg, PG_FAST);
    struct pg_server *copy = pg_copy(pg, NULL);
    pg_resume(pg);
    world_reconnect(scene.world);
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    for (int i = 0; i < 20; i++)
        insert(&scene);
    sql(scene.world, "CREATE TABLE filler AS SELECT repeat(md5(i::text), 40) FROM "
                     "generate_series(1, 5000) i");
    insert(&scene);
    expect_all(&scene);
    wait_confirmed(scene.world);
    relay_stop(scene.relay);
    pg_resume(copy);
    const char *conninfo = text("source.conninfo=%s", pg_conninfo(copy, scene.world->name));
    relay_start(scene.relay, "--set", conninfo, NULL);
    await_end(scene.relay, 66, "WF-3012", "is a copy");
    expect_all(&scene);
    scene_end(&scene);
    pg_free(copy);
    pg_free(pg);
}
END_TEST

/* ---- Kafka ---------------------------------------------------------------------------------- */

/* Who has a rule of his own for a topic shuts out everybody else. */
static void take_rights(const struct kafka_server *kafka, const char *topic)
{
    char message[256];
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, kafka->address, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AclBinding_t *rule = rd_kafka_AclBinding_new(
        RD_KAFKA_RESOURCE_TOPIC, topic, RD_KAFKA_RESOURCE_PATTERN_LITERAL, "User:somebody", "*",
        RD_KAFKA_ACL_OPERATION_WRITE, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, message, sizeof message);
    REQUIRE(rule != NULL, "%s", message);
    rd_kafka_CreateAcls(client, &rule, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_MS);
    REQUIRE(event != NULL && rd_kafka_event_error(event) == 0, "the right is not taken");
    rd_kafka_event_destroy(event);
    rd_kafka_AclBinding_destroy(rule);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

static void give_rights(const struct kafka_server *kafka, const char *topic)
{
    char message[256];
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, kafka->address, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AclBindingFilter_t *rules = rd_kafka_AclBindingFilter_new(
        RD_KAFKA_RESOURCE_TOPIC, topic, RD_KAFKA_RESOURCE_PATTERN_LITERAL, NULL, NULL,
        RD_KAFKA_ACL_OPERATION_ANY, RD_KAFKA_ACL_PERMISSION_TYPE_ANY, message, sizeof message);
    REQUIRE(rules != NULL, "%s", message);
    rd_kafka_DeleteAcls(client, &rules, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_MS);
    REQUIRE(event != NULL && rd_kafka_event_error(event) == 0, "the right is not given");
    rd_kafka_event_destroy(event);
    rd_kafka_AclBinding_destroy(rules);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

static char *numbers_of(struct records records)
{
    char *list = text("%s", "");
    for (size_t i = 0; i < records.count; i++)
        list = text("%s%s%ld", list, i == 0 ? "" : " ",
                    strtol(records.items[i].value + strlen("{\"n\":"), NULL, 10));
    return list;
}

START_TEST(rights_taken_away_are_waited_for)
{
    struct kafka_server *kafka = kafka_start(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
        "allow.everyone.if.no.acl.found=true\n");
    struct scene scene = {.world = world_new_on("rights", shared_pg(), kafka)};
    const char *topic = world_topic(scene.world, "order");
    kafka_create_topic(kafka, topic, 1, NULL);
    scene.relay = relay_new(scene.world, CONFIG_OF("", "", TO_KAFKA));
    relay_begin(scene.relay);
    struct consumer *consumer = consumer_new(scene.world, topic, NULL);
    for (int i = 0; i < 5; i++)
        insert(&scene);
    consumer_exactly(consumer, 5);
    take_rights(kafka, topic);
    /* A right is lost soon after it was taken. */
    wait_until((insert(&scene), strstr(relay_errors(scene.relay), "WF-6003") != NULL),
               "nothing is refused");
    wait_until(!is_ready(scene.relay), "it says that it is ready");
    insert(&scene);
    REQUIRE(relay_running(scene.relay), "it gave up:\n%s", relay_errors(scene.relay));
    ck_assert(relay_metric(scene.relay, "walferry_dead_letters_total") == 0);
    give_rights(kafka, topic);
    struct records records = consumer_exactly(consumer, (size_t)scene.events);
    ck_assert_str_eq(numbers_of(records), first_numbers(scene.events));
    wait_until(is_ready(scene.relay), "it is not ready");
    ck_assert(relay_metric(scene.relay, "walferry_dead_letters_total") == 0);
    relay_stop(scene.relay);
    consumer_free(consumer);
    scene_end(&scene);
    kafka_free(kafka);
}
END_TEST

/* Hours are not tested: what would grow with them is the retained WAL alone. */
START_TEST(kafka_away_costs_no_memory_and_gives_nothing_up)
{
    struct kafka_server *kafka = kafka_start(NULL);
    struct scene scene = {.world = world_new_on("away", shared_pg(), kafka)};
    const char *topic = world_topic(scene.world, "order");
    kafka_create_topic(kafka, topic, 1, NULL);
    scene.relay = relay_new(scene.world, CONFIG_OF("", "", TO_KAFKA));
    relay_rewrite(scene.relay, text("%sdelivery: {max_in_flight_events: 1000}\n",
                                    CONFIG_OF(", heartbeat_interval: 0", "", TO_KAFKA)));
    relay_begin(scene.relay);
    struct consumer *consumer = consumer_new(scene.world, topic, NULL);
    insert(&scene);
    consumer_exactly(consumer, 1);
    kafka_kill(kafka);
    sql(scene.world,
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) "
        "SELECT 'order', 'k', 'a', ('{\"n\":' || i || ',\"fill\":\"' || repeat('x', 500) "
        "|| '\"}')::json FROM generate_series(2, 40001) i");
    scene.events = 40001;
    wait_until(!is_ready(scene.relay), "it says that it is ready");
    wait_until(relay_metric(scene.relay, "walferry_in_flight_events") >= 1000, "it does not fill");
    long before = relay_peak_kib(scene.relay);
    double retained = relay_metric(scene.relay, "walferry_slot_retained_wal_bytes");
    for (int i = 0; i < 100; i++) {
        sql(scene.world,
            "CREATE TABLE filler%d AS SELECT repeat('x', 1000) FROM "
            "generate_series(1, 500)",
            i);
        pause_ms(120);
    }
    wait_until(relay_metric(scene.relay, "walferry_slot_retained_wal_bytes") >
                   retained + (20 << 20),
               "nobody tells of the WAL that is retained");
    REQUIRE(relay_peak_kib(scene.relay) < before + 4096, "memory grew from %ld to %ld KiB", before,
            relay_peak_kib(scene.relay));
    ck_assert(relay_metric(scene.relay, "walferry_in_flight_events") <= 1000);
    ck_assert(relay_metric(scene.relay, "walferry_dead_letters_total") == 0);
    kafka_resume(kafka);
    struct records records = consumer_exactly(consumer, (size_t)scene.events);
    for (size_t i = 0; i < records.count; i++)
        ck_assert_int_eq(strtol(records.items[i].value + strlen("{\"n\":"), NULL, 10), (long)i + 1);
    wait_until(is_ready(scene.relay), "it is not ready");
    relay_stop(scene.relay);
    consumer_free(consumer);
    scene_end(&scene);
    kafka_free(kafka);
}
END_TEST

static void add_partitions(const struct kafka_server *kafka, const char *topic, size_t total)
{
    char message[256];
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, kafka->address, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewPartitions_t *more =
        rd_kafka_NewPartitions_new(topic, total, message, sizeof message);
    REQUIRE(more != NULL, "%s", message);
    rd_kafka_CreatePartitions(client, &more, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_MS);
    REQUIRE(event != NULL && rd_kafka_event_error(event) == 0, "no partitions are added");
    rd_kafka_event_destroy(event);
    rd_kafka_NewPartitions_destroy(more);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

START_TEST(partitions_added_and_a_topic_deleted)
{
    struct kafka_server *kafka = kafka_start(NULL);
    struct scene scene = {.world = world_new_on("shapes", shared_pg(), kafka)};
    const char *topic = world_topic(scene.world, "order");
    kafka_create_topic(kafka, topic, 1, NULL);
    scene.relay = relay_new(
        scene.world,
        CONFIG_OF("", "",
                  "kafka: {bootstrap.servers: \"@KAFKA@\", topic.metadata.refresh.interval.ms: "
                  "500}"));
    relay_begin(scene.relay);
    struct consumer *consumer = consumer_new(scene.world, topic, NULL);
    for (int i = 0; i < 5; i++)
        insert(&scene);
    consumer_exactly(consumer, 5);
    add_partitions(kafka, topic, 6);
    for (int i = 0; i < 50; i++) {
        insert(&scene);
        pause_ms(40);
    }
    /* An explicit partition that is new is found. */
    sql(scene.world, "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload, "
                     "partition) VALUES ('order', 'k', 'a', '{\"n\":56}', 5)");
    scene.events++;
    consumer_free(consumer);
    consumer = consumer_new(scene.world, topic, NULL);
    struct records before = consumer_exactly(consumer, 56);
    long sum = 0;
    for (size_t i = 0; i < before.count; i++)
        sum += strtol(before.items[i].value + strlen("{\"n\":"), NULL, 10);
    ck_assert_int_eq(sum, 56 * 57 / 2);
    ck_assert(relay_metric(scene.relay, "walferry_dead_letters_total") == 0);
    consumer_free(consumer);
    kafka_delete_topic(kafka, topic);
    wait_until(!kafka_topic_exists(kafka, topic), "the topic stays");
    insert(&scene);
    consumer = consumer_new(scene.world, topic, NULL);
    struct records records = consumer_expect(consumer, 1);
    ck_assert_str_eq(numbers_of(records), "57");
    wait_confirmed(scene.world);
    ck_assert(relay_metric(scene.relay, "walferry_dead_letters_total") == 0);
    relay_stop(scene.relay);
    consumer_free(consumer);
    scene_end(&scene);
    kafka_free(kafka);
}
END_TEST

static void add(TCase *tests)
{
    int version = shared_pg()->version;
    tcase_add_test(tests, refused_logins_are_told_apart_and_waited_out);
    tcase_add_test(tests, too_many_connections_are_waited_out);
    tcase_add_test(tests, a_certificate_that_is_not_trusted_is_never_bypassed);
    tcase_add_test(tests, slot_dropped_while_streaming);
    tcase_add_test(tests, slot_in_danger_is_told_before_it_is_lost);
    if (version >= 18)
        tcase_add_test(tests, slot_given_up_because_nobody_used_it);
    tcase_add_test(tests, publication_dropped_and_made_again);
    if (version >= 15) {
        tcase_add_test(tests, row_filter_is_told);
        tcase_add_test(tests, column_list_that_leaves_out_a_field_is_refused);
        tcase_add_test(tests, column_taken_out_of_the_list_while_streaming);
    }
    tcase_add_test(tests, generated_column_is_refused);
    tcase_add_test(tests, what_is_no_insert_is_counted_and_told);
    tcase_add_test(tests, detached_partition_takes_nothing_with_it);
    tcase_add_test(tests, prepared_transactions_come_when_they_commit);
    tcase_add_test(tests, a_hundred_thousand_subtransactions);
    tcase_add_test(tests, latin1_becomes_utf8);
    tcase_add_test(tests, row_that_the_server_cannot_send);
    tcase_add_test(tests, a_relay_that_stood_still_begins_anew);
    tcase_add_test(tests, a_clock_that_jumps_changes_nothing);
    tcase_add_test(tests, a_log_that_nobody_reads_holds_nothing_up);
    tcase_add_test(tests, a_name_is_looked_up_anew_at_every_attempt);
    tcase_add_test(tests, a_copy_of_the_server_is_refused_while_it_is_behind);
    tcase_add_test(tests, rights_taken_away_are_waited_for);
    tcase_add_test(tests, kafka_away_costs_no_memory_and_gives_nothing_up);
    tcase_add_test(tests, partitions_added_and_a_topic_deleted);
}

static const struct e2e_suite failures = {"failures", NEEDS_PG, add};

E2E_MAIN(&failures)
