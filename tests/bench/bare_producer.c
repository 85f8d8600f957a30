/* SPDX-License-Identifier: Apache-2.0 */
/* bare_producer records=FILE count=N topic=... PROPERTY=VALUE...
 *
 * The bound of a relay on this library and this broker: produces the records that count_records
 * wrote to FILE, over and over, N in all, and ends when all are acknowledged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define POLL_EVERY 1024
#define FLUSH_MS   600000

struct record {
    const char *key;
    const char *value;
    uint32_t key_len;
    uint32_t value_len;
};

struct records {
    struct record *list;
    size_t count;
};

static int64_t delivered;

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
    (void)producer;
    (void)context;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("a record was not delivered: %s", rd_kafka_err2str(message->err));
    delivered++;
}

static char *read_all(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        fail("%s cannot be read", path);
    long len = ftell(file);
    char *data = len <= 0 ? NULL : malloc((size_t)len);
    rewind(file);
    if (data == NULL || fread(data, 1, (size_t)len, file) != (size_t)len)
        fail("%s cannot be read", path);
    fclose(file);
    *ret_len = (size_t)len;
    return data;
}

/* As count_records wrote them: two lengths of four bytes, key, value. */
static struct records load(const char *path)
{
    size_t len;
    size_t room = 0;
    struct records records = {0};
    const char *at = read_all(path, &len);
    const char *end = at + len;
    while (at < end) {
        if (records.count == room) {
            room = room == 0 ? 1024 : 2 * room;
            records.list = realloc(records.list, room * sizeof *records.list);
        }
        if (records.list == NULL)
            fail("out of memory");
        struct record *record = &records.list[records.count++];
        memcpy(&record->key_len, at, sizeof record->key_len);
        memcpy(&record->value_len, at + 4, sizeof record->value_len);
        record->key = at + 8;
        record->value = record->key + record->key_len;
        at = record->value + record->value_len;
    }
    return records;
}

int main(int argc, char **argv)
{
    int64_t count = take_number(argc, argv, "count", 1000000);
    const char *name = take_required(argc, argv, "topic");
    struct records records = load(take_required(argc, argv, "records"));
    rd_kafka_t *producer = producer_new(argc, argv, on_delivery);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, name, NULL);
    if (topic == NULL || records.count == 0)
        fail("no topic handle, or no records");
    for (int64_t i = 0; i < count; i++) {
        const struct record *record = &records.list[(size_t)i % records.count];
        produce(producer, topic, record->key, record->key_len, record->value, record->value_len);
        if (i % POLL_EVERY == 0)
            rd_kafka_poll(producer, 0);
    }
    rd_kafka_flush(producer, FLUSH_MS);
    if (delivered != count)
        fail("%lld of %lld records were delivered", (long long)delivered, (long long)count);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    free(records.list);
    return EXIT_SUCCESS;
}
