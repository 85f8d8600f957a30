/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge: what may stand in Kafka after a fault, and what may not.
 *
 * Its evidence is a slot of its own with the plugin test_decoding, which says what was committed,
 * in which order, in which transaction and where that ended in the WAL; no line of the program
 * under test has a part in it. Against that it holds the records, the positions that were sampled
 * and the moments of the crashes. Topics of `world`: "NAME.order", and "NAME.dead-letter".
 *
 * Make it before the first row. Judgements fail the test and say what is wrong.
 */
#pragma once

#include "consumer.h"
#include "world.h"

struct judge;

struct judge *judge_new(struct world *world);
void judge_free(struct judge *judge);

/* Now and then while the relay runs: `checkpoint` is the durable position as far as it is known, 0
 * when it is not. Neither position falls, and what is confirmed to PostgreSQL is never past what is
 * durable. `confirmed` was read before `checkpoint`. */
void judge_positions(struct judge *judge, uint64_t confirmed, uint64_t checkpoint);

/* The relay has just ended, in whatever way, and left this durable position (0: none) and this
 * confirmed one. (What may come again then is a matter of judge_replay().) Waits until everything
 * confirmed can be read, and, if `atomic`, until each transaction can be read whole or not at all.
 */
void judge_crash(struct judge *judge, struct consumer *consumer, uint64_t checkpoint,
                 uint64_t confirmed, bool atomic);

/* Whether every row that is committed by now can be read. */
bool judge_complete(struct judge *judge, struct consumer *consumer);

/* From here on what is past `checkpoint` may come again, once. */
void judge_replay(struct judge *judge, uint64_t checkpoint);

/* All is delivered. `letters`: how many dead letters there must be. Every committed row is there
 * with the bytes it was written with, in the order of commit in each partition, each key in one
 * partition, and nothing else is; what is there twice came by a crash or a replay, as a piece of
 * the row of events without a hole that begins past the checkpoint of that moment, and is the same
 * to the byte. */
void judge_end(struct judge *judge, struct consumer *consumer, size_t letters);
/* Records that judge_end() found a second time. */
size_t judge_repeated(const struct judge *judge);
