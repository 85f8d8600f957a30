/* SPDX-License-Identifier: Apache-2.0 */
#include "transaction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "claim.h"
#include "commit.h"
#include "outcome.h"
#include "producer.h"
#include "properties.h"
#include "save.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/log.h"

#define CLOSE_MS 5000
/* On top of transaction.timeout.ms, which bounds every call to librdkafka. */
#define HUNG_S 30

bool transaction_init(struct producer *self, const rd_kafka_conf_t *conf, struct err *err)
{
    struct transaction *txn = &self->txn;
    if (self->opts->transactional && self->opts->position_topic == NULL) {
        return err_set(err, ERR_INTERNAL, "a transactional sink without a topic of positions");
    }
    txn->timeout_ms = properties_number(conf, "transaction.timeout.ms");
    uint64_t socket_ms = properties_number(conf, "socket.timeout.ms");
    uint64_t least_ms = socket_ms < txn->timeout_ms ? socket_ms : txn->timeout_ms;
    txn->patience_ns = least_ms * NS_PER_MS / 2;
    txn->hung_ns = FAILPOINT_PATIENCE(txn->timeout_ms / 1000 + HUNG_S) * NS_PER_S;
    return true;
}

void transaction_notice(struct producer *self, enum sink_report_kind kind,
                        const struct verdict *verdict)
{
    struct transaction *txn = &self->txn;
    txn->notice = (struct sink_report){
        .kind = kind, .outcome = verdict->outcome, .code = verdict->code, .error = verdict->error};
    txn->noticed = true;
    if (verdict->hint[0] != '\0') {
        snprintf(txn->hint, sizeof(txn->hint), "%s", verdict->hint);
    }
}

/* --- the end of a producer --- */

/* The thread destroys it, after what it does now: no old call may reach the broker after a new
 * producer was initialised, it would fence that one. */
static void end_producer(struct producer *self, bool abort)
{
    rd_kafka_t *producer = producer_release(self);
    if (producer == NULL) {
        return;
    }
    /* One that was fenced, or refused for good, is left alone: it can do no harm any more, and
     * librdkafka 2.0.2 was seen to damage memory while it takes one down. */
    if (outcome_of_fatal(rd_kafka_fatal_error(producer, NULL, 0)).outcome == SINK_HALT) {
        return;
    }
    struct task *task = task_new(TASK_END, producer, 0);
    if (task == NULL) {
        producer_destroy(producer);
        return;
    }
    task->abort = abort;
    worker_add(self->txn.worker, &task->job);
}

static void forget(struct transaction *txn)
{
    txn->count = 0;
    txn->reported = 0;
    txn->doomed = false;
    txn->refused = false;
    txn->holding = false;
    txn->saving = false;
    txn->trouble[0] = '\0';
    txn->doubt = false;
    txn->noticed = false;
}

void transaction_drop(struct producer *self)
{
    struct transaction *txn = &self->txn;
    txn->generation++;
    txn->phase = TRANSACTION_NONE;
    forget(txn);
    stage_clear(&txn->stage);
    if (txn->worker != NULL) {
        worker_cancel(txn->worker);
        end_producer(self, false);
    }
}

void transaction_forget(struct producer *self)
{
    struct transaction *txn = &self->txn;
    txn->saving = false;
    txn->noticed = txn->noticed && txn->notice.kind == REPORT_CLAIMED;
}

void transaction_close(struct producer *self)
{
    struct transaction *txn = &self->txn;
    if (self->opts->transactional && txn->worker != NULL) {
        bool open = txn->phase == TRANSACTION_OPEN || txn->phase == TRANSACTION_FLUSHING ||
                    txn->phase == TRANSACTION_COMMITTING;
        worker_cancel(txn->worker);
        end_producer(self, open && (txn->count > 0 || txn->saving));
    }
    if (txn->ended != NULL) {
        txn->ended->free(txn->ended);
        txn->ended = NULL;
    }
    if (!worker_free(txn->worker, CLOSE_MS)) {
        log_debug("a call to librdkafka does not return, its thread is left behind",
                  F_STR("topic", self->opts->position_topic));
    }
    txn->worker = NULL;
    stage_deinit(&txn->stage);
    free((void *)(uintptr_t)txn->position.ptr);
}

