"""The inbox's pages: what arrived, whose it may be, and who says so.

The desk is sent headers only. What a document says is asked for apart, and only by who may read
the record.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import authorise_command, perform, settle
from releve.api.delivering import delivery_of
from releve.api.disclosure import read_clinical
from releve.api.document_words import (
    name_of_test,
    part_in_words,
    reference_in_words,
    warning_in_words,
)
from releve.api.gate import (
    Granted,
    Guard,
    Submission,
    Upload,
    authorise,
    identifier,
    may,
    services_of,
    uploads_of,
)
from releve.api.inbox import receive
from releve.api.inbox_views import Sorting, content, patients_in, reread, senders
from releve.api.originals import download, granted_document, send_original
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.problems import NOT_AVAILABLE, RequestRefused, problem_for
from releve.domain.commands import COMMANDS
from releve.domain.errors import Invalid, ReleveError
from releve.domain.events import Author
from releve.domain.values import IdentityTraits
from releve.projections import wording
from releve.projections.dates import Moment, french
from releve.projections.inbox import InboxLine
from releve.projections.records import plain_name
from releve.projections.vocabulary import BORN
from releve.security.policy import Action

if TYPE_CHECKING:
    from releve.api.services import Services

router = APIRouter(include_in_schema=False)

SHOWN: Final = 60
FOUND: Final = 20
DOORS: Final = {
    "upload": "déposé", "paste": "collé", "watched": "dossier surveillé", "api": "envoyé",
    "phone": "téléphone",
}  # fmt: skip
STATES: Final = {
    "waiting": "à rattacher", "matched": "rattaché", "rejected": "mis de côté",
    "aside": "écarté par l’accueil", "undelivered": "rattaché, non versé",
}  # fmt: skip
TRAITS: Final = {
    "birth_name": "nom de naissance", "name": "nom", "first_names": "prénoms",
    "first_name": "prénom",
    "birth_date": "date de naissance", "sex": "sexe", "birth_place": "lieu de naissance",
    "identifiers": "identifiant", "matricule": "matricule INS", "given_name": "autre prénom",
}  # fmt: skip

SortingPost = Annotated[Granted, Depends(Guard(Action.READ_INBOX_HEADER, "centre"))]
Sending = Annotated[Granted, Depends(Guard(Action.IMPORT, "centre"))]
One = Annotated[Granted, Depends(Guard(Action.READ_INBOX_HEADER, "inbox", param="document"))]
Reading = Annotated[Granted, Depends(Guard(Action.READ_INBOX, "inbox", param="document"))]
Matching = Annotated[Granted, Depends(Guard(Action.MATCH_DOCUMENT, "inbox", param="document"))]
Rejecting = Annotated[Granted, Depends(Guard(Action.REJECT_DOCUMENT, "inbox", param="document"))]


# What arrived


@router.get("/arrivees")
def listed(request: Request, granted: SortingPost) -> Response:
    """What waits, then what was done with the newest others; a form to bring something in."""
    return _list(request, granted, None)


@router.post("/arrivees")
def brought(request: Request, granted: Sending, submitted: Submission) -> Response:
    """Keep the documents dropped, or the text pasted, with the identity that was typed."""
    services, principal = services_of(request), granted.principal
    form = forms.read_or_refuse(submitted, Form(principal.session.form_token(), forms.new_key()))
    identity = _typed(form)
    kept = known_already = 0
    author = Author(
        role=principal.role,  # type: ignore[arg-type]  # the policy knows the same words
        name=principal.name,
        person=principal.person,
        stint=granted.decision.stint,
    )
    for sent in _brought(uploads_of(request), form):
        try:
            found = receive(
                services,
                sent.content,
                centre=granted.centre,
                door="upload" if sent.name else "paste",
                author=author,
                identity=identity,
                title=form.value("titre"),
                media_type=sent.media_type,
                name_hint=sent.name or None,
                zone=principal.zone,
            )
        except Invalid as refused:
            form.refused(problem_for(refused))
            continue
        for each in (found, *found.others):
            kept, known_already = kept + (not each.known), known_already + each.known
            if each.outcome:
                settle(services, each.outcome)
    if form.wrong or form.general or not kept + known_already:
        if not form.wrong and not form.general:
            form.wrong["document"] = "Choisir un fichier, ou coller un texte."
        sorting = authorise(services, principal, Action.READ_INBOX_HEADER, "centre", granted.centre)
        return _list(request, sorting, form, status=422)
    return see("/arrivees", fait="arrivee" if kept else "deja-recu")


def _brought(files: Iterable[Upload], typed: Form) -> Iterable[Upload]:
    """What was sent, then what was pasted, which has no name."""
    yield from files
    pasted = typed.value("texte").strip()
    if pasted:
        yield Upload("", "text/plain", pasted.encode())


def _typed(form: Form) -> IdentityTraits | None:
    """The identity that was typed; None where nothing was."""
    name, first, born = (form.value(n).strip() for n in ("nom", "prenom", "naissance"))
    if not (name or first or born):
        return None
    return IdentityTraits(
        birth_name=name or None,
        first_names=(first,) if first else (),
        birth_date=born or None,
    )


def _list(request: Request, granted: Granted, refused: Form | None, status: int = 200) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        sorting = Sorting.of(services, granted.centre)
        lines = services.inbox.lines(granted.centre)
        waiting = [sorting.header(line) for line in reversed(lines) if line.state == "waiting"]
        aside = [sorting.header(line) for line in reversed(lines) if line.aside]
        others = [
            sorting.header(line)
            for line in [each for each in lines if each.waits_as != "waiting"][:SHOWN]
        ]
        return {
            "waiting": sorted((_row(each, at) for each in waiting), key=lambda r: not r["urgent"]),
            "aside": [_row(each, at) for each in aside],
            "others": [_row(each, at) for each in others],
            "named": patients_in([*waiting, *aside, *others]),
            "senders": [
                {
                    "system": each.system,
                    "silent": each.silent,
                    "last": _when(each.last, at) if each.last else "",
                    "hours": f"{each.within.total_seconds() / 3600:g}",
                }
                for each in senders(services, granted.centre, at.now)
            ],
            "may_bring": may(services, granted, Action.IMPORT),
            "may_drop": may(services, granted, Action.DROP_RESULT),
            "may_plan": may(services, granted, Action.WRITE_AGENDA),
            "form": refused
            or Form(principal.session.form_token(), forms.new_key(), sorting.position),
        }, sorting.position

    disclosed = read_clinical(
        services, granted, produce, what="page.inbox", patients=lambda found: found["named"]
    )
    return clinical_page(
        request, principal, "inbox.html", disclosed, here="arrivees", status=status
    )


def _row(found: dict[str, Any], at: Moment) -> dict[str, Any]:
    """A header in the page's words."""
    said = found["identity"]
    fits = [each for each in found["proposals"] if each["fits"]]
    return {
        "href": f"/arrivees/{found['inbox']}",
        "kind": found["kind"],
        "name": said["name"],
        "born": _born(said, at),
        "traits": [
            (label.capitalize(), value)
            for label, value in (
                (TRAITS["birth_name"], said["birth_name"]),
                (TRAITS["first_names"], ", ".join(said["first_names"])),
                (TRAITS["birth_date"], french(said["birth_date"] or None, at.zone)),
                (TRAITS["sex"], _SEXES.get(said["sex"], "")),
            )
            if value
        ],
        "sender": found["sender"],
        "door": DOORS[found["door"]],
        "received": _when(found["received_at"], at),
        "entered_by": found["entered_by"],
        "state": found["state"],
        "urgent": found["urgent"],
        "state_word": STATES[
            "aside" if found["aside"] else "undelivered" if found["undelivered"] else found["state"]
        ],
        "aside": found["aside"],
        "undelivered": found["undelivered"],
        "proposed": fits[0]["name"] if len(fits) == 1 else "",
        "several": len([each for each in found["proposals"] if not each["differing"]]) > 1,
        "patient_name": found["patient_name"],
        "patient": str(found["patient"]) if found["patient"] else "",
        "decided_by": found["decided_by"],
        "decided": _when(found["decided_at"], at) if found["decided_at"] else "",
        "sender_told": found["sender_told"],
    }


