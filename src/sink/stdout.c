/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdout: one record a line, to a person or a pipe. Descriptor 1 may be shared with other
 * processes, so its flags are left alone: what poll() calls writable takes a page without blocking.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines.h"
#include "ops.h"
#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"

/* Bytes written in one collect(): a slow reader must not hold up the loop. */
#define ROUND_MAX ((size_t)4 << 20)

struct stdout_sink {
    struct sink sink;
    struct lines lines;
    int fd;
    int failure; /* errno of the write that failed, 0 */
    bool regular;
};

static struct stdout_sink *of(struct sink *sink)
{
    return (struct stdout_sink *)sink;
}

static const struct stdout_sink *of_const(const struct sink *sink)
{
    return (const struct stdout_sink *)sink;
}

bool sink_stdout_open_fd(const struct sink_opts *opts, int fd, struct sink **ret_sink,
                         struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        err_set(err, ERR_SINK_WRITE, "standard output is not open: %s", strerror(errno));
        return err_hint(err, "start walferry with standard output connected, or use sink.file");
    }
    struct stdout_sink *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for the stdout sink");
    }
    *self = (struct stdout_sink){
        .sink.ops = &sink_stdout_ops, .fd = fd, .regular = S_ISREG(status.st_mode)};
    if (!lines_init(&self->lines, opts, err)) {
        free(self);
        return false;
    }
    *ret_sink = &self->sink;
    return true;
}

static bool stdout_open(const struct sink_opts *opts, struct sink **ret_sink, struct err *err)
{
    return sink_stdout_open_fd(opts, STDOUT_FILENO, ret_sink, err);
}

static void stdout_close(struct sink *sink)
{
    if (sink != NULL) {
        lines_deinit(&of(sink)->lines);
        free(of(sink));
    }
}

static int stdout_fd(const struct sink *sink)
{
    (void)sink;
    return -1;
}

static enum sink_result stdout_submit(struct sink *sink, const struct record *record, uint64_t tag,
                                      uint32_t *ret_topic, struct err *err)
{
    if (of(sink)->failure != 0) {
        err_set(err, ERR_SINK_WRITE, "standard output cannot be written: %s",
                strerror(of(sink)->failure));
        err_hint(err, "the reader of the pipe has gone: start both again");
        return SINK_FAIL;
    }
    return lines_put(&of(sink)->lines, record, tag, ret_topic, err);
}

static bool writable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    return poll(&wait, 1, 0) > 0;
}

/* Write while it does not block. */
static void push(struct stdout_sink *self)
{
    size_t chunk = self->regular ? ROUND_MAX : (size_t)PIPE_BUF;
    size_t round = 0;
    struct bytes pending = lines_pending(&self->lines);
    while (pending.len > 0 && round < ROUND_MAX && writable(self->fd)) {
        ssize_t n = FAILPOINT(STDOUT_WRITE)
                        ? -1
                        : write(self->fd, pending.ptr, pending.len < chunk ? pending.len : chunk);
        if (n < 0) {
            if (errno != EINTR && errno != EAGAIN) {
                self->failure = errno;
            }
            return;
        }
        lines_sent(&self->lines, (size_t)n);
        round += (size_t)n;
        pending = lines_pending(&self->lines);
    }
}

static size_t stdout_collect(struct sink *sink, struct sink_report *reports, size_t max)
{
    struct stdout_sink *self = of(sink);
    if (self->failure == 0) {
        push(self);
    }
    size_t n = lines_report(&self->lines, reports, max);
    if (self->failure != 0) {
        const struct sink_report halt = {
            .outcome = SINK_HALT, .code = ERR_SINK_WRITE, .error = strerrorname_np(self->failure)};
        n += lines_fail(&self->lines, &halt, reports + n, max - n);
    }
    return n;
}

static bool stdout_tick(struct sink *sink, uint64_t now_ns, struct err *err)
{
    (void)sink;
    (void)now_ns;
    (void)err;
    return true;
}

/* A line cut in the middle stays the reader's to see: end it, so that the next one is whole. */
static bool stdout_reset(struct sink *sink, struct err *err)
{
    struct stdout_sink *self = of(sink);
    bool torn = self->lines.done > 0 && self->lines.buf.ptr[self->lines.done - 1] != '\n';
    lines_clear(&self->lines);
    self->failure = 0;
    if (torn && write(self->fd, "\n", 1) != 1) {
        err_set(err, ERR_SINK_WRITE, "standard output cannot be written: %s", strerror(errno));
        return err_hint(err, "the reader of the pipe has gone: start both again");
    }
    return true;
}

static const char *stdout_topic_name(const struct sink *sink, uint32_t topic)
{
    return lines_topic(&of_const(sink)->lines, topic);
}

static void stdout_state(const struct sink *sink, struct sink_state *ret_state)
{
    const struct stdout_sink *self = of_const(sink);
    *ret_state = (struct sink_state){.connected = self->failure == 0,
                                     .pending = self->lines.count,
                                     .topics = self->lines.topics.count,
                                     .library = "stdout"};
    if (self->failure != 0) {
        snprintf(ret_state->detail, sizeof(ret_state->detail), "writing failed: %s",
                 strerrorname_np(self->failure));
    } else if (lines_pending(&self->lines).len > 0) {
        snprintf(ret_state->detail, sizeof(ret_state->detail),
                 "waiting for the reader of the pipe");
    }
}

static size_t stdout_value_max(const struct sink *sink)
{
    (void)sink;
    return (size_t)1 << 30;
}

const struct sink_ops sink_stdout_ops = {
    .name = "stdout",
    .open = stdout_open,
    .close = stdout_close,
    .fd = stdout_fd,
    .submit = stdout_submit,
    .collect = stdout_collect,
    .tick = stdout_tick,
    .reset = stdout_reset,
    .topic_name = stdout_topic_name,
    .state = stdout_state,
    .value_max = stdout_value_max,
    .volatile_acks = true,
};
