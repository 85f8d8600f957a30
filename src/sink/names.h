/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: topic names to small numbers, a fixed number of them, all memory taken at the start.
 *
 * A number stays with its name until names_replace() gives it to another.
 */
#pragma once

#include "walferry/base/err.h"

#define NAMES_NONE UINT32_MAX

struct names {
    char (*text)[256]; /* NUL-terminated; a topic name has at most 249 bytes */
    uint32_t *slots;   /* open addressing: number + 1, 0 for a free slot */
    uint32_t mask;
    uint32_t count;
    uint32_t max;
};

MUST_USE bool names_init(struct names *names, uint32_t max, struct err *err);
void names_deinit(struct names *names);
uint32_t names_find(const struct names *names, struct bytes name);
/* NAMES_NONE when full. The name is at most 249 bytes and not yet there. */
uint32_t names_add(struct names *names, struct bytes name);
/* Give `number` to another name that is not yet there. */
void names_replace(struct names *names, uint32_t number, struct bytes name);
const char *names_text(const struct names *names, uint32_t number);
