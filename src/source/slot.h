/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot: how a replication slot is asked for, by the server's version, and read. Shared by the
 * session and the monitor.
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/pg/pg.h"
#include "walferry/source/source.h"

#define SLOT_COLUMNS 13

/* Append the select list: SLOT_COLUMNS columns of pg_replication_slots, under the alias "s". Only
 * columns that the version has. */
void slot_put_columns(struct buf *sql, int server_version);
/* Read them from row 0, beginning at `column`. Without a row, or with a NULL name: exists false. */
void slot_read(const struct pg *pg, int column, struct slot_facts *ret_slot);
/* Append "WHERE ..." texts need: `text` as a literal. False: ERR_CONFIG_VALUE. */
MUST_USE bool put_literal(struct buf *sql, const struct pg *pg, const char *text, struct err *err);

/* Values of row 0. */
bool value_bool(const struct pg *pg, int column);
struct lsn value_lsn(const struct pg *pg, int column);
uint64_t value_u64(const struct pg *pg, int column);
/* Cut to the buffer; "" for NULL. */
void slot_text(const struct pg *pg, int column, char *out, size_t size);
