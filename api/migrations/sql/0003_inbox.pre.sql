-- The inbox: one sealed row a document, under the document's own key. In the clear stand whose
-- centre it is, whether it waits, and where its last event stands.
CREATE TABLE projection.inbox (
    build integer NOT NULL,
    document uuid NOT NULL,
    centre uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'matched', 'rejected')),
    position bigint NOT NULL,
    row bytea NOT NULL,
    PRIMARY KEY (build, document)
);
CREATE INDEX inbox_centre ON projection.inbox (build, centre, position);

GRANT SELECT ON projection.inbox TO releve_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection.inbox TO releve_worker;
