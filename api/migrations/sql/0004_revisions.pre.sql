-- How often what a centre's readers keep in memory was written, and up to which position: one row
-- to look at instead of all of them. The scope is a centre for its patients' rows; the nil UUID for
-- the directory, which all centres share. Written by the feed with the rows it speaks of.
CREATE TABLE projection.revision (
    build integer NOT NULL,
    scope uuid NOT NULL,
    number bigint NOT NULL DEFAULT 1,
    position bigint NOT NULL,
    PRIMARY KEY (build, scope)
);

GRANT SELECT ON projection.revision TO releve_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection.revision TO releve_worker;

-- Rows of builds made before this table: counted as written once.
INSERT INTO projection.revision (build, scope, position)
SELECT c.build, c.centre, max(b.position) FROM projection.patient_centre c
JOIN projection.briefing b ON b.build = c.build AND b.patient = c.patient
GROUP BY c.build, c.centre;
INSERT INTO projection.revision (build, scope, position)
SELECT build, '00000000-0000-0000-0000-000000000000', max(position) FROM projection.directory
GROUP BY build;
