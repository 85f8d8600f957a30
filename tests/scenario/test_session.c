/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/source/source.h"

#include "../unit/scratch.h"
#include "walferry/base/clock.h"
#include "walferry/loop/loop.h"
#include "walsender.h"

static struct walsender *server;
static struct source *source;
static struct source_opts opts;
static struct source_item item;
static struct err err;
static struct buf buf;
static uint64_t now;

static void setup(void)
{
    server = walsender_new();
    buf_init(&buf, 1u << 20);
    err = ERR_INIT;
    now = 1000 * NS_PER_S;
    opts = (struct source_opts){
        .conninfo = walsender_conninfo(server),
        .pipeline = "orders",
        .slot = "walferry_orders",
        .publication = "walferry_orders",
        .standby_wait = true,
        .status_interval_ms = 10000,
    };
    source = NULL;
}

static void teardown(void)
{
    source_free(source);
    walsender_free(server);
    buf_deinit(&buf);
}

static void open_source(void)
{
    ck_assert(source_new(&opts, &source, &err));
}

/* Both sides take turns until the session has something to say; IDLE when it has not, for ever. */
static enum source_event next(void)
{
    for (unsigned i = 0; i < 2000; i++) {
        walsender_pump(server);
        source_tick(source, now);
        enum source_event event = source_next(source, now, &item, &err);
        if (event != SOURCE_IDLE) {
            return event;
        }
    }
    return SOURCE_IDLE;
}

static void expect(enum source_event event)
{
    enum source_event got = next();
    ck_assert_msg(got == event, "event %d is not %d in state %s (%s)", (int)got, (int)event,
                  source_state_name(source_state(source)), err.message);
}

static void expect_error(enum source_event event, enum err_code code)
{
    err = ERR_INIT;
    expect(event);
    ck_assert_msg(err.code == code, "%s is not %s: %s", err_name(err.code), err_name(code),
                  err.message);
}

static void stream(void)
{
    if (source == NULL) {
        open_source();
    }
    expect(SOURCE_READY);
    source_start(source, lsn_make(0x2000));
    expect(SOURCE_STARTED);
}

/* What was written into `buf` goes out, and `buf` is empty again. */
static void serve(void)
{
    walsender_send(server, &buf);
    buf_reset(&buf);
}

static void on(const char *text)
{
    walsender_on(server, text, &buf);
    buf_reset(&buf);
}

static void pass(uint64_t ms)
{
    now += ms * NS_PER_MS;
}

/* Skips the back-off, whatever it is. */
static void reconnected(void)
{
    pass(31000);
    expect(SOURCE_READY);
}

/* ---- the start ---- */

START_TEST(facts)
{
    open_source();
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_BACKOFF);
    expect(SOURCE_READY);
    const struct source_facts *known = source_facts(source);
    ck_assert_uint_eq(known->system_id, UINT64_C(7000000000000000001));
    ck_assert_uint_eq(known->timeline, 1);
    ck_assert_uint_eq(known->wal_end.value, 0x5000);
    ck_assert_str_eq(known->database, "shop");
    ck_assert_int_eq(known->server_version, 150020);
    ck_assert_str_eq(known->wal_level, "logical");
    ck_assert_uint_eq(known->wal_sender_timeout_ms, 60000);
    ck_assert(!known->in_recovery);
    ck_assert(known->slot.exists && !known->slot.active && known->slot.logical);
    ck_assert(!known->slot.temporary && !known->slot.two_phase && !known->slot.has_safe_wal_size);
    ck_assert_str_eq(known->slot.plugin, "pgoutput");
    ck_assert_uint_eq(known->slot.confirmed_flush.value, 0x1000);
    ck_assert_uint_eq(known->slot.restart_lsn.value, 0x800);
    ck_assert_int_eq((int)known->slot.wal_status, WAL_RESERVED);
    ck_assert_str_eq(known->slot.invalidation, "");
    ck_assert(known->publication_exists && known->publication_inserts);
    ck_assert_str_eq(known->publication_tables, "outbox.event");
    ck_assert_str_eq(known->gaps.table, "");
    ck_assert_str_eq(known->gaps.column, "");
    ck_assert_str_eq(known->gaps.filtered, "");
    ck_assert_uint_eq(source_wal_end(source).value, 0x5000);
    /* Until the relay decides, nothing happens. */
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(source_deadline(source), UINT64_MAX);
    ck_assert_uint_eq(source_wants(source, true), 0);
}
END_TEST

