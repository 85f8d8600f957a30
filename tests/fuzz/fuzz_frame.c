/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands around the messages of the stream: frames of the replication protocol, histories of
 * timelines, and the names that we quote for the server, one by the first byte of the input.
 */
#include <stdlib.h>

#include "fields.h"
#include "frame.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"

#define NAME_SIZE 128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the server writes it: the same bytes again, but for times that saturate and for flags other
 * than 0 and 1. */
static void check_frame(struct bytes text)
{
    struct frame frame;
    struct err err = ERR_INIT;
    if (!frame_parse(text, &frame, &err)) {
        ASSERT(err.code == ERR_PROTOCOL && err.message[0] != '\0' && err.hint[0] != '\0');
        return;
    }
    struct buf again AUTO(buf_deinit);
    buf_init(&again, text.len + 64);
    bool data = frame.kind == FRAME_DATA;
    buf_put_u8(&again, data ? 'w' : 'k');
    if (data)
        buf_put_bytes(&again, bytes_make(text.ptr + 1, 8));
    buf_put_u64(&again, frame.wal_end.value);
    buf_put_bytes(&again, bytes_make(text.ptr + (data ? 17 : 9), 8));
    if (data)
        buf_put_bytes(&again, frame.data);
    else
        buf_put_u8(&again, frame.reply ? text.ptr[17] : 0);
    ASSERT(bytes_equal(buf_bytes(&again), text));
    ASSERT(!data || frame.data.len > 0);
}

static void check_history(struct bytes text)
{
    struct err err = ERR_INIT;
    struct lsn end = LSN_NONE;
    uint32_t timeline = (uint32_t)field_number(&text, 1);
    if (!history_find(text, timeline, &end, &err)) {
        ASSERT(err.code == ERR_PROTOCOL);
        return;
    }
    /* Found where the newest line is ours. */
    struct buf longer AUTO(buf_deinit);
    buf_init(&longer, text.len + 64);
    buf_put_bytes(&longer, text);
    buf_printf(&longer, "\n%u\t1/2\tno reason\n", timeline);
    ASSERT(history_find(buf_bytes(&longer), timeline, &end, &err));
    ASSERT(end.value == (UINT64_C(1) << 32 | 2));
}

/* Reads back what stands between the quotes; returns what follows them. */
static const char *unquote(const char *at, char quote, char *into)
{
    ASSERT(*at == quote);
    for (at++; *at != quote || at[1] == quote; at++) {
        ASSERT(*at != '\0');
        at += *at == quote ? 1 : 0;
        *into++ = *at;
    }
    *into = '\0';
    return at + 1;
}

static void check_quotes(struct bytes text)
{
    static const char BEGIN[] = "START_REPLICATION SLOT ";
    static const char NAMES[] = "\"publication_names\" ";
    char slot[NAME_SIZE];
    char publication[NAME_SIZE];
    char found[2 * NAME_SIZE + 3];
    char inner[2 * NAME_SIZE + 3];
    field_text(&text, slot, sizeof(slot));
    field_text(&text, publication, sizeof(publication));
    const struct start_command command = {slot, lsn_make(1), publication};
    struct buf out AUTO(buf_deinit);
    buf_init(&out, 8192);
    start_command_write(&command, &out);
    ASSERT(buf_ok(&out));
    const char *at = buf_cstr(&out);
    ASSERT(strncmp(at, BEGIN, strlen(BEGIN)) == 0);
    at = unquote(at + strlen(BEGIN), '"', found);
    ASSERT(strcmp(found, slot) == 0);
    at = strstr(at, NAMES);
    ASSERT(at != NULL);
    at = unquote(at + strlen(NAMES), '\'', found);
    ASSERT(strcmp(at, ", \"messages\" 'true')") == 0);
    ASSERT(*unquote(found, '"', inner) == '\0' && strcmp(inner, publication) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct bytes text) = {check_frame, check_history, check_quotes};
    struct bytes text = bytes_make(data, size);
    if (size == 0)
        return 0;
    checks[field_number(&text, 1) % ARRAY_LEN(checks)](text);
    return 0;
}
