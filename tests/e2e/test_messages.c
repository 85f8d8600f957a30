/* SPDX-License-Identifier: Apache-2.0 */
/* Events as WAL messages: no table, and yet the same transactions and the same order. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "records.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define ID(n)       "11111111-2222-4333-8444-5555555555" #n
#define BOTH        "  - {outbox: outbox.event}\n  - {messages: outbox}"

static int skipped(const struct relay *relay, const char *reason)
{
    return (int)relay_metric(relay, text("walferry_events_skipped_total{reason=\"%s\"}", reason));
}

/* One partition, so that the order of all records is seen. */
static struct relay *begin(const char *label, const char *captures)
{
    struct world *world = world_new(label);
    kafka_create_topic(world->kafka, world_topic(world, "m"), 1, NULL);
    return begin_relay(world, config_text(captures, ""));
}

static void emit(PGconn *db, const char *id)
{
    PQclear(sql_on(db, text("SELECT outbox.emit('m', 'k', 'done', '1', id => '%s')", id)));
}

static void publish(PGconn *db, const char *id)
{
    PQclear(sql_on(db, text("SELECT outbox.publish('m', 'k', 'done', '1', id => '%s')", id)));
}

static char *by_hand(const char *id)
{
    return text("{\"id\":\"%s\",\"event_type\":\"t\",\"payload\":1,\"aggregate_type\":\"m\"}", id);
}

