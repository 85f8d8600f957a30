/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle: what the database says was committed, in the order of commit, from a slot of its own with
 * the plugin test_decoding: not one line of the program under test is involved.
 *
 * Make it before the first row (a slot sees only what comes after it). From PostgreSQL 17 on its
 * slot goes along to a standby that is promoted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "consumer.h"
#include "world.h"

struct oracle_row {
    char *id;
    char *key;     /* aggregate_id; NULL for null */
    char *payload; /* with keep_payloads */
    uint64_t end;  /* of its transaction in the WAL */
};

struct oracle {
    struct world *world;
    char slot[64];
    const char *table;
    bool keep_payloads;      /* of a column payload, json */
    struct oracle_row *rows; /* in the order of commit */
    size_t count;
    size_t room;
};

/* Inserts into `table` ("outbox.event"), which has columns id (uuid) and aggregate_id (text). */
struct oracle *oracle_new(struct world *world, const char *table);
/* Reads what was committed since; all rows so far are in rows[0..count). */
void oracle_read(struct oracle *oracle);
void oracle_free(struct oracle *oracle);

enum { EXACTLY_ONCE_EACH = 0, DUPLICATES_ALLOWED = 1 };

/* Every committed row is among the records and nothing else is; once each, or with duplicates where
 * they are allowed; and for each key all records are in one partition, first sightings in the order
 * of commit. Reads first (oracle_read()). Fails the test, saying what is wrong. */
void oracle_compare(struct oracle *oracle, struct records records, int duplicates);
/* The same; what is wrong, or NULL. Never freed. */
const char *oracle_fault(struct oracle *oracle, struct records records, int duplicates);
