/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_database: what the demo makes in a database, and takes away again.
 *
 * In a database of the user it touches no outbox that somebody publishes, and leaves what was there
 * as it was.
 */
#pragma once

#include "walferry/config/config.h"

struct demo_database {
    const struct config *config; /* borrowed: conninfo, publication */
    char server_version[32];
    bool made_schema;
    bool made_publication;
};

/* On false, what was made so far is told by ret_database, and demo_database_clean() removes it. */
MUST_USE bool demo_database_prepare(const struct config *config, struct demo_database *ret_database,
                                    struct err *err);
MUST_USE bool demo_database_clean(const struct demo_database *database, struct err *err);
