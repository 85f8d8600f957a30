/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

#include <stdio.h>

#include "setup_apply.h"
#include "walferry/base/parse.h"
#include "walferry/sink/kafka.h"

#define CONNECT_MS 15000
#define QUERY_MS   60000
#define KAFKA_MS   15000
/* More rows than that are not counted out. */
#define ROWS_MAX 100000

struct init {
    const struct config *config;
    const char *conninfo; /* --conninfo, or NULL */
    const char *role;     /* to be made, or NULL; `user` */
    char user[128];       /* of the relay */
    FILE *out;
    struct pg *pg;
    bool role_is_new;
    bool slot_is_new;
};

static void say(const struct init *init, const char *what, const char *text)
{
    fprintf(init->out, "%-6s %s\n", what, text);
}

/* --- --print-sql --- */

/* Without the white space and semicolons at its end. */
static int statement_len(const char *sql)
{
    size_t len = strlen(sql);
    while (len > 0 && strchr(" \t\n;", sql[len - 1]) != NULL) {
        len--;
    }
    return (int)len;
}

static void print_plan(const struct init *init, const struct setup *setup)
{
    fprintf(init->out,
            "-- What walferry init does for pipeline %s. Safe to run twice. Run it with "
            "psql,\n-- but not in a single transaction: a slot cannot be made in one "
            "that has written.\n\n",
            init->config->name);
    for (size_t i = 0; i < setup->count; i++) {
        const struct setup_step *step = &setup->steps[i];
        fprintf(init->out, "-- %s\n", step->label);
        if (step->done == NULL || step->makes_outbox) {
            fprintf(init->out, "%.*s;\n\n", statement_len(step->sql), step->sql);
        } else {
            fprintf(init->out, "DO $init$ BEGIN\nIF NOT (%s) THEN\n%.*s;\nEND IF;\nEND $init$;\n\n",
                    step->done, statement_len(step->sql), step->sql);
        }
    }
}

/* --- the steps --- */

static bool connect_to(const struct init *init, bool as_owner, struct pg **ret_pg, struct err *err)
{
    const struct source_opts *source = &init->config->source;
    const struct pg_opts opts = {
        .conninfo = as_owner ? init->conninfo : source->conninfo,
        .password_file = as_owner ? NULL : source->password_file,
        .application_name = "walferry_init",
    };
    return pg_connect(&opts, CONNECT_MS, ret_pg, err);
}

/* The owner of the tables need not have the attribute REPLICATION; the relay's role has it. */
static bool make_slot_as_relay(const struct init *init, const struct setup_step *step,
                               enum setup_did *ret_did, struct err *err)
{
    struct pg *pg;
    struct err refused = *err;
    if (init->conninfo == NULL || err->code != ERR_PG_PERMISSION) {
        return false;
    }
    if (!connect_to(init, false, &pg, err)) {
        *err = refused;
        return false;
    }
    bool ok = setup_apply(pg, step, ret_did, err);
    pg_close(pg);
    return ok;
}

static bool run_step(struct init *init, const struct setup_step *step, struct err *err)
{
    static const char *const words[] = {
        [SETUP_FOUND] = "found", [SETUP_MADE] = "made", [SETUP_RAN] = "ready"};
    enum setup_did did;
    if (!setup_apply(init->pg, step, &did, err) &&
        !(step->makes_slot && make_slot_as_relay(init, step, &did, err))) {
        return false;
    }
    init->slot_is_new |= step->makes_slot && did == SETUP_MADE;
    say(init, words[did], step->label);
    return true;
}

/* Role, and whether it may replicate: who made it by hand may have left that out. */
static bool look_at_role(struct init *init, bool before, struct err *err)
{
    struct buf sql;
    if (init->role == NULL) {
        return true;
    }
    buf_init(&sql, 4096);
    buf_put_str(&sql, "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = ");
    setup_put_literal(&sql, init->role);
    bool ok = pg_query(init->pg, buf_cstr(&sql), QUERY_MS, err);
    buf_deinit(&sql);
    if (!ok) {
        return false;
    }
    if (before) {
        init->role_is_new = pg_rows(init->pg) == 0;
    } else if (!bytes_is(pg_value(init->pg, 0, 0), "t")) {
        fprintf(init->out, "note   role %s may not replicate yet: ALTER ROLE \"%s\" REPLICATION;\n",
                init->role, init->role);
    }
    return true;
}

static void print_old_rows(const struct init *init, const char *table, uint64_t rows)
{
    struct buf name;
    buf_init(&name, 4096);
    setup_put_table(&name, table);
    const char *quoted = buf_cstr(&name);
    fprintf(init->out,
            "note   rows of %s that are older than the slot and are not streamed: %s%llu. To send "
            "them\n"
            "       all the same, write them anew (consumers know them by their ids):\n"
            "       WITH old AS (DELETE FROM %s RETURNING *) INSERT INTO %s SELECT * FROM old;\n",
            table, rows > ROWS_MAX ? "more than " : "",
            (unsigned long long)(rows > ROWS_MAX ? ROWS_MAX : rows), quoted, quoted);
    buf_deinit(&name);
}

