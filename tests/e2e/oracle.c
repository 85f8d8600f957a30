/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

struct oracle *oracle_new(struct world *world, const char *table)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    REQUIRE(oracle != NULL, "out of memory");
    oracle->world = world;
    oracle->table = text("%s", table);
    snprintf(oracle->slot, sizeof oracle->slot, "oracle_%s", world->name);
    sql(world, "SELECT pg_create_logical_replication_slot('%s', 'test_decoding')", oracle->slot);
    return oracle;
}

void oracle_free(struct oracle *oracle)
{
    sql(oracle->world, "SELECT pg_drop_replication_slot('%s')", oracle->slot);
    free(oracle->rows);
    free(oracle);
}

/* "... name[type]:'value' ..."; quotes within values are doubled. NULL for null. */
static char *column(const char *line, const char *label)
{
    const char *at = strstr(line, label);
    REQUIRE(at != NULL, "no %s in: %s", label, line);
    at += strlen(label);
    if (*at != '\'')
        return NULL;
    char *value = text("%s", at + 1);
    char *to = value;
    for (const char *from = at + 1; *from != '\0'; from++) {
        if (*from == '\'' && *++from != '\'')
            break;
        *to++ = *from;
    }
    *to = '\0';
    return value;
}

static void add_row(struct oracle *oracle, const char *line)
{
    oracle->rows = reallocarray(oracle->rows, oracle->count + 1, sizeof *oracle->rows);
    REQUIRE(oracle->rows != NULL, "out of memory");
    oracle->rows[oracle->count++] = (struct oracle_row){
        .id = column(line, " id[uuid]:"), .key = column(line, " aggregate_id[text]:")};
}

void oracle_read(struct oracle *oracle)
{
    char *insert = text("table %s: INSERT:", oracle->table);
    PGresult *changes =
        sql_rows(oracle->world, "SELECT data FROM pg_logical_slot_get_changes('%s', NULL, NULL)",
                 oracle->slot);
    for (int i = 0; i < PQntuples(changes); i++)
        if (strncmp(PQgetvalue(changes, i, 0), insert, strlen(insert)) == 0)
            add_row(oracle, PQgetvalue(changes, i, 0));
    PQclear(changes);
}

/* ---- comparison ---------------------------------------------------------------------------- */

struct sighting {
    const char *id;
    const struct kafka_record *record;
    size_t place; /* in arrival */
    bool matched;
};

static int by_id(const void *left, const void *right)
{
    const struct sighting *a = left;
    const struct sighting *b = right;
    int order = strcmp(a->id, b->id);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

/* The first sighting of an id in the sorted array. */
static struct sighting *find_first(struct sighting *all, size_t count, const char *id)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(all[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strcmp(all[low].id, id) == 0 ? &all[low] : NULL;
}

static int by_key_then_commit(const void *left, const void *right)
{
    const struct oracle_row *a = *(const struct oracle_row *const *)left;
    const struct oracle_row *b = *(const struct oracle_row *const *)right;
    int order = strcmp(a->key, b->key);
    return order != 0 ? order : (a > b) - (a < b);
}

static void compare_order(const struct oracle *oracle, struct sighting *all, size_t count)
{
    const struct oracle_row **rows = calloc(oracle->count + 1, sizeof *rows);
    size_t keyed = 0;
    REQUIRE(rows != NULL, "out of memory");
    for (size_t i = 0; i < oracle->count; i++)
        if (oracle->rows[i].key != NULL)
            rows[keyed++] = &oracle->rows[i];
    qsort(rows, keyed, sizeof *rows, by_key_then_commit);
    for (size_t i = 1; i < keyed; i++) {
        if (strcmp(rows[i - 1]->key, rows[i]->key) != 0)
            continue;
        const struct kafka_record *before = find_first(all, count, rows[i - 1]->id)->record;
        const struct kafka_record *after = find_first(all, count, rows[i]->id)->record;
        if (strcmp(before->topic, after->topic) != 0)
            continue;
        REQUIRE(before->partition == after->partition,
                "key %s: event %s is in partition %d, %s in %d", rows[i]->key, rows[i - 1]->id,
                before->partition, rows[i]->id, after->partition);
        REQUIRE(before->offset < after->offset,
                "key %s: event %s was committed before %s, and stands at offset %lld after "
                "%lld of %s[%d]",
                rows[i]->key, rows[i - 1]->id, rows[i]->id, (long long)before->offset,
                (long long)after->offset, after->topic, after->partition);
    }
    free(rows);
}

static void compare_sets(const struct oracle *oracle, struct sighting *all, size_t count,
                         int duplicates)
{
    for (size_t i = 0; i < oracle->count; i++) {
        struct sighting *found = find_first(all, count, oracle->rows[i].id);
        REQUIRE(found != NULL, "event %s (row %zu of %zu in order of commit) is not there",
                oracle->rows[i].id, i, oracle->count);
        found->matched = true;
    }
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && strcmp(all[i - 1].id, all[i].id) == 0;
        if (again) {
            REQUIRE(duplicates == DUPLICATES_ALLOWED, "event %s is there twice: %s[%d] %lld",
                    all[i].id, all[i].record->topic, all[i].record->partition,
                    (long long)all[i].record->offset);
            all[i].matched = all[i - 1].matched;
        }
        REQUIRE(all[i].matched, "event %s was never committed: %s[%d] %lld", all[i].id,
                all[i].record->topic, all[i].record->partition, (long long)all[i].record->offset);
    }
}

void oracle_compare(struct oracle *oracle, struct records records, int duplicates)
{
    oracle_read(oracle);
    struct sighting *all = calloc(records.count + 1, sizeof *all);
    REQUIRE(all != NULL, "out of memory");
    for (size_t i = 0; i < records.count; i++)
        all[i] = (struct sighting){
            .id = record_event_id(&records.items[i]), .record = &records.items[i], .place = i};
    qsort(all, records.count, sizeof *all, by_id);
    compare_sets(oracle, all, records.count, duplicates);
    compare_order(oracle, all, records.count);
    free(all);
}
