/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/decode/pgoutput.h"

#include <stdlib.h>

#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

#include "relation.h"
#include "row.h"

#define MESSAGE_TRANSACTIONAL     1
#define TRUNCATE_CASCADE          1
#define TRUNCATE_RESTART_IDENTITY 2

struct pgoutput {
    bool broken; /* a message was refused: what follows cannot be trusted */
    bool in_transaction;
    struct lsn commit_lsn; /* of the open transaction, from Begin */
    struct lsn last_end;   /* of the transaction before it, in this session */
    struct relation_cache relations;
    struct value old_values[COLUMN_MAX];
    struct value new_values[COLUMN_MAX];
    const struct relation *truncated[PGOUTPUT_RELATIONS_MAX];
};

struct pgoutput *pgoutput_new(void)
{
    return calloc(1, sizeof(struct pgoutput));
}

void pgoutput_free(struct pgoutput *decoder)
{
    if (decoder == NULL)
        return;
    relation_cache_clear(&decoder->relations);
    free(decoder);
}

void pgoutput_reset(struct pgoutput *decoder)
{
    relation_cache_clear(&decoder->relations);
    decoder->broken = false;
    decoder->in_transaction = false;
    decoder->commit_lsn = LSN_NONE;
    decoder->last_end = LSN_NONE;
}

bool pgoutput_in_transaction(const struct pgoutput *decoder)
{
    return decoder->in_transaction;
}

