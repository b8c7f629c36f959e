"""One record as JSON: summary, thread, open items, questions, replay; and the head of the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, services_of
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.api.reading import patient_at, rules_of
from releve.api.routes.bodies import AtPosition, as_json, clinical_json, moment_of
from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.questions import open_questions_to
from releve.domain.requests import fold
from releve.projections import wording
from releve.projections.briefing import owner_label
from releve.projections.critical_values import alarms
from releve.projections.dates import Moment
from releve.projections.patient_summary import SLOTS, PatientSummary
from releve.projections.rule_release import Rules
from releve.projections.summary_courses import standing
from releve.projections.summary_lines import Spoken
from releve.projections.summary_record import day_of
from releve.projections.summary_staleness import is_old_line
from releve.projections.timeline import (
    entries_of,
    item_json,
    line_json,
    question_json,
    replay,
)
from releve.security.ledger.notes import Checkpoint, parse_note
from releve.security.policy import Action

if TYPE_CHECKING:
    from releve.api.services import Services

router = APIRouter(prefix="/api/v1", dependencies=[AtPosition])

Reading = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]
ReadingAsked = Annotated[Granted, Depends(Guard(Action.READ_ASKED_CARD, "patient"))]
ReadingHead = Annotated[Granted, Depends(Guard(Action.READ_CHECKPOINT, "ledger"))]


def _patient_json(
    request: Request,
    granted: Granted,
    what: str,
    built: Callable[[PatientSummary], dict[str, Any]],
) -> Response:
    services = services_of(request)

    def produce() -> tuple[tuple[dict[str, Any], int], int]:
        summary, position = patient_at(services, granted.patient)
        content = {"patient": str(granted.patient), "version": summary.version}
        return ({**content, "position": position, **built(summary)}, summary.version), position

    disclosed = read_clinical(
        services, granted, produce, what=what, patients=lambda _: (granted.patient,)
    )
    return clinical_json(disclosed.mapped(lambda found: found[0]), version=disclosed.content[1])


@router.get("/patients/{patient}")
def patient(request: Request, granted: Reading) -> Response:
    """Who the patient is, and how they are now."""
    return _patient_json(
        request,
        granted,
        "api.patient",
        partial(_overview, services=services_of(request), at=_now(request, granted)),
    )


@router.get("/patients/{patient}/summary")
def summary(request: Request, granted: Reading) -> Response:
    """The 19 slots of the summary, with what is absent and what was not asked."""
    return _patient_json(
        request,
        granted,
        "api.summary",
        lambda found: {
            **_overview(found, services_of(request), _now(request, granted)),
            "slots": {slot.name: [line_json(line) for line in found.slot(slot.name)]
                      for slot in SLOTS},
            "open_items": [item_json(item) for item in found.open_items],
            **_course(found, services_of(request), _now(request, granted)),
        },
    )  # fmt: skip


def _course(found: PatientSummary, services: Services, at: Moment) -> dict[str, Any]:
    """What the patient's page says besides its slots: what rings, what is planned, who was told."""
    handover = found.handover
    attending = found.medecin_traitant
    return {
        "alarms": [
            {
                "entry": str(alarm.entry),
                "label": alarm.label,
                "text": alarm.text,
                "critical": alarm.critical,
                "as_of": alarm.as_of,
                "author": alarm.line.source_author,
                "validation": alarm.line.validation,
            }
            for alarm in alarms(found, rules_of(services.directory.load()))
        ],
        "contingencies": [
            {
                **line_json(line),
                "expired": line.is_past("valid_until", at.day),
                "met": [
                    {
                        "entry": str(fired.observation),
                        "text": fired.text,
                        "as_of": fired.as_of,
                        "compared": fired.matched,
                    }
                    for fired in found.firing
                    if fired.contingency == line.entry_id
                ],
            }
            for line in found.contingencies
            if line.current
        ],
        "ald": [line_json(line) for line in found.ald_in_force],
        "handover": {
            **line_json(handover.line),
            "read_backs": [line_json(each) for each in standing(handover.read_backs)],
        }
        if handover
        else None,
        "offers": [
            {
                "item": str(item.line.entry_id),
                "text": item.line.detail["text"],
                "offer": line_json(offer),
            }
            for item in found.open_items
            if (offer := item.offer) is not None
        ],
        "questions": [question_json(each) for each in found.open_questions],
        "appointments": [line_json(line) for line in found.booked if day_of(line) >= at.day],
        "contact_details": line_json(found.contact_details) if found.contact_details else None,
        "medecin_traitant": line_json(attending) if attending else None,
    }


def _now(request: Request, granted: Granted) -> Moment:
    return Moment(services_of(request).clock(), granted.principal.zone)


def _overview(found: PatientSummary, services: Services, at: Moment) -> dict[str, Any]:
    who = found.identity
    severity = found.severity
    spoken = found.one_liner()
    rules = rules_of(services.directory.load())
    return {
        "name": found.full_name(),
        "birth_name": who.birth_name if who else None,
        "first_names": list(who.first_names) if who else [],
        "birth_date": who.birth_date if who else None,
        "sex": who.sex if who else None,
        "identity_status": who.identity_status if who else "provisoire",
        "identity_incomplete": found.identity_incomplete,
        "incomplete": found.incomplete,
        "severity": line_json(severity) if severity else None,
        "death": line_json(found.death) if found.death else None,
        "one_liner": _one_liner(found, spoken, rules, at.day) if spoken else None,
        "presence": {name: _presence(found, name) for name in wording.ABSENCE},
    }


