/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_table: one outbox table as the catalog describes it, and the SQL that reads its rows.
 *
 * A row gives the same event as it gave in the stream: generated columns are left out unless the
 * publication sends them, and its row filter holds. Rows come in the order of (occurred_at, id);
 * where the table has no occurred_at that can be compared, of the id when it is a number, else as
 * they lie in the table, which is the order of insertion as long as nothing was deleted.
 */
#pragma once

#include "replay_options.h"
#include "walferry/base/arena.h"
#include "walferry/model/change.h"
#include "walferry/pg/pg.h"

enum replay_id_kind {
    REPLAY_ID_UUID,
    REPLAY_ID_INTEGER,
    REPLAY_ID_TEXT,
    REPLAY_ID_OTHER, /* compared as text */
};

enum replay_time_kind {
    REPLAY_TIME_NONE, /* no column, or none that can be compared */
    REPLAY_TIME_ZONED,
    REPLAY_TIME_PLAIN, /* timestamp without time zone, taken as UTC */
    REPLAY_TIME_MS,    /* a number of milliseconds */
};

struct replay_table {
    const struct capture_entry *entry; /* borrowed */
    struct relation relation;
    size_t id; /* columns of the relation */
    size_t time;
    enum replay_id_kind id_kind;
    enum replay_time_kind time_kind;
    bool time_nullable;
    bool row_security;
    bool commit_times; /* the server may know when rows were committed: the last value of a row */
    const char *row_filter; /* of the publication; NULL */
    struct arena arena;     /* names */
};

/* A session that reads tables: no limits of time, nobody else's search_path, and an error instead
 * of rows that row security hides. */
MUST_USE bool replay_session(struct pg *pg, struct err *err);
/* `generation` is the relation's: another one for each table, not 0. ERR_CONFIG_VALUE when the
 * table is not there, ERR_RELATION_CHANGED without an id column. */
MUST_USE bool replay_table_read(struct pg *pg, const struct capture_entry *entry,
                                const char *publication, uint64_t generation,
                                struct replay_table *ret_table, struct err *err);
void replay_table_free(struct replay_table *table);

/* The id as a row of the table shows it; absent when no row can have it. `storage` has room for 64
 * bytes. */
struct bytes replay_id_text(enum replay_id_kind kind, const char *id, char *storage);

/* What the cursor is asked for. */
struct replay_query {
    const struct replay_options *options;
    const struct bytes *ids; /* as the table shows them, when by_ids */
    size_t id_count;
    struct bytes after; /* the same; absent: from the beginning */
};

/* Whether rows at or before `after` come too, because their ids are asked for, and a last value
 * says which lie behind it. */
bool replay_query_flags(const struct replay_query *query);
/* "DECLARE ... CURSOR FOR SELECT ...": the columns of the relation in their order, then the time of
 * the commit (commit_times), then whether the row lies behind `after` (replay_query_flags()). */
void replay_put_declare(const struct replay_table *table, const struct replay_query *query,
                        struct buf *out);
/* One row when the table has one with the id. */
void replay_put_lookup(const struct replay_table *table, struct bytes id, struct buf *out);
/* The number of rows that no window of time can hold, up to `max`. */
void replay_put_timeless(const struct replay_table *table, uint64_t max, struct buf *out);
