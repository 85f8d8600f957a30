/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_server: the demo's private PostgreSQL, as the demo sees it; demo_keeper.h tells how it
 * lives.
 *
 * Start it before any thread exists. Stopping waits until the server is gone and its directory is
 * removed.
 */
#pragma once

#include "demo_keeper.h"

struct demo_server {
    pid_t keeper;
    int control_fd;
    int report_fd;
    char directory[KEEPER_DIRECTORY_MAX];
    char conninfo[KEEPER_DIRECTORY_MAX + 64];
};

/* Until it takes connections. `interrupted` is asked now and then; true gives ERR_INTERRUPTED. */
MUST_USE bool demo_server_start(bool (*interrupted)(void), struct demo_server *ret_server,
                                struct err *err);
/* Whether it ended by itself; does not block. */
MUST_USE bool demo_server_ended(const struct demo_server *server, struct err *ret_err);
void demo_server_stop(struct demo_server *server);
