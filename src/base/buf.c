/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "walferry/base/assert.h"

enum { BUF_CAP_MIN = 64 };

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_init_over(struct buf *buf, void *storage, size_t size)
{
    ASSERT(size > 0);
    *buf = (struct buf){.ptr = storage, .cap = size, .max = size - 1};
}

void buf_deinit(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){.max = buf->max};
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    buf->starved = false;
}

void buf_shrink(struct buf *buf, size_t keep)
{
    if (buf->cap > keep) {
        buf_deinit(buf);
    }
    buf_reset(buf);
}

/* What to allocate so that `need` bytes fit: twice as much as before, but no more than the
 * ceiling and a NUL. */
static size_t grown_cap(const struct buf *buf, size_t need)
{
    size_t cap = buf->cap < BUF_CAP_MIN / 2 ? BUF_CAP_MIN : buf->cap;
    if (cap <= SIZE_MAX / 2) {
        cap *= 2;
    }
    if (buf->max < SIZE_MAX && cap > buf->max + 1) {
        cap = buf->max + 1;
    }
    return cap < need ? need : cap;
}

/* Room for `len` more bytes and the NUL of buf_cstr(). */
static bool make_room(struct buf *buf, size_t len)
{
    if (buf->failed) {
        return false;
    }
    if (len > buf->max - buf->len || len >= SIZE_MAX - buf->len) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + len + 1;
    if (need <= buf->cap) {
        return true;
    }
    size_t cap = grown_cap(buf, need);
    uint8_t *ptr = realloc(buf->ptr, cap);
    if (ptr == NULL) {
        buf->failed = true;
        buf->starved = true;
        return false;
    }
    buf->ptr = ptr;
    buf->cap = cap;
    return true;
}

void buf_put_bytes(struct buf *buf, struct bytes bytes)
{
    buf_put(buf, bytes.ptr, bytes.len);
}

void buf_put_str(struct buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
    const uint8_t data[] = {(uint8_t)(value >> 8), (uint8_t)value};
    buf_put(buf, data, sizeof(data));
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
    const uint8_t data[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                            (uint8_t)value};
    buf_put(buf, data, sizeof(data));
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
    uint8_t data[8];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(value >> (56 - 8 * i));
    }
    buf_put(buf, data, sizeof(data));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    if (buf->failed) {
        return;
    }
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) {
        buf->failed = true;
        return;
    }
    if (!make_room(buf, (size_t)length)) {
        return;
    }
    int written = vsnprintf((char *)buf->ptr + buf->len, (size_t)length + 1, format, args);
    ASSERT(written == length);
    buf->len += (size_t)length;
}

uint8_t *buf_grow(struct buf *buf, size_t len)
{
    return make_room(buf, len) ? buf->ptr + buf->len : NULL;
}

const char *buf_cstr(struct buf *buf)
{
    /* Every allocation has room for it, so only an empty buffer may have none. */
    if (buf->ptr == NULL) {
        return "";
    }
    buf->ptr[buf->len] = '\0';
    return (const char *)buf->ptr;
}
