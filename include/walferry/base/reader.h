/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: a cursor over borrowed bytes with a sticky error.
 *
 * The first read that would pass the end sets `failed`; that read and every later one return
 * zero or absent bytes and move nothing. A decoder reads straight down and asks once, with
 * reader_done(), which also demands that every byte was consumed. Integers are big endian.
 */
#pragma once

#include "walferry/base/bytes.h"

struct reader {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
};

void reader_init(struct reader *reader, struct bytes bytes);
/* Up to and without the next NUL, which is consumed; fails when there is none. */
struct bytes reader_cstr(struct reader *reader);

static inline size_t reader_left(const struct reader *reader)
{
    return reader->failed ? 0 : (size_t)(reader->end - reader->pos);
}

/* True when nothing failed and nothing is left. */
static inline bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->pos == reader->end;
}

/* Pass the next `len` bytes and say where they stand; false on failure. */
static inline bool reader_pass(struct reader *reader, size_t len, const uint8_t **ret_at)
{
    if (reader->failed || len > (size_t)(reader->end - reader->pos)) {
        reader->failed = true;
        return false;
    }
    *ret_at = reader->pos;
    reader->pos += len;
    return true;
}

/* `len` bytes, borrowed; present even when len is 0. Absent on failure. */
static inline struct bytes reader_take(struct reader *reader, size_t len)
{
    const uint8_t *at;
    return reader_pass(reader, len, &at) ? bytes_make(at, len) : BYTES_ABSENT;
}

static inline uint8_t reader_u8(struct reader *reader)
{
    const uint8_t *at;
    return reader_pass(reader, sizeof(uint8_t), &at) ? *at : 0;
}

/* Shifts, which compilers know for one load and a swap. */
static inline uint16_t reader_u16(struct reader *reader)
{
    const uint8_t *at;
    return reader_pass(reader, sizeof(uint16_t), &at) ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

static inline uint32_t reader_u32(struct reader *reader)
{
    const uint8_t *at;
    if (!reader_pass(reader, sizeof(uint32_t), &at))
        return 0;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t reader_u64(struct reader *reader)
{
    const uint8_t *at;
    if (!reader_pass(reader, sizeof(uint64_t), &at))
        return 0;
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 |
           (uint64_t)at[3] << 32 | (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 |
           (uint64_t)at[6] << 8 | at[7];
}
