/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "walferry/route/route.h"

static struct arena arena;
static struct event event;
static struct placement placement;
static struct err err;
static struct route *route;

static const char *const reserved[] = {"walferry.checkpoints", "orders.dead-letter"};

static void setup(void)
{
    ck_assert(arena_init(&arena, 4096, 4096));
    event = (struct event){
        .position = {lsn_make(0x1600000010), 7},
        .id = BYTES_LIT("e1"),
        .aggregate_type = BYTES_LIT("order"),
        .aggregate_id = BYTES_LIT("4711"),
        .event_type = BYTES_LIT("order.placed"),
        .visibility = BYTES_LIT("public"),
        .partition = -1,
    };
    placement = (struct placement){BYTES_ABSENT, -2, BYTES_ABSENT};
    err = ERR_INIT;
    route = NULL;
}

static void teardown(void)
{
    route_free(route);
    arena_deinit(&arena);
}

static bool build(const char *topic, const struct route_rule *rules, size_t rule_count)
{
    route_free(route);
    route = NULL;
    err = ERR_INIT;
    const struct route_opts opts = {topic, rules, rule_count, reserved, ARRAY_LEN(reserved)};
    return route_new(&opts, &route, &err);
}

static void use(const char *topic, const struct route_rule *rules, size_t rule_count)
{
    ck_assert_msg(build(topic, rules, rule_count), "%s", err.message);
}

static enum route_outcome place(void)
{
    err = ERR_INIT;
    return route_event(route, &event, &arena, &placement, &err);
}

static void assert_poison(enum err_code code, const char *part)
{
    placement = (struct placement){BYTES_LIT("stale"), -2, BYTES_ABSENT};
    ck_assert_int_eq(place(), ROUTE_POISON);
    ck_assert_int_eq(err.code, code);
    ck_assert_int_eq(err_class(err.code), ERR_CLASS_POISON);
    ck_assert_msg(strstr(err.message, part) != NULL, "\"%s\" does not say \"%s\"", err.message,
                  part);
    ck_assert_str_ne(err.hint, "");
    ck_assert_str_eq(err.where, "16/10 row 7");
}

/* Poison, and yet where the row leads is told. */
static void assert_poison_at(const char *topic, enum err_code code, const char *part)
{
    assert_poison(code, part);
    ck_assert_msg(bytes_is(placement.topic, topic), "\"%.*s\" is not \"%s\"",
                  BYTES_FMT(placement.topic), topic);
}

static void assert_poison_nowhere(enum err_code code, const char *part)
{
    assert_poison(code, part);
    ck_assert(!bytes_present(placement.topic));
}

static void assert_topic(const char *expected)
{
    ck_assert_msg(place() == ROUTE_PLACED, "%s", err.message);
    ck_assert_msg(bytes_is(placement.topic, expected), "\"%.*s\" is not \"%s\"",
                  BYTES_FMT(placement.topic), expected);
}

START_TEST(a_row_without_a_field_of_the_template_is_poison)
{
    use("outbox.event.${aggregate_type}", NULL, 0);
    event.aggregate_type = BYTES_ABSENT;
    assert_poison_nowhere(ERR_ROW_TOPIC, "aggregate_type");
    ck_assert_ptr_nonnull(strstr(err.message, "outbox.event.${aggregate_type}"));
    event.aggregate_type = BYTES_LIT("");
    assert_poison_nowhere(ERR_ROW_TOPIC, "aggregate_type");
}
END_TEST

START_TEST(a_rendered_name_that_kafka_forbids_is_poison)
{
    use("outbox.event.${aggregate_type}", NULL, 0);
    event.aggregate_type = BYTES_LIT("line item");
    assert_poison_at("outbox.event.line item", ERR_ROW_TOPIC, "outbox.event.line item");
    event.aggregate_type = BYTES_LIT("a/b");
    assert_poison(ERR_ROW_TOPIC, "is not a topic name");
    event.aggregate_type = BYTES_LIT("Gr\xC3\xB6\xC3\x9F"
                                     "e");
    assert_poison(ERR_ROW_TOPIC, "is not a topic name");
}
END_TEST

