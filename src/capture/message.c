/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <stdio.h>

#include "walferry/base/json.h"
#include "walferry/base/utf8.h"

#include "field.h"
#include "headers.h"

#define NAME_SHOWN 64
#define PLACE_MAX  200

static const char *const message_hint =
    "the content is one JSON object with the members id, event_type, payload and, if wanted, the "
    "other fields of an event; outbox.emit(...) writes such messages";

/* What is read, and which fields were seen. */
struct message {
    struct draft draft;
    bool seen[EVENT_FIELD_COUNT];
    /* draft.name for members that are not fields, printable */
    char member[4 * NAME_SHOWN + 8];
};

static void fault(struct message *message, const char *reason)
{
    draft_fault(&message->draft, ERR_ROW_MESSAGE, message_hint, "%s", reason);
}

static bool takes_number(enum event_field field)
{
    return field == EVENT_id || field == EVENT_aggregate_id || field == EVENT_event_version ||
           field == EVENT_partition;
}

/* Text for the field, from a string or from a number where one may stand. */
static bool scalar_text(struct message *message, enum event_field field, struct json_value value,
                        struct bytes *ret_text)
{
    bool sound = true;
    if (value.kind == JSON_NUMBER && takes_number(field)) {
        *ret_text = value.raw;
        return true;
    }
    if (value.kind != JSON_STRING || field == EVENT_partition) {
        fault(message,
              field == EVENT_partition ? "the value is not a number" : "the value is not a string");
        return false;
    }
    *ret_text = json_unescape(value.raw, message->draft.arena, &sound);
    if (!sound)
        fault(message, "the text holds \\u0000 or half a surrogate pair, or is too long");
    return sound;
}

static void read_scalar(struct message *message, enum event_field field, struct json_value value)
{
    struct cell cell = {.type_oid = TYPE_TEXT};
    if (scalar_text(message, field, value, &cell.bytes))
        field_read(&message->draft, field, cell);
}

static void read_member(struct message *message, enum event_field field, struct json_value value)
{
    message->draft.name = event_field_name(field);
    if (message->seen[field]) {
        fault(message, "the member stands twice");
        return;
    }
    message->seen[field] = true;
    if (value.kind == JSON_NULL)
        return;
    if (field == EVENT_payload)
        field_set_payload(&message->draft, PAYLOAD_JSON, value.raw);
    else if (field != EVENT_headers)
        read_scalar(message, field, value);
}

static void read_members(struct message *message, struct json_value object,
                         struct json_value *ret_headers)
{
    struct json_members members;
    struct bytes key;
    struct json_value value;
    json_members_init(&members, object);
    while (json_members_next(&members, &key, &value)) {
        bool sound = true;
        struct bytes name = json_unescape(key, message->draft.arena, &sound);
        enum event_field field;
        if (!sound || !event_field_parse(name, &field)) {
            struct buf shown;
            buf_init_over(&shown, message->member, sizeof(message->member));
            utf8_put_printable(&shown, bytes_make(key.ptr + 1, key.len - 2), NAME_SHOWN);
            message->draft.name = buf_cstr(&shown);
            fault(message, "an event has no such field");
            continue;
        }
        if (field == EVENT_headers && !message->seen[field] && value.kind != JSON_NULL)
            *ret_headers = value;
        read_member(message, field, value);
    }
}

static void read_object(struct message *message, struct json_value object)
{
    struct json_value headers = {.kind = JSON_NULL};
    read_members(message, object, &headers);
    /* Last, because headers fill the trace context only where no member did. */
    message->draft.name = event_field_name(EVENT_headers);
    if (headers.kind != JSON_NULL)
        headers_read_value(&message->draft, headers);
    message->draft.name = event_field_name(EVENT_payload);
    if (!message->seen[EVENT_payload])
        fault(message, "the member is missing; null says that there is no payload");
    field_require(&message->draft, EVENT_id, event_field_name(EVENT_id));
    field_require(&message->draft, EVENT_event_type, event_field_name(EVENT_event_type));
}

bool message_read(struct bytes content, const char *prefix, struct arena *arena,
                  struct event *ret_event, struct err *err)
{
    struct message message = {0};
    draft_init(&message.draft, ret_event, arena, err, "message");
    message.draft.name = prefix;
    struct json_value object = json_parse(content);
    if (object.kind != JSON_OBJECT) {
        fault(&message, object.kind == JSON_INVALID ? "the content is not valid JSON"
                                                    : "the content is not a JSON object");
    } else {
        message.draft.source = "member";
        read_object(&message, object);
    }
    if (!message.draft.poisoned)
        return true;
    if (ret_event->payload_kind == PAYLOAD_NONE)
        field_set_payload(&message.draft, PAYLOAD_BINARY, content);
    char place[PLACE_MAX];
    snprintf(place, sizeof(place), "message %s", prefix);
    draft_where(&message.draft, place);
    return false;
}
