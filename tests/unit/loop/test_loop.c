/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#include "test.h"
#include "walferry/base/clock.h"

static struct loop loop;
static struct err err;
static int ends[2];

static void set_up(void)
{
    err = ERR_INIT;
    ck_assert(loop_init(&loop, &err));
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
}

static void tear_down(void)
{
    loop_deinit(&loop);
    close(ends[0]);
    close(ends[1]);
}

static void look(void)
{
    ck_assert_msg(loop_wait(&loop, 0, &err), "%s", err.message);
}

static void put_byte(void)
{
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
}

START_TEST(unwatchable_is_an_error)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    ck_assert(!loop_watch(&loop, 0, fileno(file), LOOP_READ, &err));
    ck_assert_int_eq(err.code, ERR_OS);
    ck_assert_str_ne(err.hint, "");
    ck_assert_int_eq(loop.fds[0], -1);
    fclose(file);
    err = ERR_INIT;
    ck_assert(!loop_watch(&loop, 0, 1 << 20, LOOP_READ, &err));
    ck_assert(err_is_set(&err));
}
END_TEST

START_TEST(wait_on_a_broken_set_is_an_error)
{
    loop_deinit(&loop);
    ck_assert(!loop_wait(&loop, 0, &err));
    ck_assert_int_eq(err.code, ERR_OS);
}
END_TEST

START_TEST(deinit_of_a_zeroed_loop_closes_nothing)
{
    struct loop zeroed = {0};
    loop_deinit(&zeroed);
    ck_assert_int_ge(fcntl(STDIN_FILENO, F_GETFD), 0);
}
END_TEST

START_TEST(own_descriptors_are_above_the_standard_ones)
{
    int saved = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    struct loop other;
    bool made = loop_init(&other, &err);
    int own = other.epoll_fd;
    loop_deinit(&other);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
    }
    ck_assert(made);
    ck_assert_int_gt(own, STDERR_FILENO);
    ck_assert_int_eq(fcntl(own, F_GETFD), -1);
}
END_TEST

START_TEST(nothing_ready_at_first)
{
    ck_assert(loop_watch(&loop, 3, ends[0], LOOP_READ, &err));
    look();
    ck_assert_uint_eq(loop.ready, 0);
}
END_TEST

START_TEST(ready_is_a_level)
{
    ck_assert(loop_watch(&loop, 3, ends[0], LOOP_READ, &err));
    put_byte();
    for (int i = 0; i < 3; i++) {
        look();
        ck_assert(loop_ready(&loop, 3));
        ck_assert_uint_eq(loop.ready, 1u << 3);
    }
    char byte;
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    look();
    ck_assert(!loop_ready(&loop, 3));
}
END_TEST

START_TEST(highest_number_works)
{
    ck_assert(loop_watch(&loop, LOOP_WATCH_MAX - 1, ends[1], LOOP_WRITE, &err));
    ck_assert(loop_watch(&loop, 0, ends[0], LOOP_READ, &err));
    put_byte();
    ck_assert(loop_wait(&loop, UINT64_MAX, &err));
    ck_assert(loop_ready(&loop, 0));
    ck_assert(loop_ready(&loop, LOOP_WATCH_MAX - 1));
}
END_TEST

START_TEST(no_wants_and_no_fd_stop_watching)
{
    ck_assert(loop_watch(&loop, 1, ends[1], LOOP_WRITE, &err));
    look();
    ck_assert(loop_ready(&loop, 1));
    ck_assert(loop_watch(&loop, 1, ends[1], 0, &err));
    ck_assert(!loop_ready(&loop, 1));
    look();
    ck_assert(!loop_ready(&loop, 1));
    ck_assert(loop_watch(&loop, 1, ends[1], LOOP_WRITE, &err));
    ck_assert(loop_watch(&loop, 1, -1, LOOP_WRITE, &err));
    look();
    ck_assert(!loop_ready(&loop, 1));
    ck_assert(loop_watch(&loop, 1, -1, 0, &err));
}
END_TEST

START_TEST(watch_replaces_wants_and_fd)
{
    ck_assert(loop_watch(&loop, 1, ends[1], LOOP_READ | LOOP_WRITE, &err));
    look();
    ck_assert(loop_ready(&loop, 1));
    ck_assert(loop_watch(&loop, 1, ends[1], LOOP_READ, &err));
    look();
    ck_assert(!loop_ready(&loop, 1));
    ck_assert(loop_watch(&loop, 1, ends[1], LOOP_WRITE, &err));
    ck_assert(loop_watch(&loop, 1, ends[0], LOOP_READ, &err));
    look();
    ck_assert(!loop_ready(&loop, 1));
    put_byte();
    look();
    ck_assert(loop_ready(&loop, 1));
}
END_TEST

/* libpq closes a socket and opens the next under the same number while it tries several hosts. */
START_TEST(same_number_another_file)
{
    ck_assert(loop_watch(&loop, 1, ends[1], LOOP_WRITE, &err));
    int other[2];
    ck_assert_int_eq(pipe2(other, O_CLOEXEC), 0);
    ck_assert_int_eq(dup3(other[1], ends[1], O_CLOEXEC), ends[1]);
    look();
    ck_assert(!loop_ready(&loop, 1));
    ck_assert(loop_watch(&loop, 1, ends[1], LOOP_WRITE, &err));
    look();
    ck_assert(loop_ready(&loop, 1));
    close(other[0]);
    close(other[1]);
}
END_TEST

