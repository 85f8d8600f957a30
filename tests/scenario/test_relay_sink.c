/* SPDX-License-Identifier: Apache-2.0 */
/* A relay before a sink that follows a script: sink_ops_of() here takes the place of the table of
 * sinks. The script lies in memory that the relay's process shares with the test. */
#include "relay_world.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "../unit/scratch.h"
#include "walferry/base/assert.h"
#include "walferry/base/parse.h"
#include "walferry/sink/sink.h"

#define NUMBERS_MAX 32
#define PENDING_MAX 64

struct script {
    atomic_bool busy;   /* records are not taken */
    atomic_bool hold;   /* records are taken and not answered */
    atomic_uint poison; /* the number of a record that is not taken for good; its letter is */
    atomic_uint fails;  /* the number of a record that fails */
    atomic_uint fails_too;
    atomic_bool fails_first; /* what failed is told before what was delivered */
    atomic_int outcome;
    atomic_int code;
    atomic_bool reset_fails;
    atomic_uint refusals; /* how often a record was not taken */
    atomic_uint resets;
    atomic_uint hurried; /* records that were in flight when they were */
    atomic_uint submitted[NUMBERS_MAX];
    atomic_uint delivered[NUMBERS_MAX];
};

static struct script *script;

/* ---- the sink, in the relay's process ---- */

struct fake {
    struct sink sink;
    bool broken;
    size_t count;
    struct {
        uint64_t tag;
        unsigned number;
    } pending[PENDING_MAX];
};

static struct fake fake;

static bool fake_open(const struct sink_opts *opts, struct sink **ret_sink, struct err *err)
{
    (void)opts;
    (void)err;
    *ret_sink = &fake.sink;
    return true;
}

static void fake_close(struct sink *sink)
{
    (void)sink;
}

static int fake_fd(const struct sink *sink)
{
    (void)sink;
    return -1;
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
    ASSERT(!fake.broken && fake.count < PENDING_MAX);
    if (script->busy) {
        script->refusals++;
        return SINK_BUSY;
    }
    unsigned number = number_of(record);
    if (number == script->poison && bytes_is(record->placement.topic, "events")) {
        discard(err_set(err, ERR_ROW_TOO_LARGE, "too large"));
        return SINK_POISON;
    }
    script->submitted[number]++;
    fake.pending[fake.count].tag = tag;
    fake.pending[fake.count++].number = number;
    *ret_topic = 0;
    return SINK_TAKEN;
}

static void failures_first(struct sink_report *reports, size_t count)
{
    size_t failures = 0;
    for (size_t i = 0; i < count; i++) {
        struct sink_report report = reports[i];
        if (report.outcome == SINK_DELIVERED)
            continue;
        memmove(reports + failures + 1, reports + failures, (i - failures) * sizeof(report));
        reports[failures++] = report;
    }
}

/* Every record has a partition of its own: one that fails does not keep others. */
static size_t fake_collect(struct sink *sink, struct sink_report *reports, size_t max)
{
    (void)sink;
    ASSERT(!fake.broken && fake.count <= max);
    if (script->hold)
        return 0;
    size_t count = fake.count;
    for (size_t i = 0; i < count; i++) {
        reports[i] = (struct sink_report){.tag = fake.pending[i].tag, .outcome = SINK_DELIVERED};
        unsigned number = fake.pending[i].number;
        if (number == script->fails || number == script->fails_too) {
            reports[i].outcome = (enum sink_outcome)script->outcome;
            reports[i].code = (enum err_code)script->code;
            reports[i].error = "SCRIPTED";
        } else {
            script->delivered[fake.pending[i].number]++;
        }
    }
    if (script->fails_first)
        failures_first(reports, count);
    fake.count = 0;
    return count;
}

static bool fake_tick(struct sink *sink, uint64_t now_ns, struct err *err)
{
    (void)sink;
    (void)now_ns;
    (void)err;
    ASSERT(!fake.broken);
    return true;
}

static bool fake_reset(struct sink *sink, struct err *err)
{
    (void)sink;
    fake.count = 0;
    script->resets++;
    fake.broken = script->reset_fails;
    return !fake.broken || err_set(err, ERR_OS, "no more threads");
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
    *ret_state = (struct sink_state){.connected = !script->busy, .library = "script"};
}

static void fake_hurry(struct sink *sink, uint64_t now_ns)
{
    (void)sink;
    (void)now_ns;
    if (fake.count > 0)
        script->hurried = script->submitted[1] + script->submitted[2];
}

static size_t fake_value_max(const struct sink *sink)
{
    (void)sink;
    return 1u << 20;
}

