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
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
/* `len` bytes, borrowed; present even when len is 0. Absent on failure. */
struct bytes reader_take(struct reader *reader, size_t len);
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
