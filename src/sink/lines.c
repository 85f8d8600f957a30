/* SPDX-License-Identifier: Apache-2.0 */
#include "lines.h"

#include <stdlib.h>

#include "walferry/base/assert.h"

#define LIMIT_MIN ((size_t)64 << 10)
#define LIMIT_MAX ((size_t)4 << 20)
/* A line of JSON is at most six times the record, and PostgreSQL's largest field is 1 GiB. */
#define CEILING ((size_t)8 << 30)

static size_t clamp_limit(uint64_t max_bytes)
{
    if (max_bytes < LIMIT_MIN) {
        return LIMIT_MIN;
    }
    return max_bytes > LIMIT_MAX ? LIMIT_MAX : (size_t)max_bytes;
}

bool lines_init(struct lines *lines, const struct sink_opts *opts, struct err *err)
{
    *lines = (struct lines){.limit = clamp_limit(opts->max_bytes),
                            .max = opts->max_records == 0 ? 1 : opts->max_records};
    buf_init(&lines->buf, CEILING);
    lines->entries = calloc(lines->max, sizeof(*lines->entries));
    if (lines->entries == NULL) {
        err_set(err, ERR_MEMORY, "no memory for %u records in flight", lines->max);
        return err_hint(err, "lower delivery.max_in_flight_events");
    }
    /* One more than the topics: the last number stands for all that find no room. */
    if (!names_init(&lines->topics, opts->topics_max == 0 ? 1 : opts->topics_max, err)) {
        lines_deinit(lines);
        return false;
    }
    return true;
}

void lines_deinit(struct lines *lines)
{
    buf_deinit(&lines->buf);
    free(lines->entries);
    lines->entries = NULL;
    names_deinit(&lines->topics);
}

static uint32_t topic_number(struct lines *lines, struct bytes topic)
{
    if (topic.len > TOPIC_NAME_MAX) {
        return lines->topics.max;
    }
    uint32_t number = names_find(&lines->topics, topic);
    if (number == NAMES_NONE) {
        number = names_add(&lines->topics, topic);
    }
    return number == NAMES_NONE ? lines->topics.max : number;
}

const char *lines_topic(const struct lines *lines, uint32_t topic)
{
    return topic >= lines->topics.count ? "other" : names_text(&lines->topics, topic);
}

enum sink_result lines_put(struct lines *lines, const struct record *record, uint64_t tag,
                           uint32_t *ret_topic, struct err *err)
{
    size_t before = lines->buf.len;
    if (lines->count == lines->max || before >= lines->limit) {
        return SINK_BUSY;
    }
    sink_render_line(record, &lines->buf);
    bool fits = buf_ok(&lines->buf);
    bool starved = lines->buf.starved;
    if (!fits || (before > 0 && lines->buf.len > lines->limit)) {
        lines->buf.len = before;
        lines->buf.failed = false;
        lines->buf.starved = false;
        /* Memory may come back; the record is not at fault. */
        if (before > 0 || starved) {
            return SINK_BUSY;
        }
        err_set(err, ERR_ROW_TOO_LARGE, "a record of %zu bytes cannot be held as a line of JSON",
                record->value.len);
        err_hint(err, "keep large objects outside the event and refer to them");
        return SINK_POISON;
    }
    uint32_t slot = (uint32_t)(((uint64_t)lines->head + lines->count) % lines->max);
    lines->entries[slot] = (struct lines_entry){tag, lines->base + lines->buf.len};
    lines->count++;
    *ret_topic = topic_number(lines, record->placement.topic);
    return SINK_TAKEN;
}

struct bytes lines_pending(const struct lines *lines)
{
    struct bytes all = buf_bytes(&lines->buf);
    return bytes_make(all.ptr + lines->done, all.len - lines->done);
}

void lines_sent(struct lines *lines, size_t len)
{
    lines->done += len;
    ASSERT(lines->done <= lines->buf.len);
    if (lines->done == lines->buf.len) {
        lines->base += lines->done;
        lines->done = 0;
        buf_reset(&lines->buf);
        buf_shrink(&lines->buf, 2 * lines->limit);
    }
}

static uint64_t take(struct lines *lines)
{
    uint64_t tag = lines->entries[lines->head].tag;
    lines->head = (lines->head + 1) % lines->max;
    lines->count--;
    return tag;
}

size_t lines_report(struct lines *lines, struct sink_report *reports, size_t max)
{
    uint64_t sent = lines->base + lines->done;
    size_t n = 0;
    while (n < max && lines->count > 0 && lines->entries[lines->head].end <= sent) {
        reports[n++] = (struct sink_report){.tag = take(lines), .outcome = SINK_DELIVERED};
    }
    return n;
}

size_t lines_fail(struct lines *lines, const struct sink_report *as, struct sink_report *reports,
                  size_t max)
{
    size_t n = 0;
    while (n < max && lines->count > 0) {
        reports[n] = *as;
        reports[n++].tag = take(lines);
    }
    return n;
}

void lines_clear(struct lines *lines)
{
    lines->base += lines->buf.len;
    lines->done = 0;
    buf_reset(&lines->buf);
    buf_shrink(&lines->buf, 2 * lines->limit);
    lines->head = 0;
    lines->count = 0;
}
