/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "walferry/metrics/metrics.h"

#include "test.h"

static struct metrics *metrics;
static struct buf out;

static void setup(void)
{
    metrics = metrics_new();
    metrics_build(metrics, "1.2.3", "2.0.2", "15.20");
    buf_init(&out, 1 << 20);
}

static void teardown(void)
{
    buf_deinit(&out);
    metrics_free(metrics);
}

static const char *render(bool openmetrics)
{
    buf_reset(&out);
    metrics_render(metrics, openmetrics, &out);
    ck_assert(buf_ok(&out));
    return buf_cstr(&out);
}

static bool has_line(const char *text, const char *line)
{
    char wanted[512];
    snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    return strstr(text, wanted) != NULL || strncmp(text, wanted + 1, strlen(wanted) - 1) == 0;
}

#define ck_line(text, line) ck_assert_msg(has_line((text), (line)), "no \"%s\" in\n%s", line, text)

static double number_of(const char *text, const char *name)
{
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "\n%s ", name);
    const char *at = strstr(text, wanted);
    ck_assert_msg(at != NULL, "no %s", name);
    return strtod(at + strlen(wanted), NULL);
}

START_TEST(known_label_values_start_at_0)
{
    const char *text = render(false);
    ck_line(text, "walferry_events_received_total 0");
    ck_line(text, "walferry_events_skipped_total{reason=\"update\"} 0");
    ck_line(text, "walferry_events_skipped_total{reason=\"position\"} 0");
    ck_line(text, "walferry_state{state=\"streaming\"} 0");
    ck_line(text, "walferry_slot_wal_status{status=\"lost\"} 0");
    ck_line(text, "walferry_kafka_transactions_total{outcome=\"aborted\"} 0");
    ck_line(text, "walferry_reconnects_total{side=\"sink\"} 0");
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"0.0005\"} 0");
    ck_assert_ptr_null(strstr(text, "events_published_total{"));
}
END_TEST

START_TEST(the_identity_is_in_labels)
{
    ck_line(render(false),
            "walferry_build_info{version=\"1.2.3\",librdkafka=\"2.0.2\",libpq=\"15.20\"} 1");
}
END_TEST

/* Each family stands once, its HELP and TYPE before its samples, and every line is closed. */
START_TEST(every_family_stands_once)
{
    bool openmetrics = _i == 1;
    const char *text = render(openmetrics);
    ck_assert_int_eq(text[out.len - 1], '\n');
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        char family[128], line[160];
        snprintf(family, sizeof(family), "walferry_%s", metric_name(metric));
        if (openmetrics && metric_kind_of(metric) == METRIC_COUNTER)
            family[strlen(family) - strlen("_total")] = '\0';
        snprintf(line, sizeof(line), "# TYPE %s ", family);
        const char *type = strstr(text, line);
        ck_assert_msg(type != NULL && strstr(type + 1, line) == NULL, "%s", line);
        snprintf(line, sizeof(line), "# HELP %s ", family);
        const char *help = strstr(text, line);
        ck_assert_msg(help != NULL && strstr(help + 1, line) == NULL && help < type, "%s", line);
    }
    const char *end = strstr(text, "# EOF\n");
    ck_assert(openmetrics ? end == text + out.len - 6 : end == NULL);
}
END_TEST

START_TEST(counters_by_format)
{
    metrics_add(metrics, METRIC_TRANSACTIONS, 3);
    const char *text = render(false);
    ck_line(text, "# TYPE walferry_transactions_total counter");
    ck_line(text, "walferry_transactions_total 3");
    text = render(true);
    ck_line(text, "# TYPE walferry_transactions counter");
    ck_line(text, "walferry_transactions_total 3");
    ck_line(text, "# TYPE process_cpu_seconds counter");
}
END_TEST

