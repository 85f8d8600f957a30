/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert: checks that stay on in release builds.
 *
 * ASSERT states what the code around it relies on; a false one is a bug in walferry, never
 * the fault of input. It writes one line to standard error and ends the process with the exit
 * status of ERR_INTERNAL, 70, without running cleanup: a restart from the checkpoint is always
 * safe, going on with a broken invariant is not.
 */
#pragma once

#include "walferry/base/compiler.h"

#define ASSERT(condition)                                                                          \
    ((condition) ? (void)0 : assert_failed(#condition, __FILE_NAME__, __LINE__, __func__))

/* Reached only when a switch or a state machine meets what cannot be. */
#define UNREACHABLE() assert_failed("unreachable", __FILE_NAME__, __LINE__, __func__)

NORETURN void assert_failed(const char *condition, const char *file, int line,
                            const char *function);