START_TEST(a_name_too_long_is_poison)
{
    static char text[1000];
    memset(text, 'a', sizeof(text));
    use("${aggregate_type}", NULL, 0);
    event.aggregate_type = bytes_make(text, TOPIC_NAME_MAX + 1);
    assert_poison(ERR_ROW_TOPIC, "is not a topic name");
    event.aggregate_type = bytes_make(text, sizeof(text));
    assert_poison(ERR_ROW_TOPIC, "is not a topic name");
    event.aggregate_type = bytes_make(text, TOPIC_NAME_MAX);
    ck_assert_int_eq(place(), ROUTE_PLACED);
}
END_TEST

START_TEST(internal_and_reserved_names_are_poison)
{
    use("${aggregate_type}", NULL, 0);
    event.aggregate_type = BYTES_LIT("__consumer_offsets");
    assert_poison(ERR_ROW_TOPIC, "two underscores");
    event.aggregate_type = BYTES_LIT("walferry.checkpoints");
    assert_poison(ERR_ROW_TOPIC, "reserved");
    event.aggregate_type = BYTES_LIT("orders.dead-letter");
    assert_poison(ERR_ROW_TOPIC, "reserved");
    event.aggregate_type = BYTES_LIT("_one");
    assert_topic("_one");
}
END_TEST

/* A topic that was good is remembered, and no other is taken for it. */
START_TEST(one_good_topic_vouches_for_no_other)
{
    use("${aggregate_type}", NULL, 0);
    for (int i = 0; i < 2; i++) {
        event.aggregate_type = BYTES_LIT("orders");
        assert_topic("orders");
        assert_topic("orders");
        event.aggregate_type = BYTES_LIT("order ");
        assert_poison(ERR_ROW_TOPIC, "is not a topic name");
        event.aggregate_type = BYTES_LIT("order");
        assert_topic("order");
        event.aggregate_type = BYTES_LIT("orders.dead-letter");
        assert_poison(ERR_ROW_TOPIC, "reserved");
    }
}
END_TEST

START_TEST(the_topic_of_the_row_is_checked_likewise)
{
    use("x", NULL, 0);
    event.topic = BYTES_LIT("a b");
    assert_poison_at("a b", ERR_ROW_TOPIC, "\"a b\"");
    event.topic = BYTES_LIT("__transaction_state");
    assert_poison(ERR_ROW_TOPIC, "two underscores");
    event.topic = BYTES_LIT("walferry.checkpoints");
    assert_poison(ERR_ROW_TOPIC, "reserved");
    event.topic = BYTES_LIT("..");
    assert_poison(ERR_ROW_TOPIC, "is not a topic name");
}
END_TEST

START_TEST(a_negative_partition_is_poison)
{
    use("x", NULL, 0);
    event.partition = -2;
    assert_poison_at("x", ERR_ROW_PARTITION, "-2");
}
END_TEST

START_TEST(a_full_arena_is_poison)
{
    use("x.${aggregate_type}", NULL, 0);
    arena_deinit(&arena);
    ck_assert(arena_init(&arena, 4, 4));
    assert_poison_nowhere(ERR_ROW_TOO_LARGE, "x.${aggregate_type}");
}
END_TEST

static void assert_refused(const char *topic, enum err_code code, const char *part)
{
    ck_assert_msg(!build(topic, NULL, 0), "%s was accepted", topic);
    ck_assert_ptr_null(route);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.message, part) != NULL, "\"%s\" does not say \"%s\"", err.message,
                  part);
    ck_assert_str_ne(err.hint, "");
}

START_TEST(templates_that_can_never_be_a_topic_are_refused_at_once)
{
    assert_refused("", ERR_TEMPLATE, "is empty");
    assert_refused("a b", ERR_TEMPLATE, "is not a topic name");
    assert_refused(".", ERR_TEMPLATE, "is not a topic name");
    assert_refused("__internal", ERR_TEMPLATE, "two underscores");
    assert_refused("__${aggregate_type}", ERR_TEMPLATE, "two underscores");
    assert_refused("walferry.checkpoints", ERR_TEMPLATE, "reserved");
    assert_refused("a/${aggregate_type}", ERR_TEMPLATE, "can never");
    assert_refused("${aggregate_type}$$", ERR_TEMPLATE, "can never");
    assert_refused("${agregate_type}", ERR_TEMPLATE, "agregate_type");
    assert_refused("${aggregate_type", ERR_TEMPLATE, "never closed");
}
END_TEST

