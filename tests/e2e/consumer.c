/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "harness.h"
#include "kafka_client.h"

#define TOPICS_MAX 64
#define CALL_MS    10000

struct consumer {
    rd_kafka_t *client; /* NULL: of a file */
    char *path;
    const char *topics[TOPICS_MAX];
    bool known[TOPICS_MAX]; /* its partitions are assigned */
    size_t topic_count;
    /* All assigned partitions; offset: where its end was last seen. */
    rd_kafka_topic_partition_list_t *ends;
    struct records records;
    size_t room;
};

static struct consumer *open_consumer(const struct world *world, const char *isolation)
{
    const char *const settings[] = {"group.id",
                                    "not-used",
                                    "isolation.level",
                                    isolation,
                                    "enable.auto.commit",
                                    "false",
                                    "enable.partition.eof",
                                    "true",
                                    "auto.offset.reset",
                                    "earliest",
                                    "fetch.wait.max.ms",
                                    "50",
                                    "reconnect.backoff.max.ms",
                                    "500",
                                    "topic.metadata.refresh.interval.ms",
                                    "1000",
                                    NULL};
    struct consumer *consumer = calloc(1, sizeof *consumer);
    REQUIRE(consumer != NULL && world->kafka != NULL, "no broker");
    consumer->client = kafka_client_new(RD_KAFKA_CONSUMER, world->kafka->address, settings);
    rd_kafka_poll_set_consumer(consumer->client);
    consumer->ends = rd_kafka_topic_partition_list_new(16);
    return consumer;
}

static void add_topic(struct consumer *consumer, const char *topic)
{
    REQUIRE(consumer->topic_count < TOPICS_MAX, "too many topics");
    consumer->topics[consumer->topic_count++] = text("%s", topic);
}

struct consumer *consumer_new(const struct world *world, const char *topic, ...)
{
    va_list list;
    struct consumer *consumer = open_consumer(world, "read_committed");
    va_start(list, topic);
    for (; topic != NULL; topic = va_arg(list, const char *))
        add_topic(consumer, topic);
    va_end(list);
    return consumer;
}

struct consumer *consumer_new_uncommitted(const struct world *world, const char *topic)
{
    struct consumer *consumer = open_consumer(world, "read_uncommitted");
    add_topic(consumer, topic);
    return consumer;
}

struct consumer *consumer_new_lines(const char *path)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    REQUIRE(consumer != NULL, "out of memory");
    consumer->path = text("%s", path);
    return consumer;
}

static void free_record(struct kafka_record *record)
{
    for (size_t i = 0; i < record->header_count; i++) {
        free(record->headers[i].name);
        free(record->headers[i].value);
    }
    free(record->headers);
    free(record->topic);
    free(record->key);
    free(record->value);
}

static void free_records(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->records.count; i++)
        free_record(&consumer->records.items[i]);
    consumer->records.count = 0;
}

void consumer_free(struct consumer *consumer)
{
    free_records(consumer);
    free(consumer->records.items);
    free(consumer->path);
    if (consumer->client != NULL) {
        rd_kafka_topic_partition_list_destroy(consumer->ends);
        rd_kafka_consumer_close(consumer->client);
        rd_kafka_destroy(consumer->client);
    }
    free(consumer);
}

static char *copy(const void *data, size_t len)
{
    if (data == NULL)
        return NULL;
    char *result = malloc(len + 1);
    REQUIRE(result != NULL, "out of memory");
    memcpy(result, data, len);
    result[len] = '\0';
    return result;
}

static void copy_headers(struct kafka_record *record, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    size_t count = rd_kafka_header_cnt(headers);
    record->headers = calloc(count + 1, sizeof *record->headers);
    REQUIRE(record->headers != NULL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const char *name;
        const void *value;
        size_t len;
        rd_kafka_header_get_all(headers, i, &name, &value, &len);
        record->headers[i] =
            (struct header){.name = strdup(name), .value = copy(value, len), .len = len};
    }
    record->header_count = count;
}

