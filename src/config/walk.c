/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "load.h"
#include "walferry/base/assert.h"
#include "walferry/base/parse.h"

static void walk_map(struct load *load, const struct node *map, const char *parent, void *base);

/* Two slips of the finger in so short a key make another word. */
#define SHORT_KEY 4

static bool in_element(const char *parent)
{
    size_t len = strlen(parent);
    return len >= 2 && strcmp(parent + len - 2, "[]") == 0;
}

/* "under `route` or under `checkpoint`"; the top has no name. */
static void put_parents(const char *name, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *key = &schema_keys[i];
        if (strcmp(key_name(key), name) != 0 || len >= size) {
            continue;
        }
        size_t parent = (size_t)(key_name(key) - key->path);
        int put = parent == 0
                      ? snprintf(out + len, size - len, "%sat the top", len > 0 ? " or " : "")
                      : snprintf(out + len, size - len, "%sunder `%.*s`", len > 0 ? " or " : "",
                                 (int)parent - 1, key->path);
        len += (size_t)put;
    }
}

static const struct key *nearest_key(const char *name, const char *parent)
{
    const struct key *nearest = NULL;
    unsigned distance_min = strlen(name) <= SHORT_KEY ? 2 : 3;
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *key = &schema_keys[i];
        if (!key_is_child(key, parent)) {
            continue;
        }
        unsigned distance = edit_distance(name, key_name(key));
        if (distance < distance_min) {
            distance_min = distance;
            nearest = key;
        }
    }
    return nearest;
}

static void list_keys(const char *parent, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < schema_key_count && len < size; i++) {
        const struct key *key = &schema_keys[i];
        if (key_is_child(key, parent)) {
            len += (size_t)snprintf(out + len, size - len, "%s%s", len == 0 ? "" : ", ",
                                    key_name(key));
        }
    }
}

void report_unknown(struct load *load, const struct node *node, const char *parent)
{
    const char *name = node->key;
    struct err *err = parent[0] == '\0'
                          ? fault(load->faults, node->key_mark, ERR_CONFIG_UNKNOWN,
                                  "there is no key `%.100s` at the top", name)
                          : fault(load->faults, node->key_mark, ERR_CONFIG_UNKNOWN,
                                  "there is no key `%.100s` under `%s`", name, parent);
    const struct key *nearest = nearest_key(name, parent);
    char text[512] = "";
    if (nearest != NULL) {
        err_hint(err, "did you mean `%s`?", key_name(nearest));
        return;
    }
    put_parents(name, text, sizeof(text));
    if (text[0] != '\0') {
        err_hint(err, "`%.100s` belongs %s", name, text);
        return;
    }
    if (strchr(name, '.') != NULL && schema_find("", name) == NULL) {
        const char *last = strrchr(name, '.') + 1;
        put_parents(last, text, sizeof(text));
        if (text[0] != '\0') {
            err_hint(err, "write keys nested: `%.100s` belongs %s", last, text);
            return;
        }
    }
    list_keys(parent, text, sizeof(text));
    if (text[0] == '\0') {
        err_hint(err, "`%s` takes no keys: write {}", parent);
    } else {
        err_hint(err, "the keys here are %s", text);
    }
}

static bool expect(struct load *load, const struct node *node, const char *name,
                   enum node_kind kind)
{
    const char *what = kind == NODE_LIST ? "a list" : "a mapping";
    if (node->kind == kind) {
        return true;
    }
    struct err *err =
        node_is_null(node)
            ? fault(load->faults, node_key_mark(node), ERR_CONFIG_TYPE, "`%s` has no value", name)
            : fault(load->faults, node->mark, ERR_CONFIG_TYPE, "`%s` takes %s, not %s", name, what,
                    node->kind == NODE_LIST  ? "a list"
                    : node->kind == NODE_MAP ? "a mapping"
                                             : "a single value");
    if (kind == NODE_LIST) {
        err_hint(err, "begin each element with a hyphen: `- ...`, or leave the key out");
    } else {
        char keys[512];
        list_keys(name, keys, sizeof(keys));
        err_hint(err, "%s%s%s",
                 keys[0] == '\0' ? "write {}" : "write keys below it, indented: ", keys,
                 keys[0] == '\0' ? "" : "; or leave the key out");
    }
    return false;
}

static void report_missing(struct load *load, const struct node *map, const char *parent)
{
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *key = &schema_keys[i];
        if ((key->flags & KEY_REQUIRED) == 0 || !key_is_child(key, parent) ||
            node_child(map, key_name(key)) != NULL) {
            continue;
        }
        err_hint(fault(load->faults, node_key_mark(map), ERR_CONFIG_MISSING,
                       "the key `%s` is missing", key->path),
                 "%s; for example `%s: %s`", key_type_syntax(key->type), key_name(key),
                 key->sample == NULL ? "..." : key->sample);
    }
}

