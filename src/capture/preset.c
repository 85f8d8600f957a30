/* SPDX-License-Identifier: Apache-2.0 */
#include "preset.h"

#include "walferry/base/assert.h"

#define COLUMN(field, name) [EVENT_##field] = {.column = (name)}

/*
 * What each preset reads. A field that is not listed is absent; columns that are not listed are
 * book-keeping of the project and are not looked at (its own UPDATEs of them are skipped).
 *
 * walferry: the columns are named like the fields.
 *
 * debezium: the defaults of Debezium's outbox event router.
 *   id              id             uuid
 *   aggregatetype   aggregate_type
 *   aggregateid     aggregate_id
 *   type            event_type
 *   payload         payload        json, jsonb, text, bytea
 *   tracingspancontext             text of a java.util.Properties: its traceparent, tracestate
 *
 * open_outbox: Open Outbox Specification, table openoutbox_events.
 *   event_id        id             uuid
 *   event_type      event_type
 *   partition_key   aggregate_id
 *   payload         payload        bytea
 *   headers         headers        jsonb
 *   created_at      occurred_at    timestamptz
 *
 * eventuate: Eventuate Tram, table message.
 *   id              id             varchar
 *   destination     topic, aggregate_type, and event_type for want of a header event-type
 *   headers         headers        JSON text; event-type and PARTITION_ID there give event_type,
 *                                  and key and aggregate_id
 *   payload         payload        JSON text
 *   creation_time   occurred_at    bigint, milliseconds
 *   message_partition is a number of Eventuate's own, not a partition of Kafka: not read.
 *
 * goharvest: table outbox.
 *   id              id             bigserial
 *   create_time     occurred_at    timestamptz
 *   kafka_topic     topic, event_type
 *   kafka_key       key, aggregate_id
 *   kafka_value     payload        varchar, NULL is a tombstone
 *   kafka_header_keys, kafka_header_values   headers   text[], of one length
 *
 * pg_transactional_outbox: table outbox.
 *   id              id             uuid
 *   aggregate_type  aggregate_type
 *   aggregate_id    aggregate_id
 *   message_type    event_type
 *   payload         payload        jsonb
 *   created_at      occurred_at    timestamptz
 *   metadata is nested as it likes, so it cannot be headers; segment groups messages for a
 *   consumer's concurrency, more coarsely than an aggregate: `columns: {key: segment}` where it is
 *   the order that is wanted.
 */
static const struct preset
    presets[PRESET_COUNT] =
        {
            [PRESET_WALFERRY] =
                {
                    .name = "walferry",
                    .fields =
                        {
#define EVENT_FIELD(name) COLUMN(name, #name),
#include "walferry/model/event_fields.def"
#undef EVENT_FIELD
                        },
                },
            [PRESET_DEBEZIUM] =
                {
                    .name = "debezium",
                    .fields =
                        {
                            COLUMN(id, "id"),
                            COLUMN(aggregate_type, "aggregatetype"),
                            COLUMN(aggregate_id, "aggregateid"),
                            COLUMN(event_type, "type"),
                            COLUMN(payload, "payload"),
                            [EVENT_traceparent] = {.column = "tracingspancontext",
                                                   .reader = READ_PROPERTIES},
                            [EVENT_tracestate] = {.column = "tracingspancontext",
                                                  .reader = READ_PROPERTIES},
                        },
                },
            [PRESET_OPEN_OUTBOX] =
                {
                    .name = "open_outbox",
                    .fields =
                        {
                            COLUMN(id, "event_id"),
                            COLUMN(event_type, "event_type"),
                            COLUMN(aggregate_id, "partition_key"),
                            COLUMN(payload, "payload"),
                            COLUMN(headers, "headers"),
                            COLUMN(occurred_at, "created_at"),
                        },
                },
            [PRESET_EVENTUATE] =
                {
                    .name = "eventuate",
                    .payload = PAYLOAD_AS_JSON,
                    .fields =
                        {
                            COLUMN(id, "id"),
                            COLUMN(aggregate_type, "destination"),
                            COLUMN(topic, "destination"),
                            COLUMN(headers, "headers"),
                            COLUMN(payload, "payload"),
                            COLUMN(occurred_at, "creation_time"),
                            [EVENT_event_type] = {.column = "destination", .header = "event-type"},
                            [EVENT_aggregate_id] = {.column = "headers",
                                                    .header = "PARTITION_ID",
                                                    .reader = READ_HEADER},
                            [EVENT_key] = {.column = "headers",
                                           .header = "PARTITION_ID",
                                           .reader = READ_HEADER},
                        },
                },
            [PRESET_GOHARVEST] =
                {
                    .name = "goharvest",
                    .fields =
                        {
                            COLUMN(id, "id"),
                            COLUMN(event_type, "kafka_topic"),
                            COLUMN(topic, "kafka_topic"),
                            COLUMN(key, "kafka_key"),
                            COLUMN(aggregate_id, "kafka_key"),
                            COLUMN(payload, "kafka_value"),
                            COLUMN(occurred_at, "create_time"),
                            [EVENT_headers] =
                                {.column = "kafka_header_keys",
                                 .pair = "kafka_header_values",
                                 .reader =
                                     READ_ARRAYS},
                        },
                },
            [PRESET_PG_TRANSACTIONAL_OUTBOX] =
                {
                    .name = "pg_transactional_outbox",
                    .fields =
                        {
                            COLUMN(id, "id"),
                            COLUMN(aggregate_type, "aggregate_type"),
                            COLUMN(aggregate_id, "aggregate_id"),
                            COLUMN(event_type, "message_type"),
                            COLUMN(payload, "payload"),
                            COLUMN(occurred_at, "created_at"),
                        },
                },
};

const struct preset *preset_get(enum preset_id preset)
{
    ASSERT((size_t)preset < PRESET_COUNT);
    return &presets[preset];
}

const char *preset_name(enum preset_id preset)
{
    return preset_get(preset)->name;
}

bool preset_parse(struct bytes name, enum preset_id *ret_preset)
{
    for (size_t i = 0; i < PRESET_COUNT; i++) {
        if (bytes_is(name, presets[i].name)) {
            *ret_preset = (enum preset_id)i;
            return true;
        }
    }
    return false;
}

const char *preset_column(enum preset_id preset, enum event_field field)
{
    ASSERT((size_t)field < EVENT_FIELD_COUNT);
    return preset_get(preset)->fields[field].column;
}
