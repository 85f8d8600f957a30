/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <inttypes.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/json.h"
#include "walferry/base/utf8.h"

/* RFC 3339 has four digits for the year. */
#define TIME_END_US INT64_C(253402300800000000)

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

struct attribute_row {
    const char *name; /* in the document */
    const char *header;
    size_t header_len;
    const char *field; /* of the row that it is taken from; NULL: our own text */
    bool required;
};

#define ROW(name, header, field, required)                                                         \
    {                                                                                              \
        name, header, sizeof(header) - 1, field, required                                          \
    }
#define PREFIXED(name, field, required) ROW(name, "ce_" name, field, required)
/* clang-format off */
static const struct attribute_row attributes[ATTRIBUTE_COUNT] = {
    [ATTRIBUTE_SPECVERSION]     = PREFIXED("specversion",     NULL,             false),
    [ATTRIBUTE_ID]              = PREFIXED("id",              "id",             true),
    [ATTRIBUTE_SOURCE]          = PREFIXED("source",          NULL,             false),
    [ATTRIBUTE_TYPE]            = PREFIXED("type",            "event_type",     true),
    [ATTRIBUTE_SUBJECT]         = PREFIXED("subject",         "aggregate_id",   false),
    [ATTRIBUTE_TIME]            = PREFIXED("time",            NULL,             false),
    /* Kafka protocol binding, section 3.2.1: this one has no prefix. */
    [ATTRIBUTE_DATACONTENTTYPE] = ROW("datacontenttype", "content-type", NULL, false),
    [ATTRIBUTE_SEQUENCE]        = PREFIXED("sequence",        NULL,             false),
    [ATTRIBUTE_PARTITIONKEY]    = PREFIXED("partitionkey",    "key",            false),
    [ATTRIBUTE_AGGREGATETYPE]   = PREFIXED("aggregatetype",   "aggregate_type", false),
    [ATTRIBUTE_DATAVERSION]     = PREFIXED("dataversion",     "event_version",  false),
    [ATTRIBUTE_ENVELOPEVERSION] = PREFIXED("envelopeversion", NULL,             false),
    [ATTRIBUTE_CORRELATIONID]   = PREFIXED("correlationid",   "correlation_id", false),
    [ATTRIBUTE_CAUSATIONID]     = PREFIXED("causationid",     "causation_id",   false),
    [ATTRIBUTE_TRACEPARENT]     = PREFIXED("traceparent",     "traceparent",    false),
    [ATTRIBUTE_TRACESTATE]      = PREFIXED("tracestate",      "tracestate",     false),
    [ATTRIBUTE_REPLAY]          = PREFIXED("replay",          NULL,             false),
};
/* clang-format on */
#undef PREFIXED
#undef ROW

/* The attributes of one event, empty where there is none, and the text that was made for them. */
struct attribute_values {
    struct bytes values[ATTRIBUTE_COUNT];
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

static void fill(struct attribute_values *attribute_values, const struct rendering *rendering)
{
    const struct event *event = rendering->event;
    struct bytes *values = attribute_values->values;
    bool known = !lsn_is_none(event->position.commit_lsn);
    attribute_values->sequence = position_format(event->position);
    attribute_values->time = clock_format(rendering->time_us);
    values[ATTRIBUTE_SPECVERSION] = BYTES_LIT("1.0");
    values[ATTRIBUTE_ID] = event->id;
    values[ATTRIBUTE_SOURCE] = bytes_str(rendering->envelope->opts.source);
    values[ATTRIBUTE_TYPE] = event->event_type;
    values[ATTRIBUTE_SUBJECT] = event->aggregate_id;
    /* Without a position the time of the commit is not known, and another would be false. */
    values[ATTRIBUTE_TIME] =
        known || event->has_occurred_at ? bytes_str(attribute_values->time.text) : BYTES_ABSENT;
    values[ATTRIBUTE_DATACONTENTTYPE] = content_type(event->payload_kind);
    values[ATTRIBUTE_SEQUENCE] =
        known ? bytes_make(attribute_values->sequence.text, POSITION_TEXT_MAX - 1) : BYTES_ABSENT;
    values[ATTRIBUTE_PARTITIONKEY] = rendering->placement->key;
    values[ATTRIBUTE_AGGREGATETYPE] = event->aggregate_type;
    values[ATTRIBUTE_DATAVERSION] = event->event_version;
    values[ATTRIBUTE_ENVELOPEVERSION] = BYTES_LIT("1");
    values[ATTRIBUTE_CORRELATIONID] = event->correlation_id;
    values[ATTRIBUTE_CAUSATIONID] = event->causation_id;
    values[ATTRIBUTE_TRACEPARENT] = event->traceparent;
    values[ATTRIBUTE_TRACESTATE] = event->tracestate;
    values[ATTRIBUTE_REPLAY] = event->replay ? BYTES_LIT("true") : BYTES_ABSENT;
}

static bool check_value(const struct attribute_row *row, struct bytes value, struct err *err)
{
    if (row->required && bytes_empty(value)) {
        err_set(err, ERR_ROW_FIELD, "the row's %s is empty", row->field);
        return err_hint(err,
                        "CloudEvents requires it: make the column NOT NULL and "
                        "CHECK (%s <> '')",
                        row->field);
    }
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

static bool check_values(const struct attribute_values *attribute_values, struct err *err)
{
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if (attributes[i].field != NULL &&
            !check_value(&attributes[i], attribute_values->values[i], err)) {
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
    return check_values(attribute_values, err) ? attribute_values : NULL;
}

static bool reserves_cloudevents(struct bytes header_name)
{
    return text_begins(header_name, "ce_") || text_equals(header_name, "content-type");
}

/* JSON is only passed on; that it is JSON, capture knows. Bytes that are not UTF-8 (from a database
 * of encoding SQL_ASCII) would make the whole document unreadable. */
static bool check_document_payload(const struct event *event, struct err *err)
{
    bool text = event->payload_kind == PAYLOAD_JSON || event->payload_kind == PAYLOAD_TEXT;
    if (!text || utf8_valid(event->payload)) {
        return true;
    }
    err_set(err, ERR_ROW_PAYLOAD, "the payload is not valid UTF-8");
    return err_hint(err, "make the payload column bytea, or set envelope.mode: binary");
}

static void write_payload(struct json_writer *json, const struct event *event)
{
    switch (event->payload_kind) {
    case PAYLOAD_NONE:
        return;
    case PAYLOAD_JSON:
        json_key(json, "data");
        json_raw(json, event->payload);
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
    struct json_writer json;
    json_writer_init(&json, out);
    json_object_begin(&json);
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if (!bytes_empty(attribute_values->values[i])) {
            json_key(&json, attributes[i].name);
            json_string(&json, attribute_values->values[i]);
        }
    }
    write_payload(&json, event);
    json_object_end(&json);
}

static bool render_structured(const struct rendering *rendering, struct record *ret_record,
                              struct err *err)
{
    const struct attribute_values *attribute_values = collect(rendering, err);
    if (attribute_values == NULL || !check_document_payload(rendering->event, err)) {
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
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if (!bytes_empty(attribute_values->values[i])) {
            record_add(ret_record, bytes_make(attributes[i].header, attributes[i].header_len),
                       attribute_values->values[i]);
        }
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
