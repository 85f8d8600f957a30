/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions against the cluster that librdkafka carries inside, for the errors alone: what
 * becomes visible and when is proven against Kafka, by tests/e2e/test_transactions.c.
 */
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdio.h>

#include "test.h"
#include "walferry/base/clock.h"
#include "walferry/sink/kafka.h"

/* ApiKeys */
#define PRODUCE          0
#define INIT_PRODUCER_ID 22
#define ADD_PARTITIONS   24
#define END_TXN          26
#define TURNS            600 /* of 100 ms at most: a test that hangs fails */

/* As in test_kafka.c. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:librdkafka.so\n";
}

static const struct sink_identity identity = {"test", 7, "slot"};
static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;
static struct property properties[5];
static struct sink_opts opts;
static const struct sink_ops *ops;
static struct sink *sink;
static struct err err;
static struct record record;
static struct sink_report reports[100];
static size_t report_count;

static void setup(void)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof(reason));
    host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    ck_assert_ptr_nonnull(host);
    cluster = rd_kafka_mock_cluster_new(host, 1);
    ck_assert_ptr_nonnull(cluster);
    properties[0] =
        (struct property){"bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), false};
    properties[1] = (struct property){"retry.backoff.ms", "1", false};
    properties[2] = (struct property){"reconnect.backoff.max.ms", "100", false};
    properties[3] = (struct property){"transaction.timeout.ms", "30000", false};
    opts = (struct sink_opts){.kind = SINK_KAFKA,
                              .pipeline = "test",
                              .properties = properties,
                              .property_count = 4,
                              .topics_create = true,
                              .topics_partitions = -1,
                              .topics_replication = -1,
                              .topics_max = 10,
                              .topics_wait_ms = 100,
                              .max_records = 1000,
                              .max_bytes = 1 << 20,
                              .mock = true,
                              .transactional = true,
                              .position_topic = "positions"};
    ops = sink_ops_of(SINK_KAFKA);
    sink = NULL;
    record = (struct record){
        .placement = {.topic = BYTES_LIT("orders"), .partition = 0, .key = BYTES_LIT("k")},
        .value = BYTES_LIT("v"),
        .timestamp_ms = 1700000000123};
}

static void teardown(void)
{
    ops->close(sink);
}

static void open_sink(void)
{
    ck_assert_msg(ops->open(&opts, &sink, &err), "%s", err.message);
}

/* What comes, after what came before. */
static void turn(void)
{
    struct pollfd wait = {.fd = ops->fd(sink), .events = POLLIN};
    poll(&wait, 1, 100);
    report_count += ops->collect(sink, reports + report_count, ARRAY_LEN(reports) - report_count);
}

static const struct sink_report *find(enum sink_report_kind kind, bool failure)
{
    for (size_t i = 0; i < report_count; i++) {
        if (reports[i].kind == kind && (!failure || reports[i].outcome != SINK_DELIVERED)) {
            return &reports[i];
        }
    }
    return NULL;
}

static const struct sink_report *await(enum sink_report_kind kind, bool failure)
{
    for (int i = 0; i < TURNS && find(kind, failure) == NULL; i++) {
        turn();
    }
    ck_assert_ptr_nonnull(find(kind, failure));
    return find(kind, failure);
}

static void expect(const struct sink_report *report, enum sink_outcome outcome, enum err_code code)
{
    ck_assert_msg(report->outcome == outcome && report->code == code, "outcome %d %s (%s)",
                  (int)report->outcome, err_name(report->code), report->error);
}

static const char *detail(void)
{
    static struct sink_state state;
    ops->state(sink, &state);
    return state.detail;
}

static void begin_claim(void)
{
    report_count = 0;
    ck_assert_msg(ops->claim(sink, &identity, &err), "%s", err.message);
}

static void claim(void)
{
    begin_claim();
    expect(await(REPORT_CLAIMED, false), SINK_DELIVERED, ERR_NONE);
    report_count = 0;
}

static void open_claimed(void)
{
    open_sink();
    claim();
}

