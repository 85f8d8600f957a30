/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change: one message of the replication stream, decoded.
 *
 * All bytes are borrowed: tuples and contents from the protocol message that was decoded, relations
 * from the decoder's cache. They are good until the next message is decoded.
 */
#pragma once

#include "walferry/base/bytes.h"
#include "walferry/base/lsn.h"

#define COLUMN_MAX 1664 /* PostgreSQL's MaxTupleAttributeNumber (access/htup_details.h) */

struct column {
    const char *name;
    uint32_t type_oid;
    int32_t type_mod;
    bool key; /* part of the replica identity */
};

struct relation {
    uint32_t oid;
    const char *schema;
    const char *name;
    char replica_identity; /* d default, n nothing, f full, i index */
    uint16_t column_count;
    const struct column *columns;
    /* Unique per Relation message of this process: what was resolved for an older one is stale. */
    uint64_t generation;
};

enum value_kind {
    VALUE_NULL,
    VALUE_UNCHANGED, /* TOAST value that an update did not touch: not sent, not known */
    VALUE_TEXT,
    VALUE_BINARY,
};

struct value {
    enum value_kind kind;
    struct bytes bytes; /* present for TEXT and BINARY only */
};

struct tuple {
    uint16_t count; /* always relation->column_count; 0 when there is no such tuple */
    const struct value *values;
};

enum change_kind {
    CHANGE_BEGIN,
    CHANGE_COMMIT,
    CHANGE_ORIGIN,
    CHANGE_RELATION,
    CHANGE_TYPE,
    CHANGE_INSERT,
    CHANGE_UPDATE,
    CHANGE_DELETE,
    CHANGE_TRUNCATE,
    CHANGE_MESSAGE,
};

enum old_tuple { OLD_NONE, OLD_KEY, OLD_FULL };

struct change {
    enum change_kind kind;
    union {
        struct {
            struct lsn commit_lsn;  /* of the commit record: the position of the transaction */
            int64_t commit_time_us; /* since 1970 */
            uint32_t xid;
        } begin;
        struct {
            struct lsn commit_lsn;
            struct lsn end_lsn; /* what may be confirmed when the transaction is durable */
            int64_t commit_time_us;
        } commit;
        struct {
            const struct relation *relation;
        } relation;
        struct { /* insert, update, delete */
            const struct relation *relation;
            enum old_tuple old_kind;
            struct tuple old_tuple; /* update, delete */
            struct tuple new_tuple; /* insert, update */
        } row;
        struct {
            uint32_t count;
            const struct relation *const *relations;
            bool cascade;
            bool restart_identity;
        } truncate;
        struct {
            bool transactional;
            struct lsn lsn;
            struct bytes prefix;
            struct bytes content;
        } message;
    } as;
};

/* "insert", for logs and metrics. */
const char *change_kind_name(enum change_kind kind);
