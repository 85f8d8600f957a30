/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/json.h"
#include "walferry/base/utf8.h"
#include "walferry/sink/sink.h"

/* Header names come from outside, so json_key(), which escapes nothing, is not for them. */
static void put_name(struct json_writer *json, struct bytes name, bool base64)
{
    if (utf8_valid(name)) {
        json_string(json, name);
    } else {
        json_base64(json, name);
    }
    if (base64 && buf_ok(json->out)) {
        json->out->len--; /* the closing quote */
        buf_put_str(json->out, "_base64\"");
    }
    buf_put_u8(json->out, ':');
    json->comma = false;
}

static void put_member(struct json_writer *json, struct bytes name, struct bytes value)
{
    bool base64 = bytes_present(value) && !utf8_valid(value);
    put_name(json, name, base64);
    if (!bytes_present(value)) {
        json_null(json);
    } else if (base64) {
        json_base64(json, value);
    } else {
        json_string(json, value);
    }
}

static void put_headers(struct json_writer *json, const struct record *record)
{
    json_key(json, "headers");
    json_object_begin(json);
    for (size_t i = 0; i < record->header_count; i++) {
        put_member(json, record->headers[i].name, record->headers[i].value);
    }
    json_object_end(json);
}

void sink_render_line(const struct record *record, struct buf *out)
{
    struct json_writer json;
    json_writer_init(&json, out);
    json_object_begin(&json);
    put_member(&json, BYTES_LIT("topic"), record->placement.topic);
    json_key(&json, "partition");
    if (record->placement.partition < 0) {
        json_null(&json);
    } else {
        json_i64(&json, record->placement.partition);
    }
    put_member(&json, BYTES_LIT("key"), record->placement.key);
    json_key(&json, "timestamp");
    json_i64(&json, record->timestamp_ms);
    put_headers(&json, record);
    put_member(&json, BYTES_LIT("value"), record->value);
    json_object_end(&json);
    buf_put_u8(out, '\n');
}
