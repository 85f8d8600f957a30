/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox end to end: what is inserted is what consumers read, once and in order. */
#include <inttypes.h>
#include <string.h>

#include "harness.h"

#define INSERT                                                                                     \
    "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "            \
    "occurred_at) VALUES ('%s', 'order', '%s', '%s', '%s', '2026-03-04 05:06:07.891234+00')"

static void insert_order(struct world *world, const char *id, const char *key, const char *type,
                         const char *payload)
{
    sql(world, INSERT, id, key, type, payload);
}

static void expect_text(json_t *document, const char *name, const char *expected)
{
    json_t *member = json_object_get(document, name);
    ck_assert_msg(json_is_string(member), "%s: no text in %s", name, json_dumps(document, 0));
    ck_assert_msg(strcmp(json_string_value(member), expected) == 0, "%s is \"%s\", not \"%s\"",
                  name, json_string_value(member), expected);
    json_object_del(document, name);
}

/* The data member as it stands in the document; it is the last one. */
static const char *data_text(const struct kafka_record *record)
{
    const char *at = strstr(record->value, "\"data\":");
    ck_assert_msg(at != NULL, "no data in: %s", record->value);
    char *data = text("%s", at + strlen("\"data\":"));
    data[strlen(data) - 1] = '\0';
    return data;
}

START_TEST(documents_have_exactly_the_fields_of_the_row)
{
    struct world *world = world_new("documents");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    relay_begin(relay);
    insert_order(world, "11111111-2222-3333-4444-555555555501", "o-1", "order.placed",
                 "{\"total\": 12.50,  \"lines\":[1 ,2], \"note\":\"gr\\u00fcn \xe2\x82\xac\"}");
    struct consumer *consumer = consumer_new(world, world_topic(world, "order"), NULL);
    struct records records = consumer_exactly(consumer, 1);
    const struct kafka_record *record = &records.items[0];
    ck_assert_str_eq(record->key, "o-1");
    ck_assert_int_eq(record->timestamp_ms, INT64_C(1772600767891));
    ck_assert_str_eq(received_header(record, "content-type"),
                     "application/cloudevents+json; charset=UTF-8");
    ck_assert_uint_eq(record->header_count, 1);
    ck_assert_str_eq(data_text(record), sql_value(world, "SELECT payload FROM outbox.event"));
    json_t *document = record_json(record);
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(document, "sequence"))), 25);
    json_object_del(document, "sequence");
    json_object_del(document, "data");
    expect_text(document, "specversion", "1.0");
    expect_text(document, "id", "11111111-2222-3333-4444-555555555501");
    expect_text(document, "source", text("/%s", world->name));
    expect_text(document, "type", "order.placed");
    expect_text(document, "subject", "o-1");
    expect_text(document, "time", "2026-03-04T05:06:07.891234Z");
    expect_text(document, "datacontenttype", "application/json");
    expect_text(document, "partitionkey", "o-1");
    expect_text(document, "aggregatetype", "order");
    expect_text(document, "envelopeversion", "1");
    json_t *version = json_object_get(document, "dataversion");
    ck_assert_str_eq(json_is_string(version)
                         ? json_string_value(version)
                         : text("%" JSON_INTEGER_FORMAT, json_integer_value(version)),
                     "1");
    json_object_del(document, "dataversion");
    ck_assert_msg(json_object_size(document) == 0, "more than expected: %s",
                  json_dumps(document, 0));
    json_decref(document);
    consumer_free(consumer);
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(restart_sends_nothing_twice)
{
    struct world *world = world_new("restart");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    relay_begin(relay);
    struct oracle *oracle = oracle_new(world, "outbox.event");
    struct consumer *consumer = consumer_new(world, world_topic(world, "order"), NULL);
    insert_order(world, "11111111-2222-3333-4444-555555555501", "o-1", "order.placed", "1");
    insert_order(world, "11111111-2222-3333-4444-555555555502", "o-2", "order.placed", "2");
    consumer_exactly(consumer, 2);
    relay_stop(relay);
    /* Written while nobody is there. */
    insert_order(world, "11111111-2222-3333-4444-555555555503", "o-1", "order.paid", "3");
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    consumer_exactly(consumer, 3);
    wait_confirmed(world);
    relay_stop(relay);
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    wait_confirmed(world);
    relay_stop(relay);
    oracle_compare(oracle, consumer_exactly(consumer, 3), EXACTLY_ONCE_EACH);
    oracle_free(oracle);
    consumer_free(consumer);
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(each_key_keeps_the_order_of_commit)
{
    struct world *world = world_new("order");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    relay_begin(relay);
    struct oracle *oracle = oracle_new(world, "outbox.event");
    PGconn *other = world_connect(world);
    /* The transaction that began and wrote first commits last. */
    PQclear(sql_on(other, "BEGIN"));
    for (int round = 0; round < 20; round++) {
        const char *insert = "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, "
                             "payload) SELECT 'order', 'k' || i % 7, 'order.changed', "
                             "to_json(i) FROM generate_series(1, 50) AS i";
        PQclear(sql_on(other, insert));
        sql(world, "%s", insert);
        if (round % 5 == 4) {
            PQclear(sql_on(other, "COMMIT"));
            PQclear(sql_on(other, "BEGIN"));
        }
    }
    PQclear(sql_on(other, "ROLLBACK"));
    PQfinish(other);
    struct consumer *consumer = consumer_new(world, world_topic(world, "order"), NULL);
    oracle_compare(oracle, consumer_exactly(consumer, 2000), EXACTLY_ONCE_EACH);
    wait_confirmed(world);
    relay_stop(relay);
    oracle_free(oracle);
    consumer_free(consumer);
    relay_free(relay);
    world_free(world);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, documents_have_exactly_the_fields_of_the_row);
    tcase_add_test(tests, restart_sends_nothing_twice);
    tcase_add_test(tests, each_key_keeps_the_order_of_commit);
}

static const struct e2e_suite outbox = {"outbox", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&outbox)
