/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchdog: ends the process when its main loop hangs.
 *
 * A call into a library that never returns (librdkafka's transactional calls have done so) would
 * leave a process that looks alive, holds the slot and does nothing. A thread of its own counts
 * seconds without watchdog_pat(); after the limit it writes one line that names the last phase to
 * standard error, and ends the process with _exit(75), "temporary, start me again": a restart is
 * safe at any moment. It counts its own wake-ups and not time, so that a machine that slept or a
 * process that was stopped is not taken for one that hangs.
 */
#pragma once

#include "walferry/base/err.h"

/* `limit_s` seconds; 0: none is started. One per process. */
MUST_USE bool watchdog_start(unsigned limit_s, struct err *err);
/* The loop turns; `phase` (static) is what it does next. Cheap, and harmless without a watchdog. */
void watchdog_pat(const char *phase);
void watchdog_stop(void);