static void submit(uint64_t tag)
{
    uint32_t topic;
    enum sink_result result = SINK_BUSY;
    for (int i = 0; i < TURNS && result == SINK_BUSY; i++) {
        result = ops->submit(sink, &record, tag, &topic, &err);
        if (result == SINK_BUSY) {
            turn();
        }
    }
    ck_assert_msg(result == SINK_TAKEN, "%d: %s", (int)result, err.message);
}

static uint64_t pending(void)
{
    struct sink_state state;
    ops->state(sink, &state);
    return state.pending;
}

/* A transactional sink takes it at once, another may have to ask for the topic first. */
static void save(void)
{
    enum sink_result result = ops->save(sink, BYTES_LIT("position"), &err);
    for (int i = 0; i < TURNS && !opts.transactional && result == SINK_BUSY; i++) {
        turn();
        result = ops->save(sink, BYTES_LIT("position"), &err);
    }
    ck_assert_msg(result == SINK_TAKEN, "%d: %s", (int)result, err.message);
}

static void saved(void)
{
    save();
    expect(await(REPORT_SAVED, false), SINK_DELIVERED, ERR_NONE);
}

/* Housekeeping fails, soon. */
static void until_tick_fails(enum err_code code)
{
    bool ok = true;
    for (int i = 0; i < TURNS && ok; i++) {
        ok = ops->tick(sink, clock_mono_ns(), &err);
        if (ok) {
            turn();
        }
    }
    ck_assert(!ok);
    ck_assert_msg(err.code == code, "%s: %s", err_name(err.code), err.message);
    ck_assert_str_ne(err.hint, "");
}

START_TEST(before_a_claim_nothing_is_taken)
{
    uint32_t topic;
    open_sink();
    ck_assert_int_eq(ops->submit(sink, &record, 1, &topic, &err), SINK_BUSY);
    ck_assert_int_eq(ops->save(sink, BYTES_LIT("p"), &err), SINK_BUSY);
    ck_assert(ops->tick(sink, clock_mono_ns(), &err));
    ck_assert(ops->reset(sink, &err));
    ck_assert_uint_gt(ops->value_max(sink), 500000);
    ck_assert(!bytes_present(ops->position(sink)));
    turn();
    ck_assert_uint_eq(report_count, 0);
}
END_TEST

START_TEST(what_breaks_a_promise_does_not_open_and_what_cannot_start_fails_the_claim)
{
    properties[4] = (struct property){"acks", "1", false};
    opts.property_count = 5;
    ck_assert(!ops->open(&opts, &sink, &err));
    ck_assert_int_eq(err.code, ERR_KAFKA_CONFIG);
    sink = NULL;
    properties[4] = (struct property){"ssl.ca.location", "/nonexistent", false};
    properties[1] = (struct property){"security.protocol", "ssl", false};
    open_sink();
    ck_assert(!ops->claim(sink, &identity, &err));
    ck_assert_int_eq(err.code, ERR_KAFKA_CONFIG);
    ck_assert(!ops->claim(sink, &identity, &err));
}
END_TEST

START_TEST(records_are_reported_in_order_before_their_save_in_any_portions)
{
    open_claimed();
    for (uint64_t tag = 11; tag < 31; tag++) {
        submit(tag);
    }
    save();
    ck_assert_int_eq(ops->save(sink, BYTES_LIT("p"), &err), SINK_BUSY);
    uint64_t expected = 11;
    bool is_saved = false;
    for (int i = 0; i < TURNS && !is_saved; i++) {
        struct pollfd wait = {.fd = ops->fd(sink), .events = POLLIN};
        poll(&wait, 1, 100);
        struct sink_report report[3];
        size_t count = ops->collect(sink, report, 3);
        for (size_t j = 0; j < count; j++) {
            ck_assert(!is_saved);
            ck_assert_int_eq(report[j].outcome, SINK_DELIVERED);
            is_saved = report[j].kind == REPORT_SAVED;
            ck_assert(is_saved || report[j].tag == expected++);
        }
    }
    ck_assert(is_saved);
    ck_assert_uint_eq(expected, 31);
    submit(31);
    saved();
    ck_assert(ops->tick(sink, clock_mono_ns(), &err));
}
END_TEST

