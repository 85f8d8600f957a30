/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support: what the programs of the bench have in common. They are measuring rods, run by bench.py,
 * and end with a message on the first fault.
 *
 * A program takes words NAME=VALUE: its own, and every other is a property of librdkafka.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

#define NANOSECONDS 1000000000LL

/* Ends the process with status 1. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Monotonic clock, nanoseconds. */
int64_t now_ns(void);

/* The value of NAME among the words; NULL, or the end with a message when it is required. Taken
 * words are set to NULL. */
char *take(int argc, char **argv, const char *name);
char *take_required(int argc, char **argv, const char *name);
int64_t take_number(int argc, char **argv, const char *name, int64_t otherwise);

/* A client from all words that were not taken. `delivered` may be NULL. */
rd_kafka_t *producer_new(int argc, char **argv,
                         void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *));
rd_kafka_t *consumer_new(int argc, char **argv);

/* Waits for room in the queue as often as needed. The record is copied. */
void produce(rd_kafka_t *producer, rd_kafka_topic_t *topic, const void *key, size_t key_len,
             const void *value, size_t value_len);
