/* SPDX-License-Identifier: Apache-2.0 */
/* What PostgreSQL 15.20 itself sends: recorded with pg_logical_slot_peek_binary_changes() and
 * proto_version 1, messages 'true', a publication with publish_via_partition_root; complete but for
 * one Insert with a long value. */
#include "walferry/decode/pgoutput.h"

#include "../test.h"

struct recorded {
    enum change_kind kind;
    const char *hex;
};

static const struct recorded recorded[] = {
    {CHANGE_BEGIN, "420000000001552548000303c650f032a6000002de"},
    {CHANGE_RELATION,
     "52000040016f7574626f78006576656e74006400080169640000000b86ffffffff006167677265676174"
     "655f747970650000000019ffffffff006167677265676174655f69640000000019ffffffff006576656e"
     "745f747970650000000019ffffffff006576656e745f76657273696f6e0000000017ffffffff00706179"
     "6c6f61640000000072ffffffff00686561646572730000000072ffffffff006f636375727265645f6174"
     "00000004a0ffffffff"},
    {CHANGE_INSERT,
     "49000040014e0008740000002430623561316636302d303030302d343030302d383030302d3030303030"
     "3030303030303174000000056f7264657274000000023432740000000d6f726465722e63726561746564"
     "74000000013174000000087b2261223a20317d74000000097b2268223a2276227d740000001d32303236"
     "2d30312d33312031323a33343a35362e3132333435362b3030"},
    {CHANGE_MESSAGE, "4d0100000000015525486f7574626f78000000000b7b226964223a226d31227d"},
    {CHANGE_COMMIT, "430000000000015525480000000001552578000303c650f032a6"},
    {CHANGE_BEGIN, "420000000001553418000303c650f03653000002df"},
    {CHANGE_TYPE, "590000400a7075626c6963006d6f6f6400"},
    {CHANGE_RELATION,
     "520000400f7075626c69630074006400040169640000000017ffffffff006d000000400affffffff0062"
     "0000000011ffffffff006269670000000019ffffffff"},
    {CHANGE_INSERT, "490000400f4e00047400000001326e74000000025c78740000000573686f7274"},
    {CHANGE_COMMIT, "430000000000015534180000000001553448000303c650f03653"},
    {CHANGE_BEGIN, "420000000001553628000303c650f03a2a000002e0"},
    {CHANGE_UPDATE, "550000400f4e000474000000013174000000016274000000065c783030666675"},
    {CHANGE_UPDATE,
     "550000400f4b00047400000001326e6e6e4e00047400000001336e74000000025c78740000000573686f"
     "7274"},
    {CHANGE_DELETE, "440000400f4b00047400000001316e6e6e"},
    {CHANGE_COMMIT, "430000000000015536280000000001553658000303c650f03a2a"},
    {CHANGE_BEGIN, "420000000001553738000303c650f03c37000002e1"},
    {CHANGE_RELATION,
     "52000040167075626c69630066756c6c5f74006600020169640000000017ffffffff01760000000019ff"
     "ffffff"},
    {CHANGE_INSERT, "49000040164e00027400000001316e"},
    {CHANGE_UPDATE, "55000040164f00027400000001316e4e000274000000013174000000017a"},
    {CHANGE_DELETE, "44000040164f000274000000013174000000017a"},
    {CHANGE_COMMIT, "430000000000015537380000000001553768000303c650f03c37"},
    {CHANGE_BEGIN, "4200000000015537a8000303c650f03dd2000002e2"},
    {CHANGE_RELATION,
     "520000401b7075626c69630070617274006400020069640000000017ffffffff00640000000017ffffff"
     "ff"},
    {CHANGE_RELATION,
     "520000401e7075626c696300706172745f31006400020069640000000017ffffffff00640000000017ff"
     "ffffff"},
    {CHANGE_INSERT, "490000401b4e0002740000000131740000000131"},
    {CHANGE_COMMIT, "430000000000015537a800000000015537d8000303c650f03dd2"},
    {CHANGE_MESSAGE, "4d0000000000015538186f7574626f7800000000026e74"},
    {CHANGE_BEGIN, "420000000001554be0000303c650f04513000002e3"},
    {CHANGE_TYPE, "590000400a7075626c6963006d6f6f6400"},
    {CHANGE_RELATION,
     "520000400f7075626c69630074006400040169640000000017ffffffff006d000000400affffffff0062"
     "0000000011ffffffff006269670000000019ffffffff"},
    {CHANGE_RELATION,
     "52000040167075626c69630066756c6c5f74006600020169640000000017ffffffff01760000000019ff"
     "ffffff"},
    {CHANGE_TRUNCATE, "5400000002020000400f00004016"},
    {CHANGE_COMMIT, "43000000000001554be00000000001554e20000303c650f04513"},
};

