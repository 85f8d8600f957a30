/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay: rows that still stand in an outbox table, published again.
 *
 * replay.c asks, connects, takes the tables one after another and says how it ended; replay_work.c
 * takes one row through the stages to the sink or to a line of a dry run, and turns the loop.
 * replay_options, replay_table, replay_rows, replay_send and replay_print are its parts. One
 * thread; everything is in struct replay.
 */
#pragma once

#include "replay_options.h"
#include "replay_print.h"
#include "replay_rows.h"
#include "replay_send.h"
#include "walferry/loop/loop.h"
#include "walferry/relay/stages.h"

/* An id as the table at hand shows it. */
struct replay_key {
    struct bytes text;
    size_t index; /* of the options' id */
};

struct replay {
    const struct config *config;
    const struct arguments *arguments;
    struct replay_options options;
    struct loop loop;
    struct pg *pg;
    char role[128]; /* that reads, quoted */
    struct stages stages;
    struct replay_send send; /* not in a dry run */
    struct replay_counts counts;
    bool stopped; /* by a signal, or because nobody reads standard output */
    bool deaf;    /* the latter */
    bool halted;  /* `halt` says why */
    struct err halt;
    unsigned notices; /* of poison */
    uint64_t next_progress_ns;
    bool shows_progress;

    struct replay_table table;
    struct replay_rows rows;
    struct replay_key *keys; /* of the ids, in the order of their text; NULL without --ids */
    size_t key_count;
    bool reading_ended;
    bool *found; /* by the options' ids */
    /* Rows of the table that were counted: after a failed delivery some come again. */
    uint32_t read_to;
    uint32_t dropped_to;
    uint32_t poison_to;

    /* The row at hand, while the sink is busy. */
    bool offered;
    struct event event;
    struct record record;
    struct bytes topic;      /* where it is going; absent when that is not known */
    struct replay_mark mark; /* its id is in the stages' memory */
};

/* replay_work.c: the rows of the table at hand, to their end or until the replay stops. */
MUST_USE bool replay_work(struct replay *replay, struct err *err);
