/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <check.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define PAIRS_MAX 64

const char ANYTHING[] = "(anything)";

char *config_text(const char *capture, const char *more)
{
    return text(
        "version: 1\n"
        "name: @NAME@\n"
        "source: {conninfo: \"@CONNINFO@\"}\n"
        "capture:\n"
        "%s\n"
        "checkpoint: {directory: \"@DIR@/state\"}\n"
        "http: {listen: \"@HTTP@\"}\n"
        "log: {format: json, level: debug}\n"
        "%s%s%s",
        capture,
        strstr(more, "route:") != NULL ? "" : "route: {topic: \"@NAME@.${aggregate_type}\"}\n",
        strstr(more, "sink:") != NULL ? "" : "sink: {kafka: {bootstrap.servers: \"@KAFKA@\"}}\n",
        more);
}

struct relay *begin_relay(struct world *world, const char *config)
{
    struct relay *relay = relay_new(world, config);
    relay_begin(relay);
    return relay;
}

void end_relay(struct relay *relay)
{
    struct world *world = relay->world;
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}

/* ---- sets of names and values -------------------------------------------------------------- */

struct pair {
    const char *name;
    const char *value;
    bool seen;
};

struct pairs {
    struct pair items[PAIRS_MAX];
    size_t count;
};

static void add_pair(struct pairs *pairs, const char *name, const char *value)
{
    REQUIRE(pairs->count < PAIRS_MAX, "too many pairs");
    pairs->items[pairs->count++] = (struct pair){.name = name, .value = value};
}

static void collect_pairs(struct pairs *pairs, va_list list)
{
    for (;;) {
        const char *name = va_arg(list, const char *);
        if (name == NULL)
            return;
        add_pair(pairs, name, va_arg(list, const char *));
    }
}

static bool same(const char *expected, const char *actual)
{
    if (expected == ANYTHING)
        return true;
    return expected == NULL || actual == NULL ? expected == actual : strcmp(expected, actual) == 0;
}

/* A name may stand more than once, as headers do. */
static void take_pair(struct pairs *pairs, const char *where, const char *name, const char *value)
{
    for (size_t i = 0; i < pairs->count; i++) {
        struct pair *pair = &pairs->items[i];
        if (!pair->seen && strcmp(pair->name, name) == 0 && same(pair->value, value)) {
            pair->seen = true;
            return;
        }
    }
    ck_abort_msg("%s %s: \"%s\" is not expected", where, name, value == NULL ? "(null)" : value);
}

static void all_taken(const struct pairs *pairs, const char *where)
{
    for (size_t i = 0; i < pairs->count; i++)
        ck_assert_msg(pairs->items[i].seen, "%s %s: \"%s\" is missing", where, pairs->items[i].name,
                      pairs->items[i].value == NULL ? "(null)" : pairs->items[i].value);
}

void expect_headers(const struct kafka_record *record, ...)
{
    struct pairs pairs = {0};
    va_list list;
    va_start(list, record);
    collect_pairs(&pairs, list);
    va_end(list);
    for (size_t i = 0; i < record->header_count; i++)
        take_pair(&pairs, "header", record->headers[i].name, record->headers[i].value);
    all_taken(&pairs, "header");
}

void expect_key(const struct kafka_record *record, const char *expected)
{
    ck_assert_msg(same(expected, record->key), "the key is \"%s\", not \"%s\"",
                  record->key == NULL ? "(null)" : record->key,
                  expected == NULL ? "(null)" : expected);
    ck_assert_uint_eq(record->key_len, record->key == NULL ? 0 : strlen(record->key));
}

void expect_value(const struct kafka_record *record, const char *expected)
{
    ck_assert_msg(same(expected, record->value), "the value is \"%.1000s\", not \"%.1000s\"",
                  record->value == NULL ? "(null)" : record->value,
                  expected == NULL ? "(null)" : expected);
    ck_assert_uint_eq(record->value_len, record->value == NULL ? 0 : strlen(record->value));
}

/* ---- documents ----------------------------------------------------------------------------- */

char *document_data(const struct kafka_record *record)
{
    /* No attribute can hold this: quotation marks in strings have a backslash before them. */
    static const char name[] = ",\"data\":";
    const char *at = record->value == NULL ? NULL : strstr(record->value, name);
    if (at == NULL)
        return NULL;
    char *data = text("%s", at + strlen(name));
    data[strlen(data) - 1] = '\0';
    return data;
}

static void expect_sequence(const char *sequence)
{
    ck_assert_msg(sequence != NULL && strlen(sequence) == 25 && sequence[16] == '-' &&
                      strspn(sequence, "0123456789ABCDEF") == 16 &&
                      strspn(sequence + 17, "0123456789ABCDEF") == 8,
                  "the sequence is %s", sequence == NULL ? "(null)" : sequence);
}

static void take_members(struct pairs *pairs, json_t *document)
{
    const char *name;
    json_t *member;
    json_object_foreach(document, name, member)
    {
        if (strcmp(name, "data") == 0)
            continue;
        ck_assert_msg(json_is_string(member), "attribute %s is no string", name);
        take_pair(pairs, "attribute", name, json_string_value(member));
    }
}

