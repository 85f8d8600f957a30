/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "walferry/base/clock.h"
#include "walferry/base/parse.h"

#define INITDB_MS   60000
#define STOP_MS     5000
#define SERVER_ROOT "/usr/lib/postgresql"
#define PATH_BYTES  512
#define INSTALL_HINT                                                                               \
    "apt-get install postgresql, or use a server of yours: walferry demo --conninfo"

struct keeper {
    int control_fd;
    int report_fd;
    int signal_fd;
    int log_fd;
    char bin[PATH_BYTES]; /* where initdb and postgres are */
    char directory[KEEPER_DIRECTORY_MAX];
    char data[KEEPER_DIRECTORY_MAX + 8];
    char log[KEEPER_DIRECTORY_MAX + 8];
    bool asked_to_stop;
};

static bool os_fault(struct err *err, const char *what, const char *path)
{
    int number = errno;
    return err_set(err, ERR_OS, "cannot %s %s: %s", what, path, strerror(number));
}

/* --- which server --- */

static bool has_server(const char *bin)
{
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof(path), "%s/initdb", bin);
    if (access(path, X_OK) != 0) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/postgres", bin);
    return access(path, X_OK) == 0;
}

/* Debian keeps each major version in a directory of its own, and none of them in PATH. */
static bool find_packaged(char *bin)
{
    uint64_t newest = 0;
    DIR *root = opendir(SERVER_ROOT);
    if (root == NULL) {
        return false;
    }
    for (const struct dirent *entry = readdir(root); entry != NULL; entry = readdir(root)) {
        char path[PATH_BYTES];
        uint64_t major;
        snprintf(path, sizeof(path), "%s/%s/bin", SERVER_ROOT, entry->d_name);
        if (parse_u64(bytes_str(entry->d_name), &major) && major > newest && has_server(path)) {
            newest = major;
            snprintf(bin, PATH_BYTES, "%s", path);
        }
    }
    closedir(root);
    return newest > 0;
}

static bool find_in_path(char *bin)
{
    const char *rest = getenv("PATH");
    while (rest != NULL && rest[0] != '\0') {
        size_t len = strcspn(rest, ":");
        snprintf(bin, PATH_BYTES, "%.*s", (int)len, rest);
        if (len > 0 && len < PATH_BYTES && bin[0] == '/' && has_server(bin)) {
            return true;
        }
        rest += len + (rest[len] == ':' ? 1 : 0);
    }
    return false;
}

static bool find_server(struct keeper *keeper, struct err *err)
{
    if (find_packaged(keeper->bin) || find_in_path(keeper->bin)) {
        return true;
    }
    err_set(err, ERR_DEMO_SERVER,
            "no PostgreSQL server is installed here: neither %s/*/bin nor PATH "
            "has initdb and postgres",
            SERVER_ROOT);
    return err_hint(err, INSTALL_HINT " \"host=... dbname=... user=...\"");
}

/* --- who and where --- */

static bool drop_root(struct err *err)
{
    if (geteuid() != 0) {
        return true;
    }
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL) {
        user = getpwnam("nobody");
    }
    if (user == NULL) {
        err_set(err, ERR_DEMO_SERVER,
                "PostgreSQL does not run as root, and there is neither a user "
                "postgres nor nobody to run it as");
        return err_hint(err, "run the demo as another user");
    }
    if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0) {
        return os_fault(err, "become user", user->pw_name);
    }
    return true;
}

static bool make_in(struct keeper *keeper, const char *parent)
{
    int len =
        snprintf(keeper->directory, sizeof(keeper->directory), "%s/walferry-demo-XXXXXX", parent);
    if (len < 0 || (size_t)len >= sizeof(keeper->directory)) {
        return false;
    }
    return mkdtemp(keeper->directory) != NULL;
}

