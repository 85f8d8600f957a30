/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_private.h"

#include <limits.h>

#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"

bool pg_copying(const struct pg *pg)
{
    return pg->copying;
}

bool pg_flush(struct pg *pg, struct err *err)
{
    int left = PQflush(pg->conn);
    pg->flush_pending = left > 0;
    if (left >= 0) {
        return true;
    }
    /* The reason the server gave may stand unread behind a socket that refuses writes. */
    (void)PQconsumeInput(pg->conn);
    (void)PQisBusy(pg->conn);
    return pg_fail_lost(pg, err);
}

/* After the last CopyData the server waits for our CopyDone, unless that went before, and tells in
 * one or more results how the stream ended. */
static enum pg_copy copy_tail(struct pg *pg, struct err *err)
{
    pg->copy_tail = true;
    bool read = PQconsumeInput(pg->conn) != 0;
    while (PQisBusy(pg->conn) == 0) {
        PGresult *result = PQgetResult(pg->conn);
        ExecStatusType status = PQresultStatus(result);
        bool again = status == PGRES_COPY_IN && PQputCopyEnd(pg->conn, NULL) >= 0;
        bool good = result == NULL || status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        if (!again && !good) {
            pg_fail_result(pg, result, err);
        }
        PQclear(result);
        if (!again) {
            pg->copying = false;
            return good ? PG_COPY_END : PG_COPY_FAILED;
        }
        read = pg_flush(pg, NULL) && read;
    }
    if (read) {
        return PG_COPY_IDLE;
    }
    pg->copying = false;
    pg_fail_lost(pg, err);
    return PG_COPY_FAILED;
}

enum pg_copy pg_copy_get(struct pg *pg, struct bytes *ret_data, struct err *err)
{
    ASSERT(pg->copying);
    PQfreemem(pg->copy);
    pg->copy = NULL;
    if (pg->copy_tail) {
        return copy_tail(pg, err);
    }
    int len = PQgetCopyData(pg->conn, &pg->copy, 1);
    bool read = true;
    if (len == 0) {
        /* The socket is asked only when libpq holds no whole message; one that broke may still have
         * brought the server's last words. */
        read = PQconsumeInput(pg->conn) != 0;
        len = PQgetCopyData(pg->conn, &pg->copy, 1);
    }
    if (len > 0) {
        *ret_data = bytes_make(pg->copy, (size_t)len);
        return PG_COPY_DATA;
    }
    if (len == 0 && read) {
        return PG_COPY_IDLE;
    }
    if (len == -1) {
        return copy_tail(pg, err);
    }
    pg->copying = false;
    pg_fail_lost(pg, err);
    return PG_COPY_FAILED;
}

bool pg_copy_put(struct pg *pg, struct bytes data, struct err *err)
{
    ASSERT(pg->copying && data.len <= INT_MAX);
    if (pg->copy_tail) {
        return err_set(err, ERR_PG_LOST, "the server has ended the stream");
    }
    if (FAILPOINT(ACK_SEND) ||
        PQputCopyData(pg->conn, (const char *)data.ptr, (int)data.len) != 1) {
        return pg_fail_lost(pg, err);
    }
    return pg_flush(pg, err);
}

bool pg_copy_end(struct pg *pg, struct err *err)
{
    ASSERT(pg->copying);
    if (FAILPOINT(STOP_FINAL_ACK) || (!pg->copy_tail && PQputCopyEnd(pg->conn, NULL) < 0)) {
        return pg_fail_lost(pg, err);
    }
    return pg_flush(pg, err);
}