START_TEST(session_parameters)
{
    open_source();
    expect(SOURCE_READY);
    ck_assert_str_eq(walsender_parameter(server, "replication"), "database");
    ck_assert_str_eq(walsender_parameter(server, "client_encoding"), "UTF8");
    ck_assert_str_eq(walsender_parameter(server, "application_name"), "walferry_orders");
    const char *options = walsender_parameter(server, "options");
    ck_assert(strstr(options, "-c datestyle=ISO,YMD") != NULL);
    ck_assert(strstr(options, "-c timezone=UTC") != NULL);
    ck_assert(strstr(options, "-c bytea_output=hex") != NULL);
}
END_TEST

START_TEST(missing_slot_and_publication)
{
    reply_none(&buf, 13);
    on("pg_replication_slots");
    reply_none(&buf, 13);
    on("pg_publication_rel");
    open_source();
    expect(SOURCE_READY);
    ck_assert(!source_facts(source)->slot.exists);
    ck_assert(!source_facts(source)->publication_exists);
}
END_TEST

START_TEST(what_the_publication_keeps_back)
{
    static const char *const tables[] = {"outbox.event", "outbox.other"};
    static const struct source_column columns[] = {{"outbox.event", "id"},
                                                   {"outbox.other", "aggregate'id"}};
    static const char *const answer[] = {"t", "outbox.event", "outbox.other",
                                         "outbox.event\taggregate_id", "outbox.event"};
    opts.tables = tables;
    opts.table_count = ARRAY_LEN(tables);
    opts.columns = columns;
    opts.column_count = ARRAY_LEN(columns);
    reply_row(&buf, ARRAY_LEN(answer), answer);
    on("pg_publication_rel");
    open_source();
    expect(SOURCE_READY);
    const struct publication_gaps *gaps = &source_facts(source)->gaps;
    ck_assert_str_eq(gaps->table, "outbox.other");
    ck_assert_str_eq(gaps->column_table, "outbox.event");
    ck_assert_str_eq(gaps->column, "aggregate_id");
    ck_assert_str_eq(gaps->filtered, "outbox.event");
    const char *question = walsender_query(server, "pg_publication_rel");
    ck_assert(strstr(question, "('outbox.event', 'id'), ('outbox.other', 'aggregate''id')") !=
              NULL);
}
END_TEST

START_TEST(start_command)
{
    opts.publication = "My Pub";
    stream();
    ck_assert_str_eq(walsender_query(server, "START_REPLICATION"),
                     "START_REPLICATION SLOT \"walferry_orders\" LOGICAL 0/2000 "
                     "(\"proto_version\" '1', \"publication_names\" '\"My Pub\"', "
                     "\"messages\" 'true')");
}
END_TEST

START_TEST(names_are_literals_in_questions)
{
    opts.publication = "a'; DROP TABLE x; --";
    open_source();
    expect(SOURCE_READY);
    ck_assert(strstr(walsender_query(server, "pg_publication_rel"), "= 'a''; DROP TABLE x; --'") !=
              NULL);
}
END_TEST

/* What opens a table leaves its present form in the caches that decoding uses. */
START_TEST(questions_open_no_table)
{
    static const char *const openers[] = {"pg_publication_tables", "pg_get_publication_tables",
                                          "regclass", "pg_partition_", "pg_relation_"};
    static const char *const tables[] = {"outbox.event"};
    opts.tables = tables;
    opts.table_count = 1;
    open_source();
    expect(SOURCE_READY);
    ck_assert(strstr(walsender_query(server, "pg_publication_rel"), "'outbox.event'") != NULL);
    for (size_t i = 0; i < ARRAY_LEN(openers); i++) {
        ck_assert_str_eq(walsender_query(server, openers[i]), "");
    }
}
END_TEST

START_TEST(temporary_slot)
{
    opts.temporary = true;
    stream();
    const char *create = walsender_query(server, "CREATE_REPLICATION_SLOT");
    ck_assert(strstr(create, "\"walferry_orders_") != NULL);
    ck_assert(strstr(create, " TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT") != NULL);
    ck_assert(strstr(walsender_query(server, "START_REPLICATION"), "\"walferry_orders_") != NULL);
    char first[256];
    strncpy(first, create, sizeof first - 1);
    first[sizeof first - 1] = '\0';
    walsender_hang_up(server);
    expect_error(SOURCE_LOST, ERR_PG_LOST);
    reconnected();
    /* The old one may not be gone yet. */
    ck_assert_str_ne(walsender_query(server, "CREATE_REPLICATION_SLOT"), first);
}
END_TEST

