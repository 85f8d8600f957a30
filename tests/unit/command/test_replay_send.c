/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery of a replay against a sink that does as it is told. */
#include "replay_send.h"

#include <stdio.h>

#include "test.h"
#include "walferry/base/clock.h"

#define TIMEOUT_MS 1000
#define FLIGHTS    16

struct fake {
    struct sink sink; /* first */
    uint64_t tags[FLIGHTS];
    struct sink_report reports[FLIGHTS];
    size_t submitted;
    size_t reported;
    unsigned resets;
    enum sink_result result;
    enum err_code result_code;
    enum err_code reset_code;
    bool tick_fails;
    bool connected;
};

static struct fake fake;
static struct replay_send send;
static struct config config;
static struct err err;
static uint64_t now_ns;

static void fake_close(struct sink *sink)
{
    (void)sink;
}

static int fake_fd(const struct sink *sink)
{
    (void)sink;
    return -1;
}

static enum sink_result fake_submit(struct sink *sink, const struct record *record, uint64_t tag,
                                    uint32_t *ret_topic, struct err *ret_err)
{
    (void)sink;
    (void)record;
    if (fake.result == SINK_TAKEN) {
        ck_assert_uint_lt(fake.submitted, FLIGHTS);
        fake.tags[fake.submitted++] = tag;
        *ret_topic = 0;
    } else if (fake.result != SINK_BUSY) {
        discard(err_set(ret_err, fake.result_code, "said so"));
    }
    return fake.result;
}

static size_t fake_collect(struct sink *sink, struct sink_report *reports, size_t max)
{
    size_t count = fake.reported;
    (void)sink;
    ck_assert_uint_le(count, max);
    memcpy(reports, fake.reports, count * sizeof(reports[0]));
    fake.reported = 0;
    return count;
}

static bool fake_tick(struct sink *sink, uint64_t at_ns, struct err *ret_err)
{
    (void)sink;
    (void)at_ns;
    return !fake.tick_fails || err_set(ret_err, ERR_KAFKA_FATAL, "the producer is gone");
}

static bool fake_reset(struct sink *sink, struct err *ret_err)
{
    (void)sink;
    fake.resets++;
    fake.submitted = 0;
    fake.reported = 0;
    return fake.reset_code == ERR_NONE || err_set(ret_err, fake.reset_code, "no reset");
}

static void fake_state(const struct sink *sink, struct sink_state *ret_state)
{
    (void)sink;
    *ret_state = (struct sink_state){.connected = fake.connected, .detail = "it waits"};
}

static size_t fake_value_max(const struct sink *sink)
{
    (void)sink;
    return 5000;
}

static const struct sink_ops fake_ops = {
    .name = "fake",
    .close = fake_close,
    .fd = fake_fd,
    .submit = fake_submit,
    .collect = fake_collect,
    .tick = fake_tick,
    .reset = fake_reset,
    .state = fake_state,
    .value_max = fake_value_max,
};

static void setup(void)
{
    config =
        (struct config){.delivery = {.max_in_flight_events = 4, .max_in_flight_bytes = 1 << 20}};
    config.sink.kind = SINK_STDOUT;
    config.sink.pipeline = "p";
    config.sink.transactional = true;
    config.sink.position_topic = "positions";
    config.sink.max_records = 4;
    config.sink.max_bytes = 1 << 20;
    fake = (struct fake){.sink.ops = &fake_ops, .connected = true};
    now_ns = NS_PER_S;
    err = ERR_INIT;
    ck_assert_msg(replay_send_open(&send, &config, TIMEOUT_MS, &err), "%s", err.message);
    send.sink->ops->close(send.sink);
    send.sink = &fake.sink;
    replay_send_begin(&send);
}

static void teardown(void)
{
    replay_send_close(&send);
}

static enum send_outcome turn(bool waiting)
{
    return replay_send_turn(&send, now_ns, waiting, &err);
}

static enum send_outcome offer(uint32_t row, bool dead_letter)
{
    static struct record record;
    char id[16];
    snprintf(id, sizeof(id), "e-%u", row);
    const struct replay_mark mark = {.row = row, .id = id, .dead_letter = dead_letter};
    return replay_send_offer(&send, &record, &mark, &err);
}

static void offer_rows(uint32_t from, uint32_t to)
{
    for (uint32_t row = from; row <= to; row++) {
        ck_assert(replay_send_room(&send));
        ck_assert_int_eq(offer(row, false), SEND_DONE);
    }
}

