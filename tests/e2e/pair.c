/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include "harness.h"
#include "load.h"

static const struct {
    const char *name;
    const char *waits;
    const char *delivery;
    const char *checkpoint;
} modes[] = {
    [MODE_FILE] = {"file", "WF-7003", "", "directory: \"@DIR@/state\", interval: 200ms"},
    [MODE_SLOT] = {"slot", "WF-3005", "", "store: slot, interval: 200ms"},
    [MODE_KAFKA] = {"kafka", "WF-3005", "",
                    "store: kafka, topic: \"@NAME@.checkpoints\", interval: 200ms"},
    [MODE_ONCE] = {"once", "WF-3005", ", guarantee: exactly_once", "topic: \"@NAME@.checkpoints\""},
};

const char *mode_name(enum mode mode)
{
    return modes[mode].name;
}

const char *mode_waits(enum mode mode)
{
    return modes[mode].waits;
}

char *mode_config(enum mode mode, const char *source, const char *delivery, const char *kafka)
{
    return text("version: 1\n"
                "name: @NAME@\n"
                "source: {conninfo: \"@CONNINFO@\", status_interval: 1s%s}\n"
                "capture: [{outbox: outbox.event}]\n"
                "route: {topic: \"@NAME@.${aggregate_type}\"}\n"
                "delivery: {drain_timeout: 20s%s%s}\n"
                "sink: {kafka: {bootstrap.servers: \"@KAFKA@\", reconnect.backoff.max.ms: "
                "500%s}}\n"
                "checkpoint: {%s}\n"
                "http: {listen: \"@HTTP@\"}\n"
                "log: {format: json, level: info}\n",
                source, modes[mode].delivery, delivery, kafka, modes[mode].checkpoint);
}

struct pair pair_new_on(enum mode mode, struct pg_server *pg, const char *source,
                        const char *delivery)
{
    struct pair pair = {.mode = mode, .world = world_new_on(mode_name(mode), pg, shared_kafka())};
    const char *config = mode_config(mode, source, delivery, "");
    pair.first = relay_new(pair.world, config);
    pair.second = relay_new(pair.world, config);
    relay_begin(pair.first);
    pair.oracle = oracle_new(pair.world, "outbox.event");
    pair.consumer = consumer_new(pair.world, world_topic(pair.world, "order"), NULL);
    return pair;
}

struct pair pair_new(enum mode mode, const char *source, const char *delivery)
{
    return pair_new_on(mode, shared_pg(), source, delivery);
}

char *position_key(struct world *world)
{
    return text("%s/%s/%s", world->name,
                sql_value(world, "SELECT system_identifier FROM pg_control_system()"), world->slot);
}

void pair_expect_more(const struct pair *pair, size_t count)
{
    consumer_expect(pair->consumer, consumer_drain(pair->consumer).count + count);
}

void wait_rows_confirmed(struct oracle *oracle)
{
    struct world *world = oracle->world;
    oracle_read(oracle);
    uint64_t end = oracle->count == 0 ? 0 : oracle->rows[oracle->count - 1].end;
    const char *ask = text("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = "
                           "'%s'",
                           world->slot);
    wait_until(parse_lsn(sql_value(world, "%s", ask)) >= end, "slot %s stays at %s, before %llX",
               world->slot, sql_value(world, "%s", ask), (unsigned long long)end);
}

void pair_end(struct pair *pair)
{
    wait_rows_confirmed(pair->oracle);
    if (relay_running(pair->first))
        relay_stop(pair->first);
    if (relay_running(pair->second))
        relay_stop(pair->second);
    struct records records = consumer_drain(pair->consumer);
    oracle_compare(pair->oracle, records,
                   pair->mode == MODE_ONCE ? EXACTLY_ONCE_EACH : DUPLICATES_ALLOWED);
    oracle_free(pair->oracle);
    consumer_free(pair->consumer);
    relay_free(pair->first);
    relay_free(pair->second);
    world_free(pair->world);
}
