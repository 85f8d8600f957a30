/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/reader.h"

static const uint8_t nothing[1];

void reader_init(struct reader *reader, struct bytes bytes)
{
    const uint8_t *start = bytes_present(bytes) ? bytes.ptr : nothing;
    *reader = (struct reader){.pos = start, .end = start + bytes.len};
}

struct bytes reader_take(struct reader *reader, size_t len)
{
    if (reader->failed || len > reader_left(reader)) {
        reader->failed = true;
        return BYTES_ABSENT;
    }
    struct bytes taken = bytes_make(reader->pos, len);
    reader->pos += len;
    return taken;
}

static uint64_t take_integer(struct reader *reader, size_t size)
{
    struct bytes taken = reader_take(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.len; i++) {
        value = value << 8 | taken.ptr[i];
    }
    return value;
}

uint8_t reader_u8(struct reader *reader)
{
    return (uint8_t)take_integer(reader, sizeof(uint8_t));
}

uint16_t reader_u16(struct reader *reader)
{
    return (uint16_t)take_integer(reader, sizeof(uint16_t));
}

uint32_t reader_u32(struct reader *reader)
{
    return (uint32_t)take_integer(reader, sizeof(uint32_t));
}

uint64_t reader_u64(struct reader *reader)
{
    return take_integer(reader, sizeof(uint64_t));
}

struct bytes reader_cstr(struct reader *reader)
{
    const uint8_t *nul = reader->failed ? NULL : memchr(reader->pos, '\0', reader_left(reader));
    if (nul == NULL) {
        reader->failed = true;
        return BYTES_ABSENT;
    }
    struct bytes text = bytes_make(reader->pos, (size_t)(nul - reader->pos));
    reader->pos = nul + 1;
    return text;
}
