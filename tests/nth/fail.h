/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail: calls of the operating system that fail when a test says so.
 *
 * The program is linked a second time with --wrap for every such call, so that exactly the calls of
 * our own objects come here first; those of libpq, librdkafka, libmicrohttpd and the C library do
 * not. A call is known by its kind and by its site, the address that it returns to: calls of one
 * site are counted from 1. A test runs the program once to learn the sites, and then once for each
 * site and count that it wants to fail.
 *
 * Environment: WALFERRY_NTH=KIND:SITE:COUNT:LAST (site 0 is any; count 0: nothing fails; LAST is
 * the last count that fails, 0: all from COUNT on), WALFERRY_NTH_REPORT=FILE, which the test has
 * made as large as struct nth_report; it is shared by all processes of one run.
 */
#pragma once

#include <stdint.h>

#define NTH_SITES_MAX 1024

enum nth_kind {
    NTH_MEMORY, /* ENOMEM */
    NTH_OPEN,   /* EMFILE: whatever gives a descriptor */
    NTH_READ,   /* EIO */
    NTH_WRITE,  /* ENOSPC */
    NTH_SHORT,  /* half of what was asked for is read or written */
    NTH_SIGNAL, /* EINTR */
    NTH_SYNC,   /* EIO */
    NTH_CLOSE,  /* EIO, and it is closed */
    NTH_NAME,   /* EIO: rename, link, unlink, mkdir */
    NTH_WAIT,   /* ENOMEM, from epoll and poll */
    NTH_LOCK,   /* ENOLCK */
    NTH_START,  /* EAGAIN: threads and processes */
    NTH_NET,    /* ENOBUFS: sockets */
    NTH_ACCEPT, /* EMFILE, of whoever accepts: the HTTP library does it for us */
    NTH_KIND_COUNT
};

/* "memory"; in the order above. */
extern const char *const nth_kind_names[NTH_KIND_COUNT];

struct nth_report {
    _Atomic uint64_t fired; /* how often */
    _Atomic uint32_t site_count;
    struct nth_site {
        uint64_t site;
        _Atomic uint64_t calls;
        char function[24];
    } sites[NTH_SITES_MAX];
    _Atomic uint32_t lock;
};
