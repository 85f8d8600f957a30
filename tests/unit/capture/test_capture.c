/* SPDX-License-Identifier: Apache-2.0 */
/* What is captured, what is skipped, what stops the relay. */
#include "fixture.h"

static const struct given plain_row[] = {
    {"id", UUID, "7"}, {"event_type", TEXT, "made"}, {"payload", JSON, "{}"}, {0}};

static struct capture_entry outbox_entry(const char *name)
{
    return (struct capture_entry){.kind = CAPTURE_OUTBOX, .name = name};
}

static struct capture_entry message_entry(const char *prefix)
{
    return (struct capture_entry){.kind = CAPTURE_MESSAGES, .name = prefix};
}

static void refuse(const struct capture_entry *entries, size_t count, enum err_code code)
{
    struct capture *capture = NULL;
    struct err err = ERR_INIT;
    ck_assert(!capture_new(entries, count, &capture, &err));
    ck_assert_msg(err.code == code, "%s: %s", err_name(err.code), err.message);
    ck_assert_str_ne(err.hint, "");
    ck_assert_ptr_null(capture);
}

START_TEST(nothing_to_capture_is_refused)
{
    refuse(NULL, 0, ERR_CONFIG_MISSING);
}
END_TEST

START_TEST(a_table_needs_its_schema)
{
    const char *const names[] = {"event", ".event", "outbox.", ".", ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        refuse(&(struct capture_entry){.kind = CAPTURE_OUTBOX, .name = names[i]}, 1,
               ERR_CONFIG_VALUE);
}
END_TEST

START_TEST(required_fields_cannot_be_left_unread)
{
    const enum event_field required[] = {EVENT_id, EVENT_event_type, EVENT_payload};
    for (size_t i = 0; i < ARRAY_LEN(required); i++) {
        struct capture_entry entry = outbox_entry("outbox.event");
        entry.columns[required[i]] = "";
        refuse(&entry, 1, ERR_CONFIG_VALUE);
    }
}
END_TEST

START_TEST(the_same_thing_twice_is_refused)
{
    const struct capture_entry tables[] = {outbox_entry("a.b"), outbox_entry("a.b")};
    const struct capture_entry prefixes[] = {message_entry("p"), message_entry("p")};
    refuse(tables, 2, ERR_CONFIG_CONTRADICTION);
    refuse(prefixes, 2, ERR_CONFIG_CONTRADICTION);
    const struct capture_entry both[] = {outbox_entry("a.b"), message_entry("a.b")};
    fixture_open(both, 2);
    fixture_close();
}
END_TEST

START_TEST(messages_have_neither_columns_nor_a_payload_mode)
{
    struct capture_entry entry = message_entry("p");
    entry.columns[EVENT_key] = "k";
    refuse(&entry, 1, ERR_CONFIG_CONTRADICTION);
    entry = message_entry("p");
    entry.payload = PAYLOAD_AS_TEXT;
    refuse(&entry, 1, ERR_CONFIG_CONTRADICTION);
    entry = message_entry("");
    refuse(&entry, 1, ERR_CONFIG_VALUE);
}
END_TEST

START_TEST(freeing_nothing_is_allowed)
{
    capture_free(NULL);
}
END_TEST

START_TEST(schema_and_table_are_split_at_the_first_dot)
{
    fixture_open_one("outbox.event.v1", PRESET_WALFERRY);
    fixture_row("outbox", "event.v1", plain_row);
    fixture_insert_event();
    fixture_row("outbox.event", "v1", plain_row);
    fixture.relation.oid++;
    ck_assert_int_eq(fixture_insert(), CAPTURE_FAIL);
    fixture_close();
}
END_TEST

START_TEST(names_match_exactly)
{
    const char *const others[][2] = {
        {"outbox", "Event"}, {"outbox", "event2"}, {"public", "event"}};
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        fixture_row(others[i][0], others[i][1], plain_row);
        ck_assert_int_eq(fixture_insert(), CAPTURE_FAIL);
        ck_assert_int_eq(fixture.err.code, ERR_RELATION_UNKNOWN);
        ck_assert_ptr_nonnull(strstr(fixture.err.where, others[i][1]));
        ck_assert_ptr_nonnull(strstr(fixture.err.hint, "ALTER PUBLICATION"));
    }
    fixture_close();
}
END_TEST

