/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/loop/watchdog.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "idle.h"
#include "test.h"
#include "walferry/base/log.h"

/* ---- the arithmetic ---- */

START_TEST(ticks_without_a_pat_add_up)
{
    struct idle idle = {0};
    ck_assert(idle_tick(&idle, 7, 3));
    ck_assert(idle_tick(&idle, 7, 3));
    ck_assert(idle_tick(&idle, 7, 3));
    ck_assert(!idle_tick(&idle, 7, 3));
}
END_TEST

START_TEST(one_pat_begins_anew)
{
    struct idle idle = {0};
    ck_assert(idle_tick(&idle, 1, 2));
    ck_assert(idle_tick(&idle, 1, 2));
    ck_assert(idle_tick(&idle, 2, 2));
    ck_assert(idle_tick(&idle, 2, 2));
    ck_assert(!idle_tick(&idle, 2, 2));
}
END_TEST

START_TEST(no_pat_at_all_counts_too)
{
    struct idle idle = {0};
    ck_assert(!idle_tick(&idle, 0, 1));
}
END_TEST

/* ---- the thread, in a process of its own ---- */

/* Runs `body` in a child whose standard error is read into `text`; the child's wait status. */
static int run(void (*body)(void), char *text, size_t size)
{
    int ends[2];
    int status = 0;
    size_t len = 0;
    ck_assert_int_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        log_setup(LOG_JSON, LOG_INFO, NULL);
        body();
        _exit(0);
    }
    close(ends[1]);
    ssize_t got = 0;
    while ((got = read(ends[0], text + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    text[len] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void start(unsigned limit_s)
{
    struct err err;
    if (!watchdog_start(limit_s, &err)) {
        _exit(99);
    }
}

static void hang(void)
{
    start(1);
    watchdog_pat("collect");
    watchdog_pat("commit_transaction");
    for (;;) {
        pause();
    }
}

START_TEST(a_loop_that_hangs_ends_the_process)
{
    char text[4096];
    int status = run(hang, text, sizeof text);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 75);
    ck_assert_ptr_nonnull(strstr(text, "WF-9005"));
    ck_assert_ptr_nonnull(strstr(text, "phase commit_transaction"));
    ck_assert_ptr_null(strstr(text, "collect"));
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

/* A line that nobody takes must not keep it alive. */
static void hang_behind_full_pipe(void)
{
    char page[4096] = {0};
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0) {
        _exit(99);
    }
    fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
    while (write(STDERR_FILENO, page, sizeof page) > 0) {
    }
    fcntl(STDERR_FILENO, F_SETFL, 0);
    hang();
}

START_TEST(a_full_pipe_does_not_save_it)
{
    char text[4096];
    int status = run(hang_behind_full_pipe, text, sizeof text);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 75);
}
END_TEST

/* For longer than the limit. */
static void turn(void)
{
    start(2);
    for (unsigned i = 0; i < 350; i++) {
        watchdog_pat("wait");
        (void)poll(NULL, 0, 10);
    }
    watchdog_stop();
}

START_TEST(a_loop_that_turns_lives)
{
    char text[4096];
    int status = run(turn, text, sizeof text);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_str_eq(text, "");
}
END_TEST

static void hang_without(void)
{
    start(0);
    watchdog_pat("collect");
    watchdog_stop();
    start(1);
    watchdog_stop();
    (void)poll(NULL, 0, 2500);
}

START_TEST(none_and_a_stopped_one_end_nothing)
{
    char text[4096];
    int status = run(hang_without, text, sizeof text);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

static volatile sig_atomic_t handled_by_main;
static pthread_t main_thread;

static void on_signal(int signal)
{
    (void)signal;
    handled_by_main = pthread_equal(pthread_self(), main_thread) ? 1 : 2;
}

/* The kernel may give a signal of the process to any thread that does not block it. */
static void be_signalled(void)
{
    sigset_t usr1;
    main_thread = pthread_self();
    (void)signal(SIGUSR1, on_signal);
    start(60);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    (void)poll(NULL, 0, 200);
    if (handled_by_main != 0) {
        _exit(98);
    }
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    _exit(handled_by_main == 1 ? 0 : 97);
}

START_TEST(signals_are_not_for_its_thread)
{
    char text[4096];
    int status = run(be_signalled, text, sizeof text);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

static Suite *suite_of_watchdog(void)
{
    Suite *suite = suite_create("watchdog");
    TCase *tcase = tcase_create("watchdog");
    tcase_add_test(tcase, ticks_without_a_pat_add_up);
    tcase_add_test(tcase, one_pat_begins_anew);
    tcase_add_test(tcase, no_pat_at_all_counts_too);
    tcase_add_test(tcase, a_loop_that_hangs_ends_the_process);
    tcase_add_test(tcase, a_full_pipe_does_not_save_it);
    tcase_add_test(tcase, a_loop_that_turns_lives);
    tcase_add_test(tcase, none_and_a_stopped_one_end_nothing);
    tcase_add_test(tcase, signals_are_not_for_its_thread);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_watchdog())
