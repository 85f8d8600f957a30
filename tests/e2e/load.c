/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define KEYS           40
#define PARTITIONS_MAX 16
#define REST_MS        4

struct load {
    pid_t writers[WRITERS_MAX];
    int count;
};

/* ---- writers ------------------------------------------------------------------------------- */

/* Never fails the test: a writer is no test, and a server that is away comes back. */
static void run_sql(PGconn *db, const char *statement)
{
    PQclear(PQexec(db, statement));
}

static void write_rows(PGconn *db, long count)
{
    run_sql(db, text("INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) "
                     "SELECT 'order', 'k' || (random() * %d)::int, 'order.changed', "
                     "json_build_object('n', i, 'fill', repeat('x', i %% 97)) "
                     "FROM generate_series(1, %ld) AS i",
                     KEYS, count));
}

static void write_transaction(PGconn *db)
{
    static const long sizes[] = {1, 1, 1, 2, 3, 5, 10, 40, 300};
    long size = sizes[random() % (long)(sizeof sizes / sizeof sizes[0])];
    switch (random() % 8) {
    case 0:
        run_sql(db, "BEGIN");
        write_rows(db, size);
        run_sql(db, "ROLLBACK");
        return;
    case 1:
        run_sql(db, "BEGIN");
        write_rows(db, 1);
        run_sql(db, "SAVEPOINT s");
        write_rows(db, size);
        run_sql(db, "ROLLBACK TO s");
        write_rows(db, 2);
        run_sql(db, "COMMIT");
        return;
    default:
        write_rows(db, size);
    }
}

_Noreturn static void write_for_ever(const char *conninfo, unsigned seed, pid_t parent)
{
    PGconn *db = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_DFL);
    srandom(seed);
    while (getppid() == parent) {
        if (db == NULL || PQstatus(db) != CONNECTION_OK) {
            PQfinish(db);
            db = PQconnectdb(conninfo);
            run_sql(db, "SET client_min_messages = error");
        }
        if (PQstatus(db) == CONNECTION_OK)
            write_transaction(db);
        pause_ms(PQstatus(db) == CONNECTION_OK ? REST_MS : 50);
    }
    _exit(0);
}

struct load *load_start(struct world *world, int writers)
{
    struct load *load = calloc(1, sizeof *load);
    pid_t self = getpid();
    REQUIRE(load != NULL && writers <= WRITERS_MAX, "too many writers");
    for (load->count = 0; load->count < writers; load->count++) {
        pid_t pid = fork();
        REQUIRE(pid >= 0, "fork failed");
        if (pid == 0)
            write_for_ever(world->conninfo, (unsigned)load->count + 1, self);
        load->writers[load->count] = pid;
    }
    return load;
}

void load_stop(struct load *load)
{
    for (int i = 0; i < load->count; i++)
        kill(load->writers[i], SIGTERM);
    for (int i = 0; i < load->count; i++) {
        int status;
        REQUIRE(process_wait(load->writers[i], DEADLINE_MS, &status), "a writer does not end");
    }
    free(load);
}

void insert_orders(PGconn *db, int count, int keys)
{
    PQclear(sql_on(db, text("INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, "
                            "payload) SELECT 'order', 'k' || i %% %d, 'order.changed', "
                            "json_build_object('n', i) FROM generate_series(1, %d) AS i",
                            keys, count)));
}

/* ---- places and checkpoints ---------------------------------------------------------------- */

int place_compare(struct place left, struct place right)
{
    if (left.lsn != right.lsn)
        return left.lsn < right.lsn ? -1 : 1;
    return (left.index > right.index) - (left.index < right.index);
}

struct place record_place(const struct kafka_record *record)
{
    static const char label[] = "\"sequence\":\"";
    const char *at = record->value == NULL ? NULL : strstr(record->value, label);
    REQUIRE(at != NULL, "no sequence in: %s", record->value);
    char *end;
    struct place place = {.lsn = strtoull(at + strlen(label), &end, 16)};
    REQUIRE(*end == '-', "a sequence that is none in: %s", record->value);
    place.index = (unsigned)strtoul(end + 1, NULL, 16);
    return place;
}

uint64_t parse_lsn(const char *lsn)
{
    char *end;
    uint64_t high = strtoull(lsn, &end, 16);
    REQUIRE(*end == '/', "no position: %s", lsn);
    return (high << 32) | strtoull(end + 1, NULL, 16);
}

char *checkpoint_path(const struct relay *relay)
{
    return text("%s/state/%s.checkpoint", relay->world->dir, relay->world->name);
}

