/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/reader.h"

static const uint8_t nothing[1];

void reader_init(struct reader *reader, struct bytes bytes)
{
    const uint8_t *start = bytes_present(bytes) ? bytes.ptr : nothing;
    *reader = (struct reader){.pos = start, .end = start + bytes.len};
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
