/* SPDX-License-Identifier: Apache-2.0 */
/*
 * once: a relay of exactly once, with consumers of what is committed and of everything.
 *
 * `delivery`, `source` and `kafka` are those of mode_config().
 */
#pragma once

#include "consumer.h"
#include "load.h"
#include "oracle.h"
#include "pair.h"
#include "relay_process.h"
#include "world.h"

#define POSITIONS_MAX 4096
/* A transaction stays open until the test wants its end. */
#define LONG         ", commit_interval: 4m"
#define LONG_TIMEOUT ", transaction.timeout.ms: 900000"

struct once {
    struct world *world;
    struct relay *relay;
    struct oracle *oracle;
    struct consumer *committed;
    struct consumer *everything;
    struct consumer *positions;
};

/* The world is there; all else is made, and the relay begun. */
void once_set_up(struct once *scene, enum mode mode, const char *source, const char *delivery,
                 const char *kafka);
struct once once_on(const char *label, struct pg_server *pg, struct kafka_server *kafka,
                    const char *delivery);
struct once once_new(const char *label, const char *delivery);
/* Transactions as with LONG. */
struct once once_long(const char *label, const char *source);
void once_free(struct once *scene);
/* All that was committed in PostgreSQL is there once each and in order; ends the scene. */
void once_end(struct once *scene);
/* How many records are there by now. */
size_t once_committed(const struct once *scene);
size_t once_everything(const struct once *scene);
/* Those of this pipeline, oldest first; `ret_positions` has room for POSITIONS_MAX. */
size_t once_positions(const struct once *scene, struct saved *ret_positions);
size_t once_count_positions(const struct once *scene);
