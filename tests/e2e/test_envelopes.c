/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes: exactly the headers, the value and the timestamp that each of them promises. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "records.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define ID(n)       "11111111-2222-4333-8444-5555555555" #n
#define FULL        ID(01)
#define BARE        ID(02)
#define TOMB        ID(03)
#define OUTBOX      "  - {outbox: outbox.event}"

/* One row with all there is, one with no more than needed, one without a payload. */
static struct records three(const char *label, const char *envelope, struct relay **ret_relay,
                            struct consumer **ret_consumer)
{
    struct world *world = world_new(label);
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, NULL);
    *ret_relay = begin_relay(world, config_text(OUTBOX, text("envelope: {%s}\n", envelope)));
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, event_version, "
        "payload, headers, visibility, traceparent, tracestate, correlation_id, causation_id, key, "
        "occurred_at) VALUES ('" FULL "', 't', 'a-1', 'x.done', 3, '{\"n\" : 1}', "
        "'{\"tenant\":\"gr\u00fcn\",\"Tenant\":\"two\"}', 'private', '" TRACEPARENT
        "', 'v=1', 'corr', 'caus', 'k-1', '2026-03-04 05:06:07.999999Z')");
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
        "correlation_id, headers, occurred_at) VALUES ('" BARE "', 't', '', 'x.bare', 'null', "
        "'', '{}', '2026-03-04 05:06:08Z')");
    sql(world, "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
               "occurred_at) VALUES ('" TOMB "', 't', 'a-1', 'x.gone', NULL, '1970-01-01Z')");
    *ret_consumer = consumer_new(world, world_topic(world, "t"), NULL);
    struct records records = consumer_exactly(*ret_consumer, 3);
    ck_assert_int_eq(records.items[0].timestamp_ms, INT64_C(1772600767999));
    ck_assert_int_eq(records.items[1].timestamp_ms, INT64_C(1772600768000));
    /* librdkafka cannot be told of 0. */
    ck_assert_int_eq(records.items[2].timestamp_ms, 1);
    expect_key(&records.items[0], "k-1");
    expect_key(&records.items[1], NULL);
    expect_key(&records.items[2], "a-1");
    return records;
}

