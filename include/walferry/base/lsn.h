/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lsn: a position in PostgreSQL's write-ahead log, as a type of its own so that it cannot be
 * mixed with a count or a time. Text form is the server's: two hexadecimal halves, "16/B374D848".
 */
#pragma once

#include "walferry/base/bytes.h"
#include "walferry/base/compiler.h"

struct lsn {
    uint64_t value; /* bytes since the beginning of the log; 0 is "none" */
};

#define LSN_NONE     ((struct lsn){0})
#define LSN_TEXT_MAX 18 /* "FFFFFFFF/FFFFFFFF" and NUL */

static inline struct lsn lsn_make(uint64_t value)
{
    return (struct lsn){value};
}

static inline bool lsn_is_none(struct lsn lsn)
{
    return lsn.value == 0;
}

/* Negative, zero or positive, as memcmp. */
static inline int lsn_cmp(struct lsn a, struct lsn b)
{
    return (a.value > b.value) - (a.value < b.value);
}

static inline struct lsn lsn_max(struct lsn a, struct lsn b)
{
    return a.value > b.value ? a : b;
}

/* Bytes from `from` to `to`; 0 when `to` is not ahead. */
static inline uint64_t lsn_distance(struct lsn from, struct lsn to)
{
    return to.value > from.value ? to.value - from.value : 0;
}

struct lsn_text {
    char text[LSN_TEXT_MAX];
};

/* By value, for log lines: lsn_format(x).text lives to the end of the full expression. */
struct lsn_text lsn_format(struct lsn lsn);
/* Exactly H/H with 1 to 8 hexadecimal digits a side. */
MUST_USE bool lsn_parse(struct bytes text, struct lsn *ret_lsn);
