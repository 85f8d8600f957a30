/* SPDX-License-Identifier: Apache-2.0 */
#include "lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

/* Reconnections that do not wait long, so that a run has many of them. */
static const char config[] = "version: 1\n"
                             "name: %s\n"
                             "source: {conninfo: \"@CONNINFO@\", status_interval: 1s}\n"
                             "capture: [{outbox: outbox.event}]\n"
                             "route: {topic: \"%s.${aggregate_type}\"}\n"
                             "delivery: {max_in_flight_events: %d%s}\n"
                             "sink:\n"
                             "  kafka:\n"
                             "    bootstrap.servers: \"@KAFKA@\"\n"
                             "    reconnect.backoff.max.ms: 500\n"
                             "    socket.timeout.ms: 10000\n"
                             "checkpoint: {%s, interval: 300ms}\n"
                             "http: {listen: \"@HTTP@\"}\n"
                             "log: {format: json, level: info}\n";

static const struct {
    const char *name;
    const char *delivery;
    const char *checkpoint;
} modes[] = {
    [MODE_FILE] = {"file", "", "directory: \"@DIR@/state\""},
    [MODE_KAFKA] = {"kafka", "", "store: kafka, topic: @NAME@.checkpoints"},
    [MODE_SLOT] = {"slot", "", "store: slot"},
    [MODE_EXACTLY_ONCE] = {"exactly_once", ", guarantee: exactly_once",
                           "topic: @NAME@.checkpoints"},
};

const char *mode_name(enum mode mode)
{
    return modes[mode].name;
}

struct lane *lane_new(struct world *world, enum mode mode)
{
    struct lane *lane = calloc(1, sizeof *lane);
    REQUIRE(lane != NULL, "out of memory");
    lane->mode = mode;
    lane->name = modes[mode].name;
    lane->world = world;
    snprintf(lane->pipeline, sizeof lane->pipeline, "%s_%s", world->name, lane->name);
    snprintf(lane->slot, sizeof lane->slot, "walferry_%s", lane->pipeline);
    snprintf(lane->topic, sizeof lane->topic, "%s.order", lane->pipeline);
    lane->relay = relay_new(world, text(config, lane->pipeline, lane->pipeline, IN_FLIGHT_MAX,
                                        modes[mode].delivery, modes[mode].checkpoint));
    REQUIRE(relay_command(lane->relay, "init", NULL) == 0, "%s", relay_errors(lane->relay));
    lane->consumer = consumer_new(world, lane->topic, NULL);
    const char *positions = world_topic(world, "checkpoints");
    /* Both write to one partition: what is written while the other's transaction is open would come
     * late to a reader of what is committed. */
    if (mode == MODE_KAFKA)
        lane->positions = consumer_new_uncommitted(world, positions);
    else if (mode == MODE_EXACTLY_ONCE)
        lane->positions = consumer_new(world, positions, NULL);
    return lane;
}

void lane_free(struct lane *lane)
{
    consumer_free(lane->consumer);
    if (lane->positions != NULL)
        consumer_free(lane->positions);
    relay_free(lane->relay);
    free(lane->notes);
    free(lane);
}

/* ---- what is known ------------------------------------------------------------------------- */

static void note(struct lane *lane, struct note note)
{
    lane->notes = reallocarray(lane->notes, lane->note_count + 1, sizeof *lane->notes);
    REQUIRE(lane->notes != NULL, "out of memory");
    note.seen = lane->seen;
    lane->notes[lane->note_count++] = note;
}

static struct saved of_file(const struct lane *lane)
{
    const char *path = text("%s/state/%s.checkpoint", lane->world->dir, lane->pipeline);
    char *content = read_file(path);
    struct saved saved = parse_checkpoint(content);
    free(content);
    return saved;
}

/* Its own among those of all lanes. */
static struct saved of_topic(struct lane *lane)
{
    const char *key = text("%s/", lane->pipeline);
    struct records records = consumer_drain(lane->positions);
    for (size_t i = records.count; i-- > 0;) {
        const struct kafka_record *record = &records.items[i];
        if (record->key != NULL && strncmp(record->key, key, strlen(key)) == 0)
            return parse_checkpoint(record->value);
    }
    return (struct saved){0};
}

