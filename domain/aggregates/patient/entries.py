"""The entry a command speaks of, and what it says after its revisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import Context, refuse
from releve.domain.aggregates.patient.record import Patient
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import PartialDate

P = TypeVar("P", bound=Payload)


def standing_entry(patient: Patient, entry: UUID, kind: type[P], *, field: str) -> tuple[Event, P]:
    """The entry of that kind which a command names, with its payload as first written.

    Raises:
        Refused: ``unknown-entry`` where the record holds none such, ``entry-not-current`` where it
            was replaced, refused or marked in error.
    """
    event = patient.entries.get(entry)
    if event is None or not isinstance(event.payload, kind):
        raise refuse(
            "unknown-entry",
            "Cette entrée n'existe pas.",
            "Aucune entrée de cette sorte dans ce dossier ne porte ce nom.",
            "Relire le dossier.",
            field=field,
        )
    if not patient.stands(event):
        raise refuse(
            "entry-not-current",
            "Cette entrée n'a plus cours.",
            "Elle a été remplacée, refusée ou marquée erronée.",
            "Relire le dossier, puis reprendre l'entrée qui a cours.",
            field=field,
        )
    return event, event.payload


def about(patient: Patient, kind: type[Payload], entry: UUID) -> Iterator[Event]:
    """Standing events of ``kind`` whose target is ``entry``, oldest first."""
    return (e for e in patient.told(kind) if e.envelope.target == entry and patient.stands(e))


def revised(patient: Patient, entry: UUID, first: P, kind: type[Payload]) -> P:
    """``first`` with each standing revision of ``kind`` applied in the order of clinical time.

    What a revision leaves out (None, or an empty list) stays as it was. A revision of the version
    that a source has since replaced stays with that version: what the source says now is new.
    """
    changes = sorted(about(patient, kind, entry), key=lambda event: event.recency)
    for event in changes:
        said = msgspec.structs.asdict(event.payload)
        given = {name: value for name, value in said.items() if value not in (None, ())}
        first = msgspec.structs.replace(first, **given)
    return first


def past_date(value: str, ctx: Context, *, field: str) -> PartialDate:
    """A partial date that may have come already. Raises Invalid naming ``field``."""
    known = PartialDate(value, field=field)
    if known.first_day > ctx.today:
        raise Invalid("in-the-future", field=field, why="Cette date est à venir.")
    return known


def in_order(since: str | None, until: str | None, *, field: str) -> None:
    """Refuse an end that is surely before its beginning. Raises Invalid naming ``field``."""
    if (
        since is not None
        and until is not None
        and PartialDate(until).last_day < PartialDate(since).first_day
    ):
        raise Invalid("invalid-field", field=field, why="La fin vient après le début.")


def something(*given: object) -> None:
    """Refuse a revision that says nothing. Raises Invalid."""
    if all(value in (None, ()) for value in given):
        raise Invalid(
            "missing-field", field="data", why="Rien n'est changé : aucun champ n'est donné."
        )
