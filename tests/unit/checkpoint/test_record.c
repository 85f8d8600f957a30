/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "walferry/base/crc32c.h"
#include "walferry/checkpoint/checkpoint.h"

#include "test.h"

static struct checkpoint sample(void)
{
    return (struct checkpoint){
        .version = 2,
        .pipeline = "orders",
        .slot = "walferry_orders",
        .system_id = UINT64_C(18446744073709551615),
        .timeline = 4294967295,
        .lsn = lsn_make(UINT64_C(0x16B374D848)),
        .partial = {lsn_make(UINT64_C(0x16B374D900)), 4000000000, 3999999999},
        .previous = lsn_make(UINT64_C(0x16B374D700)),
        .events = UINT64_MAX,
        .chain = UINT32_MAX,
        .host = "db-1.example",
        .commit_time_us = INT64_C(1767225599000001),
        .sequence = 42,
        .saved_at_us = INT64_C(1767225600123456),
    };
}

static struct buf encoded(const struct checkpoint *checkpoint)
{
    struct buf text;
    buf_init(&text, CHECKPOINT_TEXT_MAX);
    checkpoint_encode(checkpoint, &text);
    ck_assert(buf_ok(&text));
    return text;
}

static enum err_code refuse(struct bytes text)
{
    struct checkpoint untouched, into;
    memset(&untouched, 0xA5, sizeof(untouched));
    into = untouched;
    struct err err = ERR_INIT;
    ck_assert(!checkpoint_decode(text, &into, &err));
    ck_assert_msg(memcmp(&into, &untouched, sizeof(into)) == 0, "written on failure");
    ck_assert_str_ne(err.message, "");
    return err.code;
}

/* Replace `from` by `to` and give the text a right checksum again. */
static struct buf forged(const char *from, const char *to)
{
    struct checkpoint checkpoint = sample();
    struct buf text = encoded(&checkpoint);
    const char *whole = buf_cstr(&text);
    const char *at = strstr(whole, from);
    ck_assert_msg(at != NULL, "no %s", from);
    struct buf body;
    buf_init(&body, CHECKPOINT_TEXT_MAX * 4);
    buf_put(&body, whole, (size_t)(at - whole));
    buf_put_str(&body, to);
    const char *rest = at + strlen(from);
    buf_put(&body, rest, (size_t)(strstr(rest, "crc32c=") - rest));
    uint32_t checksum = crc32c(buf_bytes(&body));
    buf_printf(&body, "crc32c=%08x\n", checksum);
    buf_deinit(&text);
    return body;
}

START_TEST(text_is_for_people)
{
    struct checkpoint checkpoint = sample();
    struct buf text = encoded(&checkpoint);
    const char *expected = "walferry_checkpoint=2\n"
                           "pipeline=orders\n"
                           "slot=walferry_orders\n"
                           "system_identifier=18446744073709551615\n"
                           "timeline=4294967295\n"
                           "lsn=16/B374D848\n"
                           "partial_commit_lsn=16/B374D900\n"
                           "partial_ordinal=4000000000\n"
                           "partial_index=3999999999\n"
                           "previous_lsn=16/B374D700\n"
                           "events=18446744073709551615\n"
                           "chain=4294967295\n"
                           "host=db-1.example\n"
                           "commit_time_us=1767225599000001\n"
                           "commit_time=2025-12-31T23:59:59.000001Z\n"
                           "sequence=42\n"
                           "saved_at_us=1767225600123456\n"
                           "saved_at=2026-01-01T00:00:00.123456Z\n"
                           "crc32c=";
    ck_assert_msg(strncmp(buf_cstr(&text), expected, strlen(expected)) == 0, "%s", buf_cstr(&text));
    buf_deinit(&text);
}
END_TEST

static void ck_round_trip(const struct checkpoint *checkpoint)
{
    struct buf text = encoded(checkpoint);
    struct checkpoint back;
    struct err err = ERR_INIT;
    ck_assert_msg(checkpoint_decode(buf_bytes(&text), &back, &err), "%s", err.message);
    ck_assert_str_eq(back.pipeline, checkpoint->pipeline);
    ck_assert_str_eq(back.slot, checkpoint->slot);
    ck_assert_uint_eq(back.system_id, checkpoint->system_id);
    ck_assert_uint_eq(back.timeline, checkpoint->timeline);
    ck_assert_uint_eq(back.lsn.value, checkpoint->lsn.value);
    ck_assert_uint_eq(back.partial.commit_lsn.value, checkpoint->partial.commit_lsn.value);
    ck_assert_uint_eq(back.partial.ordinal, checkpoint->partial.ordinal);
    ck_assert_uint_eq(back.partial.index, checkpoint->partial.index);
    ck_assert_uint_eq(back.version, checkpoint->version);
    ck_assert_uint_eq(back.previous.value, checkpoint->previous.value);
    ck_assert_uint_eq(back.events, checkpoint->events);
    ck_assert_uint_eq(back.chain, checkpoint->chain);
    ck_assert_str_eq(back.host, checkpoint->host);
    ck_assert_int_eq(back.commit_time_us, checkpoint->commit_time_us);
    ck_assert_uint_eq(back.sequence, checkpoint->sequence);
    ck_assert_int_eq(back.saved_at_us, checkpoint->saved_at_us);
    buf_deinit(&text);
}

