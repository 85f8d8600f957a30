/* SPDX-License-Identifier: Apache-2.0 */
#include "outcome.h"

#include <stdio.h>

#define CODE(name) RD_KAFKA_RESP_ERR_##name

/* Where librdkafka repeats a request by itself (leader moves, lost connections, too few replicas)
 * the code reaches us only when it was not repeated: rows for them say that a replay helps. */
static const struct outcome table[] = {
    {CODE(NO_ERROR), SINK_DELIVERED, ERR_NONE},
    /* The broker has the batch already: an earlier attempt arrived, its answer did not. */
    {CODE(DUPLICATE_SEQUENCE_NUMBER), SINK_DELIVERED, ERR_NONE},

    {CODE(UNKNOWN_TOPIC_OR_PART), SINK_RETRY, ERR_KAFKA_TOPIC},
    {CODE(_UNKNOWN_TOPIC), SINK_RETRY, ERR_KAFKA_TOPIC},
    {CODE(LEADER_NOT_AVAILABLE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(NOT_LEADER_FOR_PARTITION), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(REPLICA_NOT_AVAILABLE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(REQUEST_TIMED_OUT), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(COORDINATOR_LOAD_IN_PROGRESS), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(COORDINATOR_NOT_AVAILABLE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(NOT_COORDINATOR), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(NOT_ENOUGH_REPLICAS), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(NOT_ENOUGH_REPLICAS_AFTER_APPEND), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(KAFKA_STORAGE_ERROR), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(UNKNOWN_PRODUCER_ID), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(NETWORK_EXCEPTION), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(FENCED_LEADER_EPOCH), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(THROTTLING_QUOTA_EXCEEDED), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(INVALID_PRODUCER_EPOCH), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(INVALID_PRODUCER_ID_MAPPING), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(INVALID_TXN_STATE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(OPERATION_NOT_ATTEMPTED), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(UNKNOWN), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(OFFSET_OUT_OF_RANGE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(PREFERRED_LEADER_NOT_AVAILABLE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {120 /* TRANSACTION_ABORTABLE, Kafka 3.8 */, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_TRANSPORT), SINK_RETRY, ERR_KAFKA_CONNECT},
    {CODE(_ALL_BROKERS_DOWN), SINK_RETRY, ERR_KAFKA_CONNECT},
    {CODE(_TIMED_OUT), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_MSG_TIMED_OUT), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_PURGE_QUEUE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_PURGE_INFLIGHT), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_DESTROY), SINK_RETRY, ERR_KAFKA_DELIVERY},

    /* Refused for one record, together with the innocent ones of its batch. */
    {CODE(MSG_SIZE_TOO_LARGE), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(RECORD_LIST_TOO_LARGE), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(INVALID_RECORD), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(INVALID_MSG), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(INVALID_MSG_SIZE), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(INVALID_TIMESTAMP), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(UNSUPPORTED_FOR_MESSAGE_FORMAT), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(_UNKNOWN_PARTITION), SINK_SUSPECT, ERR_KAFKA_SUSPECT},

    /* Rights and set-up: the record is innocent, a dead letter would be wrong. */
    {CODE(TOPIC_AUTHORIZATION_FAILED), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(CLUSTER_AUTHORIZATION_FAILED), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(SASL_AUTHENTICATION_FAILED), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(SECURITY_DISABLED), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(_AUTHENTICATION), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(_SSL), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(TOPIC_EXCEPTION), SINK_BLOCKED, ERR_KAFKA_TOPIC},
    {CODE(POLICY_VIOLATION), SINK_BLOCKED, ERR_KAFKA_TOPIC},

    {CODE(OUT_OF_ORDER_SEQUENCE_NUMBER), SINK_FATAL, ERR_KAFKA_FATAL},
    {CODE(_FATAL), SINK_FATAL, ERR_KAFKA_FATAL},
    {CODE(_GAPLESS_GUARANTEE), SINK_FATAL, ERR_KAFKA_FATAL},
    {CODE(_INCONSISTENT), SINK_FATAL, ERR_KAFKA_FATAL},
    {CODE(_STATE), SINK_FATAL, ERR_KAFKA_FATAL},

    {CODE(_FENCED), SINK_HALT, ERR_KAFKA_FENCED},
    {CODE(PRODUCER_FENCED), SINK_HALT, ERR_KAFKA_FENCED},
    {CODE(INVALID_TRANSACTION_TIMEOUT), SINK_HALT, ERR_KAFKA_CONFIG},
    {CODE(UNSUPPORTED_VERSION), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(INVALID_REQUEST), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(INVALID_REQUIRED_ACKS), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(UNSUPPORTED_COMPRESSION_TYPE), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(_UNSUPPORTED_FEATURE), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(_INVALID_ARG), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
};

struct outcome outcome_of(rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].code == (int)code) {
            return table[i];
        }
    }
    return (struct outcome){(int)code, SINK_RETRY, ERR_KAFKA_DELIVERY};
}

struct outcome outcome_in_transaction(rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH) {
        return (struct outcome){(int)code, SINK_HALT, ERR_KAFKA_FENCED};
    }
    return outcome_of(code);
}

struct outcome outcome_of_fatal(rd_kafka_resp_err_t cause)
{
    struct outcome outcome = outcome_of(cause);
    if (outcome.outcome == SINK_HALT || outcome.outcome == SINK_BLOCKED) {
        return outcome;
    }
    return (struct outcome){(int)cause, SINK_FATAL, ERR_KAFKA_FATAL};
}

const char *outcome_name(rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return NULL;
    }
    const char *name = rd_kafka_err2name(code);
    /* librdkafka writes "ERR_120?" into memory of the thread for what it does not know. */
    return strchr(name, '?') != NULL ? "UNNAMED" : name;
}

static void hint_of_rights(struct verdict *verdict, int code, const char *topic, const char *id)
{
    if (code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED && id != NULL) {
        snprintf(verdict->hint, sizeof(verdict->hint),
                 "kafka-acls.sh --add --allow-principal User:NAME --operation Write --operation "
                 "Describe --transactional-id %.120s",
                 id);
    } else if (topic != NULL) {
        snprintf(verdict->hint, sizeof(verdict->hint),
                 "kafka-acls.sh --add --allow-principal User:NAME --operation Read --operation "
                 "Write --operation Describe --topic %.120s",
                 topic);
    }
}

void verdict_set(struct verdict *verdict, struct outcome outcome, const char *topic, const char *id)
{
    *verdict = (struct verdict){.outcome = outcome.outcome,
                                .code = outcome.err,
                                .error = outcome_name((rd_kafka_resp_err_t)outcome.code)};
    if (outcome.err == ERR_KAFKA_AUTH) {
        hint_of_rights(verdict, outcome.code, topic, id);
    } else if (outcome.err == ERR_KAFKA_FENCED) {
        snprintf(verdict->hint, sizeof(verdict->hint), "%s", OUTCOME_FENCED);
    } else if (outcome.code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT) {
        snprintf(verdict->hint, sizeof(verdict->hint),
                 "lower transaction.timeout.ms under sink.kafka, or raise "
                 "transaction.max.timeout.ms of the brokers");
    }
}
