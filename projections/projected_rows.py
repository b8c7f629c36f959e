"""From summaries to sealed rows and back: which tables hold what, and how a batch is written.

Everything of a patient is sealed under the patient's key with its kind, the patient and a position
as associated data, so that destroying the key erases it and no row can stand in another's place.
In the clear stand pseudonyms, positions, centres and which patients have open items: what ordering
and joins need (docs/security.md lists it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg

from releve.projections import directory, inbox, open_items
from releve.projections.briefing import extract
from releve.projections.directory import DirectoryEntry, StintLine
from releve.projections.inbox import InboxLine
from releve.projections.patient_summary import Item, PatientSummary, from_bytes, to_bytes
from releve.projections.served_build import DIRECTORY_SCOPE, FEED
from releve.security.keys.sealed_rows import open_row, seal_row

GENERATION: Final = 1
"""Data-key generation that seals rows."""
PATIENT_KIND: Final = "patient"
BRIEFING_KIND: Final = "briefing"

TABLES: Final = (
    "patient",
    "briefing",
    "open_item",
    "patient_centre",
    "directory",
    "inbox",
    "access",
)
"""Tables of schema ``projection`` that hold a build."""

Connection = psycopg.Connection[Any]
Build = int


@dataclass
class Batch:
    """Rows to write in one transaction, plain SQL values, already sealed."""

    patients: dict[UUID, tuple[int, bytes, bytes]] = field(default_factory=dict)
    """patient: position, patient row, briefing row."""
    centres: set[tuple[UUID, UUID]] = field(default_factory=set)
    items: dict[UUID, tuple[UUID, UUID | None, int, bytes]] = field(default_factory=dict)
    """item: patient, centre, position, row."""
    closed: set[UUID] = field(default_factory=set)
    directory: dict[UUID, tuple[str, UUID | None, int, bytes]] = field(default_factory=dict)
    inbox: dict[UUID, tuple[UUID, str, int, bytes]] = field(default_factory=dict)
    """document: centre, state, position, row."""
    access: set[tuple[UUID, int]] = field(default_factory=set)
    gone: set[UUID] = field(default_factory=set)
    parked: dict[UUID, tuple[int, int, str]] = field(default_factory=dict)
    """stream: position of the event that could not be read, events unread, class of the error."""
    unparked: set[UUID] = field(default_factory=set)

    def put_patient(
        self, before: PatientSummary | None, after: PatientSummary, position: int, key: bytes
    ) -> None:
        """Add the rows of one patient that changed between two folds."""
        patient = after.patient
        self.patients[patient] = (
            position,
            seal_row(key, PATIENT_KIND, patient, position, to_bytes(after)),
            seal_row(key, BRIEFING_KIND, patient, position, to_bytes(extract(after))),
        )
        known = before.centres if before else ()
        self.centres.update((patient, centre) for centre in after.centres if centre not in known)
        held = {item.line.entry_id: item for item in before.items if item.open} if before else {}
        for item in after.items:
            if not item.open:
                continue
            if held.pop(item.line.entry_id, None) != item:
                self.put_item(patient, item, key)
        self.closed.update(held)

    def put_item(self, patient: UUID, item: Item, key: bytes) -> None:
        """Add the row of one open item."""
        line = item.line
        row = seal_row(
            key, open_items.KIND, patient, max(line.position, 0), open_items.to_bytes(item)
        )
        self.items[line.entry_id] = (patient, line.centre, max(line.position, 0), row)

    def put_entry(self, stream: UUID, entry: DirectoryEntry, position: int, key: bytes) -> None:
        """Add the row of a centre, a practitioner or a stint."""
        row = seal_row(key, directory.KIND, stream, position, directory.to_bytes(entry))
        centre = entry.centre if isinstance(entry, StintLine) else None
        kind = type(entry).__struct_config__.tag
        self.directory[stream] = (str(kind), centre, position, row)

    def put_document(self, line: InboxLine, position: int, key: bytes) -> None:
        """Add the row of an inbox document."""
        row = seal_row(key, inbox.KIND, line.document, position, inbox.to_bytes(line))
        self.inbox[line.document] = (line.centre, line.waits_as, position, row)


def open_patient(key: bytes, patient: UUID, position: int, row: bytes) -> PatientSummary:
    """The whole summary of a patient row.

    Raises:
        Tampered: the row does not open where it stands.
    """
    return from_bytes(open_row(key, PATIENT_KIND, patient, position, row))


def open_briefing(key: bytes, patient: UUID, position: int, row: bytes) -> PatientSummary:
    """The bounded summary of a briefing row; raises as :func:`open_patient`."""
    return from_bytes(open_row(key, BRIEFING_KIND, patient, position, row))


def write(connection: Connection, build: Build, batch: Batch) -> None:
    """Write a batch into a build, in the caller's transaction."""
    gone = list(batch.gone)
    if gone:
        # While the rows still tell whose patients they are.
        connection.execute(_REVISE_CENTRES, (-1, build, gone))
        connection.execute(_REVISE_DIRECTORY, (build, DIRECTORY_SCOPE, -1))
        for statement in _FORGET:
            connection.execute(statement, (build, gone))
    if batch.patients:
        patients = list(batch.patients)
        values = list(batch.patients.values())
        for table, index in (("patient", 1), ("briefing", 2)):
            connection.execute(
                _UPSERT_PATIENT[table],
                (build, patients, [v[0] for v in values], [v[index] for v in values]),
            )
    if batch.centres:
        pairs = sorted(batch.centres)
        connection.execute(_CENTRES, (build, [p for p, _ in pairs], [c for _, c in pairs]))
    if batch.patients:
        newest = max(position for position, _, _ in batch.patients.values())
        connection.execute(_REVISE_CENTRES, (newest, build, list(batch.patients)))
    if batch.closed:
        connection.execute(_CLOSE, (build, list(batch.closed)))
    if batch.items:
        rows = list(batch.items.values())
        connection.execute(
            _UPSERT_ITEM,
            (build, list(batch.items), [r[0] for r in rows], [r[1] for r in rows],
             [r[2] for r in rows], [r[3] for r in rows]),
        )  # fmt: skip
    if batch.directory:
        entries = list(batch.directory.values())
        connection.execute(
            _UPSERT_DIRECTORY,
            (build, list(batch.directory), [e[0] for e in entries], [e[1] for e in entries],
             [e[2] for e in entries], [e[3] for e in entries]),
        )  # fmt: skip
        newest = max(position for _, _, position, _ in entries)
        connection.execute(_REVISE_DIRECTORY, (build, DIRECTORY_SCOPE, newest))
    if batch.inbox:
        documents = list(batch.inbox.values())
        connection.execute(
            _UPSERT_INBOX,
            (build, list(batch.inbox), [d[0] for d in documents], [d[1] for d in documents],
             [d[2] for d in documents], [d[3] for d in documents]),
        )  # fmt: skip
    if batch.access:
        mentions = sorted(batch.access, key=lambda each: each[1])
        connection.execute(_ACCESS, (build, [p for p, _ in mentions], [n for _, n in mentions]))
    if batch.unparked:
        connection.execute(_UNPARK, (FEED, build, list(batch.unparked)))
    if batch.parked:
        parked = list(batch.parked.values())
        connection.execute(
            _PARK,
            (FEED, build, list(batch.parked), [p[0] for p in parked], [p[1] for p in parked],
             [p[2] for p in parked]),
        )  # fmt: skip


