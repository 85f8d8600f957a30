/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file: lines appended to one file, durable before they count: written, then fdatasync()ed, then
 * reported. After a failed write or sync the descriptor is never trusted again (Linux reports such
 * an error once and forgets the pages): reset() opens the file anew and cuts it back to the last
 * size that was known to be on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines.h"
#include "ops.h"
#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"

struct file_sink {
    struct sink sink;
    struct lines lines;
    char *path;
    int fd; /* -1 while it cannot be opened again */
    int event_fd;
    off_t durable; /* bytes of whole lines that are on disk */
    dev_t device;
    ino_t inode;
    int failure; /* errno, 0 */
    const char *failed_call;
    uint64_t retries;
    char detail[256];
};

static struct file_sink *of(struct sink *sink)
{
    return (struct file_sink *)sink;
}

static const struct file_sink *of_const(const struct sink *sink)
{
    return (const struct file_sink *)sink;
}

static bool fail(const struct file_sink *self, const char *what, struct err *err)
{
    int error = errno;
    err_set(err, ERR_SINK_WRITE, "%s failed: %s", what, strerror(error));
    err_where(err, "%s", self->path);
    switch (error) {
    case ENOENT:
        return err_hint(err, "make the directory, or change sink.file.path");
    case EACCES:
    case EPERM:
    case EROFS:
        return err_hint(err, "let walferry's user write there, or change sink.file.path");
    case EWOULDBLOCK:
        return err_hint(err, "another process writes this file: stop it, or change sink.file.path");
    default:
        return err_hint(err, "look at the disk: df -h %s", self->path);
    }
}

/* fsync() of a file does not make its name durable, that is the directory's. */
static bool sync_directory(const struct file_sink *self, struct err *err)
{
    char *copy = strdup(self->path);
    if (copy == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for a path");
    }
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok) {
        fail(self, "fsync of the directory", err);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* Size up to and with the last newline; -1 with errno. */
static off_t whole_lines(int fd, off_t size)
{
    char block[4096];
    while (size > 0) {
        size_t len = size < (off_t)sizeof(block) ? (size_t)size : sizeof(block);
        ssize_t n = pread(fd, block, len, size - (off_t)len);
        if (n != (ssize_t)len) {
            errno = n < 0 ? errno : EIO;
            return -1;
        }
        const char *newline = memrchr(block, '\n', len);
        if (newline != NULL) {
            return size - (off_t)len + (newline - block) + 1;
        }
        size -= (off_t)len;
    }
    return 0;
}

/* Cut what is not durable: after an error everything past `durable`, at first sight a torn line. */
static bool cut(struct file_sink *self, const struct stat *status, struct err *err)
{
    bool same = status->st_dev == self->device && status->st_ino == self->inode;
    off_t keep = same && status->st_size >= self->durable ? self->durable
                                                          : whole_lines(self->fd, status->st_size);
    if (keep < 0) {
        return fail(self, "read", err);
    }
    if (keep < status->st_size) {
        if (ftruncate(self->fd, keep) != 0 || fsync(self->fd) != 0) {
            return fail(self, "ftruncate", err);
        }
        snprintf(self->detail, sizeof(self->detail),
                 "cut %lld bytes of an unfinished line from the end of the file",
                 (long long)(status->st_size - keep));
    }
    self->durable = keep;
    self->device = status->st_dev;
    self->inode = status->st_ino;
    return true;
}

static bool open_file(struct file_sink *self, struct err *err)
{
    bool existed = access(self->path, F_OK) == 0;
    const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    self->fd = FAILPOINT(FILE_OPEN) ? -1 : open(self->path, flags, S_IRUSR | S_IWUSR | S_IRGRP);
    if (self->fd < 0) {
        return fail(self, "open", err);
    }
    struct stat status;
    if (fstat(self->fd, &status) != 0) {
        return fail(self, "fstat", err);
    }
    if (!S_ISREG(status.st_mode)) {
        err_set(err, ERR_SINK_WRITE, "not a regular file: what is written there is not durable");
        err_where(err, "%s", self->path);
        return err_hint(err, "name a file in sink.file.path, or use sink.stdout for a pipe");
    }
    if (flock(self->fd, LOCK_EX | LOCK_NB) != 0) {
        return fail(self, "flock", err);
    }
    return (existed || sync_directory(self, err)) && cut(self, &status, err);
}

static void close_file(struct file_sink *self)
{
    if (self->fd >= 0) {
        close(self->fd);
        self->fd = -1;
    }
}

static void file_close(struct sink *sink)
{
    if (sink == NULL) {
        return;
    }
    struct file_sink *self = of(sink);
    close_file(self);
    if (self->event_fd >= 0) {
        close(self->event_fd);
    }
    lines_deinit(&self->lines);
    free(self->path);
    free(self);
}

static bool file_open(const struct sink_opts *opts, struct sink **ret_sink, struct err *err)
{
    struct file_sink *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for the file sink");
    }
    *self = (struct file_sink){.sink.ops = &sink_file_ops, .fd = -1};
    self->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    self->path = strdup(opts->path);
    bool ok = self->event_fd >= 0 && self->path != NULL;
    if (!ok) {
        err_set(err, ERR_OS, "eventfd failed: %s", strerror(errno));
    }
    ok = ok && lines_init(&self->lines, opts, err) && open_file(self, err);
    if (!ok) {
        file_close(&self->sink);
        return false;
    }
    *ret_sink = &self->sink;
    return true;
}

