/* SPDX-License-Identifier: Apache-2.0 */
/* The Kafka sink's transactions and positions, on Kafka itself: what a reader of committed records
 * sees, and what the next writer finds. */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "kafka_client.h"
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

/* The end of a partition, with records that are not committed. */
static int64_t high_watermark(const struct place *place, const char *topic, int partition)
{
    static const char *const settings[] = {"group.id", "none", "isolation.level",
                                           "read_uncommitted", NULL};
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_CONSUMER, place->world.kafka->address, settings);
    int64_t low;
    int64_t high = -1;
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, DEADLINE_MS);
    REQUIRE(code == 0, "%s", rd_kafka_err2str(code));
    rd_kafka_destroy(client);
    return high;
}

/* A producer that has a transaction open on the partition, and keeps it. */
static rd_kafka_t *foreign_transaction(const struct place *place, const char *topic, int partition)
{
    char *id = text("foreign-%s", place->world.name);
    const char *const settings[] = {"transactional.id", id, "transaction.timeout.ms", "600000",
                                    NULL};
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, place->world.kafka->address, settings);
    REQUIRE(rd_kafka_init_transactions(client, DEADLINE_MS) == NULL, "no transactions");
    REQUIRE(rd_kafka_begin_transaction(client) == NULL, "no transaction");
    int64_t before = high_watermark(place, topic, partition);
    char *word = text("x");
    /* The typed macros around these are no standard C. */
    rd_kafka_resp_err_t code = rd_kafka_producev(
        client, RD_KAFKA_VTYPE_TOPIC, topic, RD_KAFKA_VTYPE_PARTITION, partition,
        RD_KAFKA_VTYPE_KEY, word, (size_t)1, RD_KAFKA_VTYPE_VALUE, word, (size_t)1,
        RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_END);
    REQUIRE(code == 0 && rd_kafka_flush(client, DEADLINE_MS) == 0, "not produced");
    REQUIRE(high_watermark(place, topic, partition) == before + 1, "not written");
    return client;
}

static void end_foreign(rd_kafka_t *client)
{
    rd_kafka_error_t *error = rd_kafka_abort_transaction(client, DEADLINE_MS);
    REQUIRE(error == NULL, "%s", rd_kafka_error_string(error));
    rd_kafka_destroy(client);
}

static void acknowledged(struct writer *writer)
{
    wait_until((writer_turn(writer), writer_pending(writer) == 0), "records are not acknowledged");
}

/* The claim does not end, and says why. */
static void claim_waits(struct writer *writer, const char *why)
{
    do {
        ck_assert_msg(writer_claimed(writer) == NULL, "%s, at %s", writer_claimed(writer),
                      writer_position(writer));
    } while (strcmp(writer_detail(writer), why) != 0);
    for (int turn = 0; turn < 20; turn++)
        ck_assert_ptr_null(writer_claimed(writer));
}

/* --- visibility --- */

