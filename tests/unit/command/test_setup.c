/* SPDX-License-Identifier: Apache-2.0 */
#include "setup.h"

#include <stdio.h>

#include "test.h"

static struct capture_entry captures[SETUP_STEPS_MAX + 1];
static struct config config;
static struct setup plan;

static void add_capture(enum capture_kind kind, const char *name, enum preset_id preset)
{
    captures[config.capture_count++] =
        (struct capture_entry){.kind = kind, .name = name, .preset = preset};
}

static void setup(void)
{
    config = (struct config){.name = "orders", .captures = captures};
    config.source.slot = "walferry_orders";
    config.source.publication = "walferry_orders";
    config.source.failover = true;
    add_capture(CAPTURE_OUTBOX, "outbox.event", PRESET_WALFERRY);
}

static void make(const char *role, bool with_slot)
{
    struct err err;
    bool ok = setup_plan(&config, role, with_slot, &plan, &err);
    ck_assert_msg(ok, "%s", err.message);
}

static void teardown(void)
{
    setup_free(&plan);
}

static void assert_label(size_t step, const char *label)
{
    ck_assert_uint_lt(step, plan.count);
    ck_assert_str_eq(plan.steps[step].label, label);
}

static void assert_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" lacks \"%s\"", text, part);
}

static bool makes_outbox(void)
{
    make(NULL, false);
    bool makes = plan.steps[0].makes_outbox;
    setup_free(&plan);
    return makes;
}

START_TEST(more_tables_than_there_are_steps_is_an_error)
{
    struct err err;
    config.capture_count = 0;
    for (size_t i = 0; i < SETUP_STEPS_MAX; i++) {
        add_capture(CAPTURE_OUTBOX, "a.b", PRESET_DEBEZIUM);
    }
    ck_assert(!setup_plan(&config, NULL, true, &plan, &err));
    ck_assert_str_ne(err.message, "");
    config.capture_count = SETUP_STEPS_MAX - 2;
    make(NULL, true);
    ck_assert_uint_eq(plan.count, SETUP_STEPS_MAX);
}
END_TEST

START_TEST(steps_stand_in_the_one_right_order)
{
    make("relay", true);
    ck_assert_uint_eq(plan.count, 5);
    ck_assert(plan.steps[0].makes_outbox);
    assert_label(1, "role relay");
    ck_assert(plan.steps[1].makes_role);
    assert_label(2, "publication walferry_orders");
    assert_label(3, "table in the publication: outbox.event");
    assert_label(4, "slot walferry_orders");
    ck_assert(plan.steps[4].makes_slot);
}
END_TEST

START_TEST(no_role_and_no_slot_unless_asked_for)
{
    make(NULL, false);
    ck_assert_uint_eq(plan.count, 3);
    for (size_t i = 0; i < plan.count; i++) {
        ck_assert(!plan.steps[i].makes_role);
        ck_assert(!plan.steps[i].makes_slot);
    }
}
END_TEST

START_TEST(the_outbox_is_made_for_who_captures_it)
{
    ck_assert(makes_outbox());
    config.capture_count = 0;
    add_capture(CAPTURE_MESSAGES, "outbox", PRESET_WALFERRY);
    ck_assert(makes_outbox());
    config.capture_count = 0;
    add_capture(CAPTURE_OUTBOX, "outbox.event", PRESET_DEBEZIUM);
    ck_assert(!makes_outbox());
    config.capture_count = 0;
    add_capture(CAPTURE_OUTBOX, "shop.event", PRESET_WALFERRY);
    ck_assert(!makes_outbox());
}
END_TEST

START_TEST(messages_need_no_table_in_the_publication)
{
    config.capture_count = 0;
    add_capture(CAPTURE_MESSAGES, "outbox", PRESET_WALFERRY);
    make(NULL, true);
    ck_assert_uint_eq(plan.count, 3);
    assert_label(1, "publication walferry_orders");
    assert_label(2, "slot walferry_orders");
}
END_TEST

START_TEST(every_step_can_be_run_and_most_can_be_seen_to_be_done)
{
    make("relay", true);
    for (size_t i = 0; i < plan.count; i++) {
        const struct setup_step *step = &plan.steps[i];
        ck_assert_msg(step->sql != NULL && step->sql[0] != '\0', "%s", step->label);
        ck_assert_msg((step->done == NULL) == step->makes_role, "%s", step->label);
        if (step->done != NULL) {
            assert_has(step->done, "SELECT EXISTS (");
        }
    }
}
END_TEST

START_TEST(the_publication_publishes_inserts_by_the_root)
{
    make(NULL, true);
    ck_assert_str_eq(plan.steps[1].sql,
                     "CREATE PUBLICATION \"walferry_orders\" WITH (publish = 'insert', "
                     "publish_via_partition_root = true)");
    ck_assert_str_eq(plan.steps[2].sql,
                     "ALTER PUBLICATION \"walferry_orders\" ADD TABLE \"outbox\".\"event\"");
}
END_TEST

START_TEST(names_are_quoted)
{
    config.source.publication = "it's \"mine\"";
    config.capture_count = 0;
    add_capture(CAPTURE_OUTBOX, "Sh'op.eve\"nt.new", PRESET_DEBEZIUM);
    make("o'role", false);
    assert_has(plan.steps[0].sql, "SET walferry.role = 'o''role';\n");
    assert_has(plan.steps[1].done, "pubname = 'it''s \"mine\"'");
    assert_has(plan.steps[1].sql, "CREATE PUBLICATION \"it's \"\"mine\"\"\" ");
    assert_has(plan.steps[2].done, "schemaname = 'Sh''op' AND tablename = 'eve\"nt.new'");
    assert_has(plan.steps[2].sql, "ADD TABLE \"Sh'op\".\"eve\"\"nt.new\"");
}
END_TEST

START_TEST(a_failover_slot_is_asked_of_servers_that_have_it)
{
    make(NULL, true);
    const char *sql = plan.steps[3].sql;
    assert_has(sql, ">= 170000");
    assert_has(sql, "'walferry_orders', 'pgoutput', failover => true)");
    assert_has(sql, "'walferry_orders', 'pgoutput');");
    setup_free(&plan);
    config.source.failover = false;
    make(NULL, true);
    ck_assert_str_eq(plan.steps[3].sql,
                     "SELECT pg_create_logical_replication_slot('walferry_orders', 'pgoutput')");
}
END_TEST

START_TEST(freeing_twice_is_safe)
{
    make("relay", true);
    setup_free(&plan);
    ck_assert_uint_eq(plan.count, 0);
}
END_TEST

static Suite *suite_of_setup(void)
{
    Suite *suite = suite_create("setup");
    TCase *all = tcase_create("plan");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, more_tables_than_there_are_steps_is_an_error);
    tcase_add_test(all, steps_stand_in_the_one_right_order);
    tcase_add_test(all, no_role_and_no_slot_unless_asked_for);
    tcase_add_test(all, the_outbox_is_made_for_who_captures_it);
    tcase_add_test(all, messages_need_no_table_in_the_publication);
    tcase_add_test(all, every_step_can_be_run_and_most_can_be_seen_to_be_done);
    tcase_add_test(all, the_publication_publishes_inserts_by_the_root);
    tcase_add_test(all, names_are_quoted);
    tcase_add_test(all, a_failover_slot_is_asked_of_servers_that_have_it);
    tcase_add_test(all, freeing_twice_is_safe);
    suite_add_tcase(suite, all);
    return suite;
}

TEST_MAIN(suite_of_setup())
