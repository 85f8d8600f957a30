/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kafka sink against the cluster that librdkafka carries inside. That cluster is for errors and
 * for the path of one record; it forgets and repeats in ways that Kafka does not, so order and
 * duplicates are proven elsewhere, against Kafka.
 */
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdio.h>

#include "test.h"
#include "walferry/base/clock.h"
#include "walferry/sink/kafka.h"

#define PRODUCE 0   /* ApiKey */
#define TURNS   600 /* of 100 ms at most: a test that hangs fails */

/* librdkafka 2.0.2 keeps one reference to a queue of 176 bytes for each producer that ever listed
 * groups. Only its own allocations are excused. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:librdkafka.so\n";
}

static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;
static struct property properties[4];
static struct sink_opts opts;
static const struct sink_ops *ops;
static struct sink *sink;
static struct err err;
static struct record record;
static struct sink_report reports[2000];

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
    /* Not the defaults of a relay: failures come back sooner. */
    properties[1] = (struct property){"retry.backoff.ms", "1", false};
    properties[2] = (struct property){"reconnect.backoff.max.ms", "100", false};
    opts = (struct sink_opts){.kind = SINK_KAFKA,
                              .pipeline = "test",
                              .properties = properties,
                              .property_count = 3,
                              .topics_create = true,
                              .topics_partitions = -1,
                              .topics_replication = -1,
                              .topics_max = 10,
                              .topics_wait_ms = 100,
                              .dead_letter_topic = "dead",
                              .max_records = 1000,
                              .max_bytes = 1 << 20,
                              .mock = true};
    ops = sink_ops_of(SINK_KAFKA);
    sink = NULL;
    record = (struct record){
        .placement = {.topic = BYTES_LIT("orders"), .partition = -1, .key = BYTES_LIT("k")},
        .value = BYTES_LIT("v"),
        .timestamp_ms = 1700000000123};
}

static void teardown(void)
{
    /* The cluster ends with the process of the test: taking it down costs a second each time. */
    ops->close(sink);
}

static void open_sink(void)
{
    ck_assert_msg(ops->open(&opts, &sink, &err), "%s", err.message);
}

static void wait_turn(void)
{
    struct pollfd wait = {.fd = ops->fd(sink), .events = POLLIN};
    poll(&wait, 1, 100);
}

/* Offer until it is anything but busy. */
static enum sink_result offer(uint64_t tag)
{
    uint32_t topic;
    enum sink_result result = SINK_BUSY;
    for (int turn = 0; turn < TURNS && result == SINK_BUSY; turn++) {
        result = ops->submit(sink, &record, tag, &topic, &err);
        if (result == SINK_BUSY) {
            ck_assert_uint_eq(ops->collect(sink, reports, ARRAY_LEN(reports)), 0);
            ck_assert(ops->tick(sink, clock_mono_ns(), &err));
            wait_turn();
        }
    }
    return result;
}

static void submit(uint64_t tag)
{
    enum sink_result result = offer(tag);
    ck_assert_msg(result == SINK_TAKEN, "%d: %s", (int)result, err.message);
}

static size_t collect(size_t count)
{
    size_t n = 0;
    for (int turn = 0; turn < TURNS && n < count; turn++) {
        n += ops->collect(sink, reports + n, ARRAY_LEN(reports) - n);
        if (n < count) {
            wait_turn();
        }
    }
    return n;
}

/* Until the state says so. */
static void until_connected(bool connected)
{
    struct sink_state state = {.connected = !connected};
    for (int turn = 0; turn < TURNS && state.connected != connected; turn++) {
        ck_assert_uint_eq(ops->collect(sink, reports, ARRAY_LEN(reports)), 0);
        ck_assert(ops->tick(sink, clock_mono_ns(), &err));
        wait_turn();
        ops->state(sink, &state);
    }
    ck_assert(state.connected == connected);
}

static void deliver(uint64_t tag)
{
    submit(tag);
    ck_assert_uint_eq(collect(1), 1);
    ck_assert_uint_eq(reports[0].tag, tag);
    ck_assert_msg(reports[0].outcome == SINK_DELIVERED, "%s", reports[0].error);
    ck_assert_ptr_null(reports[0].error);
}

