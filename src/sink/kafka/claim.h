/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim: the job that makes this process the writer and finds the position.
 *
 * In this order, or a position could be read that another instance is about to replace: the topic
 * of positions is there and keeps the newest record of each key; the transactional producer is
 * initialised, which ends what other instances of it have open and fences them, and learns of the
 * topic, or it would refuse the first position; partition 0 is read up to where it ended then; a
 * transaction is begun. Without a transactional producer the second and the last step are left out.
 * Brokers are waited for without end; worker_tell() says for what.
 *
 * The topic may grow partitions, by hand or by a tool for all topics. Positions are in partition 0
 * whatever their key, so that growth cannot make an old position look like the newest.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "outcome.h"
#include "positions.h"
#include "walferry/model/record.h"
#include "worker.h"

struct claim {
    struct job job;
    uint64_t generation; /* the caller's */
    /* Given. */
    rd_kafka_t *producer;         /* transactional; NULL otherwise. Outlives the job */
    rd_kafka_conf_t *uncommitted; /* readers to be made */
    rd_kafka_conf_t *committed;
    char topic[TOPIC_NAME_MAX + 1];
    char key[POSITIONS_KEY_MAX + 1];
    char id[POSITIONS_KEY_MAX + 16]; /* transactional.id */
    bool create;
    bool mock;
    int32_t replication;
    /* Found. */
    struct verdict verdict; /* DELIVERED: it is claimed */
    bool policy_unknown;    /* the broker would not tell how the topic is cleaned */
    struct bytes position;  /* free() it; absent: none */
};

/* With all of the options that it needs. */
MUST_USE bool claim_new(const struct sink_opts *opts, const char *key, struct claim **ret_claim,
                        struct err *err);
bool claim_is(const struct job *job);

/* For the parts of the job. */
/* NULL: the outcome is set. The conf is used up when there is a reader. */
rd_kafka_t *claim_reader(struct claim *claim, rd_kafka_conf_t **conf);
/* It failed with this error of Kafka: true when that may pass, and is
 * told; else the job's outcome is set. */
bool claim_may_pass(struct claim *claim, struct worker *worker, const char *what,
                    rd_kafka_resp_err_t code);
/* Position: false when cancelled or failed. position.c */
MUST_USE bool position_read(struct claim *claim, struct worker *worker, rd_kafka_t *asker);
/* The topic: false when cancelled or failed. position_topic.c */
MUST_USE bool position_topic_ensure(struct claim *claim, struct worker *worker, rd_kafka_t *asker);
/* Waits until `client` knows the topic, which is not created. */
MUST_USE bool position_topic_known(struct claim *claim, struct worker *worker, rd_kafka_t *client);
/* The request to create it; NULL: not such a name. */
rd_kafka_NewTopic_t *position_topic_new(const char *topic, int32_t replication);
