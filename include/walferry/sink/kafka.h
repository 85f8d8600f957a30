/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka: what else the Kafka module offers: properties, one-shot topic creation, a reader for
 * commands that look into topics, and the cluster in a box of the demo. Nothing here is used while
 * the relay streams. Calls may block up to the timeout they are given.
 */
#pragma once

#include "walferry/sink/sink.h"

/* "librdkafka 2.0.2"; static. */
const char *kafka_library_version(void);

/* Whether the value of this property must never be shown. */
bool sink_kafka_property_secret(const char *name);

/* Make the topics that are missing, by opts->topics_partitions and topics_replication; that of the
 * positions (opts->position_topic) is compacted and has one partition. Topics that exist are left
 * alone; with opts->mock nothing is done. */
MUST_USE bool kafka_topics_ensure(const struct sink_opts *opts, const char *const *names,
                                  size_t count, uint64_t timeout_ms, struct err *err);

/* A reader of whole partitions: no group, no commits; read_committed. */
struct kafka_consumer;

struct kafka_message {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* -1: none */
    struct bytes key;
    struct bytes value;
    size_t header_count;
    bool headers_cut; /* it had more headers than fit */
    struct header headers[RECORD_HEADERS_MAX];
};

enum kafka_poll {
    KAFKA_MESSAGE, /* *ret_message is filled, borrowed until the next poll */
    KAFKA_NOTHING, /* the timeout passed */
    KAFKA_END,     /* at least one partition is assigned, and all were read to their ends */
    KAFKA_FAILED,  /* err */
};

/* Reads all partitions of the topics from their beginning. `topics` are names or shell globs;
 * topics that come into being later are found while polling. Only the connection's properties of
 * opts->properties are used. Strings are borrowed until free. */
MUST_USE bool kafka_consumer_new(const struct sink_opts *opts, const char *const *topics,
                                 size_t topic_count, struct kafka_consumer **ret_consumer,
                                 struct err *err);
MUST_USE enum kafka_poll kafka_consumer_poll(struct kafka_consumer *consumer, uint64_t timeout_ms,
                                             struct kafka_message *ret_message, struct err *err);
void kafka_consumer_free(struct kafka_consumer *consumer);

/* The cluster that librdkafka carries inside: in memory, on loopback, forgotten when freed. Sinks
 * that use it set sink_opts.mock. */
struct kafka_mock;

MUST_USE bool kafka_mock_new(unsigned brokers, struct kafka_mock **ret_mock, struct err *err);
/* For bootstrap.servers; lives as long as the mock. */
const char *kafka_mock_bootstrap(const struct kafka_mock *mock);
void kafka_mock_free(struct kafka_mock *mock);
