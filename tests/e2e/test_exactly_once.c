/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.guarantee: exactly_once, as a consumer that reads committed records sees it, and as one
 * sees it that reads everything. Relays, databases and brokers that go away are in
 * test_once_faults.c, kills at random in tests/kill; the sink alone is in test_transactions.c. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "once.h"

static void insert(struct world *world, int count)
{
    insert_orders(world->db, count, 7);
}

/* ---- what consumers see -------------------------------------------------------------------- */

/* A start may save where it stands. */
static void expect_no_events(const struct once *scene)
{
    static struct saved positions[POSITIONS_MAX];
    size_t count = once_positions(scene, positions);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(positions[i].events, 0);
}

START_TEST(open_transaction_is_not_seen_and_a_killed_one_never)
{
    struct once scene = once_long("unseen", "");
    insert(scene.world, 20);
    for (size_t i = 1; i <= 3; i++) {
        /* Written, and not committed. */
        wait_until(once_everything(&scene) == i * 20, "nothing is written");
        ck_assert_uint_eq(once_committed(&scene), 0);
        expect_no_events(&scene);
        relay_kill(scene.relay);
        relay_start(scene.relay, NULL);
    }
    wait_until(once_everything(&scene) == 80, "nothing is written");
    relay_stop(scene.relay);
    ck_assert_uint_eq(once_committed(&scene), 20);
    ck_assert_uint_eq(once_everything(&scene), 80);
    relay_start(scene.relay, NULL);
    once_end(&scene);
}
END_TEST

START_TEST(transactions_of_the_database_are_grouped_by_time)
{
    static struct saved positions[POSITIONS_MAX];
    struct once scene = once_new("grouped", ", commit_interval: 2s");
    insert(scene.world, 1);
    consumer_expect(scene.committed, 1);
    for (int i = 0; i < 300; i++)
        insert(scene.world, 3);
    consumer_exactly(scene.committed, 901);
    size_t count = once_positions(&scene, positions);
    REQUIRE(count >= 2 && count < 100, "%zu transactions of Kafka for 301 of PostgreSQL", count);
    for (size_t i = 0; i < count; i++) {
        REQUIRE(positions[i].partial.lsn == 0, "a transaction of three rows was split");
        REQUIRE(positions[i].events == 0 || positions[i].events % 3 == 1, "%llu events",
                (unsigned long long)positions[i].events);
    }
    ck_assert_uint_eq(positions[count - 1].events, 901);
    once_end(&scene);
}
END_TEST

START_TEST(stop_commits_at_once)
{
    struct once scene = once_long("drain", "");
    insert(scene.world, 50);
    wait_until(once_everything(&scene) == 50, "nothing is written");
    ck_assert_uint_eq(once_committed(&scene), 0);
    relay_stop(scene.relay);
    ck_assert_uint_eq(once_committed(&scene), 50);
    ck_assert_uint_eq(once_everything(&scene), 50);
    relay_start(scene.relay, NULL);
    insert(scene.world, 1);
    wait_until(once_everything(&scene) == 51, "it does not go on");
    relay_stop(scene.relay);
    ck_assert_uint_eq(once_everything(&scene), 51);
    relay_start(scene.relay, NULL);
    once_end(&scene);
}
END_TEST

/* ---- the position -------------------------------------------------------------------------- */

static void expect_line(const char *value, const char *line)
{
    REQUIRE(strstr(text("\n%s", value), text("\n%s\n", line)) != NULL, "no line \"%s\" in:\n%s",
            line, value);
}

START_TEST(position_says_whose_it_is_and_is_chained)
{
    static struct saved positions[POSITIONS_MAX];
    static const char *const names[] = {
        "lsn=",  "partial_commit_lsn=", "partial_index=", "chain=",
        "host=", "sequence=",           "saved_at=",      "crc32c="};
    struct once scene = once_new("position", ", commit_interval: 10ms");
    for (int i = 0; i < 5; i++) {
        insert(scene.world, 2);
        consumer_exactly(scene.committed, (size_t)(i + 1) * 2);
    }
    struct records records = consumer_drain(scene.positions);
    const struct kafka_record *record = &records.items[records.count - 1];
    ck_assert_int_eq(record->partition, 0);
    ck_assert_str_eq(record->key, position_key(scene.world));
    expect_line(record->value, text("pipeline=%s", scene.world->name));
    expect_line(record->value, text("slot=%s", scene.world->slot));
    expect_line(record->value,
                text("system_identifier=%s",
                     sql_value(scene.world, "SELECT system_identifier FROM pg_control_system()")));
    expect_line(record->value, "timeline=1");
    expect_line(record->value, "events=10");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        REQUIRE(strstr(record->value, text("\n%s", names[i])) != NULL, "no %s in:\n%s", names[i],
                record->value);
    char *sum = strstr(record->value, "crc32c=");
    ck_assert_str_eq(sum,
                     text("crc32c=%08x\n", crc32c(record->value, (size_t)(sum - record->value))));
    size_t count = once_positions(&scene, positions);
    REQUIRE(count >= 5, "%zu positions for 5 transactions", count);
    for (size_t i = 1; i < count; i++) {
        REQUIRE(positions[i].previous == positions[i - 1].lsn, "position %zu is not chained", i);
        REQUIRE(positions[i].sequence == positions[i - 1].sequence + 1, "a number is left out");
        REQUIRE(positions[i].chain != positions[i - 1].chain ||
                    positions[i].events == positions[i - 1].events,
                "the chain stands still");
    }
    once_end(&scene);
}
END_TEST

