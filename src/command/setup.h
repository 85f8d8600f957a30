/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup: what has to stand in the database before a relay can run, as SQL.
 *
 * A plan is a list of steps in the one right order: schema, role, publication, slot. Each says how
 * to see that it is done and how to do it, and is safe to run twice. `walferry init` runs the plan
 * or prints it; the demo runs it too. Text only: nothing here connects.
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/config/config.h"

#define SETUP_STEPS_MAX 32

struct setup_step {
    char label[160];  /* "publication walferry_orders" */
    const char *done; /* a query of one boolean; NULL: run it always */
    const char *sql;
    bool makes_slot; /* may have to wait for transactions that are open */
    bool makes_role;
    bool makes_outbox; /* the schema of sql/001_outbox.sql */
};

struct setup {
    size_t count;
    struct setup_step steps[SETUP_STEPS_MAX];
    struct buf text; /* behind the steps' SQL */
};

/* `role` is who will relay; NULL when no role is to be made. False: no memory, or too many
 * captures. */
MUST_USE bool setup_plan(const struct config *config, const char *role, bool with_slot,
                         struct setup *ret_setup, struct err *err);
void setup_free(struct setup *setup);
/* "a.b" split at the first dot, quoted: "a"."b". */
void setup_put_table(struct buf *out, const char *table);
void setup_put_literal(struct buf *out, const char *text);
void setup_put_literal_bytes(struct buf *out, struct bytes text);
void setup_put_identifier(struct buf *out, struct bytes text);
