/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_print: what the demo shows, on standard output.
 *
 * Colours only on a terminal, and not under NO_COLOR. Records come from a broker that others may
 * write to: their text is shown with control characters escaped.
 */
#pragma once

#include "walferry/sink/kafka.h"

struct demo_print {
    bool colour;
    bool shown_in_full; /* the first record is, the others in short */
};

struct demo_start {
    const char *server_version;
    const char *server; /* described, without secrets */
    const char *psql;   /* argument of psql to reach it */
    bool private_server;
    const char *bootstrap;
    bool mock;
    const char *topic;
    unsigned http_port; /* 0: none */
    bool ends_by_itself;
};

struct demo_sums {
    uint64_t written;
    uint64_t published; /* acknowledged by Kafka */
    uint64_t consumed;
    bool has_median;
    uint64_t median_ns; /* from commit to consumed */
};

void demo_print_init(struct demo_print *print);
void demo_print_start(const struct demo_print *print, const struct demo_start *start);
/* `latency_ns` since the commit; 0 when not known. */
void demo_print_record(struct demo_print *print, const struct kafka_message *message,
                       uint64_t latency_ns);
void demo_print_sums(const struct demo_print *print, const struct demo_sums *sums);
/* Standard output can still be written. */
MUST_USE bool demo_print_ok(void);
/* Value of a header; absent when it has none of that name. */
struct bytes demo_header(const struct kafka_message *message, const char *name);
/* Value of a member of the CloudEvents document, as written; absent without. */
struct bytes demo_member(struct bytes document, const char *name);
