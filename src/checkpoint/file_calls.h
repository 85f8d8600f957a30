/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_calls: the system calls between a checkpoint and the disk, as a table, so that tests can
 * make any of them fail. Each follows its namesake in POSIX: -1 and errno, or the result.
 */
#pragma once

#include <sys/types.h>

#include "walferry/checkpoint/checkpoint.h"

struct file_calls {
    int (*open_at)(int directory, const char *name, int flags, mode_t mode);
    ssize_t (*read)(int fd, void *into, size_t len);
    ssize_t (*write)(int fd, const void *from, size_t len);
    int (*sync)(int fd);
    int (*close)(int fd);
    int (*link_at)(int directory, const char *from, const char *to);
    int (*rename_at)(int directory, const char *from, const char *to);
    int (*unlink_at)(int directory, const char *name);
};

extern const struct file_calls file_calls_real;

/* checkpoint_file_open() with the calls of a test; `calls` outlives the store. */
MUST_USE bool checkpoint_file_open_calls(const struct checkpoint_opts *opts,
                                         const struct file_calls *calls,
                                         struct checkpoint_store **ret_store, struct err *err);