/* Signed on the wire; unlike a cast, defined for every bit pattern. */
static int64_t reader_i64(struct reader *reader)
{
    uint64_t bits = reader_u64(reader);
    int64_t value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static struct lsn reader_lsn(struct reader *reader)
{
    return lsn_make(reader_u64(reader));
}

static bool cut(struct err *err)
{
    return err_set(err, ERR_PROTOCOL, "the message is cut");
}

/*
 * Begin
 *   byte1  'B'
 *   int64  LSN of the commit record
 *   int64  commit time, microseconds since 2000
 *   int32  transaction id
 */
static bool decode_begin(struct pgoutput *decoder, struct reader *reader, struct change *change,
                         struct err *err)
{
    change->as.begin.commit_lsn = reader_lsn(reader);
    change->as.begin.commit_time_us = clock_from_pg(reader_i64(reader));
    change->as.begin.xid = reader_u32(reader);
    if (FAILPOINT(TX_BEGIN) || reader->failed)
        return cut(err);
    struct lsn commit_lsn = change->as.begin.commit_lsn;
    if (decoder->in_transaction)
        return err_set(err, ERR_PROTOCOL, "a transaction begins before the one at %s committed",
                       lsn_format(decoder->commit_lsn).text);
    if (lsn_is_none(commit_lsn))
        return err_set(err, ERR_PROTOCOL, "the transaction has no commit LSN");
    if (lsn_cmp(commit_lsn, decoder->last_end) < 0)
        return err_set(err, ERR_PROTOCOL,
                       "the transaction committed at %s, before the end of the one sent before "
                       "it, %s",
                       lsn_format(commit_lsn).text, lsn_format(decoder->last_end).text);
    decoder->in_transaction = true;
    decoder->commit_lsn = commit_lsn;
    return true;
}

/*
 * Commit
 *   byte1  'C'
 *   int8   flags, none defined: 0
 *   int64  LSN of the commit record, as in Begin
 *   int64  LSN of the end of the commit record
 *   int64  commit time, microseconds since 2000
 */
static bool decode_commit(struct pgoutput *decoder, struct reader *reader, struct change *change,
                          struct err *err)
{
    uint8_t flags = reader_u8(reader);
    change->as.commit.commit_lsn = reader_lsn(reader);
    change->as.commit.end_lsn = reader_lsn(reader);
    change->as.commit.commit_time_us = clock_from_pg(reader_i64(reader));
    if (FAILPOINT(TX_COMMIT) || reader->failed)
        return cut(err);
    if (flags != 0)
        return err_set(err, ERR_PROTOCOL, "unknown flags 0x%02X", flags);
    if (!decoder->in_transaction)
        return err_set(err, ERR_PROTOCOL, "no transaction is open");
    if (lsn_cmp(change->as.commit.commit_lsn, decoder->commit_lsn) != 0)
        return err_set(err, ERR_PROTOCOL, "commit LSN %s is not the one of Begin, %s",
                       lsn_format(change->as.commit.commit_lsn).text,
                       lsn_format(decoder->commit_lsn).text);
    if (lsn_cmp(change->as.commit.end_lsn, decoder->commit_lsn) <= 0)
        return err_set(err, ERR_PROTOCOL, "the commit record at %s ends before it starts, at %s",
                       lsn_format(decoder->commit_lsn).text,
                       lsn_format(change->as.commit.end_lsn).text);
    decoder->in_transaction = false;
    decoder->last_end = change->as.commit.end_lsn;
    return true;
}

/*
 * Origin
 *   byte1   'O'
 *   int64   LSN of the commit on the origin server
 *   string  name of the origin
 */
static bool decode_origin(struct pgoutput *decoder, struct reader *reader, struct change *change,
                          struct err *err)
{
    (void)change;
    discard(reader_u64(reader) != 0);
    discard(bytes_present(reader_cstr(reader)));
    if (reader->failed)
        return cut(err);
    return decoder->in_transaction || err_set(err, ERR_PROTOCOL, "no transaction is open");
}

/*
 * Relation
 *   byte1   'R'
 *   int32   oid
 *   string  schema, empty for pg_catalog
 *   string  name
 *   int8    replica identity: d n f i
 *   int16   number of columns, and for each:
 *     int8    flags: 1 part of the replica identity
 *     string  name
 *     int32   oid of the type
 *     int32   type modifier
 */
static bool decode_relation(struct pgoutput *decoder, struct reader *reader, struct change *change,
                            struct err *err)
{
    return FAILPOINT(TX_RELATION) ? cut(err)
                                  : relation_cache_read(&decoder->relations, reader,
                                                        &change->as.relation.relation, err);
}

/*
 * Type
 *   byte1   'Y'
 *   int32   oid
 *   string  schema, empty for pg_catalog
 *   string  name
 */
static bool decode_type(struct pgoutput *decoder, struct reader *reader, struct change *change,
                        struct err *err)
{
    (void)decoder;
    (void)change;
    discard(reader_u32(reader) != 0);
    discard(bytes_present(reader_cstr(reader)));
    discard(bytes_present(reader_cstr(reader)));
    return !reader->failed || cut(err);
}

/* What Insert, Update and Delete begin with: the oid of a relation that was announced. */
static const struct relation *read_relation_of_row(struct pgoutput *decoder, struct reader *reader,
                                                   struct err *err)
{
    uint32_t oid = reader_u32(reader);
    if (reader->failed) {
        discard(cut(err));
        return NULL;
    }
    if (!decoder->in_transaction) {
        discard(err_set(err, ERR_PROTOCOL, "no transaction is open"));
        return NULL;
    }
    const struct relation *relation = relation_cache_find(&decoder->relations, oid);
    if (relation == NULL)
        discard(err_set(err, ERR_PROTOCOL, "relation %u was not announced", oid));
    return relation;
}

static bool read_old_tuple(struct pgoutput *decoder, struct reader *reader, uint8_t mark,
                           struct change *change, struct err *err)
{
    change->as.row.old_kind = mark == 'K' ? OLD_KEY : OLD_FULL;
    return row_read_tuple(reader, change->as.row.relation, decoder->old_values,
                          &change->as.row.old_tuple, err);
}

static bool read_new_tuple(struct pgoutput *decoder, struct reader *reader, uint8_t mark,
                           struct change *change, struct err *err)
{
    if (reader->failed)
        return cut(err);
    if (mark != 'N')
        return err_set(err, ERR_PROTOCOL, "0x%02X stands where the new row should begin", mark);
    return row_read_tuple(reader, change->as.row.relation, decoder->new_values,
                          &change->as.row.new_tuple, err);
}

/*
 * Insert
 *   byte1  'I'
 *   int32  oid of the relation
 *   byte1  'N', and the new row as TupleData (row.c)
 */
static bool decode_insert(struct pgoutput *decoder, struct reader *reader, struct change *change,
                          struct err *err)
{
    change->as.row.relation = read_relation_of_row(decoder, reader, err);
    reader->failed |= FAILPOINT(TX_INSERT);
    return change->as.row.relation != NULL &&
           read_new_tuple(decoder, reader, reader_u8(reader), change, err);
}

/*
 * Update
 *   byte1  'U'
 *   int32  oid of the relation
 *   byte1  'K' key or 'O' whole row, and the old row as TupleData       (may be absent)
 *   byte1  'N', and the new row as TupleData
 */
static bool decode_update(struct pgoutput *decoder, struct reader *reader, struct change *change,
                          struct err *err)
{
    change->as.row.relation = read_relation_of_row(decoder, reader, err);
    if (change->as.row.relation == NULL)
        return false;
    uint8_t mark = reader_u8(reader);
    if (mark == 'K' || mark == 'O') {
        if (!read_old_tuple(decoder, reader, mark, change, err))
            return false;
        mark = reader_u8(reader);
    }
    return read_new_tuple(decoder, reader, mark, change, err);
}

/*
 * Delete
 *   byte1  'D'
 *   int32  oid of the relation
 *   byte1  'K' key or 'O' whole row, and the old row as TupleData
 */
static bool decode_delete(struct pgoutput *decoder, struct reader *reader, struct change *change,
                          struct err *err)
{
    change->as.row.relation = read_relation_of_row(decoder, reader, err);
    if (change->as.row.relation == NULL)
        return false;
    uint8_t mark = reader_u8(reader);
    if (reader->failed)
        return cut(err);
    if (mark != 'K' && mark != 'O')
        return err_set(err, ERR_PROTOCOL, "0x%02X stands where the old row should begin", mark);
    return read_old_tuple(decoder, reader, mark, change, err);
}

/*
 * Truncate
 *   byte1  'T'
 *   int32  number of relations
 *   int8   options: 1 CASCADE, 2 RESTART IDENTITY
 *   int32  oid of the relation, for each
 */
static bool decode_truncate(struct pgoutput *decoder, struct reader *reader, struct change *change,
                            struct err *err)
{
    uint32_t count = reader_u32(reader);
    uint8_t options = reader_u8(reader);
    if (reader->failed)
        return cut(err);
    if ((options & ~(TRUNCATE_CASCADE | TRUNCATE_RESTART_IDENTITY)) != 0)
        return err_set(err, ERR_PROTOCOL, "unknown options 0x%02X", options);
    if (count == 0 || count > PGOUTPUT_RELATIONS_MAX)
        return err_set(err, ERR_PROTOCOL, "%u relations cannot be truncated at once", count);
    for (uint32_t i = 0; i < count; i++) {
        decoder->truncated[i] = read_relation_of_row(decoder, reader, err);
        if (decoder->truncated[i] == NULL)
            return false;
    }
    change->as.truncate.count = count;
    change->as.truncate.relations = decoder->truncated;
    change->as.truncate.cascade = (options & TRUNCATE_CASCADE) != 0;
    change->as.truncate.restart_identity = (options & TRUNCATE_RESTART_IDENTITY) != 0;
    return true;
}

/*
 * Message
 *   byte1   'M'
 *   int8    flags: 1 transactional
 *   int64   LSN of the message
 *   string  prefix
 *   int32   length of the content, and that many bytes
 */
static bool decode_message(struct pgoutput *decoder, struct reader *reader, struct change *change,
                           struct err *err)
{
    uint8_t flags = reader_u8(reader);
    change->as.message.transactional = (flags & MESSAGE_TRANSACTIONAL) != 0;
    change->as.message.lsn = reader_lsn(reader);
    change->as.message.prefix = reader_cstr(reader);
    change->as.message.content = reader_take(reader, reader_u32(reader));
    if (reader->failed)
        return cut(err);
    if ((flags & ~MESSAGE_TRANSACTIONAL) != 0)
        return err_set(err, ERR_PROTOCOL, "unknown flags 0x%02X", flags);
    /* One that is not transactional is sent when it is decoded, outside any transaction. */
    if (change->as.message.transactional && !decoder->in_transaction)
        return err_set(err, ERR_PROTOCOL, "it is transactional, but no transaction is open");
    return true;
}

struct message_kind {
    const char *name; /* as in the PostgreSQL documentation */
    enum change_kind kind;
    bool (*decode)(struct pgoutput *decoder, struct reader *reader, struct change *change,
                   struct err *err);
};

/* By the first byte. Protocol version 1: Stream Start, Stop, Commit, Abort (S E c A) belong to
 * version 2, and Begin Prepare, Prepare, Commit Prepared, Rollback Prepared and Stream Prepare
 * (b P K r p) to version 3: a server that sends one did not do what it was asked. */
static const struct message_kind message_kinds[UINT8_MAX + 1] = {
    ['B'] = {"Begin", CHANGE_BEGIN, decode_begin},
    ['C'] = {"Commit", CHANGE_COMMIT, decode_commit},
    ['O'] = {"Origin", CHANGE_ORIGIN, decode_origin},
    ['R'] = {"Relation", CHANGE_RELATION, decode_relation},
    ['Y'] = {"Type", CHANGE_TYPE, decode_type},
    ['I'] = {"Insert", CHANGE_INSERT, decode_insert},
    ['U'] = {"Update", CHANGE_UPDATE, decode_update},
    ['D'] = {"Delete", CHANGE_DELETE, decode_delete},
    ['T'] = {"Truncate", CHANGE_TRUNCATE, decode_truncate},
    ['M'] = {"Message", CHANGE_MESSAGE, decode_message},
};

static bool refuse(struct pgoutput *decoder, struct err *err)
{
    decoder->broken = true;
    if (err != NULL && err_class(err->code) == ERR_CLASS_TRANSIENT)
        discard(err_hint(err, "walferry connects again by itself; when it happens again, make sure "
                              "that source.conninfo leads to PostgreSQL 14 to 18 itself and not to "
                              "a pooler or another product, and report it with this message"));
    return false;
}

static bool decode(struct pgoutput *decoder, struct bytes message, struct change *change,
                   struct err *err)
{
    struct reader reader;
    reader_init(&reader, message);
    uint8_t tag = reader_u8(&reader);
    if (reader.failed)
        return err_set(err, ERR_PROTOCOL, "a pgoutput message is empty");
    const struct message_kind *kind = &message_kinds[tag];
    if (kind->name == NULL)
        return err_set(err, ERR_PROTOCOL, "pgoutput message type 0x%02X is not of protocol 1", tag);
    change->kind = kind->kind;
    bool decoded = kind->decode(decoder, &reader, change, err);
    size_t offset = (size_t)(reader.pos - message.ptr);
    if (decoded && !reader_done(&reader))
        decoded = err_set(err, ERR_PROTOCOL, "%zu bytes are left over", reader_left(&reader));
    if (!decoded)
        return err_context(err, "pgoutput message %s (0x%02X) at offset %zu of %zu", kind->name,
                           tag, offset, message.len);
    return true;
}

bool pgoutput_decode(struct pgoutput *decoder, struct bytes message, struct change *ret_change,
                     struct err *err)
{
    if (decoder->broken) {
        discard(
            err_set(err, ERR_PROTOCOL, "the stream was refused already and has to start again"));
        return refuse(decoder, err);
    }
    struct change change = {0};
    if (!decode(decoder, message, &change, err))
        return refuse(decoder, err);
    *ret_change = change;
    return true;
}
