/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "replay.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"

enum { WATCH_PG, WATCH_SINK };

/* Steps of one turn are bounded, so that reports and signals are not kept waiting. */
#define ROWS_A_TURN 1000
#define NOTICES_MAX 20
#define IDLE_NS     (1 * NS_PER_S)
#define PROGRESS_NS (500 * NS_PER_MS)

/* What a step of the work came to. */
enum step {
    STEP_ON,   /* more may follow at once */
    STEP_WAIT, /* for a descriptor or a time */
    STEP_END,  /* all rows of the table are done with */
    STEP_FAILED,
};

/* --- ids --- */

static int compare_bytes(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static void mark_found(struct replay *replay, struct bytes id)
{
    size_t low = 0;
    size_t high = replay->key_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_bytes(replay->keys[middle].text, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < replay->key_count && bytes_equal(replay->keys[low].text, id); low++)
        replay->found[replay->keys[low].index] = true;
}

/* --- counting --- */

static uint32_t row_number(const struct replay *replay)
{
    return replay->rows.at - 1;
}

static bool first_time(const struct replay *replay, uint32_t *counted_to)
{
    if (row_number(replay) < *counted_to)
        return false;
    *counted_to = replay->rows.at;
    return true;
}

static void count_read(struct replay *replay)
{
    struct replay_counts *counts = &replay->counts;
    const struct event *event = &replay->event;
    counts->read += first_time(replay, &replay->read_to) ? 1 : 0;
    if (!event->has_occurred_at)
        return;
    if (!counts->has_times || event->occurred_at_us < counts->first_us)
        counts->first_us = event->occurred_at_us;
    if (!counts->has_times || event->occurred_at_us > counts->last_us)
        counts->last_us = event->occurred_at_us;
    counts->has_times = true;
}

/* --- one row --- */

static void print_line(struct replay *replay, const struct placement *placement,
                       enum replay_fate fate, const struct err *reason)
{
    const struct replay_line line = {
        .table = replay->table.entry->name,
        .event = &replay->event,
        .placement = placement,
        .fate = fate,
        .reason = reason,
    };
    replay_print_line(stdout, &line, replay->options.json);
    /* The reader is gone, or its disk is full. */
    replay->deaf = ferror(stdout) != 0;
    replay->stopped = replay->stopped || replay->deaf;
}

/* The first time: later the row comes again because another one failed. */
static void tell_poison(struct replay *replay, enum replay_fate fate, const struct err *reason)
{
    if (!first_time(replay, &replay->poison_to))
        return;
    replay->counts.skipped += fate == REPLAY_SKIPPED ? 1 : 0;
    if (replay->options.dry_run || replay->notices > NOTICES_MAX)
        return;
    if (replay->notices++ == NOTICES_MAX)
        fprintf(stderr, "walferry: more such rows are only counted\n");
    else
        replay_print_poison(stderr, &replay->event, fate, reason);
}

static void halt(struct replay *replay, const struct err *reason)
{
    struct err placed = *reason;
    if (placed.where[0] == '\0')
        err_where(&placed, "%s", event_place(&replay->event).text);
    if (!replay->halted)
        stages_halt(&placed, &replay->halt);
    replay->halted = true;
}

static bool make_letter(struct replay *replay, const struct err *reason, struct err *err)
{
    replay->mark.dead_letter = true;
    replay->offered = stages_letter(
        &replay->stages, &replay->event, replay->topic, reason, clock_wall_us(),
        replay_send_letter_max(&replay->send, row_number(replay)), &replay->record, err);
    return replay->offered;
}

/* By policy. False: err. */
static bool poison(struct replay *replay, const struct err *reason, struct err *err)
{
    static const enum replay_fate fates[] = {
        [POISON_DEAD_LETTER] = REPLAY_DEAD_LETTER,
        [POISON_HALT] = REPLAY_HALTED,
        [POISON_SKIP] = REPLAY_SKIPPED,
    };
    enum replay_fate fate = fates[replay->config->delivery.poison];
    replay->offered = false;
    if (fate == REPLAY_HALTED)
        halt(replay, reason);
    else
        tell_poison(replay, fate, reason);
    if (replay->options.dry_run) {
        replay->counts.dead_letters += fate == REPLAY_DEAD_LETTER ? 1 : 0;
        print_line(replay, NULL, fate, reason);
        return true;
    }
    return fate != REPLAY_DEAD_LETTER || make_letter(replay, reason, err);
}

static bool prepare(struct replay *replay, struct err *err)
{
    bool dry_run = replay->options.dry_run;
    const char *rejected = dry_run ? NULL : replay_send_rejected(&replay->send, row_number(replay));
    struct err reason;
    switch (stages_render(&replay->stages, &replay->event, rejected, &replay->record,
                          &replay->topic, &reason)) {
    case STAGES_DROP:
        replay->counts.dropped += first_time(replay, &replay->dropped_to) ? 1 : 0;
        if (dry_run)
            print_line(replay, NULL, REPLAY_DROPPED, NULL);
        return true;
    case STAGES_POISON:
        return poison(replay, &reason, err);
    case STAGES_RECORD:
        break;
    }
    replay->offered = !dry_run;
    if (dry_run) {
        replay->counts.published++;
        print_line(replay, &replay->record.placement, REPLAY_PUBLISHED, NULL);
    }
    return true;
}

/* The stream knows the time of every commit; the table does when the server keeps it. */
static void complete(struct replay *replay, struct bytes id, struct bytes commit_time)
{
    struct event *event = &replay->event;
    int64_t time_us;
    bool ok = true;
    event->position = (struct position){0};
    event->commit_time_us = clock_wall_us();
    event->xid = 0;
    event->replay = true;
    if (!event->has_occurred_at && clock_parse(commit_time, &time_us) && time_us >= 0) {
        event->has_occurred_at = true;
        event->occurred_at_us = time_us;
    }
    replay->topic = BYTES_ABSENT;
    replay->mark = (struct replay_mark){
        .row = row_number(replay),
        .has_time = event->has_occurred_at,
        .time_us = event->occurred_at_us,
        .id = (char *)(uintptr_t)arena_copy(&replay->stages.arena, id, &ok).ptr,
    };
}

static bool take_row(struct replay *replay, const struct replay_found *found, struct err *err)
{
    struct err reason;
    enum skip_reason skip;
    const struct change change = {
        .kind = CHANGE_INSERT,
        .as.row = {.relation = &replay->table.relation, .new_tuple = found->row},
    };
    struct bytes id = found->row.values[replay->table.id].bytes;
    mark_found(replay, id);
    if (found->passed)
        return true;
    stages_next_row(&replay->stages);
    enum capture_outcome outcome = capture_change(
        replay->stages.capture, &change, &replay->stages.arena, &replay->event, &skip, &reason);
    if (outcome == CAPTURE_FAIL) {
        *err = reason;
        return false;
    }
    ASSERT(outcome != CAPTURE_SKIP);
    if (!replay_options_pass(&replay->options, &replay->event))
        return true;
    /* A time that could not be read is not to be replaced by another. */
    complete(replay, id, outcome == CAPTURE_EVENT ? found->commit_time : BYTES_ABSENT);
    count_read(replay);
    if (outcome == CAPTURE_EVENT)
        return prepare(replay, err);
    replay->topic = stages_destination(&replay->stages, &replay->event);
    return poison(replay, &reason, err);
}

/* --- the sink --- */

/* Rows that were not acknowledged come again. */
static enum step again(struct replay *replay, struct err *err)
{
    replay->offered = false;
    replay->reading_ended = false;
    return replay_rows_back(&replay->rows, replay_send_done(&replay->send), err) ? STEP_WAIT
                                                                                 : STEP_FAILED;
}

/* A record that can never be published; a dead letter must be. */
static enum step refused(struct replay *replay, const struct err *reason, struct err *err)
{
    if (!replay->mark.dead_letter)
        return poison(replay, reason, err) ? STEP_ON : STEP_FAILED;
    err_set(err, ERR_DEAD_LETTER, "a dead letter cannot be published: %s", reason->message);
    err_where(err, "topic %s", replay->config->delivery.dead_letter_topic);
    err_hint(err, "%s", reason->hint);
    return STEP_FAILED;
}

static enum step offer(struct replay *replay, struct err *err)
{
    struct err reason;
    if (!replay_send_room(&replay->send))
        return STEP_WAIT;
    switch (replay_send_offer(&replay->send, &replay->record, &replay->mark, &reason)) {
    case SEND_DONE:
        replay->offered = false;
        return STEP_ON;
    case SEND_BUSY:
        return STEP_WAIT;
    case SEND_POISON:
        return refused(replay, &reason, err);
    case SEND_AGAIN:
        return again(replay, err);
    case SEND_FAILED:
        *err = reason;
        return STEP_FAILED;
    }
    UNREACHABLE();
}

static enum step send_turn(struct replay *replay, uint64_t now_ns, struct err *err)
{
    if (replay->options.dry_run)
        return STEP_ON;
    switch (replay_send_turn(&replay->send, now_ns, replay->offered, err)) {
    case SEND_DONE:
        return STEP_ON;
    case SEND_AGAIN:
        return again(replay, err);
    case SEND_BUSY:
    case SEND_POISON:
    case SEND_FAILED:
        break;
    }
    return STEP_FAILED;
}

/* --- the loop --- */

static bool quiet(const struct replay *replay)
{
    return replay->options.dry_run || replay_send_quiet(&replay->send);
}

/* In a dry run a row that would halt the replay is counted, and the next ones are shown too. */
static bool ending(const struct replay *replay)
{
    return replay->stopped || (replay->halted && !replay->options.dry_run);
}

static enum step row(struct replay *replay, struct err *err)
{
    struct replay_found found;
    if (replay->offered)
        return offer(replay, err);
    if (replay->reading_ended || ending(replay))
        return quiet(replay) ? STEP_END : STEP_WAIT;
    if (!replay->options.dry_run && !replay_send_room(&replay->send))
        return STEP_WAIT;
    switch (replay_rows_next(&replay->rows, &found, err)) {
    case REPLAY_ROW_HERE:
        return take_row(replay, &found, err) ? STEP_ON : STEP_FAILED;
    case REPLAY_ROW_WAIT:
        return STEP_WAIT;
    case REPLAY_ROW_END:
        replay->reading_ended = true;
        return STEP_ON;
    case REPLAY_ROW_FAILED:
        break;
    }
    return STEP_FAILED;
}

static enum step rows(struct replay *replay, struct err *err)
{
    enum step step = STEP_ON;
    for (unsigned i = 0; i < ROWS_A_TURN && step == STEP_ON; i++)
        step = row(replay, err);
    return step;
}

/* The first one lets what is in flight arrive; the second one does not. */
static bool take_signals(struct replay *replay)
{
    for (int signal = loop_signal(&replay->loop); signal != 0;
         signal = loop_signal(&replay->loop)) {
        if (replay->stopped)
            return false;
        replay->stopped = true;
        replay->offered = false;
    }
    return true;
}

static void show_progress(struct replay *replay, uint64_t now_ns)
{
    if (!replay->shows_progress || now_ns < replay->next_progress_ns)
        return;
    replay->next_progress_ns = now_ns + PROGRESS_NS;
    if (!replay->options.dry_run) {
        replay->counts.published = replay->send.published;
        replay->counts.dead_letters = replay->send.dead_letters;
    }
    replay_print_progress(stderr, &replay->counts);
}

static bool wait(struct replay *replay, bool more, uint64_t now_ns, struct err *err)
{
    const struct replay_send *send = &replay->send;
    bool reads = replay->rows.fetching && !replay->offered && !ending(replay);
    uint64_t at = now_ns + IDLE_NS;
    int sink_fd = -1;
    if (!replay->options.dry_run) {
        uint64_t due = replay_send_deadline(send);
        at = due < at ? due : at;
        sink_fd = send->sink->ops->fd(send->sink);
        reads = reads && replay_send_room(send);
    }
    return loop_watch(&replay->loop, WATCH_PG, reads ? pg_fd(replay->pg) : -1, LOOP_READ, err) &&
           loop_watch(&replay->loop, WATCH_SINK, sink_fd, LOOP_READ, err) &&
           loop_wait(&replay->loop, more || at <= now_ns ? 0 : at - now_ns, err);
}

bool replay_work(struct replay *replay, struct err *err)
{
    for (;;) {
        uint64_t now_ns = clock_mono_ns();
        if (!take_signals(replay))
            return true;
        enum step step = send_turn(replay, now_ns, err);
        if (step == STEP_ON)
            step = rows(replay, err);
        if (step == STEP_FAILED)
            return false;
        if (step == STEP_END)
            return true;
        show_progress(replay, now_ns);
        if (!wait(replay, step == STEP_ON, now_ns, err))
            return false;
    }
}
