/* SPDX-License-Identifier: Apache-2.0 */
/* A relay before a Kafka that follows a script and keeps the position: sink_ops_of() here takes the
 * place of the table of sinks. What that Kafka holds, and its script, lie in memory that every
 * process of the relay shares with the test, so that they outlive a relay that is killed. */
#include "relay_world.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../unit/scratch.h"
#include "walferry/base/assert.h"
#include "walferry/base/crc32c.h"
#include "walferry/checkpoint/checkpoint.h"
#include "walferry/sink/sink.h"

#define NUMBERS_MAX   64
#define PENDING_MAX   200
#define RECORDS_MAX   512
#define POSITIONS_MAX 256
#define TEXT_MAX      1024
#define MESSAGES      25 /* of the mixed transactions */
#define SYSTEM_ID     UINT64_C(7000000000000000001)

struct kept {
    unsigned records; /* in the log, this commit's included */
    size_t len;
    char text[TEXT_MAX];
};

struct script {
    /* Kafka: records that consumers see, and every position that was written. */
    atomic_uint epoch; /* of the producer that may write */
    atomic_uint records;
    struct {
        unsigned number;
        bool letter;
    } record[RECORDS_MAX];
    atomic_uint positions;
    struct kept kept[POSITIONS_MAX];
    atomic_int newest; /* the one that is read; -1: none */

    /* The script. */
    atomic_bool hold;    /* records are taken and not answered */
    atomic_ullong fails; /* bit n: record n fails */
    atomic_bool letters_fail;
    atomic_int outcome;
    atomic_int code;
    atomic_bool claim_hold;
    atomic_bool claim_refused; /* the call itself fails */
    atomic_uint claim_failures;
    atomic_int claim_outcome;
    atomic_int claim_code;
    atomic_bool save_hold;
    atomic_bool save_alone; /* nothing is taken meanwhile */
    atomic_bool save_busy;
    atomic_bool save_early;    /* the broker has it before the answer is given */
    atomic_bool save_applies;  /* though it is said to have failed */
    atomic_uint save_failures; /* so many */
    atomic_int save_outcome;
    atomic_int save_code;
    atomic_uint collect_max; /* 0: as many as there are */

    /* What was asked. */
    atomic_uint submitted[NUMBERS_MAX];
    atomic_uint claims;
    atomic_uint claimed;
    atomic_uint resets;
    atomic_uint saves;
    atomic_uint busy; /* saves that were refused */
};

static struct script *script;

static void keep_position(const struct kept *position)
{
    unsigned at = script->positions;
    ASSERT(at < POSITIONS_MAX);
    script->kept[at] = *position;
    script->kept[at].records = script->records;
    script->positions = at + 1;
    script->newest = (int)at;
}

static void keep_record(unsigned number, bool letter)
{
    unsigned at = script->records;
    ASSERT(at < RECORDS_MAX);
    script->record[at].number = number;
    script->record[at].letter = letter;
    script->records = at + 1;
}

/* ---- the sink, in the relay's process ---- */

struct pending {
    uint64_t tag;
    unsigned number;
    bool letter;
    bool answered; /* by the broker */
};

static struct {
    struct sink sink;
    bool transactional;
    int fd; /* ticks while the broker has an answer to give */
    bool broken;
    bool claiming;
    bool claimed;
    unsigned epoch;
    int seen; /* the position that was read */
    bool saving;
    bool applied;
    bool refused; /* a record of the transaction was */
    struct kept next;
    size_t part; /* of the records, those that the save commits; the others wait for the next */
    size_t count;
    struct pending pending[PENDING_MAX];
    size_t queued;
    struct sink_report queue[2 * PENDING_MAX];
} fake;

/* Of a transaction that is being committed, or that is open. */
static size_t part(void)
{
    return fake.transactional && fake.saving ? fake.part : fake.count;
}

static size_t unanswered(void)
{
    size_t count = 0;
    for (size_t i = 0; i < part(); i++)
        count += !fake.pending[i].answered;
    return count;
}

/* An answer is due, and is not held back. */
static bool fake_busy(void)
{
    size_t open = unanswered();
    bool saves = fake.saving && !script->save_hold && !fake.refused;
    return fake.queued > 0 || (fake.claiming && !script->claim_hold) ||
           (open > 0 && !script->hold) || (saves && (open == 0 || !fake.transactional));
}

static bool fake_open(const struct sink_opts *opts, struct sink **ret_sink, struct err *err)
{
    (void)err;
    fake.transactional = opts->transactional;
    fake.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    ASSERT(fake.fd >= 0);
    *ret_sink = &fake.sink;
    return true;
}

static void fake_close(struct sink *sink)
{
    (void)sink;
    close(fake.fd);
}

static int fake_fd(const struct sink *sink)
{
    (void)sink;
    return fake.fd;
}

static void rewind_clock(void)
{
    bool busy = fake.claiming || fake.saving || fake.queued > 0 || unanswered() > 0;
    const struct timespec often = {.tv_nsec = busy ? 1000000 : 0};
    const struct itimerspec timer = {.it_interval = often, .it_value = often};
    ASSERT(timerfd_settime(fake.fd, 0, &timer, NULL) == 0);
}

static unsigned number_of(const struct record *record)
{
    char text[64];
    unsigned number = 0;
    snprintf(text, sizeof text, "%.*s", BYTES_FMT(record->value));
    ASSERT(sscanf(text, "{\"n\":%u}", &number) == 1 && number < NUMBERS_MAX);
    return number;
}

static enum sink_result fake_submit(struct sink *sink, const struct record *record, uint64_t tag,
                                    uint32_t *ret_topic, struct err *err)
{
    (void)sink;
    (void)err;
    ASSERT(!fake.broken && fake.count < PENDING_MAX);
    if (fake.transactional) {
        ASSERT(fake.claimed && !fake.claiming);
        if (fake.saving && script->save_alone)
            return SINK_BUSY;
    }
    unsigned number = number_of(record);
    fake.pending[fake.count++] = (struct pending){
        .tag = tag,
        .number = number,
        .letter = bytes_is(record->placement.topic, "orders.dead-letter"),
    };
    script->submitted[number]++;
    *ret_topic = 0;
    rewind_clock();
    return SINK_TAKEN;
}

static void report(enum sink_report_kind kind, uint64_t tag, int outcome, int code)
{
    ASSERT(fake.queued < ARRAY_LEN(fake.queue));
    fake.queue[fake.queued++] = (struct sink_report){
        .kind = kind,
        .tag = tag,
        .outcome = (enum sink_outcome)outcome,
        .code = outcome == SINK_DELIVERED ? ERR_NONE : (enum err_code)code,
        .error = outcome == SINK_DELIVERED ? NULL : "SCRIPTED",
    };
}

static void answer_records(void)
{
    size_t left = 0;
    size_t count = part();
    for (size_t i = 0; i < fake.count; i++) {
        struct pending *pending = &fake.pending[i];
        bool fails = (script->fails >> pending->number & 1) != 0 &&
                     (!pending->letter || script->letters_fail);
        if (pending->answered || i >= count) {
        } else if (fails) {
            pending->answered = true;
            fake.refused = true;
            report(REPORT_RECORD, pending->tag, script->outcome, script->code);
        } else if (fake.transactional) {
            pending->answered = true;
        } else {
            keep_record(pending->number, pending->letter);
            report(REPORT_RECORD, pending->tag, SINK_DELIVERED, 0);
            continue;
        }
        fake.pending[left++] = *pending;
    }
    fake.count = left;
}

static void answer_claim(void)
{
    fake.claiming = false;
    if (script->claim_failures > 0) {
        script->claim_failures--;
        report(REPORT_CLAIMED, 0, script->claim_outcome, script->claim_code);
        return;
    }
    fake.epoch = fake.transactional ? ++script->epoch : script->epoch;
    fake.claimed = true;
    fake.seen = script->newest;
    script->claimed++;
    report(REPORT_CLAIMED, 0, SINK_DELIVERED, 0);
}

static void apply(void)
{
    if (fake.transactional)
        for (size_t i = 0; i < fake.part; i++)
            keep_record(fake.pending[i].number, fake.pending[i].letter);
    keep_position(&fake.next);
    fake.applied = true;
}

static bool is_fenced(void)
{
    return fake.transactional && fake.epoch != script->epoch;
}

