/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/model/event.h"

#include "test.h"
#include "walferry/model/change.h"

static struct position at(uint64_t commit_lsn, uint32_t index)
{
    return (struct position){.commit_lsn = lsn_make(commit_lsn), .index = index};
}

START_TEST(positions_order_by_lsn_then_index)
{
    ck_assert_int_eq(position_cmp(at(5, 1), at(5, 1)), 0);
    ck_assert_int_lt(position_cmp(at(5, 9), at(6, 0)), 0);
    ck_assert_int_gt(position_cmp(at(6, 0), at(5, 9)), 0);
    ck_assert_int_lt(position_cmp(at(5, 0), at(5, UINT32_MAX)), 0);
    ck_assert_int_gt(position_cmp(at(UINT64_MAX, 0), at(0, UINT32_MAX)), 0);
}
END_TEST

START_TEST(positions_have_a_fixed_text)
{
    ck_assert_str_eq(position_format(at(0, 0)).text, "0000000000000000-00000000");
    ck_assert_str_eq(position_format(at(0x16B374D848, 0x1F)).text, "00000016B374D848-0000001F");
    ck_assert_str_eq(position_format(at(UINT64_MAX, UINT32_MAX)).text, "FFFFFFFFFFFFFFFF-FFFFFFFF");
}
END_TEST

START_TEST(text_order_is_commit_order)
{
    static const uint64_t lsns[] = {0, 9, 10, 0xFF, 0x100, 0xFFFFFFFF, 0x100000000, UINT64_MAX};
    static const uint32_t indexes[] = {0, 9, 10, 0x7FFFFFFF, 0x80000000, UINT32_MAX};
    struct position_text before = {""};
    for (size_t i = 0; i < ARRAY_LEN(lsns); i++) {
        for (size_t j = 0; j < ARRAY_LEN(indexes); j++) {
            struct position_text text = position_format(at(lsns[i], indexes[j]));
            ck_assert_str_lt(before.text, text.text);
            before = text;
        }
    }
}
END_TEST

START_TEST(an_event_is_named_by_its_position_or_its_id)
{
    static char long_id[400];
    struct event event = {.position = at(0x16B374D848, 3), .id = BYTES_LIT("e-1")};
    ck_assert_str_eq(event_place(&event).text, "16/B374D848 row 3");
    event.position = at(0, 0);
    ck_assert_str_eq(event_place(&event).text, "event e-1");
    event.id = BYTES_LIT("a\n\xFF");
    ck_assert_str_eq(event_place(&event).text, "event a\\x0A\\xFF");
    event.id = BYTES_ABSENT;
    ck_assert_str_eq(event_place(&event).text, "event without an id");
    memset(long_id, '\n', sizeof(long_id));
    event.id = bytes_make(long_id, sizeof(long_id));
    ck_assert_str_eq(event_place(&event).text + strlen(event_place(&event).text) - 3, "...");
}
END_TEST

START_TEST(fields_are_known_by_name)
{
    ck_assert_str_eq(event_field_name(EVENT_aggregate_type), "aggregate_type");
    ck_assert_str_eq(event_field_name(EVENT_occurred_at), "occurred_at");
    for (size_t i = 0; i < EVENT_FIELD_COUNT; i++) {
        enum event_field field = EVENT_FIELD_COUNT;
        ck_assert(event_field_parse(bytes_str(event_field_name((enum event_field)i)), &field));
        ck_assert_uint_eq(field, i);
    }
}
END_TEST

START_TEST(other_names_are_no_fields)
{
    static const char *const names[] = {"", "ID", "id ", "aggregate", "aggregate_types", "xid"};
    enum event_field field = EVENT_topic;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert_msg(!event_field_parse(bytes_str(names[i]), &field), "\"%s\"", names[i]);
    ck_assert(!event_field_parse(BYTES_ABSENT, &field));
    ck_assert(!event_field_parse(BYTES_LIT("id\0"), &field));
    ck_assert_uint_eq(field, EVENT_topic);
}
END_TEST

/* Every field set; filled anew before each test. */
static struct event full;

static void setup_full(void)
{
    full = (struct event){
        .id = BYTES_LIT("the id"),
        .aggregate_type = BYTES_LIT("the aggregate type"),
        .aggregate_id = BYTES_LIT("the aggregate id"),
        .event_type = BYTES_LIT("the event type"),
        .event_version = BYTES_LIT("7"),
        .payload_kind = PAYLOAD_TEXT,
        .payload = BYTES_LIT("the payload"),
        .visibility = BYTES_LIT("the visibility"),
        .traceparent = BYTES_LIT("the traceparent"),
        .tracestate = BYTES_LIT("the tracestate"),
        .correlation_id = BYTES_LIT("the correlation"),
        .causation_id = BYTES_LIT("the causation"),
        .topic = BYTES_LIT("the topic"),
        .key = BYTES_LIT("the key"),
        .partition = 3,
        .has_occurred_at = true,
    };
}

