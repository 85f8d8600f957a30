/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/metrics/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "series.h"
#include "walferry/base/assert.h"

/* Spelled as in the table of metrics. */
#define COUNTER   METRIC_COUNTER
#define GAUGE     METRIC_GAUGE
#define HISTOGRAM METRIC_HISTOGRAM

/* The label value for what no other value stands for. */
#define OTHER "other"

static const struct {
    const char *name;
    enum metric_kind kind;
    const char *label;
    const char *values;
    const char *help;
} table[METRIC_COUNT] = {
#define METRIC(id, name, kind, label, values, help) {name, kind, label, values, help},
#include "walferry/metrics/metrics.def"
#undef METRIC
};

const double metric_buckets[METRIC_BUCKETS] = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

const char *metric_name(enum metric metric)
{
    ASSERT(metric < METRIC_COUNT);
    return table[metric].name;
}

const char *metric_help(enum metric metric)
{
    ASSERT(metric < METRIC_COUNT);
    return table[metric].help;
}

enum metric_kind metric_kind_of(enum metric metric)
{
    ASSERT(metric < METRIC_COUNT);
    return table[metric].kind;
}

const char *metric_label(enum metric metric)
{
    ASSERT(metric < METRIC_COUNT);
    return table[metric].label;
}

bool metric_label_is_free(enum metric metric)
{
    return table[metric].label != NULL && table[metric].values == NULL;
}

/* Cut the values of a fixed label out of the table's text. */
static void split_values(struct metric_series *series, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, " ");
        ASSERT(len > 0 && series->count < METRIC_VALUES_MAX);
        series->values[series->count++] = bytes_make(at, len);
        at += len;
        at += strspn(at, " ");
    }
}

static bool init_series(struct metric_series *series, enum metric metric)
{
    if (table[metric].kind == METRIC_HISTOGRAM) {
        ASSERT(table[metric].label == NULL);
        series->count = 1;
        series->histogram = calloc(1, sizeof(*series->histogram));
        return series->histogram != NULL;
    }
    if (metric_label_is_free(metric))
        series->count = METRIC_TOPIC_OTHER + 1;
    else if (table[metric].label != NULL)
        split_values(series, table[metric].values);
    else
        series->count = 1;
    ASSERT(series->count > 0);
    series->numbers = calloc(series->count, sizeof(*series->numbers));
    return series->numbers != NULL;
}

struct metrics *metrics_new(void)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    bool ok = metrics != NULL;
    for (enum metric metric = 0; ok && metric < METRIC_COUNT; metric++)
        ok = init_series(&metrics->series[metric], metric);
    if (!ok) {
        metrics_free(metrics);
        return NULL;
    }
    metrics_set(metrics, METRIC_BUILD_INFO, 1);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        free(metrics->series[metric].numbers);
        free(metrics->series[metric].histogram);
    }
    free(metrics);
}

void metrics_build(struct metrics *metrics, const char *version, const char *librdkafka,
                   const char *libpq)
{
    snprintf(metrics->version, sizeof(metrics->version), "%s", version);
    snprintf(metrics->librdkafka, sizeof(metrics->librdkafka), "%s", librdkafka);
    snprintf(metrics->libpq, sizeof(metrics->libpq), "%s", libpq);
}

static double *number_at(const struct metrics *metrics, enum metric metric, size_t index)
{
    ASSERT(metric < METRIC_COUNT);
    const struct metric_series *series = &metrics->series[metric];
    ASSERT(series->numbers != NULL && index < series->count);
    return &series->numbers[index];
}

static double *plain_number(const struct metrics *metrics, enum metric metric)
{
    ASSERT(metric_label(metric) == NULL);
    return number_at(metrics, metric, 0);
}

/* A counter only rises: a scraper takes a fall for a restart and counts everything twice. */
static void add(enum metric metric, double *number, double amount)
{
    ASSERT(table[metric].kind == METRIC_GAUGE || amount >= 0);
    *number += amount;
}

static void set(enum metric metric, double *number, double value)
{
    if (table[metric].kind == METRIC_GAUGE || value > *number)
        *number = value;
}

void metrics_add(struct metrics *metrics, enum metric metric, double amount)
{
    add(metric, plain_number(metrics, metric), amount);
}

void metrics_set(struct metrics *metrics, enum metric metric, double value)
{
    set(metric, plain_number(metrics, metric), value);
}