def _born(said: dict[str, Any], at: Moment) -> str:
    """``née le 02/03/1948``; empty where the document does not say when."""
    if not said["birth_date"]:
        return ""
    return f"{BORN.get(said['sex'], 'né(e)')} le {french(said['birth_date'], at.zone)}"


_SEXES: Final = {"male": "homme", "female": "femme", "other": "autre"}


def _when(moment_at: datetime, at: Moment) -> str:
    return views.day_and_hour(moment_at.isoformat(), at.zone)


# One document


@router.get("/arrivees/{document}")
def one(request: Request, granted: One, document: str) -> Response:
    """One document: its header, the records it may belong to, its content for who may read it."""
    return _one(request, granted, None, "")


@router.post("/arrivees/{document}")
def searched(request: Request, granted: One, document: str, submitted: Submission) -> Response:
    """Search a record by name or birth date; by POST, so that no name stands in an address."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    return _one(request, granted, None, form.value("cherche").strip()[:80])


def _one(
    request: Request, granted: Granted, refused: Form | None, query: str, status: int = 200
) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)
    reads = may(services, granted, Action.READ_INBOX)
    if reads:  # the access entry says that the content was read, by the rule that allowed it
        granted = authorise(services, principal, Action.READ_INBOX, "inbox", granted.document)

    def produce() -> tuple[dict[str, Any], int]:
        line = granted_document(request, granted)
        sorting = Sorting.of(services, line.centre)
        found, position = sorting.header(line), sorting.position
        offered = [_proposal(each, at) for each in found["proposals"]]
        names = {each["patient"] for each in offered}
        twice = services.records.shared_names(line.centre)
        looked = [
            _candidate(views.traits(each, at), twice)
            for each in (services.records.search(line.centre, query, limit=FOUND) if query else ())
            if str(each.patient) not in names
        ]
        form = refused or Form(principal.session.form_token(), forms.new_key(), position)
        return {
            "document": _row(found, at),
            "offered": offered,
            "looked": looked,
            "query": query,
            "content": _content(content(services, line), at) if reads else None,
            "named": [UUID(each["patient"]) for each in (*offered, *looked)]
            + ([line.patient] if line.patient else []),
            "may_match": (line.state != "matched" or reads)
            and may(services, granted, Action.MATCH_DOCUMENT),
            "may_reject": (line.state == "waiting" or (line.aside and reads))
            and may(services, granted, Action.REJECT_DOCUMENT),
            "may_open": reads and line.patient is not None,
            "to_judge": _to_judge(services, granted, line),
            "open_record": f"/patients/nouveau?document={granted.document}"
            if line.state != "matched"
            and found["identity"]["birth_name"]
            and may(services, granted, Action.WRITE_IDENTITY)
            else "",
            "form": form,
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="page.inbox-document", purpose=str(granted.document),
        patients=lambda found: list(dict.fromkeys(found["named"])),
    )  # fmt: skip
    return clinical_page(
        request, principal, "inbox_document.html", disclosed, here="arrivees", status=status
    )


def _to_judge(services: Services, granted: Granted, line: InboxLine) -> str:
    """Where the lines that it brought are accepted or refused, for who may; empty for others."""
    if granted.principal.role not in COMMANDS["validate-entries"].roles or not may(
        services, granted, Action.WRITE_CLINICAL
    ):
        return ""
    first = delivery_of(services, line)
    return f"/patients/{line.patient}/a-valider/{first}" if first else ""


def _proposal(found: dict[str, Any], at: Moment) -> dict[str, Any]:
    return {
        "patient": str(found["patient"]),
        "name": found["name"],
        "born": french(found["birth_date"], at.zone) if found["birth_date"] else "",
        "agreed": [TRAITS[each] for each in found["agreed"] if each in TRAITS],
        "differing": [
            TRAITS[each] + _both(each, found["values"].get(each), at) for each in found["differing"]
        ],
        "fits": found["fits"],
    }


def _both(trait: str, values: dict[str, Any] | None, at: Moment) -> str:
    """What the document and the record each say of a trait, in brackets."""
    if values is None:
        return ""

    def said(value: Any) -> str:
        if trait == "first_names":
            return ", ".join(value)
        if trait == "birth_date":
            return french(value, at.zone)
        return _SEXES.get(value, str(value or "")) if trait == "sex" else str(value or "")

    return f" (document : {said(values['document'])} ; dossier : {said(values['record'])})"


def _candidate(traits: dict[str, Any], shared_names: frozenset[str]) -> dict[str, Any]:
    """A record found by search, with what tells it from another of the same name."""
    namesake = plain_name(traits["name"]) in shared_names
    return {
        "patient": traits["id"],
        "name": traits["name"],
        "namesake": namesake,
        "said": ", ".join(
            part
            for part in (
                traits["birth_name"] and f"nom de naissance {traits['birth_name']}",
                traits["born"],
                traits["sex"],
                namesake and traits["apart"],
                traits["died"],
            )
            if part
        ),
    }


def _content(found: dict[str, Any], at: Moment) -> dict[str, Any]:
    issued = views.day_and_hour(found["issued_at"], at.zone) if found["issued_at"] else ""
    return {
        **found,
        "issued": issued,
        "results": [_value_said(each) for each in found["results"]],
        "kilobytes": max(1, found["size"] // 1024),
        "entries": [_line_said(each) for each in found["entries"]],
        "unmapped": [part_in_words(each["type"], each["path"]) for each in found["unmapped"]],
        "warnings": [warning_in_words(each) for each in found["warnings"]],
    }


def _value_said(line: dict[str, Any]) -> dict[str, str]:
    """A value of the document in the page's words; the original stays as it is."""
    flag = "" if line["interpretation"] == "N" else line["interpretation"]
    return {
        "test": name_of_test(line["test"]),
        "value": reference_in_words(line["value"]),
        "reference": reference_in_words(line["reference"]),
        "flag": wording.INTERPRETATION.get(flag, flag),
    }


