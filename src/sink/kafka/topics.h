/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topics: what is known about each topic, and what to do with a record for it. Pure: the caller
 * asks the broker, brings the answers and the time.
 *
 *          ask          exists
 *   NEW ────────▶ ASKING ──────▶ KNOWN ──(gone)──▶ ASKING
 *                  │  ▲
 *          missing ▼  │ made, or time to ask again
 *                 MISSING ──create──▶ CREATING
 *                  │ not to be created, and topics_wait is over
 *                  ▼
 *                 POISON, for topics_wait; then the next record waits afresh
 *
 * REFUSED (no rights, policy, an error): records wait and the state tells why, for ever.
 * A topic that was never written to and is missing may lose its place to a new one.
 */
#pragma once

#include "../names.h"
#include "walferry/sink/sink.h"

enum topic_state {
    TOPIC_NEW,
    TOPIC_ASKING,
    TOPIC_KNOWN,
    TOPIC_MISSING,
    TOPIC_CREATING,
    TOPIC_REFUSED,
};

struct topic {
    enum topic_state state;
    bool taken;            /* a record was submitted to it at some time */
    bool invalid;          /* the broker does not allow the name */
    uint32_t tries;        /* questions since the last answer that changed something */
    uint64_t next_ns;      /* when to ask or create again */
    uint64_t missing_ns;   /* since when it is missing, 0 */
    uint64_t verdict_ns;   /* until when its records are poison, 0 */
    uint64_t partition_ns; /* until when an unknown partition may still turn up, 0 */
    const char *reason;    /* static: name of the error behind REFUSED */
    void *handle;          /* the producer's */
};

enum topic_step {
    TOPIC_GO,       /* submit */
    TOPIC_HOLD,     /* busy */
    TOPIC_ASK,      /* ask the broker, then look again or hold */
    TOPIC_CREATE,   /* send a request to create it, then hold */
    TOPIC_UNKNOWN,  /* poison: it does not exist */
    TOPIC_BAD_NAME, /* poison */
};

struct topics {
    struct names names;
    struct topic *items;
    const char *exempt; /* the dead letter topic, which has a place of its own */
    uint32_t limit;
    bool create;
    uint64_t wait_ns;
};

MUST_USE bool topics_init(struct topics *topics, const struct sink_opts *opts, struct err *err);
void topics_deinit(struct topics *topics);
/* The number of the topic, made if it is new; NAMES_NONE with err (ROW_TOPIC, ROW_TOPIC_LIMIT).
 * `*ret_evicted` is the handle of a topic that lost its place, or NULL. */
uint32_t topics_get(struct topics *topics, struct bytes name, void **ret_evicted, struct err *err);
/* What to do with a record for the topic now. */
enum topic_step topics_step(struct topics *topics, uint32_t number, uint64_t now_ns);
/* Answers. */
void topics_exists(struct topics *topics, uint32_t number);
void topics_missing(struct topics *topics, uint32_t number, uint64_t now_ns);
void topics_refused(struct topics *topics, uint32_t number, const char *reason, uint64_t now_ns);
/* Of a request to create: made (or there already), not allowed a name, or to be tried again. */
void topics_created(struct topics *topics, uint32_t number, uint64_t now_ns);
void topics_bad_name(struct topics *topics, uint32_t number);
void topics_create_failed(struct topics *topics, uint32_t number, uint64_t now_ns);
/* It was known, and is not any more. */
void topics_gone(struct topics *topics, uint32_t number, uint64_t now_ns);
/* The topic has no such partition as far as the producer knows: true when it had the time to learn
 * of new ones, so that the record is poison. */
bool topics_partition_unknown(struct topics *topics, uint32_t number, uint64_t now_ns);
/* A new producer: ask about everything again; handles are dropped. */
void topics_forget(struct topics *topics);
uint32_t topics_known(const struct topics *topics);
