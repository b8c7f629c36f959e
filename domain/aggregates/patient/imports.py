"""What another system holds on a patient, taken in as received and only once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import Context, Fact
from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    absence_of,
)
from releve.domain.aggregates.patient.documents import DocumentAttached, holds_document
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.identity import read_identity
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.record import Patient
from releve.domain.aggregates.patient.result_follow_up import Arrival, kept_in_sight
from releve.domain.aggregates.patient.results import (
    ResultReceived,
    comes_late,
    earlier_version,
    order_of,
    takes_up,
    version_among,
)
from releve.domain.codes import Sha256
from releve.domain.commands import ImportedDocument, ImportedEntry, ImportRecord
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload, Source
from releve.domain.values import Concept

IMPORTED = (
    ProblemRecorded,
    AllergyRecorded,
    AbsenceAsserted,
    MedicationStarted,
    ObservationRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
    DeviceRecorded,
    HistoryRecorded,
    ResultReceived,
)
"""Payloads that a source's coded lines may become."""

Line = tuple[object, ...]
"""What makes two lines the same: topic, code, onset, source."""


def import_record(patient: Patient, command: ImportRecord, ctx: Context) -> tuple[Fact, ...]:
    """Entries with the status, verification and dates of their source, whatever the code system.

    A line is known when the last word of the record on that topic, code, onset and source is the
    same, or when a doctor set the same aside; if the very resource it came from now says something
    else, the new line is a version of the old one (its target), and so is a text of the same
    laboratory's report that has every measure of the earlier one. A result that was set aside, and
    a document that was withdrawn whole, come in as new. A result is kept in sight by an open item
    as if it had been received here. A known-absence code is an absence, never a substance. When
    nothing is new, there are no facts.
    """
    facts: list[Fact] = []
    happened = ctx.happened(command)
    if patient.registered is None:
        if command.registration is None:
            raise Invalid("missing-field", field="registration", why="Le dossier n'existe pas.")
        facts.append(Fact(read_identity(command.registration, ctx)))
    document = command.document
    withdrawn = None if document is None else _withdrawn(patient, document)
    if document is not None and not holds_document(patient, document.sha256, document.source_id):
        facts.append(_attach(document, ctx))
    lines = list(_new_lines(patient, command.entries, ctx, first=len(facts), withdrawn=withdrawn))
    results = [
        Arrival(ctx.event_id(place), line.payload, line.target, line.occurred_at or happened)
        for place, line in enumerate(lines, start=len(facts))
        if isinstance(line.payload, ResultReceived)
    ]
    return (*facts, *lines, *kept_in_sight(patient, results, ctx))


def _withdrawn(patient: Patient, document: ImportedDocument) -> str | None:
    """The document's SHA-256, where it was attached here once and is no more."""
    attached = [
        patient.stands(event)
        for event in patient.documents
        if isinstance(event.payload, DocumentAttached) and event.payload.sha256 == document.sha256
    ]
    return document.sha256 if attached and not any(attached) else None


def _attach(document: ImportedDocument, ctx: Context) -> Fact:
    if document.sha256 not in ctx.originals:
        raise Invalid("missing-field", field="original", why="Les octets du document manquent.")
    return Fact(
        DocumentAttached(
            sha256=str(Sha256(document.sha256, field="document.sha256")),
            size=document.size,
            media_type=document.media_type,
            title=document.title,
            kind=document.kind,
            unmapped=document.unmapped,
            warnings=document.warnings,
        ),
        source=_source(ctx, document.source_id, None, document.sha256),
    )


Said = tuple[Line, Line]
"""A line and what it says."""


class _Kept(NamedTuple):
    """What the record, or this very file before, says of a line."""

    id: UUID
    payload: Payload
    said: Said
    resource: tuple[Line, str | None, str] | None


