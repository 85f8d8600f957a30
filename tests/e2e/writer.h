/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer: the Kafka sink as the relay drives it, without the relay.
 *
 * Calls that wait drive the sink until the answer is there and fail the test at the deadline.
 * Answers are text, "OUTCOME CODE": "DELIVERED NONE", "HALT KAFKA_FENCED".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer_opts {
    const char *address;
    const char *pipeline;
    uint64_t system_id;
    const char *slot;
    const char *position_topic;
    bool transactional;
    bool no_create;              /* missing topics are not made */
    const char *const *settings; /* properties: name, value, ..., NULL; or NULL */
};

struct writer;

/* As `init` does: the topic of positions is made. */
void writer_make_topic(const struct writer_opts *opts);
struct writer *writer_open(const struct writer_opts *opts);
void writer_close(struct writer *writer);
void writer_reset(struct writer *writer);
void writer_claim_begin(struct writer *writer);
/* NULL: not yet. */
const char *writer_claimed(struct writer *writer);
const char *writer_claim(struct writer *writer);
/* A copy, never freed; NULL when there is none. */
char *writer_position(struct writer *writer);
/* Submit a record, waiting while the sink is busy; tags are consecutive from 1. */
void writer_put(struct writer *writer, const char *topic, const char *key, const char *value);
/* The answer to one attempt: "TAKEN", "BUSY", or "POISON CODE", "FAIL CODE". */
const char *writer_offer(struct writer *writer, const char *topic, const char *key,
                         const char *value);
/* The same for the position. */
const char *writer_save_begin(struct writer *writer, const char *position);
/* Offered until it is taken: the topic may have to be asked for. */
void writer_save_taken(struct writer *writer, const char *position);
const char *writer_saved(struct writer *writer);
const char *writer_save(struct writer *writer, const char *position);
/* One round of the sink: events, housekeeping. */
void writer_turn(struct writer *writer);
/* Records reported as delivered, in order of their tags or the test fails. */
size_t writer_delivered(const struct writer *writer);
/* The first report of a record that is no delivery; NULL. */
const char *writer_refused(const struct writer *writer);
/* The code with which housekeeping failed; NULL. */
const char *writer_failed(const struct writer *writer);
/* What the sink says it waits for. Never freed. */
char *writer_detail(struct writer *writer);
uint64_t writer_pending(struct writer *writer);