START_TEST(records_are_seen_with_the_position_and_not_before)
{
    struct place place = place_new("seen");
    struct consumer *consumer = consumer_new(&place.world, place.orders, NULL);
    struct writer *writer = writer_open(&place.opts);
    ck_assert_str_eq(writer_offer(writer, place.orders, "a", "1"), "BUSY");
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    ck_assert_ptr_null(writer_position(writer));
    writer_put(writer, place.orders, "a", "1");
    writer_put(writer, place.orders, "a", "2");
    acknowledged(writer);
    ck_assert_uint_eq(writer_delivered(writer), 0);
    int64_t written = 0;
    for (int partition = 0; partition < KAFKA_PARTITIONS; partition++)
        written += high_watermark(&place, place.orders, partition);
    ck_assert_int_eq(written, 2);
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

/* No reader of committed records waits until the transaction would time out. */
START_TEST(a_stop_in_a_transaction_leaves_nothing_and_holds_nobody_up)
{
    static const char *const settings[] = {"transaction.timeout.ms", "600000", NULL};
    struct place place = place_new("stop");
    place.opts.settings = settings;
    kafka_create_topic(place.world.kafka, place.orders, 1, NULL);
    struct consumer *consumer = consumer_new(&place.world, place.orders, NULL);
    struct writer *writer = claimed(&place.opts);
    writer_put(writer, place.orders, "a", "lost");
    acknowledged(writer);
    writer_close(writer);
    kafka_produce(place.world.kafka, place.orders, 0, "b", "after");
    ck_assert_str_eq(consumer_exactly(consumer, 1).items[0].value, "after");
    consumer_free(consumer);
}
END_TEST

START_TEST(after_a_reset_the_next_claim_starts_clean)
{
    static const char *const settings[] = {"transaction.timeout.ms", "600000", NULL};
    struct place place = place_new("reset");
    place.opts.settings = settings;
    struct consumer *consumer = consumer_new(&place.world, place.orders, NULL);
    struct writer *writer = claimed(&place.opts);
    writer_put(writer, place.orders, "a", "1");
    ck_assert_str_eq(writer_save(writer, "first"), "DELIVERED NONE");
    writer_put(writer, place.orders, "a", "lost");
    acknowledged(writer);
    writer_put(writer, place.orders, "a", "lost too");
    writer_reset(writer);
    ck_assert_str_eq(writer_offer(writer, place.orders, "a", "2"), "BUSY");
    ck_assert_str_eq(writer_save_begin(writer, "none"), "BUSY");
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    ck_assert_str_eq(writer_position(writer), "first");
    writer_put(writer, place.orders, "a", "2");
    ck_assert_str_eq(writer_save(writer, "second"), "DELIVERED NONE");
    ck_assert_uint_eq(writer_delivered(writer), 2);
    struct records records = consumer_exactly(consumer, 2);
    ck_assert_str_eq(records.items[1].value, "2");
    /* In the middle of a save, and of a claim. */
    writer_put(writer, place.orders, "a", "3");
    ck_assert_str_eq(writer_save_begin(writer, "third"), "TAKEN");
    ck_assert_str_eq(writer_offer(writer, place.orders, "a", "4"), "TAKEN");
    writer_reset(writer);
    writer_claim_begin(writer);
    writer_reset(writer);
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    ck_assert_str_eq(writer_position(writer), "second");
    consumer_exactly(consumer, 2);
    writer_close(writer);
    consumer_free(consumer);
}
END_TEST

START_TEST(transactions_of_many_records_need_no_more_memory_than_one)
{
    struct place place = place_new("many");
    kafka_create_topic(place.world.kafka, place.orders, 3, NULL);
    struct writer *writer = claimed(&place.opts);
    long first_kib = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20000; i++)
            writer_put(writer, place.orders, text("k%d", i), "some value");
        ck_assert_str_eq(writer_save(writer, text("round %d", round)), "DELIVERED NONE");
        ck_assert_uint_eq(writer_delivered(writer), (size_t)(round + 1) * 20000);
        first_kib = round == 0 ? process_peak_kib(getpid()) : first_kib;
    }
    long last_kib = process_peak_kib(getpid());
    ck_assert_msg(last_kib < first_kib + 16384, "%ld KiB, then %ld KiB", first_kib, last_kib);
    ck_assert_ptr_null(writer_failed(writer));
    writer_close(writer);
    struct consumer *consumer = consumer_new(&place.world, place.orders, NULL);
    consumer_exactly(consumer, 60000);
    consumer_free(consumer);
}
END_TEST

/* --- the position --- */