static const struct {
    int code;
    enum sink_outcome outcome;
    enum err_code err;
    const char *hint;
} claims[] = {
    {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, SINK_DELIVERED, ERR_NONE, ""},
    {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, SINK_DELIVERED, ERR_NONE, ""},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, SINK_BLOCKED, ERR_KAFKA_AUTH,
     "--transactional-id walferry-test-7-slot"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, SINK_BLOCKED, ERR_KAFKA_AUTH, "kafka-acls.sh"},
    {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, SINK_HALT, ERR_KAFKA_CONFIG,
     "transaction.max.timeout.ms"},
};

/* Until all reports of the one before were taken, and in their order. */
START_TEST(what_comes_while_saving_belongs_to_the_next_transaction)
{
    struct sink_state state;
    uint32_t topic;
    record.placement.partition = -1;
    open_claimed();
    submit(11);
    save();
    for (uint64_t tag = 12; tag < 52; tag++) {
        ck_assert_int_eq(ops->submit(sink, &record, tag, &topic, &err), SINK_TAKEN);
    }
    ops->state(sink, &state);
    ck_assert_uint_ge(state.pending, 40);
    expect(await(REPORT_SAVED, false), SINK_DELIVERED, ERR_NONE);
    ck_assert_int_eq(ops->save(sink, BYTES_LIT("p2"), &err), SINK_TAKEN);
    uint64_t expected = 12;
    bool is_saved = false;
    for (int i = 0; i < TURNS && !is_saved; i++) {
        struct pollfd wait = {.fd = ops->fd(sink), .events = POLLIN};
        poll(&wait, 1, 100);
        struct sink_report report[7];
        size_t count = ops->collect(sink, report, 7);
        for (size_t j = 0; j < count; j++) {
            ck_assert_int_eq(report[j].outcome, SINK_DELIVERED);
            is_saved = report[j].kind == REPORT_SAVED;
            ck_assert(is_saved || report[j].tag == expected++);
        }
    }
    ck_assert_uint_eq(expected, 52);
    ops->state(sink, &state);
    ck_assert_uint_eq(state.pending, 0);
}
END_TEST

/* Whether the partition exists, and the size is allowed, librdkafka says while the row is there. */
START_TEST(what_may_be_refused_waits_for_the_save)
{
    static uint8_t large[1000000];
    uint32_t topic;
    record.placement.partition = -1;
    open_claimed();
    submit(11);
    save();
    record.placement.partition = 0;
    ck_assert_int_eq(ops->submit(sink, &record, 12, &topic, &err), SINK_BUSY);
    record.placement.partition = -1;
    memset(large, 'x', sizeof(large));
    record.value = bytes_make(large, sizeof(large));
    ck_assert_int_eq(ops->submit(sink, &record, 12, &topic, &err), SINK_BUSY);
    expect(await(REPORT_SAVED, false), SINK_DELIVERED, ERR_NONE);
    ck_assert_int_eq(ops->submit(sink, &record, 12, &topic, &err), SINK_POISON);
}
END_TEST

START_TEST(a_reset_forgets_what_waits_for_the_next_transaction)
{
    struct sink_state state;
    uint32_t topic;
    record.placement.partition = -1;
    open_claimed();
    submit(11);
    save();
    ck_assert_int_eq(ops->submit(sink, &record, 12, &topic, &err), SINK_TAKEN);
    ck_assert(ops->reset(sink, &err));
    ops->state(sink, &state);
    ck_assert_uint_eq(state.pending, 0);
    claim();
    submit(13);
    save();
    expect(await(REPORT_SAVED, false), SINK_DELIVERED, ERR_NONE);
}
END_TEST

START_TEST(an_error_of_the_coordinator_fails_the_claim_or_passes)
{
    open_sink();
    rd_kafka_mock_push_request_errors(cluster, INIT_PRODUCER_ID, 1,
                                      (rd_kafka_resp_err_t)claims[_i].code);
    begin_claim();
    expect(await(REPORT_CLAIMED, false), claims[_i].outcome, claims[_i].err);
    ck_assert_msg(strstr(detail(), claims[_i].hint) != NULL, "%s", detail());
    ck_assert(ops->tick(sink, clock_mono_ns(), &err));
    claim();
    ck_assert_str_eq(detail(), "");
    submit(1);
    saved();
}
END_TEST

