/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/outcome.h"

#include "test.h"

#define CODE(name) RD_KAFKA_RESP_ERR_##name

struct expectation {
    int code;
    enum sink_outcome outcome;
    enum err_code err;
};

static const struct expectation expectations[] = {
    {CODE(NO_ERROR), SINK_DELIVERED, ERR_NONE},
    {CODE(DUPLICATE_SEQUENCE_NUMBER), SINK_DELIVERED, ERR_NONE},
    {CODE(UNKNOWN_TOPIC_OR_PART), SINK_RETRY, ERR_KAFKA_TOPIC},
    {CODE(LEADER_NOT_AVAILABLE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(REPLICA_NOT_AVAILABLE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(NOT_LEADER_FOR_PARTITION), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(REQUEST_TIMED_OUT), SINK_RETRY, ERR_KAFKA_DELIVERY},
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
    {120, SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_TRANSPORT), SINK_RETRY, ERR_KAFKA_CONNECT},
    {CODE(_TIMED_OUT), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_MSG_TIMED_OUT), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_PURGE_QUEUE), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(_PURGE_INFLIGHT), SINK_RETRY, ERR_KAFKA_DELIVERY},
    {CODE(MSG_SIZE_TOO_LARGE), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(RECORD_LIST_TOO_LARGE), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(INVALID_RECORD), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(INVALID_MSG), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(INVALID_TIMESTAMP), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(UNSUPPORTED_FOR_MESSAGE_FORMAT), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(_UNKNOWN_PARTITION), SINK_SUSPECT, ERR_KAFKA_SUSPECT},
    {CODE(TOPIC_AUTHORIZATION_FAILED), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(CLUSTER_AUTHORIZATION_FAILED), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), SINK_BLOCKED, ERR_KAFKA_AUTH},
    {CODE(TOPIC_EXCEPTION), SINK_BLOCKED, ERR_KAFKA_TOPIC},
    {CODE(OUT_OF_ORDER_SEQUENCE_NUMBER), SINK_FATAL, ERR_KAFKA_FATAL},
    {CODE(_FATAL), SINK_FATAL, ERR_KAFKA_FATAL},
    {CODE(UNSUPPORTED_VERSION), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(INVALID_REQUEST), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(INVALID_REQUIRED_ACKS), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(UNSUPPORTED_COMPRESSION_TYPE), SINK_HALT, ERR_KAFKA_UNSUPPORTED},
    {CODE(_FENCED), SINK_HALT, ERR_KAFKA_FENCED},
    {CODE(INVALID_TRANSACTION_TIMEOUT), SINK_HALT, ERR_KAFKA_CONFIG},
    /* Never seen before: may pass. */
    {9999, SINK_RETRY, ERR_KAFKA_DELIVERY},
};

START_TEST(every_code_has_its_class)
{
    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        const struct expectation *expected = &expectations[i];
        struct outcome outcome = outcome_of((rd_kafka_resp_err_t)expected->code);
        ck_assert_msg(outcome.outcome == expected->outcome && outcome.err == expected->err,
                      "code %d: outcome %d error %s", expected->code, (int)outcome.outcome,
                      err_name(outcome.err));
    }
}
END_TEST

START_TEST(a_broken_producer_is_replaced_unless_its_cause_stays)
{
    ck_assert_int_eq(outcome_of_fatal(CODE(OUT_OF_ORDER_SEQUENCE_NUMBER)).outcome, SINK_FATAL);
    ck_assert_int_eq(outcome_of_fatal(CODE(UNKNOWN_PRODUCER_ID)).outcome, SINK_FATAL);
    ck_assert_int_eq(outcome_of_fatal(CODE(CLUSTER_AUTHORIZATION_FAILED)).outcome, SINK_BLOCKED);
    ck_assert_int_eq(outcome_of_fatal(CODE(_UNSUPPORTED_FEATURE)).outcome, SINK_HALT);
    ck_assert_int_eq(outcome_of_fatal(CODE(_FENCED)).err, ERR_KAFKA_FENCED);
}
END_TEST

START_TEST(in_a_transaction_an_old_epoch_is_somebody_elses_doing)
{
    ck_assert_int_eq(outcome_in_transaction(CODE(INVALID_PRODUCER_EPOCH)).err, ERR_KAFKA_FENCED);
    ck_assert_int_eq(outcome_in_transaction(CODE(INVALID_PRODUCER_EPOCH)).outcome, SINK_HALT);
    ck_assert_int_eq(outcome_in_transaction(CODE(PRODUCER_FENCED)).err, ERR_KAFKA_FENCED);
    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        if (expectations[i].code != CODE(INVALID_PRODUCER_EPOCH)) {
            ck_assert_int_eq(
                outcome_in_transaction((rd_kafka_resp_err_t)expectations[i].code).outcome,
                expectations[i].outcome);
        }
    }
}
END_TEST

static const char *hint_for(int code, const char *topic, const char *id)
{
    static struct verdict verdict;
    verdict_set(&verdict, outcome_of((rd_kafka_resp_err_t)code), topic, id);
    ck_assert_int_eq(verdict.outcome, outcome_of((rd_kafka_resp_err_t)code).outcome);
    ck_assert_str_eq(verdict.error, outcome_name((rd_kafka_resp_err_t)code));
    return verdict.hint;
}

START_TEST(a_verdict_says_what_mends_it)
{
    ck_assert_ptr_nonnull(
        strstr(hint_for(CODE(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), "t", "walferry-a-1-s"),
               "--transactional-id walferry-a-1-s"));
    ck_assert_ptr_nonnull(
        strstr(hint_for(CODE(TOPIC_AUTHORIZATION_FAILED), "t", "id"), "--topic t"));
    ck_assert_str_eq(hint_for(CODE(TOPIC_AUTHORIZATION_FAILED), NULL, NULL), "");
    const char *fenced = hint_for(CODE(_FENCED), NULL, NULL);
    ck_assert_ptr_nonnull(strstr(fenced, "took over"));
    ck_assert_ptr_nonnull(strstr(fenced, "transaction.timeout.ms"));
    ck_assert_ptr_nonnull(strstr(hint_for(CODE(INVALID_TRANSACTION_TIMEOUT), NULL, NULL),
                                 "transaction.max.timeout.ms"));
    ck_assert_str_eq(hint_for(CODE(REQUEST_TIMED_OUT), "t", "id"), "");
}
END_TEST

START_TEST(names_are_static)
{
    ck_assert_ptr_null(outcome_name(CODE(NO_ERROR)));
    ck_assert_str_eq(outcome_name(CODE(MSG_SIZE_TOO_LARGE)), "MSG_SIZE_TOO_LARGE");
    ck_assert_str_eq(outcome_name(CODE(_TRANSPORT)), "_TRANSPORT");
    const char *unnamed = outcome_name((rd_kafka_resp_err_t)9998);
    ck_assert_str_eq(unnamed, "UNNAMED");
    ck_assert_ptr_eq(outcome_name((rd_kafka_resp_err_t)9999), unnamed);
}
END_TEST

static Suite *suite_of_outcome(void)
{
    Suite *suite = suite_create("sink/outcome");
    TCase *tests = tcase_create("outcome");
    tcase_add_test(tests, every_code_has_its_class);
    tcase_add_test(tests, a_broken_producer_is_replaced_unless_its_cause_stays);
    tcase_add_test(tests, in_a_transaction_an_old_epoch_is_somebody_elses_doing);
    tcase_add_test(tests, a_verdict_says_what_mends_it);
    tcase_add_test(tests, names_are_static);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_outcome())