START_TEST(the_position_is_the_newest_of_the_key_or_of_the_pipeline)
{
    struct place place = place_new("keys");
    struct kafka_server *kafka = place.world.kafka;
    const char *pipeline = place.opts.pipeline;
    char *own = text("%s/7400000000000000001/walferry_test", pipeline);
    kafka_create_topic(kafka, place.positions, 1, "cleanup.policy=compact");
    struct writer *writer = writer_open(&place.opts);
    const struct {
        const char *key;
        const char *value;
        const char *found;
    } steps[] = {
        {text("%s2/7400000000000000001/walferry_test", pipeline), "other pipeline", NULL},
        {pipeline, "no slash", NULL},
        {text("%s/1/a", pipeline), "server 1", "server 1"},
        {text("%s/2/a", pipeline), "server 2", "server 2"},
        {text("%s/1/a", pipeline), "server 1 again", "server 1 again"},
        {own, "own", "own"},
        {text("%s/2/a", pipeline), "server 2 again", "own"},
        {own, "own again", "own again"},
        {own, NULL, "server 2 again"},
        {text("%s/2/a", pipeline), NULL, "server 1 again"},
        {text("%s/1/a", pipeline), NULL, NULL},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        kafka_produce(kafka, place.positions, 0, steps[i].key, steps[i].value);
        ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
        char *found = writer_position(writer);
        ck_assert_msg(found == NULL ? steps[i].found == NULL
                                    : steps[i].found != NULL && strcmp(found, steps[i].found) == 0,
                      "step %zu: %s", i, found);
    }
    writer_close(writer);
}
END_TEST

START_TEST(positions_stay_in_partition_0)
{
    struct place place = place_new("grown");
    kafka_create_topic(place.world.kafka, place.positions, 5, "cleanup.policy=compact");
    for (unsigned slot = 0; slot < 4; slot++) {
        place.opts.slot = text("slot_%u", slot);
        struct writer *writer = claimed(&place.opts);
        ck_assert_str_eq(writer_save(writer, place.opts.slot), "DELIVERED NONE");
        writer_close(writer);
    }
    struct consumer *consumer = consumer_new(&place.world, place.positions, NULL);
    struct records records = consumer_exactly(consumer, 4);
    for (size_t i = 0; i < records.count; i++) {
        ck_assert_int_eq(records.items[i].partition, 0);
        ck_assert_str_eq(records.items[i].value, text("slot_%zu", i));
    }
    consumer_free(consumer);
}
END_TEST

START_TEST(rows_may_not_write_positions)
{
    struct place place = place_new("forged");
    struct writer *writer = claimed(&place.opts);
    ck_assert_str_eq(writer_offer(writer, place.positions, "k", "v"), "POISON ROW_TOPIC");
    writer_put(writer, place.orders, "a", "1");
    ck_assert_str_eq(writer_save(writer, "saved"), "DELIVERED NONE");
    writer_close(writer);
}
END_TEST

START_TEST(an_open_transaction_of_another_producer_is_waited_for_and_named)
{
    struct place place = place_new("foreign");
    kafka_create_topic(place.world.kafka, place.positions, 1, "cleanup.policy=compact");
    struct writer *writer = claimed(&place.opts);
    ck_assert_str_eq(writer_save(writer, "old"), "DELIVERED NONE");
    rd_kafka_t *foreign = foreign_transaction(&place, place.positions, 0);
    ck_assert_str_eq(writer_save(writer, "new"), "DELIVERED NONE");
    writer_claim_begin(writer);
    char *wanted = text("an open transaction of another producer on topic %s", place.positions);
    claim_waits(writer, wanted);
    end_foreign(foreign);
    wait_until(writer_claimed(writer) != NULL, "%s", writer_detail(writer));
    ck_assert_str_eq(writer_claimed(writer), "DELIVERED NONE");
    ck_assert_str_eq(writer_position(writer), "new");
    ck_assert_str_eq(writer_detail(writer), "");
    writer_close(writer);
}
END_TEST

START_TEST(a_topic_that_forgets_is_refused)
{
    for (int i = 0; i < 2; i++) {
        struct place place = place_new(i == 0 ? "forgets" : "forgets_too");
        kafka_create_topic(place.world.kafka, place.positions, 1, "cleanup.policy=delete");
        place.opts.transactional = i == 0;
        struct writer *writer = writer_open(&place.opts);
        ck_assert_str_eq(writer_claim(writer), "HALT KAFKA_POSITIONS");
        ck_assert_str_eq(writer_detail(writer),
                         text("kafka-configs.sh --alter --entity-type topics --entity-name %s "
                              "--add-config cleanup.policy=compact",
                              place.positions));
        writer_close(writer);
    }
}
END_TEST

