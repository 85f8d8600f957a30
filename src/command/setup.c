/* SPDX-License-Identifier: Apache-2.0 */
#include "setup.h"

#include <stdio.h>

#include "sql_files.h"

#define SETUP_TEXT_MAX ((size_t)1 << 20)

static void put_quoted(struct buf *out, struct bytes text, char quote)
{
    buf_put_u8(out, (uint8_t)quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == (uint8_t)quote)
            buf_put_u8(out, (uint8_t)quote);
        buf_put_u8(out, text.ptr[i]);
    }
    buf_put_u8(out, (uint8_t)quote);
}

void setup_put_literal(struct buf *out, const char *text)
{
    put_quoted(out, bytes_str(text), '\'');
}

void setup_put_literal_bytes(struct buf *out, struct bytes text)
{
    put_quoted(out, text, '\'');
}

void setup_put_identifier(struct buf *out, struct bytes text)
{
    put_quoted(out, text, '"');
}

static void split(const char *table, struct bytes *ret_schema, struct bytes *ret_name)
{
    const char *dot = strchr(table, '.');
    size_t schema = dot == NULL ? 0 : (size_t)(dot - table);
    *ret_schema = bytes_make(table, schema);
    *ret_name = bytes_str(dot == NULL ? table : dot + 1);
}

void setup_put_table(struct buf *out, const char *table)
{
    struct bytes schema;
    struct bytes name;
    split(table, &schema, &name);
    setup_put_identifier(out, schema);
    buf_put_u8(out, '.');
    setup_put_identifier(out, name);
}

/* Steps point into one buffer, which may move while it grows: offsets first, pointers at the end.
 */
struct draft {
    struct setup *setup;
    size_t done_at[SETUP_STEPS_MAX];
    size_t sql_at[SETUP_STEPS_MAX];
    bool full;
};

#define NO_TEXT SIZE_MAX

static struct setup_step *begin_step(struct draft *draft, const char *label, const char *name)
{
    if (draft->setup->count == SETUP_STEPS_MAX) {
        draft->full = true;
        return &draft->setup->steps[SETUP_STEPS_MAX - 1];
    }
    size_t at = draft->setup->count++;
    struct setup_step *step = &draft->setup->steps[at];
    *step = (struct setup_step){0};
    snprintf(step->label, sizeof step->label, "%s%s%.100s", label, name[0] == '\0' ? "" : " ",
             name);
    draft->done_at[at] = NO_TEXT;
    draft->sql_at[at] = NO_TEXT;
    return step;
}

static void begin_done(struct draft *draft)
{
    draft->done_at[draft->setup->count - 1] = draft->setup->text.len;
}

static void begin_sql(struct draft *draft)
{
    buf_put_u8(&draft->setup->text, 0);
    draft->sql_at[draft->setup->count - 1] = draft->setup->text.len;
}

static void end_step(struct draft *draft)
{
    buf_put_u8(&draft->setup->text, 0);
}

static bool wants_outbox(const struct config *config)
{
    for (size_t i = 0; i < config->capture_count; i++) {
        const struct capture_entry *entry = &config->captures[i];
        if (entry->kind == CAPTURE_MESSAGES)
            return true;
        if (entry->preset == PRESET_WALFERRY && strcmp(entry->name, "outbox.event") == 0)
            return true;
    }
    return false;
}

/* Run again by whoever may, because a newer version may bring newer functions; for the relay's own
 * role it is enough that the table is there. */
static void plan_outbox(struct draft *draft)
{
    struct buf *out = &draft->setup->text;
    begin_step(draft, "schema outbox: table event, functions publish and emit", "")->makes_outbox =
        true;
    begin_done(draft);
    buf_put_str(out, "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'event'"
                     " AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'outbox')"
                     " AND NOT pg_has_role(relowner, 'USAGE'))");
    begin_sql(draft);
    buf_put_str(out, sql_001_outbox);
    end_step(draft);
}

static void plan_role(struct draft *draft, const char *role)
{
    struct buf *out = &draft->setup->text;
    begin_step(draft, "role", role)->makes_role = true;
    begin_sql(draft);
    buf_put_str(out, "SET walferry.role = ");
    setup_put_literal(out, role);
    buf_put_str(out, ";\n");
    buf_put_str(out, sql_002_role);
    end_step(draft);
}