static void answer_save(void)
{
    fake.saving = false;
    if (!fake.applied && is_fenced()) {
        report(REPORT_SAVED, 0, SINK_HALT, ERR_KAFKA_FENCED);
        return;
    }
    if (script->save_failures > 0) {
        script->save_failures--;
        if (script->save_applies && !fake.applied)
            apply();
        report(REPORT_SAVED, 0, script->save_outcome, script->save_code);
        return;
    }
    if (!fake.applied)
        apply();
    for (size_t i = 0; i < fake.part && fake.transactional; i++)
        report(REPORT_RECORD, fake.pending[i].tag, SINK_DELIVERED, 0);
    if (fake.transactional) {
        fake.count -= fake.part;
        memmove(fake.pending, fake.pending + fake.part, fake.count * sizeof fake.pending[0]);
    }
    report(REPORT_SAVED, 0, SINK_DELIVERED, 0);
}

static size_t fake_collect(struct sink *sink, struct sink_report *reports, size_t max)
{
    uint64_t ticks;
    (void)sink;
    ASSERT(!fake.broken);
    ssize_t got = read(fake.fd, &ticks, sizeof ticks);
    (void)got;
    if (fake.claiming && !script->claim_hold)
        answer_claim();
    if (!script->hold)
        answer_records();
    bool landed = !fake.transactional || unanswered() == 0;
    if (fake.saving && landed && !fake.refused && !script->save_hold)
        answer_save();
    size_t limit = script->collect_max > 0 && script->collect_max < max ? script->collect_max : max;
    size_t count = fake.queued < limit ? fake.queued : limit;
    memcpy(reports, fake.queue, count * sizeof reports[0]);
    fake.queued -= count;
    memmove(fake.queue, fake.queue + count, fake.queued * sizeof fake.queue[0]);
    rewind_clock();
    return count;
}

static bool fake_tick(struct sink *sink, uint64_t now_ns, struct err *err)
{
    (void)sink;
    (void)now_ns;
    (void)err;
    return true;
}

static bool fake_reset(struct sink *sink, struct err *err)
{
    (void)sink;
    (void)err;
    fake.claiming = false;
    fake.claimed = false;
    fake.saving = false;
    fake.refused = false;
    fake.count = 0;
    fake.queued = 0;
    script->resets++;
    rewind_clock();
    return true;
}

static bool fake_claim(struct sink *sink, const struct sink_identity *identity, struct err *err)
{
    (void)sink;
    ASSERT(!fake.claiming && !fake.saving && (!fake.transactional || fake.count == 0));
    ASSERT(strcmp(identity->pipeline, "orders") == 0 && identity->system_id == SYSTEM_ID &&
           strcmp(identity->slot, "walferry_orders") == 0);
    script->claims++;
    fake.claimed = false;
    if (script->claim_refused)
        return err_set(err, ERR_KAFKA_CONNECT, "no broker by script");
    fake.claiming = true;
    rewind_clock();
    return true;
}

static struct bytes fake_position(const struct sink *sink)
{
    (void)sink;
    ASSERT(fake.claimed);
    return fake.seen < 0 ? BYTES_ABSENT
                         : bytes_make(script->kept[fake.seen].text, script->kept[fake.seen].len);
}

static enum sink_result fake_save(struct sink *sink, struct bytes position, struct err *err)
{
    (void)sink;
    (void)err;
    ASSERT(fake.claimed && !fake.claiming && !fake.saving && position.len <= TEXT_MAX);
    if (script->save_busy) {
        script->busy++;
        return SINK_BUSY;
    }
    memcpy(fake.next.text, position.ptr, position.len);
    fake.next.len = position.len;
    fake.saving = true;
    fake.part = fake.count;
    fake.applied = false;
    script->saves++;
    if (script->save_early && !is_fenced() && unanswered() == 0 && !fake.refused)
        apply();
    rewind_clock();
    return SINK_TAKEN;
}

static const char *fake_topic_name(const struct sink *sink, uint32_t topic)
{
    (void)sink;
    (void)topic;
    return "events";
}

static void fake_state(const struct sink *sink, struct sink_state *ret_state)
{
    (void)sink;
    *ret_state = (struct sink_state){
        .connected = true,
        .detail = "scripted detail",
        .pending = unanswered(),
        .library = "script",
    };
}

static size_t fake_value_max(const struct sink *sink)
{
    (void)sink;
    return 1u << 20;
}

static const struct sink_ops fake_ops = {
    .name = "script",
    .open = fake_open,
    .close = fake_close,
    .fd = fake_fd,
    .submit = fake_submit,
    .collect = fake_collect,
    .tick = fake_tick,
    .reset = fake_reset,
    .claim = fake_claim,
    .position = fake_position,
    .save = fake_save,
    .topic_name = fake_topic_name,
    .state = fake_state,
    .value_max = fake_value_max,
};

const struct sink_ops *sink_ops_of(enum sink_kind kind)
{
    (void)kind;
    fake.sink.ops = &fake_ops;
    return &fake_ops;
}

/* ---- what ought to be there ---- */

/* Every event that ends in a topic, in commit order. */
struct wanted {
    unsigned number;
    unsigned transaction;
    struct cursor after;
};

static struct {
    struct wanted events[NUMBERS_MAX];
    size_t count;
    unsigned numbers;
    unsigned transactions;
    uint64_t skipped; /* bit n: event n is passed without a record */
} plan;

static void plan_transaction(const char *rows)
{
    struct cursor at = {.commit_lsn = world_commit_lsn(plan.transactions)};
    for (const char *row = rows; *row != '\0'; row++) {
        if (strchr("hkK", *row) != NULL)
            continue;
        at.ordinal++;
        if (*row == 'u')
            continue;
        plan.numbers++;
        ASSERT(plan.numbers < NUMBERS_MAX);
        if (*row == 'd' || (plan.skipped >> plan.numbers & 1) != 0)
            continue;
        at.index++;
        plan.events[plan.count++] = (struct wanted){plan.numbers, plan.transactions, at};
    }
    plan.transactions++;
}

static void given(const char *rows)
{
    plan_transaction(rows);
    world_transaction(rows);
}

/* While the relay streams. */
static void commit(const char *rows)
{
    plan_transaction(rows);
    world_commit(rows);
}

static bool covers(const struct checkpoint *place, const struct wanted *event)
{
    bool whole = lsn_cmp(world_end_lsn(event->transaction), place->lsn) <= 0;
    bool part = lsn_cmp(place->partial.commit_lsn, event->after.commit_lsn) == 0 &&
                event->after.ordinal <= place->partial.ordinal;
    return whole || part;
}

static bool decode(unsigned at, struct checkpoint *ret_checkpoint)
{
    struct err err;
    const struct kept *kept = &script->kept[at];
    return checkpoint_decode(bytes_make(kept->text, kept->len), ret_checkpoint, &err);
}

static struct checkpoint decoded(unsigned at)
{
    struct checkpoint checkpoint;
    ck_assert_msg(decode(at, &checkpoint), "position %u cannot be read", at);
    return checkpoint;
}

/* How many events a position stands for, and their chain. */
static size_t covered(const struct checkpoint *place, uint32_t *ret_chain)
{
    size_t count = 0;
    *ret_chain = 0;
    while (count < plan.count && covers(place, &plan.events[count])) {
        const struct cursor *after = &plan.events[count].after;
        const struct position position = {after->commit_lsn, after->index - 1};
        *ret_chain = checkpoint_chain(*ret_chain, position);
        count++;
    }
    for (size_t i = count; i < plan.count; i++)
        ck_assert_msg(!covers(place, &plan.events[i]), "a hole before event %u",
                      plan.events[i].number);
    return count;
}

/* Every position names just what was committed with it and before. */
static void check_positions(bool split)
{
    struct checkpoint before = {.sequence = 0};
    for (unsigned i = 0; i < script->positions; i++) {
        struct checkpoint place = decoded(i);
        uint32_t chain;
        size_t count = covered(&place, &chain);
        ck_assert_msg(count == script->kept[i].records,
                      "position %u stands for %zu events, and %u are there", i, count,
                      script->kept[i].records);
        ck_assert_msg(place.events == count && place.chain == chain, "the chain breaks at %u", i);
        ck_assert_msg(lsn_cmp(place.previous, before.lsn) == 0, "position %u follows %s", i,
                      lsn_format(place.previous).text);
        ck_assert_msg(place.sequence > before.sequence, "position %u has an old number", i);
        ck_assert_msg(split || lsn_is_none(place.partial.commit_lsn), "position %u splits", i);
        before = place;
    }
}

/* Consumers of committed records saw every event of the plan once, in order. */
static void check_exactly_once(bool split)
{
    for (size_t i = 0; i < script->records && i < plan.count; i++)
        ck_assert_msg(script->record[i].number == plan.events[i].number,
                      "record %zu is of event %u, not %u", i, script->record[i].number,
                      plan.events[i].number);
    ck_assert_uint_eq(script->records, plan.count);
    check_positions(split);
}