def _line_said(text: str) -> dict[str, str]:
    """A coded line with what it is apart from what it says."""
    kind, sign, said = text.partition(" : ")
    return {"kind": kind if sign else "", "text": said if sign else text}


@router.post("/arrivees/{document}/rattacher")
def match(request: Request, granted: Matching, document: str, submitted: Submission) -> Response:
    """Say whose the document is; it is on the record when this answers."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    patient = identifier(form.value("patient"))
    if patient is None:
        form.wrong["patient"] = "Choisir un dossier."
        return _refused(request, granted, form)
    data = {"patient": str(patient), "confirmed": bool(form.value("confirmed"))}
    return _decided(request, granted, form, "match-document", data, "rattache")


@router.post("/arrivees/{document}/rejeter")
def reject(request: Request, granted: Rejecting, document: str, submitted: Submission) -> Response:
    """Set the document aside, for a reason; it stays kept."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    data = {
        "reason": form.value("reason").strip(),
        "sender_told": bool(form.value("sender_told")),
    }
    if not data["reason"]:
        form.wrong["reason"] = "Dire pourquoi."
        return _refused(request, granted, form)
    return _decided(request, granted, form, "reject-document", data, "mis-de-cote")


def _decided(
    request: Request, granted: Granted, form: Form, name: str, data: dict[str, Any], done: str
) -> Response:
    services = services_of(request)
    command = COMMANDS[name].parse(data)
    allowed = authorise_command(services, granted.principal, command, granted.document)
    try:
        perform(
            services,
            allowed,
            command,
            client_key=form.key or forms.new_key(),
            target=granted.document,
            seen_position=form.position,
        )
    except ReleveError as error:
        problem = problem_for(error)
        if problem.status == 404:
            raise
        form.refused(problem, dict.fromkeys((*TRAITS, "identifiers"), "patient"))
        return _refused(request, granted, form)
    return see("/arrivees", fait=done)


