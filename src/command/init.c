/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

#include <stdio.h>

#include "setup.h"
#include "walferry/base/clock.h"
#include "walferry/base/parse.h"
#include "walferry/pg/pg.h"
#include "walferry/sink/kafka.h"

#define CONNECT_MS 15000
#define STEP_MS    60000
/* A slot waits for every transaction that is writing when it is made. */
#define SLOT_MS  600000
#define KAFKA_MS 15000

struct init {
    const struct config *config;
    struct pg *pg;
    bool volatile_sink;
    bool slot_made;
};

static bool volatile_sink(const struct config *config)
{
    return sink_ops_of(config->sink.kind)->volatile_acks;
}

static void print_plan(const struct setup *setup)
{
    for (size_t i = 0; i < setup->count; i++) {
        const struct setup_step *step = &setup->steps[i];
        printf("-- %s\n", step->label);
        if (step->done != NULL)
            printf("-- only if this is false: %s;\n", step->done);
        printf("%s;\n\n", step->sql);
    }
}

static bool truth(const struct pg *pg)
{
    return pg_rows(pg) > 0 && bytes_is(pg_value(pg, 0, 0), "t");
}

static bool check_server(struct init *init, struct err *err)
{
    if (!pg_query(init->pg, "SHOW wal_level", STEP_MS, err))
        return false;
    if (!bytes_is(pg_value(init->pg, 0, 0), "logical")) {
        struct bytes level = pg_value(init->pg, 0, 0);
        discard(err_set(err, ERR_PG_WAL_LEVEL, "wal_level is %.*s, and must be logical",
                        BYTES_FMT(level)));
        return err_hint(err, "ALTER SYSTEM SET wal_level = 'logical';  then restart PostgreSQL");
    }
    if (pg_server_version(init->pg) < 140000)
        return err_set(err, ERR_PG_VERSION, "the server is PostgreSQL %d, and 14 is the oldest that "
                       "walferry can follow", pg_server_version(init->pg) / 10000);
    return true;
}

static void explain_step(const struct setup_step *step, struct err *err)
{
    err_context(err, "%s", step->label);
    if (step->makes_slot && err->hint[0] == '\0')
        err_hint(err, "a slot waits for open transactions: SELECT pid, xact_start, query FROM "
                      "pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start");
    else if (err->hint[0] == '\0')
        err_hint(err, "run init as the owner of the tables: walferry init -c FILE --conninfo "
                      "\"dbname=... user=OWNER\", or see what it would do with --print-sql");
}

static bool run_step(struct init *init, const struct setup_step *step, struct err *err)
{
    if (step->done != NULL) {
        if (!pg_query(init->pg, step->done, STEP_MS, err)) {
            explain_step(step, err);
            return false;
        }
        if (truth(init->pg)) {
            printf("found  %s\n", step->label);
            return true;
        }
    }
    if (!pg_query(init->pg, step->sql, step->makes_slot ? SLOT_MS : STEP_MS, err)) {
        explain_step(step, err);
        return false;
    }
    init->slot_made |= step->makes_slot;
    printf("%s  %s\n", step->done == NULL ? "ready" : "made ", step->label);
    return true;
}

/* Rows that stood in the table when the slot was made are not in the stream. */
static bool report_rows(struct init *init, const struct capture_entry *entry, struct err *err)
{
    struct buf sql;
    uint64_t rows;
    buf_init(&sql, 4096);
    buf_put_str(&sql, "SELECT count(*) FROM ");
    setup_put_table(&sql, entry->name);
    bool ok = pg_query(init->pg, buf_cstr(&sql), SLOT_MS, err);
    buf_deinit(&sql);
    if (!ok)
        return false;
    if (!parse_u64(pg_value(init->pg, 0, 0), &rows) || rows == 0)
        return true;
    printf("note   %llu rows of %s are older than the slot and are not streamed. To send them, insert "
           "them anew in one transaction:\n"
           "       BEGIN; CREATE TEMP TABLE old_rows ON COMMIT DROP AS SELECT * FROM %s;\n"
           "       DELETE FROM %s; INSERT INTO %s SELECT * FROM old_rows; COMMIT;\n",
           (unsigned long long)rows, entry->name, entry->name, entry->name, entry->name);
    return true;
}

static bool run_plan(struct init *init, const struct setup *setup, struct err *err)
{
    for (size_t i = 0; i < setup->count; i++)
        if (!run_step(init, &setup->steps[i], err))
            return false;
    for (size_t i = 0; init->slot_made && i < init->config->capture_count; i++)
        if (init->config->captures[i].kind == CAPTURE_OUTBOX &&
            !report_rows(init, &init->config->captures[i], err))
            return false;
    return true;
}

static bool make_topics(const struct config *config, struct err *err)
{
    const char *names[] = {config->delivery.dead_letter_topic};
    if (config->sink.kind != SINK_KAFKA || !config->sink.topics_create ||
        config->delivery.poison != POISON_DEAD_LETTER)
        return true;
    if (!kafka_topics_ensure(&config->sink, names, ARRAY_LEN(names), KAFKA_MS, err))
        return false;
    printf("ready  topic %s\n", names[0]);
    return true;
}

static bool init_database(const struct config *config, const char *conninfo,
                          const struct setup *setup, struct err *err)
{
    struct init init = {.config = config};
    const struct pg_opts opts = {
        .conninfo = conninfo == NULL ? config->source.conninfo : conninfo,
        .password_file = conninfo == NULL ? config->source.password_file : NULL,
        .application_name = "walferry_init",
    };
    if (!pg_connect(&opts, CONNECT_MS, &init.pg, err))
        return false;
    bool ok = check_server(&init, err) && run_plan(&init, setup, err);
    pg_close(init.pg);
    return ok;
}

static int init_with(const struct config *config, const char *conninfo, bool print)
{
    struct setup setup;
    struct err err;
    char user[128];
    char owner[128];
    bool known = pg_conninfo_user(config->source.conninfo, user, sizeof user);
    bool other = conninfo != NULL && (!pg_conninfo_user(conninfo, owner, sizeof owner) ||
                                      strcmp(user, owner) != 0);
    const char *role = known && (other || print) ? user : NULL;
    if (!setup_plan(config, role, !volatile_sink(config), &setup, &err))
        return command_fail(&err);
    if (print)
        print_plan(&setup);
    bool ok = print || (init_database(config, conninfo, &setup, &err) && make_topics(config, &err));
    setup_free(&setup);
    if (!ok)
        return command_fail(&err);
    if (!print && role != NULL)
        printf("note   role %s needs a way to log in: a password (\\password %s in psql), or a line "
               "in pg_hba.conf\n", role, role);
    if (!print)
        printf("done   start the relay: walferry run -c %s\n", config->path);
    return 0;
}

int command_init(const struct arguments *arguments)
{
    struct config *config;
    bool own = strcmp(arguments->command->name, "init") == 0;
    int status = arguments_config(arguments, &config);
    if (status != 0)
        return status;
    status = init_with(config, own ? arguments_value(arguments, "--conninfo") : NULL,
                       own && arguments_value(arguments, "--print-sql") != NULL);
    config_free(config);
    return status;
}
