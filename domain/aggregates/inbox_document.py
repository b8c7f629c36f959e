"""Inbox document (document reçu): what came in, whose it is, and who said so.

A small stream with its own key, so that it can be erased alone. The bytes are kept as they came,
sealed beside it; nothing that cannot be read is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact, refuse, require_stint
from releve.domain.aggregates.folding import Folded
from releve.domain.aggregates.patient.documents import DocumentAttached, read_original
from releve.domain.aggregates.patient.identity import Registered, identity_of
from releve.domain.aggregates.patient.imports import IMPORTED
from releve.domain.aggregates.patient.ins import standing_matricules
from releve.domain.aggregates.patient.record import Patient
from releve.domain.commands import (
    Command,
    MatchDocument,
    ReceiveDocument,
    RegisterPatient,
    RejectDocument,
)
from releve.domain.commands.command import DOCTORS
from releve.domain.errors import Invalid, NotFound, Refused
from releve.domain.events import Event, Payload
from releve.domain.exact_numbers import line_with_point
from releve.domain.values import (
    INS_SYSTEMS,
    DocumentFormat,
    Identifier,
    IdentityTraits,
    InboxDoor,
    ResultLine,
    ResultStatus,
    Unmapped,
    one_line,
    plain,
    readable,
    words,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class DocumentReceived(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A document came in; whose it says it is, and what could be read of it."""

    topic: ClassVar[str] = "inbox.document-received"

    sha256: str
    size: int
    media_type: str
    format: DocumentFormat
    door: InboxDoor = "upload"
    """How it came in."""
    title: str = ""
    kind: str | None = None
    """LOINC code of the kind of document."""
    one_liner: str = ""
    identity: IdentityTraits | None = None
    issued_at: str | None = None
    results: tuple[ResultLine, ...] = ()
    result_status: ResultStatus | None = None
    coded_lines: int = 0
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()
    caller: str = ""
    read_back: bool = False


