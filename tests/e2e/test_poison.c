/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that cannot be published: they end as dead letters that have all of the row, or as the
 * policy says, and the rows before and after them arrive as if nothing had been. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "records.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define OUTBOX      "  - {outbox: outbox.event}"
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static char *id_of(size_t number)
{
    return text("00000000-0000-4000-8000-%012zu", number);
}

/* The innocent: all of one key, so that their order is seen. */
static void insert_good(struct world *world, size_t number)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload) VALUES "
        "('%s', 'm', 'good', 'done', '{\"good\": %zu}')",
        id_of(number), number);
}

/* The innocent numbers 1 to `count` arrived once each and in order. */
static void expect_good(struct records records, size_t count)
{
    char *expected = text("%s", "");
    char *arrived = text("%s", "");
    for (size_t i = 1; i <= count; i++)
        expected = text("%s %s", expected, id_of(i));
    for (size_t i = 0; i < records.count; i++)
        if (records.items[i].key != NULL && strcmp(records.items[i].key, "good") == 0)
            arrived = text("%s %s", arrived, record_event_id(&records.items[i]));
    ck_assert_str_eq(arrived, expected);
}

/* Nothing else arrived, and first sightings are in order: a refused batch brings its innocent ones
 * again. */
static void expect_good_at_least_once(struct records records, size_t count)
{
    size_t next = 1;
    for (size_t i = 0; i < records.count; i++) {
        size_t number = strtoul(record_event_id(&records.items[i]) + 24, NULL, 10);
        ck_assert_uint_le(number, next);
        next += number == next ? 1 : 0;
    }
    ck_assert_uint_eq(next, count + 1);
}

static const char *dead_letters_of(const struct world *world)
{
    return text("%s.dead-letter", world->name);
}

/* ---- every kind ---------------------------------------------------------------------------- */

#define BAD_ID(number) id_of(900 + (number))

/* Topics: "@" stands for the world's name, NULL: none is known. */
static const struct bad {
    const char *columns; /* beside id, event_type, payload, aggregate_id, headers */
    const char *values;
    const char *code;
    const char *topic;
} bad_rows[] = {
    {"aggregate_type, topic", "'m', 'bad/topic'", "WF-5004", "bad/topic"},
    {"aggregate_type, topic", "'m', '__consumer_offsets'", "WF-5004", "__consumer_offsets"},
    {"aggregate_type, topic", "'m', '..'", "WF-5004", ".."},
    {"aggregate_type, topic", "'m', 'walferry.checkpoints'", "WF-5004", "walferry.checkpoints"},
    {"aggregate_type, topic", "'m', repeat('x', 10)||repeat('0123456789', 24)", "WF-5004", NULL},
    {"aggregate_type", "E'l\u00edne\\nitem'", "WF-5004", "@.l\u00edne\\x0Aitem"},
    {"visibility", "'public'", "WF-5004", NULL},
    {"aggregate_type", "''", "WF-5004", NULL},
    {"aggregate_type, partition", "'m', 99", "WF-5005", "@.m"},
    {"aggregate_type, partition", "'m', 2147483647", "WF-5005", "@.m"},
    {"aggregate_type, partition", "'m', -1", "WF-5001", "@.m"},
    {"aggregate_type, event_version", "'m', -1", "WF-5001", "@.m"},
    {"aggregate_type, correlation_id", "'m', E'a\\x01b'", "WF-5001", "@.m"},
    {"aggregate_type, occurred_at", "'m', '1969-12-31 23:59:59Z'", "WF-5011", "@.m"},
    {"aggregate_type, occurred_at", "'m', 'infinity'", "WF-5011", "@.m"},
    {"aggregate_type, occurred_at", "'m', '10000-01-01Z'", "WF-5011", "@.m"},
};

static char *topic_of_bad(const struct world *world, const struct bad *bad)
{
    if (bad->topic == NULL)
        return NULL;
    return bad->topic[0] == '@' ? text("%s%s", world->name, bad->topic + 1)
                                : text("%s", bad->topic);
}