def _refused(request: Request, granted: Granted, form: Form) -> Response:
    form.key = form.key or forms.new_key()
    reading = authorise(
        services_of(request),
        granted.principal,
        Action.READ_INBOX_HEADER,
        "inbox",
        granted.document,
    )
    return _one(request, reading, form, form.value("cherche").strip()[:80], status=422)


@router.get("/arrivees/{document}/original")
def original_of(request: Request, granted: Reading, document: str) -> Response:
    """The bytes as they came in, to be kept or opened elsewhere."""
    return send_original(request, granted, what="page.inbox-original")


@router.get("/arrivees/{document}/pieces/{number}")
def piece(request: Request, granted: Reading, document: str, number: int) -> Response:
    """A file that the document carries inside, such as the PDF of a report."""
    services = services_of(request)

    def produce() -> tuple[tuple[InboxLine, bytes, str], int]:
        line = granted_document(request, granted)
        read = reread(services, line)
        if read is None or not 0 <= number < len(read.embedded):
            raise RequestRefused(NOT_AVAILABLE)
        found = read.embedded[number]
        return (line, found.content, found.media_type), services.feed.position()

    disclosed = read_clinical(
        services, granted, produce, what="page.inbox-piece", purpose=str(granted.document),
        patients=lambda found: [found[0].patient] if found[0].patient else [],
    )  # fmt: skip
    _, raw, media_type = disclosed.content
    return download(raw, media_type)