static unsigned times(unsigned number)
{
    unsigned count = 0;
    for (unsigned i = 0; i < script->records; i++)
        count += script->record[i].number == number;
    return count;
}

static void check_each_once(void)
{
    for (size_t i = 0; i < plan.count; i++)
        ck_assert_msg(times(plan.events[i].number) == 1, "event %u came %u times",
                      plan.events[i].number, times(plan.events[i].number));
}

/* ---- the test's side ---- */

static void setup(void)
{
    script = mmap(NULL, sizeof *script, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(script != MAP_FAILED);
    script->newest = -1;
    memset(&plan, 0, sizeof plan);
}

static void teardown(void)
{
    world_free();
    ck_assert_int_eq(munmap(script, sizeof *script), 0);
}

static struct lsn safe_lsn;

/* PostgreSQL may never be told of more than Kafka keeps. */
static void check_confirmed(void)
{
    struct lsn flush = walsender_status(world_server).flush;
    struct checkpoint place;
    for (unsigned i = 0; i < script->positions; i++)
        if (decode(i, &place))
            safe_lsn = lsn_max(safe_lsn, place.lsn);
    ck_assert_msg(lsn_cmp(flush, safe_lsn) <= 0, "confirmed %s, kept %s", lsn_format(flush).text,
                  lsn_format(safe_lsn).text);
}

static void pump(void)
{
    world_pump();
    check_confirmed();
}

static void alive(void)
{
    ck_assert_msg(!world_ended(), "the relay ended with %d", world_wait());
    pump();
}

static void await(const atomic_uint *counter, unsigned wanted)
{
    while (atomic_load(counter) < wanted)
        alive();
}

static void await_session(unsigned wanted)
{
    while (world_sessions() < wanted)
        alive();
}

static void await_all(void)
{
    await(&script->records, (unsigned)plan.count);
}

static void await_said(const char *text, unsigned wanted)
{
    while (world_said(text) < wanted)
        alive();
}

static void await_confirmed(struct lsn lsn)
{
    while (lsn_cmp(walsender_status(world_server).flush, lsn) < 0)
        alive();
}

static void ends_with(int status)
{
    while (!world_ended())
        pump();
    ck_assert_int_eq(world_wait(), status);
}

/* The relay takes signals from before its first session on. */
static void stop(void)
{
    await_session(1);
    world_signal(SIGTERM);
    ends_with(0);
}

static void slay(void)
{
    world_signal(SIGKILL);
    ends_with(1000 + SIGKILL);
}

/* So that what must not happen has the time to happen, and no time limit passes. */
static void turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        ck_assert_msg(!world_ended(), "the relay ended with %d", world_wait());
        world_step();
        check_confirmed();
    }
}

#define KAFKA "bootstrap.servers: \"127.0.0.1:1\""

/* `delivery` is more under that key. */
static void world_of(const char *guarantee, const char *delivery, const char *properties,
                     const char *more)
{
    char yaml[1024];
    snprintf(yaml, sizeof yaml, "delivery: {guarantee: %s%s%s}\n%s", guarantee,
             delivery[0] == '\0' ? "" : ", ", delivery, more);
    world_start(yaml);
    world_busy(fake_busy);
    snprintf(yaml, sizeof yaml, "{kafka: {" KAFKA "%s%s}}", properties[0] == '\0' ? "" : ", ",
             properties);
    world_sink(yaml);
    safe_lsn = lsn_make(WORLD_LSN_START);
}

static void exactly_once(const char *delivery)
{
    world_of("exactly_once", delivery, "", "");
}

/* A transaction that PostgreSQL does not finish is given up after a third of a second. */
static void impatient(const char *delivery)
{
    world_of("exactly_once", delivery, "transaction.timeout.ms: 1000", "");
}

/* Positions in the topic, without transactions. */
static void at_least_once(const char *delivery, const char *interval)
{
    char more[80];
    snprintf(more, sizeof more, "checkpoint: {store: kafka, interval: %s}\n", interval);
    world_of("at_least_once", delivery, "", more);
}

static void fail_records(uint64_t numbers, enum sink_outcome outcome, enum err_code code)
{
    script->outcome = (int)outcome;
    script->code = (int)code;
    script->fails = numbers;
}

static void fail_claims(unsigned count, enum sink_outcome outcome, enum err_code code)
{
    script->claim_outcome = (int)outcome;
    script->claim_code = (int)code;
    script->claim_failures = count;
}

static void fail_saves(unsigned count, enum sink_outcome outcome, enum err_code code)
{
    script->save_outcome = (int)outcome;
    script->save_code = (int)code;
    script->save_failures = count;
}

static struct checkpoint first_position(void)
{
    return (struct checkpoint){
        .version = CHECKPOINT_VERSION,
        .pipeline = "orders",
        .slot = "walferry_orders",
        .system_id = SYSTEM_ID,
        .timeline = 1,
        .host = "another-host",
        .saved_at_us = 1,
    };
}

/* A position that somebody else wrote. */
static void put_position(const struct checkpoint *place)
{
    struct buf text;
    struct kept kept = {.len = 0};
    buf_init(&text, CHECKPOINT_TEXT_MAX);
    checkpoint_encode(place, &text);
    ck_assert(buf_ok(&text) && text.len <= TEXT_MAX);
    memcpy(kept.text, text.ptr, text.len);
    kept.len = text.len;
    keep_position(&kept);
    buf_deinit(&text);
}

/* Another instance takes over and publishes all transactions before `until`. */
static void another_publishes(unsigned until, bool transactional)
{
    struct checkpoint place =
        script->newest < 0 ? first_position() : decoded((unsigned)script->newest);
    if (transactional)
        script->epoch++;
    for (size_t i = script->records; i < plan.count && plan.events[i].transaction < until; i++)
        keep_record(plan.events[i].number, false);
    place.previous = place.lsn;
    place.lsn = world_end_lsn(until - 1);
    place.partial = (struct cursor){0};
    place.sequence++;
    uint32_t chain;
    size_t count = covered(&place, &chain);
    if (transactional) {
        place.events = count;
        place.chain = chain;
    }
    put_position(&place);
}

/* From the next question on another session holds the slot, or nobody. */
static void slot_in_use(bool in_use, struct lsn confirmed)
{
    struct lsn_text text = lsn_format(confirmed);
    const char *const slot[] = {
        "walferry_orders", "t",     "4712",     "t",  "f", "f", "pgoutput", "shop",
        text.text,         "0/800", "reserved", NULL, NULL};
    struct buf reply;
    if (!in_use) {
        world_slot(confirmed);
        return;
    }
    buf_init(&reply, 4096);
    reply_row(&reply, ARRAY_LEN(slot), slot);
    walsender_on(world_server, "pg_replication_slots", &reply);
    buf_deinit(&reply);
}

/* Transactions with everything that is no event between the events. */
static void mixed(void)
{
    given("eue");
    given("");
    given("ehpdke");
    given("eee");
    given("dhe");
    ck_assert_uint_eq(world_messages(), MESSAGES);
}

/* ---- transactions ---- */

START_TEST(whole_transactions_are_grouped)
{
    exactly_once("commit_interval: 200ms");
    given("eue");
    given("d");
    given("h");
    given("epdke");
    given("ee");
    given("eKe");
    world_relay();
    await_all();
    stop();
    check_exactly_once(false);
    /* The third is a letter; all of it went in one transaction, or two if the machine was slow. */
    ck_assert_uint_le(script->saves, 3);
    ck_assert_uint_eq(walsender_status(world_server).flush.value, world_end().value);
}
END_TEST

START_TEST(grouped_by_time)
{
    exactly_once("commit_interval: 20ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    for (int i = 0; i < 5; i++) {
        commit("ee");
        await_all();
        await_confirmed(world_end());
    }
    ck_assert_uint_ge(script->positions, 6);
    stop();
    check_exactly_once(false);
}
END_TEST

/* Rows that come while the interval runs out belong to a transaction that goes on. */
START_TEST(interval_waits_for_the_end)
{
    exactly_once("commit_interval: 10ms");
    given("ee");
    given("eeee");
    world_pause_after(1 + 4 + 1 + 2);
    world_relay();
    await(&script->submitted[4], 1);
    turns(100);
    ck_assert_uint_eq(script->saves, 0);
    world_resume();
    await_all();
    stop();
    check_exactly_once(false);
}
END_TEST

