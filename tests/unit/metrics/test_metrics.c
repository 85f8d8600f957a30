/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/metrics/metrics.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static struct metrics *metrics;

static void setup(void)
{
    metrics = metrics_new();
    ck_assert_ptr_nonnull(metrics);
}

static void teardown(void)
{
    metrics_free(metrics);
}

START_TEST(every_row_is_well_formed)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const char *name = metric_name(metric);
        ck_assert_msg(strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name), "%s", name);
        ck_assert_msg(strncmp(name, "walferry", 8) != 0, "%s", name);
        const char *total = strstr(name, "_total");
        bool counter = metric_kind_of(metric) == METRIC_COUNTER;
        ck_assert_msg(counter == (total != NULL && total[6] == '\0'), "%s", name);
        const char *help = metric_help(metric);
        ck_assert_msg(strlen(help) > 10 && help[strlen(help) - 1] == '.', "%s: %s", name, help);
        for (enum metric other = 0; other < metric; other++)
            ck_assert_str_ne(name, metric_name(other));
    }
}
END_TEST

START_TEST(the_contract_names_them)
{
    static const struct {
        enum metric metric;
        const char *name;
        const char *label;
    } rows[] = {
        {METRIC_BUILD_INFO, "build_info", NULL},
        {METRIC_STATE, "state", "state"},
        {METRIC_EVENTS_RECEIVED, "events_received_total", NULL},
        {METRIC_EVENTS_PUBLISHED, "events_published_total", "topic"},
        {METRIC_EVENTS_SKIPPED, "events_skipped_total", "reason"},
        {METRIC_DEAD_LETTERS, "dead_letters_total", "reason"},
        {METRIC_PUBLISH_ERRORS, "publish_errors_total", "error"},
        {METRIC_KAFKA_TRANSACTIONS, "kafka_transactions_total", "outcome"},
        {METRIC_COMMIT_TO_ACK, "commit_to_ack_seconds", NULL},
        {METRIC_SLOT_WAL_STATUS, "slot_wal_status", "status"},
        {METRIC_RECONNECTS, "reconnects_total", "side"},
        {METRIC_CHECKPOINT_WRITES, "checkpoint_writes_total", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_str_eq(metric_name(rows[i].metric), rows[i].name);
        if (rows[i].label == NULL)
            ck_assert_ptr_null(metric_label(rows[i].metric));
        else
            ck_assert_str_eq(metric_label(rows[i].metric), rows[i].label);
    }
}
END_TEST

START_TEST(plain_numbers_add_and_set)
{
    ck_assert_double_eq(metrics_get(metrics, METRIC_EVENTS_RECEIVED), 0);
    metrics_add(metrics, METRIC_EVENTS_RECEIVED, 2);
    metrics_add(metrics, METRIC_EVENTS_RECEIVED, 0.5);
    ck_assert_double_eq(metrics_get(metrics, METRIC_EVENTS_RECEIVED), 2.5);
    metrics_set(metrics, METRIC_IN_FLIGHT_EVENTS, 9);
    metrics_add(metrics, METRIC_IN_FLIGHT_EVENTS, -4);
    ck_assert_double_eq(metrics_get(metrics, METRIC_IN_FLIGHT_EVENTS), 5);
    ck_assert_double_eq(metrics_get(metrics, METRIC_BUILD_INFO), 1);
}
END_TEST

START_TEST(counters_never_fall)
{
    metrics_set(metrics, METRIC_LOG_DROPPED, 7);
    metrics_set(metrics, METRIC_LOG_DROPPED, 3);
    ck_assert_double_eq(metrics_get(metrics, METRIC_LOG_DROPPED), 7);
    metrics_set(metrics, METRIC_LOG_DROPPED, 8);
    ck_assert_double_eq(metrics_get(metrics, METRIC_LOG_DROPPED), 8);
}
END_TEST

START_TEST(counters_are_exact_to_2_to_53)
{
    metrics_add(metrics, METRIC_BYTES_PUBLISHED, 9007199254740991.0);
    metrics_add(metrics, METRIC_BYTES_PUBLISHED, 1);
    ck_assert_double_eq(metrics_get(metrics, METRIC_BYTES_PUBLISHED), 9007199254740992.0);
}
END_TEST

START_TEST(labels_have_numbers_of_their_own)
{
    metrics_add_label(metrics, METRIC_EVENTS_SKIPPED, "rule", 3);
    metrics_add_label(metrics, METRIC_EVENTS_SKIPPED, "position", 4);
    ck_assert_double_eq(metrics_get_label(metrics, METRIC_EVENTS_SKIPPED, "rule"), 3);
    ck_assert_double_eq(metrics_get_label(metrics, METRIC_EVENTS_SKIPPED, "update"), 0);
    ck_assert_double_eq(metrics_get(metrics, METRIC_EVENTS_SKIPPED), 7);
    metrics_set_label(metrics, METRIC_STATE, "streaming", 1);
    metrics_set_label(metrics, METRIC_STATE, "streaming", 0);
    ck_assert_double_eq(metrics_get_label(metrics, METRIC_STATE, "streaming"), 0);
}
END_TEST

START_TEST(an_unknown_error_counts_as_other)
{
    metrics_add_label(metrics, METRIC_PUBLISH_ERRORS, "memory", 2);
    ck_assert_double_eq(metrics_get_label(metrics, METRIC_PUBLISH_ERRORS, "other"), 2);
    ck_assert_double_eq(metrics_get(metrics, METRIC_PUBLISH_ERRORS), 2);
}
END_TEST

START_TEST(topics_have_numbers)
{
    uint32_t orders = metrics_topic(metrics, "orders");
    uint32_t invoices = metrics_topic(metrics, "invoices");
    ck_assert_uint_ne(orders, invoices);
    ck_assert_uint_eq(metrics_topic(metrics, "orders"), orders);
    metrics_add_topic(metrics, METRIC_EVENTS_PUBLISHED, orders, 5);
    metrics_add_label(metrics, METRIC_EVENTS_PUBLISHED, "orders", 1);
    ck_assert_double_eq(metrics_get_label(metrics, METRIC_EVENTS_PUBLISHED, "orders"), 6);
    ck_assert_double_eq(metrics_get_label(metrics, METRIC_EVENTS_PUBLISHED, "invoices"), 0);
    ck_assert_double_eq(metrics_get_label(metrics, METRIC_EVENTS_PUBLISHED, "unseen"), 0);
    ck_assert_double_eq(metrics_get(metrics, METRIC_EVENTS_PUBLISHED), 6);
}
END_TEST

START_TEST(topics_beyond_the_cap_are_other)
{
    char topic[300];
    uint32_t numbers[METRIC_TOPICS_MAX];
    for (size_t i = 0; i < METRIC_TOPICS_MAX; i++) {
        snprintf(topic, sizeof(topic), "topic-%zu", i);
        numbers[i] = metrics_topic(metrics, topic);
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(numbers[i], numbers[j]);
    }
    uint32_t other = metrics_topic(metrics, "one-more");
    ck_assert_uint_eq(metrics_topic(metrics, "two-more"), other);
    metrics_add_topic(metrics, METRIC_EVENTS_PUBLISHED, other, 2);
    ck_assert_double_eq(metrics_get_label(metrics, METRIC_EVENTS_PUBLISHED, "other"), 2);
    ck_assert_uint_eq(metrics_topic(metrics, "topic-0"), numbers[0]);
    ck_assert_uint_eq(metrics_topic(metrics, "topic-999"), numbers[999]);
}
END_TEST

START_TEST(no_name_of_a_topic_does_harm)
{
    char topic[300];
    memset(topic, 'x', sizeof(topic));
    topic[299] = '\0';
    uint32_t other = metrics_topic(metrics, topic);
    ck_assert_uint_eq(metrics_topic(metrics, "other"), other);
    topic[249] = '\0';
    ck_assert_uint_ne(metrics_topic(metrics, topic), other);
    ck_assert_uint_ne(metrics_topic(metrics, ""), other);
}
END_TEST

START_TEST(a_histogram_counts)
{
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, 0.2, 1);
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, -5, 1);
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, 1e9, 1);
    ck_assert_double_eq(metrics_get(metrics, METRIC_COMMIT_TO_ACK), 3);
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, 0.3, 5);
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, 0.3, 0);
    ck_assert_double_eq(metrics_get(metrics, METRIC_COMMIT_TO_ACK), 8);
}
END_TEST

