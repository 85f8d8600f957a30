/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/topics.h"

#include <stdio.h>

#include "test.h"
#include "walferry/base/clock.h"

#define S NS_PER_S

static struct topics topics;
static struct sink_opts opts;
static struct err err;

static void start(bool create, uint32_t max)
{
    opts = (struct sink_opts){.topics_create = create,
                              .topics_max = max,
                              .topics_wait_ms = 30000,
                              .dead_letter_topic = "dead"};
    ck_assert(topics_init(&topics, &opts, &err));
}

static void teardown(void)
{
    topics_deinit(&topics);
}

static uint32_t get(const char *name)
{
    void *evicted;
    return topics_get(&topics, bytes_str(name), &evicted, &err);
}

START_TEST(names_that_kafka_forbids_are_poison)
{
    start(true, 10);
    char longest[251];
    memset(longest, 'a', 250);
    longest[250] = '\0';
    const char *const bad[] = {"", ".", "..", "a/b", "a b", "\xc3\xa4", "a\n", longest};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(get(bad[i]) == NAMES_NONE, "%s", bad[i]);
        ck_assert_int_eq(err.code, ERR_ROW_TOPIC);
        ck_assert_str_ne(err.hint, "");
    }
    longest[249] = '\0';
    ck_assert_uint_ne(get(longest), NAMES_NONE);
    ck_assert_uint_ne(get("A.b_c-9"), NAMES_NONE);
}
END_TEST

START_TEST(one_more_topic_is_poison_and_the_dead_letters_do_not_count)
{
    start(true, 2);
    ck_assert_uint_ne(get("a"), NAMES_NONE);
    ck_assert_uint_ne(get("b"), NAMES_NONE);
    ck_assert_uint_eq(get("c"), NAMES_NONE);
    ck_assert_int_eq(err.code, ERR_ROW_TOPIC_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.hint, "sink.topics.max"));
    ck_assert_uint_ne(get("dead"), NAMES_NONE);
    ck_assert_uint_eq(get("c"), NAMES_NONE);
    ck_assert_uint_ne(get("a"), NAMES_NONE);
}
END_TEST

START_TEST(a_topic_that_exists_is_asked_for_once)
{
    start(true, 2);
    uint32_t a = get("a");
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_HOLD);
    ck_assert_uint_eq(topics_known(&topics), 0);
    topics_exists(&topics, a);
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_GO);
    ck_assert_uint_eq(topics_known(&topics), 1);
}
END_TEST

START_TEST(without_an_answer_it_is_asked_again_ever_more_slowly)
{
    start(false, 2);
    uint32_t a = get("a");
    unsigned asks = 0;
    /* An hour without an answer is no reason for poison. */
    for (uint64_t now = S; now < 3600 * S; now += S / 20) {
        enum topic_step step = topics_step(&topics, a, now);
        ck_assert(step == TOPIC_ASK || step == TOPIC_HOLD);
        asks += step == TOPIC_ASK ? 1 : 0;
    }
    ck_assert_uint_gt(asks, 1000);
    ck_assert_uint_lt(asks, 2000);
}
END_TEST

START_TEST(a_missing_topic_is_created)
{
    start(true, 2);
    uint32_t a = get("a");
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
    topics_missing(&topics, a, S);
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_CREATE);
    ck_assert_int_eq(topics_step(&topics, a, 100 * S), TOPIC_HOLD);
    topics_created(&topics, a, 100 * S);
    /* Its brokers need a moment to lead it. */
    ck_assert_int_eq(topics_step(&topics, a, 100 * S + S / 20), TOPIC_HOLD);
    ck_assert_int_eq(topics_step(&topics, a, 100 * S + S / 10), TOPIC_ASK);
    /* Not every broker knows it at once; it is not created a second time for that. */
    topics_missing(&topics, a, 100 * S + S / 10);
    ck_assert_int_ne(topics_step(&topics, a, 100 * S + S / 5), TOPIC_CREATE);
    topics_exists(&topics, a);
    ck_assert_int_eq(topics_step(&topics, a, 101 * S), TOPIC_GO);
}
END_TEST

