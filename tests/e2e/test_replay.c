/* SPDX-License-Identifier: Apache-2.0 */
/* walferry replay: rows that still stand in the table give the records that the stream gave, but
 * for the mark and the place of the commit; whatever happens on the way, the command that it names
 * goes on from there. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "records.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define ID(n)       "11111111-2222-4333-8444-5555555555" #n
#define OUTBOX      "  - {outbox: outbox.event}"
#define LONG_AGO    "2001-01-01T00:00:00Z"
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void expect_words(const char *said, const char *words)
{
    REQUIRE(strstr(said, words) != NULL, "no \"%s\" in:\n%s", words, said);
}

static void expect_status(const struct relay *relay, int expected, int status)
{
    REQUIRE(status == expected, "status %d, not %d:\n%s", status, expected, relay_errors(relay));
}

/* A world with the topic NAME.t of one partition, and a relay that is ready. */
static struct relay *relay_with_topic(const char *label, const char *config)
{
    struct world *world = world_new(label);
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    return begin_relay(world, config);
}

/* No relay runs: tables and topics as init makes them. */
static struct relay *only_init(const char *label, const char *config)
{
    struct world *world = world_new(label);
    struct relay *relay = relay_new(world, config);
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    expect_status(relay, 0, relay_command(relay, "init", NULL));
    return relay;
}

static void end_replays(struct relay *relay)
{
    struct world *world = relay->world;
    relay_free(relay);
    world_free(world);
}

static char *id_of(size_t number)
{
    return text("00000000-0000-4000-8000-%012zu", number);
}

/* Numbers `from` to `to`, one a second since 2026-01-01, all of one key. */
static void insert_numbered(struct world *world, int from, int to)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
        "occurred_at) SELECT ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 't', "
        "'k', 'x.done', to_json(i), '2026-01-01Z'::timestamptz + i * interval '1s' FROM "
        "generate_series(%d, %d) AS i",
        from, to);
}

static void expect_ids(struct records records, size_t from, size_t to)
{
    for (size_t i = 0; i < records.count; i++)
        ck_assert_str_eq(record_event_id(&records.items[i]), id_of(from + i));
    ck_assert_uint_eq(records.count, to - from + 1);
}

/* What stands behind the words, to the end of the line. */
static char *line_behind(const char *said, const char *words)
{
    const char *at = strstr(said, words);
    REQUIRE(at != NULL, "no \"%s\" in:\n%s", words, said);
    at += strlen(words);
    return text("%.*s", (int)strcspn(at, "\n"), at);
}

/* Run a command that the program named, as a person would, with another input than nothing. */
static int run_named(const struct relay *relay, const char *command, const char *input)
{
    REQUIRE(strncmp(command, "walferry ", 9) == 0, "no command: %s", command);
    const char *input_path = text("%s/named-input", relay->dir);
    const char *line = text("'%s' %s", getenv("WALFERRY_BIN"), command + 9);
    const char *const argv[] = {"sh", "-c", line, NULL};
    const struct spawn spawn = {
        .argv = argv, .out_path = relay->out, .err_path = relay->err, .input_path = input_path};
    write_file(input_path, input);
    write_file(relay->out, "");
    write_file(relay->err, "");
    return process_run(&spawn, DEADLINE_MS);
}

/* ---- the same records ---------------------------------------------------------------------- */

/* A document of the stream as a replay has it. */
static char *as_replayed(const char *document)
{
    static const char sequence[] = "\"sequence\":\"";
    const char *at = strstr(document, sequence);
    REQUIRE(at != NULL, "no sequence in %s", document);
    const char *end = strchr(at + strlen(sequence), '"') + 2;
    char *without = text("%.*s%s", (int)(at - document), document, end);
    const char *data = strstr(without, ",\"data\":");
    if (data == NULL)
        data = strstr(without, ",\"data_base64\":");
    if (data == NULL)
        data = without + strlen(without) - 1;
    return text("%.*s,\"replay\":\"true\"%s", (int)(data - without), without, data);
}

static bool is_left_out(const char *header)
{
    return strcmp(header, "ce_sequence") == 0 || strcmp(header, "ce_replay") == 0;
}

static char *headers_text(const struct kafka_record *record)
{
    char *all = text("%s", "");
    for (size_t i = 0; i < record->header_count; i++)
        if (!is_left_out(record->headers[i].name))
            all = text("%s%s=%s\n", all, record->headers[i].name,
                       record->headers[i].value == NULL ? "(null)" : record->headers[i].value);
    return all;
}

static void expect_replayed(const struct kafka_record *streamed, const struct kafka_record *again,
                            bool structured)
{
    const char *value = streamed->value;
    ck_assert_str_eq(again->topic, streamed->topic);
    ck_assert_int_eq(again->partition, streamed->partition);
    ck_assert_int_eq(again->timestamp_ms, streamed->timestamp_ms);
    expect_key(again, streamed->key);
    expect_value(again, structured ? as_replayed(value) : value);
    ck_assert_str_eq(headers_text(again), headers_text(streamed));
}

/* The second half of the records is the first once more. */
static void expect_doubled(const struct world *world, struct records records, const char *format)
{
    bool structured = strstr(format, "structured") != NULL;
    bool binary = strstr(format, "binary") != NULL;
    size_t half = records.count / 2;
    for (size_t i = 0; i < half; i++) {
        expect_replayed(&records.items[i], &records.items[half + i], structured);
        if (!binary)
            continue;
        ck_assert_str_eq(received_header(&records.items[half + i], "ce_replay"), "true");
        ck_assert_ptr_null(received_header(&records.items[half + i], "ce_sequence"));
    }
    if (structured)
        expect_valid_documents(world, records);
}

static void insert_varied(struct world *world)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, event_version, "
        "payload, headers, visibility, traceparent, tracestate, correlation_id, causation_id, key, "
        "occurred_at) VALUES ('" ID(
            01) "', 't', 'a-1', 'x.done', 3, '{\"n\" : 1, \"s\": "
                "\"it''s \\\\ \\\"quoted\\\" \\u00e4\"}', "
                "'{\"tenant\":\"gr\u00fcn\",\"Tenant\":\"two\"}', "
                "'private', '" TRACEPARENT
                "', 'v=1', 'corr', 'caus', 'k-1', '2026-03-04 05:06:07.999999Z')");
    sql(world, "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
               "correlation_id, headers, occurred_at) VALUES ('" ID(
                   02) "', 't', '', 'x.bare', 'null', "
                       "'', '{}', '2026-03-04 05:06:08Z')");
    sql(world, "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
               "occurred_at) VALUES ('" ID(03) "', 't', 'a-1', 'x.gone', NULL, "
                                               "'2026-03-04 05:06:09.5Z')");
}