START_TEST(fork_of_the_history)
{
    static const char *const HISTORY[] = {"00000003.history",
                                          "1\t0/1500\treason\n2\t0/1800\treason\n"};
    static const char *const SYSTEM[] = {"7000000000000000001", "3", "0/5000", "shop"};
    reply_row(&buf, 4, SYSTEM);
    on("IDENTIFY_SYSTEM");
    reply_row(&buf, 2, HISTORY);
    on("TIMELINE_HISTORY 3");
    open_source();
    expect(SOURCE_READY);
    ck_assert_uint_eq(source_facts(source)->fork_of, 0);
    source_fork(source, 2);
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_ASKING);
    expect(SOURCE_READY);
    ck_assert_uint_eq(source_facts(source)->fork_of, 2);
    ck_assert_uint_eq(source_facts(source)->fork.value, 0x1800);
    source_fork(source, 9);
    expect(SOURCE_READY);
    ck_assert_uint_eq(source_facts(source)->fork_of, 9);
    ck_assert(lsn_is_none(source_facts(source)->fork));
}
END_TEST

START_TEST(byte_by_byte)
{
    walsender_trickle(server, true);
    stream();
    reply_data(&buf, BYTES_LIT("hello"), lsn_make(0x3000));
    serve();
    expect(SOURCE_DATA);
    ck_assert_bytes(item.data, "hello");
}
END_TEST

/* ---- the stream ---- */

START_TEST(messages)
{
    stream();
    reply_data(&buf, BYTES_LIT("B"), lsn_make(0x3000));
    reply_keepalive(&buf, lsn_make(0x4000), false);
    reply_data(&buf, BYTES_LIT("C"), LSN_NONE);
    serve();
    expect(SOURCE_DATA);
    ck_assert_bytes(item.data, "B");
    ck_assert_uint_eq(item.wal_end.value, 0x3000);
    expect(SOURCE_KEEPALIVE);
    ck_assert_uint_eq(item.wal_end.value, 0x4000);
    ck_assert_int_eq(item.sent_at_us, CLOCK_PG_EPOCH_US);
    expect(SOURCE_DATA);
    ck_assert_bytes(item.data, "C");
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(source_wal_end(source).value, 0x5000);
}
END_TEST

START_TEST(status_says_what_was_confirmed)
{
    stream();
    reply_data(&buf, BYTES_LIT("B"), lsn_make(0x6000));
    serve();
    expect(SOURCE_DATA);
    ck_assert_uint_eq(walsender_status(server).count, 0);
    pass(10000);
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(walsender_status(server).count, 1);
    ck_assert_uint_eq(walsender_status(server).write.value, 0x6000);
    ck_assert_uint_eq(walsender_status(server).flush.value, 0);
    source_confirm(source, lsn_make(0x2500), false);
    ck_assert_uint_eq(source_confirmed(source).value, 0);
    pass(9999);
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(walsender_status(server).count, 1);
    pass(1);
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(walsender_status(server).count, 2);
    ck_assert_uint_eq(walsender_status(server).flush.value, 0x2500);
    ck_assert_uint_eq(walsender_status(server).apply.value, 0x2500);
    ck_assert_uint_eq(source_confirmed(source).value, 0x2500);
}
END_TEST

START_TEST(confirm_now)
{
    stream();
    source_confirm(source, lsn_make(0x2100), true);
    ck_assert_uint_eq(source_deadline(source), 0);
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(walsender_status(server).count, 1);
    ck_assert_uint_eq(walsender_status(server).flush.value, 0x2100);
}
END_TEST

START_TEST(interval_follows_the_server)
{
    static const char *const SETTINGS[] = {"logical", "3000", "f"};
    reply_row(&buf, 3, SETTINGS);
    on("'wal_level'");
    stream();
    ck_assert_uint_eq(source_deadline(source), now + NS_PER_S);
}
END_TEST

START_TEST(requests_are_answered_at_a_pace)
{
    stream();
    reply_keepalive(&buf, lsn_make(0x5000), true);
    serve();
    expect(SOURCE_KEEPALIVE);
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(walsender_status(server).count, 0);
    pass(250);
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(walsender_status(server).count, 1);
}
END_TEST

