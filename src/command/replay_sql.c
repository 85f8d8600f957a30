/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "replay_table.h"
#include "setup.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/parse.h"

#define US_PER_MS 1000

/* --- ids --- */

/* 32 hexadecimal digits, with hyphens or braces as PostgreSQL reads them too. */
static struct bytes uuid_text(const char *id, char *storage)
{
    size_t digits = 0;
    size_t len = 0;
    bool braced = *id == '{' && id[strlen(id) - 1] == '}';
    size_t size = strlen(id) - (braced ? 2 : 0);
    id += braced ? 1 : 0;
    for (size_t i = 0; i < size; i++) {
        if (id[i] == '-' && digits > 0 && digits % 4 == 0 && i + 1 < size && id[i + 1] != '-')
            continue;
        int digit = parse_hex_digit((uint8_t)id[i]);
        if (digit < 0 || digits == 32)
            return BYTES_ABSENT;
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20)
            storage[len++] = '-';
        storage[len++] = "0123456789abcdef"[digit];
        digits++;
    }
    return digits == 32 ? bytes_make(storage, len) : BYTES_ABSENT;
}

static struct bytes integer_text(const char *id, char *storage)
{
    int64_t value;
    if (!parse_i64(bytes_str(id), &value))
        return BYTES_ABSENT;
    int len = snprintf(storage, 64, "%" PRId64, value);
    return bytes_make(storage, (size_t)len);
}

struct bytes replay_id_text(enum replay_id_kind kind, const char *id, char *storage)
{
    switch (kind) {
    case REPLAY_ID_UUID:
        return uuid_text(id, storage);
    case REPLAY_ID_INTEGER:
        return integer_text(id, storage);
    case REPLAY_ID_TEXT:
    case REPLAY_ID_OTHER:
        break;
    }
    return bytes_str(id);
}

/* --- parts --- */

static void put_column(const struct replay_table *table, size_t column, struct buf *out)
{
    setup_put_identifier(out, bytes_str(table->relation.columns[column].name));
}

static void put_id(const struct replay_table *table, struct buf *out)
{
    put_column(table, table->id, out);
    if (table->id_kind == REPLAY_ID_OTHER)
        buf_put_str(out, "::pg_catalog.text");
}

static const char *id_type(const struct replay_table *table)
{
    switch (table->id_kind) {
    case REPLAY_ID_UUID:
        return "pg_catalog.uuid";
    case REPLAY_ID_INTEGER:
        return "pg_catalog.int8";
    case REPLAY_ID_TEXT:
    case REPLAY_ID_OTHER:
        break;
    }
    return "pg_catalog.text";
}

static void put_id_is(const struct replay_table *table, struct bytes id, struct buf *out)
{
    put_id(table, out);
    buf_put_str(out, " = ");
    setup_put_literal_bytes(out, id);
    buf_printf(out, "::%s", id_type(table));
}

/* An element of an array's text, in a literal. */
static void put_element(struct buf *out, struct bytes text)
{
    buf_put_u8(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_put_u8(out, '\\');
        if (text.ptr[i] == '\'')
            buf_put_u8(out, '\'');
        buf_put_u8(out, text.ptr[i]);
    }
    buf_put_u8(out, '"');
}

static void put_ids(const struct replay_table *table, const struct replay_query *query,
                    struct buf *out)
{
    buf_put_str(out, " AND ");
    put_id(table, out);
    buf_put_str(out, " = ANY ('{");
    for (size_t i = 0; i < query->id_count; i++) {
        if (i > 0)
            buf_put_u8(out, ',');
        put_element(out, query->ids[i]);
    }
    buf_printf(out, "}'::%s[])", id_type(table));
}

/* The first number of milliseconds at or after a time in microseconds. */
static int64_t ms_from(int64_t us)
{
    return us / US_PER_MS + (us % US_PER_MS > 0 ? 1 : 0);
}