static const struct {
    int code;
    enum sink_outcome outcome;
    enum err_code err;
    const char *hint;
} commits[] = {
    {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, SINK_DELIVERED, ERR_NONE, ""},
    {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, SINK_DELIVERED, ERR_NONE, ""},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, SINK_HALT, ERR_KAFKA_FENCED, "took over"},
    {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, SINK_HALT, ERR_KAFKA_FENCED, "took over"},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, SINK_BLOCKED, ERR_KAFKA_AUTH,
     "--transactional-id walferry-test-7-slot"},
    {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, SINK_FATAL, ERR_KAFKA_FATAL, ""},
    {RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, SINK_RETRY, ERR_KAFKA_DOUBT, ""},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, SINK_RETRY, ERR_KAFKA_DOUBT, ""},
    {RD_KAFKA_RESP_ERR_UNKNOWN, SINK_RETRY, ERR_KAFKA_DOUBT, ""},
};

START_TEST(an_error_of_a_commit_becomes_its_outcome)
{
    open_claimed();
    submit(1);
    rd_kafka_mock_push_request_errors(cluster, END_TXN, 1, (rd_kafka_resp_err_t)commits[_i].code);
    save();
    expect(await(REPORT_SAVED, false), commits[_i].outcome, commits[_i].err);
    ck_assert_msg(strstr(detail(), commits[_i].hint) != NULL, "%s", detail());
    if (commits[_i].outcome == SINK_DELIVERED) {
        return;
    }
    /* No record was delivered, and nothing goes until there is a new producer. */
    ck_assert_ptr_null(find(REPORT_RECORD, false));
    uint32_t topic;
    ck_assert_int_eq(ops->submit(sink, &record, 2, &topic, &err), SINK_BUSY);
    ck_assert_int_eq(ops->save(sink, BYTES_LIT("p"), &err), SINK_BUSY);
    ck_assert(ops->reset(sink, &err));
    claim();
    submit(1);
    saved();
}
END_TEST

START_TEST(a_commit_across_a_lost_connection_replaces_the_producer)
{
    open_claimed();
    submit(1);
    rd_kafka_mock_push_request_errors(cluster, END_TXN, 1, RD_KAFKA_RESP_ERR__TRANSPORT);
    saved();
    ck_assert_int_eq(reports[0].kind, REPORT_RECORD);
    uint32_t topic;
    ck_assert_int_eq(ops->submit(sink, &record, 2, &topic, &err), SINK_BUSY);
    until_tick_fails(ERR_KAFKA_DOUBT);
    ck_assert_int_eq(err_class(err.code), ERR_CLASS_TRANSIENT);
    ck_assert(ops->reset(sink, &err));
    claim();
    submit(2);
    saved();
    ck_assert(ops->tick(sink, clock_mono_ns(), &err));
}
END_TEST

static const struct {
    int api;
    int code;
    enum sink_outcome outcome;
    enum err_code err;
} refusals[] = {
    {PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, SINK_BLOCKED, ERR_KAFKA_AUTH},
    {PRODUCE, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {PRODUCE, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, SINK_HALT, ERR_KAFKA_FENCED},
    /* Told of the transaction only; its records are thrown away. */
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, SINK_BLOCKED, ERR_KAFKA_AUTH},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, SINK_BLOCKED,
     ERR_KAFKA_AUTH},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, SINK_HALT, ERR_KAFKA_FENCED},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, SINK_RETRY, ERR_KAFKA_DELIVERY},
};

