/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_server.h"

#include <check.h>
#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static const char base_settings[] = "listen_addresses = '127.0.0.1'\n"
                                    "wal_level = logical\n"
                                    "max_wal_senders = 40\n"
                                    "max_replication_slots = 40\n"
                                    "max_connections = 100\n"
                                    "shared_buffers = 64MB\n"
                                    "fsync = off\n"
                                    "full_page_writes = off\n"
                                    "jit = off\n"
                                    "lc_messages = 'C'\n"
                                    "log_timezone = 'UTC'\n"
                                    "log_line_prefix = '%m [%p] %d %a '\n";

/* PostgreSQL refuses to run as root. */
static const char *server_user(void)
{
    if (geteuid() != 0)
        return NULL;
    return getpwnam("postgres") != NULL ? "postgres" : "nobody";
}

static void give_to_server(const char *path)
{
    const char *user = server_user();
    if (user == NULL)
        return;
    const struct passwd *entry = getpwnam(user);
    REQUIRE(chown(path, entry->pw_uid, entry->pw_gid) == 0, "%s: %s", path, strerror(errno));
}

static int major_of(const char *path)
{
    const char *digits = strpbrk(path, "0123456789");
    return digits == NULL ? 0 : (int)strtol(digits, NULL, 10);
}

static void find_binaries(char *ret_path, size_t size)
{
    const char *given = getenv("WALFERRY_TEST_PG_BIN");
    glob_t found;
    int best = 0;
    ret_path[0] = '\0';
    if (given != NULL && given[0] != '\0') {
        snprintf(ret_path, size, "%s", given);
    } else if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            int major = major_of(found.gl_pathv[i]);
            if (major > best && access(text("%s/initdb", found.gl_pathv[i]), X_OK) == 0) {
                best = major;
                snprintf(ret_path, size, "%s", found.gl_pathv[i]);
            }
        }
        globfree(&found);
    }
    REQUIRE(access(text("%s/initdb", ret_path), X_OK) == 0,
            "no PostgreSQL server: install postgresql-15, or set WALFERRY_TEST_PG_BIN");
}

/* Servers that are not the system's bring their libraries with them. */
static const char *const *server_environment(const struct pg_server *server)
{
    static const char *environment[2];
    environment[0] = strncmp(server->bin, "/usr/", 5) == 0
                         ? NULL
                         : text("LD_LIBRARY_PATH=%s/../lib", server->bin);
    return environment;
}

static void append(const char *path, const char *content)
{
    FILE *file = fopen(path, "ae");
    REQUIRE(file != NULL, "%s: %s", path, strerror(errno));
    fputs(content, file);
    REQUIRE(fclose(file) == 0, "%s: %s", path, strerror(errno));
}

static void init_cluster(const struct pg_server *server)
{
    const char *const argv[] = {text("%s/initdb", server->bin),
                                "--no-sync",
                                "-A",
                                "trust",
                                "-U",
                                "postgres",
                                "-E",
                                "UTF8",
                                "--locale=C",
                                "-D",
                                server->data,
                                NULL};
    const struct spawn spawn = {.argv = argv,
                                .environment = server_environment(server),
                                .out_path = server->log,
                                .err_path = server->log,
                                .user = server_user()};
    REQUIRE(process_run(&spawn, DEADLINE_MS) == 0, "initdb failed:\n%s", read_file(server->log));
}

static struct pg_server *new_server(void)
{
    static int count;
    struct pg_server *server = calloc(1, sizeof *server);
    REQUIRE(server != NULL, "out of memory");
    find_binaries(server->bin, sizeof server->bin);
    snprintf(server->dir, sizeof server->dir, "%s/pg%d-%d", harness_dir(), (int)getpid(), count++);
    snprintf(server->data, sizeof server->data, "%s/data", server->dir);
    snprintf(server->log, sizeof server->log, "%s/log", server->dir);
    server->port = free_port();
    make_directory(server->dir);
    give_to_server(server->dir);
    return server;
}

void pg_configure(struct pg_server *server, const char *settings)
{
    append(text("%s/postgresql.conf", server->data), text("%s\n", settings));
}

void pg_reload(const struct pg_server *server)
{
    REQUIRE(kill(server->pid, SIGHUP) == 0, "the server does not run");
}

