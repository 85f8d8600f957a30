/* SPDX-License-Identifier: Apache-2.0 */
/*
 * properties: finds one value in the text form of a java.util.Properties (the load() method of its
 * documentation): comment lines, continued lines, escapes.
 */
#pragma once

#include "walferry/base/arena.h"

enum properties_outcome { PROPERTIES_FOUND, PROPERTIES_NONE, PROPERTIES_MALFORMED };

/* The last value of the key, as Java has it. The text is in the arena; its ceiling counts as
 * malformed. */
enum properties_outcome properties_find(struct bytes text, const char *key, struct arena *arena,
                                        struct bytes *ret_value);