START_TEST(each_kind_of_row_becomes_a_dead_letter)
{
    struct world *world = world_new("kinds");
    struct relay *relay = begin_relay(world, RELAY_CONFIG);
    insert_good(world, 1);
    for (size_t i = 0; i < COUNT(bad_rows); i++) {
        sql(world,
            "INSERT INTO outbox.event (id, event_type, payload, aggregate_id, headers, traceparent,"
            " tracestate, %s) VALUES ('%s', 'done', '{ \"bad\":%zu}', 'k-%zu', "
            "'{\"tenant\":\"acme\"}', '" TRACEPARENT "', 'v=1', %s)",
            bad_rows[i].columns, BAD_ID(i), i, i, bad_rows[i].values);
        insert_good(world, i + 2);
    }
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    struct records dead = consumer_exactly(letters, COUNT(bad_rows));
    for (size_t i = 0; i < COUNT(bad_rows); i++) {
        const struct kafka_record *letter = find_dead_letter(dead, BAD_ID(i));
        bool long_name = strstr(bad_rows[i].values, "repeat") != NULL;
        expect_dead_letter(world, letter, bad_rows[i].code,
                           long_name ? received_header(letter, "walferry_topic")
                                     : topic_of_bad(world, &bad_rows[i]),
                           text("k-%zu", i), text("{ \"bad\":%zu}", i), "tenant", "acme",
                           "traceparent", TRACEPARENT, "tracestate", "v=1", NULL);
        if (long_name)
            ck_assert_uint_eq(strlen(received_header(letter, "walferry_topic")), 250);
    }
    expect_good(consumer_exactly(consumer, COUNT(bad_rows) + 1), COUNT(bad_rows) + 1);
    wait_confirmed(world);
    ck_assert_int_eq((int)relay_metric(relay, "walferry_dead_letters_total"), (int)COUNT(bad_rows));
    ck_assert_int_eq(
        (int)relay_metric(relay, "walferry_dead_letters_total{reason=\"row_partition\"}"), 2);
    relay_wait_log(relay, "WF-5011");
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* ---- headers ------------------------------------------------------------------------------- */

static void insert_headers(struct world *world, size_t number, const char *headers)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, headers) "
        "VALUES ('%s', 'm', 'k', 'done', '1', %s)",
        BAD_ID(number), headers);
}

START_TEST(headers_that_cannot_be)
{
    struct world *world = world_new("headers");
    const char *topic = world_topic(world, "m");
    struct relay *relay = begin_relay(world, RELAY_CONFIG);
    insert_good(world, 1);
    insert_headers(world, 1, "'[\"a\"]'");
    insert_headers(world, 2, "'{\"ce_x\":\"1\",\"b\":\"2\"}'");
    insert_headers(world, 3, "'{\"Content-Type\":\"text/html\"}'");
    insert_headers(world, 4, "'{\"walferry_error\":\"mine\",\"a\":\"1\"}'");
    insert_headers(world, 5, "'{\"a\":{\"b\":1},\"c\":\"2\"}'");
    insert_headers(world, 6, "'\"text\"'");
    insert_headers(world, 7,
                   "(SELECT json_object_agg('h' || i, '') FROM generate_series(1, 65) AS i)");
    insert_headers(world, 8, "'{\"\":\"no name\"}'");
    insert_good(world, 2);
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records dead = consumer_exactly(letters, 8);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(1)), "WF-5003", topic, "k", "1", NULL);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(2)), "WF-5003", topic, "k", "1", "ce_x",
                       "1", "b", "2", NULL);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(3)), "WF-5003", topic, "k", "1",
                       "Content-Type", "text/html", NULL);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(4)), "WF-5003", topic, "k", "1",
                       "original_walferry_error", "mine", "a", "1", NULL);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(5)), "WF-5003", topic, "k", "1", "c",
                       "2", NULL);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(6)), "WF-5003", topic, "k", "1", NULL);
    const struct kafka_record *many = find_dead_letter(dead, BAD_ID(7));
    ck_assert_str_eq(received_header(many, "walferry_error"), "WF-5003");
    ck_assert_ptr_nonnull(received_header(many, "h64"));
    ck_assert_ptr_null(received_header(many, "h65"));
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(8)), "WF-5003", topic, "k", "1", NULL);
    expect_good(consumer_exactly(consumer, 2), 2);
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(a_trace_context_is_nobodys_business)
{
    struct world *world = world_new("trace");
    struct relay *relay = begin_relay(world, RELAY_CONFIG);
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, event_type, payload, traceparent, "
        "tracestate) VALUES ('%s', 'm', 'done', '1', 'no such thing', ' ,,=')",
        id_of(1));
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    struct records records = consumer_exactly(consumer, 1);
    expect_headers(&records.items[0], "content-type", ANYTHING, "traceparent", "no such thing",
                   "tracestate", " ,,=", NULL);
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* ---- size ---------------------------------------------------------------------------------- */

