/* SPDX-License-Identifier: Apache-2.0 */
#include "replay_table.h"

#include "test.h"

static struct column columns[3];
static struct capture_entry entry;
static struct replay_table table;
static struct replay_options options;
static struct replay_query query;
static struct buf sql;

static void setup(void)
{
    columns[0] = (struct column){.name = "id"};
    columns[1] = (struct column){.name = "payload"};
    columns[2] = (struct column){.name = "at"};
    entry = (struct capture_entry){.name = "outbox.event"};
    table = (struct replay_table){
        .entry = &entry,
        .relation = {.column_count = 3, .columns = columns},
        .id = 0,
        .time = 2,
        .id_kind = REPLAY_ID_UUID,
        .time_kind = REPLAY_TIME_ZONED,
    };
    options = (struct replay_options){.has_from = true, .from_us = INT64_C(1767225600000001)};
    query = (struct replay_query){.options = &options};
    buf_init(&sql, 65536);
}

static void teardown(void)
{
    buf_deinit(&sql);
}

#define SELECT "DECLARE walferry_replay SCROLL CURSOR FOR SELECT \"id\", \"payload\", \"at\""
#define FROM   " FROM \"outbox\".\"event\" WHERE TRUE"

static void assert_declared(const char *expected)
{
    buf_reset(&sql);
    replay_put_declare(&table, &query, &sql);
    ck_assert_str_eq(buf_cstr(&sql), expected);
}

START_TEST(a_window_of_time)
{
    assert_declared(SELECT FROM " AND \"at\" >= TIMESTAMPTZ '2026-01-01T00:00:00.000001Z' "
                                "ORDER BY \"at\", \"id\"");
    options.has_to = true;
    options.to_us = INT64_C(1767225601000000);
    table.time_kind = REPLAY_TIME_PLAIN;
    assert_declared(SELECT FROM " AND \"at\" >= TIMESTAMP '2026-01-01T00:00:00.000001Z' AND \"at\" "
                                "< TIMESTAMP '2026-01-01T00:00:01Z' ORDER BY \"at\", \"id\"");
    table.time_kind = REPLAY_TIME_MS;
    assert_declared(SELECT FROM " AND \"at\" >= 1767225600001 AND \"at\" < 1767225601000 ORDER BY "
                                "\"at\", \"id\"");
    options.from_us = -1500;
    options.to_us = -1000;
    assert_declared(SELECT FROM " AND \"at\" >= -1 AND \"at\" < -1 ORDER BY \"at\", \"id\"");
}
END_TEST

START_TEST(names_and_filters_are_what_they_are)
{
    entry.name = "My.out\"box.x";
    columns[2].name = "A\"t";
    table.row_filter = "(a > 1) OR b";
    table.commit_times = true;
    assert_declared("DECLARE walferry_replay SCROLL CURSOR FOR SELECT \"id\", \"payload\", "
                    "\"A\"\"t\", pg_catalog.pg_xact_commit_timestamp(xmin) FROM "
                    "\"My\".\"out\"\"box.x\" WHERE TRUE AND ((a > 1) OR b) AND \"A\"\"t\" >= "
                    "TIMESTAMPTZ '2026-01-01T00:00:00.000001Z' ORDER BY \"A\"\"t\", \"id\"");
}
END_TEST

static void ask_ids(const struct bytes *ids, size_t count)
{
    options = (struct replay_options){.by_ids = true};
    query.ids = ids;
    query.id_count = count;
}

START_TEST(ids_of_each_kind)
{
    static const struct bytes ids[] = {{(const uint8_t *)"1", 1}, {(const uint8_t *)"2", 1}};
    ask_ids(ids, ARRAY_LEN(ids));
    assert_declared(SELECT FROM " AND \"id\" = ANY ('{\"1\",\"2\"}'::pg_catalog.uuid[]) ORDER BY "
                                "\"at\", \"id\"");
    table.time_nullable = true;
    assert_declared(SELECT FROM " AND \"id\" = ANY ('{\"1\",\"2\"}'::pg_catalog.uuid[]) ORDER BY "
                                "COALESCE(\"at\", 'infinity'), \"id\"");
    table.time_kind = REPLAY_TIME_NONE;
    table.id_kind = REPLAY_ID_INTEGER;
    assert_declared(SELECT FROM " AND \"id\" = ANY ('{\"1\",\"2\"}'::pg_catalog.int8[]) ORDER BY "
                                "\"id\"");
    table.id_kind = REPLAY_ID_TEXT;
    assert_declared(SELECT FROM " AND \"id\" = ANY ('{\"1\",\"2\"}'::pg_catalog.text[]) ORDER BY "
                                "tableoid, ctid");
    table.id_kind = REPLAY_ID_OTHER;
    assert_declared(SELECT FROM " AND \"id\"::pg_catalog.text = ANY "
                                "('{\"1\",\"2\"}'::pg_catalog.text[]) ORDER BY tableoid, ctid");
}
END_TEST

