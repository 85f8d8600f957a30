/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/source/guard.h"

#include "walferry/base/assert.h"

#define VERSION_MIN 140000
/* How to go on after a gap, on purpose and with open eyes. */
#define HINT_ACCEPT                                                                                \
    "to go on although events may be missing: %s and run walferry init -c FILE, which says how "   \
    "to send again the rows that still stand in the table"
#define HINT_LOOK "look: SELECT * FROM pg_replication_slots WHERE slot_name = '%s'; "

/* Each check decides, or passes on to the next with GUARD_START. */
typedef enum guard_verdict check_function(const struct guard_input *input, struct err *err);

static enum guard_verdict check_identity(const struct guard_input *input, struct err *err)
{
    const struct checkpoint *checkpoint = input->checkpoint;
    if (checkpoint == NULL) {
        return GUARD_START;
    }
    if (strcmp(checkpoint->pipeline, input->pipeline) != 0 ||
        strcmp(checkpoint->slot, input->slot) != 0) {
        err_set(err, ERR_IDENTITY_CHECKPOINT,
                "the checkpoint belongs to pipeline %s and slot %s, not to pipeline %s and slot %s",
                checkpoint->pipeline, checkpoint->slot, input->pipeline, input->slot);
        err_where(err, "pipeline %s", input->pipeline);
        err_hint(err,
                 "give every pipeline a name, and a checkpoint.directory, of its own; if the slot "
                 "was renamed on purpose, %s and run walferry init -c FILE",
                 source_forget(input->forget));
        return GUARD_REFUSE;
    }
    if (checkpoint->system_id != input->facts->system_id) {
        err_set(
            err, ERR_IDENTITY_SYSTEM,
            "the server has system identifier %llu, but the checkpoint at %s was made with %llu",
            (unsigned long long)input->facts->system_id, lsn_format(checkpoint->lsn).text,
            (unsigned long long)checkpoint->system_id);
        err_where(err, "slot %s", input->slot);
        err_hint(err,
                 "connect to the server the checkpoint belongs to (SELECT system_identifier FROM "
                 "pg_control_system()); if this is a new one on purpose, by pg_upgrade or a "
                 "restore: " HINT_ACCEPT,
                 source_forget(input->forget));
        return GUARD_REFUSE;
    }
    return GUARD_START;
}

static enum guard_verdict check_server(const struct guard_input *input, struct err *err)
{
    const struct source_facts *facts = input->facts;
    if (facts->server_version < VERSION_MIN) {
        err_set(err, ERR_PG_VERSION, "the server is PostgreSQL %d, and 14 is the oldest that works",
                facts->server_version / 10000);
        err_hint(err, "upgrade the server to PostgreSQL 14 or later");
        return GUARD_REFUSE;
    }
    if (facts->in_recovery) {
        err_set(err, ERR_PG_RECOVERY, "the server is a standby; waiting until it is promoted");
        err_where(err, "slot %s", input->slot);
        err_hint(err, "name all hosts in source.conninfo and add target_session_attrs=primary, or "
                      "promote this one: SELECT pg_promote()");
        return GUARD_WAIT;
    }
    if (strcmp(facts->wal_level, "logical") != 0) {
        err_set(err, ERR_PG_WAL_LEVEL, "wal_level is \"%s\", logical decoding needs \"logical\"",
                facts->wal_level);
        err_hint(err, "ALTER SYSTEM SET wal_level = logical; then restart the server");
        return GUARD_REFUSE;
    }
    return GUARD_START;
}

static enum guard_verdict slot_gone(const struct guard_input *input, struct err *err)
{
    if (input->checkpoint == NULL) {
        err_set(err, ERR_SLOT_MISSING, "the replication slot %s does not exist", input->slot);
        err_where(err, "database %s", input->facts->database);
        err_hint(err, "walferry init -c FILE");
        return GUARD_REFUSE;
    }
    err_set(err, ERR_SLOT_GONE,
            "the replication slot %s does not exist any more: what was committed from %s to %s may "
            "be missing",
            input->slot, lsn_format(input->checkpoint->lsn).text,
            lsn_format(input->facts->wal_end).text);
    err_where(err, "database %s", input->facts->database);
    err_hint(err, HINT_LOOK HINT_ACCEPT, input->slot, source_forget(input->forget));
    return GUARD_REFUSE;
}

