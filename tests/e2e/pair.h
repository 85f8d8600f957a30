/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pair: relays of one pipeline on hosts of their own, in each mode in which one can stand by for
 * another, and what is to be said of their events in the end.
 */
#pragma once

#include "consumer.h"
#include "oracle.h"
#include "relay_process.h"
#include "world.h"

enum mode { MODE_FILE, MODE_SLOT, MODE_KAFKA, MODE_ONCE, MODE_COUNT };

struct pair {
    enum mode mode;
    struct world *world;
    struct relay *first;
    struct relay *second;
    struct oracle *oracle;
    struct consumer *consumer;
};

/* Short; also that of the tests' worlds. */
const char *mode_name(enum mode mode);
/* What a relay that has to wait says. */
const char *mode_waits(enum mode mode);
/* The configuration in that mode; `source`, `delivery` and `kafka` (of sink.kafka) are further
 * members: "" or ", x: y". */
char *mode_config(enum mode mode, const char *source, const char *delivery, const char *kafka);
/* A pair of which the first was begun, and the second is not started. */
struct pair pair_new(enum mode mode, const char *source, const char *delivery);
struct pair pair_new_on(enum mode mode, struct pg_server *pg, const char *source,
                        const char *delivery);
/* Key of the position in the checkpoint topic, for its server as it is now. Never freed. */
char *position_key(struct world *world);
/* Until `count` more records are there. */
void pair_expect_more(const struct pair *pair, size_t count);
/* All that was committed is delivered and confirmed; nothing is lost, and nothing is there twice in
 * the mode of exactly once. Ends both relays. */
void pair_end(struct pair *pair);
/* Until the last row that was committed is confirmed, in whatever mode. */
void wait_rows_confirmed(struct oracle *oracle);
