/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates come from people. Whatever the text: it compiles or is refused with a message and a
 * hint, and what compiles renders to what its parts say, or names the field that is missing.
 */
#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/route/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_render(const struct template *template, const struct event *event,
                         struct arena *arena)
{
    enum event_field missing = EVENT_FIELD_COUNT;
    struct bytes text = template_render(template, event, arena, &missing);
    if (bytes_present(text)) {
        /* A template cannot have named what is not there. */
        for (enum event_field field = 0; field < EVENT_FIELD_COUNT; field++) {
            ASSERT(!template_uses(template, field) || !bytes_empty(event_text(event, field)));
        }
        ASSERT(!topic_name_valid(text) || text.len <= TOPIC_NAME_MAX);
    } else if (missing != EVENT_FIELD_COUNT) {
        ASSERT(template_uses(template, missing));
        ASSERT(bytes_empty(event_text(event, missing)));
    }
}

static void check_route(const char *text, const struct event *event, struct arena *arena)
{
    const struct route_opts opts = {.topic = text};
    struct route *route = NULL;
    struct err err = ERR_INIT;
    if (!route_new(&opts, &route, &err)) {
        ASSERT(err_is_set(&err));
        return;
    }
    struct placement placement = {BYTES_ABSENT, -1, BYTES_ABSENT};
    enum route_outcome outcome = route_event(route, event, arena, &placement, &err);
    ASSERT(outcome != ROUTE_DROP);
    ASSERT(outcome != ROUTE_PLACED || topic_name_valid(placement.topic));
    ASSERT(outcome != ROUTE_POISON || err_class(err.code) == ERR_CLASS_POISON);
    route_free(route);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct arena arena;
    if (text == NULL || !arena_init(&arena, 4096, 65536)) {
        free(text);
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    const struct event event = {
        .id = BYTES_LIT("e-1"),
        .aggregate_type = BYTES_LIT("order"),
        .event_type = BYTES_LIT("order placed"),
        .key = BYTES_LIT(""),
        .partition = -1,
    };
    struct template *template = NULL;
    struct err err = ERR_INIT;
    if (template_compile(text, &template, &err)) {
        check_render(template, &event, &arena);
        template_free(template);
    } else {
        ASSERT(err.code == ERR_TEMPLATE && err.message[0] != '\0' && err.hint[0] != '\0');
    }
    arena_reset(&arena);
    check_route(text, &event, &arena);
    arena_deinit(&arena);
    free(text);
    return 0;
}
