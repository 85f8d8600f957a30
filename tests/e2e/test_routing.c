/* SPDX-License-Identifier: Apache-2.0 */
/* Where events go: topic, partition and key, from templates, rules and the row itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "records.h"

#define ID(n)      "11111111-2222-4333-8444-5555555555" #n
#define OUTBOX     "  - {outbox: outbox.event}"
#define PARTITIONS 7
#define KEYS       1000

static void insert(struct world *world, const char *columns, const char *values)
{
    sql(world, "INSERT INTO outbox.event (event_type, payload, %s) VALUES (%s)", columns, values);
}

static int skipped_by_rule(const struct relay *relay)
{
    return (int)relay_metric(relay, "walferry_events_skipped_total{reason=\"rule\"}");
}

/* The topic of each event, for comparison with what is expected. */
static void expect_topic(struct records records, const char *id, const char *topic)
{
    const struct kafka_record *record = records_find(records, id);
    ck_assert_msg(record != NULL, "%s did not arrive at all", id);
    ck_assert_msg(strcmp(record->topic, topic) == 0, "%s is in %s, not in %s", id, record->topic,
                  topic);
}

START_TEST(templates_take_any_text_field)
{
    struct world *world = world_new("template");
    struct relay *relay = begin_relay(
        world, config_text(OUTBOX, "route: {topic: \"@NAME@.${visibility}-${aggregate_type}_"
                                   "${event_type}.v${event_version}\"}\n"));
    insert(world, "id, aggregate_type, event_version", "'placed', '1', '" ID(01) "', 'Order', 3");
    insert(world, "id, aggregate_type, visibility",
           "'paid.late', '1', '" ID(02) "', 'Order', 'private'");
    const char *one = world_topic(world, "public-Order_placed.v3");
    const char *two = world_topic(world, "private-Order_paid.late.v1");
    struct consumer *consumer = consumer_new(world, one, two, NULL);
    struct records records = consumer_exactly(consumer, 2);
    expect_topic(records, ID(01), one);
    expect_topic(records, ID(02), two);
    ck_assert_int_eq(
        (int)relay_metric(relay, text("walferry_events_published_total{topic=\"%s\"}", two)), 1);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(the_first_rule_that_matches_wins)
{
    struct world *world = world_new("rules");
    struct relay *relay = begin_relay(
        world,
        config_text(OUTBOX, "route:\n"
                            "  topic: \"@NAME@.public.${aggregate_type}\"\n"
                            "  rules:\n"
                            "    - {when: {event_type: \"debug.*\"}, drop: true}\n"
                            "    - {when: {visibility: private, aggregate_type: \"inv*\"}, topic: "
                            "\"@NAME@.books\"}\n"
                            "    - {when: {visibility: private}, topic: "
                            "\"@NAME@.private.${aggregate_type}\"}\n"
                            "    - {when: {event_type: \"?eld\"}, topic: \"@NAME@.four\"}\n"
                            "    - {when: {aggregate_type: \"\"}, topic: \"@NAME@.untyped\"}\n"
                            "    - {when: {visibility: \"*\", event_type: \"never\"}, drop: true}\n"
                            "    - {when: {event_type: never}, topic: \"@NAME@.late\"}\n"));
    insert(world, "id, aggregate_type", "'debug.one', '1', '" ID(01) "', 'order'");
    insert(world, "id, aggregate_type, visibility",
           "'debug.two', '1', '" ID(02) "', 'order', 'private'");
    insert(world, "id, aggregate_type, topic",
           text("'debug.three', '1', '" ID(03) "', 'order', '%s.order'", world->name));
    insert(world, "id, aggregate_type", "'debug', '1', '" ID(04) "', 'order'");
    insert(world, "id, aggregate_type, visibility", "'x', '1', '" ID(05) "', 'invoice', 'private'");
    insert(world, "id, aggregate_type, visibility", "'x', '1', '" ID(06) "', 'order', 'private'");
    insert(world, "id, aggregate_type", "'held', '1', '" ID(07) "', 'order'");
    insert(world, "id, aggregate_type", "'eld', '1', '" ID(08) "', 'order'");
    insert(world, "id", "'x', '1', '" ID(09) "'");
    insert(world, "id, aggregate_type", "'never', '1', '" ID(10) "', 'order'");
    insert(world, "id, aggregate_type", "'Debug.x', '1', '" ID(11) "', 'invoice'");
    const char *order = world_topic(world, "public.order");
    const char *private_order = world_topic(world, "private.order");
    const char *books = world_topic(world, "books");
    const char *four = world_topic(world, "four");
    const char *untyped = world_topic(world, "untyped");
    const char *invoice = world_topic(world, "public.invoice");
    struct consumer *consumer =
        consumer_new(world, order, private_order, books, four, untyped, invoice,
                     world_topic(world, "late"), world_topic(world, "order"), NULL);
    struct records records = consumer_expect(consumer, 7);
    wait_confirmed(world);
    records = consumer_drain(consumer);
    ck_assert_uint_eq(records.count, 7);
    expect_topic(records, ID(04), order);
    expect_topic(records, ID(05), books);
    expect_topic(records, ID(06), private_order);
    expect_topic(records, ID(07), four);
    expect_topic(records, ID(08), order);
    expect_topic(records, ID(09), untyped);
    expect_topic(records, ID(11), invoice);
    relay_wait_counter(relay, "skipped", 4);
    ck_assert_int_eq(skipped_by_rule(relay), 4);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(the_row_itself_wins)
{
    struct world *world = world_new("explicit");
    const char *routed = world_topic(world, "order");
    const char *chosen = world_topic(world, "chosen");
    kafka_create_topic(world->kafka, chosen, 5, NULL);
    struct relay *relay = begin_relay(
        world,
        config_text(OUTBOX,
                    "route:\n"
                    "  topic: \"@NAME@.${aggregate_type}\"\n"
                    "  rules: [{when: {visibility: private}, topic: \"@NAME@.private\"}]\n"));
    insert(world, "id, aggregate_type, aggregate_id, topic",
           text("'x', '1', '" ID(01) "', 'order', 'a', '%s'", chosen));
    insert(world, "id, aggregate_type, aggregate_id, visibility, topic, partition",
           text("'x', '1', '" ID(02) "', 'order', 'a', 'private', '%s', 4", chosen));
    insert(world, "id, aggregate_type, aggregate_id, key",
           "'x', '1', '" ID(03) "', 'order', 'a', 'b'");
    insert(world, "id, aggregate_type, aggregate_id, key",
           "'x', '1', '" ID(04) "', 'order', 'a', ''");
    insert(world, "id, aggregate_type, partition", "'x', '1', '" ID(05) "', 'order', 2");
    insert(world, "id, aggregate_type, aggregate_id, topic",
           "'x', '1', '" ID(06) "', 'order', '', ''");
    insert(world, "id, topic, partition", text("'x', '1', '" ID(07) "', '%s', 0", chosen));
    struct consumer *consumer = consumer_new(world, routed, chosen, NULL);
    struct records records = consumer_exactly(consumer, 7);
    expect_topic(records, ID(01), chosen);
    expect_key(records_find(records, ID(01)), "a");
    expect_topic(records, ID(02), chosen);
    ck_assert_int_eq(records_find(records, ID(02))->partition, 4);
    expect_key(records_find(records, ID(02)), "a");
    expect_topic(records, ID(03), routed);
    expect_key(records_find(records, ID(03)), "b");
    expect_document(world, records_find(records, ID(03)), "1", "id", ID(03), "type", "x", "subject",
                    "a", "datacontenttype", "application/json", "partitionkey", "b",
                    "aggregatetype", "order", "dataversion", "1", NULL);
    /* An empty key is a key, an empty aggregate_id or topic is none. */
    expect_key(records_find(records, ID(04)), "");
    ck_assert_int_eq(records_find(records, ID(05))->partition, 2);
    expect_key(records_find(records, ID(05)), NULL);
    expect_topic(records, ID(06), routed);
    expect_key(records_find(records, ID(06)), NULL);
    ck_assert_int_eq(records_find(records, ID(07))->partition, 0);
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* Lines for Murmur.java, and what it answers. */
static char *java_partitions(const struct world *world, struct records records)
{
    const char *input = text("%s/keys", world->dir);
    const char *output = text("%s/partitions", world->dir);
    const char *errors = text("%s/java.err", world->dir);
    FILE *file = fopen(input, "we");
    REQUIRE(file != NULL, "%s cannot be written", input);
    for (size_t i = 0; i < records.count; i++) {
        fprintf(file, "%d %s", PARTITIONS, records.items[i].key_len == 0 ? "-" : "");
        for (size_t j = 0; j < records.items[i].key_len; j++)
            fprintf(file, "%02x", (unsigned char)records.items[i].key[j]);
        fprintf(file, "\n");
    }
    REQUIRE(fclose(file) == 0, "%s cannot be written", input);
    const char *const argv[] = {"java", "-cp", text("%s/*", kafka_libraries()),
                                E2E_SOURCE_ROOT "/tests/e2e/Murmur.java", NULL};
    const struct spawn spawn = {
        .argv = argv, .input_path = input, .out_path = output, .err_path = errors};
    REQUIRE(process_run(&spawn, DEADLINE_MS) == 0, "%s", read_file(errors));
    return read_file(output);
}

START_TEST(keys_go_where_the_java_producer_puts_them)
{
    struct world *world = world_new("murmur");
    kafka_create_topic(world->kafka, world_topic(world, "m"), PARTITIONS, NULL);
    struct relay *relay = begin_relay(world, RELAY_CONFIG);
    /* Text of 0 to 40 characters, of one to four bytes each. */
    sql(world,
        "INSERT INTO outbox.event (aggregate_type, event_type, payload, key) SELECT 'm', 'x', "
        "'1', (SELECT coalesce(string_agg(chr((ARRAY[33, 161, 8352, 128512])[1 + (random() * 3)::"
        "int] + (random() * 60)::int), ''), '') FROM generate_series(1, i %% 41) WHERE i = i) FROM "
        "generate_series(0, %d) AS i",
        KEYS - 1);
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    struct records records = consumer_exactly(consumer, KEYS);
    char *answers = java_partitions(world, records);
    size_t empty = 0;
    for (size_t i = 0; i < records.count; i++) {
        const struct kafka_record *record = &records.items[i];
        const char *answer = strsep(&answers, "\n");
        ck_assert_msg(answer != NULL && answer[0] != '\0', "too few answers");
        ck_assert_ptr_nonnull(record->key);
        ck_assert_msg(strtol(answer, NULL, 10) == record->partition,
                      "key \"%s\" is in partition %d, the Java producer says %s", record->key,
                      record->partition, answer);
        empty += record->key_len == 0 ? 1 : 0;
    }
    ck_assert_uint_ge(empty, 24);
    ck_assert_int_ge((int)sql_number(world, "SELECT count(DISTINCT key) FROM outbox.event"), 900);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, templates_take_any_text_field);
    tcase_add_test(tests, the_first_rule_that_matches_wins);
    tcase_add_test(tests, the_row_itself_wins);
    tcase_add_test(tests, keys_go_where_the_java_producer_puts_them);
}

static const struct e2e_suite routing = {"routing", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&routing)
