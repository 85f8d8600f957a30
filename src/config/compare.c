/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_text(const struct key *key)
{
    switch (key->type) {
    case KEY_VERSION:
    case KEY_INT:
    case KEY_BOOL:
    case KEY_DURATION:
    case KEY_SIZE:
    case KEY_ENUM:
        return false;
    case KEY_MAP:
    case KEY_LIST:
    case KEY_ANY:
    case KEY_NAME:
    case KEY_SLOT:
    case KEY_PUBLICATION:
    case KEY_TEXT:
    case KEY_PATH:
    case KEY_SECRET_FILE:
    case KEY_CONNINFO:
    case KEY_TABLE:
    case KEY_PREFIX:
    case KEY_TOPIC:
    case KEY_TEMPLATE:
    case KEY_LISTEN:
    case KEY_COLUMNS:
    case KEY_WHEN:
    case KEY_PROPERTIES:
    case KEY_TYPE_COUNT:
        break;
    }
    return true;
}

static bool member_equal(const struct key *key, const struct config *a, const struct config *b)
{
    const char *at = (const char *)a + key->offset;
    const char *bt = (const char *)b + key->offset;
    if (!is_text(key)) {
        return memcmp(at, bt, key->size) == 0;
    }
    const char *text_a = NULL;
    const char *text_b = NULL;
    memcpy(&text_a, at, sizeof(text_a));
    memcpy(&text_b, bt, sizeof(text_b));
    return text_equal(text_a, text_b);
}

static bool captures_equal(const struct config *a, const struct config *b)
{
    if (a->capture_count != b->capture_count) {
        return false;
    }
    for (size_t i = 0; i < a->capture_count; i++) {
        const struct capture_entry *x = &a->captures[i];
        const struct capture_entry *y = &b->captures[i];
        bool equal = x->kind == y->kind && text_equal(x->name, y->name) && x->preset == y->preset &&
                     x->payload == y->payload;
        for (size_t field = 0; field < EVENT_FIELD_COUNT; field++) {
            equal = equal && text_equal(x->columns[field], y->columns[field]);
        }
        if (!equal) {
            return false;
        }
    }
    return true;
}

static bool rule_equal(const struct route_rule *x, const struct route_rule *y)
{
    if (x->match_count != y->match_count || x->drop != y->drop || !text_equal(x->topic, y->topic)) {
        return false;
    }
    for (size_t i = 0; i < x->match_count; i++) {
        if (x->matches[i].field != y->matches[i].field ||
            !text_equal(x->matches[i].glob, y->matches[i].glob)) {
            return false;
        }
    }
    return true;
}

static bool rules_equal(const struct config *a, const struct config *b)
{
    bool equal = a->route.rule_count == b->route.rule_count;
    for (size_t i = 0; equal && i < a->route.rule_count; i++) {
        equal = rule_equal(&a->route.rules[i], &b->route.rules[i]);
    }
    return equal;
}

static bool properties_equal(const struct config *a, const struct config *b)
{
    bool equal = a->sink.property_count == b->sink.property_count;
    for (size_t i = 0; equal && i < a->sink.property_count; i++) {
        equal = text_equal(a->sink.properties[i].name, b->sink.properties[i].name) &&
                text_equal(a->sink.properties[i].value, b->sink.properties[i].value);
    }
    return equal;
}

void config_compare(const struct config *running, const struct config *fresh,
                    void (*differs)(void *context, const char *path, bool hot), void *context)
{
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *key = &schema_keys[i];
        bool equal = true;
        if (strcmp(key->path, "capture") == 0) {
            equal = captures_equal(running, fresh);
        } else if (strcmp(key->path, "route.rules") == 0) {
            equal = rules_equal(running, fresh);
        } else if (strcmp(key->path, "sink") == 0) {
            equal = running->sink.kind == fresh->sink.kind;
        } else if (strcmp(key->path, "sink.kafka") == 0) {
            equal = properties_equal(running, fresh);
        } else if (key->size > 0 && strchr(key->path, '[') == NULL) {
            equal = member_equal(key, running, fresh);
        }
        if (!equal) {
            differs(context, key->path, (key->flags & KEY_HOT) != 0);
        }
    }
}
