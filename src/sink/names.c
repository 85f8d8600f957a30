/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/model/record.h"

bool names_init(struct names *names, uint32_t max, struct err *err)
{
    ASSERT(max > 0 && max < UINT32_MAX / 4);
    uint32_t slots = 16;
    while (slots < 2 * max) {
        slots *= 2;
    }
    *names = (struct names){.mask = slots - 1, .max = max};
    names->text = calloc(max, sizeof(*names->text));
    names->slots = calloc(slots, sizeof(*names->slots));
    if (names->text == NULL || names->slots == NULL) {
        names_deinit(names);
        err_set(err, ERR_MEMORY, "no memory for a table of %u topic names", max);
        return err_hint(err, "lower sink.topics.max");
    }
    return true;
}

void names_deinit(struct names *names)
{
    free(names->text);
    free(names->slots);
    *names = (struct names){0};
}

/* The slot of the name, or the free slot where it would go; at most half of the slots are used. */
static uint32_t slot_of(const struct names *names, struct bytes name)
{
    uint32_t slot = bytes_hash(name) & names->mask;
    while (names->slots[slot] != 0 &&
           !bytes_equal(bytes_str(names->text[names->slots[slot] - 1]), name)) {
        slot = (slot + 1) & names->mask;
    }
    return slot;
}

uint32_t names_find(const struct names *names, struct bytes name)
{
    uint32_t entry = names->slots[slot_of(names, name)];
    return entry == 0 ? NAMES_NONE : entry - 1;
}

static void put(struct names *names, uint32_t number, struct bytes name)
{
    ASSERT(name.len <= TOPIC_NAME_MAX && number < names->max && names->text != NULL);
    uint32_t slot = slot_of(names, name);
    ASSERT(names->slots[slot] == 0);
    memcpy(names->text[number], name.ptr, name.len);
    names->text[number][name.len] = '\0';
    names->slots[slot] = number + 1;
}

uint32_t names_add(struct names *names, struct bytes name)
{
    if (names->count == names->max) {
        return NAMES_NONE;
    }
    put(names, names->count, name);
    return names->count++;
}

/* Open addressing cannot simply empty a slot, and this is rare: build the slots anew. */
void names_replace(struct names *names, uint32_t number, struct bytes name)
{
    ASSERT(number < names->count);
    memset(names->slots, 0, (names->mask + 1) * sizeof(*names->slots));
    for (uint32_t i = 0; i < names->count; i++) {
        if (i != number) {
            names->slots[slot_of(names, bytes_str(names->text[i]))] = i + 1;
        }
    }
    put(names, number, name);
}

const char *names_text(const struct names *names, uint32_t number)
{
    ASSERT(number < names->count);
    return names->text[number];
}
