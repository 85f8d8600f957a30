/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines: rendered records waiting to be written, and the tags they answer for.
 *
 * put() renders at the end, pending() is what is still to be written, sent() says how much of it
 * was, report() hands out the tags of lines that were sent to their last byte, fail() those of all
 * lines. Bytes are bounded by a limit that one larger line may pass alone; tags by max_records.
 */
#pragma once

#include "names.h"
#include "walferry/base/buf.h"
#include "walferry/sink/sink.h"

struct lines_entry {
    uint64_t tag;
    uint64_t end; /* position behind its last byte, counted from the first line ever */
};

struct lines {
    struct buf buf;
    size_t limit;                /* bytes */
    size_t done;                 /* of the buffer: sent already */
    uint64_t base;               /* position of the buffer's first byte */
    struct lines_entry *entries; /* a ring */
    uint32_t head;
    uint32_t count;
    uint32_t max;
    struct names topics;
};

MUST_USE bool lines_init(struct lines *lines, const struct sink_opts *opts, struct err *err);
void lines_deinit(struct lines *lines);
enum sink_result lines_put(struct lines *lines, const struct record *record, uint64_t tag,
                           uint32_t *ret_topic, struct err *err);
struct bytes lines_pending(const struct lines *lines);
void lines_sent(struct lines *lines, size_t len);
size_t lines_report(struct lines *lines, struct sink_report *reports, size_t max);
/* The oldest lines, sent or not, with the outcome of `as`; call until it returns 0. */
size_t lines_fail(struct lines *lines, const struct sink_report *as, struct sink_report *reports,
                  size_t max);
/* Forget all. */
void lines_clear(struct lines *lines);
/* Name for a topic's number. */
const char *lines_topic(const struct lines *lines, uint32_t topic);