START_TEST(larger_than_the_limits)
{
    exactly_once(_i == 0 ? "max_in_flight_events: 3" : "max_in_flight_bytes: 2KiB");
    given("e");
    given("eeeeeeeeeee");
    given("e");
    world_relay();
    await_all();
    stop();
    check_exactly_once(true);
    ck_assert_uint_ge(script->positions, 4);
}
END_TEST

/* What fits is not torn because something stood before it in the same transaction. */
START_TEST(small_ones_are_not_split)
{
    exactly_once("max_in_flight_events: 6, commit_interval: 10s");
    for (unsigned i = 0; i < 8; i++)
        given(i % 3 == 0 ? "ee" : i % 3 == 1 ? "e" : "eee");
    world_relay();
    await(&script->records, (unsigned)plan.count - 5);
    stop();
    check_exactly_once(false);
}
END_TEST

/* What comes while one is committed is taken for the next, and goes down with it. */
START_TEST(filled_while_committing)
{
    exactly_once("max_in_flight_events: 6, commit_interval: 10s");
    given("eee");
    given("ee");
    given("e");
    script->save_alone = _i == 2;
    script->save_hold = true;
    if (_i == 1)
        fail_saves(1, SINK_RETRY, ERR_KAFKA_DOUBT);
    world_relay();
    await(&script->saves, 1);
    if (_i < 2)
        await(&script->submitted[5], 1);
    else
        turns(50);
    ck_assert_uint_eq(script->submitted[4], _i < 2);
    ck_assert_uint_eq(script->saves, 1);
    script->save_hold = false;
    await_all();
    stop();
    check_exactly_once(true);
    ck_assert_uint_eq(script->submitted[4], _i == 1 ? 2 : 1);
}
END_TEST

START_TEST(killed_at_every_message)
{
    exactly_once(_i % 3 == 0 ? "max_in_flight_events: 2" : "commit_interval: 1ms");
    mixed();
    world_pause_after((unsigned)_i + 1);
    script->save_early = _i % 2 == 0;
    script->save_hold = _i % 5 == 0;
    world_relay();
    while (!world_paused())
        alive();
    turns((unsigned)(_i * 7 % 40));
    world_pause_after(0);
    slay();
    script->save_hold = false;
    world_relay();
    await_all();
    stop();
    check_exactly_once(_i % 3 == 0);
}
END_TEST

START_TEST(killed_around_a_commit)
{
    exactly_once("commit_interval: 1ms, max_in_flight_events: 2");
    given("e");
    given("eeee");
    script->save_early = _i == 1;
    for (unsigned round = 1; round <= 3; round++) {
        script->save_hold = true;
        unsigned saves = script->saves;
        world_relay();
        await(&script->saves, saves + 1);
        slay();
    }
    script->save_hold = false;
    world_relay();
    await_all();
    stop();
    check_exactly_once(true);
    ck_assert_uint_eq(script->submitted[1], _i == 1 ? 1 : 4);
}
END_TEST

START_TEST(reports_come_in_pieces)
{
    exactly_once("commit_interval: 1ms");
    given("eeeeeeeeee");
    given("ee");
    script->collect_max = 1 + (unsigned)_i;
    world_relay();
    await_all();
    await_confirmed(world_end());
    stop();
    check_exactly_once(false);
}
END_TEST

/* ---- commits that fail, or of which nobody knows ---- */

START_TEST(commit_fails)
{
    bool applies = _i % 2 == 1;
    static const struct {
        enum sink_outcome outcome;
        enum err_code code;
    } CASES[] = {{SINK_RETRY, ERR_KAFKA_DELIVERY},
                 {SINK_RETRY, ERR_KAFKA_DOUBT},
                 {SINK_FATAL, ERR_KAFKA_FATAL},
                 {SINK_BLOCKED, ERR_KAFKA_AUTH}};
    exactly_once("commit_interval: 1ms, max_in_flight_events: 3");
    given("ee");
    given("eeeee");
    given("e");
    script->save_applies = applies;
    fail_saves(4, CASES[_i / 2].outcome, CASES[_i / 2].code);
    world_relay();
    await_all();
    stop();
    check_exactly_once(true);
    ck_assert_uint_ge(script->resets, 4);
    ck_assert_uint_ge(script->claims, script->resets);
}
END_TEST

/* The first transaction of all did not come about, and less of it is there the next time. */
START_TEST(first_commit_was_larger)
{
    exactly_once("commit_interval: 100ms");
    given("e");
    given("e");
    given("e");
    fail_saves(1, SINK_RETRY, ERR_KAFKA_DELIVERY);
    script->save_hold = true;
    world_relay();
    await(&script->saves, 1);
    ck_assert_uint_eq(script->submitted[3], 1);
    world_pause_after(4);
    script->save_hold = false;
    await_confirmed(world_end_lsn(0));
    world_pause_after(0);
    world_resume();
    await_all();
    stop();
    check_exactly_once(false);
}
END_TEST

START_TEST(server_lost_in_a_commit)
{
    bool fails = _i % 2 == 1, early = _i / 2 == 1;
    exactly_once("commit_interval: 1ms, max_in_flight_events: 2");
    given("eeeee");
    given("e");
    script->save_hold = true;
    script->save_early = early;
    world_relay();
    await(&script->saves, 1);
    world_cut();
    turns(20);
    fail_saves(fails ? 1 : 0, SINK_RETRY, ERR_KAFKA_DELIVERY);
    script->save_hold = false;
    await_all();
    stop();
    check_exactly_once(true);
}
END_TEST

START_TEST(server_lost_at_every_message)
{
    exactly_once(_i % 2 == 0 ? "commit_interval: 1ms" : "max_in_flight_events: 3");
    mixed();
    world_cut_after((unsigned)_i + 1);
    world_relay();
    await_session(1);
    world_cut_after((unsigned)(_i * 7 % (MESSAGES - 1) + 1));
    await_session(2);
    world_cut_after(0);
    await_all();
    stop();
    check_exactly_once(_i % 2 == 1);
    ck_assert_uint_eq(script->resets, 0);
    ck_assert_uint_eq(script->claims, 1);
}
END_TEST

/* ---- deliveries that fail ---- */

START_TEST(record_fails)
{
    static const struct {
        enum sink_outcome outcome;
        enum err_code code;
    } CASES[] = {{SINK_RETRY, ERR_KAFKA_DELIVERY},
                 {SINK_FATAL, ERR_KAFKA_FATAL},
                 {SINK_BLOCKED, ERR_KAFKA_AUTH}};
    exactly_once("commit_interval: 1ms, max_in_flight_events: 4");
    given("e");
    given("eeeeee");
    given("e");
    fail_records(1u << (_i / 3 + 1), CASES[_i % 3].outcome, CASES[_i % 3].code);
    world_relay();
    await(&script->resets, 3);
    script->fails = 0;
    await_all();
    stop();
    check_exactly_once(true);
}
END_TEST

/* What is refused for long is not announced as mended by the claim that follows each time. */
START_TEST(refused_for_long_is_said)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    unsigned streaming = world_said("to=streaming");
    fail_records(1u << 2, SINK_BLOCKED, ERR_KAFKA_AUTH);
    commit("e");
    await(&script->resets, 3);
    await(&script->claimed, 4);
    turns(20);
    ck_assert_uint_eq(world_said("to=streaming"), streaming);
    script->fails = 0;
    await_all();
    await_said("to=streaming", streaming + 1);
    stop();
    check_exactly_once(false);
}
END_TEST

/* The outcome was not known, and there is nothing to send again: that is no trouble any more. */
START_TEST(healthy_after_a_doubt)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    fail_saves(1, SINK_RETRY, ERR_KAFKA_DELIVERY);
    script->save_applies = true;
    world_relay();
    await_said("to=blocked", 1);
    await_said("to=streaming", 2);
    stop();
    check_exactly_once(false);
}
END_TEST