/* NULL when walferry can use the slot. */
static const char *foreign_reason(const struct guard_input *input)
{
    const struct slot_facts *slot = &input->facts->slot;
    if (!slot->logical) {
        return "it is a physical slot";
    }
    if (strcmp(slot->plugin, "pgoutput") != 0) {
        return "its output plugin is not pgoutput";
    }
    if (strcmp(slot->database, input->facts->database) != 0) {
        return "it belongs to another database";
    }
    if (slot->two_phase) {
        return "it decodes two-phase transactions at PREPARE, before their outcome is known";
    }
    if (slot->temporary && !input->temporary) {
        return "it is temporary and belongs to another session";
    }
    return NULL;
}

static enum guard_verdict check_slot_kind(const struct guard_input *input, struct err *err)
{
    const struct slot_facts *slot = &input->facts->slot;
    if (!slot->exists) {
        return slot_gone(input, err);
    }
    const char *reason = foreign_reason(input);
    if (reason == NULL) {
        return GUARD_START;
    }
    err_set(err, ERR_SLOT_FOREIGN,
            "the slot %s cannot be used: %s (plugin \"%s\", database \"%s\")", input->slot, reason,
            slot->plugin, slot->database);
    err_where(err, "database %s", input->facts->database);
    err_hint(err,
             HINT_LOOK "then name another one in source.slot, or drop this one if nobody needs "
                       "it (SELECT pg_drop_replication_slot('%s')) and run walferry init -c "
                       "FILE",
             input->slot, input->slot);
    return GUARD_REFUSE;
}

/* The holder moves the slot and saves checkpoints: everything else is judged when it is gone. */
static enum guard_verdict check_slot_active(const struct guard_input *input, struct err *err)
{
    const struct slot_facts *slot = &input->facts->slot;
    if (!slot->active || input->temporary) {
        return GUARD_START;
    }
    err_set(err, ERR_SLOT_ACTIVE, "the slot %s is in use by server process %d", input->slot,
            slot->active_pid);
    err_where(err, "database %s", input->facts->database);
    err_hint(err,
             "see who: SELECT pid, application_name, client_addr, backend_start FROM "
             "pg_stat_activity WHERE pid = %d; end a session that is left over: SELECT "
             "pg_terminate_backend(%d)",
             slot->active_pid, slot->active_pid);
    return GUARD_WAIT;
}

static enum guard_verdict check_slot_lost(const struct guard_input *input, struct err *err)
{
    const struct slot_facts *slot = &input->facts->slot;
    bool nowhere = lsn_is_none(slot->confirmed_flush) && lsn_is_none(slot->restart_lsn);
    bool invalid = slot->wal_status == WAL_LOST || slot->invalidation[0] != '\0';
    if (!nowhere && !invalid) {
        return GUARD_START;
    }
    const char *reason = slot->invalidation[0] != '\0' ? slot->invalidation
                         : invalid                     ? "wal_status is lost"
                                                       : "it has no position";
    struct lsn from = input->checkpoint == NULL ? slot->confirmed_flush : input->checkpoint->lsn;
    err_set(err, ERR_SLOT_LOST,
            "the server gave up the slot %s (%s): what was committed from %s to %s may be missing",
            input->slot, reason, lsn_format(from).text, lsn_format(input->facts->wal_end).text);
    err_where(err, "database %s", input->facts->database);
    err_hint(err,
             HINT_LOOK "raise max_slot_wal_keep_size; " HINT_ACCEPT
                       " (drop the old slot first: SELECT pg_drop_replication_slot('%s'))",
             input->slot, source_forget(input->forget), input->slot);
    return GUARD_REFUSE;
}

static void table_left_out(const char *publication, const char *table, struct err *err)
{
    size_t schema = strcspn(table, ".");
    const char *name = table[schema] == '\0' ? table : table + schema + 1;
    err_set(err, ERR_PUBLICATION_TABLES,
            "the publication %s does not publish the captured table %s: its rows are not streamed",
            publication, table);
    err_where(err, "table %s", table);
    err_hint(err,
             "ALTER PUBLICATION \"%s\" ADD TABLE \"%.*s\".\"%s\"; then start again. Rows that were "
             "written in between are not in the stream, they still stand in the table: compare it "
             "with the topics",
             publication, (int)schema, table, name);
}

