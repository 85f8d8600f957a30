/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_server: a private PostgreSQL cluster, wal_level=logical, no fsync unless asked for.
 *
 * Listens on a Unix socket in its directory and on 127.0.0.1. Superuser postgres, trust. Run by the
 * user postgres or nobody when we are root. A server ends with the process that started it.
 */
#pragma once

#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct pg_server {
    char bin[256];
    char dir[256]; /* holds data/, log and the socket */
    char data[280];
    char log[280];
    unsigned port;
    int version; /* 15 */
    pid_t pid;   /* 0: stopped */
    bool shared; /* tests may not stop it */
};

enum pg_stop { PG_SMART = SIGTERM, PG_FAST = SIGINT, PG_IMMEDIATE = SIGQUIT, PG_KILL = SIGKILL };

/* A new cluster, started. `settings`: more lines of postgresql.conf, or NULL ("fsync = on\n"). */
struct pg_server *pg_start(const char *settings);
/* A new cluster in all, not started: a copy of a stopped one, with `settings` added. For standbys
 * and servers restored from a backup. */
struct pg_server *pg_copy(const struct pg_server *stopped, const char *settings);
/* A standby of a running server, not started; it has the slots that the primary has now. Restarts
 * the primary: sessions end. */
struct pg_server *pg_standby(struct pg_server *primary, const char *settings);
/* Ends recovery of a running standby; waits until it takes writes. */
void pg_promote(const struct pg_server *standby);
void pg_stop(struct pg_server *server, enum pg_stop how);
/* Start a stopped one, on the same port; waits until it accepts connections. */
void pg_resume(struct pg_server *server);
/* Append lines to postgresql.conf; they hold from the next start or reload. */
void pg_configure(struct pg_server *server, const char *settings);
void pg_reload(const struct pg_server *server);
/* Stops it, and removes its directory. */
void pg_free(struct pg_server *server);
/* Connection string of a database, over the Unix socket or over TCP. Never freed. */
char *pg_conninfo(const struct pg_server *server, const char *database);
char *pg_conninfo_tcp(const struct pg_server *server, const char *database);
PGconn *pg_session(const struct pg_server *server, const char *database);
