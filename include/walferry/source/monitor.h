/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor: a second, ordinary connection that watches the slot and keeps a heart beating.
 *
 * Every ten seconds it reads the slot, the server's WAL position and the publication; every
 * heartbeat_interval it emits a small transactional WAL message (`walferry.heartbeat`), so that
 * the whole path proves itself while nobody writes. It never stands in the way of the stream: when
 * it cannot connect, its facts are merely old. When it learns that the server shuts down, the relay
 * closes the stream, because a walsender that waits for a confirmation would hold the server up.
 */
#pragma once

#include "walferry/source/source.h"

#define HEARTBEAT_PREFIX "walferry.heartbeat"

struct monitor_facts {
    bool known;
    uint64_t read_at_ns; /* monotonic */
    struct lsn current;  /* server's WAL insert position */
    struct slot_facts slot;
    bool publication_exists;
    struct publication_gaps gaps;
    uint64_t retained_bytes; /* current - restart_lsn */
    uint64_t lag_bytes;      /* current - confirmed_flush */
    uint64_t heartbeats;     /* sent */
    bool shutting_down;      /* the last session ended with 57P01 or 57P03 */
    uint64_t shutdown_ns;    /* when it did, monotonic */
};

struct monitor;

MUST_USE bool monitor_new(const struct source_opts *opts, struct monitor **ret_monitor,
                          struct err *err);
void monitor_free(struct monitor *monitor);
int monitor_fd(const struct monitor *monitor);
unsigned monitor_wants(const struct monitor *monitor);
uint64_t monitor_deadline(const struct monitor *monitor);
/* One turn; errors stay inside (facts grow old), the last one is at monitor_error(). */
void monitor_turn(struct monitor *monitor, uint64_t now_ns);
const struct monitor_facts *monitor_facts(const struct monitor *monitor);
const struct err *monitor_error(const struct monitor *monitor);