START_TEST(each_entry_reads_its_own_table)
{
    const struct capture_entry entries[] = {
        message_entry("p"),
        {.kind = CAPTURE_OUTBOX, .name = "a.one"},
        {.kind = CAPTURE_OUTBOX, .name = "a.two", .preset = PRESET_DEBEZIUM},
    };
    const struct given debezium_row[] = {
        {"id", UUID, "8"}, {"type", TEXT, "changed"}, {"payload", JSON, "1"}, {0}};
    fixture_open(entries, ARRAY_LEN(entries));
    fixture_row("a", "one", plain_row);
    fixture_insert_event();
    ck_assert_bytes(fixture.event.event_type, "made");
    fixture_row("a", "two", debezium_row);
    fixture.relation.oid++;
    fixture_insert_event();
    ck_assert_bytes(fixture.event.event_type, "changed");
    fixture_close();
}
END_TEST

START_TEST(housekeeping_is_skipped_with_a_reason)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", plain_row);
    struct change change = fixture_change(CHANGE_UPDATE);
    ck_assert_int_eq(fixture_take(&change), CAPTURE_SKIP);
    ck_assert_int_eq(fixture.reason, SKIP_UPDATE);
    change = fixture_change(CHANGE_DELETE);
    ck_assert_int_eq(fixture_take(&change), CAPTURE_SKIP);
    ck_assert_int_eq(fixture.reason, SKIP_DELETE);
    const struct relation *relations[] = {&fixture.relation, &fixture.relation};
    change = (struct change){.kind = CHANGE_TRUNCATE};
    change.as.truncate.count = 2;
    change.as.truncate.relations = relations;
    ck_assert_int_eq(fixture_take(&change), CAPTURE_SKIP);
    ck_assert_int_eq(fixture.reason, SKIP_TRUNCATE);
    fixture_close();
}
END_TEST

START_TEST(housekeeping_of_an_unknown_table_stops)
{
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", plain_row);
    struct relation known = fixture.relation;
    fixture_row("outbox", "other", plain_row);
    const struct relation *relations[] = {&known, &fixture.relation};
    struct change change = fixture_change(CHANGE_UPDATE);
    ck_assert_int_eq(fixture_take(&change), CAPTURE_FAIL);
    change = fixture_change(CHANGE_DELETE);
    ck_assert_int_eq(fixture_take(&change), CAPTURE_FAIL);
    change = (struct change){.kind = CHANGE_TRUNCATE};
    change.as.truncate.count = 2;
    change.as.truncate.relations = relations;
    ck_assert_int_eq(fixture_take(&change), CAPTURE_FAIL);
    ck_assert_int_eq(fixture.err.code, ERR_RELATION_UNKNOWN);
    fixture_close();
}
END_TEST

START_TEST(a_partition_may_be_announced_but_have_no_rows)
{
    struct err err = ERR_INIT;
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", plain_row);
    fixture_insert_event();
    fixture_row("outbox", "event_2026_01_31", plain_row);
    fixture.relation.oid++;
    ck_assert(capture_relation(fixture.capture, &fixture.relation, &err));
    ck_assert_int_eq(fixture_insert(), CAPTURE_FAIL);
    ck_assert_ptr_nonnull(strstr(fixture.err.hint, "publish_via_partition_root"));
    fixture_close();
}
END_TEST

START_TEST(a_renamed_outbox_is_found_at_once)
{
    struct err err = ERR_INIT;
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", plain_row);
    fixture_insert_event();
    fixture_row("outbox", "event_old", plain_row);
    ck_assert(!capture_relation(fixture.capture, &fixture.relation, &err));
    ck_assert_int_eq(err.code, ERR_RELATION_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(err.message, "outbox.event"));
    ck_assert_int_eq(fixture_insert(), CAPTURE_FAIL);
    capture_reset(fixture.capture);
    ck_assert(capture_relation(fixture.capture, &fixture.relation, &err));
    fixture_close();
}
END_TEST

START_TEST(a_table_that_no_longer_fits_says_what_is_missing)
{
    const struct given changed[] = {
        {"event_id", UUID, "7"}, {"payload", JSON, "{}"}, {"note", TEXT, NULL}, {0}};
    struct err err = ERR_INIT;
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", plain_row);
    fixture_insert_event();
    fixture_row("outbox", "event", changed);
    ck_assert(!capture_relation(fixture.capture, &fixture.relation, &err));
    ck_assert_int_eq(err.code, ERR_RELATION_CHANGED);
    ck_assert_ptr_nonnull(strstr(err.message, "id (for id), event_type (for event_type)"));
    ck_assert_ptr_nonnull(strstr(err.message, "it has: event_id, payload, note"));
    ck_assert_ptr_nonnull(strstr(err.hint, "columns:"));
    ck_assert_str_eq(err.where, "table outbox.event");
    ck_assert_int_eq(fixture_insert(), CAPTURE_FAIL);
    ck_assert_int_eq(fixture.err.code, ERR_RELATION_CHANGED);
    fixture_row("outbox", "event", plain_row);
    fixture_insert_event();
    fixture_close();
}
END_TEST