static const char *const formats[] = {"mode: structured", "mode: binary", "format: debezium",
                                      "format: raw"};

START_TEST(records_equal_those_of_the_stream)
{
    const char *format = formats[_i];
    struct relay *relay =
        relay_with_topic("equal", config_text(OUTBOX, text("envelope: {%s}\n", format)));
    struct world *world = relay->world;
    insert_varied(world);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    consumer_exactly(consumer, 3);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    expect_words(relay_errors(relay), "3 rows read: 3 published; occurred_at from "
                                      "2026-03-04T05:06:07.999999Z to 2026-03-04T05:06:09.500000Z");
    expect_doubled(world, consumer_exactly(consumer, 6), format);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* ---- tables of other projects -------------------------------------------------------------- */

static const struct outbox_case {
    const char *label;
    const char *create;
    const char *capture;
    const char *route;
    const char *insert; /* rows in the order of occurred_at */
    bool has_time;
} outbox_cases[] = {
    {"openoutbox",
     "CREATE TABLE openoutbox_events (event_id uuid PRIMARY KEY, event_type text NOT NULL, "
     "partition_key text, payload bytea NOT NULL, headers jsonb NOT NULL DEFAULT '{}', created_at "
     "timestamptz NOT NULL DEFAULT now())",
     "  - {outbox: public.openoutbox_events, preset: open_outbox}", "@NAME@.t",
     "INSERT INTO openoutbox_events (event_id, event_type, partition_key, payload, headers, "
     "created_at) VALUES ('" ID(02) "', 'user.created', 'u-1', '\\x00ff', '{\"tenant\": \"acme\", "
                                    "\"traceparent\": \"" TRACEPARENT
                                    "\"}', '2026-03-04 05:06:07Z'), ('" ID(
                                        01) "', 'user.gone', "
                                            "NULL, '\\x', '{}', '2026-03-04 05:06:08.000001Z')",
     true},
    {"eventuate",
     "CREATE TABLE message (id varchar(1000) PRIMARY KEY, destination text NOT NULL, headers text "
     "NOT NULL, payload text NOT NULL, published smallint DEFAULT 0, message_partition smallint, "
     "creation_time bigint)",
     "  - {outbox: public.message, preset: eventuate}", "@NAME@.t",
     "INSERT INTO message (id, destination, headers, payload, creation_time) VALUES "
     "('0000-2', '@NAME@.t', '{\"PARTITION_ID\":\"42\",\"event-type\":\"shop.OrderCreated\"}', "
     "'{\"total\":  12}', 1772445600123), ('0000-1', '@NAME@.t', '{\"ID\":\"cmd-2\"}', '{}', "
     "1772445600124)",
     true},
    {"goharvest",
     "CREATE TABLE outbox (id bigserial PRIMARY KEY, create_time timestamptz NOT NULL, kafka_topic "
     "varchar(249) NOT NULL, kafka_key varchar(100) NOT NULL, kafka_value varchar(10000), "
     "kafka_header_keys text[] NOT NULL, kafka_header_values text[] NOT NULL)",
     "  - {outbox: public.outbox, preset: goharvest}", "@NAME@.t",
     "INSERT INTO outbox (create_time, kafka_topic, kafka_key, kafka_value, kafka_header_keys, "
     "kafka_header_values) VALUES ('2026-03-04 05:06:07Z', '@NAME@.t', 'p-1', 'say \"hi\"', "
     "'{a,\"b c\"}', '{1,\"2,\\\"3\\\"\"}'), ('2026-03-04 05:06:08Z', '@NAME@.t', 'p-2', NULL, "
     "'{}', '{}')",
     true},
    {"pgtx",
     "CREATE TABLE outbox (id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text "
     "NOT NULL, message_type text NOT NULL, payload jsonb NOT NULL, created_at timestamptz)",
     "  - {outbox: public.outbox, preset: pg_transactional_outbox}", "@NAME@.${aggregate_type}",
     "INSERT INTO outbox VALUES ('" ID(01) "', 't', 'm-1', 'movie_created', '{\"title\": "
                                           "\"Alien\", \"n\": 1.50}', '2026-03-04 05:06:07.5Z')",
     true},
    {"quoted",
     "CREATE SCHEMA \"Sa'les\"; CREATE TABLE \"Sa'les\".\"Out\"\"box.Events\" (\"Id\" numeric "
     "PRIMARY KEY, \"Event'Type\" text, \"Body\" text, \"Order\"\"No\" text, gone int, made text "
     "GENERATED ALWAYS AS ('x') STORED, \"Created At\" timestamp); ALTER TABLE "
     "\"Sa'les\".\"Out\"\"box.Events\" DROP COLUMN gone",
     "  - outbox: Sa'les.Out\"box.Events\n"
     "    columns: {id: Id, event_type: \"Event'Type\", payload: Body, key: 'Order\"No', "
     "occurred_at: Created At}\n"
     "    payload: json",
     "@NAME@.t",
     "INSERT INTO \"Sa'les\".\"Out\"\"box.Events\" VALUES (9007199254740993.10, 'Placed', "
     "'{\"a\": 1}', 'k-1', DEFAULT, '2026-03-04 05:06:07'), (2, 'Paid', '{}', 'k-1', DEFAULT, "
     "'2026-03-04 05:06:08')",
     true},
    {"debezium",
     "CREATE TABLE outbox (id uuid NOT NULL PRIMARY KEY, aggregatetype varchar(255) NOT NULL, "
     "aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb, "
     "tracingspancontext varchar(256))",
     "  - {outbox: public.outbox, preset: debezium}", "@NAME@.${aggregate_type}",
     "INSERT INTO outbox VALUES ('" ID(
         03) "', 't', '42', 'Created', '{\"id\": 42,   \"l\": [ ]}', "
             "E'traceparent=" TRACEPARENT
             "\\n'), ('" ID(01) "', 't', '42', 'Paid', 'true', NULL), ('" ID(
                 02) "', 't', '42', 'Erased', NULL, NULL)",
     false},
};

/* Ids of the table, one a line. */
static char *all_ids(struct world *world, const char *query)
{
    char *ids = text("%s", "");
    PGresult *rows = sql_rows(world, "%s", query);
    for (int i = 0; i < PQntuples(rows); i++)
        ids = text("%s%s\n", ids, PQgetvalue(rows, i, 0));
    PQclear(rows);
    return ids;
}

START_TEST(tables_of_other_projects)
{
    const struct outbox_case *outbox = &outbox_cases[_i];
    /* With commit times the rows without occurred_at have what the stream gave them, too. */
    struct pg_server *pg = outbox->has_time ? NULL : pg_start("track_commit_timestamp = on");
    struct world *world =
        pg == NULL ? world_new(outbox->label) : world_new_on(outbox->label, pg, shared_kafka());
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    sql(world, "%s", outbox->create);
    struct relay *relay = begin_relay(
        world, config_text(outbox->capture, text("route: {topic: \"%s\"}\n", outbox->route)));
    sql(world, "%s", world_expand(world, outbox->insert, 0));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    wait_confirmed(world);
    size_t rows = consumer_drain(consumer).count;
    ck_assert_uint_ge(rows, 1);
    if (outbox->has_time)
        expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    else
        expect_status(relay, 0,
                      relay_command_input(relay, all_ids(world, "SELECT id FROM outbox"), "replay",
                                          "--ids", "-", NULL));
    expect_doubled(world, consumer_exactly(consumer, 2 * rows), "structured");
    consumer_free(consumer);
    end_relay(relay);
    if (pg != NULL)
        pg_free(pg);
}
END_TEST

/* Neither the time of the commit nor another that would be false; and --from says what to do. */
START_TEST(no_time_is_known)
{
    struct world *world = world_new("timeless");
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    sql(world, "CREATE TABLE outbox (id uuid NOT NULL PRIMARY KEY, aggregatetype text NOT NULL, "
               "aggregateid text NOT NULL, type text NOT NULL, payload jsonb)");
    struct relay *relay =
        relay_new(world, config_text("  - {outbox: public.outbox, preset: debezium}", ""));
    /* In the order of insertion, which is not that of the ids. */
    for (int i = 9; i > 0; i--)
        sql(world, "INSERT INTO outbox VALUES ('%s', 't', 'k', 'x', '1')", id_of((size_t)i));
    expect_status(relay, 64, relay_command(relay, "replay", "--from", "1h", NULL));
    const char *hint = line_behind(relay_errors(relay), "for example: ");
    expect_words(hint, "psql -At -c 'SELECT \"id\" FROM \"public\".\"outbox\"' | walferry replay");
    const char *command = strstr(hint, "walferry replay");
    ck_assert_int_eq(run_named(relay, command, all_ids(world, "SELECT id FROM outbox")), 0);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    struct records records = consumer_exactly(consumer, 9);
    for (size_t i = 0; i < 9; i++) {
        json_t *document = record_json(&records.items[i]);
        ck_assert_str_eq(record_event_id(&records.items[i]), id_of(9 - i));
        ck_assert_ptr_null(json_object_get(document, "time"));
        ck_assert_ptr_null(json_object_get(document, "sequence"));
        ck_assert_str_eq(json_string_value(json_object_get(document, "replay")), "true");
        json_decref(document);
    }
    expect_valid_documents(world, records);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(numbers_order_where_there_is_no_time)
{
    struct world *world = world_new("serial");
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    sql(world, "CREATE TABLE outbox (id bigint PRIMARY KEY, event_type text, payload text)");
    sql(world, "INSERT INTO outbox SELECT i, 'x', i::text FROM generate_series(12, 1, -1) AS i");
    struct relay *relay =
        relay_new(world, config_text("  - outbox: public.outbox",
                                     "route: {topic: \"@NAME@.t\"}\nenvelope: {mode: binary}\n"));
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--ids", "9,10,1,007,12", "--after", "1", NULL));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 4)), "7 9 10 12");
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(partitions_are_read_by_their_root)
{
    struct world *world = world_new("partitions");
    sql_file(world, "001_outbox.sql");
    sql(world, "SET client_min_messages = warning");
    sql_file(world, "004_partitions.sql");
    sql(world, "CREATE TABLE outbox.event_a PARTITION OF outbox.event FOR VALUES FROM "
               "('2026-01-01Z') TO ('2026-01-01 00:00:05Z')");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    expect_status(relay, 0, relay_command(relay, "init", NULL));
    insert_numbered(world, 1, 9);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_ids(consumer_exactly(consumer, 9), 1, 9);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

/* ---- which rows ---------------------------------------------------------------------------- */

START_TEST(the_window_has_its_beginning_and_not_its_end)
{
    struct relay *relay = only_init("window", RELAY_CONFIG);
    struct world *world = relay->world;
    static const char *const times[] = {"2026-01-01 09:59:59.999999Z", "2026-01-01 10:00:00Z",
                                        "2026-01-01 10:59:59.999999Z", "2026-01-01 11:00:00Z"};
    for (size_t i = 0; i < COUNT(times); i++)
        sql(world,
            "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
            "occurred_at) VALUES ('%s', 't', 'k', 'x', '1', '%s')",
            id_of(i), times[i]);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    /* Half past twelve in Berlin would be another hour; the zone counts. */
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--from", "2026-01-01T11:00:00+01:00", "--to",
                                "2026-01-01T11:00:00Z", NULL));
    expect_ids(consumer_exactly(consumer, 2), 1, 2);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", "2026-01-01 11:00:00Z", NULL));
    ck_assert_str_eq(record_event_id(&consumer_exactly(consumer, 3).items[2]), id_of(3));
    sql(world, "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
               "occurred_at) VALUES ('" ID(01) "', 't', 'k', 'x', '1', now() - interval '90m')");
    sql(world, "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload) "
               "VALUES ('" ID(02) "', 't', 'k', 'x', '1')");
    expect_status(relay, 0, relay_command(relay, "replay", "--from", "2h", "--to", "1h", NULL));
    ck_assert_str_eq(record_event_id(&consumer_exactly(consumer, 4).items[3]), ID(01));
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

/* Milliseconds as a number: every microsecond of the bound counts. */
START_TEST(the_window_of_a_number_of_milliseconds)
{
    struct world *world = world_new("millis");
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    sql(world, "CREATE TABLE outbox (id bigint PRIMARY KEY, event_type text, payload text, "
               "occurred_at bigint)");
    /* 2026-01-01T00:00:00.099Z to .102Z */
    sql(world, "INSERT INTO outbox SELECT i, 'x', '1', 1767225600000 + i FROM "
               "generate_series(99, 102) AS i");
    struct relay *relay =
        relay_new(world, config_text("  - outbox: public.outbox",
                                     "route: {topic: \"@NAME@.t\"}\nenvelope: {mode: binary}\n"));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--from", "2026-01-01T00:00:00.099001Z", "--to",
                                "2026-01-01T00:00:00.101001Z", NULL));
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 2)), "100 101");
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--from", "2026-01-01T00:00:00.101Z", "--to",
                                "2026-01-01T00:00:00.102Z", NULL));
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 3)), "100 101 101");
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(rows_come_in_the_order_of_their_time)
{
    struct relay *relay = only_init("order", RELAY_CONFIG);
    struct world *world = relay->world;
    /* More than one FETCH, written in disorder; equal times are ordered by id. */
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
        "occurred_at) SELECT ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 't', "
        "'k', 'x', to_json(i), '2026-01-01Z'::timestamptz + (i / 3) * interval '1s' FROM "
        "generate_series(1, 2500) AS i ORDER BY md5(i::text)");
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_ids(consumer_exactly(consumer, 2500), 1, 2500);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(thousands_of_ids_from_standard_input)
{
    struct relay *relay = only_init("ids", RELAY_CONFIG);
    struct world *world = relay->world;
    insert_numbered(world, 1, 3000);
    char *ids = text("%s", "\n");
    for (size_t i = 3000; i > 1000; i--)
        ids = text("%s%s%s\r\n", ids, i % 2 == 0 ? "  " : "", id_of(i));
    /* Capitals and a repetition are the same row. */
    ids = text("%s%s\n", ids, "{00000000-0000-4000-8000-000000002000}");
    expect_status(relay, 0, relay_command_input(relay, ids, "replay", "--ids", "-", NULL));
    expect_words(relay_errors(relay), "2000 rows read: 2000 published;");
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_ids(consumer_exactly(consumer, 2000), 1001, 3000);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(unknown_ids_are_named)
{
    struct relay *relay = only_init("unknown", RELAY_CONFIG);
    struct world *world = relay->world;
    insert_numbered(world, 1, 3);
    expect_status(relay, 1,
                  relay_command(relay, "replay", "--ids",
                                text("%s,%s,no such id,%s", id_of(7), id_of(2), ID(01)), NULL));
    const char *said = relay_errors(relay);
    expect_words(said, "1 row read: 1 published");
    expect_words(said, text("no row has the id %s\n", id_of(7)));
    expect_words(said, text("no row has the id %s\n", ID(01)));
    expect_words(said, "no row has the id no such id\n");
    expect_words(said, "3 of 4 ids were not found");
    ck_assert_ptr_null(strstr(said, text("no row has the id %s", id_of(2))));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_ids(consumer_exactly(consumer, 1), 2, 2);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(filters_by_type_and_aggregate)
{
    struct relay *relay = only_init("filters", RELAY_CONFIG);
    struct world *world = relay->world;
    sql(world, "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload, "
               "correlation_id) VALUES ('t', 'a', 'order.placed', '1', '1'), ('t', 'b', "
               "'order.placed', '1', '2'), ('t', 'a', 'order.paid', '1', '3'), ('t', 'a', "
               "'invoice.sent', '1', '4'), ('t', NULL, 'order.lost', '1', '5')");
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--from", LONG_AGO, "--type", "order.*",
                                "--aggregate-id", "a", NULL));
    expect_words(relay_errors(relay), "2 rows read: 2 published");
    consumer_exactly(consumer, 2);
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--from", LONG_AGO, "--aggregate-id=", NULL));
    struct records records = consumer_exactly(consumer, 3);
    ck_assert_ptr_nonnull(strstr(records.items[2].value, "\"type\":\"order.lost\""));
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(all_captured_tables_or_one)
{
    struct world *world = world_new("tables");
    sql(world, "CREATE TABLE one (id int PRIMARY KEY, event_type text, payload text, occurred_at "
               "timestamptz DEFAULT now()); CREATE TABLE two (LIKE one INCLUDING ALL)");
    sql(world, "INSERT INTO one VALUES (1, 'x', '1'), (2, 'x', '1')");
    sql(world, "INSERT INTO two VALUES (2, 'x', '1'), (3, 'x', '1')");
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    struct relay *relay = relay_new(
        world, config_text("  - {outbox: public.one}\n  - {messages: m}\n  - {outbox: public.two}",
                           "route: {topic: \"@NAME@.t\"}\nenvelope: {mode: binary}\n"));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", "1h", NULL));
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 4)), "1 2 2 3");
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--from", "1h", "--table", "public.two", NULL));
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 6)), "1 2 2 3 2 3");
    /* Behind a row of the first table comes the second one, whole. */
    expect_status(relay, 0, relay_command(relay, "replay", "--from", "1h", "--after", "1", NULL));
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 9)), "1 2 2 3 2 3 2 2 3");
    expect_status(relay, 0, relay_command(relay, "replay", "--from", "1h", "--after", "3", NULL));
    expect_status(relay, 1, relay_command(relay, "replay", "--from", "1h", "--after", "9", NULL));
    expect_words(relay_errors(relay), "no row has the id 9 any more");
    expect_status(relay, 0, relay_command(relay, "replay", "--ids", "1,3", NULL));
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 11)), "1 2 2 3 2 3 2 2 3 1 3");
    expect_status(relay, 64,
                  relay_command(relay, "replay", "--from", "1h", "--table", "public.six", NULL));
    expect_words(relay_errors(relay), "public.one, public.two");
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