class DocumentMatched(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A person said whose record the document belongs to."""

    topic: ClassVar[str] = "inbox.document-matched"

    patient: UUID
    agreed: tuple[str, ...] = ()
    """Traits that the document and the record both give, and that agree."""
    confirmed: bool = False


class DocumentRejected(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The document was set aside, for the envelope's reason."""

    topic: ClassVar[str] = "inbox.document-rejected"

    sender_told: bool = False


# State


@dataclass(slots=True, kw_only=True)
class InboxDocument(Folded):
    """One document as its events tell it; ``patient`` once it is matched."""

    received: DocumentReceived
    centre: UUID | None
    patient: UUID | None = None
    match: UUID | None = None
    """The event of the match that stands; what a correction says that it corrects."""
    rejected: bool = False
    aside: bool = False
    """Set aside by the desk, and seen by no doctor since."""


def fold(document: InboxDocument | None, events: Iterable[Event]) -> InboxDocument | None:
    """``document`` after ``events``; ``document`` itself is changed."""
    for event in events:
        match event.payload:
            case DocumentReceived() as received:
                document = InboxDocument(
                    id=event.originator_id, received=received, centre=event.envelope.centre
                )
            case DocumentMatched() as matched if document is not None:
                document.patient, document.match = matched.patient, event.event_id
                document.rejected = document.aside = False
            case DocumentRejected() if document is not None:
                document.rejected = True
                document.aside = by_the_desk(event)
            case _:
                pass
        if document is not None:
            document.passed(event)
    return document


def by_the_desk(event: Event) -> bool:
    """True for what was decided by somebody who reads no content."""
    return event.envelope.author.role not in DOCTORS


# Whose it is


def known_traits(patient: Patient) -> IdentityTraits | None:
    """The traits that a record holds today, its matricules among the identifiers."""
    known = identity_of(patient)
    if known is None:
        return None
    return identity_traits(known, *standing_matricules(patient))


def identity_traits(identity: Registered | RegisterPatient, *more: Identifier) -> IdentityTraits:
    """The traits of an identity, with ``more`` identifiers after its own."""
    return IdentityTraits(
        birth_name=identity.birth_name,
        first_names=identity.first_names,
        used_name=identity.used_name,
        used_first_name=identity.used_first_name,
        birth_date=identity.birth_date,
        sex=identity.sex,
        birth_place=identity.birth_place,
        identifiers=(*identity.identifiers, *more),
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """Traits that two identities both give: those that agree, and the strict ones that differ."""

    agreed: tuple[str, ...]
    differing: tuple[str, ...]
    other_first_name: bool = field(default=False, compare=False)
    """The first name in use is none of the other side's given names: no strict trait."""

    @property
    def enough(self) -> bool:
        """True when nobody has to look, as long as no other record fits.

        The INS matricule; or name, first name and birth date; or another identifier, which a
        family may share, with the name and one of these two.
        """
        agreed = set(self.agreed)
        if "matricule" in agreed or {"name", "first_name", "birth_date"} <= agreed:
            return True
        return {"identifiers", "name"} <= agreed and not agreed.isdisjoint(
            ("first_name", "birth_date")
        )

    @property
    def fits(self) -> bool:
        """True when the document may be this person's: by what is enough, or as a twin's may be."""
        if self.differing:
            return False
        return self.enough or (
            {"name", "birth_date"} <= set(self.agreed) and not self.other_first_name
        )


def compare(said: IdentityTraits, known: IdentityTraits) -> Compared:
    """Compare what a document says with what a record holds.

    Strict traits are those of the INS (birth name, first given name, birth date, sex, birthplace)
    and its matricule. Accents, case, hyphens and apostrophes do not count; a date that is only
    known to the month or year differs where what is known does. A trait that one side does not
    give neither agrees nor differs. ``name`` and ``first_name`` agree when the birth ones do, or
    the used ones: an agenda knows people by those. Another given name than the first one is
    ``given_name``, which is thin: a twin may bear it first. Used names that differ are a
    difference where nothing else agrees.
    """
    agreed: list[str] = []
    differing: list[str] = []

    def judge(trait: str, same: bool | None) -> None:
        if same is not None:
            (agreed if same else differing).append(trait)

    judge("birth_name", _same(plain(said.birth_name), plain(known.birth_name)))
    judge("first_names", _same_first_name(said.first_names, known.first_names))
    judge("birth_date", _same_date(said.birth_date, known.birth_date))
    judge("sex", _same(_binary(said.sex), _binary(known.sex)))
    judge("birth_place", _same(_insee(said.birth_place), _insee(known.birth_place)))
    judge("identifiers", _same_identifiers(said, known))
    if "identifiers" in agreed and _shares_matricule(said, known):
        agreed.append("matricule")
    named = _same_name(said, known, agreed, differing)
    if named:
        agreed.append("name")
    called = _called(said, known, agreed, differing)
    if called is not None and called:
        agreed.append(called)
    if "birth_date" in agreed and not (_whole(said.birth_date) and _whole(known.birth_date)):
        agreed.remove("birth_date")  # a year that agrees is no birth date
    if named is False and {"birth_date", "first_name", "matricule"}.isdisjoint(agreed):
        differing.append("name")
    return Compared(tuple(agreed), tuple(differing), called == "")


def _same_name(
    said: IdentityTraits, known: IdentityTraits, agreed: list[str], differing: list[str]
) -> bool | None:
    """Whether the birth names agree, or the name in use is one of the record's."""
    if "birth_name" in agreed:
        return True
    name = plain(said.used_name or said.birth_name)
    names = {plain(known.birth_name), plain(known.used_name)} - {""}
    if "birth_name" in differing or not name or not names:
        return None
    return name in names


def _called(
    said: IdentityTraits, known: IdentityTraits, agreed: list[str], differing: list[str]
) -> str | None:
    """The trait by which first names agree; empty where those in use do not, None where unsaid."""
    if "first_names" in agreed:
        return "first_name"
    name = plain(said.used_first_name or next(iter(said.first_names), ""))
    if "first_names" in differing or not name or not (known.first_names or known.used_first_name):
        return None
    if name == plain(known.used_first_name) or _same_first_name((name,), known.first_names):
        return "first_name"
    return "given_name" if name in {plain(other) for other in known.first_names} else ""


def _same(said: str, known: str) -> bool | None:
    return said == known if said and known else None


def _binary(sex: str | None) -> str:
    return sex if sex in ("male", "female") else ""


def _insee(place: str | None) -> str:
    """A birthplace as INSEE code; a place in words cannot be compared with one."""
    code = (place or "").strip().upper()
    return code if re.fullmatch(r"(?:\d{2}|2[AB])\d{3}", code, re.ASCII) else ""


def _whole(day: str | None) -> bool:
    return day is not None and len(day) == 10


def _same_date(said: str | None, known: str | None) -> bool | None:
    if not said or not known:
        return None
    shorter = min(len(said), len(known))
    return said[:shorter] == known[:shorter]


def _same_first_name(said: tuple[str, ...], known: tuple[str, ...]) -> bool | None:
    """Whether the first given names agree; "Jean-Pierre" is also "Jean", "Pierre", never "Jean"."""
    here, there = ([plain(name).split() for name in names] for names in (said, known))
    here, there = [n for n in here if n], [n for n in there if n]
    if not here or not there:
        return None
    return _begins(here, there[0]) or _begins(there, here[0])


def _begins(names: list[list[str]], first: list[str]) -> bool:
    """True when whole names, from the first one, make exactly the words of ``first``."""
    found: list[str] = []
    for name in names:
        found += name
        if len(found) >= len(first):
            break
    return found == first


def _same_identifiers(said: IdentityTraits, known: IdentityTraits) -> bool | None:
    """True when one is shared; False when both give a matricule of one kind, not the same."""
    here = {(one.system, one.value) for one in said.identifiers}
    there = {(one.system, one.value) for one in known.identifiers}
    if here & there:
        mine, theirs = _matricules(here), _matricules(there)
        if all(mine[system] & theirs[system] for system in mine.keys() & theirs.keys()):
            return True
    mine, theirs = _matricules(here), _matricules(there)
    if any(not mine[system] & theirs[system] for system in mine.keys() & theirs.keys()):
        return False
    return None


def _shares_matricule(said: IdentityTraits, known: IdentityTraits) -> bool:
    held = {(one.system, one.value) for one in known.identifiers}
    return any(
        one.system in INS_SYSTEMS and (one.system, one.value) in held for one in said.identifiers
    )


def _matricules(identifiers: set[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for system, value in identifiers:
        if system in INS_SYSTEMS:
            found.setdefault(system, set()).add(value)
    return found


# Decisions


def decide(document: InboxDocument | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``document``, or the reason why it makes none.

    Raises:
        Invalid, Refused: what was sent, or a rule.
        NotFound: no such document, or no such record to match it with.
    """
    if isinstance(command, ReceiveDocument):
        return _receive(command, ctx)
    if document is None:
        raise NotFound
    match command:
        case MatchDocument():
            return _match(document, command, ctx)
        case RejectDocument():
            return _reject(document, command, ctx)
        case _:
            raise TypeError(f"{command.name} is not an inbox document's command")


def _receive(command: ReceiveDocument, ctx: Context) -> tuple[Fact, ...]:
    if ctx.centre is None:
        raise Invalid("missing-field", field="centre", why="Un document arrive dans un centre.")
    sha256 = read_original(command, ctx)
    if command.format == "phone":
        _phoned(command)
    return (
        Fact(
            DocumentReceived(
                sha256=sha256,
                size=command.size,
                media_type=words(command.media_type, field="media_type", limit=100),
                format=command.format,
                door=command.door,
                title=readable(command.title, field="title", limit=160),
                kind=command.kind,
                one_liner=one_line(command.one_liner, field="one_liner"),
                identity=command.identity,
                issued_at=command.issued_at,
                results=tuple(line_with_point(line) for line in command.results),
                result_status=command.result_status,
                coded_lines=command.coded_lines,
                unmapped=command.unmapped,
                warnings=command.warnings,
                caller=readable(command.caller, field="caller", limit=160),
                read_back=command.read_back,
            )
        ),
    )


def _phoned(command: ReceiveDocument) -> None:
    """A result told on the phone: a value, who called, and read back to the caller."""
    if not command.results:
        raise Invalid("missing-field", field="results", why="Dire l'examen et sa valeur.")
    words(command.caller, field="caller", limit=160)
    if not command.read_back:
        raise refuse(
            "not-read-back",
            "Ce résultat n'est pas enregistré.",
            "Une valeur dictée se relit à l'appelant avant d'être notée.",
            "Relire la valeur à l'appelant, puis cocher la case.",
            field="read_back",
        )
    if command.identity is None or not (
        command.identity.birth_name or command.identity.used_name or command.identity.identifiers
    ):
        raise Invalid("missing-field", field="identity", why="Dire de quel patient il s'agit.")


def _match(document: InboxDocument, command: MatchDocument, ctx: Context) -> tuple[Fact, ...]:
    require_stint(command, ctx)
    if document.patient is not None:
        _withdrawn(document, command, ctx)
    record = ctx.candidate
    known = known_traits(record) if record is not None else None
    if known is None:
        raise NotFound
    compared = compare(document.received.identity or IdentityTraits(), known)
    if compared.differing:
        raise _differs(compared.differing[0])
    if not compared.enough:
        _confirmed_by_a_doctor(command, ctx, "identity-too-thin")
    elif ctx.rivals and "matricule" not in compared.agreed:
        _confirmed_by_a_doctor(command, ctx, "several-records")
    return (
        Fact(
            DocumentMatched(
                patient=command.patient, agreed=compared.agreed, confirmed=command.confirmed
            )
        ),
    )


def delivered(document: InboxDocument, record: Patient) -> list[Event]:
    """What a record holds from a document and still shows: its original and its lines."""
    brought = next(iter(document.event_ids))
    return [
        event
        for event in record.entries.values()
        if event.envelope.causation_id == brought
        and isinstance(event.payload, (DocumentAttached, *IMPORTED))
        and not record.is_out(event.event_id)
    ]


def _withdrawn(document: InboxDocument, command: MatchDocument, ctx: Context) -> None:
    """A doctor corrects a wrong match, once nothing of the document stands where it was."""
    if ctx.author.role not in DOCTORS or document.patient == command.patient:
        raise refuse(
            "already-matched",
            "Ce document est déjà rattaché.",
            "Un document n'appartient qu'à un dossier.",
            "S'il n'est pas le bon, un médecin y marque chaque entrée erronée, puis rattache.",
        )
    if ctx.former is None or delivered(document, ctx.former):
        raise refuse(
            "still-on-record",
            "Ce document est encore dans un autre dossier.",
            "Le document ou une de ses lignes y figure toujours.",
            "Y marquer erronées toutes les entrées venues de ce document, puis rattacher.",
        )


_TRAITS = {
    "birth_name": "le nom de naissance",
    "first_names": "le premier prénom",
    "birth_date": "la date de naissance",
    "sex": "le sexe",
    "birth_place": "le lieu de naissance",
    "identifiers": "le matricule INS",
    "name": "le nom utilisé",
}


def _differs(trait: str) -> Refused:
    """The refusal of a match; it names the trait, never what either side says."""
    return refuse(
        "strict-trait-differs",
        "Ce document n'est pas rattaché à ce dossier.",
        f"Un trait strict diffère : {_TRAITS[trait]}.",
        "Chercher le bon dossier, ou mettre le document de côté et prévenir l'expéditeur.",
        field=trait,
    )


_UNSURE = {
    "identity-too-thin": (
        "Ce document en dit trop peu pour être rattaché ici.",
        "Sans nom, prénom et date de naissance, ni matricule INS, un médecin lit le document.",
        "Le document dit trop peu de l'identité pour être rattaché sans être lu.",
    ),
    "several-records": (
        "Ce document peut être celui de plusieurs dossiers.",
        "Un autre dossier du centre porte les mêmes nom et date de naissance : "
        "un médecin lit le document.",
        "Un autre dossier du centre porte les mêmes nom et date de naissance.",
    ),
}


def _confirmed_by_a_doctor(command: MatchDocument, ctx: Context, code: str) -> None:
    what, why_blind, why_unread = _UNSURE[code]
    if ctx.author.role not in DOCTORS:
        raise refuse(code, what, why_blind, "Le laisser au médecin en poste.")
    if not command.confirmed:
        raise refuse(
            "confirmation-missing",
            "Ce rattachement demande une confirmation.",
            why_unread,
            "Lire le document, puis cocher la confirmation.",
            field="confirmed",
        )


def _reject(document: InboxDocument, command: RejectDocument, ctx: Context) -> tuple[Fact, ...]:
    require_stint(command, ctx)
    if document.patient is not None:
        raise refuse(
            "already-matched",
            "Ce document est déjà rattaché.",
            "Ce qui est dans un dossier s'y corrige.",
            "Ouvrir le dossier et y marquer l'entrée erronée.",
        )
    by_doctor = ctx.author.role in DOCTORS
    received = document.received
    if not by_doctor and (received.results or received.coded_lines or received.result_status):
        raise refuse(
            "carries-results",
            "Ce document n'est pas mis de côté.",
            "Il porte des résultats ou des lignes codées : un médecin les lit d'abord.",
            "Le laisser au médecin en poste, ou le rattacher.",
        )
    if document.rejected and not (by_doctor and document.aside):
        raise refuse(
            "already-rejected",
            "Ce document est déjà mis de côté.",
            "Sa mise de côté est enregistrée.",
            "Le rattacher, si c'était une erreur.",
        )
    return (
        Fact(
            DocumentRejected(sender_told=command.sender_told),
            reason=words(command.reason, field="reason", limit=400),
        ),
    )
