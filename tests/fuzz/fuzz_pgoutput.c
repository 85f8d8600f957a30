/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pgoutput: bytes of a server through decode and capture. The input is a session: messages,
 * each behind its length as two bytes, big endian. Whatever comes, there is no crash, and what is
 * taken for an event keeps the promises of the event's header.
 */
#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/base/json.h"
#include "walferry/base/reader.h"
#include "walferry/base/utf8.h"
#include "walferry/capture/capture.h"
#include "walferry/decode/pgoutput.h"

#define ARENA_SIZE (64U << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct capture_entry entries[] = {
    {.kind = CAPTURE_OUTBOX, .name = "a.walferry"},
    {.kind = CAPTURE_OUTBOX, .name = "a.debezium", .preset = PRESET_DEBEZIUM},
    {.kind = CAPTURE_OUTBOX, .name = "a.open_outbox", .preset = PRESET_OPEN_OUTBOX},
    {.kind = CAPTURE_OUTBOX, .name = "a.eventuate", .preset = PRESET_EVENTUATE},
    {.kind = CAPTURE_OUTBOX, .name = "a.goharvest", .preset = PRESET_GOHARVEST},
    {.kind = CAPTURE_OUTBOX,
     .name = "a.forced",
     .preset = PRESET_PG_TRANSACTIONAL_OUTBOX,
     .payload = PAYLOAD_AS_JSON},
    {.kind = CAPTURE_MESSAGES, .name = "outbox"},
};

struct session {
    struct pgoutput *decoder;
    struct capture *capture;
    struct arena arena;
    struct event event;
};

static struct session *open_session(void)
{
    static struct session session;
    struct err err = ERR_INIT;
    if (session.decoder == NULL) {
        session.decoder = pgoutput_new();
        ASSERT(session.decoder != NULL);
        ASSERT(capture_new(entries, ARRAY_LEN(entries), &session.capture, &err));
        ASSERT(arena_init(&session.arena, ARENA_SIZE, ARENA_SIZE));
    }
    pgoutput_reset(session.decoder);
    capture_reset(session.capture);
    return &session;
}

static void check_fault(const struct err *err)
{
    ASSERT(err_is_set(err));
    ASSERT(err->message[0] != '\0');
    ASSERT(err->hint[0] != '\0');
}

static void check_texts(const struct event *event)
{
    for (int i = 0; i < EVENT_FIELD_COUNT; i++)
        ASSERT(utf8_valid(event_text(event, (enum event_field)i)));
    ASSERT(utf8_valid(event->traceparent) && utf8_valid(event->tracestate));
    ASSERT(event->header_count <= EVENT_HEADERS_MAX);
    for (size_t i = 0; i < event->header_count; i++) {
        ASSERT(!bytes_empty(event->headers[i].name) && utf8_valid(event->headers[i].name));
        ASSERT(utf8_valid(event->headers[i].value));
    }
}

/* Also of poison: the dead letter is made of it. */
static void check_event(const struct event *event)
{
    check_texts(event);
    ASSERT(event->partition >= -1);
    ASSERT(!event->has_occurred_at || event->occurred_at_us >= 0);
    ASSERT(bytes_present(event->payload) == (event->payload_kind != PAYLOAD_NONE));
    if (event->payload_kind != PAYLOAD_BINARY)
        ASSERT(utf8_valid(event->payload));
}

static void take_change(struct session *session, const struct change *change)
{
    struct err err = ERR_INIT;
    enum skip_reason reason = SKIP_COUNT;
    arena_reset(&session->arena);
    switch (
        capture_change(session->capture, change, &session->arena, &session->event, &reason, &err)) {
    case CAPTURE_EVENT:
        check_event(&session->event);
        ASSERT(!bytes_empty(session->event.id) && !bytes_empty(session->event.event_type));
        ASSERT(!err_is_set(&err));
        return;
    case CAPTURE_SKIP:
        ASSERT(reason < SKIP_COUNT);
        return;
    case CAPTURE_POISON:
        check_event(&session->event);
        check_fault(&err);
        ASSERT(err_class(err.code) == ERR_CLASS_POISON);
        return;
    case CAPTURE_FAIL:
        check_fault(&err);
        ASSERT(err_class(err.code) == ERR_CLASS_STOP);
        return;
    }
    UNREACHABLE();
}

static void take_decoded(struct session *session, const struct change *change)
{
    struct err err = ERR_INIT;
    switch (change->kind) {
    case CHANGE_RELATION:
        if (!capture_relation(session->capture, change->as.relation.relation, &err))
            check_fault(&err);
        return;
    case CHANGE_INSERT:
    case CHANGE_UPDATE:
    case CHANGE_DELETE:
    case CHANGE_TRUNCATE:
    case CHANGE_MESSAGE:
        take_change(session, change);
        return;
    case CHANGE_BEGIN:
        ASSERT(pgoutput_in_transaction(session->decoder));
        return;
    case CHANGE_COMMIT:
        ASSERT(!pgoutput_in_transaction(session->decoder));
        return;
    case CHANGE_ORIGIN:
    case CHANGE_TYPE:
        return;
    }
    UNREACHABLE();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session *session = open_session();
    struct reader input;
    reader_init(&input, bytes_make(data, size));
    while (reader_left(&input) >= sizeof(uint16_t)) {
        size_t wanted = reader_u16(&input);
        size_t left = reader_left(&input);
        struct bytes message = reader_take(&input, wanted < left ? wanted : left);
        struct change change;
        struct err err = ERR_INIT;
        if (pgoutput_decode(session->decoder, message, &change, &err)) {
            take_decoded(session, &change);
        } else {
            check_fault(&err);
            ASSERT(err.code == ERR_PROTOCOL || err.code == ERR_MEMORY);
            pgoutput_reset(session->decoder);
        }
    }
    return 0;
}
