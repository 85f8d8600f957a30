/* SPDX-License-Identifier: Apache-2.0 */
#include "replay_table.h"

#include <stdlib.h>

#include "setup.h"
#include "walferry/base/parse.h"

#define QUERY_MS  60000
#define NAMES_MAX ((size_t)1 << 20)
/* From here on publications have lists of columns and row filters. */
#define VERSION_LISTS 150000

/* Of the columns in the answer to the question about a table. */
enum {
    ASKED_OID,
    ASKED_ROW_SECURITY,
    ASKED_COMMIT_TIMES,
    ASKED_ROW_FILTER,
    ASKED_NAME,
    ASKED_TYPE,
    ASKED_TYPE_MOD,
    ASKED_BASE_TYPE,
    ASKED_NOT_NULL,
};

bool replay_session(struct pg *pg, struct err *err)
{
    return pg_query(pg,
                    "SELECT pg_catalog.set_config(name, CASE name"
                    "  WHEN 'search_path' THEN 'pg_catalog'"
                    "  WHEN 'row_security' THEN 'off'"
                    "  WHEN 'standard_conforming_strings' THEN 'on'"
                    "  WHEN 'cursor_tuple_fraction' THEN '1'"
                    "  ELSE '0' END, false)"
                    " FROM pg_catalog.pg_settings WHERE name IN ('search_path', 'row_security',"
                    " 'standard_conforming_strings', 'cursor_tuple_fraction', 'statement_timeout',"
                    " 'idle_in_transaction_session_timeout', 'transaction_timeout')",
                    QUERY_MS, err);
}

/* --- the catalog --- */

static void put_question(const struct capture_entry *entry, const char *publication, bool has_lists,
                         struct buf *out)
{
    const char *dot = strchr(entry->name, '.');
    buf_printf(out,
               "SELECT c.oid, c.relrowsecurity,"
               " pg_catalog.current_setting('track_commit_timestamp'), %s, a.attname, a.atttypid,"
               " a.atttypmod, CASE t.typbasetype WHEN 0 THEN a.atttypid ELSE t.typbasetype END,"
               " a.attnotnull"
               " FROM pg_catalog.pg_class AS c"
               " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
               " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid"
               " JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid",
               has_lists ? "p.rowfilter" : "NULL");
    if (has_lists) {
        buf_put_str(out, " LEFT JOIN pg_catalog.pg_publication_tables AS p"
                         " ON p.schemaname = n.nspname AND p.tablename = c.relname"
                         " AND p.pubname = ");
        setup_put_literal(out, publication);
    }
    buf_put_str(out, " WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND ");
    buf_put_str(out, has_lists ? "(a.attgenerated = '' OR a.attname = ANY (p.attnames))"
                               : "a.attgenerated = ''");
    buf_put_str(out, " AND n.nspname = ");
    setup_put_literal_bytes(out, bytes_make(entry->name, (size_t)(dot - entry->name)));
    buf_put_str(out, " AND c.relname = ");
    setup_put_literal(out, dot + 1);
    buf_put_str(out, " ORDER BY a.attnum");
}

static bool number(const struct pg *pg, int row, int column, int64_t *ret_value)
{
    return parse_i64(pg_value(pg, row, column), ret_value);
}

static bool read_columns(struct pg *pg, struct replay_table *table)
{
    bool ok = true;
    int rows = pg_rows(pg);
    int64_t oid;
    struct column *columns = arena_alloc(
        &table->arena, (size_t)(rows < COLUMN_MAX ? rows : COLUMN_MAX) * sizeof(columns[0]));
    if (columns == NULL || rows > COLUMN_MAX || !number(pg, 0, ASKED_OID, &oid))
        return false;
    for (int i = 0; i < rows; i++) {
        int64_t type;
        int64_t type_mod;
        struct bytes name = arena_copy(&table->arena, pg_value(pg, i, ASKED_NAME), &ok);
        ok = ok && number(pg, i, ASKED_TYPE, &type) && number(pg, i, ASKED_TYPE_MOD, &type_mod);
        if (!ok)
            return false;
        columns[i] = (struct column){
            .name = (const char *)name.ptr,
            .type_oid = (uint32_t)type,
            .type_mod = (int32_t)type_mod,
        };
    }
    struct bytes filter = arena_copy(&table->arena, pg_value(pg, 0, ASKED_ROW_FILTER), &ok);
    table->row_filter = (const char *)filter.ptr;
    table->relation.oid = (uint32_t)oid;
    table->relation.columns = columns;
    table->relation.column_count = (uint16_t)rows;
    table->row_security = bytes_is(pg_value(pg, 0, ASKED_ROW_SECURITY), "t");
    table->commit_times = bytes_is(pg_value(pg, 0, ASKED_COMMIT_TIMES), "on");
    return ok;
}