static struct sink_ops fake_ops = {
    .name = "script",
    .open = fake_open,
    .close = fake_close,
    .fd = fake_fd,
    .submit = fake_submit,
    .collect = fake_collect,
    .tick = fake_tick,
    .reset = fake_reset,
    .hurry = fake_hurry,
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

/* ---- the test's side ---- */

static void setup(void)
{
    script = mmap(NULL, sizeof *script, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(script != MAP_FAILED);
    fake_ops.volatile_acks = false;
}

static void teardown(void)
{
    world_free();
    ck_assert_int_eq(munmap(script, sizeof *script), 0);
}

static void alive(void)
{
    ck_assert_msg(!world_ended(), "the relay ended with %d", world_wait());
    world_pump();
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

static void await_delivered(unsigned last)
{
    for (unsigned i = 1; i <= last; i++)
        await(&script->delivered[i], 1);
}

static void stop(void)
{
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
}

static void arrange(unsigned number, enum sink_outcome outcome, enum err_code code)
{
    script->outcome = (int)outcome;
    script->code = (int)code;
    script->fails = number;
}

static void expect_once(unsigned last)
{
    for (unsigned i = 1; i <= last; i++)
        ck_assert_msg(script->delivered[i] == 1, "event %u was delivered %u times", i,
                      (unsigned)script->delivered[i]);
}

/* ---- a sink that would wait for more ---- */

START_TEST(hurried_when_the_stream_is_dry)
{
    world_start("");
    world_transaction("ee");
    script->hold = true;
    world_relay();
    await(&script->hurried, 2);
    script->hold = false;
    await_delivered(2);
    stop();
}
END_TEST

/* ---- a sink that takes nothing ---- */

START_TEST(stopped_while_busy)
{
    world_start("delivery: {drain_timeout: 100ms}\n");
    world_transaction("ee");
    script->busy = true;
    world_relay();
    await(&script->refusals, 1);
    stop();
    ck_assert_uint_le(walsender_status(world_server).flush.value, WORLD_LSN_START);
}
END_TEST

START_TEST(server_away_while_busy)
{
    world_start("");
    world_transaction("ee");
    world_transaction("e");
    script->busy = true;
    world_relay();
    await(&script->refusals, 1);
    world_cut();
    await_session(2);
    script->busy = false;
    await_delivered(3);
    stop();
    expect_once(3);
}
END_TEST

/* Or the server would take the relay for dead. */
START_TEST(statuses_while_busy)
{
    world_start("");
    world_transaction("ee");
    script->busy = true;
    world_relay();
    await(&script->refusals, 1);
    unsigned before = walsender_status(world_server).count;
    world_pass(60000);
    ck_assert_uint_gt(walsender_status(world_server).count, before);
    ck_assert_uint_eq(world_sessions(), 1);
    script->busy = false;
    await_delivered(2);
    stop();
    expect_once(2);
}
END_TEST

START_TEST(server_away_while_full)
{
    world_start("delivery: {max_in_flight_events: 2}\n");
    world_transaction("eeee");
    script->hold = true;
    world_relay();
    await(&script->submitted[2], 1);
    world_cut();
    await_session(2);
    script->hold = false;
    await_delivered(4);
    stop();
    expect_once(4);
}
END_TEST

/* ---- a sink that fails ---- */

START_TEST(failure_after_the_end)
{
    world_start("delivery: {drain_timeout: 100ms}\n");
    world_transaction("ee");
    script->hold = true;
    world_answer_end(false);
    world_relay();
    await(&script->submitted[2], 1);
    world_signal(SIGTERM);
    while (!walsender_copy_done(world_server))
        alive();
    arrange(1, SINK_RETRY, ERR_KAFKA_DELIVERY);
    script->hold = false;
    await(&script->delivered[2], 1);
    world_answer_end(true);
    ck_assert_int_eq(world_wait(), 0);
}
END_TEST

static bool logged(const char *text)
{
    static char log[1u << 16];
    char path[160];
    snprintf(path, sizeof path, "%s/log", world_directory);
    FILE *file = fopen(path, "r");
    size_t len = file == NULL ? 0 : fread(log, 1, sizeof log - 1, file);
    if (file != NULL)
        (void)fclose(file);
    log[len] = '\0';
    return strstr(log, text) != NULL;
}

/* The server sends no more, and what is awaited then fails: nothing brings it again. */
START_TEST(failure_while_halting)
{
    struct buf error;
    world_start("");
    world_transaction("ee");
    script->hold = true;
    world_relay();
    await(&script->submitted[2], 1);
    buf_init(&error, 4096);
    reply_error(&error, "42704", "publication \"walferry_orders\" does not exist");
    reply_ready(&error);
    walsender_send(world_server, &error);
    buf_deinit(&error);
    while (!logged("draining"))
        alive();
    arrange(1, SINK_RETRY, ERR_KAFKA_DELIVERY);
    script->hold = false;
    ck_assert_int_eq(world_wait(), 66);
}
END_TEST

/* A relay that halts is asked to stop, once or twice: why it halts is what it ends with. */
START_TEST(signals_while_halting)
{
    struct buf error;
    world_start("");
    world_transaction("ee");
    script->hold = true;
    world_relay();
    await(&script->submitted[2], 1);
    buf_init(&error, 4096);
    reply_error(&error, "42704", "publication \"walferry_orders\" does not exist");
    reply_ready(&error);
    walsender_send(world_server, &error);
    buf_deinit(&error);
    while (!logged("draining"))
        alive();
    world_signal(_i % 2 == 0 ? SIGTERM : SIGINT);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert(!world_ended());
        world_step();
    }
    if (_i / 2 == 0)
        script->hold = false;
    else
        world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 66);
    ck_assert_uint_eq(world_said("walferry ends"), 1);
    ck_assert(logged("WF-3007") && !logged("WF-9004"));
    struct lsn safe = _i / 2 == 0 ? world_end() : lsn_make(WORLD_LSN_START);
    ck_assert_uint_le(walsender_status(world_server).flush.value, safe.value);
    for (unsigned i = 1; i <= 2; i++)
        ck_assert_uint_eq(script->delivered[i], _i / 2 == 0);
}
END_TEST

/* While one record is refused, those behind it are not sent again and again. */
START_TEST(refused_for_long)
{
    static const enum sink_outcome OUTCOMES[] = {SINK_BLOCKED, SINK_RETRY, SINK_FATAL};
    world_start("");
    world_transaction("eooo");
    world_transaction("o");
    arrange(1, OUTCOMES[_i], ERR_KAFKA_DELIVERY);
    world_relay();
    await(&script->submitted[1], 5);
    for (unsigned i = 2; i <= 5; i++)
        ck_assert_msg(script->submitted[i] <= 2, "event %u was sent %u times", i,
                      (unsigned)script->submitted[i]);
    script->fails = 0;
    await_delivered(5);
    stop();
    ck_assert_uint_eq(script->delivered[1], 1);
}
END_TEST

/* What passes, by its outcome, does so whatever the error's class is elsewhere. */
START_TEST(disk_full)
{
    world_start("");
    world_transaction("ee");
    arrange(1, SINK_RETRY, ERR_SINK_WRITE);
    world_relay();
    await(&script->submitted[1], 3);
    script->fails = 0;
    await_delivered(2);
    stop();
    ck_assert_uint_ge(script->resets, 2);
}
END_TEST

/* Partitions answer in any order: what was delivered stays so, though a later record had failed
 * before. */
START_TEST(delivered_together_with_a_failure)
{
    world_start("");
    world_transaction("eee");
    script->hold = true;
    script->fails_first = true;
    arrange(3, SINK_RETRY, ERR_KAFKA_DELIVERY);
    world_relay();
    await(&script->submitted[3], 1);
    script->hold = false;
    await(&script->submitted[3], 2);
    script->fails = 0;
    await_delivered(3);
    stop();
    ck_assert_uint_eq(script->delivered[1], 1);
    ck_assert_uint_eq(script->delivered[2], 1);
}
END_TEST

START_TEST(reset_fails)
{
    world_start("");
    world_transaction("ee");
    script->reset_fails = true;
    arrange(1, SINK_RETRY, ERR_KAFKA_DELIVERY);
    world_relay();
    ck_assert_int_eq(world_wait(), 71);
}
END_TEST

START_TEST(poison_alone_twice)
{
    world_start("delivery: {poison: skip}\n");
    world_transaction("eee");
    world_transaction("e");
    arrange(2, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    world_relay();
    await_delivered(1);
    await(&script->delivered[4], 2);
    stop();
    ck_assert_uint_eq(script->submitted[2], 3);
    ck_assert_uint_eq(script->delivered[2], 0);
    ck_assert_uint_eq(script->delivered[1], 1);
}
END_TEST

/* The second one is found behind the first, which is not offered again then. */
START_TEST(poison_twice_in_a_row)
{
    world_start("delivery: {poison: skip}\n");
    world_transaction("eeee");
    arrange(2, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    script->fails_too = 3;
    world_relay();
    await(&script->delivered[4], 2);
    stop();
    ck_assert_uint_eq(script->submitted[2], 3);
    ck_assert_uint_le(script->submitted[3], 4);
    ck_assert_uint_eq(script->delivered[2], 0);
    ck_assert_uint_eq(script->delivered[3], 0);
    ck_assert_uint_eq(script->delivered[1], 1);
}
END_TEST

/* At every place of a transaction, while the records before it are in flight. */
START_TEST(poison_of_the_sink)
{
    unsigned place = (unsigned)_i % 4 + 1;
    bool letter = _i / 4 == 0, skip = _i / 4 == 1;
    world_start(letter ? "" : skip ? "delivery: {poison: skip}\n" : "delivery: {poison: halt}\n");
    world_transaction("eeee");
    world_transaction("e");
    script->poison = place;
    script->hold = true;
    world_relay();
    if (letter || skip) {
        await(&script->submitted[5], 1);
        script->hold = false;
        await(&script->delivered[5], 1);
        stop();
        for (unsigned i = 1; i <= 5; i++)
            ck_assert_uint_eq(script->delivered[i], i != place || letter);
        ck_assert_uint_eq(walsender_status(world_server).flush.value, world_end().value);
        return;
    }
    if (place > 1)
        await(&script->submitted[place - 1], 1);
    script->hold = false;
    ck_assert_int_eq(world_wait(), 65);
    for (unsigned i = 1; i <= 5; i++)
        ck_assert_uint_eq(script->delivered[i], i < place);
    script->poison = 0;
    world_relay();
    await_delivered(5);
    stop();
    expect_once(5);
}
END_TEST

/* ---- other servers ---- */

START_TEST(temporary_slot_in_flight)
{
    world_start("");
    world_transaction("ee");
    world_transaction("e");
    fake_ops.volatile_acks = true;
    script->hold = true;
    world_pause_after(5);
    world_relay();
    await(&script->submitted[2], 1);
    world_pause_after(0);
    world_slot(lsn_make(0x1180));
    world_cut();
    await_session(2);
    await(&script->submitted[3], 1);
    script->hold = false;
    await_delivered(3);
    stop();
    expect_once(3);
}
END_TEST

START_TEST(diverged_after_a_replay)
{
    world_start("");
    world_transaction("ee");
    script->hold = true;
    world_relay();
    await(&script->submitted[2], 1);
    world_promote(lsn_make(0x1080));
    arrange(1, SINK_RETRY, ERR_KAFKA_DELIVERY);
    script->hold = false;
    ck_assert_int_eq(world_wait(), 66);
    ck_assert_uint_eq(script->submitted[1], 1);
}
END_TEST

/* The commit record at the fork itself is of the lost branch. */
START_TEST(diverged_at_the_commit)
{
    world_start("");
    world_transaction("e");
    script->hold = true;
    world_relay();
    await(&script->submitted[1], 1);
    world_promote(lsn_make(WORLD_LSN_START + 0x100));
    world_cut();
    ck_assert_int_eq(world_wait(), 66);
}
END_TEST

/* A position that was only heard of counts too: what the new branch commits before it would be
 * skipped. */
START_TEST(diverged_while_idle)
{
    world_start("checkpoint: {interval: 10m}\n");
    world_transaction("e");
    world_relay();
    await_delivered(1);
    while (walsender_status(world_server).flush.value != world_end().value)
        alive();
    world_keepalive(lsn_make(0x80000), true);
    while (walsender_status(world_server).write.value != 0x80000)
        alive();
    world_promote(lsn_make(0x8000));
    world_cut();
    ck_assert_int_eq(world_wait(), 66);
    /* Nor does a new process forget it. */
    world_relay();
    ck_assert_int_eq(world_wait(), 66);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("relay_sink");
    TCase *busy = tcase_create("busy");
    tcase_add_checked_fixture(busy, setup, teardown);
    tcase_set_timeout(busy, 30);
    tcase_add_test(busy, stopped_while_busy);
    tcase_add_test(busy, server_away_while_busy);
    tcase_add_test(busy, statuses_while_busy);
    tcase_add_test(busy, server_away_while_full);
    tcase_add_test(busy, hurried_when_the_stream_is_dry);
    suite_add_tcase(suite, busy);
    TCase *failing = tcase_create("failing");
    tcase_add_checked_fixture(failing, setup, teardown);
    tcase_set_timeout(failing, 30);
    tcase_add_test(failing, failure_after_the_end);
    tcase_add_test(failing, failure_while_halting);
    tcase_add_loop_test(failing, signals_while_halting, 0, 4);
    tcase_add_loop_test(failing, refused_for_long, 0, 3);
    tcase_add_test(failing, disk_full);
    tcase_add_test(failing, delivered_together_with_a_failure);
    tcase_add_test(failing, reset_fails);
    tcase_add_test(failing, poison_alone_twice);
    tcase_add_test(failing, poison_twice_in_a_row);
    tcase_add_loop_test(failing, poison_of_the_sink, 0, 12);
    suite_add_tcase(suite, failing);
    TCase *servers = tcase_create("servers");
    tcase_add_checked_fixture(servers, setup, teardown);
    tcase_set_timeout(servers, 30);
    tcase_add_test(servers, temporary_slot_in_flight);
    tcase_add_test(servers, diverged_after_a_replay);
    tcase_add_test(servers, diverged_at_the_commit);
    tcase_add_test(servers, diverged_while_idle);
    suite_add_tcase(suite, servers);
    return suite;
}

TEST_MAIN_SCRATCH(suite())