static const char *line_value(const char *content, const char *key)
{
    const char *at = strstr(content, text("\n%s=", key));
    REQUIRE(at != NULL, "no %s in the checkpoint:\n%s", key, content);
    return at + strlen(key) + 2;
}

struct saved parse_checkpoint(const char *content)
{
    struct saved saved = {0};
    if (content[0] == '\0')
        return saved;
    saved.lsn = parse_lsn(line_value(content, "lsn"));
    saved.partial.lsn = parse_lsn(line_value(content, "partial_commit_lsn"));
    saved.partial.index = (unsigned)strtoul(line_value(content, "partial_index"), NULL, 10);
    saved.previous = parse_lsn(line_value(content, "previous_lsn"));
    saved.events = strtoull(line_value(content, "events"), NULL, 10);
    saved.chain = (uint32_t)strtoul(line_value(content, "chain"), NULL, 10);
    saved.sequence = strtoull(line_value(content, "sequence"), NULL, 10);
    return saved;
}

struct saved read_checkpoint(const struct relay *relay)
{
    char *content = read_file(checkpoint_path(relay));
    struct saved saved = parse_checkpoint(content);
    free(content);
    return saved;
}

uint32_t crc32c(const void *data, size_t len)
{
    const unsigned char *bytes = data;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) == 0 ? 0 : 0x82f63b78u);
    }
    return ~crc;
}

bool saved_covers(struct saved saved, struct place place)
{
    return place.lsn < saved.lsn ||
           (place.lsn == saved.partial.lsn && place.index < saved.partial.index);
}

/* ---- replays ------------------------------------------------------------------------------- */

struct row {
    struct place *places;
    size_t count;
    size_t room;
    size_t at;  /* the next record is expected here; count: a new one */
    bool begun; /* in this segment */
};

struct replay_check {
    struct row rows[PARTITIONS_MAX];
    size_t seen;
};

struct replay_check *replay_check_new(void)
{
    struct replay_check *check = calloc(1, sizeof *check);
    REQUIRE(check != NULL, "out of memory");
    return check;
}

static size_t find_place(const struct row *row, struct place place)
{
    size_t low = 0;
    size_t high = row->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (place_compare(row->places[middle], place) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void append_place(struct row *row, struct place place)
{
    if (row->count == row->room) {
        row->room = row->room == 0 ? 1024 : row->room * 2;
        row->places = reallocarray(row->places, row->room, sizeof *row->places);
        REQUIRE(row->places != NULL, "out of memory");
    }
    row->places[row->count++] = place;
}

/* True: it was there before. */
static bool follow(struct row *row, struct place place, int partition)
{
    if (!row->begun) {
        row->begun = true;
        row->at = find_place(row, place);
    }
    if (row->at < row->count) {
        REQUIRE(place_compare(row->places[row->at], place) == 0,
                "partition %d: a replay leaves the row of events at %llX-%X: %llX-%X comes next",
                partition, (unsigned long long)row->places[row->at].lsn, row->places[row->at].index,
                (unsigned long long)place.lsn, place.index);
        row->at++;
        return true;
    }
    REQUIRE(row->count == 0 || place_compare(row->places[row->count - 1], place) < 0,
            "partition %d: %llX-%X comes after %llX-%X", partition, (unsigned long long)place.lsn,
            place.index, (unsigned long long)row->places[row->count - 1].lsn,
            row->places[row->count - 1].index);
    append_place(row, place);
    row->at = row->count;
    return false;
}

size_t replay_check_segment(struct replay_check *check, struct records records, struct saved start)
{
    size_t again = 0;
    for (int i = 0; i < PARTITIONS_MAX; i++)
        check->rows[i].begun = false;
    for (; check->seen < records.count; check->seen++) {
        const struct kafka_record *record = &records.items[check->seen];
        struct place place = record_place(record);
        REQUIRE(record->partition < PARTITIONS_MAX, "partition %d", record->partition);
        REQUIRE(!saved_covers(start, place),
                "%llX-%X was sent again, although the checkpoint was past it: lsn %llX, partial "
                "%llX-%X",
                (unsigned long long)place.lsn, place.index, (unsigned long long)start.lsn,
                (unsigned long long)start.partial.lsn, start.partial.index);
        again += follow(&check->rows[record->partition], place, record->partition) ? 1 : 0;
    }
    return again;
}

void expect_unique(struct records records)
{
    replay_check_segment(replay_check_new(), records, (struct saved){0});
}