START_TEST(poison_record)
{
    static const char *const POLICY[] = {"dead_letter", "skip", "halt"};
    char delivery[96];
    unsigned place = (unsigned)_i % 4 + 2;
    snprintf(delivery, sizeof delivery, "commit_interval: 5ms, poison: %s", POLICY[_i / 4]);
    exactly_once(delivery);
    if (_i / 4 == 1)
        plan.skipped = UINT64_C(1) << place;
    given("e");
    given("eeee");
    given("e");
    fail_records(UINT64_C(1) << place, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    world_relay();
    if (_i / 4 < 2) {
        await_all();
    } else {
        ends_with(65);
        ck_assert_uint_eq(script->records, place - 1);
        script->fails = 0;
        world_relay();
        await_all();
    }
    stop();
    check_exactly_once(true);
    for (unsigned i = 0; i < script->records; i++)
        ck_assert_uint_eq(script->record[i].letter,
                          _i / 4 == 0 && script->record[i].number == place);
}
END_TEST

/* Several in one transaction: to find out about one must not forget the other. */
START_TEST(many_poison_records)
{
    static const uint64_t PLACES[] = {0x6, 0xe, 0x14, 0x3e, 0x22, 0x36};
    uint64_t places = PLACES[_i % 6];
    bool skip = _i / 6 == 1;
    exactly_once(skip ? "commit_interval: 5ms, poison: skip" : "commit_interval: 5ms");
    plan.skipped = skip ? places : 0;
    given("eeeee");
    given("e");
    fail_records(places, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    world_relay();
    await_all();
    await_confirmed(world_end());
    stop();
    check_exactly_once(true);
}
END_TEST

/* The same without transactions, where nothing stands between two that are skipped. */
START_TEST(many_skipped)
{
    at_least_once("poison: skip", "1ms");
    plan.skipped = 0x0e;
    given("eeeee");
    given("e");
    fail_records(plan.skipped, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    world_relay();
    await_confirmed(world_end());
    stop();
    for (unsigned i = 1; i <= 6; i++)
        ck_assert_uint_eq(times(i) > 0, i > 3);
}
END_TEST

START_TEST(letter_refused)
{
    exactly_once("commit_interval: 1ms");
    given("ee");
    fail_records(1u << 2, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    script->letters_fail = true;
    world_relay();
    ends_with(65);
    script->fails = 0;
    world_relay();
    await_all();
    stop();
    check_exactly_once(true);
}
END_TEST

/* ---- PostgreSQL does not finish ---- */

START_TEST(open_transaction_waits)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    given("eeee");
    world_pause_after(1 + 3 + 1 + 2);
    world_relay();
    await(&script->submitted[3], 1);
    world_pause_after(0);
    world_cut();
    await_session(2);
    await_all();
    stop();
    check_exactly_once(false);
    ck_assert_uint_eq(script->submitted[3], 1);
    ck_assert_uint_eq(script->resets, 0);
}
END_TEST

START_TEST(open_transaction_given_up)
{
    impatient("commit_interval: 1ms");
    given("e");
    given("eeee");
    world_pause_after(1 + 3 + 1 + 2);
    world_relay();
    await(&script->submitted[3], 1);
    world_pause_after(0);
    walsender_refuse(world_server, "57P03", "the database system is starting up");
    world_cut();
    await(&script->resets, 1);
    walsender_refuse(world_server, NULL, NULL);
    await_all();
    stop();
    check_exactly_once(false);
    ck_assert_uint_ge(script->submitted[3], 2);
}
END_TEST

/* The rows stop coming while the transaction is in hand: what is there is shown, the rest later. */
START_TEST(slow_transaction_is_split)
{
    impatient("commit_interval: 1ms");
    given("eeee");
    world_pause_after(4);
    world_relay();
    await(&script->positions, 1);
    world_resume();
    await_all();
    stop();
    check_exactly_once(true);
}
END_TEST

/* The server ends in an orderly way, late, while what is open waits for its rest. */
START_TEST(given_up_after_the_end)
{
    impatient("commit_interval: 10ms, drain_timeout: 100ms");
    given("e");
    given("eeee");
    world_pause_after(1 + 3 + 1 + 2);
    world_relay();
    await(&script->submitted[3], 1);
    world_pause_after(1);
    world_answer_end(false);
    world_cut();
    await_session(2);
    world_signal(SIGTERM);
    while (!walsender_copy_done(world_server))
        alive();
    world_pass(600);
    world_answer_end(true);
    ends_with(0);
    world_pause_after(0);
    world_relay();
    await_all();
    stop();
    check_exactly_once(false);
}
END_TEST

/* ---- asked to stop ---- */

START_TEST(stopped_at_every_message)
{
    exactly_once(_i % 2 == 0 ? "commit_interval: 10s" : "commit_interval: 1ms");
    mixed();
    world_pause_after((unsigned)_i + 1);
    world_relay();
    while (!world_paused())
        alive();
    world_pause_after(0);
    world_signal(SIGTERM);
    world_resume();
    ends_with(0);
    /* What was read was committed, and the end of a transaction was waited for. */
    check_positions(false);
    unsigned before = script->submitted[1];
    world_set("delivery.commit_interval=1ms");
    world_relay();
    await_all();
    stop();
    check_exactly_once(false);
    if (before > 0)
        ck_assert_uint_eq(script->submitted[1], 1);
}
END_TEST

START_TEST(stopped_in_a_commit)
{
    exactly_once("commit_interval: 1ms");
    given("ee");
    script->save_hold = true;
    world_relay();
    await(&script->saves, 1);
    world_signal(SIGTERM);
    turns(30);
    if (_i == 1)
        fail_saves(1, SINK_RETRY, ERR_KAFKA_DELIVERY);
    script->save_hold = false;
    ends_with(0);
    ck_assert_uint_eq(script->records, _i == 1 ? 0 : 2);
    world_relay();
    await_all();
    stop();
    check_exactly_once(false);
}
END_TEST

START_TEST(stopped_in_a_claim)
{
    exactly_once("");
    given("e");
    script->claim_hold = true;
    world_relay();
    await(&script->claims, 1);
    world_signal(SIGTERM);
    ends_with(0);
}
END_TEST

/* A transaction that was sent before is being passed over when the word to stop comes. */
START_TEST(stopped_while_passing_over)
{
    world_of("exactly_once", "commit_interval: 100s, drain_timeout: 10m",
             "transaction.timeout.ms: 900000", "");
    given("eee");
    world_relay();
    await(&script->submitted[3], 1);
    world_pause_after(2);
    world_cut();
    await_session(2);
    while (!world_paused())
        alive();
    turns(20);
    world_signal(SIGTERM);
    ends_with(0);
    ck_assert_uint_eq(script->records, 3);
    check_exactly_once(false);
}
END_TEST

START_TEST(stopped_twice)
{
    exactly_once("commit_interval: 1ms");
    given("ee");
    script->save_hold = true;
    world_relay();
    await(&script->saves, 1);
    world_signal(SIGTERM);
    await_said("draining", 1);
    world_signal(SIGTERM);
    ends_with(75);
    script->save_hold = false;
    world_relay();
    await_all();
    stop();
    check_exactly_once(false);
}
END_TEST

START_TEST(halted_by_a_row)
{
    exactly_once("commit_interval: 10s, poison: halt");
    given("e");
    given("eepe");
    world_relay();
    ends_with(65);
    ck_assert_uint_eq(script->records, 3);
    world_replace(1, "eeee");
    world_relay();
    await(&script->submitted[5], 1);
    stop();
    check_exactly_once(true);
}
END_TEST

/* ---- idle ---- */

START_TEST(idle_progress_is_saved_seldom)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    unsigned saves = script->saves;
    for (unsigned i = 1; i <= 30; i++) {
        world_keepalive(lsn_make(0x40000 + i * 0x100), true);
        alive();
    }
    while (walsender_status(world_server).write.value < 0x40000 + 30 * 0x100)
        alive();
    ck_assert_uint_eq(script->saves, saves);
    world_keepalive(lsn_make(0x40000 + (16u << 20)), false);
    await_confirmed(lsn_make(0x40000 + (16u << 20)));
    ck_assert_uint_eq(script->saves, saves + 1);
    commit("e");
    stop();
    ck_assert_uint_eq(script->saves, saves + 1);
}
END_TEST

/* What was heard while idle is saved when the relay stops. */
START_TEST(idle_progress_is_saved_at_the_end)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    world_keepalive(lsn_make(0x40000), true);
    while (walsender_status(world_server).write.value < 0x40000)
        alive();
    stop();
    ck_assert_uint_eq(walsender_status(world_server).flush.value, 0x40000);
    check_exactly_once(false);
}
END_TEST

START_TEST(idle_save_fails)
{
    static const char *const SYSTEM[] = {"7000000000000000001", "1", "0/F0000000", "shop"};
    struct buf reply;
    exactly_once("commit_interval: 1ms");
    buf_init(&reply, 4096);
    reply_row(&reply, ARRAY_LEN(SYSTEM), SYSTEM);
    walsender_on(world_server, "IDENTIFY_SYSTEM", &reply);
    buf_deinit(&reply);
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    fail_saves(2, SINK_RETRY, ERR_KAFKA_DELIVERY);
    script->save_applies = _i == 1;
    unsigned streaming = world_said("to=streaming");
    world_keepalive(lsn_make(0x40000 + (16u << 20)), false);
    await(&script->resets, 1);
    await_session(2);
    await_said("to=streaming", streaming + 1);
    stop();
    check_exactly_once(false);
}
END_TEST

/* ---- other instances ---- */

START_TEST(slot_in_use_at_start)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    given("e");
    another_publishes(1, true);
    unsigned epoch = script->epoch;
    slot_in_use(true, world_end_lsn(0));
    world_relay();
    while (walsender_queries(world_server, "pg_publication_rel") < 3)
        alive();
    ck_assert_uint_eq(script->claims, 0);
    ck_assert_uint_eq(script->epoch, epoch);
    slot_in_use(false, world_end_lsn(0));
    await_all();
    stop();
    check_exactly_once(false);
    ck_assert_uint_eq(script->submitted[1], 0);
}
END_TEST