START_TEST(structured)
{
    struct relay *relay;
    struct consumer *consumer;
    struct records records = three("structured", "mode: structured", &relay, &consumer);
    struct world *world = relay->world;
    static const char content_type[] = "application/cloudevents+json; charset=UTF-8";
    expect_headers(&records.items[0], "content-type", content_type, "traceparent", TRACEPARENT,
                   "tracestate", "v=1", "tenant", "gr\u00fcn", "Tenant", "two", NULL);
    expect_document(world, &records.items[0], "{\"n\" : 1}", "id", FULL, "type", "x.done",
                    "subject", "a-1", "time", "2026-03-04T05:06:07.999999Z", "datacontenttype",
                    "application/json", "partitionkey", "k-1", "aggregatetype", "t", "dataversion",
                    "3", "correlationid", "corr", "causationid", "caus", "traceparent", TRACEPARENT,
                    "tracestate", "v=1", NULL);
    /* Empty text is no value. */
    expect_headers(&records.items[1], "content-type", content_type, NULL);
    expect_document(world, &records.items[1], "null", "id", BARE, "type", "x.bare", "time",
                    "2026-03-04T05:06:08Z", "datacontenttype", "application/json", "aggregatetype",
                    "t", "dataversion", "1", NULL);
    /* Never a tombstone. */
    expect_headers(&records.items[2], "content-type", content_type, NULL);
    expect_document(world, &records.items[2], NULL, "id", TOMB, "type", "x.gone", "subject", "a-1",
                    "time", "1970-01-01T00:00:00Z", "partitionkey", "a-1", "aggregatetype", "t",
                    "dataversion", "1", NULL);
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(binary)
{
    struct relay *relay;
    struct consumer *consumer;
    struct records records =
        three("binary", "mode: binary, source: \"urn:shop\"", &relay, &consumer);
    expect_value(&records.items[0], "{\"n\" : 1}");
    expect_headers(&records.items[0], "ce_specversion", "1.0", "ce_id", FULL, "ce_source",
                   "urn:shop", "ce_type", "x.done", "ce_subject", "a-1", "ce_time",
                   "2026-03-04T05:06:07.999999Z", "content-type", "application/json", "ce_sequence",
                   ANYTHING, "ce_partitionkey", "k-1", "ce_aggregatetype", "t", "ce_dataversion",
                   "3", "ce_envelopeversion", "1", "ce_correlationid", "corr", "ce_causationid",
                   "caus", "ce_traceparent", TRACEPARENT, "ce_tracestate", "v=1", "traceparent",
                   TRACEPARENT, "tracestate", "v=1", "tenant", "gr\u00fcn", "Tenant", "two", NULL);
    expect_value(&records.items[1], "null");
    expect_headers(&records.items[1], "ce_specversion", "1.0", "ce_id", BARE, "ce_source",
                   "urn:shop", "ce_type", "x.bare", "ce_time", "2026-03-04T05:06:08Z",
                   "content-type", "application/json", "ce_sequence", ANYTHING, "ce_aggregatetype",
                   "t", "ce_dataversion", "1", "ce_envelopeversion", "1", NULL);
    expect_value(&records.items[2], NULL);
    expect_headers(&records.items[2], "ce_specversion", "1.0", "ce_id", TOMB, "ce_source",
                   "urn:shop", "ce_type", "x.gone", "ce_subject", "a-1", "ce_time",
                   "1970-01-01T00:00:00Z", "ce_sequence", ANYTHING, "ce_partitionkey", "a-1",
                   "ce_aggregatetype", "t", "ce_dataversion", "1", "ce_envelopeversion", "1", NULL);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(debezium)
{
    struct relay *relay;
    struct consumer *consumer;
    struct records records = three("debezium", "format: debezium", &relay, &consumer);
    expect_value(&records.items[0], "{\"n\" : 1}");
    expect_headers(&records.items[0], "id", FULL, "traceparent", TRACEPARENT, "tracestate", "v=1",
                   "tenant", "gr\u00fcn", "Tenant", "two", NULL);
    expect_value(&records.items[1], "null");
    expect_headers(&records.items[1], "id", BARE, NULL);
    expect_value(&records.items[2], NULL);
    expect_headers(&records.items[2], "id", TOMB, NULL);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(raw)
{
    struct relay *relay;
    struct consumer *consumer;
    struct records records = three("raw", "format: raw", &relay, &consumer);
    expect_value(&records.items[0], "{\"n\" : 1}");
    expect_headers(&records.items[0], "traceparent", TRACEPARENT, "tracestate", "v=1", "tenant",
                   "gr\u00fcn", "Tenant", "two", NULL);
    expect_value(&records.items[1], "null");
    expect_headers(&records.items[1], NULL);
    expect_value(&records.items[2], NULL);
    expect_headers(&records.items[2], NULL);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* As many as make it unlikely that rounding looks like cutting. */
#define COMMITS 20

START_TEST(commit_time_stands_in)
{
    struct world *world = world_new("committime");
    struct relay *relay = begin_relay(
        world, config_text("  - {outbox: outbox.event, columns: {occurred_at: \"\"}}", ""));
    const char *before = sql_value(world, "SELECT clock_timestamp()");
    for (int i = 0; i < COMMITS; i++)
        sql(world, "INSERT INTO outbox.event (aggregate_type, event_type, payload, occurred_at) "
                   "VALUES ('t', 'x', '1', '2000-01-01Z')");
    const char *after = sql_value(world, "SELECT clock_timestamp()");
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    struct records records = consumer_exactly(consumer, COMMITS);
    for (size_t i = 0; i < COMMITS; i++) {
        json_t *document = record_json(&records.items[i]);
        const char *time = json_string_value(json_object_get(document, "time"));
        ck_assert_str_eq(
            sql_value(world, "SELECT '%s'::timestamptz BETWEEN '%s' AND '%s'", time, before, after),
            "t");
        /* The timestamp is the same time, without its microseconds. */
        ck_assert_int_eq(
            records.items[i].timestamp_ms,
            sql_number(world, "SELECT floor(extract(epoch FROM '%s'::timestamptz) * 1000)", time));
        json_decref(document);
    }
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(sequences_are_in_the_order_of_commit)
{
    struct world *world = world_new("sequence");
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, NULL);
    struct relay *relay = begin_relay(world, RELAY_CONFIG);
    const char *insert = "INSERT INTO outbox.event (aggregate_type, event_type, payload) SELECT "
                         "'t', 'x', to_json(i) FROM generate_series(1, 12) AS i";
    PGconn *other = world_connect(world);
    PQclear(sql_on(other, "BEGIN"));
    PQclear(sql_on(other, insert));
    sql(world, "%s", insert);
    PQclear(sql_on(other, insert));
    PQclear(sql_on(other, "COMMIT"));
    PQfinish(other);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    struct records records = consumer_exactly(consumer, 36);
    const char *last = "";
    for (size_t i = 0; i < 36; i++) {
        json_t *document = record_json(&records.items[i]);
        char *sequence = text("%s", json_string_value(json_object_get(document, "sequence")));
        ck_assert_str_gt(sequence, last);
        ck_assert_int_eq((long long)strtoull(sequence + 17, NULL, 16),
                         (long long)(i < 12 ? i : i - 12));
        last = sequence;
        json_decref(document);
    }
    /* The number before the hyphen is where the transaction's commit record begins. */
    ck_assert_str_eq(sql_value(world,
                               "SELECT ('0/0'::pg_lsn + ('x' || left('%s', 16))::bit(64)::bigint) "
                               "<= pg_current_wal_insert_lsn()",
                               last),
                     "t");
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, structured);
    tcase_add_test(tests, binary);
    tcase_add_test(tests, debezium);
    tcase_add_test(tests, raw);
    tcase_add_test(tests, commit_time_stands_in);
    tcase_add_test(tests, sequences_are_in_the_order_of_commit);
}

static const struct e2e_suite envelopes = {"envelopes", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&envelopes)
