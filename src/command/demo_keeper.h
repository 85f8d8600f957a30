/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_keeper: the process that owns the demo's private PostgreSQL.
 *
 * It is forked before any thread exists, gives up root (PostgreSQL refuses it), makes a directory
 * that only its user can enter, fills it with initdb, starts the server there with nothing but a
 * Unix socket, and reports. Then it waits for the other end of a pipe to be closed, which the
 * kernel does however the demo ends, stops the server and removes the directory. So nothing is left
 * behind even by a demo that was killed.
 */
#pragma once

#include <sys/types.h>

#include "walferry/base/err.h"

/* "/.s.PGSQL.5432" must still fit the address of a Unix socket. */
#define KEEPER_DIRECTORY_MAX 80
#define KEEPER_PORT          "5432"
#define KEEPER_ROLE          "postgres"

/* Written in one piece: that the server was started, later perhaps why it ended. */
struct keeper_report {
    bool started;
    char directory[KEEPER_DIRECTORY_MAX];
    struct err err; /* unless started */
};

/* Two pipes: the keeper reads `control` and writes `reports`. The parent closes those two ends, the
 * keeper the other two. */
MUST_USE bool keeper_fork(const int control[2], const int reports[2], pid_t *ret_pid,
                          struct err *err);
