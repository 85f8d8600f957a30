/* SPDX-License-Identifier: Apache-2.0 */
#include "save.h"

#include <stdio.h>
#include <stdlib.h>

#include "outcome.h"
#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"

/* See claim.h. */
#define PARTITION 0

static void *mutable(struct bytes b)
{
    return (void *)(uintptr_t)b.ptr;
}

static rd_kafka_resp_err_t send_position(struct producer *self, struct bytes position)
{
    struct transaction *txn = &self->txn;
    bool transactional = self->opts->transactional;
    if ((transactional && FAILPOINT(TXN_CKPT_RECORD)) ||
        (!transactional && FAILPOINT(POSITION_SAVE))) {
        return RD_KAFKA_RESP_ERR__FAIL;
    }
    if (txn->topic == NULL) {
        txn->topic = rd_kafka_topic_new(self->rk, self->opts->position_topic, NULL);
    }
    if (txn->topic == NULL) {
        return rd_kafka_last_error();
    }
    struct bytes key = bytes_str(txn->key);
    return rd_kafka_producev(self->rk, RD_KAFKA_VTYPE_RKT, txn->topic, RD_KAFKA_VTYPE_PARTITION,
                             PARTITION, RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY,
                             RD_KAFKA_VTYPE_VALUE, mutable(position), position.len,
                             RD_KAFKA_VTYPE_KEY, mutable(key), key.len, RD_KAFKA_VTYPE_OPAQUE,
                             (void *)(uintptr_t)POSITION_TAG, RD_KAFKA_VTYPE_END);
}

static enum sink_result not_sent(struct producer *self, rd_kafka_resp_err_t code, struct err *err)
{
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return SINK_BUSY;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        self->fatal = rd_kafka_fatal_error(self->rk, NULL, 0);
        producer_fatal_error(self, err);
        return SINK_FAIL;
    }
    err_set(err, outcome_of(code).err, "librdkafka does not take a position for topic \"%s\": %s",
            self->opts->position_topic, outcome_name(code));
    err_hint(err, "the producer is replaced, and what is not acknowledged is sent again");
    return SINK_FAIL;
}

static enum sink_result doomed(const struct producer *self, struct err *err)
{
    if (self->fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        producer_fatal_error(self, err);
        return SINK_FAIL;
    }
    err_set(err, ERR_KAFKA_DELIVERY, "a record of the transaction was refused");
    err_hint(err, "the producer is replaced, and the transaction is sent again");
    return SINK_FAIL;
}

enum sink_result save_begin(struct producer *self, struct bytes position, struct err *err)
{
    struct transaction *txn = &self->txn;
    if (txn->phase != TRANSACTION_OPEN || txn->saving || txn->noticed || self->rk == NULL) {
        return SINK_BUSY;
    }
    if (txn->doomed || self->fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return doomed(self, err);
    }
    struct task *task = task_new(TASK_FLUSH, self->rk, txn->generation);
    if (task == NULL) {
        err_set(err, ERR_MEMORY, "no memory to save the position");
        return SINK_FAIL;
    }
    rd_kafka_resp_err_t code = send_position(self, position);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || !self->opts->transactional) {
        task->job.free(&task->job);
    } else {
        worker_add(txn->worker, &task->job);
        txn->phase = TRANSACTION_FLUSHING;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return not_sent(self, code, err);
    }
    txn->saving = true;
    self->in_flight++;
    return SINK_TAKEN;
}

static void save_failed(struct producer *self, const struct verdict *verdict)
{
    self->txn.doomed = true;
    transaction_notice(self, REPORT_SAVED, verdict);
}

void save_flushed(struct producer *self, const struct task *task)
{
    struct transaction *txn = &self->txn;
    if (txn->doomed) {
        return;
    }
    struct task *commit = task_new(TASK_COMMIT, self->rk, txn->generation);
    if (task->code != RD_KAFKA_RESP_ERR_NO_ERROR || commit == NULL) {
        free(commit);
        const struct verdict verdict = {SINK_RETRY, ERR_KAFKA_DELIVERY, "not flushed", ""};
        save_failed(self, &verdict);
        return;
    }
    ASSERT(txn->phase == TRANSACTION_FLUSHING && self->in_flight == 0);
    commit->timeout_ms = (int)txn->timeout_ms;
    snprintf(commit->id, sizeof(commit->id), "%s", txn->id);
    txn->disturbed = false;
    txn->phase = TRANSACTION_COMMITTING;
    worker_add(txn->worker, &commit->job);
}

void save_committed(struct producer *self, const struct task *task)
{
    struct transaction *txn = &self->txn;
    if (task->verdict.outcome != SINK_DELIVERED) {
        save_failed(self, &task->verdict);
        return;
    }
    ASSERT(txn->phase == TRANSACTION_COMMITTING);
    txn->phase = TRANSACTION_COMMITTED;
    txn->doubt = txn->disturbed || !task->begun || task->took_ns > txn->patience_ns;
}