START_TEST(storm_means_shutdown)
{
    stream();
    for (unsigned i = 0; i < 7; i++) {
        reply_keepalive(&buf, lsn_make(0x5000), true);
        serve();
        expect(SOURCE_KEEPALIVE);
        pass(250);
        expect(SOURCE_IDLE);
    }
    reply_keepalive(&buf, lsn_make(0x5000), true);
    serve();
    expect_error(SOURCE_LOST, ERR_PG_SHUTDOWN);
    ck_assert_int_eq(source_fd(source), -1);
    reconnected();
}
END_TEST

/* The relay has no room for an hour: statuses go out, and the session lives. */
START_TEST(back_pressure)
{
    stream();
    reply_data(&buf, BYTES_LIT("B"), lsn_make(0x6000));
    serve();
    for (unsigned i = 0; i < 360; i++) {
        ck_assert_uint_eq(source_deadline(source), now + 10 * NS_PER_S);
        pass(10000);
        source_tick(source, now);
        walsender_pump(server);
        ck_assert_uint_eq(source_wants(source, false) & LOOP_READ, 0);
    }
    ck_assert_uint_eq(walsender_status(server).count, 360);
    expect(SOURCE_DATA);
    expect(SOURCE_IDLE);
}
END_TEST

START_TEST(silence)
{
    stream();
    for (unsigned i = 0; i < 6; i++) {
        expect(SOURCE_IDLE);
        pass(10000);
    }
    ck_assert(walsender_status(server).reply);
    expect_error(SOURCE_LOST, ERR_PG_SILENT);
}
END_TEST

/* A row may be so large, and the line so slow, that no message is whole for minutes. */
START_TEST(a_row_that_takes_its_time)
{
    static const uint8_t FRAME[] = {'d', 0, 0, 1, 0, 'w'};
    stream();
    expect(SOURCE_IDLE);
    buf_put(&buf, FRAME, sizeof FRAME);
    for (unsigned i = 0; i < 251; i++) {
        serve();
        pass(10000);
        expect(SOURCE_IDLE);
        buf_put_u8(&buf, 0);
    }
    serve();
    expect(SOURCE_DATA);
    ck_assert_uint_eq(item.data.len, 256 - 4 - 25);
}
END_TEST

/* ---- ends ---- */

START_TEST(orderly_end)
{
    stream();
    source_confirm(source, lsn_make(0x2200), false);
    reply_data(&buf, BYTES_LIT("B"), lsn_make(0x6000));
    reply_complete(&buf, "COPY 0");
    source_end(source, now);
    for (unsigned i = 0; i < 10; i++) {
        walsender_pump(server);
    }
    ck_assert_uint_eq(walsender_status(server).flush.value, 0x2200);
    ck_assert(walsender_copy_done(server));
    serve();
    expect(SOURCE_ENDED);
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_CLOSED);
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(source_deadline(source), UINT64_MAX);
}
END_TEST

START_TEST(end_without_answer)
{
    stream();
    source_end(source, now);
    expect(SOURCE_IDLE);
    pass(5000);
    expect_error(SOURCE_LOST, ERR_PG_SILENT);
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_CLOSED);
}
END_TEST

START_TEST(end_before_the_stream)
{
    open_source();
    source_end(source, now);
    expect(SOURCE_ENDED);
    ck_assert_uint_eq(walsender_connections(server), 0);
    source_end(source, now);
    expect(SOURCE_IDLE);
}
END_TEST

START_TEST(server_ends_in_good_order)
{
    stream();
    reply_data(&buf, BYTES_LIT("B"), lsn_make(0x6000));
    reply_complete(&buf, "COPY 0");
    serve();
    walsender_hang_up(server);
    expect(SOURCE_DATA);
    expect_error(SOURCE_LOST, ERR_PG_SHUTDOWN);
    ck_assert_uint_eq(source_reconnects(source), 1);
}
END_TEST

static void stream_error(const char *sqlstate, const char *message, enum source_event event,
                         enum err_code code)
{
    stream();
    reply_error(&buf, sqlstate, message);
    serve();
    expect_error(event, code);
    ck_assert_str_eq(err.sqlstate, event == SOURCE_LOST ? sqlstate : err.sqlstate);
    ck_assert(err.hint[0] != '\0' || event == SOURCE_LOST);
}

