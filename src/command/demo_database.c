/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_database.h"

#include <stdio.h>

#include "setup_apply.h"

#define CONNECT_MS 15000
#define QUERY_MS   60000

/* Publications of the demo are left out: one that was killed may have left its own. */
static const char *const look_sql =
    "SELECT to_regnamespace('outbox') IS NOT NULL, to_regclass('outbox.event') IS NOT NULL,"
    " (SELECT string_agg(pubname, ', ') FROM pg_publication AS p"
    "   WHERE pubname NOT LIKE 'walferry\\_demo\\_%' AND (puballtables OR EXISTS"
    "    (SELECT FROM pg_publication_tables AS t WHERE t.pubname = p.pubname"
    "        AND schemaname = 'outbox' AND tablename = 'event'))),"
    " split_part(current_setting('server_version'), ' ', 1),"
    " (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),"
    " quote_ident(current_user)";

static bool open_pg(const struct config *config, struct pg **ret_pg, struct err *err)
{
    const struct pg_opts opts = {.conninfo = config->source.conninfo,
                                 .application_name = "walferry_demo"};
    return pg_connect(&opts, CONNECT_MS, ret_pg, err);
}

/* Sample orders must reach nobody but the demo itself. */
static bool look(struct pg *pg, struct demo_database *database, bool *ret_has_outbox,
                 struct err *err)
{
    if (!pg_query(pg, look_sql, QUERY_MS, err)) {
        bool refused = err->code == ERR_PG_PERMISSION;
        return refused && err_hint(err, "connect as the owner of the schema outbox, or use a "
                                        "database of its own: CREATE DATABASE walferry_demo;");
    }
    bool has_schema = bytes_is(pg_value(pg, 0, 0), "t");
    struct bytes published = pg_value(pg, 0, 2);
    *ret_has_outbox = bytes_is(pg_value(pg, 0, 1), "t");
    snprintf(database->server_version, sizeof(database->server_version), "%.*s",
             BYTES_FMT(pg_value(pg, 0, 3)));
    if (!bytes_is(pg_value(pg, 0, 4), "t")) {
        struct bytes role = pg_value(pg, 0, 5);
        err_set(err, ERR_PG_PERMISSION, "role %.*s may not replicate", BYTES_FMT(role));
        return err_hint(err, "ALTER ROLE %.*s REPLICATION;", BYTES_FMT(role));
    }
    if (bytes_present(published)) {
        err_set(err, ERR_USAGE,
                "outbox.event is published here already (%.*s), and the sample "
                "orders of the demo would go there too",
                BYTES_FMT(published));
        return err_hint(err, "use a database of its own: CREATE DATABASE walferry_demo;");
    }
    if (has_schema && !*ret_has_outbox) {
        err_set(err, ERR_USAGE, "there is a schema outbox here, without a table event");
        return err_hint(err, "use a database of its own: CREATE DATABASE walferry_demo;");
    }
    return true;
}

static bool apply_plan(struct pg *pg, const struct setup *plan, struct demo_database *database,
                       bool has_outbox, struct err *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct setup_step *step = &plan->steps[i];
        enum setup_did did;
        if (step->makes_outbox && has_outbox) {
            continue;
        }
        if (!setup_apply(pg, step, &did, err)) {
            return false;
        }
        database->made_schema |= step->makes_outbox;
        database->made_publication |= !step->makes_outbox;
    }
    return true;
}

bool demo_database_prepare(const struct config *config, struct demo_database *ret_database,
                           struct err *err)
{
    struct pg *pg;
    struct setup plan;
    bool has_outbox = false;
    *ret_database = (struct demo_database){.config = config};
    if (!open_pg(config, &pg, err)) {
        return false;
    }
    bool ok = setup_check_server(pg, err) && look(pg, ret_database, &has_outbox, err) &&
              setup_plan(config, NULL, false, &plan, err);
    if (ok) {
        ok = apply_plan(pg, &plan, ret_database, has_outbox, err);
        setup_free(&plan);
    }
    pg_close(pg);
    return ok;
}

bool demo_database_clean(const struct demo_database *database, struct err *err)
{
    struct buf sql;
    struct pg *pg;
    if (!database->made_schema && !database->made_publication) {
        return true;
    }
    if (!open_pg(database->config, &pg, err)) {
        return false;
    }
    buf_init(&sql, 4096);
    buf_put_str(&sql, "SET client_min_messages = error; DROP PUBLICATION IF EXISTS ");
    setup_put_identifier(&sql, bytes_str(database->config->source.publication));
    if (database->made_schema) {
        buf_put_str(&sql, "; DROP SCHEMA IF EXISTS outbox CASCADE");
    } else {
        buf_put_str(&sql, "; DELETE FROM outbox.event WHERE headers->>'demo' = ");
        setup_put_literal(&sql, database->config->name);
    }
    bool ok = pg_query(pg, buf_cstr(&sql), QUERY_MS, err);
    buf_deinit(&sql);
    pg_close(pg);
    return ok;
}
