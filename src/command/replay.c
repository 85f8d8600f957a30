/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "setup.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/parse.h"

#define CONNECT_MS 60000
#define QUERY_MS   60000
/* Kafka's own default of retention: seven days. */
#define OLD_US (7 * 24 * 3600 * US_PER_S)
/* More rows without a time are not counted out. */
#define TIMELESS_MAX UINT64_C(100000)

/* --- tables --- */

static bool is_wanted(const struct replay *replay, const struct capture_entry *entry)
{
    return entry->kind == CAPTURE_OUTBOX &&
           (replay->options.table == NULL || strcmp(replay->options.table, entry->name) == 0);
}

static bool check_tables(const struct replay *replay, struct err *err)
{
    struct buf names;
    const struct config *config = replay->config;
    bool found = false;
    buf_init(&names, 65536);
    for (size_t i = 0; i < config->capture_count; i++) {
        const struct capture_entry *entry = &config->captures[i];
        found = found || is_wanted(replay, entry);
        if (entry->kind == CAPTURE_OUTBOX)
            buf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", entry->name);
    }
    if (!found && names.len == 0) {
        err_set(err, ERR_USAGE, "the configuration captures no outbox table: there are no rows");
        err_hint(err, "messages and row changes stand in no table; capture: - outbox: SCHEMA.TABLE "
                      "names one");
    } else if (!found) {
        err_set(err, ERR_USAGE, "--table: the configuration captures no outbox table %s",
                replay->options.table);
        err_hint(err, "it captures: %s", buf_cstr(&names));
    }
    buf_deinit(&names);
    return found;
}

/* What the role lacks, as the owner would grant it. */
static bool explain_rights(const struct replay *replay, struct err *err)
{
    struct buf hint;
    const char *table = replay->table.entry->name;
    const char *dot = strchr(table, '.');
    if (err->code != ERR_PG_PERMISSION)
        return false;
    buf_init(&hint, sizeof(err->hint));
    buf_put_str(&hint, "have the owner run: GRANT USAGE ON SCHEMA ");
    setup_put_identifier(&hint, bytes_make(table, (size_t)(dot - table)));
    buf_printf(&hint, " TO %s; GRANT SELECT ON ", replay->role);
    setup_put_table(&hint, table);
    buf_printf(&hint, " TO %s; ", replay->role);
    if (replay->table.row_security)
        buf_printf(&hint, "and, as the table has row security: ALTER ROLE %s BYPASSRLS; ",
                   replay->role);
    buf_put_str(&hint, "or read as a role that may: --conninfo \"dbname=... user=OWNER\"");
    err_hint(err, "%s", buf_cstr(&hint));
    buf_deinit(&hint);
    return err_where(err, "table %s", table);
}

static bool check_time(const struct replay *replay, struct err *err)
{
    const struct replay_table *table = &replay->table;
    if (!replay->options.has_from || table->time_kind != REPLAY_TIME_NONE)
        return true;
    err_set(err, ERR_USAGE,
            "--from: the table %s has no column of occurred_at that can be compared",
            table->entry->name);
    struct buf hint;
    buf_init(&hint, sizeof(err->hint));
    buf_put_str(&hint, "name the ids, all of them for example: psql -At -c 'SELECT ");
    setup_put_identifier(&hint, bytes_str(table->relation.columns[table->id].name));
    buf_put_str(&hint, " FROM ");
    setup_put_table(&hint, table->entry->name);
    buf_put_str(&hint, "' | walferry replay -c ");
    replay_put_word(&hint, replay->config->path);
    buf_put_str(&hint, " --ids -");
    err_hint(err, "%s", buf_cstr(&hint));
    buf_deinit(&hint);
    return false;
}

/* --- ids --- */

static int compare_keys(const void *a, const void *b)
{
    const struct replay_key *left = a;
    const struct replay_key *right = b;
    size_t common = left->text.len < right->text.len ? left->text.len : right->text.len;
    int order = common == 0 ? 0 : memcmp(left->text.ptr, right->text.ptr, common);
    return order != 0 ? order
                      : (left->text.len > right->text.len) - (left->text.len < right->text.len);
}

