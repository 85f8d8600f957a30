/* SPDX-License-Identifier: Apache-2.0 */
#include "other_json.h"

#include <jansson.h>

#include "walferry/base/assert.h"

static struct other *from(json_t *value)
{
    return (struct other *)(void *)value;
}

/* The library takes and gives pointers that are not const. */
static json_t *to(const struct other *value)
{
    return (json_t *)(uintptr_t)value;
}

enum other_outcome other_read(struct bytes text, bool strict, struct other **ret_value)
{
    json_error_t error;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | (strict ? JSON_REJECT_DUPLICATES : 0);
    json_t *value =
        json_loadb(text.len == 0 ? "" : (const char *)text.ptr, text.len, flags, &error);
    if (value != NULL) {
        *ret_value = from(value);
        return OTHER_READ;
    }
    enum json_error_code code = json_error_code(&error);
    /* \u escapes that name no character. */
    bool escapes = text.len > 0 && memmem(text.ptr, text.len, "\\u", 2) != NULL;
    return code == json_error_numeric_overflow || code == json_error_stack_overflow ||
                   code == json_error_null_byte_in_key || escapes
               ? OTHER_NARROW
               : OTHER_REFUSED;
}

void other_free(struct other *value)
{
    json_decref(to(value));
}

enum other_kind other_kind(const struct other *value)
{
    switch (json_typeof(to(value))) {
    case JSON_OBJECT:
        return OTHER_OBJECT;
    case JSON_ARRAY:
        return OTHER_ARRAY;
    case JSON_STRING:
        return OTHER_TEXT;
    case JSON_INTEGER:
    case JSON_REAL:
        return OTHER_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return OTHER_BOOL;
    case JSON_NULL:
        return OTHER_NULL;
    }
    UNREACHABLE();
}

struct bytes other_text(const struct other *value)
{
    ASSERT(json_is_string(to(value)));
    return bytes_make(json_string_value(to(value)), json_string_length(to(value)));
}

struct other *other_member(const struct other *object, const char *name)
{
    return from(json_object_get(to(object), name));
}

size_t other_count(const struct other *array)
{
    return json_array_size(to(array));
}

struct other *other_element(const struct other *array, size_t index)
{
    return from(json_array_get(to(array), index));
}

bool other_equal(const struct other *a, const struct other *b)
{
    return json_equal(to(a), to(b));
}

void other_each(struct other *object, void (*see)(const char *name, const struct other *member))
{
    const char *name;
    json_t *member;
    json_object_foreach(to(object), name, member) see(name, from(member));
}
