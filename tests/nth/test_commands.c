/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that end by themselves, with every call that they make failing in turn. Each ends with a
 * documented status and says why, or prints what it always prints.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "../unit/scratch.h"
#include "points.h"

/* A command that is not done by then hangs. */
#define PATIENCE_S 60
#define SPREAD     400

static const char config[] =
    "version: 1\nname: orders\n"
    "source: {conninfo: \"host=127.0.0.1 dbname=shop user=walferry\"}\n"
    "capture:\n  - outbox: outbox.event\n  - {outbox: public.old, preset: debezium}\n"
    "route:\n  topic: \"outbox.event.${aggregate_type}\"\n"
    "  rules: [{when: {visibility: private}, topic: \"private.${aggregate_type}\"}]\n"
    "sink: {kafka: {bootstrap.servers: \"127.0.0.1:9092\", sasl.password_file: @PASSWORD@}}\n";

/* argv after the program's name; the configuration stands in WALFERRY_CONFIG. */
static const char *const commands[][4] = {
    {"check", NULL},
    {"init", "--print-sql", NULL},
    {"version", "--json", NULL},
    {"check", "--help", NULL},
};

static const char *const *command;
static char out_path[SCRATCH_PATH_MAX], err_path[SCRATCH_PATH_MAX];
static char usual_output[1 << 16];

static void redirect(const char *path, int to)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(126);
}

static int run_command(void)
{
    const char *argv[6] = {WALFERRY_NTH_BIN};
    for (size_t i = 0; command[i] != NULL; i++)
        argv[i + 1] = command[i];
    int status = 0;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        redirect(out_path, STDOUT_FILENO);
        redirect(err_path, STDERR_FILENO);
        /* What hangs is killed by it. */
        (void)signal(SIGALRM, SIG_DFL);
        alarm(PATIENCE_S);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) != pid)
        ck_assert_int_eq(errno, EINTR);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static size_t read_text(const char *path, char *into, size_t size)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t len = fread(into, 1, size - 1, file);
    into[len] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    return len;
}

static bool documented(enum nth_kind kind, int status)
{
    return status == 71 || (kind == NTH_MEMORY ? status == 70 : status == 78);
}

static void check_run(const struct point *point)
{
    static char out[sizeof(usual_output)], err[1 << 14];
    int status = run_command();
    (void)read_text(out_path, out, sizeof(out));
    (void)read_text(err_path, err, sizeof(err));
    if (point->site == 0) {
        ck_assert_msg(status == 0, "%d: %s", status, err);
        ck_assert_str_ne(out, "");
        memcpy(usual_output, out, sizeof(out));
    } else if (status == 0) {
        if (strcmp(out, usual_output) != 0)
            points_complain(point, "prints something else, and ends with 0");
    } else if (!documented(point->kind, status)) {
        points_complain(point, "ends with %d: %s", status, err);
    } else if (strstr(err, "WF-") == NULL) {
        points_complain(point, "ends with %d and does not say why: %s", status, err);
    }
}

static void setup(void)
{
    char path[SCRATCH_PATH_MAX];
    char password[SCRATCH_PATH_MAX];
    char text[sizeof(config) + SCRATCH_PATH_MAX];
    scratch_path(out_path, "out");
    scratch_path(err_path, "err");
    scratch_path(password, "password");
    scratch_write(password, "secret\n", 7, 0600);
    const char *at = strstr(config, "@PASSWORD@");
    int len = snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - config), config, password,
                       at + strlen("@PASSWORD@"));
    scratch_path(path, "orders.yaml");
    scratch_write(path, text, (size_t)len, 0600);
    ck_assert_int_eq(setenv("WALFERRY_CONFIG", path, 1), 0);
}

START_TEST(every_failure_is_told)
{
    command = commands[_i / NTH_KIND_COUNT];
    enum nth_kind kind = (enum nth_kind)(_i % NTH_KIND_COUNT);
    points_run(kind, check_run, SPREAD, kind != NTH_SHORT && kind != NTH_SIGNAL);
}
END_TEST

static Suite *suite_of_commands(void)
{
    Suite *suite = suite_create("commands");
    TCase *tcase = tcase_create("commands");
    tcase_set_timeout(tcase, 600);
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_loop_test(tcase, every_failure_is_told, 0,
                        (int)(ARRAY_LEN(commands) * NTH_KIND_COUNT));
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_commands())
