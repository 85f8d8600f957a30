-- SPDX-License-Identifier: Apache-2.0
-- The role of the relay, with the least rights that it needs. Safe to run twice. Run as a superuser,
-- or as a role that may create roles and has REPLICATION itself. The name is walferry, or what the
-- setting walferry.role says:  SET walferry.role = 'orders_relay';
--
-- REPLICATION lets a role read every table of the database through a publication: guard its password
-- like a superuser's. It gives no right to change anything.

DO $$
DECLARE
    role name := coalesce(nullif(current_setting('walferry.role', true), ''), 'walferry');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        EXECUTE format('CREATE ROLE %I LOGIN REPLICATION NOINHERIT CONNECTION LIMIT 10', role);
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    -- Reading the outbox is not needed to relay, only to send rows again and to compare.
    IF to_regnamespace('outbox') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA outbox TO %I', role);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA outbox TO %I', role);
    END IF;
END
$$;
