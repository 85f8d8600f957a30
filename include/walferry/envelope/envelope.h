/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope: renders an event as a record.
 *
 * Formats are rows of one table: CloudEvents 1.0.2 structured and binary (Kafka protocol binding),
 * debezium (what consumers of the outbox event router see), raw (payload and key only). The payload
 * enters untouched, byte for byte. Pure: the caller gives the buffer for the value and the arena for
 * header text; the record borrows from both, from the event and from the placement.
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

struct envelope {
    struct envelope_opts opts;
};

/* False when the source is empty or not valid UTF-8. */
MUST_USE bool envelope_init(struct envelope *envelope, const struct envelope_opts *opts,
                            struct err *err);
/* False: err is of class POISON (a reserved header name, text that is not UTF-8, a time that cannot
 * be a Kafka timestamp, a value past the buffer's ceiling) and *ret_record is untouched. `value` is
 * reset first. */
MUST_USE bool envelope_render(const struct envelope *envelope, const struct event *event,
                              const struct placement *placement, struct buf *value,
                              struct arena *arena, struct record *ret_record, struct err *err);

/* Why and where a row became a dead letter. */
struct dead_letter {
    const char *topic;          /* of dead letters */
    struct bytes intended_topic; /* absent when routing failed */
    const struct err *reason;
    const char *pipeline;
    int64_t time_us;  /* now, since 1970 */
    size_t value_max; /* a larger payload is left out (walferry_truncated) */
};

/* The dead letter of an event: its key, headers and payload bytes as they were, and walferry_error,
 * _reason, _topic, _position, _pipeline, _time headers (contract of the README, "Dead letters"). */
MUST_USE bool envelope_dead_letter(const struct event *event, const struct dead_letter *letter,
                                   struct arena *arena, struct record *ret_record,
                                   struct err *err);
