/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard: may this relay go on at this server, and from where?
 *
 * The server believes any position a client names: one in the future is accepted and rows in
 * between are lost without a word. So every position is proved before it leaves the process. Pure:
 * facts and checkpoint in, verdict out.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/checkpoint/checkpoint.h"
#include "walferry/source/source.h"

struct guard_input {
    const struct source_facts *facts;
    /* NULL: none was found. In a running relay with what was published since it was saved. */
    const struct checkpoint *checkpoint;
    /* The checkpoint is the older generation, because the newest could not be read: the slot may
     * then stand ahead of it, up to what the lost generation said. */
    bool previous;
    const char *pipeline;
    const char *slot;
    const char *publication;
    const char *forget; /* as in struct source_opts */
    bool temporary;     /* the slot was just made for this session */
    /* Commit position of the newest transaction of which this process handed an event to the sink;
     * LSN_NONE at start. Its commit record must lie before the fork of a later timeline. */
    struct lsn submitted;
};

enum guard_verdict {
    GUARD_START,    /* *ret_start is the position */
    GUARD_ASK_FORK, /* call source_fork() with the checkpoint's timeline and check again */
    GUARD_WAIT,   /* the slot is in use, or the server is a standby: err names why; source_wait() */
    GUARD_REFUSE, /* err: class CONFIG or STOP, with the exit status and remedy */
};

/* False when a captured table is not in the publication, so that its rows are not streamed, or a
 * column that is read is not sent. A row filter is no fault. */
MUST_USE bool guard_publishes(const char *publication, const struct publication_gaps *gaps,
                              struct err *err);

/* Whether it is this relay's turn: asked before another instance would be fenced and before any
 * checkpoint is known, so that a standby leaves the active one alone. */
MUST_USE enum guard_verdict guard_claim(const struct guard_input *input, struct err *err);
MUST_USE enum guard_verdict guard_check(const struct guard_input *input, struct lsn *ret_start,
                                        struct err *err);