START_TEST(what_is_larger_than_a_message_may_be)
{
    struct world *world = world_new("large");
    const char *topic = world_topic(world, "m");
    struct relay *relay = begin_relay(world, RELAY_CONFIG);
    insert_good(world, 1);
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, headers) "
        "VALUES ('%s', 'm', 'k', 'done', to_json(repeat('x', 2000000)), '{\"a\":\"b\"}')",
        BAD_ID(1));
    insert_good(world, 2);
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records dead = consumer_exactly(letters, 1);
    expect_dead_letter(world, &dead.items[0], "WF-5006", topic, "k", NULL, "a", "b", NULL);
    ck_assert_str_eq(received_header(&dead.items[0], "walferry_truncated"), "true");
    ck_assert_str_eq(received_header(&dead.items[0], "walferry_event_id"), BAD_ID(1));
    expect_good(consumer_exactly(consumer, 2), 2);
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* Only the broker knows: the whole batch comes back, and one record of it is guilty. */
START_TEST(only_the_guilty_of_a_refused_batch_dies)
{
    enum { GOOD = 150 };
    struct world *world = world_new("batch");
    const char *topic = world_topic(world, "m");
    kafka_create_topic(world->kafka, topic, 3, "max.message.bytes=3000");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    ck_assert_int_eq(relay_command(relay, "init", NULL), 0);
    for (size_t i = 1; i <= GOOD; i++) {
        if (i == 60 || i == 61)
            sql(world,
                "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload) "
                "SELECT '%s', 'm', 'good', 'done', to_json(string_agg(md5(i::text), '')) FROM "
                "generate_series(1, 300) AS i",
                BAD_ID(i));
        insert_good(world, i);
    }
    relay_start(relay, NULL);
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records dead = consumer_expect(letters, 2);
    wait_confirmed(world);
    dead = consumer_drain(letters);
    ck_assert_uint_eq(dead.count, 2);
    for (size_t i = 60; i <= 61; i++) {
        const struct kafka_record *letter = find_dead_letter(dead, BAD_ID(i));
        expect_dead_letter(
            world, letter, "WF-5009", topic, "good",
            sql_value(world, "SELECT payload FROM outbox.event WHERE id = '%s'", BAD_ID(i)), NULL);
        ck_assert_ptr_null(received_header(letter, "walferry_truncated"));
    }
    struct records records = consumer_drain(consumer);
    expect_good_at_least_once(records, GOOD);
    /* It is over: what comes now goes in batches again and is not held. */
    insert_good(world, GOOD + 1);
    relay_wait_counter(relay, "dead_letters", 2);
    wait_confirmed(world);
    ck_assert_uint_eq(consumer_drain(consumer).count, records.count + 1);
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* The topic of dead letters has a limit too, and again only the broker knows. */
START_TEST(a_letter_too_large_for_its_topic_loses_the_payload)
{
    static const char *const topics[] = {"NULL", "'bad/topic'"};
    struct world *world = world_new("letters");
    const char *topic = world_topic(world, "m");
    kafka_create_topic(world->kafka, topic, 3, "max.message.bytes=3000");
    kafka_create_topic(world->kafka, dead_letters_of(world), 3, "max.message.bytes=3000");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    ck_assert_int_eq(relay_command(relay, "init", NULL), 0);
    insert_good(world, 1);
    for (size_t i = 0; i < 2; i++) {
        sql(world,
            "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, topic, "
            "headers, payload) SELECT '%s', 'm', 'k', 'done', %s, '{\"a\":\"b\"}', "
            "to_json(string_agg(md5(i::text), '')) FROM generate_series(1, 300) AS i",
            BAD_ID(i), topics[i]);
        insert_good(world, 2 + i);
    }
    relay_start(relay, NULL);
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records dead = consumer_expect(letters, 2);
    wait_confirmed(world);
    dead = consumer_drain(letters);
    ck_assert_uint_eq(dead.count, 2);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(0)), "WF-5009", topic, "k", NULL, "a",
                       "b", NULL);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(1)), "WF-5004", "bad/topic", "k", NULL,
                       "a", "b", NULL);
    for (size_t i = 0; i < 2; i++)
        ck_assert_str_eq(received_header(&dead.items[i], "walferry_truncated"), "true");
    expect_good_at_least_once(consumer_drain(consumer), 3);
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* ---- encoding ------------------------------------------------------------------------------ */

