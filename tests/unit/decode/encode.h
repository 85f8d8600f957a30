/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode: writes what a walsender writes, for tests: pgoutput messages of protocol version 1
 * (PostgreSQL documentation, section 55.9) and the frames that carry them (section 55.4).
 *
 * Each function appends one message to `out`, whose failure sticks as usual. Times are
 * microseconds since 1970. Nothing is checked: tests write wrong messages too.
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/model/change.h"

/* A value of each kind; VALUE_OF takes a C string. */
#define VALUE_OF(text)                                                                             \
    ((struct value){.kind = VALUE_TEXT, .bytes = bytes_make((text), strlen(text))})
#define NULL_VALUE      ((struct value){.kind = VALUE_NULL})
#define UNCHANGED_VALUE ((struct value){.kind = VALUE_UNCHANGED})

void encode_begin(struct buf *out, struct lsn commit_lsn, int64_t commit_time_us, uint32_t xid);
void encode_commit(struct buf *out, struct lsn commit_lsn, struct lsn end_lsn,
                   int64_t commit_time_us);
void encode_origin(struct buf *out, struct lsn origin_lsn, const char *name);
void encode_relation(struct buf *out, const struct relation *relation);
void encode_type(struct buf *out, uint32_t oid, const char *schema, const char *name);
void encode_insert(struct buf *out, uint32_t oid, struct tuple row);
/* As encode_insert; a NULL text is a NULL value. */
void encode_insert_text(struct buf *out, uint32_t oid, uint16_t count, const char *const *texts);
void encode_update(struct buf *out, uint32_t oid, enum old_tuple old_kind, struct tuple old_row,
                   struct tuple new_row);
void encode_delete(struct buf *out, uint32_t oid, enum old_tuple old_kind, struct tuple old_row);
void encode_truncate(struct buf *out, const uint32_t *oids, uint32_t count, bool cascade,
                     bool restart_identity);
void encode_message(struct buf *out, bool transactional, struct lsn lsn, const char *prefix,
                    struct bytes content);
/* Only the TupleData, as it stands in Insert, Update and Delete. */
void encode_tuple(struct buf *out, struct tuple tuple);

/* The copy-data frames around them: XLogData ('w') and primary keepalive ('k'). */
void encode_xlog_data(struct buf *out, struct lsn start, struct lsn end, int64_t sent_us,
                      struct bytes message);
void encode_keepalive(struct buf *out, struct lsn wal_end, int64_t sent_us, bool reply_requested);
