/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process: programs that a test starts, waits for, signals and reads from.
 *
 * A process dies with the one that started it (parent death signal); what outlives even that is
 * ended by the keeper of harness.h. Waits are polls with a deadline; a deadline that passes fails
 * the test, never decides its outcome. Functions that cannot go on fail the running test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Long enough for a loaded machine: passing it means that something hangs. */
#define DEADLINE_MS 60000

struct spawn {
    const char *const *argv;        /* ended by NULL; argv[0] is looked up in PATH */
    const char *const *environment; /* "NAME=value" on top of ours, ended by NULL; NULL: none */
    const char *out_path;           /* appended to; NULL: /dev/null */
    const char *err_path;           /* the same; may be equal to out_path */
    const char *input_path;         /* NULL: /dev/null */
    const char *user;               /* become this user; NULL: stay */
    int death_signal;               /* when the parent dies; 0: SIGKILL */
};

pid_t process_spawn(const struct spawn *spawn);
/* True when it ended: its exit status, or 128 and the signal's number. False at the deadline. */
bool process_wait(pid_t pid, int deadline_ms, int *ret_status);
/* Neither running nor a zombie; for processes of others. */
bool process_gone(pid_t pid);
/* Spawn and wait; the status. Fails the test at the deadline. */
int process_run(const struct spawn *spawn, int deadline_ms);
/* Highest resident memory so far, in KiB; -1 when the process is gone. */
long process_peak_kib(pid_t pid);

uint64_t now_ms(void);
void pause_ms(int ms);
/* A TCP port of 127.0.0.1 that nobody listens on, below the range of outgoing connections. */
unsigned free_port(void);
/* printf into memory that is never freed (a test is a short process). */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Whole file, a NUL added; "" when it is not there. Never freed. */
char *read_file(const char *path);
void write_file(const char *path, const char *content);
void make_directory(const char *path);
void remove_tree(const char *path);
/* HTTP/1.0 GET of 127.0.0.1:port; the status code, 0 when nobody answers. *ret_body may be NULL;
 * never freed. */
int http_get(unsigned port, const char *path, const char *accept, char **ret_body);

/* Fails the running test, or the whole program when no test runs yet. */
_Noreturn void fail_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_at(__FILE__, __LINE__, __VA_ARGS__);                                              \
    } while (0)

/* Repeats an expression until it is true; fails the test after DEADLINE_MS, saying what it was. */
#define wait_until(condition, ...)                                                                 \
    do {                                                                                           \
        uint64_t give_up_ = now_ms() + DEADLINE_MS;                                                \
        while (!(condition)) {                                                                     \
            REQUIRE(now_ms() < give_up_, __VA_ARGS__);                                             \
            pause_ms(20);                                                                          \
        }                                                                                          \
    } while (0)
