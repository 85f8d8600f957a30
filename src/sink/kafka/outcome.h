/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome: what an error of Kafka or librdkafka means for a record. One table; what it does not
 * list may pass, so it is a retry.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "walferry/sink/sink.h"

/* The broker does not tell the two causes apart. */
#define OUTCOME_FENCED                                                                             \
    "another walferry of this pipeline, server and slot took over; or this one stood still for "   \
    "longer than transaction.timeout.ms, and the broker aborted its transaction"

struct outcome {
    int code; /* of the protocol or of librdkafka: newer brokers send codes without a name here */
    enum sink_outcome outcome;
    enum err_code err;
};

struct outcome outcome_of(rd_kafka_resp_err_t code);
/* The same in a transaction, where an old epoch means that somebody else has a newer one. */
struct outcome outcome_in_transaction(rd_kafka_resp_err_t code);
/* The same for an error that made the producer unusable, by its cause. */
struct outcome outcome_of_fatal(rd_kafka_resp_err_t cause);
/* "MSG_SIZE_TOO_LARGE", "_TRANSPORT"; static. */
const char *outcome_name(rd_kafka_resp_err_t code);

/* What became of a claim or a commit. */
struct verdict {
    enum sink_outcome outcome;
    enum err_code code;
    const char *error; /* static name; NULL when DELIVERED */
    char hint[256];    /* what mends it, or "" */
};

/* `topic` and `id`: of the positions, and the transactional id, for the hint; NULL: not concerned.
 */
void verdict_set(struct verdict *verdict, struct outcome outcome, const char *topic,
                 const char *id);