static void put_bound(const struct replay_table *table, const char *operator, int64_t us,
                      struct buf *out)
{
    buf_put_str(out, " AND ");
    put_column(table, table->time, out);
    switch (table->time_kind) {
    case REPLAY_TIME_ZONED:
        buf_printf(out, " %s TIMESTAMPTZ '%s'", operator, clock_format(us).text);
        return;
    case REPLAY_TIME_PLAIN:
        buf_printf(out, " %s TIMESTAMP '%s'", operator, clock_format(us).text);
        return;
    case REPLAY_TIME_MS:
        buf_printf(out, " %s %" PRId64, operator, ms_from(us));
        return;
    case REPLAY_TIME_NONE:
        break;
    }
    UNREACHABLE();
}

/* What rows are ordered by. Rows without a time come last where they come at all. */
static void put_order(const struct replay_table *table, struct buf *out)
{
    if (table->time_kind == REPLAY_TIME_NONE && table->id_kind == REPLAY_ID_INTEGER) {
        put_column(table, table->id, out);
        return;
    }
    if (table->time_kind == REPLAY_TIME_NONE) {
        buf_put_str(out, "tableoid, ctid");
        return;
    }
    buf_put_str(out, table->time_nullable ? "COALESCE(" : "");
    put_column(table, table->time, out);
    if (table->time_nullable)
        buf_printf(out, ", %s)",
                   table->time_kind == REPLAY_TIME_MS ? "9223372036854775807" : "'infinity'");
    buf_put_str(out, ", ");
    put_column(table, table->id, out);
}

static void put_after(const struct replay_table *table, const struct replay_query *query,
                      struct buf *out)
{
    buf_put_str(out, "(");
    put_order(table, out);
    buf_put_str(out, ") > (SELECT ");
    put_order(table, out);
    buf_put_str(out, " FROM ");
    setup_put_table(out, table->entry->name);
    buf_put_str(out, " WHERE ");
    put_id_is(table, query->after, out);
    buf_put_str(out, " ORDER BY ");
    put_order(table, out);
    buf_put_str(out, " LIMIT 1)");
}

/* --- statements --- */

bool replay_query_flags(const struct replay_query *query)
{
    return query->options->by_ids && bytes_present(query->after);
}

void replay_put_declare(const struct replay_table *table, const struct replay_query *query,
                        struct buf *out)
{
    const struct replay_options *options = query->options;
    buf_put_str(out, "DECLARE walferry_replay SCROLL CURSOR FOR SELECT ");
    for (size_t i = 0; i < table->relation.column_count; i++) {
        buf_put_str(out, i == 0 ? "" : ", ");
        put_column(table, i, out);
    }
    if (table->commit_times)
        buf_put_str(out, ", pg_catalog.pg_xact_commit_timestamp(xmin)");
    if (replay_query_flags(query)) {
        buf_put_str(out, ", ");
        put_after(table, query, out);
    }
    buf_put_str(out, " FROM ");
    setup_put_table(out, table->entry->name);
    buf_put_str(out, " WHERE TRUE");
    if (table->row_filter != NULL)
        buf_printf(out, " AND (%s)", table->row_filter);
    if (options->has_from)
        put_bound(table, ">=", options->from_us, out);
    if (options->has_to)
        put_bound(table, "<", options->to_us, out);
    if (options->by_ids)
        put_ids(table, query, out);
    if (bytes_present(query->after) && !replay_query_flags(query)) {
        buf_put_str(out, " AND ");
        put_after(table, query, out);
    }
    buf_put_str(out, " ORDER BY ");
    put_order(table, out);
}

void replay_put_lookup(const struct replay_table *table, struct bytes id, struct buf *out)
{
    buf_put_str(out, "SELECT 1 FROM ");
    setup_put_table(out, table->entry->name);
    buf_put_str(out, " WHERE ");
    put_id_is(table, id, out);
    buf_put_str(out, " LIMIT 1");
}

void replay_put_timeless(const struct replay_table *table, uint64_t max, struct buf *out)
{
    buf_put_str(out, "SELECT pg_catalog.count(*) FROM (SELECT FROM ");
    setup_put_table(out, table->entry->name);
    buf_put_str(out, " WHERE ");
    put_column(table, table->time, out);
    buf_printf(out, " IS NULL LIMIT %" PRIu64 ") AS rows", max);
}
