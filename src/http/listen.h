/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen: the address of the listener as text, and the socket that listens there.
 */
#pragma once

#include "walferry/base/err.h"

struct listen_address {
    char host[256]; /* a name, IPv4, or IPv6 without its brackets */
    char port[6];   /* decimal, 0 to 65535 */
};

MUST_USE bool listen_parse(const char *listen, struct listen_address *ret_address, struct err *err);
/* A listening socket, not blocking, and the port that it got. */
MUST_USE bool listen_open(const char *listen, int *ret_fd, unsigned *ret_port, struct err *err);
