/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_private: the session, as its files share it.
 *
 * session.c walks from state to state; ask.c asks the questions at the start; stream.c reads frames
 * and judges how a stream ended; feedback.c, frame.c, backoff.c and guard.c are pure.
 */
#pragma once

#include "backoff.h"
#include "feedback.h"
#include "walferry/base/buf.h"
#include "walferry/pg/pg.h"
#include "walferry/source/source.h"

/* The questions, in order. FORK is asked on its own. */
enum ask_step {
    ASK_IDENTIFY,
    ASK_SETTINGS,
    ASK_CREATE,
    ASK_SLOT,
    ASK_PUBLICATION,
    ASK_DONE,
    ASK_FORK
};

struct source {
    struct source_opts opts;
    enum source_state state;
    /* When the present state has something to do by itself; 0: the next call decides. */
    uint64_t deadline_ns;
    struct pg *pg; /* NULL without a connection */
    struct buf sql;
    struct backoff backoff;

    struct source_facts facts;
    enum ask_step step;
    uint32_t fork_timeline;
    char slot[64];     /* of this session: opts.slot, or the temporary one */
    bool slot_made;    /* the temporary slot exists */
    unsigned sessions; /* makes names of temporary slots unique */
    unsigned widened;  /* the session that was made to read much at a time */

    bool has_failure; /* found outside source_next(), reported by it */
    bool has_why;     /* SOURCE_WAITING is to be said */
    bool why_said;    /* since the last stream */
    struct err failure;

    struct feedback feedback;
    uint64_t streaming_since_ns;
    struct lsn confirmed; /* what the relay said */
    struct lsn sent;      /* of it, what the server was told */
    struct lsn wal_end;

    unsigned protocol_errors; /* in a row */
    unsigned start_refusals;  /* in a row */
    uint64_t reconnects;
};

/* Send the question of source->step. */
MUST_USE bool ask_send(struct source *source, struct err *err);
/* Take its answer and go to the next step. */
MUST_USE bool ask_take(struct source *source, struct err *err);

/* One message while STREAMING. */
MUST_USE enum source_event stream_next(struct source *source, uint64_t now_ns,
                                       struct source_item *ret_item, struct err *err);
/* Send a status now. */
MUST_USE bool stream_status(struct source *source, uint64_t now_ns, struct err *err);
/* Give an error that ended a stream the meaning it has there. */
void stream_judge(const struct source *source, struct err *err);

/* End the session with `err`: the event to return is LOST or FAIL. */
MUST_USE enum source_event session_lost(struct source *source, uint64_t now_ns, struct err *err);

/* Change the state; `deadline_ns` as in the struct. */
void session_enter(struct source *source, enum source_state state, uint64_t deadline_ns);
/* Close the connection and forget what it told. */
void session_drop(struct source *source, uint64_t now_ns);
/* Look at the slot again in a moment; `why` is said once in one wait. */
void session_stand_by(struct source *source, const struct err *why, uint64_t now_ns);
/* An error that another attempt cannot mend. */
bool session_is_final(const struct source *source, const struct err *err);
