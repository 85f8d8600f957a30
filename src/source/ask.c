/* SPDX-License-Identifier: Apache-2.0 */
#include "source_private.h"

#include <stdio.h>
#include <unistd.h>

#include "frame.h"
#include "publication.h"
#include "slot.h"
#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/utf8.h"

/* libpq reads as much at a time as its buffer has room, 16 KiB, unless a row ever needed more. One
 * that does makes it read so much of the stream at a time too; nothing else depends on it. */
#define READ_AHEAD "262144"

/* What a step sends, and what becomes of the answer. */
struct ask {
    bool (*write)(struct source *source, struct err *err);
    bool (*take)(struct source *source, struct err *err);
};

static bool unexpected(const struct source *source, const char *what, struct err *err)
{
    err_set(err, ERR_PROTOCOL, "the server's answer to %s makes no sense", what);
    err_where(err, "slot %s", source->slot);
    return err_hint(err, "connect to PostgreSQL 14 or later itself, without a pooler in between");
}

static bool write_identify(struct source *source, struct err *err)
{
    (void)err;
    buf_put_str(&source->sql, "IDENTIFY_SYSTEM");
    return true;
}

static bool take_identify(struct source *source, struct err *err)
{
    struct source_facts *facts = &source->facts;
    facts->system_id = value_u64(source->pg, 0);
    uint64_t timeline = value_u64(source->pg, 1);
    facts->timeline = timeline > UINT32_MAX ? 0 : (uint32_t)timeline;
    facts->wal_end = value_lsn(source->pg, 2);
    slot_text(source->pg, 3, facts->database, sizeof facts->database);
    facts->server_version = pg_server_version(source->pg);
    if (FAILPOINT(SYS_IDENTIFY) || facts->system_id == 0 || facts->timeline == 0 ||
        lsn_is_none(facts->wal_end)) {
        return unexpected(source, "IDENTIFY_SYSTEM", err);
    }
    source->wal_end = facts->wal_end;
    return true;
}

static bool write_settings(struct source *source, struct err *err)
{
    (void)err;
    buf_put_str(&source->sql,
                "SELECT pg_catalog.current_setting('wal_level'), "
                "(SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'), "
                "pg_catalog.pg_is_in_recovery()");
    /* Once for a connection: a standby asks again and again. */
    if (source->widened != source->sessions) {
        buf_put_str(&source->sql, ", pg_catalog.repeat(' ', " READ_AHEAD ")");
    }
    return true;
}

static bool take_settings(struct source *source, struct err *err)
{
    if (pg_rows(source->pg) != 1) {
        return unexpected(source, "a question about its settings", err);
    }
    slot_text(source->pg, 0, source->facts.wal_level, sizeof source->facts.wal_level);
    source->facts.wal_sender_timeout_ms = value_u64(source->pg, 1);
    source->facts.in_recovery = value_bool(source->pg, 2);
    source->widened = source->sessions;
    return true;
}

/* Nothing to send: the slot is no concern of ours, was made already, or cannot be made here, which
 * the guard will say better than the server. */
static bool skip_create(const struct source *source)
{
    return !source->opts.temporary || source->slot_made || source->facts.in_recovery ||
           strcmp(source->facts.wal_level, "logical") != 0;
}

static bool write_create(struct source *source, struct err *err)
{
    (void)err;
    char suffix[24];
    int len = snprintf(suffix, sizeof suffix, "_%d_%u", (int)getpid() % 10000000,
                       source->sessions % 100000);
    snprintf(source->slot, sizeof source->slot, "%.*s%s", 63 - len, source->opts.slot, suffix);
    buf_put_str(&source->sql, "CREATE_REPLICATION_SLOT ");
    put_quoted(&source->sql, '"', source->slot);
    /* The keyword form, which PostgreSQL 14 needs and later versions still take. */
    buf_put_str(&source->sql, " TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT");
    return true;
}

