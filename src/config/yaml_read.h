/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml: text to tree.
 *
 * Takes the part of YAML that a configuration needs and refuses the rest with its place: anchors,
 * aliases and tags (an alias can blow a small file up to gigabytes), more than one document,
 * nesting deeper than 32, more than 1 MiB, keys that are not plain text or stand twice. The only
 * user of libyaml.
 */
#pragma once

#include "tree.h"

#define YAML_SIZE_MAX    ((size_t)1024 * 1024)
#define YAML_NESTING_MAX 32
#define YAML_NODES_MAX   10000

/* NULL after a fault that leaves no tree; other faults (a second key of the same name, an alias)
 * are added and leave a tree without the guilty part. Nodes and texts live in the pool. */
MUST_USE struct node *yaml_read(struct bytes text, struct pool *pool, struct faults *faults);
