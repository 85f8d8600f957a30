/* SPDX-License-Identifier: Apache-2.0 */
#include "once.h"

#include <string.h>

#include "harness.h"

void once_set_up(struct once *scene, enum mode mode, const char *source, const char *delivery,
                 const char *kafka)
{
    struct world *world = scene->world;
    scene->relay = relay_new(world, mode_config(mode, source, delivery, kafka));
    relay_begin(scene->relay);
    scene->oracle = oracle_new(world, "outbox.event");
    scene->committed = consumer_new(world, world_topic(world, "order"), NULL);
    scene->everything = consumer_new_uncommitted(world, world_topic(world, "order"));
    scene->positions = consumer_new(world, world_topic(world, "checkpoints"), NULL);
}

struct once once_on(const char *label, struct pg_server *pg, struct kafka_server *kafka,
                    const char *delivery)
{
    struct once scene = {.world = world_new_on(label, pg, kafka)};
    once_set_up(&scene, MODE_ONCE, "", delivery, "");
    return scene;
}

struct once once_new(const char *label, const char *delivery)
{
    return once_on(label, shared_pg(), shared_kafka(), delivery);
}

struct once once_long(const char *label, const char *source)
{
    struct once scene = {.world = world_new(label)};
    once_set_up(&scene, MODE_ONCE, source, LONG, LONG_TIMEOUT);
    return scene;
}

size_t once_committed(const struct once *scene)
{
    return consumer_drain(scene->committed).count;
}

size_t once_everything(const struct once *scene)
{
    return consumer_drain(scene->everything).count;
}

void once_free(struct once *scene)
{
    oracle_free(scene->oracle);
    consumer_free(scene->committed);
    consumer_free(scene->everything);
    consumer_free(scene->positions);
    relay_free(scene->relay);
    world_free(scene->world);
}

void once_end(struct once *scene)
{
    wait_rows_confirmed(scene->oracle);
    relay_wait_ready(scene->relay);
    relay_stop(scene->relay);
    struct records records = consumer_drain(scene->committed);
    oracle_compare(scene->oracle, records, EXACTLY_ONCE_EACH);
    expect_unique(records);
    once_free(scene);
}

size_t once_positions(const struct once *scene, struct saved *ret_positions)
{
    const char *key = position_key(scene->world);
    struct records records = consumer_drain(scene->positions);
    size_t count = 0;
    for (size_t i = 0; i < records.count; i++) {
        if (records.items[i].key == NULL || strcmp(records.items[i].key, key) != 0)
            continue;
        REQUIRE(count < POSITIONS_MAX, "too many positions");
        ret_positions[count++] = parse_checkpoint(records.items[i].value);
    }
    return count;
}

size_t once_count_positions(const struct once *scene)
{
    static struct saved positions[POSITIONS_MAX];
    return once_positions(scene, positions);
}
