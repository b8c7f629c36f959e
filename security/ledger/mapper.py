"""One event as the domain knows it, and as the ledger keeps it: sealing, opening, nothing between.

The ledger knows domain events through protocols only: a :class:`Codec` turns them into what is
sealed and back, from a closed registry; no class is ever imported because a row names it.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, NoReturn, Protocol
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, NotSupportedError, StoredEvent

from releve.security.errors import Tampered
from releve.security.keys.data_keys import DataKeys, KeyId, key_of
from releve.security.ledger.envelope import (
    CLASS_NAMES,
    CLEAR_BODY_LENGTHS,
    HEADER_LENGTH,
    Content,
    Header,
    open_sealed,
    seal,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ZEROS: Final = bytes(16)
_NO_SESSION: Final = UUID(bytes=_ZEROS)
_SEEN: Final = struct.Struct(">6xH16s16xQQ16sI96x").unpack


class LedgerEvent(DomainEventProtocol[UUID], Protocol):
    """What the store needs to know of a domain event: the clear fields of its header."""

    @property
    def event_id(self) -> UUID:
        """Unique in the whole log; the same when the same request comes again."""

    @property
    def event_class(self) -> int:
        """One of ``envelope.CLASS_NAMES``."""

    @property
    def recorded_at(self) -> datetime:
        """A server's clock, with its zone."""

    @property
    def session(self) -> UUID:
        """The SESSION-OPENED event of whoever is signed in, or zero."""

    @property
    def key_scope(self) -> UUID | None:
        """The centre whose key wraps a new stream's data key, where one does."""


class HeaderView(Protocol):
    """The clear fields that a domain event repeats."""

    @property
    def stream(self) -> UUID:
        """The pseudonym of the record."""

    @property
    def version(self) -> int:
        """Its place in the stream, from 1."""

    @property
    def event_id(self) -> UUID:
        """Unique in the whole log."""

    @property
    def event_class(self) -> int:
        """One of ``envelope.CLASS_NAMES``."""

    @property
    def recorded_at(self) -> int:
        """Microseconds since 1970 UTC."""

    @property
    def session(self) -> UUID:
        """The SESSION-OPENED event of whoever was signed in, or zero."""


class Seen(NamedTuple):
    """What reading a stream needs of a header: a third of the cost of unpacking it whole."""

    stream: UUID
    version: int
    event_id: UUID
    event_class: int
    recorded_at: int
    session: UUID
    key_generation: int

    @classmethod
    def of(cls, raw: bytes, stream: UUID) -> Seen:
        """Read the fields of a header of ``stream``.

        The envelope checks the header's shape when it opens the body.
        """
        event_class, event_id, version, recorded_at, session, generation = _SEEN(raw)
        return cls(
            stream,
            version,
            UUID(bytes=event_id),
            event_class,
            recorded_at,
            _NO_SESSION if session == _ZEROS else UUID(bytes=session),
            generation,
        )

    @property
    def clear(self) -> bool:
        """True for the ledger's own events."""
        return self.event_class in CLEAR_BODY_LENGTHS

    @property
    def key_name(self) -> KeyId:
        """The data key that opens this event."""
        return key_of(self.event_class, self.stream, self.key_generation)


class Codec(Protocol):
    """Turns domain events into the content that is sealed, and back, from a closed registry."""

    def encode(self, event: Any) -> Content:
        """(topic, schema, envelope map, payload map) of an event."""

    def decode(
        self,
        topic: str,
        schema: int,
        envelope: dict[str, Any],
        payload: dict[str, Any],
        *,
        header: HeaderView,
        position: int | None = None,
    ) -> Any:
        """The event that was stored, in today's shape; unknown topics are refused."""


def microseconds(when: datetime) -> int:
    """Whole microseconds since 1970 UTC of a time that knows its zone."""
    return (when - _EPOCH) // _MICROSECOND


class LedgerMapper(Mapper[UUID]):
    """Seals and opens single events; replaces the library's mapper whole.

    Nothing of the library's transcoder, compressor, cipher or topic resolution is used.
    """

    def __init__(self, data_keys: DataKeys, codec: Codec) -> None:
        """Everything that the base class would construct is left out on purpose."""
        self._data_keys = data_keys
        self._codec = codec

    def seal(self, event: LedgerEvent, *, data_key: bytes, generation: int, prev: bytes) -> bytes:
        """Header and body of ``event``, chained to the leaf ``prev``."""
        header, body = seal(
            data_key,
            event_class=event.event_class,
            event_id=event.event_id,
            stream=event.originator_id,
            version=event.originator_version,
            recorded_at_us=microseconds(event.recorded_at),
            session=event.session,
            key_generation=generation,
            prev=prev,
            content=self._codec.encode(event),
        )
        return header + body

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> NoReturn:
        """Not offered: an event is sealed to its predecessor, which the event store knows."""
        raise NotSupportedError("events are sealed by LedgerEventStore.put")

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """Open one event.

        Raises:
            Tampered: a byte was changed, or a column says something else than the header.
            KeyDestroyed, KeyServiceDown, KeyMissing: its data key is not available.
        """
        raw, body = stored_event.state[:HEADER_LENGTH], stored_event.state[HEADER_LENGTH:]
        header = Header.unpack(raw)
        if (
            header.stream != stored_event.originator_id
            or header.version != stored_event.originator_version
            or CLASS_NAMES[header.event_class] != stored_event.topic
        ):
            raise Tampered("a row stands in another one's place")
        name = key_of(header.event_class, header.stream, header.key_generation)
        return self.open(header, raw, body, self._data_keys.get(*name))

    def open(
        self, header: HeaderView, raw: bytes, body: bytes, key: bytes, position: int | None = None
    ) -> Any:
        """Open one event with a data key that was looked up before."""
        content = open_sealed(key, raw, body)
        return self._codec.decode(*content, header=header, position=position)
