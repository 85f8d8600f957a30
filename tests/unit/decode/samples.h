/* SPDX-License-Identifier: Apache-2.0 */
/*
 * samples: one message of each kind around one table, for the tests of the decoder. Every function
 * gives a valid message in a buffer of its own that lives until the next call.
 */
#pragma once

#include "encode.h"

#define SAMPLE_OID    16384U
#define SAMPLE_COMMIT lsn_make(0x1000)
#define SAMPLE_END    lsn_make(0x1030)
#define SAMPLE_TIME   INT64_C(1769862896123456)

static const struct column sample_columns[] = {
    {.name = "id", .type_oid = 2950, .type_mod = -1, .key = true},
    {.name = "note", .type_oid = 25, .type_mod = -1},
    {.name = "payload", .type_oid = 3802, .type_mod = 7},
};
static const struct relation sample_relation = {
    .oid = SAMPLE_OID,
    .schema = "outbox",
    .name = "event",
    .replica_identity = 'd',
    .column_count = ARRAY_LEN(sample_columns),
    .columns = sample_columns,
};

enum sample {
    SAMPLE_BEGIN,
    SAMPLE_RELATION,
    SAMPLE_ORIGIN,
    SAMPLE_TYPE,
    SAMPLE_INSERT,
    SAMPLE_UPDATE,
    SAMPLE_UPDATE_KEY,
    SAMPLE_DELETE,
    SAMPLE_TRUNCATE,
    SAMPLE_MESSAGE,
    SAMPLE_COMMIT_MESSAGE,
    SAMPLE_COUNT
};

static inline void put_sample(struct buf *out, enum sample sample)
{
    const struct value values[] = {VALUE_OF("7"), NULL_VALUE, VALUE_OF("{}")};
    const struct value old_values[] = {VALUE_OF("6"), UNCHANGED_VALUE, NULL_VALUE};
    const struct tuple row = {.count = ARRAY_LEN(values), .values = values};
    const struct tuple old_row = {.count = ARRAY_LEN(old_values), .values = old_values};
    const uint32_t oids[] = {SAMPLE_OID};
    switch (sample) {
    case SAMPLE_BEGIN:
        encode_begin(out, SAMPLE_COMMIT, SAMPLE_TIME, 77);
        break;
    case SAMPLE_RELATION:
        encode_relation(out, &sample_relation);
        break;
    case SAMPLE_ORIGIN:
        encode_origin(out, lsn_make(5), "elsewhere");
        break;
    case SAMPLE_TYPE:
        encode_type(out, 16400, "public", "mood");
        break;
    case SAMPLE_INSERT:
        encode_insert(out, SAMPLE_OID, row);
        break;
    case SAMPLE_UPDATE:
        encode_update(out, SAMPLE_OID, OLD_NONE, old_row, row);
        break;
    case SAMPLE_UPDATE_KEY:
        encode_update(out, SAMPLE_OID, OLD_KEY, old_row, row);
        break;
    case SAMPLE_DELETE:
        encode_delete(out, SAMPLE_OID, OLD_FULL, old_row);
        break;
    case SAMPLE_TRUNCATE:
        encode_truncate(out, oids, 1, true, false);
        break;
    case SAMPLE_MESSAGE:
        encode_message(out, true, lsn_make(0xFF0), "outbox", BYTES_LIT("{}"));
        break;
    case SAMPLE_COMMIT_MESSAGE:
        encode_commit(out, SAMPLE_COMMIT, SAMPLE_END, SAMPLE_TIME);
        break;
    case SAMPLE_COUNT:
        break;
    }
}
