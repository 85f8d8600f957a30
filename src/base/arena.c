/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#include "walferry/base/assert.h"

/* Newest first; only the newest is filled further. */
struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    size_t used;
    alignas(max_align_t) uint8_t data[];
};

bool arena_init(struct arena *arena, size_t base_size, size_t max)
{
    ASSERT(base_size <= max && max < SIZE_MAX);
    uint8_t *base = malloc(base_size + 1);
    if (base == NULL) {
        return false;
    }
    *arena = (struct arena){.base = base, .base_size = base_size, .max = max};
    return true;
}

static void free_extra(struct arena *arena)
{
    while (arena->extra != NULL) {
        struct arena_block *next = arena->extra->next;
        free(arena->extra);
        arena->extra = next;
    }
    arena->extra_size = 0;
}

void arena_deinit(struct arena *arena)
{
    free_extra(arena);
    free(arena->base);
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    free_extra(arena);
    arena->used = 0;
    arena->starved = false;
}

/* The next `size` bytes of a block of which *used are taken, or NULL when it is too full. */
static void *take(uint8_t *block, size_t block_size, size_t *used, size_t size)
{
    const size_t align = alignof(max_align_t);
    size_t gap = (align - *used % align) % align;
    if (gap > block_size - *used || size > block_size - *used - gap) {
        return NULL;
    }
    uint8_t *taken = block + *used + gap;
    *used += gap + size;
    return taken;
}

/* A block for at least `size` bytes; as large as the base when the ceiling allows, so that many
 * small allocations after an overflow do not each cost a malloc. */
static bool add_block(struct arena *arena, size_t size)
{
    size_t room = arena->max - arena->base_size - arena->extra_size;
    if (size > room) {
        return false;
    }
    size_t block_size = size > arena->base_size ? size : arena->base_size;
    if (block_size > room) {
        block_size = room;
    }
    if (block_size > SIZE_MAX - sizeof(struct arena_block)) {
        return false;
    }
    struct arena_block *block = malloc(sizeof(*block) + block_size);
    if (block == NULL) {
        arena->starved = true;
        return false;
    }
    block->next = arena->extra;
    block->size = block_size;
    block->used = 0;
    arena->extra = block;
    arena->extra_size += block_size;
    return true;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size == 0) {
        return arena->base;
    }
    void *taken = take(arena->base, arena->base_size, &arena->used, size);
    if (taken != NULL) {
        return taken;
    }
    struct arena_block *block = arena->extra;
    if (block != NULL) {
        taken = take(block->data, block->size, &block->used, size);
        if (taken != NULL) {
            return taken;
        }
    }
    if (!add_block(arena, size)) {
        return NULL;
    }
    block = arena->extra;
    return take(block->data, block->size, &block->used, size);
}

struct bytes arena_copy(struct arena *arena, struct bytes bytes, bool *ret_ok)
{
    if (!bytes_present(bytes)) {
        return BYTES_ABSENT;
    }
    uint8_t *copy = bytes.len < SIZE_MAX ? arena_alloc(arena, bytes.len + 1) : NULL;
    if (copy == NULL) {
        *ret_ok = false;
        return BYTES_ABSENT;
    }
    memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    return bytes_make(copy, bytes.len);
}
