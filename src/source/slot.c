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
