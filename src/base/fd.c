/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/fd.h"

#include <errno.h>
#include <unistd.h>

bool fd_read(int fd, void *into, size_t size, size_t *ret_len)
{
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, (char *)into + len, size - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return false;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    *ret_len = len;
    return true;
}

void fd_close(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}