static void plan_publication(struct draft *draft, const struct config *config)
{
    struct buf *out = &draft->setup->text;
    const char *name = config->source.publication;
    begin_step(draft, "publication", name);
    begin_done(draft);
    buf_put_str(out, "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = ");
    setup_put_literal(out, name);
    buf_put_str(out, ")");
    begin_sql(draft);
    /* Only inserts are events; with more, the server would refuse the application's deletes on
     * tables without a primary key. */
    buf_put_str(out, "CREATE PUBLICATION ");
    setup_put_identifier(out, bytes_str(name));
    buf_put_str(out, " WITH (publish = 'insert', publish_via_partition_root = true)");
    end_step(draft);
}

static void plan_table(struct draft *draft, const struct config *config, const char *table)
{
    struct buf *out = &draft->setup->text;
    struct bytes schema;
    struct bytes name;
    split(table, &schema, &name);
    begin_step(draft, "table in the publication:", table);
    begin_done(draft);
    buf_put_str(out, "SELECT EXISTS (SELECT FROM pg_publication_tables WHERE pubname = ");
    setup_put_literal(out, config->source.publication);
    buf_put_str(out, " AND schemaname = ");
    put_quoted(out, schema, '\'');
    buf_put_str(out, " AND tablename = ");
    put_quoted(out, name, '\'');
    buf_put_str(out, ")");
    begin_sql(draft);
    buf_put_str(out, "ALTER PUBLICATION ");
    setup_put_identifier(out, bytes_str(config->source.publication));
    buf_put_str(out, " ADD TABLE ");
    setup_put_table(out, table);
    end_step(draft);
}

static void plan_slot(struct draft *draft, const struct config *config)
{
    struct buf *out = &draft->setup->text;
    const char *name = config->source.slot;
    begin_step(draft, "slot", name)->makes_slot = true;
    begin_done(draft);
    buf_put_str(out, "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = ");
    setup_put_literal(out, name);
    buf_put_str(out, ")");
    begin_sql(draft);
    if (config->source.failover)
        buf_printf(out,
                   "DO $$ BEGIN\n"
                   "    IF current_setting('server_version_num')::int >= 170000 THEN\n"
                   "        EXECUTE $walferry$SELECT pg_create_logical_replication_slot("
                   "'%s', 'pgoutput', failover => true)$walferry$;\n"
                   "    ELSE\n"
                   "        PERFORM pg_create_logical_replication_slot('%s', 'pgoutput');\n"
                   "    END IF;\n"
                   "END $$",
                   name, name);
    else
        buf_printf(out, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", name);
    end_step(draft);
}

static void point(struct draft *draft)
{
    struct setup *setup = draft->setup;
    const char *text = (const char *)setup->text.ptr;
    for (size_t i = 0; i < setup->count; i++) {
        setup->steps[i].done = draft->done_at[i] == NO_TEXT ? NULL : text + draft->done_at[i];
        setup->steps[i].sql = text + draft->sql_at[i];
    }
}

bool setup_plan(const struct config *config, const char *role, bool with_slot,
                struct setup *ret_setup, struct err *err)
{
    struct draft draft = {.setup = ret_setup};
    ret_setup->count = 0;
    buf_init(&ret_setup->text, SETUP_TEXT_MAX);
    if (wants_outbox(config))
        plan_outbox(&draft);
    if (role != NULL)
        plan_role(&draft, role);
    plan_publication(&draft, config);
    for (size_t i = 0; i < config->capture_count; i++)
        if (config->captures[i].kind == CAPTURE_OUTBOX)
            plan_table(&draft, config, config->captures[i].name);
    if (with_slot)
        plan_slot(&draft, config);
    if (draft.full || !buf_ok(&ret_setup->text)) {
        bool starved = ret_setup->text.starved;
        setup_free(ret_setup);
        return err_set(err, ERR_MEMORY,
                       starved ? "no memory for the statements of init"
                               : "the configuration names more tables than init can take");
    }
    point(&draft);
    return true;
}

void setup_free(struct setup *setup)
{
    buf_deinit(&setup->text);
    setup->count = 0;
}
