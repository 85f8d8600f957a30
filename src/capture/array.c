/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"

#include <strings.h>

static const uint8_t nothing[1];

void array_init(struct array_reader *array, struct bytes text, struct arena *arena)
{
    /* Other lower bounds than 1 are written in front, "[0:1]={...}": refused with the rest. */
    bool framed = text.len >= 2 && text.ptr[0] == '{' && text.ptr[text.len - 1] == '}';
    *array = (struct array_reader){
        .pos = framed ? text.ptr + 1 : nothing,
        .end = framed ? text.ptr + text.len - 1 : nothing,
        .arena = arena,
        .first = true,
        .failed = !framed,
    };
}

static bool fail(struct array_reader *array)
{
    array->failed = true;
    return false;
}

static bool unescape(struct array_reader *array, struct bytes raw, struct bytes *ret_element)
{
    if (memchr(raw.ptr, '\\', raw.len) == NULL) {
        *ret_element = raw;
        return true;
    }
    uint8_t *text = arena_alloc(array->arena, raw.len);
    if (text == NULL)
        return fail(array);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '\\' && ++i == raw.len)
            return fail(array);
        text[len++] = raw.ptr[i];
    }
    *ret_element = bytes_make(text, len);
    return true;
}

/* After the opening quote. */
static bool next_quoted(struct array_reader *array, struct bytes *ret_element)
{
    const uint8_t *start = array->pos;
    while (array->pos < array->end && *array->pos != '"')
        array->pos += *array->pos == '\\' ? 2 : 1;
    if (array->pos >= array->end)
        return fail(array);
    struct bytes raw = bytes_make(start, (size_t)(array->pos - start));
    array->pos++;
    return unescape(array, raw, ret_element);
}

static bool next_plain(struct array_reader *array, struct bytes *ret_element)
{
    const uint8_t *start = array->pos;
    while (array->pos < array->end && *array->pos != ',') {
        if (strchr("{}\"\\", *array->pos) != NULL)
            return fail(array);
        array->pos++;
    }
    struct bytes raw = bytes_make(start, (size_t)(array->pos - start));
    if (raw.len == 0)
        return fail(array);
    bool is_null = raw.len == 4 && strncasecmp((const char *)raw.ptr, "NULL", 4) == 0;
    *ret_element = is_null ? BYTES_ABSENT : raw;
    return true;
}

bool array_next(struct array_reader *array, struct bytes *ret_element)
{
    if (array->failed || (array->first && array->pos == array->end))
        return false;
    if (!array->first) {
        if (array->pos == array->end)
            return false;
        if (*array->pos++ != ',' || array->pos == array->end)
            return fail(array);
    }
    array->first = false;
    if (*array->pos != '"')
        return next_plain(array, ret_element);
    array->pos++;
    return next_quoted(array, ret_element);
}
