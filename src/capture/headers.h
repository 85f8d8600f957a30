/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headers: the event's own headers, from a JSON object or from two arrays. Headers traceparent and
 * tracestate fill the fields of that name where these are absent, and are then not repeated.
 * Faults are ERR_ROW_HEADERS; what is well-formed is kept all the same.
 */
#pragma once

#include "walferry/base/json.h"

#include "draft.h"

/* The text of one JSON object. */
void headers_read_json(struct draft *draft, struct bytes text);
/* A value that json_parse() accepted. */
void headers_read_value(struct draft *draft, struct json_value value);
/* Two PostgreSQL arrays of one length; absent counts as empty. */
void headers_read_arrays(struct draft *draft, struct bytes names, struct bytes values);
/* The value of the first header of that name; absent when there is none. */
struct bytes headers_find(const struct event *event, const char *name);
