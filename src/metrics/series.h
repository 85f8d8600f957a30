/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series: how the numbers are kept. A metric has one series for each value of its label, one in
 * all when it has none; the renderer walks them.
 */
#pragma once

#include "walferry/metrics/metrics.h"

/* Kafka's limit; a longer name is no topic. */
#define METRIC_TOPIC_NAME_MAX 249
/* Number of the series that stands for all topics beyond the cap. */
#define METRIC_TOPIC_OTHER METRIC_TOPICS_MAX
#define METRIC_VALUES_MAX  16 /* of a fixed label */
#define METRIC_BUCKETS     17
/* Slots of the table of topics: a power of two, less than half full. */
#define METRIC_TOPIC_SLOTS 4096

/* Upper bounds in seconds; the last bucket, without a bound, comes after them. */
extern const double metric_buckets[METRIC_BUCKETS];

struct histogram {
    uint64_t buckets[METRIC_BUCKETS + 1]; /* each counts its own observations only */
    double sum;
};

struct metric_series {
    size_t count;                           /* of a label's values; 1 without a label */
    struct bytes values[METRIC_VALUES_MAX]; /* of a fixed label, in the table's text */
    double *numbers;                        /* count, or every topic and the one for the rest */
    struct histogram *histogram;            /* of a histogram */
};

struct metrics {
    struct metric_series series[METRIC_COUNT];
    uint32_t topic_count;
    bool topics_overflowed; /* the series for the rest is in use */
    char topics[METRIC_TOPICS_MAX][METRIC_TOPIC_NAME_MAX + 1];
    uint16_t topic_slots[METRIC_TOPIC_SLOTS]; /* number + 1; 0 is free */
    char version[64];
    char librdkafka[64];
    char libpq[64];
};

/* True for a label whose values are not known in advance. */
bool metric_label_is_free(enum metric metric);
/* Name of the series for a topic. */
const char *metrics_topic_name(const struct metrics *metrics, uint32_t topic);

/* The process_* family, from /proc; what cannot be read is left out. */
void process_render(bool openmetrics, struct buf *out);

/* "# HELP" and "# TYPE" of a family; `name` as its samples have it. */
void render_family(const char *name, const char *help, enum metric_kind kind, bool openmetrics,
                   struct buf *out);
/* A number as both formats want it: shortest text that reads back the same. */
void render_number(double number, struct buf *out);
