/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world: what one test owns: a directory, a database, and a name that no other test has.
 *
 * SQL goes over one connection to the world's database as the superuser postgres, in autocommit;
 * tests that need more sessions open them with world_connect(). SQL that fails fails the test.
 * world_free() belongs at the end of a test that passed; the directory of one that did not is kept
 * until its logs are printed.
 */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "kafka_server.h"
#include "pg_server.h"

struct world {
    char name[40];      /* fits a pipeline's name; the slot is walferry_NAME */
    char slot[64];      /* "walferry_NAME" */
    char dir[256];      /* exists */
    char conninfo[512]; /* of its database, over the Unix socket */
    struct pg_server *pg;
    struct kafka_server *kafka; /* NULL when the suite has none */
    PGconn *db;
    bool emptied; /* the database is not its own */
};

/* With the shared servers. `label`: short, [a-z]. */
struct world *world_new(const char *label);
/* With servers of the test's own; kafka may be NULL. */
struct world *world_new_on(const char *label, struct pg_server *pg, struct kafka_server *kafka);
/* In the database postgres of the shared server, emptied: quicker than one of its own. For a binary
 * of hundreds of tests none of which has another world at the time. */
struct world *world_new_emptied(const char *label);
/* Drops slots of the database, the database if it is the world's own, and the directory. Relays
 * must be stopped. */
void world_free(struct world *world);

/* Another session of the same database. PQfinish() it. */
PGconn *world_connect(const struct world *world);
/* Again after the server was away. */
void world_reconnect(struct world *world);
/* "PREFIX.NAME", a topic name of the test's own. Never freed. */
char *world_topic(const struct world *world, const char *prefix);
/* Replaces @NAME@ @SLOT@ @CONNINFO@ @KAFKA@ @DIR@ @HTTP@ (HOST:PORT from `http_port`). Never
 * freed. */
char *world_expand(const struct world *world, const char *template_text, unsigned http_port);

/* On the world's session; printf formats ("%%" for a percent sign). */
void sql(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* First value as text, NULL for null and for no row. Never freed. */
char *sql_value(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t sql_number(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* All rows; PQclear() it. */
PGresult *sql_rows(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* On any session. */
PGresult *sql_on(PGconn *db, const char *statement);
/* Run the files of sql/ by number ("001_outbox.sql") or another path. */
void sql_file(struct world *world, const char *name);

/* Waits until the world's slot has confirmed all that is in the WAL now. */
void wait_confirmed(struct world *world);
