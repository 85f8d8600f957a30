/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/properties.h"

#include <stdio.h>

#include "test.h"
#include "walferry/sink/kafka.h"

static struct property properties[4];
static struct sink_opts opts;
static struct err err;
static size_t fault;

static void setup(void)
{
    properties[0] = (struct property){"bootstrap.servers", "127.0.0.1:9092", false};
    opts = (struct sink_opts){.kind = SINK_KAFKA,
                              .pipeline = "orders",
                              .properties = properties,
                              .property_count = 1,
                              .max_records = 100000,
                              .max_bytes = 32u << 20};
    err = ERR_INIT;
}

static bool check(const char *name, const char *value)
{
    properties[1] = (struct property){name, value, false};
    opts.property_count = 2;
    return sink_kafka_check(&opts, &fault, &err);
}

START_TEST(every_row_of_the_table_refuses_with_its_hint)
{
    for (size_t i = 0; i < refusal_count; i++) {
        char name[128];
        const char *star = strchr(refusals[i].name, '*');
        /* A prefix and an ending stand for all names of that form. */
        snprintf(name, sizeof(name), "%.*s%s%s",
                 star == NULL ? (int)strlen(refusals[i].name) : (int)(star - refusals[i].name),
                 refusals[i].name, star == NULL ? "" : "x", star == NULL ? "" : star + 1);
        ck_assert_msg(!check(name, "7777"), "%s", name);
        ck_assert_msg(err.code == ERR_KAFKA_CONFIG, "%s", name);
        ck_assert_uint_eq(fault, 1);
        ck_assert_msg(strstr(err.message, name) != NULL, "%s: %s", name, err.message);
        ck_assert_str_eq(err.hint, refusals[i].hint);
        ck_assert_str_ne(err.hint, "");
    }
}
END_TEST

static const char *const promises[][2] = {
    {"acks", "1"},
    {"acks", "0"},
    {"request.required.acks", "1"},
    {"enable.idempotence", "false"},
    {"message.timeout.ms", "300000"},
    {"delivery.timeout.ms", "120000"},
    {"max.in.flight", "6"},
    {"max.in.flight.requests.per.connection", "100"},
    {"retries", "0"},
    {"message.send.max.retries", "5"},
    {"allow.auto.create.topics", "true"},
    {"enable.gapless.guarantee", "false"},
    {"delivery.report.only.error", "true"},
    {"transactional.id", "x"},
    {"plugin.library.paths", "evil.so"},
    {"test.mock.num.brokers", "1"},
    {"dr_msg_cb", "x"},
    {"group.id", "g"},
    {"queuing.strategy", "lifo"},
    {"queue.buffering.max.messages", "1000"},
    {"queue.buffering.max.kbytes", "1024"},
};

START_TEST(what_would_break_a_promise_is_refused)
{
    for (size_t i = 0; i < ARRAY_LEN(promises); i++) {
        ck_assert_msg(!check(promises[i][0], promises[i][1]), "%s=%s", promises[i][0],
                      promises[i][1]);
        ck_assert_str_ne(err.hint, "");
    }
}
END_TEST

static const char *const fine[][2] = {
    {"acks", "all"},
    {"acks", "-1"},
    {"request.required.acks", "-1"},
    {"enable.idempotence", "true"},
    {"message.timeout.ms", "0"},
    {"max.in.flight", "1"},
    {"max.in.flight.requests.per.connection", "5"},
    {"retries", "2147483647"},
    {"compression.type", "zstd"},
    {"compression.codec", "none"},
    {"linger.ms", "0"},
    {"partitioner", "consistent_random"},
    {"partitioner", "murmur2"},
    {"client.id", "mine"},
    {"security.protocol", "SASL_SSL"},
    {"sasl.password", "hunter2"},
    {"message.max.bytes", "10000000"},
    {"queue.buffering.max.messages", "1000000"},
    {"queue.buffering.max.kbytes", "2000000"},
    {"statistics.interval.ms", "1000"},
};

START_TEST(a_linger_of_the_user_is_recognised)
{
    static const char *const names[] = {"linger.ms", "queue.buffering.max.ms"};
    struct property property = {"acks", "all", false};
    const struct sink_opts with = {.properties = &property, .property_count = 1};
    ck_assert(!properties_linger(&with));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        property.name = names[i];
        ck_assert(properties_linger(&with));
    }
}
END_TEST