START_TEST(standby_fails)
{
    exactly_once("");
    given("e");
    world_set("source.standby=fail");
    slot_in_use(true, lsn_make(WORLD_LSN_START));
    world_relay();
    ends_with(75);
    ck_assert_uint_eq(script->claims, 0);
}
END_TEST

START_TEST(fenced_and_stands_by)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    commit("e");
    script->save_hold = true;
    await(&script->submitted[2], 1);
    plan_transaction("e");
    world_transaction("e");
    another_publishes(2, true);
    slot_in_use(true, world_end_lsn(1));
    script->save_hold = false;
    unsigned asked = walsender_queries(world_server, "pg_publication_rel");
    unsigned claims = script->claims;
    while (walsender_queries(world_server, "pg_publication_rel") < asked + 2)
        alive();
    ck_assert_uint_eq(script->claims, claims);
    slot_in_use(false, world_end_lsn(1));
    await_all();
    stop();
    check_exactly_once(false);
}
END_TEST

START_TEST(fenced_and_fails)
{
    exactly_once("commit_interval: 1ms");
    world_set("source.standby=fail");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    script->epoch++;
    commit("e");
    ends_with(79);
    world_relay();
    await_all();
    stop();
    check_exactly_once(false);
}
END_TEST

START_TEST(fenced_three_times)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    commit("e");
    for (unsigned i = 0; i < 3; i++) {
        await(&script->submitted[2], i + 1);
        /* Whatever it commits was fenced before. */
        script->epoch++;
    }
    ends_with(79);
}
END_TEST

/* Another instance took over, published and went while this one was away. */
START_TEST(taken_over_meanwhile)
{
    bool transactional = _i % 2 == 0, confirmed = _i / 2 == 0;
    if (transactional)
        exactly_once("commit_interval: 1ms");
    else
        at_least_once("", "1ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    walsender_refuse(world_server, "57P03", "the database system is starting up");
    world_cut();
    given("e");
    given("e");
    another_publishes(2, transactional);
    if (confirmed)
        world_slot(world_end_lsn(1));
    walsender_refuse(world_server, NULL, NULL);
    await_all();
    stop();
    if (transactional)
        check_exactly_once(false);
    check_each_once();
    ck_assert_uint_eq(script->submitted[2] + times(2), _i == 2 ? 2 : 1);
}
END_TEST

/* The same between the question whether the slot is free and the start of the stream. */
START_TEST(taken_over_at_the_start)
{
    bool transactional = _i % 2 == 0, seen = _i / 2 == 0;
    if (transactional)
        exactly_once("commit_interval: 1ms");
    else
        at_least_once("", "1ms");
    given("e");
    given("e");
    world_refuse_start(true);
    world_relay();
    await(&script->claimed, 1);
    while (walsender_queries(world_server, "START_REPLICATION") < 1)
        alive();
    another_publishes(1, transactional);
    slot_in_use(true, world_end_lsn(0));
    unsigned asked = walsender_queries(world_server, "pg_publication_rel");
    while (seen && walsender_queries(world_server, "pg_publication_rel") < asked + 2)
        alive();
    world_refuse_start(false);
    slot_in_use(false, world_end_lsn(0));
    await_all();
    stop();
    if (transactional)
        check_exactly_once(false);
    check_each_once();
    ck_assert_uint_eq(script->submitted[1], 0);
}
END_TEST

/* The new primary lacks a transaction of which consumers saw nothing. */
START_TEST(failover_with_an_open_transaction)
{
    exactly_once(_i == 0 ? "commit_interval: 1ms" : "commit_interval: 10s");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    script->save_hold = true;
    commit("ee");
    await(&script->submitted[3], 1);
    turns(20);
    world_promote(lsn_make(world_end_lsn(0).value + 1));
    world_cut();
    await_session(2);
    script->save_hold = false;
    await_all();
    stop();
    check_exactly_once(false);
}
END_TEST

/* What consumers saw a part of, and the new primary lacks, is refused. */
START_TEST(failover_with_a_part_published)
{
    exactly_once("commit_interval: 1ms, max_in_flight_events: 2");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    commit("eeeee");
    await(&script->records, 3);
    world_promote(lsn_make(world_end_lsn(0).value + 1));
    world_cut();
    ends_with(66);
}
END_TEST

/* What was only heard of is not lost with a server that lacks it: nobody saw anything of it, and it
 * is passed anew. */
START_TEST(failover_while_idle)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    world_keepalive(lsn_make(0x80000), true);
    while (walsender_status(world_server).write.value != 0x80000)
        alive();
    world_promote(lsn_make(0x8000));
    given("e");
    world_cut();
    await_all();
    ck_assert_uint_eq(world_asked().value, world_end_lsn(0).value);
    stop();
    check_exactly_once(false);
}
END_TEST

/* ---- claims ---- */

START_TEST(claim_fails)
{
    exactly_once("commit_interval: 1ms");
    given("e");
    if (_i == 0)
        fail_claims(2, SINK_RETRY, ERR_KAFKA_CONNECT);
    else if (_i == 1)
        fail_claims(2, SINK_BLOCKED, ERR_KAFKA_AUTH);
    else
        script->claim_refused = true;
    world_relay();
    await(&script->claims, 2);
    ck_assert_uint_eq(world_said("to=streaming"), 0);
    ck_assert_uint_ge(world_said("to=blocked"), 1);
    script->claim_refused = false;
    await_all();
    await_said("to=streaming", 1);
    stop();
    check_exactly_once(false);
}
END_TEST

START_TEST(claim_fails_for_good)
{
    exactly_once("");
    given("e");
    fail_claims(1, SINK_HALT, _i == 0 ? ERR_KAFKA_UNSUPPORTED : ERR_CHECKPOINT_GONE);
    world_relay();
    ends_with(_i == 0 ? 78 : 66);
}
END_TEST

START_TEST(server_lost_in_a_claim)
{
    if (_i == 0)
        exactly_once("commit_interval: 1ms");
    else
        at_least_once("", "1ms");
    given("e");
    given("e");
    script->claim_hold = true;
    world_relay();
    await(&script->claims, 1);
    unsigned connections = walsender_connections(world_server);
    world_cut();
    turns(20);
    if (_i == 1)
        another_publishes(1, false);
    script->claim_hold = false;
    while (walsender_connections(world_server) <= connections)
        alive();
    await_all();
    stop();
    check_each_once();
}
END_TEST

/* ---- what stands in the topic ---- */

static void begin(bool transactional)
{
    if (transactional)
        exactly_once("commit_interval: 1ms");
    else
        at_least_once("", "1ms");
    given("e");
}

START_TEST(position_of_another_system)
{
    begin(_i == 0);
    struct checkpoint place = first_position();
    place.system_id++;
    place.lsn = world_end_lsn(5);
    put_position(&place);
    world_relay();
    ends_with(73);
    ck_assert_uint_eq(script->submitted[1], 0);
}
END_TEST

START_TEST(position_unreadable)
{
    begin(_i == 0);
    struct checkpoint place = first_position();
    place.lsn = lsn_make(WORLD_LSN_START);
    put_position(&place);
    script->kept[0].text[30] ^= 1;
    world_relay();
    ends_with(66);
    ck_assert_uint_eq(script->submitted[1], 0);
}
END_TEST

START_TEST(position_of_a_newer_walferry)
{
    struct kept *kept = &script->kept[0];
    begin(_i == 0);
    struct checkpoint place = first_position();
    place.lsn = lsn_make(WORLD_LSN_START);
    put_position(&place);
    char *version = strstr(kept->text, "walferry_checkpoint=2");
    ck_assert_ptr_nonnull(version);
    version[strlen("walferry_checkpoint=")] = '3';
    char sum[16];
    snprintf(sum, sizeof sum, "%08x\n", crc32c(bytes_make(kept->text, kept->len - 16)));
    memcpy(kept->text + kept->len - 9, sum, 9);
    world_relay();
    ends_with(73);
    ck_assert_uint_eq(script->submitted[1], 0);
}
END_TEST