/* What the publication keeps back is kept back. */
START_TEST(row_filters_hold)
{
    if (shared_pg()->version < 15)
        return;
    struct world *world = world_new("filtered");
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    sql(world, "CREATE TABLE outbox (id int PRIMARY KEY, event_type text, payload text, note text, "
               "occurred_at timestamptz DEFAULT now())");
    sql(world,
        "CREATE PUBLICATION %s FOR TABLE outbox (id, event_type, payload, occurred_at) WHERE "
        "(event_type <> 'internal') WITH (publish = 'insert')",
        world->slot);
    struct relay *relay = begin_relay(
        world, config_text("  - outbox: public.outbox", "route: {topic: \"@NAME@.t\"}\n"));
    sql(world, "INSERT INTO outbox VALUES (1, 'x', '1', 'c'), (2, 'internal', '1', 'c'), (3, 'y', "
               "'1', NULL)");
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    consumer_exactly(consumer, 2);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", "1h", NULL));
    expect_doubled(world, consumer_exactly(consumer, 4), "structured");
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

START_TEST(rows_without_a_time_are_not_passed_over_in_silence)
{
    struct world *world = world_new("nulls");
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    sql(world, "CREATE TABLE outbox (id int PRIMARY KEY, event_type text, payload text, "
               "occurred_at timestamptz)");
    sql(world, "INSERT INTO outbox VALUES (1, 'x', '1', NULL), (2, 'x', '1', now()), (3, 'x', "
               "'1', NULL), (4, 'x', '1', now() - interval '1s')");
    struct relay *relay =
        relay_new(world, config_text("  - outbox: public.outbox",
                                     "route: {topic: \"@NAME@.t\"}\nenvelope: {mode: binary}\n"));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", "1h", NULL));
    expect_words(relay_errors(relay), "2 rows of public.outbox have no occurred_at");
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 2)), "4 2");
    expect_status(relay, 0, relay_command(relay, "replay", "--ids", "1,2,3,4", NULL));
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 6)), "4 2 4 2 1 3");
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--ids", "1,2,3,4", "--after", "1", NULL));
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 7)), "4 2 4 2 1 3 3");
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