START_TEST(what_is_refused_by_the_table_does_not_open)
{
    properties[3] = (struct property){"acks", "1", false};
    opts.property_count = 4;
    ck_assert(!ops->open(&opts, &sink, &err));
    ck_assert_int_eq(err.code, ERR_KAFKA_CONFIG);
}
END_TEST

START_TEST(what_librdkafka_refuses_at_the_start_is_told)
{
    properties[3] = (struct property){"ssl.ca.location", "/nonexistent", false};
    properties[1] = (struct property){"security.protocol", "ssl", false};
    opts.property_count = 4;
    ck_assert(!ops->open(&opts, &sink, &err));
    ck_assert_int_eq(err_class(err.code), ERR_CLASS_CONFIG);
    ck_assert_str_ne(err.hint, "");
}
END_TEST

static const struct {
    int code;
    enum sink_outcome outcome;
    enum err_code err;
} classes[] = {
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, SINK_DELIVERED, ERR_NONE},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, SINK_DELIVERED, ERR_NONE},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, SINK_DELIVERED, ERR_NONE},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, SINK_DELIVERED, ERR_NONE},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, SINK_DELIVERED, ERR_NONE},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, SINK_DELIVERED, ERR_NONE},
    {RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, SINK_DELIVERED, ERR_NONE},
    {RD_KAFKA_RESP_ERR__TRANSPORT, SINK_DELIVERED, ERR_NONE},
    {RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_OPERATION_NOT_ATTEMPTED, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_UNKNOWN, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {120, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, SINK_BLOCKED, ERR_KAFKA_AUTH},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, SINK_BLOCKED, ERR_KAFKA_AUTH},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, SINK_BLOCKED, ERR_KAFKA_TOPIC},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, SINK_FATAL, ERR_KAFKA_FATAL},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {RD_KAFKA_RESP_ERR_INVALID_REQUEST, SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, SINK_HALT, ERR_KAFKA_UNSUPPORTED},
};

START_TEST(an_error_of_the_broker_becomes_its_outcome)
{
    open_sink();
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)classes[_i].code;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, code);
    submit(42);
    ck_assert_uint_eq(collect(1), 1);
    ck_assert_uint_eq(reports[0].tag, 42);
    ck_assert_msg(reports[0].outcome == classes[_i].outcome && reports[0].code == classes[_i].err,
                  "%s: outcome %d error %s", rd_kafka_err2name(code), (int)reports[0].outcome,
                  err_name(reports[0].code));
    ck_assert_uint_eq(ops->collect(sink, reports, ARRAY_LEN(reports)), 0);
}
END_TEST

START_TEST(a_broken_producer_fails_until_it_is_replaced)
{
    open_sink();
    deliver(1);
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    submit(2);
    ck_assert_uint_eq(collect(1), 1);
    ck_assert_int_eq(reports[0].outcome, SINK_FATAL);
    ck_assert_str_eq(reports[0].error, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    ck_assert_int_eq(offer(3), SINK_FAIL);
    ck_assert_int_eq(err.code, ERR_KAFKA_FATAL);
    ck_assert(!ops->tick(sink, clock_mono_ns(), &err));
    ck_assert_int_eq(err_class(err.code), ERR_CLASS_TRANSIENT);
    ck_assert(ops->reset(sink, &err));
    deliver(4);
}
END_TEST

START_TEST(a_record_above_the_limit_is_poison)
{
    open_sink();
    static char value[1100000];
    record.value = bytes_make(value, sizeof(value));
    ck_assert_int_eq(offer(1), SINK_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.message, "1100001"));
    ck_assert_ptr_nonnull(strstr(err.message, "message.max.bytes=1000000"));
    ck_assert_ptr_nonnull(strstr(err.hint, "message.max.bytes"));
    ck_assert_uint_lt(ops->value_max(sink), 1000000);
    record.value = bytes_make(value, ops->value_max(sink));
    deliver(2);
}
END_TEST