static bool make_directory(struct keeper *keeper, struct err *err)
{
    const char *temporary = getenv("TMPDIR");
    bool made = temporary != NULL && temporary[0] == '/' && make_in(keeper, temporary);
    if (!made && !make_in(keeper, "/tmp")) {
        keeper->directory[0] = '\0';
        os_fault(err, "make a directory in", "/tmp");
        return err_hint(err, "set TMPDIR to a directory that this user can write");
    }
    snprintf(keeper->data, sizeof(keeper->data), "%s/data", keeper->directory);
    snprintf(keeper->log, sizeof(keeper->log), "%s/log", keeper->directory);
    keeper->log_fd = open(keeper->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return keeper->log_fd >= 0 || os_fault(err, "write", keeper->log);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *at)
{
    (void)stat;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_directory(const struct keeper *keeper)
{
    if (keeper->directory[0] != '\0') {
        discard(nftw(keeper->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    }
}

/* --- children --- */

/* The servers look for each other, and for their libraries, beside the path that they are called
 * by. */
static void exec_initdb(const struct keeper *keeper)
{
    char program[PATH_BYTES + 16];
    snprintf(program, sizeof(program), "%s/initdb", keeper->bin);
    execl(program, program, "-D", keeper->data, "-U", KEEPER_ROLE, "-A", "trust", "-E", "UTF8",
          "--locale=C", "--no-sync", "--no-instructions", (char *)NULL);
}

/* Nothing of it is meant to outlive the demo, so that it need not reach the disk. */
static void exec_postgres(const struct keeper *keeper)
{
    char program[PATH_BYTES + 16];
    snprintf(program, sizeof(program), "%s/postgres", keeper->bin);
    execl(program, program, "-D", keeper->data, "-k", keeper->directory, "-p", KEEPER_PORT, "-c",
          "listen_addresses=", "-c", "wal_level=logical", "-c", "fsync=off", "-c",
          "full_page_writes=off", "-c", "max_connections=20", "-c", "shared_buffers=16MB", "-c",
          "logging_collector=off", "-c", "log_destination=stderr", (char *)NULL);
}

static pid_t start(const struct keeper *keeper, void (*exec)(const struct keeper *),
                   int last_signal)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, last_signal);
    if (getppid() == parent && dup2(keeper->log_fd, STDOUT_FILENO) >= 0 &&
        dup2(keeper->log_fd, STDERR_FILENO) >= 0) {
        exec(keeper);
    }
    _exit(127);
}

static void take_signals(struct keeper *keeper)
{
    struct signalfd_siginfo info;
    while (read(keeper->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        keeper->asked_to_stop |= info.ssi_signo == SIGTERM;
    }
}

/* True when the child ended within the time, or before the keeper was asked to stop. */
static bool await(struct keeper *keeper, pid_t child, uint64_t timeout_ms, bool mind_control,
                  int *ret_status)
{
    uint64_t end_ns = timeout_ms == 0 ? UINT64_MAX : clock_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        if (waitpid(child, ret_status, WNOHANG) == child) {
            return true;
        }
        uint64_t now_ns = clock_mono_ns();
        if ((mind_control && keeper->asked_to_stop) || now_ns >= end_ns) {
            return false;
        }
        struct pollfd fds[] = {{.fd = keeper->signal_fd, .events = POLLIN},
                               {.fd = mind_control ? keeper->control_fd : -1, .events = POLLIN}};
        int wait_ms = end_ns == UINT64_MAX ? -1 : (int)((end_ns - now_ns) / NS_PER_MS + 1);
        discard(poll(fds, ARRAY_LEN(fds), wait_ms) > 0);
        keeper->asked_to_stop |= fds[1].revents != 0;
        take_signals(keeper);
    }
}

static void stop(struct keeper *keeper, pid_t child)
{
    static const int signals[] = {SIGINT, SIGQUIT, SIGKILL};
    int status;
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        kill(child, signals[i]);
        if (await(keeper, child, STOP_MS, false, &status)) {
            return;
        }
    }
}

/* The last line of what the children wrote says why one of them failed. */
static void last_words(const struct keeper *keeper, char *out, size_t size)
{
    char text[1024];
    FILE *file = fopen(keeper->log, "re");
    out[0] = '\0';
    while (file != NULL && fgets(text, sizeof(text), file) != NULL) {
        text[strcspn(text, "\n")] = '\0';
        if (text[0] != '\0') {
            snprintf(out, size, "%.*s", (int)size - 1, text);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static bool child_fault(const struct keeper *keeper, const char *program, struct err *err)
{
    char words[300];
    last_words(keeper, words, sizeof(words));
    err_set(err, ERR_DEMO_SERVER, "%s/%s failed: %s", keeper->bin, program, words);
    err_where(err, "%s", keeper->directory);
    return err_hint(err, "use a server of yours: walferry demo --conninfo \"host=... dbname=... "
                         "user=...\"");
}

static bool run_initdb(struct keeper *keeper, struct err *err)
{
    int status = 0;
    pid_t child = start(keeper, exec_initdb, SIGKILL);
    if (child < 0) {
        return os_fault(err, "start", "initdb");
    }
    if (!await(keeper, child, INITDB_MS, true, &status)) {
        stop(keeper, child);
        return err_set(err, ERR_DEMO_SERVER, "initdb was stopped before it was done");
    }
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) || child_fault(keeper, "initdb", err);
}

/* --- the whole --- */

static void report(const struct keeper *keeper, const struct err *err)
{
    struct keeper_report report = {.started = err == NULL};
    memcpy(report.directory, keeper->directory, sizeof(report.directory));
    if (err != NULL) {
        report.err = *err;
    }
    /* Nobody listens when the demo is gone already. */
    discard(write(keeper->report_fd, &report, sizeof(report)) == (ssize_t)sizeof(report));
}

/* Terminal, working directory and standard streams belong to the demo, whose end nothing here may
 * hold up. */
static bool detach(struct keeper *keeper, struct err *err)
{
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    sigaddset(&heard, SIGTERM);
    sigaddset(&heard, SIGINT);
    sigaddset(&heard, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (chdir("/") != 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0) {
        return os_fault(err, "use", "/dev/null");
    }
    umask(077);
    sigprocmask(SIG_BLOCK, &heard, NULL);
    keeper->signal_fd = signalfd(-1, &heard, SFD_NONBLOCK | SFD_CLOEXEC);
    return keeper->signal_fd >= 0 || os_fault(err, "make a", "signalfd");
}

static void keep(struct keeper *keeper)
{
    struct err err;
    int status = 0;
    pid_t postgres = -1;
    if (!detach(keeper, &err) || !find_server(keeper, &err) || !drop_root(&err) ||
        !make_directory(keeper, &err) || !run_initdb(keeper, &err)) {
        report(keeper, &err);
        return;
    }
    postgres = start(keeper, exec_postgres, SIGINT);
    if (postgres < 0) {
        os_fault(&err, "start", "postgres");
        report(keeper, &err);
        return;
    }
    report(keeper, NULL);
    if (await(keeper, postgres, 0, true, &status)) {
        child_fault(keeper, "postgres", &err);
        report(keeper, &err);
    } else {
        stop(keeper, postgres);
    }
}

bool keeper_fork(const int control[2], const int reports[2], pid_t *ret_pid, struct err *err)
{
    pid_t pid = fork();
    if (pid < 0) {
        return os_fault(err, "start", "a process");
    }
    if (pid == 0) {
        struct keeper keeper = {.control_fd = control[0], .report_fd = reports[1], .log_fd = -1};
        close(control[1]);
        close(reports[0]);
        keep(&keeper);
        remove_directory(&keeper);
        _exit(0);
    }
    *ret_pid = pid;
    return true;
}
