/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stages: what lies between a change and the record of it: capture, route and envelope, with the
 * memory of the row in hand.
 *
 * The relay and `walferry replay` take their rows through the same stages, so that a row becomes
 * the same record wherever it was read. Owns all of its members; pure, no I/O and no clock. What
 * comes out borrows from the change, from the event and from the memory of the row: good until
 * stages_next_row().
 */
#pragma once

#include "walferry/base/arena.h"
#include "walferry/base/buf.h"
#include "walferry/capture/capture.h"
#include "walferry/config/config.h"

struct stages {
    const struct config *config; /* borrowed */
    struct capture *capture;
    struct route *route;
    struct envelope envelope;
    struct arena arena;
    struct buf value;
};

MUST_USE bool stages_open(struct stages *stages, const struct config *config, struct err *err);
/* Room for a row whose record has at most `value_max` bytes: of the sink, or as much as a row may
 * have. */
MUST_USE bool stages_room(struct stages *stages, size_t value_max, struct err *err);
/* Safe on a zeroed one, and after a failed open. */
void stages_close(struct stages *stages);
/* The row in hand is done with. */
void stages_next_row(struct stages *stages);
/* Whether memory was missing for the row in hand: then it is not at fault, whatever was said of it.
 * True: ERR_MEMORY. */
MUST_USE bool stages_starved(const struct stages *stages, struct err *err);

enum stages_outcome {
    STAGES_RECORD,
    STAGES_DROP,   /* a rule says so */
    STAGES_POISON, /* err, of class POISON */
};

/* Place the event and render it. *ret_topic is where it is going: absent when that is not known.
 * `rejected` is the name of the error with which the broker refused the record again and again
 * (careful.h): it is poison then; else NULL. */
MUST_USE enum stages_outcome stages_render(struct stages *stages, const struct event *event,
                                           const char *rejected, struct record *ret_record,
                                           struct bytes *ret_topic, struct err *err);
/* Where a row that could not be read would have gone, as far as what could be read tells. */
struct bytes stages_destination(struct stages *stages, const struct event *event);
/* The dead letter of an event; `topic` is where it was going. False: ERR_DEAD_LETTER. */
MUST_USE bool stages_letter(struct stages *stages, const struct event *event, struct bytes topic,
                            const struct err *reason, int64_t time_us, size_t value_max,
                            struct record *ret_record, struct err *err);
/* What ends the work under poison: halt, for `reason`. */
void stages_halt(const struct err *reason, struct err *err);
