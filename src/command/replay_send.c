/* SPDX-License-Identifier: Apache-2.0 */
#include "replay_send.h"

#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"

#define TICK_BUSY_NS (100 * NS_PER_MS)
#define TICK_IDLE_NS (1 * NS_PER_S)
/* A sink without a descriptor is asked this often. */
#define POLL_NS (2 * NS_PER_MS)
/* More in flight gains nothing, and each row costs a mark. */
#define RECORDS_MAX 10000

static struct cursor place(const struct replay_send *send, uint32_t row)
{
    return (struct cursor){.commit_lsn = send->table, .ordinal = row, .index = row};
}

bool replay_send_open(struct replay_send *send, const struct config *config, uint64_t timeout_ms,
                      struct err *err)
{
    uint32_t records = config->delivery.max_in_flight_events;
    *send = (struct replay_send){.opts = config->sink, .timeout_ms = timeout_ms};
    send->opts.transactional = false;
    send->opts.position_topic = NULL;
    send->mark_max = records < RECORDS_MAX ? records : RECORDS_MAX;
    const struct ledger_opts opts = {
        .max_records = send->mark_max,
        .max_bytes = config->delivery.max_in_flight_bytes,
    };
    send->marks = calloc(send->mark_max, sizeof(send->marks[0]));
    if (send->marks == NULL)
        return err_set(err, ERR_MEMORY, "no memory to follow %u records in flight", send->mark_max);
    return ledger_new(&opts, LSN_NONE, &send->ledger, err) &&
           sink_ops_of(send->opts.kind)->open(&send->opts, &send->sink, err);
}

/* --- marks --- */

static struct replay_mark *mark_at(const struct replay_send *send, uint32_t index)
{
    return &send->marks[(send->mark_head + index) % send->mark_max];
}

static void keep_mark(struct replay_send *send, const struct replay_mark *mark)
{
    ASSERT(send->mark_count < send->mark_max);
    struct replay_mark *kept = mark_at(send, send->mark_count++);
    *kept = *mark;
    kept->id = strdup(mark->id);
    ASSERT(kept->id != NULL);
}

static struct replay_mark take_mark(struct replay_send *send)
{
    struct replay_mark mark = *mark_at(send, 0);
    *mark_at(send, 0) = (struct replay_mark){0};
    send->mark_head = (send->mark_head + 1) % send->mark_max;
    send->mark_count--;
    return mark;
}

static void forget_marks(struct replay_send *send)
{
    while (send->mark_count > 0) {
        struct replay_mark mark = take_mark(send);
        free(mark.id);
    }
}

/* What is acknowledged without a gap is published for good. */
static void count_published(struct replay_send *send)
{
    while (send->mark_count > 0 && mark_at(send, 0)->row < replay_send_done(send)) {
        free(send->last.id);
        send->last = take_mark(send);
        if (send->last.dead_letter)
            send->dead_letters++;
        else
            send->published++;
    }
}

void replay_send_close(struct replay_send *send)
{
    if (send->sink != NULL)
        send->sink->ops->close(send->sink);
    ledger_free(send->ledger);
    forget_marks(send);
    free(send->marks);
    free(send->last.id);
    *send = (struct replay_send){0};
}

/* --- tables --- */

void replay_send_begin(struct replay_send *send)
{
    ASSERT(ledger_quiet(send->ledger));
    send->table.value++;
    send->newest = place(send, 0);
    send->careful = (struct careful){0};
    ledger_begin(send->ledger, send->table, 0);
}

void replay_send_end(struct replay_send *send)
{
    ledger_commit(send->ledger, send->table);
    ASSERT(ledger_quiet(send->ledger));
}

uint32_t replay_send_done(const struct replay_send *send)
{
    struct cursor done = ledger_partial(send->ledger);
    return lsn_cmp(done.commit_lsn, send->table) == 0 ? done.ordinal : 0;
}

bool replay_send_quiet(const struct replay_send *send)
{
    return ledger_records(send->ledger) == 0;
}

const char *replay_send_rejected(const struct replay_send *send, uint32_t row)
{
    return careful_rejected(&send->careful, place(send, row));
}

size_t replay_send_letter_max(const struct replay_send *send, uint32_t row)
{
    return careful_letter_max(&send->careful, place(send, row),
                              send->sink->ops->value_max(send->sink));
}

/* --- failures --- */

/* The sink is dropped with all it holds. */
static enum send_outcome send_again(struct replay_send *send, const struct err *why,
                                    struct err *err)
{
    send->trouble = *why;
    send->hold_until_ns = send->now_ns + careful_pause_ns(send->failures++);
    send->busy = false;
    ledger_rewind(send->ledger);
    ledger_begin(send->ledger, send->table, 0);
    forget_marks(send);
    if (send->sink->ops->reset(send->sink, err) || err_class(err->code) == ERR_CLASS_TRANSIENT)
        return SEND_AGAIN;
    return SEND_FAILED;
}

static enum send_outcome failed(struct replay_send *send, const struct err *why, struct err *err)
{
    if (err_class(why->code) == ERR_CLASS_TRANSIENT)
        return send_again(send, why, err);
    *err = *why;
    return SEND_FAILED;
}

static void explain(const struct replay_send *send, const struct sink_report *report,
                    struct err *err)
{
    struct sink_state state;
    send->sink->ops->state(send->sink, &state);
    discard(err_set(err, report->code, "%s (%s)", err_text(report->code), report->error));
    err_where(err, "sink %s", send->sink->ops->name);
    if (state.detail[0] != '\0')
        err_hint(err, "%s", state.detail);
}

