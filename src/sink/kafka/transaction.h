/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transaction: the sink's part of exactly-once, and of positions kept in Kafka.
 *
 *   NONE ──claim()──▶ CLAIMING ──▶ OPEN ──save()──▶ FLUSHING ──▶ COMMITTING ──▶ COMMITTED
 *     ▲                             ▲                                              │
 *     └── reset() from anywhere     └────────── reports of all records, of the save┘
 *
 * Records go to librdkafka in OPEN only; those that come from FLUSHING on wait on the stage for the
 * next transaction, which begins with them. The commit is asked for when every record and the
 * position were acknowledged and none was refused (a refused one dooms the transaction, and only a
 * new producer helps). So the call that commits waits for the coordinator alone, and its time and
 * the errors meanwhile tell whether its requests may have been repeated. A repeated request that
 * was delayed could commit a part of the next transaction: after such a commit the producer is
 * replaced, which makes the broker refuse what is still under way (IN DOUBT: tick() asks for it).
 *
 * A sink that is not transactional uses NONE, CLAIMING and OPEN, and takes records in all of them.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "positions.h"
#include "stage.h"
#include "walferry/sink/sink.h"
#include "worker.h"

struct producer;

/* The tag of the position's record; the ledger never gets that far. */
#define POSITION_TAG UINT64_MAX

enum transaction_phase {
    TRANSACTION_NONE,
    TRANSACTION_CLAIMING,
    TRANSACTION_OPEN,
    TRANSACTION_FLUSHING,
    TRANSACTION_COMMITTING,
    TRANSACTION_COMMITTED,
    TRANSACTION_IN_DOUBT,
};

struct transaction {
    struct worker *worker; /* NULL: neither transactions nor positions */
    enum transaction_phase phase;
    struct job *ended;   /* whose outcome waits until librdkafka's events are read */
    uint64_t generation; /* jobs of earlier ones are of no interest any more */
    char key[POSITIONS_KEY_MAX + 1];
    char id[POSITIONS_KEY_MAX + 16]; /* transactional.id */
    char hint[256];                  /* what mends the last failed claim or commit, "" */
    struct bytes position;           /* of the last claim; owned */
    rd_kafka_topic_t *topic;         /* of the positions */
    bool topic_known;                /* by the producer */
    uint64_t topic_refresh_ns;       /* when to ask a broker for it again */
    uint64_t topic_missing_ns;       /* since when the producer knows that it is missing, 0 */
    uint64_t first;                  /* tags of the open transaction, consecutive */
    uint64_t count;
    struct stage stage;      /* records of the next one */
    uint64_t reported;       /* so many of them were handed out as delivered */
    bool doomed;             /* it cannot be committed any more */
    bool holding;            /* `held` waits for its reason */
    struct sink_report held; /* of what librdkafka threw away */
    char trouble[192];       /* what librdkafka first logged about the transaction */
    bool refused;            /* a record of it was reported as not delivered */
    bool saving;             /* the position is in flight or waits to be committed */
    bool disturbed;          /* an error came while committing */
    bool doubt;              /* committed, and the producer has to be replaced */
    bool noticed;
    struct sink_report notice; /* of the claim or the save */
    uint64_t timeout_ms;       /* transaction.timeout.ms */
    uint64_t patience_ns;      /* a commit that takes longer is in doubt */
    uint64_t hung_ns;          /* a job that says nothing for so long hangs */
};

/* After the properties were read into `conf`. */
MUST_USE bool transaction_init(struct producer *self, const rd_kafka_conf_t *conf, struct err *err);
/* Aborts what is open, so that readers are not held up, and waits some seconds for that. The
 * producer is given up. */
void transaction_close(struct producer *self);
/* Gives up the producer and whatever is under way. For transactional sinks. */
void transaction_drop(struct producer *self);
/* The producer was replaced; for sinks that are not transactional. */
void transaction_forget(struct producer *self);

MUST_USE bool transaction_claim(struct producer *self, const struct sink_identity *identity,
                                struct err *err);
enum transaction_place {
    TRANSACTION_NOW,   /* a record goes to librdkafka */
    TRANSACTION_LATER, /* it may wait on the stage */
    TRANSACTION_NOT,   /* neither */
};

enum transaction_place transaction_place(const struct producer *self);
/* The record waits for the next transaction. False: it cannot, and is to be offered again. */
MUST_USE bool transaction_stage(struct producer *self, uint32_t topic, const struct record *record,
                                uint64_t tag);
/* A transaction has begun: it starts with what waited for it, as far as librdkafka takes it. */
void transaction_unstage(struct producer *self);
void transaction_taken(struct producer *self, uint64_t tag);
struct verdict;
/* This becomes the report of the claim or the save. */
void transaction_notice(struct producer *self, enum sink_report_kind kind,
                        const struct verdict *verdict);
/* Every report of librdkafka goes through here first. True: it is not to be handed out. */
bool transaction_keeps(struct producer *self, const struct sink_report *report);
/* An error event came. */
void transaction_disturbed(struct producer *self);
/* librdkafka logged why the transaction fails. */
void transaction_trouble(struct producer *self, const char *text);
/* Before librdkafka's events are read: see what jobs have ended. */
void transaction_look(struct producer *self);
/* When no event is left, so that those of the time before the end of a job are known: what the jobs
 * brought. Fills up to `max` reports. */
size_t transaction_collect(struct producer *self, struct sink_report *reports, size_t max);
MUST_USE bool transaction_tick(struct producer *self, uint64_t now_ns, struct err *err);
/* What it waits for or suffers from; false: nothing. */
bool transaction_detail(const struct producer *self, char *out, size_t size);
/* Ask a broker for a topic, if nothing else is asked. */
void transaction_ask(struct producer *self, uint32_t topic);