START_TEST(what_breaks_none_is_taken)
{
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        ck_assert_msg(check(fine[i][0], fine[i][1]), "%s=%s: %s", fine[i][0], fine[i][1],
                      err.message);
    }
}
END_TEST

START_TEST(unknown_names_and_values_are_told)
{
    ck_assert(!check("no.such.property", "1"));
    ck_assert_ptr_nonnull(strstr(err.message, "no.such.property"));
    ck_assert(!check("linger.ms", "soon"));
    ck_assert_ptr_nonnull(strstr(err.message, "linger.ms"));
    ck_assert_uint_eq(fault, 1);
}
END_TEST

START_TEST(servers_are_required)
{
    opts.property_count = 0;
    ck_assert(!sink_kafka_check(&opts, &fault, &err));
    ck_assert_uint_eq(fault, 0);
    ck_assert_ptr_nonnull(strstr(err.hint, "bootstrap.servers"));
    properties[0].name = "metadata.broker.list";
    opts.property_count = 1;
    ck_assert(sink_kafka_check(&opts, &fault, &err));
}
END_TEST

START_TEST(secrets_are_never_shown)
{
    static const char *const names[] = {"sasl.password",
                                        "ssl.key.password",
                                        "ssl.key.pem",
                                        "ssl.keystore.password",
                                        "sasl.oauthbearer.client.secret",
                                        "sasl.oauthbearer.config",
                                        "SASL.PASSWORD"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_msg(sink_kafka_property_secret(names[i]), "%s", names[i]);
    }
    ck_assert(!sink_kafka_property_secret("sasl.username"));
    ck_assert(!sink_kafka_property_secret("ssl.key.location"));
    ck_assert(!sink_kafka_property_secret("bootstrap.servers"));
    /* Of names librdkafka repeats a wrong value, of numbers it does not. */
    static const char *const refused[] = {"security.protocol", "linger.ms"};
    opts.property_count = 2;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        properties[1] = (struct property){refused[i], "hunter2", true};
        ck_assert(!sink_kafka_check(&opts, &fault, &err));
        ck_assert_ptr_null(strstr(err.message, "hunter2"));
        ck_assert_ptr_null(strstr(err.hint, "hunter2"));
    }
    properties[1] = (struct property){"acks", "hunter2", true};
    ck_assert(!sink_kafka_check(&opts, &fault, &err));
    ck_assert_ptr_null(strstr(err.message, "hunter2"));
}
END_TEST

static void expect(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[128];
    size_t size = sizeof(text);
    ck_assert_int_eq(rd_kafka_conf_get(conf, name, text, &size), RD_KAFKA_CONF_OK);
    ck_assert_msg(strcmp(text, value) == 0, "%s is %s", name, text);
}

START_TEST(defaults_keep_the_promises)
{
    rd_kafka_conf_t *conf;
    ck_assert(properties_producer(&opts, &conf, &fault, &err));
    expect(conf, "enable.idempotence", "true");
    expect(conf, "acks", "-1");
    expect(conf, "message.timeout.ms", "0");
    expect(conf, "partitioner", "murmur2_random");
    expect(conf, "client.id", "walferry-orders");
    expect(conf, "allow.auto.create.topics", "false");
    expect(conf, "queue.buffering.max.messages", "110000");
    expect(conf, "socket.nagle.disable", "true");
    expect(conf, "socket.keepalive.enable", "true");
    rd_kafka_conf_destroy(conf);
}
END_TEST

START_TEST(in_transactions_nothing_is_held_longer_than_the_transaction)
{
    rd_kafka_conf_t *conf;
    opts.transactional = true;
    ck_assert(properties_producer(&opts, &conf, &fault, &err));
    expect(conf, "transaction.timeout.ms", "60000");
    expect(conf, "message.timeout.ms", "60000");
    expect(conf, "enable.idempotence", "true");
    ck_assert_uint_eq(properties_number(conf, "message.timeout.ms"), 60000);
    rd_kafka_conf_destroy(conf);
    /* Never to give up is what the relay makes of it. */
    properties[1] = (struct property){"message.timeout.ms", "0", false};
    properties[2] = (struct property){"transaction.timeout.ms", "20000", false};
    opts.property_count = 3;
    ck_assert_msg(properties_producer(&opts, &conf, &fault, &err), "%s", err.message);
    expect(conf, "transaction.timeout.ms", "20000");
    expect(conf, "message.timeout.ms", "20000");
    rd_kafka_conf_destroy(conf);
    ck_assert(!check("message.timeout.ms", "1000"));
    ck_assert(!check("transactional.id", "mine"));
    opts.transactional = false;
    ck_assert(!check("transaction.timeout.ms", "20000"));
    ck_assert_ptr_nonnull(strstr(err.hint, "delivery.guarantee"));
}
END_TEST

