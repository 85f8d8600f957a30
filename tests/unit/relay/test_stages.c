/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/relay/stages.h"

#include "test.h"

#define CONFIG                                                                                     \
    "version: 1\n"                                                                                 \
    "name: orders\n"                                                                               \
    "source: {conninfo: dbname=shop}\n"                                                            \
    "capture: [{outbox: outbox.event}]\n"                                                          \
    "route:\n"                                                                                     \
    "  topic: \"t.${aggregate_type}\"\n"                                                           \
    "  rules: [{when: {event_type: \"debug.*\"}, drop: true}]\n"                                   \
    "sink: {stdout: {}}\n"

static struct config *config;
static struct stages stages;
static struct event event;
static struct record record;
static struct bytes topic;
static struct err err;

static void setup(void)
{
    struct config_problems problems;
    bool ok = config_load_text("orders.yaml", BYTES_LIT(CONFIG), NULL, 0, &config, &problems);
    ck_assert_msg(ok, "%s", problems.items[0].message);
    ck_assert_msg(stages_open(&stages, config, &err), "%s", err.message);
    ck_assert_msg(stages_room(&stages, 100000, &err), "%s", err.message);
    event = (struct event){
        .position = {lsn_make(16), 2},
        .id = BYTES_LIT("e-1"),
        .aggregate_type = BYTES_LIT("order"),
        .event_type = BYTES_LIT("order.placed"),
        .payload_kind = PAYLOAD_JSON,
        .payload = BYTES_LIT("{}"),
        .partition = -1,
    };
    topic = BYTES_LIT("untouched");
    err = ERR_INIT;
}

static void teardown(void)
{
    stages_close(&stages);
    config_free(config);
}

static enum stages_outcome render(const char *rejected)
{
    return stages_render(&stages, &event, rejected, &record, &topic, &err);
}

START_TEST(an_event_becomes_a_record)
{
    ck_assert_int_eq(render(NULL), STAGES_RECORD);
    ck_assert_bytes(record.placement.topic, "t.order");
    ck_assert_bytes(topic, "t.order");
    ck_assert(!bytes_empty(record.value));
}
END_TEST

START_TEST(a_rule_drops)
{
    event.event_type = BYTES_LIT("debug.heap");
    ck_assert_int_eq(render(NULL), STAGES_DROP);
    /* What is poison in a row that cannot be read is not for the rule to decide. */
    ck_assert(!bytes_present(stages_destination(&stages, &event)));
}
END_TEST

START_TEST(poison_says_where_it_was_going)
{
    event.aggregate_type = BYTES_LIT("a/b");
    ck_assert_int_eq(render(NULL), STAGES_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_TOPIC);
    ck_assert_bytes(topic, "t.a/b");
    ck_assert_bytes(stages_destination(&stages, &event), "t.a/b");
    event.aggregate_type = BYTES_ABSENT;
    ck_assert_int_eq(render(NULL), STAGES_POISON);
    ck_assert(!bytes_present(topic));
    ck_assert(!bytes_present(stages_destination(&stages, &event)));
}
END_TEST

START_TEST(what_cannot_be_rendered_is_placed_all_the_same)
{
    event.id = BYTES_ABSENT;
    ck_assert_int_eq(render(NULL), STAGES_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_FIELD);
    ck_assert_bytes(topic, "t.order");
}
END_TEST

START_TEST(what_the_broker_rejected_is_poison)
{
    ck_assert_int_eq(render("INVALID_RECORD"), STAGES_POISON);
    ck_assert_int_eq(err.code, ERR_ROW_REJECTED);
    ck_assert_msg(strstr(err.message, "INVALID_RECORD") != NULL, "%s", err.message);
    ck_assert_msg(strstr(err.hint, "walferry replay -c orders.yaml --ids e-1") != NULL, "%s",
                  err.hint);
    /* Nothing that a shell would read is put into a command. */
    event.id = BYTES_LIT("$(reboot)");
    ck_assert_int_eq(render("INVALID_RECORD"), STAGES_POISON);
    ck_assert_msg(strstr(err.hint, "--ids ID") != NULL, "%s", err.hint);
}
END_TEST

START_TEST(a_letter_goes_to_the_topic_of_dead_letters)
{
    struct err reason;
    discard(err_set(&reason, ERR_ROW_TOPIC, "no such topic"));
    ck_assert(stages_letter(&stages, &event, BYTES_LIT("t.order"), &reason, 5000000, 1000, &record,
                            &err));
    ck_assert_bytes(record.placement.topic, "orders.dead-letter");
    ck_assert_bytes(record.value, "{}");
    ck_assert_bytes(record.headers[0].name, "walferry_error");
    ck_assert_bytes(record.headers[0].value, "WF-5004");
}
END_TEST

START_TEST(a_letter_without_room_says_what_helps)
{
    static uint8_t name[2000];
    struct err reason;
    memset(name, 'x', sizeof(name));
    memcpy(name, "walferry_", strlen("walferry_"));
    discard(err_set(&reason, ERR_ROW_HEADERS, "a header"));
    err_where(&reason, "table outbox.event");
    event.headers[event.header_count++] =
        (struct header){bytes_make(name, sizeof(name)), BYTES_LIT("")};
    arena_deinit(&stages.arena);
    ck_assert(arena_init(&stages.arena, 64, 64));
    ck_assert(!stages_letter(&stages, &event, BYTES_ABSENT, &reason, 0, 1000, &record, &err));
    ck_assert_int_eq(err.code, ERR_DEAD_LETTER);
    ck_assert_str_eq(err.where, "table outbox.event");
    ck_assert_str_ne(err.hint, "");
}
END_TEST

START_TEST(the_halt_keeps_reason_place_and_hint)
{
    struct err reason;
    discard(err_set(&reason, ERR_ROW_TOPIC, "no such topic"));
    err_where(&reason, "here");
    err_hint(&reason, "do that");
    stages_halt(&reason, &err);
    ck_assert_int_eq(err.code, ERR_POISON_HALT);
    ck_assert_str_eq(err.message, "a row cannot be published (WF-5004): no such topic");
    ck_assert_str_eq(err.where, "here");
    ck_assert_int_eq(strncmp(err.hint, "do that; ", 9), 0);
}
END_TEST

START_TEST(closing_is_safe_at_any_time)
{
    struct stages other = {0};
    stages_close(&other);
    stages_close(&stages);
}
END_TEST

static Suite *suite_of_stages(void)
{
    Suite *suite = suite_create("stages");
    TCase *tcase = tcase_create("stages");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_event_becomes_a_record);
    tcase_add_test(tcase, a_rule_drops);
    tcase_add_test(tcase, poison_says_where_it_was_going);
    tcase_add_test(tcase, what_cannot_be_rendered_is_placed_all_the_same);
    tcase_add_test(tcase, what_the_broker_rejected_is_poison);
    tcase_add_test(tcase, a_letter_goes_to_the_topic_of_dead_letters);
    tcase_add_test(tcase, a_letter_without_room_says_what_helps);
    tcase_add_test(tcase, the_halt_keeps_reason_place_and_hint);
    tcase_add_test(tcase, closing_is_safe_at_any_time);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_stages())
