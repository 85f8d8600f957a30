/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink: where records go, and what became of them.
 *
 * submit() takes a record (copying what it needs) under the ledger's tag; collect() hands back
 * reports, in any order, exactly one a tag, until reset() or close(), after which no report of an
 * earlier tag ever comes. A sink never gives up a record by a timeout, never drops one, and keeps
 * the order of submission within a partition; when it cannot keep that (a batch failed), it reports
 * and the relay resets it and sends again from the durable position.
 *
 * Sinks are rows of one table: kafka, stdout, file. All calls come from the relay's thread; the fd
 * becomes readable when collect() has something.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/model/record.h"

enum sink_kind { SINK_KAFKA, SINK_STDOUT, SINK_FILE };

struct buf;

struct property {
    const char *name;
    const char *value;
    bool secret;
};

/* Filled by the configuration; strings are borrowed and outlive the sink. */
struct sink_opts {
    enum sink_kind kind;
    const char *pipeline;              /* the default client.id is walferry-<pipeline> */
    const struct property *properties; /* kafka: librdkafka's, by their own names */
    size_t property_count;
    bool topics_create;
    int32_t topics_partitions;  /* -1: the broker's default */
    int32_t topics_replication; /* -1: the broker's default */
    uint32_t topics_max;
    uint64_t topics_wait_ms;
    const char *dead_letter_topic; /* does not count against topics_max */
    const char *path;              /* file */
    bool mock; /* kafka: the cluster is a kafka_mock (kafka.h), which knows no admin requests */
    uint32_t max_records; /* in flight, the ledger's limits: sizes internal queues above them */
    uint64_t max_bytes;
};

enum sink_result {
    SINK_TAKEN,
    SINK_BUSY,   /* not now (queue full, topic being made): offer the same record again later */
    SINK_POISON, /* this record can never be published; err says why */
    SINK_FAIL,   /* err: TRANSIENT asks for reset() and replay, STOP ends the relay */
};

enum sink_outcome {
    SINK_DELIVERED,
    SINK_RETRY,   /* for a reason that can pass: reset and replay */
    SINK_SUSPECT, /* the broker refused a batch: one of its records may be poison */
    SINK_BLOCKED, /* rights or set-up: pause, alarm, retry slowly; never a dead letter */
    SINK_FATAL,   /* the producer is unusable: reset and replay */
    SINK_HALT,    /* the relay must end: fenced, unsupported; code says why */
};

struct sink_report {
    uint64_t tag;
    enum sink_outcome outcome;
    enum err_code code;
    const char *error; /* static name, "MSG_SIZE_TOO_LARGE"; NULL when delivered */
};

/* For metrics and /status. */
struct sink_state {
    bool connected;
    char detail[256];    /* what it waits for, or the last trouble; "" */
    uint64_t retries;    /* errors that passed inside the sink so far */
    uint32_t topics;     /* known by now */
    const char *library; /* "librdkafka 2.0.2"; static */
};

struct sink;

struct sink_ops {
    const char *name;
    MUST_USE bool (*open)(const struct sink_opts *opts, struct sink **ret_sink, struct err *err);
    void (*close)(struct sink *sink);
    /* Readable when collect() has something; -1: none, collect() after every submit. */
    int (*fd)(const struct sink *sink);
    /* *ret_topic: a small number for the topic, for metrics; see topic_name(). Written when TAKEN.
     */
    enum sink_result (*submit)(struct sink *sink, const struct record *record, uint64_t tag,
                               uint32_t *ret_topic, struct err *err);
    size_t (*collect)(struct sink *sink, struct sink_report *reports, size_t max);
    /* Housekeeping, called about every 100 ms and after SINK_BUSY: topic creation, connection
     * state. False: like SINK_FAIL. */
    MUST_USE bool (*tick)(struct sink *sink, uint64_t now_ns, struct err *err);
    /* Drop everything in flight and start anew; no old tag is ever reported again. */
    MUST_USE bool (*reset)(struct sink *sink, struct err *err);
    const char *(*topic_name)(const struct sink *sink, uint32_t topic);
    void (*state)(const struct sink *sink, struct sink_state *ret_state);
    /* Largest record value that a dead letter may carry, bytes. */
    size_t (*value_max)(const struct sink *sink);
    /* Loses what it acknowledged when the machine or its reader goes: wants a temporary slot. */
    bool volatile_acks;
};

/* First member of every sink. */
struct sink {
    const struct sink_ops *ops;
};

const struct sink_ops *sink_ops_of(enum sink_kind kind);
/* One record as one line of JSON, as the stdout and file sinks write it, with its newline:
 * {"topic":..,"partition":..,"key":..,"timestamp":..,"headers":{..},"value":..}. Key, value and the
 * values of headers are strings when they are UTF-8, else the member's name gets the ending
 * _base64; null when absent. The partition is null when the partitioner would choose it. */
void sink_render_line(const struct record *record, struct buf *out);
/* Check properties without opening anything: for `walferry check`. `*ret_index` is the property at
 * fault. */
MUST_USE bool sink_kafka_check(const struct sink_opts *opts, size_t *ret_index, struct err *err);
