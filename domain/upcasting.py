"""Between events in memory and the maps that are sealed, and from older shapes to today's.

A stored event is ``[topic, schema, envelope map, payload map]`` (``docs/formats.md`` §1). The
registry is closed: a topic that is not in it is never resolved, imported or guessed. A payload of
an older schema walks through one upcaster per step, map to map, before it becomes a structure;
stored bytes are never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec

from releve.domain.errors import Tampered
from releve.domain.events import Envelope, Event, Payload, as_map

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HeaderView(Protocol):
    """The clear fields of a sealed event that an :class:`Event` repeats."""

    @property
    def stream(self) -> UUID: ...  # noqa: D102 - as of the event
    @property
    def version(self) -> int: ...  # noqa: D102 - as of the event
    @property
    def event_id(self) -> UUID: ...  # noqa: D102 - as of the event
    @property
    def event_class(self) -> int: ...  # noqa: D102 - as of the event
    @property
    def recorded_at(self) -> int:
        """Microseconds since 1970 UTC."""

    @property
    def session(self) -> UUID: ...  # noqa: D102 - as of the event


def item_opened_1_to_2(payload: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 let a missing ``due`` mean "no deadline"; schema 2 has it said explicitly."""
    if payload.get("due") is None:
        return {**payload, "no_deadline": True}
    return payload


def item_opened_2_to_3(payload: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 says which order or result an item follows; before, none was told."""
    return payload


UPCASTERS: Mapping[tuple[str, int], Upcaster] = {
    ("patient.item-opened", 1): item_opened_1_to_2,
    ("patient.item-opened", 2): item_opened_2_to_3,
}
"""One step per (topic, schema it starts from)."""


class EventCodec:
    """Turns domain events into the content that is sealed, and back."""

    def __init__(
        self,
        registry: Mapping[str, type[Payload]],
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        """``registry`` maps every topic that exists to the class of its newest schema."""
        self._registry = dict(registry)
        self._upcasters = dict(upcasters)
        for topic, payload in self._registry.items():
            missing = [
                step for step in range(1, payload.schema) if (topic, step) not in self._upcasters
            ]
            if missing or payload.topic != topic:
                raise TypeError(f"{topic}: no upcaster from schema {missing}, or another topic")

    def encode(self, event: Event) -> tuple[str, int, dict[str, Any], dict[str, Any]]:
        """(topic, schema, envelope, payload) of ``event``; dates, ids and decimals as strings."""
        payload = event.payload
        if self._registry.get(payload.topic) is not type(payload):
            raise TypeError(f"{type(payload).__qualname__} is not in the registry")
        return payload.topic, payload.schema, as_map(event.envelope), as_map(payload)

    def decode(
        self,
        topic: str,
        schema: int,
        envelope: dict[str, Any],
        payload: dict[str, Any],
        *,
        header: HeaderView,
        position: int | None = None,
    ) -> Event:
        """The event that was stored, in today's shape.

        Raises:
            Tampered: the topic or schema is unknown here, or a map does not fit its structure
                (codes ``unknown-topic``, ``unknown-schema``, ``unreadable-event``).
        """
        return Event(
            originator_id=header.stream,
            originator_version=header.version,
            event_id=header.event_id,
            event_class=header.event_class,
            recorded_at=_EPOCH + timedelta(microseconds=header.recorded_at),
            session=header.session,
            position=position,
            envelope=self.envelope(envelope),
            payload=self.payload(topic, schema, payload),
        )

    def envelope(self, stored: dict[str, Any]) -> Envelope:
        """The envelope of a stored map; raises as :meth:`decode` does."""
        try:
            return msgspec.convert(stored, Envelope, strict=True)
        except msgspec.ValidationError:
            raise Tampered("unreadable-event") from None

    def payload(self, topic: str, schema: int, stored: dict[str, Any]) -> Payload:
        """The payload of a stored map in today's shape; raises as :meth:`decode` does."""
        known = self._registry.get(topic)
        if known is None:
            raise Tampered("unknown-topic", why="Ce type d'événement n'existe pas ici.")
        if not 1 <= schema <= known.schema:
            raise Tampered(
                "unknown-schema",
                why="Cet événement a été écrit par une version plus récente du produit.",
                do="Mettre le produit à jour.",
            )
        for step in range(schema, known.schema):
            stored = self._upcasters[topic, step](stored)
        try:
            return msgspec.convert(stored, known, strict=True)
        except msgspec.ValidationError:
            raise Tampered("unreadable-event") from None
