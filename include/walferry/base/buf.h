/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf: an owned byte buffer that grows up to a ceiling given at init.
 *
 * Errors stick: an append that would pass the ceiling (or find no memory) leaves the contents
 * as they were, sets `failed`, and makes every later append do nothing. Write straight down,
 * then ask buf_ok() once. A reset keeps the memory and clears the failure.
 * Pointers into the buffer are good until the next append.
 */
#pragma once

#include <stdarg.h>

#include "walferry/base/bytes.h"

struct buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max; /* bytes; appending past it fails. May be moved, but not below len */
    bool failed;
    bool starved; /* it failed for want of memory, not at the ceiling */
};

void buf_init(struct buf *buf, size_t max);
/* Over memory of the caller, at least one byte, which holds at most size - 1: never allocates, and
 * must be neither deinitialised nor shrunk. */
void buf_init_over(struct buf *buf, void *storage, size_t size);
/* Frees; safe on a zeroed or already deinitialised buffer. */
void buf_deinit(struct buf *buf);
void buf_reset(struct buf *buf);
/* As a reset, and free the memory if more than `keep` bytes are held. */
void buf_shrink(struct buf *buf, size_t keep);

void buf_put_bytes(struct buf *buf, struct bytes bytes);
void buf_put_str(struct buf *buf, const char *text);
/* Big endian, the order of PostgreSQL's protocol. */
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
/* Formatted without the closing NUL. */
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *buf, const char *format, va_list args) PRINTF_LIKE(2, 0);
/* buf_reserve() when the memory at hand has no room. */
MUST_USE uint8_t *buf_grow(struct buf *buf, size_t len);
/* NUL-terminate without counting the NUL; "" when that is not possible. */
const char *buf_cstr(struct buf *buf);

static inline bool buf_ok(const struct buf *buf)
{
    return !buf->failed;
}

/* Borrowed: good until the next append. Never absent, even when empty. */
static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_make(buf->ptr == NULL ? (const void *)"" : buf->ptr, buf->len);
}

/* Make room for `len` bytes and return where to write them; NULL (and failed) past the ceiling.
 * The caller then adds what it wrote to buf->len. */
MUST_USE static inline uint8_t *buf_reserve(struct buf *buf, size_t len)
{
    /* Less than what is left of the memory, which leaves the place of the NUL. */
    bool room = !buf->failed && len < buf->cap - buf->len && len <= buf->max - buf->len;
    return room ? buf->ptr + buf->len : buf_grow(buf, len);
}

static inline void buf_put(struct buf *buf, const void *data, size_t len)
{
    uint8_t *to = len == 0 ? NULL : buf_reserve(buf, len);
    if (to == NULL) {
        return;
    }
    memcpy(to, data, len);
    buf->len += len;
}

static inline void buf_put_u8(struct buf *buf, uint8_t value)
{
    uint8_t *to = buf_reserve(buf, 1);
    if (to == NULL) {
        return;
    }
    *to = value;
    buf->len++;
}
