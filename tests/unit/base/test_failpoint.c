/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/failpoint.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

struct child {
    pid_t pid;
    int out; /* read end of its standard error */
};

/* Run `body` in a child in which failpoints have not been looked at yet; it ends with what `body`
 * returns. */
static struct child start(const char *failpoints, int (*body)(void))
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        if (failpoints == NULL)
            unsetenv("WALFERRY_FAILPOINTS");
        else
            setenv("WALFERRY_FAILPOINTS", failpoints, 1);
        _exit(body());
    }
    close(ends[1]);
    return (struct child){pid, ends[0]};
}

/* Its wait status, and all that it wrote. */
static int end(struct child child, char *text, size_t size)
{
    size_t len = 0;
    ssize_t got = 0;
    while ((got = read(child.out, text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(child.out);
    int status = 0;
    ck_assert_int_eq(waitpid(child.pid, &status, 0), child.pid);
    return status;
}

static int run(const char *failpoints, int (*body)(void), char *text, size_t size)
{
    return end(start(failpoints, body), text, size);
}

/* Bit n: the n-th passage, from 0, failed. */
static int eight_passages(void)
{
    int failed = 0;
    for (int i = 0; i < 8; i++)
        failed |= FAILPOINT(CKPT_WRITE) ? 1 << i : 0;
    return failed;
}

static void expect_failures(const char *failpoints, int failed, const char *said)
{
    char text[4096];
    int status = run(failpoints, eight_passages, text, sizeof(text));
    ck_assert_msg(WIFEXITED(status), "%s: status %d", failpoints, status);
    ck_assert_msg(WEXITSTATUS(status) == failed, "%s: %#x failed, expected %#x", failpoints,
                  (unsigned)WEXITSTATUS(status), (unsigned)failed);
    ck_assert_str_eq(text, said);
}

#define WRITE_ERROR    "failpoint ckpt.write error\n"
#define WRITE_ERROR_ON "failpoint ckpt.write error!\n"

START_TEST(nothing_fails_unless_told)
{
    expect_failures(NULL, 0, "");
    expect_failures("", 0, "");
    expect_failures("ckpt.fsync=crash", 0, "");
    expect_failures("ckpt.write=crash@9", 0, "");
}
END_TEST

START_TEST(error_fails_the_passages_named)
{
    expect_failures("ckpt.write=error", 0x01, WRITE_ERROR);
    expect_failures("ckpt.write=error@1", 0x01, WRITE_ERROR);
    expect_failures("ckpt.write=error@3", 0x04, WRITE_ERROR);
    expect_failures("ckpt.write=error@3-5", 0x1c, WRITE_ERROR WRITE_ERROR WRITE_ERROR);
    expect_failures("ckpt.write=error@2,ckpt.fsync=error,ckpt.write=error@8", 0x82,
                    WRITE_ERROR WRITE_ERROR);
    expect_failures("ckpt.write=error!@7", 0xc0, WRITE_ERROR_ON WRITE_ERROR_ON);
    expect_failures("ckpt.write=error!@8-8", 0x80, WRITE_ERROR_ON);
}
END_TEST

static int sees_errno(void)
{
    errno = EINTR;
    bool first = FAILPOINT(CKPT_WRITE);
    bool kept = errno == EINTR;
    bool second = FAILPOINT(CKPT_WRITE);
    return !first && kept && second && errno == ENOSPC;
}

START_TEST(errno_is_that_of_a_full_disk_and_else_untouched)
{
    char text[256];
    int status = run("ckpt.write=error@2", sees_errno, text, sizeof(text));
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

START_TEST(crash_is_a_kill)
{
    char text[256];
    int status = run("ckpt.write=crash@8", eight_passages, text, sizeof(text));
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    ck_assert_str_eq(text, "failpoint ckpt.write crash\n");
}
END_TEST

/* Waits for the line that a failpoint writes before it acts. */
static void wait_for_line(struct child child, const char *expected)
{
    char text[256];
    ssize_t got = read(child.out, text, sizeof(text) - 1);
    ck_assert_int_gt(got, 0);
    text[got] = '\0';
    ck_assert_str_eq(text, expected);
}

static void ignore(int signal)
{
    (void)signal;
}

static int hangs(void)
{
    signal(SIGUSR1, ignore);
    return FAILPOINT(CKPT_WRITE) ? 1 : 2;
}

START_TEST(hang_outlives_signals)
{
    struct child child = start("ckpt.write=hang", hangs);
    int status = 0;
    wait_for_line(child, "failpoint ckpt.write hang\n");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kill(child.pid, SIGUSR1), 0);
    struct pollfd ended = {.fd = child.out, .events = POLLIN};
    ck_assert_int_eq(poll(&ended, 1, 100), 0);
    ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child.pid, &status, 0), child.pid);
    ck_assert(WIFSIGNALED(status));
    close(child.out);
}
END_TEST

START_TEST(stop_goes_on_without_a_failure)
{
    struct child child = start("ckpt.write=stop@3", eight_passages);
    int status = 0;
    wait_for_line(child, "failpoint ckpt.write stop\n");
    ck_assert_int_eq(waitpid(child.pid, &status, WUNTRACED), child.pid);
    ck_assert(WIFSTOPPED(status));
    ck_assert_int_eq(kill(child.pid, SIGCONT), 0);
    ck_assert_int_eq(waitpid(child.pid, &status, 0), child.pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    close(child.out);
}
END_TEST

static int another_passage(void)
{
    return FAILPOINT(LOG_WRITE);
}

START_TEST(what_is_not_understood_ends_the_program)
{
    static const struct {
        const char *value;
        const char *said;
    } cases[] = {
        {"ckpt.writ=error", "\"ckpt.writ=error\": no failpoint has this name"},
        {"nonsense", "\"nonsense\": no failpoint has this name"},
        {"log.write=error,", "\"\": no failpoint has this name"},
        {"=error", "\"=error\": no failpoint has this name"},
        {"ckpt.write", "\"ckpt.write\": the action is none"},
        {"ckpt.write=", "\"ckpt.write=\": the action is none"},
        {"ckpt.write=kill", "\"ckpt.write=kill\": the action is none"},
        {"ckpt.write=errors", "\"ckpt.write=errors\": the action is none"},
        {"ckpt.write=error@", "behind the @"},
        {"ckpt.write=error@0", "behind the @"},
        {"ckpt.write=error@x", "behind the @"},
        {"ckpt.write=error@2-", "behind the @"},
        {"ckpt.write=error@2-1", "behind the @"},
        {"ckpt.write=error@1-2-3", "behind the @"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        int status = run(cases[i].value, another_passage, text, sizeof(text));
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 64, "%s: status %#x",
                      cases[i].value, (unsigned)status);
        ck_assert_msg(strstr(text, cases[i].said) != NULL, "%s: %s", cases[i].value, text);
        ck_assert_ptr_nonnull(strstr(text, "walferry: WALFERRY_FAILPOINTS: "));
    }
}
END_TEST

enum { THREADS = 8, ROUNDS = 2000 };

static void *pass_often(void *context)
{
    long *failed = context;
    for (int i = 0; i < ROUNDS; i++)
        *failed += FAILPOINT(CKPT_WRITE) ? 1 : 0;
    return NULL;
}

/* Each passage is counted once: of all passages the ten named ones failed. */
static int passages_of_threads(void)
{
    pthread_t threads[THREADS];
    long failed[THREADS] = {0};
    long sum = 0;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, pass_often, &failed[i]) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += failed[i];
    }
    return sum == 10 ? 0 : 2;
}

