/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include "walferry/base/assert.h"
#include "walferry/base/parse.h"

#define PROPERTIES_PREFIX "sink.kafka."

struct node *node_new(struct pool *pool, enum node_kind kind, struct mark mark)
{
    struct node *node = pool_alloc(pool, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    node->kind = kind;
    node->mark = mark;
    node->key_mark = mark;
    node->text = "";
    return node;
}

void node_append(struct node *parent, struct node *child)
{
    ASSERT(parent->kind != NODE_SCALAR);
    ASSERT(child->next == NULL);
    if (parent->last == NULL) {
        parent->first = child;
    } else {
        parent->last->next = child;
    }
    parent->last = child;
    parent->count++;
}

struct node *node_child(const struct node *map, const char *key)
{
    if (map == NULL || map->kind != NODE_MAP) {
        return NULL;
    }
    for (struct node *child = map->first; child != NULL; child = child->next) {
        if (strcmp(child->key, key) == 0) {
            return child;
        }
    }
    return NULL;
}

struct node *node_at(const struct node *list, size_t index)
{
    struct node *child = list->first;
    while (child != NULL && index > 0) {
        child = child->next;
        index--;
    }
    return child;
}

bool node_is_null(const struct node *node)
{
    if (node->kind != NODE_SCALAR || !node->plain) {
        return false;
    }
    return node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0;
}

struct mark node_key_mark(const struct node *node)
{
    return node->key == NULL ? node->mark : node->key_mark;
}

/* Length of the first component of a path; a property name is one component whatever its dots. */
static size_t component(const char *whole, const char *rest)
{
    size_t prefix = strlen(PROPERTIES_PREFIX);
    bool property =
        (size_t)(rest - whole) == prefix && strncmp(whole, PROPERTIES_PREFIX, prefix) == 0;
    return property ? strlen(rest) : strcspn(rest, ".");
}

const struct node *tree_find(const struct node *root, const char *path)
{
    const struct node *node = root;
    const char *rest = path;
    while (node != NULL && *rest != '\0') {
        size_t len = component(path, rest);
        const struct node *child = node->kind == NODE_MAP ? node->first : NULL;
        while (child != NULL && (strncmp(child->key, rest, len) != 0 || child->key[len] != '\0')) {
            child = child->next;
        }
        node = child;
        rest += len + (rest[len] == '.' ? 1 : 0);
    }
    return node;
}

static struct node *append_set(struct pool *pool, struct node *parent, struct bytes name,
                               const char *path)
{
    struct node *child = node_new(pool, NODE_MAP, (struct mark){.set = path});
    if (child == NULL) {
        return NULL;
    }
    if (parent->kind == NODE_MAP) {
        child->key = pool_text(pool, name.ptr, name.len);
    }
    node_append(parent, child);
    return child;
}

/* The child that a component names, made when it is not there; NULL after a fault. */
static struct node *step(struct pool *pool, struct node *node, struct bytes name, const char *path,
                         struct faults *faults)
{
    struct mark mark = {.set = path};
    if (node->kind == NODE_LIST) {
        uint64_t index = 0;
        if (!parse_u64(name, &index) || index > node->count) {
            struct err *err = fault(faults, mark, ERR_USAGE,
                                    "\"%.*s\" names no element of the list", BYTES_FMT(name));
            err_hint(err, "the list has %zu elements, from 0; number %zu appends one", node->count,
                     node->count);
            return NULL;
        }
        struct node *element = node_at(node, (size_t)index);
        return element != NULL ? element : append_set(pool, node, name, path);
    }
    if (node->kind == NODE_SCALAR && !node_is_null(node)) {
        err_hint(fault(faults, mark, ERR_USAGE, "\"%.*s\" would stand below a plain value",
                       BYTES_FMT(name)),
                 "leave that part of the path out");
        return NULL;
    }
    node->kind = NODE_MAP;
    for (struct node *child = node->first; child != NULL; child = child->next) {
        if (bytes_is(name, child->key)) {
            return child;
        }
    }
    return append_set(pool, node, name, path);
}

static void put_value(struct pool *pool, struct node *node, const char *value, const char *path)
{
    bool empty_map = strcmp(value, "{}") == 0;
    node->kind = empty_map ? NODE_MAP : NODE_SCALAR;
    node->ignored = false;
    node->plain = false;
    node->text = empty_map ? "" : pool_text(pool, value, strlen(value));
    node->mark = (struct mark){.set = path};
    node->key_mark = node->mark;
    node->first = NULL;
    node->last = NULL;
    node->count = 0;
}

void tree_set(struct pool *pool, struct node *root, const char *set, struct faults *faults)
{
    const char *equals = strchr(set, '=');
    size_t path_len = equals == NULL ? strlen(set) : (size_t)(equals - set);
    const char *path = pool_text(pool, set, path_len);
    if (equals == NULL || path_len == 0) {
        err_hint(fault(faults, (struct mark){.set = path}, ERR_USAGE,
                       "--set takes a key path, \"=\" and a value"),
                 "for example --set log.level=debug");
        return;
    }
    struct node *node = root;
    const char *rest = path;
    while (node != NULL && rest != NULL) {
        size_t len = component(path, rest);
        if (len == 0) {
            err_hint(fault(faults, (struct mark){.set = path}, ERR_USAGE,
                           "the key path has an empty part"),
                     "write it like source.slot or capture.0.payload");
            return;
        }
        node = step(pool, node, bytes_make(rest, len), path, faults);
        rest = rest[len] == '.' ? rest + len + 1 : NULL;
    }
    if (node != NULL) {
        put_value(pool, node, equals + 1, path);
    }
}
