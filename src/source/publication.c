/* SPDX-License-Identifier: Apache-2.0 */
#include "publication.h"

#include <stdio.h>

#include "slot.h"

/* Tables c of namespace n that go by the name w.name. */
#define NAMED_TABLES                                                                               \
    "pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname " \
    "|| '.' || c.relname = w.name AND c.relkind IN ('r', 'p')"
/* The row that names table c itself in publication p. */
#define OWN_ROW                                                                                    \
    "EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND "           \
    "r.prrelid = c.oid AND "

/* Whether publication p publishes the rows of table c under the table's own name. */
static void put_published(struct buf *sql, int server_version)
{
    buf_put_str(sql,
                "(c.relkind <> 'p' OR p.pubviaroot) AND (p.puballtables OR EXISTS (SELECT 1 FROM "
                "pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND (r.prrelid = c.oid OR "
                "(NOT p.pubviaroot AND r.prrelid IN (WITH RECURSIVE up(oid) AS (SELECT i.inhparent "
                "FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid UNION ALL SELECT "
                "i.inhparent FROM pg_catalog.pg_inherits i JOIN up ON i.inhrelid = up.oid) SELECT "
                "up.oid FROM up))))");
    if (server_version >= 150000) {
        buf_put_str(sql, " OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_namespace s WHERE "
                         "s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)");
    }
    buf_put_str(sql, ")");
}

/* Whether publication p sends column a of table c. Generated columns are sent by 18 only, and only
 * when it is told to. */
static void put_sent(struct buf *sql, int server_version)
{
    if (server_version < 150000) {
        buf_put_str(sql, "a.attgenerated = ''");
        return;
    }
    if (server_version < 180000) {
        buf_put_str(sql, "a.attgenerated = '' AND ");
    } else {
        buf_put_str(sql, "(a.attgenerated = '' OR (a.attgenerated = 's' AND (p.pubgencols = 's' "
                         "OR " OWN_ROW "r.prattrs IS NOT NULL)))) AND ");
    }
    buf_put_str(sql, "NOT " OWN_ROW "r.prattrs IS NOT NULL AND a.attnum <> ALL "
                     "(r.prattrs::pg_catalog.int2[]))");
}

static bool put_tables(struct buf *sql, const struct pg *pg, const struct source_opts *opts,
                       struct err *err)
{
    buf_put_str(sql, "pg_catalog.unnest(ARRAY[");
    for (size_t i = 0; i < opts->table_count; i++) {
        buf_put_str(sql, i == 0 ? "" : ", ");
        if (!put_literal(sql, pg, opts->tables[i], err)) {
            return false;
        }
    }
    buf_put_str(sql, "]::pg_catalog.text[]) w(name)");
    return true;
}

static bool put_unpublished(struct buf *sql, const struct pg *pg, const struct source_opts *opts,
                            struct err *err)
{
    buf_put_str(sql, "(SELECT pg_catalog.min(w.name) FROM ");
    if (!put_tables(sql, pg, opts, err)) {
        return false;
    }
    buf_put_str(sql, ", " NAMED_TABLES " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_publication p "
                     "WHERE p.pubname = ");
    if (!put_literal(sql, pg, opts->publication, err)) {
        return false;
    }
    buf_put_str(sql, " AND ");
    put_published(sql, pg_server_version(pg));
    buf_put_str(sql, "))");
    return true;
}

static bool put_withheld(struct buf *sql, const struct pg *pg, const struct source_opts *opts,
                         struct err *err)
{
    if (opts->column_count == 0) {
        buf_put_str(sql, "NULL");
        return true;
    }
    buf_put_str(sql,
                "(SELECT pg_catalog.min(w.name || pg_catalog.chr(9) || w.field) FROM (VALUES ");
    for (size_t i = 0; i < opts->column_count; i++) {
        buf_put_str(sql, i == 0 ? "(" : ", (");
        if (!put_literal(sql, pg, opts->columns[i].table, err)) {
            return false;
        }
        buf_put_str(sql, ", ");
        if (!put_literal(sql, pg, opts->columns[i].column, err)) {
            return false;
        }
        buf_put_str(sql, ")");
    }
    buf_put_str(
        sql,
        ") w(name, field), pg_catalog.pg_attribute a, pg_catalog.pg_publication p, " NAMED_TABLES
        " AND a.attrelid = c.oid AND a.attname = w.field AND a.attnum > "
        "0 AND p.pubname = ");
    if (!put_literal(sql, pg, opts->publication, err)) {
        return false;
    }
    buf_put_str(sql, " AND NOT (");
    put_sent(sql, pg_server_version(pg));
    buf_put_str(sql, "))");
    return true;
}

static bool put_filtered(struct buf *sql, const struct pg *pg, const struct source_opts *opts,
                         struct err *err)
{
    if (pg_server_version(pg) < 150000) {
        buf_put_str(sql, "NULL");
        return true;
    }
    buf_put_str(sql, "(SELECT pg_catalog.string_agg(w.name, ', ' ORDER BY w.name) FROM ");
    if (!put_tables(sql, pg, opts, err)) {
        return false;
    }
    buf_put_str(sql, ", pg_catalog.pg_publication p, " NAMED_TABLES " AND p.pubname = ");
    if (!put_literal(sql, pg, opts->publication, err)) {
        return false;
    }
    buf_put_str(sql, " AND " OWN_ROW "r.prqual IS NOT NULL))");
    return true;
}

bool publication_put_gaps(struct buf *sql, const struct pg *pg, const struct source_opts *opts,
                          struct err *err)
{
    if (!put_unpublished(sql, pg, opts, err)) {
        return false;
    }
    buf_put_str(sql, ", ");
    if (!put_withheld(sql, pg, opts, err)) {
        return false;
    }
    buf_put_str(sql, ", ");
    return put_filtered(sql, pg, opts, err);
}

void publication_read_gaps(const struct pg *pg, int column, struct publication_gaps *ret_gaps)
{
    struct publication_gaps gaps = {0};
    slot_text(pg, column, gaps.table, sizeof gaps.table);
    struct bytes withheld = pg_value(pg, 0, column + 1);
    const uint8_t *tab = bytes_empty(withheld) ? NULL : memchr(withheld.ptr, '\t', withheld.len);
    if (tab != NULL) {
        size_t len = (size_t)(tab - withheld.ptr);
        snprintf(gaps.column_table, sizeof gaps.column_table, "%.*s",
                 BYTES_FMT(bytes_make(withheld.ptr, len)));
        snprintf(gaps.column, sizeof gaps.column, "%.*s",
                 BYTES_FMT(bytes_make(tab + 1, withheld.len - len - 1)));
    }
    slot_text(pg, column + 2, gaps.filtered, sizeof gaps.filtered);
    *ret_gaps = gaps;
}