static void column_left_out(const char *publication, const struct publication_gaps *gaps,
                            struct err *err)
{
    const char *table = gaps->column_table;
    size_t schema = strcspn(table, ".");
    const char *name = table[schema] == '\0' ? table : table + schema + 1;
    err_set(err, ERR_PUBLICATION_TABLES,
            "the publication %s does not send the column %s of the captured table %s, which an "
            "event is made of",
            publication, gaps->column, table);
    err_where(err, "table %s", table);
    err_hint(err,
             "take it into the column list: BEGIN; ALTER PUBLICATION \"%s\" DROP TABLE "
             "\"%.*s\".\"%s\"; ALTER PUBLICATION \"%s\" ADD TABLE \"%.*s\".\"%s\"; COMMIT (which "
             "sends every column; a generated one only from PostgreSQL 18 on, with "
             "publish_generated_columns = stored). Or do not read it: columns: {...: \"\"} under "
             "capture",
             publication, (int)schema, table, name, publication, (int)schema, table, name);
}

bool guard_publishes(const char *publication, const struct publication_gaps *gaps, struct err *err)
{
    if (gaps->table[0] != '\0') {
        table_left_out(publication, gaps->table, err);
        return false;
    }
    if (gaps->column[0] != '\0') {
        column_left_out(publication, gaps, err);
        return false;
    }
    return true;
}

static enum guard_verdict check_publication(const struct guard_input *input, struct err *err)
{
    const struct source_facts *facts = input->facts;
    if (!facts->publication_exists && input->checkpoint == NULL) {
        err_set(err, ERR_PUBLICATION_ABSENT, "the publication %s does not exist",
                input->publication);
        err_where(err, "database %s", facts->database);
        err_hint(
            err,
            "the slot is older than any publication made now, so drop it (SELECT "
            "pg_drop_replication_slot('%s')) and run walferry init -c FILE, which makes both in "
            "order",
            input->slot);
        return GUARD_REFUSE;
    }
    if (!facts->publication_exists) {
        err_set(err, ERR_PUBLICATION_MISSING,
                "the publication %s does not exist any more: what was committed after %s may be "
                "missing",
                input->publication, lsn_format(input->checkpoint->lsn).text);
        err_where(err, "database %s", facts->database);
        err_hint(err,
                 "made again it does not count at positions before that. Drop the slot (SELECT "
                 "pg_drop_replication_slot('%s')); " HINT_ACCEPT,
                 input->slot, source_forget(input->forget));
        return GUARD_REFUSE;
    }
    if (!facts->publication_inserts) {
        err_set(err, ERR_PUBLICATION_TABLES, "the publication %s does not publish inserts",
                input->publication);
        err_where(err, "database %s, tables: %s", facts->database, facts->publication_tables);
        err_hint(err,
                 "ALTER PUBLICATION \"%s\" SET (publish = 'insert'), with update, delete and "
                 "truncate too where tables are captured",
                 input->publication);
        return GUARD_REFUSE;
    }
    return guard_publishes(input->publication, &facts->gaps, err) ? GUARD_START : GUARD_REFUSE;
}

static enum guard_verdict diverged(const struct guard_input *input, const char *what,
                                   struct lsn published, struct err *err)
{
    const struct source_facts *facts = input->facts;
    err_set(err, ERR_TIMELINE_DIVERGED,
            "%s (published up to %s on timeline %u, the server is on timeline %u, which left it at "
            "%s)",
            what, lsn_format(published).text, input->checkpoint->timeline, facts->timeline,
            lsn_is_none(facts->fork) ? "no known position" : lsn_format(facts->fork).text);
    err_where(err, "slot %s", input->slot);
    err_hint(err,
             "connect to the server that went on from the checkpoint. If this one is the new "
             "primary, events of the lost branch are in Kafka already: compare the topics with "
             "the table. " HINT_ACCEPT,
             source_forget(input->forget));
    return GUARD_REFUSE;
}

/* What was submitted, by this process or in part by the one before, is known by where its commit
 * record begins: a history that ends there does not contain it. */
static struct lsn published_to(const struct guard_input *input)
{
    struct lsn checkpoint = LSN_NONE;
    struct lsn commit = input->submitted;
    if (input->checkpoint != NULL) {
        checkpoint = input->checkpoint->lsn;
        commit = lsn_max(commit, input->checkpoint->partial.commit_lsn);
    }
    return lsn_is_none(commit) ? checkpoint : lsn_max(checkpoint, lsn_make(commit.value + 1));
}

static enum guard_verdict check_timeline(const struct guard_input *input, struct err *err)
{
    const struct checkpoint *checkpoint = input->checkpoint;
    const struct source_facts *facts = input->facts;
    if (checkpoint == NULL || checkpoint->timeline == facts->timeline) {
        return GUARD_START;
    }
    struct lsn published = published_to(input);
    if (facts->timeline < checkpoint->timeline) {
        return diverged(input, "the server is behind the timeline of the checkpoint", published,
                        err);
    }
    if (facts->fork_of != checkpoint->timeline) {
        return GUARD_ASK_FORK;
    }
    if (lsn_is_none(facts->fork)) {
        return diverged(input, "the server's history does not know the timeline of the checkpoint",
                        published, err);
    }
    if (lsn_cmp(published, facts->fork) > 0) {
        return diverged(input, "the server's timeline began before what was already published",
                        published, err);
    }
    return GUARD_START;
}

