/* SPDX-License-Identifier: Apache-2.0 */
#include "file_calls.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int real_open_at(int directory, const char *name, int flags, mode_t mode)
{
    return openat(directory, name, flags, mode);
}

static int real_link_at(int directory, const char *from, const char *to)
{
    return linkat(directory, from, directory, to, 0);
}

static int real_rename_at(int directory, const char *from, const char *to)
{
    return renameat(directory, from, directory, to);
}

static int real_unlink_at(int directory, const char *name)
{
    return unlinkat(directory, name, 0);
}

const struct file_calls file_calls_real = {
    .open_at = real_open_at,
    .read = read,
    .write = write,
    .sync = fsync,
    .close = close,
    .link_at = real_link_at,
    .rename_at = real_rename_at,
    .unlink_at = real_unlink_at,
};
