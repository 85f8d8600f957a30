/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads arrive byte for byte as the table holds them, whatever their column and their length. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "records.h"

#define LARGE "1200000"

/* Tables named after column type and mode; captures follow from them. */
static const struct {
    const char *type;
    const char *mode;
    const char *content_type;
} kinds[] = {
    {"json", "auto", "application/json"},
    {"jsonb", "auto", "application/json"},
    {"text", "auto", "text/plain"},
    {"varchar", "auto", "text/plain"},
    {"bytea", "auto", "application/octet-stream"},
    {"json", "json", "application/json"},
    {"text", "json", "application/json"},
    {"varchar", "json", "application/json"},
    {"bytea", "json", "application/json"},
    {"json", "text", "text/plain"},
    {"jsonb", "text", "text/plain"},
    {"text", "text", "text/plain"},
    {"bytea", "text", "text/plain"},
    {"json", "binary", "application/octet-stream"},
    {"jsonb", "binary", "application/octet-stream"},
    {"text", "binary", "application/octet-stream"},
    {"bytea", "binary", "application/octet-stream"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KINDS        COUNT(kinds)

/* As SQL expressions of type text. Duplicate members, order and the form of numbers are the
 * application's; nothing is read into them. */
static const char *const json_texts[] = {
    "E' {\"b\" :\\n\\t1.0e+10 ,\"a\":[ ] , \"b\": 123456789012345678901234567890.000 }\\r\\n'",
    "'{\"e\":\"\\u00e9\\ud83d\\ude00\\\\\\/\\\"\\n\",\"\u20ac\":\"gr\u00fcn \U0001F600\"}'",
    "'null'",
    "'\"\"'",
    "' -0.0 '",
    "'true'",
    "'[{},[[]],\"</script>\"]'",
    "'{\"large\":\"' || repeat('x\u20acy\\\"', " LARGE "/7) || '\"}'",
};

static const char *const texts[] = {
    "''",
    "' '",
    "E' tab\\tnew line\\n\\r\\nback\\\\slash \"quoted\" \\x01\\x1f\\x7f '",
    "'gr\u00fcn \u20ac \U0001F600 \u2028 \uFEFF'",
    "'{\"looks\": \"like JSON\"'",
    "repeat('0123\u20ac\"\\', " LARGE "/9)",
};

static const char *const binaries[] = {
    "'\\x'::bytea",
    "'\\x00'::bytea",
    "'\\x00ff80c3282e0a'::bytea",
    "decode(repeat('00ff80c3', " LARGE "/4), 'hex')",
};

static char *table_of(size_t kind)
{
    return text("%s_as_%s", kinds[kind].type, kinds[kind].mode);
}

static char *captures(void)
{
    char *list = text("%s", "");
    for (size_t i = 0; i < KINDS; i++)
        list = text("%s  - {outbox: public.%s, payload: %s}\n", list, table_of(i), kinds[i].mode);
    return list;
}

static bool is_bytea(size_t kind)
{
    return strcmp(kinds[kind].type, "bytea") == 0;
}

static void create(struct world *world)
{
    for (size_t i = 0; i < KINDS; i++)
        sql(world,
            "CREATE TABLE %s (id uuid DEFAULT gen_random_uuid(), aggregate_type text DEFAULT 'p', "
            "event_type text DEFAULT 'written', payload %s)",
            table_of(i), kinds[i].type);
}

static void insert(struct world *world, size_t kind, const char *const *values, size_t count)
{
    bool converted = is_bytea(kind) && values != binaries;
    for (size_t i = 0; i < count; i++)
        sql(world,
            converted ? "INSERT INTO %s (payload) SELECT convert_to(%s, 'UTF8')"
                      : "INSERT INTO %s (payload) SELECT CAST(%s AS %s)",
            table_of(kind), values[i], kinds[kind].type);
    sql(world, "INSERT INTO %s (payload) VALUES (NULL)", table_of(kind));
}

static void fill(struct world *world, size_t kind)
{
    bool text_column =
        strcmp(kinds[kind].type, "text") == 0 || strcmp(kinds[kind].type, "varchar") == 0;
    if (strcmp(kinds[kind].mode, "json") == 0 || (!text_column && !is_bytea(kind)))
        insert(world, kind, json_texts, COUNT(json_texts));
    else if (text_column || strcmp(kinds[kind].mode, "text") == 0)
        insert(world, kind, texts, COUNT(texts));
    else
        insert(world, kind, binaries, COUNT(binaries));
}

/* The payload's bytes in hexadecimal digits, NULL for null. */
static char *digits_of(const char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *result = malloc(2 * len + 1);
    REQUIRE(result != NULL, "out of memory");
    for (size_t i = 0; i < len; i++) {
        result[2 * i] = digits[(unsigned char)bytes[i] >> 4];
        result[2 * i + 1] = digits[(unsigned char)bytes[i] & 15];
    }
    result[2 * len] = '\0';
    return result;
}

static void expect_same(const char *table, const char *expected, const char *actual)
{
    bool same =
        expected == NULL || actual == NULL ? expected == actual : strcmp(expected, actual) == 0;
    ck_assert_msg(same, "%s: the payload is %.400s, not %.400s", table,
                  actual == NULL ? "(null)" : actual, expected == NULL ? "(null)" : expected);
}

/* The payload of a structured document, in the form that the row is asked in: text of json as it
 * stands, text without its quotation marks and escapes, bytes in base64. */
static void expect_data(size_t kind, const struct kafka_record *record, const char *payload,
                        const char *base64)
{
    json_t *document = record_json(record);
    const char *type = json_string_value(json_object_get(document, "datacontenttype"));
    expect_same(table_of(kind), payload == NULL ? NULL : kinds[kind].content_type, type);
    const char *bytes = json_string_value(json_object_get(document, "data_base64"));
    json_t *data = json_object_get(document, "data");
    if (strcmp(kinds[kind].content_type, "application/json") == 0) {
        expect_same(table_of(kind), payload, document_data(record));
        ck_assert_ptr_null(bytes);
    } else if (strcmp(kinds[kind].content_type, "text/plain") == 0) {
        expect_same(table_of(kind), payload, json_string_value(data));
        ck_assert_ptr_null(bytes);
    } else {
        expect_same(table_of(kind), base64, bytes);
        ck_assert_ptr_null(data);
    }
    json_decref(document);
}

static void expect_bytes(size_t kind, const struct kafka_record *record, const char *digits)
{
    const char *type = received_header(record, "content-type");
    expect_same(table_of(kind), digits == NULL ? NULL : kinds[kind].content_type, type);
    expect_same(table_of(kind), digits,
                record->value == NULL ? NULL : digits_of(record->value, record->value_len));
}

static const char *cell(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) != 0 ? NULL : PQgetvalue(rows, row, column);
}

/* Parsing large documents again for each row would take longer than all else. */
struct arrived {
    struct records records;
    char **ids;
};

static struct arrived index_of(struct records records)
{
    struct arrived arrived = {records, calloc(records.count, sizeof(char *))};
    REQUIRE(arrived.ids != NULL, "out of memory");
    for (size_t i = 0; i < records.count; i++)
        arrived.ids[i] = record_event_id(&records.items[i]);
    return arrived;
}

static const struct kafka_record *find(const struct arrived *arrived, const char *id)
{
    for (size_t i = 0; i < arrived->records.count; i++)
        if (strcmp(arrived->ids[i], id) == 0)
            return &arrived->records.items[i];
    return NULL;
}

/* Number of rows of the table, all of which arrived as they are. */
static size_t compare(struct world *world, size_t kind, const struct arrived *arrived, bool binary)
{
    const char *bytes = is_bytea(kind) ? "payload" : "convert_to(payload::text, 'UTF8')";
    PGresult *rows = sql_rows(
        world,
        "SELECT id, %s, encode(%s, 'hex'), translate(encode(%s, 'base64'), E'\\n', '') FROM %s",
        !is_bytea(kind) ? "payload::text"
        : strcmp(kinds[kind].content_type, "application/octet-stream") == 0
            ? "payload::text"
            : "convert_from(payload, 'UTF8')",
        bytes, bytes, table_of(kind));
    for (int i = 0; i < PQntuples(rows); i++) {
        const struct kafka_record *record = find(arrived, PQgetvalue(rows, i, 0));
        ck_assert_msg(record != NULL, "a row of %s did not arrive", table_of(kind));
        if (binary)
            expect_bytes(kind, record, cell(rows, i, 2));
        else
            expect_data(kind, record, cell(rows, i, 1), cell(rows, i, 3));
    }
    size_t count = (size_t)PQntuples(rows);
    PQclear(rows);
    return count;
}

static void run(const char *label, const char *mode)
{
    struct world *world = world_new(label);
    const char *topic = world_topic(world, "p");
    size_t count = 0;
    create(world);
    kafka_create_topic(world->kafka, topic, 1, "max.message.bytes=8000000");
    struct relay *relay = begin_relay(
        world, config_text(captures(), text("sink: {kafka: {bootstrap.servers: \"@KAFKA@\", "
                                            "message.max.bytes: 8000000}}\n"
                                            "envelope: {mode: %s}\n",
                                            mode)));
    for (size_t i = 0; i < KINDS; i++) {
        fill(world, i);
        count += (size_t)sql_number(world, "SELECT count(*) FROM %s", table_of(i));
    }
    struct consumer *consumer = consumer_new(world, topic, NULL);
    struct records records = consumer_exactly(consumer, count);
    struct arrived arrived = index_of(records);
    for (size_t i = 0; i < KINDS; i++)
        count -= compare(world, i, &arrived, strcmp(mode, "binary") == 0);
    ck_assert_uint_eq(count, 0);
    if (strcmp(mode, "structured") == 0)
        expect_valid_documents(world, records);
    consumer_free(consumer);
    end_relay(relay);
}

START_TEST(structured_documents_hold_them_as_they_are)
{
    run("structured", "structured");
}
END_TEST

START_TEST(binary_values_are_them)
{
    run("binary", "binary");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, structured_documents_hold_them_as_they_are);
    tcase_add_test(tests, binary_values_are_them);
}

static const struct e2e_suite payloads = {"payloads", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&payloads)
