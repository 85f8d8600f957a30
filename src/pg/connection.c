/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_private.h"

#include <poll.h>
#include <stdlib.h>

#include "conninfo.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/loop/loop.h"

#define PARAMS_MAX 20

struct params {
    const char *keys[PARAMS_MAX + 1];
    const char *values[PARAMS_MAX + 1];
    size_t count;
};

static void params_add(struct params *params, const char *key, const char *value)
{
    ASSERT(params->count < PARAMS_MAX);
    params->keys[params->count] = key;
    params->values[params->count] = value;
    params->count++;
}

/* Of two values for one keyword libpq takes the later: defaults stand before the user's string,
 * what must hold stands after it. */
static void params_fill(struct params *params, const struct pg_opts *opts,
                        const struct conninfo *conninfo, const char *password)
{
    params_add(params, "fallback_application_name", opts->application_name);
    params_add(params, "connect_timeout", conninfo->timeout_s);
    params_add(params, "tcp_user_timeout", conninfo->tcp_timeout_ms);
    params_add(params, "keepalives", "1");
    params_add(params, "keepalives_idle", "15");
    params_add(params, "keepalives_interval", "5");
    params_add(params, "keepalives_count", "3");
    if (conninfo->want_primary) {
        params_add(params, "target_session_attrs", "primary");
    }
    params_add(params, "dbname", opts->conninfo);
    params_add(params, "client_encoding", "UTF8");
    params_add(params, "options", conninfo->options);
    if (opts->replication) {
        params_add(params, "replication", "database");
    }
    if (password != NULL) {
        params_add(params, "password", password);
    }
}

static bool start(struct pg *pg, const struct pg_opts *opts, struct err *err)
{
    struct conninfo conninfo;
    if (!conninfo_read(opts->conninfo, &conninfo, err)) {
        return false;
    }
    char password[PG_PASSWORD_MAX];
    bool has_password = opts->password_file != NULL;
    if (has_password && !conninfo_password(opts->password_file, password, err)) {
        explicit_bzero(password, sizeof password);
        return false;
    }
    pg->connect_timeout_ms = conninfo.total_ms;
    struct params params = {0};
    params_fill(&params, opts, &conninfo, has_password ? password : NULL);
    pg->conn = PQconnectStartParams(params.keys, params.values, 1);
    explicit_bzero(password, sizeof password);
    if (pg->conn == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for a connection to PostgreSQL");
    }
    /* While connecting libpq keeps the SQLSTATE only in its verbose text. */
    PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(pg->conn, pg_notice_receiver, pg);
    pg->polling = PGRES_POLLING_WRITING;
    bool bad = FAILPOINT(CONN_OPEN) || PQstatus(pg->conn) == CONNECTION_BAD;
    return !bad || pg_fail_connect(pg, err);
}

bool pg_connect_start(const struct pg_opts *opts, struct pg **ret_pg, struct err *err)
{
    struct pg *pg = calloc(1, sizeof *pg);
    if (pg == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for a connection to PostgreSQL");
    }
    pg_conninfo_describe(opts->conninfo, pg->where, sizeof pg->where);
    if (!start(pg, opts, err)) {
        pg_close(pg);
        return false;
    }
    *ret_pg = pg;
    return true;
}

/* libpq takes an unfinished connect for a finished one when asked too early. */
static bool socket_ready(const struct pg *pg)
{
    short events = pg->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    struct pollfd entry = {.fd = PQsocket(pg->conn), .events = events};
    return entry.fd < 0 || poll(&entry, 1, 0) > 0;
}

/* PGTZ, PGDATESTYLE or a pooler can undo what we asked for; then every time would be misread. */
static bool check_session(const struct pg *pg, struct err *err)
{
    static const struct {
        const char *name;
        const char *value;
    } WANTED[] = {{"client_encoding", "UTF8"}, {"DateStyle", "ISO, YMD"}, {"TimeZone", "UTC"}};
    for (size_t i = 0; i < ARRAY_LEN(WANTED); i++) {
        const char *value = PQparameterStatus(pg->conn, WANTED[i].name);
        if (value != NULL && strcmp(value, WANTED[i].value) != 0) {
            char text[64];
            pg_escape(bytes_str(value), text, sizeof text);
            err_set(err, ERR_PG_CONNINFO, "the session has %s \"%s\" instead of \"%s\"",
                    WANTED[i].name, text, WANTED[i].value);
            err_where(err, "%s", pg->where);
            return err_hint(err, "unset PGTZ, PGDATESTYLE and PGCLIENTENCODING in walferry's "
                                 "environment, and connect without a pooler in between");
        }
    }
    return true;
}

