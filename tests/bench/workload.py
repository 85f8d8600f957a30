# SPDX-License-Identifier: Apache-2.0
"""What is in the backlog: rows of outbox.event, loaded while a slot holds the WAL; each run gets a
copy of that slot and so the same backlog."""

import dataclasses
import os

MOTHER = 'bench_mother'
PUBLICATION = 'bench'

# A payload of exactly `size` bytes of JSON, unlike that of other rows. `text` repeats words, so
# that a codec finds in it about what it finds in such documents.
FUNCTIONS = r"""
CREATE OR REPLACE FUNCTION bench_payload(number bigint, size int) RETURNS json LANGUAGE sql AS $$
    SELECT (part.head || rpad('', size - 2 - length(part.head), part.filler) || '"}')::json
      FROM (SELECT '{"order":"' || number || '","customer":"' || left(md5(number::text), 16)
                || '","text":"' AS head,
                   md5(number::text || 'a') || ' two pieces of what was ordered, packed as a gift, '
                || md5(number::text || 'b') || ' to be delivered to the door before noon, '
                   AS filler) AS part
$$;
CREATE OR REPLACE PROCEDURE bench_load(total bigint, per_transaction bigint, size int,
                                       aggregates bigint, types bigint) LANGUAGE plpgsql AS $$
DECLARE
    first bigint := 0;
BEGIN
    WHILE first < total LOOP
        INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload)
        SELECT 'order' || ((number * 7919) % aggregates) % types,
               'a' || (number * 7919) % aggregates, 'order.paid', bench_payload(number, size)
          FROM generate_series(first, least(first + per_transaction, total) - 1) AS number;
        COMMIT;
        first := first + per_transaction;
    END LOOP;
END
$$;
"""
# Shorter JSON than this cannot hold what is in it.
SMALLEST_PAYLOAD = 100


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    rows: int = 1_000_000
    per_transaction: int = 100
    payload: int = 400
    aggregates: int = 10_000
    topics: int = 1

    def describe(self):
        parts = [f'{self.rows} events', f'{self.per_transaction} a transaction',
                 f'{self.payload} bytes of JSON', f'{self.aggregates} aggregates']
        if self.topics > 1:
            parts.append(f'{self.topics} topics')
        return ', '.join(parts)


class Backlog:
    """At most one at a time; load() replaces it."""

    def __init__(self, postgresql, root):
        self.postgresql = postgresql
        self.workload = None
        self.end = None
        self.slots = 0
        with open(os.path.join(root, 'sql', '001_outbox.sql'), encoding='utf-8') as file:
            postgresql.sql(file.read() + FUNCTIONS)
        postgresql.sql(f"CREATE PUBLICATION {PUBLICATION} FOR TABLE outbox.event "
                       "WITH (publish = 'insert')")

    def clear(self):
        self.postgresql.sql(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots; "
            "TRUNCATE outbox.event; CHECKPOINT")
        self.workload = None

    def load(self, workload):
        if workload == self.workload:
            return
        self.clear()
        self.postgresql.sql(f"SELECT pg_create_logical_replication_slot('{MOTHER}', 'pgoutput')")
        self.postgresql.sql(
            "SET synchronous_commit = off;\n"
            f"CALL bench_load({workload.rows}, {workload.per_transaction}, {workload.payload}, "
            f"{workload.aggregates}, {workload.topics})")
        # Flushes what was committed without waiting, so that the position is behind all.
        self.postgresql.sql('CHECKPOINT')
        self.end = self.postgresql.sql('SELECT pg_current_wal_flush_lsn()')
        self.workload = workload

    def slot(self):
        """A new slot with the whole backlog before it."""
        self.slots += 1
        name = f'bench_{self.slots}'
        self.postgresql.sql(f"SELECT pg_copy_logical_replication_slot('{MOTHER}', '{name}')")
        return name

    def empty_slot(self):
        self.slots += 1
        name = f'bench_{self.slots}'
        self.postgresql.sql(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
        return name

    def drop_slot(self, name):
        self.postgresql.sql(
            f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
            f"WHERE slot_name = '{name}' AND active;"
            f"DO $$ BEGIN FOR i IN 1..300 LOOP EXIT WHEN NOT EXISTS (SELECT FROM "
            f"pg_replication_slots WHERE slot_name = '{name}' AND active); "
            f"PERFORM pg_sleep(0.1); END LOOP; END $$;"
            f"SELECT pg_drop_replication_slot('{name}')")
