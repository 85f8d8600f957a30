/* SPDX-License-Identifier: Apache-2.0 */
#include "encode.h"

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"

static void put_cstr(struct buf *out, const char *text)
{
    buf_put(out, text, strlen(text) + 1);
}

static void put_time(struct buf *out, int64_t unix_us)
{
    buf_put_u64(out, (uint64_t)clock_to_pg(unix_us));
}

void encode_begin(struct buf *out, struct lsn commit_lsn, int64_t commit_time_us, uint32_t xid)
{
    buf_put_u8(out, 'B');
    buf_put_u64(out, commit_lsn.value);
    put_time(out, commit_time_us);
    buf_put_u32(out, xid);
}

void encode_commit(struct buf *out, struct lsn commit_lsn, struct lsn end_lsn,
                   int64_t commit_time_us)
{
    buf_put_u8(out, 'C');
    buf_put_u8(out, 0);
    buf_put_u64(out, commit_lsn.value);
    buf_put_u64(out, end_lsn.value);
    put_time(out, commit_time_us);
}

void encode_origin(struct buf *out, struct lsn origin_lsn, const char *name)
{
    buf_put_u8(out, 'O');
    buf_put_u64(out, origin_lsn.value);
    put_cstr(out, name);
}

void encode_relation(struct buf *out, const struct relation *relation)
{
    buf_put_u8(out, 'R');
    buf_put_u32(out, relation->oid);
    put_cstr(out, relation->schema);
    put_cstr(out, relation->name);
    buf_put_u8(out, (uint8_t)relation->replica_identity);
    buf_put_u16(out, relation->column_count);
    for (uint16_t i = 0; i < relation->column_count; i++) {
        const struct column *column = &relation->columns[i];
        buf_put_u8(out, column->key ? 1 : 0);
        put_cstr(out, column->name);
        buf_put_u32(out, column->type_oid);
        buf_put_u32(out, (uint32_t)column->type_mod);
    }
}

void encode_type(struct buf *out, uint32_t oid, const char *schema, const char *name)
{
    buf_put_u8(out, 'Y');
    buf_put_u32(out, oid);
    put_cstr(out, schema);
    put_cstr(out, name);
}

static uint8_t value_mark(enum value_kind kind)
{
    switch (kind) {
    case VALUE_NULL:
        return 'n';
    case VALUE_UNCHANGED:
        return 'u';
    case VALUE_TEXT:
        return 't';
    case VALUE_BINARY:
        return 'b';
    }
    UNREACHABLE();
}

void encode_tuple(struct buf *out, struct tuple tuple)
{
    buf_put_u16(out, tuple.count);
    for (uint16_t i = 0; i < tuple.count; i++) {
        const struct value *value = &tuple.values[i];
        buf_put_u8(out, value_mark(value->kind));
        if (value->kind == VALUE_TEXT || value->kind == VALUE_BINARY) {
            buf_put_u32(out, (uint32_t)value->bytes.len);
            buf_put_bytes(out, value->bytes);
        }
    }
}

void encode_insert(struct buf *out, uint32_t oid, struct tuple row)
{
    buf_put_u8(out, 'I');
    buf_put_u32(out, oid);
    buf_put_u8(out, 'N');
    encode_tuple(out, row);
}

void encode_insert_text(struct buf *out, uint32_t oid, uint16_t count, const char *const *texts)
{
    ASSERT(count <= COLUMN_MAX);
    struct value values[COLUMN_MAX];
    for (uint16_t i = 0; i < count; i++)
        values[i] = texts[i] == NULL ? NULL_VALUE : VALUE_OF(texts[i]);
    encode_insert(out, oid, (struct tuple){.count = count, .values = values});
}

static void put_old_tuple(struct buf *out, enum old_tuple old_kind, struct tuple old_row)
{
    if (old_kind == OLD_NONE)
        return;
    buf_put_u8(out, old_kind == OLD_KEY ? 'K' : 'O');
    encode_tuple(out, old_row);
}

void encode_update(struct buf *out, uint32_t oid, enum old_tuple old_kind, struct tuple old_row,
                   struct tuple new_row)
{
    buf_put_u8(out, 'U');
    buf_put_u32(out, oid);
    put_old_tuple(out, old_kind, old_row);
    buf_put_u8(out, 'N');
    encode_tuple(out, new_row);
}

void encode_delete(struct buf *out, uint32_t oid, enum old_tuple old_kind, struct tuple old_row)
{
    buf_put_u8(out, 'D');
    buf_put_u32(out, oid);
    put_old_tuple(out, old_kind, old_row);
}

void encode_truncate(struct buf *out, const uint32_t *oids, uint32_t count, bool cascade,
                     bool restart_identity)
{
    buf_put_u8(out, 'T');
    buf_put_u32(out, count);
    buf_put_u8(out, (uint8_t)((cascade ? 1 : 0) | (restart_identity ? 2 : 0)));
    for (uint32_t i = 0; i < count; i++)
        buf_put_u32(out, oids[i]);
}

void encode_message(struct buf *out, bool transactional, struct lsn lsn, const char *prefix,
                    struct bytes content)
{
    buf_put_u8(out, 'M');
    buf_put_u8(out, transactional ? 1 : 0);
    buf_put_u64(out, lsn.value);
    put_cstr(out, prefix);
    buf_put_u32(out, (uint32_t)content.len);
    buf_put_bytes(out, content);
}

void encode_xlog_data(struct buf *out, struct lsn start, struct lsn end, int64_t sent_us,
                      struct bytes message)
{
    buf_put_u8(out, 'w');
    buf_put_u64(out, start.value);
    buf_put_u64(out, end.value);
    put_time(out, sent_us);
    buf_put_bytes(out, message);
}

void encode_keepalive(struct buf *out, struct lsn wal_end, int64_t sent_us, bool reply_requested)
{
    buf_put_u8(out, 'k');
    buf_put_u64(out, wal_end.value);
    put_time(out, sent_us);
    buf_put_u8(out, reply_requested ? 1 : 0);
}
