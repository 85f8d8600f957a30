/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/assert.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "walferry/base/err.h"

void assert_failed(const char *condition, const char *file, int line, const char *function)
{
    char text[512];
    int length = snprintf(text, sizeof(text), "walferry: bug WF-%u: %s:%d: %s: %s\n",
                          err_number(ERR_INTERNAL), file, line, function, condition);
    size_t size = length < 0 ? 0 : (size_t)length;
    if (size >= sizeof(text)) {
        size = sizeof(text) - 1;
        text[size - 1] = '\n';
    }
    /* A pipe that nobody reads must not keep a broken process alive. */
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, 0) == 1 && room.revents == POLLOUT) {
        discard(write(STDERR_FILENO, text, size) >= 0);
    }
    _exit(err_exit_status(ERR_INTERNAL));
}
