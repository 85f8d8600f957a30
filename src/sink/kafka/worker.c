/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"

/* First in, first out. */
struct jobs {
    struct job *first;
    struct job **end;
};

struct worker {
    pthread_t thread;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t changed;
    int wake_fd;
    struct jobs waiting;
    struct job *running;
    struct jobs ended;
    bool quit; /* when nothing waits any more */
    bool gone; /* the thread will not touch this again */
    bool left; /* nobody waits for the thread: it frees this */
    uint64_t alive_ns;
    char told[256];
};

static void put(struct jobs *jobs, struct job *job)
{
    job->next = NULL;
    *jobs->end = job;
    jobs->end = &job->next;
}

static struct job *get(struct jobs *jobs)
{
    struct job *job = jobs->first;
    if (job != NULL) {
        jobs->first = job->next;
        jobs->end = job->next == NULL ? &jobs->first : jobs->end;
    }
    return job;
}

static void lock(struct worker *worker)
{
    int failed = pthread_mutex_lock(&worker->mutex);
    ASSERT(failed == 0);
}

static void unlock(struct worker *worker)
{
    int failed = pthread_mutex_unlock(&worker->mutex);
    ASSERT(failed == 0);
}

static void changed(struct worker *worker)
{
    int failed = pthread_cond_broadcast(&worker->changed);
    ASSERT(failed == 0);
}

/* False when the time is over. */
static bool wait_until(struct worker *worker, uint64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                .tv_nsec = (long)(deadline_ns % NS_PER_S)};
    int failed = pthread_cond_timedwait(&worker->changed, &worker->mutex, &deadline);
    ASSERT(failed == 0 || failed == ETIMEDOUT);
    return failed == 0;
}

static void release(struct worker *worker)
{
    struct job *job;
    while ((job = get(&worker->ended)) != NULL) {
        job->free(job);
    }
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->mutex);
    close(worker->wake_fd);
    free(worker);
}

/* NULL: the thread ends. */
static struct job *next_job(struct worker *worker)
{
    struct job *job;
    while ((job = get(&worker->waiting)) == NULL && !worker->quit) {
        int failed = pthread_cond_wait(&worker->changed, &worker->mutex);
        ASSERT(failed == 0);
    }
    worker->running = job;
    worker->alive_ns = clock_mono_ns();
    worker->told[0] = '\0';
    return job;
}

static void wake(const struct worker *worker)
{
    const uint64_t one = 1;
    ssize_t written = write(worker->wake_fd, &one, sizeof(one));
    (void)written; /* a full counter is readable as well */
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct job *job;
    lock(worker);
    while ((job = next_job(worker)) != NULL) {
        unlock(worker);
        job->run(job, worker);
        lock(worker);
        worker->running = NULL;
        put(&worker->ended, job);
        wake(worker);
    }
    worker->gone = true;
    bool left = worker->left;
    changed(worker);
    unlock(worker);
    if (left) {
        release(worker);
    }
    return NULL;
}

/* Signals are for the thread that has the loop. */
static int start_thread(struct worker *worker)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int failed = pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(failed == 0);
    int code = pthread_create(&worker->thread, NULL, work, worker);
    failed = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ASSERT(failed == 0);
    return code;
}

bool worker_new(int wake_fd, struct worker **ret_worker, struct err *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for a thread");
    }
    worker->waiting.end = &worker->waiting.first;
    worker->ended.end = &worker->ended.first;
    worker->wake_fd = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0);
    if (worker->wake_fd < 0) {
        free(worker);
        return err_set(err, ERR_OS, "a descriptor cannot be duplicated: %s", strerror(errno));
    }
    pthread_condattr_t attributes;
    int failed = pthread_mutex_init(&worker->mutex, NULL) != 0 ||
                 pthread_condattr_init(&attributes) != 0 ||
                 pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
                 pthread_cond_init(&worker->changed, &attributes) != 0 ||
                 pthread_condattr_destroy(&attributes) != 0;
    ASSERT(!failed);
    int code = start_thread(worker);
    if (code != 0) {
        release(worker);
        err_set(err, ERR_OS, "a thread cannot be started: %s", strerror(code));
        return err_hint(err, "look at the limit of threads: ulimit -u");
    }
    *ret_worker = worker;
    return true;
}

static void cancel(struct worker *worker)
{
    for (struct job *job = worker->waiting.first; job != NULL; job = job->next) {
        job->cancelled = true;
    }
    if (worker->running != NULL) {
        worker->running->cancelled = true;
    }
    changed(worker);
}

bool worker_free(struct worker *worker, uint64_t wait_ms)
{
    if (worker == NULL) {
        return true;
    }
    uint64_t deadline_ns = clock_mono_ns() + wait_ms * NS_PER_MS;
    lock(worker);
    worker->quit = true;
    cancel(worker);
    while (!worker->gone && wait_until(worker, deadline_ns)) {
    }
    bool gone = worker->gone;
    worker->left = !gone;
    pthread_t thread = worker->thread;
    unlock(worker);
    if (gone) {
        pthread_join(thread, NULL);
        release(worker);
    } else {
        pthread_detach(thread);
    }
    return gone;
}

void worker_add(struct worker *worker, struct job *job)
{
    lock(worker);
    ASSERT(!worker->quit);
    job->cancelled = false;
    put(&worker->waiting, job);
    changed(worker);
    unlock(worker);
}

struct job *worker_take(struct worker *worker)
{
    lock(worker);
    struct job *job = get(&worker->ended);
    unlock(worker);
    return job;
}

bool worker_idle(struct worker *worker)
{
    lock(worker);
    bool idle = worker->running == NULL && worker->waiting.first == NULL;
    unlock(worker);
    return idle;
}

void worker_cancel(struct worker *worker)
{
    lock(worker);
    cancel(worker);
    unlock(worker);
}

void worker_told(struct worker *worker, char *out, size_t size)
{
    lock(worker);
    snprintf(out, size, "%s", worker->running == NULL ? "" : worker->told);
    unlock(worker);
}

uint64_t worker_alive_ns(struct worker *worker)
{
    lock(worker);
    uint64_t alive_ns = worker->running == NULL ? 0 : worker->alive_ns;
    unlock(worker);
    return alive_ns;
}

bool worker_cancelled(struct worker *worker)
{
    lock(worker);
    worker->alive_ns = clock_mono_ns();
    bool cancelled = worker->running->cancelled;
    unlock(worker);
    return cancelled;
}

bool worker_pause(struct worker *worker, uint64_t pause_ms)
{
    uint64_t deadline_ns = clock_mono_ns() + pause_ms * NS_PER_MS;
    lock(worker);
    while (!worker->running->cancelled && wait_until(worker, deadline_ns)) {
    }
    worker->alive_ns = clock_mono_ns();
    bool cancelled = worker->running->cancelled;
    unlock(worker);
    return !cancelled;
}

void worker_tell(struct worker *worker, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lock(worker);
    worker->alive_ns = clock_mono_ns();
    vsnprintf(worker->told, sizeof(worker->told), format, args);
    unlock(worker);
    va_end(args);
}
