/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: the append-only writer of the hot path, and a scanner that keeps the bytes as they are.
 *
 * The writer puts commas by itself; the caller nests correctly. Absent bytes and NULL are written
 * as null. The scanner validates strictly by RFC 8259 and hands out slices of the input, so that a
 * payload can be passed on byte for byte; it never allocates. Nesting deeper than JSON_DEPTH_MAX is
 * refused (64 would refuse documents that PostgreSQL accepts).
 */
#pragma once

#include "walferry/base/arena.h"
#include "walferry/base/buf.h"

#define JSON_DEPTH_MAX 1024

/* Writer: a buffer and whether a comma is due. Failures stick in the buffer. */
struct json_writer {
    struct buf *out;
    bool comma;
};

void json_writer_init(struct json_writer *json, struct buf *out);
void json_object_begin(struct json_writer *json);
void json_object_end(struct json_writer *json);
void json_array_begin(struct json_writer *json);
void json_array_end(struct json_writer *json);
/* `key` is plain ASCII of our own that needs no escaping. */
void json_key(struct json_writer *json, const char *key);
/* Escapes quotes, backslashes, and controls; the text must be valid UTF-8. */
void json_string(struct json_writer *json, struct bytes text);
void json_str(struct json_writer *json, const char *text);
void json_base64(struct json_writer *json, struct bytes data);
void json_u64(struct json_writer *json, uint64_t value);
void json_i64(struct json_writer *json, int64_t value);
/* Not finite: null. */
void json_double(struct json_writer *json, double value);
void json_bool(struct json_writer *json, bool value);
void json_null(struct json_writer *json);
/* Bytes that are JSON already, verbatim. */
void json_raw(struct json_writer *json, struct bytes text);

enum json_kind {
    JSON_INVALID,
    JSON_NULL,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_value {
    enum json_kind kind;
    struct bytes raw; /* as written, without white space around; strings with their quotes */
};

/* The whole text is one JSON value, white space around it allowed; JSON_INVALID otherwise. Strings
 * must be UTF-8. As the grammar does, and PostgreSQL's json, it lets \u escapes stand that name no
 * character (\u0000 and unpaired surrogates): json_unescape() is the one that refuses them. */
struct json_value json_parse(struct bytes text);

/* Walk the members of an object that json_parse() accepted, in their order; a key that stands twice
 * comes twice. */
struct json_members {
    const uint8_t *pos;
    const uint8_t *end;
};

void json_members_init(struct json_members *members, struct json_value object);
/* False at the end. The key is the raw string with quotes. */
MUST_USE bool json_members_next(struct json_members *members, struct bytes *ret_key,
                                struct json_value *ret_value);
/* A raw string (with quotes, accepted by json_parse) to its text, in the arena when it has escapes,
 * else borrowed. Gives absent bytes and sets *ret_ok to false, never to true, when it holds \u0000
 * or an unpaired surrogate, or at the arena's ceiling. */
struct bytes json_unescape(struct bytes raw, struct arena *arena, bool *ret_ok);
