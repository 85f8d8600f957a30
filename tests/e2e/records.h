/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records: what a test expects of records, field by field, and the relay that makes them.
 *
 * Expectations of sets name every member: one that is missing, one too many and one of another
 * value fail the test, in whatever order they stand. ANYTHING expects a member to be there.
 */
#pragma once

#include <stdbool.h>

#include "consumer.h"
#include "relay_process.h"
#include "world.h"

extern const char ANYTHING[];

/* A configuration: `capture` is the list's content, `more` are further lines or "". Topics are
 * NAME.${aggregate_type}; the state is under the world's directory. */
char *config_text(const char *capture, const char *more);
/* A relay of the world that is ready. */
struct relay *begin_relay(struct world *world, const char *config);
/* Stops the relay, which must succeed, and frees it and its world. */
void end_relay(struct relay *relay);

/* Names and values of all headers follow, the last name is NULL. */
void expect_headers(const struct kafka_record *record, ...) __attribute__((sentinel));
/* A structured CloudEvents document, and its one header. specversion, source (/NAME),
 * envelopeversion, sequence and time are checked by themselves, a time other than the default
 * as a pair. `data`: the text of the member data as it stands, NULL when there is none. All other
 * attributes follow as pairs, the last name is NULL. */
void expect_document(const struct world *world, const struct kafka_record *record, const char *data,
                     ...) __attribute__((sentinel));
/* The data member of a structured document as it stands, NULL when there is none. Never freed. */
char *document_data(const struct kafka_record *record);
/* Same bytes; NULL for null. */
void expect_key(const struct kafka_record *record, const char *expected);
void expect_value(const struct kafka_record *record, const char *expected);
/* The dead letter of a row: code ("WF-5003"), where it was going (NULL: not known), key and payload
 * as text (ANYTHING: not looked at). Names and values of the headers that the row brought follow,
 * the last name is NULL. */
void expect_dead_letter(const struct world *world, const struct kafka_record *record,
                        const char *code, const char *topic, const char *key, const char *payload,
                        ...) __attribute__((sentinel));
/* The dead letter whose walferry_event_id, or whose payload, is `id`; fails when there is none. */
const struct kafka_record *find_dead_letter(struct records records, const char *id);

/* Every value is valid by config/envelope.v1.schema.json. */
void expect_valid_documents(const struct world *world, struct records records);
/* Ids of the events, in order, separated by spaces. Never freed. */
char *ids_of(struct records records);
/* Path of the directory with Kafka's jar files. */
char *kafka_libraries(void);
