/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <inttypes.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/json.h"

/* RFC 3339 has four digits for the year. */
#define TIME_END_US INT64_C(253402300800000000)
#define TIME_SHORT  (sizeof("2026-01-31T12:34:56Z") - 1)
#define TIME_LONG   (sizeof("2026-01-31T12:34:56.123456Z") - 1)

/* The attributes in the order in which they are written. */
enum attribute {
    ATTRIBUTE_SPECVERSION,
    ATTRIBUTE_ID,
    ATTRIBUTE_SOURCE,
    ATTRIBUTE_TYPE,
    ATTRIBUTE_SUBJECT,
    ATTRIBUTE_TIME,
    ATTRIBUTE_DATACONTENTTYPE,
    ATTRIBUTE_SEQUENCE,
    ATTRIBUTE_PARTITIONKEY,
    ATTRIBUTE_AGGREGATETYPE,
    ATTRIBUTE_DATAVERSION,
    ATTRIBUTE_ENVELOPEVERSION,
    ATTRIBUTE_CORRELATIONID,
    ATTRIBUTE_CAUSATIONID,
    ATTRIBUTE_TRACEPARENT,
    ATTRIBUTE_TRACESTATE,
    ATTRIBUTE_REPLAY,
    ATTRIBUTE_COUNT,
};

/* As much as is copied at once. */
#define OPENING_MAX 24

struct attribute_row {
    const char *name; /* in the document */
    /* What stands there between the value before it and its own. */
    char opening[OPENING_MAX];
    size_t opening_len;
    const char *header;
    size_t header_len;
    const char *field; /* of the row that it is taken from; NULL: our own text */
};

#define OPENING(name) ",\"" name "\":\""
#define ROW(name, header, field)                                                                   \
    {                                                                                              \
        name, OPENING(name), sizeof(OPENING(name)) - 1, header, sizeof(header) - 1, field          \
    }
#define PREFIXED(name, field) ROW(name, "ce_" name, field)
/* clang-format off */
static const struct attribute_row attributes[ATTRIBUTE_COUNT] = {
    [ATTRIBUTE_SPECVERSION]     = PREFIXED("specversion",     NULL),
    [ATTRIBUTE_ID]              = PREFIXED("id",              "id"),
    [ATTRIBUTE_SOURCE]          = PREFIXED("source",          NULL),
    [ATTRIBUTE_TYPE]            = PREFIXED("type",            "event_type"),
    [ATTRIBUTE_SUBJECT]         = PREFIXED("subject",         "aggregate_id"),
    [ATTRIBUTE_TIME]            = PREFIXED("time",            NULL),
    /* Kafka protocol binding, section 3.2.1: this one has no prefix. */
    [ATTRIBUTE_DATACONTENTTYPE] = ROW("datacontenttype", "content-type", NULL),
    [ATTRIBUTE_SEQUENCE]        = PREFIXED("sequence",        NULL),
    [ATTRIBUTE_PARTITIONKEY]    = PREFIXED("partitionkey",    "key"),
    [ATTRIBUTE_AGGREGATETYPE]   = PREFIXED("aggregatetype",   "aggregate_type"),
    [ATTRIBUTE_DATAVERSION]     = PREFIXED("dataversion",     "event_version"),
    [ATTRIBUTE_ENVELOPEVERSION] = PREFIXED("envelopeversion", NULL),
    [ATTRIBUTE_CORRELATIONID]   = PREFIXED("correlationid",   "correlation_id"),
    [ATTRIBUTE_CAUSATIONID]     = PREFIXED("causationid",     "causation_id"),
    [ATTRIBUTE_TRACEPARENT]     = PREFIXED("traceparent",     "traceparent"),
    [ATTRIBUTE_TRACESTATE]      = PREFIXED("tracestate",      "tracestate"),
    [ATTRIBUTE_REPLAY]          = PREFIXED("replay",          NULL),
};
/* clang-format on */
#undef PREFIXED
#undef ROW
#undef OPENING

struct attribute_value {
    enum attribute attribute;
    struct bytes text; /* not empty */
};

