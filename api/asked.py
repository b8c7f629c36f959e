"""Questions put to somebody, wherever they may still answer: what is open of a record, no more.

A doctor whose stint ended up to 14 days ago reads the question, whose record it is about and the
entry that it quotes; nothing else of that record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from releve.api.gate import Granted, Principal, authorise
from releve.api.problems import RequestRefused
from releve.projections.patient_summary import PatientSummary, Question
from releve.projections.timeline import TimelineEntry, entries_of
from releve.security.policy import Action, phase

if TYPE_CHECKING:
    from releve.api.services import Services


MINE_SHOWN: Final = 20
"""Questions of one's own that are shown, the newest."""


class Asked(NamedTuple):
    """One question that waits for its reader's answer."""

    summary: PatientSummary
    question: Question
    about: TimelineEntry | None
    """The entry that it quotes."""
    granted: Granted
    """By what right it is read."""


def asked_of(services: Services, principal: Principal) -> tuple[list[Asked], int]:
    """Open questions to a person in every centre where they may answer, and the position shown.

    Each record is asked about at the gate: what may not be answered any more is left out.
    """
    found: list[Asked] = []
    position = -1
    for centre in _centres(services, principal):
        position, summaries = services.records.summaries(centre)
        for summary in summaries.values():
            own = [each for each in summary.open_questions if each.to == principal.person]
            if own:
                found += _of_record(services, principal, summary, own)
    found.sort(key=lambda each: (each.question.line.recorded_at, each.question.line.entry_id))
    return found, position


def asked_by(
    services: Services, person: UUID, centre: UUID
) -> tuple[list[tuple[Question, PatientSummary]], int]:
    """What a person asked about a centre's patients, the newest first, and the position shown.

    The caller may read the centre.
    """
    position, summaries = services.records.summaries(centre)
    found = [
        (question, summary)
        for summary in summaries.values()
        for question in summary.questions
        if question.line.current and question.line.person == person
    ]
    found.sort(key=lambda each: each[0].line.recorded_at, reverse=True)
    return found[:MINE_SHOWN], position


def _centres(services: Services, principal: Principal) -> Iterable[UUID]:
    now = services.clock()
    reached = {
        window.centre
        for window in principal.actor.stints
        if phase(window, now) not in ("closed", "over")
    }
    return sorted(principal.actor.centres | reached, key=str)


def _of_record(
    services: Services, principal: Principal, summary: PatientSummary, own: list[Question]
) -> Iterable[Asked]:
    try:
        granted = authorise(services, principal, Action.READ_ASKED_CARD, "patient", summary.patient)
    except RequestRefused:
        return
    entries = {each.event_id: each for each in entries_of(services.reader.stream(summary.patient))}
    for question in own:
        about = question.line.target
        yield Asked(summary, question, entries.get(about) if about else None, granted)
