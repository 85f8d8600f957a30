/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_rows: the rows of one table, one at a time, through a cursor that can go back.
 *
 * One snapshot serves the whole table: a row that is deleted meanwhile still comes, one that is
 * inserted does not. Memory holds one row. Never blocks but in open, back and end. Borrows the
 * connection, which has nothing else to do meanwhile, and the table.
 */
#pragma once

#include "replay_table.h"

struct replay_rows {
    struct pg *pg;
    const struct replay_table *table;
    bool flags;           /* see replay_query_flags() */
    struct value *values; /* of the row at hand */
    uint32_t at;          /* rows handed out, from the beginning */
    uint32_t fetched;     /* of the FETCH under way */
    bool fetching;
};

enum replay_row { REPLAY_ROW_HERE, REPLAY_ROW_WAIT, REPLAY_ROW_END, REPLAY_ROW_FAILED };

MUST_USE bool replay_rows_open(struct replay_rows *rows, struct pg *pg,
                               const struct replay_table *table, const struct replay_query *query,
                               struct err *err);
struct replay_found {
    struct tuple row;
    struct bytes commit_time; /* as far as the server knows it; absent */
    bool passed;              /* it lies at or before the row to go on behind */
};

/* HERE: good until the next call. */
MUST_USE enum replay_row replay_rows_next(struct replay_rows *rows, struct replay_found *ret_found,
                                          struct err *err);
/* The next row is number `to`, counted from 0; one that came before. */
MUST_USE bool replay_rows_back(struct replay_rows *rows, uint32_t to, struct err *err);
/* After END: the connection is good for the next table. */
MUST_USE bool replay_rows_end(struct replay_rows *rows, struct err *err);
/* Safe on a zeroed one. */
void replay_rows_free(struct replay_rows *rows);
