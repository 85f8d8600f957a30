/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"
#include "walferry/base/clock.h"
#include "walferry/sink/kafka.h"
#include "walferry/sink/sink.h"

#define SETTINGS_MAX 8
#define TURN_MS      20

struct writer {
    const struct sink_ops *ops;
    struct sink *sink;
    struct sink_opts opts;
    struct sink_identity identity;
    struct property properties[SETTINGS_MAX];
    uint64_t tag;      /* of the last record that was taken */
    uint64_t expected; /* the next tag that may be reported as delivered */
    size_t delivered;
    const char *claimed;
    const char *saved;
    const char *refused;
    const char *failed;
};

static const char *const outcomes[] = {
    [SINK_DELIVERED] = "DELIVERED", [SINK_RETRY] = "RETRY", [SINK_SUSPECT] = "SUSPECT",
    [SINK_BLOCKED] = "BLOCKED",     [SINK_FATAL] = "FATAL", [SINK_HALT] = "HALT"};

struct writer *writer_open(const struct writer_opts *opts)
{
    struct err err = ERR_INIT;
    struct writer *writer = calloc(1, sizeof *writer);
    REQUIRE(writer != NULL, "out of memory");
    writer->properties[0] =
        (struct property){"bootstrap.servers", text("%s", opts->address), false};
    size_t count = 1;
    for (const char *const *setting = opts->settings; setting != NULL && *setting != NULL;
         setting += 2) {
        REQUIRE(count < SETTINGS_MAX, "too many settings");
        writer->properties[count++] = (struct property){setting[0], setting[1], false};
    }
    writer->opts = (struct sink_opts){.kind = SINK_KAFKA,
                                      .pipeline = opts->pipeline,
                                      .properties = writer->properties,
                                      .property_count = count,
                                      .topics_create = !opts->no_create,
                                      .topics_partitions = -1,
                                      .topics_replication = -1,
                                      .topics_max = 10,
                                      .topics_wait_ms = 1000,
                                      .max_records = 100000,
                                      .max_bytes = 32u << 20,
                                      .transactional = opts->transactional,
                                      .position_topic = opts->position_topic};
    writer->identity = (struct sink_identity){opts->pipeline, opts->system_id, opts->slot};
    writer->ops = sink_ops_of(SINK_KAFKA);
    writer->expected = 1;
    REQUIRE(writer->ops->open(&writer->opts, &writer->sink, &err), "%s", err.message);
    return writer;
}

void writer_make_topic(const struct writer_opts *opts)
{
    struct err err = ERR_INIT;
    struct writer *writer = writer_open(opts);
    bool made = kafka_topics_ensure(&writer->opts, &opts->position_topic, 1, DEADLINE_MS, &err) &&
                kafka_topics_ensure(&writer->opts, &opts->position_topic, 1, DEADLINE_MS, &err);
    REQUIRE(made, "%s", err.message);
    writer_close(writer);
}

void writer_close(struct writer *writer)
{
    writer->ops->close(writer->sink);
    free(writer);
}

void writer_reset(struct writer *writer)
{
    struct err err = ERR_INIT;
    REQUIRE(writer->ops->reset(writer->sink, &err), "%s", err.message);
    writer->expected = writer->tag + 1;
    writer->failed = NULL;
}

static void hear(struct writer *writer, const struct sink_report *report)
{
    const char *answer = text("%s %s", outcomes[report->outcome], err_name(report->code));
    switch (report->kind) {
    case REPORT_CLAIMED:
        writer->claimed = answer;
        break;
    case REPORT_SAVED:
        REQUIRE(report->outcome != SINK_DELIVERED || !writer->opts.transactional ||
                    writer->expected == writer->tag + 1,
                "the save was reported before record %llu", (unsigned long long)writer->expected);
        writer->saved = answer;
        break;
    case REPORT_RECORD:
        if (report->outcome != SINK_DELIVERED) {
            writer->refused = writer->refused == NULL ? answer : writer->refused;
            break;
        }
        REQUIRE(!writer->opts.transactional || report->tag == writer->expected,
                "record %llu was reported instead of %llu", (unsigned long long)report->tag,
                (unsigned long long)writer->expected);
        writer->expected = report->tag + 1;
        writer->delivered++;
        break;
    }
}

