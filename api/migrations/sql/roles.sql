-- Roles belong to the whole cluster, so this runs before every migration and changes nothing the
-- second time. It makes groups; logins are made apart, with passwords kept in the state directory.
--   releve_service    the HTTP service and the commands: may append and read
--   releve_worker     positions, projections, jobs; member of the two below
--   releve_sequencer  gives positions, writes the log
--   releve_shredder   destroys data keys
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'releve_service', 'releve_worker', 'releve_sequencer', 'releve_shredder']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another installation of the same cluster was quicker
            END;
        END IF;
    END LOOP;
    FOREACH wanted IN ARRAY ARRAY['releve_sequencer', 'releve_shredder']
    LOOP
        IF NOT pg_catalog.pg_has_role('releve_worker', wanted, 'MEMBER') THEN
            EXECUTE pg_catalog.format('GRANT %I TO releve_worker', wanted);
        END IF;
    END LOOP;
END $$;
