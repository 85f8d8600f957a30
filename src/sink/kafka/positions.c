/* SPDX-License-Identifier: Apache-2.0 */
#include "positions.h"

#include <stdlib.h>

#include "walferry/base/assert.h"

void positions_init(struct positions *positions, const char *key)
{
    const char *slash = strchr(key, '/');
    ASSERT(slash != NULL);
    *positions = (struct positions){.key = bytes_str(key), .prefix = (size_t)(slash - key) + 1};
}

static void clear(struct kept_position *position)
{
    free(position->key);
    free(position->value);
    *position = (struct kept_position){0};
}

void positions_deinit(struct positions *positions)
{
    clear(&positions->own);
    for (size_t i = 0; i < POSITIONS_OTHERS; i++) {
        clear(&positions->others[i]);
    }
}

static struct bytes key_of(const struct kept_position *position)
{
    return bytes_make(position->key, position->key_len);
}

/* The place of the key, or the one that it may have: a free one, or the oldest. */
static struct kept_position *place_of(struct positions *positions, struct bytes key)
{
    struct kept_position *place = &positions->others[0];
    if (bytes_equal(key, positions->key)) {
        return &positions->own;
    }
    for (size_t i = 0; i < POSITIONS_OTHERS; i++) {
        struct kept_position *other = &positions->others[i];
        if (bytes_equal(key_of(other), key)) {
            return other;
        }
        place = other->order < place->order ? other : place;
    }
    return place;
}

/* Never NULL for what is empty, which is not absent. */
static void *copy(struct bytes b)
{
    void *memory = malloc(b.len + 1);
    if (memory != NULL && b.len > 0) {
        memcpy(memory, b.ptr, b.len);
    }
    return memory;
}

bool positions_add(struct positions *positions, struct bytes key, struct bytes value)
{
    bool ours =
        key.len >= positions->prefix && memcmp(key.ptr, positions->key.ptr, positions->prefix) == 0;
    if (!ours || key.len > POSITIONS_KEY_MAX) {
        return true;
    }
    struct kept_position *place = place_of(positions, key);
    if (!bytes_present(value)) {
        if (bytes_equal(key_of(place), key)) {
            clear(place);
        }
        return true;
    }
    clear(place);
    place->key = copy(key);
    place->value = copy(value);
    place->key_len = key.len;
    place->len = value.len;
    place->order = ++positions->count;
    return place->key != NULL && place->value != NULL;
}

struct bytes positions_pick(const struct positions *positions)
{
    const struct kept_position *newest = &positions->own;
    for (size_t i = 0; i < POSITIONS_OTHERS && positions->own.key == NULL; i++) {
        newest = positions->others[i].order > newest->order ? &positions->others[i] : newest;
    }
    return bytes_make(newest->value, newest->len);
}
