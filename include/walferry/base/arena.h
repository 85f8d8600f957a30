/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena: memory for one row in hand.
 *
 * Allocations live until arena_reset(). One block, allocated at init, serves the steady state
 * without malloc; what does not fit goes into extra blocks, freed at reset, up to a ceiling
 * over all of them. At the ceiling, or without memory, arena_alloc() returns NULL.
 */
#pragma once

#include "walferry/base/bytes.h"

struct arena_block;

struct arena {
    uint8_t *base; /* the block that stays */
    size_t base_size;
    size_t used; /* of base */
    struct arena_block *extra;
    size_t extra_size; /* bytes in extra blocks */
    size_t max;        /* ceiling over base and extra */
    bool starved;      /* since the reset it refused for want of memory, not at the ceiling */
};

/* False when `base_size` bytes cannot be had. */
MUST_USE bool arena_init(struct arena *arena, size_t base_size, size_t max);
void arena_deinit(struct arena *arena);
void arena_reset(struct arena *arena);
/* Aligned for any type; size 0 gives a valid pointer. NULL at the ceiling. */
MUST_USE void *arena_alloc(struct arena *arena, size_t size);
/* A copy in the arena, followed by a NUL that is not counted; absent stays absent. Sets *ret_ok
 * to false at the ceiling and never to true. */
struct bytes arena_copy(struct arena *arena, struct bytes bytes, bool *ret_ok);