/* The attributes that an event has, in order, and the text that was made for them. */
struct attribute_values {
    size_t count;
    size_t len; /* of all in a document, when none needs an escape */
    bool plain; /* none does */
    struct attribute_value values[ATTRIBUTE_COUNT];
    struct position_text sequence;
    struct clock_text time;
};

static struct bytes content_type(enum payload_kind kind)
{
    switch (kind) {
    case PAYLOAD_NONE:
        return BYTES_ABSENT;
    case PAYLOAD_JSON:
        return BYTES_LIT("application/json");
    case PAYLOAD_TEXT:
        return BYTES_LIT("text/plain");
    case PAYLOAD_BINARY:
        return BYTES_LIT("application/octet-stream");
    }
    UNREACHABLE();
}

/* Our own text, which is plain, as the source is, an URI reference. */
static inline void add(struct attribute_values *values, enum attribute attribute, struct bytes text)
{
    if (bytes_empty(text)) {
        return;
    }
    values->values[values->count++] = (struct attribute_value){attribute, text};
    values->len += attributes[attribute].opening_len + text.len + 1;
}

/* Text of the row. */
static inline void add_field(struct attribute_values *values, enum attribute attribute,
                             struct bytes text)
{
    if (bytes_empty(text)) {
        return;
    }
    values->plain = values->plain && text_is_plain(text);
    add(values, attribute, text);
}

static void fill(struct attribute_values *values, const struct rendering *rendering)
{
    const struct event *event = rendering->event;
    bool known = !lsn_is_none(event->position.commit_lsn);
    values->count = 0;
    values->len = 0;
    values->plain = true;
    add(values, ATTRIBUTE_SPECVERSION, BYTES_LIT("1.0"));
    add_field(values, ATTRIBUTE_ID, event->id);
    add(values, ATTRIBUTE_SOURCE, rendering->envelope->source);
    add_field(values, ATTRIBUTE_TYPE, event->event_type);
    add_field(values, ATTRIBUTE_SUBJECT, event->aggregate_id);
    /* Without a position the time of the commit is not known, and another would be false. */
    if (known || event->has_occurred_at) {
        values->time = clock_format(rendering->time_us);
        /* With a fraction or without. */
        size_t len = values->time.text[TIME_SHORT - 1] == 'Z' ? TIME_SHORT : TIME_LONG;
        add(values, ATTRIBUTE_TIME, bytes_make(values->time.text, len));
    }
    add(values, ATTRIBUTE_DATACONTENTTYPE, content_type(event->payload_kind));
    if (known) {
        values->sequence = position_format(event->position);
        add(values, ATTRIBUTE_SEQUENCE, bytes_make(values->sequence.text, POSITION_TEXT_MAX - 1));
    }
    struct bytes key = rendering->placement->key;
    /* Mostly the same text, which was looked at. */
    if (key.ptr == event->aggregate_id.ptr && key.len == event->aggregate_id.len) {
        add(values, ATTRIBUTE_PARTITIONKEY, key);
    } else {
        add_field(values, ATTRIBUTE_PARTITIONKEY, key);
    }
    add_field(values, ATTRIBUTE_AGGREGATETYPE, event->aggregate_type);
    add_field(values, ATTRIBUTE_DATAVERSION, event->event_version);
    add(values, ATTRIBUTE_ENVELOPEVERSION, BYTES_LIT("1"));
    add_field(values, ATTRIBUTE_CORRELATIONID, event->correlation_id);
    add_field(values, ATTRIBUTE_CAUSATIONID, event->causation_id);
    add_field(values, ATTRIBUTE_TRACEPARENT, event->traceparent);
    add_field(values, ATTRIBUTE_TRACESTATE, event->tracestate);
    add(values, ATTRIBUTE_REPLAY, event->replay ? BYTES_LIT("true") : BYTES_ABSENT);
}

