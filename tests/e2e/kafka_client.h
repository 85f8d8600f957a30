/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_client: configuration of librdkafka handles, shared by what the harness does with topics.
 *
 * Handles belong to the process that makes them: never before Check has forked.
 */
#pragma once

#include <librdkafka/rdkafka.h>

/* `settings`: name, value, name, value, NULL; on top of bootstrap.servers. */
rd_kafka_t *kafka_client_new(rd_kafka_type_t type, const char *address,
                             const char *const *settings);
