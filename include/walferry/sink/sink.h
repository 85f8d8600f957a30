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
 * A sink may also keep the relay's position (opts->position_topic): claim() makes this process the
 * writer and reads the position, save() writes it. Both only begin: a report of their own kind says
 * that they ended. A transactional sink (opts->transactional) takes records after a claim only, and
 * reports them delivered, in order of submission, when save() has made them visible together with
 * the position, just before the save itself is reported: all of it is published, or nothing.
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
    bool transactional;         /* kafka: records and position in transactions */
    const char *position_topic; /* kafka: compacted, keeps the position; NULL: nothing is kept */
};

/* Whose position it is, and who may write: names the transactional id
 * (walferry-<pipeline>-<system_id>-<slot>) and the key of the position
 * (<pipeline>/<system_id>/<slot>). Copied. */
struct sink_identity {
    const char *pipeline;
    uint64_t system_id;
    const char *slot;
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

enum sink_report_kind {
    REPORT_RECORD,
    REPORT_CLAIMED, /* of claim(): DELIVERED, and position() tells; else claim again later */
    REPORT_SAVED,   /* of save(): DELIVERED: durable; else nothing is known about it */
};

struct sink_report {
    enum sink_report_kind kind;
    uint64_t tag; /* of a record */
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
    uint64_t pending;    /* records taken whose fate is not known yet */
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
    /* NULL where no position can be kept. Become the only writer: of a transactional sink whatever
     * another instance holds open is aborted, and that instance is fenced (ERR_KAFKA_FENCED). The
     * topic is made if it is missing, and read to its end. One at a time; no record may be in
     * flight when the sink is transactional, and what was in flight before is forgotten as by
     * reset(). Waits for brokers as long as it takes; state() says for what. */
    MUST_USE bool (*claim)(struct sink *sink, const struct sink_identity *identity,
                           struct err *err);
    /* After REPORT_CLAIMED: the newest position under the identity's key; when there is none, the
     * newest of this pipeline at another server or slot; else absent. Borrowed until the next call
     * of any operation but submit(). */
    struct bytes (*position)(const struct sink *sink);
    /* Write the position. One at a time, and after a claim. BUSY: offer it again later. What a
     * transactional sink takes until it has reported it belongs to the next transaction: it is in
     * flight until a save() that follows. */
    MUST_USE enum sink_result (*save)(struct sink *sink, struct bytes position, struct err *err);
    /* NULL where nothing lingers. The source has no more for now: what was submitted need not wait
     * for company. */
    void (*hurry)(struct sink *sink, uint64_t now_ns);
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
