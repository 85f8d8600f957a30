/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "load.h"

#define PARTITIONS_MAX 16
#define KEYS_MAX       256
#define CRASHES_MAX    16

struct row {
    char *id;
    char *key;
    char *payload;
    size_t transaction;
    const struct kafka_record *record; /* its first */
};

struct transaction {
    uint64_t end; /* in the WAL */
    size_t first; /* row */
    size_t after; /* row behind its last */
    size_t seen;  /* rows of it among the records looked at */
};

/* From here on what is past `checkpoint` may come again. */
struct moment {
    uint64_t checkpoint;
};

struct judge {
    struct world *world;
    char slot[64];
    struct row *rows; /* in the order of commit */
    size_t count;
    size_t room;
    struct transaction *transactions;
    size_t transaction_count;
    size_t transaction_room;
    size_t *by_id; /* numbers of rows */
    size_t sorted; /* rows that by_id knows */
    uint64_t confirmed;
    uint64_t checkpoint;
    struct moment moments[CRASHES_MAX];
    unsigned moment_count;
    size_t repeated;
};

struct judge *judge_new(struct world *world)
{
    struct judge *judge = calloc(1, sizeof *judge);
    REQUIRE(judge != NULL, "out of memory");
    judge->world = world;
    snprintf(judge->slot, sizeof judge->slot, "judge_%s", world->name);
    sql(world, "SELECT pg_create_logical_replication_slot('%s', 'test_decoding')", judge->slot);
    return judge;
}

void judge_free(struct judge *judge)
{
    for (size_t i = 0; i < judge->count; i++) {
        free(judge->rows[i].id);
        free(judge->rows[i].key);
        free(judge->rows[i].payload);
    }
    free(judge->rows);
    free(judge->transactions);
    free(judge->by_id);
    free(judge);
}

/* ---- what was committed -------------------------------------------------------------------- */

/* "... name[type]:'value' ..."; quotes within values are doubled. */
static char *column(const char *line, const char *label)
{
    const char *at = strstr(line, label);
    REQUIRE(at != NULL && at[strlen(label)] == '\'', "no %s in: %s", label, line);
    char *value = text("%s", at + strlen(label) + 1);
    char *to = value;
    for (const char *from = value; *from != '\0'; from++) {
        if (*from == '\'' && *++from != '\'')
            break;
        *to++ = *from;
    }
    *to = '\0';
    return value;
}

static void *grow(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room == 0 ? 256 : *room * 2;
    items = reallocarray(items, *room, size);
    REQUIRE(items != NULL, "out of memory");
    return items;
}

static void take_change(struct judge *judge, const char *lsn, const char *data)
{
    static const char insert[] = "table outbox.event: INSERT:";
    if (strncmp(data, "BEGIN", 5) == 0) {
        judge->transactions = grow(judge->transactions, judge->transaction_count,
                                   &judge->transaction_room, sizeof *judge->transactions);
        judge->transactions[judge->transaction_count] =
            (struct transaction){.first = judge->count, .after = judge->count};
    } else if (strncmp(data, "COMMIT", 6) == 0) {
        struct transaction *transaction = &judge->transactions[judge->transaction_count];
        transaction->end = parse_lsn(lsn);
        transaction->after = judge->count;
        judge->transaction_count++;
    } else if (strncmp(data, insert, strlen(insert)) == 0) {
        judge->rows = grow(judge->rows, judge->count, &judge->room, sizeof *judge->rows);
        judge->rows[judge->count++] = (struct row){.id = column(data, " id[uuid]:"),
                                                   .key = column(data, " aggregate_id[text]:"),
                                                   .payload = column(data, " payload[json]:"),
                                                   .transaction = judge->transaction_count};
    }
}

static const struct row *sort_rows;

static int by_id(const void *left, const void *right)
{
    return strcmp(sort_rows[*(const size_t *)left].id, sort_rows[*(const size_t *)right].id);
}