START_TEST(emitted_events_have_every_field)
{
    struct relay *relay = begin("fields", "  - {messages: outbox}");
    struct world *world = relay->world;
    sql(world,
        "SELECT outbox.emit('m', 'a-1', 'x.done', E' {\"n\" :\\n 1.0, \"e\":\"\\\\u00e9 \\\\\\/\"} "
        "',"
        " 3, '{\"tenant\":\"acme\"}', 'private', '" TRACEPARENT "', 'v=1', 'corr', 'caus', "
        "partition => 0, key => 'k-1', occurred_at => '2026-03-04 05:06:07.999999+00', id => '" ID(
            01) "')");
    sql(world, "SELECT outbox.emit('m', NULL, 'x.gone', NULL, id => '" ID(02) "')");
    /* As any client may write it, in another order and with no more than there must be. */
    sql(world,
        "SELECT pg_logical_emit_message(true, 'outbox', '{\"payload\":  [1,  2] , \"event_type\":"
        "\"by.hand\", \"id\": 12345678901234567890, \"aggregate_type\": \"m\"}')");
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    /* White space around a JSON value is not part of it. */
    struct records records = consumer_exactly(consumer, 3);
    expect_document(world, &records.items[0], "{\"n\" :\n 1.0, \"e\":\"\\u00e9 \\/\"}", "id",
                    ID(01), "type", "x.done", "subject", "a-1", "time",
                    "2026-03-04T05:06:07.999999Z", "datacontenttype", "application/json",
                    "partitionkey", "k-1", "aggregatetype", "m", "dataversion", "3",
                    "correlationid", "corr", "causationid", "caus", "traceparent", TRACEPARENT,
                    "tracestate", "v=1", NULL);
    expect_headers(&records.items[0], "content-type", ANYTHING, "tenant", "acme", "traceparent",
                   TRACEPARENT, "tracestate", "v=1", NULL);
    expect_key(&records.items[0], "k-1");
    ck_assert_int_eq(records.items[0].timestamp_ms, INT64_C(1772600767999));
    expect_document(world, &records.items[1], NULL, "id", ID(02), "type", "x.gone", "aggregatetype",
                    "m", "dataversion", "1", NULL);
    expect_document(world, &records.items[2], "[1,  2]", "id", "12345678901234567890", "type",
                    "by.hand", "datacontenttype", "application/json", "aggregatetype", "m", NULL);
    expect_valid_documents(world, records);
    ck_assert_int_eq((int)sql_number(world, "SELECT count(*) FROM outbox.event"), 0);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(others_are_passed_by_and_counted)
{
    struct relay *relay = begin("others", "  - {messages: outbox}");
    struct world *world = relay->world;
    const char *one = by_hand(ID(01));
    const char *two = by_hand(ID(02));
    sql(world, "SELECT pg_logical_emit_message(false, 'outbox', '%s')", one);
    sql(world, "SELECT pg_logical_emit_message(true, 'outbox2', '%s')", one);
    sql(world, "SELECT pg_logical_emit_message(true, 'Outbox', '%s')", one);
    sql(world, "SELECT pg_logical_emit_message(false, 'other', 'not JSON')");
    /* Not even within a transaction that commits. */
    sql(world,
        "BEGIN; SELECT pg_logical_emit_message(false, 'outbox', '%s'); SELECT "
        "pg_logical_emit_message(true, 'outbox', '%s'); COMMIT",
        one, two);
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 1)), ID(02));
    relay_wait_counter(relay, "skipped", 5);
    ck_assert_int_eq(skipped(relay, "not_transactional") + skipped(relay, "prefix"), 5);
    ck_assert_int_ge(skipped(relay, "not_transactional"), 2);
    ck_assert_int_ge(skipped(relay, "prefix"), 2);
    wait_confirmed(world);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(without_an_entry_messages_are_nothing)
{
    struct relay *relay = begin("noentry", "  - {outbox: outbox.event}");
    struct world *world = relay->world;
    emit(world->db, ID(01));
    publish(world->db, ID(02));
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 1)), ID(02));
    wait_confirmed(world);
    ck_assert_int_eq((int)consumer_drain(consumer).count, 1);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(what_is_rolled_back_was_never_emitted)
{
    struct relay *relay = begin("rollback", BOTH);
    struct world *world = relay->world;
    sql(world, "BEGIN");
    emit(world->db, ID(01));
    publish(world->db, ID(02));
    sql(world, "ROLLBACK");
    sql(world, "BEGIN");
    emit(world->db, ID(03));
    sql(world, "SAVEPOINT one");
    emit(world->db, ID(04));
    publish(world->db, ID(05));
    sql(world, "ROLLBACK TO SAVEPOINT one");
    publish(world->db, ID(06));
    sql(world, "SAVEPOINT two");
    emit(world->db, ID(07));
    sql(world, "RELEASE SAVEPOINT two");
    emit(world->db, ID(08));
    sql(world, "COMMIT");
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    consumer_expect(consumer, 4);
    wait_confirmed(world);
    ck_assert_str_eq(ids_of(consumer_drain(consumer)), ID(03) " " ID(06) " " ID(07) " " ID(08));
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(rows_and_messages_share_one_order)
{
    struct relay *relay = begin("mixed", BOTH);
    struct world *world = relay->world;
    PGconn *other = world_connect(world);
    /* Begins first, commits last. */
    PQclear(sql_on(other, "BEGIN"));
    emit(other, ID(11));
    publish(other, ID(12));
    publish(world->db, ID(01));
    emit(world->db, ID(02));
    emit(other, ID(13));
    sql(world, "BEGIN");
    publish(world->db, ID(03));
    emit(world->db, ID(04));
    emit(world->db, ID(05));
    publish(world->db, ID(06));
    sql(world, "COMMIT");
    publish(other, ID(14));
    PQclear(sql_on(other, "COMMIT"));
    emit(other, ID(15));
    PQfinish(other);
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    struct records records = consumer_exactly(consumer, 11);
    ck_assert_str_eq(ids_of(records),
                     ID(01) " " ID(02) " " ID(03) " " ID(04) " " ID(05) " " ID(06) " " ID(
                         11) " " ID(12) " " ID(13) " " ID(14) " " ID(15));
    static const int indexes[] = {0, 0, 0, 1, 2, 3, 0, 1, 2, 3, 0};
    const char *last = "";
    for (size_t i = 0; i < records.count; i++) {
        json_t *document = record_json(&records.items[i]);
        const char *sequence = text("%s", json_string_value(json_object_get(document, "sequence")));
        json_decref(document);
        ck_assert_str_gt(sequence, last);
        ck_assert_int_eq((int)strtol(sequence + 17, NULL, 16), indexes[i]);
        last = sequence;
    }
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(a_restart_neither_loses_nor_repeats_messages)
{
    struct relay *relay = begin("again", BOTH);
    struct world *world = relay->world;
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    emit(world->db, ID(01));
    publish(world->db, ID(02));
    consumer_exactly(consumer, 2);
    relay_stop(relay);
    emit(world->db, ID(03));
    publish(world->db, ID(04));
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    emit(world->db, ID(05));
    consumer_expect(consumer, 5);
    wait_confirmed(world);
    ck_assert_str_eq(ids_of(consumer_drain(consumer)),
                     ID(01) " " ID(02) " " ID(03) " " ID(04) " " ID(05));
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, emitted_events_have_every_field);
    tcase_add_test(tests, others_are_passed_by_and_counted);
    tcase_add_test(tests, without_an_entry_messages_are_nothing);
    tcase_add_test(tests, what_is_rolled_back_was_never_emitted);
    tcase_add_test(tests, rows_and_messages_share_one_order);
    tcase_add_test(tests, a_restart_neither_loses_nor_repeats_messages);
}

static const struct e2e_suite messages = {"messages", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&messages)
