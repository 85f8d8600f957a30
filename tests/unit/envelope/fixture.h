/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture: one event, its placement, and everything that rendering wants, fresh for every test.
 *
 * The event begins as the smallest that every format takes: id, event type, a JSON payload, and a
 * commit time. fixture_fill() gives it every field.
 */
#pragma once

#include "test.h"
#include "walferry/envelope/envelope.h"

#define FIXTURE_VALUE_MAX (1U << 20)

struct fixture {
    struct envelope envelope;
    struct event event;
    struct placement placement;
    struct buf value;
    struct arena arena;
    struct record record;
    struct err err;
};

extern struct fixture fixture;

void fixture_setup(void);
void fixture_teardown(void);
void fixture_fill(void);
void fixture_payload(enum payload_kind kind, struct bytes payload);
void fixture_header(const char *name, struct bytes value);
void fixture_format(enum envelope_format format, enum envelope_mode mode);
/* Render, and fail the test when that fails. */
void fixture_render(void);
/* Render, and fail the test when that is not refused as poison with this code, a hint, the position
 * as `where`, and the record untouched. */
void fixture_refuse(enum err_code code, const char *message_part);
/* Lines "name=value", in order; a null value is "name". */
void fixture_assert_headers(const char *lines);
/* The value of the only header of that name; absent when there is none. */
struct bytes fixture_header_value(const char *name);
