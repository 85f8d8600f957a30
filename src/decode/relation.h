/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relation: the cache of relations that the server announced in this session.
 *
 * Owns the relations: one allocation each, replaced when the oid is announced again, freed by
 * relation_cache_clear(). A fixed hash table of PGOUTPUT_RELATIONS_MAX entries at most, so that
 * rows are looked up without allocating. One thread.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/base/reader.h"
#include "walferry/decode/pgoutput.h"

/* A power of two, so well above the most entries that probing stays short. */
#define RELATION_SLOTS 16384
_Static_assert(RELATION_SLOTS - 1 <= UINT16_MAX, "a slot fits its type");
_Static_assert(RELATION_SLOTS / 3 * 2 > PGOUTPUT_RELATIONS_MAX, "a third of the slots stays free");

struct relation_cache {
    struct relation *slots[RELATION_SLOTS];
    uint16_t used[PGOUTPUT_RELATIONS_MAX]; /* the slots that are taken, so that clearing is cheap */
    size_t count;
    const struct relation *last; /* found last; NULL: none */
};

void relation_cache_clear(struct relation_cache *cache);
const struct relation *relation_cache_look_up(struct relation_cache *cache, uint32_t oid);
/* Read the body of a Relation message, everything after its first byte, and keep it. On a false
 * return the cache is as it was; ERR_PROTOCOL without a place, which the caller adds, or
 * ERR_MEMORY. */
MUST_USE bool relation_cache_read(struct relation_cache *cache, struct reader *reader,
                                  const struct relation **ret_relation, struct err *err);

/* NULL when the oid was not announced. Rows of one table come one after the other. */
static inline const struct relation *relation_cache_find(struct relation_cache *cache, uint32_t oid)
{
    const struct relation *last = cache->last;
    return last != NULL && last->oid == oid ? last : relation_cache_look_up(cache, oid);
}
