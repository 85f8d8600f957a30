/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory: the place of a file store: made if missing, locked for one process, free of what an
 * interrupted save left behind.
 */
#pragma once

#include "walferry/base/err.h"

/* Each gives a descriptor that the caller closes. False: ERR_CHECKPOINT_DIR. */
MUST_USE bool directory_open(const char *path, int *ret_fd, struct err *err);
/* False: ERR_CHECKPOINT_LOCKED when another process holds it, ERR_CHECKPOINT_DIR otherwise. The
 * lock ends when the descriptor is closed, by whatever death. */
MUST_USE bool directory_lock(int directory, const char *path, const char *name, int *ret_fd,
                             struct err *err);
/* Remove every file whose name begins with `prefix`. What cannot be removed is left: it is never
 * read. */
void directory_sweep(int directory, const char *prefix);
