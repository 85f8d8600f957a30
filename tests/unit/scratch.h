/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch: one directory for everything a test binary writes, gone when it ends.
 *
 * Check runs no teardown after a test that failed, so cleaning up cannot be left to the test that
 * made the file. TEST_MAIN_SCRATCH makes a directory under TMPDIR (or /tmp) before the first test,
 * names it in TMPDIR for all of them, and removes it with all it holds after the last one, however
 * these ended. Paths are short enough for the address of a local socket.
 */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

enum { SCRATCH_PATH_MAX = 108 };

static char scratch_root[SCRATCH_PATH_MAX - 32];

/* The path of a name in the directory; `out` holds SCRATCH_PATH_MAX bytes. */
static inline void scratch_path(char *out, const char *name)
{
    int length = snprintf(out, SCRATCH_PATH_MAX, "%s/%s", scratch_root, name);
    ck_assert_msg(length > 0 && length < SCRATCH_PATH_MAX, "\"%s\" is too long", name);
}

/* A file with this content; a second one of the same name replaces the first. */
static inline void scratch_write(const char *path, const void *content, size_t size, mode_t mode)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static inline int scratch_remove_one(const char *path, const struct stat *facts, int kind,
                                     struct FTW *place)
{
    (void)facts, (void)kind, (void)place;
    return remove(path);
}

/* The file or directory, with all that it holds. */
static inline bool scratch_remove(const char *path)
{
    return nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0;
}

static inline bool scratch_make(void)
{
    const char *parent = getenv("TMPDIR");
    int length = snprintf(scratch_root, sizeof(scratch_root), "%s/walferry-test-XXXXXX",
                          parent != NULL && strlen(parent) < 48 ? parent : "/tmp");
    return length > 0 && mkdtemp(scratch_root) != NULL && setenv("TMPDIR", scratch_root, 1) == 0;
}

#define TEST_MAIN_SCRATCH(suite)                                                                   \
    int main(void)                                                                                 \
    {                                                                                              \
        if (!scratch_make()) {                                                                     \
            perror("a directory for the test");                                                    \
            return EXIT_FAILURE;                                                                   \
        }                                                                                          \
        int status = test_run(suite);                                                              \
        if (!scratch_remove(scratch_root)) {                                                       \
            perror(scratch_root);                                                                  \
            return EXIT_FAILURE;                                                                   \
        }                                                                                          \
        return status;                                                                             \
    }