static struct kafka_record *next_record(struct consumer *consumer)
{
    if (consumer->records.count == consumer->room) {
        consumer->room = consumer->room == 0 ? 64 : consumer->room * 2;
        consumer->records.items =
            reallocarray(consumer->records.items, consumer->room, sizeof *consumer->records.items);
        REQUIRE(consumer->records.items != NULL, "out of memory");
    }
    return &consumer->records.items[consumer->records.count++];
}

static void keep(struct consumer *consumer, const rd_kafka_message_t *message)
{
    struct kafka_record *record = next_record(consumer);
    *record = (struct kafka_record){
        .topic = strdup(rd_kafka_topic_name(message->rkt)),
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
        .key = copy(message->key, message->key_len),
        .key_len = message->key_len,
        .value = copy(message->payload, message->len),
        .value_len = message->len,
    };
    copy_headers(record, message);
}

static void assign(struct consumer *consumer, const char *topic, int partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
        rd_kafka_topic_partition_list_add(consumer->ends, topic, i)->offset = -1;
    }
    rd_kafka_error_t *error = rd_kafka_incremental_assign(consumer->client, list);
    REQUIRE(error == NULL, "%s: %s", topic, rd_kafka_error_string(error));
    rd_kafka_topic_partition_list_destroy(list);
}

/* 0: it does not exist. Of this topic only: a broker may have thousands. */
static int partitions_of(const struct consumer *consumer, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    int count = 0;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(consumer->client, topic, NULL);
    REQUIRE(handle != NULL, "%s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    if (rd_kafka_metadata(consumer->client, 0, handle, &metadata, CALL_MS) == 0) {
        for (int i = 0; i < metadata->topic_cnt; i++)
            if (strcmp(metadata->topics[i].topic, topic) == 0)
                count = metadata->topics[i].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    return count;
}

/* Takes up the topics that have come into being. */
static void look_for_topics(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->topic_count; i++) {
        if (consumer->known[i])
            continue;
        int partitions = partitions_of(consumer, consumer->topics[i]);
        if (partitions > 0)
            assign(consumer, consumer->topics[i], partitions);
        consumer->known[i] = partitions > 0;
    }
}

static void take_one(struct consumer *consumer, int wait_ms)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client, wait_ms);
    if (message == NULL)
        return;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        keep(consumer, message);
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        rd_kafka_topic_partition_t *end = rd_kafka_topic_partition_list_find(
            consumer->ends, rd_kafka_topic_name(message->rkt), message->partition);
        REQUIRE(end != NULL, "the end of a partition that was not asked for");
        end->offset = message->offset;
    } else {
        /* It goes on by itself; when it does not, the log of the failed test shows why. */
        fprintf(stderr, "consumer: %s\n", rd_kafka_message_errstr(message));
    }
    rd_kafka_message_destroy(message);
}

struct records consumer_expect(struct consumer *consumer, size_t count)
{
    uint64_t give_up = now_ms() + DEADLINE_MS;
    while (consumer->records.count < count) {
        REQUIRE(now_ms() < give_up, "%zu records came, and %zu were to come",
                consumer->records.count, count);
        look_for_topics(consumer);
        take_one(consumer, 100);
    }
    return consumer->records;
}

static bool all_found(const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return false;
    return true;
}

/* Where each assigned partition ends now, asked for in one go; with read_committed these are the
 * last stable offsets. */
static rd_kafka_topic_partition_list_t *find_ends(const struct consumer *consumer)
{
    uint64_t give_up = now_ms() + DEADLINE_MS;
    for (;;) {
        rd_kafka_topic_partition_list_t *found = rd_kafka_topic_partition_list_copy(consumer->ends);
        for (int i = 0; i < found->cnt; i++)
            found->elems[i].offset = RD_KAFKA_OFFSET_END;
        rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(consumer->client, found, CALL_MS);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR && all_found(found))
            return found;
        REQUIRE(now_ms() < give_up, "the ends of %s and others: %s", found->elems[0].topic,
                rd_kafka_err2str(error));
        rd_kafka_topic_partition_list_destroy(found);
        pause_ms(50);
    }
}

