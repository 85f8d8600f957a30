/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/decode/pgoutput.h"

#include "../test.h"
#include "samples.h"

#define OUT_MAX (1U << 20)

static struct pgoutput *decoder;
static struct buf out;
static struct err err;

static void setup(void)
{
    decoder = pgoutput_new();
    ck_assert_ptr_nonnull(decoder);
    buf_init(&out, OUT_MAX);
    err = ERR_INIT;
}

static void teardown(void)
{
    pgoutput_free(decoder);
    buf_deinit(&out);
}

/* Decode what stands in `out`, which the change borrows. */
static struct change decode_out(void)
{
    struct change change = {0};
    ck_assert(buf_ok(&out));
    bool decoded = pgoutput_decode(decoder, buf_bytes(&out), &change, &err);
    ck_assert_msg(decoded, "%s", err.message);
    return change;
}

static struct change decode_sample(enum sample sample)
{
    buf_reset(&out);
    put_sample(&out, sample);
    return decode_out();
}

static void open_transaction(void)
{
    ck_assert_int_eq(decode_sample(SAMPLE_BEGIN).kind, CHANGE_BEGIN);
    ck_assert_int_eq(decode_sample(SAMPLE_RELATION).kind, CHANGE_RELATION);
}

START_TEST(begin_and_commit_carry_what_was_sent)
{
    ck_assert(!pgoutput_in_transaction(decoder));
    struct change change = decode_sample(SAMPLE_BEGIN);
    ck_assert_int_eq(change.kind, CHANGE_BEGIN);
    ck_assert_uint_eq(change.as.begin.commit_lsn.value, 0x1000);
    ck_assert_int_eq(change.as.begin.commit_time_us, SAMPLE_TIME);
    ck_assert_uint_eq(change.as.begin.xid, 77);
    ck_assert(pgoutput_in_transaction(decoder));
    change = decode_sample(SAMPLE_COMMIT_MESSAGE);
    ck_assert_int_eq(change.kind, CHANGE_COMMIT);
    ck_assert_uint_eq(change.as.commit.commit_lsn.value, 0x1000);
    ck_assert_uint_eq(change.as.commit.end_lsn.value, 0x1030);
    ck_assert_int_eq(change.as.commit.commit_time_us, SAMPLE_TIME);
    ck_assert(!pgoutput_in_transaction(decoder));
}
END_TEST

START_TEST(times_before_2000_are_negative_on_the_wire)
{
    encode_begin(&out, lsn_make(1), 1, 1);
    ck_assert_int_eq(decode_out().as.begin.commit_time_us, 1);
}
END_TEST

START_TEST(relation_is_copied_out_of_the_message)
{
    struct change change = decode_sample(SAMPLE_RELATION);
    const struct relation *relation = change.as.relation.relation;
    memset(out.ptr, 'x', out.len);
    ck_assert_uint_eq(relation->oid, SAMPLE_OID);
    ck_assert_str_eq(relation->schema, "outbox");
    ck_assert_str_eq(relation->name, "event");
    ck_assert_int_eq(relation->replica_identity, 'd');
    ck_assert_uint_eq(relation->column_count, ARRAY_LEN(sample_columns));
    for (size_t i = 0; i < ARRAY_LEN(sample_columns); i++) {
        ck_assert_str_eq(relation->columns[i].name, sample_columns[i].name);
        ck_assert_uint_eq(relation->columns[i].type_oid, sample_columns[i].type_oid);
        ck_assert_int_eq(relation->columns[i].type_mod, sample_columns[i].type_mod);
        ck_assert(relation->columns[i].key == sample_columns[i].key);
    }
}
END_TEST

START_TEST(empty_schema_is_pg_catalog)
{
    struct relation relation = sample_relation;
    relation.schema = "";
    encode_relation(&out, &relation);
    ck_assert_str_eq(decode_out().as.relation.relation->schema, "pg_catalog");
}
END_TEST

START_TEST(table_without_columns_is_a_table)
{
    struct relation relation = sample_relation;
    relation.column_count = 0;
    ck_assert_int_eq(decode_sample(SAMPLE_BEGIN).kind, CHANGE_BEGIN);
    buf_reset(&out);
    encode_relation(&out, &relation);
    ck_assert_uint_eq(decode_out().as.relation.relation->column_count, 0);
    buf_reset(&out);
    encode_insert(&out, SAMPLE_OID, (struct tuple){0});
    ck_assert_uint_eq(decode_out().as.row.new_tuple.count, 0);
}
END_TEST