START_TEST(a_refused_record_is_told_at_once_and_dooms_the_transaction)
{
    open_claimed();
    submit(1);
    saved();
    report_count = 0;
    rd_kafka_mock_push_request_errors(cluster, (int16_t)refusals[_i].api, 1,
                                      (rd_kafka_resp_err_t)refusals[_i].code);
    submit(2);
    const struct sink_report *refused = await(REPORT_RECORD, true);
    expect(refused, refusals[_i].outcome, refusals[_i].err);
    ck_assert_uint_eq(refused->tag, 2);
    ck_assert_int_eq(ops->save(sink, BYTES_LIT("p"), &err), SINK_FAIL);
    ck_assert_msg(err.code == refusals[_i].err || err.code == ERR_KAFKA_DELIVERY, "%s",
                  err_name(err.code));
    ck_assert(ops->reset(sink, &err));
    claim();
    submit(2);
    saved();
}
END_TEST

START_TEST(a_record_refused_after_the_save_began_is_not_followed_by_the_save)
{
    open_claimed();
    submit(1);
    saved();
    report_count = 0;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 2, RD_KAFKA_RESP_ERR_INVALID_RECORD,
                                      RD_KAFKA_RESP_ERR_INVALID_RECORD);
    submit(2);
    save();
    const struct sink_report *report = await(REPORT_RECORD, true);
    expect(report, SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    ck_assert_ptr_nonnull(report->error);
    /* The position may have been refused first, in a request of its own. */
    report_count = 0;
    for (int i = 0; i < 5; i++) {
        turn();
    }
    ck_assert_ptr_null(find(REPORT_SAVED, false));
}
END_TEST

