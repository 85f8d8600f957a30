/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/relay/stages.h"

#define ARENA_BASE    ((size_t)256 << 10)
#define ROW_BYTES_MAX ((size_t)256 << 20)
/* An arena or value buffer that one large row has grown gives its memory back. */
#define KEEP_BYTES ((size_t)1 << 20)
#define ID_SHOWN   64

bool stages_open(struct stages *stages, const struct config *config, struct err *err)
{
    *stages = (struct stages){.config = config};
    return capture_new(config->captures, config->capture_count, &stages->capture, err) &&
           route_new(&config->route, &stages->route, err) &&
           envelope_init(&stages->envelope, &config->envelope, err);
}

bool stages_room(struct stages *stages, size_t value_max, struct err *err)
{
    size_t row_max = value_max < ROW_BYTES_MAX ? value_max : ROW_BYTES_MAX;
    buf_init(&stages->value, row_max + ARENA_BASE);
    return arena_init(&stages->arena, ARENA_BASE, 4 * row_max + ARENA_BASE) ||
           err_set(err, ERR_MEMORY, "no memory for a row");
}

void stages_close(struct stages *stages)
{
    route_free(stages->route);
    capture_free(stages->capture);
    arena_deinit(&stages->arena);
    buf_deinit(&stages->value);
    stages->route = NULL;
    stages->capture = NULL;
}

void stages_next_row(struct stages *stages)
{
    arena_reset(&stages->arena);
    buf_shrink(&stages->value, KEEP_BYTES);
}

bool stages_starved(const struct stages *stages, struct err *err)
{
    if (!stages->arena.starved && !stages->value.starved)
        return false;
    discard(err_set(err, ERR_MEMORY, "no memory for a row"));
    err_hint(err, "give the process more memory (MemoryMax= of its unit): rows of up to "
                  "message.max.bytes have to find room");
    return true;
}

/* The id, when a shell would take it as it is. */
static struct bytes plain_id(const struct event *event)
{
    for (size_t i = 0; i < event->id.len; i++) {
        uint8_t byte = event->id.ptr[i];
        bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        bool other = (byte >= '0' && byte <= '9') || byte == '_' || (byte == '-' && i > 0);
        if (i == ID_SHOWN || (!letter && !other))
            return BYTES_LIT("ID");
    }
    return event->id;
}

static bool render(struct stages *stages, const struct event *event,
                   const struct placement *placement, const char *rejected,
                   struct record *ret_record, struct err *err)
{
    if (rejected == NULL)
        return envelope_render(&stages->envelope, event, placement, &stages->value, &stages->arena,
                               ret_record, err);
    discard(
        err_set(err, ERR_ROW_REJECTED, "the broker refused the record alone, twice: %s", rejected));
    return err_hint(err,
                    "if the row still stands in the table, mend the cause, then: walferry "
                    "replay -c %s --ids %.*s",
                    stages->config->path, BYTES_FMT(plain_id(event)));
}

enum stages_outcome stages_render(struct stages *stages, const struct event *event,
                                  const char *rejected, struct record *ret_record,
                                  struct bytes *ret_topic, struct err *err)
{
    struct placement placement;
    enum route_outcome outcome = route_event(stages->route, event, &stages->arena, &placement, err);
    if (outcome == ROUTE_DROP)
        return STAGES_DROP;
    *ret_topic = placement.topic;
    if (outcome == ROUTE_POISON || !render(stages, event, &placement, rejected, ret_record, err))
        return STAGES_POISON;
    return STAGES_RECORD;
}

/* A rule that drops is not obeyed: it may have matched because a field is missing. */
struct bytes stages_destination(struct stages *stages, const struct event *event)
{
    struct placement placement;
    struct err ignored;
    enum route_outcome outcome =
        route_event(stages->route, event, &stages->arena, &placement, &ignored);
    return outcome == ROUTE_DROP ? BYTES_ABSENT : placement.topic;
}

/* One call for each dead letter, of which every argument is another thing. */
/* NOLINTNEXTLINE(readability-function-size) */
bool stages_letter(struct stages *stages, const struct event *event, struct bytes topic,
                   const struct err *reason, int64_t time_us, size_t value_max,
                   struct record *ret_record, struct err *err)
{
    struct err cause;
    const struct dead_letter letter = {
        .topic = stages->config->delivery.dead_letter_topic,
        .intended_topic = topic,
        .reason = reason,
        .pipeline = stages->config->name,
        .time_us = time_us,
        .value_max = value_max,
    };
    if (envelope_dead_letter(event, &letter, &stages->arena, ret_record, &cause))
        return true;
    discard(err_set(err, ERR_DEAD_LETTER, "a dead letter cannot be made: %s", cause.message));
    err_where(err, "%s", reason->where);
    return err_hint(err, "set delivery.poison to skip to pass the row by");
}

void stages_halt(const struct err *reason, struct err *err)
{
    discard(err_set(err, ERR_POISON_HALT, "a row cannot be published (WF-%u): %s",
                    err_number(reason->code), reason->message));
    err_where(err, "%s", reason->where);
    err_hint(err,
             "%s%smend the row's cause, or set delivery.poison to dead_letter or skip, and "
             "start again",
             reason->hint, reason->hint[0] == '\0' ? "" : "; ");
}