static uint64_t ask_confirmed(struct lane *lane)
{
    const char *lsn = sql_value(
        lane->world, "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '%s'",
        lane->slot);
    REQUIRE(lsn != NULL, "%s: the slot is gone", lane->name);
    return parse_lsn(lsn);
}

static int compare_saved(struct saved a, struct saved b)
{
    if (a.lsn != b.lsn)
        return a.lsn < b.lsn ? -1 : 1;
    return place_compare(a.partial, b.partial);
}

static void learn_durable(struct lane *lane, struct saved found)
{
    REQUIRE(compare_saved(found, lane->durable) >= 0,
            "%s: the checkpoint went back from %llX to %llX", lane->name,
            (unsigned long long)lane->durable.lsn, (unsigned long long)found.lsn);
    lane->durable = found;
}

static void update_durable(struct lane *lane, bool pg_runs, bool kafka_runs)
{
    if (lane->mode == MODE_FILE)
        learn_durable(lane, of_file(lane));
    else if (lane->mode == MODE_SLOT && pg_runs)
        lane->durable = (struct saved){.lsn = ask_confirmed(lane)};
    else if (lane->positions != NULL && kafka_runs)
        learn_durable(lane, of_topic(lane));
}

static void drain(struct lane *lane)
{
    lane->seen = consumer_drain(lane->consumer).count;
}

void lane_sample(struct lane *lane)
{
    lane->confirmed = ask_confirmed(lane);
    update_durable(lane, true, true);
    REQUIRE(lane->confirmed <= lane->durable.lsn || lane->durable.sequence == 0,
            "%s: confirmed %llX, and only %llX is durable", lane->name,
            (unsigned long long)lane->confirmed, (unsigned long long)lane->durable.lsn);
    uint64_t durable = lane->durable.lsn;
    drain(lane);
    lane->samples++;
    /* The broker says that a transaction is committed before its records can be read. */
    if (lane->mode != MODE_EXACTLY_ONCE)
        note(lane, (struct note){.kind = NOTE_CLAIM,
                                 .lsn = durable > lane->confirmed ? durable : lane->confirmed});
}

bool lane_moved(const struct lane *lane)
{
    return lane->seen > lane->seen_at_start;
}

/* ---- the relay ----------------------------------------------------------------------------- */

void lane_start(struct lane *lane, bool pg_runs, bool kafka_runs)
{
    if (kafka_runs)
        drain(lane);
    update_durable(lane, pg_runs, kafka_runs);
    note(lane, (struct note){.kind = NOTE_START, .drained = kafka_runs, .durable = lane->durable});
    lane->seen_at_start = lane->seen;
    relay_start(lane->relay, NULL);
}

void lane_kill(struct lane *lane, bool kafka_runs)
{
    relay_kill(lane->relay);
    lane->kills++;
    if (kafka_runs)
        drain(lane);
}

void lane_tend(struct lane *lane, bool pg_runs, bool kafka_runs)
{
    if (relay_running(lane->relay))
        return;
    REQUIRE(lane->relay->status == 75, "%s: the relay ended with status %d:\n%s", lane->name,
            lane->relay->status, relay_errors(lane->relay));
    lane->ended++;
    lane_start(lane, pg_runs, kafka_runs);
}

void lane_broker_killed(struct lane *lane)
{
    note(lane, (struct note){.kind = NOTE_BROKER, .durable = lane->durable});
}

void lane_server_crashed(struct lane *lane)
{
    if (lane->mode != MODE_SLOT)
        return;
    lane->durable = (struct saved){.lsn = ask_confirmed(lane)};
    for (size_t i = 0; i < lane->note_count; i++)
        if (lane->notes[i].kind != NOTE_CLAIM && lane->notes[i].durable.lsn > lane->durable.lsn)
            lane->notes[i].durable = lane->durable;
}

void lane_end(struct lane *lane)
{
    relay_stop(lane->relay);
    lane_sample(lane);
}
