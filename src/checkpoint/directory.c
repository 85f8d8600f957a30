/* SPDX-License-Identifier: Apache-2.0 */
#include "directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walferry/base/parse.h"

static bool directory_err(struct err *err, const char *path, const char *what)
{
    int cause = errno;
    discard(err_set(err, ERR_CHECKPOINT_DIR, "%s: %s", what, strerror(cause)));
    discard(err_where(err, "%s", path));
    return err_hint(err,
                    "give the user of walferry a directory of its own, as root: "
                    "install -d -m 0700 -o USER '%s'; or set checkpoint.directory",
                    path);
}

/* The entry of a new directory stands in its parent, and must outlive a crash as the checkpoint
 * does. A parent that may not be read cannot be synced; making the directory again is harmless. */
static bool sync_parent(int directory, const char *path, struct err *err)
{
    int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return true;
    bool synced = fsync(parent) == 0;
    if (!synced)
        discard(directory_err(err, path, "the parent of the checkpoint directory does not sync"));
    (void)close(parent);
    return synced;
}

bool directory_open(const char *path, int *ret_fd, struct err *err)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return directory_err(err, path, "the checkpoint directory cannot be made");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return directory_err(err, path, "the checkpoint directory cannot be opened");
    if (made && !sync_parent(fd, path, err)) {
        (void)close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

/* The number of the process that holds the lock, as it wrote it; 0 when it did not get that far. */
static uint64_t read_holder(int fd)
{
    char text[32];
    ssize_t len = pread(fd, text, sizeof(text), 0);
    uint64_t pid = 0;
    if (len < 2 || text[len - 1] != '\n' || !parse_u64(bytes_make(text, (size_t)len - 1), &pid))
        return 0;
    return pid;
}

static bool locked_err(struct err *err, const char *path, const char *name, uint64_t pid)
{
    if (pid == 0)
        discard(err_set(err, ERR_CHECKPOINT_LOCKED,
                        "another process holds the lock of this pipeline's checkpoint"));
    else
        discard(err_set(err, ERR_CHECKPOINT_LOCKED,
                        "process %" PRIu64 " holds the lock of this pipeline's checkpoint", pid));
    discard(err_where(err, "%s/%s", path, name));
    if (pid == 0)
        return err_hint(err, "see who it is: fuser '%s/%s'; one relay may run a pipeline", path,
                        name);
    return err_hint(err,
                    "see what it is: ps -fp %" PRIu64 "; one relay may run a pipeline, a second "
                    "one needs its own name and checkpoint.directory",
                    pid);
}

/* For people and for the error of the next one only: the lock is the flock, not the text. */
static bool write_holder(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%jd\n", (intmax_t)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len;
}

bool directory_lock(int directory, const char *path, const char *name, int *ret_fd, struct err *err)
{
    /* Never removed: two processes could then hold locks on two files of one name. */
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return directory_err(err, path, "the lock file cannot be made");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            discard(locked_err(err, path, name, read_holder(fd)));
        else
            discard(directory_err(err, path, "the lock cannot be taken"));
        (void)close(fd);
        return false;
    }
    if (!write_holder(fd)) {
        discard(directory_err(err, path, "the lock file cannot be written"));
        (void)close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

void directory_sweep(int directory, const char *prefix)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (listing == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            (void)unlinkat(directory, entry->d_name, 0);
    }
    (void)closedir(listing);
}
