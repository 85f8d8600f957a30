-- SPDX-License-Identifier: Apache-2.0
-- The other side: de-duplication in a consumer's own database. Optional; safe to run twice.
-- A consumer calls inbox.accept() in the transaction in which it acts on the event, and acts only
-- when the answer is true. An event that was processed is then never processed again, whatever was
-- delivered twice; and a transaction that rolls back forgets that it saw the event.

CREATE SCHEMA IF NOT EXISTS inbox;

CREATE TABLE IF NOT EXISTS inbox.seen (
    consumer text        NOT NULL,
    source   text        NOT NULL,
    id       text        NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, source, id)
);

CREATE INDEX IF NOT EXISTS seen_seen_at ON inbox.seen (seen_at);

-- True once for a consumer, source and id; a second call waits for a transaction that holds the same
-- event and is true again if that one rolled back.
CREATE OR REPLACE FUNCTION inbox.accept(consumer text, source text, id text) RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH first AS (
        INSERT INTO inbox.seen (consumer, source, id)
        VALUES (accept.consumer, accept.source, accept.id)
        ON CONFLICT DO NOTHING
        RETURNING true
    )
    SELECT EXISTS (SELECT FROM first)
$$;
