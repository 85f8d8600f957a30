/* SPDX-License-Identifier: Apache-2.0 */
#include "writers.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "harness.h"

#define WRITERS_MAX 8
#define REST_MS     100
#define AWAY_MS     50

struct writers {
    struct world *world;
    pid_t pids[WRITERS_MAX];
    int count;
};

static const char functions[] =
    "CREATE TABLE counted (key int PRIMARY KEY, n bigint NOT NULL);\n"
    "CREATE FUNCTION write_rows(first int, keys int, size int, fill int) RETURNS void\n"
    "LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    "  PERFORM FROM counted WHERE key >= first AND key < first + keys ORDER BY key FOR UPDATE;\n"
    "  INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload)\n"
    "    SELECT 'order', 'k' || r.key, 'order.changed',\n"
    "           json_build_object('key', r.key, 'n', c.n + row_number() OVER (PARTITION BY r.key\n"
    "                             ORDER BY r.i), 'text', repeat('it''s \"x\"', r.i % fill))\n"
    "      FROM (SELECT i, first + i % keys AS key FROM generate_series(0, size - 1) i) r\n"
    "      JOIN counted c USING (key) ORDER BY r.i;\n"
    "  UPDATE counted c SET n = c.n + (size + keys - 1 - (c.key - first)) / keys\n"
    "    WHERE key >= first AND key < first + keys;\n"
    "END $$;\n";

uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

void writers_prepare(struct world *world)
{
    PQclear(sql_on(world->db, functions));
    sql(world, "INSERT INTO counted SELECT key, 0 FROM generate_series(0, %d - 1) AS key", KEYS);
}

/* ---- one writer ---------------------------------------------------------------------------- */

struct writer {
    PGconn *db;
    uint64_t seed;
    int number;
    unsigned prepared;
};

/* A server that goes away meanwhile is no fault of the writer: true when it is still there. */
static bool run(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool run(struct writer *writer, const char *format, ...)
{
    va_list list;
    char *statement;
    va_start(list, format);
    REQUIRE(vasprintf(&statement, format, list) >= 0, "out of memory");
    va_end(list);
    PQclear(PQexec(writer->db, statement));
    free(statement);
    return PQstatus(writer->db) == CONNECTION_OK;
}

static void write_rows(struct writer *writer, int size)
{
    int keys = 1 + (int)draw(&writer->seed, size < 8 ? (uint64_t)size : 8);
    int first = (int)draw(&writer->seed, (uint64_t)(KEYS - keys));
    int fill = draw(&writer->seed, 50) == 0 ? 2000 : 20;
    run(writer, "SELECT write_rows(%d, %d, %d, %d)", first, keys, size, fill);
}

static int choose_size(struct writer *writer)
{
    static const int sizes[] = {1, 1, 1, 1, 1, 2, 2, 3, 5, 10, 20, 50};
    uint64_t chance = draw(&writer->seed, 1000);
    if (chance == 0)
        return LARGE;
    return chance < 10 ? 500 : sizes[draw(&writer->seed, sizeof sizes / sizeof sizes[0])];
}

static void write_prepared(struct writer *writer, int size, bool commit)
{
    unsigned id = writer->prepared++;
    run(writer, "BEGIN");
    write_rows(writer, size);
    run(writer, "PREPARE TRANSACTION 'writer %d %u'", writer->number, id);
    run(writer, "%s PREPARED 'writer %d %u'", commit ? "COMMIT" : "ROLLBACK", writer->number, id);
}

static void write_transaction(struct writer *writer)
{
    int size = choose_size(writer);
    switch (draw(&writer->seed, 12)) {
    case 0:
        run(writer, "BEGIN");
        write_rows(writer, size);
        run(writer, "ROLLBACK");
        return;
    case 1:
        run(writer, "BEGIN");
        write_rows(writer, 1);
        run(writer, "SAVEPOINT s");
        write_rows(writer, size);
        run(writer, "ROLLBACK TO s");
        write_rows(writer, 2);
        run(writer, "COMMIT");
        return;
    case 2:
        write_prepared(writer, size, true);
        return;
    case 3:
        write_prepared(writer, size, false);
        return;
    case 4:
        run(writer, "BEGIN");
        write_rows(writer, size);
        run(writer, "DELETE FROM outbox.event WHERE xmin = pg_current_xact_id()::xid");
        run(writer, "COMMIT");
        return;
    default:
        write_rows(writer, size);
    }
}

/* What a crash left prepared would hold its locks for ever. */
static void end_prepared(PGconn *db, const char *pattern)
{
    PGresult *left = PQexec(
        db, text("SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND gid "
                 "LIKE '%s' ORDER BY prepared",
                 pattern));
    for (int i = 0; i < PQntuples(left); i++)
        PQclear(PQexec(db, text("%s PREPARED '%s'", i % 2 == 0 ? "COMMIT" : "ROLLBACK",
                                PQgetvalue(left, i, 0))));
    PQclear(left);
}

void say_nothing(void *context, const char *message)
{
    (void)context;
    (void)message;
}

static void connect_again(struct writer *writer, const char *conninfo)
{
    PQfinish(writer->db);
    writer->db = PQconnectdb(conninfo);
    PQsetNoticeProcessor(writer->db, say_nothing, NULL);
    if (PQstatus(writer->db) == CONNECTION_OK)
        end_prepared(writer->db, text("writer %d %%", writer->number));
}

_Noreturn static void write_for_ever(const char *conninfo, int number, uint64_t seed, pid_t parent)
{
    struct writer writer = {.seed = seed, .number = number};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_DFL);
    while (getppid() == parent) {
        if (writer.db == NULL || PQstatus(writer.db) != CONNECTION_OK)
            connect_again(&writer, conninfo);
        bool there = PQstatus(writer.db) == CONNECTION_OK;
        if (there)
            write_transaction(&writer);
        pause_ms(there ? REST_MS : AWAY_MS);
    }
    _exit(0);
}

/* ---- all of them --------------------------------------------------------------------------- */

struct writers *writers_start(struct world *world, int count, uint64_t seed)
{
    struct writers *writers = calloc(1, sizeof *writers);
    pid_t self = getpid();
    REQUIRE(writers != NULL && count <= WRITERS_MAX, "too many writers");
    writers->world = world;
    for (; writers->count < count; writers->count++) {
        pid_t pid = fork();
        REQUIRE(pid >= 0, "fork failed");
        if (pid == 0)
            write_for_ever(world->conninfo, writers->count, seed + (uint64_t)writers->count, self);
        writers->pids[writers->count] = pid;
    }
    return writers;
}

void writers_stop(struct writers *writers)
{
    for (int i = 0; i < writers->count; i++)
        kill(writers->pids[i], SIGTERM);
    for (int i = 0; i < writers->count; i++) {
        int status;
        REQUIRE(process_wait(writers->pids[i], DEADLINE_MS, &status), "a writer does not end");
    }
    /* Their sessions may still be at work. */
    wait_until(sql_number(writers->world,
                          "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                          "current_database() AND backend_type = 'client backend' AND state <> "
                          "'idle' AND pid <> pg_backend_pid()") == 0,
               "a writer's session does not end");
    end_prepared(writers->world->db, "writer %");
    free(writers);
}

int64_t writers_committed(struct world *world, int key)
{
    return sql_number(world, "SELECT n FROM counted WHERE key = %d", key);
}