START_TEST(closed_before_is_forgiven)
{
    int copy = fcntl(ends[1], F_DUPFD_CLOEXEC, 100);
    ck_assert_int_ge(copy, 0);
    ck_assert(loop_watch(&loop, 1, copy, LOOP_WRITE, &err));
    close(copy);
    ck_assert(loop_watch(&loop, 1, -1, 0, &err));
    ck_assert(loop_watch(&loop, 1, ends[1], LOOP_WRITE, &err));
    look();
    ck_assert(loop_ready(&loop, 1));
}
END_TEST

START_TEST(hangup_is_ready)
{
    ck_assert(loop_watch(&loop, 2, ends[0], LOOP_READ, &err));
    close(ends[1]);
    look();
    ck_assert(loop_ready(&loop, 2));
    ends[1] = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
}
END_TEST

START_TEST(timeout_passes)
{
    uint64_t start = clock_mono_ns();
    ck_assert(loop_wait(&loop, 1, &err));
    ck_assert_uint_gt(clock_mono_ns(), start);
    ck_assert_uint_eq(loop.ready, 0);
    start = clock_mono_ns();
    ck_assert(loop_wait(&loop, 3 * NS_PER_MS, &err));
    ck_assert_uint_ge(clock_mono_ns() - start, 3 * NS_PER_MS);
}
END_TEST

static void nothing(int number)
{
    (void)number;
}

/* Signals that are nobody's business interrupt the system call, not the wait. */
START_TEST(interruption_does_not_end_the_wait)
{
    struct sigaction action = {.sa_handler = nothing};
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    struct itimerval often = {{0, 1000}, {0, 1000}};
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    uint64_t start = clock_mono_ns();
    ck_assert(loop_wait(&loop, 20 * NS_PER_MS, &err));
    ck_assert_uint_ge(clock_mono_ns() - start, 20 * NS_PER_MS);
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
}
END_TEST

START_TEST(no_signal_before_and_after)
{
    ck_assert_int_eq(loop_signal(&loop), 0);
    ck_assert(loop_signals(&loop, &err));
    ck_assert_int_eq(loop_signal(&loop), 0);
}
END_TEST

START_TEST(signals_come_through_the_loop)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    ck_assert(loop_signals(&loop, &err));
    ck_assert(loop_signals(&loop, &err));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        ck_assert_int_eq(kill(getpid(), numbers[i]), 0);
        ck_assert(loop_wait(&loop, UINT64_MAX, &err));
        ck_assert_uint_eq(loop.ready, 0);
        ck_assert_int_eq(loop_signal(&loop), numbers[i]);
        ck_assert_int_eq(loop_signal(&loop), 0);
    }
}
END_TEST

static void *mask_of_thread(void *ret_mask)
{
    pthread_sigmask(SIG_BLOCK, NULL, ret_mask);
    return NULL;
}

START_TEST(later_threads_have_them_blocked)
{
    ck_assert(loop_signals(&loop, &err));
    sigset_t mask;
    sigemptyset(&mask);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, mask_of_thread, &mask), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(sigismember(&mask, SIGTERM), 1);
    ck_assert_int_eq(sigismember(&mask, SIGINT), 1);
    ck_assert_int_eq(sigismember(&mask, SIGHUP), 1);
    ck_assert_int_eq(sigismember(&mask, SIGUSR1), 0);
}
END_TEST

START_TEST(broken_pipe_does_not_kill)
{
    ck_assert(loop_signals(&loop, &err));
    close(ends[0]);
    ck_assert_int_eq(write(ends[1], "x", 1), -1);
    ck_assert_int_eq(errno, EPIPE);
    ends[0] = fcntl(ends[1], F_DUPFD_CLOEXEC, 0);
}
END_TEST

static Suite *suite_of_loop(void)
{
    Suite *suite = suite_create("loop");
    TCase *tcase = tcase_create("loop");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, unwatchable_is_an_error);
    tcase_add_test(tcase, wait_on_a_broken_set_is_an_error);
    tcase_add_test(tcase, deinit_of_a_zeroed_loop_closes_nothing);
    tcase_add_test(tcase, own_descriptors_are_above_the_standard_ones);
    tcase_add_test(tcase, nothing_ready_at_first);
    tcase_add_test(tcase, ready_is_a_level);
    tcase_add_test(tcase, highest_number_works);
    tcase_add_test(tcase, no_wants_and_no_fd_stop_watching);
    tcase_add_test(tcase, watch_replaces_wants_and_fd);
    tcase_add_test(tcase, same_number_another_file);
    tcase_add_test(tcase, closed_before_is_forgiven);
    tcase_add_test(tcase, hangup_is_ready);
    tcase_add_test(tcase, timeout_passes);
    tcase_add_test(tcase, interruption_does_not_end_the_wait);
    tcase_add_test(tcase, no_signal_before_and_after);
    tcase_add_test(tcase, signals_come_through_the_loop);
    tcase_add_test(tcase, later_threads_have_them_blocked);
    tcase_add_test(tcase, broken_pipe_does_not_kill);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_loop())
