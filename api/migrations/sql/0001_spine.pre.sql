-- The spine: the ledger, its keys, what people read. Every name is qualified; nothing relies on a
-- search path. Roles and grants stand in roles.sql.

CREATE SCHEMA ledger;
CREATE SCHEMA keys;
CREATE SCHEMA projection;
CREATE SCHEMA identity;

-- The cell: the name of this log for ever (formats.md §4).
CREATE TABLE ledger.cell (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    cell uuid NOT NULL
);

-- One row an event, never updated. What an auditor needs is inside header and body; the other
-- columns repeat the header for the database's own keys and are never trusted by verification.
CREATE SEQUENCE ledger.event_id_seq AS bigint;

CREATE TABLE ledger.event (
    stream uuid NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    topic text NOT NULL,
    header bytea NOT NULL CHECK (octet_length(header) = 172),
    body bytea,
    event_id uuid NOT NULL,
    -- Before id on purpose: defaults are taken in this order, and the sequencer relies on a
    -- transaction having its number before it takes an id.
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint NOT NULL DEFAULT nextval('ledger.event_id_seq'),
    PRIMARY KEY (stream, version),
    UNIQUE (stream, event_id)
) PARTITION BY HASH (stream);

DO $$
BEGIN
    FOR n IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE ledger.event_%s PARTITION OF ledger.event '
            'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', to_char(n, 'FM00'), n);
        EXECUTE format(
            'ALTER TABLE ledger.event_%s ALTER COLUMN body SET STORAGE EXTERNAL',
            to_char(n, 'FM00'));
    END LOOP;
END $$;

CREATE INDEX event_tx_id ON ledger.event (tx, id);

-- Position = leaf index, dense from 0.
CREATE TABLE ledger.leaf (
    position bigint PRIMARY KEY CHECK (position >= 0),
    stream uuid NOT NULL,
    version bigint NOT NULL,
    class integer NOT NULL,
    leaf bytea NOT NULL CHECK (octet_length(leaf) = 32),
    UNIQUE (stream, version)
);

-- Greatest recorded_at of all leaves up to a position, for "known at": one row a numbered batch,
-- filed under its last position. Inside a batch the headers tell.
CREATE TABLE ledger.known_time (
    position bigint PRIMARY KEY,
    known_us bigint NOT NULL
);
CREATE INDEX known_time_known ON ledger.known_time (known_us, position);

-- Full tiles only, written once (C2SP tlog-tiles, height 8).
CREATE TABLE ledger.tile (
    level smallint NOT NULL,
    idx bigint NOT NULL,
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (level, idx)
);

-- The unsigned head, its frontier, and the sequencer's cursor. The row is the sequencer's lease.
-- The cursor (last_tx, last_id) holds in one cluster only: incarnation names it (system identifier
-- and database). After a logical restore, rows up to floor_id get their positions by id first,
-- once every transaction below tail_through has ended; then tail_through is null again.
CREATE TABLE ledger.head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    size bigint NOT NULL DEFAULT 0,
    frontier bytea NOT NULL DEFAULT '',
    known_us bigint NOT NULL DEFAULT 0,
    incarnation text NOT NULL DEFAULT '',
    floor_id bigint NOT NULL DEFAULT 0,
    last_tx xid8 NOT NULL DEFAULT '0',
    last_id bigint NOT NULL DEFAULT 0,
    tail_through xid8
);

CREATE TABLE ledger.checkpoint (
    size bigint PRIMARY KEY,
    note text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now(),
    cited boolean NOT NULL DEFAULT false
);

-- One identifier, one record (blind index).
CREATE TABLE ledger.claim (
    kind text NOT NULL,
    mac bytea NOT NULL,
    stream uuid NOT NULL,
    PRIMARY KEY (kind, mac)
);
CREATE INDEX claim_stream ON ledger.claim (stream);

-- Original bytes of attached documents, sealed under the patient's key.
CREATE TABLE ledger.attachment (
    event_id uuid PRIMARY KEY,
    stream uuid NOT NULL,
    body bytea NOT NULL
);
ALTER TABLE ledger.attachment ALTER COLUMN body SET STORAGE EXTERNAL;

