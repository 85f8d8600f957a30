/* SPDX-License-Identifier: Apache-2.0 */
#include "slot.h"

#include <stdio.h>

#include "walferry/base/parse.h"

static const char *const WAL_STATUS[] = {
    [WAL_UNKNOWN] = "unknown",       [WAL_RESERVED] = "reserved", [WAL_EXTENDED] = "extended",
    [WAL_UNRESERVED] = "unreserved", [WAL_LOST] = "lost",
};

const char *wal_status_name(enum wal_status status)
{
    return WAL_STATUS[status];
}

static enum wal_status wal_status_of(struct bytes text)
{
    for (unsigned i = 0; i < ARRAY_LEN(WAL_STATUS); i++) {
        if (bytes_is(text, WAL_STATUS[i])) {
            return (enum wal_status)i;
        }
    }
    return WAL_UNKNOWN;
}

void slot_put_columns(struct buf *sql, int server_version)
{
    buf_put_str(sql, "s.slot_name, s.active, s.active_pid, s.slot_type = 'logical', s.temporary, "
                     "s.two_phase, s.plugin, s.database, s.confirmed_flush_lsn, s.restart_lsn, "
                     "s.wal_status, s.safe_wal_size, ");
    if (server_version >= 170000) {
        buf_put_str(sql, "s.invalidation_reason");
    } else if (server_version >= 160000) {
        buf_put_str(sql, "CASE WHEN s.conflicting THEN 'conflict with recovery' END");
    } else {
        buf_put_str(sql, "NULL::pg_catalog.text");
    }
}

bool value_bool(const struct pg *pg, int column)
{
    return bytes_is(pg_value(pg, 0, column), "t");
}

struct lsn value_lsn(const struct pg *pg, int column)
{
    struct lsn lsn = LSN_NONE;
    struct bytes text = pg_value(pg, 0, column);
    return bytes_present(text) && lsn_parse(text, &lsn) ? lsn : LSN_NONE;
}

uint64_t value_u64(const struct pg *pg, int column)
{
    uint64_t value = 0;
    struct bytes text = pg_value(pg, 0, column);
    return bytes_present(text) && parse_u64(text, &value) ? value : 0;
}

void slot_text(const struct pg *pg, int column, char *out, size_t size)
{
    struct bytes text = pg_value(pg, 0, column);
    snprintf(out, size, "%.*s", BYTES_FMT(text));
}

void slot_read(const struct pg *pg, int column, struct slot_facts *ret_slot)
{
    struct slot_facts slot = {.exists = bytes_present(pg_value(pg, 0, column))};
    slot.active = value_bool(pg, column + 1);
    slot.active_pid = (int)value_u64(pg, column + 2);
    slot.logical = value_bool(pg, column + 3);
    slot.temporary = value_bool(pg, column + 4);
    slot.two_phase = value_bool(pg, column + 5);
    slot_text(pg, column + 6, slot.plugin, sizeof slot.plugin);
    slot_text(pg, column + 7, slot.database, sizeof slot.database);
    slot.confirmed_flush = value_lsn(pg, column + 8);
    slot.restart_lsn = value_lsn(pg, column + 9);
    slot.wal_status = wal_status_of(pg_value(pg, 0, column + 10));
    struct bytes safe = pg_value(pg, 0, column + 11);
    slot.has_safe_wal_size = bytes_present(safe) && parse_i64(safe, &slot.safe_wal_size);
    slot_text(pg, column + 12, slot.invalidation, sizeof slot.invalidation);
    *ret_slot = slot;
}

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

/* Catalogs only, neither pg_publication_tables nor any function that opens a table: a walsender
 * that has looked at a table keeps what it saw, and decodes older rows by it (tried on 16 to 18).
 */
bool put_unpublished(struct buf *sql, const struct pg *pg, const struct source_opts *opts,
                     struct err *err)
{
    buf_put_str(sql, "(SELECT pg_catalog.min(w.name) FROM pg_catalog.unnest(ARRAY[");
    for (size_t i = 0; i < opts->table_count; i++) {
        buf_put_str(sql, i == 0 ? "" : ", ");
        if (!put_literal(sql, pg, opts->tables[i], err)) {
            return false;
        }
    }
    buf_put_str(sql, "]::pg_catalog.text[]) w(name), pg_catalog.pg_class c, "
                     "pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname || '.' "
                     "|| c.relname = w.name AND c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT 1 "
                     "FROM pg_catalog.pg_publication p WHERE p.pubname = ");
    if (!put_literal(sql, pg, opts->publication, err)) {
        return false;
    }
    buf_put_str(sql, " AND ");
    put_published(sql, pg_server_version(pg));
    buf_put_str(sql, "))");
    return true;
}

bool put_literal(struct buf *sql, const struct pg *pg, const char *text, struct err *err)
{
    char literal[512];
    if (!pg_quote_literal(pg, text, literal, sizeof literal)) {
        err_set(err, ERR_CONFIG_VALUE, "a name is too long, or not valid text");
        return err_hint(err, "names of slots and publications have at most 63 bytes");
    }
    buf_put_str(sql, literal);
    return true;
}
