/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "test.h"
#include "walferry/route/route.h"

static struct arena arena;
static struct event event;

static void setup(void)
{
    ck_assert(arena_init(&arena, 4096, 4096));
    event = (struct event){
        .id = BYTES_LIT("e1"),
        .aggregate_type = BYTES_LIT("order"),
        .aggregate_id = BYTES_LIT("4711"),
        .event_type = BYTES_LIT("order.placed"),
        .event_version = BYTES_LIT("3"),
        .visibility = BYTES_LIT("public"),
        .correlation_id = BYTES_LIT("c"),
        .causation_id = BYTES_LIT("d"),
        .topic = BYTES_LIT("t"),
        .key = BYTES_LIT("k"),
        .partition = -1,
    };
}

static void teardown(void)
{
    arena_deinit(&arena);
}

static void assert_renders(const char *text, const char *expected)
{
    struct template *template = NULL;
    struct err err = ERR_INIT;
    ck_assert_msg(template_compile(text, &template, &err), "%s: %s", text, err.message);
    enum event_field missing = EVENT_FIELD_COUNT;
    struct bytes rendered = template_render(template, &event, &arena, &missing);
    ck_assert_msg(bytes_is(rendered, expected), "%s: \"%.*s\" is not \"%s\"", text,
                  BYTES_FMT(rendered), expected);
    template_free(template);
}

START_TEST(every_text_field_can_be_named)
{
    assert_renders("${id}", "e1");
    assert_renders("${aggregate_type}", "order");
    assert_renders("${aggregate_id}", "4711");
    assert_renders("${event_type}", "order.placed");
    assert_renders("${event_version}", "3");
    assert_renders("${visibility}", "public");
    assert_renders("${correlation_id}", "c");
    assert_renders("${causation_id}", "d");
    assert_renders("${topic}", "t");
    assert_renders("${key}", "k");
}
END_TEST

START_TEST(text_and_fields_mix_in_any_order)
{
    assert_renders("outbox.event.${aggregate_type}", "outbox.event.order");
    assert_renders("${visibility}.${aggregate_type}.v${event_version}", "public.order.v3");
    assert_renders("${id}${id}${id}", "e1e1e1");
    assert_renders("constant", "constant");
    assert_renders("a}b{c", "a}b{c");
    assert_renders("", "");
}
END_TEST

START_TEST(two_dollar_signs_are_one)
{
    assert_renders("$$", "$");
    assert_renders("a$$b", "a$b");
    assert_renders("$$$$", "$$");
    assert_renders("$${id}", "${id}");
    assert_renders("$$${id}$$", "$e1$");
}
END_TEST

START_TEST(the_source_text_need_not_outlive_the_call)
{
    char text[] = "x.${id}.y";
    struct template *template = NULL;
    struct err err = ERR_INIT;
    ck_assert(template_compile(text, &template, &err));
    memset(text, '#', sizeof(text));
    enum event_field missing = EVENT_FIELD_COUNT;
    ck_assert_bytes(template_render(template, &event, &arena, &missing), "x.e1.y");
    template_free(template);
}
END_TEST

static struct err refused(const char *text)
{
    struct template *template = NULL;
    struct err err = ERR_INIT;
    ck_assert_msg(!template_compile(text, &template, &err), "%s was accepted", text);
    ck_assert_ptr_null(template);
    ck_assert_int_eq(err.code, ERR_TEMPLATE);
    ck_assert_str_ne(err.hint, "");
    ck_assert_ptr_nonnull(strstr(err.message, text));
    return err;
}

static void assert_message(struct err err, const char *part)
{
    ck_assert_msg(strstr(err.message, part) != NULL, "\"%s\" does not say \"%s\"", err.message,
                  part);
}

START_TEST(a_lone_dollar_sign_is_refused_with_its_column)
{
    assert_message(refused("$"), "column 1:");
    assert_message(refused("ab$"), "column 3:");
    assert_message(refused("ab$c"), "column 3:");
    assert_message(refused("$$$"), "column 3:");
    assert_message(refused("${id}$id"), "column 6:");
    assert_message(refused("$}"), "column 1:");
}
END_TEST

START_TEST(an_unclosed_field_is_refused_with_its_column)
{
    assert_message(refused("x${id"), "column 2:");
    assert_message(refused("x${id"), "never closed");
    assert_message(refused("${"), "column 1:");
    assert_message(refused("${id}${"), "column 6:");
}
END_TEST

START_TEST(an_unknown_field_gets_a_suggestion_where_one_is_near)
{
    struct err err = refused("a.${agregate_type}");
    assert_message(err, "column 3:");
    assert_message(err, "\"agregate_type\"");
    ck_assert_str_eq(err.hint, "did you mean ${aggregate_type}?");
    ck_assert_str_eq(refused("${evnet_type}").hint, "did you mean ${event_type}?");
}
END_TEST