static bool check_value(const struct attribute_row *row, struct bytes value, struct err *err)
{
    uint32_t character = 0;
    switch (text_check(value, &character)) {
    case TEXT_GOOD:
        return true;
    case TEXT_NOT_UTF8:
        err_set(err, ERR_ROW_FIELD, "the row's %s is not valid UTF-8", row->field);
        return err_hint(err, "store text only; a database of encoding SQL_ASCII accepts anything");
    case TEXT_FORBIDDEN:
        err_set(err, ERR_ROW_FIELD,
                "the row's %s holds U+%04" PRIX32 ", which no CloudEvents attribute may hold",
                row->field, character);
        return err_hint(err, "write %s without control characters; the payload may hold them",
                        row->field);
    }
    UNREACHABLE();
}

static bool missing(enum attribute attribute, struct err *err)
{
    const char *field = attributes[attribute].field;
    err_set(err, ERR_ROW_FIELD, "the row's %s is empty", field);
    return err_hint(err, "CloudEvents requires it: make the column NOT NULL and CHECK (%s <> '')",
                    field);
}

/* In the order of the attributes: what is wrong with the id comes before a missing type. */
static bool check_required(const struct event *event, struct err *err)
{
    if (bytes_empty(event->id)) {
        return missing(ATTRIBUTE_ID, err);
    }
    if (!bytes_empty(event->event_type)) {
        return true;
    }
    return check_value(&attributes[ATTRIBUTE_ID], event->id, err) && missing(ATTRIBUTE_TYPE, err);
}

static bool check_values(const struct attribute_values *values, struct err *err)
{
    for (size_t i = 0; i < values->count; i++) {
        const struct attribute_row *row = &attributes[values->values[i].attribute];
        struct bytes text = values->values[i].text;
        if (row->field != NULL && !check_value(row, text, err)) {
            return false;
        }
    }
    return true;
}

/* In the arena, because headers borrow the text. */
static const struct attribute_values *collect(const struct rendering *rendering, struct err *err)
{
    if (rendering->time_us >= TIME_END_US) {
        err_set(err, ERR_ROW_TIME, "the time of the event lies after the year 9999");
        err_hint(err, "CloudEvents times are RFC 3339: keep such a time in the payload and leave "
                      "occurred_at to its default, now()");
        return NULL;
    }
    struct attribute_values *attribute_values =
        arena_alloc(rendering->arena, sizeof(*attribute_values));
    if (attribute_values == NULL) {
        err_set(err, ERR_ROW_TOO_LARGE, "no room for the attributes of the event");
        err_hint(err, "shorten the fields of the row, or publish a reference to what is large");
        return NULL;
    }
    fill(attribute_values, rendering);
    bool good = check_required(rendering->event, err) &&
                (attribute_values->plain || check_values(attribute_values, err));
    return good ? attribute_values : NULL;
}

static bool reserves_cloudevents(struct bytes header_name)
{
    return text_begins(header_name, "ce_") || text_equals(header_name, "content-type");
}

/* As memcpy(), without the call, for what is short: the ends of a copy may overlap. */
static inline uint8_t *put_short(uint8_t *out, const void *from, size_t len)
{
    const uint8_t *in = from;
    if (len >= 16) {
        for (size_t i = 0; i < len - 16; i += 16) {
            memcpy(out + i, in + i, 16);
        }
        memcpy(out + len - 16, in + len - 16, 16);
    } else if (len >= 8) {
        memcpy(out, in, 8);
        memcpy(out + len - 8, in + len - 8, 8);
    } else if (len >= 4) {
        memcpy(out, in, 4);
        memcpy(out + len - 4, in + len - 4, 4);
    } else if (len > 0) {
        out[0] = in[0];
        out[len / 2] = in[len / 2];
        out[len - 1] = in[len - 1];
    }
    return out + len;
}

/* Mostly with what lies behind it in the table: of a length that the compiler knows, and what is
 * too much the value overwrites. */
static inline uint8_t *put_opening(uint8_t *out, const uint8_t *end,
                                   const struct attribute_row *row)
{
    if (end - out < OPENING_MAX) {
        return put_short(out, row->opening, row->opening_len);
    }
    memcpy(out, row->opening, OPENING_MAX);
    return out + row->opening_len;
}

