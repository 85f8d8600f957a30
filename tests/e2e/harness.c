/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_TIMEOUT_S 240
#define PROCESSES_MAX  4096
#define ORDERLY_END_MS 5000
#define LOG_TAIL_BYTES 6000

static char directory[128];
static struct pg_server *pg;
static struct kafka_server *kafka;
static bool tests_run;
static const char *label;

void harness_label(const char *what)
{
    label = what;
}

const char *harness_dir(void)
{
    return directory;
}

struct pg_server *shared_pg(void)
{
    REQUIRE(pg != NULL, "the suite did not ask for NEEDS_PG");
    return pg;
}

struct kafka_server *shared_kafka(void)
{
    return kafka;
}

void fail_at(const char *file, int line, const char *format, ...)
{
    char *message;
    va_list list;
    va_start(list, format);
    if (vasprintf(&message, format, list) < 0)
        abort();
    va_end(list);
    if (tests_run)
        ck_abort_msg("%s%s%s:%d: %s", label == NULL ? "" : label, label == NULL ? "" : ": ", file,
                     line, message);
    fprintf(stderr, "%s:%d: %s\n", file, line, message);
    exit(EXIT_FAILURE);
}

/* ---- the keeper ---------------------------------------------------------------------------- */

struct entry {
    pid_t pid;
    pid_t parent;
    char name[32];
};

static bool read_entry(pid_t pid, struct entry *entry)
{
    char path[64];
    char line[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool got = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    char *open = got ? strchr(line, '(') : NULL;
    char *close = got ? strrchr(line, ')') : NULL;
    if (open == NULL || close == NULL || sscanf(close + 1, " %*c %d", &parent) != 1)
        return false;
    *close = '\0';
    entry->pid = pid;
    entry->parent = parent;
    snprintf(entry->name, sizeof entry->name, "%s", open + 1);
    return true;
}

static size_t list_processes(struct entry *entries)
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *item; proc != NULL && (item = readdir(proc)) != NULL;) {
        int pid = (int)strtol(item->d_name, NULL, 10);
        if (pid > 0 && count < PROCESSES_MAX && read_entry(pid, &entries[count]))
            count++;
    }
    if (proc != NULL)
        closedir(proc);
    return count;
}

static const struct entry *find_entry(const struct entry *entries, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].pid == pid)
            return &entries[i];
    return NULL;
}

static bool below(const struct entry *entries, size_t count, const struct entry *entry, pid_t top)
{
    for (int depth = 0; entry != NULL && depth < 64; depth++) {
        if (entry->parent == top)
            return true;
        entry = find_entry(entries, count, entry->parent);
    }
    return false;
}

/* A postmaster gets the chance to give back its shared memory and to end its own children. */
static void end_below(pid_t top, bool orderly)
{
    static struct entry entries[PROCESSES_MAX];
    size_t count = list_processes(entries);
    for (size_t i = 0; i < count; i++) {
        if (!below(entries, count, &entries[i], top))
            continue;
        bool postgres = strcmp(entries[i].name, "postgres") == 0;
        kill(entries[i].pid, orderly && postgres ? SIGQUIT : SIGKILL);
    }
}

static void end_all(void)
{
    uint64_t start = now_ms();
    uint64_t next = start;
    for (;;) {
        uint64_t now = now_ms();
        if (now >= next) {
            end_below(getpid(), now - start < ORDERLY_END_MS);
            next = now + 500;
        }
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
            return;
        pause_ms(10);
    }
}

/* Reaps what was left to us until the tests end or nobody waits for them any more. */
static int watch(pid_t tests, int alive)
{
    struct pollfd ready = {.fd = alive, .events = POLLIN};
    for (;;) {
        int status;
        pid_t got = waitpid(-1, &status, WNOHANG);
        if (got == tests)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (got > 0)
            continue;
        if (poll(&ready, 1, 20) > 0)
            return EXIT_FAILURE;
    }
}

