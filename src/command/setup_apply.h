/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup_apply: run a plan of setup.h over a connection, step by step.
 *
 * For one-shot commands: calls block, with bounds. Each step commits by itself, so that a plan that
 * stopped half-way is finished by running it again.
 */
#pragma once

#include "setup.h"
#include "walferry/pg/pg.h"

enum setup_did { SETUP_FOUND, SETUP_MADE, SETUP_RAN };

/* The server is one that walferry can follow: its version, wal_level, and no standby. */
MUST_USE bool setup_check_server(struct pg *pg, struct err *err);
/* One step; errors name it and hint at what mends it. */
MUST_USE bool setup_apply(struct pg *pg, const struct setup_step *step, enum setup_did *ret_did,
                          struct err *err);
