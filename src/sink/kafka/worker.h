/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: one thread that runs jobs one after another, for calls that block.
 *
 * A job belongs to whoever made it until worker_add(), to the worker until worker_take() hands it
 * back: what both sides need travels in the job, and nothing else is shared but what this file
 * guards. The descriptor given at the start is written to when a job has ended.
 *
 * A thread that sits in a library call cannot be ended. worker_free() waits for it as long as it is
 * told to, then leaves it behind, detached: the thread does what is left to do when the call comes
 * back, frees the jobs and itself, or ends with the process. So a job owns all that it touches,
 * copies of borrowed text included.
 */
#pragma once

#include "walferry/base/err.h"

struct worker;

/* First member of every job. */
struct job {
    void (*run)(struct job *job, struct worker *worker); /* in the thread of the worker */
    void (*free)(struct job *job);
    struct job *next; /* the worker's */
    bool cancelled;   /* the worker's */
};

/* `wake_fd`: an eventfd, duplicated. */
MUST_USE bool worker_new(int wake_fd, struct worker **ret_worker, struct err *err);
/* Cancels what there is to do, waits up to `wait_ms` for the end of it, and frees what was not
 * taken. True when the thread has ended, false when it is left behind. NULL is fine. */
bool worker_free(struct worker *worker, uint64_t wait_ms);
void worker_add(struct worker *worker, struct job *job);
/* The oldest job that has ended; NULL: none. */
struct job *worker_take(struct worker *worker);
/* No job runs or waits for its turn. */
bool worker_idle(struct worker *worker);
/* Ask the jobs that are there to end soon. */
void worker_cancel(struct worker *worker);
/* What the job that runs waits for, "" for nothing; cut to `size`. */
void worker_told(struct worker *worker, char *out, size_t size);
/* When the job that runs last showed that it is alive, monotonic; 0: none runs. */
uint64_t worker_alive_ns(struct worker *worker);

/* For the job that runs. Each is a sign of life. */
bool worker_cancelled(struct worker *worker);
/* Sleep; shorter, and false, when the job is cancelled. */
bool worker_pause(struct worker *worker, uint64_t pause_ms);
void worker_tell(struct worker *worker, const char *format, ...) PRINTF_LIKE(2, 3);