START_TEST(position_gone)
{
    begin(true);
    world_relay();
    await_all();
    await_confirmed(world_end());
    given("ee");
    script->newest = -1;
    fail_records(4, SINK_RETRY, ERR_KAFKA_DELIVERY);
    world_cut();
    ends_with(66);
}
END_TEST

/* Somebody restored the topic. */
START_TEST(position_older)
{
    exactly_once("commit_interval: 1ms, max_in_flight_events: 2");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    given("eeeeee");
    world_pause_after(7);
    world_cut();
    await(&script->records, 5);
    while (!world_paused())
        alive();
    turns(20);
    unsigned last = script->positions - 1;
    ck_assert_uint_gt(decoded(last).partial.ordinal, 2);
    /* Of the transaction before, or of an earlier part of this one. */
    script->newest = _i == 0 ? 0 : (int)last - 1;
    fail_records(~UINT64_C(0), SINK_RETRY, ERR_KAFKA_DELIVERY);
    world_pause_after(0);
    world_resume();
    ends_with(66);
}
END_TEST

/* Without transactions it is merely written again, also when that fails at first. */
START_TEST(position_written_again)
{
    begin(false);
    world_relay();
    await_all();
    await_confirmed(world_end());
    unsigned positions = script->positions;
    if (_i == 2) {
        struct checkpoint place = first_position();
        place.system_id++;
        put_position(&place);
        positions++;
    } else {
        script->newest = -1;
    }
    fail_saves(_i == 1 ? 2 : 0, SINK_RETRY, ERR_KAFKA_DELIVERY);
    world_cut();
    await(&script->positions, positions + 1);
    ck_assert_uint_eq(decoded(positions).lsn.value, world_end().value);
    commit("e");
    await_all();
    stop();
    check_each_once();
}
END_TEST

START_TEST(slot_missing)
{
    bool transactional = _i % 2 == 0, published = _i / 2 == 0;
    struct buf reply;
    begin(transactional);
    if (published) {
        struct checkpoint place = first_position();
        place.lsn = lsn_make(WORLD_LSN_START);
        put_position(&place);
    }
    buf_init(&reply, 4096);
    reply_none(&reply, 13);
    walsender_on(world_server, "pg_replication_slots", &reply);
    buf_deinit(&reply);
    world_relay();
    ends_with(published ? 66 : 78);
    ck_assert_uint_eq(world_said("the key orders/SYSTEM_IDENTIFIER/walferry_orders"), published);
}
END_TEST

START_TEST(slot_ahead)
{
    begin(_i == 0);
    struct checkpoint place = first_position();
    place.lsn = lsn_make(WORLD_LSN_START);
    put_position(&place);
    world_slot(lsn_make(WORLD_LSN_START + 0x80));
    world_relay();
    ends_with(66);
    ck_assert_uint_eq(script->submitted[1], 0);
}
END_TEST

/* ---- positions without transactions ---- */

START_TEST(kept_without_transactions)
{
    begin(false);
    given("eue");
    world_relay();
    await_all();
    await_confirmed(world_end());
    commit("e");
    await_all();
    stop();
    ck_assert_uint_eq(walsender_status(world_server).flush.value, world_end().value);
    world_relay();
    await_session(1);
    commit("e");
    await_all();
    stop();
    check_each_once();
}
END_TEST

START_TEST(save_fails)
{
    begin(false);
    script->save_applies = _i == 1;
    fail_saves(2, SINK_RETRY, ERR_KAFKA_DELIVERY);
    if (_i == 2)
        fail_saves(2, SINK_BLOCKED, ERR_KAFKA_AUTH);
    world_relay();
    await_said("to=blocked", 1);
    commit("e");
    turns(50);
    ck_assert_uint_eq(script->submitted[2], 0);
    await_said("to=streaming", 2);
    await_all();
    stop();
    check_each_once();
    ck_assert_uint_eq(script->resets, 0);
}
END_TEST

START_TEST(save_fails_for_good)
{
    begin(false);
    fail_saves(1, SINK_HALT, ERR_KAFKA_UNSUPPORTED);
    world_relay();
    ends_with(78);
}
END_TEST

START_TEST(save_fails_and_server_is_lost)
{
    begin(false);
    fail_saves(2, SINK_RETRY, ERR_KAFKA_DELIVERY);
    world_relay();
    await_said("to=blocked", 1);
    walsender_refuse(world_server, "57P03", "the database system is starting up");
    world_cut();
    turns(20);
    given("e");
    given("e");
    if (_i == 1)
        another_publishes(2, false);
    fail_saves(0, SINK_RETRY, ERR_KAFKA_DELIVERY);
    walsender_refuse(world_server, NULL, NULL);
    await_all();
    stop();
    check_each_once();
}
END_TEST

START_TEST(drain_waits_for_the_save)
{
    at_least_once(_i == 1 ? "drain_timeout: 200ms" : "", "1ms");
    given("ee");
    script->save_hold = true;
    world_relay();
    await(&script->saves, 1);
    world_signal(SIGTERM);
    if (_i == 1) {
        ends_with(0);
        ck_assert_uint_eq(world_said("before the position was saved"), 1);
        return;
    }
    turns(100);
    script->save_hold = false;
    ends_with(0);
    world_relay();
    await_session(1);
    commit("e");
    await_all();
    stop();
    check_each_once();
}
END_TEST

/* Nobody keeps this one from writing but itself. */
START_TEST(stale_position_is_not_written)
{
    at_least_once("", "200ms");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    script->hold = true;
    commit("e");
    await(&script->submitted[2], 1);
    walsender_refuse(world_server, "57P03", "the database system is starting up");
    world_cut();
    await_said("PostgreSQL is away", 1);
    script->hold = false;
    await_all();
    unsigned positions = script->positions;
    world_pass(500);
    ck_assert_uint_eq(script->positions, positions);
    given("e");
    another_publishes(3, false);
    slot_in_use(true, world_end_lsn(1));
    walsender_refuse(world_server, NULL, NULL);
    unsigned asked = walsender_queries(world_server, "pg_publication_rel");
    while (walsender_queries(world_server, "pg_publication_rel") < asked + 2)
        alive();
    ck_assert_uint_eq(script->positions, positions + 1);
    slot_in_use(false, world_end_lsn(2));
    await_session(2);
    commit("e");
    await_all();
    stop();
    check_each_once();
    ck_assert_uint_eq(decoded(script->positions - 1).lsn.value, world_end().value);
}
END_TEST

/* A process that slept for so long that the server let it go. */
START_TEST(slept)
{
    static const char *const SETTINGS[] = {"logical", "300", "f"};
    struct buf reply;
    at_least_once("", "100ms");
    buf_init(&reply, 4096);
    reply_row(&reply, ARRAY_LEN(SETTINGS), SETTINGS);
    walsender_on(world_server, "'wal_level'", &reply);
    buf_deinit(&reply);
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    script->hold = true;
    commit("e");
    await(&script->submitted[2], 1);
    world_signal(SIGSTOP);
    world_pass_asleep(500);
    plan_transaction("e");
    world_transaction("e");
    keep_record(2, false);
    another_publishes(3, false);
    unsigned positions = script->positions;
    world_slot(world_end_lsn(2));
    script->hold = false;
    world_signal(SIGCONT);
    await_session(2);
    ck_assert_uint_eq(script->positions, positions);
    commit("e");
    await(&script->submitted[4], 1);
    stop();
    ck_assert_uint_eq(decoded(script->positions - 1).lsn.value, world_end().value);
}
END_TEST

START_TEST(garbage_is_counted)
{
    if (_i == 0)
        at_least_once("", "1ms");
    else
        exactly_once("commit_interval: 1ms");
    given("e");
    given("ex");
    world_relay();
    ends_with(76);
    ck_assert_uint_le(world_sessions(), 4);
    world_replace(1, "e");
    world_relay();
    await(&script->records, 2);
    stop();
    ck_assert_uint_eq(times(1), 1);
    ck_assert_uint_eq(times(2), 1);
}
END_TEST

START_TEST(fatal_end_is_saved)
{
    at_least_once("", "10m");
    given("e");
    world_relay();
    await_all();
    await_confirmed(world_end());
    commit("ee");
    await_all();
    turns(20);
    ck_assert_uint_eq(script->positions, 1);
    given("ex");
    script->hold = true;
    world_cut();
    ends_with(76);
    script->hold = false;
    world_replace(2, "e");
    world_relay();
    await(&script->records, 4);
    stop();
    for (unsigned i = 1; i <= 3; i++)
        ck_assert_uint_eq(times(i), 1);
}
END_TEST

