/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_private.h"

#define HINT_LOGIN                                                                                 \
    "check user, password and pg_hba.conf for user \"{user}\" and database \"{database}\" (a "     \
    "logical walsender is matched by the database's name, not by the word replication)"
#define HINT_ROLE                                                                                  \
    "ALTER ROLE \"{user}\" REPLICATION; GRANT CONNECT ON DATABASE \"{database}\" TO \"{user}\"; "  \
    "or run: walferry init -c FILE"
#define HINT_STATE                                                                                 \
    "SELECT * FROM pg_replication_slots; SHOW wal_level; logical decoding needs ALTER SYSTEM SET " \
    "wal_level = logical and a restart of the server"
#define HINT_DATABASE                                                                              \
    "correct dbname in source.conninfo, or: CREATE DATABASE \"{database}\"; GRANT CONNECT ON "     \
    "DATABASE \"{database}\" TO \"{user}\""
#define HINT_FULL                                                                                  \
    "raise max_connections or max_wal_senders, or the role's limit: ALTER ROLE \"{user}\" "        \
    "CONNECTION LIMIT -1"
#define HINT_SLOTS    "raise max_replication_slots, or drop a slot that nobody uses any more"
#define HINT_ENCODING "find the value that is not valid text, and mend it at its origin"
#define HINT_POOLER                                                                                \
    "connect to PostgreSQL itself: a pooler in between does not speak the replication protocol "   \
    "(PgBouncer does since 1.24)"
#define HINT_AWAY "walferry comes back by itself when the server accepts connections again"
#define HINT_LOCKED                                                                                \
    "another session holds it: SELECT slot_name, active_pid FROM pg_replication_slots"
#define HINT_LARGE                                                                                 \
    "a field grew past what the server can send as text (about 500 MB of bytea): bound it by a "   \
    "CHECK (octet_length(payload) < 10485760) on the table"
#define HINT_LOST                                                                                  \
    "walferry comes back by itself; the reason may stand in the server's log (SHOW log_directory)"
#define HINT_LOG  "the server's log has the whole story (SHOW log_directory)"
#define HINT_DISK "free space on the database server"

/* Appendix A "PostgreSQL Error Codes" of the PostgreSQL documentation; exact states before the
 * classes they belong to. */
static const struct sqlstate_row SQLSTATES[] = {
    {"08P01", ERR_PG_QUERY, HINT_POOLER},
    {"08", ERR_PG_LOST, HINT_LOST},
    {"22021", ERR_PG_ENCODING, HINT_ENCODING},
    {"22P05", ERR_PG_ENCODING, HINT_ENCODING},
    {"28", ERR_PG_AUTH, HINT_LOGIN},
    {"3D000", ERR_PG_DATABASE, HINT_DATABASE},
    {"42501", ERR_PG_PERMISSION, HINT_ROLE},
    {"42601", ERR_PG_QUERY, HINT_POOLER},
    {"53100", ERR_PG_QUERY, HINT_DISK},
    {"53300", ERR_PG_CONNECT, HINT_FULL},
    {"53400", ERR_PG_QUERY, HINT_SLOTS},
    {"54000", ERR_PG_QUERY, HINT_LARGE},
    {"55000", ERR_PG_QUERY, HINT_STATE},
    {"55006", ERR_SLOT_ACTIVE, HINT_LOCKED},
    {"57P01", ERR_PG_SHUTDOWN, HINT_AWAY},
    {"57P02", ERR_PG_SHUTDOWN, HINT_AWAY},
    {"57P03", ERR_PG_SHUTDOWN, HINT_AWAY},
    {"57P04", ERR_PG_DATABASE, HINT_DATABASE},
    {"57P05", ERR_PG_LOST, "ALTER ROLE \"{user}\" SET idle_session_timeout = 0"},
};

static const struct sqlstate_row LOST = {"", ERR_PG_LOST, HINT_LOST};
static const struct sqlstate_row QUERY = {"", ERR_PG_QUERY, HINT_LOG};

const struct sqlstate_row *sqlstate_find(const char *sqlstate)
{
    if (sqlstate[0] == '\0') {
        return &LOST;
    }
    for (size_t i = 0; i < ARRAY_LEN(SQLSTATES); i++) {
        if (strncmp(sqlstate, SQLSTATES[i].prefix, strlen(SQLSTATES[i].prefix)) == 0) {
            return &SQLSTATES[i];
        }
    }
    return &QUERY;
}
