/* SPDX-License-Identifier: Apache-2.0 */
#include "save.h"

#include <stdio.h>
#include <stdlib.h>

#include "outcome.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

/* See claim.h. */
#define PARTITION  0
#define REFRESH_NS (200 * NS_PER_MS)
/* A topic that was made just now needs a moment to be known to all brokers. */
#define MISSING_NS (5 * NS_PER_S)

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
    struct bytes key = bytes_str(txn->key);
    return rd_kafka_producev(self->rk, RD_KAFKA_VTYPE_RKT, txn->topic, RD_KAFKA_VTYPE_PARTITION,
                             PARTITION, RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY,
                             RD_KAFKA_VTYPE_VALUE, mutable(position), position.len,
                             RD_KAFKA_VTYPE_KEY, mutable(key), key.len, RD_KAFKA_VTYPE_OPAQUE,
                             (void *)(uintptr_t)POSITION_TAG, RD_KAFKA_VTYPE_END);
}

static void refresh(struct producer *self, uint64_t now_ns)
{
    if (now_ns >= self->txn.topic_refresh_ns) {
        self->txn.topic_refresh_ns = now_ns + REFRESH_NS;
        asking_look(self, self->txn.topic);
    }
}

/* A producer that does not know the topic, or knew it before it was made again, refuses a position
 * for good, so that the message that asks (producer.h) goes first. NO_ERROR: known;
 * _IN_PROGRESS: not yet. Of a transactional producer the claim saw to it. */
static rd_kafka_resp_err_t topic_ready(struct producer *self)
{
    struct transaction *txn = &self->txn;
    if (txn->topic == NULL) {
        txn->topic = rd_kafka_topic_new(self->rk, self->opts->position_topic, NULL);
    }
    if (txn->topic == NULL) {
        return rd_kafka_last_error();
    }
    if (txn->topic_known || self->opts->transactional) {
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (self->probes > 0) {
        return RD_KAFKA_RESP_ERR__IN_PROGRESS;
    }
    uint64_t now_ns = clock_mono_ns();
    rd_kafka_resp_err_t code = asking_probe(self, txn->topic);
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
        txn->topic_known = true;
        txn->topic_missing_ns = 0;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return RD_KAFKA_RESP_ERR__IN_PROGRESS;
    }
    if (outcome_of(code).err != ERR_KAFKA_TOPIC || outcome_of(code).outcome != SINK_RETRY) {
        return code;
    }
    refresh(self, now_ns);
    txn->topic_missing_ns = txn->topic_missing_ns == 0 ? now_ns : txn->topic_missing_ns;
    return now_ns < txn->topic_missing_ns + MISSING_NS ? RD_KAFKA_RESP_ERR__IN_PROGRESS : code;
}

static enum sink_result not_sent(struct producer *self, rd_kafka_resp_err_t code, struct err *err)
{
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__IN_PROGRESS) {
        return SINK_BUSY;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        self->fatal = rd_kafka_fatal_error(self->rk, NULL, 0);
        producer_fatal_error(self, err);
        return SINK_FAIL;
    }
    err_set(err, outcome_of(code).err, "librdkafka does not take a position for topic \"%s\": %s",
            self->opts->position_topic, outcome_name(code));
    err_hint(err, self->opts->transactional
                      ? "the producer is replaced, and what is not acknowledged is sent again"
                      : "the topic is looked for, and the position is sent again");
    self->txn.topic_known = false;
    self->txn.topic_missing_ns = 0;
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
    if (txn->phase != TRANSACTION_OPEN || txn->stage.count > 0 || txn->saving || txn->noticed ||
        self->rk == NULL) {
        return SINK_BUSY;
    }
    if (txn->doomed || self->fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return doomed(self, err);
    }
    rd_kafka_resp_err_t code = topic_ready(self);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return not_sent(self, code, err);
    }
    struct task *task = task_new(TASK_FLUSH, self->rk, txn->generation);
    if (task == NULL) {
        err_set(err, ERR_MEMORY, "no memory to save the position");
        return SINK_FAIL;
    }
    code = send_position(self, position);
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
