"""The port behind which key-encryption keys live: a file today, a token or a service later.

Data keys leave the database only wrapped. A wrapper seals and opens them in batches, because a
worklist needs hundreds at once and a service answers each call in a millisecond. Rotation will
wrap again what is below :meth:`KeyWrapper.current_version`; no event is touched by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from releve.security.errors import KeyRefused
from releve.security.keys.records import Purpose


@dataclass(frozen=True, slots=True)
class Scope:
    """Which key-encryption key wraps a data key: a centre's, the system's or the audit's."""

    purpose: Purpose
    kek: UUID

    @classmethod
    def of_centre(cls, centre: UUID) -> Scope:
        """Give the scope of one centre: its key has the centre's own id.

        Raises:
            KeyRefused: the id is one of those kept for the installation's own keys.
        """
        if centre.int < 256:
            raise KeyRefused("cet identifiant de centre est réservé")
        return cls(Purpose.CENTRE, centre)

    @classmethod
    def of_key(cls, kek: UUID) -> Scope:
        """Give the scope that a key-encryption key's id names."""
        return _FIXED.get(kek) or cls.of_centre(kek)


def fixed_key_id(purpose: Purpose) -> UUID:
    """Give the id of a key of which an installation has one: 15 zero bytes, then the purpose."""
    return UUID(int=purpose)


SYSTEM: Final = Scope(Purpose.SYSTEM, fixed_key_id(Purpose.SYSTEM))
AUDIT: Final = Scope(Purpose.AUDIT, fixed_key_id(Purpose.AUDIT))
_FIXED: Final = {SYSTEM.kek: SYSTEM, AUDIT.kek: AUDIT}

_OF_CENTRE = frozenset({1, 2, 4, 5})
_OF_SYSTEM = frozenset({3, 7, 8})
_OF_AUDIT = 6


def scope_of(event_class: int, centre: UUID | None) -> Scope:
    """Give the scope that wraps the data keys of an event class (``docs/formats.md`` §2).

    Raises:
        KeyRefused: the class has no data key, or needs a centre and none was given.
    """
    if event_class in _OF_CENTRE:
        if centre is None:
            raise KeyRefused("cette clé doit être celle d’un centre, et aucun n’est nommé")
        return Scope.of_centre(centre)
    if event_class in _OF_SYSTEM:
        return SYSTEM
    if event_class == _OF_AUDIT:
        return AUDIT
    raise KeyRefused("cette classe d’événements n’a pas de clé")


@dataclass(frozen=True, slots=True)
class DataKeyContext:
    """What a data key is for; the wrapped record is bound to it."""

    stream: UUID
    generation: int
    scope: Scope


class KeyWrapper(Protocol):
    """Wraps and unwraps data keys; safe to call from several threads.

    Every method may raise ``KeyServiceDown``: try again, it says nothing about a record.
    """

    def wrap_many(self, items: Sequence[tuple[DataKeyContext, bytes]]) -> list[bytes]:
        """Give one ``RLD1`` record for each 32-byte data key, in order, under current versions.

        A scope's key is made when it is first asked for.

        Raises:
            KeyRefused: a data key of another length, or the key-encryption key was refused.
        """
        ...

    def unwrap_many(self, records: Sequence[bytes]) -> list[bytes]:
        """Give the data key inside each ``RLD1`` record, in order; all or none.

        Raises:
            Malformed: bytes that are not such a record.
            KeyRefused: a record was changed, or was wrapped by another key.
        """
        ...

    def current_version(self, kek: UUID) -> int:
        """Give the version that :meth:`wrap_many` uses for this key; 0 while there is none."""
        ...

    def health(self) -> str:
        """Say in one French sentence what protects the keys; raises where they cannot be used."""
        ...
