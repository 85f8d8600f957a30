/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_print: what `walferry replay` tells people: a line a row of a dry run on standard output,
 * everything else on standard error. Text from rows is shown escaped.
 */
#pragma once

#include <stdio.h>

#include "walferry/base/err.h"
#include "walferry/model/record.h"

struct replay_counts {
    uint64_t read; /* rows that the filters let pass */
    uint64_t published;
    uint64_t dead_letters;
    uint64_t dropped; /* by a rule */
    uint64_t skipped; /* by poison: skip */
    bool has_times;
    int64_t first_us; /* of occurred_at */
    int64_t last_us;
};

enum replay_fate {
    REPLAY_PUBLISHED,
    REPLAY_DROPPED,
    REPLAY_DEAD_LETTER,
    REPLAY_SKIPPED,
    REPLAY_HALTED,
};

struct replay_line {
    const char *table;
    const struct event *event;
    const struct placement *placement; /* where it goes; NULL for what goes nowhere */
    enum replay_fate fate;
    const struct err *reason; /* of poison; else NULL */
};

/* id, type, topic, key, occurred_at, with tabs between; or one object of JSON. */
void replay_print_line(FILE *out, const struct replay_line *line, bool json);
/* A row went to the dead letters or is skipped. */
void replay_print_poison(FILE *out, const struct event *event, enum replay_fate fate,
                         const struct err *reason);
/* "3 rows of outbox.event and ... read: 2 published, ..." */
void replay_print_summary(FILE *out, const struct replay_counts *counts, bool dry_run);
/* Over the line of before; for terminals. */
void replay_print_progress(FILE *out, const struct replay_counts *counts);