/* ---- dry runs ------------------------------------------------------------------------------ */

START_TEST(a_dry_run_shows_and_publishes_nothing)
{
    /* Nobody listens there: Kafka is not asked. */
    const char *config = config_text(
        OUTBOX, "route: {topic: \"t.${aggregate_type}\", rules: [{when: {event_type: \"debug.*\"}, "
                "drop: true}]}\n"
                "sink: {kafka: {bootstrap.servers: \"127.0.0.1:1\"}}\n"
                "envelope: {format: raw}\n");
    struct world *world = world_new("dry");
    struct relay *relay = relay_new(world, config);
    sql_file(world, "001_outbox.sql");
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
        "occurred_at, partition) VALUES "
        "('" ID(
            01) "', 'order', E'k\\t1', 'x.done', '1', '2026-01-01 00:00:01Z', 2), "
                "('" ID(
                    02) "', 'order', 'k', 'debug.x', '1', '2026-01-01 00:00:02Z', NULL), "
                        "('" ID(
                            03) "', 'or/der', 'k', 'x.bad', '1', '2026-01-01 00:00:03Z', NULL), "
                                "('" ID(04) "', 'order', NULL, 'x.done', '1', '2026-01-01 "
                                            "00:00:04.5Z', NULL)");
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, "--dry-run", NULL));
    ck_assert_str_eq(
        relay_output(relay),
        ID(01) "\tx.done\tt.order\tk\\x091\t2026-01-01T00:00:01Z\n" ID(
            02) "\tdebug.x\t(dropped)\t-\t2026-01-01T00:00:02Z\n" ID(03) "\tx.bad\t"
                                                                         "(dead_letter: "
                                                                         "WF-5004)\t-\t2026-01-"
                                                                         "01T00:00:03Z\n" ID(
                                                                             04) "\tx.done\tt."
                                                                                 "order\t-\t2026-"
                                                                                 "01-01T00:00:04."
                                                                                 "500000Z\n");
    expect_words(relay_errors(relay), "4 rows read: 2 would be published, 1 dead-lettered, 1 "
                                      "dropped by a rule; occurred_at from 2026-01-01T00:00:01Z");
    expect_status(relay, 0,
                  relay_command(relay, "replay", "--from", LONG_AGO, "--dry-run", "--json", NULL));
    json_error_t error;
    json_t *line = json_loads(relay_output(relay), JSON_DISABLE_EOF_CHECK, &error);
    REQUIRE(line != NULL, "%s in %s", error.text, relay_output(relay));
    ck_assert_str_eq(json_string_value(json_object_get(line, "id")), ID(01));
    ck_assert_str_eq(json_string_value(json_object_get(line, "key")), "k\t1");
    ck_assert_str_eq(json_string_value(json_object_get(line, "topic")), "t.order");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "partition")), 2);
    ck_assert_str_eq(json_string_value(json_object_get(line, "outcome")), "published");
    ck_assert_str_eq(json_string_value(json_object_get(line, "occurred_at")),
                     "2026-01-01T00:00:01Z");
    json_decref(line);
    expect_words(relay_output(relay), "\"outcome\":\"dead_letter\",\"error\":\"WF-5004\"");
    end_replays(relay);
}
END_TEST

