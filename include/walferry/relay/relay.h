/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: the essay, the step, the wiring. (Essay to be written with the code.)
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/config/config.h"

struct relay_hooks {
    /* Called once when the relay streams for the first time; may be NULL. */
    void (*started)(void *context);
    /* Asked every turn; true ends the relay as SIGTERM would; may be NULL. */
    bool (*stop)(void *context);
    void *context;
};

/* Run until a signal or a terminal error; returns the exit status. */
int relay_run(const struct config *config, const struct relay_hooks *hooks);
