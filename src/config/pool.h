/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: the memory behind one configuration, freed as a whole.
 *
 * Everything the loader makes lives here: nodes, texts, arrays. Failures stick: ask `failed` once
 * at the end. Contents are wiped when it is freed as far as they lie in its first block, because
 * secrets are among them.
 */
#pragma once

#include "walferry/base/arena.h"

struct pool {
    struct arena arena;
    bool failed;
};

/* NULL without memory. */
MUST_USE struct pool *pool_new(void);
void pool_free(struct pool *pool);
/* Zeroed; NULL (and failed) at the ceiling. */
MUST_USE void *pool_alloc(struct pool *pool, size_t size);
/* A copy that ends in NUL; "" (and failed) at the ceiling. */
const char *pool_text(struct pool *pool, const void *text, size_t len);
const char *pool_printf(struct pool *pool, const char *format, ...) PRINTF_LIKE(2, 3);
