/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conninfo: what is read out of a connection string, and what every session of ours forces.
 * Pure but for the password file and PGOPTIONS.
 */
#pragma once

#include "pg_private.h"

#define CONNINFO_TIMEOUT_S 10
/* One form of every value on the wire, whatever the server's or the role's settings are. */
#define CONNINFO_SESSION                                                                           \
    "-c datestyle=ISO,YMD -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=3 "      \
    "-c bytea_output=hex"

struct conninfo {
    char options[1024];      /* the user's, then ours: the last wins */
    char timeout_s[24];      /* per host */
    char tcp_timeout_ms[24]; /* the same in the kernel's unit */
    uint64_t total_ms;       /* all hosts */
    bool want_primary;       /* several hosts, and nobody said which one to take */
};

MUST_USE bool conninfo_read(const char *conninfo, struct conninfo *ret_conninfo, struct err *err);
/* Without its last line end. The caller wipes it. */
MUST_USE bool conninfo_password(const char *path, char out[PG_PASSWORD_MAX], struct err *err);
