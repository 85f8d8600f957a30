/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that are cut, too long, or lie about their lengths: always ERR_PROTOCOL. */
#include "walferry/decode/pgoutput.h"

#include <stdio.h>

#include "../test.h"
#include "samples.h"

#define OUT_MAX 4096

static struct pgoutput *decoder;
static uint8_t storage[OUT_MAX];
static struct buf out;

static void setup(void)
{
    decoder = pgoutput_new();
}

static void teardown(void)
{
    pgoutput_free(decoder);
}

static bool decode_bytes(struct bytes message, struct err *err)
{
    struct change change;
    return pgoutput_decode(decoder, message, &change, err);
}

static struct bytes encoded(enum sample sample)
{
    buf_init_over(&out, storage, sizeof(storage));
    put_sample(&out, sample);
    return buf_bytes(&out);
}

/* A session in which `sample` may come next. */
static void prepare(enum sample sample)
{
    struct err err = ERR_INIT;
    pgoutput_reset(decoder);
    if (sample == SAMPLE_BEGIN)
        return;
    ck_assert_msg(decode_bytes(encoded(SAMPLE_BEGIN), &err), "%s", err.message);
    ck_assert_msg(decode_bytes(encoded(SAMPLE_RELATION), &err), "%s", err.message);
}

/* In a block of exactly its size, so that sanitizers see every read past the end. */
static bool decode_exact(const uint8_t *bytes, size_t len, struct err *err)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, len);
    bool decoded = decode_bytes(bytes_make(copy, len), err);
    free(copy);
    return decoded;
}

START_TEST(every_cut_is_refused)
{
    enum sample sample = (enum sample)_i;
    size_t len = encoded(sample).len;
    for (size_t cut = 0; cut < len; cut++) {
        struct err err = ERR_INIT;
        prepare(sample);
        discard(encoded(sample).len == len);
        ck_assert_msg(!decode_exact(storage, cut, &err), "sample %d cut at %zu", _i, cut);
        ck_assert_int_eq(err.code, ERR_PROTOCOL);
    }
    struct err err = ERR_INIT;
    prepare(sample);
    discard(encoded(sample).len == len);
    ck_assert_msg(decode_exact(storage, len, &err), "%s", err.message);
}
END_TEST

START_TEST(bytes_left_over_are_refused)
{
    enum sample sample = (enum sample)_i;
    struct err err = ERR_INIT;
    prepare(sample);
    struct bytes message = encoded(sample);
    buf_put_u8(&out, 0);
    ck_assert(!decode_exact(storage, message.len + 1, &err));
    ck_assert_int_eq(err.code, ERR_PROTOCOL);
}
END_TEST

START_TEST(types_that_are_not_of_protocol_1_are_refused_by_their_byte)
{
    uint8_t tag = (uint8_t)_i;
    if (tag != 0 && strchr("BCORYIUDTM", tag) != NULL)
        return;
    char name[8];
    snprintf(name, sizeof(name), "0x%02X", tag);
    prepare(SAMPLE_INSERT);
    struct bytes message = encoded(SAMPLE_INSERT);
    storage[0] = tag;
    struct err err = ERR_INIT;
    ck_assert(!decode_bytes(message, &err));
    ck_assert_int_eq(err.code, ERR_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(err.message, name));
}
END_TEST

/* A field of a sample and values that must not stand there. */
struct lie {
    const char *name;
    enum sample sample;
    size_t offset;
    size_t size; /* bytes, big endian */
    uint64_t values[4];
    size_t value_count;
};

static const struct lie lies[] = {
    /* Relation: R oid4 "outbox" "event" identity1 count2 flags1 "id" type4 modifier4 ... */
    {"replica identity", SAMPLE_RELATION, 18, 1, {0, 'x', 0xFF}, 3},
    {"columns of relation", SAMPLE_RELATION, 19, 2, {0, 2, 4, 0xFFFF}, 4},
    {"too many columns", SAMPLE_RELATION, 19, 2, {COLUMN_MAX + 1, 0x8000}, 2},
    {"column flags", SAMPLE_RELATION, 21, 1, {2, 0x80, 0xFF}, 3},
    {"empty column name", SAMPLE_RELATION, 22, 1, {0}, 1},
    {"empty table name", SAMPLE_RELATION, 12, 1, {0}, 1},
    /* Insert: I oid4 N count2, t len4 "7", n, t len4 "{}" */
    {"insert oid", SAMPLE_INSERT, 1, 4, {0, SAMPLE_OID + 1, 0xFFFFFFFF}, 3},
    {"insert mark", SAMPLE_INSERT, 5, 1, {'K', 'O', 0, 'n'}, 4},
    {"insert count", SAMPLE_INSERT, 6, 2, {0, 2, 4, 0xFFFF}, 4},
    {"insert value kind", SAMPLE_INSERT, 8, 1, {0, 'x', 'T', 'N'}, 4},
    {"insert short kind", SAMPLE_INSERT, 8, 1, {'n', 'u'}, 2},
    {"insert length", SAMPLE_INSERT, 9, 4, {0, 2, 0x7FFFFFFF, 0xFFFFFFFF}, 4},
    {"insert last length", SAMPLE_INSERT, 16, 4, {0, 1, 3, 0x80000000}, 4},
    /* Update with key: U oid4 K count2, t len4 "6", u, n, N count2 ... */
    {"update mark", SAMPLE_UPDATE_KEY, 5, 1, {'N', 'x', 0}, 3},
    {"update old count", SAMPLE_UPDATE_KEY, 6, 2, {0, 2, 4, 0xFFFF}, 4},
    {"update old length", SAMPLE_UPDATE_KEY, 9, 4, {0, 2, 0xFFFFFFFF}, 3},
    {"update new mark", SAMPLE_UPDATE_KEY, 16, 1, {'K', 'O', 0}, 3},
    {"update new count", SAMPLE_UPDATE_KEY, 17, 2, {0, 2, 4}, 3},
    {"update without old", SAMPLE_UPDATE, 5, 1, {'K', 'O', 'x'}, 3},
    {"delete mark", SAMPLE_DELETE, 5, 1, {'N', 0, 'x'}, 3},
    {"delete count", SAMPLE_DELETE, 6, 2, {0, 2, 4, 0xFFFF}, 4},
    {"truncate count", SAMPLE_TRUNCATE, 1, 4, {0, 2, PGOUTPUT_RELATIONS_MAX + 1, 0xFFFFFFFF}, 4},
    {"truncate options", SAMPLE_TRUNCATE, 5, 1, {4, 0xFF}, 2},
    /* Message: M flags1 lsn8 "outbox" len4 "{}" */
    {"message flags", SAMPLE_MESSAGE, 1, 1, {2, 0xFF}, 2},
    {"message length", SAMPLE_MESSAGE, 17, 4, {0, 1, 3, 0xFFFFFFFF}, 4},
    {"commit flags", SAMPLE_COMMIT_MESSAGE, 1, 1, {1, 0xFF}, 2},
    {"begin lsn", SAMPLE_BEGIN, 1, 8, {0}, 1},
};