START_TEST(creating_is_repeated_at_a_distance)
{
    start(true, 2);
    uint32_t a = get("a");
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
    topics_missing(&topics, a, S);
    unsigned creations = 0;
    for (uint64_t now = S; now < 61 * S; now += S / 20) {
        if (topics_step(&topics, a, now) == TOPIC_CREATE) {
            topics_create_failed(&topics, a, now);
            creations++;
        }
    }
    ck_assert_uint_gt(creations, 10);
    ck_assert_uint_lt(creations, 40);
}
END_TEST

START_TEST(refusals_hold_for_ever_and_are_asked_again)
{
    start(true, 2);
    uint32_t a = get("a");
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
    topics_refused(&topics, a, "TOPIC_AUTHORIZATION_FAILED", S);
    unsigned asks = 0;
    for (uint64_t now = S; now < 600 * S; now += S / 10) {
        enum topic_step step = topics_step(&topics, a, now);
        if (step == TOPIC_ASK) {
            asks++;
            topics_refused(&topics, a, "TOPIC_AUTHORIZATION_FAILED", now);
        } else {
            ck_assert_int_eq(step, TOPIC_HOLD);
        }
    }
    ck_assert_uint_gt(asks, 100);
    ck_assert_uint_lt(asks, 400);
    topics_exists(&topics, a);
    ck_assert_int_eq(topics_step(&topics, a, 600 * S), TOPIC_GO);
}
END_TEST

START_TEST(a_topic_that_may_not_be_created_is_waited_for_and_then_poison)
{
    start(false, 2);
    uint32_t a = get("a");
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
    topics_missing(&topics, a, S);
    for (uint64_t now = S; now < 31 * S; now += S / 10) {
        enum topic_step step = topics_step(&topics, a, now);
        ck_assert(step == TOPIC_ASK || step == TOPIC_HOLD);
        topics_missing(&topics, a, now);
    }
    ck_assert_int_eq(topics_step(&topics, a, 31 * S), TOPIC_UNKNOWN);
    /* The verdict holds for as long, and the broker goes on being asked. */
    bool asked = false;
    for (uint64_t now = 31 * S; now < 61 * S; now += S / 10) {
        enum topic_step step = topics_step(&topics, a, now);
        ck_assert(step == TOPIC_UNKNOWN || step == TOPIC_ASK);
        asked = asked || step == TOPIC_ASK;
    }
    ck_assert(asked);
    enum topic_step step = topics_step(&topics, a, 61 * S);
    ck_assert(step == TOPIC_ASK || step == TOPIC_HOLD);
    ck_assert_int_eq(topics_step(&topics, a, 61 * S), TOPIC_HOLD);
    ck_assert_int_eq(topics_step(&topics, a, 92 * S), TOPIC_UNKNOWN);
}
END_TEST

START_TEST(a_topic_that_turns_up_is_used)
{
    start(false, 2);
    uint32_t a = get("a");
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
    topics_missing(&topics, a, S);
    ck_assert_int_eq(topics_step(&topics, a, 40 * S), TOPIC_UNKNOWN);
    topics_exists(&topics, a);
    ck_assert_int_eq(topics_step(&topics, a, 41 * S), TOPIC_GO);
}
END_TEST

START_TEST(a_name_that_the_broker_rejects_is_poison)
{
    start(true, 2);
    uint32_t a = get("a");
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
    topics_bad_name(&topics, a);
    ck_assert_int_eq(topics_step(&topics, a, 2 * S), TOPIC_BAD_NAME);
}
END_TEST