static bool make_harness_directory(void)
{
    const char *parent = getenv("TMPDIR");
    /* The path of a Unix socket has room for 107 bytes. */
    if (parent == NULL || parent[0] != '/' || strlen(parent) > 40)
        parent = "/tmp";
    snprintf(directory, sizeof directory, "%s/walferry-e2e-XXXXXX", parent);
    return mkdtemp(directory) != NULL && chmod(directory, 0755) == 0;
}

/* `alive` is at end of file when the first process is no more. */
static int keeper(int alive, int (*body)(void *context), void *context)
{
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    if (!make_harness_directory()) {
        fprintf(stderr, "%s: %s\n", directory, strerror(errno));
        return EXIT_FAILURE;
    }
    pid_t self = getpid();
    pid_t tests = fork();
    if (tests < 0)
        return EXIT_FAILURE;
    if (tests == 0) {
        close(alive);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int status = getppid() == self ? body(context) : EXIT_FAILURE;
        fflush(NULL);
        _exit(status);
    }
    int status = watch(tests, alive);
    end_all();
    if (getenv("WALFERRY_TEST_KEEP") != NULL)
        fprintf(stderr, "kept: %s\n", directory);
    else
        remove_tree(directory);
    return status;
}

int harness_keep(int (*body)(void *context), void *context)
{
    int alive[2];
    int status;
    if (pipe2(alive, O_CLOEXEC) != 0)
        return EXIT_FAILURE;
    pid_t pid = fork();
    if (pid < 0)
        return EXIT_FAILURE;
    if (pid == 0) {
        close(alive[1]);
        _exit(keeper(alive[0], body, context));
    }
    close(alive[0]);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAILURE;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* ---- the tests ----------------------------------------------------------------------------- */

static void print_tail(const char *path)
{
    char *content = read_file(path);
    size_t len = strlen(content);
    const char *from = content + (len > LOG_TAIL_BYTES ? len - LOG_TAIL_BYTES : 0);
    if (len > 0)
        fprintf(stderr, "---- %s%s\n%s\n", path, from == content ? "" : " (its end)", from);
    free(content);
}

/* What failed tests left: the logs of their relays. Worlds of tests that passed are gone. */
static void print_logs(const char *path, int depth)
{
    DIR *dir = depth > 4 ? NULL : opendir(path);
    for (struct dirent *item; dir != NULL && (item = readdir(dir)) != NULL;) {
        const char *name = item->d_name;
        size_t len = strlen(name);
        if (name[0] == '.' || strcmp(name, "data") == 0)
            continue;
        char *full = text("%s/%s", path, name);
        if (item->d_type == DT_DIR)
            print_logs(full, depth + 1);
        else if (len > 4 && strcmp(name + len - 4, ".err") == 0)
            print_tail(full);
        free(full);
    }
    if (dir != NULL)
        closedir(dir);
}

static void start_servers(int needs)
{
    const char *address = getenv("WALFERRY_TEST_KAFKA");
    if ((needs & NEEDS_KAFKA) != 0) {
        bool given = address != NULL && address[0] != '\0';
        kafka = given ? kafka_external(address) : kafka_start(NULL);
        kafka->shared = true;
    }
    if ((needs & NEEDS_PG) != 0) {
        pg = pg_start(NULL);
        pg->shared = true;
    }
}

static int run_suite(void *context)
{
    const struct e2e_suite *wanted = context;
    start_servers(wanted->needs);
    Suite *suite = suite_create(wanted->name);
    TCase *tests = tcase_create(wanted->name);
    tcase_set_timeout(tests, TEST_TIMEOUT_S);
    wanted->add(tests);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    tests_run = true;
    srunner_run_all(runner, CK_ENV);
    int run = srunner_ntests_run(runner);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (failed > 0)
        print_logs(directory, 0);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int harness_main(const struct e2e_suite *suite)
{
    return harness_keep(run_suite, (void *)(uintptr_t)suite);
}