START_TEST(numbers_keep_their_value)
{
    static const struct {
        double number;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-1, "-1"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {9007199254740991.0, "9007199254740991"},
        {9007199254740992.0, "9007199254740992"},
        {1e300, "1e+300"},
        {1700000000.123456, "1700000000.123456"},
        {__builtin_inf(), "+Inf"},
        {-__builtin_inf(), "-Inf"},
        {__builtin_nan(""), "NaN"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        metrics_set(metrics, METRIC_LAST_EVENT, rows[i].number);
        char line[128];
        snprintf(line, sizeof(line), "walferry_last_event_timestamp_seconds %s", rows[i].text);
        ck_line(render(false), line);
    }
}
END_TEST

START_TEST(buckets_add_up)
{
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, 0.0005, 1);
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, 0.00051, 1);
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, 1, 2);
    metrics_observe(metrics, METRIC_COMMIT_TO_ACK, 301, 1);
    const char *text = render(false);
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"0.0005\"} 1");
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"0.001\"} 2");
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"0.5\"} 2");
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"1\"} 4");
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"300\"} 4");
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"+Inf\"} 5");
    ck_line(text, "walferry_commit_to_ack_seconds_count 5");
    ck_assert_double_eq_tol(number_of(text, "walferry_commit_to_ack_seconds_sum"), 303.00101, 1e-9);
    text = render(true);
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"1.0\"} 4");
    ck_line(text, "walferry_commit_to_ack_seconds_bucket{le=\"2.5\"} 4");
}
END_TEST

START_TEST(hostile_labels_are_escaped)
{
    metrics_add_label(metrics, METRIC_EVENTS_PUBLISHED, "a\"} 1\nevil{x=\"\\", 2);
    metrics_add_label(metrics, METRIC_EVENTS_PUBLISHED, "\xff\xfe", 3);
    metrics_add_label(metrics, METRIC_EVENTS_PUBLISHED, "gr\xc3\xbc\xc3\x9f", 4);
    metrics_build(metrics, "\"\n", "\\", "");
    for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
        const char *text = render(openmetrics == 1);
        ck_line(text, "walferry_events_published_total{topic=\"a\\\"} 1\\nevil{x=\\\"\\\\\"} 2");
        ck_line(text, "walferry_events_published_total{topic=\"??\"} 3");
        ck_line(text, "walferry_events_published_total{topic=\"gr\xc3\xbc\xc3\x9f\"} 4");
        ck_line(text, "walferry_build_info{version=\"\\\"\\n\",librdkafka=\"\\\\\",libpq=\"\"} 1");
        ck_assert_ptr_null(strstr(text, "\nevil"));
    }
}
END_TEST

START_TEST(topics_appear_when_seen)
{
    (void)metrics_topic(metrics, "orders");
    const char *text = render(false);
    ck_line(text, "walferry_events_published_total{topic=\"orders\"} 0");
    ck_assert_ptr_null(strstr(text, "topic=\"other\""));
    metrics_add_label(metrics, METRIC_EVENTS_PUBLISHED, "other", 1);
    ck_line(render(false), "walferry_events_published_total{topic=\"other\"} 1");
}
END_TEST

START_TEST(the_process_is_measured)
{
    const char *text = render(false);
    ck_assert_double_ge(number_of(text, "process_cpu_seconds_total"), 0);
    ck_assert_double_ge(number_of(text, "process_virtual_memory_bytes"), 1e6);
    ck_assert_double_ge(number_of(text, "process_resident_memory_bytes"), 1e5);
    ck_assert_double_ge(number_of(text, "process_max_fds"), 10);
    ck_assert_double_eq(number_of(text, "process_threads"), 1);
    ck_assert_double_ge(number_of(text, "process_start_time_seconds"), 1e9);
    double before = number_of(text, "process_open_fds");
    int fd = dup(0);
    ck_assert_double_eq(number_of(render(false), "process_open_fds"), before + 1);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_double_eq(number_of(render(false), "process_open_fds"), before);
}
END_TEST

START_TEST(the_ceiling_of_the_buffer_holds)
{
    buf_deinit(&out);
    buf_init(&out, 1000);
    metrics_render(metrics, false, &out);
    ck_assert(!buf_ok(&out));
    ck_assert_uint_le(out.len, 1000);
}
END_TEST

static Suite *suite_of_render(void)
{
    Suite *suite = suite_create("render");
    TCase *tcase = tcase_create("render");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, known_label_values_start_at_0);
    tcase_add_test(tcase, the_identity_is_in_labels);
    tcase_add_loop_test(tcase, every_family_stands_once, 0, 2);
    tcase_add_test(tcase, counters_by_format);
    tcase_add_test(tcase, numbers_keep_their_value);
    tcase_add_test(tcase, buckets_add_up);
    tcase_add_test(tcase, hostile_labels_are_escaped);
    tcase_add_test(tcase, topics_appear_when_seen);
    tcase_add_test(tcase, the_process_is_measured);
    tcase_add_test(tcase, the_ceiling_of_the_buffer_holds);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_render())