START_TEST(idle_relay_makes_no_transactions)
{
    struct once scene = once_new("idle", "");
    insert(scene.world, 1);
    consumer_exactly(scene.committed, 1);
    wait_rows_confirmed(scene.oracle);
    size_t before = once_count_positions(&scene);
    sql(scene.world, "CREATE TABLE elsewhere (n int, fill text)");
    /* Other work, which the relay is told of. */
    for (int i = 0; i < 30; i++) {
        sql(scene.world, "INSERT INTO elsewhere VALUES (%d, 'x')", i);
        pause_ms(100);
    }
    ck_assert_uint_eq(once_count_positions(&scene), before);
    /* And much of it: then the slot must not fall behind. */
    const char *start = sql_value(scene.world, "SELECT pg_current_wal_insert_lsn()");
    sql(scene.world, "INSERT INTO elsewhere SELECT i, repeat('x', 500) FROM generate_series(1, "
                     "60000) AS i");
    wait_until(sql_number(scene.world,
                          "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '%s' AND "
                          "confirmed_flush_lsn > '%s'::pg_lsn + 16777216",
                          scene.world->slot, start) == 1,
               "the slot does not advance");
    size_t after = once_count_positions(&scene);
    REQUIRE(after > before && after <= before + 4, "%zu positions more", after - before);
    once_end(&scene);
}
END_TEST

/* ---- large transactions -------------------------------------------------------------------- */

#define LIMIT 50
#define LARGE 60000

START_TEST(large_transaction_is_split_and_resumed_at_its_place)
{
    static struct saved positions[POSITIONS_MAX];
    struct once scene = once_new("split", text(", max_in_flight_events: %d", LIMIT));
    insert(scene.world, LARGE);
    size_t seen = 0;
    for (size_t kill = 1; kill <= 3; kill++) {
        relay_wait_counter(scene.relay, "published", LIMIT);
        relay_kill(scene.relay);
        seen = once_committed(&scene);
        relay_start(scene.relay, NULL);
    }
    REQUIRE(seen < LARGE, "the kills came too late");
    consumer_exactly(scene.committed, LARGE);
    size_t count = once_positions(&scene, positions);
    size_t partial = 0;
    for (size_t i = 0; i < count; i++)
        partial += positions[i].partial.lsn != 0 ? 1 : 0;
    REQUIRE(partial >= LARGE / LIMIT - 1, "%zu positions inside the transaction", partial);
    /* What was committed was not even sent again. */
    REQUIRE(once_everything(&scene) <= LARGE + 3 * LIMIT, "%zu records were sent for %d events",
            once_everything(&scene), LARGE);
    once_end(&scene);
}
END_TEST

START_TEST(what_is_not_large_is_whole_though_much_is_waiting)
{
    enum { MOST = 2000, ROWS = MOST / 2 };
    struct once scene = once_new("whole", text(", max_in_flight_events: %d", MOST));
    relay_stop(scene.relay);
    static const int sizes[] = {1, 700, ROWS, 3, ROWS, ROWS, 999, 40, ROWS, 1, ROWS, 500};
    size_t total = 0;
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof sizes[0]; i++) {
        int size = sizes[i % (sizeof sizes / sizeof sizes[0])];
        insert(scene.world, size);
        total += (size_t)size;
    }
    relay_start(scene.relay, NULL);
    consumer_exactly(scene.committed, total);
    static struct saved positions[POSITIONS_MAX];
    size_t count = once_positions(&scene, positions);
    for (size_t i = 0; i < count; i++)
        REQUIRE(positions[i].partial.lsn == 0, "a transaction was split at event %u of it",
                positions[i].partial.index);
    once_end(&scene);
}
END_TEST
/* ---- rows that cannot be published --------------------------------------------------------- */

static void insert_poison(struct world *world, const char *id)
{
    sql(world,
        "INSERT INTO outbox.event (id, aggregate_type, aggregate_id, event_type, payload, topic) "
        "VALUES ('%s', 'order', 'k1', 'order.placed', '1', 'no such/topic')",
        id);
}