static bool read_names(struct replay_table *table)
{
    bool ok = true;
    const char *dot = strchr(table->entry->name, '.');
    struct bytes schema = bytes_make(table->entry->name, (size_t)(dot - table->entry->name));
    table->relation.schema = (const char *)arena_copy(&table->arena, schema, &ok).ptr;
    table->relation.name = dot + 1;
    table->relation.replica_identity = 'd';
    return ok;
}

/* --- id and time --- */

/* Types of PostgreSQL's catalog pg_type, whose oids never change. */
static enum replay_id_kind id_kind_of(int64_t type)
{
    switch (type) {
    case 2950:
        return REPLAY_ID_UUID;
    case 20:
    case 21:
    case 23:
        return REPLAY_ID_INTEGER;
    case 25:
    case 1043:
        return REPLAY_ID_TEXT;
    default:
        return REPLAY_ID_OTHER;
    }
}

static enum replay_time_kind time_kind_of(int64_t type)
{
    switch (type) {
    case 1184:
        return REPLAY_TIME_ZONED;
    case 1114:
        return REPLAY_TIME_PLAIN;
    case 20:
        return REPLAY_TIME_MS;
    default:
        return REPLAY_TIME_NONE;
    }
}

/* Which column the field is read from; false when the table has none of that name. */
static bool find(const struct replay_table *table, enum event_field field, size_t *ret_column)
{
    const char *name = table->entry->columns[field];
    if (name == NULL)
        name = preset_column(table->entry->preset, field);
    for (size_t i = 0; name != NULL && i < table->relation.column_count; i++) {
        if (strcmp(table->relation.columns[i].name, name) == 0) {
            *ret_column = i;
            return true;
        }
    }
    return false;
}

static bool find_fields(const struct pg *pg, struct replay_table *table, struct err *err)
{
    int64_t type = 0;
    if (!find(table, EVENT_id, &table->id)) {
        discard(err_set(err, ERR_RELATION_CHANGED, "the table lacks the column of the id"));
        return err_hint(err, "name it under capture, outbox: %s: columns: {id: ...}",
                        table->entry->name);
    }
    if (number(pg, (int)table->id, ASKED_BASE_TYPE, &type))
        table->id_kind = id_kind_of(type);
    if (find(table, EVENT_occurred_at, &table->time) &&
        number(pg, (int)table->time, ASKED_BASE_TYPE, &type)) {
        table->time_kind = time_kind_of(type);
        table->time_nullable = !bytes_is(pg_value(pg, (int)table->time, ASKED_NOT_NULL), "t");
    }
    table->commit_times =
        table->commit_times && (table->time_kind == REPLAY_TIME_NONE || table->time_nullable);
    return true;
}

static bool not_there(const struct capture_entry *entry, struct err *err)
{
    discard(err_set(err, ERR_CONFIG_VALUE, "the captured table %s does not exist", entry->name));
    return err_hint(err, "correct capture: - outbox: %s, or make it: walferry init -c FILE",
                    entry->name);
}

static bool ask(struct pg *pg, const struct capture_entry *entry, const char *publication,
                struct err *err)
{
    struct buf question;
    buf_init(&question, 65536);
    put_question(entry, publication, pg_server_version(pg) >= VERSION_LISTS, &question);
    bool ok = pg_query(pg, buf_cstr(&question), QUERY_MS, err);
    buf_deinit(&question);
    return ok;
}

bool replay_table_read(struct pg *pg, const struct capture_entry *entry, const char *publication,
                       uint64_t generation, struct replay_table *ret_table, struct err *err)
{
    struct replay_table table = {.entry = entry, .relation = {.generation = generation}};
    if (!ask(pg, entry, publication, err))
        return false;
    if (pg_rows(pg) == 0)
        return not_there(entry, err);
    if (!arena_init(&table.arena, 4096, NAMES_MAX))
        return err_set(err, ERR_MEMORY, "no memory for the columns of %s", entry->name);
    bool ok = read_columns(pg, &table) && read_names(&table);
    if (!ok)
        err_set(err, ERR_PROTOCOL, "the catalog's answer about %s is not understood", entry->name);
    if (!ok || !find_fields(pg, &table, err)) {
        replay_table_free(&table);
        return false;
    }
    *ret_table = table;
    return true;
}

void replay_table_free(struct replay_table *table)
{
    arena_deinit(&table->arena);
}