/* Who may not read the table may relay it all the same. */
static void report_old_rows(struct init *init, const struct capture_entry *entry)
{
    struct buf sql;
    struct err err;
    uint64_t rows;
    buf_init(&sql, 4096);
    buf_put_str(&sql, "SELECT count(*) FROM (SELECT FROM ");
    setup_put_table(&sql, entry->name);
    buf_printf(&sql, " LIMIT %d) AS old", ROWS_MAX + 1);
    bool ok = pg_query(init->pg, buf_cstr(&sql), QUERY_MS, &err);
    buf_deinit(&sql);
    if (!ok) {
        fprintf(init->out,
                "note   rows of %s that are older than the slot are not streamed; they "
                "could not be counted: %s\n",
                entry->name, err.message);
    } else if (parse_u64(pg_value(init->pg, 0, 0), &rows) && rows > 0) {
        print_old_rows(init, entry->name, rows);
    }
}

static bool run_plan(struct init *init, const struct setup *setup, struct err *err)
{
    for (size_t i = 0; i < setup->count; i++) {
        if (!run_step(init, &setup->steps[i], err)) {
            return false;
        }
    }
    for (size_t i = 0; init->slot_is_new && i < init->config->capture_count; i++) {
        if (init->config->captures[i].kind == CAPTURE_OUTBOX) {
            report_old_rows(init, &init->config->captures[i]);
        }
    }
    return true;
}

static bool run_database(struct init *init, const struct setup *setup, struct err *err)
{
    if (!connect_to(init, init->conninfo != NULL, &init->pg, err)) {
        return false;
    }
    bool ok = setup_check_server(init->pg, err) && look_at_role(init, true, err) &&
              run_plan(init, setup, err) && look_at_role(init, false, err);
    pg_close(init->pg);
    return ok;
}

static bool make_topic(const struct init *init, const char *name, struct err *err)
{
    if (!kafka_topics_ensure(&init->config->sink, &name, 1, KAFKA_MS, err)) {
        return err_context(err, "topic %s", name);
    }
    fprintf(init->out, "ready  topic %s\n", name);
    return true;
}

static bool make_topics(const struct init *init, struct err *err)
{
    const struct config *config = init->config;
    if (config->sink.kind != SINK_KAFKA || !config->sink.topics_create) {
        return true;
    }
    return (config->delivery.poison != POISON_DEAD_LETTER ||
            make_topic(init, config->delivery.dead_letter_topic, err)) &&
           (config->sink.position_topic == NULL ||
            make_topic(init, config->sink.position_topic, err));
}

static void say_goodbye(const struct init *init)
{
    if (init->role_is_new) {
        fprintf(
            init->out,
            "note   role %s cannot log in with a password yet: \\password %s in psql, or a line "
            "in pg_hba.conf\n",
            init->role, init->role);
    }
    fprintf(init->out, "done   start the relay: walferry run -c %s\n", init->config->path);
}

/* --- the whole --- */

static int init_with(struct init *init, bool print)
{
    struct setup setup;
    struct err err;
    char owner[128];
    const struct config *config = init->config;
    bool known = pg_conninfo_user(config->source.conninfo, init->user, sizeof(init->user));
    bool other =
        init->conninfo != NULL &&
        (!pg_conninfo_user(init->conninfo, owner, sizeof(owner)) || strcmp(init->user, owner) != 0);
    bool with_slot = !sink_ops_of(config->sink.kind)->volatile_acks;
    init->role = known && (other || print) ? init->user : NULL;
    if (!setup_plan(config, init->role, with_slot, &setup, &err)) {
        return command_fail(&err);
    }
    if (print) {
        print_plan(init, &setup);
    }
    bool ok = print || (run_database(init, &setup, &err) && make_topics(init, &err));
    setup_free(&setup);
    if (!ok) {
        return command_fail(&err);
    }
    if (!print) {
        say_goodbye(init);
    }
    return 0;
}

int command_init(const struct arguments *arguments)
{
    struct config *config;
    bool own = strcmp(arguments->command->name, "init") == 0;
    int status = arguments_config(arguments, &config);
    if (status != 0) {
        return status;
    }
    /* Before `run`, standard output may be the sink. */
    struct init init = {
        .config = config,
        .conninfo = own ? arguments_value(arguments, "--conninfo") : NULL,
        .out = own ? stdout : stderr,
    };
    status = init_with(&init, own && arguments_value(arguments, "--print-sql") != NULL);
    config_free(config);
    return status;
}
