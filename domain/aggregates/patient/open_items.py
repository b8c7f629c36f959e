"""Open items: what must still happen, by when, and who answers for it at every position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import about, optional_text
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.aggregates.stint import Stint
from releve.domain.commands import CloseItem, OpenItem, ReopenItem, ReviseItem
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import (
    ItemKind,
    NamedPerson,
    Owner,
    OwnerRole,
    readable,
    span,
    words,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ItemOpened(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Something must still happen. ``due`` is a date, or ``no_deadline`` says so explicitly."""

    topic: ClassVar[str] = "patient.item-opened"
    schema: ClassVar[int] = 3

    kind: ItemKind
    text: str
    owner: Owner = Owner()
    due: str | None = None
    no_deadline: bool = False
    harm_if_late: bool = False
    done_when: str | None = None
    follows: UUID | None = None
    """The order or result that it follows; such an item ends when the patient was told."""


class ItemClosed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An item (the envelope's target) is done, or no longer needed, with what shows it."""

    topic: ClassVar[str] = "patient.item-closed"

    outcome: Literal["done", "not-needed", "transferred"]
    evidence: str


class ItemRevised(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An item (the envelope's target) says something else from now on; what is absent stays."""

    topic: ClassVar[str] = "patient.item-revised"

    text: str | None = None
    due: str | None = None
    no_deadline: bool | None = None
    harm_if_late: bool | None = None
    done_when: str | None = None


class ItemReopened(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A closed item (the envelope's target) is open again, with its first age."""

    topic: ClassVar[str] = "patient.item-reopened"


# State

FOLDS: dict[type[Payload], Fold] = {
    ItemOpened: lambda patient, event: patient.items.append(event),
    ItemClosed: lambda patient, event: patient.closings.append(event),
    ItemRevised: file,
    ItemReopened: file,
}


def closed_items(patient: Patient) -> set[UUID]:
    """Items whose last standing word is a closing.

    A closing marked in error opens its item again; so does a reopening, until the next closing.
    """
    closed: dict[UUID, int] = {}
    for event in patient.standing(patient.closings):
        if event.envelope.target is not None:
            closed[event.envelope.target] = event.originator_version
    for event in patient.standing(patient.told(ItemReopened)):
        if event.envelope.target is not None:
            version = closed.get(event.envelope.target)
            if version is not None and version < event.originator_version:
                del closed[event.envelope.target]
    return set(closed)


def open_items(patient: Patient) -> Iterator[Event]:
    """Standing items that nothing has closed, oldest first."""
    closed = closed_items(patient)
    return (event for event in patient.standing(patient.items) if event.event_id not in closed)


def current_item(patient: Patient, item: Event) -> ItemOpened:
    """What an item says after its standing revisions; when it was opened stays in ``item``."""
    said = item.payload
    if not isinstance(said, ItemOpened):
        raise TypeError(f"{item.topic} opens no item")
    for event in about(patient, ItemRevised, item.event_id):
        if isinstance(event.payload, ItemRevised):
            said = _apply(said, event.payload)
    return said


def _apply(item: ItemOpened, change: ItemRevised) -> ItemOpened:
    said = {
        name: value
        for name, value in msgspec.structs.asdict(change).items()
        if value is not None and name not in ("due", "no_deadline")
    }
    if change.due is not None:
        said |= {"due": change.due, "no_deadline": False}
    elif change.no_deadline:
        said |= {"due": None, "no_deadline": True}
    return msgspec.structs.replace(item, **said)


def due_by(item: ItemOpened, zone: str) -> datetime | None:
    """The instant after which the item is overdue: the end of its civil day in ``zone``."""
    return None if item.due is None else span(item.due, zone, field="due")[1]


def is_overdue(item: ItemOpened, at: datetime, zone: str) -> bool:
    """True when its deadline has passed; an item without deadline is never overdue."""
    deadline = due_by(item, zone)
    return deadline is not None and at >= deadline


# Ownership: a fold over stints, with no transfer event to forget


@dataclass(frozen=True, slots=True)
class Holder:
    """Who answers for an item at an instant: a role, and the named person who fills it."""

    role: OwnerRole
    person: UUID | None = None
    name: str | None = None
    stint: UUID | None = None


def in_post(stints: Iterable[Stint], centre: UUID, at: datetime) -> list[Stint]:
    """Stints whose doctor is in post at ``centre``, the longest there first (then by id)."""
    active = (stint for stint in stints if stint.centre == centre and stint.active(at))
    return sorted(active, key=lambda stint: (stint.window[0], stint.id.bytes))


def owner_at(
    owner: Owner, centre: UUID, at: datetime, stints: Mapping[UUID, Stint], referent: NamedPerson
) -> Holder:
    """The one holder of an item at ``centre`` at ``at``.

    A person who accepted keeps it while the stint that binds them (or, without one, any stint of
    theirs there) is active. Then, and for what belongs to the médecin en poste, the doctor in post
    holds it; with none in post, the référent médical, who is always a named person. The
    coordinator's items stay with that role. Give the stints as folded at the position looked at.
    """
    doctors = in_post(stints.values(), centre, at)
    if owner.person is not None:
        for stint in doctors:
            bound = owner.stint is None or owner.stint == stint.id
            if bound and stint.practitioner == owner.person:
                return _doctor(stint)
        if owner.person == referent.person:
            return _referent(referent)
    elif owner.role == "coordinator":
        return Holder(role="coordinator")
    elif owner.role == "referent":
        return _referent(referent)
    return _doctor(doctors[0]) if doctors else _referent(referent)


def _doctor(stint: Stint) -> Holder:
    return Holder("medecin_en_poste", stint.practitioner, stint.practitioner_name, stint.id)


def _referent(referent: NamedPerson) -> Holder:
    return Holder("referent", referent.person, referent.name)


# Decisions


def open_item(patient: Patient, command: OpenItem, ctx: Context) -> tuple[Fact, ...]:
    """Owner and due mandatory, "no deadline" said explicitly; a person owns only what they took."""
    if command.due is None and not command.no_deadline:
        raise Invalid(
            "missing-field",
            field="due",
            why="Un point ouvert a une échéance, ou dit qu'il n'en a pas.",
            do="Indiquer une date, ou cocher « sans échéance ».",
        )
    _check_due(command.due, command.no_deadline, ctx)
    return (
        Fact(
            ItemOpened(
                kind=command.kind,
                text=words(command.text, field="text", limit=400),
                owner=read_owner(command.owner, ctx),
                due=command.due,
                no_deadline=command.no_deadline,
                harm_if_late=command.harm_if_late,
                done_when=optional_text(command.done_when, field="done_when", limit=400),
            )
        ),
    )


def read_owner(owner: Owner, ctx: Context) -> Owner:
    """Who answers for something new: a role, or the author under the stint that binds them."""
    if owner.person is not None and owner.person != ctx.author.person:
        raise refuse(
            "owner-has-not-accepted",
            "Le point n'est pas ouvert.",
            "Une personne ne répond que de ce qu'elle a accepté.",
            "Le confier au médecin en poste ou au référent, puis le lui proposer.",
            field="owner",
        )
    if owner.person is not None and owner.stint is None:
        return Owner(role=owner.role, person=owner.person, stint=ctx.author.stint)
    return owner


def _check_due(due: str | None, no_deadline: bool | None, ctx: Context) -> None:
    if due is not None:
        if no_deadline:
            raise Invalid("invalid-field", field="no_deadline", why="Une échéance est donnée.")
        span(due, ctx.zone, field="due")


def find_item(patient: Patient, item: UUID) -> tuple[Event, ItemOpened]:
    """A standing item, open or closed, with what it says now. Refuses ``unknown-item``."""
    event = patient.entries.get(item)
    if event is None or not isinstance(event.payload, ItemOpened) or not patient.stands(event):
        raise refuse(
            "unknown-item",
            "Ce point n'existe pas.",
            "Aucun point ouvert de ce dossier ne porte ce nom.",
            "Relire les points ouverts.",
            field="item",
        )
    return event, current_item(patient, event)


def find_open_item(patient: Patient, item: UUID) -> tuple[Event, ItemOpened]:
    """As :func:`find_item`; refuses ``item-already-closed`` too."""
    found = find_item(patient, item)
    if item in closed_items(patient):
        raise refuse(
            "item-already-closed",
            "Ce point est déjà clos.",
            "Quelqu'un l'a clos entre-temps.",
            "Relire les points ouverts.",
            field="item",
        )
    return found


def _at_the_desk(ctx: Context) -> bool:
    return ctx.author.role in ("coordinator", "secretary")


def close_item(patient: Patient, command: CloseItem, ctx: Context) -> tuple[Fact, ...]:
    """An open item, with evidence; the coordinator closes only ``admin`` ones."""
    _, item = find_open_item(patient, command.item)
    if _at_the_desk(ctx) and item.kind != "admin":
        raise refuse(
            "clinical-item",
            "Ce point n'est pas clos.",
            "Un point clinique est clos par un soignant.",
            "Le signaler au médecin en poste.",
            field="item",
        )
    return (
        Fact(
            ItemClosed(
                outcome=command.outcome,
                evidence=words(command.evidence, field="evidence", limit=1000),
            ),
            target=command.item,
        ),
    )


def revise_item(patient: Patient, command: ReviseItem, ctx: Context) -> tuple[Fact, ...]:
    """An open item says something else from now on, for a reason; its age is never reset.

    The desk brings a deadline forward; it puts one off only where nobody is harmed by waiting. The
    rest of a clinical item is a clinician's.
    """
    event, item = find_open_item(patient, command.item)
    _check_due(command.due, command.no_deadline, ctx)
    done_when = command.done_when
    change = ItemRevised(
        text=None if command.text is None else words(command.text, field="text", limit=400),
        due=command.due,
        no_deadline=command.no_deadline,
        harm_if_late=command.harm_if_late,
        done_when=(
            None if done_when is None else readable(done_when, field="done_when", limit=400)
        ),
    )
    if _at_the_desk(ctx) and _put_off(item, change, ctx):
        raise refuse(
            "not-the-desk-to-put-off",
            "L'échéance n'est pas repoussée.",
            "Un point clinique, en retard, ou dangereux s'il tarde n'est reporté que par un "
            "soignant ; le secrétariat peut l'avancer.",
            "Demander le report au médecin en poste ou, sans lui, au référent.",
            field="due",
        )
    more_than_due = msgspec.structs.replace(change, due=None) != ItemRevised()
    if more_than_due and _at_the_desk(ctx) and item.kind != "admin":
        raise refuse(
            "clinical-item",
            "Ce point n'est pas modifié.",
            "D'un point clinique, le secrétariat avance l'échéance ; le reste est médical.",
            "Le signaler au médecin en poste.",
            field="item",
        )
    if change == ItemRevised() or _apply(item, change) == item:
        raise Invalid("missing-field", field="data", why="Rien n'est changé.")
    if change.no_deadline is False and change.due is None:
        raise Invalid("missing-field", field="due", why="Dire l'échéance du point.")
    reason = words(command.reason, field="reason", limit=400)
    return (Fact(change, target=event.event_id, reason=reason),)


def _put_off(item: ItemOpened, change: ItemRevised, ctx: Context) -> bool:
    """Whether a change makes an item wait longer, or look harmless, that must not wait."""
    must_not_wait = item.kind != "admin" or item.harm_if_late
    if not must_not_wait and not is_overdue(item, ctx.now, ctx.zone):
        return False
    if item.harm_if_late and change.harm_if_late is False:
        return True
    before, after = due_by(item, ctx.zone), due_by(_apply(item, change), ctx.zone)
    return before is not None and (after is None or after > before)


def reopen_item(patient: Patient, command: ReopenItem, ctx: Context) -> tuple[Fact, ...]:
    """A closed item is open again, for a reason, as old as it was."""
    event, _ = find_item(patient, command.item)
    if command.item not in closed_items(patient):
        raise refuse(
            "item-not-closed",
            "Ce point n'est pas rouvert.",
            "Il est encore ouvert.",
            "Le modifier, ou le clore.",
            field="item",
        )
    reason = words(command.reason, field="reason", limit=400)
    return (Fact(ItemReopened(), target=event.event_id, reason=reason),)