START_TEST(an_override_must_name_a_column_that_exists)
{
    struct err err = ERR_INIT;
    struct capture_entry entry = outbox_entry("outbox.event");
    entry.columns[EVENT_aggregate_id] = "order_no";
    fixture_open(&entry, 1);
    fixture_row("outbox", "event", plain_row);
    ck_assert(!capture_relation(fixture.capture, &fixture.relation, &err));
    ck_assert_ptr_nonnull(strstr(err.message, "order_no (for aggregate_id)"));
    fixture_close();
}
END_TEST

START_TEST(missing_columns_of_a_wide_table_are_cut_not_lost)
{
    static struct column columns[COLUMN_MAX];
    for (size_t i = 0; i < COLUMN_MAX; i++)
        columns[i] = (struct column){.name = "a_long_name_that_repeats", .type_oid = TEXT};
    struct err err = ERR_INIT;
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", plain_row);
    fixture.relation.columns = columns;
    fixture.relation.column_count = COLUMN_MAX;
    ck_assert(!capture_relation(fixture.capture, &fixture.relation, &err));
    ck_assert_ptr_nonnull(strstr(err.message, "..."));
    fixture_close();
}
END_TEST

START_TEST(columns_that_move_are_followed)
{
    const struct given moved[] = {{"note", TEXT, "n"},
                                  {"payload", JSON, "[]"},
                                  {"event_type", TEXT, "moved"},
                                  {"id", UUID, "9"},
                                  {0}};
    fixture_open_one("outbox.event", PRESET_WALFERRY);
    fixture_row("outbox", "event", plain_row);
    fixture_insert_event();
    fixture_row("outbox", "event", moved);
    /* Even when nobody announced it to capture. */
    ck_assert_int_eq(fixture_insert(), CAPTURE_EVENT);
    ck_assert_bytes(fixture.event.id, "9");
    ck_assert_bytes(fixture.event.event_type, "moved");
    fixture_close();
}
END_TEST

START_TEST(every_skip_reason_has_a_name_of_its_own)
{
    for (int i = 0; i < SKIP_COUNT; i++) {
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(skip_reason_name((enum skip_reason)i),
                             skip_reason_name((enum skip_reason)j));
    }
    ck_assert_str_eq(skip_reason_name(SKIP_UPDATE), "update");
    ck_assert_str_eq(skip_reason_name(SKIP_NOT_TRANSACTIONAL), "not_transactional");
}
END_TEST

static Suite *capture_suite(void)
{
    Suite *suite = suite_create("capture");
    TCase *tcase = tcase_create("capture");
    tcase_add_test(tcase, nothing_to_capture_is_refused);
    tcase_add_test(tcase, a_table_needs_its_schema);
    tcase_add_test(tcase, required_fields_cannot_be_left_unread);
    tcase_add_test(tcase, the_same_thing_twice_is_refused);
    tcase_add_test(tcase, messages_have_neither_columns_nor_a_payload_mode);
    tcase_add_test(tcase, freeing_nothing_is_allowed);
    tcase_add_test(tcase, schema_and_table_are_split_at_the_first_dot);
    tcase_add_test(tcase, names_match_exactly);
    tcase_add_test(tcase, each_entry_reads_its_own_table);
    tcase_add_test(tcase, housekeeping_is_skipped_with_a_reason);
    tcase_add_test(tcase, housekeeping_of_an_unknown_table_stops);
    tcase_add_test(tcase, a_partition_may_be_announced_but_have_no_rows);
    tcase_add_test(tcase, a_renamed_outbox_is_found_at_once);
    tcase_add_test(tcase, a_table_that_no_longer_fits_says_what_is_missing);
    tcase_add_test(tcase, an_override_must_name_a_column_that_exists);
    tcase_add_test(tcase, missing_columns_of_a_wide_table_are_cut_not_lost);
    tcase_add_test(tcase, columns_that_move_are_followed);
    tcase_add_test(tcase, every_skip_reason_has_a_name_of_its_own);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(capture_suite())
