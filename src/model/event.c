/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/model/event.h"

#include <stdio.h>

#include "walferry/base/assert.h"
#include "walferry/base/utf8.h"

#define ID_SHOWN 40

static const char *const field_names[EVENT_FIELD_COUNT] = {
#define EVENT_FIELD(name) [EVENT_##name] = #name,
#include "walferry/model/event_fields.def"
#undef EVENT_FIELD
};

const uint16_t event_text_offsets[EVENT_FIELD_COUNT] = {
    [EVENT_id] = offsetof(struct event, id),
    [EVENT_aggregate_type] = offsetof(struct event, aggregate_type),
    [EVENT_aggregate_id] = offsetof(struct event, aggregate_id),
    [EVENT_event_type] = offsetof(struct event, event_type),
    [EVENT_event_version] = offsetof(struct event, event_version),
    [EVENT_visibility] = offsetof(struct event, visibility),
    [EVENT_correlation_id] = offsetof(struct event, correlation_id),
    [EVENT_causation_id] = offsetof(struct event, causation_id),
    [EVENT_topic] = offsetof(struct event, topic),
    [EVENT_key] = offsetof(struct event, key),
};
_Static_assert(offsetof(struct event, position) == 0, "offset 0 is free to say: no text");

/* Eight digits: each half of a byte goes into a byte of its own, and what is above 9 to the
 * letters.
 */
static inline void write_hex(char *out, uint32_t value)
{
    uint64_t word = value;
    word = (word << 16 & UINT64_C(0x0000FFFF00000000)) | (word & UINT64_C(0x000000000000FFFF));
    word = (word << 8 & UINT64_C(0x00FF000000FF0000)) | (word & UINT64_C(0x000000FF000000FF));
    word = (word << 4 & UINT64_C(0x0F000F000F000F00)) | (word & UINT64_C(0x000F000F000F000F));
    uint64_t letters = (word + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    bytes_store_u64(out, word + UINT64_C(0x3030303030303030) + letters * ('A' - '0' - 10));
}

struct position_text position_format(struct position position)
{
    struct position_text formatted;
    write_hex(formatted.text, (uint32_t)(position.commit_lsn.value >> 32));
    write_hex(formatted.text + 8, (uint32_t)position.commit_lsn.value);
    formatted.text[16] = '-';
    write_hex(formatted.text + 17, position.index);
    formatted.text[POSITION_TEXT_MAX - 1] = '\0';
    return formatted;
}

struct event_place event_place(const struct event *event)
{
    struct event_place place = {{0}};
    struct buf out;
    if (!lsn_is_none(event->position.commit_lsn)) {
        snprintf(place.text, sizeof(place.text), "%s row %u",
                 lsn_format(event->position.commit_lsn).text, event->position.index);
        return place;
    }
    buf_init_over(&out, place.text, sizeof(place.text));
    buf_put_str(&out, bytes_empty(event->id) ? "event without an id" : "event ");
    utf8_put_printable(&out, event->id, ID_SHOWN);
    discard(buf_cstr(&out) != NULL);
    return place;
}

const char *event_field_name(enum event_field field)
{
    ASSERT((size_t)field < EVENT_FIELD_COUNT);
    return field_names[field];
}

bool event_field_parse(struct bytes name, enum event_field *ret_field)
{
    for (size_t i = 0; i < EVENT_FIELD_COUNT; i++) {
        if (bytes_is(name, field_names[i])) {
            *ret_field = (enum event_field)i;
            return true;
        }
    }
    return false;
}

bool event_field_is_text(enum event_field field)
{
    ASSERT((size_t)field < EVENT_FIELD_COUNT);
    return event_text_offsets[field] != 0;
}
