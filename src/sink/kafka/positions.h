/* SPDX-License-Identifier: Apache-2.0 */
/*
 * positions: what a topic of positions says for one pipeline, while it is read from its beginning
 * to its end. Pure. The newest record of a key counts, a tombstone takes the key away.
 *
 * Keys are PIPELINE/SYSTEM_ID/SLOT. The one that is looked for is always kept; of others of the
 * same pipeline (servers and slots of the past) the newest POSITIONS_OTHERS are.
 */
#pragma once

#include "walferry/base/err.h"

#define POSITIONS_KEY_MAX 160
#define POSITIONS_OTHERS  16

struct kept_position {
    char *key; /* NULL: none */
    uint8_t *value;
    size_t key_len;
    size_t len;
    uint64_t order;
};

struct positions {
    struct bytes key; /* of the one that is looked for; borrowed */
    size_t prefix;    /* length of its beginning that names the pipeline, slash included */
    struct kept_position own;
    struct kept_position others[POSITIONS_OTHERS];
    uint64_t count; /* records taken */
};

void positions_init(struct positions *positions, const char *key);
void positions_deinit(struct positions *positions);
/* One record, in the order of the topic. An absent value is a tombstone. False: no memory. */
MUST_USE bool positions_add(struct positions *positions, struct bytes key, struct bytes value);
/* The key's own, else the newest of the pipeline, else absent. Borrowed. */
struct bytes positions_pick(const struct positions *positions);