START_TEST(dead_letter_is_in_the_transaction)
{
    static const char poison[] = "00000000-0000-4000-8000-000000000001";
    struct once scene = once_long("letter", "");
    const char *topic = text("%s.dead-letter", scene.world->name);
    struct consumer *letters = consumer_new(scene.world, topic, NULL);
    struct consumer *all_letters = consumer_new_uncommitted(scene.world, topic);
    sql(scene.world, "BEGIN");
    insert(scene.world, 10);
    insert_poison(scene.world, poison);
    insert(scene.world, 10);
    sql(scene.world, "COMMIT");
    for (size_t i = 1; i <= 2; i++) {
        wait_until(once_everything(&scene) == 20 * i, "nothing is written");
        wait_until(consumer_drain(all_letters).count == i, "no letter is written");
        ck_assert_uint_eq(once_committed(&scene), 0);
        ck_assert_uint_eq(consumer_drain(letters).count, 0);
        relay_kill(scene.relay);
        relay_start(scene.relay, NULL);
    }
    wait_until(once_everything(&scene) == 60, "nothing is written");
    relay_stop(scene.relay);
    ck_assert_uint_eq(once_committed(&scene), 20);
    struct records records = consumer_exactly(letters, 1);
    ck_assert_str_eq(received_header(&records.items[0], "walferry_event_id"), poison);
    /* The next start begins behind it. */
    relay_start(scene.relay, NULL);
    insert(scene.world, 1);
    wait_until(once_everything(&scene) == 61, "it does not go on");
    relay_stop(scene.relay);
    ck_assert_uint_eq(once_committed(&scene), 21);
    ck_assert_uint_eq(consumer_drain(letters).count, 1);
    consumer_free(letters);
    consumer_free(all_letters);
    once_free(&scene);
}
END_TEST

/* The broker refuses a batch for one record of it; nothing of the rest comes twice or is lost. */
START_TEST(record_that_the_broker_refuses_is_found_out)
{
    struct once scene = {.world = world_new("isolated")};
    const char *topic = world_topic(scene.world, "order");
    kafka_create_topic(scene.world->kafka, topic, 3, "max.message.bytes=3000");
    once_set_up(&scene, MODE_ONCE, "", ", commit_interval: 50ms", "");
    struct consumer *letters =
        consumer_new(scene.world, text("%s.dead-letter", scene.world->name), NULL);
    relay_stop(scene.relay);
    size_t good = 0;
    for (int i = 0; i < 4; i++) {
        insert(scene.world, 4);
        good += 4;
        if (i % 2 == 1)
            sql(scene.world,
                "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) "
                "SELECT 'order', 'k1', 'order.placed', json_build_object('fill', "
                "string_agg(md5(i::text), '')) FROM generate_series(1, 200) AS i");
    }
    relay_start(scene.relay, NULL);
    consumer_exactly(scene.committed, good);
    consumer_exactly(letters, 2);
    expect_unique(consumer_drain(scene.committed));
    wait_rows_confirmed(scene.oracle);
    relay_stop(scene.relay);
    ck_assert_uint_eq(once_committed(&scene), good);
    ck_assert_uint_eq(consumer_drain(letters).count, 2);
    consumer_free(letters);
    once_free(&scene);
}
END_TEST

/* ---- from one guarantee to the other ------------------------------------------------------- */

START_TEST(guarantee_can_be_changed_after_a_stop)
{
    static const enum mode modes[] = {MODE_ONCE, MODE_KAFKA, MODE_ONCE, MODE_SLOT};
    struct once scene = {.world = world_new("changed")};
    once_set_up(&scene, MODE_FILE, "", "", "");
    insert(scene.world, 10);
    consumer_exactly(scene.committed, 10);
    relay_stop(scene.relay);
    size_t count = 10;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        relay_rewrite(scene.relay, mode_config(modes[i], "", "", ""));
        insert(scene.world, 10);
        relay_start(scene.relay, NULL);
        relay_wait_ready(scene.relay);
        count += 10;
        consumer_exactly(scene.committed, count);
        relay_stop(scene.relay);
    }
    /* A store that was left is behind the slot by now, and that is seen. */
    relay_rewrite(scene.relay, mode_config(MODE_FILE, "", "", ""));
    relay_start(scene.relay, NULL);
    ck_assert_int_eq(relay_wait(scene.relay), 66);
    const char *said = relay_errors(scene.relay);
    REQUIRE(strstr(said, "WF-3004") != NULL, "no WF-3004 in:\n%s", said);
    relay_rewrite(scene.relay, mode_config(MODE_SLOT, "", "", ""));
    relay_start(scene.relay, NULL);
    relay_wait_ready(scene.relay);
    once_end(&scene);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, open_transaction_is_not_seen_and_a_killed_one_never);
    tcase_add_test(tests, transactions_of_the_database_are_grouped_by_time);
    tcase_add_test(tests, stop_commits_at_once);
    tcase_add_test(tests, position_says_whose_it_is_and_is_chained);
    tcase_add_test(tests, idle_relay_makes_no_transactions);
    tcase_add_test(tests, large_transaction_is_split_and_resumed_at_its_place);
    tcase_add_test(tests, what_is_not_large_is_whole_though_much_is_waiting);
    tcase_add_test(tests, dead_letter_is_in_the_transaction);
    tcase_add_test(tests, record_that_the_broker_refuses_is_found_out);
    tcase_add_test(tests, guarantee_can_be_changed_after_a_stop);
}

static const struct e2e_suite exactly_once = {"exactly_once", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&exactly_once)
