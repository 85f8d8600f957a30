/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "series.h"
#include "walferry/base/assert.h"
#include "walferry/base/utf8.h"

/* Doubles hold whole numbers exactly up to here. */
#define EXACT_MAX 9007199254740992.0 /* 2^53 */

#define PREFIX "walferry_"
#define TOTAL  "_total"

void render_number(double number, struct buf *out)
{
    if (isnan(number)) {
        buf_put_str(out, "NaN");
    } else if (isinf(number)) {
        buf_put_str(out, number > 0 ? "+Inf" : "-Inf");
    } else if (fabs(number) <= EXACT_MAX && trunc(number) == number) {
        buf_printf(out, "%" PRId64, (int64_t)number);
    } else {
        char text[64];
        int digits = 15;
        do
            snprintf(text, sizeof(text), "%.*g", digits, number);
        while (strtod(text, NULL) != number && digits++ < 17);
        buf_put_str(out, text);
    }
}

/* Backslash, quote and newline as both formats have them (in HELP texts the quote stays in the
 * older one); bytes that are not UTF-8 are not allowed at all. */
static void put_escaped(struct bytes text, bool quote, struct buf *out)
{
    bool valid = utf8_valid(text);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '\\')
            buf_put_str(out, "\\\\");
        else if (c == '\n')
            buf_put_str(out, "\\n");
        else if (c == '"' && quote)
            buf_put_str(out, "\\\"");
        else
            buf_put_u8(out, c == '\0' || (!valid && c >= 0x80) ? '?' : c);
    }
}

/* The family of an OpenMetrics counter has no suffix, its sample has. */
static struct bytes family_name(const char *name, enum metric_kind kind, bool openmetrics)
{
    struct bytes family = bytes_str(name);
    if (openmetrics && kind == METRIC_COUNTER) {
        size_t suffix = strlen(TOTAL);
        ASSERT(family.len > suffix && strcmp(name + family.len - suffix, TOTAL) == 0);
        family.len -= suffix;
    }
    return family;
}

static const char *kind_name(enum metric_kind kind)
{
    static const char *const names[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };
    return names[kind];
}

void render_family(const char *name, const char *help, enum metric_kind kind, bool openmetrics,
                   struct buf *out)
{
    struct bytes family = family_name(name, kind, openmetrics);
    buf_printf(out, "# HELP %.*s ", BYTES_FMT(family));
    put_escaped(bytes_str(help), openmetrics, out);
    buf_printf(out, "\n# TYPE %.*s %s\n", BYTES_FMT(family), kind_name(kind));
}

static void put_label(const char *name, struct bytes value, struct buf *out)
{
    buf_printf(out, "%s=\"", name);
    put_escaped(value, true, out);
    buf_put_u8(out, '"');
}

static void put_sample(enum metric metric, struct bytes value, double number, struct buf *out)
{
    buf_printf(out, PREFIX "%s", metric_name(metric));
    if (bytes_present(value)) {
        buf_put_u8(out, '{');
        put_label(metric_label(metric), value, out);
        buf_put_u8(out, '}');
    }
    buf_put_u8(out, ' ');
    render_number(number, out);
    buf_put_u8(out, '\n');
}

static void put_topics(const struct metrics *metrics, enum metric metric, struct buf *out)
{
    const double *numbers = metrics->series[metric].numbers;
    for (uint32_t topic = 0; topic < metrics->topic_count; topic++)
        put_sample(metric, bytes_str(metrics_topic_name(metrics, topic)), numbers[topic], out);
    if (metrics->topics_overflowed)
        put_sample(metric, bytes_str(metrics_topic_name(metrics, METRIC_TOPIC_OTHER)),
                   numbers[METRIC_TOPIC_OTHER], out);
}

/* OpenMetrics wants bounds with a fraction, "1.0"; the older format's libraries write "1". */
static void put_bound(double bound, bool openmetrics, struct buf *out)
{
    render_number(bound, out);
    if (openmetrics && trunc(bound) == bound)
        buf_put_str(out, ".0");
}

static void put_histogram(const struct metrics *metrics, enum metric metric, bool openmetrics,
                          struct buf *out)
{
    const struct histogram *histogram = metrics->series[metric].histogram;
    uint64_t below = 0;
    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        below += histogram->buckets[i];
        buf_printf(out, PREFIX "%s_bucket{le=\"", metric_name(metric));
        if (i < METRIC_BUCKETS)
            put_bound(metric_buckets[i], openmetrics, out);
        else
            buf_put_str(out, "+Inf");
        buf_printf(out, "\"} %" PRIu64 "\n", below);
    }
    buf_printf(out, PREFIX "%s_sum ", metric_name(metric));
    render_number(histogram->sum, out);
    buf_printf(out, "\n" PREFIX "%s_count %" PRIu64 "\n", metric_name(metric), below);
}

static void put_build(const struct metrics *metrics, struct buf *out)
{
    buf_printf(out, PREFIX "%s{", metric_name(METRIC_BUILD_INFO));
    put_label("version", bytes_str(metrics->version), out);
    buf_put_u8(out, ',');
    put_label("librdkafka", bytes_str(metrics->librdkafka), out);
    buf_put_u8(out, ',');
    put_label("libpq", bytes_str(metrics->libpq), out);
    buf_put_str(out, "} 1\n");
}

static void put_metric(const struct metrics *metrics, enum metric metric, bool openmetrics,
                       struct buf *out)
{
    const struct metric_series *series = &metrics->series[metric];
    char name[128];
    int len = snprintf(name, sizeof(name), PREFIX "%s", metric_name(metric));
    ASSERT(len > 0 && (size_t)len < sizeof(name));
    render_family(name, metric_help(metric), metric_kind_of(metric), openmetrics, out);
    if (metric == METRIC_BUILD_INFO) {
        put_build(metrics, out);
    } else if (metric_kind_of(metric) == METRIC_HISTOGRAM) {
        put_histogram(metrics, metric, openmetrics, out);
    } else if (metric_label_is_free(metric)) {
        put_topics(metrics, metric, out);
    } else {
        for (size_t i = 0; i < series->count; i++)
            put_sample(metric, series->values[i], series->numbers[i], out);
    }
}

void metrics_render(const struct metrics *metrics, bool openmetrics, struct buf *out)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        put_metric(metrics, metric, openmetrics, out);
    process_render(openmetrics, out);
    if (openmetrics)
        buf_put_str(out, "# EOF\n");
}