START_TEST(ids_cannot_leave_their_literal)
{
    static const struct bytes ids[] = {{(const uint8_t *)"'\"\\,{}", 6}};
    ask_ids(ids, 1);
    table.id_kind = REPLAY_ID_TEXT;
    assert_declared(SELECT FROM " AND \"id\" = ANY ('{\"''\\\"\\\\,{}\"}'::pg_catalog.text[]) "
                                "ORDER BY \"at\", \"id\"");
    buf_reset(&sql);
    replay_put_lookup(&table, ids[0], &sql);
    ck_assert_str_eq(buf_cstr(&sql), "SELECT 1 FROM \"outbox\".\"event\" WHERE \"id\" = "
                                     "'''\"\\,{}'::pg_catalog.text LIMIT 1");
}
END_TEST

#define AFTER                                                                                      \
    "(\"at\", \"id\") > (SELECT \"at\", \"id\" FROM \"outbox\".\"event\" WHERE \"id\" = "          \
    "'e'::pg_catalog.uuid ORDER BY \"at\", \"id\" LIMIT 1)"

START_TEST(behind_a_row)
{
    static const struct bytes ids[] = {{(const uint8_t *)"1", 1}};
    query.after = BYTES_LIT("e");
    assert_declared(SELECT FROM
                    " AND \"at\" >= TIMESTAMPTZ '2026-01-01T00:00:00.000001Z' AND " AFTER
                    " ORDER BY \"at\", \"id\"");
    /* Of ids that were asked for all are looked at, so that the unknown ones are known. */
    ask_ids(ids, 1);
    assert_declared(SELECT ", " AFTER FROM " AND \"id\" = ANY ('{\"1\"}'::pg_catalog.uuid[]) ORDER "
                           "BY \"at\", \"id\"");
}
END_TEST

static void assert_id(enum replay_id_kind kind, const char *id, const char *expected)
{
    char storage[64];
    struct bytes text = replay_id_text(kind, id, storage);
    ck_assert_msg(bytes_present(text) == (expected != NULL), "%s", id);
    if (expected != NULL)
        ck_assert_msg(bytes_is(text, expected), "%s: %.*s", id, BYTES_FMT(text));
}

START_TEST(ids_as_the_table_shows_them)
{
    static const char uuid[] = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    assert_id(REPLAY_ID_UUID, uuid, uuid);
    assert_id(REPLAY_ID_UUID, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", uuid);
    assert_id(REPLAY_ID_UUID, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", uuid);
    assert_id(REPLAY_ID_UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a11", uuid);
    assert_id(REPLAY_ID_UUID, "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", uuid);
    assert_id(REPLAY_ID_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", NULL);
    assert_id(REPLAY_ID_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111", NULL);
    assert_id(REPLAY_ID_UUID, "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11", NULL);
    assert_id(REPLAY_ID_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-", NULL);
    assert_id(REPLAY_ID_UUID, "-a0eebc999c0b4ef8bb6d6bb9bd380a11", NULL);
    assert_id(REPLAY_ID_UUID, "{", NULL);
    assert_id(REPLAY_ID_UUID, "", NULL);
    assert_id(REPLAY_ID_INTEGER, "42", "42");
    assert_id(REPLAY_ID_INTEGER, "-007", "-7");
    assert_id(REPLAY_ID_INTEGER, "9223372036854775807", "9223372036854775807");
    assert_id(REPLAY_ID_INTEGER, "9223372036854775808", NULL);
    assert_id(REPLAY_ID_INTEGER, "1e3", NULL);
    assert_id(REPLAY_ID_TEXT, "007", "007");
    assert_id(REPLAY_ID_OTHER, "x'y", "x'y");
}
END_TEST

START_TEST(rows_without_a_time_are_counted)
{
    replay_put_timeless(&table, 11, &sql);
    ck_assert_str_eq(buf_cstr(&sql), "SELECT pg_catalog.count(*) FROM (SELECT FROM "
                                     "\"outbox\".\"event\" WHERE \"at\" IS NULL LIMIT 11) AS rows");
}
END_TEST

static Suite *suite_of_replay_sql(void)
{
    Suite *suite = suite_create("replay_sql");
    TCase *tcase = tcase_create("replay_sql");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_window_of_time);
    tcase_add_test(tcase, names_and_filters_are_what_they_are);
    tcase_add_test(tcase, ids_of_each_kind);
    tcase_add_test(tcase, ids_cannot_leave_their_literal);
    tcase_add_test(tcase, behind_a_row);
    tcase_add_test(tcase, ids_as_the_table_shows_them);
    tcase_add_test(tcase, rows_without_a_time_are_counted);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_replay_sql())
