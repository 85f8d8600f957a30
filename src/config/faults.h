/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults: the list of what is wrong with a configuration, each with its place.
 *
 * Fills a caller's struct config_problems; faults past its end are counted only. A place is a line
 * and column of the file (from 1) or the `--set` that brought the value. Borrows `path`.
 */
#pragma once

#include "walferry/config/config.h"

struct mark {
    unsigned line;
    unsigned column;
    const char *set; /* key path of a --set; NULL when the place is in the file */
};

struct faults {
    const char *path;
    struct config_problems *problems;
    struct mark marks[CONFIG_PROBLEMS_MAX];
    struct err overflow; /* takes what does not fit */
};

void faults_init(struct faults *faults, const char *path, struct config_problems *problems);
bool faults_any(const struct faults *faults);
/* Add one; the result takes a hint and is good until the next call. */
#define fault(faults, mark, code, ...)                                                             \
    fault_at((faults), (mark), (code), __FILE_NAME__, __LINE__, __VA_ARGS__)
struct err *fault_at(struct faults *faults, struct mark mark, enum err_code code, const char *file,
                     int line, const char *format, ...) PRINTF_LIKE(6, 7);
/* Add an error that another module made, under our place. */
struct err *faults_take(struct faults *faults, struct mark mark, const struct err *err);
/* In the order of the file; what --set brought comes last. */
void faults_sort(struct faults *faults);
