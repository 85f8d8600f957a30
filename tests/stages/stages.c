/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stages: rows of an outbox through the pure stages, as the relay takes them (src/relay/pull.c), so
 * that what an event costs can be counted without servers.
 *
 *   stages FORMAT EVENTS     FORMAT is structured, binary or raw
 *
 * Everything is encoded first and walked once to warm up. counted_part() is what to look at:
 * whoever counts instructions begins and ends with it. Prints how many allocations were made
 * inside.
 */
#include <stdio.h>
#include <stdlib.h>

#include "encode.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/parse.h"
#include "walferry/checkpoint/ledger.h"
#include "walferry/decode/pgoutput.h"
#include "walferry/relay/stages.h"

#define ROWS_A_TRANSACTION 100
#define TABLE_OID          16384U
#define FIRST_LSN          UINT64_C(0x16B374D80)
#define FIRST_TIME         INT64_C(1769862896123456)
#define VALUE_MAX          ((size_t)1 << 20)
#define MESSAGE_MAX        4096
#define WARM_UP            (2 * ROWS_A_TRANSACTION)
#define NOT_INLINED        __attribute__((noinline))

/* ---- allocations -------------------------------------------------------------------------- */

static unsigned long allocations;

/* The linker leads calls of the program here (--wrap), which has names of its own for it. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- the stream --------------------------------------------------------------------------- */

static const struct column columns[] = {
    {"id", 2950, -1, true},
    {"aggregate_type", 25, -1, false},
    {"aggregate_id", 25, -1, false},
    {"event_type", 25, -1, false},
    {"event_version", 23, -1, false},
    {"payload", 114, -1, false},
    {"headers", 114, -1, false},
    {"visibility", 25, -1, false},
    {"traceparent", 25, -1, false},
    {"tracestate", 25, -1, false},
    {"correlation_id", 25, -1, false},
    {"causation_id", 25, -1, false},
    {"topic", 25, -1, false},
    {"partition", 23, -1, false},
    {"key", 25, -1, false},
    {"occurred_at", 1184, -1, false},
};

/* 400 bytes, as an order may look. */
static const char payload[] =
    "{\"order_id\": \"5f1c9ad0-3b62-4d0e-8a51-6b1f2a7c9e10\", \"customer\": {\"id\": 88172, "
    "\"name\": \"Ada Lovelace\", \"email\": \"ada@example.org\"}, \"lines\": [{\"sku\": "
    "\"A-1001-XL\", \"quantity\": 2, \"price\": \"19.90\"}, {\"sku\": \"B-2002-S\", \"quantity\": "
    "1, \"price\": \"249.00\"}, {\"sku\": \"C-3003-M\", \"quantity\": 12, \"price\": \"0.49\"}], "
    "\"total\": \"294.68\", \"currency\": \"EUR\", \"placed_at\": \"2026-01-31T12:34:56Z\", "
    "\"note\": \"ring\"}";
_Static_assert(sizeof(payload) - 1 >= 390 && sizeof(payload) - 1 <= 410, "about 400 bytes");

/* Messages, each behind its length. */
struct stream {
    struct buf messages;
    struct buf message;
};

static void put(struct stream *stream)
{
    ASSERT(buf_ok(&stream->message));
    buf_put_u32(&stream->messages, (uint32_t)stream->message.len);
    buf_put_bytes(&stream->messages, buf_bytes(&stream->message));
    buf_reset(&stream->message);
}

static void put_row(struct stream *stream, unsigned number)
{
    char id[40];
    char aggregate_id[24];
    char occurred_at[48];
    snprintf(id, sizeof(id), "0b5a1f60-0000-4000-8000-%012u", number);
    snprintf(aggregate_id, sizeof(aggregate_id), "order-%06u", number % 5000);
    snprintf(occurred_at, sizeof(occurred_at), "2026-01-31 12:34:%02u.%06u+00", number / 50 % 60,
             (number * 7919U) % 1000000U);
    const char *const texts[] = {
        id,   "order", aggregate_id, "order.placed", "1",  payload, NULL, "public",
        NULL, NULL,    NULL,         NULL,           NULL, NULL,    NULL, occurred_at,
    };
    _Static_assert(ARRAY_LEN(texts) == ARRAY_LEN(columns), "a text a column");
    encode_insert_text(&stream->message, TABLE_OID, ARRAY_LEN(texts), texts);
    put(stream);
}

