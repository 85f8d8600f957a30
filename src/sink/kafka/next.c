/* SPDX-License-Identifier: Apache-2.0 */
/* Records that come while a transaction is being committed. */
#include "outcome.h"
#include "producer.h"
#include "walferry/base/assert.h"

/* Kafka's own bytes of a record are fewer. */
#define MARGIN 4096

enum transaction_place transaction_place(const struct producer *self)
{
    const struct transaction *txn = &self->txn;
    if (!self->opts->transactional) {
        return TRANSACTION_NOW;
    }
    switch (txn->phase) {
    case TRANSACTION_OPEN:
        return txn->stage.count == 0 ? TRANSACTION_NOW : TRANSACTION_LATER;
    case TRANSACTION_FLUSHING:
    case TRANSACTION_COMMITTING:
    case TRANSACTION_COMMITTED:
        return TRANSACTION_LATER;
    case TRANSACTION_NONE:
    case TRANSACTION_CLAIMING:
    case TRANSACTION_IN_DOUBT:
        break;
    }
    return TRANSACTION_NOT;
}

/* What librdkafka might refuse is offered to it while the row is at hand. */
bool transaction_stage(struct producer *self, uint32_t topic, const struct record *record,
                       uint64_t tag)
{
    return record->placement.partition < 0 && !self->txn.doomed &&
           record_cost(record) + MARGIN <= self->message_max &&
           stage_put(&self->txn.stage, record, topic, tag);
}

void transaction_unstage(struct producer *self)
{
    struct transaction *txn = &self->txn;
    struct record *record = &self->staged;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    uint32_t topic;
    uint64_t tag;
    while (txn->phase == TRANSACTION_OPEN && !txn->doomed &&
           stage_get(&txn->stage, record, &topic, &tag)) {
        code = produce_staged(self, topic, record, tag);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            break;
        }
        stage_pop(&txn->stage);
        transaction_taken(self, tag);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return;
    }
    txn->doomed = true;
    txn->refused = true;
    txn->notice = (struct sink_report){.kind = REPORT_RECORD,
                                       .tag = tag,
                                       .outcome = SINK_RETRY,
                                       .code = ERR_KAFKA_DELIVERY,
                                       .error = outcome_name(code)};
    txn->noticed = true;
}
