/* SPDX-License-Identifier: Apache-2.0 */
/*
 * field: one value into one field of the event, with the checks that the field asks for. What a
 * check refuses is a fault of the draft, and the field stays absent.
 */
#pragma once

#include "walferry/capture/capture.h"

#include "draft.h"

/* Oids of built-in types (PostgreSQL's catalog pg_type; they never change). */
enum type_oid {
    TYPE_BYTEA = 17,
    TYPE_INT8 = 20,
    TYPE_TEXT = 25,
    TYPE_JSON = 114,
    TYPE_BPCHAR = 1042,
    TYPE_VARCHAR = 1043,
    TYPE_JSONB = 3802,
};

/* A column's value in its text form, but for bytea and jsonb with `raw`. */
struct cell {
    struct bytes bytes; /* absent: NULL */
    uint32_t type_oid;
    bool raw; /* bytea came as bytes, not as hexadecimal text */
};

/* Any field but payload and headers, from a value that is there. */
void field_read(struct draft *draft, enum event_field field, struct cell cell);
/* `mode` is what the entry or preset says. */
void field_read_payload(struct draft *draft, enum payload_mode mode, struct cell cell);
/* The payload is there and fits its kind by construction, or is kept as it came for the dead
 * letter. */
void field_set_payload(struct draft *draft, enum payload_kind kind, struct bytes payload);
/* After everything was read: the field has text. */
void field_require(struct draft *draft, enum event_field field, const char *name);
