"""What an event is, whatever it tells: identity, envelope, payload.

An :class:`Event` is one fact on one stream. Its payload says what happened (one class per topic,
declared beside the state it changes, in ``aggregates/``); its envelope says who, when, from where
and on what screen. Both are sealed; only the fields above them stand in the clear header
(``docs/formats.md`` §1).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from releve.domain.clinical_time import Recency, recency

SYSTEM_SESSION = UUID(int=0)
"""The header's session when nobody is signed in (and, until sign-in exists, always)."""

PATIENT, CENTRE, PRACTITIONER, STINT, INTAKE, ACCESS, ADMINISTRATION, ERASURE = range(1, 9)
"""Event classes that stand in the clear (``docs/formats.md`` §1)."""

Channel = Literal[
    "ui", "fhir", "cda", "hprim", "pdf", "paste", "phone", "offline", "system", "demo"
]
Role = Literal[
    "doctor",
    "referent",
    "intern",
    "nurse",
    "coordinator",
    "secretary",
    "auditor",
    "dpo",
    "administrator",
    "ehr",
    "system",
]


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one topic tells. Fields are the storage format: never rename, retype or reuse one.

    ``topic`` and ``schema`` are class attributes; a changed shape is a new schema and an upcaster
    (``domain/upcasting.py``). Dates, decimals and codes are strings exactly as received.
    """

    topic: ClassVar[str]
    schema: ClassVar[int] = 1


class Author(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is answerable for the event: the person, in which role, during which stint."""

    role: Role
    name: str
    person: UUID | None = None
    stint: UUID | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Through which door the fact came in, and what it is called there."""

    channel: Channel = "ui"
    system: str | None = None
    source_id: str | None = None
    original_sha256: str | None = None
    author: str | None = None
    """Who asserts it in the source, as the source writes it."""


class Confidentiality(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """N, R or V (HL7), masks of the DMP and the audience they leave.

    Kept with every event from the first on; no command of this version sets another than normal.
    """

    level: Literal["N", "R", "V"] = "N"
    masks: tuple[str, ...] = ()
    audience: tuple[UUID, ...] = ()


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything about an event but the fact itself, sealed with it.

    ``occurred_at`` is clinical time as known: RFC 3339 with offset, or a partial date
    (``2021``, ``2021-04``, ``2021-04-02``). ``seen_position`` is the ledger position that the
    author's screen showed.
    """

    occurred_at: str
    author: Author
    zone: str = "Europe/Paris"
    centre: UUID | None = None
    entered_by: UUID | None = None
    on_behalf_of: UUID | None = None
    encounter_id: UUID | None = None
    target: UUID | None = None
    reason: str | None = None
    confidentiality: Confidentiality = Confidentiality()
    source: Source = Source()
    device_time: str | None = None
    command_id: UUID | None = None
    command_digest: str | None = None
    """Hex SHA-256 of the RFC 8785 form of (command, target, data); on a command's first event."""
    causation_id: UUID | None = None
    correlation_id: UUID | None = None
    seen_position: int | None = None
    validated_by: UUID | None = None
    rule_release: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable fact on one stream; satisfies the library's ``DomainEventProtocol``.

    ``event_id`` is also the id of the entry it creates: a problem, an item, a note are named by
    the event that opened them. ``position`` is known once the sequencer has numbered the event,
    and only on events that were read by position.
    """

    originator_id: UUID
    originator_version: int
    event_id: UUID
    event_class: int
    recorded_at: datetime
    envelope: Envelope
    payload: Payload
    session: UUID = SYSTEM_SESSION
    position: int | None = None

    @property
    def topic(self) -> str:
        """The stable name of what happened, such as ``patient.note-signed``."""
        return self.payload.topic

    @property
    def recency(self) -> Recency:
        """The event's place in the order of what is in force: clinical time, then version."""
        told = self.envelope
        return recency(told.occurred_at, told.zone, self.recorded_at, self.originator_version)

    @property
    def key_scope(self) -> UUID | None:
        """The centre whose key wraps this stream's data key, where one does (``formats.md`` §2)."""
        return (
            self.envelope.centre if self.event_class in (PATIENT, CENTRE, STINT, INTAKE) else None
        )


def as_map(struct: msgspec.Struct) -> dict[str, Any]:
    """The string-keyed map that is sealed: dates and ids as strings, defaults left out."""
    built: dict[str, Any] = msgspec.to_builtins(struct, str_keys=True, builtin_types=(bytes,))
    return built