/* A database that lets in anything. */
static struct world *ascii_world(const char *label)
{
    struct world *world = world_new(label);
    PGconn *server = pg_session(world->pg, "postgres");
    PQfinish(world->db);
    PQclear(sql_on(server, text("DROP DATABASE %s", world->name)));
    PQclear(sql_on(
        server, text("CREATE DATABASE %s TEMPLATE template0 ENCODING 'SQL_ASCII'", world->name)));
    PQfinish(server);
    world->db = world_connect(world);
    return world;
}

/* The broker refuses times that lie ahead, and forgets records by their time: a letter that bore
 * the time of its row would be refused with it, or be gone before anybody saw it. */
START_TEST(letters_bear_a_time_of_their_own)
{
    struct world *world = world_new("times");
    struct relay *relay = begin_relay(world, RELAY_CONFIG);
    insert_good(world, 1);
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
        "occurred_at) VALUES ('%s', 'm', 'k', 'done', '1', now() + interval '2 days'), ('%s', "
        "'not a topic', 'k', 'done', '1', '2001-01-01Z')",
        BAD_ID(1), BAD_ID(2));
    insert_good(world, 2);
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    /* A refused batch brings a letter again that was in flight with it. */
    consumer_expect(letters, 2);
    consumer_expect(consumer, 2);
    wait_confirmed(world);
    struct records dead = consumer_drain(letters);
    const struct kafka_record *ahead = find_dead_letter(dead, BAD_ID(1));
    ck_assert_str_eq(received_header(ahead, "walferry_error"), "WF-5009");
    for (size_t i = 0; i < dead.count; i++)
        ck_assert_str_eq(sql_value(world,
                                   "SELECT abs(extract(epoch FROM now()) * 1000 - %lld) < 600000",
                                   (long long)dead.items[i].timestamp_ms),
                         "t");
    ck_assert_str_eq(received_header(find_dead_letter(dead, BAD_ID(2)), "walferry_occurred_at"),
                     "2001-01-01T00:00:00Z");
    ck_assert_str_eq(sql_value(world, "SELECT '%s'::timestamptz <= now()",
                               received_header(ahead, "walferry_commit_time")),
                     "t");
    expect_good_at_least_once(consumer_drain(consumer), 2);
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
    struct world *world = ascii_world("ascii");
    const char *topic = world_topic(world, "m");
    sql(world, "CREATE TABLE outbox (id text, aggregate_type text, aggregate_id text, event_type "
               "text, payload text, headers text)");
    struct relay *relay = begin_relay(world, config_text("  - {outbox: public.outbox}", ""));
    sql(world, "INSERT INTO outbox VALUES ('%s', 'm', 'good', 'done', 'gr\u00fcn')", id_of(1));
    sql(world, "INSERT INTO outbox VALUES ('%s', 'm', 'k', 'done', E'a\\xff\\xfeb')", BAD_ID(1));
    sql(world, "INSERT INTO outbox VALUES ('%s', 'm', 'k', E'\\xc3', 'x')", BAD_ID(2));
    sql(world, "INSERT INTO outbox VALUES ('%s', 'm', E'\\xc3', 'done', 'x')", BAD_ID(3));
    sql(world, "INSERT INTO outbox VALUES ('%s', 'm', 'k', 'done', 'x', E'{\"a\":\"\\xff\"}')",
        BAD_ID(4));
    sql(world, "INSERT INTO outbox VALUES ('%s', 'm', 'good', 'done', 'x')", id_of(2));
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records dead = consumer_exactly(letters, 4);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(1)), "WF-5002", topic, "k",
                       "a\xff\xfe"
                       "b",
                       NULL);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(2)), "WF-5001", topic, "k", "x", NULL);
    expect_dead_letter(world, find_dead_letter(dead, BAD_ID(3)), "WF-5001", topic, ANYTHING, "x",
                       NULL);
    const struct kafka_record *letter = find_dead_letter(dead, BAD_ID(4));
    ck_assert_str_eq(received_header(letter, "walferry_error"), "WF-5003");
    struct records records = consumer_exactly(consumer, 2);
    expect_good(records, 2);
    ck_assert_str_eq(document_data(&records.items[0]), "\"gr\u00fcn\"");
    expect_valid_documents(world, records);
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* ---- topics -------------------------------------------------------------------------------- */

