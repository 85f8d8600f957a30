/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "walferry/base/clock.h"
#include "walferry/base/json.h"
#include "walferry/base/utf8.h"
#include "walferry/http/http.h"

#define STATUS_VERSION 1
#define TEXT_MAX       8192

/* Text that may have been cut in the middle of a character, or was never UTF-8. */
static void put_text(struct json_writer *json, const char *text)
{
    struct bytes bytes = bytes_str(text);
    if (utf8_valid(bytes)) {
        json_string(json, bytes);
        return;
    }
    struct buf printable;
    buf_init(&printable, TEXT_MAX);
    utf8_put_printable(&printable, bytes, bytes.len);
    json_string(json, buf_bytes(&printable));
    buf_deinit(&printable);
}

static void text_member(struct json_writer *json, const char *key, const char *text)
{
    json_key(json, key);
    put_text(json, text);
}

static void u64_member(struct json_writer *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_u64(json, value);
}

static void bool_member(struct json_writer *json, const char *key, bool value)
{
    json_key(json, key);
    json_bool(json, value);
}

static void lsn_member(struct json_writer *json, const char *key, struct lsn lsn)
{
    json_key(json, key);
    json_str(json, lsn_format(lsn).text);
}

static void time_member(struct json_writer *json, const char *key, int64_t time_us)
{
    json_key(json, key);
    json_str(json, clock_format(time_us).text);
}

static void put_source(struct json_writer *json, const struct status *status)
{
    char text[32];
    json_key(json, "source");
    json_object_begin(json);
    text_member(json, "slot", status->slot);
    text_member(json, "publication", status->publication);
    /* As the server writes them: its own version as "16.3", and an identifier that is larger than
     * what readers of JSON keep exactly. */
    snprintf(text, sizeof(text), "%d.%d", status->server_version / 10000,
             status->server_version % 10000);
    text_member(json, "server_version", status->server_version == 0 ? NULL : text);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)status->system_id);
    text_member(json, "system_identifier", status->system_id == 0 ? NULL : text);
    json_key(json, "timeline");
    if (status->timeline == 0)
        json_null(json);
    else
        json_u64(json, status->timeline);
    json_object_end(json);
}

static void put_positions(struct json_writer *json, const struct status *status)
{
    json_key(json, "positions");
    json_object_begin(json);
    lsn_member(json, "received", status->received);
    lsn_member(json, "published", status->published);
    lsn_member(json, "durable", status->durable);
    lsn_member(json, "confirmed", status->confirmed);
    json_object_end(json);
    json_key(json, "lag");
    json_object_begin(json);
    u64_member(json, "bytes", status->lag_bytes);
    json_key(json, "seconds");
    json_double(json, status->lag_seconds);
    json_object_end(json);
}

static void put_slot(struct json_writer *json, const struct status *status)
{
    json_key(json, "slot");
    json_object_begin(json);
    json_key(json, "retained_bytes");
    if (status->slot_known)
        json_u64(json, status->retained_bytes);
    else
        json_null(json);
    json_key(json, "safe_bytes");
    if (status->slot_known && status->has_safe_bytes)
        json_i64(json, status->safe_bytes);
    else
        json_null(json);
    text_member(json, "wal_status", status->slot_known ? status->wal_status : NULL);
    json_object_end(json);
}

static void put_counters(struct json_writer *json, const struct status *status)
{
    json_key(json, "counters");
    json_object_begin(json);
    u64_member(json, "received", status->events_received);
    u64_member(json, "published", status->events_published);
    u64_member(json, "skipped", status->events_skipped);
    u64_member(json, "dead_letters", status->dead_letters);
    json_object_end(json);
}

static void put_sink(struct json_writer *json, const struct status *status)
{
    json_key(json, "sink");
    json_object_begin(json);
    text_member(json, "kind", status->sink);
    bool_member(json, "connected", status->sink_connected);
    text_member(json, "detail", status->sink_detail);
    text_member(json, "library", status->sink_library);
    u64_member(json, "in_flight_events", status->in_flight_events);
    u64_member(json, "in_flight_bytes", status->in_flight_bytes);
    json_object_end(json);
}

static void put_checks(struct json_writer *json, const struct status *status)
{
    json_key(json, "checks");
    json_array_begin(json);
    for (size_t i = 0; i < status->check_count; i++) {
        json_object_begin(json);
        text_member(json, "name", status->checks[i].name);
        bool_member(json, "ok", status->checks[i].ok);
        text_member(json, "detail", status->checks[i].detail);
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_errors(struct json_writer *json, const struct status *status)
{
    json_key(json, "errors");
    json_array_begin(json);
    for (size_t i = 0; i < status->error_count; i++) {
        const struct status_error *error = &status->errors[i];
        char code[16];
        snprintf(code, sizeof(code), "WF-%04u", err_number(error->err.code));
        json_object_begin(json);
        text_member(json, "code", code);
        text_member(json, "message", error->err.message);
        text_member(json, "where", error->err.where);
        text_member(json, "hint", error->err.hint);
        u64_member(json, "count", error->count);
        time_member(json, "time", error->time_us);
        json_object_end(json);
    }
    json_array_end(json);
}

void status_render_json(const struct status *status, struct buf *out)
{
    struct json_writer json;
    json_writer_init(&json, out);
    json_object_begin(&json);
    u64_member(&json, "status_version", STATUS_VERSION);
    text_member(&json, "pipeline", status->pipeline);
    text_member(&json, "version", status->version);
    text_member(&json, "state", status->state);
    bool_member(&json, "ready", status->ready);
    text_member(&json, "reason", status->reason);
    put_source(&json, status);
    put_positions(&json, status);
    put_slot(&json, status);
    put_counters(&json, status);
    put_sink(&json, status);
    put_errors(&json, status);
    put_checks(&json, status);
    time_member(&json, "started_at", status->started_at_us);
    json_object_end(&json);
    buf_put_u8(out, '\n');
}