/* Nor with one that has done nothing wrong. */
START_TEST(a_claim_replaces_a_fenced_producer_without_a_reset)
{
    open_claimed();
    submit(1);
    rd_kafka_mock_push_request_errors(cluster, END_TXN, 1, RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    save();
    expect(await(REPORT_SAVED, false), SINK_HALT, ERR_KAFKA_FENCED);
    claim();
    submit(1);
    saved();
    claim();
    submit(2);
    saved();
    ck_assert(ops->tick(sink, clock_mono_ns(), &err));
}
END_TEST

START_TEST(a_refused_position_is_told_as_the_save)
{
    open_claimed();
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    save();
    expect(await(REPORT_SAVED, false), SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    ck_assert(ops->reset(sink, &err));
    claim();
    saved();
}
END_TEST

START_TEST(a_claim_waits_for_a_broker_and_can_be_given_up)
{
    rd_kafka_mock_broker_set_down(cluster, 1);
    open_sink();
    begin_claim();
    for (int i = 0; i < 5; i++) {
        turn();
        ck_assert(ops->tick(sink, clock_mono_ns(), &err));
    }
    ck_assert_uint_eq(report_count, 0);
    for (int i = 0; i < TURNS && detail()[0] == '\0'; i++) {
        turn();
    }
    ck_assert_str_ne(detail(), "");
    ck_assert(ops->reset(sink, &err));
    begin_claim();
    rd_kafka_mock_broker_set_up(cluster, 1);
    expect(await(REPORT_CLAIMED, false), SINK_DELIVERED, ERR_NONE);
    ck_assert_uint_eq(report_count, 1);
    submit(1);
    saved();
}
END_TEST

START_TEST(a_broker_that_is_away_holds_a_save_and_a_reset_ends_it)
{
    open_claimed();
    submit(1);
    saved();
    report_count = 0;
    rd_kafka_mock_broker_set_down(cluster, 1);
    submit(2);
    save();
    for (int i = 0; i < 5; i++) {
        turn();
    }
    ck_assert_uint_eq(report_count, 0);
    ck_assert_uint_eq(pending(), 2);
    ck_assert(ops->reset(sink, &err));
    rd_kafka_mock_broker_set_up(cluster, 1);
    claim();
    ck_assert_uint_eq(pending(), 0);
    submit(3);
    saved();
    ck_assert_uint_eq(reports[0].tag, 3);
}
END_TEST

START_TEST(a_stop_while_brokers_are_away_ends)
{
    open_claimed();
    submit(1);
    rd_kafka_mock_broker_set_down(cluster, 1);
    if (_i == 1) {
        save();
    } else if (_i == 2) {
        begin_claim();
    }
    turn();
    ops->close(sink);
    sink = NULL;
}
END_TEST

START_TEST(a_call_that_does_not_return_stops_the_relay)
{
    rd_kafka_mock_broker_set_down(cluster, 1);
    open_sink();
    ck_assert(ops->tick(sink, UINT64_MAX, &err));
    begin_claim();
    turn();
    ck_assert(ops->tick(sink, clock_mono_ns() + 50 * NS_PER_S, &err));
    /* Until the worker has begun. */
    while (ops->tick(sink, clock_mono_ns() + 70 * NS_PER_S, &err)) {
        turn();
    }
    ck_assert_int_eq(err.code, ERR_KAFKA_HUNG);
    ck_assert_int_eq(err_exit_status(err.code), 75);
    ck_assert_str_ne(err.hint, "");
}
END_TEST

START_TEST(rows_may_not_write_positions)
{
    open_claimed();
    uint32_t topic;
    record.placement.topic = BYTES_LIT("positions");
    ck_assert_int_eq(ops->submit(sink, &record, 1, &topic, &err), SINK_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_TOPIC);
    ck_assert_str_ne(err.hint, "");
}
END_TEST

START_TEST(without_transactions_records_need_no_claim_and_saves_do)
{
    opts.transactional = false;
    opts.property_count = 3;
    open_sink();
    submit(1);
    expect(await(REPORT_RECORD, false), SINK_DELIVERED, ERR_NONE);
    ck_assert_int_eq(ops->save(sink, BYTES_LIT("p"), &err), SINK_BUSY);
    claim();
    saved();
    report_count = 0;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    save();
    ck_assert_int_eq(ops->save(sink, BYTES_LIT("p"), &err), SINK_BUSY);
    expect(await(REPORT_SAVED, false), SINK_SUSPECT, ERR_KAFKA_SUSPECT);
    ck_assert_int_eq(ops->save(sink, BYTES_LIT("p"), &err), SINK_FAIL);
    ck_assert(ops->reset(sink, &err));
    report_count = 0;
    saved();
    /* A save that was under way is forgotten by a reset, the claim is not. */
    report_count = 0;
    save();
    ck_assert(ops->reset(sink, &err));
    saved();
    begin_claim();
    ck_assert(ops->reset(sink, &err));
    report_count = 0;
    expect(await(REPORT_CLAIMED, false), SINK_DELIVERED, ERR_NONE);
    ck_assert_bytes(ops->position(sink), "position");
}
END_TEST

START_TEST(a_position_waits_until_the_producer_knows_the_topic)
{
    opts.transactional = false;
    opts.property_count = 3;
    open_claimed();
    rd_kafka_mock_topic_set_error(cluster, "positions", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(ops->save(sink, BYTES_LIT("p"), &err), SINK_BUSY);
        turn();
    }
    ck_assert_uint_eq(pending(), 0);
    rd_kafka_mock_topic_set_error(cluster, "positions", RD_KAFKA_RESP_ERR_NO_ERROR);
    saved();
}
END_TEST

START_TEST(a_position_for_a_topic_that_stays_away_is_refused_until_it_is_there)
{
    opts.transactional = false;
    opts.property_count = 3;
    open_claimed();
    saved();
    ck_assert(ops->reset(sink, &err));
    rd_kafka_mock_topic_set_error(cluster, "positions", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    enum sink_result result = SINK_BUSY;
    for (int i = 0; i < TURNS && result == SINK_BUSY; i++) {
        turn();
        result = ops->save(sink, BYTES_LIT("p"), &err);
    }
    ck_assert_int_eq(result, SINK_FAIL);
    ck_assert_int_eq(err.code, ERR_KAFKA_TOPIC);
    rd_kafka_mock_topic_set_error(cluster, "positions", RD_KAFKA_RESP_ERR_NO_ERROR);
    report_count = 0;
    saved();
}
END_TEST

START_TEST(a_position_whose_topic_went_away_is_told_as_the_save)
{
    opts.transactional = false;
    opts.property_count = 3;
    open_claimed();
    saved();
    report_count = 0;
    rd_kafka_mock_topic_set_error(cluster, "positions", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    /* Enough to outlast librdkafka's attempts until it knows that the topic is gone. */
    rd_kafka_resp_err_t errors[1000];
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        errors[i] = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    }
    rd_kafka_mock_push_request_errors_array(cluster, PRODUCE, ARRAY_LEN(errors), errors);
    save();
    expect(await(REPORT_SAVED, false), SINK_RETRY, ERR_KAFKA_TOPIC);
    rd_kafka_mock_clear_request_errors(cluster, PRODUCE);
    rd_kafka_mock_topic_set_error(cluster, "positions", RD_KAFKA_RESP_ERR_NO_ERROR);
    report_count = 0;
    saved();
}
END_TEST

/* Else the first position of all would be refused. */
START_TEST(a_claim_waits_until_the_topic_is_known)
{
    open_sink();
    rd_kafka_mock_topic_set_error(cluster, "positions", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    begin_claim();
    for (int i = 0; i < 5; i++) {
        turn();
    }
    ck_assert_ptr_null(find(REPORT_CLAIMED, false));
    rd_kafka_mock_topic_set_error(cluster, "positions", RD_KAFKA_RESP_ERR_NO_ERROR);
    expect(await(REPORT_CLAIMED, false), SINK_DELIVERED, ERR_NONE);
    report_count = 0;
    saved();
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, 90);
    tcase_add_checked_fixture(tests, setup, teardown);
    suite_add_tcase(suite, tests);
    return tests;
}

/* librdkafka waits for half a second in every claim: two cases, which are run side by side. */
static Suite *suite_of_transaction(void)
{
    Suite *suite = suite_create("sink/transaction");
    TCase *tests = add_case(suite, "transaction");
    tcase_add_test(tests, before_a_claim_nothing_is_taken);
    tcase_add_test(tests,
                   what_breaks_a_promise_does_not_open_and_what_cannot_start_fails_the_claim);
    tcase_add_test(tests, records_are_reported_in_order_before_their_save_in_any_portions);
    tcase_add_test(tests, what_comes_while_saving_belongs_to_the_next_transaction);
    tcase_add_test(tests, what_may_be_refused_waits_for_the_save);
    tcase_add_test(tests, a_reset_forgets_what_waits_for_the_next_transaction);
    tcase_add_loop_test(tests, an_error_of_the_coordinator_fails_the_claim_or_passes, 0,
                        (int)ARRAY_LEN(claims));
    tcase_add_test(tests, a_claim_waits_for_a_broker_and_can_be_given_up);
    tcase_add_test(tests, a_broker_that_is_away_holds_a_save_and_a_reset_ends_it);
    tcase_add_loop_test(tests, a_stop_while_brokers_are_away_ends, 0, 3);
    tcase_add_test(tests, a_call_that_does_not_return_stops_the_relay);
    tcase_add_test(tests, rows_may_not_write_positions);
    tcase_add_test(tests, without_transactions_records_need_no_claim_and_saves_do);
    tcase_add_test(tests, a_position_waits_until_the_producer_knows_the_topic);
    tcase_add_test(tests, a_position_for_a_topic_that_stays_away_is_refused_until_it_is_there);
    tcase_add_test(tests, a_position_whose_topic_went_away_is_told_as_the_save);
    tcase_add_test(tests, a_claim_waits_until_the_topic_is_known);
    tests = add_case(suite, "refused");
    tcase_add_loop_test(tests, an_error_of_a_commit_becomes_its_outcome, 0,
                        (int)ARRAY_LEN(commits));
    tcase_add_test(tests, a_commit_across_a_lost_connection_replaces_the_producer);
    tcase_add_loop_test(tests, a_refused_record_is_told_at_once_and_dooms_the_transaction, 0,
                        (int)ARRAY_LEN(refusals));
    tcase_add_test(tests, a_record_refused_after_the_save_began_is_not_followed_by_the_save);
    tcase_add_test(tests, a_claim_replaces_a_fenced_producer_without_a_reset);
    tcase_add_test(tests, a_refused_position_is_told_as_the_save);
    return suite;
}

TEST_MAIN(suite_of_transaction())