START_TEST(newer_relation_replaces_the_one_of_its_oid)
{
    open_transaction();
    uint64_t first = decode_sample(SAMPLE_RELATION).as.relation.relation->generation;
    struct relation relation = sample_relation;
    relation.name = "renamed";
    relation.column_count = 1;
    buf_reset(&out);
    encode_relation(&out, &relation);
    ck_assert_uint_gt(decode_out().as.relation.relation->generation, first);
    buf_reset(&out);
    encode_insert_text(&out, SAMPLE_OID, 1, (const char *const[]){"1"});
    ck_assert_str_eq(decode_out().as.row.relation->name, "renamed");
}
END_TEST

START_TEST(generation_is_unique_across_sessions_and_decoders)
{
    uint64_t first = decode_sample(SAMPLE_RELATION).as.relation.relation->generation;
    pgoutput_reset(decoder);
    uint64_t second = decode_sample(SAMPLE_RELATION).as.relation.relation->generation;
    pgoutput_free(decoder);
    decoder = pgoutput_new();
    uint64_t third = decode_sample(SAMPLE_RELATION).as.relation.relation->generation;
    ck_assert_uint_ne(first, second);
    ck_assert_uint_ne(second, third);
    ck_assert_uint_ne(first, third);
}
END_TEST

START_TEST(insert_carries_values_by_kind)
{
    open_transaction();
    struct change change = decode_sample(SAMPLE_INSERT);
    ck_assert_int_eq(change.kind, CHANGE_INSERT);
    ck_assert_uint_eq(change.as.row.relation->oid, SAMPLE_OID);
    ck_assert_int_eq(change.as.row.old_kind, OLD_NONE);
    ck_assert_uint_eq(change.as.row.old_tuple.count, 0);
    const struct value *values = change.as.row.new_tuple.values;
    ck_assert_int_eq(values[0].kind, VALUE_TEXT);
    ck_assert_bytes(values[0].bytes, "7");
    ck_assert_int_eq(values[1].kind, VALUE_NULL);
    ck_assert(!bytes_present(values[1].bytes));
}
END_TEST

START_TEST(empty_text_is_not_null)
{
    open_transaction();
    buf_reset(&out);
    encode_insert_text(&out, SAMPLE_OID, 3, (const char *const[]){"", NULL, ""});
    const struct value *values = decode_out().as.row.new_tuple.values;
    ck_assert(bytes_present(values[0].bytes));
    ck_assert(bytes_empty(values[0].bytes));
    ck_assert(bytes_present(values[2].bytes));
}
END_TEST

START_TEST(binary_values_keep_every_byte)
{
    const struct value values[] = {
        {.kind = VALUE_BINARY, .bytes = BYTES_LIT("\0\xFF\0")}, NULL_VALUE, NULL_VALUE};
    open_transaction();
    buf_reset(&out);
    encode_insert(&out, SAMPLE_OID, (struct tuple){.count = 3, .values = values});
    struct change change = decode_out();
    ck_assert_int_eq(change.as.row.new_tuple.values[0].kind, VALUE_BINARY);
    ck_assert_bytes(change.as.row.new_tuple.values[0].bytes, "\0\xFF\0");
}
END_TEST

START_TEST(update_has_no_old_row_or_its_key)
{
    open_transaction();
    struct change change = decode_sample(SAMPLE_UPDATE);
    ck_assert_int_eq(change.kind, CHANGE_UPDATE);
    ck_assert_int_eq(change.as.row.old_kind, OLD_NONE);
    change = decode_sample(SAMPLE_UPDATE_KEY);
    ck_assert_int_eq(change.as.row.old_kind, OLD_KEY);
    ck_assert_bytes(change.as.row.old_tuple.values[0].bytes, "6");
    ck_assert_int_eq(change.as.row.old_tuple.values[1].kind, VALUE_UNCHANGED);
    ck_assert_bytes(change.as.row.new_tuple.values[0].bytes, "7");
}
END_TEST

START_TEST(delete_has_only_an_old_row)
{
    open_transaction();
    struct change change = decode_sample(SAMPLE_DELETE);
    ck_assert_int_eq(change.kind, CHANGE_DELETE);
    ck_assert_int_eq(change.as.row.old_kind, OLD_FULL);
    ck_assert_uint_eq(change.as.row.old_tuple.count, 3);
    ck_assert_uint_eq(change.as.row.new_tuple.count, 0);
}
END_TEST

START_TEST(truncate_lists_relations_and_options)
{
    open_transaction();
    struct change change = decode_sample(SAMPLE_TRUNCATE);
    ck_assert_int_eq(change.kind, CHANGE_TRUNCATE);
    ck_assert_uint_eq(change.as.truncate.count, 1);
    ck_assert_str_eq(change.as.truncate.relations[0]->name, "event");
    ck_assert(change.as.truncate.cascade);
    ck_assert(!change.as.truncate.restart_identity);
}
END_TEST