START_TEST(shutdown_in_the_stream)
{
    stream_error("57P01", "terminating connection", SOURCE_LOST, ERR_PG_SHUTDOWN);
    ck_assert_str_eq(err.message, "terminating connection");
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_BACKOFF);
    ck_assert_uint_gt(source_deadline(source), now);
    ck_assert_uint_le(source_deadline(source), now + 100 * NS_PER_MS);
    expect(SOURCE_IDLE);
    reconnected();
    source_start(source, lsn_make(0x2000));
    expect(SOURCE_STARTED);
    ck_assert_uint_eq(source_reconnects(source), 1);
}
END_TEST

START_TEST(publication_vanished)
{
    stream_error("42704", "publication \"walferry_orders\" does not exist", SOURCE_FAIL,
                 ERR_PUBLICATION_MISSING);
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_CLOSED);
}
END_TEST

/* PostgreSQL 18 warns and goes on without the rows: what follows the warning is not handed out. */
START_TEST(publication_vanished_18)
{
    stream();
    reply_data(&buf, BYTES_LIT("B"), lsn_make(0x6000));
    reply_notice(&buf, "WARNING", "55000", "skipped loading publication \"walferry_orders\"");
    reply_notice(&buf, "WARNING", "01000", "something else");
    reply_data(&buf, BYTES_LIT("C"), lsn_make(0x6000));
    serve();
    enum source_event event = next();
    if (event == SOURCE_DATA) {
        ck_assert_bytes(item.data, "B");
        event = next();
    }
    ck_assert_int_eq((int)event, SOURCE_FAIL);
    ck_assert_int_eq((int)err.code, ERR_PUBLICATION_MISSING);
}
END_TEST

START_TEST(other_notices_are_no_reason)
{
    stream();
    reply_notice(&buf, "WARNING", "55000", "about something else");
    reply_notice(&buf, "NOTICE", "55000", "walferry_orders");
    reply_data(&buf, BYTES_LIT("B"), lsn_make(0x6000));
    serve();
    expect(SOURCE_DATA);
}
END_TEST

START_TEST(column_lists_that_differ)
{
    stream_error("0A000", "cannot use different column lists for table \"outbox.event\"",
                 SOURCE_FAIL, ERR_PUBLICATION_TABLES);
    ck_assert(strstr(err.hint, "pg_publication_tables WHERE pubname = 'walferry_orders'") != NULL);
}
END_TEST

START_TEST(bad_encoding)
{
    stream_error("22021", "invalid byte sequence", SOURCE_FAIL, ERR_PG_ENCODING);
}
END_TEST

START_TEST(row_too_large)
{
    stream_error("XX000", "invalid memory alloc request size 1258291203", SOURCE_FAIL,
                 ERR_PG_ROW_TOO_LARGE);
}
END_TEST

START_TEST(other_internal_errors_are_retried)
{
    stream_error("XX000", "cache lookup failed for type 1073741823", SOURCE_LOST, ERR_PG_QUERY);
}
END_TEST

START_TEST(invalidated_while_streaming)
{
    stream_error("55000", "can no longer get changes from replication slot", SOURCE_LOST,
                 ERR_PG_QUERY);
}
END_TEST

START_TEST(cut_inside_a_message)
{
    stream();
    reply_data(&buf, BYTES_LIT("B"), lsn_make(0x6000));
    buf.len -= 1;
    serve();
    walsender_hang_up(server);
    expect_error(SOURCE_LOST, ERR_PG_LOST);
}
END_TEST

START_TEST(malformed_frames)
{
    open_source();
    for (unsigned i = 0; i < 3; i++) {
        pass(31000);
        stream();
        reply_copy(&buf, BYTES_LIT("?"));
        serve();
        expect_error(i < 2 ? SOURCE_LOST : SOURCE_FAIL,
                     i < 2 ? ERR_PROTOCOL : ERR_PROTOCOL_REPEATED);
    }
    ck_assert_int_eq(err_exit_status(err.code), 76);
}
END_TEST

START_TEST(progress_forgives)
{
    open_source();
    for (unsigned i = 0; i < 6; i++) {
        pass(31000);
        stream();
        source_healthy(source);
        reply_copy(&buf, BYTES_LIT("?"));
        serve();
        expect_error(SOURCE_LOST, ERR_PROTOCOL);
    }
}
END_TEST

START_TEST(restart)
{
    stream();
    source_restart(source, now);
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_BACKOFF);
    ck_assert_uint_eq(source_reconnects(source), 1);
    expect(SOURCE_IDLE);
    reconnected();
    ck_assert_uint_eq(walsender_connections(server), 2);
}
END_TEST

