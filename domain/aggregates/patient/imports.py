"""What another system holds on a patient, taken in as received and only once."""

from __future__ import annotations

from collections.abc import Iterator
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
    stands_beside,
)
from releve.domain.commands import ImportedDocument, ImportedEntry, ImportRecord
from releve.domain.errors import Invalid
from releve.domain.events import Payload, Source
from releve.domain.values import Concept, Sha256

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

    A line is known when the record holds one of the same topic, code, onset and source that says
    the same; if the very resource it came from now says something else, the new line supersedes
    the old one (its target), and so does another text of the same laboratory's report. A result is
    kept in sight by an open item as if it had been received here. A known-absence code is an
    absence, never a substance. When nothing is new, there are no facts.
    """
    facts: list[Fact] = []
    happened = ctx.happened(command)
    if patient.registered is None:
        if command.registration is None:
            raise Invalid("missing-field", field="registration", why="Le dossier n'existe pas.")
        facts.append(Fact(read_identity(command.registration, ctx)))
    document = command.document
    if document is not None and not holds_document(patient, document.sha256, document.source_id):
        facts.append(_attach(document, ctx))
    lines = list(_new_lines(patient, command.entries, ctx, first=len(facts)))
    results = [
        Arrival(ctx.event_id(place), line.payload, line.target, line.occurred_at or happened)
        for place, line in enumerate(lines, start=len(facts))
        if isinstance(line.payload, ResultReceived)
    ]
    return (*facts, *lines, *kept_in_sight(patient, results, ctx))


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


def _new_lines(
    patient: Patient, entries: tuple[ImportedEntry, ...], ctx: Context, *, first: int
) -> Iterator[Fact]:
    """``first`` is the place in the append of the first line that is new."""
    known: set[tuple[Line, Line]] = set()
    by_resource: dict[tuple[Line, str | None, str], UUID] = {}
    by_report: dict[Line, UUID] = {}
    filed = (
        patient.problems,
        patient.allergies,
        patient.absences,
        patient.medications,
        patient.observations,
        *(patient.told(kind) for kind in IMPORTED),
    )
    for events in filed:
        # What was superseded or marked in error stays known: the same file brings nothing back.
        for event in events:
            source = event.envelope.source
            line = _known_as(event.payload, event.envelope.occurred_at, source.system)
            known.add((line, _content(event.payload)))
            stands = patient.stands(event)
            if source.source_id is not None:
                resource = (_kind(event.payload, line), source.system, source.source_id)
                if stands or resource not in by_resource:
                    by_resource[resource] = event.event_id
            if _report(event.payload) and (stands or line not in by_report):
                by_report[line] = event.event_id
    made: dict[UUID, Payload] = {}
    new = 0
    for place, entry in enumerate(entries):
        payload = _as_absence(entry.payload)
        if not isinstance(payload, IMPORTED):
            raise Invalid("invalid-field", field=f"entries[{place}].payload")
        line = _known_as(payload, entry.occurred_at, ctx.source.system)
        content = _content(payload)
        if (line, content) in known:
            continue
        known.add((line, content))
        older = None
        if entry.source_id is not None:
            resource = (_kind(payload, line), ctx.source.system, entry.source_id)
            older = by_resource.get(resource)
        if isinstance(payload, ResultReceived):
            named = older or by_report.get(line)
            told = None if named is None else made.get(named) or patient.entries[named].payload
            beside = told is not None and stands_beside(payload, told)
            payload, older = _versioned(patient, payload, None if beside else named, ctx)
            made[ctx.event_id(first + new)] = payload
            if payload.report and not beside and not _late(patient, payload, older, made):
                by_report[line] = ctx.event_id(first + new)
        new += 1
        yield Fact(
            payload,
            occurred_at=entry.occurred_at,
            target=older,
            source=_source(ctx, entry.source_id, entry.author, None),
        )


def _late(
    patient: Patient, result: ResultReceived, older: UUID | None, made: dict[UUID, Payload]
) -> bool:
    """True for a partial after the definitive version, which stays the one in force."""
    if older is None or patient.is_out(older):
        return False
    known = made.get(older) or patient.entries[older].payload
    return comes_late(result, known)


def _versioned(
    patient: Patient, result: ResultReceived, older: UUID | None, ctx: Context
) -> tuple[ResultReceived, UUID | None]:
    """A result with the version that it replaces, and the order that both answer."""
    if older is None:
        before = earlier_version(patient, result, ctx.now)
        older = None if before is None else before.event_id
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


def _report(payload: Payload) -> str | None:
    return payload.report if isinstance(payload, ResultReceived) else None


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
    """What may change in a line that stays the same: status, verification, end, dose, value."""
    match payload:
        case ProblemRecorded():
            return payload.clinical_status, payload.verification, payload.abatement
        case AllergyRecorded():
            return payload.clinical_status, payload.verification, payload.criticality
        case AbsenceAsserted():
            return payload.clinical_status, payload.verification
        case MedicationStarted():
            taken = (payload.dose, payload.dose_text, payload.frequency)
            return payload.status, payload.end, *taken
        case ObservationRecorded():
            return payload.status, payload.value, payload.components
        case ImmunizationRecorded():
            return payload.status, payload.lot, payload.reason
        case ProcedureRecorded():
            return payload.status, payload.outcome
        case DeviceRecorded():
            return payload.status, payload.until
        case HistoryRecorded():
            return payload.status, payload.until, payload.value, payload.concept.text
        case ResultReceived():
            return payload.status, payload.lines, payload.conclusion
        case _:
            return ()


def _source(ctx: Context, source_id: str | None, author: str | None, sha256: str | None) -> Source:
    return Source(
        channel=ctx.source.channel,
        system=ctx.source.system,
        source_id=source_id,
        original_sha256=sha256 or ctx.source.original_sha256,
        author=author or ctx.source.author,
    )
