/* SPDX-License-Identifier: Apache-2.0 */
#include "fail.h"

const char *const nth_kind_names[NTH_KIND_COUNT] = {
    [NTH_MEMORY] = "memory", [NTH_OPEN] = "open",     [NTH_READ] = "read", [NTH_WRITE] = "write",
    [NTH_SHORT] = "short",   [NTH_SIGNAL] = "signal", [NTH_SYNC] = "sync", [NTH_CLOSE] = "close",
    [NTH_NAME] = "name",     [NTH_WAIT] = "wait",     [NTH_LOCK] = "lock", [NTH_START] = "start",
    [NTH_NET] = "net",       [NTH_ACCEPT] = "accept",
};
