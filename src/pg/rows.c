/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_private.h"

#include "walferry/base/assert.h"

bool pg_rows_start(struct pg *pg, const char *sql, struct err *err)
{
    if (!pg_query_start(pg, sql, err)) {
        return false;
    }
    int single = PQsetSingleRowMode(pg->conn);
    ASSERT(single == 1);
    return true;
}

static enum pg_row end(struct pg *pg, struct err *err)
{
    pg->querying = false;
    pg_clear(pg);
    if (!err_is_set(&pg->failure)) {
        return PG_ROW_END;
    }
    if (err != NULL) {
        *err = pg->failure;
    }
    return PG_ROW_FAILED;
}

/* True when it is a row. The result that says how the statement ended comes without one. */
static bool take(struct pg *pg, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_SINGLE_TUPLE) {
        pg->result = result;
        return true;
    }
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && !err_is_set(&pg->failure)) {
        pg_fail_result(pg, result, &pg->failure);
    }
    PQclear(result);
    return false;
}

enum pg_row pg_rows_next(struct pg *pg, struct err *err)
{
    ASSERT(pg->querying);
    pg_clear(pg);
    if (!pg_flush(pg, err)) {
        pg->querying = false;
        return PG_ROW_FAILED;
    }
    /* The socket is read only when libpq holds no whole row: what it holds stays small. */
    bool read = true;
    bool asked = false;
    for (;;) {
        if (PQisBusy(pg->conn) == 0) {
            PGresult *result = PQgetResult(pg->conn);
            if (result == NULL) {
                return end(pg, err);
            }
            if (take(pg, result)) {
                return PG_ROW_HERE;
            }
        } else if (asked) {
            break;
        } else {
            read = PQconsumeInput(pg->conn) != 0;
            asked = true;
        }
    }
    if (read) {
        return PG_ROW_WAIT;
    }
    pg->querying = false;
    pg_fail_lost(pg, err);
    return PG_ROW_FAILED;
}
