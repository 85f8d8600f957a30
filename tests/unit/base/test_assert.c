/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/assert.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* Run `broken` in a child with standard error on a pipe; its line and its wait status. */
static int run(void (*broken)(void), char *text, size_t size)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        broken();
        _exit(0);
    }
    close(ends[1]);
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ssize_t length = read(ends[0], text, size - 1);
    ck_assert_int_ge(length, 0);
    text[length] = '\0';
    close(ends[0]);
    return status;
}

static void break_invariant(void)
{
    int cows = 1;
    ASSERT(cows == 2);
}

static void reach_the_unreachable(void)
{
    UNREACHABLE();
}

static void hold_invariant(void)
{
    ASSERT(sizeof(int) >= 2);
}

static void break_long_invariant(void)
{
    char condition[2000];
    memset(condition, 'c', sizeof(condition));
    condition[sizeof(condition) - 1] = '\0';
    assert_failed(condition, "file.c", 1, "function");
}

/* The pipe is full: the process must end nevertheless. */
static void break_behind_full_pipe(void)
{
    char page[4096] = {0};
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
    while (write(STDERR_FILENO, page, sizeof(page)) > 0) {
    }
    fcntl(STDERR_FILENO, F_SETFL, flags);
    assert_failed("full", "file.c", 1, "function");
}

START_TEST(false_ends_with_70)
{
    char text[4096];
    int status = run(break_invariant, text, sizeof(text));
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 70);
    ck_assert_ptr_nonnull(strstr(text, "walferry: bug WF-9001: test_assert.c:"));
    ck_assert_ptr_nonnull(strstr(text, "break_invariant: cows == 2\n"));
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

START_TEST(unreachable_ends_with_70)
{
    char text[4096];
    int status = run(reach_the_unreachable, text, sizeof(text));
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 70);
    ck_assert_ptr_nonnull(strstr(text, "unreachable\n"));
}
END_TEST

START_TEST(true_goes_on)
{
    char text[4096];
    int status = run(hold_invariant, text, sizeof(text));
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(long_condition_is_one_line)
{
    char text[4096];
    int status = run(break_long_invariant, text, sizeof(text));
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 70);
    ck_assert_uint_lt(strlen(text), 1000);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

START_TEST(full_pipe_does_not_block)
{
    char text[4096];
    int status = run(break_behind_full_pipe, text, sizeof(text));
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 70);
}
END_TEST

static Suite *suite_of_assert(void)
{
    Suite *suite = suite_create("assert");
    TCase *tcase = tcase_create("assert");
    tcase_add_test(tcase, false_ends_with_70);
    tcase_add_test(tcase, unreachable_ends_with_70);
    tcase_add_test(tcase, true_goes_on);
    tcase_add_test(tcase, long_condition_is_one_line);
    tcase_add_test(tcase, full_pipe_does_not_block);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_assert())