def _presence(found: PatientSummary, name: str) -> dict[str, Any]:
    """One of three states, who said so, and whether a doctor still has to accept it.

    ``validation`` is ``to-validate`` for "none known" that another system said and nobody accepted,
    and for a slot of which nothing but such lines is known.
    """
    told = found.presence(name)
    said = told.absence
    validation = said.validation if said else ""
    if told.state == "known" and all(
        line.validation == "to-validate" for line in found.slot(name) if line.current
    ):
        validation = "to-validate"
    return {
        "state": told.state,
        "asked_on": told.asked_on,
        "validation": validation,
        "said": line_json(said) if said else None,
        "parts": [line_json(line) for line in told.parts],
    }


def _one_liner(found: PatientSummary, spoken: Spoken, rules: Rules, day: date) -> dict[str, Any]:
    """The one-liner in force, where it comes from, whether it is old and what came after it."""
    newer = spoken.older_than
    return {
        **line_json(spoken.line),
        "text": spoken.text,
        "older_than": line_json(newer) if newer else None,
        "greyed": is_old_line(found, spoken, rules, day),
    }


@router.get("/patients/{patient}/open-items")
def open_items(request: Request, granted: Reading) -> Response:
    """What must still happen, and who answers for it now."""
    services = services_of(request)
    now = services.clock()
    directory = services.directory.load()

    def built(found: PatientSummary) -> dict[str, Any]:
        return {
            "open_items": [
                {**item_json(item),
                 "answerable": owner_label(item, found, granted.centre, now, directory)}
                for item in found.open_items
            ]
        }  # fmt: skip

    return _patient_json(request, granted, "api.open-items", built)


@router.get("/patients/{patient}/timeline")
def timeline(request: Request, granted: Reading) -> Response:
    """Every entry of the record, newest first, with what became of it."""
    services = services_of(request)

    def produce() -> tuple[dict[str, Any], int]:
        position = services.reader.head().size - 1
        entries = entries_of(services.reader.stream(granted.patient, up_to=position))
        return {
            "patient": str(granted.patient),
            "position": position,
            "entries": [entry.to_json() for entry in reversed(entries)],
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="api.timeline", patients=lambda _: (granted.patient,)
    )
    return clinical_json(disclosed)


@router.get("/patients/{patient}/questions")
def questions(request: Request, granted: ReadingAsked) -> Response:
    """Questions about this patient that wait for the reader's answer, each with what it quotes.

    This is all of the record that is open to a doctor from 72 hours to 14 days after a stint.
    """
    services = services_of(request)
    person = granted.principal.person

    def produce() -> tuple[dict[str, Any], int]:
        position = services.reader.head().size - 1
        events = services.reader.stream(granted.patient, up_to=position)
        record = fold("patient", None, events)
        asked = open_questions_to(record, person) if isinstance(record, Patient) else []
        shown = {entry.event_id: entry.to_json() for entry in entries_of(events)}
        return {
            "patient": str(granted.patient),
            "position": position,
            "questions": [
                {
                    "question": str(event.event_id),
                    "asked_by": event.envelope.author.name,
                    "asked_at": event.recorded_at.isoformat(),
                    **msgspec.to_builtins(event.payload),
                    "about": shown.get(event.envelope.target) if event.envelope.target else None,
                }
                for event in asked
            ],
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="api.questions", patients=lambda _: (granted.patient,)
    )
    return clinical_json(disclosed)


@router.get("/patients/{patient}/replay")
def replayed(
    request: Request,
    granted: Reading,
    known_at: str | None = None,
    at: str | None = None,
    position: int | None = None,
) -> Response:
    """The record as it could be known at a moment, or at a position."""
    services = services_of(request)

    def produce() -> tuple[dict[str, Any], int]:
        found = replay(
            services.reader,
            granted.patient,
            position=position,
            known_at=moment_of(known_at, "known_at"),
            at=moment_of(at, "at"),
        )
        return found.to_json(), found.position

    disclosed = read_clinical(
        services, granted, produce, what="api.replay", patients=lambda _: (granted.patient,)
    )
    return clinical_json(disclosed)


@router.get("/ledger/checkpoint")
def checkpoint(request: Request, granted: ReadingHead) -> Response:
    """The newest signed head of the log; the bare signed note where plain text is asked for."""
    note = services_of(request).checkpointer.latest()
    if note is None:
        raise RequestRefused(NOT_AVAILABLE)
    if request.headers.get("accept", "").startswith("text/plain"):
        return Response(note, media_type="text/plain; charset=utf-8")
    found = Checkpoint.parse(parse_note(note).text)
    content = {"checkpoint": note, "origin": found.origin, "size": found.size,
               "root": found.root.hex()}  # fmt: skip
    return Response(as_json(content), media_type="application/json")
