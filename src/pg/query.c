/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/loop/loop.h"

bool pg_query_start(struct pg *pg, const char *sql, struct err *err)
{
    ASSERT(pg->connected && !pg->querying && !pg->copying);
    pg_clear(pg);
    pg->failure = ERR_INIT;
    if (FAILPOINT(QUERY_SEND) || PQsendQuery(pg->conn, sql) == 0) {
        return pg_fail_lost(pg, err);
    }
    pg->querying = true;
    pg->may_copy = strncmp(sql, "START_REPLICATION ", strlen("START_REPLICATION ")) == 0;
    return pg_flush(pg, err);
}

static void keep(struct pg *pg, PGresult *result)
{
    PQclear(pg->result);
    pg->result = result;
}

/* Takes the result over. True while more may come. */
static bool accept_result(struct pg *pg, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
        keep(pg, result);
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
    case PGRES_NONFATAL_ERROR:
        PQclear(result);
        return true;
    case PGRES_COPY_BOTH:
        if (!pg->may_copy) {
            break;
        }
        pg->copying = true;
        PQclear(result);
        return false;
    case PGRES_FATAL_ERROR:
        if (!err_is_set(&pg->failure)) {
            pg_fail_result(pg, result, &pg->failure);
        }
        PQclear(result);
        return true;
    case PGRES_BAD_RESPONSE:
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_SINGLE_TUPLE:
    case PGRES_PIPELINE_SYNC:
    case PGRES_PIPELINE_ABORTED:
        break;
    }
    err_set(&pg->failure, ERR_PROTOCOL, "the server answered a query with %s",
            PQresStatus(PQresultStatus(result)));
    err_where(&pg->failure, "%s", pg->where);
    PQclear(result);
    return false;
}

static enum pg_poll finish(struct pg *pg, struct err *err)
{
    pg->querying = false;
    if (!err_is_set(&pg->failure)) {
        return PG_POLL_DONE;
    }
    pg->copying = false;
    if (err != NULL) {
        *err = pg->failure;
    }
    return PG_POLL_FAILED;
}

enum pg_poll pg_query_poll(struct pg *pg, struct err *err)
{
    ASSERT(pg->querying);
    if (!pg_flush(pg, err)) {
        pg->querying = false;
        return PG_POLL_FAILED;
    }
    /* When reading fails, the results that came before are still to be had, the reason among them.
     */
    bool read = PQconsumeInput(pg->conn) != 0;
    while (PQisBusy(pg->conn) == 0) {
        PGresult *result = PQgetResult(pg->conn);
        if (result == NULL || !accept_result(pg, result)) {
            return finish(pg, err);
        }
    }
    if (!read) {
        pg->querying = false;
        pg_fail_lost(pg, err);
        return PG_POLL_FAILED;
    }
    return PG_POLL_WAIT;
}

int pg_rows(const struct pg *pg)
{
    return pg->result == NULL ? 0 : PQntuples(pg->result);
}

int pg_columns(const struct pg *pg)
{
    return pg->result == NULL ? 0 : PQnfields(pg->result);
}

struct bytes pg_value(const struct pg *pg, int row, int column)
{
    if (row < 0 || column < 0 || row >= pg_rows(pg) || column >= PQnfields(pg->result) ||
        PQgetisnull(pg->result, row, column) != 0) {
        return BYTES_ABSENT;
    }
    return bytes_make(PQgetvalue(pg->result, row, column),
                      (size_t)PQgetlength(pg->result, row, column));
}

/* False when the time is over. */
static bool wait_for(const struct pg *pg, uint64_t deadline_ns)
{
    uint64_t now = clock_mono_ns();
    if (now >= deadline_ns) {
        return false;
    }
    uint64_t left_ms = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    unsigned wants = pg_wants(pg);
    int events =
        ((wants & LOOP_READ) != 0 ? POLLIN : 0) | ((wants & LOOP_WRITE) != 0 ? POLLOUT : 0);
    struct pollfd entry = {.fd = pg_fd(pg), .events = (short)events};
    (void)poll(&entry, 1, left_ms > 1000 ? 1000 : (int)left_ms);
    return true;
}

static bool too_late(const struct pg *pg, uint64_t timeout_ms, struct err *err)
{
    err_set(err, ERR_PG_SILENT, "no answer within %llu ms", (unsigned long long)timeout_ms);
    err_where(err, "%s", pg->where);
    return err_hint(err, "see what the server waits for: SELECT * FROM pg_stat_activity WHERE "
                         "application_name LIKE 'walferry%%'");
}

bool pg_query(struct pg *pg, const char *sql, uint64_t timeout_ms, struct err *err)
{
    uint64_t deadline = clock_mono_ns() + timeout_ms * NS_PER_MS;
    if (!pg_query_start(pg, sql, err)) {
        return false;
    }
    enum pg_poll poll_state = pg_query_poll(pg, err);
    while (poll_state == PG_POLL_WAIT) {
        if (!wait_for(pg, deadline)) {
            return too_late(pg, timeout_ms, err);
        }
        poll_state = pg_query_poll(pg, err);
    }
    return poll_state == PG_POLL_DONE;
}

bool pg_connect(const struct pg_opts *opts, uint64_t timeout_ms, struct pg **ret_pg,
                struct err *err)
{
    uint64_t deadline = clock_mono_ns() + timeout_ms * NS_PER_MS;
    struct pg *pg = NULL;
    if (!pg_connect_start(opts, &pg, err)) {
        return false;
    }
    enum pg_poll poll_state = pg_connect_poll(pg, err);
    bool in_time = true;
    while (poll_state == PG_POLL_WAIT && in_time) {
        in_time = wait_for(pg, deadline);
        if (in_time) {
            poll_state = pg_connect_poll(pg, err);
        }
    }
    if (poll_state == PG_POLL_DONE) {
        *ret_pg = pg;
        return true;
    }
    if (!in_time) {
        err_set(err, ERR_PG_CONNECT, "no connection within %llu ms",
                (unsigned long long)timeout_ms);
        err_where(err, "%s", pg->where);
        err_hint(err, "check host, port and firewall: pg_isready -d \"%s\"", pg->where);
    }
    pg_close(pg);
    return false;
}

static bool take_quoted(char *quoted, char *out, size_t size)
{
    if (quoted == NULL) {
        return false;
    }
    size_t len = strlen(quoted);
    bool fits = len < size;
    if (fits) {
        memcpy(out, quoted, len + 1);
    }
    PQfreemem(quoted);
    return fits;
}

bool pg_quote_literal(const struct pg *pg, const char *text, char *out, size_t size)
{
    return pg != NULL && take_quoted(PQescapeLiteral(pg->conn, text, strlen(text)), out, size);
}
