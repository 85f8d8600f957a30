/* SPDX-License-Identifier: Apache-2.0 */
/* The order of messages: what may follow what, and what an error leaves behind. */
#include "walferry/decode/pgoutput.h"

#include "../test.h"
#include "samples.h"

#define STEPS_MAX 6
#define OUT_MAX   4096

enum step {
    STEP_END, /* of the list */
    STEP_BEGIN,
    STEP_BEGIN_AT_END, /* exactly where the first transaction ended */
    STEP_BEGIN_EARLIER,
    STEP_BEGIN_INSIDE, /* after the first commit record's start, before its end */
    STEP_BEGIN_NONE,
    STEP_COMMIT,
    STEP_COMMIT_FOREIGN,
    STEP_COMMIT_EMPTY, /* ends where it starts */
    STEP_COMMIT_BACKWARDS,
    STEP_RELATION,
    STEP_RELATION_NARROW,
    STEP_INSERT,
    STEP_UPDATE,
    STEP_UPDATE_KEY,
    STEP_DELETE,
    STEP_TRUNCATE,
    STEP_TRUNCATE_UNKNOWN,
    STEP_TRUNCATE_NOTHING,
    STEP_ORIGIN,
    STEP_TYPE,
    STEP_MESSAGE,
    STEP_MESSAGE_PLAIN, /* not transactional */
};

static void put_step(struct buf *out, enum step step)
{
    struct relation narrow = sample_relation;
    const uint32_t unknown[] = {SAMPLE_OID, 999};
    narrow.column_count = 2;
    switch (step) {
    case STEP_END:
        break;
    case STEP_BEGIN:
        put_sample(out, SAMPLE_BEGIN);
        break;
    case STEP_BEGIN_AT_END:
        encode_begin(out, SAMPLE_END, SAMPLE_TIME, 78);
        break;
    case STEP_BEGIN_EARLIER:
        encode_begin(out, lsn_make(0xFFF), SAMPLE_TIME, 78);
        break;
    case STEP_BEGIN_INSIDE:
        encode_begin(out, lsn_make(0x1001), SAMPLE_TIME, 78);
        break;
    case STEP_BEGIN_NONE:
        encode_begin(out, LSN_NONE, SAMPLE_TIME, 78);
        break;
    case STEP_COMMIT:
        put_sample(out, SAMPLE_COMMIT_MESSAGE);
        break;
    case STEP_COMMIT_FOREIGN:
        encode_commit(out, lsn_make(0x1001), SAMPLE_END, SAMPLE_TIME);
        break;
    case STEP_COMMIT_EMPTY:
        encode_commit(out, SAMPLE_COMMIT, SAMPLE_COMMIT, SAMPLE_TIME);
        break;
    case STEP_COMMIT_BACKWARDS:
        encode_commit(out, SAMPLE_COMMIT, lsn_make(0xFFF), SAMPLE_TIME);
        break;
    case STEP_RELATION:
        put_sample(out, SAMPLE_RELATION);
        break;
    case STEP_RELATION_NARROW:
        encode_relation(out, &narrow);
        break;
    case STEP_INSERT:
        put_sample(out, SAMPLE_INSERT);
        break;
    case STEP_UPDATE:
        put_sample(out, SAMPLE_UPDATE);
        break;
    case STEP_UPDATE_KEY:
        put_sample(out, SAMPLE_UPDATE_KEY);
        break;
    case STEP_DELETE:
        put_sample(out, SAMPLE_DELETE);
        break;
    case STEP_TRUNCATE:
        put_sample(out, SAMPLE_TRUNCATE);
        break;
    case STEP_TRUNCATE_UNKNOWN:
        encode_truncate(out, unknown, 2, false, false);
        break;
    case STEP_TRUNCATE_NOTHING:
        encode_truncate(out, unknown, 0, false, false);
        break;
    case STEP_ORIGIN:
        put_sample(out, SAMPLE_ORIGIN);
        break;
    case STEP_TYPE:
        put_sample(out, SAMPLE_TYPE);
        break;
    case STEP_MESSAGE:
        put_sample(out, SAMPLE_MESSAGE);
        break;
    case STEP_MESSAGE_PLAIN:
        encode_message(out, false, lsn_make(1), "p", BYTES_LIT("x"));
        break;
    }
}

static bool take(struct pgoutput *decoder, enum step step, struct err *err)
{
    uint8_t storage[OUT_MAX];
    struct buf out;
    buf_init_over(&out, storage, sizeof(storage));
    put_step(&out, step);
    struct change change;
    return pgoutput_decode(decoder, buf_bytes(&out), &change, err);
}

struct order_case {
    const char *name;
    const char *message; /* part of the error at the last step; NULL: all is accepted */
    enum step steps[STEPS_MAX];
};

