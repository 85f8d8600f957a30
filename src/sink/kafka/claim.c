/* SPDX-License-Identifier: Apache-2.0 */
#include "claim.h"

#include <stdio.h>
#include <stdlib.h>

#include "commit.h"
#include "properties.h"
#include "walferry/base/failpoint.h"

/* A cancelled claim ends so soon after. */
#define PIECE_MS 500
#define PAUSE_MS 200

bool claim_may_pass(struct claim *claim, struct worker *worker, const char *what,
                    rd_kafka_resp_err_t code)
{
    struct outcome outcome = outcome_of(code);
    /* No record is in work that could be suspect: a partition may not be known yet. */
    if (outcome.outcome == SINK_RETRY || outcome.outcome == SINK_SUSPECT) {
        worker_tell(worker, "topic %.150s %s: %s", claim->topic, what, outcome_name(code));
        return true;
    }
    verdict_set(&claim->verdict, outcome, claim->topic, NULL);
    return false;
}

static void producer_failed(struct claim *claim, const rd_kafka_error_t *error)
{
    rd_kafka_resp_err_t code = error == NULL ? RD_KAFKA_RESP_ERR__FAIL : rd_kafka_error_code(error);
    rd_kafka_resp_err_t cause = rd_kafka_fatal_error(claim->producer, NULL, 0);
    struct outcome outcome = cause == RD_KAFKA_RESP_ERR_NO_ERROR ? outcome_in_transaction(code)
                                                                 : outcome_of_fatal(cause);
    verdict_set(&claim->verdict, outcome, claim->topic, claim->id);
}

/* Whatever another instance has open is aborted, and that instance is fenced. */
static bool init(struct claim *claim, struct worker *worker)
{
    rd_kafka_error_t *error = NULL;
    bool failed = FAILPOINT(TXN_INIT);
    while (!failed && (error = rd_kafka_init_transactions(claim->producer, PIECE_MS)) != NULL &&
           rd_kafka_error_is_retriable(error)) {
        worker_tell(worker, "the transaction coordinator is waited for: %s",
                    outcome_name(rd_kafka_error_code(error)));
        rd_kafka_error_destroy(error);
        error = NULL;
        if (!worker_pause(worker, PAUSE_MS)) {
            return false;
        }
    }
    failed = failed || error != NULL || FAILPOINT(TXN_INITED);
    if (failed) {
        producer_failed(claim, error);
    }
    rd_kafka_error_destroy(error);
    return !failed;
}

static bool begin(struct claim *claim)
{
    rd_kafka_error_t *error = producer_begin(claim->producer);
    bool ok = error == NULL;
    if (!ok) {
        producer_failed(claim, error);
    }
    rd_kafka_error_destroy(error);
    return ok;
}

rd_kafka_t *claim_reader(struct claim *claim, rd_kafka_conf_t **conf)
{
    char reason[256] = "";
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, *conf, reason, sizeof(reason));
    if (reader == NULL) {
        claim->verdict = (struct verdict){SINK_HALT, ERR_KAFKA_CONFIG, "no consumer", ""};
        return NULL;
    }
    *conf = NULL;
    return reader;
}

static void run(struct job *job, struct worker *worker)
{
    struct claim *claim = (struct claim *)job;
    rd_kafka_t *asker = claim_reader(claim, &claim->uncommitted);
    if (asker == NULL) {
        return;
    }
    bool ok = position_topic_ensure(claim, worker, asker) &&
              (claim->producer == NULL ||
               (position_topic_known(claim, worker, claim->producer) && init(claim, worker))) &&
              position_read(claim, worker, asker) && (claim->producer == NULL || begin(claim));
    rd_kafka_destroy_flags(asker, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (ok) {
        claim->verdict = (struct verdict){.outcome = SINK_DELIVERED};
    }
}

static void free_claim(struct job *job)
{
    struct claim *claim = (struct claim *)job;
    if (claim->uncommitted != NULL) {
        rd_kafka_conf_destroy(claim->uncommitted);
    }
    if (claim->committed != NULL) {
        rd_kafka_conf_destroy(claim->committed);
    }
    free((void *)(uintptr_t)claim->position.ptr);
    free(claim);
}

bool claim_new(const struct sink_opts *opts, const char *key, struct claim **ret_claim,
               struct err *err)
{
    struct claim *claim = calloc(1, sizeof(*claim));
    if (claim == NULL) {
        return err_set(err, ERR_MEMORY, "no memory to claim the position");
    }
    *claim = (struct claim){.job = {.run = run, .free = free_claim},
                            .create = opts->topics_create,
                            .mock = opts->mock,
                            .replication = opts->topics_replication,
                            .verdict = {SINK_RETRY, ERR_KAFKA_CONNECT, "cancelled", ""}};
    snprintf(claim->topic, sizeof(claim->topic), "%s", opts->position_topic);
    snprintf(claim->key, sizeof(claim->key), "%s", key);
    if (!properties_reader(opts, "read_uncommitted", &claim->uncommitted, err) ||
        !properties_reader(opts, "read_committed", &claim->committed, err)) {
        free_claim(&claim->job);
        return false;
    }
    *ret_claim = claim;
    return true;
}

bool claim_is(const struct job *job)
{
    return job->run == run;
}
