/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo, a relay to the Kafka in its own process, with calls failing in turn: every third site
 * of each kind, all of them with WALFERRY_NTH_ALL=1. It does its work or ends with a documented
 * status and says why, in time, and leaves neither a process nor a file behind.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "../unit/scratch.h"
#include "points.h"

#define PATIENCE_S 90
#define GONE_S     30
#define STRIDE     6

static bool all;
static char out_path[SCRATCH_PATH_MAX], err_path[SCRATCH_PATH_MAX], temporary[SCRATCH_PATH_MAX];

static int run_demo(void)
{
    int status = 0;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
            _exit(126);
        (void)signal(SIGALRM, SIG_DFL);
        alarm(PATIENCE_S);
        execl(WALFERRY_NTH_BIN, WALFERRY_NTH_BIN, "demo", "--count", "3", (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) != pid)
        ck_assert_int_eq(errno, EINTR);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool file_has(const char *path, const char *words)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    ck_assert_int_eq(fclose(file), 0);
    /* Arguments of a process are separated by NULs. */
    for (size_t i = 0; i < len; i++)
        text[i] = text[i] == '\0' ? ' ' : text[i];
    text[len] = '\0';
    return strstr(text, words) != NULL;
}

static size_t entries_of(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    ck_assert_int_eq(closedir(dir), 0);
    return count;
}

/* Processes that were started on our directory. */
static size_t processes_left(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc");
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[64];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%.20s/cmdline", entry->d_name);
        count += file_has(path, temporary);
    }
    ck_assert_int_eq(closedir(dir), 0);
    return count;
}

/* The keeper may still be at work when the command has ended. */
static bool left_nothing(void)
{
    const struct timespec moment = {.tv_nsec = 20000000};
    for (int i = 0; i < GONE_S * 50; i++) {
        if (entries_of(temporary) == 0 && processes_left() == 0)
            return true;
        (void)nanosleep(&moment, NULL);
    }
    return false;
}

static bool documented(int status)
{
    static const int known[] = {69, 70, 71, 75, 77, 78};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (status == known[i])
            return true;
    }
    return false;
}

static void check_demo(const struct point *point)
{
    int status = run_demo();
    bool done = file_has(out_path, "3 written, 3 published, 3 consumed");
    if (point->site == 0)
        ck_assert_msg(status == 0 && done, "the demo itself fails: %d", status);
    else if (status == 0 ? !done : !documented(status))
        points_complain(point, "ends with %d", status);
    else if (status != 0 && !file_has(err_path, "WF-"))
        points_complain(point, "ends with %d and does not say why", status);
    if (!left_nothing())
        points_complain(point, "leaves %zu files and %zu processes", entries_of(temporary),
                        processes_left());
}

static void setup(void)
{
    scratch_path(out_path, "out");
    scratch_path(err_path, "err");
    scratch_path(temporary, "demo");
    /* The servers run as another user when we are root. */
    ck_assert_int_eq(chmod(scratch_root, 0755), 0);
    ck_assert(mkdir(temporary, 0755) == 0 || errno == EEXIST);
    ck_assert_int_eq(chmod(temporary, 01777), 0);
    ck_assert_int_eq(setenv("TMPDIR", temporary, 1), 0);
    all = getenv("WALFERRY_NTH_ALL") != NULL;
    points_stride(all ? 1 : STRIDE);
}

START_TEST(every_failure_is_cleaned_up_after)
{
    static const bool usual[NTH_KIND_COUNT] = {
        [NTH_MEMORY] = true, [NTH_OPEN] = true, [NTH_START] = true, [NTH_NET] = true};
    if (all || usual[_i])
        points_run((enum nth_kind)_i, check_demo, 1, false);
}
END_TEST

static Suite *suite_of_demo(void)
{
    Suite *suite = suite_create("demo");
    TCase *tcase = tcase_create("demo");
    tcase_set_timeout(tcase, 900);
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_loop_test(tcase, every_failure_is_cleaned_up_after, 0, NTH_KIND_COUNT);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_demo())
