/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/parse.h"
#include "walferry/base/reader.h"

static bool malformed(struct err *err, const char *what, size_t len)
{
    err_set(err, ERR_PROTOCOL, "%s of %zu bytes in the stream is malformed", what, len);
    return err_hint(err, "connect to PostgreSQL 14 or later itself, without a pooler in between");
}

static bool parse_data(struct reader *reader, struct frame *ret_frame)
{
    struct frame frame = {.kind = FRAME_DATA};
    (void)reader_u64(reader);
    frame.wal_end = lsn_make(reader_u64(reader));
    frame.sent_at_us = clock_from_pg((int64_t)reader_u64(reader));
    frame.data = reader_take(reader, reader_left(reader));
    if (!reader_done(reader) || bytes_empty(frame.data)) {
        return false;
    }
    *ret_frame = frame;
    return true;
}

static bool parse_keepalive(struct reader *reader, struct frame *ret_frame)
{
    struct frame frame = {.kind = FRAME_KEEPALIVE, .data = BYTES_ABSENT};
    frame.wal_end = lsn_make(reader_u64(reader));
    frame.sent_at_us = clock_from_pg((int64_t)reader_u64(reader));
    frame.reply = reader_u8(reader) != 0;
    if (!reader_done(reader)) {
        return false;
    }
    *ret_frame = frame;
    return true;
}

bool frame_parse(struct bytes bytes, struct frame *ret_frame, struct err *err)
{
    struct reader reader;
    reader_init(&reader, bytes);
    switch (FAILPOINT(FRAME_READ) ? 0 : reader_u8(&reader)) {
    case 'w':
        return parse_data(&reader, ret_frame) || malformed(err, "a data frame", bytes.len);
    case 'k':
        return parse_keepalive(&reader, ret_frame) || malformed(err, "a keepalive", bytes.len);
    default:
        return malformed(err, "a frame of unknown kind", bytes.len);
    }
}

void put_quoted(struct buf *out, char quote, const char *text)
{
    buf_put_u8(out, (uint8_t)quote);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == quote) {
            buf_put_u8(out, (uint8_t)quote);
        }
        buf_put_u8(out, (uint8_t)*at);
    }
    buf_put_u8(out, (uint8_t)quote);
}

void start_command_write(const struct start_command *command, struct buf *out)
{
    ASSERT(!lsn_is_none(command->start));
    struct buf names;
    buf_init(&names, 1024);
    put_quoted(&names, '"', command->publication);
    buf_put_str(out, "START_REPLICATION SLOT ");
    put_quoted(out, '"', command->slot);
    buf_printf(out, " LOGICAL %s (\"proto_version\" '1', \"publication_names\" ",
               lsn_format(command->start).text);
    put_quoted(out, '\'', buf_cstr(&names));
    /* Always: were it to depend on the configuration, a place inside a transaction would too. */
    buf_put_str(out, ", \"messages\" 'true')");
    buf_deinit(&names);
}

/* The next field up to white space; empty at the end. */
static struct bytes next_word(struct bytes *line)
{
    size_t start = 0;
    while (start < line->len && (line->ptr[start] == ' ' || line->ptr[start] == '\t')) {
        start++;
    }
    size_t end = start;
    while (end < line->len && line->ptr[end] != ' ' && line->ptr[end] != '\t') {
        end++;
    }
    struct bytes word = bytes_make(line->ptr + start, end - start);
    *line = bytes_make(line->ptr + end, line->len - end);
    return word;
}

static bool parse_line(struct bytes line, uint64_t *ret_timeline, struct lsn *ret_end)
{
    struct bytes timeline = next_word(&line);
    return parse_u64(timeline, ret_timeline) && lsn_parse(next_word(&line), ret_end);
}

bool history_find(struct bytes history, uint32_t timeline, struct lsn *ret_end, struct err *err)
{
    struct lsn found = LSN_NONE;
    while (history.len > 0) {
        const uint8_t *newline = memchr(history.ptr, '\n', history.len);
        size_t len = newline == NULL ? history.len : (size_t)(newline - history.ptr);
        struct bytes line = bytes_make(history.ptr, len);
        size_t used = newline == NULL ? len : len + 1;
        history = bytes_make(history.ptr + used, history.len - used);
        struct bytes rest = line;
        struct bytes first = next_word(&rest);
        if (bytes_empty(first) || first.ptr[0] == '#') {
            continue;
        }
        uint64_t parent = 0;
        struct lsn end = LSN_NONE;
        if (!parse_line(line, &parent, &end)) {
            return err_set(err, ERR_PROTOCOL, "the server's timeline history is malformed");
        }
        if (parent == timeline) {
            found = end;
        }
    }
    *ret_end = found;
    return true;
}