static bool take_create(struct source *source, struct err *err)
{
    if (FAILPOINT(SLOT_CREATE) || lsn_is_none(value_lsn(source->pg, 1))) {
        return unexpected(source, "CREATE_REPLICATION_SLOT", err);
    }
    source->slot_made = true;
    return true;
}

static bool write_slot(struct source *source, struct err *err)
{
    buf_put_str(&source->sql, "SELECT ");
    slot_put_columns(&source->sql, source->facts.server_version);
    buf_put_str(&source->sql, " FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = ");
    return put_literal(&source->sql, source->pg, source->slot, err);
}

static bool take_slot(struct source *source, struct err *err)
{
    slot_read(source->pg, 0, &source->facts.slot);
    return !FAILPOINT(SLOT_READ) || unexpected(source, "a question about the slot", err);
}

static bool write_publication(struct source *source, struct err *err)
{
    buf_put_str(&source->sql,
                "SELECT p.pubinsert, CASE WHEN p.puballtables THEN 'all tables' ELSE (SELECT "
                "pg_catalog.string_agg(n.nspname || '.' || c.relname, ', ' ORDER BY n.nspname, "
                "c.relname) FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON "
                "c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "
                "r.prpubid = p.oid) END, ");
    if (!publication_put_gaps(&source->sql, source->pg, &source->opts, err)) {
        return false;
    }
    buf_put_str(&source->sql, " FROM pg_catalog.pg_publication p WHERE p.pubname = ");
    return put_literal(&source->sql, source->pg, source->opts.publication, err);
}

static bool take_publication(struct source *source, struct err *err)
{
    struct source_facts *facts = &source->facts;
    facts->publication_exists = pg_rows(source->pg) == 1;
    facts->publication_inserts = value_bool(source->pg, 0);
    publication_read_gaps(source->pg, 2, &facts->gaps);
    struct buf tables;
    buf_init(&tables, 4 * sizeof facts->publication_tables);
    utf8_put_printable(&tables, pg_value(source->pg, 0, 1), sizeof facts->publication_tables / 2);
    snprintf(facts->publication_tables, sizeof facts->publication_tables, "%s", buf_cstr(&tables));
    buf_deinit(&tables);
    return !FAILPOINT(PUBLICATION_READ) ||
           unexpected(source, "a question about the publication", err);
}

static bool write_fork(struct source *source, struct err *err)
{
    (void)err;
    buf_printf(&source->sql, "TIMELINE_HISTORY %u", source->facts.timeline);
    return true;
}

static bool take_fork(struct source *source, struct err *err)
{
    struct bytes history = pg_value(source->pg, 0, 1);
    if (!bytes_present(history)) {
        return unexpected(source, "TIMELINE_HISTORY", err);
    }
    struct lsn end = LSN_NONE;
    if (!history_find(history, source->fork_timeline, &end, err)) {
        return false;
    }
    source->facts.fork = end;
    source->facts.fork_of = source->fork_timeline;
    return true;
}

static const struct ask ASKS[] = {
    [ASK_IDENTIFY] = {write_identify, take_identify},
    [ASK_SETTINGS] = {write_settings, take_settings},
    [ASK_CREATE] = {write_create, take_create},
    [ASK_SLOT] = {write_slot, take_slot},
    [ASK_PUBLICATION] = {write_publication, take_publication},
    [ASK_FORK] = {write_fork, take_fork},
};

bool ask_send(struct source *source, struct err *err)
{
    if (source->step == ASK_CREATE && skip_create(source)) {
        source->step = ASK_SLOT;
    }
    ASSERT(source->step < ARRAY_LEN(ASKS) && ASKS[source->step].write != NULL);
    buf_reset(&source->sql);
    return ASKS[source->step].write(source, err) &&
           pg_query_start(source->pg, buf_cstr(&source->sql), err);
}

bool ask_take(struct source *source, struct err *err)
{
    if (!ASKS[source->step].take(source, err)) {
        return false;
    }
    source->step = source->step == ASK_FORK ? ASK_DONE : (enum ask_step)(source->step + 1);
    return true;
}
