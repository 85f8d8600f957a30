/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directory.h"
#include "file_calls.h"
#include "store.h"
#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"

/* "<pipeline>.checkpoint.new-<pid>-<count>" */
#define FILE_NAME_MAX (PIPELINE_NAME_MAX + 64)

struct file_store {
    struct checkpoint_store store;
    const struct file_calls *calls;
    char *path; /* of the directory, for errors */
    int directory;
    int lock;
    char current[FILE_NAME_MAX];
    char previous[FILE_NAME_MAX];
    char new_prefix[FILE_NAME_MAX];
    uint64_t new_count;
    /* The current generation is known to be good, so that it may replace the previous one. */
    bool current_good;
    struct buf text;
};

static struct file_store *file_of(struct checkpoint_store *store)
{
    return (struct file_store *)(void *)store;
}

static void file_close(struct checkpoint_store *store)
{
    struct file_store *file = file_of(store);
    if (file->directory >= 0)
        (void)close(file->directory);
    if (file->lock >= 0)
        (void)close(file->lock);
    buf_deinit(&file->text);
    free(file->path);
    free(file);
}

/* One generation, as load found it. */
enum generation { GENERATION_GOOD, GENERATION_ABSENT, GENERATION_BAD };

static bool read_err(struct err *err, int cause)
{
    discard(
        err_set(err, ERR_CHECKPOINT_INVALID, "the checkpoint cannot be read: %s", strerror(cause)));
    return err_hint(err, "check owner and mode of the file, and the disk: dmesg");
}

/* Append the file to file->text; a byte more than a checkpoint can have is enough to refuse it. */
static bool read_all(struct file_store *file, int fd, struct err *err)
{
    uint8_t chunk[1024];
    while (file->text.len <= CHECKPOINT_TEXT_MAX) {
        ssize_t got = file->calls->read(fd, chunk, sizeof(chunk));
        if (got == 0)
            return true;
        if (got > 0)
            buf_put(&file->text, chunk, (size_t)got);
        else if (errno != EINTR)
            return read_err(err, errno);
        if (!buf_ok(&file->text))
            return err_set(err, ERR_MEMORY, "no memory to read the checkpoint");
    }
    return true;
}

static enum generation read_generation(struct file_store *file, const char *name,
                                       struct checkpoint *ret_checkpoint, struct err *err)
{
    int fd = FAILPOINT(CKPT_LOAD) ? -1
                                  : file->calls->open_at(file->directory, name,
                                                         O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0 && errno == ENOENT)
        return GENERATION_ABSENT;
    bool good = fd >= 0;
    if (!good) {
        discard(read_err(err, errno));
    } else {
        buf_reset(&file->text);
        good = read_all(file, fd, err) &&
               checkpoint_decode(buf_bytes(&file->text), ret_checkpoint, err);
        (void)file->calls->close(fd);
    }
    if (!good)
        discard(err_where(err, "%s/%s", file->path, name));
    return good ? GENERATION_GOOD : GENERATION_BAD;
}

static void previous_err(struct file_store *file, enum generation current, struct err *err)
{
    if (current != GENERATION_BAD) {
        discard(err_set(err, ERR_CHECKPOINT_INVALID,
                        current == GENERATION_ABSENT
                            ? "the newest generation of the checkpoint is missing"
                            : "the file of the newest generation holds an older one"));
        discard(err_where(err, "%s/%s", file->path, file->current));
    }
    discard(err_hint(err, "the generation before is good and is used; find out what happened to "
                          "the disk or who changed the file"));
}

static bool unreadable_err(struct file_store *file, struct err *err)
{
    return err_hint(err,
                    "restore '%s/%s' from a backup; or, after making sure that no event is "
                    "missing (compare the topics with the table), move the files away and start "
                    "again: the relay then "
                    "goes on at the slot's own position, with duplicates",
                    file->path, file->current);
}