static enum guard_verdict check_wal_end(const struct guard_input *input, struct err *err)
{
    struct lsn known = published_to(input);
    if (lsn_cmp(known, input->facts->wal_end) <= 0) {
        return GUARD_START;
    }
    err_set(err, ERR_CHECKPOINT_AHEAD,
            "events up to %s are published, but the server's WAL ends at %s: it was restored from "
            "an older state, or is a copy",
            lsn_format(known).text, lsn_format(input->facts->wal_end).text);
    err_where(err, "slot %s", input->slot);
    err_hint(
        err,
        "connect to the server that the checkpoint belongs to. If this one was restored, "
        "commits it makes at positions passed before would be skipped in silence. " HINT_ACCEPT,
        source_forget(input->forget));
    return GUARD_REFUSE;
}

static enum guard_verdict check_slot_ahead(const struct guard_input *input, struct err *err)
{
    const struct checkpoint *checkpoint = input->checkpoint;
    struct lsn confirmed = input->facts->slot.confirmed_flush;
    if (checkpoint == NULL || input->previous || lsn_cmp(confirmed, checkpoint->lsn) <= 0) {
        return GUARD_START;
    }
    err_set(err, ERR_SLOT_ADVANCED,
            "the slot %s stands at %s, ahead of the checkpoint at %s: somebody advanced or "
            "recreated it, or the checkpoint is an old copy; what was committed in between may be "
            "missing",
            input->slot, lsn_format(confirmed).text, lsn_format(checkpoint->lsn).text);
    err_where(err, "database %s", input->facts->database);
    err_hint(err, HINT_LOOK HINT_ACCEPT, input->slot, source_forget(input->forget));
    return GUARD_REFUSE;
}

/* Never 0/0: after a crash of the server its own idea of the slot can lie behind ours. */
static struct lsn start_position(const struct guard_input *input)
{
    const struct slot_facts *slot = &input->facts->slot;
    struct lsn of_slot =
        lsn_is_none(slot->confirmed_flush) ? slot->restart_lsn : slot->confirmed_flush;
    if (input->temporary || input->checkpoint == NULL) {
        return of_slot;
    }
    return lsn_max(input->checkpoint->lsn, slot->confirmed_flush);
}

/* In this order: who the parties are, whether the slot is free, then what it is worth. */
static check_function *const CHECKS[] = {
    check_server,      check_identity, check_slot_kind, check_slot_active, check_slot_lost,
    check_publication, check_timeline, check_wal_end,   check_slot_ahead,
};

/* A slot that was made a moment ago has no past to be compared with. */
static check_function *const CHECKS_TEMPORARY[] = {
    check_server,
    check_slot_kind,
    check_slot_lost,
    check_publication,
};

/* Nobody holds a slot that is not there, and only the position tells what was lost with it. */
static enum guard_verdict check_slot_kind_if_any(const struct guard_input *input, struct err *err)
{
    return input->facts->slot.exists ? check_slot_kind(input, err) : GUARD_START;
}

static check_function *const CHECKS_CLAIM[] = {
    check_server,
    check_slot_kind_if_any,
    check_slot_active,
};

static enum guard_verdict run_checks(check_function *const *checks, size_t count,
                                     const struct guard_input *input, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        enum guard_verdict verdict = checks[i](input, err);
        if (verdict != GUARD_START) {
            return verdict;
        }
    }
    return GUARD_START;
}

enum guard_verdict guard_claim(const struct guard_input *input, struct err *err)
{
    return run_checks(CHECKS_CLAIM, ARRAY_LEN(CHECKS_CLAIM), input, err);
}

enum guard_verdict guard_check(const struct guard_input *input, struct lsn *ret_start,
                               struct err *err)
{
    enum guard_verdict verdict =
        input->temporary ? run_checks(CHECKS_TEMPORARY, ARRAY_LEN(CHECKS_TEMPORARY), input, err)
                         : run_checks(CHECKS, ARRAY_LEN(CHECKS), input, err);
    if (verdict != GUARD_START) {
        return verdict;
    }
    struct lsn start = start_position(input);
    ASSERT(!lsn_is_none(start));
    *ret_start = start;
    return GUARD_START;
}
