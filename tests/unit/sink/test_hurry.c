/* SPDX-License-Identifier: Apache-2.0 */
/* Against the cluster in a box, with a linger that no test would outlive. */
#include "kafka/hurry.h"

#include <librdkafka/rdkafka_mock.h>

#include "test.h"
#include "walferry/base/clock.h"

#define LINGER_MS "600000"
#define TURNS     300 /* of 100 ms */
#define MANY      4000

static rd_kafka_t *producer;
static rd_kafka_queue_t *queue;
static rd_kafka_topic_t *topic;
static struct hurry *hurry;
static size_t delivered;

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char reason[256];
    ck_assert_msg(rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK,
                  "%s", reason);
}

static void new_producer(void)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "test.mock.num.brokers", "1");
    set(conf, "linger.ms", LINGER_MS);
    set(conf, "message.timeout.ms", "0");
    set(conf, "log_level", "0");
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    ck_assert_msg(producer != NULL, "%s", reason);
    queue = rd_kafka_queue_get_main(producer);
    topic = rd_kafka_topic_new(producer, "orders", NULL);
    ck_assert_ptr_nonnull(topic);
    delivered = 0;
}

static void setup(void)
{
    new_producer();
    hurry = hurry_new();
    ck_assert_ptr_nonnull(hurry);
    hurry_for(hurry, producer);
}

static void end_producer(void)
{
    hurry_for(hurry, NULL);
    rd_kafka_topic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(producer);
}

static void teardown(void)
{
    end_producer();
    hurry_free(hurry);
}

static void produce(void)
{
    char value[] = "v";
    ck_assert_int_eq(rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, 1,
                                      NULL, 0, NULL),
                     0);
    hurry_count(hurry);
}

static void collect(int timeout_ms)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    if (event == NULL)
        return;
    delivered += rd_kafka_event_message_count(event);
    rd_kafka_event_destroy(event);
}

/* Again and again: while the topic is not known nothing can be sent, hurried or not. */
static void await(size_t wanted)
{
    for (int turn = 0; turn < TURNS && delivered < wanted; turn++) {
        collect(100);
        hurry_count(hurry);
        hurry_ask(hurry, clock_mono_ns());
    }
    ck_assert_uint_eq(delivered, wanted);
}

START_TEST(a_record_that_is_hurried_does_not_linger)
{
    produce();
    hurry_ask(hurry, clock_mono_ns());
    await(1);
}
END_TEST

START_TEST(a_record_that_nobody_hurries_lingers)
{
    produce();
    hurry_ask(hurry, clock_mono_ns());
    await(1);
    /* Nothing that was asked before is under way. */
    hurry_for(hurry, producer);
    produce();
    for (int turn = 0; turn < 5; turn++)
        collect(100);
    ck_assert_uint_eq(delivered, 1);
}
END_TEST

START_TEST(many_at_once_linger_and_hurry_again_when_they_are_few)
{
    uint64_t now_ns = clock_mono_ns();
    produce();
    hurry_ask(hurry, now_ns);
    await(1);
    hurry_for(hurry, producer);
    now_ns = clock_mono_ns();
    for (int i = 0; i < MANY; i++)
        produce();
    hurry_ask(hurry, now_ns);
    for (int turn = 0; turn < 5; turn++)
        collect(100);
    ck_assert_uint_eq(delivered, 1);
    produce();
    hurry_ask(hurry, now_ns + 3600 * NS_PER_S);
    for (int turn = 0; turn < TURNS && delivered < MANY + 2; turn++) {
        collect(100);
        hurry_count(hurry);
        hurry_ask(hurry, now_ns + (uint64_t)(turn + 2) * 3600 * NS_PER_S);
    }
    ck_assert_uint_eq(delivered, MANY + 2);
}
END_TEST

START_TEST(it_follows_from_one_producer_to_the_next)
{
    produce();
    hurry_ask(hurry, clock_mono_ns());
    await(1);
    end_producer();
    hurry_count(hurry);
    hurry_ask(hurry, clock_mono_ns());
    new_producer();
    hurry_for(hurry, producer);
    produce();
    hurry_ask(hurry, clock_mono_ns());
    await(1);
}
END_TEST

START_TEST(nothing_is_asked_of_nobody)
{
    hurry_for(NULL, producer);
    hurry_count(NULL);
    hurry_ask(NULL, clock_mono_ns());
    hurry_free(NULL);
}
END_TEST

static Suite *suite_of_hurry(void)
{
    Suite *suite = suite_create("hurry");
    TCase *tests = tcase_create("hurry");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_record_that_is_hurried_does_not_linger);
    tcase_add_test(tests, a_record_that_nobody_hurries_lingers);
    tcase_add_test(tests, many_at_once_linger_and_hurry_again_when_they_are_few);
    tcase_add_test(tests, it_follows_from_one_producer_to_the_next);
    tcase_add_test(tests, nothing_is_asked_of_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_hurry())
