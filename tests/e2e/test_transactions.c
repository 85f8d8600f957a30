/* SPDX-License-Identifier: Apache-2.0 */
/* The Kafka sink's transactions and positions, on Kafka itself: what a reader of committed records
 * sees, and what the next writer finds. */
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "writer.h"

/* Names of a test's own. */
struct place {
    struct world world; /* for consumers: has a broker and nothing else */
    char *positions;
    char *orders;
    struct writer_opts opts;
};

static struct place place_on(const char *label, struct kafka_server *kafka)
{
    struct place place = {.world = {.kafka = kafka}};
    snprintf(place.world.name, sizeof place.world.name, "%s_%d", label, (int)getpid());
    place.positions = text("positions.%s", place.world.name);
    place.orders = text("orders.%s", place.world.name);
    place.opts = (struct writer_opts){.address = kafka->address,
                                      .pipeline = text("%s", place.world.name),
                                      .system_id = UINT64_C(7400000000000000001),
                                      .slot = "walferry_test",
                                      .position_topic = place.positions,
                                      .transactional = true};
    return place;
}

static struct place place_new(const char *label)
{
    return place_on(label, shared_kafka());
}

static struct writer *claimed(const struct writer_opts *opts)
{
    struct writer *writer = writer_open(opts);
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    return writer;
}

START_TEST(records_are_seen_with_the_position_and_not_before)
{
    struct place place = place_new("seen");
    struct consumer *consumer = consumer_new(&place.world, place.orders, NULL);
    struct writer *writer = writer_open(&place.opts);
    ck_assert_str_eq(writer_offer(writer, place.orders, "a", "1"), "BUSY");
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    ck_assert_ptr_null(writer_position(writer));
    writer_put(writer, place.orders, "a", "1");
    writer_put(writer, place.orders, "b", "2");
    wait_until((writer_turn(writer), writer_pending(writer) == 0), "records are not acknowledged");
    ck_assert_uint_eq(writer_delivered(writer), 0);
    ck_assert_uint_eq(consumer_drain(consumer).count, 0);
    ck_assert_str_eq(writer_save(writer, "first"), "DELIVERED NONE");
    ck_assert_uint_eq(writer_delivered(writer), 2);
    consumer_exactly(consumer, 2);
    writer_put(writer, place.orders, "a", "3");
    ck_assert_str_eq(writer_save(writer, "second"), "DELIVERED NONE");
    consumer_exactly(consumer, 3);
    writer_close(writer);

    writer = claimed(&place.opts);
    ck_assert_str_eq(writer_position(writer), "second");
    writer_close(writer);
    consumer_free(consumer);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, records_are_seen_with_the_position_and_not_before);
}

static const struct e2e_suite suite = {"transactions", NEEDS_KAFKA, add};

E2E_MAIN(&suite)
