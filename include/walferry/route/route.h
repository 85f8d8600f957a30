/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route: gives an event its topic, partition and key.
 *
 * Templates are compiled when the configuration is loaded: text with ${field} placeholders, where
 * field is a lower-case text field of the event. Rules are tried in order, the first whose every
 * glob matches wins; an absent field matches as empty text. The event's own topic, partition and
 * key win over rules and template (a rule that drops still drops). The key defaults to the
 * aggregate id. An empty topic column is no topic, an empty aggregate id no key; an empty key
 * column is a key. Topic names are checked against Kafka's alphabet and length; names that begin
 * with two underscores and reserved names (the checkpoint topic) are refused, when the
 * configuration is loaded already where the template alone tells. Pure; no allocation but the
 * arena's per event.
 */
#pragma once

#include "walferry/base/arena.h"
#include "walferry/base/err.h"
#include "walferry/model/event.h"
#include "walferry/model/record.h"

/* A compiled template. */
struct template;

/* ${field} is a field of the event that is plain text, $$ a dollar sign; a dollar sign before
 * anything else, and a `${` that is not closed, are errors. `where` in errors is left to the
 * caller; the message says column (in bytes, from 1) and cause, with "did you mean" for unknown
 * fields. */
MUST_USE bool template_compile(const char *text, struct template **ret_template, struct err *err);
void template_free(struct template *template);
/* Borrows from the arena, the template and the event. Absent when a field that it names is absent
 * or empty (*ret_missing says which), or when the arena is full (*ret_missing is
 * EVENT_FIELD_COUNT). */
struct bytes template_render(const struct template *template, const struct event *event,
                             struct arena *arena, enum event_field *ret_missing);
/* Whether the template names the field. */
bool template_uses(const struct template *template, enum event_field field);

/* Filled by the configuration; strings are borrowed and outlive the route. */
struct route_match {
    enum event_field field;
    const char *glob;
};

struct route_rule {
    const struct route_match *matches;
    size_t match_count;
    const char *topic; /* a template; NULL when drop */
    bool drop;
};

struct route_opts {
    const char *topic; /* a template */
    const struct route_rule *rules;
    size_t rule_count;
    const char *const *reserved; /* topics that no event may be published to */
    size_t reserved_count;
};

enum route_outcome { ROUTE_PLACED, ROUTE_DROP, ROUTE_POISON };

struct route;

/* False for templates and globs that are malformed, fields that are not plain text, and templates
 * that can never be a topic; `where` is left to the caller. */
MUST_USE bool route_new(const struct route_opts *opts, struct route **ret_route, struct err *err);
void route_free(struct route *route);
/* POISON fills err: ROW_TOPIC (no topic, because a field of the template is empty, or not one that
 * events may go to), ROW_PARTITION (negative), ROW_TOO_LARGE (the arena is full); its `where` is
 * the event's place. *ret_placement is written for PLACED, and for POISON to say where the row
 * leads: its topic is absent where there is none, and may be one that no event goes to. */
MUST_USE enum route_outcome route_event(struct route *route, const struct event *event,
                                        struct arena *arena, struct placement *ret_placement,
                                        struct err *err);
/* [A-Za-z0-9._-]{1,249}, not "." or "..". */
bool topic_name_valid(struct bytes topic);
