/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event: what a service said, whatever table or message carried it.
 *
 * The fields are those of the walferry outbox (README, "The event"). Bytes are borrowed from the
 * change or from the row's arena and good until the next row. Absent bytes mean the field is not
 * there or was NULL. All text is valid UTF-8 except payload of kind PAYLOAD_BINARY.
 */
#pragma once

#include "walferry/base/bytes.h"
#include "walferry/base/lsn.h"

#define EVENT_HEADERS_MAX 64

/* Where an event stands in the history of the database: strictly increasing in commit order. */
struct position {
    struct lsn commit_lsn; /* of the commit record, from Begin; LSN_NONE: not known (a replay) */
    uint32_t index;        /* from 0, counts the published events of the transaction */
};

static inline int position_cmp(struct position a, struct position b)
{
    int by_lsn = lsn_cmp(a.commit_lsn, b.commit_lsn);
    return by_lsn != 0 ? by_lsn : (a.index > b.index) - (a.index < b.index);
}

/* "%016llX-%08X": text order is commit order. */
#define POSITION_TEXT_MAX 26
struct position_text {
    char text[POSITION_TEXT_MAX];
};
struct position_text position_format(struct position position);

/* How far a transaction was walked. The ordinal counts rows and messages, events or not, except
 * heartbeats: it does not depend on what the configuration captures, so the same cursor means the
 * same place when the transaction is sent again, to a relay that was configured anew too. */
struct cursor {
    struct lsn commit_lsn; /* LSN_NONE: nowhere */
    uint32_t ordinal;      /* rows and messages passed */
    uint32_t index;        /* positions given out: the index of the next published event */
};

static inline int cursor_cmp(struct cursor a, struct cursor b)
{
    int by_lsn = lsn_cmp(a.commit_lsn, b.commit_lsn);
    return by_lsn != 0 ? by_lsn : (a.ordinal > b.ordinal) - (a.ordinal < b.ordinal);
}

enum payload_kind {
    PAYLOAD_NONE,   /* NULL: a tombstone in binary and raw */
    PAYLOAD_JSON,   /* json, jsonb: valid JSON, byte for byte as the server shows it */
    PAYLOAD_TEXT,   /* valid UTF-8 */
    PAYLOAD_BINARY, /* bytea, decoded */
};

struct header {
    struct bytes name;  /* UTF-8, not empty */
    struct bytes value; /* absent: a header with null value */
};

struct event {
    struct position position;
    int64_t commit_time_us; /* since 1970; without a position any time for Kafka's timestamp */
    uint32_t xid;
    bool replay;

    struct bytes id;
    struct bytes aggregate_type;
    struct bytes aggregate_id;
    struct bytes event_type;
    struct bytes event_version; /* decimal digits */
    enum payload_kind payload_kind;
    struct bytes payload;
    struct bytes visibility;
    struct bytes traceparent;
    struct bytes tracestate;
    struct bytes correlation_id;
    struct bytes causation_id;
    struct bytes topic;
    struct bytes key;
    int32_t partition; /* -1: chosen by the partitioner */
    bool has_occurred_at;
    int64_t occurred_at_us; /* since 1970 */

    size_t header_count;
    struct header headers[EVENT_HEADERS_MAX];
};

/* What names an event in an error: its position, "0/1A2B3C0 row 4", else its id, "event 4711". */
#define EVENT_PLACE_MAX 200
struct event_place {
    char text[EVENT_PLACE_MAX];
};
struct event_place event_place(const struct event *event);

/* The text fields of an event by name, for templates, rules, presets and messages. */
enum event_field {
#define EVENT_FIELD(name) EVENT_##name,
#include "walferry/model/event_fields.def"
#undef EVENT_FIELD
    EVENT_FIELD_COUNT
};

/* Where the text of a field stands in an event; 0, which no text has, for fields that are not plain
 * text. */
extern const uint16_t event_text_offsets[EVENT_FIELD_COUNT];

/* "aggregate_type" */
const char *event_field_name(enum event_field field);
MUST_USE bool event_field_parse(struct bytes name, enum event_field *ret_field);
/* Text of id, aggregate_type, aggregate_id, event_type, event_version, visibility, correlation_id,
 * causation_id, topic, key; absent for fields that are not plain text or not set. */
static inline struct bytes event_text(const struct event *event, enum event_field field)
{
    struct bytes text = BYTES_ABSENT;
    if (event_text_offsets[field] != 0)
        memcpy(&text, (const uint8_t *)event + event_text_offsets[field], sizeof(text));
    return text;
}

/* True for the fields that event_text() can give: those a template may name. */
bool event_field_is_text(enum event_field field);
