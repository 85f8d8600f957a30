/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: copies of records that wait for the next transaction while one is being committed, first
 * in, first out.
 *
 * Memory is taken in pieces as records come and kept for the next time, so that a stage costs
 * nothing in the steady state; how much waits at most is the relay's business (its limits in flight
 * count these records too). Not thread-safe: the sink's thread owns it.
 */
#pragma once

#include "walferry/model/record.h"

struct stage_piece;

struct stage {
    struct stage_piece *first; /* holds the oldest record, at `at` */
    struct stage_piece *last;
    struct stage_piece *spare;
    size_t at;
    size_t count; /* records that wait */
};

/* All zero is an empty one. */
void stage_deinit(struct stage *stage);
/* Forget all records; the memory is kept. */
void stage_clear(struct stage *stage);
/* False: no memory, and nothing is changed. `topic` is the sink's number for it; the record's own
 * name of the topic is not kept, nor is a partition: only a record without one may wait. */
MUST_USE bool stage_put(struct stage *stage, const struct record *record, uint32_t topic,
                        uint64_t tag);
/* The oldest record, borrowed until it is popped; false when there is none. placement.topic is
 * absent. */
MUST_USE bool stage_get(const struct stage *stage, struct record *ret_record, uint32_t *ret_topic,
                        uint64_t *ret_tag);
/* Asserts that there is one. */
void stage_pop(struct stage *stage);