START_TEST(a_missing_topic_is_waited_for_when_it_may_not_be_made)
{
    struct place place = place_new("missing");
    place.opts.no_create = true;
    struct writer *writer = writer_open(&place.opts);
    writer_claim_begin(writer);
    char *wanted = text("topic %s does not exist: kafka-topics.sh --create --topic %s --partitions "
                        "1 --config cleanup.policy=compact",
                        place.positions, place.positions);
    claim_waits(writer, wanted);
    kafka_create_topic(place.world.kafka, place.positions, 1, "cleanup.policy=compact");
    wait_until(writer_claimed(writer) != NULL, "%s", writer_detail(writer));
    ck_assert_str_eq(writer_claimed(writer), "DELIVERED NONE");
    writer_close(writer);
}
END_TEST

START_TEST(a_topic_that_was_made_before_is_one_that_keeps)
{
    struct place place = place_new("made");
    place.opts.no_create = true;
    writer_make_topic(&place.opts);
    struct writer *writer = claimed(&place.opts);
    ck_assert_str_eq(writer_save(writer, "kept"), "DELIVERED NONE");
    writer_close(writer);
}
END_TEST

START_TEST(without_transactions_the_position_is_saved_alone)
{
    struct place place = place_new("plain");
    place.opts.transactional = false;
    struct consumer *consumer = consumer_new(&place.world, place.orders, NULL);
    struct writer *writer = writer_open(&place.opts);
    ck_assert_str_eq(writer_save_begin(writer, "too early"), "BUSY");
    writer_put(writer, place.orders, "a", "1");
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    ck_assert_ptr_null(writer_position(writer));
    writer_put(writer, place.orders, "a", "2");
    consumer_exactly(consumer, 2);
    writer_save_taken(writer, "first");
    ck_assert_str_eq(writer_save_begin(writer, "one at a time"), "BUSY");
    writer_put(writer, place.orders, "a", "3");
    wait_until(writer_saved(writer) != NULL, "%s", writer_detail(writer));
    ck_assert_str_eq(writer_saved(writer), "DELIVERED NONE");
    consumer_exactly(consumer, 3);
    writer_reset(writer);
    writer_put(writer, place.orders, "a", "4");
    ck_assert_str_eq(writer_save(writer, "second"), "DELIVERED NONE");
    writer_close(writer);
    writer = writer_open(&place.opts);
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    ck_assert_str_eq(writer_position(writer), "second");
    writer_close(writer);
    consumer_free(consumer);
}
END_TEST

/* --- fencing --- */

START_TEST(a_second_claim_fences_the_first)
{
    struct place place = place_new("fence");
    struct consumer *consumer = consumer_new(&place.world, place.orders, NULL);
    struct writer *first = claimed(&place.opts);
    writer_put(first, place.orders, "a", "lost");
    acknowledged(first);
    struct writer *second = claimed(&place.opts);
    writer_put(second, place.orders, "a", "1");
    ck_assert_str_eq(writer_save(second, "second's"), "DELIVERED NONE");
    ck_assert_str_eq(writer_save(first, "first's"), "HALT KAFKA_FENCED");
    ck_assert_ptr_nonnull(strstr(writer_detail(first), "took over"));
    ck_assert_ptr_nonnull(strstr(writer_detail(first), "transaction.timeout.ms"));
    ck_assert_uint_eq(writer_delivered(first), 0);
    writer_put(second, place.orders, "a", "2");
    ck_assert_str_eq(writer_save(second, "second's again"), "DELIVERED NONE");
    writer_close(first);
    writer_close(second);
    consumer_exactly(consumer, 2);
    consumer_free(consumer);
}
END_TEST

/* Whichever comes first, the commit or the claim: a position is never read that is about to be
 * replaced. */
