/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/route/route.h"

#include <stdlib.h>

#include "template.h"
#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/parse.h"

struct match {
    enum event_field field;
    struct bytes glob;
};

struct rule {
    const struct match *matches;
    size_t match_count;
    struct template *topic; /* NULL when drop */
    bool drop;
};

struct route {
    struct template *topic;
    struct rule *rules;
    size_t rule_count;
    struct match *matches; /* of all rules */
    struct bytes *reserved;
    size_t reserved_count;
    /* The last topic with nothing wrong: rows of one topic mostly come one after the other. */
    size_t good_len;
    uint8_t good[TOPIC_NAME_MAX];
};

static bool topic_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

bool topic_name_valid(struct bytes topic)
{
    if (topic.len == 0 || topic.len > TOPIC_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < topic.len; i++) {
        if (!topic_byte(topic.ptr[i])) {
            return false;
        }
    }
    return !bytes_is(topic, ".") && !bytes_is(topic, "..");
}

static bool begins_internal(struct bytes topic)
{
    return topic.len >= 2 && topic.ptr[0] == '_' && topic.ptr[1] == '_';
}

/* NULL when events may be published there, else what is wrong. */
static const char *topic_fault(const struct route *route, struct bytes topic)
{
    if (!topic_name_valid(topic)) {
        return "is not a topic name";
    }
    if (begins_internal(topic)) {
        return "begins with two underscores, as Kafka's internal topics do";
    }
    for (size_t i = 0; i < route->reserved_count; i++) {
        if (bytes_equal(topic, route->reserved[i])) {
            return "is reserved for walferry's own records";
        }
    }
    return NULL;
}

static const char *topic_fault_again(struct route *route, struct bytes topic)
{
    if (topic.len > 0 && topic.len == route->good_len &&
        memcmp(topic.ptr, route->good, topic.len) == 0) {
        return NULL;
    }
    const char *fault = topic_fault(route, topic);
    if (fault == NULL) {
        memcpy(route->good, topic.ptr, topic.len);
        route->good_len = topic.len;
    }
    return fault;
}

/* What can be known of a topic template before there is an event. */
static bool check_topic_template(const struct route *route, const struct template *template,
                                 struct err *err)
{
    const char *fault = NULL;
    bool constant = template->part_count == 1 && bytes_present(template->parts[0].literal);
    if (template->part_count == 0) {
        fault = "is empty";
    } else if (constant) {
        fault = topic_fault(route, template->parts[0].literal);
    } else if (bytes_present(template->parts[0].literal) &&
               begins_internal(template->parts[0].literal)) {
        fault = "begins with two underscores, as Kafka's internal topics do";
    }
    for (size_t i = 0; i < template->part_count && fault == NULL; i++) {
        struct bytes literal = template->parts[i].literal;
        for (size_t j = 0; j < literal.len && fault == NULL; j++) {
            fault = topic_byte(literal.ptr[j]) ? NULL : "can never be a topic name";
        }
    }
    if (fault == NULL) {
        return true;
    }
    err_set(err, ERR_TEMPLATE, "the topic \"%.200s\" %s", template->text, fault);
    return err_hint(err, "a topic name has 1 to %d of the characters a-z A-Z 0-9 . _ -",
                    TOPIC_NAME_MAX);
}

static bool compile_topic(const struct route *route, const char *text,
                          struct template **ret_template, struct err *err)
{
    ASSERT(text != NULL);
    struct template *template = NULL;
    if (!template_compile(text, &template, err)) {
        return false;
    }
    if (!check_topic_template(route, template, err)) {
        template_free(template);
        return false;
    }
    *ret_template = template;
    return true;
}

static bool compile_match(const struct route_match *from, struct match *ret_match, struct err *err)
{
    ASSERT(from->field < EVENT_FIELD_COUNT);
    if (!event_field_is_text(from->field)) {
        err_set(err, ERR_CONFIG_VALUE, "rules cannot match %s, which is not plain text",
                event_field_name(from->field));
        return err_hint(err, "match a field such as aggregate_type, event_type or visibility");
    }
    struct bytes glob = bytes_str(from->glob);
    if (!glob_valid(glob)) {
        err_set(err, ERR_CONFIG_VALUE, "the glob \"%.200s\" ends in a backslash", from->glob);
        return err_hint(err, "write \\\\ for a backslash; * is any text, ? one character");
    }
    *ret_match = (struct match){from->field, glob};
    return true;
}

/* `matches` is the rule's part of the route's array. */
static bool compile_rule(const struct route *route, const struct route_rule *from,
                         struct match *matches, struct rule *rule, struct err *err)
{
    for (size_t i = 0; i < from->match_count; i++) {
        if (!compile_match(&from->matches[i], &matches[i], err)) {
            return false;
        }
    }
    rule->matches = matches;
    rule->match_count = from->match_count;
    rule->drop = from->drop;
    return from->drop || compile_topic(route, from->topic, &rule->topic, err);
}

static bool compile_rules(struct route *route, const struct route_opts *opts, struct err *err)
{
    struct match *matches = route->matches;
    for (size_t i = 0; i < opts->rule_count; i++) {
        if (!compile_rule(route, &opts->rules[i], matches, &route->rules[i], err)) {
            return err_context(err, "rule %zu", i + 1);
        }
        matches += opts->rules[i].match_count;
    }
    return true;
}

static size_t count_matches(const struct route_opts *opts)
{
    size_t count = 0;
    for (size_t i = 0; i < opts->rule_count; i++) {
        count += opts->rules[i].match_count;
    }
    return count;
}

