"""Offers: an item changes hands only when somebody accepts it."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from releve.domain.aggregates.deciding import NEEDS_STINT, Colleague, Context, Fact, refuse
from releve.domain.aggregates.patient.entries import about
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    closed_items,
    find_open_item,
)
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.commands import AcceptItem, DeclineItem, OfferItem
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Event, Payload
from releve.domain.values import Owner, readable, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ItemOffered(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An item (the envelope's target) was offered; its owner keeps it until somebody accepts."""

    topic: ClassVar[str] = "patient.item-offered"

    to: Owner
    to_name: str = ""
    message: str = ""


class ItemAccepted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Whom an item (the envelope's target) was offered to took it."""

    topic: ClassVar[str] = "patient.item-accepted"

    owner: Owner
    """Who holds it from now on: the person, bound by the stint they accepted in, or the role."""


class ItemDeclined(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An offer of an item (the envelope's target) was declined, for the envelope's reason."""

    topic: ClassVar[str] = "patient.item-declined"


# State

FOLDS: dict[type[Payload], Fold] = {
    ItemOffered: file,
    ItemAccepted: file,
    ItemDeclined: file,
}


def owner_of(patient: Patient, item: Event) -> Owner:
    """Who an item belongs to: whoever accepted it last, else whom it was opened for.

    The person may have left since: :func:`~.open_items.owner_at` says who answers.
    """
    if not isinstance(item.payload, ItemOpened):
        raise TypeError(f"{item.topic} opens no item")
    owner = item.payload.owner
    for event in about(patient, ItemAccepted, item.event_id):
        if isinstance(event.payload, ItemAccepted):
            owner = event.payload.owner
    return owner


def pending_offer(patient: Patient, item: UUID) -> Event | None:
    """The offer of an open item that nobody has answered; a later offer takes its place."""
    if item in closed_items(patient):
        return None
    told = (
        event
        for kind in (ItemOffered, ItemAccepted, ItemDeclined)
        for event in about(patient, kind, item)
    )
    closings = (e for e in patient.standing(patient.closings) if e.envelope.target == item)
    last = max((*told, *closings), key=lambda event: event.originator_version, default=None)
    if last is None or isinstance(last.payload, ItemAccepted | ItemDeclined | ItemClosed):
        return None
    return last


# Decisions


def offer_item(patient: Patient, command: OfferItem, ctx: Context) -> tuple[Fact, ...]:
    """An open item, to a role or to a named person; it stays whose it is until they accept."""
    item, _ = find_open_item(patient, command.item)
    to, name = command.to, readable(command.to_name, field="to_name", limit=160)
    if to.stint is not None:
        raise Invalid("invalid-field", field="to.stint", why="Le séjour est celui de qui accepte.")
    if to.person is not None and not name:
        raise Invalid("missing-field", field="to_name", why="Dire à qui le point est proposé.")
    if to.person is not None and ctx.colleague is not None:
        _can_accept(ctx.colleague, name, ctx)
    owner = owner_of(patient, item)
    if to == Owner(role=owner.role, person=owner.person) and (
        owner.person is None or owner.stint == ctx.author.stint
    ):
        raise refuse(
            "already-theirs",
            "Le point n'est pas proposé.",
            "Il est déjà à qui il est proposé.",
            "Choisir quelqu'un d'autre.",
            field="to",
        )
    message = readable(command.message, field="message", limit=400)
    offered = ItemOffered(to=to, to_name=name if to.person else "", message=message)
    return (Fact(offered, target=command.item),)


def _can_accept(colleague: Colleague, name: str, ctx: Context) -> None:
    """An offer to somebody who could never take it would wait in silence."""
    over = colleague.stays_until
    gone = over is None or over <= ctx.now
    if not colleague.known or (gone and not colleague.standing):
        raise refuse(
            "cannot-accept",
            "Le point n'est pas proposé.",
            "Cette personne n'a ici ni séjour en cours ou à venir, ni rôle qui réponde d'un point.",
            "Le proposer au médecin en poste, au référent ou à la coordination.",
            field="to",
        )
    if not colleague.is_called(name):
        raise refuse(
            "another-name",
            "Le point n'est pas proposé.",
            "Le nom écrit n'est pas celui de la personne désignée.",
            "Vérifier à qui il est proposé.",
            field="to_name",
        )


def accept_item(patient: Patient, command: AcceptItem, ctx: Context) -> tuple[Fact, ...]:
    """By whom it was offered to, or who fills that role; binds the person and their stint."""
    offered = _offered_to_author(patient, command.item, ctx)
    author = ctx.author
    if author.role in NEEDS_STINT:
        owner = Owner(person=author.person, stint=author.stint)
    elif author.role == "referent":
        owner = Owner(role="referent", person=author.person if offered.to.person else None)
    elif author.role == "coordinator":
        owner = Owner(role="coordinator")
    else:
        raise refuse(
            "cannot-answer-for-it",
            "Le point n'est pas accepté.",
            "Un médecin en séjour, le référent ou la coordination répondent d'un point.",
            "Le laisser au médecin en poste, et y noter ce qui est fait.",
            field="item",
        )
    return (Fact(ItemAccepted(owner=owner), target=command.item),)


def decline_item(patient: Patient, command: DeclineItem, ctx: Context) -> tuple[Fact, ...]:
    """By whom it was offered to, for a reason; it stays with who had it."""
    _offered_to_author(patient, command.item, ctx)
    reason = words(command.reason, field="reason", limit=400)
    return (Fact(ItemDeclined(), target=command.item, reason=reason),)


def _offered_to_author(patient: Patient, item: UUID, ctx: Context) -> ItemOffered:
    find_open_item(patient, item)
    offer = pending_offer(patient, item)
    if offer is None or not isinstance(offer.payload, ItemOffered):
        raise _not_offered("Aucune proposition n'attend de réponse pour ce point.")
    to = offer.payload.to
    fills = {
        "medecin_en_poste": ("doctor", "intern", "referent"),
        "referent": ("referent",),
        "coordinator": ("coordinator",),
    }[to.role]
    if to.person is not None:
        if to.person != ctx.author.person:
            raise _not_offered("Il est proposé à quelqu'un d'autre.")
    elif ctx.author.role not in fills:
        raise _not_offered("Il est proposé à un autre rôle.")
    return offer.payload


def _not_offered(why: str) -> Refused:
    return refuse(
        "not-offered-to-you",
        "La réponse n'est pas enregistrée.",
        why,
        "Relire le point : il reste à qui il est.",
        field="item",
    )