static enum send_outcome report_failed(struct replay_send *send, const struct sink_report *report,
                                       struct err *err)
{
    struct flight flight = *ledger_flight(send->ledger, report->tag);
    struct err why;
    explain(send, report, &why);
    switch (report->outcome) {
    case SINK_SUSPECT:
        if (careful_refused(&send->careful, &flight, send->newest, report->error))
            break;
        *err = why;
        err->code = ERR_DEAD_LETTER;
        return SEND_FAILED;
    case SINK_HALT:
        return failed(send, &why, err);
    case SINK_BLOCKED:
    case SINK_RETRY:
    case SINK_FATAL:
        /* One that fails takes no others with it the next time. */
        careful_until(&send->careful, flight.after);
        break;
    case SINK_DELIVERED:
        UNREACHABLE();
    }
    return send_again(send, &why, err);
}

static void delivered(struct replay_send *send, uint64_t tag)
{
    struct flight flight = ledger_ack(send->ledger, tag);
    careful_delivered(&send->careful, &flight);
    send->progress_ns = send->now_ns;
    send->failures = 0;
    send->trouble = ERR_INIT;
}

/* Deliveries first: what was acknowledged in the same breath need not be sent again. */
static enum send_outcome collect(struct replay_send *send, struct err *err)
{
    struct sink_report reports[256];
    size_t count;
    do {
        const struct sink_report *failure = NULL;
        count = send->sink->ops->collect(send->sink, reports, ARRAY_LEN(reports));
        for (size_t i = 0; i < count; i++) {
            if (reports[i].outcome == SINK_DELIVERED)
                delivered(send, reports[i].tag);
            else if (failure == NULL)
                failure = &reports[i];
        }
        count_published(send);
        if (failure != NULL)
            return report_failed(send, failure, err);
    } while (count == ARRAY_LEN(reports));
    return SEND_DONE;
}

/* --- a turn --- */

static bool stands_still(struct replay_send *send, bool waiting, struct err *err)
{
    struct sink_state state;
    bool holding = send->now_ns < send->hold_until_ns;
    if (replay_send_quiet(send) && !waiting && !holding) {
        send->progress_ns = send->now_ns;
        return false;
    }
    if (send->now_ns - send->progress_ns < send->timeout_ms * NS_PER_MS)
        return false;
    send->sink->ops->state(send->sink, &state);
    if (err_is_set(&send->trouble)) {
        *err = send->trouble;
    } else {
        bool away = send->opts.kind == SINK_KAFKA && !state.connected;
        err_set(err, away ? ERR_KAFKA_CONNECT : ERR_KAFKA_DELIVERY, "%s",
                state.detail[0] == '\0' ? "nothing is acknowledged" : state.detail);
        err_where(err, "sink %s", send->sink->ops->name);
        if (away)
            err_hint(err, "see whether a broker runs where sink.kafka's bootstrap.servers says");
    }
    err_context(err, "nothing moved for %llu ms", (unsigned long long)send->timeout_ms);
    return true;
}

enum send_outcome replay_send_turn(struct replay_send *send, uint64_t now_ns, bool waiting,
                                   struct err *err)
{
    struct err why;
    if (send->now_ns == 0)
        send->progress_ns = now_ns;
    send->now_ns = now_ns;
    enum send_outcome outcome = collect(send, err);
    if (outcome == SEND_DONE && (now_ns >= send->next_tick_ns || send->busy)) {
        bool waits = waiting || !replay_send_quiet(send);
        send->next_tick_ns = now_ns + (waits ? TICK_BUSY_NS : TICK_IDLE_NS);
        if (!send->sink->ops->tick(send->sink, now_ns, &why))
            outcome = failed(send, &why, err);
    }
    if (outcome != SEND_FAILED && stands_still(send, waiting, err))
        return SEND_FAILED;
    return outcome;
}

uint64_t replay_send_deadline(const struct replay_send *send)
{
    uint64_t at = send->next_tick_ns;
    bool polled = send->sink->ops->fd(send->sink) < 0 && (send->busy || !replay_send_quiet(send));
    if (polled && at > send->now_ns + POLL_NS)
        at = send->now_ns + POLL_NS;
    if (send->hold_until_ns > send->now_ns && at > send->hold_until_ns)
        at = send->hold_until_ns;
    return at;
}

bool replay_send_room(const struct replay_send *send)
{
    return send->now_ns >= send->hold_until_ns && ledger_room(send->ledger) &&
           (!send->careful.on || replay_send_quiet(send));
}

enum send_outcome replay_send_offer(struct replay_send *send, const struct record *record,
                                    const struct replay_mark *mark, struct err *err)
{
    ASSERT(replay_send_room(send));
    const struct flight flight = {
        .after = place(send, mark->row + 1),
        .submitted_ns = send->now_ns,
        .cost = record_cost(record),
        .dead_letter = mark->dead_letter,
    };
    uint32_t topic;
    struct err why;
    uint64_t tag = ledger_record(send->ledger, &flight);
    switch (send->sink->ops->submit(send->sink, record, tag, &topic, &why)) {
    case SINK_TAKEN:
        keep_mark(send, mark);
        send->newest = flight.after;
        send->busy = false;
        return SEND_DONE;
    case SINK_BUSY:
        ledger_withdraw(send->ledger, tag);
        send->busy = true;
        return SEND_BUSY;
    case SINK_POISON:
        ledger_withdraw(send->ledger, tag);
        *err = why;
        return SEND_POISON;
    case SINK_FAIL:
        ledger_withdraw(send->ledger, tag);
        return failed(send, &why, err);
    }
    UNREACHABLE();
}