START_TEST(confirmation_outlives_the_session)
{
    stream();
    source_confirm(source, lsn_make(0x1900), false);
    walsender_hang_up(server);
    expect_error(SOURCE_LOST, ERR_PG_LOST);
    pass(31000);
    stream();
    pass(10000);
    expect(SOURCE_IDLE);
    ck_assert_uint_eq(walsender_status(server).flush.value, 0x1900);
}
END_TEST

/* ---- refusals ---- */

START_TEST(refused_login_is_retried_slowly_for_ever)
{
    walsender_refuse(server, "28P01", "password authentication failed for user \"walferry\"");
    open_source();
    for (unsigned i = 0; i < 5; i++) {
        expect_error(SOURCE_LOST, ERR_PG_AUTH);
        ck_assert_str_eq(err.sqlstate, "28P01");
        ck_assert_uint_eq(source_deadline(source), now + 30 * NS_PER_S);
        pass(30000);
    }
    walsender_refuse(server, NULL, NULL);
    expect(SOURCE_READY);
}
END_TEST

START_TEST(starting_up_and_full)
{
    walsender_refuse(server, "57P03", "the database system is starting up");
    open_source();
    expect_error(SOURCE_LOST, ERR_PG_SHUTDOWN);
    ck_assert_uint_le(source_deadline(source), now + 100 * NS_PER_MS);
    walsender_refuse(server, "53300", "sorry, too many clients already");
    pass(1000);
    expect_error(SOURCE_LOST, ERR_PG_CONNECT);
    ck_assert(strstr(err.hint, "max_wal_senders") != NULL);
    ck_assert_uint_eq(source_reconnects(source), 0);
}
END_TEST

START_TEST(nobody_listens)
{
    opts.conninfo = "host=/nonexistent port=5432 dbname=shop user=walferry";
    open_source();
    expect_error(SOURCE_LOST, ERR_PG_CONNECT);
    ck_assert(err.hint[0] != '\0');
}
END_TEST

START_TEST(malformed_conninfo)
{
    opts.conninfo = "host";
    ck_assert(!source_new(&opts, &source, &err));
    ck_assert_int_eq((int)err.code, ERR_PG_CONNINFO);
}
END_TEST

START_TEST(server_that_never_answers)
{
    buf_reset(&buf);
    on("IDENTIFY_SYSTEM");
    open_source();
    expect(SOURCE_IDLE);
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_ASKING);
    pass(30000);
    expect_error(SOURCE_LOST, ERR_PG_SILENT);
}
END_TEST

START_TEST(pooler_in_between)
{
    reply_error(&buf, "42601", "syntax error at or near \"IDENTIFY_SYSTEM\"");
    reply_ready(&buf);
    on("IDENTIFY_SYSTEM");
    open_source();
    expect_error(SOURCE_LOST, ERR_PG_QUERY);
    ck_assert(strstr(err.hint, "PgBouncer") != NULL);
}
END_TEST

START_TEST(nonsense_identity)
{
    static const char *const SYSTEM[] = {"x", "1", "0/5000", "shop"};
    reply_row(&buf, 4, SYSTEM);
    on("IDENTIFY_SYSTEM");
    open_source();
    expect_error(SOURCE_LOST, ERR_PROTOCOL);
}
END_TEST

static void refuse_start(const char *sqlstate)
{
    reply_error(&buf, sqlstate, "refused");
    reply_ready(&buf);
    on("START_REPLICATION");
}

static void allow_start(void)
{
    reply_copy_both(&buf);
    on("START_REPLICATION");
}

START_TEST(slot_in_use_at_start)
{
    refuse_start("55006");
    open_source();
    expect(SOURCE_READY);
    source_start(source, lsn_make(0x2000));
    expect_error(SOURCE_WAITING, ERR_SLOT_ACTIVE);
    ck_assert_int_eq((int)source_state(source), SOURCE_STATE_STANDBY);
    ck_assert_uint_eq(source_deadline(source), now + NS_PER_S);
    /* Said once, tried every second. */
    for (unsigned i = 0; i < 3; i++) {
        expect(SOURCE_IDLE);
        pass(1000);
        expect(SOURCE_READY);
        source_start(source, lsn_make(0x2000));
    }
    expect(SOURCE_IDLE);
    allow_start();
    pass(1000);
    stream();
    ck_assert_uint_eq(walsender_connections(server), 1);
}
END_TEST

