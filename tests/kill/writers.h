/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writers: services that never rest, and count what they say about each aggregate.
 *
 * A writer is a process with a session of its own. It commits transactions of 1 to 500 rows, now
 * and then of thousands, into outbox.event, for KEYS aggregates that all writers share. The payload
 * is
 * {"key": K, "n": N, ...}: N counts the committed rows of aggregate K from 1 without a hole,
 * because a transaction locks what it counts until its end. Some transactions are rolled back,
 * whole or to a savepoint, some are prepared first, some delete at once what they wrote; and a
 * writer connects again when the server was away.
 */
#pragma once

#include <stdint.h>

#include "world.h"

#define KEYS 40

/* Rows of the largest transactions. */
#define LARGE 6000

struct writers;

/* What a writer needs in the database. The server must allow prepared transactions. */
void writers_prepare(struct world *world);
struct writers *writers_start(struct world *world, int count, uint64_t seed);
/* Ends them, and what they had prepared. The server runs. */
void writers_stop(struct writers *writers);
/* Rows committed for aggregate `key`, by the table that counts them. */
int64_t writers_committed(struct world *world, int key);
/* For PQsetNoticeProcessor(): servers say much when they crash. */
void say_nothing(void *context, const char *message);
/* In [0, below). */
uint64_t draw(uint64_t *seed, uint64_t below);
