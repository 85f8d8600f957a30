/* SPDX-License-Identifier: Apache-2.0 */
/*
 * other_json: another reader of JSON (jansson), to compare ours with. It stands behind names of its
 * own because several of the library's are also ours.
 */
#pragma once

#include "walferry/base/bytes.h"

struct other;

enum other_kind { OTHER_NULL, OTHER_BOOL, OTHER_NUMBER, OTHER_TEXT, OTHER_ARRAY, OTHER_OBJECT };
enum other_outcome {
    OTHER_READ,
    OTHER_REFUSED,
    OTHER_NARROW, /* the grammar allows it, and this reader cannot hold it */
};

/* A key that stands twice is refused when `strict`. */
enum other_outcome other_read(struct bytes text, bool strict, struct other **ret_value);
/* NULL is allowed. */
void other_free(struct other *value);
enum other_kind other_kind(const struct other *value);
/* Of OTHER_TEXT; borrowed. */
struct bytes other_text(const struct other *value);
/* NULL when there is none, or `object` is NULL or not an object. */
struct other *other_member(const struct other *object, const char *name);
/* Elements of an array; 0 for anything else. */
size_t other_count(const struct other *array);
struct other *other_element(const struct other *array, size_t index);
bool other_equal(const struct other *a, const struct other *b);
/* `see` gets every member of the object; nothing for anything else. */
void other_each(struct other *object, void (*see)(const char *name, const struct other *member));