START_TEST(round_trip)
{
    struct checkpoint checkpoint = sample();
    ck_round_trip(&checkpoint);
    checkpoint.partial = (struct cursor){.commit_lsn = LSN_NONE};
    checkpoint.saved_at_us = 0;
    checkpoint.sequence = UINT64_MAX;
    memset(checkpoint.slot, 'a', SLOT_NAME_MAX);
    memset(checkpoint.pipeline, 'z', PIPELINE_NAME_MAX);
    ck_round_trip(&checkpoint);
    checkpoint.saved_at_us = INT64_MIN;
    checkpoint.commit_time_us = 0;
    ck_round_trip(&checkpoint);
    checkpoint.lsn = lsn_make(UINT64_MAX);
    checkpoint.host[0] = '\0';
    ck_round_trip(&checkpoint);
}
END_TEST

START_TEST(format_1_is_read)
{
    struct checkpoint checkpoint = sample();
    checkpoint.version = 1;
    checkpoint.previous = LSN_NONE;
    checkpoint.events = 0;
    checkpoint.chain = 0;
    checkpoint.host[0] = '\0';
    checkpoint.commit_time_us = 0;
    ck_round_trip(&checkpoint);
    struct buf text = encoded(&checkpoint);
    ck_assert_ptr_null(strstr(buf_cstr(&text), "chain="));
    buf_deinit(&text);
}
END_TEST

/* Computed once by an independent implementation of CRC-32C. */
START_TEST(chain_of_positions)
{
    struct position first = {lsn_make(UINT64_C(0x16B374D900)), 0};
    struct position second = {lsn_make(UINT64_C(0x16B374D900)), 1};
    uint32_t one = checkpoint_chain(0, first);
    ck_assert_uint_eq(one, 0x417778f2);
    ck_assert_uint_eq(checkpoint_chain(one, second), 0x701d02e5);
}
END_TEST

START_TEST(cut_at_every_byte)
{
    struct checkpoint checkpoint = sample();
    struct buf text = encoded(&checkpoint);
    for (size_t len = 0; len < text.len; len++)
        ck_assert_msg(refuse(bytes_make(text.ptr, len)) == ERR_CHECKPOINT_INVALID, "cut at %zu",
                      len);
    buf_put_u8(&text, '\n');
    ck_assert_int_eq(refuse(buf_bytes(&text)), ERR_CHECKPOINT_INVALID);
    buf_deinit(&text);
}
END_TEST

