/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save: the position goes to the broker, alone or as the last record of its transaction, which is
 * then flushed and committed.
 */
#pragma once

#include "commit.h"
#include "producer.h"

MUST_USE enum sink_result save_begin(struct producer *self, struct bytes position, struct err *err);
/* The jobs of a save have ended. */
void save_flushed(struct producer *self, const struct task *task);
void save_committed(struct producer *self, const struct task *task);
