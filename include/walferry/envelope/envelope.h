/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope: renders an event as a record.
 *
 * Formats are rows of one table: CloudEvents 1.0.2 structured and binary (Kafka protocol binding),
 * debezium (what consumers of the outbox event router see), raw (payload and key only). The payload
 * enters untouched, byte for byte. Pure: the caller gives the buffer for the value and the arena
 * for header text; the record borrows from both, from the event, the placement and the envelope's
 * source. No allocation but the arena's and the growth of the buffer.
 *
 * structured: the value is the JSON document (config/envelope.v1.schema.json), attributes in a
 * fixed order, the data last. Headers: content-type, traceparent, tracestate, the event's own.
 * binary: the value is the payload, absent (a tombstone) for PAYLOAD_NONE. Headers: the attributes
 * as ce_ headers in the same order, datacontenttype as content-type, then as above. Header values
 * are UTF-8 as it is: the Kafka binding knows no percent-encoding. debezium: the value as in
 * binary. Headers: id, traceparent, tracestate, the event's own. raw: the same without id.
 *
 * An event without a position (a replay) has no sequence, and no time unless it has occurred_at:
 * its record bears commit_time_us as timestamp then.
 *
 * Empty text counts as absent and is left out, the headers of the row excepted. Names that rows may
 * not use for headers: walferry_* always, ce_* and content-type in both modes of CloudEvents (in
 * any case of letters), id in debezium, and traceparent or tracestate when the event has that
 * field.
 */
#pragma once

#include "walferry/base/arena.h"
#include "walferry/base/buf.h"
#include "walferry/base/err.h"
#include "walferry/model/record.h"

enum envelope_format { ENVELOPE_CLOUDEVENTS, ENVELOPE_DEBEZIUM, ENVELOPE_RAW };
enum envelope_mode { ENVELOPE_STRUCTURED, ENVELOPE_BINARY };

struct envelope_opts {
    enum envelope_format format;
    enum envelope_mode mode;
    const char *source; /* CloudEvents source; borrowed */
};

struct envelope_ops;

struct envelope {
    struct envelope_opts opts;
    struct bytes source;            /* of opts */
    const struct envelope_ops *ops; /* the format's row in the table */
};

/* False when the source is empty or not a URI reference (RFC 3986; so always ASCII). `where` is
 * left to the caller. */
MUST_USE bool envelope_init(struct envelope *envelope, const struct envelope_opts *opts,
                            struct err *err);
/* The payload is as its kind says (event.h): capture looked at it, and it is not looked at again.
 * False: err is of class POISON (a reserved header name, a header or attribute that is not UTF-8,
 * one with control characters or noncharacters, an empty id or event type, a time before 1970
 * or for CloudEvents after 9999, a value past the buffer's ceiling, a full arena), its `where` is
 * the event's place, and *ret_record is untouched. `value` is reset first; its ceiling holds for
 * payloads that do not pass through it too. */
MUST_USE bool envelope_render(const struct envelope *envelope, const struct event *event,
                              const struct placement *placement, struct buf *value,
                              struct arena *arena, struct record *ret_record, struct err *err);

/* Why and where a row became a dead letter. */
struct dead_letter {
    const char *topic;           /* of dead letters */
    struct bytes intended_topic; /* absent when it is not known */
    const struct err *reason;
    const char *pipeline;
    int64_t time_us;  /* now, since 1970 */
    size_t value_max; /* bytes of the row that fit into a letter; see below */
};

/* The dead letter of an event: its key, headers (traceparent and tracestate among them) and payload
 * bytes as they were, and headers of ours:
 *
 *   walferry_error       WF-nnnn
 *   walferry_reason      the message, printable
 *   walferry_topic       where it was going, printable; not there when unknown
 *   walferry_position    as the CloudEvents attribute `sequence`; not there when unknown
 *   walferry_commit_time RFC 3339, of the row; not there without a position
 *   walferry_replay      "true" for a row that was published again on request
 *   walferry_pipeline
 *   walferry_time        RFC 3339, of the letter
 *   walferry_truncated   "true" when something of the row was left out
 *
 * and, so that a requeue can render the event again without the row, those of its fields that are
 * there and readable: walferry_event_id, walferry_event_type, walferry_event_version,
 * walferry_aggregate_type, walferry_aggregate_id, walferry_visibility, walferry_correlation_id,
 * walferry_causation_id, walferry_occurred_at (RFC 3339), and always walferry_payload_kind (none,
 * json, text, binary).
 *
 * Headers of the row whose names begin with walferry_ get the prefix original_. No CloudEvents
 * attributes. The timestamp is the letter's: the broker may have refused the event for its own, and
 * forgets records by it. `value_max`
 * is spent on key, fields, headers and payload, in this order; what does not fit is left out, a
 * payload being an absent value then. The fields of the event may be anything, since a row that
 * capture could not read comes here too. False, with *ret_record untouched, when the arena is full.
 */
MUST_USE bool envelope_dead_letter(const struct event *event, const struct dead_letter *letter,
                                   struct arena *arena, struct record *ret_record, struct err *err);
