/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_private: what the files of pg share. Nobody else may include it, for it names libpq.
 *
 * One struct pg owns one PGconn, the result at hand and the copy buffer handed out last; one
 * thread.
 */
#pragma once

#include <libpq-fe.h>

#include "walferry/pg/pg.h"

#define PG_NOTICES      4    /* kept until somebody asks; of more the newest replaces the last */
#define PG_PASSWORD_MAX 1024 /* bytes of a password file */

struct pg {
    PGconn *conn;
    PGresult *result; /* of the last statement that returned rows; may be NULL */
    char *copy;       /* handed out by pg_copy_get(); owned until the next call */
    PostgresPollingStatusType polling;
    bool connected;
    bool settling; /* connected, and not yet handed out: the session is still being set up */
    bool querying;
    bool copying;
    bool may_copy;                        /* a stream was asked for */
    bool copy_tail;                       /* the stream is over, its last result is still to come */
    bool flush_pending;                   /* output waits for the socket */
    bool ended;                           /* the server ended the session: `end_state` says how */
    char end_state[6];                    /* SQLSTATE of a FATAL that came outside a query */
    char end_text[256];                   /* and its text, escaped */
    struct err failure;                   /* first error of the running query */
    struct pg_notice notices[PG_NOTICES]; /* oldest first, not yet taken */
    size_t notice_count;
    uint64_t connect_timeout_ms;
    char where[256]; /* for errors: host, dbname, user */
};

/* A row of the table of SQLSTATEs. */
struct sqlstate_row {
    char prefix[6]; /* five characters, or the two of a class */
    enum err_code code;
    const char *hint; /* {user} and {database} are filled in */
};

/* The row for a state; never NULL: what is unknown is a failed query, "" a lost connection. */
const struct sqlstate_row *sqlstate_find(const char *sqlstate);

/* Escape for people into a fixed buffer; line ends become "; ". */
void pg_escape(struct bytes text, char *out, size_t size);
/* Fill err from a result of status PGRES_FATAL_ERROR. All four return false. */
bool pg_fail_result(const struct pg *pg, const PGresult *result, struct err *err);
/* ... from the message that libpq left when connecting failed. */
bool pg_fail_connect(const struct pg *pg, struct err *err);
/* ... from the message that libpq left when a call failed on an open connection. */
bool pg_fail_lost(const struct pg *pg, struct err *err);
/* ... from a state and a text that is escaped already. */
bool pg_fail_state(const struct pg *pg, const char *sqlstate, const char *text, struct err *err);
/* The five characters of a state in a verbose message of libpq, "" for none. */
void pg_find_sqlstate(const char *message, char ret_state[6]);

/* Installed on every connection; `context` is the struct pg. */
void pg_notice_receiver(void *context, const PGresult *result);
/* Drop the result and the copy buffer at hand. */
void pg_clear(struct pg *pg);
