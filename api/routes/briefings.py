"""A stint's briefing as JSON: the edition kept, what happened since, and a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import Disclosed, read_clinical
from releve.api.gate import Granted, Guard, authorise, identifier, may, services_of
from releve.api.issuing import edition_of_the_day, issue_now
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.api.reading import alarms_now, rules_of
from releve.api.routes.bodies import AtPosition, clinical_json, idempotency_key, moment_of
from releve.projections.briefing import Card
from releve.projections.briefing_text import row_json
from releve.projections.dates import Moment
from releve.projections.editions import Edition
from releve.projections.ended_alarms import ended_alarms
from releve.projections.patient_summary import PatientSummary
from releve.projections.ranking import Ranked, rank
from releve.security.policy import Action

if TYPE_CHECKING:
    from releve.api.services import Services

router = APIRouter(prefix="/api/v1", dependencies=[AtPosition])

Reading = Annotated[Granted, Depends(Guard(Action.READ_BRIEFING, "stint"))]
Issuing = Annotated[Granted, Depends(Guard(Action.ISSUE_BRIEFING, "stint"))]

URGENT = frozenset({"T0"})
"""Tiers that nobody waits for a new edition to learn of."""


@router.get("/stints/{stint}/briefing")
def briefing(
    request: Request,
    granted: Reading,
    edition: str | None = None,
    position: int | None = None,
    at: str | None = None,
) -> Response:
    """The edition that stands now with what happened since, or a kept one as it was issued."""
    services = services_of(request)
    editions = services.editions

    def produce() -> tuple[dict[str, Any], int]:
        if edition is not None or position is not None or at is not None:
            wanted = identifier(edition) if edition is not None else None
            if edition is not None and wanted is None:
                raise RequestRefused(NOT_AVAILABLE)
            kept = editions.replay(
                edition=wanted, stint=granted.stint, position=position, at=moment_of(at, "at")
            )
            if kept is None or kept.stint != granted.stint:
                raise RequestRefused(NOT_AVAILABLE)
            return {**kept.to_json(), "since": None}, kept.position
        if may(services, granted, Action.ISSUE_BRIEFING):
            issuing = authorise(
                services, granted.principal, Action.ISSUE_BRIEFING, "stint", granted.stint
            )
            return _with_since(
                services, granted, edition_of_the_day(services, editions, issuing, granted.stint)
            )
        newest = editions.newest(granted.stint)
        if newest is None:
            raise RequestRefused(NOT_AVAILABLE)
        return _with_since(services, granted, newest)

    return clinical_json(_disclosed(services, granted, produce))


@router.post("/stints/{stint}/issue-briefing", status_code=201, response_model=None)
def issue(request: Request, granted: Issuing) -> Response:
    """Issue an edition with what changed since the last one; the last one where nothing did.

    An edition is issued once whatever is sent twice: its cards decide, not the key.
    """
    idempotency_key(request)
    services = services_of(request)
    known = {each[0] for each in services.editions.of_stint(granted.stint)}
    disclosed = _disclosed(
        services,
        granted,
        lambda: _with_since(
            services, granted, issue_now(services, services.editions, granted, granted.stint)
        ),
    )
    answer = clinical_json(disclosed)
    new = UUID(disclosed.content["edition"]) not in known
    return Response(answer.body, 201 if new else 200, answer.headers)


def _disclosed(
    services: Services, granted: Granted, produce: Callable[[], tuple[dict[str, Any], int]]
) -> Disclosed[dict[str, Any]]:
    return read_clinical(services, granted, produce, what="api.briefing", patients=_named)


def _named(content: dict[str, Any]) -> list[UUID]:
    since = content["since"] or {"rows": (), "patients": ()}
    rows = (*content["rows"], *since["rows"], *since["patients"])
    return list(dict.fromkeys(UUID(row["patient"]) for row in rows))


def _with_since(
    services: Services, granted: Granted, edition: Edition
) -> tuple[dict[str, Any], int]:
    """An edition beside what became of it, and the position that this shows."""
    directory = services.directory.load()
    line = directory.stint(edition.stint)
    if line is None:
        raise RequestRefused(NOT_AVAILABLE)
    now = services.clock()
    position, summaries = services.records.summaries(line.centre)
    rules = rules_of(directory)
    view = services.editions.seen_from(directory, edition.stint, now)
    changed = [each for each in summaries.values() if each.position > edition.position]
    since = {
        "position": position,
        "as_of": now.isoformat(),
        "alarms": alarms_now(services, line.centre, now),
        "patients": [_changed(each, edition.position) for each in rank(changed, view, rules)],
        "rows": [
            row_json(card) for card in services.editions.arrived(directory, edition, now, URGENT)
        ],
        "ended_alarms": _ended(edition, summaries, Moment(now, granted.principal.zone)),
    }
    return {**edition.to_json(), "since": since}, max(position, edition.position)


def _changed(ranked: Ranked, position: int) -> dict[str, Any]:
    """One record that is newer than the edition: how ill it is now, and what is new in it."""
    summary = ranked.summary
    severity = summary.severity
    return {
        "patient": str(summary.patient),
        "name": summary.full_name(),
        "birth_date": summary.identity.birth_date if summary.identity else None,
        "tier": ranked.tier,
        "severity": severity.detail["severity"] if severity else None,
        "version": summary.version,
        "position": summary.position,
        "changes": [
            {"entry": str(change.entry_id), "topic": change.topic, "position": change.position}
            for change in reversed(summary.changes)
            if change.position > position
        ],
    }


def _ended(
    edition: Edition, summaries: dict[UUID, PatientSummary], at: Moment
) -> list[dict[str, Any]]:
    """Alarms of the edition that ring no more: what became of each, and whether a doctor judged."""
    cards: list[Card] = [card for card in edition.opened() if card is not None]
    return [
        {"patient": card["patient"], "entry": entry, "became": became.words,
         "judged": became.judged}
        for card in cards
        for entry, became in ended_alarms(
            card, summaries.get(UUID(card["patient"])), edition.rules, at
        ).items()
    ]  # fmt: skip
