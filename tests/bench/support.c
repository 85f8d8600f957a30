/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_MS 5

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

char *take(int argc, char **argv, const char *name)
{
    size_t len = strlen(name);
    for (int i = 1; i < argc; i++) {
        if (argv[i] != NULL && strncmp(argv[i], name, len) == 0 && argv[i][len] == '=') {
            char *value = argv[i] + len + 1;
            argv[i] = NULL;
            return value;
        }
    }
    return NULL;
}

char *take_required(int argc, char **argv, const char *name)
{
    char *value = take(argc, argv, name);
    if (value == NULL)
        fail("%s=VALUE is missing", name);
    return value;
}

int64_t take_number(int argc, char **argv, const char *name, int64_t otherwise)
{
    char *end;
    const char *value = take(argc, argv, name);
    if (value == NULL)
        return otherwise;
    long long number = strtoll(value, &end, 10);
    if (*end != '\0' || end == value || number < 0)
        fail("%s=%s is no number", name, value);
    return number;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK)
        fail("%s", error);
}

static void set_rest(rd_kafka_conf_t *conf, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value = argv[i] == NULL ? NULL : strchr(argv[i], '=');
        if (argv[i] == NULL)
            continue;
        if (value == NULL)
            fail("%s: NAME=VALUE is wanted", argv[i]);
        *value++ = '\0';
        set(conf, argv[i], value);
    }
}

static rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char error[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof error);
    if (client == NULL)
        fail("%s", error);
    return client;
}

rd_kafka_t *producer_new(int argc, char **argv,
                         void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *))
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "acks", "all");
    set(conf, "enable.idempotence", "true");
    set(conf, "partitioner", "murmur2_random");
    set(conf, "linger.ms", "5");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    set_rest(conf, argc, argv);
    return client_new(RD_KAFKA_PRODUCER, conf);
}

rd_kafka_t *consumer_new(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "bench"); /* required by the interface; never joined */
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.auto.offset.store", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "auto.offset.reset", "error");
    set_rest(conf, argc, argv);
    return client_new(RD_KAFKA_CONSUMER, conf);
}

void produce(rd_kafka_t *producer, rd_kafka_topic_t *topic, const void *key, size_t key_len,
             const void *value, size_t value_len)
{
    /* The interface wants it writable, and copies all the same. */
    void *copied = (void *)(uintptr_t)value;
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, copied, value_len,
                            key, key_len, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(producer, POLL_MS);
    }
}
