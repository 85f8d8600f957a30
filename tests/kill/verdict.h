/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict: a lane's records and notes against what the database says was committed.
 *
 * Nothing lost, nothing that was not committed, the bytes as written, each key in one partition, in
 * each partition the order of commit; under at_least_once what comes again is a piece of that order
 * without a hole, begins at a start of the relay or after a kill of the broker, lies past what was
 * durable then, and is the same to the byte; under exactly_once nothing comes again, and each
 * transaction of PostgreSQL is in one transaction of Kafka, with a position whose count and chain
 * are right. What was confirmed or durable at some moment had been published by then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lane.h"
#include "oracle.h"

struct verdict {
    size_t events;  /* committed rows */
    size_t records; /* that consumers see */
    size_t again;
    size_t replays;      /* stretches of them */
    size_t transactions; /* of Kafka; exactly_once */
    size_t taken_back;   /* records that consumers do not see; exactly_once */
    size_t lost;
    size_t phantoms;
    size_t order;
    size_t bytes;     /* differ from the row, or from the first time */
    size_t unfounded; /* came again without a reason, or though they were durable */
    size_t early;     /* claims of a position before its events were there */
    size_t torn;      /* transactions */
    size_t chain;     /* positions that do not fit */
};

/* Prints the first faults of each kind. The oracle was read to the end; `counted` is what the
 * database counted for each key. */
struct verdict verdict_of(const struct lane *lane, const struct oracle *oracle,
                          const int64_t *counted);
bool verdict_is_good(const struct verdict *verdict);
