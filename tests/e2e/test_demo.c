/* SPDX-License-Identifier: Apache-2.0 */
/* walferry demo: it shows what was promised, on whatever parts, and leaves nothing behind however
 * it ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#define ARGUMENTS_MAX 8

/* One run of the demo, with what it printed so far. */
struct demo {
    pid_t pid;
    char *out;
    char *err;
};

static struct demo *demo_start(const char *label, const char *const *arguments)
{
    static const char *const environment[] = {"TERM=xterm", NULL};
    const char *argv[ARGUMENTS_MAX + 3] = {getenv("WALFERRY_BIN"), "demo"};
    struct demo *demo = calloc(1, sizeof(*demo));
    REQUIRE(demo != NULL && argv[0] != NULL, "WALFERRY_BIN is not set");
    for (size_t i = 0; arguments[i] != NULL; i++) {
        argv[i + 2] = arguments[i];
    }
    demo->out = text("%s/%s.out", harness_dir(), label);
    demo->err = text("%s/%s.err", harness_dir(), label);
    const struct spawn spawn = {
        .argv = argv, .environment = environment, .out_path = demo->out, .err_path = demo->err};
    demo->pid = process_spawn(&spawn);
    return demo;
}

#define DEMO(label, ...) demo_start((label), (const char *const[]){__VA_ARGS__, NULL})

static int demo_end(const struct demo *demo)
{
    int status = -1;
    REQUIRE(process_wait(demo->pid, 2 * DEADLINE_MS, &status), "the demo does not end: %s",
            read_file(demo->err));
    return status;
}

static void assert_said(const char *path, const char *part)
{
    const char *said = read_file(path);
    ck_assert_msg(strstr(said, part) != NULL, "\"%s\" is not in: %s", part, said);
}

/* Of the private server, as the demo prints it; NULL before it does. */
static char *server_directory(const struct demo *demo)
{
    const char *said = read_file(demo->out);
    const char *begin = strstr(said, "private, ");
    if (begin == NULL || strchr(begin, '\n') == NULL) {
        return NULL;
    }
    begin += strlen("private, ");
    return text("%.*s", (int)strcspn(begin, "\n"), begin);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0 || errno != ENOENT;
}

/* Running, with records shown: its directory and the process of its server. */
static char *await_records(const struct demo *demo, pid_t *ret_postmaster)
{
    wait_until(strstr(read_file(demo->out), "order.paid") != NULL, "no order is shown: %s",
               read_file(demo->err));
    char *directory = server_directory(demo);
    ck_assert_ptr_nonnull(directory);
    *ret_postmaster = (pid_t)strtol(read_file(text("%s/data/postmaster.pid", directory)), NULL, 10);
    ck_assert_int_gt(*ret_postmaster, 0);
    ck_assert(!process_gone(*ret_postmaster));
    return directory;
}

START_TEST(it_counts_shows_and_leaves_nothing)
{
    struct demo *demo = DEMO("count", "--count", "5");
    ck_assert_int_eq(demo_end(demo), 0);
    assert_said(demo->out, "5 written, 5 published, 5 consumed, ");
    assert_said(demo->out, "http://127.0.0.1:");
    assert_said(demo->out, "order.placed");
    assert_said(demo->out, "specversion");
    ck_assert_ptr_null(strchr(read_file(demo->out), '\033'));
    ck_assert_str_eq(read_file(demo->err), "");
    ck_assert(!exists(server_directory(demo)));
}
END_TEST

START_TEST(a_signal_ends_it_and_its_server)
{
    pid_t postmaster;
    struct demo *demo = demo_start("signal", (const char *const[]){NULL});
    const char *directory = await_records(demo, &postmaster);
    kill(demo->pid, SIGTERM);
    ck_assert_int_eq(demo_end(demo), 0);
    assert_said(demo->out, " consumed");
    ck_assert(process_gone(postmaster));
    ck_assert(!exists(directory));
}
END_TEST

START_TEST(a_signal_while_it_starts_ends_it_too)
{
    struct demo *demo = demo_start("early", (const char *const[]){NULL});
    char *name = text("/proc/%d/comm", demo->pid);
    wait_until(strcmp(read_file(name), "walferry\n") == 0, "the program does not run");
    kill(demo->pid, SIGINT);
    int status = demo_end(demo);
    /* Before it could hold signals back, the signal just kills it; then there is nothing yet. */
    ck_assert_msg(status == 0 || status == 128 + SIGINT, "%d", status);
}
END_TEST

START_TEST(a_killed_one_leaves_nothing_either)
{
    pid_t postmaster;
    struct demo *demo = demo_start("killed", (const char *const[]){NULL});
    const char *directory = await_records(demo, &postmaster);
    kill(demo->pid, SIGKILL);
    ck_assert_int_eq(demo_end(demo), 128 + SIGKILL);
    wait_until(process_gone(postmaster) && !exists(directory), "%s is left behind", directory);
}
END_TEST

START_TEST(it_ends_with_its_server)
{
    pid_t postmaster;
    struct demo *demo = demo_start("server", (const char *const[]){NULL});
    const char *directory = await_records(demo, &postmaster);
    kill(postmaster, SIGQUIT);
    ck_assert_int_eq(demo_end(demo), 71);
    assert_said(demo->err, "WF-8004");
    ck_assert(!exists(directory));
}
END_TEST

