/* SPDX-License-Identifier: Apache-2.0 */
#include "headers.h"

#include "walferry/base/assert.h"
#include "walferry/base/utf8.h"

#include "array.h"

static const char *const headers_hint =
    "headers are one JSON object of strings, {\"name\": \"value\"}, with names that are not empty";

static void fault(struct draft *draft, const char *reason)
{
    draft_fault(draft, ERR_ROW_HEADERS, headers_hint, "%s", reason);
}

/* True when the field of that name took the value, or says the same already. */
static bool taken_as_trace(struct draft *draft, struct bytes name, struct bytes value)
{
    struct bytes *field = NULL;
    if (bytes_is(name, "traceparent"))
        field = &draft->event->traceparent;
    else if (bytes_is(name, "tracestate"))
        field = &draft->event->tracestate;
    if (field == NULL || !bytes_present(value))
        return false;
    if (!bytes_present(*field))
        *field = value;
    return bytes_equal(*field, value);
}

/* False when there is no room for another. */
static bool add(struct draft *draft, struct bytes name, struct bytes value)
{
    struct event *event = draft->event;
    if (bytes_empty(name)) {
        fault(draft, "a header has no name");
        return true;
    }
    if (taken_as_trace(draft, name, value))
        return true;
    if (event->header_count == EVENT_HEADERS_MAX) {
        draft_fault(draft, ERR_ROW_HEADERS, NULL, "more than %d headers", EVENT_HEADERS_MAX);
        return false;
    }
    event->headers[event->header_count++] = (struct header){.name = name, .value = value};
    return true;
}

/* False when the value cannot be a header's. */
static bool header_text(struct draft *draft, struct json_value value, struct bytes *ret_text)
{
    bool sound = true;
    switch (value.kind) {
    case JSON_NULL:
        *ret_text = BYTES_ABSENT;
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NUMBER:
        *ret_text = value.raw;
        return true;
    case JSON_STRING:
        *ret_text = json_unescape(value.raw, draft->arena, &sound);
        if (!sound)
            fault(draft, "a value holds \\u0000 or half a surrogate pair, or is too long");
        return sound;
    case JSON_ARRAY:
    case JSON_OBJECT:
        fault(draft, "a value is an array or an object");
        return false;
    case JSON_INVALID:
        break;
    }
    UNREACHABLE();
}

void headers_read_value(struct draft *draft, struct json_value value)
{
    if (value.kind != JSON_OBJECT) {
        fault(draft, "the headers are not a JSON object");
        return;
    }
    struct json_members members;
    struct bytes key;
    struct json_value member;
    json_members_init(&members, value);
    while (json_members_next(&members, &key, &member)) {
        bool sound = true;
        struct bytes name = json_unescape(key, draft->arena, &sound);
        struct bytes text;
        if (!sound)
            fault(draft, "a name holds \\u0000 or half a surrogate pair, or is too long");
        else if (header_text(draft, member, &text) && !add(draft, name, text))
            return;
    }
}

void headers_read_json(struct draft *draft, struct bytes text)
{
    struct json_value value = json_parse(text);
    if (value.kind == JSON_INVALID)
        fault(draft, "the headers are not valid JSON");
    else
        headers_read_value(draft, value);
}

void headers_read_arrays(struct draft *draft, struct bytes names, struct bytes values)
{
    struct array_reader name_reader;
    struct array_reader value_reader;
    array_init(&name_reader, bytes_present(names) ? names : BYTES_LIT("{}"), draft->arena);
    array_init(&value_reader, bytes_present(values) ? values : BYTES_LIT("{}"), draft->arena);
    while (true) {
        struct bytes name = BYTES_ABSENT;
        struct bytes value = BYTES_ABSENT;
        bool has_name = array_next(&name_reader, &name);
        bool has_value = array_next(&value_reader, &value);
        if (name_reader.failed || value_reader.failed) {
            fault(draft, "the names or values are not an array of text in one dimension");
            return;
        }
        if (has_name != has_value) {
            fault(draft, "there are not as many names as values");
            return;
        }
        if (!has_name)
            return;
        if (!utf8_valid(name) || !utf8_valid(value))
            fault(draft, "a header is not valid UTF-8");
        else if (!add(draft, name, value))
            return;
    }
}

struct bytes headers_find(const struct event *event, const char *name)
{
    for (size_t i = 0; i < event->header_count; i++) {
        if (bytes_is(event->headers[i].name, name))
            return event->headers[i].value;
    }
    return BYTES_ABSENT;
}
