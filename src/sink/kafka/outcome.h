/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome: what an error of Kafka or librdkafka means for a record. One table; what it does not
 * list may pass, so it is a retry.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "walferry/sink/sink.h"

struct outcome {
    int code; /* of the protocol or of librdkafka: newer brokers send codes without a name here */
    enum sink_outcome outcome;
    enum err_code err;
};

struct outcome outcome_of(rd_kafka_resp_err_t code);
/* The same for an error that made the producer unusable, by its cause. */
struct outcome outcome_of_fatal(rd_kafka_resp_err_t cause);
/* "MSG_SIZE_TOO_LARGE", "_TRANSPORT"; static. */
const char *outcome_name(rd_kafka_resp_err_t code);
