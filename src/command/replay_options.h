/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_options: what `walferry replay` was asked for, and the command that goes on from a row.
 *
 * Times are absolute once they are read: an age is counted back from the start of the command.
 * Strings are borrowed from the arguments; the ids are owned.
 */
#pragma once

#include <stdio.h>

#include "walferry/base/buf.h"
#include "walferry/command/command.h"

/* In the order of strcmp(), each once. */
struct replay_ids {
    char *text; /* behind items */
    const char **items;
    size_t count;
};

/* Options that let only rows pass whose field matches: another one is another row of the table. */
struct replay_filter {
    const char *option;
    enum event_field field;
    bool glob; /* else the same text */
};

#define REPLAY_FILTERS 2
extern const struct replay_filter replay_filters[REPLAY_FILTERS];

struct replay_options {
    bool has_from;
    bool has_to;
    int64_t from_us; /* from <= occurred_at < to, since 1970 */
    int64_t to_us;
    bool by_ids;
    struct replay_ids ids;
    const char *after; /* an id: only rows behind that one; NULL */
    const char *table; /* NULL: all */
    const char *conninfo;
    const char *filters[REPLAY_FILTERS]; /* by row of replay_filters; NULL: all pass */
    bool dry_run;
    bool json;
    uint64_t timeout_ms;
};

/* `input` is read for `--ids -`. False: ERR_USAGE, ERR_OS when it cannot be read, or ERR_MEMORY. */
MUST_USE bool replay_options_read(const struct arguments *arguments, int64_t now_us, FILE *input,
                                  struct replay_options *ret_options, struct err *err);
void replay_options_free(struct replay_options *options);
/* Whether the filters let the event pass; a field that is not there is empty text. */
bool replay_options_pass(const struct replay_options *options, const struct event *event);
/* The whole command again, for a shell, to go on behind the row with the id `after`; NULL: from the
 * beginning. Secrets in it are blanked. */
void replay_options_resume(const struct replay_options *options, const struct arguments *arguments,
                           const char *after, struct buf *out);
/* One word for a shell: as it is, or quoted. */
void replay_put_word(struct buf *out, const char *word);
