"""The entry a command speaks of, what it says after its revisions, and how fields are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import Context, refuse
from releve.domain.aggregates.patient.record import Patient
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import PartialDate, readable

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
    return patient.standing(patient.told_about(kind, entry))


def revised(patient: Patient, entry: UUID, first: P, kind: type[Payload]) -> P:
    """``first`` with each standing revision of ``kind`` applied in the order of clinical time.

    What a revision leaves out (None, or an empty list) stays as it was. A revision of the version
    that a source has since replaced stays with that version: what the source says now is new.
    """
    changes = sorted(about(patient, kind, entry), key=lambda event: event.recency)
    for event in changes:
        first = amended(first, event.payload)
    return first


def amended(entry: P, revision: Payload) -> P:
    """``entry`` with what ``revision`` says; what it leaves out (None, or an empty list) stays."""
    said = msgspec.structs.asdict(revision)
    given = {name: value for name, value in said.items() if value not in (None, ())}
    return msgspec.structs.replace(entry, **given)


def from_source(
    patient: Patient, events: Iterable[Event], system: str | None, *, but: Event | None = None
) -> Iterator[Event]:
    """Standing ones of ``events`` that the source ``system`` told, less ``but``.

    A source is asked not to say the same twice; what two sources say stands side by side.
    """
    return (
        event
        for event in patient.standing(events)
        if event.envelope.source.system == system and event is not but
    )


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


def optional_text(value: str | None, *, field: str, limit: int) -> str | None:
    """A field that may be left out, readable; None where nothing but blanks was given."""
    return readable(value or "", field=field, limit=limit) or None


def something(*given: object) -> None:
    """Refuse a revision that says nothing. Raises Invalid."""
    if all(value in (None, ()) for value in given):
        raise Invalid(
            "missing-field", field="data", why="Rien n'est changé : aucun champ n'est donné."
        )