START_TEST(an_unknown_field_with_nothing_near_gets_the_list)
{
    ck_assert_ptr_nonnull(strstr(refused("${customer_name}").hint, "aggregate_type"));
    ck_assert_ptr_null(strstr(refused("${customer_name}").hint, "did you mean"));
    ck_assert_ptr_null(strstr(refused("${}").hint, "did you mean"));
    ck_assert_ptr_null(strstr(refused("${AGGREGATE_TYPE}").hint, "did you mean"));
    ck_assert_ptr_null(strstr(refused("${ id }").hint, "payload"));
}
END_TEST

START_TEST(a_long_unknown_name_is_cut_in_the_message)
{
    char text[256] = "${";
    memset(text + 2, 'a', 150);
    memcpy(text + 152, "}", 2);
    struct err err = refused(text);
    ck_assert_ptr_null(strstr(err.hint, "did you mean"));
    ck_assert_uint_lt(strlen(strstr(err.message, "no field")), 80);
}
END_TEST

START_TEST(fields_that_are_not_plain_text_are_refused)
{
    static const char *const names[] = {"payload",     "headers",    "occurred_at",
                                        "traceparent", "tracestate", "partition"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[64];
        snprintf(text, sizeof(text), "a.${%s}", names[i]);
        struct err err = refused(text);
        assert_message(err, "column 3:");
        assert_message(err, names[i]);
    }
}
END_TEST

static void assert_missing(const char *text, enum event_field expected)
{
    struct template *template = NULL;
    struct err err = ERR_INIT;
    ck_assert(template_compile(text, &template, &err));
    enum event_field missing = EVENT_FIELD_COUNT;
    ck_assert(!bytes_present(template_render(template, &event, &arena, &missing)));
    ck_assert_int_eq(missing, expected);
    template_free(template);
}

START_TEST(an_absent_or_empty_field_renders_nothing_and_is_named)
{
    event.aggregate_type = BYTES_ABSENT;
    event.key = BYTES_LIT("");
    assert_missing("a.${aggregate_type}", EVENT_aggregate_type);
    assert_missing("${aggregate_type}", EVENT_aggregate_type);
    assert_missing("a.${key}.b", EVENT_key);
    assert_missing("${id}.${key}.${aggregate_type}", EVENT_key);
}
END_TEST

START_TEST(a_full_arena_renders_nothing_and_blames_no_field)
{
    arena_deinit(&arena);
    ck_assert(arena_init(&arena, 4, 4));
    assert_missing("a.${aggregate_type}", EVENT_FIELD_COUNT);
    ck_assert(arena_alloc(&arena, 4) != NULL);
    assert_renders("${aggregate_type}", "order"); /* one part is borrowed */
}
END_TEST

START_TEST(uses_tells_which_fields_are_named)
{
    struct template *template = NULL;
    struct err err = ERR_INIT;
    ck_assert(template_compile("id.$${key}.${aggregate_type}.${event_type}", &template, &err));
    for (enum event_field field = 0; field < EVENT_FIELD_COUNT; field++) {
        bool named = field == EVENT_aggregate_type || field == EVENT_event_type;
        ck_assert_msg(template_uses(template, field) == named, "%s", event_field_name(field));
    }
    template_free(template);
    template_free(NULL);
}
END_TEST

static Suite *suite_of_template(void)
{
    Suite *suite = suite_create("template");
    TCase *tcase = tcase_create("template");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_lone_dollar_sign_is_refused_with_its_column);
    tcase_add_test(tcase, an_unclosed_field_is_refused_with_its_column);
    tcase_add_test(tcase, an_unknown_field_gets_a_suggestion_where_one_is_near);
    tcase_add_test(tcase, an_unknown_field_with_nothing_near_gets_the_list);
    tcase_add_test(tcase, a_long_unknown_name_is_cut_in_the_message);
    tcase_add_test(tcase, fields_that_are_not_plain_text_are_refused);
    tcase_add_test(tcase, an_absent_or_empty_field_renders_nothing_and_is_named);
    tcase_add_test(tcase, a_full_arena_renders_nothing_and_blames_no_field);
    tcase_add_test(tcase, every_text_field_can_be_named);
    tcase_add_test(tcase, text_and_fields_mix_in_any_order);
    tcase_add_test(tcase, two_dollar_signs_are_one);
    tcase_add_test(tcase, the_source_text_need_not_outlive_the_call);
    tcase_add_test(tcase, uses_tells_which_fields_are_named);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_template())
