/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture: a capture, a table and a row in a few words, for the tests of capture. Everything is
 * static: one of each at a time.
 */
#pragma once

#include "../test.h"
#include "walferry/capture/capture.h"

#define FIXTURE_COLUMNS_MAX 24
#define FIXTURE_ARENA_SIZE  4096

/* Type oids that rows of these tests have. */
enum {
    BOOL = 16,
    BYTEA = 17,
    INT8 = 20,
    INT4 = 23,
    TEXT = 25,
    JSON = 114,
    TEXT_ARRAY = 1009,
    VARCHAR = 1043,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    UUID = 2950,
    JSONB = 3802,
};

/* One column of a table and its value in the row; NULL for a NULL value. */
struct given {
    const char *name;
    uint32_t type_oid;
    const char *text;
};

struct fixture {
    struct capture *capture;
    struct arena arena;
    struct column columns[FIXTURE_COLUMNS_MAX];
    struct value values[FIXTURE_COLUMNS_MAX];
    struct relation relation;
    uint64_t generation;
    struct event event;
    struct err err;
    enum skip_reason reason;
};

static struct fixture fixture;

static inline void fixture_open(const struct capture_entry *entries, size_t count)
{
    struct err err = ERR_INIT;
    ck_assert_msg(capture_new(entries, count, &fixture.capture, &err), "%s", err.message);
    ck_assert(arena_init(&fixture.arena, FIXTURE_ARENA_SIZE, FIXTURE_ARENA_SIZE));
}

static inline void fixture_close(void)
{
    capture_free(fixture.capture);
    arena_deinit(&fixture.arena);
    fixture.capture = NULL;
}

static inline void fixture_open_one(const char *table, enum preset_id preset)
{
    fixture_open(&(struct capture_entry){.kind = CAPTURE_OUTBOX, .name = table, .preset = preset},
                 1);
}

/* The table and row in hand; the list ends with a column without a name. */
static inline void fixture_row(const char *schema, const char *table, const struct given *given)
{
    uint16_t count = 0;
    for (; given[count].name != NULL; count++) {
        ck_assert_uint_lt(count, FIXTURE_COLUMNS_MAX);
        fixture.columns[count] = (struct column){
            .name = given[count].name, .type_oid = given[count].type_oid, .type_mod = -1};
        fixture.values[count] = (struct value){
            .kind = given[count].text == NULL ? VALUE_NULL : VALUE_TEXT,
            .bytes = bytes_str(given[count].text),
        };
    }
    fixture.relation = (struct relation){
        .oid = 16384,
        .schema = schema,
        .name = table,
        .replica_identity = 'd',
        .column_count = count,
        .columns = fixture.columns,
        .generation = ++fixture.generation,
    };
}

static inline struct change fixture_change(enum change_kind kind)
{
    struct tuple tuple = {.count = fixture.relation.column_count, .values = fixture.values};
    struct change change = {.kind = kind};
    change.as.row.relation = &fixture.relation;
    if (kind == CHANGE_INSERT || kind == CHANGE_UPDATE)
        change.as.row.new_tuple = tuple;
    else
        change.as.row.old_tuple = tuple;
    return change;
}

static inline enum capture_outcome fixture_take(const struct change *change)
{
    arena_reset(&fixture.arena);
    fixture.err = ERR_INIT;
    memset(&fixture.event, 0x5A, sizeof(fixture.event));
    return capture_change(fixture.capture, change, &fixture.arena, &fixture.event, &fixture.reason,
                          &fixture.err);
}

static inline enum capture_outcome fixture_insert(void)
{
    struct change change = fixture_change(CHANGE_INSERT);
    return fixture_take(&change);
}

/* Announce the table and insert the row: an event comes of it. */
static inline void fixture_insert_event(void)
{
    struct err err = ERR_INIT;
    ck_assert_msg(capture_relation(fixture.capture, &fixture.relation, &err), "%s", err.message);
    enum capture_outcome outcome = fixture_insert();
    ck_assert_msg(outcome == CAPTURE_EVENT, "outcome %d: %s", (int)outcome, fixture.err.message);
}

static inline struct bytes fixture_header(const char *name)
{
    for (size_t i = 0; i < fixture.event.header_count; i++) {
        if (bytes_is(fixture.event.headers[i].name, name))
            return fixture.event.headers[i].value;
    }
    return BYTES_ABSENT;
}
