"""Results: from the order to a patient who was told; partial is not done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar, Literal, NamedTuple
from uuid import UUID

from releve.domain.aggregates.patient.entries import about
from releve.domain.aggregates.patient.observations import loincs_of, tells_the_past
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.record import Fold, Patient, file, supersede
from releve.domain.events import Event, Payload
from releve.domain.values import (
    Concept,
    ContactChannel,
    InvestigationKind,
    ResultLine,
    ResultStatus,
    ResultVerdict,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class InvestigationOrdered(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A laboratory test or imaging was ordered; ``item`` is open until the patient was told."""

    topic: ClassVar[str] = "patient.investigation-ordered"

    kind: InvestigationKind
    text: str
    expected_by: str
    item: UUID
    """The open item of the same append."""
    codes: tuple[Concept, ...] = ()
    why: str = ""
    criticality: Literal["routine", "urgent"] = "routine"
    harm_if_late: bool = False


class ResultReceived(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A result came in; the envelope's target is the earlier version that it replaces."""

    topic: ClassVar[str] = "patient.result-received"

    status: ResultStatus
    title: str = ""
    lines: tuple[ResultLine, ...] = ()
    conclusion: str = ""
    order: UUID | None = None
    report: str | None = None
    laboratory: str = ""
    sampled_at: str | None = None
    caller: str = ""
    read_back: bool = False


class ResultReviewed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A doctor said what a result (the envelope's target) means and what follows."""

    topic: ClassVar[str] = "patient.result-reviewed"

    verdict: ResultVerdict
    action: str = ""
    inform_patient: bool = True
    order: UUID | None = None
    """The order that the result answers, where the reader said so."""


class ContactAttempted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody tried to reach the patient; the envelope's target is what it was about."""

    topic: ClassVar[str] = "patient.contact-attempted"

    channel: ContactChannel
    outcome: Literal["no-answer", "message-left", "reached", "wrong-number"]
    whom: str = ""


class Informed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The patient, or who speaks for them, was told a result (the envelope's target)."""

    topic: ClassVar[str] = "patient.informed"

    channel: ContactChannel
    whom: str = ""
    text: str = ""


# State

DEFINITIVE = frozenset({"final", "corrected"})
"""What a laboratory signs; a partial or phoned result is never the end of the matter."""

CONFIRMED_WITHIN = timedelta(days=14)
"""How long after a phoned or partial result the definitive one may come in unannounced."""


def _received(patient: Patient, event: Event) -> None:
    file(patient, event)
    replaced = patient.entries.get(event.envelope.target) if event.envelope.target else None
    if replaced is not None and comes_late(event.payload, replaced.payload):
        # What was sent before the final report and arrives after it is history at once.
        patient.superseded[event.event_id] = replaced.event_id
    elif replaced is None or not stands_beside(event.payload, replaced.payload):
        supersede(patient, event)


def comes_late(newcomer: Payload, known: Payload) -> bool:
    """True for a partial result that arrives after the definitive one it prepared."""
    return _status(newcomer) == "partial" and _status(known) in DEFINITIVE


def stands_beside(newcomer: Payload, known: Payload) -> bool:
    """True for a call after the definitive result: news to read, and no version of the report."""
    return _status(newcomer) == "phoned" and _status(known) in DEFINITIVE


def _status(told: Payload) -> ResultStatus | None:
    return told.status if isinstance(told, ResultReceived) else None


FOLDS: dict[type[Payload], Fold] = {
    InvestigationOrdered: file,
    ResultReceived: _received,
    ResultReviewed: file,
    ContactAttempted: file,
    Informed: file,
}

Stage = Literal["history", "partial", "phoned", "to-read", "to-tell", "done"]
"""Where a result stands: an old one that a source told; expected to be completed or confirmed in
writing; nobody read it; the patient does not know; done."""


class Reading(NamedTuple):
    """What was said of one version of a result."""

    reviews: tuple[Event, ...]
    informed: tuple[Event, ...]
    inform: bool
    """The patient is to be told, as the last review has it."""


def current_results(patient: Patient) -> Iterator[Event]:
    """The version in force of each result, oldest first."""
    return patient.standing(patient.told(ResultReceived))


def reading_of(patient: Patient, result: UUID) -> Reading:
    """Standing reviews of exactly that version and who was told, oldest first."""
    reviews = tuple(about(patient, ResultReviewed, result))
    last = reviews[-1].payload if reviews else None
    return Reading(
        reviews=reviews,
        informed=tuple(about(patient, Informed, result)),
        inform=not isinstance(last, ResultReviewed) or last.inform_patient,
    )


def is_past(event: Event) -> bool:
    """True for a result that was old when it came in, as a source's list of years is.

    It stays "à valider" where it was imported; nobody is asked to act on it. A phoned one is news.
    """
    told = event.payload
    if not isinstance(told, ResultReceived) or told.status == "phoned":
        return False
    envelope = event.envelope
    return tells_the_past(told.sampled_at or envelope.occurred_at, envelope.zone, event.recorded_at)


def stage_of(patient: Patient, result: Event) -> Stage:
    """Where the version in force of a result stands."""
    if not isinstance(result.payload, ResultReceived):
        raise TypeError(f"{result.topic} is no result")
    reading = reading_of(patient, result.event_id)
    if not reading.reviews:
        if is_past(result):
            return "history"
        return "partial" if result.payload.status == "partial" else "to-read"
    if result.payload.status == "partial":
        return "partial"
    if reading.inform and not reading.informed:
        return "to-tell"
    return "phoned" if result.payload.status == "phoned" else "done"


def versions_of(patient: Patient, result: UUID) -> Iterator[Event]:
    """A result and the earlier versions that it replaces, newest first."""
    at: UUID | None = result
    while at is not None:
        event = patient.entries.get(at)
        if event is None or not isinstance(event.payload, ResultReceived):
            return
        yield event
        at = event.envelope.target


def order_of(patient: Patient, result: UUID) -> UUID | None:
    """The order that a result answers: as it says, as an earlier version or its reader said."""
    for event in versions_of(patient, result):
        reviews = (
            e.payload for e in reversed(list(about(patient, ResultReviewed, event.event_id)))
        )
        said = (r.order for r in reviews if isinstance(r, ResultReviewed) and r.order is not None)
        order = next(said, None)
        if order is None and isinstance(event.payload, ResultReceived):
            order = event.payload.order
        known = patient.entries.get(order) if order is not None else None
        if known is not None and patient.stands(known):
            return order
    return None


def results_of(patient: Patient, order: UUID) -> Iterator[Event]:
    """Results in force that answer an order, oldest first."""
    said = {
        event.envelope.target
        for event in patient.told(ResultReviewed)
        if isinstance(event.payload, ResultReviewed) and event.payload.order == order
    }
    for event in current_results(patient):
        if (
            any(
                version.event_id in said
                or (isinstance(version.payload, ResultReceived) and version.payload.order == order)
                for version in versions_of(patient, event.event_id)
            )
            and order_of(patient, event.event_id) == order
        ):
            yield event


def items_of(patient: Patient, result: UUID, *, order: UUID | None = None) -> list[Event]:
    """Standing items that end with a result: its order's, and the one that it opened itself.

    ``order`` is the one that a decision is about to say it answers.
    """
    follows = {event.event_id for event in versions_of(patient, result)}
    order = order or order_of(patient, result)
    if order is not None:
        follows.add(order)
    return [
        item
        for item in patient.standing(patient.items)
        if isinstance(item.payload, ItemOpened) and item.payload.follows in follows
    ]


def awaited_by(patient: Patient, item: ItemOpened) -> list[Event]:
    """Results in force that an item waits for; none where none came in."""
    if item.follows is None:
        return []
    order = patient.entries.get(item.follows)
    if order is not None and isinstance(order.payload, InvestigationOrdered):
        return list(results_of(patient, item.follows))
    return [
        event
        for event in current_results(patient)
        if any(version.event_id == item.follows for version in versions_of(patient, event.event_id))
    ]


def earlier_version(patient: Patient, received: ResultReceived, at: datetime) -> Event | None:
    """The result in force that one that comes in at ``at`` is a newer version of.

    It is of the same laboratory's report; or it is a phoned or partial one of the same order (or of
    none) that the definitive one repeats line by line, as the written confirmation of a call does.
    A value that differs makes two results, side by side.
    """
    return _same_report(patient, received) or _confirmed(patient, received, at)


def _same_report(patient: Patient, received: ResultReceived) -> Event | None:
    if received.report is None or not received.laboratory:
        return None
    named = (received.report, received.laboratory)
    known = [
        event
        for event in patient.told(ResultReceived)
        if isinstance(event.payload, ResultReceived)
        and (event.payload.report, event.payload.laboratory) == named
    ]
    standing = [event for event in known if patient.stands(event)]
    signed = [event for event in standing if _status(event.payload) in DEFINITIVE]
    if received.status == "phoned":
        called = [event for event in standing if not stands_beside(received, event.payload)]
        return called[-1] if called else None
    return next(reversed(signed or standing or known), None)


def _confirmed(patient: Patient, received: ResultReceived, at: datetime) -> Event | None:
    if received.status not in DEFINITIVE:
        return None
    said = [_said(line) for line in received.lines]
    for event in reversed(list(current_results(patient))):
        told = event.payload
        if (
            isinstance(told, ResultReceived)
            and told.status not in DEFINITIVE
            and at - event.recorded_at <= CONFIRMED_WITHIN
            and (received.order or told.order) == (told.order or received.order)
            and told.lines
            and all(_repeated(_said(line), said) for line in told.lines)
        ):
            return event
    return None


_Said = tuple[frozenset[str], tuple[str | None, ...]]


def _said(line: ResultLine) -> _Said:
    value = line.value
    number = None if value is None else value.value.strip().replace(",", ".")
    unit = None if value is None else value.code or value.unit
    codes = loincs_of(line.code) or frozenset((line.code.text.strip().casefold(),))
    return codes, (number, unit, line.comparator, line.text)


def _repeated(line: _Said, lines: list[_Said]) -> bool:
    return any(codes & line[0] and said == line[1] for codes, said in lines)