START_TEST(a_fault_in_a_rule_says_which_rule)
{
    const struct route_rule rules[] = {
        {.matches = NULL, .match_count = 0, .topic = "fine"},
        {.matches = NULL, .match_count = 0, .topic = "not fine"},
    };
    ck_assert(!build("x", rules, 2));
    ck_assert_int_eq(err.code, ERR_TEMPLATE);
    ck_assert_msg(strncmp(err.message, "rule 2: ", 8) == 0, "%s", err.message);
}
END_TEST

START_TEST(rules_match_plain_text_by_whole_globs_only)
{
    const struct route_match by_payload = {EVENT_payload, "*"};
    const struct route_match by_backslash = {EVENT_event_type, "a\\"};
    const struct route_rule not_text = {&by_payload, 1, "y", false};
    const struct route_rule bad_glob = {&by_backslash, 1, "y", false};
    ck_assert(!build("x", &not_text, 1));
    ck_assert_int_eq(err.code, ERR_CONFIG_VALUE);
    ck_assert_ptr_nonnull(strstr(err.message, "payload"));
    ck_assert(!build("x", &bad_glob, 1));
    ck_assert_int_eq(err.code, ERR_CONFIG_VALUE);
    ck_assert_ptr_nonnull(strstr(err.message, "backslash"));
}
END_TEST

START_TEST(the_template_gives_the_topic_and_the_aggregate_id_the_key)
{
    use("outbox.event.${aggregate_type}", NULL, 0);
    assert_topic("outbox.event.order");
    ck_assert_bytes(placement.key, "4711");
    ck_assert_int_eq(placement.partition, -1);
}
END_TEST

START_TEST(the_row_wins_over_template_and_rules)
{
    const struct route_rule rule = {NULL, 0, "by.rule", false};
    use("by.template", &rule, 1);
    event.topic = BYTES_LIT("by.row");
    event.key = BYTES_LIT("row key");
    event.partition = 5;
    assert_topic("by.row");
    ck_assert_bytes(placement.key, "row key");
    ck_assert_int_eq(placement.partition, 5);
    event.topic = BYTES_LIT("");
    assert_topic("by.rule");
    event.topic = BYTES_ABSENT;
    assert_topic("by.rule");
}
END_TEST

START_TEST(the_topic_of_the_row_spares_the_fields_of_the_template)
{
    use("${aggregate_type}", NULL, 0);
    event.aggregate_type = BYTES_ABSENT;
    event.topic = BYTES_LIT("by.row");
    assert_topic("by.row");
}
END_TEST

START_TEST(an_empty_key_is_a_key_and_an_empty_aggregate_id_is_none)
{
    use("x", NULL, 0);
    event.key = BYTES_LIT("");
    assert_topic("x");
    ck_assert(bytes_present(placement.key));
    ck_assert(bytes_empty(placement.key));
    event.key = BYTES_ABSENT;
    event.aggregate_id = BYTES_LIT("");
    assert_topic("x");
    ck_assert(!bytes_present(placement.key));
    event.aggregate_id = BYTES_ABSENT;
    assert_topic("x");
    ck_assert(!bytes_present(placement.key));
}
END_TEST

START_TEST(the_first_rule_whose_every_glob_matches_wins)
{
    const struct route_match private_debug[] = {{EVENT_visibility, "private"},
                                                {EVENT_event_type, "debug.*"}};
    const struct route_match private_only = {EVENT_visibility, "private"};
    const struct route_match order_any = {EVENT_event_type, "order.*"};
    const struct route_rule rules[] = {
        {private_debug, 2, NULL, true},
        {&private_only, 1, "private.${aggregate_type}", false},
        {&order_any, 1, "orders", false},
        {&order_any, 1, "never", false},
    };
    use("rest.${aggregate_type}", rules, ARRAY_LEN(rules));
    assert_topic("orders");
    event.visibility = BYTES_LIT("private");
    assert_topic("private.order");
    event.event_type = BYTES_LIT("debug.noise");
    ck_assert_int_eq(place(), ROUTE_DROP);
    event.visibility = BYTES_LIT("public");
    assert_topic("rest.order");
    event.visibility = BYTES_LIT("privateer");
    assert_topic("rest.order");
}
END_TEST

