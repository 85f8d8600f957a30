/* SPDX-License-Identifier: Apache-2.0 */
#include "field.h"

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/json.h"
#include "walferry/base/parse.h"
#include "walferry/base/utf8.h"

#define US_PER_MS INT64_C(1000)
/* 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write. */
#define LAST_MS INT64_C(253402300799999)

#define SHOWN_MAX 80

/* A value for an error message: printable, and cut. */
struct shown {
    char text[4 * SHOWN_MAX + 8];
};

static struct shown show(struct bytes bytes)
{
    struct shown shown;
    struct buf out;
    buf_init_over(&out, shown.text, sizeof(shown.text));
    utf8_put_printable(&out, bytes, SHOWN_MAX);
    discard(buf_cstr(&out) != NULL);
    return shown;
}

static void read_text(struct draft *draft, enum event_field field, struct bytes text)
{
    struct bytes *slot = draft_text(draft, field);
    ASSERT(slot != NULL);
    if (!utf8_valid(text))
        draft_fault(draft, ERR_ROW_FIELD, NULL, "the text is not valid UTF-8");
    else
        *slot = text;
}

static void read_event_version(struct draft *draft, struct bytes text)
{
    uint64_t version;
    if (!parse_u64(text, &version))
        draft_fault(draft, ERR_ROW_FIELD, NULL, "\"%s\" is not a whole number of 0 or more",
                    show(text).text);
    else
        draft->event->event_version = text;
}

static void read_partition(struct draft *draft, struct bytes text)
{
    uint64_t partition;
    if (!parse_u64(text, &partition) || partition > INT32_MAX)
        draft_fault(draft, ERR_ROW_FIELD, NULL, "\"%s\" is not a partition: 0 to 2147483647",
                    show(text).text);
    else
        draft->event->partition = (int32_t)partition;
}

static bool parse_time(struct cell cell, int64_t *ret_us)
{
    int64_t time_ms;
    if (cell.type_oid != TYPE_INT8)
        return clock_parse(cell.bytes, ret_us);
    if (!parse_i64(cell.bytes, &time_ms) || time_ms < 0 || time_ms > LAST_MS)
        return false;
    *ret_us = time_ms * US_PER_MS;
    return true;
}

static void read_occurred_at(struct draft *draft, struct cell cell)
{
    int64_t time_us;
    if (!parse_time(cell, &time_us) || time_us < 0) {
        draft_fault(draft, ERR_ROW_TIME,
                    "a time is a timestamptz, a timestamp (taken as UTC), RFC 3339 text, or a "
                    "bigint of milliseconds since 1970; from 1970 to 9999",
                    "\"%s\" is not a time from 1970 to 9999", show(cell.bytes).text);
        return;
    }
    draft->event->has_occurred_at = true;
    draft->event->occurred_at_us = time_us;
}

void field_read(struct draft *draft, enum event_field field, struct cell cell)
{
    switch (field) {
    case EVENT_id:
    case EVENT_aggregate_type:
    case EVENT_aggregate_id:
    case EVENT_event_type:
    case EVENT_visibility:
    case EVENT_traceparent:
    case EVENT_tracestate:
    case EVENT_correlation_id:
    case EVENT_causation_id:
    case EVENT_topic:
    case EVENT_key:
        read_text(draft, field, cell.bytes);
        return;
    case EVENT_event_version:
        read_event_version(draft, cell.bytes);
        return;
    case EVENT_partition:
        read_partition(draft, cell.bytes);
        return;
    case EVENT_occurred_at:
        read_occurred_at(draft, cell);
        return;
    case EVENT_payload:
    case EVENT_headers:
    case EVENT_FIELD_COUNT:
        break;
    }
    UNREACHABLE();
}