/* --- claim --- */

static void name(struct transaction *txn, const struct sink_identity *identity)
{
    snprintf(txn->key, sizeof(txn->key), "%s/%" PRIu64 "/%s", identity->pipeline,
             identity->system_id, identity->slot);
    snprintf(txn->id, sizeof(txn->id), "walferry-%s-%" PRIu64 "-%s", identity->pipeline,
             identity->system_id, identity->slot);
}

bool transaction_claim(struct producer *self, const struct sink_identity *identity, struct err *err)
{
    struct transaction *txn = &self->txn;
    ASSERT(self->opts->position_topic != NULL);
    if (txn->worker == NULL && !worker_new(self->event_fd, &txn->worker, err)) {
        return false;
    }
    worker_cancel(txn->worker);
    txn->generation++;
    txn->phase = TRANSACTION_NONE;
    txn->noticed = false;
    txn->hint[0] = '\0';
    name(txn, identity);
    if (self->opts->transactional && !producer_renew(self, err)) {
        return false;
    }
    struct claim *claim;
    if (!claim_new(self->opts, txn->key, &claim, err)) {
        return false;
    }
    claim->generation = txn->generation;
    if (self->opts->transactional) {
        claim->producer = self->rk;
        /* What the job asks for is kept with this. */
        txn->topic = rd_kafka_topic_new(self->rk, self->opts->position_topic, NULL);
    }
    snprintf(claim->id, sizeof(claim->id), "%s", txn->id);
    worker_add(txn->worker, &claim->job);
    txn->phase = TRANSACTION_CLAIMING;
    return true;
}

static void claimed(struct producer *self, struct claim *claim)
{
    struct transaction *txn = &self->txn;
    if (claim->generation != txn->generation) {
        return;
    }
    ASSERT(txn->phase == TRANSACTION_CLAIMING);
    if (claim->verdict.outcome == SINK_DELIVERED) {
        free((void *)(uintptr_t)txn->position.ptr);
        txn->position = claim->position;
        claim->position = BYTES_ABSENT;
        txn->phase = TRANSACTION_OPEN;
        txn->topic_known = self->opts->transactional;
        producer_connected(self);
        if (claim->policy_unknown) {
            log_debug("the cleanup.policy of the topic of positions may not be read",
                      F_STR("topic", claim->topic));
        }
    } else if (self->opts->transactional) {
        producer_drop(self);
    } else {
        txn->phase = TRANSACTION_NONE;
    }
    transaction_notice(self, REPORT_CLAIMED, &claim->verdict);
}

/* --- records and the position --- */

void transaction_taken(struct producer *self, uint64_t tag)
{
    struct transaction *txn = &self->txn;
    if (!self->opts->transactional) {
        return;
    }
    txn->first = txn->count == 0 ? tag : txn->first;
    ASSERT(tag == txn->first + txn->count);
    txn->count++;
}

static void hint(struct transaction *txn, const struct verdict *verdict)
{
    if (verdict->hint[0] != '\0') {
        snprintf(txn->hint, sizeof(txn->hint), "%s", verdict->hint);
    }
}

static void position_reported(struct producer *self, const struct sink_report *report)
{
    struct transaction *txn = &self->txn;
    struct verdict verdict = {report->outcome, report->code, report->error, ""};
    ASSERT(txn->saving);
    if (report->outcome == SINK_DELIVERED && FAILPOINT(POSITION_SAVED)) {
        verdict = (struct verdict){SINK_RETRY, ERR_KAFKA_DELIVERY, "failpoint", ""};
    }
    /* No record of a batch is to blame: the topic went, and librdkafka may have thrown its
     * partition away before the record was judged. */
    if (report->error != NULL && (strcmp(report->error, "_UNKNOWN_PARTITION") == 0 ||
                                  strcmp(report->error, "_DESTROY") == 0)) {
        verdict.outcome = SINK_RETRY;
        verdict.code = ERR_KAFKA_TOPIC;
    }
    txn->saving = false;
    txn->topic_known = verdict.outcome == SINK_DELIVERED;
    transaction_notice(self, REPORT_SAVED, &verdict);
}