static void put_transaction(struct stream *stream, unsigned number, unsigned rows)
{
    struct lsn commit = lsn_make(FIRST_LSN + (uint64_t)number * 0x10000);
    struct lsn end = lsn_make(commit.value + 0x30);
    int64_t time_us = FIRST_TIME + (int64_t)number * 1000;
    encode_begin(&stream->message, commit, time_us, 700 + number);
    put(stream);
    for (unsigned row = 0; row < rows; row++)
        put_row(stream, number * ROWS_A_TRANSACTION + row);
    encode_commit(&stream->message, commit, end, time_us);
    put(stream);
}

/* The Relation comes with the first of its rows, as a server sends it. */
static void put_relation(struct stream *stream)
{
    encode_relation(&stream->message, &(struct relation){.oid = TABLE_OID,
                                                         .schema = "outbox",
                                                         .name = "event",
                                                         .replica_identity = 'd',
                                                         .column_count = ARRAY_LEN(columns),
                                                         .columns = columns});
    put(stream);
}

/* ---- the walk ----------------------------------------------------------------------------- */

struct walk {
    struct pgoutput *decoder;
    struct stages stages;
    struct ledger *ledger;
    struct event event;
    struct record record;
    struct lsn commit;
    int64_t commit_time_us;
    uint32_t xid;
    uint32_t ordinal;
    uint64_t acknowledged; /* the last tag */
    uint64_t events;
    uint64_t bytes;
};

static void take_row(struct walk *walk, const struct change *change)
{
    enum skip_reason reason;
    struct bytes topic;
    struct err *err = NULL;
    enum capture_outcome outcome = capture_change(walk->stages.capture, change, &walk->stages.arena,
                                                  &walk->event, &reason, err);
    ASSERT(outcome == CAPTURE_EVENT);
    walk->event.position = (struct position){walk->commit, walk->ordinal};
    walk->event.commit_time_us = walk->commit_time_us;
    walk->event.xid = walk->xid;
    walk->event.replay = false;
    enum stages_outcome rendered =
        stages_render(&walk->stages, &walk->event, NULL, &walk->record, &topic, err);
    ASSERT(rendered == STAGES_RECORD && ledger_room(walk->ledger));
    const struct flight flight = {
        .after = {walk->commit, walk->ordinal + 1, walk->ordinal + 1},
        .submitted_ns = 1,
        .cost = record_cost(&walk->record),
    };
    uint64_t tag = ledger_record(walk->ledger, &flight);
    ledger_label(walk->ledger, tag, 1);
    walk->ordinal++;
    walk->events++;
    walk->bytes += walk->record.value.len;
}

static void take_commit(struct walk *walk, const struct change *change)
{
    ledger_commit(walk->ledger, change->as.commit.end_lsn);
    while (ledger_records(walk->ledger) > 0) {
        struct flight flight = ledger_ack(walk->ledger, ++walk->acknowledged);
        ASSERT(flight.label == 1);
    }
}

static void take_message(struct walk *walk, struct bytes message)
{
    struct change change;
    stages_next_row(&walk->stages);
    bool decoded = pgoutput_decode(walk->decoder, message, &change, NULL);
    ASSERT(decoded);
    if (change.kind == CHANGE_INSERT) {
        take_row(walk, &change);
    } else if (change.kind == CHANGE_BEGIN) {
        walk->commit = change.as.begin.commit_lsn;
        walk->commit_time_us = change.as.begin.commit_time_us;
        walk->xid = change.as.begin.xid;
        walk->ordinal = 0;
        ledger_begin(walk->ledger, walk->commit, walk->commit_time_us);
    } else if (change.kind == CHANGE_COMMIT) {
        take_commit(walk, &change);
    } else {
        ASSERT(change.kind == CHANGE_RELATION);
        bool resolved = capture_relation(walk->stages.capture, change.as.relation.relation, NULL);
        ASSERT(resolved);
    }
}

