/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include "walferry/base/utf8.h"

/* Consumers of the event router find duplicates by the header `id`, looked up by its exact name: a
 * row must not put another one beside it. */
static bool reserves_id(struct bytes header_name)
{
    return bytes_is(header_name, "id");
}

static bool check_id(struct bytes id, struct err *err)
{
    if (!bytes_empty(id) && utf8_valid(id)) {
        return true;
    }
    err_set(err, ERR_ROW_FIELD, "the row's id is %s",
            bytes_empty(id) ? "empty" : "not valid UTF-8");
    return err_hint(err, "consumers find duplicates by the id: give every event its own, such as "
                         "gen_random_uuid()");
}

static bool render_debezium(const struct rendering *rendering, struct record *ret_record,
                            struct err *err)
{
    const struct event *event = rendering->event;
    struct bytes value = BYTES_ABSENT;
    if (!check_id(event->id, err) || !rendering_payload(rendering, &value, err)) {
        return false;
    }
    record_begin(ret_record, rendering, value);
    record_add(ret_record, BYTES_LIT("id"), event->id);
    record_add_event_headers(ret_record, event);
    return true;
}

const struct envelope_ops envelope_debezium = {
    .format = ENVELOPE_DEBEZIUM,
    .any_mode = true,
    .reserves = reserves_id,
    .render = render_debezium,
};
