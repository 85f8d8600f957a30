/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a checkpoint, and with a right checksum behind them, which no fuzzer would guess.
 * What is accepted has one form: written again it is the same, byte for byte.
 */
#include <inttypes.h>

#include "walferry/base/assert.h"
#include "walferry/base/crc32c.h"
#include "walferry/checkpoint/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct bytes text)
{
    struct checkpoint checkpoint;
    struct err err = ERR_INIT;
    if (!checkpoint_decode(text, &checkpoint, &err)) {
        ASSERT(err.code == ERR_CHECKPOINT_INVALID || err.code == ERR_CHECKPOINT_VERSION);
        return;
    }
    struct buf again;
    buf_init(&again, CHECKPOINT_TEXT_MAX);
    checkpoint_encode(&checkpoint, &again);
    ASSERT(bytes_equal(buf_bytes(&again), text));
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_make(data, size);
    check(input);
    if (size > CHECKPOINT_TEXT_MAX)
        return 0;
    struct buf text;
    buf_init(&text, (size_t)2 * CHECKPOINT_TEXT_MAX);
    buf_put_bytes(&text, input);
    buf_printf(&text, "crc32c=%08" PRIx32 "\n", crc32c(input));
    check(buf_bytes(&text));
    buf_deinit(&text);
    return 0;
}
