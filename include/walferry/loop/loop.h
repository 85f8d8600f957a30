/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: one epoll set, signals as a file descriptor, and nothing else.
 *
 * Readiness is only marked, never acted on here: loop_wait() returns which watches are ready, and
 * the relay decides what to do, at its own pace, in bounded steps. Watches are level-triggered and
 * named by a small number of the caller's choosing (0 to LOOP_WATCH_MAX - 1).
 */
#pragma once

#include "walferry/base/err.h"

#define LOOP_WATCH_MAX 16

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop {
    int epoll_fd;
    int signal_fd; /* -1 until loop_signals() */
    int fds[LOOP_WATCH_MAX];
    unsigned wants[LOOP_WATCH_MAX];
    uint32_t ready; /* bit per watch, set by loop_wait() */
};

MUST_USE bool loop_init(struct loop *loop, struct err *err);
/* Closes only what it opened. Safe on a zeroed loop after loop_init failed. */
void loop_deinit(struct loop *loop);

/* Watch `fd` for `wants` (LOOP_READ | LOOP_WRITE) under number `watch`; replaces what was there.
 * wants 0 or fd -1 stops watching. Call before closing fd. */
MUST_USE bool loop_watch(struct loop *loop, unsigned watch, int fd, unsigned wants,
                         struct err *err);

/* Wait until a watch is ready, a signal came, or `timeout_ns` passed (0: only look). From one
 * millisecond on it is rounded up to whole ones; a shorter wait may end early. */
MUST_USE bool loop_wait(struct loop *loop, uint64_t timeout_ns, struct err *err);

static inline bool loop_ready(const struct loop *loop, unsigned watch)
{
    return (loop->ready >> watch & 1u) != 0;
}

/* Block SIGTERM, SIGINT, SIGHUP in this thread (and threads made later) and deliver them through
 * the loop; SIGPIPE is ignored. */
MUST_USE bool loop_signals(struct loop *loop, struct err *err);
/* The next signal that arrived, 0 for none. */
int loop_signal(struct loop *loop);
