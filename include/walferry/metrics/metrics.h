/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: the numbers of the process, declared once in metrics.def.
 *
 * Each row of the table has a name, a kind, its labels and its documentation; the Prometheus text,
 * the manual page and the tests come from it. Every label value known in advance exists from the
 * start with 0; the one free label (topic) has a cap, beyond it values are counted under "other".
 * Not thread-safe: one thread owns it. The process_* family is read from /proc while rendering.
 */
#pragma once

#include "walferry/base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric {
#define METRIC(id, name, kind, label, values, help) METRIC_##id,
#include "walferry/metrics/metrics.def"
#undef METRIC
    METRIC_COUNT
};

#define METRIC_TOPICS_MAX 1000

struct metrics;

/* NULL without memory; all of it is taken here. */
MUST_USE struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);
/* Identity for build_info: version, librdkafka and libpq versions. */
void metrics_build(struct metrics *metrics, const char *version, const char *librdkafka,
                   const char *libpq);
/* Metrics without a label. A counter never falls: adding a negative amount is asserted against, and
 * setting it to less than it has does nothing. */
void metrics_add(struct metrics *metrics, enum metric metric, double amount);
void metrics_set(struct metrics *metrics, enum metric metric, double value);
/* With a label: the sum over its values. A histogram: the count of its observations. */
double metrics_get(const struct metrics *metrics, enum metric metric);
/* In seconds, seen so many times; less than 0 counts as 0. */
void metrics_observe(struct metrics *metrics, enum metric metric, double value, uint64_t times);
/* Metrics with a label, by its value; an unknown value of a fixed set counts as "other" where the
 * set has that, and is asserted against where not; of the free label it is added. */
void metrics_add_label(struct metrics *metrics, enum metric metric, const char *value,
                       double amount);
void metrics_set_label(struct metrics *metrics, enum metric metric, const char *value,
                       double amount);
double metrics_get_label(const struct metrics *metrics, enum metric metric, const char *value);
/* A number for the topic, for the hot path: metrics_add_topic() without a look-up. */
uint32_t metrics_topic(struct metrics *metrics, const char *topic);
void metrics_add_topic(struct metrics *metrics, enum metric metric, uint32_t topic, double amount);

/* Prometheus text 0.0.4, or OpenMetrics 1.0.0 with its closing "# EOF". */
void metrics_render(const struct metrics *metrics, bool openmetrics, struct buf *out);

/* Without the prefix "walferry_". */
const char *metric_name(enum metric metric);
const char *metric_help(enum metric metric);
enum metric_kind metric_kind_of(enum metric metric);
/* Label name, NULL for none. */
const char *metric_label(enum metric metric);