/* One more than needed, since calloc() may answer NULL for none. */
static struct route *route_allocate(const struct route_opts *opts)
{
    struct route *route = calloc(1, sizeof(*route));
    if (route == NULL) {
        return NULL;
    }
    route->rules = calloc(opts->rule_count + 1, sizeof(*route->rules));
    route->matches = calloc(count_matches(opts) + 1, sizeof(*route->matches));
    route->reserved = calloc(opts->reserved_count + 1, sizeof(*route->reserved));
    if (route->rules == NULL || route->matches == NULL || route->reserved == NULL) {
        route_free(route);
        return NULL;
    }
    route->rule_count = opts->rule_count;
    route->reserved_count = opts->reserved_count;
    return route;
}

bool route_new(const struct route_opts *opts, struct route **ret_route, struct err *err)
{
    ASSERT(opts != NULL);
    struct route *route = route_allocate(opts);
    if (route == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for the routing rules");
    }
    for (size_t i = 0; i < opts->reserved_count; i++) {
        route->reserved[i] = bytes_str(opts->reserved[i]);
    }
    if (!compile_topic(route, opts->topic, &route->topic, err) ||
        !compile_rules(route, opts, err)) {
        route_free(route);
        return false;
    }
    *ret_route = route;
    return true;
}

void route_free(struct route *route)
{
    if (route == NULL) {
        return;
    }
    for (size_t i = 0; i < route->rule_count; i++) {
        template_free(route->rules[i].topic);
    }
    template_free(route->topic);
    free(route->rules);
    free(route->matches);
    free(route->reserved);
    free(route);
}

static bool rule_matches(const struct rule *rule, const struct event *event)
{
    for (size_t i = 0; i < rule->match_count; i++) {
        struct bytes text = event_text(event, rule->matches[i].field);
        if (!glob_match(rule->matches[i].glob, bytes_present(text) ? text : BYTES_LIT(""))) {
            return false;
        }
    }
    return true;
}

static const struct rule *first_rule(const struct route *route, const struct event *event)
{
    for (size_t i = 0; i < route->rule_count; i++) {
        if (rule_matches(&route->rules[i], event)) {
            return &route->rules[i];
        }
    }
    return NULL;
}

/* A template that found no topic: tell which field, or that the arena is full. */
static bool unrendered(const struct template *template, enum event_field missing, struct err *err)
{
    if (missing == EVENT_FIELD_COUNT) {
        err_set(err, ERR_ROW_TOO_LARGE, "no room to build the topic name from \"%.200s\"",
                template->text);
        return err_hint(err, "shorten the fields that the topic is made of");
    }
    err_set(err, ERR_ROW_TOPIC, "the topic \"%.200s\" needs %s, which the row leaves empty",
            template->text, event_field_name(missing));
    return err_hint(err,
                    "fill %s, set the row's topic, or give such rows a topic of their own: "
                    "route.rules: [{when: {%s: \"\"}, topic: ...}]",
                    event_field_name(missing), event_field_name(missing));
}

/* *ret_topic is written whenever there is one, good or not. */
static bool find_topic(struct route *route, const struct template *template,
                       const struct event *event, struct arena *arena, struct bytes *ret_topic,
                       struct err *err)
{
    struct bytes topic = event->topic;
    if (bytes_empty(topic)) {
        enum event_field missing = EVENT_FIELD_COUNT;
        topic = template_render(template, event, arena, &missing);
        if (!bytes_present(topic)) {
            return unrendered(template, missing, err);
        }
    }
    const char *fault = topic_fault_again(route, FAILPOINT(ROW_ROUTE) ? BYTES_LIT("") : topic);
    *ret_topic = topic;
    if (fault != NULL) {
        struct bytes shown = bytes_make(topic.ptr, topic.len < 260 ? topic.len : 260);
        err_set(err, ERR_ROW_TOPIC, "\"%.*s\", where the row leads, %s", BYTES_FMT(shown), fault);
        return err_hint(err,
                        "a topic name has 1 to %d of the characters a-z A-Z 0-9 . _ - and does "
                        "not begin with __; correct the row or the template in route.topic",
                        TOPIC_NAME_MAX);
    }
    return true;
}

/* An empty key column is a key; an empty aggregate id is none. */
static struct bytes find_key(const struct event *event)
{
    if (bytes_present(event->key)) {
        return event->key;
    }
    return bytes_empty(event->aggregate_id) ? BYTES_ABSENT : event->aggregate_id;
}

static enum route_outcome poison(const struct event *event, struct err *err)
{
    err_where(err, "%s", event_place(event).text);
    return ROUTE_POISON;
}

enum route_outcome route_event(struct route *route, const struct event *event, struct arena *arena,
                               struct placement *ret_placement, struct err *err)
{
    ASSERT(route != NULL);
    const struct rule *rule = first_rule(route, event);
    if (rule != NULL && rule->drop) {
        return ROUTE_DROP;
    }
    struct bytes topic = BYTES_ABSENT;
    bool placed =
        find_topic(route, rule == NULL ? route->topic : rule->topic, event, arena, &topic, err);
    *ret_placement = (struct placement){topic, event->partition, find_key(event)};
    if (!placed) {
        return poison(event, err);
    }
    if (event->partition < -1) {
        err_set(err, ERR_ROW_PARTITION, "%d is not a partition", event->partition);
        err_hint(err, "partitions count from 0; NULL leaves the choice to the key");
        return poison(event, err);
    }
    return ROUTE_PLACED;
}
