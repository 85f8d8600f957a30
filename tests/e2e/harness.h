/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harness: end-to-end tests against real servers.
 *
 * A test binary is E2E_MAIN(suite). Its main() becomes three processes: the one that the caller
 * started, which only waits; the keeper, in a session of its own; and the tests under Check, which
 * forks once more for each test. The keeper is the reaper of all that the tests start: when the
 * tests have ended, or the first process has died in whatever way, it ends every process below it
 * and removes the directory. Nothing is left behind.
 *
 * Servers: shared_pg() and shared_kafka() are started before the first test and used by all tests
 * of the binary; a test that stops, kills or configures a server starts one of its own (pg_start(),
 * kafka_start()), which ends with the test. With WALFERRY_TEST_KAFKA=HOST:PORT the shared broker is
 * that one (tests/run starts one for all binaries). A world is what one test may call its own: a
 * database, a directory, a pipeline name that no other test has, in names of slots and topics.
 *
 * Environment: WALFERRY_BIN (the program; meson sets it), WALFERRY_TEST_PG_BIN (directory of initdb
 * and postgres; default the newest of /usr/lib/postgresql), WALFERRY_TEST_CACHE (holds kafka/lib),
 * WALFERRY_TEST_KEEP=1 (leave the directory, and say where it is).
 *
 * Tests: use a fresh world each; assert on contents and positions, never on time; wait with
 * wait_until() or the waits of the modules. A failed test's logs are printed by main().
 */
#pragma once

#include <check.h>
#include <jansson.h>

#include "consumer.h"
#include "kafka_server.h"
#include "oracle.h"
#include "pg_server.h"
#include "process.h"
#include "relay_process.h"
#include "world.h"

#define E2E_MAIN(suite)                                                                            \
    int main(void)                                                                                 \
    {                                                                                              \
        return harness_main(suite);                                                                \
    }

/* Which shared servers a suite wants; or-ed. */
enum { NEEDS_NOTHING = 0, NEEDS_PG = 1, NEEDS_KAFKA = 2 };

struct e2e_suite {
    const char *name;
    int needs;
    void (*add)(TCase *tests); /* tcase_add_test() of each */
};

/* Run the tests; the exit status of main(). */
int harness_main(const struct e2e_suite *suite);
/* Run `body` under a keeper with a directory; what it returns. For programs that are no suite. */
int harness_keep(int (*body)(void *context), void *context);
/* What the running test is about, for tests of a table; failures say it. Borrowed. */
void harness_label(const char *label);
/* Absolute path of the directory of this binary; ends with the binary. */
const char *harness_dir(void);
struct pg_server *shared_pg(void);
/* NULL when the suite did not ask for it. */
struct kafka_server *shared_kafka(void);