/* ---- everything at once ---- */

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)(dice >> 33) % sides;
}

static void live_on(void)
{
    if (world_ended()) {
        int status = world_wait();
        ck_assert_msg(status == 0 || status == 75 || status == 79 || status == 1000 + SIGKILL,
                      "ended with %d", status);
        world_relay();
    }
    pump();
}

static void fault(void)
{
    static const enum sink_outcome OUTCOMES[] = {SINK_RETRY, SINK_FATAL, SINK_BLOCKED};
    switch (roll(12)) {
    case 0:
        world_cut();
        break;
    case 1:
        if (!world_ended())
            world_signal(SIGKILL);
        break;
    case 2:
        if (!world_ended() && world_sessions() > 0)
            world_signal(SIGTERM);
        break;
    case 3:
        script->save_applies = roll(2) == 0;
        fail_saves(1 + roll(2), OUTCOMES[roll(3)], ERR_KAFKA_DELIVERY);
        break;
    case 4:
        fail_records(UINT64_C(1) << (1 + roll(NUMBERS_MAX - 1)), OUTCOMES[roll(3)],
                     ERR_KAFKA_DELIVERY);
        break;
    case 5:
        script->save_hold = roll(2) == 0;
        break;
    case 6:
        script->hold = roll(2) == 0;
        break;
    case 7:
        script->collect_max = roll(4);
        break;
    case 8:
        script->epoch++;
        break;
    case 9:
        script->save_early = roll(2) == 0;
        break;
    case 10:
        fail_claims(1, SINK_RETRY, ERR_KAFKA_CONNECT);
        break;
    default:
        world_pause_after(roll(2) == 0 ? 0 : 1 + roll(12));
        break;
    }
}

/* The seed decides on the faults; what they hit is up to the scheduler. */
START_TEST(storm)
{
    static const char *const ROWS[] = {"e", "ee", "eue", "eeeeee", "", "de", "h", "eedke"};
    static const char *const LIMITS[] = {"commit_interval: 1ms", "max_in_flight_events: 3",
                                         "commit_interval: 20ms, max_in_flight_events: 5"};
    dice = (uint64_t)(_i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    exactly_once(LIMITS[_i % 3]);
    given("e");
    world_relay();
    for (unsigned i = 0; i < 14; i++) {
        given(ROWS[roll(ARRAY_LEN(ROWS))]);
        fault();
        if (roll(3) == 0)
            fault();
        for (unsigned n = roll(120); n > 0; n--)
            live_on();
    }
    script->fails = 0;
    script->save_failures = 0;
    script->save_hold = false;
    script->hold = false;
    script->collect_max = 0;
    world_pause_after(0);
    world_cut();
    while (script->records < plan.count || script->newest < 0)
        live_on();
    if (!world_ended())
        stop();
    check_exactly_once(true);
}
END_TEST

/* ---- the store slot ---- */

static void slot_store(void)
{
    world_of("at_least_once", "", "", "checkpoint: {store: slot, interval: 1ms}\n");
}

static void await_flush(struct lsn lsn)
{
    while (lsn_cmp(walsender_status(world_server).flush, lsn) < 0) {
        ck_assert(!world_ended());
        world_pump();
    }
}

static void await_number(unsigned number)
{
    while (times(number) == 0) {
        ck_assert_msg(!world_ended(), "the relay ended with %d", world_wait());
        world_pump();
    }
}

static void quit(void)
{
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
}

START_TEST(slot_is_the_store)
{
    slot_store();
    given("ee");
    given("e");
    world_relay();
    await_flush(world_end());
    quit();
    ck_assert_uint_eq(script->claims, 0);
    /* What the server was told when it had to crash, or all of it. */
    world_slot(world_end_lsn(_i == 0 ? 0 : 1));
    world_relay();
    while (world_sessions() < 1)
        world_pump();
    commit("e");
    await_number(4);
    quit();
    ck_assert_uint_eq(times(1), 1);
    ck_assert_uint_eq(times(3), _i == 0 ? 2 : 1);
}
END_TEST

START_TEST(slot_store_and_a_standby)
{
    slot_store();
    given("e");
    world_relay();
    await_flush(world_end());
    given("e");
    given("e");
    slot_in_use(true, world_end_lsn(0));
    world_cut();
    unsigned asked = walsender_queries(world_server, "pg_publication_rel");
    while (walsender_queries(world_server, "pg_publication_rel") < asked + 2)
        world_pump();
    keep_record(2, false);
    /* After a crash of the server its word can be older than ours. */
    world_slot(_i == 0 ? world_end_lsn(1) : lsn_make(WORLD_LSN_START));
    await_number(3);
    quit();
    ck_assert_uint_eq(times(1), 1);
    ck_assert_uint_eq(times(2), _i == 0 ? 1 : 2);
    ck_assert_uint_eq(times(3), 1);
}
END_TEST

START_TEST(slot_store_and_somebody)
{
    slot_store();
    given("e");
    world_relay();
    await_flush(world_end());
    given("e");
    world_slot(world_end_lsn(1));
    world_cut();
    ck_assert_int_eq(world_wait(), 66);
}
END_TEST

struct row {
    const TTest *test;
    int loops; /* from 1; 0: once */
};

static void add(Suite *suite, const char *name, const struct row *rows, size_t count)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < count; i++)
        tcase_add_loop_test(tcase, rows[i].test, 0, rows[i].loops);
    suite_add_tcase(suite, tcase);
}

#define ADD(suite, name, ...)                                                                      \
    do {                                                                                           \
        const struct row rows[] = {__VA_ARGS__};                                                   \
        add(suite, name, rows, ARRAY_LEN(rows));                                                   \
    } while (0)

static Suite *suite(void)
{
    Suite *suite = suite_create("relay_keep");
    ADD(suite, "transactions", {whole_transactions_are_grouped, 1}, {grouped_by_time, 1},
        {interval_waits_for_the_end, 1}, {larger_than_the_limits, 2}, {small_ones_are_not_split, 1},
        {filled_while_committing, 3}, {killed_at_every_message, MESSAGES - 1},
        {killed_around_a_commit, 2}, {reports_come_in_pieces, 3});
    ADD(suite, "commits", {commit_fails, 8}, {first_commit_was_larger, 1},
        {server_lost_in_a_commit, 4}, {server_lost_at_every_message, MESSAGES - 1});
    ADD(suite, "records", {record_fails, 18}, {refused_for_long_is_said, 1},
        {healthy_after_a_doubt, 1}, {poison_record, 12}, {many_poison_records, 12},
        {many_skipped, 1}, {letter_refused, 1});
    ADD(suite, "unfinished", {open_transaction_waits, 1}, {open_transaction_given_up, 1},
        {slow_transaction_is_split, 1}, {given_up_after_the_end, 1});
    ADD(suite, "stopped", {stopped_at_every_message, MESSAGES - 1}, {stopped_in_a_commit, 2},
        {stopped_in_a_claim, 1}, {stopped_while_passing_over, 1}, {stopped_twice, 1},
        {halted_by_a_row, 1});
    ADD(suite, "idle", {idle_progress_is_saved_seldom, 1}, {idle_progress_is_saved_at_the_end, 1},
        {idle_save_fails, 2});
    ADD(suite, "others", {slot_in_use_at_start, 1}, {standby_fails, 1}, {fenced_and_stands_by, 1},
        {fenced_and_fails, 1}, {fenced_three_times, 1}, {taken_over_meanwhile, 4},
        {taken_over_at_the_start, 4}, {failover_with_an_open_transaction, 2},
        {failover_with_a_part_published, 1}, {failover_while_idle, 1});
    ADD(suite, "claims", {claim_fails, 3}, {claim_fails_for_good, 2}, {server_lost_in_a_claim, 2});
    ADD(suite, "topic", {position_of_another_system, 2}, {position_unreadable, 2},
        {position_of_a_newer_walferry, 2}, {position_gone, 1}, {position_older, 2},
        {position_written_again, 3}, {slot_missing, 4}, {slot_ahead, 2});
    ADD(suite, "plain", {kept_without_transactions, 1}, {save_fails, 3}, {save_fails_for_good, 1},
        {save_fails_and_server_is_lost, 2}, {drain_waits_for_the_save, 2},
        {stale_position_is_not_written, 1}, {slept, 1}, {garbage_is_counted, 2},
        {fatal_end_is_saved, 1});
    ADD(suite, "storm", {storm, 24});
    ADD(suite, "slot", {slot_is_the_store, 2}, {slot_store_and_a_standby, 2},
        {slot_store_and_somebody, 1});
    return suite;
}

TEST_MAIN_SCRATCH(suite())