/* With a reader that is gone there is nobody to read rows for. */
START_TEST(a_dry_run_whose_output_is_lost)
{
    struct relay *relay = only_init("deaf", RELAY_CONFIG);
    struct world *world = relay->world;
    insert_numbered(world, 1, 5000);
    const char *const argv[] = {getenv("WALFERRY_BIN"),
                                "replay",
                                "-c",
                                relay->config,
                                "--from",
                                LONG_AGO,
                                "--dry-run",
                                NULL};
    const struct spawn spawn = {.argv = argv, .out_path = "/dev/full", .err_path = relay->err};
    ck_assert_int_eq(process_run(&spawn, DEADLINE_MS), 71);
    expect_words(relay_errors(relay), "standard output cannot be written");
    end_replays(relay);
}
END_TEST

START_TEST(a_dry_run_tells_that_a_replay_would_halt)
{
    struct relay *relay = only_init("dryhalt", RELAY_CONFIG "delivery: {poison: halt}\n");
    struct world *world = relay->world;
    insert_numbered(world, 1, 2);
    sql(world, "UPDATE outbox.event SET aggregate_type = 'not a topic' WHERE id = '%s'", id_of(1));
    expect_status(relay, 65, relay_command(relay, "replay", "--from", LONG_AGO, "--dry-run", NULL));
    expect_words(relay_output(relay), "(halted: WF-5004)");
    expect_words(relay_output(relay), id_of(2));
    expect_words(relay_errors(relay), "WF-9002");
    end_replays(relay);
}
END_TEST

/* ---- rights -------------------------------------------------------------------------------- */

static const char *as_role(const char *config, const char *role)
{
    const char *at = strstr(config, "@CONNINFO@");
    REQUIRE(at != NULL, "no conninfo in %s", config);
    at += strlen("@CONNINFO@");
    return text("%.*s user=%s%s", (int)(at - config), config, role, at);
}