START_TEST(threads_share_the_count)
{
    char text[4096];
    char entry[64];
    snprintf(entry, sizeof(entry), "ckpt.write=error@%d-%d", THREADS * ROUNDS - 9,
             THREADS * ROUNDS);
    int status = run(entry, passages_of_threads, text, sizeof(text));
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_uint_eq(strlen(text), 10 * strlen(WRITE_ERROR));
}
END_TEST

START_TEST(patience_can_be_short)
{
    unsetenv("WALFERRY_WATCHDOG_S");
    ck_assert_uint_eq(FAILPOINT_PATIENCE(90), 90);
    setenv("WALFERRY_WATCHDOG_S", "3", 1);
    ck_assert_uint_eq(FAILPOINT_PATIENCE(90), 3);
    setenv("WALFERRY_WATCHDOG_S", "0", 1);
    ck_assert_uint_eq(FAILPOINT_PATIENCE(90), 90);
    setenv("WALFERRY_WATCHDOG_S", "soon", 1);
    ck_assert_uint_eq(FAILPOINT_PATIENCE(90), 90);
}
END_TEST

START_TEST(names_differ)
{
    for (int i = 0; i < FAILPOINT_COUNT; i++)
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(failpoint_name((enum failpoint)i), failpoint_name((enum failpoint)j));
}
END_TEST

static Suite *suite_of_failpoint(void)
{
    Suite *suite = suite_create("failpoint");
    TCase *tests = tcase_create("failpoint");
    tcase_add_test(tests, nothing_fails_unless_told);
    tcase_add_test(tests, error_fails_the_passages_named);
    tcase_add_test(tests, errno_is_that_of_a_full_disk_and_else_untouched);
    tcase_add_test(tests, crash_is_a_kill);
    tcase_add_test(tests, hang_outlives_signals);
    tcase_add_test(tests, stop_goes_on_without_a_failure);
    tcase_add_test(tests, what_is_not_understood_ends_the_program);
    tcase_add_test(tests, threads_share_the_count);
    tcase_add_test(tests, patience_can_be_short);
    tcase_add_test(tests, names_differ);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_failpoint())