static void report(size_t number, enum sink_outcome outcome, enum err_code code)
{
    fake.reports[fake.reported++] = (struct sink_report){
        .tag = fake.tags[number],
        .outcome = outcome,
        .code = code,
        .error = outcome == SINK_DELIVERED ? NULL : "SAID_SO",
    };
}

static void deliver(size_t number)
{
    report(number, SINK_DELIVERED, ERR_NONE);
}

START_TEST(it_is_no_part_of_the_chain)
{
    ck_assert(!send.opts.transactional);
    ck_assert_ptr_null(send.opts.position_topic);
}
END_TEST

START_TEST(what_is_acknowledged_without_a_gap_counts)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 3);
    ck_assert(!replay_send_room(&send));
    deliver(2);
    deliver(0);
    ck_assert_int_eq(turn(false), SEND_DONE);
    ck_assert_uint_eq(replay_send_done(&send), 1);
    ck_assert_uint_eq(send.published, 1);
    ck_assert_str_eq(send.last.id, "e-0");
    deliver(1);
    ck_assert_int_eq(turn(false), SEND_DONE);
    ck_assert_uint_eq(replay_send_done(&send), 3);
    ck_assert_uint_eq(send.published, 3);
    ck_assert_str_eq(send.last.id, "e-2");
    deliver(3);
    ck_assert_int_eq(turn(false), SEND_DONE);
    ck_assert(replay_send_quiet(&send));
}
END_TEST

START_TEST(the_next_table_counts_from_its_first_row)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 1);
    deliver(0);
    deliver(1);
    ck_assert_int_eq(turn(false), SEND_DONE);
    replay_send_end(&send);
    replay_send_begin(&send);
    ck_assert_uint_eq(replay_send_done(&send), 0);
    offer_rows(0, 0);
    deliver(2);
    ck_assert_int_eq(turn(false), SEND_DONE);
    ck_assert_uint_eq(replay_send_done(&send), 1);
    ck_assert_uint_eq(send.published, 3);
}
END_TEST

START_TEST(a_failure_takes_back_what_is_not_acknowledged)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 3);
    deliver(0);
    report(1, SINK_RETRY, ERR_KAFKA_DELIVERY);
    deliver(2);
    ck_assert_int_eq(turn(false), SEND_AGAIN);
    ck_assert_uint_eq(fake.resets, 1);
    ck_assert_uint_eq(replay_send_done(&send), 1);
    /* Not at once, and then one at a time until the place is passed. */
    ck_assert(!replay_send_room(&send));
    now_ns += NS_PER_S;
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(1, 1);
    ck_assert(!replay_send_room(&send));
    deliver(0);
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(2, 3);
    deliver(1);
    deliver(2);
    ck_assert_int_eq(turn(false), SEND_DONE);
    /* Counted once, though it was acknowledged twice. */
    ck_assert_uint_eq(send.published, 4);
}
END_TEST

START_TEST(what_the_broker_refuses_alone_and_twice_is_rejected)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 1);
    report(1, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    ck_assert_int_eq(turn(false), SEND_AGAIN);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_ptr_null(replay_send_rejected(&send, 0));
        now_ns += 5 * NS_PER_S / 10;
        ck_assert_int_eq(turn(false), SEND_DONE);
        offer_rows(0, 0);
        report(0, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
        ck_assert_int_eq(turn(false), SEND_AGAIN);
    }
    ck_assert_str_eq(replay_send_rejected(&send, 0), "SAID_SO");
    ck_assert_ptr_null(replay_send_rejected(&send, 1));
    ck_assert_uint_eq(replay_send_letter_max(&send, 0), 5000);
    now_ns += 9 * NS_PER_S / 10;
    ck_assert_int_eq(turn(false), SEND_DONE);
    ck_assert_int_eq(offer(0, true), SEND_DONE);
    deliver(0);
    ck_assert_int_eq(turn(false), SEND_DONE);
    ck_assert_uint_eq(send.dead_letters, 1);
    ck_assert_uint_eq(send.published, 0);
}
END_TEST

START_TEST(it_gives_up_when_nothing_moves)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 0);
    now_ns += (TIMEOUT_MS - 1) * NS_PER_MS;
    ck_assert_int_eq(turn(false), SEND_DONE);
    now_ns += NS_PER_MS;
    ck_assert_int_eq(turn(false), SEND_FAILED);
    ck_assert_int_eq(err_exit_status(err.code), 69);
    ck_assert_msg(strstr(err.message, "nothing moved for 1000 ms: it waits") != NULL, "%s",
                  err.message);
}
END_TEST

