/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: the jobs on a transactional producer that block: waiting for the records of a
 * transaction, committing it, asking for a topic, and the end of the producer.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "outcome.h"
#include "walferry/model/record.h"
#include "worker.h"

enum task_kind {
    /* Wait until nothing is in flight, without linger. Whoever reads the queue of events must go
     * on doing so. */
    TASK_FLUSH,
    /* Commit what was flushed, and begin the next transaction. */
    TASK_COMMIT,
    /* Ask a broker for a topic. The message that asks elsewhere would be one of the transaction. */
    TASK_ASK,
    /* Ask why the transaction failed. Harmless when it did not. */
    TASK_WHY,
    /* Destroy the producer; it is the job's. Not cancelled by anything. */
    TASK_END,
};

struct task {
    struct job job;
    uint64_t generation; /* the caller's */
    enum task_kind kind;
    rd_kafka_t *producer; /* outlives the job; of TASK_END: the job's own */
    /* TASK_COMMIT */
    int timeout_ms;         /* how long a commit may take before it is given up as unknown */
    char id[192];           /* transactional.id */
    struct verdict verdict; /* DELIVERED: committed */
    bool begun;             /* the next transaction is open */
    uint64_t took_ns;
    /* TASK_ASK */
    char topic[TOPIC_NAME_MAX + 1];
    /* NO_ERROR: flushed; the topic is there. Of TASK_WHY: the reason */
    rd_kafka_resp_err_t code;
    char reason[192]; /* in words */
    /* TASK_END: records are in an open transaction, which holds up readers of committed ones */
    bool abort;
};

/* NULL: no memory. */
struct task *task_new(enum task_kind kind, rd_kafka_t *producer, uint64_t generation);
/* NULL: a transaction is open. */
rd_kafka_error_t *producer_begin(rd_kafka_t *producer);
/* Purge and destroy: waits for nothing but librdkafka's threads. */
void producer_destroy(rd_kafka_t *producer);