/* An entry about a table is refused as such; what it holds besides is not looked at. */
static bool refuse_table(struct load *load, const struct node *map, const char *parent)
{
    const struct key *key = schema_find(parent, "table");
    const struct node *node = key == NULL ? NULL : node_child(map, "table");
    if (node == NULL || key->unavailable == NULL) {
        return false;
    }
    err_hint(fault(load->faults, node->key_mark, ERR_CONFIG_UNSUPPORTED, "`table`: %s",
                   key->unavailable),
             "%s", key->hint);
    for (const struct node *child = map->first; child != NULL; child = child->next) {
        if (!child->ignored && schema_find(parent, child->key) == NULL) {
            report_unknown(load, child, parent);
        }
    }
    return true;
}

static void walk_elements(struct load *load, const struct node *list, const char *path, void *base,
                          size_t element_size)
{
    char parent[64];
    snprintf(parent, sizeof(parent), "%s[]", path);
    char *at = base;
    for (const struct node *child = list->first; child != NULL; child = child->next) {
        value_defaults(load, parent, at);
        if (!child->ignored && expect(load, child, parent, NODE_MAP) &&
            !refuse_table(load, child, parent)) {
            walk_map(load, child, parent, at);
        }
        at += element_size;
    }
}

static void walk_list(struct load *load, const struct key *key, const struct node *list)
{
    struct config *config = load->config;
    if (strcmp(key->path, "capture") == 0) {
        load->entries = pool_alloc(load->pool, list->count * sizeof(*load->entries));
        if (load->entries != NULL) {
            config->captures = load->entries;
            config->capture_count = list->count;
            walk_elements(load, list, key->path, load->entries, sizeof(*load->entries));
        }
        return;
    }
    ASSERT(strcmp(key->path, "route.rules") == 0);
    struct route_rule *rules = pool_alloc(load->pool, list->count * sizeof(*rules));
    if (rules != NULL) {
        config->route.rules = rules;
        config->route.rule_count = list->count;
        walk_elements(load, list, key->path, rules, sizeof(*rules));
    }
}

static void walk_key(struct load *load, const struct key *key, const struct node *node, void *base)
{
    if (key->unavailable != NULL && (key->flags & KEY_OF_TABLE) == 0) {
        err_hint(fault(load->faults, node->key_mark, ERR_CONFIG_UNSUPPORTED, "`%s`: %s",
                       key_name(key), key->unavailable),
                 "%s", key->hint);
        return;
    }
    switch ((unsigned)key->type) {
    case KEY_ANY:
        return;
    case KEY_LIST:
        if (expect(load, node, key->path, NODE_LIST)) {
            walk_list(load, key, node);
        }
        return;
    case KEY_MAP:
        /* `stdout:` with nothing behind it can only mean one thing. */
        if (strcmp(key->path, "sink.stdout") == 0 && node_is_null(node)) {
            return;
        }
        if (expect(load, node, key->path, NODE_MAP)) {
            walk_map(load, node, key->path, base);
        }
        return;
    default:
        break;
    }
    if (key_is_scalar(key)) {
        value_store(load, key, node, base);
    } else if (expect(load, node, key->path, NODE_MAP)) {
        switch ((unsigned)key->type) {
        case KEY_COLUMNS:
            walk_columns(load, node, base);
            return;
        case KEY_WHEN:
            walk_when(load, node, base);
            return;
        case KEY_PROPERTIES:
            walk_properties(load, node);
            return;
        default:
            UNREACHABLE();
        }
    }
}

static void walk_map(struct load *load, const struct node *map, const char *parent, void *base)
{
    ASSERT(map->kind == NODE_MAP);
    ASSERT(!in_element(parent) || base != load->config);
    report_missing(load, map, parent);
    for (const struct node *node = map->first; node != NULL; node = node->next) {
        if (node->ignored) {
            continue;
        }
        const struct key *key = schema_find(parent, node->key);
        if (key == NULL) {
            report_unknown(load, node, parent);
        } else {
            walk_key(load, key, node, base);
        }
    }
}

void walk_config(struct load *load)
{
    value_defaults(load, "", load->config);
    if (load->root->kind != NODE_MAP) {
        err_hint(fault(load->faults, load->root->mark, ERR_CONFIG_TYPE,
                       "the configuration is a mapping of keys to values, not a %s",
                       load->root->kind == NODE_LIST ? "list" : "single value"),
                 "begin with `version: 1`; see walferry.yaml(5)");
        return;
    }
    walk_map(load, load->root, "", load->config);
}
