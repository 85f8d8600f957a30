/* SPDX-License-Identifier: Apache-2.0 */
#include "replay_print.h"

#include <inttypes.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/json.h"
#include "walferry/base/utf8.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)
#define SHOWN_MAX      4096

static const char *fate_name(enum replay_fate fate)
{
    switch (fate) {
    case REPLAY_PUBLISHED:
        return "published";
    case REPLAY_DROPPED:
        return "dropped";
    case REPLAY_DEAD_LETTER:
        return "dead_letter";
    case REPLAY_SKIPPED:
        return "skipped";
    case REPLAY_HALTED:
        return "halted";
    }
    UNREACHABLE();
}

static void put_text(struct buf *out, struct bytes text)
{
    if (bytes_present(text))
        utf8_put_printable(out, text, SHOWN_MAX);
    else
        buf_put_str(out, "-");
}

static void put_topic(struct buf *out, const struct replay_line *line)
{
    if (line->placement != NULL)
        put_text(out, line->placement->topic);
    else if (line->reason == NULL)
        buf_printf(out, "(%s)", fate_name(line->fate));
    else
        buf_printf(out, "(%s: WF-%u)", fate_name(line->fate), err_number(line->reason->code));
}

static void put_columns(struct buf *out, const struct replay_line *line)
{
    const struct event *event = line->event;
    put_text(out, event->id);
    buf_put_u8(out, '\t');
    put_text(out, event->event_type);
    buf_put_u8(out, '\t');
    put_topic(out, line);
    buf_put_u8(out, '\t');
    put_text(out, line->placement == NULL ? BYTES_ABSENT : line->placement->key);
    buf_put_u8(out, '\t');
    if (event->has_occurred_at)
        buf_put_str(out, clock_format(event->occurred_at_us).text);
    else
        buf_put_u8(out, '-');
}

static void put_member(struct json_writer *json, const char *name, struct bytes text)
{
    json_key(json, name);
    json_string(json, utf8_valid(text) ? text : BYTES_ABSENT);
}

static void put_reason(struct json_writer *json, const struct err *reason)
{
    char code[16];
    snprintf(code, sizeof(code), "WF-%04u", err_number(reason->code));
    json_key(json, "error");
    json_str(json, code);
    put_member(json, "reason", bytes_str(reason->message));
}

static void put_object(struct buf *out, const struct replay_line *line)
{
    struct json_writer json;
    const struct event *event = line->event;
    const struct placement *placement = line->placement;
    json_writer_init(&json, out);
    json_object_begin(&json);
    put_member(&json, "id", event->id);
    put_member(&json, "type", event->event_type);
    put_member(&json, "topic", placement == NULL ? BYTES_ABSENT : placement->topic);
    put_member(&json, "key", placement == NULL ? BYTES_ABSENT : placement->key);
    json_key(&json, "partition");
    if (placement == NULL || placement->partition < 0)
        json_null(&json);
    else
        json_i64(&json, placement->partition);
    json_key(&json, "occurred_at");
    json_str(&json, event->has_occurred_at ? clock_format(event->occurred_at_us).text : NULL);
    json_key(&json, "table");
    json_str(&json, line->table);
    json_key(&json, "outcome");
    json_str(&json, fate_name(line->fate));
    if (line->reason != NULL)
        put_reason(&json, line->reason);
    json_object_end(&json);
}

void replay_print_line(FILE *out, const struct replay_line *line, bool json)
{
    struct buf text;
    buf_init(&text, LINE_MAX_BYTES);
    if (json)
        put_object(&text, line);
    else
        put_columns(&text, line);
    buf_put_u8(&text, '\n');
    fwrite(text.ptr, 1, text.len, out);
    buf_deinit(&text);
}

void replay_print_poison(FILE *out, const struct event *event, enum replay_fate fate,
                         const struct err *reason)
{
    char text[2048];
    struct err shown = *reason;
    if (shown.where[0] == '\0')
        err_where(&shown, "%s", event_place(event).text);
    err_context(&shown, fate == REPLAY_SKIPPED ? "row skipped" : "row dead-lettered");
    shown.hint[0] = '\0';
    err_render(&shown, text, sizeof(text));
    fprintf(out, "%s\n", text);
}

static void put_count(FILE *out, uint64_t count, const char *words)
{
    if (count > 0)
        fprintf(out, ", %" PRIu64 " %s", count, words);
}

void replay_print_summary(FILE *out, const struct replay_counts *counts, bool dry_run)
{
    fprintf(out, "walferry: %" PRIu64 " row%s read: %" PRIu64 " %s", counts->read,
            counts->read == 1 ? "" : "s", counts->published,
            dry_run ? "would be published" : "published");
    put_count(out, counts->dead_letters, "dead-lettered");
    put_count(out, counts->dropped, "dropped by a rule");
    put_count(out, counts->skipped, "skipped as poison");
    if (counts->has_times)
        fprintf(out, "; occurred_at from %s to %s", clock_format(counts->first_us).text,
                clock_format(counts->last_us).text);
    fputc('\n', out);
}

void replay_print_progress(FILE *out, const struct replay_counts *counts)
{
    fprintf(out, "\r%" PRIu64 " rows read, %" PRIu64 " published\033[K", counts->read,
            counts->published + counts->dead_letters);
    fflush(out);
}