START_TEST(a_claim_never_misses_a_commit_of_the_one_before)
{
    struct place place = place_new("race");
    struct writer *writers[2] = {writer_open(&place.opts), writer_open(&place.opts)};
    ck_assert_str_eq(writer_claim(writers[0]), "DELIVERED NONE");
    for (int round = 0; round < 20; round++) {
        struct writer *old = writers[round % 2];
        struct writer *new = writers[(round + 1) % 2];
        char *position = text("round %d", round);
        writer_put(old, place.orders, "a", position);
        acknowledged(old);
        writer_claim_begin(new);
        for (int turn = 0; turn < round && writer_claimed(new) == NULL; turn++) {
        }
        const char *answer = writer_save_begin(old, position);
        ck_assert_str_eq(answer, "TAKEN");
        while (writer_saved(old) == NULL || writer_claimed(new) == NULL) {
        }
        ck_assert_str_eq(writer_claimed(new), "DELIVERED NONE");
        char *found = writer_position(new);
        if (strcmp(writer_saved(old), "DELIVERED NONE") == 0)
            ck_assert_msg(found != NULL && strcmp(found, position) == 0, "%s", found);
    }
    writer_close(writers[0]);
    writer_close(writers[1]);
}
END_TEST

START_TEST(records_of_a_fenced_writer_are_refused)
{
    struct place place = place_new("fenced");
    struct writer *first = claimed(&place.opts);
    writer_put(first, place.orders, "a", "1");
    ck_assert_str_eq(writer_save(first, "first"), "DELIVERED NONE");
    struct writer *second = claimed(&place.opts);
    writer_put(first, place.orders, "a", "lost");
    wait_until((writer_turn(first), writer_refused(first) != NULL), "the record is not refused");
    ck_assert_str_eq(writer_refused(first), "HALT KAFKA_FENCED");
    ck_assert_ptr_nonnull(strstr(writer_detail(first), "took over"));
    wait_until((writer_turn(first), writer_failed(first) != NULL), "it does not fail");
    ck_assert_str_eq(writer_failed(first), "KAFKA_FENCED");
    writer_close(first);
    writer_close(second);
}
END_TEST

/* Another pipeline, server or slot is another writer. */
START_TEST(writers_of_other_slots_do_not_fence_each_other)
{
    struct place place = place_new("apart");
    struct writer *first = claimed(&place.opts);
    place.opts.slot = "walferry_other";
    struct writer *second = claimed(&place.opts);
    writer_put(first, place.orders, "a", "1");
    writer_put(second, place.orders, "a", "2");
    ck_assert_str_eq(writer_save(first, "first"), "DELIVERED NONE");
    ck_assert_str_eq(writer_save(second, "second"), "DELIVERED NONE");
    writer_close(first);
    writer_close(second);
}
END_TEST

/* The coordinator ended the transaction: to the writer it looks as if somebody took over. */
START_TEST(a_transaction_that_was_open_too_long_ends_the_writer)
{
    static const char *const settings[] = {"transaction.timeout.ms", "1000", NULL};
    struct kafka_server *kafka =
        kafka_start("transaction.abort.timed.out.transaction.cleanup.interval.ms=200\n");
    struct place place = place_on("late", kafka);
    place.opts.settings = settings;
    kafka_create_topic(kafka, place.orders, 1, NULL);
    struct consumer *consumer = consumer_new(&place.world, place.orders, NULL);
    struct writer *writer = claimed(&place.opts);
    writer_put(writer, place.orders, "a", "lost");
    acknowledged(writer);
    /* Is seen when the transaction before it has ended. */
    kafka_produce(kafka, place.orders, 0, "b", "after");
    consumer_expect(consumer, 1);
    ck_assert_str_eq(writer_save(writer, "late"), "HALT KAFKA_FENCED");
    ck_assert_ptr_nonnull(strstr(writer_detail(writer), "transaction.timeout.ms"));
    writer_close(writer);
    writer = claimed(&place.opts);
    ck_assert_ptr_null(writer_position(writer));
    writer_close(writer);
    consumer_exactly(consumer, 1);
    consumer_free(consumer);
    kafka_free(kafka);
}
END_TEST

/* --- commits in doubt --- */

/* The broker stands still when the records are written and the commit is still to come. */
static void freeze_before_the_commit(struct writer *writer, struct place *place)
{
    writer_put(writer, place->orders, "a", "1");
    ck_assert_str_eq(writer_save_begin(writer, "first"), "TAKEN");
    acknowledged(writer);
    ck_assert_int_eq(kill(place->world.kafka->pid, SIGSTOP), 0);
}

