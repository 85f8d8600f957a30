/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publication: what a publication keeps back of what is captured. Shared by the session, which asks
 * at its start, and the monitor, which asks again and again.
 *
 * The questions read catalogs only, neither pg_publication_tables nor any function that opens a
 * table: a walsender that has looked at a table keeps what it saw, and decodes older rows by it
 * (tried on 16 to 18).
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/pg/pg.h"
#include "walferry/source/source.h"

#define PUBLICATION_COLUMNS 3

/* Append the select list: PUBLICATION_COLUMNS subselects about opts->publication. A table or column
 * that is gone, or goes by another name, is no fault: what it held may still be in the WAL. */
MUST_USE bool publication_put_gaps(struct buf *sql, const struct pg *pg,
                                   const struct source_opts *opts, struct err *err);
/* Read them from row 0, beginning at `column`. */
void publication_read_gaps(const struct pg *pg, int column, struct publication_gaps *ret_gaps);