-- Briefing editions: kept data, not a projection. No rebuild touches them.
CREATE TABLE ledger.edition (
    edition uuid PRIMARY KEY,
    stint uuid NOT NULL,
    number integer NOT NULL,
    position bigint NOT NULL,
    rule_release text NOT NULL,
    issued_at timestamptz NOT NULL,
    manifest bytea NOT NULL,
    head bytea NOT NULL,          -- the edition's own frame (counts, centre lines), sealed under the stint's key
    UNIQUE (stint, number)
);

CREATE TABLE ledger.edition_card (
    edition uuid NOT NULL REFERENCES ledger.edition,
    ordinal integer NOT NULL,
    patient uuid NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (edition, ordinal)
);

CREATE TABLE keys.data_key (
    stream uuid NOT NULL,
    generation bigint NOT NULL,
    kek_id uuid NOT NULL,
    kek_version bigint NOT NULL,
    record bytea,                  -- RLD1; null once destroyed
    destroyed_at timestamptz,
    PRIMARY KEY (stream, generation)
);

-- Projections: sealed rows. `build` lets a rebuild stand beside what is served, then swap.
-- `epoch` counts every transaction that wrote rows, so that a worker which read outside the lock
-- knows whether anybody wrote meanwhile; `format` is the shape of the rows.
CREATE TABLE projection.feed (
    name text PRIMARY KEY,
    build integer NOT NULL DEFAULT 1,
    position bigint NOT NULL DEFAULT -1,
    epoch bigint NOT NULL DEFAULT 0,
    format integer NOT NULL DEFAULT 1,
    next_build integer
);
INSERT INTO projection.feed (name) VALUES ('main');

CREATE TABLE projection.parked (
    name text NOT NULL,
    build integer NOT NULL,
    stream uuid NOT NULL,
    position bigint NOT NULL,
    events integer NOT NULL DEFAULT 1,
    error text NOT NULL,           -- the error's class, never its message
    PRIMARY KEY (name, build, stream)
);

CREATE TABLE projection.patient (
    build integer NOT NULL,
    patient uuid NOT NULL,
    position bigint NOT NULL,
    row bytea NOT NULL,
    PRIMARY KEY (build, patient)
);

CREATE TABLE projection.patient_centre (
    build integer NOT NULL,
    patient uuid NOT NULL,
    centre uuid NOT NULL,
    PRIMARY KEY (build, centre, patient)
);
CREATE INDEX patient_centre_patient ON projection.patient_centre (build, patient);

-- Open items only: a closed one has no row.
CREATE TABLE projection.open_item (
    build integer NOT NULL,
    item uuid NOT NULL,
    patient uuid NOT NULL,
    centre uuid,
    position bigint NOT NULL,
    row bytea NOT NULL,
    PRIMARY KEY (build, item)
);
CREATE INDEX open_item_centre ON projection.open_item (build, centre);
CREATE INDEX open_item_patient ON projection.open_item (build, patient);

-- The bounded part of a summary that ranking and cards need.
CREATE TABLE projection.briefing (
    build integer NOT NULL,
    patient uuid NOT NULL,
    position bigint NOT NULL,
    row bytea NOT NULL,
    PRIMARY KEY (build, patient)
);

CREATE TABLE projection.directory (
    build integer NOT NULL,
    stream uuid NOT NULL,
    kind text NOT NULL,            -- centre, practitioner, stint
    centre uuid,
    position bigint NOT NULL,
    row bytea NOT NULL,
    PRIMARY KEY (build, stream)
);

-- Which access entries name a patient (pseudonym and position only).
CREATE TABLE projection.access (
    build integer NOT NULL,
    patient uuid NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (build, patient, position)
);

CREATE TABLE identity.session (
    id_hash bytea PRIMARY KEY,     -- SHA-256 of the cookie's random value
    subject text NOT NULL,         -- persona or OpenID subject, no name
    csrf bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