START_TEST(a_request_must_fit_into_the_transaction)
{
    opts.transactional = true;
    properties[2] = (struct property){"transaction.timeout.ms", "20000", false};
    opts.property_count = 3;
    properties[1] = (struct property){"socket.timeout.ms", "20000", false};
    ck_assert_msg(sink_kafka_check(&opts, &fault, &err), "%s", err.message);
    properties[1].value = "20001";
    ck_assert(!sink_kafka_check(&opts, &fault, &err));
    ck_assert_int_eq(err.code, ERR_KAFKA_CONFIG);
    ck_assert_uint_eq(fault, 1);
    ck_assert_ptr_nonnull(strstr(err.message, "socket.timeout.ms=20001"));
    ck_assert_ptr_nonnull(strstr(err.hint, "20000"));
    opts.transactional = false;
    opts.property_count = 2;
    ck_assert(sink_kafka_check(&opts, &fault, &err));
}
END_TEST

START_TEST(readers_take_the_connection_and_are_quiet)
{
    rd_kafka_conf_t *conf;
    properties[1] = (struct property){"socket.keepalive.enable", "true", false};
    properties[2] = (struct property){"linger.ms", "7", false};
    opts.property_count = 3;
    ck_assert(properties_reader(&opts, "read_committed", &conf, &err));
    expect(conf, "bootstrap.servers", "127.0.0.1:9092");
    expect(conf, "socket.keepalive.enable", "true");
    expect(conf, "linger.ms", "5");
    expect(conf, "isolation.level", "read_committed");
    expect(conf, "enable.auto.commit", "false");
    expect(conf, "allow.auto.create.topics", "false");
    rd_kafka_conf_destroy(conf);
    properties[1].value = "maybe";
    ck_assert(!properties_reader(&opts, "read_uncommitted", &conf, &err));
}
END_TEST

START_TEST(the_user_wins_over_a_default)
{
    properties[1] = (struct property){"client.id", "mine", false};
    properties[2] = (struct property){"queue.buffering.max.ms", "50", false};
    opts.property_count = 3;
    rd_kafka_conf_t *conf;
    ck_assert(properties_producer(&opts, &conf, &fault, &err));
    expect(conf, "client.id", "mine");
    expect(conf, "linger.ms", "50");
    rd_kafka_conf_destroy(conf);
}
END_TEST

START_TEST(huge_limits_stay_within_librdkafkas)
{
    opts.max_records = UINT32_MAX;
    opts.max_bytes = UINT64_C(1) << 50;
    ck_assert(sink_kafka_check(&opts, &fault, &err));
}
END_TEST

START_TEST(text_from_outside_is_made_printable)
{
    char out[8];
    properties_printable("a\nb\x1b[31mlong", out, sizeof(out));
    ck_assert_str_eq(out, "a?b?[31");
}
END_TEST

static Suite *suite_of_properties(void)
{
    Suite *suite = suite_create("sink/properties");
    TCase *tests = tcase_create("properties");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, every_row_of_the_table_refuses_with_its_hint);
    tcase_add_test(tests, what_would_break_a_promise_is_refused);
    tcase_add_test(tests, what_breaks_none_is_taken);
    tcase_add_test(tests, a_linger_of_the_user_is_recognised);
    tcase_add_test(tests, unknown_names_and_values_are_told);
    tcase_add_test(tests, servers_are_required);
    tcase_add_test(tests, secrets_are_never_shown);
    tcase_add_test(tests, defaults_keep_the_promises);
    tcase_add_test(tests, in_transactions_nothing_is_held_longer_than_the_transaction);
    tcase_add_test(tests, a_request_must_fit_into_the_transaction);
    tcase_add_test(tests, readers_take_the_connection_and_are_quiet);
    tcase_add_test(tests, the_user_wins_over_a_default);
    tcase_add_test(tests, huge_limits_stay_within_librdkafkas);
    tcase_add_test(tests, text_from_outside_is_made_printable);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_properties())