START_TEST(message_carries_prefix_and_content)
{
    open_transaction();
    struct change change = decode_sample(SAMPLE_MESSAGE);
    ck_assert_int_eq(change.kind, CHANGE_MESSAGE);
    ck_assert(change.as.message.transactional);
    ck_assert_uint_eq(change.as.message.lsn.value, 0xFF0);
    ck_assert_bytes(change.as.message.prefix, "outbox");
    ck_assert_bytes(change.as.message.content, "{}");
}
END_TEST

START_TEST(empty_content_is_present)
{
    encode_message(&out, false, lsn_make(1), "", bytes_make("", 0));
    struct change change = decode_out();
    ck_assert(bytes_present(change.as.message.content));
    ck_assert(bytes_present(change.as.message.prefix));
    ck_assert(!change.as.message.transactional);
}
END_TEST

START_TEST(origin_and_type_are_read_over)
{
    open_transaction();
    ck_assert_int_eq(decode_sample(SAMPLE_ORIGIN).kind, CHANGE_ORIGIN);
    ck_assert_int_eq(decode_sample(SAMPLE_TYPE).kind, CHANGE_TYPE);
}
END_TEST

START_TEST(most_columns_a_table_can_have)
{
    static struct column columns[COLUMN_MAX];
    static const char *texts[COLUMN_MAX];
    for (size_t i = 0; i < COLUMN_MAX; i++) {
        columns[i] = (struct column){.name = "c", .type_oid = 25, .type_mod = -1};
        texts[i] = "v";
    }
    struct relation relation = sample_relation;
    relation.columns = columns;
    relation.column_count = COLUMN_MAX;
    open_transaction();
    buf_reset(&out);
    encode_relation(&out, &relation);
    ck_assert_uint_eq(decode_out().as.relation.relation->column_count, COLUMN_MAX);
    buf_reset(&out);
    encode_insert_text(&out, SAMPLE_OID, COLUMN_MAX, texts);
    ck_assert_uint_eq(decode_out().as.row.new_tuple.count, COLUMN_MAX);
}
END_TEST

START_TEST(relations_have_a_ceiling_and_all_below_it_are_found)
{
    struct relation relation = sample_relation;
    ck_assert_int_eq(decode_sample(SAMPLE_BEGIN).kind, CHANGE_BEGIN);
    for (uint32_t i = 0; i < PGOUTPUT_RELATIONS_MAX; i++) {
        relation.oid = i * 16384;
        buf_reset(&out);
        encode_relation(&out, &relation);
        discard(decode_out().kind == CHANGE_RELATION);
    }
    for (uint32_t i = 0; i < PGOUTPUT_RELATIONS_MAX; i += 99) {
        buf_reset(&out);
        encode_insert_text(&out, i * 16384, 3, (const char *const[]){"a", "b", "c"});
        ck_assert_uint_eq(decode_out().as.row.relation->oid, i * 16384);
    }
    buf_reset(&out);
    encode_relation(&out, &relation); /* known: replaced, not added */
    discard(decode_out().kind == CHANGE_RELATION);
    relation.oid = 1;
    buf_reset(&out);
    encode_relation(&out, &relation);
    struct change change;
    ck_assert(!pgoutput_decode(decoder, buf_bytes(&out), &change, &err));
    ck_assert_int_eq(err.code, ERR_PROTOCOL);
}
END_TEST

START_TEST(freeing_nothing_is_allowed)
{
    pgoutput_free(NULL);
}
END_TEST

static Suite *pgoutput_suite(void)
{
    Suite *suite = suite_create("decode_pgoutput");
    TCase *tcase = tcase_create("messages");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, begin_and_commit_carry_what_was_sent);
    tcase_add_test(tcase, times_before_2000_are_negative_on_the_wire);
    tcase_add_test(tcase, relation_is_copied_out_of_the_message);
    tcase_add_test(tcase, empty_schema_is_pg_catalog);
    tcase_add_test(tcase, table_without_columns_is_a_table);
    tcase_add_test(tcase, newer_relation_replaces_the_one_of_its_oid);
    tcase_add_test(tcase, generation_is_unique_across_sessions_and_decoders);
    tcase_add_test(tcase, insert_carries_values_by_kind);
    tcase_add_test(tcase, empty_text_is_not_null);
    tcase_add_test(tcase, binary_values_keep_every_byte);
    tcase_add_test(tcase, update_has_no_old_row_or_its_key);
    tcase_add_test(tcase, delete_has_only_an_old_row);
    tcase_add_test(tcase, truncate_lists_relations_and_options);
    tcase_add_test(tcase, message_carries_prefix_and_content);
    tcase_add_test(tcase, empty_content_is_present);
    tcase_add_test(tcase, origin_and_type_are_read_over);
    tcase_add_test(tcase, most_columns_a_table_can_have);
    tcase_add_test(tcase, relations_have_a_ceiling_and_all_below_it_are_found);
    tcase_add_test(tcase, freeing_nothing_is_allowed);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(pgoutput_suite())