START_TEST(a_rule_that_drops_drops_placed_rows_too)
{
    const struct route_match debug = {EVENT_event_type, "debug.*"};
    const struct route_rule rule = {&debug, 1, NULL, true};
    use("x", &rule, 1);
    event.event_type = BYTES_LIT("debug.noise");
    event.topic = BYTES_LIT("by.row");
    event.partition = -7; /* even what would be poison */
    ck_assert_int_eq(place(), ROUTE_DROP);
    ck_assert(!err_is_set(&err));
    ck_assert_int_eq(placement.partition, -2);
}
END_TEST

START_TEST(an_absent_field_matches_as_empty_text)
{
    const struct route_match none = {EVENT_aggregate_type, ""};
    const struct route_match any = {EVENT_correlation_id, "*"};
    const struct route_match some = {EVENT_causation_id, "?*"};
    const struct route_rule rules[] = {
        {&none, 1, "nowhere", false},
        {&some, 1, "caused", false},
        {&any, 1, "any", false},
    };
    use("x", rules, ARRAY_LEN(rules));
    assert_topic("any");
    event.causation_id = BYTES_LIT("c");
    assert_topic("caused");
    event.aggregate_type = BYTES_ABSENT;
    assert_topic("nowhere");
    event.aggregate_type = BYTES_LIT("");
    assert_topic("nowhere");
}
END_TEST

START_TEST(topic_names_have_kafkas_alphabet_and_length)
{
    static char text[TOPIC_NAME_MAX + 1];
    memset(text, '-', sizeof(text));
    ck_assert(topic_name_valid(bytes_make(text, TOPIC_NAME_MAX)));
    ck_assert(!topic_name_valid(bytes_make(text, TOPIC_NAME_MAX + 1)));
    ck_assert(!topic_name_valid(bytes_make(text, 0)));
    ck_assert(!topic_name_valid(BYTES_ABSENT));
    ck_assert(!topic_name_valid(BYTES_LIT(".")));
    ck_assert(!topic_name_valid(BYTES_LIT("..")));
    ck_assert(topic_name_valid(BYTES_LIT("...")));
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t name[] = {'a', (uint8_t)byte};
        bool expected = byte != 0 && strchr(good, (int)byte) != NULL;
        ck_assert_msg(topic_name_valid(bytes_make(name, 2)) == expected, "byte %u", byte);
    }
}
END_TEST

static Suite *suite_of_route(void)
{
    Suite *suite = suite_create("route");
    TCase *tcase = tcase_create("route");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_row_without_a_field_of_the_template_is_poison);
    tcase_add_test(tcase, a_rendered_name_that_kafka_forbids_is_poison);
    tcase_add_test(tcase, a_name_too_long_is_poison);
    tcase_add_test(tcase, one_good_topic_vouches_for_no_other);
    tcase_add_test(tcase, internal_and_reserved_names_are_poison);
    tcase_add_test(tcase, the_topic_of_the_row_is_checked_likewise);
    tcase_add_test(tcase, a_negative_partition_is_poison);
    tcase_add_test(tcase, a_full_arena_is_poison);
    tcase_add_test(tcase, templates_that_can_never_be_a_topic_are_refused_at_once);
    tcase_add_test(tcase, a_fault_in_a_rule_says_which_rule);
    tcase_add_test(tcase, rules_match_plain_text_by_whole_globs_only);
    tcase_add_test(tcase, the_template_gives_the_topic_and_the_aggregate_id_the_key);
    tcase_add_test(tcase, the_row_wins_over_template_and_rules);
    tcase_add_test(tcase, the_topic_of_the_row_spares_the_fields_of_the_template);
    tcase_add_test(tcase, an_empty_key_is_a_key_and_an_empty_aggregate_id_is_none);
    tcase_add_test(tcase, the_first_rule_whose_every_glob_matches_wins);
    tcase_add_test(tcase, a_rule_that_drops_drops_placed_rows_too);
    tcase_add_test(tcase, an_absent_field_matches_as_empty_text);
    tcase_add_test(tcase, topic_names_have_kafkas_alphabet_and_length);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_route())