static enum checkpoint_found file_load(struct checkpoint_store *store,
                                       struct checkpoint *ret_checkpoint, struct err *err)
{
    struct file_store *file = file_of(store);
    struct checkpoint newest = {.sequence = 0}, before = {.sequence = 0};
    struct err newest_err = ERR_INIT, before_err = ERR_INIT;
    enum generation current = read_generation(file, file->current, &newest, &newest_err);
    enum generation previous = read_generation(file, file->previous, &before, &before_err);
    file->current_good = current == GENERATION_GOOD;
    /* Going back to a generation that this version can read would undo what a newer one did. */
    bool from_newer = newest_err.code == ERR_CHECKPOINT_VERSION;
    if (current == GENERATION_GOOD &&
        (previous != GENERATION_GOOD || newest.sequence >= before.sequence)) {
        *ret_checkpoint = newest;
        return CHECKPOINT_FOUND;
    }
    if (previous == GENERATION_GOOD && !from_newer) {
        *err = newest_err;
        previous_err(file, current, err);
        file->current_good = false;
        *ret_checkpoint = before;
        return CHECKPOINT_PREVIOUS;
    }
    if (current == GENERATION_ABSENT && previous == GENERATION_ABSENT)
        return CHECKPOINT_ABSENT;
    *err = current == GENERATION_BAD ? newest_err : before_err;
    if (err->code == ERR_CHECKPOINT_INVALID)
        discard(unreadable_err(file, err));
    return CHECKPOINT_UNREADABLE;
}

static bool write_err(const struct file_store *file, struct err *err, const char *what, int cause)
{
    discard(err_set(err, ERR_CHECKPOINT_WRITE, "%s: %s", what, strerror(cause)));
    discard(err_where(err, "%s/%s", file->path, file->current));
    if (cause == ENOSPC || cause == EDQUOT)
        return err_hint(err, "free some space: df -h '%s'; du -xsh '%s'", file->path, file->path);
    return err_hint(err, "check the disk and the mount: dmesg; findmnt -T '%s'", file->path);
}

