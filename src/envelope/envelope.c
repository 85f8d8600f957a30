/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/envelope/envelope.h"

#include "rendering.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/utf8.h"

static const struct envelope_ops *const formats[] = {
    &envelope_structured,
    &envelope_binary,
    &envelope_debezium,
    &envelope_raw,
};

static const struct envelope_ops *find_format(const struct envelope_opts *opts)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (formats[i]->format == opts->format &&
            (formats[i]->any_mode || formats[i]->mode == opts->mode)) {
            return formats[i];
        }
    }
    return NULL;
}

bool envelope_init(struct envelope *envelope, const struct envelope_opts *opts, struct err *err)
{
    ASSERT(envelope != NULL);
    const struct envelope_ops *ops = find_format(opts);
    ASSERT(ops != NULL);
    struct bytes source = bytes_str(opts->source);
    if (bytes_empty(source)) {
        err_set(err, ERR_CONFIG_VALUE, "the CloudEvents source is empty");
        return err_hint(err, "set envelope.source, for example /orders");
    }
    if (!text_is_uri_reference(source)) {
        err_set(err, ERR_CONFIG_VALUE, "the CloudEvents source \"%.200s\" is not a URI reference",
                opts->source);
        return err_hint(err, "write a path such as /orders or a URI; white space and letters "
                             "beyond ASCII are percent-encoded (RFC 3986)");
    }
    *envelope = (struct envelope){.opts = *opts, .source = source, .ops = ops};
    return true;
}

static bool reserved_header(const struct envelope_ops *ops, const struct event *event,
                            struct bytes name)
{
    if (text_begins(name, "walferry_") || ops->reserves(name)) {
        return true;
    }
    /* Two headers of one name, with two values: consumers would take either. */
    return (text_equals(name, "traceparent") && !bytes_empty(event->traceparent)) ||
           (text_equals(name, "tracestate") && !bytes_empty(event->tracestate));
}

static bool check_header(const struct rendering *rendering, const struct header *header,
                         struct err *err)
{
    if (bytes_empty(header->name)) {
        err_set(err, ERR_ROW_HEADERS, "a header has no name");
        return err_hint(err, "give every member of the headers object a name");
    }
    if (!utf8_valid(header->name) || !utf8_valid(header->value)) {
        err_set(err, ERR_ROW_HEADERS, "a header is not valid UTF-8");
        return err_hint(err, "store text only; a database of encoding SQL_ASCII accepts anything");
    }
    if (reserved_header(rendering->envelope->ops, rendering->event, header->name)) {
        err_set(err, ERR_ROW_HEADERS, "the header name \"%.*s\" is reserved",
                BYTES_FMT(header->name));
        return err_hint(err, "rename the header; names that begin with walferry_, those that the "
                             "envelope's format uses (ce_*, content-type; id), and a second "
                             "traceparent or tracestate are not for rows");
    }
    return true;
}

static bool check_headers(const struct rendering *rendering, struct err *err)
{
    const struct event *event = rendering->event;
    ASSERT(event->header_count <= EVENT_HEADERS_MAX);
    for (size_t i = 0; i < event->header_count; i++) {
        if (!check_header(rendering, &event->headers[i], err)) {
            return false;
        }
    }
    if (!utf8_valid(event->traceparent) || !utf8_valid(event->tracestate)) {
        err_set(err, ERR_ROW_FIELD, "the trace context is not valid UTF-8");
        return err_hint(err, "traceparent and tracestate are ASCII (W3C Trace Context)");
    }
    return true;
}

static bool check_time(const struct rendering *rendering, struct err *err)
{
    if (rendering->time_us >= 0) {
        return true;
    }
    err_set(err, ERR_ROW_TIME, "%s lies before 1970, where Kafka has no timestamps",
            rendering->event->has_occurred_at ? "occurred_at" : "the time of the commit");
    return err_hint(err, "keep times before 1970 in the payload and leave occurred_at to its "
                         "default, now()");
}

/* One call for each event, of which every argument is another object. */
/* NOLINTNEXTLINE(readability-function-size) */
bool envelope_render(const struct envelope *envelope, const struct event *event,
                     const struct placement *placement, struct buf *value, struct arena *arena,
                     struct record *ret_record, struct err *err)
{
    ASSERT(envelope->ops != NULL);
    ASSERT(bytes_present(event->payload) == (event->payload_kind != PAYLOAD_NONE));
    buf_reset(value);
    const struct rendering rendering = {
        .envelope = envelope,
        .event = event,
        .placement = placement,
        .value = value,
        .arena = arena,
        .time_us = event->has_occurred_at ? event->occurred_at_us : event->commit_time_us,
    };
    bool room = !FAILPOINT(ROW_ENVELOPE) || rendering_too_large(&rendering, err);
    if (room && check_time(&rendering, err) && check_headers(&rendering, err) &&
        envelope->ops->render(&rendering, ret_record, err)) {
        return true;
    }
    return err_where(err, "%s", event_place(event).text);
}

bool rendering_too_large(const struct rendering *rendering, struct err *err)
{
    err_set(err, ERR_ROW_TOO_LARGE, "the record would be larger than %zu bytes",
            rendering->value->max);
    return err_hint(err, "raise sink.kafka message.max.bytes and the topic's max.message.bytes, or "
                         "publish a reference to a payload that is kept elsewhere");
}

bool rendering_payload(const struct rendering *rendering, struct bytes *ret_value, struct err *err)
{
    if (rendering->event->payload.len > rendering->value->max) {
        return rendering_too_large(rendering, err);
    }
    *ret_value = rendering->event->payload;
    return true;
}

void record_begin(struct record *record, const struct rendering *rendering, struct bytes value)
{
    record->placement = *rendering->placement;
    record->value = value;
    record->timestamp_ms = rendering->time_us / 1000;
    record->header_count = 0;
}

void record_add(struct record *record, struct bytes name, struct bytes value)
{
    bool added = record_header(record, name, value);
    ASSERT(added);
}

void record_add_event_headers(struct record *record, const struct event *event)
{
    if (!bytes_empty(event->traceparent)) {
        record_add(record, BYTES_LIT("traceparent"), event->traceparent);
    }
    if (!bytes_empty(event->tracestate)) {
        record_add(record, BYTES_LIT("tracestate"), event->tracestate);
    }
    for (size_t i = 0; i < event->header_count; i++) {
        record_add(record, event->headers[i].name, event->headers[i].value);
    }
}