/* Reading may take as long as it does: only what waits for the sink counts. */
START_TEST(without_anything_to_send_no_time_passes)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    now_ns += 1000 * NS_PER_S;
    ck_assert_int_eq(turn(false), SEND_DONE);
    now_ns += 1000 * NS_PER_S;
    ck_assert_int_eq(turn(true), SEND_FAILED);
}
END_TEST

START_TEST(it_gives_up_with_what_was_wrong_last)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 0);
    report(0, SINK_BLOCKED, ERR_KAFKA_AUTH);
    ck_assert_int_eq(turn(false), SEND_AGAIN);
    now_ns += TIMEOUT_MS * NS_PER_MS;
    ck_assert_int_eq(turn(true), SEND_FAILED);
    ck_assert_int_eq(err.code, ERR_KAFKA_AUTH);
    ck_assert_int_eq(err_exit_status(err.code), 77);
}
END_TEST

START_TEST(progress_begins_the_time_anew)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 3);
    for (size_t i = 0; i < 4; i++) {
        now_ns += (TIMEOUT_MS - 1) * NS_PER_MS;
        deliver(i);
        ck_assert_int_eq(turn(false), SEND_DONE);
    }
}
END_TEST

START_TEST(what_can_never_be_published_is_said)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    fake.result = SINK_POISON;
    fake.result_code = ERR_ROW_TOO_LARGE;
    ck_assert_int_eq(offer(0, false), SEND_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_TOO_LARGE);
    ck_assert(replay_send_quiet(&send));
    fake.result = SINK_BUSY;
    ck_assert_int_eq(offer(0, false), SEND_BUSY);
    fake.result = SINK_FAIL;
    fake.result_code = ERR_KAFKA_FATAL;
    ck_assert_int_eq(offer(0, false), SEND_AGAIN);
    ck_assert_uint_eq(fake.resets, 1);
    now_ns += NS_PER_S / 2;
    ck_assert_int_eq(turn(true), SEND_DONE);
    fake.result_code = ERR_KAFKA_UNSUPPORTED;
    ck_assert_int_eq(offer(0, false), SEND_FAILED);
    ck_assert_int_eq(err.code, ERR_KAFKA_UNSUPPORTED);
}
END_TEST

START_TEST(a_sink_that_cannot_be_reset_ends_it)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 0);
    fake.reset_code = ERR_OS;
    report(0, SINK_FATAL, ERR_KAFKA_FATAL);
    ck_assert_int_eq(turn(false), SEND_FAILED);
    ck_assert_int_eq(err.code, ERR_OS);
}
END_TEST

START_TEST(a_producer_that_dies_at_rest_is_replaced)
{
    fake.tick_fails = true;
    ck_assert_int_eq(turn(false), SEND_AGAIN);
    ck_assert_uint_eq(fake.resets, 1);
}
END_TEST

START_TEST(a_halt_of_the_sink_ends_it)
{
    ck_assert_int_eq(turn(false), SEND_DONE);
    offer_rows(0, 0);
    report(0, SINK_HALT, ERR_KAFKA_UNSUPPORTED);
    ck_assert_int_eq(turn(false), SEND_FAILED);
    ck_assert_int_eq(err.code, ERR_KAFKA_UNSUPPORTED);
    ck_assert_uint_eq(fake.resets, 0);
}
END_TEST

static Suite *suite_of_replay_send(void)
{
    Suite *suite = suite_create("replay_send");
    TCase *tcase = tcase_create("replay_send");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, it_is_no_part_of_the_chain);
    tcase_add_test(tcase, what_is_acknowledged_without_a_gap_counts);
    tcase_add_test(tcase, the_next_table_counts_from_its_first_row);
    tcase_add_test(tcase, a_failure_takes_back_what_is_not_acknowledged);
    tcase_add_test(tcase, what_the_broker_refuses_alone_and_twice_is_rejected);
    tcase_add_test(tcase, it_gives_up_when_nothing_moves);
    tcase_add_test(tcase, without_anything_to_send_no_time_passes);
    tcase_add_test(tcase, it_gives_up_with_what_was_wrong_last);
    tcase_add_test(tcase, progress_begins_the_time_anew);
    tcase_add_test(tcase, what_can_never_be_published_is_said);
    tcase_add_test(tcase, a_sink_that_cannot_be_reset_ends_it);
    tcase_add_test(tcase, a_producer_that_dies_at_rest_is_replaced);
    tcase_add_test(tcase, a_halt_of_the_sink_ends_it);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_replay_send())
