"""Who the patient is: traits as known, declared doctor. Events, state and decisions on one page."""

from __future__ import annotations

import re
from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import optional_text, past_date
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.clinical_time import recency
from releve.domain.commands import DeclareMedecinTraitant, EndMedecinTraitant, RegisterPatient
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import (
    INS_SYSTEMS,
    Finess,
    Identifier,
    IdentityStatus,
    Nir,
    PartialDate,
    Sex,
    words,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class Registered(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An identity was opened with the traits known; what is missing stays missing."""

    topic: ClassVar[str] = "patient.registered"

    birth_name: str | None = None
    first_names: tuple[str, ...] = ()
    used_name: str | None = None
    used_first_name: str | None = None
    birth_date: str | None = None
    sex: Sex | None = None
    birth_place: str | None = None
    """INSEE code of the birthplace, five characters."""
    identifiers: tuple[Identifier, ...] = ()
    identity_status: IdentityStatus = "provisoire"
    prior_search: str | None = None
    """How a prior search was made (``blind-index``, ``name``); required at the doors."""


class MedecinTraitantDeclared(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The patient declared a médecin traitant: the centre itself, or a person."""

    topic: ClassVar[str] = "patient.medecin-traitant-declared"

    kind: Literal["centre", "person"]
    since: str
    centre: UUID | None = None
    finess: str | None = None
    practitioner: UUID | None = None
    name: str | None = None


class MedecinTraitantEnded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The declaration of the médecin traitant ended."""

    topic: ClassVar[str] = "patient.medecin-traitant-ended"

    ended: str
    successor: str | None = None


# State


def _registered(patient: Patient, event: Event) -> None:
    patient.registered = event


FOLDS: dict[type[Payload], Fold] = {
    Registered: _registered,
    MedecinTraitantDeclared: lambda patient, event: patient.medecins_traitants.append(event),
    MedecinTraitantEnded: file,
}


def medecin_traitant(patient: Patient) -> MedecinTraitantDeclared | None:
    """The one active declaration (:func:`medecin_traitant_entry`)."""
    entry = medecin_traitant_entry(patient)
    payload = None if entry is None else entry.payload
    return payload if isinstance(payload, MedecinTraitantDeclared) else None


def medecin_traitant_entry(patient: Patient) -> Event | None:
    """The one active declaration: the one with the latest ``since``, whenever it was written.

    A newer form replaces the older, at the insurer's too; so an end leaves the patient without
    one, until another form is written.
    """
    ends = patient.standing(patient.told(MedecinTraitantEnded))
    last_end = max((end.originator_version for end in ends), default=0)
    declared = [
        (recency(payload.since, e.envelope.zone, e.recorded_at, e.originator_version), e)
        for e in patient.standing(patient.medecins_traitants)
        if isinstance(payload := e.payload, MedecinTraitantDeclared)
        and e.originator_version > last_end
    ]
    return max(declared, key=lambda one: one[0])[1] if declared else None


def identity_of(patient: Patient) -> Registered | None:
    """The traits as they were registered; None while no identity was opened."""
    payload = None if patient.registered is None else patient.registered.payload
    return payload if isinstance(payload, Registered) else None


def missing_traits(identity: Registered) -> tuple[str, ...]:
    """Strict identity traits that are not known; a patient with some is "identité incomplète"."""
    traits = {
        "birth_name": identity.birth_name,
        "first_names": identity.first_names,
        "birth_date": identity.birth_date,
        "sex": identity.sex if identity.sex in ("male", "female") else None,
        "birth_place": identity.birth_place,
    }
    return tuple(name for name, known in traits.items() if not known)


# Decisions

HUMAN_CHANNELS = frozenset({"ui", "paste", "phone", "offline"})
"""Where a person opens an identity, and has to have looked for the patient first."""


def register(patient: Patient, command: RegisterPatient, ctx: Context) -> tuple[Fact, ...]:
    """Traits as known; a prior search; all five traits and a matricule for ``qualifiee``."""
    if patient.registered is not None:
        raise refuse(
            "already-registered",
            "Cette identité existe déjà.",
            "Un dossier ne s'ouvre qu'une fois.",
            "Ouvrir le dossier existant.",
        )
    if ctx.source.channel in HUMAN_CHANNELS and not command.prior_search:
        raise refuse(
            "prior-search-missing",
            "L'identité n'est pas créée.",
            "Une recherche du patient précède toute création.",
            "Chercher d'abord par date de naissance, puis renvoyer.",
            field="prior_search",
        )
    identity = read_identity(command, ctx)
    if not (identity.birth_name or identity.used_name or identity.identifiers):
        raise Invalid(
            "missing-field", field="birth_name", why="Un nom ou un identifiant est nécessaire."
        )
    return (Fact(identity),)


def read_identity(command: RegisterPatient, ctx: Context) -> Registered:
    """The identity a command describes, each trait checked; an unknown sex counts as absent."""
    if command.birth_date is not None:
        past_date(command.birth_date, ctx, field="birth_date")
    if command.birth_place is not None and not re.fullmatch(
        r"(?:\d{2}|2[AB])\d{3}", command.birth_place, re.ASCII
    ):
        raise Invalid("invalid-field", field="birth_place", why="Un code INSEE a 5 caractères.")
    for place, identifier in enumerate(command.identifiers):
        if identifier.system in INS_SYSTEMS:
            Nir(identifier.value, field=f"identifiers[{place}].value")
    identity = Registered(
        birth_name=optional_text(command.birth_name, field="birth_name", limit=160),
        first_names=tuple(
            words(name, field=f"first_names[{place}]", limit=80)
            for place, name in enumerate(command.first_names)
        ),
        used_name=optional_text(command.used_name, field="used_name", limit=160),
        used_first_name=optional_text(command.used_first_name, field="used_first_name", limit=160),
        birth_date=command.birth_date,
        sex=None if command.sex == "unknown" else command.sex,
        birth_place=command.birth_place,
        identifiers=command.identifiers,
        identity_status=command.identity_status,
        prior_search=command.prior_search,
    )
    if identity.identity_status == "qualifiee" and (
        missing_traits(identity)
        or not any(identifier.system in INS_SYSTEMS for identifier in identity.identifiers)
    ):
        raise refuse(
            "not-qualified",
            "L'identité ne peut pas être qualifiée.",
            "Une identité qualifiée a ses cinq traits et son matricule INS.",
            "Compléter les traits, ou laisser l'identité provisoire.",
            field="identity_status",
        )
    return identity


def lived_date(patient: Patient, value: str, ctx: Context, *, field: str) -> PartialDate:
    """A date that may have come, and is not surely before the birth. Raises Invalid."""
    day = past_date(value, ctx, field=field)
    identity = identity_of(patient)
    born = None if identity is None else identity.birth_date
    if born is not None and day.last_day < PartialDate(born).first_day:
        raise Invalid("before-birth", field=field, why="Cette date précède la naissance.")
    return day


def declare_medecin_traitant(
    patient: Patient, command: DeclareMedecinTraitant, ctx: Context
) -> tuple[Fact, ...]:
    """The centre, or a named person; the same declaration twice is refused."""
    past_date(command.since, ctx, field="since")
    centre = command.centre or (ctx.centre if command.kind == "centre" else None)
    if command.kind == "centre" and centre is None and command.finess is None:
        raise Invalid("missing-field", field="centre", why="Le centre déclaré est à nommer.")
    if command.kind == "person" and command.practitioner is None and not command.practitioner_name:
        raise Invalid(
            "missing-field", field="practitioner_name", why="Le médecin déclaré est à nommer."
        )
    declared = MedecinTraitantDeclared(
        kind=command.kind,
        since=command.since,
        centre=centre if command.kind == "centre" else None,
        finess=None if command.finess is None else str(Finess(command.finess)),
        practitioner=command.practitioner if command.kind == "person" else None,
        name=optional_text(command.practitioner_name, field="practitioner_name", limit=160),
    )
    active = medecin_traitant(patient)
    if active is not None and (active.kind, active.centre, active.practitioner, active.name) == (
        declared.kind,
        declared.centre,
        declared.practitioner,
        declared.name,
    ):
        raise refuse(
            "already-declared",
            "Cette déclaration existe déjà.",
            "Le patient a un seul médecin traitant, et c'est celui-ci.",
            "Rien à faire.",
        )
    return (Fact(declared),)


def end_medecin_traitant(
    patient: Patient, command: EndMedecinTraitant, ctx: Context
) -> tuple[Fact, ...]:
    """The active declaration ended, on a day since it began, for a reason."""
    entry = medecin_traitant_entry(patient)
    if entry is None or not isinstance(entry.payload, MedecinTraitantDeclared):
        raise refuse(
            "no-medecin-traitant",
            "Aucune déclaration n'est en cours.",
            "Ce dossier n'a pas de médecin traitant déclaré.",
            "Relire le dossier.",
        )
    ended = past_date(command.ended, ctx, field="ended")
    if ended.last_day < PartialDate(entry.payload.since).first_day:
        raise Invalid("invalid-field", field="ended", why="La fin vient après le début.")
    return (
        Fact(
            MedecinTraitantEnded(
                ended=command.ended,
                successor=optional_text(command.successor, field="successor", limit=160),
            ),
            target=entry.event_id,
            reason=words(command.reason, field="reason", limit=400),
        ),
    )
