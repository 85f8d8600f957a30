/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "harness.h"

struct world *world_new(const char *label)
{
    return world_new_on(label, shared_pg(), shared_kafka());
}

static struct world *begin(const char *label, struct pg_server *pg, struct kafka_server *kafka)
{
    struct world *world = calloc(1, sizeof *world);
    unsigned random = 0;
    REQUIRE(world != NULL, "out of memory");
    REQUIRE(strlen(label) <= 20, "%s: a label of more than 20 characters", label);
    REQUIRE(getrandom(&random, sizeof random, 0) == sizeof random, "getrandom");
    snprintf(world->name, sizeof world->name, "%s_%08x", label, random);
    snprintf(world->slot, sizeof world->slot, "walferry_%s", world->name);
    snprintf(world->dir, sizeof world->dir, "%s/%s", harness_dir(), world->name);
    world->pg = pg;
    world->kafka = kafka;
    make_directory(world->dir);
    return world;
}

static void enter(struct world *world, const char *database)
{
    snprintf(world->conninfo, sizeof world->conninfo, "%s", pg_conninfo(world->pg, database));
    world->db = pg_session(world->pg, database);
}

struct world *world_new_on(const char *label, struct pg_server *pg, struct kafka_server *kafka)
{
    struct world *world = begin(label, pg, kafka);
    PGconn *server = pg_session(pg, "postgres");
    PQclear(sql_on(server, text("CREATE DATABASE %s TEMPLATE template0", world->name)));
    PQfinish(server);
    enter(world, world->name);
    return world;
}

static void drop_slots(PGconn *server, const char *database)
{
    PQclear(sql_on(server, text("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                                "WHERE database = '%s' AND active_pid IS NOT NULL",
                                database)));
    wait_until(PQntuples(sql_on(server, text("SELECT FROM pg_replication_slots WHERE database = "
                                             "'%s' AND active",
                                             database))) == 0,
               "a slot of %s stays active", database);
    PQclear(sql_on(server, text("SELECT pg_drop_replication_slot(slot_name) FROM "
                                "pg_replication_slots WHERE database = '%s'",
                                database)));
}

/* Whatever a test before it left there. */
static void empty(struct world *world)
{
    sql(world, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
               "current_database() AND pid <> pg_backend_pid()");
    drop_slots(world->db, "postgres");
    sql(world, "SET client_min_messages = error; DROP SCHEMA IF EXISTS outbox CASCADE; "
               "RESET client_min_messages");
    PGresult *rows = sql_rows(world, "SELECT quote_ident(pubname) FROM pg_publication");
    for (int i = 0; i < PQntuples(rows); i++)
        sql(world, "DROP PUBLICATION %s", PQgetvalue(rows, i, 0));
    PQclear(rows);
}

struct world *world_new_emptied(const char *label)
{
    struct world *world = begin(label, shared_pg(), shared_kafka());
    world->emptied = true;
    enter(world, "postgres");
    empty(world);
    return world;
}

static void drop_all(const struct world *world)
{
    PGconn *server = pg_session(world->pg, "postgres");
    drop_slots(server, world->emptied ? "postgres" : world->name);
    if (!world->emptied)
        PQclear(sql_on(server, text("DROP DATABASE %s WITH (FORCE)", world->name)));
    PQfinish(server);
}

void world_free(struct world *world)
{
    PQfinish(world->db);
    if (world->pg->pid != 0)
        drop_all(world);
    if (getenv("WALFERRY_TEST_KEEP") == NULL)
        remove_tree(world->dir);
    free(world);
}

PGconn *world_connect(const struct world *world)
{
    return pg_session(world->pg, world->emptied ? "postgres" : world->name);
}

void world_reconnect(struct world *world)
{
    PQfinish(world->db);
    world->db = world_connect(world);
}

char *world_topic(const struct world *world, const char *prefix)
{
    return text("%s.%s", world->name, prefix);
}

static char *replace(const char *where, const char *what, const char *with)
{
    char *result = text("%s", "");
    const char *at;
    while ((at = strstr(where, what)) != NULL) {
        result = text("%s%.*s%s", result, (int)(at - where), where, with);
        where = at + strlen(what);
    }
    return text("%s%s", result, where);
}

char *world_expand(const struct world *world, const char *template_text, unsigned http_port)
{
    const char *broker = world->kafka == NULL ? "" : world->kafka->address;
    char *result = replace(template_text, "@NAME@", world->name);
    result = replace(result, "@SLOT@", world->slot);
    result = replace(result, "@CONNINFO@", world->conninfo);
    result = replace(result, "@KAFKA@", broker);
    result = replace(result, "@DIR@", world->dir);
    return replace(result, "@HTTP@", text("127.0.0.1:%u", http_port));
}

PGresult *sql_on(PGconn *db, const char *statement)
{
    PGresult *result = PQexec(db, statement);
    ExecStatusType status = PQresultStatus(result);
    REQUIRE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s\nin: %s",
            PQerrorMessage(db), statement);
    return result;
}

__attribute__((format(printf, 1, 0))) static char *format_sql(const char *format, va_list list)
{
    char *statement;
    REQUIRE(vasprintf(&statement, format, list) >= 0, "out of memory");
    return statement;
}

void sql(struct world *world, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *statement = format_sql(format, list);
    va_end(list);
    PQclear(sql_on(world->db, statement));
    free(statement);
}

PGresult *sql_rows(struct world *world, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *statement = format_sql(format, list);
    va_end(list);
    PGresult *result = sql_on(world->db, statement);
    free(statement);
    return result;
}

static char *first_value(PGconn *db, const char *statement)
{
    PGresult *result = sql_on(db, statement);
    char *value = NULL;
    if (PQntuples(result) > 0 && PQnfields(result) > 0 && PQgetisnull(result, 0, 0) == 0)
        value = text("%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return value;
}

char *sql_value(struct world *world, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *statement = format_sql(format, list);
    va_end(list);
    char *value = first_value(world->db, statement);
    free(statement);
    return value;
}

int64_t sql_number(struct world *world, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *statement = format_sql(format, list);
    va_end(list);
    char *value = first_value(world->db, statement);
    REQUIRE(value != NULL, "no value from: %s", statement);
    free(statement);
    return strtoll(value, NULL, 10);
}

void sql_file(struct world *world, const char *name)
{
    const char *path = strchr(name, '/') != NULL ? name : text("%s/sql/%s", E2E_SOURCE_ROOT, name);
    char *content = read_file(path);
    REQUIRE(content[0] != '\0', "%s is empty or not there", path);
    PQclear(sql_on(world->db, content));
    free(content);
}

void wait_confirmed(struct world *world)
{
    const char *end = sql_value(world, "SELECT pg_current_wal_insert_lsn()");
    wait_until(sql_number(world,
                          "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s' AND "
                          "confirmed_flush_lsn >= '%s'",
                          world->slot, end) == 1,
               "slot %s does not confirm %s; it stands at %s", world->slot, end,
               sql_value(world,
                         "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = "
                         "'%s'",
                         world->slot));
}
