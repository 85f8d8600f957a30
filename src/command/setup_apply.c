/* SPDX-License-Identifier: Apache-2.0 */
#include "setup_apply.h"

#include "walferry/base/failpoint.h"

#define STEP_MS 60000
/* A slot waits for every transaction that is writing when it is made. */
#define SLOT_MS 600000

#define OLDEST_VERSION 140000

bool setup_check_server(struct pg *pg, struct err *err)
{
    if (pg_server_version(pg) < OLDEST_VERSION) {
        return err_set(err, ERR_PG_VERSION,
                       "the server is PostgreSQL %d, and 14 is the oldest that walferry can follow",
                       pg_server_version(pg) / 10000);
    }
    if (!pg_query(pg, "SELECT current_setting('wal_level'), pg_is_in_recovery()", STEP_MS, err)) {
        return false;
    }
    if (bytes_is(pg_value(pg, 0, 1), "t")) {
        err_set(err, ERR_PG_RECOVERY, "the server is a standby, where nothing can be made");
        return err_hint(err, "name the primary, or add target_session_attrs=read-write");
    }
    if (!bytes_is(pg_value(pg, 0, 0), "logical")) {
        struct bytes level = pg_value(pg, 0, 0);
        err_set(err, ERR_PG_WAL_LEVEL, "wal_level is %.*s, and must be logical", BYTES_FMT(level));
        return err_hint(err, "ALTER SYSTEM SET wal_level = 'logical';  then restart PostgreSQL");
    }
    return true;
}

static bool explain(const struct setup_step *step, struct err *err)
{
    err_context(err, "%s", step->label);
    if (err->hint[0] != '\0' && err->code != ERR_PG_PERMISSION) {
        return false;
    }
    if (err->code == ERR_PG_PERMISSION && step->makes_role) {
        return err_hint(err, "have a superuser run: CREATE ROLE ... LOGIN REPLICATION;  then run "
                             "init again. Or: walferry init -c FILE --conninfo \"dbname=... "
                             "user=SUPERUSER\"");
    }
    if (err->code == ERR_PG_PERMISSION) {
        return err_hint(err, "run init once as the owner of the tables, or a superuser: walferry "
                             "init -c FILE --conninfo \"dbname=... user=OWNER\"; --print-sql shows "
                             "what it would do");
    }
    if (step->makes_slot) {
        return err_hint(err, "a slot waits for open transactions: SELECT pid, xact_start, query "
                             "FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY "
                             "xact_start");
    }
    return err_hint(err, "walferry init -c FILE --print-sql shows the SQL of each step");
}

bool setup_apply(struct pg *pg, const struct setup_step *step, enum setup_did *ret_did,
                 struct err *err)
{
    if (step->done != NULL) {
        if (!pg_query(pg, step->done, STEP_MS, err)) {
            return explain(step, err);
        }
        if (bytes_is(pg_value(pg, 0, 0), "t")) {
            *ret_did = SETUP_FOUND;
            return true;
        }
    }
    discard(FAILPOINT(SETUP_STEP));
    if (!pg_query(pg, step->sql, step->makes_slot ? SLOT_MS : STEP_MS, err)) {
        return explain(step, err);
    }
    *ret_did = step->done == NULL || step->makes_outbox ? SETUP_RAN : SETUP_MADE;
    return true;
}
