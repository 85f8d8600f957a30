/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world_clock: the time of a relay in a test.
 *
 * The relay's process, a fork of the test's, waits in loop_wait() and reads clock_mono_ns(): both
 * are wrapped when the test is linked. While nobody has anything to do, that is, the relay waits,
 * the server has nothing to send and received nothing, and the sink has no answer to give, the
 * relay's clock goes on at once to what it waits for. So a test never sits out a pause between two
 * attempts, and no time limit passes because the machine is slow: it is only in vain that time
 * passes.
 *
 * The memory is shared by all processes made after world_clock_start(); what is not the relay keeps
 * the clock of the system.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

void world_clock_start(void);
void world_clock_stop(void);

/* ---- the relay's process ---- */

/* From now on this process lives by the clock of the world. `busy` tells whether something of its
 * own will happen without a step of the test; NULL: never. */
void world_clock_enter(bool (*busy)(void));

/* ---- the test's process ---- */

/* The wait that the relay is in; 0 when it does something. */
unsigned world_clock_waiting(void);
/* It need not be waited for, if it goes on without a reason to end. */
void world_clock_grant(unsigned wait);
/* So much time passes, whatever the relay does. It looks at the clock soon. */
void world_clock_pass(uint64_t ns);
/* Whether it took a whole turn since then. */
bool world_clock_passed(void);
