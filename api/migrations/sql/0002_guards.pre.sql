-- Who may do what, and a second net under it. What is not granted here is refused. Rights on the
-- database itself are given with the logins (api/database/roles.py).

GRANT USAGE ON SCHEMA ledger, keys, projection, identity TO releve_service, releve_worker;
GRANT USAGE ON SCHEMA ledger TO releve_sequencer;
GRANT USAGE ON SCHEMA keys TO releve_shredder;

-- Reading the ledger.
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO releve_service, releve_worker;
GRANT SELECT ON ledger.cell, ledger.event, ledger.leaf, ledger.known_time, ledger.tile,
    ledger.head, ledger.checkpoint TO releve_sequencer;
-- The parent answers for its partitions; nobody reads or writes one directly.
DO $$
BEGIN
    FOR n IN 0..15 LOOP
        EXECUTE format('REVOKE ALL ON ledger.event_%s FROM releve_service, releve_worker',
                       to_char(n, 'FM00'));
    END LOOP;
END $$;

-- Appending: tx and id are the database's own, so that nothing can be hidden below the cursor.
GRANT INSERT (stream, version, topic, header, body, event_id) ON ledger.event
    TO releve_service, releve_sequencer;
GRANT USAGE ON SEQUENCE ledger.event_id_seq TO releve_service, releve_sequencer;
GRANT INSERT ON ledger.claim, ledger.attachment, ledger.edition, ledger.edition_card
    TO releve_service, releve_worker;

-- The log: positions, tiles, head, checkpoints.
GRANT INSERT ON ledger.leaf, ledger.known_time, ledger.tile, ledger.checkpoint
    TO releve_sequencer;
GRANT UPDATE (size, frontier, known_us, incarnation, floor_id, last_tx, last_id, tail_through)
    ON ledger.head TO releve_sequencer;
GRANT UPDATE (cited), DELETE ON ledger.checkpoint TO releve_sequencer;

-- Keys: anybody who works may add one, only the shredder may destroy one.
GRANT SELECT, INSERT (stream, generation, kek_id, kek_version, record) ON keys.data_key
    TO releve_service, releve_worker;
GRANT SELECT, UPDATE (record, destroyed_at) ON keys.data_key TO releve_shredder;

-- What people read is written by the worker alone.
GRANT SELECT ON ALL TABLES IN SCHEMA projection TO releve_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA projection TO releve_worker;

GRANT SELECT, INSERT, UPDATE, DELETE ON identity.session TO releve_service;
GRANT SELECT, DELETE ON identity.session TO releve_worker;

-- The second net: what is in the log is not changed, even by a role that may. SQLSTATE RL001 is
-- outside class 40, which callers retry. The owner may disable these triggers; verification
-- still finds what was done.
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'RL001',
        MESSAGE = format('ledger.%s is append-only: %s refused', TG_TABLE_NAME, TG_OP);
END $$;

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['event', 'leaf', 'tile'] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.%I '
            'FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()', kept);
        EXECUTE format(
            'CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON ledger.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', kept);
    END LOOP;
    FOR n IN 0..15 LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON ledger.event_%s '
            'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', to_char(n, 'FM00'));
    END LOOP;
END $$;

-- Of checkpoints the newest of each hour and those that an export cites stay for ever; the
-- sequencer may thin out the others, and mark one as cited. Nothing else about one changes.
CREATE FUNCTION ledger.guard_checkpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.size, NEW.note, NEW.signed_at) = (OLD.size, OLD.note, OLD.signed_at)
        AND (NEW.cited OR NOT OLD.cited) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND NOT OLD.cited AND EXISTS (
        SELECT FROM ledger.checkpoint c WHERE c.size > OLD.size
        AND date_trunc('hour', c.signed_at, 'UTC') = date_trunc('hour', OLD.signed_at, 'UTC')
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'RL001', MESSAGE = format('ledger.checkpoint is kept: %s refused', TG_OP);
END $$;
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON ledger.checkpoint
    FOR EACH ROW EXECUTE FUNCTION ledger.guard_checkpoint();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON ledger.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- One log, one head, one name.
INSERT INTO ledger.cell (cell) VALUES (gen_random_uuid());
INSERT INTO ledger.head (incarnation)
SELECT c.system_identifier || ':' || d.oid
FROM pg_control_system() c, pg_database d WHERE d.datname = current_database();
