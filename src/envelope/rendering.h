/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rendering: what the formats of an envelope share, for this module only (envelope.h is the
 * contract).
 *
 * A format does everything that can fail first and fills the record last, in place: the record has
 * room for many headers and is too large to build aside and copy.
 */
#pragma once

#include "walferry/envelope/envelope.h"

/* One event on its way into one record. */
struct rendering {
    const struct envelope *envelope;
    const struct event *event;
    const struct placement *placement;
    struct buf *value;
    struct arena *arena;
    int64_t time_us; /* the event's; not negative */
};

/* One row of the table of formats. */
struct envelope_ops {
    enum envelope_format format;
    enum envelope_mode mode;
    bool any_mode; /* the mode means nothing to this format */
    /* Header names that the format gives a meaning of its own, so that rows may not use them. */
    bool (*reserves)(struct bytes header_name);
    bool (*render)(const struct rendering *rendering, struct record *ret_record, struct err *err);
};

extern const struct envelope_ops envelope_structured;
extern const struct envelope_ops envelope_binary;
extern const struct envelope_ops envelope_debezium;
extern const struct envelope_ops envelope_raw;

/* The payload as a record's value: absent for PAYLOAD_NONE; false past the ceiling of the value. */
MUST_USE bool rendering_payload(const struct rendering *rendering, struct bytes *ret_value,
                                struct err *err);
bool rendering_too_large(const struct rendering *rendering, struct err *err);
/* Begin the record: placement, timestamp, value, no headers. */
void record_begin(struct record *record, const struct rendering *rendering, struct bytes value);
/* There is always room: the event's headers are bounded and ours are few. */
void record_add(struct record *record, struct bytes name, struct bytes value);
/* Trace context as headers, then the headers of the row. */
void record_add_event_headers(struct record *record, const struct event *event);

/* Text that consumers get as an attribute or a header, and what may be wrong with it. */
enum text_fault {
    TEXT_GOOD,
    TEXT_NOT_UTF8,
    TEXT_FORBIDDEN, /* a character that CloudEvents keeps out of attributes */
};

/* Nothing but printable ASCII without quotes and backslashes, as nearly all text is: good for an
 * attribute, and for JSON without an escape. */
bool text_is_plain(struct bytes text);
/* CloudEvents 1.0.2, section "Type System", String: no control characters (U+0000 to U+001F, U+007F
 * to U+009F) and no noncharacters. *ret_character is set for TEXT_FORBIDDEN. */
enum text_fault text_check(struct bytes text, uint32_t *ret_character);
/* ASCII letters alike in both cases. */
bool text_begins(struct bytes text, const char *lower_case_prefix);
bool text_equals(struct bytes text, const char *lower_case);
/* A copy in the arena for people to read: control characters and what is not UTF-8 escaped.
 * Absent at the arena's ceiling. */
struct bytes text_printable(struct bytes text, struct arena *arena);
/* An URI reference by its alphabet (RFC 3986, sections 2 and 4.1). */
bool text_is_uri_reference(struct bytes text);