static void patch(size_t offset, size_t size, uint64_t value)
{
    for (size_t i = 0; i < size; i++)
        storage[offset + i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

START_TEST(wrong_lengths_counts_and_marks_are_refused)
{
    const struct lie *lie = &lies[_i];
    for (size_t i = 0; i < lie->value_count; i++) {
        struct err err = ERR_INIT;
        prepare(lie->sample);
        size_t len = encoded(lie->sample).len;
        patch(lie->offset, lie->size, lie->values[i]);
        ck_assert_msg(!decode_exact(storage, len, &err), "%s %#llx", lie->name,
                      (unsigned long long)lie->values[i]);
        ck_assert_int_eq(err.code, ERR_PROTOCOL);
    }
}
END_TEST

START_TEST(any_byte_may_be_any_value_without_harm)
{
    enum sample sample = (enum sample)_i;
    size_t len = encoded(sample).len;
    for (size_t offset = 0; offset < len; offset++) {
        for (unsigned value = 0; value < 256; value++) {
            struct err err = ERR_INIT;
            prepare(sample);
            discard(encoded(sample).len == len);
            storage[offset] = (uint8_t)value;
            if (!decode_exact(storage, len, &err))
                ck_assert_int_eq(err.code, ERR_PROTOCOL);
        }
    }
}
END_TEST

START_TEST(rows_of_other_widths_are_refused)
{
    static const char *const texts[] = {"7", "note", "{}", "more"};
    ck_assert_uint_eq(sample_relation.column_count + 1U, ARRAY_LEN(texts));
    for (uint16_t count = 0; count <= ARRAY_LEN(texts); count++) {
        struct err err = ERR_INIT;
        prepare(SAMPLE_INSERT);
        buf_init_over(&out, storage, sizeof(storage));
        encode_insert_text(&out, SAMPLE_OID, count, texts);
        bool decoded = decode_exact(storage, out.len, &err);
        ck_assert_msg(decoded == (count == sample_relation.column_count), "%u columns", count);
        if (!decoded)
            ck_assert_int_eq(err.code, ERR_PROTOCOL);
    }
}
END_TEST

START_TEST(names_without_end_are_refused)
{
    static char name[1025];
    memset(name, 'n', sizeof(name) - 1);
    struct relation relation = sample_relation;
    relation.name = name;
    struct err err = ERR_INIT;
    buf_init_over(&out, storage, sizeof(storage));
    encode_relation(&out, &relation);
    ck_assert(!decode_bytes(buf_bytes(&out), &err));
    ck_assert_int_eq(err.code, ERR_PROTOCOL);
    pgoutput_reset(decoder);
    relation.name = name + 1;
    buf_init_over(&out, storage, sizeof(storage));
    encode_relation(&out, &relation);
    ck_assert(decode_bytes(buf_bytes(&out), &err));
}
END_TEST

START_TEST(an_empty_message_is_refused)
{
    struct err err = ERR_INIT;
    ck_assert(!decode_bytes(BYTES_ABSENT, &err));
    ck_assert_int_eq(err.code, ERR_PROTOCOL);
}
END_TEST

static Suite *damage_suite(void)
{
    Suite *suite = suite_create("decode_damage");
    TCase *tcase = tcase_create("damage");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, every_cut_is_refused, 0, SAMPLE_COUNT);
    tcase_add_loop_test(tcase, bytes_left_over_are_refused, 0, SAMPLE_COUNT);
    tcase_add_loop_test(tcase, types_that_are_not_of_protocol_1_are_refused_by_their_byte, 0, 256);
    tcase_add_loop_test(tcase, wrong_lengths_counts_and_marks_are_refused, 0, ARRAY_LEN(lies));
    tcase_add_loop_test(tcase, any_byte_may_be_any_value_without_harm, 0, SAMPLE_COUNT);
    tcase_add_test(tcase, rows_of_other_widths_are_refused);
    tcase_add_test(tcase, names_without_end_are_refused);
    tcase_add_test(tcase, an_empty_message_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(damage_suite())