START_TEST(a_role_that_may_not_read_is_told_what_it_lacks)
{
    struct relay *relay = only_init("rights", RELAY_CONFIG);
    struct world *world = relay->world;
    const char *role = text("%s.Reader", world->name);
    insert_numbered(world, 1, 2);
    sql(world, "CREATE ROLE \"%s\" LOGIN", role);
    relay_rewrite(relay, as_role(RELAY_CONFIG, role));
    expect_status(relay, 77, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    const char *said = relay_errors(relay);
    expect_words(said, "WF-2003");
    expect_words(said, "--conninfo");
    /* As a person does it: word for word. */
    char *grants = line_behind(said, "have the owner run: ");
    *strstr(grants, "; or read") = '\0';
    expect_words(grants, "GRANT SELECT ON \"outbox\".\"event\" TO");
    expect_status(
        relay, 0,
        relay_command(relay, "replay", "--from", LONG_AGO, "--conninfo", world->conninfo, NULL));
    sql(world, "%s", grants);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    consumer_exactly(consumer, 4);
    consumer_free(consumer);
    sql(world, "DROP OWNED BY \"%s\"; DROP ROLE \"%s\"", role, role);
    end_replays(relay);
}
END_TEST

/* Rows that a policy hides would be a gap without a word. */
START_TEST(row_security_is_an_error_and_no_filter)
{
    struct relay *relay = only_init("security", RELAY_CONFIG);
    struct world *world = relay->world;
    const char *role = text("%s_reader", world->name);
    insert_numbered(world, 1, 2);
    sql(world,
        "CREATE ROLE %s LOGIN; GRANT USAGE ON SCHEMA outbox TO %s; GRANT SELECT ON outbox.event TO "
        "%s; ALTER TABLE outbox.event ENABLE ROW LEVEL SECURITY; CREATE POLICY nobody ON "
        "outbox.event USING (false)",
        role, role, role);
    relay_rewrite(relay, as_role(RELAY_CONFIG, role));
    expect_status(relay, 77, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    expect_words(relay_errors(relay), text("ALTER ROLE %s BYPASSRLS", role));
    sql(world, "ALTER ROLE %s BYPASSRLS", role);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    expect_words(relay_errors(relay), "2 rows read: 2 published");
    sql(world, "DROP OWNED BY %s; DROP ROLE %s", role, role);
    end_replays(relay);
}
END_TEST

/* ---- rows that cannot be published --------------------------------------------------------- */

static void insert_bad(struct world *world, int number)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, "
        "occurred_at, topic) VALUES ('%s', 't', 'k', 'x', '{\"bad\":1}', "
        "'2026-01-01Z'::timestamptz + %d * interval '1s', 'not a topic')",
        id_of((size_t)number), number);
}

