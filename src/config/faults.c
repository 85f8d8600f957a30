/* SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

#include <stdarg.h>
#include <stdio.h>

void faults_init(struct faults *faults, const char *path, struct config_problems *problems)
{
    memset(faults, 0, sizeof(*faults));
    faults->path = path;
    faults->problems = problems;
    problems->count = 0;
    problems->more = 0;
}

bool faults_any(const struct faults *faults)
{
    return faults->problems->count > 0;
}

static struct err *next_item(struct faults *faults, struct mark mark)
{
    struct config_problems *problems = faults->problems;
    if (problems->count == CONFIG_PROBLEMS_MAX) {
        problems->more++;
        return &faults->overflow;
    }
    faults->marks[problems->count] = mark;
    return &problems->items[problems->count++];
}

static void set_place(const struct faults *faults, struct mark mark, struct err *item)
{
    if (mark.set != NULL) {
        err_where(item, "--set %.200s", mark.set);
    } else if (mark.line == 0) {
        err_where(item, "%.200s", faults->path);
    } else {
        err_where(item, "%.200s:%u:%u", faults->path, mark.line, mark.column);
    }
}

struct err *fault_at(struct faults *faults, struct mark mark, enum err_code code, const char *file,
                     int line, const char *format, ...)
{
    char message[sizeof(((struct err *)NULL)->message)];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    struct err *item = next_item(faults, mark);
    err_set_at(item, code, file, line, "%s", message);
    set_place(faults, mark, item);
    return item;
}

struct err *faults_take(struct faults *faults, struct mark mark, const struct err *err)
{
    struct err *item = next_item(faults, mark);
    *item = *err;
    set_place(faults, mark, item);
    return item;
}

static bool mark_before(struct mark a, struct mark b)
{
    if ((a.set == NULL) != (b.set == NULL)) {
        return a.set == NULL;
    }
    if (a.set != NULL) {
        return false;
    }
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

void faults_sort(struct faults *faults)
{
    struct config_problems *problems = faults->problems;
    for (size_t i = 1; i < problems->count; i++) {
        for (size_t j = i; j > 0 && mark_before(faults->marks[j], faults->marks[j - 1]); j--) {
            struct mark mark = faults->marks[j];
            struct err item = problems->items[j];
            faults->marks[j] = faults->marks[j - 1];
            problems->items[j] = problems->items[j - 1];
            faults->marks[j - 1] = mark;
            problems->items[j - 1] = item;
        }
    }
}