static void take_messages(struct walk *walk, struct bytes messages)
{
    const uint8_t *end = messages.ptr + messages.len;
    for (const uint8_t *at = messages.ptr; at < end;) {
        size_t len = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
        take_message(walk, bytes_make(at + 4, len));
        at += 4 + len;
    }
}

NOT_INLINED static void counted_part(struct walk *walk, struct bytes messages)
{
    take_messages(walk, messages);
}

/* ---- the run ------------------------------------------------------------------------------ */

static bool format_parse(const char *name, struct envelope_opts *ret_opts)
{
    static const struct {
        const char *name;
        struct envelope_opts opts;
    } formats[] = {
        {"structured", {ENVELOPE_CLOUDEVENTS, ENVELOPE_STRUCTURED, "/orders"}},
        {"binary", {ENVELOPE_CLOUDEVENTS, ENVELOPE_BINARY, "/orders"}},
        {"raw", {ENVELOPE_RAW, ENVELOPE_STRUCTURED, "/orders"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *ret_opts = formats[i].opts;
            return true;
        }
    }
    return false;
}

static void open_walk(struct walk *walk, const struct config *config)
{
    const struct ledger_opts room = {.max_records = 10000, .max_bytes = (uint64_t)64 << 20};
    bool opened = stages_open(&walk->stages, config, NULL) &&
                  stages_room(&walk->stages, VALUE_MAX, NULL) &&
                  ledger_new(&room, lsn_make(1), &walk->ledger, NULL);
    walk->decoder = pgoutput_new();
    ASSERT(opened && walk->decoder != NULL);
}

static void close_walk(struct walk *walk)
{
    ledger_free(walk->ledger);
    stages_close(&walk->stages);
    pgoutput_free(walk->decoder);
}

static void run(const struct config *config, unsigned events)
{
    static struct walk walk;
    struct stream stream;
    buf_init(&stream.messages, (size_t)1 << 30);
    buf_init(&stream.message, MESSAGE_MAX);
    put_relation(&stream);
    put_transaction(&stream, 0, ROWS_A_TRANSACTION);
    put_transaction(&stream, 1, ROWS_A_TRANSACTION);
    size_t warm = stream.messages.len;
    for (unsigned row = 0; row < events; row += ROWS_A_TRANSACTION)
        put_transaction(&stream, 2 + row / ROWS_A_TRANSACTION, ROWS_A_TRANSACTION);
    ASSERT(buf_ok(&stream.messages));
    const uint8_t *messages = stream.messages.ptr;
    open_walk(&walk, config);
    take_messages(&walk, bytes_make(messages, warm));
    unsigned long before = allocations;
    counted_part(&walk, bytes_make(messages + warm, stream.messages.len - warm));
    printf("%lu allocations\n%llu events\n%llu bytes\n", allocations - before,
           (unsigned long long)(walk.events - WARM_UP), (unsigned long long)walk.bytes);
    close_walk(&walk);
    buf_deinit(&stream.messages);
    buf_deinit(&stream.message);
}

int main(int argument_count, char **arguments)
{
    static const struct capture_entry captures[] = {
        {.kind = CAPTURE_OUTBOX, .name = "outbox.event", .preset = PRESET_WALFERRY}};
    struct config config = {
        .name = "orders",
        .captures = captures,
        .capture_count = ARRAY_LEN(captures),
        .route = {.topic = "${aggregate_type}.events"},
    };
    uint64_t events = 0;
    if (argument_count != 3 || !format_parse(arguments[1], &config.envelope) ||
        !parse_u64(bytes_str(arguments[2]), &events) || events % ROWS_A_TRANSACTION != 0 ||
        events == 0 || events > 1000000) {
        fputs("usage: stages structured|binary|raw EVENTS (a multiple of 100)\n", stderr);
        return EXIT_FAILURE;
    }
    run(&config, (unsigned)events);
    return EXIT_SUCCESS;
}