class _Held:
    """What the record holds of a source's lines, and what this import adds to it."""

    def __init__(self, patient: Patient, withdrawn: str | None) -> None:
        self.patient = patient
        self.known: set[Said] = set()
        """What needs no new event: the last word on a line, or what a doctor set aside."""
        self.past: set[Said] = set()
        """What was said and has been replaced since."""
        self._kept: dict[UUID, _Kept] = {}
        self._by_line: dict[Line, list[UUID]] = {}
        self._by_resource: dict[tuple[Line, str | None, str], list[UUID]] = {}
        self._replaced: set[UUID] = set()
        filed = (
            patient.problems,
            patient.allergies,
            patient.absences,
            patient.medications,
            patient.observations,
            *(patient.told(kind) for kind in IMPORTED),
        )
        for events in filed:
            for event in events:
                self._file(event, withdrawn)

    def _file(self, event: Event, withdrawn: str | None) -> None:
        source, payload = event.envelope.source, event.payload
        line = _known_as(payload, event.envelope.occurred_at, source.system)
        resource = None
        if source.source_id is not None:
            resource = (_kind(payload, line), source.system, source.source_id)
        said = (line, _content(payload))
        self._keep(_Kept(event.event_id, payload, said, resource))
        if self.patient.is_out(event.event_id):
            # A doctor's no to a line is not asked twice; a result comes back when it is sent again,
            # and so does all of a document that was withdrawn whole.
            again = withdrawn is not None and source.original_sha256 == withdrawn
            if not again and not isinstance(payload, ResultReceived):
                self.known.add(said)
        elif any(self.patient.newer_than(event.event_id)):
            self.past.add(said)
        else:
            self.known.add(said)

    def _keep(self, kept: _Kept) -> None:
        self._kept[kept.id] = kept
        self._by_line.setdefault(kept.said[0], []).append(kept.id)
        if kept.resource is not None:
            self._by_resource.setdefault(kept.resource, []).append(kept.id)

    def add(self, kept: _Kept, older: UUID | None, *, late: bool) -> None:
        """A line of this import comes in, as a newer version of ``older``."""
        self._keep(kept)
        self.known.add(kept.said)
        if late:
            self._replaced.add(kept.id)
        elif older is not None:
            self._replaced.add(older)
            before = self._kept.get(older)
            if before is not None and before.said != kept.said:
                self.known.discard(before.said)

    def stands(self, entry: UUID) -> bool:
        """Whether the line of that name is in current views once this import is in."""
        event = self.patient.entries.get(entry)
        return entry not in self._replaced and (event is None or self.patient.stands(event))

    def is_replaced(self, entry: UUID) -> bool:
        """Whether a line of this import took its place."""
        return entry in self._replaced

    def payload(self, entry: UUID) -> Payload:
        """What a line of the record, or of this import, says."""
        kept = self._kept.get(entry)
        return kept.payload if kept is not None else self.patient.entries[entry].payload

    def version_before(self, kept: _Kept) -> UUID | None:
        """The line of the same resource, or the result of the same report, that it continues."""
        same = [] if kept.resource is None else self._by_resource.get(kept.resource, [])
        if not isinstance(kept.payload, ResultReceived):
            return next(reversed([each for each in same if self.stands(each)] or same), None)
        report = self._by_line.get(kept.said[0], []) if kept.payload.report else []
        for ids in (same, report):
            told = [
                (each, payload, self.stands(each))
                for each in ids
                if isinstance(payload := self.payload(each), ResultReceived)
                and (self.stands(each) or self.patient.is_out(each))
            ]
            older = version_among(kept.payload, told)
            if older is not None:
                return older
        return None


def _new_lines(
    patient: Patient,
    entries: tuple[ImportedEntry, ...],
    ctx: Context,
    *,
    first: int,
    withdrawn: str | None,
) -> Iterator[Fact]:
    """``first`` is the place in the append of the first line that is new."""
    held = _Held(patient, withdrawn)
    read = [_read(entry, ctx, place) for place, entry in enumerate(entries)]
    new = 0
    for place, (entry, line) in enumerate(zip(entries, read, strict=True)):
        if line.said in held.known:
            continue
        if line.said in held.past and any(_says_again(one, line) for one in read[place + 1 :]):
            continue  # what the file itself takes back further down
        older = held.version_before(line)
        payload, late = line.payload, False
        if isinstance(payload, ResultReceived):
            payload, older = _versioned(held, payload, older, ctx)
            late = older is not None and _late(held, payload, older)
            if line.said in held.past and (late or payload.status == "phoned"):
                continue  # it prepared the result in force, and is known
        made = line._replace(id=ctx.event_id(first + new), payload=payload)
        held.add(made, older, late=late)
        new += 1
        yield Fact(
            payload,
            occurred_at=entry.occurred_at,
            target=older,
            source=_source(ctx, entry.source_id, entry.author, None),
        )


def _read(entry: ImportedEntry, ctx: Context, place: int) -> _Kept:
    payload = _as_absence(entry.payload)
    if not isinstance(payload, IMPORTED):
        raise Invalid("invalid-field", field=f"entries[{place}].payload")
    line = _known_as(payload, entry.occurred_at, ctx.source.system)
    resource = None
    if entry.source_id is not None:
        resource = (_kind(payload, line), ctx.source.system, entry.source_id)
    return _Kept(UUID(int=place), payload, (line, _content(payload)), resource)


def _says_again(later: _Kept, line: _Kept) -> bool:
    """True where a file says the same line anew further down: its last word counts."""
    if later.said[0] != line.said[0] and (line.resource is None or later.resource != line.resource):
        return False
    told, before = later.payload, line.payload
    if isinstance(told, ResultReceived) and isinstance(before, ResultReceived):
        return takes_up(told, before)
    return True


def _late(held: _Held, result: ResultReceived, older: UUID) -> bool:
    """True for a partial after the definitive version, which stays the one in force."""
    return not held.patient.is_out(older) and comes_late(result, held.payload(older))


