/* SPDX-License-Identifier: Apache-2.0 */
/*
 * properties: from sink_opts to librdkafka's configuration: our defaults first, the user's on top,
 * and a table of those that would break a promise.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "walferry/sink/sink.h"

/* The producer's configuration, the caller's to destroy. `*ret_index` is the property at fault,
 * opts->property_count when it is none of them. What makes it a transactional one, its
 * transactional.id, is the caller's to add. */
MUST_USE bool properties_producer(const struct sink_opts *opts, rd_kafka_conf_t **ret_conf,
                                  size_t *ret_index, struct err *err);
/* A consumer that reads by manual assignment, quietly: connection settings of the properties, no
 * group, no commits. `isolation` is the value of isolation.level. */
MUST_USE bool properties_reader(const struct sink_opts *opts, const char *isolation,
                                rd_kafka_conf_t **ret_conf, struct err *err);
/* Whether the user says how long records linger. */
bool properties_linger(const struct sink_opts *opts);
/* The value of a property that is a number. */
uint64_t properties_number(const rd_kafka_conf_t *conf, const char *name);
/* Copy `text` as one line of printable ASCII. */
void properties_printable(const char *text, char *out, size_t size);

/* A refused value; rows are exported for the test and the manual. */
struct refusal {
    const char *name;   /* of the property; "x.*" and "*x" stand for a prefix and an ending */
    const char *accept; /* values that are fine, "a|b"; NULL: none is */
    const char *why;
    const char *hint;
};

extern const struct refusal refusals[];
extern const size_t refusal_count;