/* librdkafka threw the record away, because of a failure that it tells to the next call only. */
static bool purged(const struct producer *self, const struct sink_report *report)
{
    return self->fatal == RD_KAFKA_RESP_ERR_NO_ERROR &&
           strncmp(report->error, "_PURGE", strlen("_PURGE")) == 0;
}

/* True: the report waits until it is known why, or one with a reason was handed out already. */
static bool purge_kept(struct producer *self, const struct sink_report *report)
{
    struct transaction *txn = &self->txn;
    struct task *task =
        txn->holding || txn->refused ? NULL : task_new(TASK_WHY, self->rk, txn->generation);
    if (task != NULL) {
        txn->holding = true;
        txn->held = *report;
        txn->held.kind = report->tag == POSITION_TAG ? REPORT_SAVED : REPORT_RECORD;
        worker_add(txn->worker, &task->job);
    }
    return txn->holding || txn->refused;
}

bool transaction_keeps(struct producer *self, const struct sink_report *report)
{
    struct transaction *txn = &self->txn;
    bool position = report->tag == POSITION_TAG;
    if (!self->opts->transactional) {
        if (position) {
            position_reported(self, report);
        }
        return position;
    }
    if (report->outcome == SINK_DELIVERED) {
        return true;
    }
    txn->doomed = true;
    if (self->fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        struct verdict verdict;
        verdict_set(&verdict, outcome_of_fatal(self->fatal), NULL, txn->id);
        hint(txn, &verdict);
    }
    if (purged(self, report) && purge_kept(self, report)) {
        return true;
    }
    txn->holding = false;
    if (position) {
        position_reported(self, report);
        return true;
    }
    txn->refused = true;
    return false;
}

/* The reason of the transaction's failure is that of the report. */
static void explained(struct producer *self, const struct task *task)
{
    struct transaction *txn = &self->txn;
    struct outcome outcome = outcome_in_transaction(task->code);
    if (!txn->holding) {
        return;
    }
    txn->holding = false;
    /* A suspect batch has reports of its own. */
    if (outcome.outcome == SINK_BLOCKED || outcome.outcome == SINK_HALT) {
        txn->held.outcome = outcome.outcome;
        txn->held.code = outcome.err;
        txn->held.error = outcome_name(task->code);
        struct verdict verdict;
        verdict_set(&verdict, outcome, NULL, txn->id);
        hint(txn, &verdict);
    }
    if (txn->hint[0] == '\0') {
        properties_printable(txn->trouble[0] == '\0' ? task->reason : txn->trouble, txn->hint,
                             sizeof(txn->hint));
    }
    txn->refused = txn->held.kind == REPORT_RECORD;
    txn->notice = txn->held;
    txn->noticed = true;
}

void transaction_trouble(struct producer *self, const char *text)
{
    if (self->txn.trouble[0] == '\0') {
        snprintf(self->txn.trouble, sizeof(self->txn.trouble), "%s", text);
    }
}

void transaction_disturbed(struct producer *self)
{
    self->txn.disturbed = true;
}

static void asked(struct producer *self, const struct task *task)
{
    uint32_t topic = names_find(&self->topics.names, bytes_str(task->topic));
    if ((int)task->code >= 0) {
        producer_connected(self);
    }
    /* The place may be another topic's by now. */
    if (topic != NAMES_NONE) {
        bool there = task->code == RD_KAFKA_RESP_ERR_NO_ERROR;
        asking_probed(self, topic, there ? RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION : task->code,
                      clock_mono_ns());
        producer_wake(self);
    }
}

void transaction_ask(struct producer *self, uint32_t topic)
{
    struct task *task =
        worker_idle(self->txn.worker) ? task_new(TASK_ASK, self->rk, self->txn.generation) : NULL;
    if (task != NULL) {
        snprintf(task->topic, sizeof(task->topic), "%s", names_text(&self->topics.names, topic));
        worker_add(self->txn.worker, &task->job);
    }
}

