/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame: the messages inside COPY BOTH, and the two texts of the replication protocol that are not
 * SQL: the command that starts the stream and the history of a timeline. Pure.
 *
 * Section 55.4 of PostgreSQL's documentation:
 *     XLogData    'w' start8 end8 time8 data     (in logical decoding start and end are the
 * position of the change, or 0/0: no sign of progress) Keepalive   'k' end8 time8 reply1
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/base/err.h"
#include "walferry/base/lsn.h"

enum frame_kind { FRAME_DATA, FRAME_KEEPALIVE };

struct frame {
    enum frame_kind kind;
    struct lsn wal_end;
    int64_t sent_at_us; /* since 1970 */
    bool reply;         /* KEEPALIVE: the server wants a status */
    struct bytes data;  /* DATA: borrowed from the input */
};

/* False: ERR_PROTOCOL. */
MUST_USE bool frame_parse(struct bytes bytes, struct frame *ret_frame, struct err *err);

struct start_command {
    const char *slot;
    struct lsn start;
    const char *publication;
};

/* START_REPLICATION with the publication quoted as an identifier inside a literal: the server
 * reads it as a list of identifiers and would fold its case. Ends in NUL. */
void start_command_write(const struct start_command *command, struct buf *out);
/* Append `text` between `quote`s, doubling those inside. The replication grammar knows no other
 * escape. */
void put_quoted(struct buf *out, char quote, const char *text);

/* Where `timeline` ended, from the text of a history file ("TLI<tab>LSN<tab>reason" a line).
 * LSN_NONE when the history does not name it. False: ERR_PROTOCOL. */
MUST_USE bool history_find(struct bytes history, uint32_t timeline, struct lsn *ret_end,
                           struct err *err);
