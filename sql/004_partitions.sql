-- SPDX-License-Identifier: Apache-2.0
-- Optional: the outbox in partitions by day, so that old events go by dropping a partition instead of
-- deleting rows. Run instead of creating the table in 001_outbox.sql, or on an empty outbox.event,
-- which it replaces; a table with rows is left alone. Safe to run twice.
-- Partitions are published by their root, so that the relay sees one table whatever the day.
-- Call outbox.create_partitions(days) daily, before the first event of a day; what finds no partition
-- goes to outbox.event_default.

DO $$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('outbox.event')) = 'p' THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM outbox.event) THEN
        RAISE NOTICE 'outbox.event has rows and stays as it is: delete them first to partition it';
        RETURN;
    END IF;
    ALTER TABLE outbox.event RENAME TO event_plain;
    ALTER TABLE outbox.event_plain DROP CONSTRAINT event_pkey;
    CREATE TABLE outbox.event (
        LIKE outbox.event_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS,
        PRIMARY KEY (id, occurred_at)
    ) PARTITION BY RANGE (occurred_at);
    CREATE TABLE outbox.event_default PARTITION OF outbox.event DEFAULT;
    DROP TABLE outbox.event_plain;
END
$$;

-- Make the partitions of today and the next `days` days (UTC); returns how many were missing.
CREATE OR REPLACE FUNCTION outbox.create_partitions(days int DEFAULT 7) RETURNS int
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made int := 0;
    day  date;
    part text;
BEGIN
    FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, days) AS n LOOP
        part := 'event_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(format('outbox.%I', part)) IS NOT NULL;
        EXECUTE format('CREATE TABLE outbox.%I PARTITION OF outbox.event FOR VALUES FROM (%L) TO (%L)',
                       part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drop the day partitions that end at or before `before`; returns how many. The caller makes sure that
-- the relay has confirmed them: a dropped partition's events are still in the WAL and are sent, but
-- they can no longer be replayed.
CREATE OR REPLACE FUNCTION outbox.drop_partitions_before(before timestamptz) RETURNS int
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    dropped int := 0;
    part    text;
BEGIN
    FOR part IN
        SELECT child.relname
          FROM pg_inherits
          JOIN pg_class AS child ON child.oid = inhrelid
         WHERE inhparent = to_regclass('outbox.event')
           AND child.relname ~ '^event_[0-9]{8}$'
           AND (to_date(substr(child.relname, 7), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= before
         ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE outbox.%I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
