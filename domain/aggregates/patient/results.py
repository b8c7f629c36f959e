"""Results: from the order to a patient who was told; partial is not done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import ClassVar, Literal, NamedTuple
from uuid import UUID

from releve.domain.aggregates.patient.entries import about
from releve.domain.aggregates.patient.observations import tells_the_past
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.aggregates.patient.result_agreement import covers, differences, repeats
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

_EXPECTING = frozenset({"phoned", "partial"})
"""What a definitive result confirms or completes."""


def _received(patient: Patient, event: Event) -> None:
    file(patient, event)
    target = event.envelope.target
    if target is None:
        return
    known = patient.entries.get(target)
    pair = replacing(
        (event.event_id, _status(event.payload)),
        (target, None if known is None else _status(known.payload)),
    )
    if pair is not None:
        # A laboratory's word on its own report is news to act on: it does not wait to be accepted.
        older, newer = pair
        patient.superseded[older] = newer


def replacing(
    newcomer: tuple[UUID, ResultStatus | None], known: tuple[UUID, ResultStatus | None]
) -> tuple[UUID, UUID] | None:
    """Of a result and the one that it names: the one that is replaced, and by which (pure).

    What was sent before the final report and arrives after it is history at once. None where both
    stand: a call after the report is no version of it.
    """
    if known[1] in DEFINITIVE and newcomer[1] in _EXPECTING:
        return (newcomer[0], known[0]) if newcomer[1] == "partial" else None
    return known[0], newcomer[0]


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
    """Who was told what the last review says; what was told before it counts no more."""
    inform: bool
    """The patient is to be told, as the last review has it."""


def current_results(patient: Patient) -> Iterator[Event]:
    """The version in force of each result, oldest first."""
    return patient.standing(patient.told(ResultReceived))


def reading_of(patient: Patient, result: UUID) -> Reading:
    """Standing reviews of exactly that version and who was told since, oldest first."""
    reviews = tuple(about(patient, ResultReviewed, result))
    last = reviews[-1] if reviews else None
    said = None if last is None else last.payload
    since = 0 if last is None else last.originator_version
    told = about(patient, Informed, result)
    return Reading(
        reviews=reviews,
        informed=tuple(event for event in told if event.originator_version > since),
        inform=not isinstance(said, ResultReviewed) or said.inform_patient,
    )


def is_history(patient: Patient, result: Event) -> bool:
    """True for an old result that nobody waited for, as a source's list of years is.

    It stays "à valider" where it was imported; nobody is asked to act on it. What answers an order,
    or corrects or completes what was news here, is to be read however long the laboratory took: a
    culture grows for two months, and histology is read again after three.
    """
    return is_past(result) and not is_awaited(
        patient, order_of(patient, result.event_id), result.envelope.target
    )


def is_awaited(patient: Patient, order: UUID | None, replaces: UUID | None) -> bool:
    """Whether a result answers an order that stands, or replaces one that was no history."""
    known = patient.entries.get(order) if order is not None else None
    if known is not None and patient.stands(known):
        return True
    before = patient.entries.get(replaces) if replaces is not None else None
    if before is None or not isinstance(before.payload, ResultReceived):
        return False
    return not is_history(patient, before)


def is_past(event: Event) -> bool:
    """True for a result whose sample was old when it came in. A phoned one is news."""
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
    status = result.payload.status
    if status in _EXPECTING and settled_by(patient, result) is not None:
        return "done"
    if not reading.reviews:
        if is_history(patient, result):
            return "history"
        return "partial" if status == "partial" else "to-read"
    if status == "partial":
        return "partial"
    if reading.inform and not reading.informed:
        return "to-tell"
    return "phoned" if status == "phoned" else "done"


def is_unread(patient: Patient, result: Event) -> bool:
    """True for a version in force that somebody has yet to read, a partial one included."""
    stage = stage_of(patient, result)
    if stage == "partial":
        return not reading_of(patient, result.event_id).reviews
    return stage == "to-read"


def settled_by(patient: Patient, result: Event) -> Event | None:
    """The definitive result, read and told, after which a phoned or partial one waits no more."""
    for written in current_results(patient):
        if (
            _status(written.payload) in DEFINITIVE
            and settles(patient, written, result)
            and stage_of(patient, written) == "done"
        ):
            return written
    return None


def settles(
    patient: Patient,
    written: Event,
    said: Event,
    *,
    order: UUID | None = None,
    read_now: bool = False,
    known_now: bool = False,
) -> bool:
    """Whether ``said``, phoned or partial, waits no more once ``written`` was read and told.

    It is settled by a reading, never by silence: somebody read it, and either the written one
    afterwards, or the patient was told. Only a partial whose every measure the final one of the
    same order has again goes unread, as its earlier version would. ``read_now``: a decision is
    about to say that ``written`` was read, and that it answers ``order`` where that is given;
    ``known_now``, that ``said`` was read and the patient told.
    """
    told, final = said.payload, written.payload
    if not isinstance(told, ResultReceived) or not isinstance(final, ResultReceived):
        return False
    asked = order_of(patient, said.event_id)
    if asked is not None and order is None:
        order = order_of(patient, written.event_id)
    link = linked(
        final.status,
        told.status,
        agreement(final, told),
        same_order=None if asked is None or order is None else asked == order,
        elapsed=written.recorded_at - said.recorded_at,
    )
    if link is None or known_now:
        return link is not None
    reading = reading_of(patient, said.event_id)
    if not reading.reviews:
        return link == "settled"
    if read_now or not reading.inform or reading.informed:
        return True
    reviews = reading_of(patient, written.event_id).reviews
    since = reading.reviews[-1].originator_version
    return any(review.originator_version > since for review in reviews)


Link = Literal["settled", "read"]


class Agreement(NamedTuple):
    """What the lines of a definitive result say to those of a phoned or partial one."""

    has_all: bool
    """Every measure of it is there, whatever its value."""
    differs: bool
    """A measure of it is there with other values only."""


def agreement(written: ResultReceived, said: ResultReceived) -> Agreement:
    """How far a definitive result says what was phoned or partial (pure)."""
    has_all = covers(written.lines, said.lines)
    return Agreement(has_all, differs=bool(differences(written.lines, said.lines)))


def linked(
    written: ResultStatus,
    said: ResultStatus,
    agree: Agreement,
    *,
    same_order: bool | None,
    elapsed: timedelta,
) -> Link | None:
    """How a definitive result ends the waiting of a phoned or partial one, if it does (pure).

    ``settled`` as it is; ``read`` once somebody has read ``said`` too. Both are of one order, or
    of the same measures within the time in which a written result follows its call; ``same_order``
    is None where one of them has none. ``elapsed`` is from ``said`` to ``written``: a call that
    comes after the report is settled by it only where it repeats it.
    """
    if written not in DEFINITIVE or said not in _EXPECTING or same_order is False:
        return None
    if not same_order and abs(elapsed) > CONFIRMED_WITHIN:
        return None
    after = elapsed < timedelta(0)
    if same_order and said == "partial":
        return "settled" if agree.has_all and not after else "read"
    if not agree.has_all or (after and agree.differs):
        return None
    return "read"


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
        came = event.payload.order if isinstance(event.payload, ResultReceived) else None
        read = (review.payload for review in about(patient, ResultReviewed, event.event_id))
        order = answered_order(
            came, (said.order for said in read if isinstance(said, ResultReviewed))
        )
        known = patient.entries.get(order) if order is not None else None
        if known is not None and patient.stands(known):
            return order
    return None


def answered_order(came: UUID | None, read: Iterable[UUID | None]) -> UUID | None:
    """The order of one version: the last one that a reader named, else the one it came with."""
    for said in read:
        came = said or came
    return came


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
    """Standing items that end with a result: its order's, and those that its versions opened.

    ``order`` is the one that a decision is about to say it answers.
    """
    first = _first_version(patient, result) or result
    order = order or order_of(patient, result)
    return [
        item
        for item in patient.items
        if isinstance(item.payload, ItemOpened)
        and item.payload.follows is not None
        and (
            item.payload.follows == order or _first_version(patient, item.payload.follows) == first
        )
        and patient.stands(item)
    ]


def _first_version(patient: Patient, result: UUID) -> UUID | None:
    """What all versions of one result have in common, even where two of them are in force."""
    first = None
    for version in versions_of(patient, result):
        first = version.event_id
    return first


def awaited_by(patient: Patient, item: ItemOpened) -> list[Event]:
    """Results in force that an item waits for; none where none came in."""
    if item.follows is None:
        return []
    order = patient.entries.get(item.follows)
    if order is not None and isinstance(order.payload, InvestigationOrdered):
        return list(results_of(patient, item.follows))
    first = _first_version(patient, item.follows) or item.follows
    return [
        event
        for event in current_results(patient)
        if _first_version(patient, event.event_id) == first
    ]


def earlier_version(patient: Patient, received: ResultReceived, at: datetime) -> Event | None:
    """The result in force that one that comes in at ``at`` is a newer version of.

    It is of the same laboratory's report; or it is a phoned or partial one of the same order (or of
    none) that the definitive one repeats measure by measure, as the written confirmation of a call
    does; or a partial one of the same order that the final one has again. A call whose value
    differs stays beside it (:func:`settles`).
    """
    return _same_report(patient, received) or _confirmed(patient, received, at)


def takes_up(newer: ResultReceived, older: ResultReceived) -> bool:
    """Whether ``newer`` has again what ``older`` says: nothing of it would leave unread.

    Of a partial that comes after the definitive result, it is the latter that has it again.
    """
    if comes_late(newer, older):
        newer, older = older, newer
    if older.lines:
        return covers(newer.lines, older.lines)
    return bool(newer.conclusion) or not older.conclusion


def version_among(
    received: ResultReceived, known: Iterable[tuple[UUID, ResultReceived, bool]]
) -> UUID | None:
    """Which result of the same report ``received`` is a version of, as far as it has it again.

    ``known`` are the report's, oldest first, and whether each is in force: the others are out, in
    error or refused. One that was replaced is none of them: it has its newer version already, and
    a second one would leave two in force. What the laboratory signed goes first; a call is never a
    version of it.
    """
    same = [each for each in known if takes_up(received, each[1])]
    standing = [each for each in same if each[2]]
    if received.status == "phoned":
        found = [each for each in standing if not stands_beside(received, each[1])]
    else:
        found = [each for each in standing if each[1].status in DEFINITIVE] or standing or same
    return found[-1][0] if found else None


def _same_report(patient: Patient, received: ResultReceived) -> Event | None:
    if received.report is None or not received.laboratory:
        return None
    named = (received.report, received.laboratory)
    known = [
        (event.event_id, event.payload, patient.stands(event))
        for event in patient.told(ResultReceived)
        if isinstance(event.payload, ResultReceived)
        and (event.payload.report, event.payload.laboratory) == named
        and (patient.stands(event) or patient.is_out(event.event_id))
    ]
    found = version_among(received, known)
    return None if found is None else patient.entries[found]


def _confirmed(patient: Patient, received: ResultReceived, at: datetime) -> Event | None:
    if received.status not in DEFINITIVE:
        return None
    waiting = [
        (event, event.payload)
        for event in reversed(patient.told(ResultReceived))
        if isinstance(event.payload, ResultReceived)
        and event.payload.status in _EXPECTING
        and patient.stands(event)
    ]
    for event, said in waiting:
        if at - event.recorded_at > CONFIRMED_WITHIN:
            continue
        order = order_of(patient, event.event_id)
        if (received.order or order) == (order or received.order) and repeats(
            received.lines, said.lines
        ):
            return event
    for event, said in waiting:
        if (
            received.order is not None
            and order_of(patient, event.event_id) == received.order
            and said.status == "partial"
            and covers(received.lines, said.lines)
        ):
            return event
    return None
