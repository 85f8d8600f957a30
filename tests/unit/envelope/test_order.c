/* SPDX-License-Identifier: Apache-2.0 */
/* Properties over many events, from a generator with a fixed seed. */
#include "fixture.h"
#include "walferry/base/json.h"

#define ROUNDS 20000

static uint64_t state;

/* SplitMix64. */
static uint64_t next_random(void)
{
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Positions that share prefixes often: few bits, or the neighbour of the other. */
static struct position random_position(void)
{
    uint64_t bits = 1 + next_random() % 64;
    uint64_t lsn = next_random() >> (64 - bits) | 1;
    return (struct position){lsn_make(lsn), (uint32_t)(next_random() >> (32 + next_random() % 32))};
}

static struct position near_position(struct position position)
{
    switch (next_random() % 4) {
    case 0:
        position.index++;
        return position;
    case 1:
        position.commit_lsn.value ^= 2;
        return position;
    case 2:
        return position;
    default:
        return random_position();
    }
}

static void sequence_of(struct position position, char *out, size_t size)
{
    arena_reset(&fixture.arena);
    fixture.event.position = position;
    fixture_render();
    struct bytes sequence = fixture_header_value("ce_sequence");
    ck_assert_uint_eq(sequence.len, size - 1);
    memcpy(out, sequence.ptr, sequence.len);
    out[sequence.len] = '\0';
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

START_TEST(text_order_of_sequence_is_commit_order)
{
    fixture_format(ENVELOPE_CLOUDEVENTS, ENVELOPE_BINARY);
    state = 20260101;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct position a = random_position();
        struct position b = near_position(a);
        char a_text[POSITION_TEXT_MAX];
        char b_text[POSITION_TEXT_MAX];
        sequence_of(a, a_text, sizeof(a_text));
        sequence_of(b, b_text, sizeof(b_text));
        ck_assert_msg(sign(strcmp(a_text, b_text)) == sign(position_cmp(a, b)),
                      "round %u: %s and %s", i, a_text, b_text);
    }
}
END_TEST

/* Text of up to 40 characters, now and then one of those that need care. */
static struct bytes random_text(uint8_t *out)
{
    static const char *const special[] = {
        "\"", "\\",         "/", "\xC3\xA4", "\xE2\x80\xA8", "\xF0\x9F\x90\xA6",
        "}",  ",\"data\":", "$", "\\u0000"};
    size_t length = 0;
    for (size_t count = next_random() % 40; count > 0; count--) {
        uint64_t choice = next_random() % 40;
        if (choice < ARRAY_LEN(special)) {
            size_t size = strlen(special[choice]);
            memcpy(out + length, special[choice], size);
            length += size;
        } else {
            out[length++] = (uint8_t)(0x20 + next_random() % 0x5F);
        }
    }
    return bytes_make(out, length);
}

#define TEXT_SIZE 400

/* The member's text, or absent. */
static struct bytes member_text(const char *quoted_key)
{
    struct json_value document = json_parse(fixture.record.value);
    ck_assert_int_eq(document.kind, JSON_OBJECT);
    struct json_members members;
    json_members_init(&members, document);
    struct bytes key = BYTES_ABSENT;
    struct bytes found = BYTES_ABSENT;
    struct json_value value = {JSON_INVALID, BYTES_ABSENT};
    while (json_members_next(&members, &key, &value)) {
        if (bytes_is(key, quoted_key)) {
            bool ok = true;
            ck_assert(!bytes_present(found));
            ck_assert_int_eq(value.kind, JSON_STRING);
            found = json_unescape(value.raw, &fixture.arena, &ok);
            ck_assert(ok);
        }
    }
    return found;
}

START_TEST(every_document_parses_and_gives_the_fields_back)
{
    static uint8_t texts[6][TEXT_SIZE];
    state = 4711;
    for (unsigned i = 0; i < ROUNDS; i++) {
        arena_reset(&fixture.arena);
        struct event *event = &fixture.event;
        struct bytes id = random_text(texts[0]);
        event->id = bytes_empty(id) ? BYTES_LIT("x") : id;
        event->aggregate_id = random_text(texts[1]);
        event->aggregate_type = random_text(texts[2]);
        event->correlation_id = random_text(texts[3]);
        fixture.placement.key = random_text(texts[4]);
        fixture_payload(PAYLOAD_TEXT, random_text(texts[5]));
        fixture_render();
        ck_assert(bytes_equal(member_text("\"id\""), event->id));
        ck_assert(bytes_equal(member_text("\"data\""), event->payload));
        struct bytes subject = member_text("\"subject\"");
        ck_assert_int_eq(bytes_present(subject), !bytes_empty(event->aggregate_id));
        ck_assert(bytes_empty(subject) || bytes_equal(subject, event->aggregate_id));
        struct bytes key = member_text("\"partitionkey\"");
        ck_assert(bytes_empty(key) ? bytes_empty(fixture.placement.key)
                                   : bytes_equal(key, fixture.placement.key));
    }
}
END_TEST

static Suite *suite_of_order(void)
{
    Suite *suite = suite_create("order");
    TCase *tcase = tcase_create("order");
    /* Many rounds, on a machine that does other things too. */
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_add_test(tcase, text_order_of_sequence_is_commit_order);
    tcase_add_test(tcase, every_document_parses_and_gives_the_fields_back);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_order())
