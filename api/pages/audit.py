"""The auditor's pages: the log, one record's structure as known at a moment, and the verdict."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.entry_kinds import kind_of
from releve.api.gate import Granted, Guard, Submission, identifier, services_of
from releve.api.pages import replaying, views
from releve.api.pages.replaying import asked
from releve.api.pages.shell import clinical_page, moment, page, see
from releve.api.pages.typed_dates import AS_TYPED, moment_typed
from releve.api.proving import ProvenEvent, StreamProof, prove_stream
from releve.domain.events import Event
from releve.projections import wording
from releve.projections.dates import Moment, first_instant, french_hour, zone_of
from releve.projections.records import access_positions
from releve.projections.timeline import TimelineEntry, entries_of
from releve.security.errors import Tampered
from releve.security.ledger.verification import verify_database
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)
RECORDS_SHOWN = 30
ACCESSES_SHOWN = 30
_RECORDS = (
    "SELECT c.patient, count(*), max(l.position) FROM projection.patient_centre c"
    " JOIN projection.feed f ON f.build = c.build AND f.name = 'main'"
    " JOIN ledger.leaf l ON l.stream = c.patient"
    " WHERE c.centre = %s GROUP BY c.patient ORDER BY max(l.position) DESC LIMIT %s"
)

Log = Annotated[Granted, Depends(Guard(Action.READ_STRUCTURE, "centre"))]
Record = Annotated[Granted, Depends(Guard(Action.READ_STRUCTURE, "patient"))]


@router.get("/audit")
def log(request: Request, granted: Log, dossier: str = "") -> Response:
    """The log as it stands, and the records written to last; a pseudonym opens its record."""
    wanted = identifier(dossier.strip().lower())
    if wanted is not None:
        return see(f"/audit/patients/{wanted}")
    return _log(request, granted, None, unreadable=bool(dossier.strip()))


@router.post("/audit/verification")
def verify(request: Request, granted: Log, submitted: Submission) -> Response:
    """Verify the whole log now: every leaf from header and body bytes."""
    services = services_of(request)
    return _log(request, granted, verify_database(services.pool, [services.signer.vkey]))


def _log(
    request: Request,
    granted: Granted,
    verdict: dict[str, Any] | None,
    *,
    unreadable: bool = False,
) -> Response:
    services, principal = services_of(request), granted.principal
    head = services.reader.head()
    with services.pool.connection() as connection:
        rows = connection.execute(_RECORDS, (granted.centre, RECORDS_SHOWN)).fetchall()
    problems = verdict["problems"] if verdict else []
    return page(
        request,
        principal,
        "audit_log.html",
        here="audit",
        status=422 if unreadable else 200,
        unreadable=unreadable,
        size=head.size,
        root=head.root.hex(),
        known=views.day_and_hour(head.known_time.isoformat(), principal.zone),
        checkpoint=services.checkpointer.latest() or "",
        records=[{"id": str(row[0]), "events": row[1], "position": row[2]} for row in rows],
        verdict=verdict,
        problems=[
            {"kind": each.get("kind", ""), "position": each.get("position")} for each in problems
        ][:20],
        token=principal.session.form_token(),
    )


@router.get("/audit/patients/{patient}")
def record(
    request: Request, granted: Record, connu: str = "", survenu: str = "", position: str = ""
) -> Response:
    """One record's structure: who wrote what kind of thing when, proven; as known at a moment.

    With ``survenu``, what happened after that moment is set apart, so that what was already true
    and not yet known stands out.
    """
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)
    patient = granted.patient
    limit, told, wrong = _known(request, connu, position, at)
    when = asked(connu, survenu, at.zone)
    wrong = wrong or when.wrong.get("survenu", "")
    until = when.at or when.known_at

    def produce() -> tuple[dict[str, Any], int]:
        head = services.reader.head()
        proof = prove_stream(services, patient)
        entries = {entry.version: entry for entry in entries_of(_readable(request, patient, proof))}
        rows = [
            _row(entries[each.version], each, at, limit, until)
            if each.version in entries
            else _unreadable(each, at, limit)
            for each in reversed(proof.events)
        ]
        accesses = _accesses(request, patient, at, limit)
        return {
            "patient": str(patient),
            "verdict": {
                "state": "good" if proof.intact else ("pending" if _waits(proof) else "bad"),
                "events": len(proof.events),
                "size": proof.size,
                "root": proof.root,
                "signed": proof.signed_size,
                "problems": [*proof.problems, *(
                    f"{each.problem}, version {each.version}"
                    + (f", position {each.position}" if each.position is not None else "")
                    for each in proof.events if each.problem)],
                "waiting": proof.waiting,
            },
            "rows": rows,
            "known_rows": sum(not row["later"] for row in rows),
            "later_rows": sum(row["later"] for row in rows),
            "accesses": accesses[:ACCESSES_SHOWN],
            "access_count": len(accesses),
            "unknown_rows": sum(row["later"] and row["had_happened"] for row in rows),
            "connu": connu,
            "survenu": survenu,
            "until": replaying.told(until, at.zone) if until else "",
            "told": told,
            "wrong": wrong,
            "limit": limit,
        }, head.size - 1  # fmt: skip

    disclosed = read_clinical(
        services, granted, produce, what="page.audit", patients=lambda _: (patient,)
    )
    return clinical_page(
        request,
        principal,
        "audit_record.html",
        disclosed,
        here="audit",
        status=422 if wrong else 200,
    )


def _readable(request: Request, patient: UUID, proof: StreamProof) -> list[Event]:
    """The events that still open; a damaged one keeps its place in the list without its content."""
    reader = services_of(request).reader
    with contextlib.suppress(Tampered):
        whole: list[Event] = reader.stream(patient)
        return whole
    found: list[Event] = []
    for each in proof.events:
        if each.position is None:
            continue
        try:
            read = reader.event(each.position)
        except Tampered:
            continue
        if read is not None and read.event is not None:
            found.append(read.event)
    return found


def _unreadable(proven: ProvenEvent, at: Moment, limit: int | None) -> dict[str, Any]:
    recorded = views.day_and_hour(proven.recorded_at.isoformat(), at.zone)
    position = -1 if proven.position is None else proven.position
    return {
        "position": position, "version": proven.version, "kind": "Illisible", "topic": "",
        "recorded": recorded, "happened": recorded, "late": False, "author": "", "role": "",
        "status": "", "leaf": _short(proven.leaf),
        "problem": proven.problem or ("sans position" if proven.position is None else "illisible"),
        "later": limit is not None and position > limit, "had_happened": False,
    }  # fmt: skip


def _short(leaf: str) -> str:
    return f"{leaf[:8]}…{leaf[-8:]}"


def _waits(proof: StreamProof) -> bool:
    return not proof.problems and not any(each.problem for each in proof.events)


def _known(request: Request, connu: str, position: str, at: Moment) -> tuple[int | None, str, str]:
    """The last position known at the moment asked for, how that reads, and what is wrong with it.

    What cannot be read hides everything: the whole record must never pass for what was known then.
    """
    if position:
        if position.isascii() and position.isdigit() and len(position) <= 18:
            return int(position), f"à la position {int(position)}", ""
        return -1, "", "La position est un nombre entier."
    if not connu:
        return None, "", ""
    asked = moment_typed(connu)
    if asked is None:
        return -1, "", f"Écrire une date et une heure, comme {AS_TYPED}."
    if asked.tzinfo is None:
        asked = asked.replace(tzinfo=ZoneInfo(at.zone))
    limit = services_of(request).reader.known_at(asked)
    local = asked.astimezone(zone_of(at.zone))
    return limit, f"le {local:%d/%m/%Y} à {french_hour(local)} (position {limit})", ""


def _row(
    entry: TimelineEntry,
    proven: ProvenEvent,
    at: Moment,
    limit: int | None,
    until: datetime | None,
) -> dict[str, Any]:
    """One event without any clinical text: kind, times, author, leaf, proof."""
    happened = first_instant(entry.occurred_at, at.zone) or entry.recorded_at
    return {
        "position": entry.position,
        "version": entry.version,
        "kind": kind_of(entry.topic)[0],
        "topic": entry.topic,
        "recorded": views.day_and_hour(entry.recorded_at.isoformat(), at.zone),
        "happened": views.day_and_hour(entry.occurred_at, at.zone),
        "late": entry.late,
        "author": entry.author,
        "role": wording.ROLE.get(entry.role, entry.role),
        "status": views.BECAME.get(entry.status, ""),
        "leaf": _short(proven.leaf),
        "problem": proven.problem,
        "later": limit is not None and entry.position > limit,
        "had_happened": until is None or happened <= until,
    }


def _accesses(
    request: Request, patient: UUID, at: Moment, limit: int | None
) -> list[dict[str, Any]]:
    """Who read this record, newest first."""
    services = services_of(request)
    found: list[dict[str, Any]] = []
    for position in reversed(access_positions(services.pool, patient)):
        if limit is not None and position > limit:
            continue
        if len(found) >= ACCESSES_SHOWN:
            found.append({})
            continue
        read = services.reader.event(position)
        if read is None or read.access is None:
            continue
        entry = read.access
        moment_read = datetime.fromtimestamp(read.header.recorded_at / 1_000_000, ZoneInfo("UTC"))
        found.append(
            {
                "position": position,
                "who": entry.actor.name,
                "role": wording.ROLE.get(entry.actor.role, entry.actor.role),
                "what": WHAT.get(entry.what, entry.what),
                "outcome": entry.outcome,
                "when": views.day_and_hour(moment_read.isoformat(), at.zone),
                "among": entry.count,
            }
        )
    return found


WHAT = {
    "page.patient": "dossier", "page.patients": "liste des patients", "page.briefing": "relève",
    "page.consultation": "formulaire de consultation", "page.correction": "correction d’une entrée",
    "page.handover": "formulaire de transmission",
    "page.validating": "lignes à valider d’un patient",
    "page.act": "geste sur un dossier", "page.results": "résultats d’un patient",
    "page.results-board": "résultats du centre", "page.items": "points ouverts du centre",
    "page.questions": "questions entre confrères", "page.treatments": "traitements",
    "api.results": "résultats, par l’API",
    "api.results-board": "résultats du centre, par l’API",
    "page.handovers": "transmissions du séjour",
    "page.handover-board": "tableau des transmissions", "page.closing": "clôture du séjour",
    "page.taking": "prise de la relève", "page.coordination": "coordination",
    "page.chronology": "dossier rejoué à un moment",
    "api.handovers": "tableau des transmissions, par l’API",
    "api.coordination": "coordination, par l’API",
    "api.open-items-board": "points ouverts du centre, par l’API",
    "api.own-patients": "transmissions du séjour, par l’API",
    "page.audit": "structure du dossier (audit)", "page.deadlines": "échéances",
    "arrived": "ce que d’autres ont écrit entre-temps",
    "api.patient": "identité et synthèse, par l’API", "api.summary": "synthèse, par l’API",
    "api.questions": "questions posées au lecteur, par l’API",
    "api.timeline": "fil du dossier, par l’API", "api.open-items": "points ouverts, par l’API",
    "api.replay": "dossier rejoué à un moment, par l’API", "api.briefing": "relève, par l’API",
    "fhir.Patient": "FHIR Patient", "fhir.summary": "FHIR synthèse (IPS)",
    "export": "export de preuves", "fhir": "export FHIR",
    "replay": "dossier rejoué à un moment, en ligne de commande",
    "briefing": "relève, en ligne de commande",
    "patient": "dossier", "stint": "séjour", "inbox": "document reçu",
    "page.inbox": "boîte d’arrivée", "page.inbox-document": "document reçu",
    "page.inbox-original": "original d’un document reçu",
    "page.inbox-piece": "pièce d’un document reçu",
    "page.phoned": "recherche pour un résultat par téléphone",
    "page.day-list": "agenda du jour", "page.paste": "coller ou copier une consultation",
    "api.inbox": "boîte d’arrivée, par l’API", "api.inbox-header": "document reçu, par l’API",
    "api.inbox-content": "contenu d’un document reçu, par l’API",
    "api.inbox-original": "original d’un document reçu, par l’API",
}  # fmt: skip
"""What was read, or asked for and refused, in words: one for each name that entries keep."""