static void insert_typed(struct world *world, size_t number, const char *aggregate_type)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload) VALUES "
        "('%s', '%s', 'good', 'done', '%zu')",
        id_of(number), aggregate_type, number);
}

START_TEST(more_topics_than_are_allowed)
{
    struct world *world = world_new("limit");
    struct relay *relay = begin_relay(
        world, config_text(OUTBOX, "sink: {kafka: {bootstrap.servers: \"@KAFKA@\"}, topics: {max: "
                                   "2}}\n"));
    insert_typed(world, 1, "a");
    insert_typed(world, 2, "b");
    insert_typed(world, 903, "c");
    insert_typed(world, 3, "a");
    insert_typed(world, 904, "d");
    insert_typed(world, 4, "b");
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer =
        consumer_new(world, world_topic(world, "a"), world_topic(world, "b"), NULL);
    struct records dead = consumer_exactly(letters, 2);
    expect_dead_letter(world, find_dead_letter(dead, id_of(903)), "WF-5007",
                       world_topic(world, "c"), "good", "903", NULL);
    expect_dead_letter(world, find_dead_letter(dead, id_of(904)), "WF-5007",
                       world_topic(world, "d"), "good", "904", NULL);
    ck_assert_uint_eq(consumer_exactly(consumer, 4).count, 4);
    ck_assert(!kafka_topic_exists(world->kafka, world_topic(world, "c")));
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

#define NO_CREATION                                                                                \
    "sink: {kafka: {bootstrap.servers: \"@KAFKA@\"}, topics: {create: false, wait: 1s}}\n"

START_TEST(topics_that_nobody_made)
{
    struct world *world = world_new("unknown");
    const char *topic = world_topic(world, "m");
    kafka_create_topic(world->kafka, topic, 3, NULL);
    struct relay *relay = relay_new(world, config_text(OUTBOX, NO_CREATION));
    ck_assert_int_eq(relay_command(relay, "init", NULL), 0);
    if (!kafka_topic_exists(world->kafka, dead_letters_of(world)))
        kafka_create_topic(world->kafka, dead_letters_of(world), 1, NULL);
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    insert_good(world, 1);
    insert_typed(world, 902, "nowhere");
    insert_good(world, 2);
    insert_typed(world, 903, "nowhere");
    insert_good(world, 3);
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records dead = consumer_exactly(letters, 2);
    for (size_t number = 902; number <= 903; number++)
        expect_dead_letter(world, find_dead_letter(dead, id_of(number)), "WF-5010",
                           world_topic(world, "nowhere"), "good", text("%zu", number), NULL);
    expect_good(consumer_exactly(consumer, 3), 3);
    ck_assert(!kafka_topic_exists(world->kafka, world_topic(world, "nowhere")));
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* ---- messages ------------------------------------------------------------------------------ */

static void emit(struct world *world, const char *content)
{
    sql(world, "SELECT pg_logical_emit_message(true, 'outbox', '%s')", content);
}

START_TEST(messages_that_are_no_events)
{
    static const char unknown[] = "{\"id\":\"u\",\"event_type\":\"t\",\"payload\":{\"p\":1},"
                                  "\"aggregate_type\":\"m\",\"agregate_id\":\"k\"}";
    struct world *world = world_new("badmessages");
    const char *topic = world_topic(world, "m");
    struct relay *relay =
        begin_relay(world, config_text("  - {messages: outbox}\n  - {outbox: outbox.event}", ""));
    insert_good(world, 1);
    emit(world, "not JSON");
    emit(world, "[1, 2]");
    emit(world, unknown);
    emit(world, "{\"id\":\"v\",\"event_type\":\"t\",\"aggregate_type\":\"m\"}");
    emit(world, "{\"id\":\"w\",\"payload\":1,\"aggregate_type\":\"m\",\"key\":\"k\"}");
    emit(world, "");
    insert_good(world, 2);
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records dead = consumer_exactly(letters, 6);
    expect_dead_letter(world, find_dead_letter(dead, "not JSON"), "WF-5008", NULL, NULL, "not JSON",
                       NULL);
    expect_dead_letter(world, find_dead_letter(dead, "[1, 2]"), "WF-5008", NULL, NULL, "[1, 2]",
                       NULL);
    expect_dead_letter(world, find_dead_letter(dead, "u"), "WF-5008", topic, NULL, "{\"p\":1}",
                       NULL);
    expect_dead_letter(world, find_dead_letter(dead, "v"), "WF-5008", topic, NULL,
                       "{\"id\":\"v\",\"event_type\":\"t\",\"aggregate_type\":\"m\"}", NULL);
    expect_dead_letter(world, find_dead_letter(dead, "w"), "WF-5001", topic, "k", "1", NULL);
    expect_dead_letter(world, find_dead_letter(dead, ""), "WF-5008", NULL, NULL, "", NULL);
    expect_good(consumer_exactly(consumer, 2), 2);
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* ---- policies ------------------------------------------------------------------------------ */

static void insert_bad(struct world *world, size_t number)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, topic) "
        "VALUES ('%s', 'm', 'good', 'done', '1', 'bad/topic')",
        BAD_ID(number));
}

