/* SPDX-License-Identifier: Apache-2.0 */
/* The three mappings whose keys are not rows of the schema: columns, when, and properties. */
#include "load.h"
#include "walferry/base/assert.h"
#include "walferry/base/parse.h"

#define FILE_SUFFIX "_file"

static void report_field(struct load *load, const struct node *node, bool text_only)
{
    const char *nearest = NULL;
    unsigned distance_min = 3;
    for (unsigned i = 0; i < EVENT_FIELD_COUNT; i++) {
        enum event_field field = (enum event_field)i;
        unsigned distance = edit_distance(node->key, event_field_name(field));
        if (distance < distance_min && (!text_only || event_field_is_text(field))) {
            distance_min = distance;
            nearest = event_field_name(field);
        }
    }
    struct err *err =
        fault(load->faults, node->key_mark, ERR_CONFIG_UNKNOWN,
              "there is no %sfield `%.100s` of an event", text_only ? "text " : "", node->key);
    if (nearest != NULL) {
        err_hint(err, "did you mean `%s`?", nearest);
    } else {
        err_hint(err,
                 "the fields are id, aggregate_type, aggregate_id, event_type, "
                 "event_version, visibility, correlation_id, causation_id, topic, key%s",
                 text_only ? ""
                           : ", payload, headers, traceparent, tracestate, partition, occurred_at");
    }
}

static bool field_required(enum event_field field)
{
    return field == EVENT_id || field == EVENT_event_type || field == EVENT_payload;
}

void walk_columns(struct load *load, const struct node *map, struct capture_entry *entry)
{
    for (const struct node *node = map->first; node != NULL; node = node->next) {
        enum event_field field = EVENT_FIELD_COUNT;
        if (node->ignored) {
            continue;
        }
        if (!event_field_parse(bytes_str(node->key), &field)) {
            report_field(load, node, false);
            continue;
        }
        const char *column = value_text(load, node, node->key, TEXT_PLAIN);
        if (column == NULL) {
            continue;
        }
        if (strlen(column) > SLOT_NAME_MAX) {
            err_hint(fault(load->faults, node->mark, ERR_CONFIG_VALUE,
                           "the column of `%s` is longer than PostgreSQL's 63 bytes", node->key),
                     "take the name as \\d shows it");
        } else if (column[0] == '\0' && field_required(field)) {
            err_hint(fault(load->faults, node->mark, ERR_CONFIG_VALUE,
                           "an event cannot be without `%s`", node->key),
                     "id, event_type and payload need a column; other fields may be empty");
        } else {
            entry->columns[field] = column;
        }
    }
}

static bool glob_of(struct load *load, const struct node *node, struct route_match *match)
{
    if (!event_field_parse(bytes_str(node->key), &match->field) ||
        !event_field_is_text(match->field)) {
        report_field(load, node, true);
        return false;
    }
    const char *glob = value_text(load, node, node->key, TEXT_PLAIN);
    if (glob == NULL) {
        return false;
    }
    if (!glob_valid(bytes_str(glob))) {
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_VALUE,
                       "the glob of `%s` ends in a backslash", node->key),
                 "write \\\\ for a backslash; * is any text, ? one character");
        return false;
    }
    match->glob = glob;
    return true;
}

void walk_when(struct load *load, const struct node *map, struct route_rule *rule)
{
    struct route_match *matches = pool_alloc(load->pool, map->count * sizeof(*matches));
    size_t count = 0;
    for (const struct node *node = map->first; node != NULL && matches != NULL; node = node->next) {
        if (!node->ignored && glob_of(load, node, &matches[count])) {
            count++;
        }
    }
    rule->matches = matches;
    rule->match_count = count;
}

/* "sasl.password_file" -> "sasl.password" when that is a secret; NULL otherwise. */
static const char *secret_of_file(struct load *load, const char *key)
{
    size_t len = strlen(key);
    size_t suffix = strlen(FILE_SUFFIX);
    if (len <= suffix || strcmp(key + len - suffix, FILE_SUFFIX) != 0) {
        return NULL;
    }
    const char *name = pool_text(load->pool, key, len - suffix);
    return secret_property(name) ? name : NULL;
}

static bool property_of(struct load *load, const struct node *map, const struct node *node,
                        struct property *property)
{
    const char *text =
        value_text(load, node, node->key, secret_property(node->key) ? TEXT_SECRET : TEXT_PLAIN);
    const char *name = secret_of_file(load, node->key);
    if (text == NULL) {
        return false;
    }
    if (name == NULL) {
        *property = (struct property){node->key, text, secret_property(node->key)};
        return true;
    }
    if (node_child(map, name) != NULL) {
        err_hint(fault(load->faults, node->key_mark, ERR_CONFIG_CONTRADICTION,
                       "`%.100s` and `%.100s` give the same secret", node->key, name),
                 "keep `%.100s` alone", node->key);
        return false;
    }
    const char *secret = NULL;
    struct err err = ERR_INIT;
    if (!secret_read(text, load->pool, &secret, &err)) {
        err_context(&err, "`%.100s`", node->key);
        faults_take(load->faults, node->mark, &err);
        return false;
    }
    *property = (struct property){name, secret, true};
    return true;
}

void walk_properties(struct load *load, const struct node *map)
{
    struct property *properties = pool_alloc(load->pool, map->count * sizeof(*properties));
    load->property_nodes = pool_alloc(load->pool, map->count * sizeof(*load->property_nodes));
    if (properties == NULL || load->property_nodes == NULL) {
        return;
    }
    size_t count = 0;
    for (const struct node *node = map->first; node != NULL; node = node->next) {
        if (!node->ignored && property_of(load, map, node, &properties[count])) {
            load->property_nodes[count++] = node;
        }
    }
    load->config->sink.properties = properties;
    load->config->sink.property_count = count;
}