def _versioned(
    held: _Held, result: ResultReceived, older: UUID | None, ctx: Context
) -> tuple[ResultReceived, UUID | None]:
    """A result with the version that it replaces, and the order that both answer.

    What an earlier line of this import has replaced already has no second newer version.
    """
    patient = held.patient
    if older is None:
        before = earlier_version(patient, result, ctx.now)
        if before is not None and not held.is_replaced(before.event_id):
            older = before.event_id
    order = result.order if result.order in patient.entries else None
    if order is None and older is not None:
        order = order_of(patient, older)
    return msgspec.structs.replace(result, order=order), older


def _as_absence(payload: Payload) -> Payload:
    """An absence for a line whose code says "none known", whatever resource carried it."""
    match payload:
        case AllergyRecorded():
            concept, status = payload.substance, payload.clinical_status
            verification, asked = payload.verification, payload.recorded
        case ProblemRecorded():
            concept, status = payload.concept, payload.clinical_status
            verification, asked = payload.verification, payload.recorded
        case MedicationStarted():
            concept, status = payload.concept, None
            verification, asked = None, payload.recorded
        case _:
            return payload
    absence = absence_of(concept)
    if absence is None:
        return payload
    return AbsenceAsserted(
        slot=absence.slot,
        part=absence.part,
        asked_on=asked,
        concept=concept,
        clinical_status=status,
        verification=verification,
    )


def _code(concept: Concept | None) -> Line:
    if concept is None:
        return ()
    codes = sorted((c.system or "", c.code) for c in concept.codings if c.code)
    return tuple(codes) or (concept.text.strip().casefold(),)


def _known_as(payload: Payload, occurred_at: str | None, system: str | None) -> Line:
    """A line and its source; a laboratory's report is the same whichever way it came."""
    if isinstance(payload, ResultReceived) and payload.report:
        return payload.topic, payload.report, payload.laboratory or system
    return _line(payload, occurred_at), system


def _kind(payload: Payload, line: Line) -> Line:
    """What one resource of a source says for ever: its line, but a result may gain tests."""
    return (payload.topic,) if isinstance(payload, ResultReceived) else line


def _line(payload: Payload, occurred_at: str | None) -> Line:
    """Topic, code and onset of an imported line."""
    match payload:
        case ProblemRecorded():
            return payload.topic, _code(payload.concept), payload.onset, payload.laterality
        case AllergyRecorded():
            return payload.topic, _code(payload.substance), payload.onset
        case AbsenceAsserted():
            return payload.topic, payload.slot, payload.part, _code(payload.concept)
        case MedicationStarted():
            return payload.topic, payload.statement, _code(payload.concept), payload.start
        case ObservationRecorded():
            return payload.topic, _code(payload.code), occurred_at
        case ImmunizationRecorded():
            return payload.topic, _code(payload.vaccine), payload.given_on, payload.dose_number
        case ProcedureRecorded():
            return payload.topic, _code(payload.concept), payload.performed, payload.body_site
        case DeviceRecorded():
            return payload.topic, _code(payload.concept), payload.since, payload.body_site
        case HistoryRecorded():
            at = None if payload.relationship else occurred_at
            told = (payload.slot, payload.relationship, payload.since, at)
            return payload.topic, _code(payload.concept), *told
        case ResultReceived():
            named = payload.report or payload.title.strip().casefold()
            return payload.topic, named, payload.sampled_at or occurred_at
        case _:
            return (payload.topic,)


def _content(payload: Payload) -> Line:
    """What may change in a line that stays the same: words, status, verification, end, dose, value.

    Words too: "allergie médicamenteuse" is one code for amoxicillin and for ibuprofen.
    """
    match payload:
        case ProblemRecorded():
            said = (payload.clinical_status, payload.verification, payload.abatement)
            return _words(payload.concept), *said
        case AllergyRecorded():
            said = (payload.clinical_status, payload.verification, payload.criticality)
            return _words(payload.substance), *said
        case AbsenceAsserted():
            return payload.clinical_status, payload.verification
        case MedicationStarted():
            taken = (payload.dose, payload.dose_text, payload.frequency)
            return _words(payload.concept), payload.status, payload.end, *taken
        case ObservationRecorded():
            return payload.status, payload.value, payload.components
        case ImmunizationRecorded():
            return _words(payload.vaccine), payload.status, payload.lot, payload.reason
        case ProcedureRecorded():
            return _words(payload.concept), payload.status, payload.outcome
        case DeviceRecorded():
            return _words(payload.concept), payload.status, payload.until
        case HistoryRecorded():
            return payload.status, payload.until, payload.value, payload.concept.text
        case ResultReceived():
            return payload.status, payload.lines, payload.conclusion
        case _:
            return ()


def _words(concept: Concept) -> str:
    return " ".join(concept.text.casefold().split())


def _source(ctx: Context, source_id: str | None, author: str | None, sha256: str | None) -> Source:
    return Source(
        channel=ctx.source.channel,
        system=ctx.source.system,
        source_id=source_id,
        original_sha256=sha256 or ctx.source.original_sha256,
        author=author or ctx.source.author,
    )
