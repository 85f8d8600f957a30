/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/source/monitor.h"

#include "../unit/scratch.h"
#include "walferry/base/clock.h"
#include "walsender.h"

static struct walsender *server;
static struct monitor *monitor;
static struct source_opts opts;
static struct err err;
static struct buf buf;
static uint64_t now;

static void look_answers(const char *in_recovery)
{
    const char *const look[] = {
        "0/5000", in_recovery, "t",    "walferry_orders", "t",     "4711",     "t",    "f",
        "f",      "pgoutput",  "shop", "0/1000",          "0/800", "extended", "4096", NULL};
    buf_reset(&buf);
    reply_row(&buf, ARRAY_LEN(look), look);
    walsender_on(server, "pg_current_wal_insert_lsn", &buf);
}

static void setup(void)
{
    server = walsender_new();
    buf_init(&buf, 1u << 20);
    now = 1000 * NS_PER_S;
    opts = (struct source_opts){
        .conninfo = walsender_conninfo(server),
        .pipeline = "orders",
        .slot = "walferry_orders",
        .publication = "walferry_orders",
        .heartbeat_interval_ms = 3000,
    };
    look_answers("f");
    static const char *const BEAT[] = {"0/5100"};
    buf_reset(&buf);
    reply_row(&buf, 1, BEAT);
    walsender_on(server, "pg_logical_emit_message", &buf);
    ck_assert(monitor_new(&opts, &monitor, &err));
}

static void teardown(void)
{
    monitor_free(monitor);
    walsender_free(server);
    buf_deinit(&buf);
}

static void turn(void)
{
    for (unsigned i = 0; i < 300; i++) {
        walsender_pump(server);
        monitor_turn(monitor, now);
    }
}

static void pass(uint64_t ms)
{
    now += ms * NS_PER_MS;
    turn();
}

START_TEST(facts)
{
    ck_assert(!monitor_facts(monitor)->known);
    turn();
    const struct monitor_facts *known = monitor_facts(monitor);
    ck_assert_msg(known->known, "%s", monitor_error(monitor)->message);
    ck_assert_uint_eq(known->read_at_ns, now);
    ck_assert_uint_eq(known->current.value, 0x5000);
    ck_assert_uint_eq(known->retained_bytes, 0x4800);
    ck_assert_uint_eq(known->lag_bytes, 0x4000);
    ck_assert(known->publication_exists && known->slot.exists && known->slot.active);
    ck_assert_int_eq(known->slot.active_pid, 4711);
    ck_assert_int_eq((int)known->slot.wal_status, WAL_EXTENDED);
    ck_assert(known->slot.has_safe_wal_size);
    ck_assert_int_eq(known->slot.safe_wal_size, 4096);
    ck_assert_str_eq(walsender_parameter(server, "application_name"), "walferry_orders_monitor");
    ck_assert_str_eq(walsender_parameter(server, "replication"), "");
}
END_TEST

START_TEST(looks_every_ten_seconds)
{
    opts.heartbeat_interval_ms = 0;
    monitor_free(monitor);
    ck_assert(monitor_new(&opts, &monitor, &err));
    turn();
    ck_assert_uint_eq(walsender_queries(server, "pg_current_wal_insert_lsn"), 1);
    ck_assert_uint_eq(monitor_deadline(monitor), now + 10 * NS_PER_S);
    pass(9999);
    ck_assert_uint_eq(walsender_queries(server, "pg_current_wal_insert_lsn"), 1);
    pass(1);
    ck_assert_uint_eq(walsender_queries(server, "pg_current_wal_insert_lsn"), 2);
    ck_assert_uint_eq(monitor_facts(monitor)->heartbeats, 0);
    ck_assert_uint_eq(walsender_queries(server, "pg_logical_emit_message"), 0);
}
END_TEST

START_TEST(heartbeat)
{
    turn();
    ck_assert_uint_eq(monitor_deadline(monitor), now + 3 * NS_PER_S);
    pass(3000);
    ck_assert_uint_eq(monitor_facts(monitor)->heartbeats, 1);
    ck_assert_str_eq(walsender_query(server, "pg_logical_emit_message"),
                     "SELECT pg_catalog.pg_logical_emit_message(true, 'walferry.heartbeat', "
                     "'walferry_orders')");
    pass(3000);
    ck_assert_uint_eq(monitor_facts(monitor)->heartbeats, 2);
}
END_TEST

START_TEST(no_heartbeat_on_a_standby)
{
    look_answers("t");
    turn();
    pass(3000);
    pass(3000);
    ck_assert_uint_eq(walsender_queries(server, "pg_logical_emit_message"), 0);
}
END_TEST

START_TEST(a_look_that_fails_leaves_old_facts)
{
    turn();
    buf_reset(&buf);
    reply_error(&buf, "53200", "out of memory");
    reply_ready(&buf);
    walsender_on(server, "pg_current_wal_insert_lsn", &buf);
    pass(10000);
    ck_assert(monitor_facts(monitor)->known);
    ck_assert_uint_eq(monitor_facts(monitor)->current.value, 0x5000);
    ck_assert_int_eq((int)monitor_error(monitor)->code, ERR_PG_QUERY);
    ck_assert(!monitor_facts(monitor)->shutting_down);
    look_answers("f");
    pass(31000);
    ck_assert_int_eq((int)monitor_error(monitor)->code, ERR_NONE);
    ck_assert_uint_eq(monitor_facts(monitor)->read_at_ns, now);
}
END_TEST

START_TEST(silence)
{
    buf_reset(&buf);
    walsender_on(server, "pg_current_wal_insert_lsn", &buf);
    turn();
    pass(10000);
    ck_assert_int_eq((int)monitor_error(monitor)->code, ERR_PG_SILENT);
    ck_assert(!monitor_facts(monitor)->known);
}
END_TEST

/* The server tells every session before it closes it, asked or not. */
START_TEST(shutdown_is_noticed_while_idle)
{
    turn();
    ck_assert(!monitor_facts(monitor)->shutting_down);
    buf_reset(&buf);
    reply_fatal(&buf, "57P01", "terminating connection due to administrator command");
    walsender_send(server, &buf);
    walsender_hang_up(server);
    turn();
    ck_assert(monitor_facts(monitor)->shutting_down);
    ck_assert_int_eq((int)monitor_error(monitor)->code, ERR_PG_SHUTDOWN);
    walsender_refuse(server, "57P03", "the database system is shutting down");
    pass(31000);
    ck_assert(monitor_facts(monitor)->shutting_down);
    walsender_refuse(server, NULL, NULL);
    pass(31000);
    ck_assert(!monitor_facts(monitor)->shutting_down);
}
END_TEST

static Suite *monitor_suite(void)
{
    const TTest *const tests[] = {facts,
                                  looks_every_ten_seconds,
                                  heartbeat,
                                  no_heartbeat_on_a_standby,
                                  a_look_that_fails_leaves_old_facts,
                                  silence,
                                  shutdown_is_noticed_while_idle};
    Suite *suite = suite_create("monitor");
    TCase *tcase = tcase_create("monitor");
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(monitor_suite())
