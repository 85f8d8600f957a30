/* SPDX-License-Identifier: Apache-2.0 */
/* Also built with -fsanitize=thread: nothing of librdkafka is in it. */
#include "kafka/worker.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test.h"
#include "walferry/base/clock.h"

#define LONG_MS 60000

/* What a job does, and what was done. */
struct probe {
    struct job job;
    int number;
    bool waits; /* until it is cancelled */
    bool deaf;  /* until `let_go` is set, whatever it is told */
    bool was_cancelled;
    bool signals_blocked;
};

static int fd;
static struct worker *worker;
static struct err err;
static atomic_int freed;
static atomic_bool let_go;
static atomic_bool started;

static void setup(void)
{
    fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(worker_new(fd, &worker, &err), "%s", err.message);
}

static void run(struct job *job, struct worker *self)
{
    struct probe *probe = (struct probe *)job;
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    probe->signals_blocked = sigismember(&blocked, SIGTERM) == 1;
    worker_tell(self, "job %d", probe->number);
    atomic_store(&started, true);
    while (probe->deaf && !atomic_load(&let_go)) {
        poll(NULL, 0, 1);
    }
    while (probe->waits && worker_pause(self, LONG_MS)) {
    }
    probe->was_cancelled = worker_cancelled(self);
}

static void free_probe(struct job *job)
{
    free(job);
    atomic_fetch_add(&freed, 1);
}

static struct probe *probe_new(int number)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    ck_assert_ptr_nonnull(probe);
    *probe = (struct probe){.job = {.run = run, .free = free_probe}, .number = number};
    return probe;
}

static void wait_started(void)
{
    while (!atomic_load(&started)) {
        poll(NULL, 0, 1);
    }
}

static struct probe *take(void)
{
    struct job *job;
    uint64_t signals;
    while ((job = worker_take(worker)) == NULL) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ck_assert_int_eq(poll(&ready, 1, LONG_MS), 1);
        ssize_t got = read(fd, &signals, sizeof(signals));
        (void)got;
    }
    return (struct probe *)job;
}

START_TEST(jobs_run_one_after_another_and_come_back_in_order)
{
    for (int i = 0; i < 5; i++) {
        worker_add(worker, &probe_new(i)->job);
    }
    for (int i = 0; i < 5; i++) {
        struct probe *probe = take();
        ck_assert_int_eq(probe->number, i);
        ck_assert(!probe->was_cancelled);
        ck_assert(probe->signals_blocked);
        probe->job.free(&probe->job);
    }
    ck_assert_ptr_null(worker_take(worker));
    ck_assert(worker_idle(worker));
    ck_assert(worker_free(worker, LONG_MS));
}
END_TEST

START_TEST(a_cancelled_job_ends_and_later_ones_are_not_cancelled)
{
    struct probe *first = probe_new(1);
    struct probe *second = probe_new(2);
    first->waits = true;
    second->waits = true;
    worker_add(worker, &first->job);
    worker_add(worker, &second->job);
    wait_started();
    ck_assert(!worker_idle(worker));
    worker_cancel(worker);
    worker_add(worker, &probe_new(3)->job);
    for (int i = 1; i <= 3; i++) {
        struct probe *probe = take();
        ck_assert_int_eq(probe->number, i);
        ck_assert(probe->was_cancelled == (i < 3));
        probe->job.free(&probe->job);
    }
    ck_assert(worker_free(worker, LONG_MS));
}
END_TEST

START_TEST(a_running_job_tells_what_it_waits_for_and_shows_that_it_is_alive)
{
    char told[8];
    worker_told(worker, told, sizeof(told));
    ck_assert_str_eq(told, "");
    ck_assert_uint_eq(worker_alive_ns(worker), 0);
    uint64_t before_ns = clock_mono_ns();
    struct probe *probe = probe_new(12345);
    probe->waits = true;
    worker_add(worker, &probe->job);
    wait_started();
    worker_told(worker, told, sizeof(told));
    ck_assert_str_eq(told, "job 123");
    ck_assert_uint_ge(worker_alive_ns(worker), before_ns);
    worker_cancel(worker);
    probe = take();
    probe->job.free(&probe->job);
    worker_told(worker, told, sizeof(told));
    ck_assert_str_eq(told, "");
    ck_assert_uint_eq(worker_alive_ns(worker), 0);
    ck_assert(worker_free(worker, LONG_MS));
}
END_TEST

START_TEST(what_waits_is_still_done_at_the_end_and_freed)
{
    struct probe *first = probe_new(1);
    first->waits = true;
    worker_add(worker, &first->job);
    worker_add(worker, &probe_new(2)->job);
    ck_assert(worker_free(worker, LONG_MS));
    ck_assert_int_eq(atomic_load(&freed), 2);
    ck_assert(worker_free(NULL, 0));
}
END_TEST

START_TEST(a_thread_that_does_not_return_is_left_behind_and_cleans_up_itself)
{
    struct probe *probe = probe_new(1);
    probe->deaf = true;
    worker_add(worker, &probe->job);
    worker_add(worker, &probe_new(2)->job);
    wait_started();
    ck_assert(!worker_free(worker, 20));
    ck_assert_int_eq(atomic_load(&freed), 0);
    close(fd);
    atomic_store(&let_go, true);
    while (atomic_load(&freed) < 2) {
        poll(NULL, 0, 1);
    }
    fd = -1;
}
END_TEST

static Suite *suite_of_worker(void)
{
    Suite *suite = suite_create("sink/worker");
    TCase *tests = tcase_create("worker");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, jobs_run_one_after_another_and_come_back_in_order);
    tcase_add_test(tests, a_cancelled_job_ends_and_later_ones_are_not_cancelled);
    tcase_add_test(tests, a_running_job_tells_what_it_waits_for_and_shows_that_it_is_alive);
    tcase_add_test(tests, what_waits_is_still_done_at_the_end_and_freed);
    tcase_add_test(tests, a_thread_that_does_not_return_is_left_behind_and_cleans_up_itself);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_worker())