static bool decode_hex(uint8_t *out, struct bytes digits)
{
    for (size_t i = 0; i + 1 < digits.len; i += 2) {
        int high = parse_hex_digit(digits.ptr[i]);
        int low = parse_hex_digit(digits.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        *out++ = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* bytea in the server's hex format (PostgreSQL documentation, section 8.4.1), "\x00ff". */
static bool read_bytea(struct draft *draft, struct bytes text, struct bytes *ret_bytes)
{
    bool framed = text.len >= 2 && text.len % 2 == 0 && memcmp(text.ptr, "\\x", 2) == 0;
    struct bytes digits = framed ? bytes_make(text.ptr + 2, text.len - 2) : BYTES_ABSENT;
    uint8_t *decoded = framed ? arena_alloc(draft->arena, digits.len / 2) : NULL;
    if (framed && decoded == NULL) {
        draft_fault(draft, ERR_ROW_TOO_LARGE, NULL, "no room to decode %zu bytes", digits.len / 2);
        return false;
    }
    if (!framed || !decode_hex(decoded, digits)) {
        draft_fault(draft, ERR_ROW_PAYLOAD,
                    "bytea has to come in hex format: ALTER ROLE ... SET bytea_output = 'hex'",
                    "the bytea is not in hexadecimal form");
        return false;
    }
    *ret_bytes = bytes_make(decoded, digits.len / 2);
    return true;
}

static bool is_json_type(uint32_t type_oid)
{
    return type_oid == TYPE_JSON || type_oid == TYPE_JSONB;
}

static enum payload_kind payload_kind_of(enum payload_mode mode, uint32_t type_oid)
{
    switch (mode) {
    case PAYLOAD_AS_JSON:
        return PAYLOAD_JSON;
    case PAYLOAD_AS_TEXT:
        return PAYLOAD_TEXT;
    case PAYLOAD_AS_BINARY:
        return PAYLOAD_BINARY;
    case PAYLOAD_AUTO:
        break;
    }
    if (is_json_type(type_oid))
        return PAYLOAD_JSON;
    return type_oid == TYPE_BYTEA ? PAYLOAD_BINARY : PAYLOAD_TEXT;
}

static bool payload_fits(struct draft *draft, enum payload_kind kind, uint32_t type_oid,
                         struct bytes payload)
{
    if (kind == PAYLOAD_BINARY)
        return true;
    /* The server vouches for json and jsonb, but not for their encoding under SQL_ASCII. */
    if (kind == PAYLOAD_JSON && !is_json_type(type_oid) &&
        json_parse(payload).kind == JSON_INVALID) {
        draft_fault(draft, ERR_ROW_PAYLOAD, "write valid JSON, or set payload: text or binary",
                    "the payload is not valid JSON");
        return false;
    }
    if (!utf8_valid(payload)) {
        draft_fault(draft, ERR_ROW_PAYLOAD, "write valid UTF-8, or set payload: binary",
                    "the payload is not valid UTF-8");
        return false;
    }
    return true;
}

void field_set_payload(struct draft *draft, enum payload_kind kind, struct bytes payload)
{
    draft->event->payload_kind = kind;
    draft->event->payload = payload;
}

void field_read_payload(struct draft *draft, enum payload_mode mode, struct cell cell)
{
    if (!bytes_present(cell.bytes))
        return;
    struct bytes payload = cell.bytes;
    enum payload_kind kind = payload_kind_of(mode, cell.type_oid);
    bool fits = cell.type_oid != TYPE_BYTEA || cell.raw || read_bytea(draft, cell.bytes, &payload);
    fits = fits && payload_fits(draft, kind, cell.type_oid, payload);
    field_set_payload(draft, fits ? kind : PAYLOAD_BINARY, payload);
}

void field_require(struct draft *draft, enum event_field field, const char *name)
{
    draft->name = name;
    if (bytes_empty(*draft_text(draft, field)))
        draft_fault(draft, ERR_ROW_FIELD, NULL, "an event needs its %s, and there is none",
                    event_field_name(field));
}