double metrics_get(const struct metrics *metrics, enum metric metric)
{
    ASSERT(metric < METRIC_COUNT);
    const struct metric_series *series = &metrics->series[metric];
    double sum = 0;
    if (series->histogram != NULL) {
        for (size_t i = 0; i <= METRIC_BUCKETS; i++)
            sum += (double)series->histogram->buckets[i];
        return sum;
    }
    for (size_t i = 0; i < series->count; i++)
        sum += series->numbers[i];
    return sum;
}

void metrics_observe(struct metrics *metrics, enum metric metric, double value, uint64_t times)
{
    ASSERT(metric_kind_of(metric) == METRIC_HISTOGRAM && !isnan(value));
    /* Clocks of two machines: the sum must not fall. */
    double observed = value < 0 ? 0 : value;
    struct histogram *histogram = metrics->series[metric].histogram;
    size_t bucket = 0;
    while (bucket < METRIC_BUCKETS && observed > metric_buckets[bucket])
        bucket++;
    histogram->buckets[bucket] += times;
    histogram->sum += observed * (double)times;
}

/* The place in the table of topics that holds the name, or would. */
static uint16_t *topic_slot(struct metrics *metrics, const char *topic)
{
    uint32_t at = bytes_hash(bytes_str(topic)) % METRIC_TOPIC_SLOTS;
    while (metrics->topic_slots[at] != 0 &&
           strcmp(metrics->topics[metrics->topic_slots[at] - 1], topic) != 0)
        at = (at + 1) % METRIC_TOPIC_SLOTS;
    return &metrics->topic_slots[at];
}

uint32_t metrics_topic(struct metrics *metrics, const char *topic)
{
    uint16_t *slot = topic_slot(metrics, topic);
    if (*slot != 0)
        return *slot - 1u;
    size_t len = strlen(topic);
    if (metrics->topic_count == METRIC_TOPICS_MAX || len > METRIC_TOPIC_NAME_MAX ||
        strcmp(topic, OTHER) == 0) {
        metrics->topics_overflowed = true;
        return METRIC_TOPIC_OTHER;
    }
    memcpy(metrics->topics[metrics->topic_count], topic, len + 1);
    *slot = (uint16_t)++metrics->topic_count;
    return *slot - 1u;
}

const char *metrics_topic_name(const struct metrics *metrics, uint32_t topic)
{
    ASSERT(topic <= METRIC_TOPIC_OTHER);
    return topic == METRIC_TOPIC_OTHER ? OTHER : metrics->topics[topic];
}

void metrics_add_topic(struct metrics *metrics, enum metric metric, uint32_t topic, double amount)
{
    ASSERT(metric_label_is_free(metric));
    ASSERT(topic < metrics->topic_count || topic == METRIC_TOPIC_OTHER);
    add(metric, number_at(metrics, metric, topic), amount);
}

/* Of a value of a fixed label; what is not in the set counts as "other" where the set has that. */
static size_t index_of(const struct metric_series *series, const char *value)
{
    size_t other = series->count;
    for (size_t i = 0; i < series->count; i++) {
        if (bytes_is(series->values[i], value))
            return i;
        if (bytes_is(series->values[i], OTHER))
            other = i;
    }
    ASSERT(other < series->count);
    return other;
}

static double *label_number(struct metrics *metrics, enum metric metric, const char *value)
{
    ASSERT(metric_label(metric) != NULL);
    size_t index = metric_label_is_free(metric) ? metrics_topic(metrics, value)
                                                : index_of(&metrics->series[metric], value);
    return number_at(metrics, metric, index);
}

void metrics_add_label(struct metrics *metrics, enum metric metric, const char *value,
                       double amount)
{
    add(metric, label_number(metrics, metric, value), amount);
}

void metrics_set_label(struct metrics *metrics, enum metric metric, const char *value,
                       double amount)
{
    set(metric, label_number(metrics, metric, value), amount);
}

double metrics_get_label(const struct metrics *metrics, enum metric metric, const char *value)
{
    ASSERT(metric_label(metric) != NULL);
    if (!metric_label_is_free(metric))
        return *number_at(metrics, metric, index_of(&metrics->series[metric], value));
    if (strcmp(value, OTHER) == 0)
        return *number_at(metrics, metric, METRIC_TOPIC_OTHER);
    for (uint32_t topic = 0; topic < metrics->topic_count; topic++) {
        if (strcmp(metrics->topics[topic], value) == 0)
            return *number_at(metrics, metric, topic);
    }
    return 0;
}