static void assert_untouched(struct world *world)
{
    ck_assert_int_eq(sql_number(world, "SELECT count(*) FROM pg_publication"
                                       " WHERE pubname LIKE '%%demo%%'"),
                     0);
    ck_assert_int_eq(sql_number(world, "SELECT count(*) FROM pg_replication_slots"
                                       " WHERE database = current_database()"),
                     0);
}

START_TEST(in_a_database_of_the_user_it_cleans_up)
{
    struct world *world = world_new("user");
    struct demo *demo = DEMO("user", "--count", "4", "--conninfo", world->conninfo);
    ck_assert_int_eq(demo_end(demo), 0);
    assert_said(demo->out, "4 written, 4 published, 4 consumed, ");
    ck_assert_ptr_null(sql_value(world, "SELECT to_regnamespace('outbox')"));
    assert_untouched(world);
    world_free(world);
}
END_TEST

START_TEST(an_outbox_that_was_there_stays_with_its_rows)
{
    struct world *world = world_new("kept");
    sql_file(world, "001_outbox.sql");
    sql(world, "INSERT INTO outbox.event (event_type, payload) VALUES ('mine', '{}')");
    struct demo *demo = DEMO("kept", "--count", "4", "--conninfo", world->conninfo);
    ck_assert_int_eq(demo_end(demo), 0);
    ck_assert_int_eq(sql_number(world, "SELECT count(*) FROM outbox.event"), 1);
    assert_untouched(world);
    world_free(world);
}
END_TEST

START_TEST(an_outbox_that_is_published_is_not_written_to)
{
    struct world *world = world_new("live");
    sql_file(world, "001_outbox.sql");
    sql(world, "CREATE PUBLICATION live FOR TABLE outbox.event");
    struct demo *demo = DEMO("live", "--count", "4", "--conninfo", world->conninfo);
    ck_assert_int_eq(demo_end(demo), 64);
    assert_said(demo->err, "(live)");
    ck_assert_int_eq(sql_number(world, "SELECT count(*) FROM outbox.event"), 0);
    assert_untouched(world);
    world_free(world);
}
END_TEST

START_TEST(a_role_that_may_not_replicate_is_told_so)
{
    struct world *world = world_new("plain");
    sql(world, "CREATE ROLE %s LOGIN", world->name);
    sql(world, "GRANT CREATE ON DATABASE %s TO %s", world->name, world->name);
    char *conninfo = text("%s user=%s", world->conninfo, world->name);
    struct demo *demo = DEMO("plain", "--count", "4", "--conninfo", conninfo);
    ck_assert_int_eq(demo_end(demo), 77);
    assert_said(demo->err, "ALTER ROLE");
    assert_untouched(world);
    sql(world, "DROP OWNED BY %s; DROP ROLE %s", world->name, world->name);
    world_free(world);
}
END_TEST

START_TEST(a_kafka_of_the_user_gets_the_orders)
{
    struct world *world = world_new("kafka");
    struct demo *demo = DEMO("kafka", "--count", "3", "--kafka", world->kafka->address);
    ck_assert_int_eq(demo_end(demo), 0);
    assert_said(demo->out, "3 written, 3 published, 3 consumed, ");
    struct consumer *consumer = consumer_new(world, "walferry-demo.order", NULL);
    struct records records = consumer_expect(consumer, 3);
    ck_assert_ptr_nonnull(received_header(&records.items[0], "content-type"));
    consumer_free(consumer);
    world_free(world);
}
END_TEST

START_TEST(a_kafka_that_is_not_there_ends_it_at_once)
{
    char *address = text("127.0.0.1:%u", free_port());
    struct demo *demo = DEMO("absent", "--kafka", address);
    ck_assert_int_eq(demo_end(demo), 69);
    assert_said(demo->err, "hint: ");
}
END_TEST

START_TEST(a_count_of_nothing_is_no_count)
{
    ck_assert_int_eq(demo_end(DEMO("zero", "--count", "0")), 64);
    ck_assert_int_eq(demo_end(DEMO("word", "--count", "few")), 64);
    ck_assert_int_eq(demo_end(DEMO("minus", "--count=-1")), 64);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, it_counts_shows_and_leaves_nothing);
    tcase_add_test(tests, a_signal_ends_it_and_its_server);
    tcase_add_test(tests, a_signal_while_it_starts_ends_it_too);
    tcase_add_test(tests, a_killed_one_leaves_nothing_either);
    tcase_add_test(tests, it_ends_with_its_server);
    tcase_add_test(tests, in_a_database_of_the_user_it_cleans_up);
    tcase_add_test(tests, an_outbox_that_was_there_stays_with_its_rows);
    tcase_add_test(tests, an_outbox_that_is_published_is_not_written_to);
    tcase_add_test(tests, a_role_that_may_not_replicate_is_told_so);
    tcase_add_test(tests, a_kafka_of_the_user_gets_the_orders);
    tcase_add_test(tests, a_kafka_that_is_not_there_ends_it_at_once);
    tcase_add_test(tests, a_count_of_nothing_is_no_count);
}

static const struct e2e_suite suite = {.name = "demo", .needs = NEEDS_PG | NEEDS_KAFKA, .add = add};

E2E_MAIN(&suite)
