/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/failpoint.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "walferry/base/bytes.h"
#include "walferry/base/err.h"
#include "walferry/base/parse.h"

#define ENTRIES_MAX 32

enum action { ACTION_CRASH, ACTION_ERROR, ACTION_ERROR_ON, ACTION_HANG, ACTION_STOP };

static const char *const action_names[] = {
    [ACTION_CRASH] = "crash", [ACTION_ERROR] = "error", [ACTION_ERROR_ON] = "error!",
    [ACTION_HANG] = "hang",   [ACTION_STOP] = "stop",
};

#define FAILPOINT_ROW(id, name, meaning) [FAILPOINT_##id] = (name),
static const char *const names[] = {
#include "walferry/base/failpoint.def"
};
#undef FAILPOINT_ROW

struct entry {
    enum failpoint failpoint;
    enum action action;
    uint64_t first; /* passage */
    uint64_t last;
};

/* Written once, by the first passage of all. */
static struct entry entries[ENTRIES_MAX];
static size_t entry_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint_fast64_t passages[FAILPOINT_COUNT];

/* In one piece, and never through the log: a passage may be in the middle of it. */
static void say(const char *line, int len, size_t size)
{
    size_t count = len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
    discard(write(STDERR_FILENO, line, count) >= 0);
}

NORETURN static void refuse(struct bytes text, const char *what)
{
    char line[256];
    int len = snprintf(line, sizeof(line), "walferry: WALFERRY_FAILPOINTS: \"%.*s\": %s\n",
                       (int)(text.len < 128 ? text.len : 128), (const char *)text.ptr, what);
    say(line, len, sizeof(line));
    _exit(err_exit_status(ERR_USAGE));
}

/* What stands before the first `separator`; `*rest` is what stands behind it, absent without one.
 */
static struct bytes cut(struct bytes text, char separator, struct bytes *ret_rest)
{
    const uint8_t *at = memchr(text.ptr, separator, text.len);
    if (at == NULL) {
        *ret_rest = BYTES_ABSENT;
        return text;
    }
    size_t len = (size_t)(at - text.ptr);
    *ret_rest = bytes_make(at + 1, text.len - len - 1);
    return bytes_make(text.ptr, len);
}

static size_t find(struct bytes word, const char *const *table, size_t count)
{
    size_t i = 0;
    while (i < count && !bytes_is(word, table[i]))
        i++;
    return i;
}

/* "N" or "N-M" behind the "@". */
static bool parse_range(struct bytes text, struct entry *entry)
{
    struct bytes last;
    struct bytes first = cut(text, '-', &last);
    if (!parse_u64(first, &entry->first) || entry->first == 0)
        return false;
    entry->last = entry->first;
    return !bytes_present(last) || (parse_u64(last, &entry->last) && entry->last >= entry->first);
}

static void parse_entry(struct bytes text)
{
    struct entry entry = {.first = 1, .last = 1};
    struct bytes action;
    struct bytes range;
    size_t failpoint = find(cut(text, '=', &action), names, ARRAY_LEN(names));
    if (failpoint == ARRAY_LEN(names))
        refuse(text, "no failpoint has this name");
    entry.failpoint = (enum failpoint)failpoint;
    size_t number = bytes_present(action)
                        ? find(cut(action, '@', &range), action_names, ARRAY_LEN(action_names))
                        : ARRAY_LEN(action_names);
    if (number == ARRAY_LEN(action_names))
        refuse(text, "the action is none of crash, error, error!, hang, stop");
    entry.action = (enum action)number;
    if (bytes_present(range) && !parse_range(range, &entry))
        refuse(text, "behind the @ stands no passage N from 1 on, and no N-M");
    if (entry.action == ACTION_ERROR_ON)
        entry.last = UINT64_MAX;
    if (entry_count == ENTRIES_MAX)
        refuse(text, "too many entries");
    entries[entry_count++] = entry;
}

static void read_environment(void)
{
    const char *value = getenv("WALFERRY_FAILPOINTS");
    if (value == NULL || value[0] == '\0')
        return;
    struct bytes rest = bytes_str(value);
    while (bytes_present(rest)) {
        struct bytes text = cut(rest, ',', &rest);
        parse_entry(text);
    }
}

static void sleep_for_ever(void)
{
    for (;;)
        discard(pause() != 0);
}

static bool act(const struct entry *entry)
{
    char line[128];
    int len = snprintf(line, sizeof(line), "failpoint %s %s\n", names[entry->failpoint],
                       action_names[entry->action]);
    say(line, len, sizeof(line));
    switch (entry->action) {
    case ACTION_CRASH:
        discard(kill(getpid(), SIGKILL) == 0);
        sleep_for_ever();
        return true;
    case ACTION_HANG:
        sleep_for_ever();
        return true;
    case ACTION_ERROR:
    case ACTION_ERROR_ON:
        return true;
    case ACTION_STOP:
        discard(kill(getpid(), SIGSTOP) == 0);
        return false;
    }
    return false;
}

bool failpoint_hit(enum failpoint failpoint)
{
    int saved = errno;
    discard(pthread_once(&once, read_environment) == 0);
    uint64_t passage = atomic_fetch_add(&passages[failpoint], 1) + 1;
    bool fails = false;
    for (size_t i = 0; i < entry_count && !fails; i++) {
        const struct entry *entry = &entries[i];
        if (entry->failpoint == failpoint && passage >= entry->first && passage <= entry->last)
            fails = act(entry);
    }
    errno = fails ? ENOSPC : saved;
    return fails;
}

const char *failpoint_name(enum failpoint failpoint)
{
    return names[failpoint];
}

uint64_t failpoint_patience(uint64_t seconds)
{
    const char *text = getenv("WALFERRY_WATCHDOG_S");
    uint64_t given = 0;
    return text != NULL && parse_u64(bytes_str(text), &given) && given > 0 ? given : seconds;
}
