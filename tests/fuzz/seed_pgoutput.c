/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seed_pgoutput: writes the seeds of fuzz_pgoutput, one session a file, into the directory named on
 * the command line. Run it again when the encoder or the presets change, and commit what it wrote.
 */
#include <stdio.h>
#include <stdlib.h>

#include "encode.h"
#include "walferry/base/assert.h"

#define SESSION_MAX     (64U << 10)
#define SEED_COLUMN_MAX 16
#define PATH_LENGTH_MAX 4096
#define SEED_OID        16384U
#define SEED_TIME       INT64_C(1769862896123456)

struct seed_column {
    const char *name;
    uint32_t type_oid;
    const char *text;
};

/* One table, one row. */
struct seed {
    const char *table;
    struct seed_column columns[SEED_COLUMN_MAX + 1];
};

static const struct seed seeds[] = {
    {"walferry",
     {{"id", 2950, "0b5a1f60-0000-4000-8000-000000000001"},
      {"aggregate_type", 25, "order"},
      {"aggregate_id", 25, "42"},
      {"event_type", 25, "order.created"},
      {"event_version", 23, "1"},
      {"payload", 114, "{\"a\": [1, null]}"},
      {"headers", 114, "{\"h\": \"v\\u00e9\", \"n\": 1, \"z\": null, \"traceparent\": \"00-a\"}"},
      {"visibility", 25, "public"},
      {"traceparent", 25, NULL},
      {"topic", 25, "t"},
      {"partition", 23, "3"},
      {"key", 25, "k"},
      {"occurred_at", 1184, "2026-01-31 12:34:56.123456+00"}}},
    {"debezium",
     {{"id", 2950, "u"},
      {"aggregatetype", 1043, "order"},
      {"aggregateid", 1043, "1"},
      {"type", 1043, "made"},
      {"payload", 3802, "{}"},
      {"tracingspancontext", 25, "#x\ntraceparent=00\\u002da\\\n b\ntracestate=a\\=1\n"}}},
    {"open_outbox",
     {{"event_id", 2950, "u"},
      {"event_type", 25, "made"},
      {"partition_key", 25, "p"},
      {"payload", 17, "\\x00ff"},
      {"headers", 3802, "{}"},
      {"created_at", 1184, "infinity"}}},
    {"eventuate",
     {{"id", 1043, "1"},
      {"destination", 25, "order"},
      {"headers", 25, "{\"PARTITION_ID\":\"7\",\"event-type\":\"made\"}"},
      {"payload", 25, "{\"n\":1}"},
      {"creation_time", 20, "1769862896123"}}},
    {"goharvest",
     {{"id", 20, "1"},
      {"create_time", 1184, "2026-01-31 12:34:56+00"},
      {"kafka_topic", 1043, "orders"},
      {"kafka_key", 1043, "k"},
      {"kafka_value", 1043, NULL},
      {"kafka_header_keys", 1009, "{a,\"b c\",\"q\\\"\"}"},
      {"kafka_header_values", 1009, "{1,NULL,\"\"}"}}},
    {"forced",
     {{"id", 2950, "u"},
      {"message_type", 25, "made"},
      {"aggregate_id", 25, "5"},
      {"payload", 17, "\\x5b315d"},
      {"created_at", 1114, "2026-01-31 12:34:56"}}},
};

static const char *const message_seeds[] = {
    "{\"id\":\"1\",\"event_type\":\"made\",\"payload\":{\"a\":1},\"headers\":{\"h\":\"v\"},"
    "\"partition\":1,\"occurred_at\":\"2026-01-31T12:34:56Z\",\"aggregate_id\":7}",
    "{\"id\":\"1\",\"id\":\"2\",\"event_type\":\"\\ud83d\\ude00\",\"unknown\":[]}",
    "not json",
};

/* Put what was encoded as the next message of the session. */
static void frame(struct buf *session, struct buf *message)
{
    ASSERT(buf_ok(message) && message->len <= UINT16_MAX);
    buf_put_u16(session, (uint16_t)message->len);
    buf_put_bytes(session, buf_bytes(message));
    buf_reset(message);
}

static void begin(struct buf *session, struct buf *message)
{
    encode_begin(message, lsn_make(0x1000), SEED_TIME, 77);
    frame(session, message);
}

static void commit(struct buf *session, struct buf *message)
{
    encode_commit(message, lsn_make(0x1000), lsn_make(0x1030), SEED_TIME);
    frame(session, message);
}

static void write_session(const char *directory, const char *name, struct buf *session)
{
    char path[PATH_LENGTH_MAX];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    ASSERT(file != NULL && buf_ok(session));
    ASSERT(fwrite(session->ptr, 1, session->len, file) == session->len);
    ASSERT(fclose(file) == 0);
    buf_reset(session);
}

static void put_rows(struct buf *session, struct buf *message, const struct seed *seed)
{
    struct column columns[SEED_COLUMN_MAX];
    const char *texts[SEED_COLUMN_MAX];
    struct value values[SEED_COLUMN_MAX];
    uint16_t count = 0;
    for (; seed->columns[count].name != NULL; count++) {
        columns[count] = (struct column){.name = seed->columns[count].name,
                                         .type_oid = seed->columns[count].type_oid,
                                         .type_mod = -1,
                                         .key = count == 0};
        texts[count] = seed->columns[count].text;
        values[count] = texts[count] == NULL ? UNCHANGED_VALUE : VALUE_OF(texts[count]);
    }
    struct tuple row = {.count = count, .values = values};
    encode_relation(message, &(struct relation){.oid = SEED_OID,
                                                .schema = "a",
                                                .name = seed->table,
                                                .replica_identity = 'd',
                                                .column_count = count,
                                                .columns = columns});
    frame(session, message);
    encode_insert_text(message, SEED_OID, count, texts);
    frame(session, message);
    encode_update(message, SEED_OID, OLD_KEY, row, row);
    frame(session, message);
    encode_delete(message, SEED_OID, OLD_FULL, row);
    frame(session, message);
    encode_truncate(message, (const uint32_t[]){SEED_OID}, 1, true, true);
    frame(session, message);
}

static void put_messages(struct buf *session, struct buf *message)
{
    encode_message(message, false, lsn_make(0xF00), "outbox", BYTES_LIT("{}"));
    frame(session, message);
    begin(session, message);
    encode_origin(message, lsn_make(5), "elsewhere");
    frame(session, message);
    encode_type(message, 16400, "public", "mood");
    frame(session, message);
    for (size_t i = 0; i < ARRAY_LEN(message_seeds); i++) {
        encode_message(message, true, lsn_make(0xFF0), "outbox", bytes_str(message_seeds[i]));
        frame(session, message);
    }
    commit(session, message);
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 2) {
        fputs("usage: seed_pgoutput DIRECTORY\n", stderr);
        return EXIT_FAILURE;
    }
    struct buf session;
    struct buf message;
    buf_init(&session, SESSION_MAX);
    buf_init(&message, SESSION_MAX);
    for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
        begin(&session, &message);
        put_rows(&session, &message, &seeds[i]);
        commit(&session, &message);
        write_session(arguments[1], seeds[i].table, &session);
    }
    put_messages(&session, &message);
    write_session(arguments[1], "messages", &session);
    buf_deinit(&session);
    buf_deinit(&message);
    return EXIT_SUCCESS;
}