static void drain_partition(struct consumer *consumer, int index, int64_t high)
{
    const rd_kafka_topic_partition_t *end = &consumer->ends->elems[index];
    uint64_t give_up = now_ms() + DEADLINE_MS;
    while (end->offset < high) {
        REQUIRE(now_ms() < give_up, "%s[%d]: the end %lld does not come", end->topic,
                end->partition, (long long)high);
        take_one(consumer, 100);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static void keep_line(struct consumer *consumer, const char *line)
{
    json_t *document = json_loads(line, 0, NULL);
    const char *topic = json_string_value(json_object_get(document, "topic"));
    const char *key = json_string_value(json_object_get(document, "key"));
    const char *value = json_string_value(json_object_get(document, "value"));
    REQUIRE(topic != NULL && value != NULL, "no record: %s", line);
    struct kafka_record *record = next_record(consumer);
    *record = (struct kafka_record){
        .topic = text("%s", topic),
        .partition = (int)json_integer_value(json_object_get(document, "partition")),
        .offset = (int64_t)consumer->records.count,
        .timestamp_ms = json_integer_value(json_object_get(document, "timestamp")),
        .key = copy(key, key == NULL ? 0 : strlen(key)),
        .key_len = key == NULL ? 0 : strlen(key),
        .value = copy(value, strlen(value)),
        .value_len = strlen(value),
    };
    json_t *headers = json_object_get(document, "headers");
    const char *name;
    json_t *member;
    record->headers = calloc(json_object_size(headers) + 1, sizeof *record->headers);
    REQUIRE(record->headers != NULL, "out of memory");
    json_object_foreach(headers, name, member)
    {
        const char *content = json_string_value(member);
        size_t len = content == NULL ? 0 : strlen(content);
        record->headers[record->header_count++] =
            (struct header){.name = text("%s", name), .value = copy(content, len), .len = len};
    }
    json_decref(document);
}

static void read_lines(struct consumer *consumer)
{
    char *content = read_file(consumer->path);
    char *line = content;
    free_records(consumer);
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        keep_line(consumer, line);
    }
    free(content);
}

struct records consumer_drain(struct consumer *consumer)
{
    if (consumer->client == NULL) {
        read_lines(consumer);
        return consumer->records;
    }
    look_for_topics(consumer);
    if (consumer->ends->cnt == 0)
        return consumer->records;
    rd_kafka_topic_partition_list_t *found = find_ends(consumer);
    for (int i = 0; i < found->cnt; i++)
        drain_partition(consumer, i, found->elems[i].offset);
    rd_kafka_topic_partition_list_destroy(found);
    return consumer->records;
}

struct records consumer_exactly(struct consumer *consumer, size_t count)
{
    consumer_expect(consumer, count);
    struct records records = consumer_drain(consumer);
    REQUIRE(records.count == count, "%zu records are there, and %zu should be", records.count,
            count);
    return records;
}

const char *received_header(const struct kafka_record *record, const char *name)
{
    for (size_t i = 0; i < record->header_count; i++)
        if (strcmp(record->headers[i].name, name) == 0)
            return record->headers[i].value;
    return NULL;
}

json_t *record_json(const struct kafka_record *record)
{
    json_error_t error;
    REQUIRE(record->value != NULL, "the record has no value");
    json_t *document =
        json_loadb(record->value, record->value_len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    REQUIRE(document != NULL, "%s in: %s", error.text, record->value);
    return document;
}

char *record_event_id(const struct kafka_record *record)
{
    const char *id = received_header(record, "ce_id");
    if (id == NULL)
        id = received_header(record, "id");
    if (id != NULL)
        return text("%s", id);
    json_t *document = record_json(record);
    const char *member = json_string_value(json_object_get(document, "id"));
    REQUIRE(member != NULL, "no id in: %s", record->value);
    char *result = text("%s", member);
    json_decref(document);
    return result;
}

const struct kafka_record *records_find(struct records records, const char *event_id)
{
    for (size_t i = 0; i < records.count; i++)
        if (strcmp(record_event_id(&records.items[i]), event_id) == 0)
            return &records.items[i];
    return NULL;
}