START_TEST(text_fields_give_their_text)
{
    ck_assert_bytes(event_text(&full, EVENT_id), "the id");
    ck_assert_bytes(event_text(&full, EVENT_aggregate_type), "the aggregate type");
    ck_assert_bytes(event_text(&full, EVENT_aggregate_id), "the aggregate id");
    ck_assert_bytes(event_text(&full, EVENT_event_type), "the event type");
    ck_assert_bytes(event_text(&full, EVENT_event_version), "7");
    ck_assert_bytes(event_text(&full, EVENT_visibility), "the visibility");
    ck_assert_bytes(event_text(&full, EVENT_correlation_id), "the correlation");
    ck_assert_bytes(event_text(&full, EVENT_causation_id), "the causation");
    ck_assert_bytes(event_text(&full, EVENT_topic), "the topic");
    ck_assert_bytes(event_text(&full, EVENT_key), "the key");
}
END_TEST

START_TEST(other_fields_have_no_text)
{
    static const enum event_field others[] = {
        EVENT_payload,    EVENT_headers,   EVENT_traceparent,
        EVENT_tracestate, EVENT_partition, EVENT_occurred_at,
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        ck_assert_msg(!bytes_present(event_text(&full, others[i])), "%s",
                      event_field_name(others[i]));
        ck_assert_msg(!event_field_is_text(others[i]), "%s", event_field_name(others[i]));
    }
}
END_TEST

START_TEST(is_text_agrees_with_text)
{
    for (size_t i = 0; i < EVENT_FIELD_COUNT; i++) {
        enum event_field field = (enum event_field)i;
        ck_assert_msg(event_field_is_text(field) == bytes_present(event_text(&full, field)), "%s",
                      event_field_name(field));
    }
}
END_TEST

START_TEST(unset_fields_are_absent_and_empty_ones_empty)
{
    static const struct event none = {0};
    for (size_t i = 0; i < EVENT_FIELD_COUNT; i++)
        ck_assert(!bytes_present(event_text(&none, (enum event_field)i)));
    const struct event empty = {.key = BYTES_LIT("")};
    ck_assert(bytes_present(event_text(&empty, EVENT_key)));
    ck_assert(bytes_empty(event_text(&empty, EVENT_key)));
}
END_TEST

START_TEST(changes_have_names)
{
    ck_assert_str_eq(change_kind_name(CHANGE_BEGIN), "begin");
    ck_assert_str_eq(change_kind_name(CHANGE_COMMIT), "commit");
    ck_assert_str_eq(change_kind_name(CHANGE_ORIGIN), "origin");
    ck_assert_str_eq(change_kind_name(CHANGE_RELATION), "relation");
    ck_assert_str_eq(change_kind_name(CHANGE_TYPE), "type");
    ck_assert_str_eq(change_kind_name(CHANGE_INSERT), "insert");
    ck_assert_str_eq(change_kind_name(CHANGE_UPDATE), "update");
    ck_assert_str_eq(change_kind_name(CHANGE_DELETE), "delete");
    ck_assert_str_eq(change_kind_name(CHANGE_TRUNCATE), "truncate");
    ck_assert_str_eq(change_kind_name(CHANGE_MESSAGE), "message");
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("event");
    TCase *position = tcase_create("position");
    tcase_add_test(position, positions_order_by_lsn_then_index);
    tcase_add_test(position, positions_have_a_fixed_text);
    tcase_add_test(position, text_order_is_commit_order);
    tcase_add_test(position, an_event_is_named_by_its_position_or_its_id);
    suite_add_tcase(suite, position);
    TCase *fields = tcase_create("fields");
    tcase_add_checked_fixture(fields, setup_full, NULL);
    tcase_add_test(fields, fields_are_known_by_name);
    tcase_add_test(fields, other_names_are_no_fields);
    tcase_add_test(fields, text_fields_give_their_text);
    tcase_add_test(fields, other_fields_have_no_text);
    tcase_add_test(fields, is_text_agrees_with_text);
    tcase_add_test(fields, unset_fields_are_absent_and_empty_ones_empty);
    suite_add_tcase(suite, fields);
    TCase *change = tcase_create("change");
    tcase_add_test(change, changes_have_names);
    suite_add_tcase(suite, change);
    return suite;
}

TEST_MAIN(suite())
