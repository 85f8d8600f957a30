/* SPDX-License-Identifier: Apache-2.0 */
/* count_records topics=NAME,... partitions=N [dump=FILE] PROPERTY=VALUE...
 *
 * Reads topics from begin to end as a read_committed consumer, and prints as JSON how many records
 * there are, and the bytes of their keys and values; so that no rate is told of a run that lost
 * something. `dump` takes the first records for bare_producer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define BATCH      4096
#define BATCH_MS   1000
#define IDLE_MAX   60 /* batches */
#define DUMP_COUNT 10000
#define DUMP_BYTES (64LL << 20)

struct totals {
    int64_t records;
    int64_t key_bytes;
    int64_t value_bytes;
    int64_t open; /* partitions that were not read to their end */
    FILE *dump;
};

static void dump(struct totals *totals, const rd_kafka_message_t *message)
{
    const uint32_t lengths[] = {(uint32_t)message->key_len, (uint32_t)message->len};
    if (totals->records > DUMP_COUNT || totals->key_bytes + totals->value_bytes > DUMP_BYTES)
        return;
    if (fwrite(lengths, sizeof lengths, 1, totals->dump) != 1 ||
        fwrite(message->key, 1, message->key_len, totals->dump) != message->key_len ||
        fwrite(message->payload, 1, message->len, totals->dump) != message->len)
        fail("the dump cannot be written");
}

static void count(struct totals *totals, const rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        totals->open--;
        return;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("%s", rd_kafka_err2str(message->err));
    totals->records++;
    totals->key_bytes += (int64_t)message->key_len;
    totals->value_bytes += (int64_t)message->len;
    if (totals->dump != NULL)
        dump(totals, message);
}

static void read_to_end(rd_kafka_queue_t *queue, struct totals *totals)
{
    static rd_kafka_message_t *messages[BATCH];
    for (int idle = 0; totals->open > 0;) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, BATCH_MS, messages, BATCH);
        idle = got <= 0 ? idle + 1 : 0;
        if (idle > IDLE_MAX)
            fail("%lld partitions come to no end", (long long)totals->open);
        for (ssize_t i = 0; i < got; i++) {
            count(totals, messages[i]);
            rd_kafka_message_destroy(messages[i]);
        }
    }
}

static rd_kafka_topic_partition_list_t *partitions_of(char *topics, int64_t partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (char *topic; (topic = strsep(&topics, ",")) != NULL;) {
        for (int64_t i = 0; i < partitions; i++) {
            rd_kafka_topic_partition_list_add(list, topic, (int32_t)i)->offset =
                RD_KAFKA_OFFSET_BEGINNING;
        }
    }
    return list;
}

int main(int argc, char **argv)
{
    struct totals totals = {0};
    char *topics = take_required(argc, argv, "topics");
    rd_kafka_topic_partition_list_t *list =
        partitions_of(topics, take_number(argc, argv, "partitions", 1));
    const char *path = take(argc, argv, "dump");
    if (path != NULL && (totals.dump = fopen(path, "wbe")) == NULL)
        fail("%s cannot be written", path);
    rd_kafka_t *consumer = consumer_new(argc, argv);
    rd_kafka_poll_set_consumer(consumer);
    totals.open = list->cnt;
    if (rd_kafka_assign(consumer, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("the partitions cannot be assigned");
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    read_to_end(queue, &totals);
    if (totals.dump != NULL && fclose(totals.dump) != 0)
        fail("the dump cannot be written");
    printf("{\"records\": %lld, \"key_bytes\": %lld, \"value_bytes\": %lld}\n",
           (long long)totals.records, (long long)totals.key_bytes, (long long)totals.value_bytes);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return EXIT_SUCCESS;
}