START_TEST(poison_goes_where_the_policy_says)
{
    struct relay *relay = only_init("poison", RELAY_CONFIG);
    struct world *world = relay->world;
    insert_numbered(world, 1, 2);
    insert_bad(world, 3);
    insert_numbered(world, 4, 5);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    expect_words(relay_errors(relay), "5 rows read: 4 published, 1 dead-lettered;");
    expect_words(relay_errors(relay), "WF-5004");
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    struct consumer *letters = consumer_new(world, world_topic(world, "dead-letter"), NULL);
    ck_assert_str_eq(ids_of(consumer_exactly(consumer, 4)),
                     text("%s %s %s %s", id_of(1), id_of(2), id_of(4), id_of(5)));
    struct records dead = consumer_exactly(letters, 1);
    const struct kafka_record *letter = find_dead_letter(dead, id_of(3));
    ck_assert_str_eq(received_header(letter, "walferry_replay"), "true");
    ck_assert_ptr_null(received_header(letter, "walferry_position"));
    ck_assert_str_eq(received_header(letter, "walferry_error"), "WF-5004");
    ck_assert_str_eq(received_header(letter, "walferry_topic"), "not a topic");
    expect_value(letter, "{\"bad\":1}");
    /* skip: only counted. */
    expect_status(
        relay, 0,
        relay_command(relay, "replay", "--from", LONG_AGO, "--set", "delivery.poison=skip", NULL));
    expect_words(relay_errors(relay), "5 rows read: 4 published, 1 skipped as poison;");
    consumer_exactly(consumer, 8);
    consumer_exactly(letters, 1);
    /* halt: the rows before it are published, and the command goes on there once it is mended. */
    expect_status(
        relay, 65,
        relay_command(relay, "replay", "--from", LONG_AGO, "--set", "delivery.poison=halt", NULL));
    expect_words(relay_errors(relay), "WF-9002");
    expect_words(relay_errors(relay), text("the last row published: %s,", id_of(2)));
    const char *command = line_behind(relay_errors(relay), "to go on: ");
    consumer_exactly(consumer, 10);
    sql(world, "UPDATE outbox.event SET topic = NULL");
    ck_assert_int_eq(run_named(relay, command, ""), 0);
    struct records records = consumer_exactly(consumer, 13);
    records = (struct records){records.items + 8, 5};
    expect_ids(records, 1, 5);
    consumer_free(letters);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(rules_that_drop_are_obeyed_and_counted)
{
    struct relay *relay = only_init(
        "rules", config_text(OUTBOX, "route: {topic: \"@NAME@.${aggregate_type}\", rules: [{when: "
                                     "{visibility: private}, drop: true}]}\n"));
    struct world *world = relay->world;
    insert_numbered(world, 1, 4);
    sql(world, "UPDATE outbox.event SET visibility = 'private' WHERE id IN ('%s', '%s')", id_of(1),
        id_of(4));
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    expect_words(relay_errors(relay), "4 rows read: 2 published, 2 dropped by a rule;");
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_ids(consumer_exactly(consumer, 2), 2, 3);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

/* Only the broker knows: the whole batch comes back, and one record of it is guilty. */
START_TEST(only_the_guilty_of_a_refused_batch_dies)
{
    enum { ROWS = 150, BAD = 60 };
    struct world *world = world_new("batch");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1,
                       "max.message.bytes=3000,retention.ms=-1");
    expect_status(relay, 0, relay_command(relay, "init", NULL));
    insert_numbered(world, 1, ROWS);
    sql(world,
        "UPDATE outbox.event SET payload = (SELECT to_json(string_agg(md5(i::text), '')) FROM "
        "generate_series(1, 300) AS i) WHERE id = '%s'",
        id_of(BAD));
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    expect_words(relay_errors(relay), "150 rows read: 149 published, 1 dead-lettered;");
    expect_words(relay_errors(relay), "WF-5009");
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    struct consumer *letters = consumer_new(world, world_topic(world, "dead-letter"), NULL);
    find_dead_letter(consumer_exactly(letters, 1), id_of(BAD));
    struct records records = consumer_drain(consumer);
    size_t next = 1;
    for (size_t i = 0; i < records.count; i++) {
        const char *id = record_event_id(&records.items[i]);
        next += next == BAD ? 1 : 0;
        ck_assert_str_le(id, id_of(next));
        next += strcmp(id, id_of(next)) == 0 ? 1 : 0;
    }
    ck_assert_uint_eq(next, ROWS + 1);
    consumer_free(letters);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

/* ---- going on ------------------------------------------------------------------------------ */

/* Every row, first sightings in order. */
static void expect_all_in_order(struct records records, size_t rows)
{
    size_t next = 1;
    for (size_t i = 0; i < records.count; i++) {
        const char *id = record_event_id(&records.items[i]);
        ck_assert_str_le(id, id_of(next));
        next += strcmp(id, id_of(next)) == 0 ? 1 : 0;
    }
    ck_assert_uint_eq(next, rows + 1);
}

static pid_t replay_start(struct relay *relay, const char *const *more)
{
    const char *argv[24] = {getenv("WALFERRY_BIN"), "replay", "-c", relay->config};
    for (size_t i = 0; more[i] != NULL; i++)
        argv[4 + i] = more[i];
    snprintf(relay->out, sizeof relay->out, "%s/replay.out", relay->dir);
    snprintf(relay->err, sizeof relay->err, "%s/replay.err", relay->dir);
    const struct spawn spawn = {.argv = argv, .out_path = relay->out, .err_path = relay->err};
    return process_spawn(&spawn);
}

static int replay_wait(struct relay *relay, pid_t pid)
{
    int status = -1;
    REQUIRE(process_wait(pid, DEADLINE_MS, &status), "the replay does not end:\n%s",
            relay_errors(relay));
    return status;
}

START_TEST(kafka_away_for_too_long)
{
    enum { ROWS = 40 };
    struct kafka_server *kafka = kafka_start(NULL);
    struct world *world = world_new_on("away", shared_pg(), kafka);
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    kafka_create_topic(kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    expect_status(relay, 0, relay_command(relay, "init", NULL));
    insert_numbered(world, 1, ROWS);
    kafka_kill(kafka);
    /* The whole of it, an odd value with a blank among the settings. */
    expect_status(relay, 69,
                  relay_command(relay, "replay", "--from", LONG_AGO, "--timeout", "2s", "--set",
                                "sink.kafka.client.id=it's me", NULL));
    expect_words(relay_errors(relay), "nothing moved for 2000 ms");
    expect_words(relay_errors(relay), "row read: 0 published");
    const char *command = line_behind(relay_errors(relay), "to go on: ");
    ck_assert_ptr_null(strstr(command, "--after"));
    kafka_resume(kafka);
    ck_assert_int_eq(run_named(relay, command, ""), 0);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_ids(consumer_exactly(consumer, ROWS), 1, ROWS);
    consumer_free(consumer);
    end_replays(relay);
    kafka_free(kafka);
}
END_TEST

/* The broker goes while records are in flight: what was said to be published is, and the named
 * command does the rest. */
START_TEST(kafka_killed_in_the_middle)
{
    enum { ROWS = 30000 };
    struct kafka_server *kafka = kafka_start(NULL);
    struct world *world = world_new_on("middle", shared_pg(), kafka);
    struct relay *relay = relay_new(world, RELAY_CONFIG "delivery: {max_in_flight_events: 50}\n");
    static const char *const more[] = {"--from",    LONG_AGO, "--to", "2027-01-01T00:00:00Z",
                                       "--timeout", "15s",    NULL};
    kafka_create_topic(kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    expect_status(relay, 0, relay_command(relay, "init", NULL));
    insert_numbered(world, 1, ROWS);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    pid_t pid = replay_start(relay, more);
    consumer_expect(consumer, 100);
    kafka_kill(kafka);
    consumer_free(consumer);
    expect_status(relay, 69, replay_wait(relay, pid));
    const char *command = line_behind(relay_errors(relay), "to go on: ");
    const char *last = line_behind(relay_errors(relay), "the last row published: ");
    expect_words(command, "--to 2027-01-01T00:00:00Z");
    expect_words(command, text("--after %.36s", last));
    kafka_resume(kafka);
    ck_assert_int_eq(run_named(relay, command, ""), 0);
    expect_words(relay_errors(relay), " published; occurred_at from ");
    consumer = consumer_new(world, world_topic(world, "t"), NULL);
    struct records records = consumer_drain(consumer);
    expect_all_in_order(records, ROWS);
    /* Only what was in flight comes twice. */
    ck_assert_uint_le(records.count, ROWS + 50);
    consumer_free(consumer);
    end_replays(relay);
    kafka_free(kafka);
}
END_TEST

/* A broker that is back in time is waited for, and nothing is asked of anybody. */
START_TEST(kafka_restarts_in_the_middle)
{
    enum { ROWS = 20000 };
    struct kafka_server *kafka = kafka_start(NULL);
    struct world *world = world_new_on("restart", shared_pg(), kafka);
    struct relay *relay = relay_new(world, RELAY_CONFIG "delivery: {max_in_flight_events: 50}\n");
    static const char *const more[] = {"--from", LONG_AGO, NULL};
    kafka_create_topic(kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    expect_status(relay, 0, relay_command(relay, "init", NULL));
    insert_numbered(world, 1, ROWS);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    pid_t pid = replay_start(relay, more);
    consumer_expect(consumer, 100);
    kafka_kill(kafka);
    kafka_resume(kafka);
    expect_status(relay, 0, replay_wait(relay, pid));
    expect_words(relay_errors(relay), "20000 rows read: 20000 published;");
    consumer_free(consumer);
    consumer = consumer_new(world, world_topic(world, "t"), NULL);
    expect_all_in_order(consumer_drain(consumer), ROWS);
    consumer_free(consumer);
    end_replays(relay);
    kafka_free(kafka);
}
END_TEST

START_TEST(a_signal_stops_it_and_the_command_goes_on)
{
    enum { ROWS = 60000 };
    struct relay *relay =
        only_init("signal", RELAY_CONFIG "delivery: {max_in_flight_events: 20}\n");
    struct world *world = relay->world;
    static const char *const more[] = {"--from", LONG_AGO, "--type", "x.*", NULL};
    insert_numbered(world, 1, ROWS);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    pid_t pid = replay_start(relay, more);
    consumer_expect(consumer, 100);
    kill(pid, SIGINT);
    expect_status(relay, 75, replay_wait(relay, pid));
    const char *command = line_behind(relay_errors(relay), "to go on: ");
    expect_words(command, "--type 'x.*'");
    size_t before = consumer_drain(consumer).count;
    /* All that was taken had arrived: what is named is the last one that is there. */
    ck_assert_str_eq(text("%.36s", line_behind(relay_errors(relay), "the last row published: ")),
                     id_of(before));
    ck_assert_uint_lt(before, ROWS);
    ck_assert_int_eq(run_named(relay, command, ""), 0);
    expect_ids(consumer_exactly(consumer, ROWS), 1, ROWS);
    consumer_free(consumer);
    end_replays(relay);
}
END_TEST

START_TEST(postgresql_restarts_in_the_middle)
{
    enum { ROWS = 60000 };
    struct pg_server *pg = pg_start(NULL);
    struct world *world = world_new_on("pgaway", pg, shared_kafka());
    struct relay *relay = relay_new(world, RELAY_CONFIG "delivery: {max_in_flight_events: 20}\n");
    static const char *const more[] = {"--from", LONG_AGO, NULL};
    kafka_create_topic(world->kafka, world_topic(world, "t"), 1, "retention.ms=-1");
    expect_status(relay, 0, relay_command(relay, "init", NULL));
    insert_numbered(world, 1, ROWS);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    pid_t pid = replay_start(relay, more);
    consumer_expect(consumer, 100);
    pg_stop(pg, PG_FAST);
    expect_status(relay, 69, replay_wait(relay, pid));
    const char *command = line_behind(relay_errors(relay), "to go on: ");
    pg_resume(pg);
    world_reconnect(world);
    ck_assert_int_eq(run_named(relay, command, ""), 0);
    expect_all_in_order(consumer_drain(consumer), ROWS);
    consumer_free(consumer);
    end_replays(relay);
    pg_free(pg);
}
END_TEST

START_TEST(a_server_that_is_away)
{
    struct world *world = world_new("nobody");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    expect_status(relay, 69,
                  relay_command(relay, "replay", "--from", "1h", "--conninfo",
                                "host=127.0.0.1 port=1", NULL));
    end_replays(relay);
}
END_TEST

/* ---- beside the relay ---------------------------------------------------------------------- */

START_TEST(the_relay_goes_on_meanwhile)
{
    struct relay *relay = relay_with_topic("beside", RELAY_CONFIG);
    struct world *world = relay->world;
    insert_numbered(world, 1, 500);
    relay_wait_counter(relay, "published", 500);
    expect_status(relay, 0, relay_command(relay, "replay", "--from", LONG_AGO, NULL));
    insert_numbered(world, 501, 600);
    relay_wait_counter(relay, "published", 600);
    struct consumer *consumer = consumer_new(world, world_topic(world, "t"), NULL);
    struct records records = consumer_exactly(consumer, 1100);
    size_t marked = 0;
    for (size_t i = 0; i < records.count; i++)
        marked += strstr(records.items[i].value, "\"replay\":\"true\"") != NULL ? 1 : 0;
    ck_assert_uint_eq(marked, 500);
    consumer_free(consumer);
    end_relay(relay);
}
END_TEST

/* ---- the command line ---------------------------------------------------------------------- */

START_TEST(what_is_not_understood)
{
    struct world *world = world_new("usage");
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    expect_status(relay, 64, relay_command(relay, "replay", NULL));
    expect_words(relay_errors(relay), "--from T or --ids");
    expect_status(relay, 64, relay_command(relay, "replay", "--from", "1h", "--ids", "1", NULL));
    expect_status(relay, 64, relay_command(relay, "replay", "--from", "yesterday", NULL));
    expect_words(relay_errors(relay), "neither a time with its zone nor an age");
    expect_status(relay, 64, relay_command(relay, "replay", "--from", "1h", "--to", "2h", NULL));
    expect_words(relay_errors(relay), "does not lie before");
    expect_status(relay, 64, relay_command(relay, "replay", "--from", "1h", "--json", NULL));
    expect_status(relay, 64, relay_command_input(relay, "\n \n", "replay", "--ids", "-", NULL));
    relay_rewrite(relay, config_text("  - {messages: outbox}", ""));
    expect_status(relay, 64, relay_command(relay, "replay", "--from", "1h", NULL));
    expect_words(relay_errors(relay), "no outbox table");
    relay_rewrite(relay, RELAY_CONFIG);
    expect_status(relay, 78, relay_command(relay, "replay", "--from", "1h", NULL));
    expect_words(relay_errors(relay), "outbox.event does not exist");
    end_replays(relay);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, records_equal_those_of_the_stream, 0, COUNT(formats));
    tcase_add_loop_test(tests, tables_of_other_projects, 0, COUNT(outbox_cases));
    tcase_add_test(tests, no_time_is_known);
    tcase_add_test(tests, numbers_order_where_there_is_no_time);
    tcase_add_test(tests, partitions_are_read_by_their_root);
    tcase_add_test(tests, the_window_has_its_beginning_and_not_its_end);
    tcase_add_test(tests, the_window_of_a_number_of_milliseconds);
    tcase_add_test(tests, rows_come_in_the_order_of_their_time);
    tcase_add_test(tests, thousands_of_ids_from_standard_input);
    tcase_add_test(tests, unknown_ids_are_named);
    tcase_add_test(tests, filters_by_type_and_aggregate);
    tcase_add_test(tests, all_captured_tables_or_one);
    tcase_add_test(tests, row_filters_hold);
    tcase_add_test(tests, rows_without_a_time_are_not_passed_over_in_silence);
    tcase_add_test(tests, a_dry_run_shows_and_publishes_nothing);
    tcase_add_test(tests, a_dry_run_whose_output_is_lost);
    tcase_add_test(tests, a_dry_run_tells_that_a_replay_would_halt);
    tcase_add_test(tests, a_role_that_may_not_read_is_told_what_it_lacks);
    tcase_add_test(tests, row_security_is_an_error_and_no_filter);
    tcase_add_test(tests, poison_goes_where_the_policy_says);
    tcase_add_test(tests, rules_that_drop_are_obeyed_and_counted);
    tcase_add_test(tests, only_the_guilty_of_a_refused_batch_dies);
    tcase_add_test(tests, kafka_away_for_too_long);
    tcase_add_test(tests, kafka_killed_in_the_middle);
    tcase_add_test(tests, kafka_restarts_in_the_middle);
    tcase_add_test(tests, a_signal_stops_it_and_the_command_goes_on);
    tcase_add_test(tests, postgresql_restarts_in_the_middle);
    tcase_add_test(tests, a_server_that_is_away);
    tcase_add_test(tests, the_relay_goes_on_meanwhile);
    tcase_add_test(tests, what_is_not_understood);
}

static const struct e2e_suite replays = {"replay", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&replays)
