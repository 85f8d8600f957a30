/* SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"

#include <stdio.h>
#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

#define PIECE_MS 100
#define ASK_MS   1000
#define PAUSE_MS 50
#define ABORT_MS 4000

static void flush(struct task *task, struct worker *worker)
{
    task->code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    bool again = !FAILPOINT(TXN_FLUSH);
    while (again) {
        task->code = rd_kafka_flush(task->producer, PIECE_MS);
        again = task->code == RD_KAFKA_RESP_ERR__TIMED_OUT && !worker_cancelled(worker);
    }
}

rd_kafka_error_t *producer_begin(rd_kafka_t *producer)
{
    return FAILPOINT(TXN_BEGIN) ? rd_kafka_error_new(RD_KAFKA_RESP_ERR__FAIL, "failpoint")
                                : rd_kafka_begin_transaction(producer);
}

static void commit_failed(struct task *task, const rd_kafka_error_t *error)
{
    rd_kafka_resp_err_t code =
        error == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_error_code(error);
    rd_kafka_resp_err_t cause = rd_kafka_fatal_error(task->producer, NULL, 0);
    struct outcome outcome = cause == RD_KAFKA_RESP_ERR_NO_ERROR ? outcome_in_transaction(code)
                                                                 : outcome_of_fatal(cause);
    /* It may have been committed all the same. */
    if (outcome.outcome == SINK_DELIVERED || outcome.outcome == SINK_RETRY ||
        outcome.outcome == SINK_SUSPECT) {
        outcome = (struct outcome){outcome.code, SINK_RETRY, ERR_KAFKA_DOUBT};
    }
    verdict_set(&task->verdict, outcome, NULL, task->id);
}

/* Repeated while librdkafka says that it may be; NULL: committed. */
static rd_kafka_error_t *try_commit(struct task *task, struct worker *worker, uint64_t deadline_ns)
{
    rd_kafka_error_t *error;
    uint64_t now_ns = clock_mono_ns();
    int left_ms = task->timeout_ms;
    while ((error = rd_kafka_commit_transaction(task->producer, left_ms)) != NULL &&
           rd_kafka_error_is_retriable(error) && !rd_kafka_error_txn_requires_abort(error) &&
           (now_ns = clock_mono_ns()) < deadline_ns && worker_pause(worker, PAUSE_MS)) {
        rd_kafka_error_destroy(error);
        left_ms = (int)((deadline_ns - now_ns) / NS_PER_MS) + 1;
    }
    return error;
}

static void commit(struct task *task, struct worker *worker)
{
    uint64_t start_ns = clock_mono_ns();
    bool failed = FAILPOINT(TXN_COMMIT_SENT);
    rd_kafka_error_t *error =
        failed ? NULL : try_commit(task, worker, start_ns + (uint64_t)task->timeout_ms * NS_PER_MS);
    task->took_ns = clock_mono_ns() - start_ns;
    if (failed || error != NULL || FAILPOINT(TXN_COMMIT_ACK)) {
        commit_failed(task, error);
        rd_kafka_error_destroy(error);
        return;
    }
    task->verdict = (struct verdict){.outcome = SINK_DELIVERED};
    error = producer_begin(task->producer);
    task->begun = error == NULL;
    rd_kafka_error_destroy(error);
}

static void ask(struct task *task)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(task->producer, task->topic, NULL);
    if (handle == NULL) {
        task->code = rd_kafka_last_error();
        return;
    }
    task->code = rd_kafka_metadata(task->producer, 0, handle, &metadata, ASK_MS);
    if (task->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ASSERT(metadata != NULL);
        task->code =
            metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__BAD_MSG;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
}

/* A call that a failed transaction does not allow says why it failed; that it is open is no reason
 * either to allow this one. */
static void why(struct task *task)
{
    rd_kafka_error_t *error = rd_kafka_begin_transaction(task->producer);
    task->code = error == NULL ? RD_KAFKA_RESP_ERR__STATE : rd_kafka_error_code(error);
    snprintf(task->reason, sizeof(task->reason), "%s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
}

static void throw_events_away(rd_kafka_t *producer)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer);
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(queue, 0)) != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
}

/* In pieces: librdkafka waits for reports that nobody but we takes any more. */
static void abort_transaction(rd_kafka_t *producer)
{
    uint64_t deadline_ns = clock_mono_ns() + ABORT_MS * NS_PER_MS;
    bool again = !FAILPOINT(TXN_ABORT);
    while (again) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(producer, PIECE_MS);
        again =
            error != NULL && rd_kafka_error_is_retriable(error) && clock_mono_ns() < deadline_ns;
        rd_kafka_error_destroy(error);
        throw_events_away(producer);
    }
}

void producer_destroy(rd_kafka_t *producer)
{
    discard(FAILPOINT(SINK_PURGE));
    rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                 RD_KAFKA_PURGE_F_NON_BLOCKING);
    discard(FAILPOINT(PRODUCER_DESTROY));
    rd_kafka_destroy_flags(producer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void run(struct job *job, struct worker *worker)
{
    struct task *task = (struct task *)job;
    switch (task->kind) {
    case TASK_FLUSH:
        flush(task, worker);
        break;
    case TASK_COMMIT:
        commit(task, worker);
        break;
    case TASK_ASK:
        ask(task);
        break;
    case TASK_WHY:
        why(task);
        break;
    case TASK_END:
        if (task->abort) {
            abort_transaction(task->producer);
        }
        producer_destroy(task->producer);
        break;
    }
}

static void free_task(struct job *job)
{
    free(job);
}

struct task *task_new(enum task_kind kind, rd_kafka_t *producer, uint64_t generation)
{
    struct task *task = calloc(1, sizeof(*task));
    if (task != NULL) {
        *task = (struct task){.job = {.run = run, .free = free_task},
                              .generation = generation,
                              .kind = kind,
                              .producer = producer};
    }
    return task;
}