static bool write_all(const struct file_store *file, int fd, struct err *err)
{
    struct bytes left = buf_bytes(&file->text);
    while (left.len > 0) {
        ssize_t put = FAILPOINT(CKPT_WRITE) ? -1 : file->calls->write(fd, left.ptr, left.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return write_err(file, err, "the new checkpoint cannot be written",
                             put == 0 ? ENOSPC : errno);
        left = bytes_make(left.ptr + put, left.len - (size_t)put);
    }
    return true;
}

/* A new file with the text, on disk. Nothing is tried twice with one descriptor: after a failed
 * fsync(2) Linux reports success for pages it gave up. */
static bool write_new(const struct file_store *file, const char *name, struct err *err)
{
    const struct file_calls *calls = file->calls;
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = FAILPOINT(CKPT_OPEN) ? -1 : calls->open_at(file->directory, name, flags, 0600);
    if (fd < 0)
        return write_err(file, err, "a new checkpoint file cannot be made", errno);
    bool good = write_all(file, fd, err);
    if (good && (FAILPOINT(CKPT_FSYNC) || calls->sync(fd) != 0))
        good = write_err(file, err, "the new checkpoint does not reach the disk", errno);
    if (calls->close(fd) != 0 && good)
        good = write_err(file, err, "the new checkpoint cannot be closed", errno);
    return good;
}

/* Make the current generation the previous one, as a second name of the same file, so that at no
 * instant, and in no order in which the disk may learn of it, no good generation has a name. A file
 * system without hard links has it moved instead, and `current` missing until the rename. */
static bool keep_current(const struct file_store *file, struct err *err)
{
    const struct file_calls *calls = file->calls;
    if (calls->unlink_at(file->directory, file->previous) != 0 && errno != ENOENT)
        return write_err(file, err, "the oldest checkpoint cannot be removed", errno);
    if (!FAILPOINT(CKPT_KEEP) &&
        calls->link_at(file->directory, file->current, file->previous) == 0)
        return true;
    bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK;
    if (no_links && calls->rename_at(file->directory, file->current, file->previous) == 0)
        return true;
    return write_err(file, err, "the checkpoint before cannot be kept", errno);
}

/* The new file takes the place of the current one, and the directory knows it for good. */
static bool publish_new(struct file_store *file, const char *name, struct err *err)
{
    const struct file_calls *calls = file->calls;
    int directory = calls->open_at(file->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0)
        return write_err(file, err, "the checkpoint directory cannot be opened", errno);
    bool keep = file->current_good;
    file->current_good = false; /* until proven */
    bool good = !keep || keep_current(file, err);
    if (good &&
        (FAILPOINT(CKPT_RENAME) || calls->rename_at(file->directory, name, file->current) != 0))
        good = write_err(file, err, "the new checkpoint cannot be put in place", errno);
    if (good && (FAILPOINT(CKPT_DIRSYNC) || calls->sync(directory) != 0))
        good = write_err(file, err, "the checkpoint directory does not reach the disk", errno);
    if (calls->close(directory) != 0 && good)
        good = write_err(file, err, "the checkpoint directory cannot be closed", errno);
    file->current_good = good;
    return good;
}

static bool file_save(struct checkpoint_store *store, const struct checkpoint *checkpoint,
                      struct err *err)
{
    struct file_store *file = file_of(store);
    buf_reset(&file->text);
    checkpoint_encode(checkpoint, &file->text);
    if (!buf_ok(&file->text))
        return err_set(err, ERR_MEMORY, "no memory to write the checkpoint");
    ASSERT(file->text.len <= CHECKPOINT_TEXT_MAX);
    char name[FILE_NAME_MAX];
    int len = snprintf(name, sizeof(name), "%s%jd-%" PRIu64, file->new_prefix, (intmax_t)getpid(),
                       ++file->new_count);
    ASSERT(len > 0 && (size_t)len < sizeof(name));
    if (write_new(file, name, err) && publish_new(file, name, err))
        return true;
    (void)file->calls->unlink_at(file->directory, name);
    return false;
}

static const struct checkpoint_store_ops file_ops = {
    .name = "file",
    .close = file_close,
    .load = file_load,
    .save = file_save,
};

static struct file_store *file_new(const struct checkpoint_opts *opts,
                                   const struct file_calls *calls)
{
    struct file_store *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return NULL;
    file->store.ops = &file_ops;
    file->calls = calls;
    file->directory = file->lock = -1;
    file->path = strdup(opts->directory);
    buf_init(&file->text, (size_t)2 * CHECKPOINT_TEXT_MAX);
    if (file->path == NULL) {
        file_close(&file->store);
        return NULL;
    }
    snprintf(file->current, sizeof(file->current), "%s.checkpoint", opts->pipeline);
    snprintf(file->previous, sizeof(file->previous), "%s.checkpoint.previous", opts->pipeline);
    snprintf(file->new_prefix, sizeof(file->new_prefix), "%s.checkpoint.new-", opts->pipeline);
    return file;
}

bool checkpoint_file_open_calls(const struct checkpoint_opts *opts, const struct file_calls *calls,
                                struct checkpoint_store **ret_store, struct err *err)
{
    /* The name goes into a path: the configuration let only letters, digits and _ through. */
    ASSERT(strlen(opts->pipeline) <= PIPELINE_NAME_MAX && strchr(opts->pipeline, '/') == NULL);
    struct file_store *file = file_new(opts, calls);
    if (file == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the checkpoint");
    char lock[FILE_NAME_MAX];
    snprintf(lock, sizeof(lock), "%s.lock", opts->pipeline);
    if (!directory_open(file->path, &file->directory, err) ||
        !directory_lock(file->directory, file->path, lock, &file->lock, err)) {
        file_close(&file->store);
        return false;
    }
    directory_sweep(file->directory, file->new_prefix);
    *ret_store = &file->store;
    return true;
}

bool checkpoint_file_open(const struct checkpoint_opts *opts, struct checkpoint_store **ret_store,
                          struct err *err)
{
    return checkpoint_file_open_calls(opts, &file_calls_real, ret_store, err);
}