static enum pg_poll settle(struct pg *pg, struct err *err)
{
    enum pg_poll outcome = pg_query_poll(pg, err);
    pg->settling = outcome == PG_POLL_WAIT;
    return outcome;
}

/* Where any bytes may stand in a text, a server that had to send UTF8 would stop at the first that
 * are none, for ever: bytes come as they are, and whoever reads them checks them. */
static bool holds_any_bytes(const struct pg *pg)
{
    const char *encoding = PQparameterStatus(pg->conn, "server_encoding");
    return encoding != NULL && strcmp(encoding, "SQL_ASCII") == 0;
}

static enum pg_poll connected(struct pg *pg, struct err *err)
{
    PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
    if (FAILPOINT(CONN_LOGIN) || PQsetnonblocking(pg->conn, 1) != 0) {
        pg_fail_lost(pg, err);
        return PG_POLL_FAILED;
    }
    if (!check_session(pg, err)) {
        return PG_POLL_FAILED;
    }
    pg->connected = true;
    if (!holds_any_bytes(pg)) {
        return PG_POLL_DONE;
    }
    return pg_query_start(pg, "SET client_encoding = 'SQL_ASCII'", err) ? settle(pg, err)
                                                                        : PG_POLL_FAILED;
}

enum pg_poll pg_connect_poll(struct pg *pg, struct err *err)
{
    if (pg->settling) {
        return settle(pg, err);
    }
    ASSERT(!pg->connected);
    if (!socket_ready(pg)) {
        return PG_POLL_WAIT;
    }
    pg->polling = PQconnectPoll(pg->conn);
    switch (pg->polling) {
    case PGRES_POLLING_OK:
        return connected(pg, err);
    case PGRES_POLLING_READING:
    case PGRES_POLLING_WRITING:
    case PGRES_POLLING_ACTIVE:
        return PG_POLL_WAIT;
    case PGRES_POLLING_FAILED:
        pg_fail_connect(pg, err);
        return PG_POLL_FAILED;
    default:
        UNREACHABLE();
    }
}

void pg_clear(struct pg *pg)
{
    PQclear(pg->result);
    pg->result = NULL;
    PQfreemem(pg->copy);
    pg->copy = NULL;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL) {
        return;
    }
    pg_clear(pg);
    PQfinish(pg->conn);
    free(pg);
}

uint64_t pg_connect_timeout_ms(const struct pg *pg)
{
    return pg->connect_timeout_ms;
}

int pg_fd(const struct pg *pg)
{
    return PQsocket(pg->conn);
}

unsigned pg_wants(const struct pg *pg)
{
    if (!pg->connected) {
        return pg->polling == PGRES_POLLING_READING ? LOOP_READ : LOOP_WRITE;
    }
    return LOOP_READ | (pg->flush_pending ? (unsigned)LOOP_WRITE : 0u);
}

int pg_server_version(const struct pg *pg)
{
    return PQserverVersion(pg->conn);
}

int pg_backend_pid(const struct pg *pg)
{
    return PQbackendPID(pg->conn);
}

bool pg_readable(const struct pg *pg)
{
    struct pollfd entry = {.fd = PQsocket(pg->conn), .events = POLLIN};
    return poll(&entry, 1, 0) > 0;
}

bool pg_alive(struct pg *pg, struct err *err)
{
    ASSERT(pg->connected && !pg->querying && !pg->copying);
    bool read = PQconsumeInput(pg->conn) != 0;
    /* Parses what was read, so that a FATAL reaches the notice receiver. */
    (void)PQisBusy(pg->conn);
    if (!read || pg->ended || PQstatus(pg->conn) == CONNECTION_BAD) {
        return pg_fail_lost(pg, err);
    }
    return true;
}
