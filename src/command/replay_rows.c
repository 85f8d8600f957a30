/* SPDX-License-Identifier: Apache-2.0 */
#include "replay_rows.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "walferry/base/assert.h"

#define FETCH_ROWS 1000
/* Locks may be waited for; sorting happens later, while rows are awaited without a limit. */
#define OPEN_MS 60000
#define BACK_MS 600000
#define SQL_MAX ((size_t)256 << 20)

#define STRINGIFY(x)  #x
#define TEXT_OF(x)    STRINGIFY(x)
#define FETCH_COMMAND "FETCH FORWARD " TEXT_OF(FETCH_ROWS) " FROM walferry_replay"

bool replay_rows_open(struct replay_rows *rows, struct pg *pg, const struct replay_table *table,
                      const struct replay_query *query, struct err *err)
{
    struct buf sql;
    *rows = (struct replay_rows){.pg = pg, .table = table, .flags = replay_query_flags(query)};
    rows->values = calloc(table->relation.column_count, sizeof(rows->values[0]));
    if (rows->values == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a row");
    buf_init(&sql, SQL_MAX);
    replay_put_declare(table, query, &sql);
    bool ok = buf_ok(&sql) || err_set(err, ERR_MEMORY, "no memory for the question");
    ok = ok && pg_query(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", OPEN_MS, err) &&
         pg_query(pg, buf_cstr(&sql), OPEN_MS, err);
    buf_deinit(&sql);
    return ok;
}

static void take(struct replay_rows *rows, struct replay_found *found)
{
    uint16_t count = rows->table->relation.column_count;
    int next = count;
    for (uint16_t i = 0; i < count; i++) {
        struct bytes bytes = pg_value(rows->pg, 0, i);
        rows->values[i] = (struct value){
            .kind = bytes_present(bytes) ? VALUE_TEXT : VALUE_NULL,
            .bytes = bytes,
        };
    }
    *found = (struct replay_found){.row = {.count = count, .values = rows->values}};
    if (rows->table->commit_times)
        found->commit_time = pg_value(rows->pg, 0, next++);
    found->passed = rows->flags && !bytes_is(pg_value(rows->pg, 0, next), "t");
}

enum replay_row replay_rows_next(struct replay_rows *rows, struct replay_found *ret_found,
                                 struct err *err)
{
    for (;;) {
        if (!rows->fetching && !pg_rows_start(rows->pg, FETCH_COMMAND, err))
            return REPLAY_ROW_FAILED;
        rows->fetched = rows->fetching ? rows->fetched : 0;
        rows->fetching = true;
        switch (pg_rows_next(rows->pg, err)) {
        case PG_ROW_HERE:
            take(rows, ret_found);
            rows->at++;
            rows->fetched++;
            return REPLAY_ROW_HERE;
        case PG_ROW_WAIT:
            return REPLAY_ROW_WAIT;
        case PG_ROW_FAILED:
            rows->fetching = false;
            return REPLAY_ROW_FAILED;
        case PG_ROW_END:
            rows->fetching = false;
            if (rows->fetched < FETCH_ROWS)
                return REPLAY_ROW_END;
        }
    }
}

/* What the FETCH under way still brings is of no use. */
static bool finish_fetch(struct replay_rows *rows, struct err *err)
{
    while (rows->fetching) {
        struct pollfd entry = {.fd = pg_fd(rows->pg), .events = POLLIN};
        switch (pg_rows_next(rows->pg, err)) {
        case PG_ROW_HERE:
            break;
        case PG_ROW_WAIT:
            discard(poll(&entry, 1, 1000) >= 0);
            break;
        case PG_ROW_FAILED:
            rows->fetching = false;
            return false;
        case PG_ROW_END:
            rows->fetching = false;
            break;
        }
    }
    return true;
}

bool replay_rows_back(struct replay_rows *rows, uint32_t to, struct err *err)
{
    char sql[64];
    ASSERT(to <= rows->at);
    snprintf(sql, sizeof(sql), "MOVE ABSOLUTE %u IN walferry_replay", to);
    if (!finish_fetch(rows, err) || !pg_query(rows->pg, sql, BACK_MS, err))
        return false;
    rows->at = to;
    return true;
}

bool replay_rows_end(struct replay_rows *rows, struct err *err)
{
    ASSERT(!rows->fetching);
    return pg_query(rows->pg, "COMMIT", OPEN_MS, err);
}

void replay_rows_free(struct replay_rows *rows)
{
    free(rows->values);
    rows->values = NULL;
}