static void configure_place(struct pg_server *server)
{
    pg_configure(server,
                 text("port = %u\nunix_socket_directories = '%s'\n", server->port, server->dir));
}

struct pg_server *pg_start(const char *settings)
{
    struct pg_server *server = new_server();
    init_cluster(server);
    pg_configure(server, base_settings);
    configure_place(server);
    if (settings != NULL)
        pg_configure(server, settings);
    pg_resume(server);
    return server;
}

struct pg_server *pg_copy(const struct pg_server *stopped, const char *settings)
{
    struct pg_server *server = new_server();
    REQUIRE(stopped->pid == 0, "only a stopped server can be copied");
    const char *const argv[] = {"cp", "-a", stopped->data, server->data, NULL};
    const struct spawn spawn = {.argv = argv, .err_path = server->log};
    REQUIRE(process_run(&spawn, DEADLINE_MS) == 0, "cp failed: %s", read_file(server->log));
    configure_place(server);
    if (settings != NULL)
        pg_configure(server, settings);
    return server;
}

struct pg_server *pg_standby(struct pg_server *primary, const char *settings)
{
    pg_stop(primary, PG_FAST);
    struct pg_server *standby =
        pg_copy(primary, text("primary_conninfo = 'host=%s port=%u user=postgres dbname=postgres'\n"
                              "%s\n",
                              primary->dir, primary->port, settings == NULL ? "" : settings));
    write_file(text("%s/standby.signal", standby->data), "");
    pg_resume(primary);
    return standby;
}

void pg_promote(const struct pg_server *standby)
{
    PGconn *db = pg_session(standby, "postgres");
    PGresult *result = sql_on(db, "SELECT pg_promote()");
    ck_assert_str_eq(PQgetvalue(result, 0, 0), "t");
    PQclear(result);
    PQfinish(db);
}

static pid_t spawn_server(const struct pg_server *server)
{
    const char *const argv[] = {text("%s/postgres", server->bin), "-D", server->data, NULL};
    const struct spawn spawn = {.argv = argv,
                                .environment = server_environment(server),
                                .out_path = server->log,
                                .err_path = server->log,
                                .user = server_user(),
                                .death_signal = SIGQUIT};
    return process_spawn(&spawn);
}

static void read_version(struct pg_server *server)
{
    PGconn *db = pg_session(server, "postgres");
    server->version = PQserverVersion(db) / 10000;
    PQfinish(db);
}

void pg_resume(struct pg_server *server)
{
    uint64_t give_up = now_ms() + DEADLINE_MS;
    const char *conninfo = pg_conninfo(server, "postgres");
    int status;
    REQUIRE(server->pid == 0, "the server runs already");
    server->pid = spawn_server(server);
    while (PQping(conninfo) != PQPING_OK) {
        REQUIRE(now_ms() < give_up, "PostgreSQL does not answer:\n%s", read_file(server->log));
        /* After kill -9 the old backends hold the cluster for a moment. */
        if (process_wait(server->pid, 0, &status))
            server->pid = spawn_server(server);
        pause_ms(50);
    }
    read_version(server);
}

void pg_stop(struct pg_server *server, enum pg_stop how)
{
    int status;
    REQUIRE(!server->shared, "a shared server may not be stopped: use pg_start()");
    REQUIRE(server->pid != 0, "the server is stopped already");
    kill(server->pid, (int)how);
    REQUIRE(process_wait(server->pid, DEADLINE_MS, &status), "PostgreSQL does not stop:\n%s",
            read_file(server->log));
    server->pid = 0;
}

void pg_free(struct pg_server *server)
{
    if (server == NULL)
        return;
    if (server->pid != 0)
        pg_stop(server, PG_IMMEDIATE);
    remove_tree(server->dir);
    free(server);
}

char *pg_conninfo(const struct pg_server *server, const char *database)
{
    return text("host=%s port=%u user=postgres dbname=%s", server->dir, server->port, database);
}

char *pg_conninfo_tcp(const struct pg_server *server, const char *database)
{
    return text("host=127.0.0.1 port=%u user=postgres dbname=%s", server->port, database);
}

PGconn *pg_session(const struct pg_server *server, const char *database)
{
    PGconn *db = PQconnectdb(pg_conninfo(server, database));
    REQUIRE(PQstatus(db) == CONNECTION_OK, "%s", PQerrorMessage(db));
    return db;
}