START_TEST(every_bit_flipped)
{
    struct checkpoint checkpoint = sample();
    struct buf text = encoded(&checkpoint);
    for (size_t bit = 0; bit < text.len * 8; bit++) {
        text.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_msg(refuse(buf_bytes(&text)) == ERR_CHECKPOINT_INVALID, "bit %zu", bit);
        text.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    struct checkpoint back;
    ck_assert(checkpoint_decode(buf_bytes(&text), &back, NULL));
    buf_deinit(&text);
}
END_TEST

START_TEST(every_two_neighbours_exchanged_and_every_byte_left_out)
{
    struct checkpoint checkpoint = sample();
    struct buf text = encoded(&checkpoint);
    uint8_t copy[CHECKPOINT_TEXT_MAX];
    for (size_t i = 0; i + 1 < text.len; i++) {
        memcpy(copy, text.ptr, text.len);
        copy[i] = text.ptr[i + 1];
        copy[i + 1] = text.ptr[i];
        if (copy[i] != copy[i + 1])
            ck_assert_int_eq(refuse(bytes_make(copy, text.len)), ERR_CHECKPOINT_INVALID);
        memmove(copy + i, text.ptr + i + 1, text.len - i - 1);
        ck_assert_int_eq(refuse(bytes_make(copy, text.len - 1)), ERR_CHECKPOINT_INVALID);
    }
    buf_deinit(&text);
}
END_TEST

/* Texts with a right checksum that we would never write. */
static const struct {
    const char *from;
    const char *to;
} forgeries[] = {
    {"pipeline=orders\n", ""},
    {"pipeline=orders\n", "pipeline=\n"},
    {"pipeline=orders\n", "pipeline=../orders\n"},
    {"pipeline=orders\n", "pipeline=Orders\n"},
    {"pipeline=orders\n", "pipeline=orders\r\n"},
    {"pipeline=orders\n", "pipeline=orders\npipeline=orders\n"},
    {"pipeline=orders\n", "pipeline=o2345678901234567890123456789012345678901\n"},
    {"slot=walferry_orders\n",
     "slot=s234567890123456789012345678901234567890123456789012345678901234\n"},
    {"slot=walferry_orders\n", "slot=walferry-orders\n"},
    {"slot=", "Slot="},
    {"timeline=4294967295", "timeline=4294967296"},
    {"timeline=4294967295", "timeline=-1"},
    {"timeline=4294967295", "timeline=1 "},
    {"timeline=4294967295", "timeline=01"},
    {"system_identifier=18446744073709551615", "system_identifier=18446744073709551616"},
    {"lsn=16/B374D848", "lsn=16/b374d848"},
    {"lsn=16/B374D848", "lsn=016/B374D848"},
    {"lsn=16/B374D848", "lsn=16B374D848"},
    {"partial_ordinal=4000000000", "partial_ordinal=4294967296"},
    {"partial_index=3999999999", "partial_index="},
    {"previous_lsn=16/B374D700\n", ""},
    {"events=18446744073709551615", "events=18446744073709551616"},
    {"chain=4294967295", "chain=4294967296"},
    {"host=db-1.example", "host=db 1"},
    {"host=db-1.example", "host=01234567890123456789012345678901234567890123456789012345678901234"},
    {"commit_time_us=1767225599000001", "commit_time_us=1767225599000002"},
    {"commit_time=2025-12-31T23:59:59.000001Z\n", ""},
    {"sequence=42", "sequence=0x2a"},
    {"saved_at=2026-01-01T00:00:00.123456Z", "saved_at=2026-01-01T00:00:00.123457Z"},
    {"saved_at=2026-01-01T00:00:00.123456Z\n", "saved_at=2026-01-01T00:00:00.123456Z\nmore=1\n"},
    {"walferry_checkpoint=2", "walferry_checkpoint=0"},
    {"walferry_checkpoint=2", "walferry_checkpoint=1"},
    {"walferry_checkpoint=2", "walferry_checkpoint=01"},
    {"walferry_checkpoint=2", "walferry_checkpoint="},
    {"walferry_checkpoint=2\n", "\nwalferry_checkpoint=2\n"},
};

START_TEST(what_we_would_not_write_is_refused)
{
    struct buf text = forged(forgeries[_i].from, forgeries[_i].to);
    ck_assert_msg(refuse(buf_bytes(&text)) == ERR_CHECKPOINT_INVALID, "%s", forgeries[_i].to);
    buf_deinit(&text);
}
END_TEST

START_TEST(a_newer_format_is_told_apart)
{
    struct buf text = forged("walferry_checkpoint=2\n", "walferry_checkpoint=3\nnew=field\n");
    struct checkpoint into;
    struct err err = ERR_INIT;
    ck_assert(!checkpoint_decode(buf_bytes(&text), &into, &err));
    ck_assert_int_eq(err.code, ERR_CHECKPOINT_VERSION);
    ck_assert_str_ne(err.hint, "");
    /* Without a right checksum it is only damaged. */
    text.ptr[text.len / 2] ^= 1;
    ck_assert_int_eq(refuse(buf_bytes(&text)), ERR_CHECKPOINT_INVALID);
    buf_deinit(&text);
}
END_TEST

START_TEST(what_is_too_large_or_absent_is_refused)
{
    struct buf text;
    buf_init(&text, (size_t)4 * CHECKPOINT_TEXT_MAX);
    while (text.len <= CHECKPOINT_TEXT_MAX)
        buf_put_str(&text, "pipeline=orders\n");
    ck_assert_int_eq(refuse(buf_bytes(&text)), ERR_CHECKPOINT_INVALID);
    ck_assert_int_eq(refuse(BYTES_ABSENT), ERR_CHECKPOINT_INVALID);
    ck_assert_int_eq(refuse(BYTES_LIT("crc32c=00000000\n")), ERR_CHECKPOINT_INVALID);
    buf_deinit(&text);
}
END_TEST

START_TEST(encode_fails_as_buffers_do)
{
    struct checkpoint checkpoint = sample();
    struct buf text;
    buf_init(&text, 100);
    checkpoint_encode(&checkpoint, &text);
    ck_assert(!buf_ok(&text));
    buf_deinit(&text);
    /* Appended behind something else, the checksum covers the checkpoint only. */
    buf_init(&text, CHECKPOINT_TEXT_MAX);
    buf_put_str(&text, "before\n");
    checkpoint_encode(&checkpoint, &text);
    struct checkpoint back;
    ck_assert(checkpoint_decode(bytes_make(text.ptr + 7, text.len - 7), &back, NULL));
    buf_deinit(&text);
}
END_TEST

static Suite *suite_of_record(void)
{
    Suite *suite = suite_create("record");
    TCase *tcase = tcase_create("record");
    tcase_add_test(tcase, text_is_for_people);
    tcase_add_test(tcase, round_trip);
    tcase_add_test(tcase, format_1_is_read);
    tcase_add_test(tcase, chain_of_positions);
    tcase_add_test(tcase, cut_at_every_byte);
    tcase_add_test(tcase, every_bit_flipped);
    tcase_add_test(tcase, every_two_neighbours_exchanged_and_every_byte_left_out);
    tcase_add_loop_test(tcase, what_we_would_not_write_is_refused, 0, (int)ARRAY_LEN(forgeries));
    tcase_add_test(tcase, a_newer_format_is_told_apart);
    tcase_add_test(tcase, what_is_too_large_or_absent_is_refused);
    tcase_add_test(tcase, encode_fails_as_buffers_do);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_record())