#define RECORDED_COUNT ((int)ARRAY_LEN(recorded))
#define MESSAGE_MAX    2048

static uint8_t message_bytes[MESSAGE_MAX];

static uint8_t digit_value(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static struct bytes unhex(const char *hex)
{
    size_t len = strlen(hex) / 2;
    ck_assert(len <= MESSAGE_MAX);
    for (size_t i = 0; i < len; i++)
        message_bytes[i] = (uint8_t)(digit_value(hex[2 * i]) << 4 | digit_value(hex[2 * i + 1]));
    return bytes_make(message_bytes, len);
}

/* Decode everything up to and with the given message. */
static struct change decode_to(struct pgoutput *decoder, int last)
{
    struct change change = {0};
    for (int i = 0; i <= last; i++) {
        struct err err = ERR_INIT;
        bool decoded = pgoutput_decode(decoder, unhex(recorded[i].hex), &change, &err);
        ck_assert_msg(decoded, "message %d: %s", i, err.message);
        ck_assert_msg(change.kind == recorded[i].kind, "message %d is a %s", i,
                      change_kind_name(change.kind));
    }
    return change;
}

static int find_nth(enum change_kind kind, int nth)
{
    for (int i = 0; i < RECORDED_COUNT; i++) {
        if (recorded[i].kind == kind && nth-- == 0)
            return i;
    }
    ck_abort_msg("not recorded");
}

START_TEST(all_of_it_is_accepted)
{
    struct pgoutput *decoder = pgoutput_new();
    discard(decode_to(decoder, RECORDED_COUNT - 1).kind == CHANGE_COMMIT);
    ck_assert(!pgoutput_in_transaction(decoder));
    pgoutput_free(decoder);
}
END_TEST

START_TEST(transaction_carries_position_time_and_id)
{
    struct pgoutput *decoder = pgoutput_new();
    struct change begin = decode_to(decoder, find_nth(CHANGE_BEGIN, 0));
    ck_assert_uint_eq(begin.as.begin.commit_lsn.value, 0x1552548);
    ck_assert_uint_eq(begin.as.begin.xid, 0x2de);
    pgoutput_reset(decoder);
    struct change commit = decode_to(decoder, find_nth(CHANGE_COMMIT, 0));
    ck_assert_uint_eq(commit.as.commit.commit_lsn.value, 0x1552548);
    ck_assert_uint_eq(commit.as.commit.end_lsn.value, 0x1552578);
    ck_assert_int_eq(commit.as.commit.commit_time_us, begin.as.begin.commit_time_us);
    ck_assert_int_eq(commit.as.commit.commit_time_us, INT64_C(1795260026458790));
    pgoutput_free(decoder);
}
END_TEST

START_TEST(relation_names_schema_table_and_columns)
{
    struct pgoutput *decoder = pgoutput_new();
    struct change change = decode_to(decoder, find_nth(CHANGE_RELATION, 0));
    const struct relation *relation = change.as.relation.relation;
    ck_assert_str_eq(relation->schema, "outbox");
    ck_assert_str_eq(relation->name, "event");
    ck_assert_int_eq(relation->replica_identity, 'd');
    ck_assert_uint_eq(relation->column_count, 8);
    ck_assert_str_eq(relation->columns[0].name, "id");
    ck_assert(relation->columns[0].key);
    ck_assert_uint_eq(relation->columns[0].type_oid, 2950);
    ck_assert_int_eq(relation->columns[0].type_mod, -1);
    ck_assert_str_eq(relation->columns[7].name, "occurred_at");
    ck_assert(!relation->columns[7].key);
    ck_assert_uint_eq(relation->columns[7].type_oid, 1184);
    pgoutput_free(decoder);
}
END_TEST

START_TEST(insert_carries_the_text_of_every_column)
{
    struct pgoutput *decoder = pgoutput_new();
    struct change change = decode_to(decoder, find_nth(CHANGE_INSERT, 0));
    ck_assert_uint_eq(change.as.row.new_tuple.count, 8);
    ck_assert_int_eq(change.as.row.old_kind, OLD_NONE);
    ck_assert_uint_eq(change.as.row.old_tuple.count, 0);
    const struct value *values = change.as.row.new_tuple.values;
    ck_assert_bytes(values[1].bytes, "order");
    ck_assert_bytes(values[5].bytes, "{\"a\": 1}");
    ck_assert_bytes(values[7].bytes, "2026-01-31 12:34:56.123456+00");
    pgoutput_free(decoder);
}
END_TEST

START_TEST(update_tells_unchanged_from_null_and_shows_the_old_key)
{
    struct pgoutput *decoder = pgoutput_new();
    struct change change = decode_to(decoder, find_nth(CHANGE_UPDATE, 0));
    ck_assert_int_eq(change.as.row.old_kind, OLD_NONE);
    ck_assert_int_eq(change.as.row.new_tuple.values[3].kind, VALUE_UNCHANGED);
    ck_assert(!bytes_present(change.as.row.new_tuple.values[3].bytes));
    pgoutput_reset(decoder);
    change = decode_to(decoder, find_nth(CHANGE_UPDATE, 1));
    ck_assert_int_eq(change.as.row.old_kind, OLD_KEY);
    ck_assert_bytes(change.as.row.old_tuple.values[0].bytes, "2");
    ck_assert_bytes(change.as.row.new_tuple.values[0].bytes, "3");
    ck_assert_int_eq(change.as.row.new_tuple.values[1].kind, VALUE_NULL);
    pgoutput_free(decoder);
}
END_TEST

START_TEST(full_identity_shows_the_whole_old_row)
{
    struct pgoutput *decoder = pgoutput_new();
    struct change change = decode_to(decoder, find_nth(CHANGE_DELETE, 1));
    ck_assert_int_eq(change.as.row.old_kind, OLD_FULL);
    ck_assert_bytes(change.as.row.old_tuple.values[1].bytes, "z");
    ck_assert_uint_eq(change.as.row.new_tuple.count, 0);
    ck_assert_int_eq(change.as.row.relation->replica_identity, 'f');
    pgoutput_free(decoder);
}
END_TEST

START_TEST(rows_of_a_partition_carry_the_root_when_published_so)
{
    struct pgoutput *decoder = pgoutput_new();
    int leaf = find_nth(CHANGE_RELATION, 4);
    struct change change = decode_to(decoder, leaf);
    ck_assert_str_eq(change.as.relation.relation->name, "part_1");
    pgoutput_reset(decoder);
    change = decode_to(decoder, leaf + 1);
    ck_assert_int_eq(change.kind, CHANGE_INSERT);
    ck_assert_str_eq(change.as.row.relation->name, "part");
    pgoutput_free(decoder);
}
END_TEST

START_TEST(messages_come_inside_and_outside_of_transactions)
{
    struct pgoutput *decoder = pgoutput_new();
    struct change change = decode_to(decoder, find_nth(CHANGE_MESSAGE, 0));
    ck_assert(change.as.message.transactional);
    ck_assert_bytes(change.as.message.prefix, "outbox");
    ck_assert_bytes(change.as.message.content, "{\"id\":\"m1\"}");
    pgoutput_reset(decoder);
    change = decode_to(decoder, find_nth(CHANGE_MESSAGE, 1));
    ck_assert(!change.as.message.transactional);
    ck_assert(!pgoutput_in_transaction(decoder));
    ck_assert_bytes(change.as.message.content, "nt");
    pgoutput_free(decoder);
}
END_TEST

START_TEST(truncate_names_all_tables)
{
    struct pgoutput *decoder = pgoutput_new();
    struct change change = decode_to(decoder, find_nth(CHANGE_TRUNCATE, 0));
    ck_assert_uint_eq(change.as.truncate.count, 2);
    ck_assert_str_eq(change.as.truncate.relations[0]->name, "t");
    ck_assert_str_eq(change.as.truncate.relations[1]->name, "full_t");
    ck_assert(change.as.truncate.restart_identity);
    ck_assert(!change.as.truncate.cascade);
    pgoutput_free(decoder);
}
END_TEST

static Suite *recorded_suite(void)
{
    Suite *suite = suite_create("decode_recorded");
    TCase *tcase = tcase_create("recorded");
    tcase_add_test(tcase, all_of_it_is_accepted);
    tcase_add_test(tcase, transaction_carries_position_time_and_id);
    tcase_add_test(tcase, relation_names_schema_table_and_columns);
    tcase_add_test(tcase, insert_carries_the_text_of_every_column);
    tcase_add_test(tcase, update_tells_unchanged_from_null_and_shows_the_old_key);
    tcase_add_test(tcase, full_identity_shows_the_whole_old_row);
    tcase_add_test(tcase, rows_of_a_partition_carry_the_root_when_published_so);
    tcase_add_test(tcase, messages_come_inside_and_outside_of_transactions);
    tcase_add_test(tcase, truncate_names_all_tables);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(recorded_suite())
