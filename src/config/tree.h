/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree: a configuration as nodes, each with its place, before the schema gives it meaning.
 *
 * Nodes live in a pool and borrow from it. A scalar is text and nothing else: its type comes from
 * the schema. A node that is `ignored` was refused already (a second key of the same name, an
 * alias) and is not looked at again, but counts as present.
 */
#pragma once

#include "faults.h"
#include "pool.h"

enum node_kind { NODE_SCALAR, NODE_MAP, NODE_LIST };

struct node {
    enum node_kind kind;
    bool ignored;
    bool plain;       /* a scalar without quotes: ~ and null mean nothing there */
    const char *key;  /* in a map */
    const char *text; /* of a scalar, as written */
    struct mark mark; /* of the value */
    struct mark key_mark;
    struct node *first; /* child */
    struct node *last;
    struct node *next; /* sibling */
    size_t count;      /* of children */
};

/* NULL at the pool's ceiling. */
MUST_USE struct node *node_new(struct pool *pool, enum node_kind kind, struct mark mark);
void node_append(struct node *parent, struct node *child);
/* The first child under the key; NULL when there is none, or `map` is NULL or no map. */
struct node *node_child(const struct node *map, const char *key);
/* Child by its place, from 0; NULL past the end. */
struct node *node_at(const struct node *list, size_t index);
/* Nothing stands there: empty, ~ or null, without quotes. */
bool node_is_null(const struct node *node);
/* Where to point at for a fault with the key as such. */
struct mark node_key_mark(const struct node *node);
/* Follow a dotted path through maps; NULL when it leads nowhere. */
const struct node *tree_find(const struct node *root, const char *path);
/* Apply "key.path=value". After "sink.kafka." the rest of the path is one key; elements of lists go
 * by number, the number after the last appends. Maps on the way are made. The value {} is an empty
 * map, every other one a scalar. */
void tree_set(struct pool *pool, struct node *root, const char *set, struct faults *faults);
