/* SPDX-License-Identifier: Apache-2.0 */
/* check, version and init as a person runs them; and a relay of the role that init makes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

/* As RELAY_CONFIG, but as a role of its own, to a file: these tests need no broker. */
#define ROLE_CONFIG                                                                                \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n"                                                                               \
    "source: {conninfo: \"@CONNINFO@ user=@NAME@_relay\", heartbeat_interval: 100ms}\n"            \
    "capture: [{outbox: outbox.event}, {messages: outbox}]\n"                                      \
    "sink: {file: {path: \"@DIR@/out.jsonl\"}}\n"                                                  \
    "checkpoint: {directory: \"@DIR@/state\"}\n"                                                   \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: info}\n"

static void expect_words(const char *output, const char *words)
{
    REQUIRE(strstr(output, words) != NULL, "no \"%s\" in:\n%s", words, output);
}

START_TEST(check_names_every_fault_with_its_place)
{
    struct world *world = world_new("check");
    struct relay *relay = relay_new(world, ROLE_CONFIG);
    ck_assert_int_eq(relay_command(relay, "check", NULL), 0);
    expect_words(relay_output(relay), world->name);
    relay_rewrite(relay, ROLE_CONFIG "envelop: {}\n"
                                     "delivery: {poison: maybe}\n");
    ck_assert_int_eq(relay_command(relay, "check", NULL), 78);
    expect_words(relay_errors(relay), text("%s:9:1", relay->config));
    expect_words(relay_errors(relay), "did you mean `envelope`?");
    expect_words(relay_errors(relay), text("%s:10:20", relay->config));
    ck_assert_int_eq(relay_command(relay, "chek", NULL), 64);
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(set_overrides_the_file)
{
    struct world *world = world_new("sets");
    struct relay *relay = relay_new(world, ROLE_CONFIG);
    ck_assert_int_eq(relay_command(relay, "check", "--set", "source.slot=another_one", NULL), 0);
    expect_words(relay_output(relay), "slot another_one");
    ck_assert_int_eq(relay_command(relay, "check", "--set", "source.slt=x", NULL), 78);
    expect_words(relay_errors(relay), "--set source.slt");
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(version_names_the_libraries)
{
    struct world *world = world_new("version");
    const char *output = text("%s/version.json", world->dir);
    const char *const argv[] = {getenv("WALFERRY_BIN"), "version", "--json", NULL};
    const struct spawn spawn = {.argv = argv, .out_path = output};
    ck_assert_int_eq(process_run(&spawn, DEADLINE_MS), 0);
    json_error_t error;
    json_t *version = json_load_file(output, 0, &error);
    REQUIRE(version != NULL, "%s: %s", output, error.text);
    expect_words(json_string_value(json_object_get(version, "librdkafka")), "librdkafka ");
    ck_assert(json_is_string(json_object_get(version, "libpq")));
    ck_assert(json_is_string(json_object_get(version, "version")));
    json_decref(version);
    world_free(world);
}
END_TEST

static const char *owner(const struct world *world)
{
    return text("%s user=postgres", world->conninfo);
}

/* What init makes has to be enough for a role that is nothing but REPLICATION. */
START_TEST(init_makes_a_role_that_can_relay_and_do_nothing_else)
{
    struct world *world = world_new("role");
    struct relay *relay = relay_new(world, ROLE_CONFIG);
    ck_assert_int_eq(relay_command(relay, "init", "--conninfo", owner(world), NULL), 0);
    expect_words(relay_output(relay), text("role %s_relay", world->name));
    ck_assert_str_eq(sql_value(world,
                               "SELECT rolreplication AND rolcanlogin AND NOT rolsuper AND NOT "
                               "rolcreatedb AND NOT rolcreaterole AND NOT rolinherit FROM pg_roles "
                               "WHERE rolname = '%s_relay'",
                               world->name),
                     "t");
    ck_assert_str_eq(
        sql_value(world,
                  "SELECT has_table_privilege('%s_relay', 'outbox.event', 'INSERT, UPDATE, "
                  "DELETE, TRUNCATE')",
                  world->name),
        "f");
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    sql(world, "SELECT outbox.publish('a', '1', 't', '{}'), outbox.emit('a', '2', 't', '{}')");
    relay_wait_counter(relay, "published", 2);
    wait_until(relay_metric(relay, "walferry_heartbeats_received_total") > 0,
               "the role cannot send a heartbeat");
    wait_until(relay_metric(relay, "walferry_slot_wal_status{status=\"reserved\"}") == 1,
               "the role cannot look at the slot");
    relay_stop(relay);
    relay_free(relay);
    sql(world, "SELECT pg_drop_replication_slot('%s')", world->slot);
    sql(world, "DROP OWNED BY %s_relay", world->name);
    sql(world, "DROP ROLE %s_relay", world->name);
    world_free(world);
}
END_TEST

START_TEST(init_twice_finds_what_it_made)
{
    struct world *world = world_new("twice");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    ck_assert_int_eq(relay_command(relay, "init", NULL), 0);
    expect_words(relay_output(relay), text("made   slot %s", world->slot));
    const char *before = sql_value(world,
                                   "SELECT confirmed_flush_lsn FROM pg_replication_slots "
                                   "WHERE slot_name = '%s'",
                                   world->slot);
    ck_assert_int_eq(relay_command(relay, "init", NULL), 0);
    expect_words(relay_output(relay), text("found  slot %s", world->slot));
    expect_words(relay_output(relay), "found  publication");
    ck_assert_str_eq(sql_value(world,
                               "SELECT confirmed_flush_lsn FROM pg_replication_slots "
                               "WHERE slot_name = '%s'",
                               world->slot),
                     before);
    ck_assert(kafka_topic_exists(world->kafka, text("%s.dead-letter", world->name)));
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(init_counts_rows_older_than_the_slot)
{
    struct world *world = world_new("older");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    sql_file(world, "001_outbox.sql");
    sql(world, "SELECT outbox.publish('a', i::text, 't', '{}') FROM generate_series(1, 3) AS i");
    ck_assert_int_eq(relay_command(relay, "init", NULL), 0);
    expect_words(relay_output(relay), "older than the slot and are not streamed: 3");
    /* What it says to do about them works. */
    char *statement = strstr(relay_output(relay), "WITH old AS");
    REQUIRE(statement != NULL, "no remedy in:\n%s", relay_output(relay));
    *strchrnul(statement, ';') = '\0';
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    sql(world, "%s", statement);
    relay_wait_counter(relay, "published", 3);
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(printed_sql_does_the_same)
{
    struct world *world = world_new("printed");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    const char *script = text("%s/init.sql", world->dir);
    const char *log = text("%s/psql.txt", world->dir);
    const char *const argv[] = {"psql", "-X",         "-q", "-v",   "ON_ERROR_STOP=1",
                                "-d",   owner(world), "-f", script, NULL};
    const struct spawn psql = {.argv = argv, .out_path = log, .err_path = log};
    ck_assert_int_eq(relay_command(relay, "init", "--print-sql", NULL), 0);
    ck_assert_int_eq(sql_number(world, "SELECT count(*) FROM pg_publication"), 0);
    write_file(script, relay_output(relay));
    for (int i = 0; i < 2; i++)
        REQUIRE(process_run(&psql, DEADLINE_MS) == 0, "psql: %s", read_file(log));
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    sql(world, "SELECT outbox.publish('a', '1', 't', '{}')");
    relay_wait_counter(relay, "published", 1);
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}
END_TEST

/* The files of sql/ themselves, by hand and twice. */
START_TEST(sql_files_are_safe_to_run_twice)
{
    static const char *const files[] = {"001_outbox.sql", "002_role.sql", "003_inbox.sql",
                                        "004_partitions.sql"};
    struct world *world = world_new("files");
    sql(world, "SET client_min_messages = warning");
    for (size_t i = 0; i < 2 * sizeof files / sizeof files[0]; i++)
        sql_file(world, files[i / 2]);
    ck_assert_str_eq(sql_value(world, "SELECT inbox.accept('c', 's', '1')"), "t");
    ck_assert_str_eq(sql_value(world, "SELECT inbox.accept('c', 's', '1')"), "f");
    ck_assert_str_eq(sql_value(world, "SELECT inbox.accept('d', 's', '1')"), "t");
    ck_assert_int_eq(sql_number(world, "SELECT outbox.create_partitions(2)"), 3);
    ck_assert_int_eq(sql_number(world, "SELECT outbox.create_partitions(2)"), 0);
    /* A service needs no more than these. */
    sql(world, "CREATE ROLE %s_app", world->name);
    sql(world, "GRANT USAGE ON SCHEMA outbox TO %s_app; GRANT INSERT ON outbox.event TO %s_app",
        world->name, world->name);
    sql(world, "SET ROLE %s_app", world->name);
    const char *id = sql_value(world, "SELECT outbox.publish('a', '1', 't', '{}')");
    sql(world, "RESET ROLE");
    ck_assert_str_eq(sql_value(world, "SELECT id FROM outbox.event"), id);
    sql(world, "DROP OWNED BY %s_app; DROP ROLE %s_app", world->name, world->name);
    ck_assert_int_eq(
        sql_number(world, "SELECT outbox.drop_partitions_before(now() + interval '1 day')"), 1);
    ck_assert_int_eq(sql_number(world, "SELECT count(*) FROM outbox.event"), 0);
    world_free(world);
}
END_TEST

START_TEST(sighup_applies_what_it_can_and_names_the_rest)
{
    struct world *world = world_new("reload");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    relay_begin(relay);
    relay_rewrite(relay, RELAY_CONFIG "delivery: {poison: halt, drain_timeout: 7s}\n");
    relay_signal(relay, SIGHUP);
    relay_wait_log(relay, "\"message\":\"reloaded\"");
    const char *log = relay_errors(relay);
    expect_words(strstr(log, "changed by the reload"), "delivery.drain_timeout");
    expect_words(strstr(log, "only a restart applies it"), "delivery.poison");
    relay_rewrite(relay, RELAY_CONFIG "delivery: {poisn: halt}\n");
    relay_signal(relay, SIGHUP);
    relay_wait_log(relay, "did you mean `poison`?");
    relay_wait_log(relay, "stays as it was");
    sql(world, "SELECT outbox.publish('a', '1', 't', '{}', topic => 'not a topic')");
    relay_wait_counter(relay, "dead_letters", 1);
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}
END_TEST

static int notify_socket(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = DEADLINE_MS / 1000};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char *path = text("%s/notify", world->dir);
    REQUIRE(strlen(path) < sizeof address.sun_path, "too long for a socket: %s", path);
    memcpy(address.sun_path, path, strlen(path));
    REQUIRE(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0,
            "no socket at %s", address.sun_path);
    REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0, "no timeout");
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    return fd;
}

/* Datagrams up to the one that begins so. */
static void await_notice(int fd, const char *words)
{
    char notice[512] = "";
    while (strncmp(notice, words, strlen(words)) != 0) {
        ssize_t len = recv(fd, notice, sizeof notice - 1, 0);
        REQUIRE(len > 0, "systemd was never told %s", words);
        notice[len] = '\0';
    }
}

START_TEST(systemd_is_told)
{
    struct world *world = world_new("notify");
    int fd = notify_socket(world);
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    relay_begin(relay);
    await_notice(fd, "READY=1");
    await_notice(fd, "STATUS=streaming");
    await_notice(fd, "WATCHDOG=1");
    relay_stop(relay);
    await_notice(fd, "STOPPING=1");
    close(fd);
    relay_free(relay);
    world_free(world);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, check_names_every_fault_with_its_place);
    tcase_add_test(tests, set_overrides_the_file);
    tcase_add_test(tests, version_names_the_libraries);
    tcase_add_test(tests, init_makes_a_role_that_can_relay_and_do_nothing_else);
    tcase_add_test(tests, init_twice_finds_what_it_made);
    tcase_add_test(tests, init_counts_rows_older_than_the_slot);
    tcase_add_test(tests, printed_sql_does_the_same);
    tcase_add_test(tests, sql_files_are_safe_to_run_twice);
    tcase_add_test(tests, systemd_is_told);
    tcase_add_test(tests, sighup_applies_what_it_can_and_names_the_rest);
}

static const struct e2e_suite suite = {"commands", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&suite)
