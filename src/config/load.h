/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: from tree to struct config, in steps that each add their faults.
 *
 * walk_config() gives every key its meaning by the schema, check_config() looks at keys together,
 * load.c reads files and derives what was left out. One struct load goes through all of them.
 */
#pragma once

#include "schema.h"
#include "tree.h"
#include "variable.h"

struct load {
    struct pool *pool;
    struct faults *faults;
    struct config *config;
    struct node *root;
    struct capture_entry *entries;      /* config->captures */
    const struct node **property_nodes; /* beside config->sink.properties */
};

/* Walk the tree by the schema: types, values, unknown and missing keys. */
void walk_config(struct load *load);
/* Name an unknown key, and what may have been meant. */
void report_unknown(struct load *load, const struct node *node, const char *parent);
/* What a mapping with keys of the user's own choice holds. */
void walk_columns(struct load *load, const struct node *map, struct capture_entry *entry);
void walk_when(struct load *load, const struct node *map, struct route_rule *rule);
void walk_properties(struct load *load, const struct node *map);
/* Rules that concern more than one key; see check.c and check_capture.c. */
void check_config(struct load *load);
void check_captures(struct load *load);
void check_rules(struct load *load);

/* Variables expanded; NULL after a fault, which also tells of lists, maps and nothing at all.
 * `name` is for messages. */
const char *value_text(struct load *load, const struct node *node, const char *name,
                       enum text_use use);
/* Check a scalar and store it into the member that the key names in `base`. */
void value_store(struct load *load, const struct key *key, const struct node *node, void *base);
/* Store the defaults of the keys below `parent`, and of what is below these except lists. */
void value_defaults(struct load *load, const char *parent, void *base);

#define SECRET_SIZE_MAX 65536

/* Whether a property of librdkafka holds a secret. */
bool secret_property(const char *name);
/* Contents of a secret file without the newline at its end. ERR_CONFIG_SECRET when it cannot be
 * read, is empty or too large, holds a NUL, or everyone may read it. */
MUST_USE bool secret_read(const char *path, struct pool *pool, const char **ret_secret,
                          struct err *err);
