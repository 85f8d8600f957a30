/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd: file descriptors of small files, which are read whole.
 *
 * Both leave errno as the system set it. Neither keeps anything.
 */
#pragma once

#include "walferry/base/compiler.h"

/* Up to `size` bytes from where the descriptor stands; fewer only at the end of the file. A signal
 * in between does not end it. False, with errno, when a read fails. */
MUST_USE bool fd_read(int fd, void *into, size_t size, size_t *ret_len);
/* For AUTO(): closes it unless it is negative. */
void fd_close(const int *fd);
