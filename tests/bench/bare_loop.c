/* SPDX-License-Identifier: Apache-2.0 */
/* bare_loop conninfo=... slot=... publication=... topic=... [frame=BYTES] PROPERTY=VALUE...
 *
 * The bound of a relay on these two libraries: rows of outbox.event from libpq to librdkafka, key
 * and payload, `frame` bytes around the payload in place of an envelope. It promises nothing: no
 * position is confirmed, no failure is looked at, no row is understood beyond the two columns. Runs
 * until it is killed. */
#include <endian.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define POLL_EVERY      1024
#define WAL_HEADER      25
#define INSERT_HEADER   8 /* 'I', relation, 'N', count of columns */
#define COLUMN_KEY      2
#define COLUMN_PAYLOAD  5
#define KEEPALIVE_SIZE  18
#define STATUS_SIZE     34
#define STATUS_WRITTEN  1
#define CONNINFO_SUFFIX " replication=database"

struct loop {
    PGconn *db;
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    char *value; /* the frame, and room for the payload after it */
    size_t frame;
    size_t size;
    uint64_t rows;
};

static uint32_t u32(const char *at)
{
    uint32_t raw;
    memcpy(&raw, at, sizeof raw);
    return be32toh(raw);
}

static PGconn *open_stream(const char *conninfo, const char *slot, const char *publication)
{
    char text[1024];
    snprintf(text, sizeof text, "%s%s", conninfo, CONNINFO_SUFFIX);
    PGconn *db = PQconnectdb(text);
    if (PQstatus(db) != CONNECTION_OK)
        fail("%s", PQerrorMessage(db));
    snprintf(text, sizeof text,
             "START_REPLICATION SLOT \"%s\" LOGICAL 0/0 (proto_version '1', "
             "publication_names '\"%s\"')",
             slot, publication);
    PGresult *result = PQexec(db, text);
    if (PQresultStatus(result) != PGRES_COPY_BOTH)
        fail("%s", PQerrorMessage(db));
    PQclear(result);
    return db;
}

/* A server that asked would end the session without an answer; nothing is confirmed by it. */
static void answer(struct loop *loop, const char *keepalive, size_t len)
{
    char status[STATUS_SIZE] = {'r'};
    if (len < KEEPALIVE_SIZE || keepalive[KEEPALIVE_SIZE - 1] == 0)
        return;
    memcpy(status + STATUS_WRITTEN, keepalive + 1, sizeof(uint64_t));
    if (PQputCopyData(loop->db, status, STATUS_SIZE) != 1 || PQflush(loop->db) != 0)
        fail("%s", PQerrorMessage(loop->db));
}

static void publish(struct loop *loop, const char *key, size_t key_len, const char *payload,
                    size_t payload_len)
{
    if (loop->frame + payload_len > loop->size) {
        loop->size = loop->frame + payload_len;
        loop->value = realloc(loop->value, loop->size);
        if (loop->value == NULL)
            fail("out of memory");
    }
    memcpy(loop->value + loop->frame, payload, payload_len);
    produce(loop->producer, loop->topic, key, key_len, loop->value, loop->frame + payload_len);
    if (++loop->rows % POLL_EVERY == 0)
        rd_kafka_poll(loop->producer, 0);
}

static void insert(struct loop *loop, const char *at, const char *end)
{
    const char *key = NULL;
    size_t key_len = 0;
    at += INSERT_HEADER;
    for (int column = 0; column <= COLUMN_PAYLOAD && end - at >= 1; column++) {
        bool has_text = *at++ == 't';
        if (!has_text)
            continue;
        if (end - at < 4 || (size_t)(end - at - 4) < u32(at))
            fail("a row is shorter than it says");
        size_t len = u32(at);
        at += 4;
        if (column == COLUMN_KEY) {
            key = at;
            key_len = len;
        }
        if (column == COLUMN_PAYLOAD)
            publish(loop, key, key_len, at, len);
        at += len;
    }
}

int main(int argc, char **argv)
{
    struct loop loop = {.frame = (size_t)take_number(argc, argv, "frame", 0)};
    const char *topic = take_required(argc, argv, "topic");
    const char *slot = take_required(argc, argv, "slot");
    const char *publication = take_required(argc, argv, "publication");
    loop.db = open_stream(take_required(argc, argv, "conninfo"), slot, publication);
    loop.producer = producer_new(argc, argv, NULL);
    loop.topic = rd_kafka_topic_new(loop.producer, topic, NULL);
    loop.size = loop.frame;
    loop.value = calloc(1, loop.size + 1);
    if (loop.topic == NULL || loop.value == NULL)
        fail("no topic handle");
    memset(loop.value, '-', loop.size);
    for (;;) {
        char *message = NULL;
        int len = PQgetCopyData(loop.db, &message, 0);
        if (len < 0)
            fail("the stream ended: %s", PQerrorMessage(loop.db));
        if (message[0] == 'k')
            answer(&loop, message, (size_t)len);
        else if (len > WAL_HEADER + INSERT_HEADER && message[WAL_HEADER] == 'I')
            insert(&loop, message + WAL_HEADER, message + len);
        PQfreemem(message);
    }
}
