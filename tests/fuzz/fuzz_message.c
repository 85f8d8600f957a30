/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of WAL messages, against another reader of JSON: both take and refuse the same texts,
 * but for limits that are known, and the event says what the other reader found in the members.
 */
#include "other_json.h"
#include "walferry/base/assert.h"
#include "walferry/base/json.h"
#include "walferry/base/utf8.h"
#include "walferry/capture/capture.h"

#define ARENA_SIZE (256U << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct capture *capture;
static struct arena arena;
static struct event event;

static void open_once(void)
{
    static const struct capture_entry entry = {.kind = CAPTURE_MESSAGES, .name = "outbox"};
    struct err err = ERR_INIT;
    ASSERT(capture_new(&entry, 1, &capture, &err));
    ASSERT(arena_init(&arena, ARENA_SIZE, ARENA_SIZE));
}

/* More than our depth can be nested in it. */
static bool may_be_deep(struct bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '[' || text.ptr[i] == '{';
    return count > JSON_DEPTH_MAX;
}

static void check_text(const struct other *root, enum event_field field, struct bytes text)
{
    const struct other *member = other_member(root, event_field_name(field));
    if (member == NULL || other_kind(member) == OTHER_NULL) {
        /* Headers may hold the trace context. */
        bool trace = field == EVENT_traceparent || field == EVENT_tracestate;
        ASSERT(!bytes_present(text) || trace);
    } else if (other_kind(member) == OTHER_TEXT) {
        ASSERT(bytes_equal(text, other_text(member)));
    } else {
        ASSERT(other_kind(member) == OTHER_NUMBER && bytes_present(text));
    }
}

static void check_payload(const struct other *root)
{
    const struct other *member = other_member(root, "payload");
    struct other *payload = NULL;
    ASSERT(member != NULL);
    ASSERT((event.payload_kind == PAYLOAD_NONE) == (other_kind(member) == OTHER_NULL));
    if (event.payload_kind == PAYLOAD_NONE)
        return;
    ASSERT(other_read(event.payload, false, &payload) == OTHER_READ);
    ASSERT(other_equal(payload, member));
    other_free(payload);
}

static void check_header(const char *name, const struct other *member)
{
    bool found = strcmp(name, "traceparent") == 0 || strcmp(name, "tracestate") == 0;
    for (size_t i = 0; i < event.header_count && !found; i++) {
        struct bytes value = event.headers[i].value;
        found = bytes_is(event.headers[i].name, name) &&
                (other_kind(member) == OTHER_TEXT
                     ? bytes_equal(value, other_text(member))
                     : bytes_present(value) == (other_kind(member) != OTHER_NULL));
    }
    ASSERT(found);
}

static void check_event(const struct other *root)
{
    ASSERT(other_kind(root) == OTHER_OBJECT);
    for (int i = 0; i < EVENT_FIELD_COUNT; i++) {
        if (event_field_is_text((enum event_field)i))
            check_text(root, (enum event_field)i, event_text(&event, (enum event_field)i));
    }
    check_text(root, EVENT_traceparent, event.traceparent);
    check_text(root, EVENT_tracestate, event.tracestate);
    check_payload(root);
    struct other *headers = other_member(root, "headers");
    if (headers != NULL)
        other_each(headers, check_header);
}

static enum capture_outcome take(struct bytes content, struct err *err)
{
    enum skip_reason reason = SKIP_COUNT;
    const struct change change = {.kind = CHANGE_MESSAGE,
                                  .as.message = {.transactional = true,
                                                 .lsn = lsn_make(1),
                                                 .prefix = BYTES_LIT("outbox"),
                                                 .content = content}};
    arena_reset(&arena);
    return capture_change(capture, &change, &arena, &event, &reason, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes content = bytes_make(data, size);
    struct other *root = NULL;
    struct err err = ERR_INIT;
    if (capture == NULL)
        open_once();
    enum other_outcome other = other_read(content, false, &root);
    struct json_value value = json_parse(content);
    /* To the other reader a NUL after the value is its end. */
    bool nul = size > 0 && memchr(data, 0, size) != NULL;
    if (value.kind == JSON_INVALID)
        ASSERT(other != OTHER_READ || nul || may_be_deep(content));
    else
        ASSERT(other != OTHER_REFUSED);
    switch (take(content, &err)) {
    case CAPTURE_EVENT:
        ASSERT(!err_is_set(&err) && value.kind == JSON_OBJECT);
        if (root != NULL)
            check_event(root);
        break;
    case CAPTURE_POISON:
        ASSERT(err_class(err.code) == ERR_CLASS_POISON && err.hint[0] != '\0');
        ASSERT(utf8_valid(bytes_str(err.message)));
        /* Nothing of it is lost. */
        ASSERT(bytes_present(event.payload));
        break;
    case CAPTURE_SKIP:
    case CAPTURE_FAIL:
        UNREACHABLE();
    }
    other_free(root);
    return 0;
}
