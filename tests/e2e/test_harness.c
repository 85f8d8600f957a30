/* SPDX-License-Identifier: Apache-2.0 */
/* The instruments themselves: servers keep their data, the consumer sees all that is there and the
 * oracle knows the order of commit. Tests that rest on them are worth no more than they are. */
#include <string.h>

#include "harness.h"

START_TEST(a_killed_server_comes_back_with_its_rows)
{
    struct pg_server *pg = pg_start("fsync = on\n");
    struct world *world = world_new_on("rows", pg, NULL);
    sql(world, "CREATE TABLE t (a int)");
    sql(world, "INSERT INTO t VALUES (1)");
    pg_stop(pg, PG_KILL);
    pg_resume(pg);
    world_reconnect(world);
    ck_assert_int_eq(sql_number(world, "SELECT a FROM t"), 1);
    pg_stop(pg, PG_FAST);
    struct pg_server *twin = pg_copy(pg, NULL);
    pg_resume(twin);
    PGconn *session = pg_session(twin, world->name);
    ck_assert_str_eq(PQgetvalue(sql_on(session, "SELECT a FROM t"), 0, 0), "1");
    PQfinish(session);
    pg_free(twin);
    world_free(world);
    pg_free(pg);
}
END_TEST

START_TEST(a_killed_broker_comes_back_with_its_records)
{
    struct kafka_server *kafka = kafka_start("num.partitions=1\n");
    struct world *world = world_new_on("broker", shared_pg(), kafka);
    char *topic = world_topic(world, "a");
    kafka_create_topic(kafka, topic, 1, "cleanup.policy=compact");
    kafka_produce(kafka, topic, 0, "k", "v");
    kafka_kill(kafka);
    kafka_resume(kafka);
    struct consumer *consumer = consumer_new(world, topic, NULL);
    ck_assert_str_eq(consumer_exactly(consumer, 1).items[0].value, "v");
    kafka_stop(kafka);
    kafka_resume(kafka);
    kafka_produce(kafka, topic, 0, "k", "w");
    ck_assert_str_eq(consumer_exactly(consumer, 2).items[1].value, "w");
    consumer_free(consumer);
    world_free(world);
    kafka_free(kafka);
}
END_TEST

START_TEST(the_consumer_tells_null_from_empty_and_waits_for_topics)
{
    struct world *world = world_new("consumer");
    char *early = world_topic(world, "early");
    char *late = world_topic(world, "late");
    kafka_create_topic(world->kafka, early, 2, NULL);
    struct consumer *consumer = consumer_new(world, early, late, NULL);
    ck_assert_uint_eq(consumer_drain(consumer).count, 0);
    ck_assert(!kafka_topic_exists(world->kafka, late));
    kafka_create_topic(world->kafka, late, 1, NULL);
    ck_assert(kafka_topic_exists(world->kafka, late));
    kafka_produce(world->kafka, early, 1, NULL, "");
    kafka_produce(world->kafka, late, 0, "", NULL);
    struct records records = consumer_exactly(consumer, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct kafka_record *record = &records.items[i];
        bool is_late = strcmp(record->topic, late) == 0;
        ck_assert_int_eq(record->partition, is_late ? 0 : 1);
        ck_assert(is_late == (record->value == NULL));
        ck_assert(is_late == (record->key != NULL));
    }
    consumer_free(consumer);
    world_free(world);
}
END_TEST

#define FIRST  "00000000-0000-0000-0000-000000000001"
#define SECOND "00000000-0000-0000-0000-000000000002"

static void insert(PGconn *db, const char *id)
{
    PQclear(sql_on(db, text("INSERT INTO box VALUES ('%s', 'it''s')", id)));
}

static struct kafka_record record_of(const char *id, int64_t offset)
{
    static struct header headers[4];
    struct header *header = &headers[offset];
    *header = (struct header){.name = text("id"), .value = text("%s", id)};
    return (struct kafka_record){
        .topic = text("t"), .offset = offset, .headers = header, .header_count = 1};
}

static bool accepts(struct oracle *oracle, struct kafka_record *items, size_t count, int duplicates)
{
    struct records records = {.items = items, .count = count};
    return oracle_fault(oracle, records, duplicates) == NULL;
}

START_TEST(the_oracle_finds_every_fault)
{
    struct world *world = world_new("oracle");
    sql(world, "CREATE TABLE box (id uuid, aggregate_id text)");
    struct oracle *oracle = oracle_new(world, "public.box");
    PGconn *other = world_connect(world);
    PQclear(sql_on(other, "BEGIN"));
    insert(other, SECOND);
    insert(world->db, FIRST);
    PQclear(sql_on(other, "COMMIT"));
    PQfinish(other);
    oracle_read(oracle);
    ck_assert_uint_eq(oracle->count, 2);
    ck_assert_str_eq(oracle->rows[0].id, FIRST);
    ck_assert_str_eq(oracle->rows[0].key, "it's");
    struct kafka_record right[] = {record_of(FIRST, 0), record_of(SECOND, 1), record_of(FIRST, 2)};
    ck_assert(accepts(oracle, right, 2, EXACTLY_ONCE_EACH));
    ck_assert(accepts(oracle, right, 3, DUPLICATES_ALLOWED));
    ck_assert(!accepts(oracle, right, 3, EXACTLY_ONCE_EACH));
    ck_assert(!accepts(oracle, right, 1, DUPLICATES_ALLOWED));
    struct kafka_record turned[] = {record_of(SECOND, 0), record_of(FIRST, 1)};
    ck_assert(!accepts(oracle, turned, 2, DUPLICATES_ALLOWED));
    struct kafka_record apart[] = {record_of(FIRST, 0), record_of(SECOND, 1)};
    apart[1].partition = 1;
    ck_assert(!accepts(oracle, apart, 2, DUPLICATES_ALLOWED));
    struct kafka_record foreign[] = {record_of(FIRST, 0), record_of(SECOND, 1),
                                     record_of("00000000-0000-0000-0000-000000000003", 2)};
    ck_assert(!accepts(oracle, foreign, 3, DUPLICATES_ALLOWED));
    oracle_free(oracle);
    world_free(world);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_killed_server_comes_back_with_its_rows);
    tcase_add_test(tests, a_killed_broker_comes_back_with_its_records);
    tcase_add_test(tests, the_consumer_tells_null_from_empty_and_waits_for_topics);
    tcase_add_test(tests, the_oracle_finds_every_fault);
}

static const struct e2e_suite harness = {"harness", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&harness)
