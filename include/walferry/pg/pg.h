/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg: a connection to PostgreSQL that never blocks, with errors that are ours.
 *
 * The only module that knows libpq. Wraps connecting, the simple query protocol and COPY BOTH; the
 * owner waits for pg_fd() with pg_wants() and calls again. (Resolving a host name may block inside
 * libpq for as long as the resolver takes; use hostaddr where that matters.)
 * Server texts are untrusted and are escaped in errors; passwords never enter one. Times and text
 * come in one form on every connection: UTF8, ISO dates, UTC, hex bytea. Only of a database of
 * encoding SQL_ASCII, which knows no characters, text is any bytes.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/base/lsn.h"

struct pg_opts {
    const char *conninfo;      /* libpq keywords or URI; borrowed */
    const char *password_file; /* NULL for none; read again at each connect */
    const char *application_name;
    bool replication; /* replication=database */
};

struct pg;

enum pg_poll { PG_POLL_WAIT, PG_POLL_DONE, PG_POLL_FAILED };

/* Check the syntax only. */
MUST_USE bool pg_conninfo_check(const char *conninfo, struct err *err);
/* "host=... dbname=... user=..." without secrets, for people. `out` is always terminated. */
void pg_conninfo_describe(const char *conninfo, char *out, size_t size);

/* The user that a connection string logs in as: its own, PGUSER, or the operating system's. False
 * when there is none or it does not fit. */
MUST_USE bool pg_conninfo_user(const char *conninfo, char *out, size_t size);
/* "15.20"; static. */
const char *pg_library_version(void);

MUST_USE bool pg_connect_start(const struct pg_opts *opts, struct pg **ret_pg, struct err *err);
/* Until DONE or FAILED; FAILED leaves only pg_close(). */
MUST_USE enum pg_poll pg_connect_poll(struct pg *pg, struct err *err);
/* Accepts NULL. */
void pg_close(struct pg *pg);

/* What one attempt may take before its owner gives it up: connect_timeout (10 s unless told) for
 * each host of the connection string. libpq keeps no time of its own on this path. */
uint64_t pg_connect_timeout_ms(const struct pg *pg);

/* -1 without one. Changes while connecting: ask again after every poll. */
int pg_fd(const struct pg *pg);
/* LOOP_READ | LOOP_WRITE for the connection's present state. */
unsigned pg_wants(const struct pg *pg);
/* 150020 */
int pg_server_version(const struct pg *pg);
/* Process of the server that serves this connection, as pg_stat_activity shows it. */
int pg_backend_pid(const struct pg *pg);
/* Between two queries: read what came unasked. False when the server ended the session (err has
 * its SQLSTATE) or the connection broke. */
MUST_USE bool pg_alive(struct pg *pg, struct err *err);

/* Bytes wait in the socket that no call has taken yet. */
bool pg_readable(const struct pg *pg);

/* Send one or several statements; then poll until DONE. */
MUST_USE bool pg_query_start(struct pg *pg, const char *sql, struct err *err);
/* DONE: the result of the last statement with rows is at hand until the next call that sends. */
MUST_USE enum pg_poll pg_query_poll(struct pg *pg, struct err *err);
int pg_rows(const struct pg *pg);
/* 0 also when the answer was no table. */
int pg_columns(const struct pg *pg);
/* Text of a field; absent for SQL NULL or when row or column do not exist. Borrowed until the next
 * query. */
struct bytes pg_value(const struct pg *pg, int row, int column);

/* As pg_query_start(), for one statement that returns many rows: they come one at a time, and no
 * more than the one at hand is kept in memory. */
MUST_USE bool pg_rows_start(struct pg *pg, const char *sql, struct err *err);

enum pg_row {
    PG_ROW_HERE, /* pg_value(pg, 0, column) until the next call */
    PG_ROW_WAIT, /* nothing now: wait for the descriptor */
    PG_ROW_END,  /* that was all; another query may be sent */
    PG_ROW_FAILED,
};

MUST_USE enum pg_row pg_rows_next(struct pg *pg, struct err *err);

/* For one-shot commands: start, wait up to timeout_ms, and have the result at hand. */
MUST_USE bool pg_query(struct pg *pg, const char *sql, uint64_t timeout_ms, struct err *err);
/* For one-shot commands. */
MUST_USE bool pg_connect(const struct pg_opts *opts, uint64_t timeout_ms, struct pg **ret_pg,
                         struct err *err);

/* `text` as an SQL literal. False without a connection or on bad encoding. */
MUST_USE bool pg_quote_literal(const struct pg *pg, const char *text, char *out, size_t size);

/* COPY BOTH: after a START_REPLICATION that pg_query_poll() reported DONE and pg_copying(). */
bool pg_copying(const struct pg *pg);

enum pg_copy {
    PG_COPY_DATA, /* *ret_data, borrowed until the next call */
    PG_COPY_IDLE, /* nothing now: wait for the descriptor */
    PG_COPY_END,  /* the server ended the stream in good order */
    PG_COPY_FAILED,
};

MUST_USE enum pg_copy pg_copy_get(struct pg *pg, struct bytes *ret_data, struct err *err);
/* Queue and try to send; what does not fit now goes with pg_flush(). */
MUST_USE bool pg_copy_put(struct pg *pg, struct bytes data, struct err *err);
/* Queue CopyDone: the orderly end from our side. */
MUST_USE bool pg_copy_end(struct pg *pg, struct err *err);
MUST_USE bool pg_flush(struct pg *pg, struct err *err);

/* The oldest notice of level WARNING or above that was not taken yet, escaped; false for none.
 * PostgreSQL 18 tells of a missing publication only so. */
struct pg_notice {
    char sqlstate[6];
    char message[256];
};
MUST_USE bool pg_notice_next(struct pg *pg, struct pg_notice *ret_notice);