START_TEST(a_partition_that_does_not_exist_is_poison_and_headers_are_freed_once)
{
    open_sink();
    record.headers[record.header_count++] = (struct header){BYTES_LIT("a"), BYTES_LIT("b")};
    record.headers[record.header_count++] = (struct header){BYTES_LIT("n"), BYTES_ABSENT};
    record.placement.partition = 99;
    ck_assert_int_eq(offer(1), SINK_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_PARTITION);
    ck_assert_ptr_nonnull(strstr(err.message, "partition 99"));
    record.placement.partition = INT32_MAX;
    ck_assert_int_eq(offer(2), SINK_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_PARTITION);
    record.placement.partition = 3;
    deliver(3);
}
END_TEST

START_TEST(one_more_topic_is_poison)
{
    opts.topics_max = 1;
    open_sink();
    deliver(1);
    record.placement.topic = BYTES_LIT("second");
    ck_assert_int_eq(offer(2), SINK_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_TOPIC_LIMIT);
    record.placement.topic = BYTES_LIT("dead");
    deliver(3);
}
END_TEST

START_TEST(a_topic_that_may_not_be_made_is_waited_for_then_poison_then_found)
{
    opts.mock = false;
    opts.topics_create = false;
    ck_assert_int_eq(rd_kafka_mock_topic_create(cluster, "orders", 2, 1), 0);
    rd_kafka_mock_topic_set_error(cluster, "orders", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    open_sink();
    ck_assert_int_eq(offer(1), SINK_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_TOPIC_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(err.hint, "sink.topics.create"));
    rd_kafka_mock_topic_set_error(cluster, "orders", RD_KAFKA_RESP_ERR_NO_ERROR);
    enum sink_result result = SINK_POISON;
    for (int turn = 0; turn < TURNS && result == SINK_POISON; turn++) {
        result = offer(2);
        if (result == SINK_POISON) {
            wait_turn();
            ck_assert_uint_eq(ops->collect(sink, reports, ARRAY_LEN(reports)), 0);
        }
    }
    ck_assert_int_eq(result, SINK_TAKEN);
    ck_assert_uint_eq(collect(1), 1);
    ck_assert_int_eq(reports[0].outcome, SINK_DELIVERED);
}
END_TEST

START_TEST(a_broker_away_means_waiting_and_nothing_is_given_up)
{
    open_sink();
    deliver(1);
    rd_kafka_mock_broker_set_down(cluster, 1);
    until_connected(false);
    submit(2);
    struct sink_state state;
    ops->state(sink, &state);
    ck_assert_str_ne(state.detail, "");
    ck_assert_uint_gt(state.retries, 0);
    rd_kafka_mock_broker_set_up(cluster, 1);
    ck_assert_uint_eq(collect(1), 1);
    ck_assert_uint_eq(reports[0].tag, 2);
    ck_assert_int_eq(reports[0].outcome, SINK_DELIVERED);
    ops->state(sink, &state);
    ck_assert(state.connected);
    ck_assert_str_eq(state.detail, "");
}
END_TEST

START_TEST(a_broker_that_comes_back_is_noticed_while_idle)
{
    open_sink();
    until_connected(true);
    rd_kafka_mock_broker_set_down(cluster, 1);
    until_connected(false);
    rd_kafka_mock_broker_set_up(cluster, 1);
    until_connected(true);
}
END_TEST

START_TEST(a_new_topic_waits_for_a_broker_that_is_away)
{
    rd_kafka_mock_broker_set_down(cluster, 1);
    opts.topics_wait_ms = 0;
    open_sink();
    uint32_t topic;
    for (int turn = 0; turn < 5; turn++) {
        ck_assert_int_eq(ops->submit(sink, &record, 1, &topic, &err), SINK_BUSY);
        ck_assert_uint_eq(ops->collect(sink, reports, ARRAY_LEN(reports)), 0);
        wait_turn();
    }
    rd_kafka_mock_broker_set_up(cluster, 1);
    deliver(1);
}
END_TEST

START_TEST(a_full_queue_is_busy_and_nothing_is_lost)
{
    opts.max_records = 1;
    open_sink();
    deliver(1);
    rd_kafka_mock_broker_set_down(cluster, 1);
    until_connected(false);
    uint32_t topic;
    uint64_t taken = 0;
    while (ops->submit(sink, &record, taken, &topic, &err) == SINK_TAKEN) {
        taken++;
    }
    ck_assert_uint_eq(taken, 10001);
    rd_kafka_mock_broker_set_up(cluster, 1);
    static bool seen[10001];
    uint64_t reported = 0;
    for (int turn = 0; turn < 20000 && reported < taken; turn++) {
        size_t n = ops->collect(sink, reports, 7);
        for (size_t i = 0; i < n; i++) {
            ck_assert_int_eq(reports[i].outcome, SINK_DELIVERED);
            ck_assert(!seen[reports[i].tag]);
            seen[reports[i].tag] = true;
        }
        reported += n;
        if (n == 0) {
            wait_turn();
        }
    }
    ck_assert_uint_eq(reported, taken);
}
END_TEST

START_TEST(after_a_reset_no_old_tag_is_ever_reported)
{
    open_sink();
    deliver(1);
    rd_kafka_mock_broker_set_rtt(cluster, 1, 2000);
    for (uint64_t tag = 100; tag < 200; tag++) {
        submit(tag);
    }
    int fd = ops->fd(sink);
    ck_assert(ops->reset(sink, &err));
    ck_assert_int_eq(ops->fd(sink), fd);
    rd_kafka_mock_broker_set_rtt(cluster, 1, 0);
    deliver(2);
    ck_assert_uint_eq(ops->collect(sink, reports, ARRAY_LEN(reports)), 0);
}
END_TEST

START_TEST(a_reset_in_the_middle_of_reports_drops_the_rest)
{
    open_sink();
    for (uint64_t tag = 0; tag < 50; tag++) {
        submit(tag);
    }
    size_t n = 0;
    for (int turn = 0; turn < TURNS && n == 0; turn++) {
        wait_turn();
        n = ops->collect(sink, reports, 1);
    }
    ck_assert_uint_eq(n, 1);
    ck_assert(ops->reset(sink, &err));
    deliver(1000);
    ck_assert_uint_eq(ops->collect(sink, reports, ARRAY_LEN(reports)), 0);
}
END_TEST

START_TEST(topics_have_numbers_that_survive_a_reset)
{
    open_sink();
    deliver(1);
    uint32_t topic;
    ck_assert_int_eq(ops->submit(sink, &record, 2, &topic, &err), SINK_TAKEN);
    ck_assert_str_eq(ops->topic_name(sink, topic), "orders");
    ck_assert(ops->reset(sink, &err));
    ck_assert_str_eq(ops->topic_name(sink, topic), "orders");
    deliver(3);
    struct sink_state state;
    ops->state(sink, &state);
    ck_assert_uint_eq(state.topics, 1);
    ck_assert_str_eq(state.library, kafka_library_version());
    ck_assert(!ops->volatile_acks);
}
END_TEST

static void read_back(struct kafka_message *message, struct kafka_consumer *consumer)
{
    enum kafka_poll poll = KAFKA_END;
    for (int turn = 0; turn < TURNS && poll != KAFKA_MESSAGE; turn++) {
        poll = kafka_consumer_poll(consumer, 100, message, &err);
        ck_assert_int_ne(poll, KAFKA_FAILED);
    }
    ck_assert_int_eq(poll, KAFKA_MESSAGE);
}

START_TEST(a_record_arrives_as_it_was)
{
    open_sink();
    record.placement.partition = 2;
    record.headers[record.header_count++] = (struct header){BYTES_LIT("a"), BYTES_LIT("1\0002")};
    record.headers[record.header_count++] = (struct header){BYTES_LIT("n"), BYTES_ABSENT};
    record.headers[record.header_count++] = (struct header){BYTES_LIT("e"), BYTES_LIT("")};
    deliver(1);
    record.header_count = 0;
    record.placement.key = BYTES_ABSENT;
    record.value = BYTES_ABSENT;
    record.timestamp_ms = 0;
    deliver(2);
    record.placement.key = BYTES_LIT("");
    record.value = BYTES_LIT("");
    deliver(3);

    static const char *const names[] = {"ord*"};
    struct kafka_consumer *consumer;
    ck_assert(kafka_consumer_new(&opts, names, 1, &consumer, &err));
    static struct kafka_message message;
    read_back(&message, consumer);
    ck_assert_str_eq(message.topic, "orders");
    ck_assert_int_eq(message.partition, 2);
    ck_assert_int_eq(message.timestamp_ms, 1700000000123);
    ck_assert_bytes(message.key, "k");
    ck_assert_bytes(message.value, "v");
    ck_assert_uint_eq(message.header_count, 3);
    ck_assert_bytes(message.headers[0].name, "a");
    ck_assert_bytes(message.headers[0].value, "1\0002");
    ck_assert(!bytes_present(message.headers[1].value));
    ck_assert_bytes(message.headers[2].value, "");
    read_back(&message, consumer);
    ck_assert(!bytes_present(message.key));
    ck_assert(!bytes_present(message.value));
    /* To librdkafka 0 is no time but the wish for the present one. */
    ck_assert_int_eq(message.timestamp_ms, 1);
    read_back(&message, consumer);
    ck_assert_bytes(message.key, "");
    ck_assert_bytes(message.value, "");
    enum kafka_poll end = KAFKA_NOTHING;
    for (int turn = 0; turn < TURNS && end == KAFKA_NOTHING; turn++) {
        end = kafka_consumer_poll(consumer, 100, &message, &err);
    }
    ck_assert_int_eq(end, KAFKA_END);
    kafka_consumer_free(consumer);
}
END_TEST

START_TEST(the_cluster_in_a_box_serves_a_sink)
{
    struct kafka_mock *mock;
    ck_assert(kafka_mock_new(1, &mock, &err));
    properties[0].value = kafka_mock_bootstrap(mock);
    static const char *const names[] = {"dead"};
    ck_assert(kafka_topics_ensure(&opts, names, 1, 1000, &err));
    open_sink();
    deliver(1);
    ops->close(sink);
    sink = NULL;
    kafka_mock_free(mock);
    kafka_mock_free(NULL);
}
END_TEST

START_TEST(without_a_broker_topics_are_not_ensured)
{
    opts.mock = false;
    properties[0].value = "127.0.0.1:1";
    static const char *const names[] = {"dead"};
    ck_assert(!kafka_topics_ensure(&opts, names, 1, 50, &err));
    ck_assert_int_eq(err.code, ERR_KAFKA_CONNECT);
    ck_assert_str_ne(err.hint, "");
}
END_TEST

static Suite *suite_of_kafka(void)
{
    Suite *suite = suite_create("sink/kafka");
    TCase *tests = tcase_create("kafka");
    tcase_set_timeout(tests, 90);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_refused_by_the_table_does_not_open);
    tcase_add_test(tests, what_librdkafka_refuses_at_the_start_is_told);
    tcase_add_loop_test(tests, an_error_of_the_broker_becomes_its_outcome, 0,
                        (int)ARRAY_LEN(classes));
    tcase_add_test(tests, a_broken_producer_fails_until_it_is_replaced);
    tcase_add_test(tests, a_record_above_the_limit_is_poison);
    tcase_add_test(tests, a_partition_that_does_not_exist_is_poison_and_headers_are_freed_once);
    tcase_add_test(tests, one_more_topic_is_poison);
    tcase_add_test(tests, a_topic_that_may_not_be_made_is_waited_for_then_poison_then_found);
    tcase_add_test(tests, a_broker_away_means_waiting_and_nothing_is_given_up);
    tcase_add_test(tests, a_broker_that_comes_back_is_noticed_while_idle);
    tcase_add_test(tests, a_new_topic_waits_for_a_broker_that_is_away);
    tcase_add_test(tests, a_full_queue_is_busy_and_nothing_is_lost);
    tcase_add_test(tests, after_a_reset_no_old_tag_is_ever_reported);
    tcase_add_test(tests, a_reset_in_the_middle_of_reports_drops_the_rest);
    tcase_add_test(tests, topics_have_numbers_that_survive_a_reset);
    tcase_add_test(tests, a_record_arrives_as_it_was);
    tcase_add_test(tests, the_cluster_in_a_box_serves_a_sink);
    tcase_add_test(tests, without_a_broker_topics_are_not_ensured);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_kafka())