static void expect_halted(struct relay *relay, const char *code, const char *words)
{
    ck_assert_int_eq(relay_wait(relay), 65);
    const char *log = relay_errors(relay);
    ck_assert_msg(strstr(log, "WF-9002") != NULL && strstr(log, code) != NULL &&
                      strstr(log, words) != NULL && strstr(log, "hint") != NULL,
                  "%s", log);
}

START_TEST(halt_ends_the_relay_and_loses_nothing)
{
    struct world *world = world_new("halt");
    struct relay *relay = begin_relay(world, config_text(OUTBOX, "delivery: {poison: halt}\n"));
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    insert_good(world, 1);
    sql(world, "BEGIN");
    insert_good(world, 2);
    insert_bad(world, 1);
    insert_good(world, 3);
    sql(world, "COMMIT");
    insert_good(world, 4);
    expect_halted(relay, "WF-5004", "bad/topic");
    expect_good(consumer_exactly(consumer, 2), 2);
    /* Starting again helps nothing, and sends nothing again. */
    relay_start(relay, NULL);
    expect_halted(relay, "WF-5004", "bad/topic");
    expect_good(consumer_exactly(consumer, 2), 2);
    relay_rewrite(relay, config_text(OUTBOX, "delivery: {poison: dead_letter}\n"));
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    insert_good(world, 5);
    struct consumer *letters = consumer_new(world, dead_letters_of(world), NULL);
    consumer_expect(consumer, 5);
    wait_confirmed(world);
    expect_good(consumer_drain(consumer), 5);
    struct records dead = consumer_exactly(letters, 1);
    expect_dead_letter(world, &dead.items[0], "WF-5004", "bad/topic", "good", "1", NULL);
    consumer_free(letters);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(what_was_mended_after_a_halt_arrives)
{
    struct world *world = world_new("mended");
    const char *missing = world_topic(world, "missing");
    kafka_create_topic(world->kafka, world_topic(world, "m"), 3, NULL);
    struct relay *relay =
        begin_relay(world, config_text(OUTBOX, "delivery: {poison: halt}\n" NO_CREATION));
    insert_good(world, 1);
    sql(world, "BEGIN");
    insert_good(world, 2);
    insert_typed(world, 3, "missing");
    insert_good(world, 4);
    sql(world, "COMMIT");
    expect_halted(relay, "WF-5010", missing);
    kafka_create_topic(world->kafka, missing, 1, NULL);
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    struct consumer *consumer = consumer_new(world, world_topic(world, "m"), NULL);
    struct consumer *other = consumer_new(world, missing, NULL);
    consumer_expect(other, 1);
    wait_confirmed(world);
    ck_assert_str_eq(ids_of(consumer_drain(consumer)),
                     text("%s %s %s", id_of(1), id_of(2), id_of(4)));
    ck_assert_str_eq(ids_of(consumer_drain(other)), id_of(3));
    consumer_free(other);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(skip_counts_and_says_so)
{
    struct world *world = world_new("skip");
    struct relay *relay = begin_relay(world, config_text(OUTBOX, "delivery: {poison: skip}\n"));
    struct consumer *consumer =
        consumer_new(world, world_topic(world, "m"), dead_letters_of(world), NULL);
    sql(world, "BEGIN");
    insert_good(world, 1);
    insert_bad(world, 1);
    insert_bad(world, 2);
    insert_good(world, 2);
    sql(world, "COMMIT");
    insert_bad(world, 3);
    insert_good(world, 3);
    consumer_expect(consumer, 3);
    wait_confirmed(world);
    struct records records = consumer_drain(consumer);
    expect_good(records, 3);
    ck_assert_uint_eq(records.count, 3);
    ck_assert_int_eq((int)relay_metric(relay, "walferry_events_skipped_total{reason=\"poison\"}"),
                     3);
    relay_wait_log(relay, "row is skipped");
    relay_wait_log(relay, "WF-5004");
    /* The skipped have no number in the transaction. */
    json_t *document = record_json(&records.items[1]);
    ck_assert_str_eq(json_string_value(json_object_get(document, "sequence")) + 17, "00000001");
    json_decref(document);
    relay_stop(relay);
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    wait_confirmed(world);
    ck_assert_uint_eq(consumer_drain(consumer).count, 3);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, each_kind_of_row_becomes_a_dead_letter);
    tcase_add_test(tests, headers_that_cannot_be);
    tcase_add_test(tests, a_trace_context_is_nobodys_business);
    tcase_add_test(tests, what_is_larger_than_a_message_may_be);
    tcase_add_test(tests, only_the_guilty_of_a_refused_batch_dies);
    tcase_add_test(tests, a_letter_too_large_for_its_topic_loses_the_payload);
    tcase_add_test(tests, letters_bear_a_time_of_their_own);
    tcase_add_test(tests, bytes_that_are_no_text);
    tcase_add_test(tests, more_topics_than_are_allowed);
    tcase_add_test(tests, topics_that_nobody_made);
    tcase_add_test(tests, messages_that_are_no_events);
    tcase_add_test(tests, halt_ends_the_relay_and_loses_nothing);
    tcase_add_test(tests, what_was_mended_after_a_halt_arrives);
    tcase_add_test(tests, skip_counts_and_says_so);
}

static const struct e2e_suite poison = {"poison", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&poison)
