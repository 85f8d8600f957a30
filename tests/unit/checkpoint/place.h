/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place: a directory of its own for a test of the file store, and its files by name.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walferry/checkpoint/checkpoint.h"

#include "scratch.h"

struct place {
    char root[SCRATCH_PATH_MAX];
    char directory[SCRATCH_PATH_MAX + 8];
};

static inline struct place place_make(void)
{
    struct place place;
    scratch_path(place.root, "checkpoint-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place.root));
    snprintf(place.directory, sizeof(place.directory), "%s/state", place.root);
    return place;
}

struct place_path {
    char text[512];
};

static inline struct place_path place_path(const struct place *place, const char *name)
{
    struct place_path path;
    snprintf(path.text, sizeof(path.text), "%s/%s", place->directory, name);
    return path;
}

static inline bool place_has(const struct place *place, const char *name)
{
    return access(place_path(place, name).text, F_OK) == 0;
}

/* Files in it; removes them when told to. */
static inline unsigned place_walk(const struct place *place, bool remove_them)
{
    unsigned count = 0;
    DIR *listing = opendir(place->directory);
    ck_assert_ptr_nonnull(listing);
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (remove_them)
            ck_assert_int_eq(remove(place_path(place, entry->d_name).text), 0);
    }
    ck_assert_int_eq(closedir(listing), 0);
    return count;
}

static inline unsigned place_count(const struct place *place)
{
    return place_walk(place, false);
}

static inline void place_clear(const struct place *place)
{
    (void)place_walk(place, true);
}

static inline void place_remove(const struct place *place)
{
    ck_assert(scratch_remove(place->root));
}

static inline void place_write(const struct place *place, const char *name, struct bytes content)
{
    FILE *file = fopen(place_path(place, name).text, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content.ptr, 1, content.len, file), content.len);
    ck_assert_int_eq(fclose(file), 0);
}

static inline size_t place_read(const struct place *place, const char *name, char *into,
                                size_t size)
{
    FILE *file = fopen(place_path(place, name).text, "r");
    ck_assert_ptr_nonnull(file);
    size_t len = fread(into, 1, size - 1, file);
    into[len] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    return len;
}

static inline struct checkpoint checkpoint_at(uint64_t lsn)
{
    return (struct checkpoint){
        .pipeline = "orders",
        .slot = "walferry_orders",
        .system_id = 7,
        .timeline = 1,
        .lsn = lsn_make(lsn),
        .saved_at_us = 1000000,
    };
}