static void turn_for(struct writer *writer, int ms)
{
    for (uint64_t end = now_ms() + (uint64_t)ms; now_ms() < end;)
        writer_turn(writer);
}

static void doubted(struct writer *writer)
{
    wait_until(writer_saved(writer) != NULL, "%s", writer_detail(writer));
    ck_assert_str_eq(writer_saved(writer), "DELIVERED NONE");
    ck_assert_uint_eq(writer_delivered(writer), 1);
    ck_assert_ptr_nonnull(writer_failed(writer));
    ck_assert_str_eq(writer_failed(writer), "KAFKA_DOUBT");
}

static void goes_on(struct writer *writer, struct place *place)
{
    struct consumer *consumer = consumer_new(&place->world, place->orders, NULL);
    writer_reset(writer);
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    if (writer_position(writer) == NULL)
        writer_put(writer, place->orders, "a", "1");
    writer_put(writer, place->orders, "a", "2");
    ck_assert_str_eq(writer_save(writer, "second"), "DELIVERED NONE");
    ck_assert_ptr_null(writer_failed(writer));
    struct records records = consumer_exactly(consumer, 2);
    ck_assert_str_eq(records.items[0].value, "1");
    ck_assert_str_eq(records.items[1].value, "2");
    consumer_free(consumer);
}

START_TEST(after_a_commit_across_a_lost_connection_the_producer_is_replaced)
{
    struct kafka_server *kafka = kafka_start(NULL);
    struct place place = place_on("killed", kafka);
    struct writer *writer = claimed(&place.opts);
    freeze_before_the_commit(writer, &place);
    turn_for(writer, 500);
    kafka_kill(kafka);
    turn_for(writer, 500);
    ck_assert_ptr_null(writer_saved(writer));
    kafka_resume(kafka);
    doubted(writer);
    goes_on(writer, &place);
    writer_close(writer);
    kafka_free(kafka);
}
END_TEST

START_TEST(after_a_slow_commit_the_producer_is_replaced)
{
    static const char *const settings[] = {"socket.timeout.ms", "4000", NULL};
    struct kafka_server *kafka = kafka_start(NULL);
    struct place place = place_on("slow", kafka);
    place.opts.settings = settings;
    struct writer *writer = claimed(&place.opts);
    freeze_before_the_commit(writer, &place);
    turn_for(writer, 2800);
    ck_assert_ptr_null(writer_saved(writer));
    ck_assert_int_eq(kill(kafka->pid, SIGCONT), 0);
    doubted(writer);
    goes_on(writer, &place);
    writer_close(writer);
    kafka_free(kafka);
}
END_TEST

START_TEST(a_commit_without_an_answer_is_given_up_as_unknown)
{
    static const char *const settings[] = {"transaction.timeout.ms", "3000", NULL};
    struct kafka_server *kafka = kafka_start(NULL);
    struct place place = place_on("unknown", kafka);
    place.opts.settings = settings;
    struct writer *writer = claimed(&place.opts);
    freeze_before_the_commit(writer, &place);
    wait_until(writer_saved(writer) != NULL, "%s", writer_detail(writer));
    ck_assert_str_eq(writer_saved(writer), "RETRY KAFKA_DOUBT");
    ck_assert_uint_eq(writer_delivered(writer), 0);
    ck_assert_int_eq(kill(kafka->pid, SIGCONT), 0);
    goes_on(writer, &place);
    writer_close(writer);
    kafka_free(kafka);
}
END_TEST

/* --- brokers that die --- */

#define ROUND_RECORDS 60

enum kill_at { KILL_NEVER, KILL_IN_RECORDS, KILL_AT_SAVE, KILL_AT_COMMIT, KILL_MOMENTS };

static void kill_broker(struct kafka_server *kafka)
{
    kafka_kill(kafka);
    kafka_resume(kafka);
}

static bool in_trouble(struct writer *writer)
{
    return writer_failed(writer) != NULL || writer_refused(writer) != NULL;
}