/* What was committed since. */
static void read_changes(struct judge *judge)
{
    PGresult *changes = sql_rows(
        judge->world, "SELECT lsn, data FROM pg_logical_slot_get_changes('%s', NULL, NULL)",
        judge->slot);
    for (int i = 0; i < PQntuples(changes); i++)
        take_change(judge, PQgetvalue(changes, i, 0), PQgetvalue(changes, i, 1));
    PQclear(changes);
    judge->by_id = reallocarray(judge->by_id, judge->count + 1, sizeof *judge->by_id);
    REQUIRE(judge->by_id != NULL, "out of memory");
    for (size_t i = 0; i < judge->count; i++)
        judge->by_id[i] = i;
    sort_rows = judge->rows;
    qsort(judge->by_id, judge->count, sizeof *judge->by_id, by_id);
}

static struct row *find_row(const struct judge *judge, const char *id)
{
    size_t low = 0;
    size_t high = judge->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(judge->rows[judge->by_id[middle]].id, id);
        if (order == 0)
            return &judge->rows[judge->by_id[middle]];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool is_letter(const struct judge *judge, const struct kafka_record *record)
{
    return strcmp(record->topic, world_topic(judge->world, "order")) != 0;
}

/* The event's id as the envelope has it, without a JSON parser for each of thousands. */
static char *id_of(const struct judge *judge, const struct kafka_record *record)
{
    static const char label[] = "\"id\":\"";
    if (is_letter(judge, record)) {
        const char *id = received_header(record, "walferry_event_id");
        REQUIRE(id != NULL, "a dead letter without walferry_event_id: %s", record->value);
        return text("%s", id);
    }
    const char *at = record->value == NULL ? NULL : strstr(record->value, label);
    REQUIRE(at != NULL, "no id in: %s", record->value);
    at += strlen(label);
    return text("%.*s", (int)strcspn(at, "\""), at);
}

/* ---- positions ----------------------------------------------------------------------------- */

#define SHOWN(lsn) (unsigned long long)(lsn)

void judge_positions(struct judge *judge, uint64_t confirmed, uint64_t checkpoint)
{
    REQUIRE(confirmed >= judge->confirmed, "confirmed_flush fell from %llX to %llX",
            SHOWN(judge->confirmed), SHOWN(confirmed));
    judge->confirmed = confirmed;
    if (checkpoint == 0)
        return;
    REQUIRE(checkpoint >= judge->checkpoint, "the checkpoint fell from %llX to %llX",
            SHOWN(judge->checkpoint), SHOWN(checkpoint));
    REQUIRE(confirmed <= checkpoint, "confirmed %llX, and only %llX is durable", SHOWN(confirmed),
            SHOWN(checkpoint));
    judge->checkpoint = checkpoint;
}

/* ---- at a crash ---------------------------------------------------------------------------- */

/* Counts what can be read of each transaction. */
static void count_seen(struct judge *judge, struct records records)
{
    for (size_t i = 0; i < judge->transaction_count; i++)
        judge->transactions[i].seen = 0;
    for (size_t i = 0; i < judge->count; i++)
        judge->rows[i].record = NULL;
    for (size_t i = 0; i < records.count; i++) {
        char *id = id_of(judge, &records.items[i]);
        struct row *row = find_row(judge, id);
        REQUIRE(row != NULL, "event %s was never committed", id);
        free(id);
        if (row->record == NULL)
            judge->transactions[row->transaction].seen++;
        row->record = &records.items[i];
    }
}

static const char *crash_fault(struct judge *judge, struct records records, uint64_t confirmed,
                               bool atomic)
{
    count_seen(judge, records);
    for (size_t i = 0; i < judge->transaction_count; i++) {
        const struct transaction *transaction = &judge->transactions[i];
        size_t rows = transaction->after - transaction->first;
        if (transaction->end <= confirmed && transaction->seen < rows)
            return text("PostgreSQL was told that all before %llX is safe, and of the %zu rows of "
                        "the transaction that ends at %llX only %zu can be read",
                        SHOWN(confirmed), rows, SHOWN(transaction->end), transaction->seen);
        if (atomic && transaction->seen != 0 && transaction->seen != rows)
            return text("%zu of %zu rows of the transaction that ends at %llX can be read",
                        transaction->seen, rows, SHOWN(transaction->end));
    }
    return NULL;
}

void judge_crash(struct judge *judge, struct consumer *consumer, uint64_t checkpoint,
                 uint64_t confirmed, bool atomic)
{
    judge_positions(judge, confirmed, checkpoint);
    const char *fault = "";
    /* The broker finishes what it was told before. */
    wait_until((read_changes(judge),
                fault = crash_fault(judge, consumer_drain(consumer), confirmed, atomic)) == NULL,
               "%s", fault);
}

bool judge_complete(struct judge *judge, struct consumer *consumer)
{
    struct records records = consumer_drain(consumer);
    read_changes(judge);
    count_seen(judge, records);
    for (size_t i = 0; i < judge->count; i++)
        if (judge->rows[i].record == NULL)
            return false;
    return true;
}

void judge_replay(struct judge *judge, uint64_t checkpoint)
{
    REQUIRE(judge->moment_count < CRASHES_MAX, "too many crashes");
    judge->moments[judge->moment_count++] = (struct moment){checkpoint};
}

/* ---- at the end ---------------------------------------------------------------------------- */

/* The row of events that a partition has, as numbers of rows. */
struct track {
    size_t *rows;
    size_t count;
    size_t room;
    size_t at;      /* the next record is expected here; count: a new one */
    unsigned jumps; /* replays so far */
};

static size_t find_in_track(const struct track *track, size_t row)
{
    size_t low = 0;
    size_t high = track->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (track->rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The newest of the track, as numbers of rows in the order of commit, and the one in question. */
static char *around(const struct track *track, size_t number)
{
    char *shown = text("%s", "");
    for (size_t i = track->count < 12 ? 0 : track->count - 12; i < track->count; i++)
        shown = text("%s%zu ", shown, track->rows[i]);
    return text("%sthen %zu", shown, number);
}

/* A replay begins at a row that was there already, and a replay that a second one breaks off may be
 * behind all that was there. */
static void jump(const struct judge *judge, struct track *track, size_t number,
                 const struct kafka_record *record)
{
    const struct row *row = &judge->rows[number];
    size_t at = find_in_track(track, number);
    REQUIRE(at == track->count || track->rows[at] == number,
            "%s[%d] %lld: event %s was committed before what stands before it, and comes too late: "
            "rows %s",
            record->topic, record->partition, (long long)record->offset, row->id,
            around(track, number));
    REQUIRE(track->jumps < judge->moment_count,
            "%s[%d] %lld: event %s is there again or out of order, after %u crashes or replays: "
            "rows %s",
            record->topic, record->partition, (long long)record->offset, row->id,
            judge->moment_count, around(track, number));
    const struct moment *moment = &judge->moments[track->jumps++];
    uint64_t end = judge->transactions[row->transaction].end;
    REQUIRE(end > moment->checkpoint,
            "%s[%d] %lld: event %s is there again, although the checkpoint %llX was past the end "
            "of its transaction, %llX",
            record->topic, record->partition, (long long)record->offset, row->id,
            SHOWN(moment->checkpoint), SHOWN(end));
    track->at = at;
}

static void follow(struct judge *judge, struct track *track, size_t number,
                   const struct kafka_record *record)
{
    bool replays = track->at < track->count;
    bool as_before = replays && track->rows[track->at] == number;
    bool is_new = track->count == 0 || track->rows[track->count - 1] < number;
    if (!as_before && (replays || !is_new))
        jump(judge, track, number, record);
    if (track->at < track->count) {
        track->at++;
        judge->repeated++;
        return;
    }
    track->rows = grow(track->rows, track->count, &track->room, sizeof *track->rows);
    track->rows[track->count++] = number;
    track->at = track->count;
}

static bool same(const char *left, size_t left_len, const char *right, size_t right_len)
{
    return left_len == right_len && (left == NULL) == (right == NULL) &&
           (left == NULL || memcmp(left, right, left_len) == 0);
}

static void expect_same(const struct kafka_record *first, const struct kafka_record *again,
                        const char *id)
{
    bool equal = same(first->key, first->key_len, again->key, again->key_len) &&
                 same(first->value, first->value_len, again->value, again->value_len) &&
                 first->timestamp_ms == again->timestamp_ms &&
                 first->partition == again->partition && strcmp(first->topic, again->topic) == 0 &&
                 first->header_count == again->header_count;
    for (size_t i = 0; equal && i < first->header_count; i++)
        equal = strcmp(first->headers[i].name, again->headers[i].name) == 0 &&
                same(first->headers[i].value, first->headers[i].len, again->headers[i].value,
                     again->headers[i].len);
    REQUIRE(equal, "event %s is there twice, and the two differ:\n%s\n%s", id, first->value,
            again->value);
}

static void expect_content(const struct judge *judge, const struct row *row,
                           const struct kafka_record *record)
{
    char *payload =
        is_letter(judge, record) ? text("%s", row->payload) : text("\"data\":%s", row->payload);
    REQUIRE(record->key != NULL && strcmp(record->key, row->key) == 0,
            "event %s has key %s instead of %s", row->id, record->key, row->key);
    REQUIRE(record->value != NULL && strstr(record->value, payload) != NULL,
            "event %s has lost its payload %s: %s", row->id, row->payload, record->value);
    free(payload);
}

/* Each key lives in one partition. */
static void expect_partition(const struct kafka_record *record)
{
    static struct {
        const char *key;
        int partition;
    } keys[KEYS_MAX];
    size_t i = 0;
    while (i < KEYS_MAX && keys[i].key != NULL && strcmp(keys[i].key, record->key) != 0)
        i++;
    REQUIRE(i < KEYS_MAX, "too many keys");
    if (keys[i].key == NULL) {
        keys[i].key = record->key;
        keys[i].partition = record->partition;
    }
    REQUIRE(keys[i].partition == record->partition, "key %s is in partitions %d and %d",
            record->key, keys[i].partition, record->partition);
}

static void take_record(struct judge *judge, struct track *tracks,
                        const struct kafka_record *record, size_t *letters)
{
    char *id = id_of(judge, record);
    struct row *row = find_row(judge, id);
    REQUIRE(row != NULL, "event %s was never committed: %s[%d] %lld", id, record->topic,
            record->partition, (long long)record->offset);
    free(id);
    expect_content(judge, row, record);
    REQUIRE(record->partition < PARTITIONS_MAX, "partition %d", record->partition);
    if (is_letter(judge, record)) {
        *letters += row->record == NULL ? 1 : 0;
    } else {
        expect_partition(record);
        follow(judge, &tracks[record->partition], (size_t)(row - judge->rows), record);
        if (row->record != NULL)
            expect_same(row->record, record, row->id);
    }
    if (row->record == NULL)
        row->record = record;
}

void judge_end(struct judge *judge, struct consumer *consumer, size_t letters)
{
    struct track tracks[PARTITIONS_MAX] = {0};
    struct records records = consumer_drain(consumer);
    size_t found = 0;
    read_changes(judge);
    for (size_t i = 0; i < judge->count; i++)
        judge->rows[i].record = NULL;
    for (size_t i = 0; i < records.count; i++)
        take_record(judge, tracks, &records.items[i], &found);
    for (size_t i = 0; i < judge->count; i++)
        REQUIRE(judge->rows[i].record != NULL,
                "event %s, row %zu of %zu in the order of commit, is lost", judge->rows[i].id,
                i + 1, judge->count);
    REQUIRE(found == letters, "%zu dead letters, and %zu were to come", found, letters);
    REQUIRE(judge->count >= 50, "only %zu rows: there was no load", judge->count);
    for (size_t i = 0; i < PARTITIONS_MAX; i++)
        free(tracks[i].rows);
}

size_t judge_repeated(const struct judge *judge)
{
    return judge->repeated;
}