START_TEST(slot_in_use_fails_when_asked_to)
{
    opts.standby_wait = false;
    refuse_start("55006");
    open_source();
    expect(SOURCE_READY);
    source_start(source, lsn_make(0x2000));
    expect_error(SOURCE_FAIL, ERR_SLOT_ACTIVE);
    ck_assert_int_eq(err_exit_status(err.code), 75);
}
END_TEST

START_TEST(waiting_for_the_guard)
{
    struct err why = ERR_INIT;
    err_set(&why, ERR_PG_RECOVERY, "standby");
    open_source();
    expect(SOURCE_READY);
    source_wait(source, &why, now);
    expect_error(SOURCE_WAITING, ERR_PG_RECOVERY);
    expect(SOURCE_IDLE);
    pass(1000);
    expect(SOURCE_READY);
    source_wait(source, &why, now);
    expect(SOURCE_IDLE);
    pass(1000);
    expect(SOURCE_READY);
    ck_assert_uint_eq(walsender_connections(server), 1);
    ck_assert_uint_eq(walsender_queries(server, "IDENTIFY_SYSTEM"), 3);
}
END_TEST

START_TEST(guard_finds_the_slot_in_use)
{
    struct err why = ERR_INIT;
    err_set(&why, ERR_SLOT_ACTIVE, "in use");
    opts.standby_wait = false;
    open_source();
    expect(SOURCE_READY);
    source_wait(source, &why, now);
    expect_error(SOURCE_FAIL, ERR_SLOT_ACTIVE);
}
END_TEST

START_TEST(slot_vanished_before_the_start)
{
    refuse_start("42704");
    open_source();
    expect(SOURCE_READY);
    source_start(source, lsn_make(0x2000));
    expect(SOURCE_IDLE);
    reply_none(&buf, 13);
    on("pg_replication_slots");
    pass(1000);
    expect(SOURCE_READY);
    ck_assert(!source_facts(source)->slot.exists);
}
END_TEST

START_TEST(refused_again_and_again)
{
    refuse_start("55000");
    open_source();
    for (unsigned i = 0; i < 2; i++) {
        expect(SOURCE_READY);
        source_start(source, lsn_make(0x2000));
        expect(SOURCE_IDLE);
        pass(1000);
    }
    expect(SOURCE_READY);
    source_start(source, lsn_make(0x2000));
    expect_error(SOURCE_LOST, ERR_PG_QUERY);
}
END_TEST

static Suite *session_suite(void)
{
    const TTest *const tests[] = {facts,
                                  session_parameters,
                                  missing_slot_and_publication,
                                  what_the_publication_keeps_back,
                                  start_command,
                                  names_are_literals_in_questions,
                                  questions_open_no_table,
                                  temporary_slot,
                                  fork_of_the_history,
                                  byte_by_byte,
                                  messages,
                                  status_says_what_was_confirmed,
                                  confirm_now,
                                  interval_follows_the_server,
                                  requests_are_answered_at_a_pace,
                                  storm_means_shutdown,
                                  back_pressure,
                                  silence,
                                  a_row_that_takes_its_time,
                                  orderly_end,
                                  end_without_answer,
                                  end_before_the_stream,
                                  server_ends_in_good_order,
                                  shutdown_in_the_stream,
                                  publication_vanished,
                                  publication_vanished_18,
                                  other_notices_are_no_reason,
                                  column_lists_that_differ,
                                  bad_encoding,
                                  row_too_large,
                                  other_internal_errors_are_retried,
                                  invalidated_while_streaming,
                                  cut_inside_a_message,
                                  malformed_frames,
                                  progress_forgives,
                                  restart,
                                  confirmation_outlives_the_session,
                                  refused_login_is_retried_slowly_for_ever,
                                  starting_up_and_full,
                                  nobody_listens,
                                  malformed_conninfo,
                                  server_that_never_answers,
                                  pooler_in_between,
                                  nonsense_identity,
                                  slot_in_use_at_start,
                                  slot_in_use_fails_when_asked_to,
                                  waiting_for_the_guard,
                                  guard_finds_the_slot_in_use,
                                  slot_vanished_before_the_start,
                                  refused_again_and_again};
    Suite *suite = suite_create("session");
    TCase *tcase = tcase_create("session");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(session_suite())
