/* SPDX-License-Identifier: Apache-2.0 */
/*
 * producer: the state of the Kafka sink, shared by its files: producer.c (life, table of
 * operations), produce.c (a record to librdkafka), report.c (events from librdkafka), asking.c
 * (questions about topics and the cluster), transaction.c (claim, save, commit). librdkafka's
 * threads and the worker only ever write to event_fd.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "hurry.h"
#include "topics.h"
#include "transaction.h"
#include "walferry/sink/sink.h"

/* No topic has it: a message to this partition never leaves the process, and how librdkafka
 * refuses it tells whether the topic is known, in both directions without blocking. */
#define PROBE_PARTITION INT32_MAX

struct producer {
    struct sink sink;
    const struct sink_opts *opts;
    rd_kafka_t *rk; /* NULL after a reset that failed, or a transactional one before a claim */
    rd_kafka_queue_t *queue; /* delivery reports, errors, logs, answers of the admin API */
    rd_kafka_event_t *event; /* the one that collect() stopped in, NULL */
    int event_fd;
    struct topics topics;
    struct hurry *hurry; /* NULL: records linger as long as the configuration says */
    struct transaction txn;
    struct record staged; /* the one that leaves the stage */
    size_t message_max;   /* message.max.bytes */
    uint64_t in_flight;
    rd_kafka_resp_err_t fatal; /* cause, 0 */
    bool connected;
    bool pinging;
    uint64_t ping_ns; /* when to ask whether a broker answers again */
    uint64_t retries;
    uint32_t probes;        /* unanswered */
    char detail[256];       /* of the connection */
    char topic_detail[256]; /* what the record at the head of the line waits for */
};

void producer_detail(struct producer *self, const char *what, const char *reason);
void producer_topic_detail(struct producer *self, uint32_t topic, const char *what,
                           const char *reason);
/* A broker answered. */
void producer_connected(struct producer *self);
/* Make the descriptor readable: there is more, or a record that was held can go now. */
void producer_wake(const struct producer *self);
/* Give up all that belongs to librdkafka's producer, and the producer itself, to the caller; NULL
 * when there is none. */
rd_kafka_t *producer_release(struct producer *self);
/* Forget all that is in flight, with the producer. */
void producer_drop(struct producer *self);
/* A new producer in place of the old one, nothing in flight. */
MUST_USE bool producer_renew(struct producer *self, struct err *err);
bool producer_fatal_error(const struct producer *self, struct err *err);
/* It is unusable because a batch was refused; of each record in flight a report tells more. */
bool producer_gap(const struct producer *self);
/* What a record is answered that is offered to it then: after a gap, BUSY until all reports came.
 */
enum sink_result producer_unusable(const struct producer *self, struct err *err);

/* produce.c */
enum sink_result produce(struct producer *self, uint32_t topic, const struct record *record,
                         uint64_t tag, struct err *err);

/* Of one that waited on the stage: no error, or why librdkafka does not take it. */
rd_kafka_resp_err_t produce_staged(struct producer *self, uint32_t topic,
                                   const struct record *record, uint64_t tag);

/* report.c */
size_t report_collect(struct producer *self, struct sink_report *reports, size_t max);

/* asking.c */
void asking_topic(struct producer *self, uint32_t topic, uint64_t now_ns);
/* Fetch the topic's metadata again, without waiting. */
void asking_refresh(struct producer *self, uint32_t topic);
void asking_look(struct producer *self, rd_kafka_topic_t *handle);
/* A message to PROBE_PARTITION. UNKNOWN_PARTITION: the topic is known; NO_ERROR: the answer comes
 * as its report. */
rd_kafka_resp_err_t asking_probe(struct producer *self, rd_kafka_topic_t *handle);
void asking_create(struct producer *self, uint32_t topic, uint64_t now_ns);
/* `code` is what librdkafka said to the probe. */
void asking_probed(struct producer *self, uint32_t topic, rd_kafka_resp_err_t code,
                   uint64_t now_ns);
void asking_created(struct producer *self, rd_kafka_event_t *event, uint64_t now_ns);
void asking_ping(struct producer *self, uint64_t now_ns);
void asking_pinged(struct producer *self, rd_kafka_event_t *event);
