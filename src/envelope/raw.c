/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

static bool reserves_nothing(struct bytes header_name)
{
    (void)header_name;
    return false;
}

static bool render_raw(const struct rendering *rendering, struct record *ret_record,
                       struct err *err)
{
    struct bytes value = BYTES_ABSENT;
    if (!rendering_payload(rendering, &value, err)) {
        return false;
    }
    record_begin(ret_record, rendering, value);
    record_add_event_headers(ret_record, rendering->event);
    return true;
}

const struct envelope_ops envelope_raw = {
    .format = ENVELOPE_RAW,
    .any_mode = true,
    .reserves = reserves_nothing,
    .render = render_raw,
};