static void fall(void)
{
    metrics_add(metrics, METRIC_EVENTS_RECEIVED, -1);
}

static void forget_the_label(void)
{
    metrics_add(metrics, METRIC_EVENTS_SKIPPED, 1);
}

static void invent_a_label(void)
{
    metrics_add_label(metrics, METRIC_EVENTS_RECEIVED, "rule", 1);
}

static void invent_a_value(void)
{
    metrics_add_label(metrics, METRIC_EVENTS_SKIPPED, "rules", 1);
}

static void invent_a_topic(void)
{
    metrics_add_topic(metrics, METRIC_EVENTS_PUBLISHED, 3, 1);
}

static void observe_a_gauge(void)
{
    metrics_observe(metrics, METRIC_OLDEST_AGE, 1, 1);
}

static void set_a_histogram(void)
{
    metrics_set(metrics, METRIC_COMMIT_TO_ACK, 1);
}

static void (*const bugs[])(void) = {fall,           forget_the_label, invent_a_label,
                                     invent_a_value, invent_a_topic,   observe_a_gauge,
                                     set_a_histogram};

START_TEST(bugs_are_asserted)
{
    bugs[_i]();
    exit(0);
}
END_TEST

static Suite *suite_of_metrics(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tcase = tcase_create("metrics");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, every_row_is_well_formed);
    tcase_add_test(tcase, the_contract_names_them);
    tcase_add_test(tcase, plain_numbers_add_and_set);
    tcase_add_test(tcase, counters_never_fall);
    tcase_add_test(tcase, counters_are_exact_to_2_to_53);
    tcase_add_test(tcase, labels_have_numbers_of_their_own);
    tcase_add_test(tcase, an_unknown_error_counts_as_other);
    tcase_add_test(tcase, topics_have_numbers);
    tcase_add_test(tcase, topics_beyond_the_cap_are_other);
    tcase_add_test(tcase, no_name_of_a_topic_does_harm);
    tcase_add_test(tcase, a_histogram_counts);
    tcase_add_loop_exit_test(tcase, bugs_are_asserted, 70, 0, (int)ARRAY_LEN(bugs));
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_metrics())
