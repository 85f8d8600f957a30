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
    sql(world, "SELECT pg_create_logical_replication_slot('%s', 'test_decoding'%s)", oracle->slot,
        world->pg->version >= 17 ? ", failover => true" : "");
    return oracle;
}

void oracle_free(struct oracle *oracle)
{
    sql(oracle->world, "SELECT pg_drop_replication_slot('%s')", oracle->slot);
    free(oracle->rows);
    free(oracle);
}

static uint64_t lsn_of(const char *lsn)
{
    char *end;
    uint64_t high = strtoull(lsn, &end, 16);
    REQUIRE(*end == '/', "no position: %s", lsn);
    return (high << 32) | strtoull(end + 1, NULL, 16);
}

/* "... name[type]:'value' ..."; quotes within values are doubled. NULL for null. */
static char *column(const char *line, const char *label)
{
    const char *at = strstr(line, label);
    REQUIRE(at != NULL, "no %s in: %s", label, line);
    at += strlen(label);
    if (*at != '\'')
        return NULL;
    const char *from = ++at;
    while (*from != '\0' && (*from != '\'' || *++from == '\''))
        from++;
    char *value = text("%.*s", (int)(from - at), at);
    char *to = value;
    for (const char *c = value; *c != '\0' && (*c != '\'' || *++c == '\''); c++)
        *to++ = *c;
    *to = '\0';
    return value;
}

static void add_row(struct oracle *oracle, const char *line)
{
    if (oracle->count == oracle->room) {
        oracle->room = oracle->room == 0 ? 256 : oracle->room * 2;
        oracle->rows = reallocarray(oracle->rows, oracle->room, sizeof *oracle->rows);
        REQUIRE(oracle->rows != NULL, "out of memory");
    }
    oracle->rows[oracle->count++] = (struct oracle_row){
        .id = column(line, " id[uuid]:"),
        .key = column(line, " aggregate_id[text]:"),
        .payload = oracle->keep_payloads ? column(line, " payload[json]:") : NULL};
}

void oracle_read(struct oracle *oracle)
{
    char *insert = text("table %s: INSERT:", oracle->table);
    PGresult *changes = sql_rows(
        oracle->world, "SELECT lsn, data FROM pg_logical_slot_get_changes('%s', NULL, NULL)",
        oracle->slot);
    size_t begun = oracle->count;
    /* A slot that went back, after a failover, tells once more what was read. */
    uint64_t known = begun == 0 ? 0 : oracle->rows[begun - 1].end;
    for (int i = 0; i < PQntuples(changes); i++) {
        const char *line = PQgetvalue(changes, i, 1);
        uint64_t lsn = lsn_of(PQgetvalue(changes, i, 0));
        if (strncmp(line, insert, strlen(insert)) == 0)
            add_row(oracle, line);
        else if (strncmp(line, "COMMIT", 6) == 0 && lsn <= known)
            oracle->count = begun;
        else if (strncmp(line, "COMMIT", 6) == 0)
            for (; begun < oracle->count; begun++)
                oracle->rows[begun].end = lsn;
    }
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

/* A committed row with a key, and where it was seen first. */
struct keyed {
    const struct oracle_row *row; /* a later address is a later commit */
    const struct kafka_record *record;
};

static int by_key_topic_commit(const void *left, const void *right)
{
    const struct keyed *a = left;
    const struct keyed *b = right;
    int order = strcmp(a->row->key, b->row->key);
    if (order == 0)
        order = strcmp(a->record->topic, b->record->topic);
    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

static const char *pair_fault(const struct keyed *a, const struct keyed *b)
{
    if (strcmp(a->row->key, b->row->key) != 0 || strcmp(a->record->topic, b->record->topic) != 0)
        return NULL;
    if (a->record->partition != b->record->partition)
        return text("key %s: event %s is in partition %d, %s in %d", a->row->key, a->row->id,
                    a->record->partition, b->row->id, b->record->partition);
    if (a->record->offset >= b->record->offset)
        return text("key %s: event %s was committed before %s, and stands at offset %lld after "
                    "%lld of %s[%d]",
                    a->row->key, a->row->id, b->row->id, (long long)a->record->offset,
                    (long long)b->record->offset, a->record->topic, a->record->partition);
    return NULL;
}

static const char *order_fault(const struct oracle *oracle, struct sighting *all, size_t count)
{
    struct keyed *keyed = calloc(oracle->count + 1, sizeof *keyed);
    const char *fault = NULL;
    size_t used = 0;
    REQUIRE(keyed != NULL, "out of memory");
    for (size_t i = 0; i < oracle->count; i++)
        if (oracle->rows[i].key != NULL)
            keyed[used++] =
                (struct keyed){.row = &oracle->rows[i],
                               .record = find_first(all, count, oracle->rows[i].id)->record};
    qsort(keyed, used, sizeof *keyed, by_key_topic_commit);
    for (size_t i = 1; i < used && fault == NULL; i++)
        fault = pair_fault(&keyed[i - 1], &keyed[i]);
    free(keyed);
    return fault;
}

static const char *again_fault(const struct sighting *first, const struct sighting *again,
                               int duplicates)
{
    const struct kafka_record *a = first->record;
    const struct kafka_record *b = again->record;
    if (duplicates != DUPLICATES_ALLOWED)
        return text("event %s is there twice: %s[%d] %lld", again->id, b->topic, b->partition,
                    (long long)b->offset);
    if (strcmp(a->topic, b->topic) != 0 || (b->key != NULL && a->partition != b->partition))
        return text("event %s is in %s[%d], and again in %s[%d]", again->id, a->topic, a->partition,
                    b->topic, b->partition);
    return NULL;
}

static const char *set_fault(const struct oracle *oracle, struct sighting *all, size_t count,
                             int duplicates)
{
    for (size_t i = 0; i < oracle->count; i++) {
        struct sighting *found = find_first(all, count, oracle->rows[i].id);
        if (found == NULL)
            return text("event %s (row %zu of %zu in the order of commit) is not there",
                        oracle->rows[i].id, i + 1, oracle->count);
        found->matched = true;
    }
    for (size_t i = 0; i < count; i++) {
        const char *fault = NULL;
        if (i > 0 && strcmp(all[i - 1].id, all[i].id) == 0) {
            fault = again_fault(&all[i - 1], &all[i], duplicates);
            all[i].matched = all[i - 1].matched;
        }
        if (fault != NULL)
            return fault;
        if (!all[i].matched)
            return text("event %s was never committed: %s[%d] %lld", all[i].id,
                        all[i].record->topic, all[i].record->partition,
                        (long long)all[i].record->offset);
    }
    return NULL;
}

const char *oracle_fault(struct oracle *oracle, struct records records, int duplicates)
{
    oracle_read(oracle);
    struct sighting *all = calloc(records.count + 1, sizeof *all);
    REQUIRE(all != NULL, "out of memory");
    for (size_t i = 0; i < records.count; i++)
        all[i] = (struct sighting){
            .id = record_event_id(&records.items[i]), .record = &records.items[i], .place = i};
    qsort(all, records.count, sizeof *all, by_id);
    const char *fault = set_fault(oracle, all, records.count, duplicates);
    if (fault == NULL)
        fault = order_fault(oracle, all, records.count);
    free(all);
    return fault;
}

void oracle_compare(struct oracle *oracle, struct records records, int duplicates)
{
    const char *fault = oracle_fault(oracle, records, duplicates);
    REQUIRE(fault == NULL, "%s", fault);
}