/* The attributes, when none needs an escape. */
static void write_plain(struct buf *out, const struct attribute_values *values)
{
    uint8_t *start = buf_reserve(out, values->len);
    if (start == NULL) {
        return;
    }
    uint8_t *pos = start;
    for (size_t i = 0; i < values->count; i++) {
        const struct attribute_row *row = &attributes[values->values[i].attribute];
        struct bytes text = values->values[i].text;
        pos = put_opening(pos, start + values->len, row);
        pos = put_short(pos, text.ptr, text.len);
        *pos++ = '"';
    }
    /* Nothing stands before the first one. */
    *start = '{';
    ASSERT(pos == start + values->len);
    out->len += values->len;
}

static void write_escaped(struct json_writer *json, const struct attribute_values *values)
{
    json_object_begin(json);
    for (size_t i = 0; i < values->count; i++) {
        json_key(json, attributes[values->values[i].attribute].name);
        json_string(json, values->values[i].text);
    }
}

/* JSON is only passed on; that it is JSON and its text UTF-8, capture knows. */
static void write_payload(struct json_writer *json, const struct event *event)
{
    static const char opening[] = ",\"data\":";
    switch (event->payload_kind) {
    case PAYLOAD_NONE:
        return;
    case PAYLOAD_JSON:
        buf_put(json->out, opening, sizeof(opening) - 1);
        buf_put(json->out, event->payload.ptr, event->payload.len);
        return;
    case PAYLOAD_TEXT:
        json_key(json, "data");
        json_string(json, event->payload);
        return;
    case PAYLOAD_BINARY:
        json_key(json, "data_base64");
        json_base64(json, event->payload);
        return;
    }
    UNREACHABLE();
}

static void write_document(struct buf *out, const struct attribute_values *attribute_values,
                           const struct event *event)
{
    struct json_writer json = {.out = out, .comma = true};
    if (attribute_values->plain) {
        write_plain(out, attribute_values);
    } else {
        json_writer_init(&json, out);
        write_escaped(&json, attribute_values);
    }
    write_payload(&json, event);
    buf_put_u8(out, '}');
}

static bool render_structured(const struct rendering *rendering, struct record *ret_record,
                              struct err *err)
{
    const struct attribute_values *attribute_values = collect(rendering, err);
    if (attribute_values == NULL) {
        return false;
    }
    write_document(rendering->value, attribute_values, rendering->event);
    if (!buf_ok(rendering->value)) {
        return rendering_too_large(rendering, err);
    }
    record_begin(ret_record, rendering, buf_bytes(rendering->value));
    /* No ce_ header: many decoders take a record that has one for binary mode. */
    record_add(ret_record, BYTES_LIT("content-type"),
               BYTES_LIT("application/cloudevents+json; charset=UTF-8"));
    record_add_event_headers(ret_record, rendering->event);
    return true;
}

static bool render_binary(const struct rendering *rendering, struct record *ret_record,
                          struct err *err)
{
    const struct attribute_values *attribute_values = collect(rendering, err);
    struct bytes value = BYTES_ABSENT;
    if (attribute_values == NULL || !rendering_payload(rendering, &value, err)) {
        return false;
    }
    record_begin(ret_record, rendering, value);
    for (size_t i = 0; i < attribute_values->count; i++) {
        const struct attribute_value *held = &attribute_values->values[i];
        const struct attribute_row *row = &attributes[held->attribute];
        record_add(ret_record, bytes_make(row->header, row->header_len), held->text);
    }
    record_add_event_headers(ret_record, rendering->event);
    return true;
}

const struct envelope_ops envelope_structured = {
    .format = ENVELOPE_CLOUDEVENTS,
    .mode = ENVELOPE_STRUCTURED,
    .reserves = reserves_cloudevents,
    .render = render_structured,
};

const struct envelope_ops envelope_binary = {
    .format = ENVELOPE_CLOUDEVENTS,
    .mode = ENVELOPE_BINARY,
    .reserves = reserves_cloudevents,
    .render = render_binary,
};
