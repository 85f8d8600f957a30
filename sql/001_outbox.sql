-- SPDX-License-Identifier: Apache-2.0
-- The outbox: events are inserted in the transaction of the change they tell of. Safe to run twice.
-- Run as the owner of the service's schema. The relay only reads the WAL; rows may be deleted at any
-- time after their commit, their events are sent all the same.

CREATE SCHEMA IF NOT EXISTS outbox;

CREATE TABLE IF NOT EXISTS outbox.event (
    id              uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    aggregate_type  text,
    aggregate_id    text,
    event_type      text        NOT NULL,
    event_version   int         NOT NULL DEFAULT 1,
    payload         json,
    headers         json,
    visibility      text        NOT NULL DEFAULT 'public',
    traceparent     text,
    tracestate      text,
    correlation_id  text,
    causation_id    text,
    topic           text,
    partition       int,
    key             text,
    occurred_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A value near 1 GB cannot be decoded from the WAL by any client and would block the slot.
    CONSTRAINT event_payload_size CHECK (pg_column_size(payload) <= 256 * 1024 * 1024)
);

COMMENT ON TABLE outbox.event IS
    'Events to be published by walferry: insert only, in the transaction of the change. Rows may be deleted once the relay has confirmed them.';
COMMENT ON COLUMN outbox.event.id IS 'Identity of the event; consumers de-duplicate by it.';
COMMENT ON COLUMN outbox.event.aggregate_type IS 'Selects the topic, by default.';
COMMENT ON COLUMN outbox.event.aggregate_id IS 'Kafka key: order is kept per aggregate. NULL: no key.';
COMMENT ON COLUMN outbox.event.event_type IS 'CloudEvents type, such as order.placed.';
COMMENT ON COLUMN outbox.event.event_version IS 'Version of the payload''s schema.';
COMMENT ON COLUMN outbox.event.payload IS 'The bytes as written; NULL is a tombstone in binary and raw envelopes.';
COMMENT ON COLUMN outbox.event.headers IS 'Object of strings: more Kafka headers.';
COMMENT ON COLUMN outbox.event.visibility IS 'public or private, for routing.';
COMMENT ON COLUMN outbox.event.topic IS 'Explicit topic, wins over routing; NULL: routed. So for partition and key.';
COMMENT ON COLUMN outbox.event.occurred_at IS 'CloudEvents time and timestamp of the Kafka record.';

-- Insert one event; returns its id. The caller needs USAGE on the schema and INSERT on the table.
CREATE OR REPLACE FUNCTION outbox.publish(
    aggregate_type  text,
    aggregate_id    text,
    event_type      text,
    payload         json,
    event_version   int         DEFAULT 1,
    headers         json        DEFAULT NULL,
    visibility      text        DEFAULT 'public',
    traceparent     text        DEFAULT NULL,
    tracestate      text        DEFAULT NULL,
    correlation_id  text        DEFAULT NULL,
    causation_id    text        DEFAULT NULL,
    topic           text        DEFAULT NULL,
    partition       int         DEFAULT NULL,
    key             text        DEFAULT NULL,
    occurred_at     timestamptz DEFAULT clock_timestamp(),
    id              uuid        DEFAULT gen_random_uuid()
) RETURNS uuid
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO outbox.event (
        id, aggregate_type, aggregate_id, event_type, event_version, payload, headers, visibility,
        traceparent, tracestate, correlation_id, causation_id, topic, partition, key, occurred_at)
    VALUES (
        publish.id, publish.aggregate_type, publish.aggregate_id, publish.event_type,
        publish.event_version, publish.payload, publish.headers, publish.visibility,
        publish.traceparent, publish.tracestate, publish.correlation_id, publish.causation_id,
        publish.topic, publish.partition, publish.key, publish.occurred_at);
    -- Not RETURNING, which would want the right to read the table.
    SELECT publish.id
$$;

-- Write one event to the WAL and to no table; it is published when the transaction commits. Returns
-- its id. Needs a capture entry `messages: outbox` (or what prefix says).
CREATE OR REPLACE FUNCTION outbox.emit(
    aggregate_type  text,
    aggregate_id    text,
    event_type      text,
    payload         json,
    event_version   int         DEFAULT 1,
    headers         json        DEFAULT NULL,
    visibility      text        DEFAULT 'public',
    traceparent     text        DEFAULT NULL,
    tracestate      text        DEFAULT NULL,
    correlation_id  text        DEFAULT NULL,
    causation_id    text        DEFAULT NULL,
    topic           text        DEFAULT NULL,
    partition       int         DEFAULT NULL,
    key             text        DEFAULT NULL,
    occurred_at     timestamptz DEFAULT clock_timestamp(),
    id              uuid        DEFAULT gen_random_uuid(),
    prefix          text        DEFAULT 'outbox'
) RETURNS uuid
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    content text;
BEGIN
    -- Put together as text, because the payload must stay as it was written; json functions that
    -- leave out nulls would reach into it.
    SELECT '{' || string_agg(to_json(member.name)::text || ':' || member.value, ',') || '}'
      INTO content
      FROM (VALUES
            ('id', to_json(emit.id)::text),
            ('aggregate_type', to_json(emit.aggregate_type)::text),
            ('aggregate_id', to_json(emit.aggregate_id)::text),
            ('event_type', to_json(emit.event_type)::text),
            ('event_version', to_json(emit.event_version)::text),
            ('headers', emit.headers::text),
            ('visibility', to_json(emit.visibility)::text),
            ('traceparent', to_json(emit.traceparent)::text),
            ('tracestate', to_json(emit.tracestate)::text),
            ('correlation_id', to_json(emit.correlation_id)::text),
            ('causation_id', to_json(emit.causation_id)::text),
            ('topic', to_json(emit.topic)::text),
            ('partition', to_json(emit.partition)::text),
            ('key', to_json(emit.key)::text),
            ('occurred_at', to_json(emit.occurred_at)::text),
            ('payload', coalesce(emit.payload::text, 'null'))
           ) AS member (name, value)
     WHERE member.value IS NOT NULL;
    PERFORM pg_logical_emit_message(true, emit.prefix, content);
    RETURN emit.id;
END
$$;