/* False: it is not known that the round was committed. */
static bool write_round(struct writer *writer, struct place *place, int round, enum kill_at kill_at)
{
    for (int i = 0; i < ROUND_RECORDS; i++) {
        const char *answer;
        if (kill_at == KILL_IN_RECORDS && i == ROUND_RECORDS / 2)
            kill_broker(place->world.kafka);
        while (strcmp(answer = writer_offer(writer, place->orders, text("k%d", i % 7),
                                            text("%d", round * ROUND_RECORDS + i)),
                      "BUSY") == 0)
            writer_turn(writer);
        if (strcmp(answer, "TAKEN") != 0)
            return false;
    }
    if (strcmp(writer_save_begin(writer, text("round %d", round)), "TAKEN") != 0)
        return false;
    if (kill_at == KILL_AT_COMMIT)
        acknowledged(writer);
    if (kill_at == KILL_AT_SAVE || kill_at == KILL_AT_COMMIT)
        kill_broker(place->world.kafka);
    wait_until(writer_saved(writer) != NULL || in_trouble(writer), "%s", writer_detail(writer));
    return !in_trouble(writer) && strcmp(writer_saved(writer), "DELIVERED NONE") == 0;
}

static void each_once_and_in_order(struct place *place, int rounds)
{
    int last[7] = {-1, -1, -1, -1, -1, -1, -1};
    struct consumer *consumer = consumer_new(&place->world, place->orders, NULL);
    struct records records = consumer_exactly(consumer, (size_t)rounds * ROUND_RECORDS);
    for (size_t i = 0; i < records.count; i++) {
        int key = records.items[i].key[1] - '0';
        int value = (int)strtol(records.items[i].value, NULL, 10);
        ck_assert_msg(value > last[key], "%d after %d", value, last[key]);
        last[key] = value;
    }
    consumer_free(consumer);
}

START_TEST(killed_brokers_neither_lose_nor_repeat)
{
    static const char *const settings[] = {"transaction.timeout.ms", "20000", NULL};
    struct kafka_server *kafka = kafka_start(NULL);
    struct place place = place_on("deadly", kafka);
    place.opts.settings = settings;
    struct writer *writer = claimed(&place.opts);
    for (int round = 0; round < KILL_MOMENTS; round++) {
        enum kill_at kill_at = (enum kill_at)round;
        while (!write_round(writer, &place, round, kill_at)) {
            char *wanted = text("round %d", round);
            writer_close(writer);
            writer = claimed(&place.opts);
            char *found = writer_position(writer);
            if (found != NULL && strcmp(found, wanted) == 0)
                break;
            kill_at = KILL_NEVER;
        }
    }
    writer_close(writer);
    each_once_and_in_order(&place, KILL_MOMENTS);
    kafka_free(kafka);
}
END_TEST

/* --- rights --- */

static void allow(const struct kafka_server *kafka, const char *topic,
                  rd_kafka_AclOperation_t operation)
{
    char message[256];
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, kafka->address, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AclBinding_t *acl = rd_kafka_AclBinding_new(
        RD_KAFKA_RESOURCE_TOPIC, topic, RD_KAFKA_RESOURCE_PATTERN_LITERAL, "User:ANONYMOUS", "*",
        operation, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, message, sizeof message);
    REQUIRE(acl != NULL, "%s", message);
    rd_kafka_CreateAcls(client, &acl, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_MS);
    REQUIRE(event != NULL && rd_kafka_event_error(event) == 0, "no answer");
    size_t count;
    const rd_kafka_acl_result_t **results =
        rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &count);
    REQUIRE(count == 1 && rd_kafka_acl_result_error(results[0]) == NULL, "%s",
            rd_kafka_error_string(rd_kafka_acl_result_error(results[0])));
    rd_kafka_event_destroy(event);
    rd_kafka_AclBinding_destroy(acl);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

/* A right holds soon after it was given. */
static void claim_until(struct writer *writer, const char *answer, const char *before)
{
    while (strcmp(writer_claim(writer), before) == 0) {
    }
    ck_assert_str_eq(writer_claimed(writer), answer);
}

