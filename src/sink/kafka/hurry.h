/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hurry: records that have nothing to wait for leave at once.
 *
 * librdkafka gathers records for linger.ms, which is right for a backlog, where a larger batch
 * costs broker and producer less, and wrong for a single event. It cannot be told so a record, but
 * while rd_kafka_flush() runs it does not linger. That call waits for acknowledgements, which the
 * relay's thread takes, so a thread of its own makes it, for a millisecond at a time.
 *
 * Too many requests of few records would cost more than they gain: above a rate that lasts,
 * hurry_ask() does nothing and records linger.
 *
 * All functions are called from the relay's thread. Without memory or threads nothing is lost but
 * the hurry.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

struct hurry;

struct hurry *hurry_new(void);
/* Accepts NULL. Waits for the thread. */
void hurry_free(struct hurry *hurry);
/* NULL: no producer any more; when it returns, no call is under way on the one before. */
void hurry_for(struct hurry *hurry, rd_kafka_t *producer);
/* A record was handed to the producer. */
void hurry_count(struct hurry *hurry);
/* No more comes for now: what was counted since the last time may go. */
void hurry_ask(struct hurry *hurry, uint64_t now_ns);