START_TEST(topics_that_do_not_exist_use_up_no_places)
{
    start(false, 2);
    uint32_t a = get("a");
    uint32_t missing = get("missing");
    topics_exists(&topics, a);
    ck_assert_int_eq(topics_step(&topics, missing, S), TOPIC_ASK);
    topics_missing(&topics, missing, S);
    topics.items[missing].handle = &opts;
    ck_assert_uint_eq(get("b"), NAMES_NONE);
    ck_assert_int_eq(topics_step(&topics, missing, 40 * S), TOPIC_UNKNOWN);
    void *evicted;
    uint32_t b = topics_get(&topics, BYTES_LIT("b"), &evicted, &err);
    ck_assert_uint_eq(b, missing);
    ck_assert_ptr_eq(evicted, &opts);
    ck_assert_int_eq(topics_step(&topics, b, 41 * S), TOPIC_ASK);
    ck_assert_uint_eq(get("missing"), NAMES_NONE);
}
END_TEST

START_TEST(a_topic_that_was_written_to_keeps_its_place)
{
    start(false, 1);
    uint32_t a = get("a");
    topics_exists(&topics, a);
    topics.items[a].taken = true;
    topics_gone(&topics, a, S);
    topics_missing(&topics, a, S);
    ck_assert_int_eq(topics_step(&topics, a, 40 * S), TOPIC_UNKNOWN);
    ck_assert_uint_eq(get("b"), NAMES_NONE);
    ck_assert_str_eq(names_text(&topics.names, a), "a");
}
END_TEST

START_TEST(a_topic_that_went_away_is_asked_for_again)
{
    start(true, 1);
    uint32_t a = get("a");
    topics_exists(&topics, a);
    topics_gone(&topics, a, S);
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
}
END_TEST

START_TEST(new_partitions_get_time_to_turn_up)
{
    start(true, 1);
    uint32_t a = get("a");
    topics_exists(&topics, a);
    ck_assert(!topics_partition_unknown(&topics, a, S));
    ck_assert(!topics_partition_unknown(&topics, a, S + S / 2));
    ck_assert(topics_partition_unknown(&topics, a, 2 * S));
    ck_assert(topics_partition_unknown(&topics, a, 3 * S));
    ck_assert(!topics_partition_unknown(&topics, a, 60 * S));
}
END_TEST

START_TEST(a_new_producer_asks_anew)
{
    start(true, 2);
    uint32_t a = get("a");
    topics_exists(&topics, a);
    topics.items[a].handle = &opts;
    topics_forget(&topics);
    ck_assert_ptr_null(topics.items[a].handle);
    ck_assert_int_eq(topics_step(&topics, a, S), TOPIC_ASK);
    ck_assert_uint_eq(get("a"), a);
}
END_TEST

static Suite *suite_of_topics(void)
{
    Suite *suite = suite_create("sink/topics");
    TCase *tests = tcase_create("topics");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, names_that_kafka_forbids_are_poison);
    tcase_add_test(tests, one_more_topic_is_poison_and_the_dead_letters_do_not_count);
    tcase_add_test(tests, a_topic_that_exists_is_asked_for_once);
    tcase_add_test(tests, without_an_answer_it_is_asked_again_ever_more_slowly);
    tcase_add_test(tests, a_missing_topic_is_created);
    tcase_add_test(tests, creating_is_repeated_at_a_distance);
    tcase_add_test(tests, refusals_hold_for_ever_and_are_asked_again);
    tcase_add_test(tests, a_topic_that_may_not_be_created_is_waited_for_and_then_poison);
    tcase_add_test(tests, a_topic_that_turns_up_is_used);
    tcase_add_test(tests, a_name_that_the_broker_rejects_is_poison);
    tcase_add_test(tests, topics_that_do_not_exist_use_up_no_places);
    tcase_add_test(tests, a_topic_that_was_written_to_keeps_its_place);
    tcase_add_test(tests, a_topic_that_went_away_is_asked_for_again);
    tcase_add_test(tests, new_partitions_get_time_to_turn_up);
    tcase_add_test(tests, a_new_producer_asks_anew);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_topics())
