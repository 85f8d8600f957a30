/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT_FIRST 20000
#define PORT_COUNT 10000

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

static void redirect(const char *path, int flags, int target)
{
    int fd = open(path == NULL ? "/dev/null" : path, flags | O_CLOEXEC, 0644);
    if (fd < 0 || dup2(fd, target) < 0)
        _exit(126);
}

static void become(const char *user)
{
    struct passwd *entry = getpwnam(user);
    if (entry == NULL || setgroups(0, NULL) != 0 || setgid(entry->pw_gid) != 0 ||
        setuid(entry->pw_uid) != 0)
        _exit(126);
    setenv("HOME", "/", 1);
}

static void run_child(const struct spawn *spawn, pid_t parent)
{
    sigset_t none;
    redirect(spawn->input_path, O_RDONLY, STDIN_FILENO);
    redirect(spawn->out_path, O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO);
    redirect(spawn->err_path, O_WRONLY | O_CREAT | O_APPEND, STDERR_FILENO);
    if (spawn->user != NULL)
        become(spawn->user);
    /* After the change of user, which clears it. */
    prctl(PR_SET_PDEATHSIG, spawn->death_signal == 0 ? SIGKILL : spawn->death_signal);
    if (getppid() != parent)
        _exit(126);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (const char *const *entry = spawn->environment; entry != NULL && *entry != NULL; entry++)
        putenv(strdup(*entry));
    execvp(spawn->argv[0], (char *const *)(uintptr_t)spawn->argv);
    dprintf(STDERR_FILENO, "%s: %s\n", spawn->argv[0], strerror(errno));
    _exit(127);
}

pid_t process_spawn(const struct spawn *spawn)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    REQUIRE(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0)
        run_child(spawn, parent);
    return pid;
}

bool process_wait(pid_t pid, int deadline_ms, int *ret_status)
{
    uint64_t give_up = now_ms() + (uint64_t)deadline_ms;
    for (;;) {
        int status;
        pid_t got = waitpid(pid, &status, WNOHANG);
        REQUIRE(got >= 0, "waitpid(%d): %s", (int)pid, strerror(errno));
        if (got == pid) {
            *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
            return true;
        }
        if (now_ms() >= give_up)
            return false;
        pause_ms(10);
    }
}

bool process_gone(pid_t pid)
{
    char line[256];
    char path[64];
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return true;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return true;
    bool zombie = fgets(line, sizeof line, file) != NULL && strstr(line, ") Z ") != NULL;
    fclose(file);
    return zombie;
}

int process_run(const struct spawn *spawn, int deadline_ms)
{
    int status = 0;
    pid_t pid = process_spawn(spawn);
    if (!process_wait(pid, deadline_ms, &status)) {
        kill(pid, SIGKILL);
        REQUIRE(false, "%s did not end in %d ms", spawn->argv[0], deadline_ms);
    }
    return status;
}

long process_peak_kib(pid_t pid)
{
    char line[256];
    long peak = -1;
    FILE *file = fopen(text("/proc/%d/status", (int)pid), "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtol(line + 6, NULL, 10);
    if (file != NULL)
        fclose(file);
    return peak;
}

static bool can_listen(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Between finding a port and its use by a program another test may find it too. So that none does,
 * the finder holds an abstract socket named after the port until it ends. */
static bool reserve(unsigned port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int len = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "walferry-test-port-%u", port);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&name, size) == 0)
        return true;
    if (fd >= 0)
        close(fd);
    return false;
}

unsigned free_port(void)
{
    /* Walks on from a place of this process's own, so that two ports asked for in a row differ. */
    static unsigned step;
    static pid_t owner;
    if (owner != getpid()) {
        owner = getpid();
        step = (unsigned)owner * 37 + (unsigned)(now_ms() % 1009);
    }
    for (int tries = 0; tries < PORT_COUNT; tries++) {
        unsigned port = PORT_FIRST + step++ % PORT_COUNT;
        if (reserve(port) && can_listen(port))
            return port;
    }
    REQUIRE(false, "no free port of 127.0.0.1 from %d on", PORT_FIRST);
}

char *text(const char *format, ...)
{
    char *result;
    va_list list;
    va_start(list, format);
    int len = vasprintf(&result, format, list);
    va_end(list);
    REQUIRE(len >= 0, "out of memory");
    return result;
}

char *read_file(const char *path)
{
    char *content = NULL;
    size_t len = 0;
    char chunk[65536];
    FILE *file = fopen(path, "re");
    FILE *memory = open_memstream(&content, &len);
    size_t got;
    while (file != NULL && (got = fread(chunk, 1, sizeof chunk, file)) > 0)
        fwrite(chunk, 1, got, memory);
    fclose(memory);
    if (file != NULL)
        fclose(file);
    return content;
}

void write_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "we");
    REQUIRE(file != NULL, "%s: %s", path, strerror(errno));
    REQUIRE(fputs(content, file) >= 0, "%s: %s", path, strerror(errno));
    REQUIRE(fclose(file) == 0, "%s: %s", path, strerror(errno));
}

void make_directory(const char *path)
{
    REQUIRE(mkdir(path, 0755) == 0 || errno == EEXIST, "%s: %s", path, strerror(errno));
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *at)
{
    (void)status;
    (void)flag;
    (void)at;
    remove(path);
    return 0;
}

void remove_tree(const char *path)
{
    nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
}

static bool send_request(int fd, const char *path, const char *accept)
{
    char request[512];
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: %s\r\n\r\n", path,
                       accept == NULL ? "*/*" : accept);
    return len > 0 && (size_t)len < sizeof request &&
           send(fd, request, (size_t)len, MSG_NOSIGNAL) == len;
}

int http_get(unsigned port, const char *path, const char *accept, char **ret_body)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {.tv_sec = 10};
    char *answer = NULL;
    size_t len = 0;
    char chunk[4096];
    int code = 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0, "socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    FILE *memory = open_memstream(&answer, &len);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send_request(fd, path, accept)) {
        ssize_t got;
        while ((got = recv(fd, chunk, sizeof chunk, 0)) > 0)
            fwrite(chunk, 1, (size_t)got, memory);
    }
    fclose(memory);
    close(fd);
    char *body = strstr(answer, "\r\n\r\n");
    if (sscanf(answer, "HTTP/%*s %d", &code) != 1 || body == NULL)
        return 0;
    if (ret_body != NULL)
        *ret_body = body + 4;
    return code;
}