def drop_builds(connection: Connection, keep: Sequence[Build], limit: int = 20_000) -> int:
    """Delete up to ``limit`` rows a table of builds that are not kept; give how many."""
    deleted = 0
    for statement in _DROP:
        deleted += connection.execute(statement, (list(keep), limit)).rowcount
    return deleted


_UPSERT_PATIENT: Mapping[str, str] = {
    "patient": (
        "INSERT INTO projection.patient (build, patient, position, row) "
        "SELECT %b, * FROM unnest(%b::uuid[], %b::bigint[], %b::bytea[]) "
        "ON CONFLICT (build, patient) DO UPDATE "
        "SET position = excluded.position, row = excluded.row"
    ),
    "briefing": (
        "INSERT INTO projection.briefing (build, patient, position, row) "
        "SELECT %b, * FROM unnest(%b::uuid[], %b::bigint[], %b::bytea[]) "
        "ON CONFLICT (build, patient) DO UPDATE "
        "SET position = excluded.position, row = excluded.row"
    ),
}
_CENTRES: Final = (
    "INSERT INTO projection.patient_centre (build, patient, centre) "
    "SELECT %b, * FROM unnest(%b::uuid[], %b::uuid[]) ON CONFLICT DO NOTHING"
)
_CLOSE: Final = "DELETE FROM projection.open_item WHERE build = %b AND item = ANY(%b)"
_REVISE_CENTRES: Final = (
    "INSERT INTO projection.revision (build, scope, position) "
    "SELECT DISTINCT c.build, c.centre, %b::bigint FROM projection.patient_centre c "
    "WHERE c.build = %b AND c.patient = ANY(%b) ORDER BY c.centre "
    "ON CONFLICT (build, scope) DO UPDATE SET number = revision.number + 1, "
    "position = greatest(revision.position, excluded.position)"
)
_REVISE_DIRECTORY: Final = (
    "INSERT INTO projection.revision (build, scope, position) VALUES (%b, %b, %b) "
    "ON CONFLICT (build, scope) DO UPDATE SET number = revision.number + 1, "
    "position = greatest(revision.position, excluded.position)"
)
_UPSERT_ITEM: Final = (
    "INSERT INTO projection.open_item (build, item, patient, centre, position, row) "
    "SELECT %b, * FROM unnest(%b::uuid[], %b::uuid[], %b::uuid[], %b::bigint[], %b::bytea[]) "
    "ON CONFLICT (build, item) DO UPDATE "
    "SET centre = excluded.centre, position = excluded.position, row = excluded.row"
)
_UPSERT_DIRECTORY: Final = (
    "INSERT INTO projection.directory (build, stream, kind, centre, position, row) "
    "SELECT %b, * FROM unnest(%b::uuid[], %b::text[], %b::uuid[], %b::bigint[], %b::bytea[]) "
    "ON CONFLICT (build, stream) DO UPDATE "
    "SET centre = excluded.centre, position = excluded.position, row = excluded.row"
)
_UPSERT_INBOX: Final = (
    "INSERT INTO projection.inbox (build, document, centre, state, position, row) "
    "SELECT %b, * FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::bigint[], %b::bytea[]) "
    "ON CONFLICT (build, document) DO UPDATE "
    "SET state = excluded.state, position = excluded.position, row = excluded.row"
)
_ACCESS: Final = (
    "INSERT INTO projection.access (build, patient, position) "
    "SELECT %b, * FROM unnest(%b::uuid[], %b::bigint[]) ON CONFLICT DO NOTHING"
)
_UNPARK: Final = "DELETE FROM projection.parked WHERE name = %b AND build = %b AND stream = ANY(%b)"
_PARK: Final = (
    "INSERT INTO projection.parked (name, build, stream, position, events, error) "
    "SELECT %b, %b, * FROM unnest(%b::uuid[], %b::bigint[], %b::integer[], %b::text[]) "
    "ON CONFLICT (name, build, stream) DO UPDATE SET events = excluded.events"
)
_FORGET: Final = (
    "DELETE FROM projection.patient WHERE build = %b AND patient = ANY(%b)",
    "DELETE FROM projection.briefing WHERE build = %b AND patient = ANY(%b)",
    "DELETE FROM projection.open_item WHERE build = %b AND patient = ANY(%b)",
    "DELETE FROM projection.patient_centre WHERE build = %b AND patient = ANY(%b)",
    "DELETE FROM projection.directory WHERE build = %b AND stream = ANY(%b)",
    "DELETE FROM projection.inbox WHERE build = %b AND document = ANY(%b)",
    "DELETE FROM projection.parked WHERE build = %b AND stream = ANY(%b)",
)
_DROP: Final = tuple(
    f"DELETE FROM projection.{table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - our own names
    f"SELECT ctid FROM projection.{table} WHERE build <> ALL(%b) LIMIT %b))"
    for table in (*TABLES, "parked", "revision")
)
