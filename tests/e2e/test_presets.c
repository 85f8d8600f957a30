/* SPDX-License-Identifier: Apache-2.0 */
/* Outbox tables of other projects, and any table by overrides: every field arrives where it
 * belongs. The statements are those that the projects themselves send. */
#include <string.h>

#include "harness.h"
#include "records.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define ID(n)       "11111111-2222-4333-8444-5555555555" #n

START_TEST(walferry_reads_every_column)
{
    struct world *world = world_new("walferry");
    struct relay *relay = begin_relay(world, RELAY_CONFIG);
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, event_version, "
        "payload, headers, traceparent, tracestate, correlation_id, causation_id, occurred_at) "
        "VALUES ('" ID(01) "', 'order', 'o-1', 'order.placed', 7, '{\"a\": 1 }', "
                           "'{\"tenant\":\"acme\", \"retries\": 3, \"empty\":\"\", \"none\": "
                           "null}', '" TRACEPARENT
                           "', 'vendor=a', 'flow-9', 'cause-8', '2026-03-04 05:06:07.891+01')");
    struct consumer *consumer = consumer_new(world, world_topic(world, "order"), NULL);
    struct records records = consumer_exactly(consumer, 1);
    const struct kafka_record *record = &records.items[0];
    expect_document(world, record, "{\"a\": 1 }", "id", ID(01), "type", "order.placed", "subject",
                    "o-1", "time", "2026-03-04T04:06:07.891000Z", "datacontenttype",
                    "application/json", "partitionkey", "o-1", "aggregatetype", "order",
                    "dataversion", "7", "correlationid", "flow-9", "causationid", "cause-8",
                    "traceparent", TRACEPARENT, "tracestate", "vendor=a", NULL);
    expect_headers(record, "content-type", "application/cloudevents+json; charset=UTF-8",
                   "traceparent", TRACEPARENT, "tracestate", "vendor=a", "tenant", "acme",
                   "retries", "3", "empty", "", "none", NULL, NULL);
    expect_key(record, "o-1");
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(debezium_rows_are_what_its_router_sends)
{
    struct world *world = world_new("debezium");
    sql(world, "CREATE TABLE outbox (id uuid NOT NULL PRIMARY KEY, aggregatetype varchar(255) NOT "
               "NULL, aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb,"
               " tracingspancontext varchar(256))");
    struct relay *relay =
        begin_relay(world, config_text("  - {outbox: public.outbox, preset: debezium}",
                                       "envelope: {format: debezium}\n"
                                       "route: {topic: \"@NAME@.event.${aggregate_type}\"}\n"));
    /* The row goes in the same transaction: the WAL has it. */
    sql(world, "BEGIN; INSERT INTO outbox VALUES ('" ID(
                   01) "', 'Order', '42', 'OrderCreated', "
                       "'{\"id\": 42,   \"lines\": [ ]}', E'#Mon Mar 02 10:00:00 UTC 2026\\n"
                       "traceparent=" TRACEPARENT "\\ntracestate=vendor\\\\=a\\n'); "
                       "DELETE FROM outbox WHERE id = '" ID(01) "'; COMMIT");
    sql(world,
        "INSERT INTO outbox VALUES ('" ID(02) "', 'Order', '42', 'OrderErased', NULL, NULL)");
    struct consumer *consumer = consumer_new(world, world_topic(world, "event.Order"), NULL);
    struct records records = consumer_exactly(consumer, 2);
    const struct kafka_record *record = &records.items[0];
    expect_key(record, "42");
    /* jsonb is what PostgreSQL makes of it. */
    expect_value(record, "{\"id\": 42, \"lines\": []}");
    expect_headers(record, "id", ID(01), "traceparent", TRACEPARENT, "tracestate", "vendor=a",
                   NULL);
    record = &records.items[1];
    expect_key(record, "42");
    expect_value(record, NULL);
    expect_headers(record, "id", ID(02), NULL);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(debezium_rows_become_cloudevents_too)
{
    struct world *world = world_new("dbzce");
    sql(world, "CREATE TABLE outbox (id uuid NOT NULL PRIMARY KEY, aggregatetype varchar(255) NOT "
               "NULL, aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload "
               "varchar(8000))");
    struct relay *relay =
        begin_relay(world, config_text("  - {outbox: public.outbox, preset: debezium}", ""));
    sql(world, "INSERT INTO outbox VALUES ('" ID(01) "', 'Order', '42', 'OrderCreated', 'text')");
    struct consumer *consumer = consumer_new(world, world_topic(world, "Order"), NULL);
    struct records records = consumer_exactly(consumer, 1);
    expect_document(world, &records.items[0], "\"text\"", "id", ID(01), "type", "OrderCreated",
                    "subject", "42", "datacontenttype", "text/plain", "partitionkey", "42",
                    "aggregatetype", "Order", NULL);
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(open_outbox)
{
    struct world *world = world_new("openoutbox");
    sql(world,
        "CREATE TABLE openoutbox_events (event_id uuid PRIMARY KEY, event_type text NOT NULL, "
        "partition_key text, payload bytea NOT NULL, headers jsonb NOT NULL DEFAULT '{}', status "
        "text NOT NULL DEFAULT 'PENDING', attempts int NOT NULL DEFAULT 0, last_error text, "
        "available_at timestamptz NOT NULL DEFAULT now(), locked_by text, locked_at timestamptz, "
        "delivered_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(), updated_at "
        "timestamptz NOT NULL DEFAULT now())");
    struct relay *relay = begin_relay(
        world, config_text("  - {outbox: public.openoutbox_events, preset: open_outbox}",
                           "route: {topic: \"@NAME@.${event_type}\"}\n"));
    sql(world,
        "INSERT INTO openoutbox_events (event_id, event_type, partition_key, payload, headers, "
        "created_at) VALUES ('" ID(01) "', 'user.created', 'u-1', convert_to('{\"n\":1}', 'UTF8'),"
                                       " '{\"tenant\": \"acme\", \"traceparent\": \"" TRACEPARENT
                                       "\"}', '2026-03-04 05:06:07Z')");
    sql(world, "INSERT INTO openoutbox_events (event_id, event_type, payload, created_at) VALUES "
               "('" ID(02) "', 'user.created', '\\x00ff', '2026-03-04 05:06:08Z')");
    struct consumer *consumer = consumer_new(world, world_topic(world, "user.created"), NULL);
    struct records records = consumer_exactly(consumer, 2);
    const struct kafka_record *record = records_find(records, ID(01));
    expect_document(world, record, NULL, "id", ID(01), "type", "user.created", "subject", "u-1",
                    "time", "2026-03-04T05:06:07Z", "datacontenttype", "application/octet-stream",
                    "data_base64", "eyJuIjoxfQ==", "partitionkey", "u-1", "traceparent",
                    TRACEPARENT, NULL);
    expect_headers(record, "content-type", ANYTHING, "tenant", "acme", "traceparent", TRACEPARENT,
                   NULL);
    expect_key(record, "u-1");
    record = records_find(records, ID(02));
    expect_document(world, record, NULL, "id", ID(02), "type", "user.created", "time",
                    "2026-03-04T05:06:08Z", "datacontenttype", "application/octet-stream",
                    "data_base64", "AP8=", NULL);
    expect_key(record, NULL);
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

static void create_eventuate(struct world *world)
{
    sql(world, "CREATE SCHEMA eventuate; CREATE TABLE eventuate.message (id varchar(1000) PRIMARY "
               "KEY, destination text NOT NULL, headers text NOT NULL, payload text NOT NULL, "
               "published smallint DEFAULT 0, message_partition smallint, creation_time bigint)");
    /* One that was there before and publishes everything. */
    sql(world, "CREATE PUBLICATION %s FOR TABLE eventuate.message", world->slot);
}

START_TEST(eventuate)
{
    static const char headers[] =
        "{\"PARTITION_ID\":\"42\",\"event-aggregate-type\":\"shop.Order\",\"DATE\":\"Mon, 2 Mar "
        "2026 10:00:00 GMT\",\"event-aggregate-id\":\"42\",\"event-type\":\"shop.OrderCreated\","
        "\"DESTINATION\":\"shop.Order\",\"ID\":\"0000019cadb1-0242ac1200060000\"}";
    struct world *world = world_new("eventuate");
    const char *orders = world_topic(world, "shop.Order");
    const char *commands = world_topic(world, "creditService");
    create_eventuate(world);
    struct relay *relay =
        begin_relay(world, config_text("  - {outbox: eventuate.message, preset: eventuate}", ""));
    sql(world,
        "INSERT INTO eventuate.message (id, destination, headers, payload, creation_time, "
        "published, message_partition) VALUES ('0000019cadb1-0242ac1200060000', '%s', '%s', "
        "'{\"total\":  12}', 1772445600123, 0, 1)",
        orders, headers);
    sql(world,
        "INSERT INTO eventuate.message (id, destination, headers, payload, creation_time) VALUES "
        "('cmd-2', '%s', '{\"command_type\":\"Reserve\",\"ID\":\"cmd-2\"}', '{}', 1772445600124)",
        commands);
    sql(world, "UPDATE eventuate.message SET published = 1");
    sql(world, "DELETE FROM eventuate.message");
    struct consumer *consumer = consumer_new(world, orders, commands, NULL);
    struct records records = consumer_exactly(consumer, 2);
    const struct kafka_record *record = records_find(records, "0000019cadb1-0242ac1200060000");
    expect_document(world, record, "{\"total\":  12}", "id", "0000019cadb1-0242ac1200060000",
                    "type", "shop.OrderCreated", "subject", "42", "time",
                    "2026-03-02T10:00:00.123000Z", "datacontenttype", "application/json",
                    "partitionkey", "42", "aggregatetype", orders, NULL);
    expect_headers(record, "content-type", ANYTHING, "PARTITION_ID", "42", "event-aggregate-type",
                   "shop.Order", "DATE", "Mon, 2 Mar 2026 10:00:00 GMT", "event-aggregate-id", "42",
                   "event-type", "shop.OrderCreated", "DESTINATION", "shop.Order", "ID",
                   "0000019cadb1-0242ac1200060000", NULL);
    expect_key(record, "42");
    ck_assert_str_eq(record->topic, orders);
    ck_assert_int_eq(record->timestamp_ms, INT64_C(1772445600123));
    record = records_find(records, "cmd-2");
    /* No event: the destination stands in for the type. */
    expect_document(world, record, "{}", "id", "cmd-2", "type", commands, "time",
                    "2026-03-02T10:00:00.124000Z", "datacontenttype", "application/json",
                    "aggregatetype", commands, NULL);
    expect_key(record, NULL);
    ck_assert_str_eq(record->topic, commands);
    expect_valid_documents(world, records);
    relay_wait_counter(relay, "skipped", 4);
    ck_assert_int_eq((int)relay_metric(relay, "walferry_events_skipped_total{reason=\"update\"}"),
                     2);
    ck_assert_int_eq((int)relay_metric(relay, "walferry_events_skipped_total{reason=\"delete\"}"),
                     2);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(goharvest)
{
    struct world *world = world_new("goharvest");
    const char *topic = world_topic(world, "payments");
    sql(world, "CREATE TABLE outbox (id bigserial PRIMARY KEY, create_time timestamp with time "
               "zone NOT NULL, kafka_topic varchar(249) NOT NULL, kafka_key varchar(100) NOT NULL, "
               "kafka_value varchar(10000), kafka_header_keys text[] NOT NULL, "
               "kafka_header_values text[] NOT NULL, leader_id uuid)");
    struct relay *relay =
        begin_relay(world, config_text("  - {outbox: public.outbox, preset: goharvest}",
                                       "envelope: {format: raw}\n"));
    sql(world,
        "INSERT INTO outbox (create_time, kafka_topic, kafka_key, kafka_value, kafka_header_keys, "
        "kafka_header_values) VALUES ('2026-03-04 05:06:07.891999Z', '%s', 'p-1', ' odd  value ', "
        "ARRAY['plain', 'comma', 'quoted', 'umlaut', 'empty', 'NULL'], "
        "ARRAY['v', 'a,b{c}', E'say \"hi\" \\\\ now', 'gr\u00fcn', '', 'NULL'])",
        topic);
    sql(world,
        "INSERT INTO outbox (create_time, kafka_topic, kafka_key, kafka_value, kafka_header_keys, "
        "kafka_header_values) VALUES (now(), '%s', 'p-1', NULL, '{}', '{}')",
        topic);
    /* What its harvester does with rows it has claimed and sent. */
    sql(world, "UPDATE outbox SET leader_id = '" ID(01) "'; DELETE FROM outbox");
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records records = consumer_exactly(consumer, 2);
    const struct kafka_record *record = &records.items[0];
    expect_key(record, "p-1");
    expect_value(record, " odd  value ");
    expect_headers(record, "plain", "v", "comma", "a,b{c}", "quoted", "say \"hi\" \\ now", "umlaut",
                   "gr\u00fcn", "empty", "", "NULL", "NULL", NULL);
    /* Cut, not rounded. */
    ck_assert_int_eq(record->timestamp_ms, INT64_C(1772600767891));
    record = &records.items[1];
    expect_key(record, "p-1");
    expect_value(record, NULL);
    expect_headers(record, NULL);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(goharvest_rows_become_cloudevents_too)
{
    struct world *world = world_new("gohce");
    const char *topic = world_topic(world, "payments");
    sql(world, "CREATE TABLE outbox (id bigserial PRIMARY KEY, create_time timestamp with time "
               "zone NOT NULL, kafka_topic varchar(249) NOT NULL, kafka_key varchar(100) NOT NULL, "
               "kafka_value varchar(10000), kafka_header_keys text[] NOT NULL, "
               "kafka_header_values text[] NOT NULL, leader_id uuid)");
    struct relay *relay =
        begin_relay(world, config_text("  - {outbox: public.outbox, preset: goharvest}", ""));
    sql(world,
        "INSERT INTO outbox (create_time, kafka_topic, kafka_key, kafka_value, kafka_header_keys, "
        "kafka_header_values) VALUES ('2026-03-04 05:06:07Z', '%s', 'p-1', 'say \"hi\"', '{}', "
        "'{}')",
        topic);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records records = consumer_exactly(consumer, 1);
    expect_document(world, &records.items[0], "\"say \\\"hi\\\"\"", "id", "1", "type", topic,
                    "subject", "p-1", "time", "2026-03-04T05:06:07Z", "datacontenttype",
                    "text/plain", "partitionkey", "p-1", NULL);
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(pg_transactional_outbox)
{
    struct world *world = world_new("pgtx");
    sql(world,
        "CREATE TABLE outbox (id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text "
        "NOT NULL, message_type text NOT NULL, segment text, concurrency text NOT NULL DEFAULT "
        "'sequential', payload jsonb NOT NULL, metadata jsonb, locked_until timestamptz NOT NULL "
        "DEFAULT to_timestamp(0), created_at timestamptz NOT NULL DEFAULT clock_timestamp(), "
        "processed_at timestamptz, abandoned_at timestamptz, started_attempts smallint NOT NULL "
        "DEFAULT 0, finished_attempts smallint NOT NULL DEFAULT 0)");
    struct relay *relay = begin_relay(
        world, config_text("  - {outbox: public.outbox, preset: pg_transactional_outbox}", ""));
    sql(world,
        "INSERT INTO outbox (id, aggregate_type, aggregate_id, message_type, segment, payload, "
        "metadata, created_at) VALUES ('" ID(01) "', 'movie', 'm-1', 'movie_created', 's-1', "
                                                 "'{\"title\": \"Alien\"}', '{\"nested\": "
                                                 "{\"any\": [1]}}', '2026-03-04 05:06:07.5Z')");
    struct consumer *consumer = consumer_new(world, world_topic(world, "movie"), NULL);
    struct records records = consumer_exactly(consumer, 1);
    expect_document(world, &records.items[0], "{\"title\": \"Alien\"}", "id", ID(01), "type",
                    "movie_created", "subject", "m-1", "time", "2026-03-04T05:06:07.500000Z",
                    "datacontenttype", "application/json", "partitionkey", "m-1", "aggregatetype",
                    "movie", NULL);
    expect_headers(&records.items[0], "content-type", ANYTHING, NULL);
    expect_key(&records.items[0], "m-1");
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(overrides_and_quoted_identifiers)
{
    struct world *world = world_new("quoted");
    sql(world, "CREATE SCHEMA \"Sales\"; CREATE TABLE \"Sales\".\"Outbox.Events\" (\"Id\" bigint "
               "PRIMARY KEY, \"EventType\" text, \"Body\" text, \"OrderNo\" text, correlation_id "
               "text, aggregate_id text, \"Created At\" timestamp)");
    struct relay *relay = begin_relay(
        world, config_text("  - outbox: Sales.Outbox.Events\n"
                           "    columns: {id: Id, event_type: EventType, payload: Body, key: "
                           "OrderNo, correlation_id: \"\", occurred_at: Created At}\n"
                           "    payload: json",
                           "route: {topic: \"@NAME@.all\"}\n"));
    sql(world, "INSERT INTO \"Sales\".\"Outbox.Events\" VALUES (9007199254740993, 'Placed', "
               "'{\"a\": 1}', 'k-1', 'not read', 'agg', '2026-03-04 05:06:07')");
    struct consumer *consumer = consumer_new(world, world_topic(world, "all"), NULL);
    struct records records = consumer_exactly(consumer, 1);
    /* The override "" takes correlation_id away although the table has the column. */
    expect_document(world, &records.items[0], "{\"a\": 1}", "id", "9007199254740993", "type",
                    "Placed", "subject", "agg", "time", "2026-03-04T05:06:07Z", "datacontenttype",
                    "application/json", "partitionkey", "k-1", NULL);
    expect_key(&records.items[0], "k-1");
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(partitioned_tables_are_one_outbox)
{
    struct world *world = world_new("partitioned");
    sql(world,
        "CREATE TABLE outbox (id uuid, aggregate_type text, aggregate_id text, event_type text, "
        "payload json, occurred_at timestamptz) PARTITION BY RANGE (occurred_at); CREATE TABLE "
        "outbox_march PARTITION OF outbox FOR VALUES FROM ('2026-03-01') TO ('2026-04-01'); "
        /* Another order of columns, as partitions that were attached have. */
        "CREATE TABLE outbox_april (occurred_at timestamptz, payload json, event_type text, "
        "aggregate_id text, aggregate_type text, id uuid); ALTER TABLE outbox ATTACH PARTITION "
        "outbox_april FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')");
    struct relay *relay = begin_relay(world, config_text("  - {outbox: public.outbox}", ""));
    sql(world, "INSERT INTO outbox VALUES ('" ID(01) "', 'o', 'k', 't', '1', '2026-03-05Z'), ('" ID(
                   02) "', 'o', 'k', 't', '2', '2026-04-05Z'), ('" ID(03) "', 'o', 'k', 't', '3', "
                                                                          "'2026-03-06Z')");
    sql(world, "CREATE TABLE outbox_may PARTITION OF outbox FOR VALUES FROM ('2026-05-01') TO "
               "('2026-06-01')");
    sql(world, "INSERT INTO outbox VALUES ('" ID(04) "', 'o', 'k', 't', '4', '2026-05-05Z')");
    struct consumer *consumer = consumer_new(world, world_topic(world, "o"), NULL);
    struct records records = consumer_exactly(consumer, 4);
    ck_assert_str_eq(ids_of(records), ID(01) " " ID(02) " " ID(03) " " ID(04));
    ck_assert_str_eq(document_data(&records.items[1]), "2");
    expect_document(world, &records.items[3], "4", "id", ID(04), "type", "t", "subject", "k",
                    "time", "2026-05-05T00:00:00Z", "datacontenttype", "application/json",
                    "partitionkey", "k", "aggregatetype", "o", NULL);
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, walferry_reads_every_column);
    tcase_add_test(tests, debezium_rows_are_what_its_router_sends);
    tcase_add_test(tests, debezium_rows_become_cloudevents_too);
    tcase_add_test(tests, open_outbox);
    tcase_add_test(tests, eventuate);
    tcase_add_test(tests, goharvest);
    tcase_add_test(tests, goharvest_rows_become_cloudevents_too);
    tcase_add_test(tests, pg_transactional_outbox);
    tcase_add_test(tests, overrides_and_quoted_identifiers);
    tcase_add_test(tests, partitioned_tables_are_one_outbox);
}

static const struct e2e_suite presets = {"presets", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&presets)
