/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_process: the program under test, as its users run it.
 *
 * A relay has a directory under the world's, a configuration, a port for HTTP, and the output of
 * its newest start in files of their own. It dies with the test.
 */
#pragma once

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "world.h"

/* What most tests run: outbox.event to Kafka, checkpoints in files under @DIR@. The slot is
 * told soon, because tests wait for that. */
#define RELAY_CONFIG                                                                               \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n"                                                                               \
    "source: {conninfo: \"@CONNINFO@\", status_interval: 1s}\n"                                    \
    "capture: [{outbox: outbox.event}]\n"                                                          \
    "route: {topic: \"@NAME@.${aggregate_type}\"}\n"                                               \
    "sink: {kafka: {bootstrap.servers: \"@KAFKA@\"}}\n"                                            \
    "checkpoint: {directory: \"@DIR@/state\"}\n"                                                   \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: debug}\n"

struct relay {
    struct world *world;
    char dir[300];
    char config[320]; /* path of the YAML file */
    unsigned http_port;
    int starts;
    char out[340]; /* of the newest start */
    char err[340];
    pid_t pid;  /* 0: not running */
    int status; /* of the last end: exit status, or 128 and the signal */
};

/* Writes `config` after world_expand(). */
struct relay *relay_new(struct world *world, const char *config);
/* Another configuration for the next start, or SIGHUP. */
void relay_rewrite(struct relay *relay, const char *config);

/* Run `walferry COMMAND -c CONFIG ...` to its end; more arguments follow, the last is NULL. Returns
 * the exit status. relay_output() and relay_errors() have what it said. */
int relay_command(struct relay *relay, const char *command, ...) __attribute__((sentinel));
/* The same with standard input from a text. */
int relay_command_input(struct relay *relay, const char *input, const char *command, ...)
    __attribute__((sentinel));
/* Start `walferry run -c CONFIG ...`. */
void relay_start(struct relay *relay, ...) __attribute__((sentinel));
/* `init`, then `run`, then ready. */
void relay_begin(struct relay *relay);
bool relay_running(struct relay *relay);
void relay_signal(struct relay *relay, int signal);
/* Its exit status; fails the test at the deadline. */
int relay_wait(struct relay *relay);
/* SIGTERM, and status 0. */
void relay_stop(struct relay *relay);
void relay_kill(struct relay *relay); /* kill -9 */
/* Kills it when it runs. */
void relay_free(struct relay *relay);

/* Until /readyz says 200. Fails at once when the relay ends. */
void relay_wait_ready(struct relay *relay);
/* Until a line of the newest start's log holds the words. */
void relay_wait_log(struct relay *relay, const char *words);
/* Until /status has counters.NAME of at least `count`. */
void relay_wait_counter(struct relay *relay, const char *name, int64_t count);

/* Status code and body; 0 when nobody answers. */
int relay_http(const struct relay *relay, const char *path, char **ret_body);
/* /status; json_decref() it. */
json_t *relay_status(const struct relay *relay);
/* Sum of a metric's samples from /metrics; `name` may go on with labels: "x_total{topic=\"a\"}". */
double relay_metric(const struct relay *relay, const char *name);
long relay_peak_kib(const struct relay *relay);
/* Standard output and standard error of the newest start. Never freed. */
char *relay_output(const struct relay *relay);
char *relay_errors(const struct relay *relay);
