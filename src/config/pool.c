/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define POOL_BASE_SIZE ((size_t)256 * 1024)
#define POOL_MAX       ((size_t)64 * 1024 * 1024)

struct pool *pool_new(void)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    if (!arena_init(&pool->arena, POOL_BASE_SIZE, POOL_MAX)) {
        free(pool);
        return NULL;
    }
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    explicit_bzero(pool->arena.base, pool->arena.used);
    arena_deinit(&pool->arena);
    free(pool);
}

void *pool_alloc(struct pool *pool, size_t size)
{
    void *memory = arena_alloc(&pool->arena, size);
    if (memory == NULL) {
        pool->failed = true;
        return NULL;
    }
    memset(memory, 0, size);
    return memory;
}

const char *pool_text(struct pool *pool, const void *text, size_t len)
{
    char *copy = pool_alloc(pool, len + 1);
    if (copy == NULL) {
        return "";
    }
    if (len > 0) {
        memcpy(copy, text, len);
    }
    return copy;
}

const char *pool_printf(struct pool *pool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : pool_alloc(pool, (size_t)len + 1);
    if (text != NULL) {
        vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text == NULL ? "" : text;
}