static int file_fd(const struct sink *sink)
{
    return of_const(sink)->event_fd;
}

static void signal_event(struct file_sink *self, bool on)
{
    uint64_t value = 1;
    /* Neither can fail in a way that matters: a full counter is readable, an empty one is not. */
    ssize_t n = on ? write(self->event_fd, &value, sizeof(value))
                   : read(self->event_fd, &value, sizeof(value));
    (void)n;
}

static enum sink_result file_submit(struct sink *sink, const struct record *record, uint64_t tag,
                                    uint32_t *ret_topic, struct err *err)
{
    struct file_sink *self = of(sink);
    if (self->failure != 0) {
        return SINK_BUSY;
    }
    bool first = self->lines.count == 0;
    enum sink_result result = lines_put(&self->lines, record, tag, ret_topic, err);
    if (result == SINK_TAKEN && first) {
        signal_event(self, true);
    }
    return result;
}

static void note_failure(struct file_sink *self, const char *call)
{
    self->failure = errno;
    self->failed_call = call;
    self->retries++;
    snprintf(self->detail, sizeof(self->detail), "%s failed: %s", call,
             strerrorname_np(self->failure));
}

static void write_out(struct file_sink *self)
{
    struct bytes pending = lines_pending(&self->lines);
    size_t written = 0;
    while (written < pending.len) {
        ssize_t n = FAILPOINT(FILE_WRITE)
                        ? -1
                        : write(self->fd, pending.ptr + written, pending.len - written);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            note_failure(self, "write");
            return;
        }
        written += (size_t)n;
    }
    if (FAILPOINT(FILE_SYNC) || fdatasync(self->fd) != 0) {
        note_failure(self, "fdatasync");
        return;
    }
    self->durable += (off_t)pending.len;
    lines_sent(&self->lines, pending.len);
}

/* Space comes back; anything else (an I/O error, a file system gone read-only) is for a person. */
static bool passes(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

static size_t file_collect(struct sink *sink, struct sink_report *reports, size_t max)
{
    struct file_sink *self = of(sink);
    if (self->failure == 0 && lines_pending(&self->lines).len > 0) {
        write_out(self);
    }
    size_t n = lines_report(&self->lines, reports, max);
    if (self->failure != 0) {
        const struct sink_report failed = {.outcome =
                                               passes(self->failure) ? SINK_RETRY : SINK_HALT,
                                           .code = ERR_SINK_WRITE,
                                           .error = strerrorname_np(self->failure)};
        n += lines_fail(&self->lines, &failed, reports + n, max - n);
    }
    if (self->lines.count == 0) {
        signal_event(self, false);
    }
    return n;
}

static bool file_tick(struct sink *sink, uint64_t now_ns, struct err *err)
{
    (void)sink;
    (void)now_ns;
    (void)err;
    return true;
}

static bool file_reset(struct sink *sink, struct err *err)
{
    struct file_sink *self = of(sink);
    lines_clear(&self->lines);
    signal_event(self, false);
    close_file(self);
    if (!open_file(self, err)) {
        self->failure = errno == 0 ? EIO : errno;
        close_file(self);
        return false;
    }
    self->failure = 0;
    self->failed_call = NULL;
    return true;
}

static const char *file_topic_name(const struct sink *sink, uint32_t topic)
{
    return lines_topic(&of_const(sink)->lines, topic);
}

static void file_state(const struct sink *sink, struct sink_state *ret_state)
{
    const struct file_sink *self = of_const(sink);
    *ret_state = (struct sink_state){.connected = self->failure == 0,
                                     .pending = self->lines.count,
                                     .retries = self->retries,
                                     .topics = self->lines.topics.count,
                                     .library = "file"};
    snprintf(ret_state->detail, sizeof(ret_state->detail), "%s", self->detail);
}

static size_t file_value_max(const struct sink *sink)
{
    (void)sink;
    return (size_t)1 << 30;
}

const struct sink_ops sink_file_ops = {
    .name = "file",
    .open = file_open,
    .close = file_close,
    .fd = file_fd,
    .submit = file_submit,
    .collect = file_collect,
    .tick = file_tick,
    .reset = file_reset,
    .topic_name = file_topic_name,
    .state = file_state,
    .value_max = file_value_max,
    .volatile_acks = false,
};
