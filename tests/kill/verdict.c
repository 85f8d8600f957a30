/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "writers.h"

#define PARTITIONS_MAX 16
#define SHOWN_MAX      5 /* faults of a kind */
#define NOWHERE        SIZE_MAX

struct row {
    const struct oracle_row *oracle;
    size_t first;        /* record */
    size_t in_partition; /* its number among the rows of its partition */
    size_t transaction;  /* of Kafka */
    struct place place;  /* as the relay gave it */
};

struct sight {
    const struct kafka_record *record;
    size_t row; /* NOWHERE: none */
};

struct trial {
    const struct lane *lane;
    struct verdict verdict;
    struct row *rows;
    size_t row_count;
    size_t *by_id;
    struct sight *sights;
    size_t sight_count;
};

#define FAULT(trial, kind, ...)                                                                    \
    do {                                                                                           \
        if ((trial)->verdict.kind++ < SHOWN_MAX) {                                                 \
            fprintf(stderr, "%s, " #kind ": ", (trial)->lane->name);                               \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
        }                                                                                          \
    } while (0)

#define PLACE(place) (unsigned long long)(place).lsn, (place).index

static void *array(size_t count, size_t size)
{
    void *items = calloc(count + 1, size);
    REQUIRE(items != NULL, "out of memory");
    return items;
}

/* ---- rows and records meet ----------------------------------------------------------------- */

static const struct row *sort_rows;

static int by_id(const void *left, const void *right)
{
    return strcmp(sort_rows[*(const size_t *)left].oracle->id,
                  sort_rows[*(const size_t *)right].oracle->id);
}

static size_t find_row(const struct trial *trial, const char *id, size_t len)
{
    size_t low = 0;
    size_t high = trial->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = trial->rows[trial->by_id[middle]].oracle->id;
        int order = strncmp(other, id, len);
        if (order == 0)
            return trial->by_id[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NOWHERE;
}

/* {"specversion":...,"id":"...",...,"data":PAYLOAD} */
static size_t row_of(const struct trial *trial, const struct kafka_record *record)
{
    static const char label[] = "\"id\":\"";
    const char *id = record->value == NULL ? NULL : strstr(record->value, label);
    REQUIRE(id != NULL, "%s: no id in: %s", trial->lane->name, record->value);
    id += strlen(label);
    return find_row(trial, id, strcspn(id, "\""));
}

static bool same_bytes(const struct kafka_record *record, const struct oracle_row *row)
{
    static const char label[] = "\"data\":";
    size_t tail = strlen(row->payload) + 1;
    if (record->value_len < tail + strlen(label) || record->key == NULL ||
        strcmp(record->key, row->key) != 0)
        return false;
    const char *payload = record->value + record->value_len - tail;
    return memcmp(payload - strlen(label), label, strlen(label)) == 0 &&
           memcmp(payload, row->payload, tail - 1) == 0 && payload[tail - 1] == '}';
}

static bool same_record(const struct kafka_record *a, const struct kafka_record *b)
{
    bool same = a->partition == b->partition && a->value_len == b->value_len &&
                memcmp(a->value, b->value, a->value_len) == 0 && a->key_len == b->key_len &&
                memcmp(a->key, b->key, a->key_len) == 0 && a->timestamp_ms == b->timestamp_ms &&
                a->header_count == b->header_count;
    for (size_t i = 0; same && i < a->header_count; i++)
        same = strcmp(a->headers[i].name, b->headers[i].name) == 0 &&
               a->headers[i].len == b->headers[i].len &&
               memcmp(a->headers[i].value, b->headers[i].value, a->headers[i].len) == 0;
    return same;
}

static void meet(struct trial *trial)
{
    for (size_t i = 0; i < trial->sight_count; i++) {
        struct sight *sight = &trial->sights[i];
        sight->row = row_of(trial, sight->record);
        if (sight->row == NOWHERE) {
            FAULT(trial, phantoms, "%s[%d] %lld was never committed: %.300s", sight->record->topic,
                  sight->record->partition, (long long)sight->record->offset, sight->record->value);
            continue;
        }
        struct row *row = &trial->rows[sight->row];
        if (row->first != NOWHERE) {
            if (!same_record(trial->sights[row->first].record, sight->record))
                FAULT(trial, bytes, "event %s is not the same again", row->oracle->id);
            continue;
        }
        row->first = i;
        row->place = record_place(sight->record);
        if (!same_bytes(sight->record, row->oracle))
            FAULT(trial, bytes, "event %s is not what was written: %.300s", row->oracle->id,
                  sight->record->value);
    }
}

static void number_rows(struct trial *trial)
{
    size_t next[PARTITIONS_MAX] = {0};
    struct place last = {0};
    for (size_t i = 0; i < trial->row_count; i++) {
        struct row *row = &trial->rows[i];
        if (row->first == NOWHERE) {
            FAULT(trial, lost, "event %s, number %zu, is not there", row->oracle->id, i);
            continue;
        }
        row->in_partition = next[trial->sights[row->first].record->partition]++;
        if (place_compare(row->place, last) <= 0)
            FAULT(trial, order, "event %s has the place %llX-%X, after %llX-%X", row->oracle->id,
                  PLACE(row->place), PLACE(last));
        last = row->place;
    }
}

/* ---- order, and what comes again ----------------------------------------------------------- */

/* Since the last time that everything was read: what may come again, and how often. */
struct licence {
    struct saved durable;
    unsigned replays; /* of each partition */
};

struct walk {
    size_t next_note;
    struct licence licence;
    size_t last[PARTITIONS_MAX]; /* number of a row; NOWHERE: none */
    unsigned replays[PARTITIONS_MAX];
};

/* Records of a start that could not be told from those of the one before share its licence. */
static void take_notes(struct walk *walk, const struct lane *lane, size_t at)
{
    for (; walk->next_note < lane->note_count; walk->next_note++) {
        const struct note *note = &lane->notes[walk->next_note];
        if (note->seen > at)
            return;
        if (note->kind == NOTE_CLAIM)
            continue;
        if (note->kind == NOTE_START && note->drained) {
            walk->licence = (struct licence){.durable = note->durable};
            memset(walk->replays, 0, sizeof walk->replays);
        }
        walk->licence.replays++;
    }
}

static void judge_again(struct trial *trial, struct walk *walk, const struct sight *sight)
{
    const struct row *row = &trial->rows[sight->row];
    int partition = sight->record->partition;
    trial->verdict.replays++;
    if (trial->lane->mode == MODE_EXACTLY_ONCE)
        FAULT(trial, unfounded, "event %s is there twice", row->oracle->id);
    else if (++walk->replays[partition] > walk->licence.replays)
        FAULT(trial, unfounded, "partition %d goes back to event %s, and nothing was killed",
              partition, row->oracle->id);
    else if (saved_covers(walk->licence.durable, row->place))
        FAULT(trial, unfounded, "event %s at %llX-%X was sent again, and %llX was durable",
              row->oracle->id, PLACE(row->place), (unsigned long long)walk->licence.durable.lsn);
}

static void judge_order(struct trial *trial)
{
    struct walk walk = {0};
    for (int i = 0; i < PARTITIONS_MAX; i++)
        walk.last[i] = NOWHERE;
    for (size_t i = 0; i < trial->sight_count; i++) {
        const struct sight *sight = &trial->sights[i];
        take_notes(&walk, trial->lane, i);
        if (sight->row == NOWHERE)
            continue;
        const struct row *row = &trial->rows[sight->row];
        size_t *at = &walk.last[sight->record->partition];
        size_t expected = *at == NOWHERE ? 0 : *at + 1;
        trial->verdict.again += row->first < i ? 1 : 0;
        if (row->in_partition > expected)
            FAULT(trial, order, "event %s is number %zu of partition %d, and comes after %zu",
                  row->oracle->id, row->in_partition, sight->record->partition, expected - 1);
        else if (row->in_partition < expected)
            judge_again(trial, &walk, sight);
        *at = row->in_partition;
    }
}

/* The application's own numbers, without a word from the database about its log. */
static void judge_numbers(struct trial *trial, const int64_t *counted)
{
    int64_t seen[KEYS] = {0};
    for (size_t i = 0; i < trial->sight_count; i++) {
        const struct sight *sight = &trial->sights[i];
        const char *data = strstr(sight->record->value, "\"data\":");
        int key = 0;
        long long number = 0;
        if (sight->row == NOWHERE || trial->rows[sight->row].first != i)
            continue;
        REQUIRE(data != NULL &&
                    sscanf(data, "\"data\":{\"key\" : %d, \"n\" : %lld", &key, &number) == 2 &&
                    key >= 0 && key < KEYS,
                "no numbers in: %.300s", sight->record->value);
        if (number != ++seen[key])
            FAULT(trial, order, "aggregate %d: number %lld comes where %lld should", key, number,
                  (long long)seen[key]);
        seen[key] = number;
    }
    for (int key = 0; key < KEYS; key++)
        if (seen[key] != counted[key])
            FAULT(trial, lost, "aggregate %d: %lld of %lld arrived", key, (long long)seen[key],
                  (long long)counted[key]);
}

/* ---- claims -------------------------------------------------------------------------------- */

/* Rows that ended at or before this. */
static size_t rows_to(const struct trial *trial, uint64_t lsn)
{
    size_t low = 0;
    size_t high = trial->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (trial->rows[middle].oracle->end <= lsn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void judge_claims(struct trial *trial)
{
    /* Records that have to be there for the first n rows. */
    size_t *wanted = array(trial->row_count + 1, sizeof *wanted);
    for (size_t i = 0; i < trial->row_count; i++) {
        size_t first = trial->rows[i].first == NOWHERE ? 0 : trial->rows[i].first + 1;
        wanted[i + 1] = first > wanted[i] ? first : wanted[i];
    }
    for (size_t i = 0; i < trial->lane->note_count; i++) {
        const struct note *note = &trial->lane->notes[i];
        if (note->kind != NOTE_CLAIM)
            continue;
        size_t rows = rows_to(trial, note->lsn);
        if (wanted[rows] > note->seen)
            FAULT(trial, early,
                  "%llX was confirmed or durable when %zu records were there, and "
                  "%zu are needed for it",
                  (unsigned long long)note->lsn, note->seen, wanted[rows]);
    }
    free(wanted);
}

/* ---- transactions of Kafka ----------------------------------------------------------------- */

static uint32_t chain_after(uint32_t chain, struct place place)
{
    unsigned char bytes[16];
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(chain >> (24 - 8 * i));
        bytes[12 + i] = (unsigned char)(place.index >> (24 - 8 * i));
    }
    for (unsigned i = 0; i < 8; i++)
        bytes[4 + i] = (unsigned char)(place.lsn >> (56 - 8 * i));
    return crc32c(bytes, sizeof bytes);
}

static void judge_positions(struct trial *trial)
{
    const struct lane *lane = trial->lane;
    const char *key = text("%s/", lane->pipeline);
    struct records records = consumer_drain(lane->positions);
    struct saved last = {0};
    uint32_t chain = 0;
    size_t row = 0;
    for (size_t i = 0; i < records.count; i++) {
        const struct kafka_record *record = &records.items[i];
        if (record->key == NULL || strncmp(record->key, key, strlen(key)) != 0)
            continue;
        struct saved saved = parse_checkpoint(record->value);
        size_t before = row;
        for (; row < trial->row_count && saved_covers(saved, trial->rows[row].place); row++) {
            trial->rows[row].transaction = trial->verdict.transactions;
            chain = chain_after(chain, trial->rows[row].place);
        }
        if (last.sequence != 0 && saved.previous != last.lsn)
            FAULT(trial, chain, "position %llu follows %llX, and says %llX",
                  (unsigned long long)saved.sequence, (unsigned long long)last.lsn,
                  (unsigned long long)saved.previous);
        if (saved.events != row || (row > 0 && saved.chain != chain))
            FAULT(trial, chain,
                  "position %llu counts %llu events, and %zu are before it; chain %u, "
                  "and it is %u",
                  (unsigned long long)saved.sequence, (unsigned long long)saved.events, row,
                  saved.chain, chain);
        trial->verdict.transactions += row > before ? 1 : 0;
        last = saved;
    }
}

/* A transaction ends with a marker, which takes an offset. */
static void judge_offsets(struct trial *trial)
{
    const struct sight *last[PARTITIONS_MAX] = {0};
    for (size_t i = 0; i < trial->sight_count; i++) {
        const struct sight *sight = &trial->sights[i];
        const struct sight *before = last[sight->record->partition];
        if (sight->row == NOWHERE)
            continue;
        last[sight->record->partition] = sight;
        int64_t expected = before == NULL ? 0 : before->record->offset + 1;
        bool same = before != NULL &&
                    trial->rows[sight->row].transaction == trial->rows[before->row].transaction;
        bool next = sight->record->offset == expected;
        size_t hidden = (size_t)(sight->record->offset - expected);
        trial->verdict.taken_back += before == NULL || same || next ? hidden : hidden - 1;
        if (before != NULL && same != next)
            FAULT(trial, torn, "offset %lld of partition %d follows %lld, and they are of %s",
                  (long long)sight->record->offset, sight->record->partition,
                  (long long)expected - 1,
                  same ? "one transaction by the position" : "two transactions by the position");
    }
}

/* All rows of a transaction of PostgreSQL are in one of Kafka, when there are not very many. */
static void judge_whole(struct trial *trial)
{
    for (size_t first = 0, after; first < trial->row_count; first = after) {
        const struct row *row = &trial->rows[first];
        after = first;
        while (after < trial->row_count && trial->rows[after].oracle->end == row->oracle->end)
            after++;
        if (after - first <= IN_FLIGHT_MAX / 2 &&
            trial->rows[after - 1].transaction != row->transaction)
            FAULT(trial, torn, "the transaction of %zu rows at %llX is in transactions %zu to %zu",
                  after - first, (unsigned long long)row->place.lsn, row->transaction,
                  trial->rows[after - 1].transaction);
    }
}

/* ---- the verdict --------------------------------------------------------------------------- */

static void call(struct trial *trial, const struct oracle *oracle)
{
    struct records records = consumer_drain(trial->lane->consumer);
    trial->row_count = oracle->count;
    trial->rows = array(oracle->count, sizeof *trial->rows);
    trial->by_id = array(oracle->count, sizeof *trial->by_id);
    for (size_t i = 0; i < oracle->count; i++) {
        trial->rows[i] = (struct row){.oracle = &oracle->rows[i], .first = NOWHERE};
        trial->by_id[i] = i;
    }
    sort_rows = trial->rows;
    qsort(trial->by_id, trial->row_count, sizeof *trial->by_id, by_id);
    trial->sight_count = records.count;
    trial->sights = array(records.count, sizeof *trial->sights);
    for (size_t i = 0; i < records.count; i++) {
        REQUIRE(records.items[i].partition < PARTITIONS_MAX, "too many partitions");
        trial->sights[i].record = &records.items[i];
    }
    trial->verdict.events = trial->row_count;
    trial->verdict.records = trial->sight_count;
}

struct verdict verdict_of(const struct lane *lane, const struct oracle *oracle,
                          const int64_t *counted)
{
    struct trial trial = {.lane = lane};
    call(&trial, oracle);
    meet(&trial);
    number_rows(&trial);
    judge_order(&trial);
    judge_numbers(&trial, counted);
    judge_claims(&trial);
    if (lane->mode == MODE_EXACTLY_ONCE) {
        judge_positions(&trial);
        judge_offsets(&trial);
        judge_whole(&trial);
    }
    free(trial.rows);
    free(trial.by_id);
    free(trial.sights);
    return trial.verdict;
}

bool verdict_is_good(const struct verdict *verdict)
{
    return verdict->lost + verdict->phantoms + verdict->order + verdict->bytes +
               verdict->unfounded + verdict->early + verdict->torn + verdict->chain ==
           0;
}