START_TEST(rights_that_are_missing_are_named)
{
    struct kafka_server *kafka = kafka_start(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
        "allow.everyone.if.no.acl.found=true\n");
    struct place place = place_on("rights", kafka);
    kafka_create_topic(kafka, place.positions, 1, "cleanup.policy=delete");
    struct writer *writer = writer_open(&place.opts);
    allow(kafka, place.positions, RD_KAFKA_ACL_OPERATION_DESCRIBE);
    claim_until(writer, "BLOCKED KAFKA_AUTH", "HALT KAFKA_POSITIONS");
    ck_assert_ptr_nonnull(strstr(writer_detail(writer), "kafka-acls.sh --add"));
    ck_assert_ptr_nonnull(strstr(writer_detail(writer), place.positions));
    /* Who may not see the policy of the topic has to trust. */
    allow(kafka, place.positions, RD_KAFKA_ACL_OPERATION_READ);
    claim_until(writer, "DELIVERED NONE", "BLOCKED KAFKA_AUTH");
    ck_assert_str_eq(writer_save(writer, "refused"), "BLOCKED KAFKA_AUTH");
    ck_assert_msg(strstr(writer_detail(writer), place.positions) != NULL, "%s",
                  writer_detail(writer));
    allow(kafka, place.positions, RD_KAFKA_ACL_OPERATION_WRITE);
    writer_reset(writer);
    ck_assert_str_eq(writer_claim(writer), "DELIVERED NONE");
    allow(kafka, place.orders, RD_KAFKA_ACL_OPERATION_CREATE);
    allow(kafka, place.orders, RD_KAFKA_ACL_OPERATION_DESCRIBE);
    writer_put(writer, place.orders, "a", "1");
    wait_until((writer_turn(writer), writer_refused(writer) != NULL), "it is not refused");
    ck_assert_str_eq(writer_refused(writer), "BLOCKED KAFKA_AUTH");
    ck_assert_msg(strstr(writer_detail(writer), place.orders) != NULL, "%s", writer_detail(writer));
    writer_reset(writer);
    allow(kafka, place.positions, RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS);
    claim_until(writer, "HALT KAFKA_POSITIONS", "DELIVERED NONE");
    writer_close(writer);
    kafka_free(kafka);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, records_are_seen_with_the_position_and_not_before);
    tcase_add_test(tests, a_stop_in_a_transaction_leaves_nothing_and_holds_nobody_up);
    tcase_add_test(tests, after_a_reset_the_next_claim_starts_clean);
    tcase_add_test(tests, transactions_of_many_records_need_no_more_memory_than_one);
    tcase_add_test(tests, the_position_is_the_newest_of_the_key_or_of_the_pipeline);
    tcase_add_test(tests, positions_stay_in_partition_0);
    tcase_add_test(tests, rows_may_not_write_positions);
    tcase_add_test(tests, an_open_transaction_of_another_producer_is_waited_for_and_named);
    tcase_add_test(tests, a_topic_that_forgets_is_refused);
    tcase_add_test(tests, a_missing_topic_is_waited_for_when_it_may_not_be_made);
    tcase_add_test(tests, a_topic_that_was_made_before_is_one_that_keeps);
    tcase_add_test(tests, without_transactions_the_position_is_saved_alone);
    tcase_add_test(tests, a_second_claim_fences_the_first);
    tcase_add_test(tests, a_claim_never_misses_a_commit_of_the_one_before);
    tcase_add_test(tests, records_of_a_fenced_writer_are_refused);
    tcase_add_test(tests, writers_of_other_slots_do_not_fence_each_other);
    tcase_add_test(tests, a_transaction_that_was_open_too_long_ends_the_writer);
    tcase_add_test(tests, after_a_commit_across_a_lost_connection_the_producer_is_replaced);
    tcase_add_test(tests, after_a_slow_commit_the_producer_is_replaced);
    tcase_add_test(tests, a_commit_without_an_answer_is_given_up_as_unknown);
    tcase_add_test(tests, killed_brokers_neither_lose_nor_repeat);
    tcase_add_test(tests, rights_that_are_missing_are_named);
}

static const struct e2e_suite suite = {"transactions", NEEDS_KAFKA, add};

E2E_MAIN(&suite)