static const struct order_case order_cases[] = {
    {"begin twice", "begins before", {STEP_BEGIN, STEP_BEGIN_AT_END}},
    {"begin without lsn", "no commit LSN", {STEP_BEGIN_NONE}},
    {"begin backwards", "before the end", {STEP_BEGIN, STEP_COMMIT, STEP_BEGIN_EARLIER}},
    {"begin again", "before the end", {STEP_BEGIN, STEP_COMMIT, STEP_BEGIN}},
    {"begin in record", "before the end", {STEP_BEGIN, STEP_COMMIT, STEP_BEGIN_INSIDE}},
    {"commit first", "no transaction", {STEP_COMMIT}},
    {"commit twice", "no transaction", {STEP_BEGIN, STEP_COMMIT, STEP_COMMIT}},
    {"commit foreign", "not the one of Begin", {STEP_BEGIN, STEP_COMMIT_FOREIGN}},
    {"commit empty", "ends before it starts", {STEP_BEGIN, STEP_COMMIT_EMPTY}},
    {"commit backwards", "ends before it starts", {STEP_BEGIN, STEP_COMMIT_BACKWARDS}},
    {"insert outside", "no transaction", {STEP_RELATION, STEP_INSERT}},
    {"update outside", "no transaction", {STEP_RELATION, STEP_UPDATE}},
    {"delete outside", "no transaction", {STEP_RELATION, STEP_DELETE}},
    {"truncate outside", "no transaction", {STEP_RELATION, STEP_TRUNCATE}},
    {"origin outside", "no transaction", {STEP_ORIGIN}},
    {"insert after commit",
     "no transaction",
     {STEP_BEGIN, STEP_RELATION, STEP_INSERT, STEP_COMMIT, STEP_INSERT}},
    {"insert unknown", "not announced", {STEP_BEGIN, STEP_INSERT}},
    {"update unknown", "not announced", {STEP_BEGIN, STEP_UPDATE}},
    {"delete unknown", "not announced", {STEP_BEGIN, STEP_DELETE}},
    {"truncate unknown", "999 was not", {STEP_BEGIN, STEP_RELATION, STEP_TRUNCATE_UNKNOWN}},
    {"truncate nothing", "0 relations", {STEP_BEGIN, STEP_RELATION, STEP_TRUNCATE_NOTHING}},
    {"columns differ", "announced with 2", {STEP_BEGIN, STEP_RELATION_NARROW, STEP_INSERT}},
    {"old columns differ", "announced with 2", {STEP_BEGIN, STEP_RELATION_NARROW, STEP_DELETE}},
    {"key columns differ",
     "announced with 2",
     {STEP_BEGIN, STEP_RELATION, STEP_RELATION_NARROW, STEP_UPDATE_KEY}},
    {"message outside", "transactional", {STEP_MESSAGE}},
    {"empty transaction", NULL, {STEP_BEGIN, STEP_COMMIT}},
    {"plain message outside", NULL, {STEP_MESSAGE_PLAIN, STEP_BEGIN, STEP_MESSAGE, STEP_COMMIT}},
    {"relation and type outside", NULL, {STEP_RELATION, STEP_TYPE}},
    {"next begins at the end", NULL, {STEP_BEGIN, STEP_COMMIT, STEP_BEGIN_AT_END}},
    {"rows of all kinds", NULL, {STEP_BEGIN, STEP_RELATION, STEP_INSERT, STEP_UPDATE, STEP_DELETE}},
};

START_TEST(order_is_checked)
{
    const struct order_case *order_case = &order_cases[_i];
    struct pgoutput *decoder = pgoutput_new();
    struct err err = ERR_INIT;
    size_t i = 0;
    for (; order_case->steps[i + 1] != STEP_END; i++)
        ck_assert_msg(take(decoder, order_case->steps[i], &err), "%s: step %zu: %s",
                      order_case->name, i, err.message);
    bool taken = take(decoder, order_case->steps[i], &err);
    ck_assert_msg(taken == (order_case->message == NULL), "%s: %s", order_case->name, err.message);
    if (!taken) {
        ck_assert_msg(err.code == ERR_PROTOCOL && strstr(err.message, order_case->message) != NULL,
                      "%s: %s", order_case->name, err.message);
        ck_assert_msg(strstr(err.message, "offset") != NULL && err.hint[0] != '\0', "%s",
                      err.message);
    }
    pgoutput_free(decoder);
}
END_TEST

START_TEST(after_an_error_everything_is_refused_until_reset)
{
    struct pgoutput *decoder = pgoutput_new();
    struct err err = ERR_INIT;
    ck_assert(!take(decoder, STEP_COMMIT, &err));
    ck_assert(!take(decoder, STEP_BEGIN, &err));
    ck_assert_int_eq(err.code, ERR_PROTOCOL);
    ck_assert(!take(decoder, STEP_TYPE, NULL));
    pgoutput_reset(decoder);
    ck_assert(take(decoder, STEP_BEGIN, &err));
    pgoutput_free(decoder);
}
END_TEST

START_TEST(reset_forgets_relations_the_open_transaction_and_positions)
{
    struct pgoutput *decoder = pgoutput_new();
    struct err err = ERR_INIT;
    ck_assert(take(decoder, STEP_BEGIN, &err));
    ck_assert(take(decoder, STEP_RELATION, &err));
    pgoutput_reset(decoder);
    ck_assert(!pgoutput_in_transaction(decoder));
    ck_assert(take(decoder, STEP_BEGIN, &err));
    ck_assert(take(decoder, STEP_COMMIT, &err));
    pgoutput_reset(decoder);
    ck_assert(take(decoder, STEP_BEGIN, &err));
    ck_assert(!take(decoder, STEP_INSERT, &err));
    pgoutput_free(decoder);
}
END_TEST

START_TEST(a_refused_message_writes_no_result)
{
    struct pgoutput *decoder = pgoutput_new();
    struct err err = ERR_INIT;
    struct change change = {.kind = CHANGE_TYPE};
    ck_assert(!pgoutput_decode(decoder, BYTES_LIT("C"), &change, &err));
    ck_assert_int_eq(change.kind, CHANGE_TYPE);
    pgoutput_free(decoder);
}
END_TEST

static Suite *order_suite(void)
{
    Suite *suite = suite_create("decode_order");
    TCase *tcase = tcase_create("order");
    tcase_add_loop_test(tcase, order_is_checked, 0, ARRAY_LEN(order_cases));
    tcase_add_test(tcase, after_an_error_everything_is_refused_until_reset);
    tcase_add_test(tcase, reset_forgets_relations_the_open_transaction_and_positions);
    tcase_add_test(tcase, a_refused_message_writes_no_result);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(order_suite())
