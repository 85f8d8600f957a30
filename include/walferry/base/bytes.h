/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes: a borrowed run of bytes.
 *
 * Never assumed to end in NUL, never owned: whoever made it says how long it lives. A null
 * pointer means "absent" (SQL NULL, no key, no value); a non-null pointer with length 0 means
 * "empty". The two are different everywhere in this tree.
 */
#pragma once

#include <string.h>

#include "walferry/base/compiler.h"

struct bytes {
    const uint8_t *ptr;
    size_t len;
};

#define BYTES_ABSENT ((struct bytes){NULL, 0})
/* From a string literal. */
#define BYTES_LIT(literal) ((struct bytes){(const uint8_t *)("" literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define BYTES_FMT(b) (int)(b).len, (const char *)((b).ptr == NULL ? (const uint8_t *)"" : (b).ptr)

static inline struct bytes bytes_make(const void *ptr, size_t len)
{
    return (struct bytes){ptr, len};
}

/* From a C string; NULL gives absent bytes. */
static inline struct bytes bytes_str(const char *text)
{
    return text == NULL ? BYTES_ABSENT : bytes_make(text, strlen(text));
}

static inline bool bytes_present(struct bytes b)
{
    return b.ptr != NULL;
}

/* Absent or of length 0. */
static inline bool bytes_empty(struct bytes b)
{
    return b.len == 0;
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return bytes_present(a) == bytes_present(b) && a.len == b.len &&
           (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Big endian, at any address. */
static inline void bytes_store_u64(void *to, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(to, &value, sizeof(value));
}

/* FNV-1a, for tables in memory; whoever chooses the bytes can make them collide. */
static inline uint32_t bytes_hash(struct bytes b)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < b.len; i++)
        hash = (hash ^ b.ptr[i]) * UINT32_C(16777619);
    return hash;
}

static inline bool bytes_is(struct bytes b, const char *text)
{
    return bytes_present(b) && bytes_equal(b, bytes_str(text));
}