/* The ids as the table shows them, in its memory. */
static bool make_keys(struct replay *replay, struct bytes **ret_ids, struct err *err)
{
    const struct replay_ids *ids = &replay->options.ids;
    bool ok = true;
    replay->key_count = 0;
    *ret_ids = calloc(ids->count + 1, sizeof(**ret_ids));
    replay->keys = calloc(ids->count + 1, sizeof(replay->keys[0]));
    for (size_t i = 0; i < ids->count && *ret_ids != NULL && replay->keys != NULL; i++) {
        char storage[64];
        struct bytes text = replay_id_text(replay->table.id_kind, ids->items[i], storage);
        if (!bytes_present(text))
            continue;
        if (text.ptr == (const uint8_t *)storage)
            text = arena_copy(&replay->table.arena, text, &ok);
        replay->keys[replay->key_count++] = (struct replay_key){.text = text, .index = i};
    }
    if (!ok || *ret_ids == NULL || replay->keys == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the ids");
    qsort(replay->keys, replay->key_count, sizeof(replay->keys[0]), compare_keys);
    for (size_t i = 0; i < replay->key_count; i++)
        (*ret_ids)[i] = replay->keys[i].text;
    return true;
}

static int tell_unknown(const struct replay *replay)
{
    struct err err;
    size_t unknown = 0;
    for (size_t i = 0; i < replay->options.ids.count; i++) {
        if (replay->found[i])
            continue;
        unknown++;
        fprintf(stderr, "walferry: no row has the id %s\n", replay->options.ids.items[i]);
    }
    if (unknown == 0)
        return 0;
    err_set(&err, ERR_CHECK_FAILED, "%zu of %zu ids were not found", unknown,
            replay->options.ids.count);
    err_hint(&err, "their rows were deleted, or stand in a table that the configuration does not "
                   "capture");
    return command_fail(&err);
}

/* --- one table --- */

/* Whether the row to go on behind stands in the table. */
static bool look_up(struct replay *replay, bool *ret_found, struct bytes *ret_after,
                    struct err *err)
{
    char storage[64];
    struct buf sql;
    bool ok = true;
    struct bytes id = replay_id_text(replay->table.id_kind, replay->options.after, storage);
    *ret_found = false;
    if (!bytes_present(id))
        return true;
    id = arena_copy(&replay->table.arena, id, &ok);
    buf_init(&sql, 65536);
    replay_put_lookup(&replay->table, id, &sql);
    ok = ok && pg_query(replay->pg, buf_cstr(&sql), QUERY_MS, err);
    buf_deinit(&sql);
    *ret_found = ok && pg_rows(replay->pg) > 0;
    *ret_after = id;
    return ok || explain_rights(replay, err);
}

/* Rows that no window of time finds are not passed over in silence. */
static bool tell_timeless(struct replay *replay, struct err *err)
{
    struct buf sql;
    uint64_t rows = 0;
    if (!replay->options.has_from || !replay->table.time_nullable)
        return true;
    buf_init(&sql, 65536);
    replay_put_timeless(&replay->table, TIMELESS_MAX + 1, &sql);
    bool ok = pg_query(replay->pg, buf_cstr(&sql), QUERY_MS, err);
    buf_deinit(&sql);
    if (ok && parse_u64(pg_value(replay->pg, 0, 0), &rows) && rows > 0)
        fprintf(stderr,
                "walferry: %s%" PRIu64 " row%s of %s have no occurred_at and lie in no window of "
                "time: publish them by --ids\n",
                rows > TIMELESS_MAX ? "more than " : "", rows > TIMELESS_MAX ? TIMELESS_MAX : rows,
                rows == 1 ? "" : "s", replay->table.entry->name);
    return ok;
}

static bool read_rows(struct replay *replay, const struct replay_query *query, struct err *err)
{
    replay->read_to = 0;
    replay->dropped_to = 0;
    replay->poison_to = 0;
    replay->reading_ended = false;
    if (!replay_rows_open(&replay->rows, replay->pg, &replay->table, query, err))
        return explain_rights(replay, err);
    if (!replay->options.dry_run)
        replay_send_begin(&replay->send);
    if (!replay_work(replay, err))
        return explain_rights(replay, err);
    if (!replay->reading_ended)
        return true;
    if (!replay->options.dry_run)
        replay_send_end(&replay->send);
    return replay_rows_end(&replay->rows, err) && tell_timeless(replay, err);
}

/* *passed: the row to go on behind was found, in this table or before. */
static bool take_table(struct replay *replay, bool *passed, struct err *err)
{
    struct bytes *ids = NULL;
    struct replay_query query = {.options = &replay->options};
    if (!capture_relation(replay->stages.capture, &replay->table.relation, err) ||
        !check_time(replay, err))
        return false;
    if (!*passed && !look_up(replay, passed, &query.after, err))
        return false;
    if (!*passed)
        return true;
    bool ok = !replay->options.by_ids || make_keys(replay, &ids, err);
    query.ids = ids;
    query.id_count = replay->key_count;
    if (ok && (!replay->options.by_ids || replay->key_count > 0))
        ok = read_rows(replay, &query, err);
    replay_rows_free(&replay->rows);
    free(ids);
    free(replay->keys);
    replay->keys = NULL;
    replay->key_count = 0;
    return ok;
}

static bool take_tables(struct replay *replay, struct err *err)
{
    const struct config *config = replay->config;
    bool passed = replay->options.after == NULL;
    bool ok = true;
    for (size_t i = 0; ok && i < config->capture_count; i++) {
        if (!is_wanted(replay, &config->captures[i]))
            continue;
        ok = replay_table_read(replay->pg, &config->captures[i], config->source.publication, i + 1,
                               &replay->table, err);
        if (!ok)
            break;
        ok = take_table(replay, &passed, err);
        replay_table_free(&replay->table);
        if (replay->stopped || (replay->halted && !replay->options.dry_run))
            break;
    }
    if (!ok || passed)
        return ok;
    err_set(err, ERR_CHECK_FAILED, "--after: no row has the id %s any more", replay->options.after);
    return err_hint(err, "go on from its time instead: --from T");
}

/* --- the whole --- */

static bool connect_to(struct replay *replay, struct err *err)
{
    const struct source_opts *source = &replay->config->source;
    bool other = replay->options.conninfo != NULL;
    const struct pg_opts opts = {
        .conninfo = other ? replay->options.conninfo : source->conninfo,
        .password_file = other ? NULL : source->password_file,
        .application_name = "walferry_replay",
    };
    if (!pg_connect(&opts, CONNECT_MS, &replay->pg, err) || !replay_session(replay->pg, err) ||
        !pg_query(replay->pg, "SELECT pg_catalog.quote_ident(current_user)", QUERY_MS, err))
        return false;
    snprintf(replay->role, sizeof(replay->role), "%.*s", BYTES_FMT(pg_value(replay->pg, 0, 0)));
    return true;
}

static bool open_all(struct replay *replay, struct err *err)
{
    /* Signals first: threads of the libraries inherit the mask. */
    if (!loop_init(&replay->loop, err) || !loop_signals(&replay->loop, err) ||
        !stages_open(&replay->stages, replay->config, err) || !connect_to(replay, err))
        return false;
    if (replay->options.dry_run)
        return stages_room(&replay->stages, SIZE_MAX, err);
    return replay_send_open(&replay->send, replay->config, replay->options.timeout_ms, err) &&
           stages_room(&replay->stages, replay->send.sink->ops->value_max(replay->send.sink), err);
}

static void close_all(struct replay *replay)
{
    replay_send_close(&replay->send);
    stages_close(&replay->stages);
    pg_close(replay->pg);
    loop_deinit(&replay->loop);
    replay_options_free(&replay->options);
    free(replay->found);
}

/* What was done, and how to do the rest. */
static void tell_end(struct replay *replay, bool whole)
{
    struct buf command;
    const struct replay_mark *last = &replay->send.last;
    if (!replay->options.dry_run) {
        replay->counts.published = replay->send.published;
        replay->counts.dead_letters = replay->send.dead_letters;
    }
    if (replay->shows_progress)
        fputs("\r\033[K", stderr);
    replay_print_summary(stderr, &replay->counts, replay->options.dry_run);
    if (replay->config->sink.kind == SINK_KAFKA && replay->counts.has_times &&
        replay->counts.first_us < clock_wall_us() - OLD_US)
        fprintf(stderr, "walferry: the timestamp of a record is its occurred_at: a topic whose "
                        "retention.ms is shorter than the age of the rows deletes them again\n");
    if (whole)
        return;
    if (last->id != NULL)
        fprintf(stderr, "walferry: the last row published: %s%s%s\n", last->id,
                last->has_time ? ", occurred_at " : "",
                last->has_time ? clock_format(last->time_us).text : "");
    buf_init(&command, 65536);
    replay_options_resume(&replay->options, replay->arguments, last->id, &command);
    fprintf(stderr, "walferry: to go on: %s\n", buf_cstr(&command));
    buf_deinit(&command);
}

static int end(struct replay *replay, bool ok, struct err *err)
{
    bool whole = ok && !replay->stopped && !replay->halted;
    int status = 0;
    /* The caller says what is wrong with standard output. */
    if (ok && replay->deaf)
        return 0;
    if (ok && replay->halted)
        *err = replay->halt;
    else if (ok && replay->stopped)
        err_set(err, ERR_INTERRUPTED, "a signal ended the replay before its last row");
    if (!whole)
        status = command_fail(err);
    if (replay->pg != NULL)
        tell_end(replay, whole);
    return whole && replay->options.by_ids ? tell_unknown(replay) : status;
}

static int run(struct replay *replay)
{
    struct err err;
    bool ok = check_tables(replay, &err);
    replay->found = calloc(replay->options.ids.count + 1, sizeof(replay->found[0]));
    if (ok && replay->found == NULL)
        ok = err_set(&err, ERR_MEMORY, "no memory for the ids");
    ok = ok && open_all(replay, &err) && take_tables(replay, &err);
    int status = end(replay, ok, &err);
    close_all(replay);
    return status;
}

int command_replay(const struct arguments *arguments)
{
    static struct replay replay;
    struct config *config;
    struct err err;
    int status = arguments_config(arguments, &config);
    if (status != 0)
        return status;
    replay = (struct replay){
        .config = config,
        .arguments = arguments,
        .shows_progress = isatty(STDERR_FILENO) == 1,
        .loop = {.epoll_fd = -1, .signal_fd = -1},
    };
    if (replay_options_read(arguments, clock_wall_us(), stdin, &replay.options, &err))
        status = run(&replay);
    else
        status = command_fail(&err);
    config_free(config);
    return status;
}