/* --- what the jobs brought --- */

static void task_ended(struct producer *self, const struct task *task)
{
    if (task->generation != self->txn.generation) {
        return;
    }
    switch (task->kind) {
    case TASK_FLUSH:
        save_flushed(self, task);
        break;
    case TASK_COMMIT:
        save_committed(self, task);
        break;
    case TASK_ASK:
        asked(self, task);
        break;
    case TASK_WHY:
        explained(self, task);
        break;
    case TASK_END:
        break;
    }
}

static void job_ended(struct producer *self, struct job *job)
{
    if (claim_is(job)) {
        claimed(self, (struct claim *)job);
    } else {
        task_ended(self, (const struct task *)job);
    }
    job->free(job);
}

/* All of the transaction, then its position. */
static size_t report_committed(struct transaction *txn, struct sink_report *reports, size_t max)
{
    size_t n = 0;
    while (n < max && txn->reported < txn->count) {
        reports[n++] = (struct sink_report){
            .kind = REPORT_RECORD, .tag = txn->first + txn->reported++, .outcome = SINK_DELIVERED};
    }
    if (n < max) {
        reports[n++] = (struct sink_report){.kind = REPORT_SAVED, .outcome = SINK_DELIVERED};
        txn->phase = txn->doubt ? TRANSACTION_IN_DOUBT : TRANSACTION_OPEN;
        forget(txn);
    }
    return n;
}

void transaction_look(struct producer *self)
{
    struct transaction *txn = &self->txn;
    if (txn->ended == NULL && txn->worker != NULL) {
        txn->ended = worker_take(txn->worker);
    }
}

size_t transaction_collect(struct producer *self, struct sink_report *reports, size_t max)
{
    struct transaction *txn = &self->txn;
    size_t n = 0;
    if (txn->ended != NULL) {
        struct job *job = txn->ended;
        txn->ended = NULL;
        job_ended(self, job);
        /* Another may have ended in the meantime. */
        producer_wake(self);
    }
    if (txn->phase == TRANSACTION_COMMITTED) {
        n = report_committed(txn, reports, max);
    }
    transaction_unstage(self);
    /* Who was told that a record is lost knows that the save is. */
    txn->noticed = txn->noticed && !(txn->refused && txn->notice.kind == REPORT_SAVED);
    if (txn->noticed && n < max) {
        reports[n++] = txn->notice;
        txn->noticed = false;
    }
    if (n == max) {
        producer_wake(self);
    }
    return n;
}

bool transaction_tick(struct producer *self, uint64_t now_ns, struct err *err)
{
    struct transaction *txn = &self->txn;
    uint64_t alive_ns = txn->worker == NULL ? 0 : worker_alive_ns(txn->worker);
    if (alive_ns != 0 && now_ns > alive_ns && now_ns - alive_ns > txn->hung_ns) {
        err_set(err, ERR_KAFKA_HUNG, "a call to librdkafka has not returned for %llu s",
                (unsigned long long)((now_ns - alive_ns) / NS_PER_S));
        return err_hint(err, "start walferry again: whatever the call has done or not, nothing is "
                             "lost or published twice");
    }
    if (txn->phase == TRANSACTION_IN_DOUBT) {
        err_set(err, ERR_KAFKA_DOUBT, "a commit succeeded, but its request may have been repeated");
        return err_hint(err, "the producer is replaced, so that the broker refuses what may still "
                             "be under way; nothing has to be done");
    }
    return true;
}

bool transaction_detail(const struct producer *self, char *out, size_t size)
{
    const struct transaction *txn = &self->txn;
    out[0] = '\0';
    if (txn->hint[0] != '\0') {
        snprintf(out, size, "%s", txn->hint);
    } else if (txn->worker != NULL && (self->connected || self->detail[0] == '\0')) {
        worker_told(txn->worker, out, size);
    }
    return out[0] != '\0';
}