void writer_turn(struct writer *writer)
{
    struct sink_report reports[100];
    struct pollfd ready = {.fd = writer->ops->fd(writer->sink), .events = POLLIN};
    poll(&ready, 1, TURN_MS);
    size_t count = writer->ops->collect(writer->sink, reports, 100);
    for (size_t i = 0; i < count; i++)
        hear(writer, &reports[i]);
    struct err err = ERR_INIT;
    if (!writer->ops->tick(writer->sink, clock_mono_ns(), &err))
        writer->failed = err_name(err.code);
}

void writer_claim_begin(struct writer *writer)
{
    struct err err = ERR_INIT;
    writer->claimed = NULL;
    writer->expected = writer->tag + 1;
    REQUIRE(writer->ops->claim(writer->sink, &writer->identity, &err), "%s", err.message);
}

const char *writer_claimed(struct writer *writer)
{
    writer_turn(writer);
    return writer->claimed;
}

const char *writer_claim(struct writer *writer)
{
    writer_claim_begin(writer);
    wait_until(writer_claimed(writer) != NULL, "the claim does not end: %s", writer_detail(writer));
    return writer->claimed;
}

char *writer_position(struct writer *writer)
{
    struct bytes position = writer->ops->position(writer->sink);
    return bytes_present(position) ? text("%.*s", BYTES_FMT(position)) : NULL;
}

static const char *result_text(enum sink_result result, const struct err *err)
{
    switch (result) {
    case SINK_TAKEN:
        return "TAKEN";
    case SINK_BUSY:
        return "BUSY";
    case SINK_POISON:
        return text("POISON %s", err_name(err->code));
    case SINK_FAIL:
        return text("FAIL %s", err_name(err->code));
    }
    return "";
}

const char *writer_offer(struct writer *writer, const char *topic, const char *key,
                         const char *value)
{
    struct err err = ERR_INIT;
    uint32_t number;
    struct record record = {
        .placement = {.topic = bytes_str(topic), .partition = -1, .key = bytes_str(key)},
        .value = bytes_str(value),
        /* A past time would let the broker delete it. */
        .timestamp_ms = clock_wall_us() / 1000};
    enum sink_result result =
        writer->ops->submit(writer->sink, &record, writer->tag + 1, &number, &err);
    writer->tag += result == SINK_TAKEN ? 1 : 0;
    return result_text(result, &err);
}

void writer_put(struct writer *writer, const char *topic, const char *key, const char *value)
{
    uint64_t give_up = now_ms() + DEADLINE_MS;
    const char *answer = writer_offer(writer, topic, key, value);
    while (strcmp(answer, "BUSY") == 0) {
        REQUIRE(now_ms() < give_up, "the sink stays busy: %s", writer_detail(writer));
        writer_turn(writer);
        answer = writer_offer(writer, topic, key, value);
    }
    REQUIRE(strcmp(answer, "TAKEN") == 0, "%s", answer);
}

const char *writer_save_begin(struct writer *writer, const char *position)
{
    struct err err = ERR_INIT;
    writer->saved = NULL;
    return result_text(writer->ops->save(writer->sink, bytes_str(position), &err), &err);
}

void writer_save_taken(struct writer *writer, const char *position)
{
    const char *answer;
    wait_until((writer_turn(writer), strcmp(answer = writer_save_begin(writer, position), "BUSY")),
               "the save is not taken: %s", writer_detail(writer));
    REQUIRE(strcmp(answer, "TAKEN") == 0, "%s", answer);
}

const char *writer_saved(struct writer *writer)
{
    writer_turn(writer);
    return writer->saved;
}

const char *writer_save(struct writer *writer, const char *position)
{
    writer_save_taken(writer, position);
    wait_until(writer_saved(writer) != NULL, "the save does not end: %s", writer_detail(writer));
    return writer->saved;
}

size_t writer_delivered(const struct writer *writer)
{
    return writer->delivered;
}

const char *writer_refused(const struct writer *writer)
{
    return writer->refused;
}

const char *writer_failed(const struct writer *writer)
{
    return writer->failed;
}

char *writer_detail(struct writer *writer)
{
    struct sink_state state;
    writer->ops->state(writer->sink, &state);
    return text("%s", state.detail);
}

uint64_t writer_pending(struct writer *writer)
{
    struct sink_state state;
    writer->ops->state(writer->sink, &state);
    return state.pending;
}
