/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_player: a thread that plays both ends of the demo: the service that writes orders and their
 * events, and the consumer that reads them back.
 *
 * It runs beside the relay, shares nothing with it, and logs nothing. Everything it was given is
 * borrowed until demo_player_end().
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "demo_print.h"
#include "demo_server.h"

/* Orders on their way, at most; a power of two. */
#define PLAYER_WINDOW    1024
#define PLAYER_LATENCIES 4096

struct demo_player {
    /* set by the owner */
    const char *name; /* of the pipeline */
    const char *conninfo;
    const struct demo_server *server; /* NULL: not private */
    struct kafka_consumer *consumer;
    struct demo_print *print;
    uint64_t count; /* 0: until told to end */

    /* the thread's */
    pthread_t thread;
    bool running;
    atomic_bool told_to_end;
    atomic_bool ended;
    struct pg *pg;
    uint64_t written;
    uint64_t consumed;
    uint64_t next_write_ns;
    uint64_t progress_ns;
    uint64_t committed_ns[PLAYER_WINDOW]; /* by number; 0: came back */
    char last_id[PLAYER_WINDOW][40];      /* by order: the event that causes its next one */
    uint64_t latencies_ns[PLAYER_LATENCIES];
    struct err err; /* why it ended before it was told to */
};

/* Start the thread; signals stay blocked in it if they are in the caller. */
MUST_USE bool demo_player_begin(struct demo_player *player, struct err *err);
/* Tell it to end and wait for that; does nothing when it never began. */
void demo_player_end(struct demo_player *player);
/* Of the latencies measured; false without any. After the end. */
MUST_USE bool demo_player_median(struct demo_player *player, uint64_t *ret_ns);