void expect_document(const struct world *world, const struct kafka_record *record, const char *data,
                     ...)
{
    struct pairs pairs = {0};
    va_list list;
    va_start(list, data);
    collect_pairs(&pairs, list);
    va_end(list);
    add_pair(&pairs, "specversion", "1.0");
    add_pair(&pairs, "source", text("/%s", world->name));
    add_pair(&pairs, "envelopeversion", "1");
    add_pair(&pairs, "sequence", ANYTHING);
    bool has_time = false;
    for (size_t i = 0; i < pairs.count; i++)
        has_time = has_time || strcmp(pairs.items[i].name, "time") == 0;
    if (!has_time)
        add_pair(&pairs, "time", ANYTHING);
    json_t *document = record_json(record);
    expect_sequence(json_string_value(json_object_get(document, "sequence")));
    take_members(&pairs, document);
    all_taken(&pairs, "attribute");
    json_decref(document);
    const char *actual = document_data(record);
    ck_assert_msg(same(data, actual), "data is %.1000s, not %.1000s",
                  actual == NULL ? "not there" : actual, data == NULL ? "not there" : data);
}

void expect_valid_documents(const struct world *world, struct records records)
{
    const char *path = text("%s/documents.json", world->dir);
    const char *errors = text("%s/schema.err", world->dir);
    const char *const argv[] = {"python3", E2E_SOURCE_ROOT "/tests/e2e/check_documents.py",
                                E2E_SOURCE_ROOT "/config/envelope.v1.schema.json", path, NULL};
    const struct spawn spawn = {.argv = argv, .out_path = errors, .err_path = errors};
    json_t *list = json_array();
    for (size_t i = 0; i < records.count; i++)
        json_array_append_new(list,
                              json_stringn(records.items[i].value, records.items[i].value_len));
    REQUIRE(json_array_size(list) == records.count, "a value is not UTF-8");
    REQUIRE(json_dump_file(list, path, JSON_ENCODE_ANY) == 0, "%s cannot be written", path);
    json_decref(list);
    REQUIRE(process_run(&spawn, DEADLINE_MS) == 0, "%s", read_file(errors));
}

/* ---- dead letters -------------------------------------------------------------------------- */

static bool is_ours(const char *name)
{
    return strncmp(name, "walferry_", strlen("walferry_")) == 0;
}

/* What a requeue needs beside the headers that users rely on. */
static bool is_for_requeue(const char *name)
{
    static const char *const names[] = {
        "walferry_event_id",       "walferry_event_type",   "walferry_event_version",
        "walferry_aggregate_type", "walferry_aggregate_id", "walferry_visibility",
        "walferry_correlation_id", "walferry_causation_id", "walferry_occurred_at",
        "walferry_payload_kind",   "walferry_truncated",    "walferry_replay",
        "walferry_commit_time"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void expect_time(const char *time)
{
    ck_assert_msg(time != NULL && strlen(time) >= 20 && time[10] == 'T' &&
                      time[strlen(time) - 1] == 'Z',
                  "the time is %s", time == NULL ? "(null)" : time);
}

void expect_dead_letter(const struct world *world, const struct kafka_record *record,
                        const char *code, const char *topic, const char *key, const char *payload,
                        ...)
{
    struct pairs pairs = {0};
    va_list list;
    va_start(list, payload);
    collect_pairs(&pairs, list);
    va_end(list);
    add_pair(&pairs, "walferry_error", code);
    add_pair(&pairs, "walferry_reason", ANYTHING);
    add_pair(&pairs, "walferry_position", ANYTHING);
    add_pair(&pairs, "walferry_pipeline", world->name);
    add_pair(&pairs, "walferry_time", ANYTHING);
    if (topic != NULL)
        add_pair(&pairs, "walferry_topic", topic);
    ck_assert_str_eq(record->topic, text("%s.dead-letter", world->name));
    for (size_t i = 0; i < record->header_count; i++)
        if (!is_ours(record->headers[i].name) || !is_for_requeue(record->headers[i].name))
            take_pair(&pairs, text("dead letter of %s, header", code), record->headers[i].name,
                      record->headers[i].value);
    all_taken(&pairs, text("dead letter of %s, header", code));
    expect_sequence(received_header(record, "walferry_position"));
    expect_time(received_header(record, "walferry_time"));
    ck_assert_msg(strlen(received_header(record, "walferry_reason")) > 10, "no reason");
    expect_key(record, key);
    expect_value(record, payload);
}

const struct kafka_record *find_dead_letter(struct records records, const char *id)
{
    for (size_t i = 0; i < records.count; i++) {
        const struct kafka_record *record = &records.items[i];
        const char *event = received_header(record, "walferry_event_id");
        if ((event != NULL && strcmp(event, id) == 0) ||
            (record->value != NULL && strcmp(record->value, id) == 0))
            return record;
    }
    fail_at(__FILE__, __LINE__, "there is no dead letter of %s", id);
}

char *ids_of(struct records records)
{
    char *ids = text("%s", "");
    for (size_t i = 0; i < records.count; i++)
        ids = text("%s%s%s", ids, i == 0 ? "" : " ", record_event_id(&records.items[i]));
    return ids;
}

char *kafka_libraries(void)
{
    const char *cache = getenv("WALFERRY_TEST_CACHE");
    if (cache == NULL || cache[0] == '\0')
        cache = text("%s/tests/.cache", E2E_SOURCE_ROOT);
    return text("%s/kafka/lib", cache);
}
