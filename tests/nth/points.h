/* SPDX-License-Identifier: Apache-2.0 */
/*
 * points: runs a scenario once to learn which calls of one kind it makes, then again for each of
 * them with that call failing.
 *
 * A site that is called often is failed at counts spread over all of its calls. The sites learned
 * must have failed at least once in the end, but for a few whose calls depend on the moment: a
 * fault that did not fire proves nothing.
 */
#pragma once

#include "fail.h"
#include "walferry/base/compiler.h"

struct point {
    enum nth_kind kind;
    const char *function;
    uint64_t site;  /* 0: none, this run only learns */
    uint64_t count; /* of the call that fails */
    uint64_t last;  /* 0: and all after it */
};

/* Runs the program under test, whose environment asks for the fault, and complains of what is not
 * as promised. */
typedef void (*points_scenario)(const struct point *point);

/* `spread`: at most so many counts a site. `lasting`: also with the first call and all after it. */
void points_run(enum nth_kind kind, points_scenario scenario, unsigned spread, bool lasting);
/* Only every so many sites from now on. */
void points_stride(unsigned stride);
/* What the run in hand has not kept; counted, and printed with the point. */
void points_complain(const struct point *point, const char *format, ...) PRINTF_LIKE(2, 3);
/* Whether points_complain() was called since it was last asked. */
bool points_failures_new(void);
/* Whether the fault of the run in hand has happened. */
bool points_fired(void);
/* From now on the program is started without a fault. */
void points_disarm(void);
