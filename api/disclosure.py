"""The one way out for clinical content: trace first, then hand over (design promise 3).

:func:`read_clinical` and :func:`show_clinical` alone make :class:`Disclosed`; JSON, FHIR and page
responders take clinical content in no other form. The access entry is durable before the content
leaves; when it cannot be, nothing leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

from releve.api.gate import Granted, accessor
from releve.security.access import RECORD_READ, AccessEntry

if TYPE_CHECKING:
    from releve.api.services import Services

T = TypeVar("T")
U = TypeVar("U")
_MADE_HERE = object()


@dataclass(frozen=True, slots=True)
class Disclosed(Generic[T]):
    """Clinical content whose access entry is durable, and the position it shows."""

    content: T
    position: int
    proof: object

    def __post_init__(self) -> None:
        """Refuse any maker but this module."""
        if self.proof is not _MADE_HERE:
            raise TypeError("clinical content is disclosed by read_clinical or show_clinical only")

    def mapped(self, change: Callable[[T], U]) -> Disclosed[U]:
        """The same disclosure of a part of its content."""
        return Disclosed(change(self.content), self.position, self.proof)


def read_clinical(
    services: Services,
    granted: Granted,
    produce: Callable[[], tuple[T, int]],
    *,
    what: str,
    patients: Callable[[T], Sequence[UUID]],
    purpose: str | None = None,
    topic: str = RECORD_READ,
) -> Disclosed[T]:
    """Read what was granted, write down who read what, then hand it over.

    ``produce`` gives the content and the ledger position that it shows; ``patients`` names every
    patient in it, so that one request for a list leaves one entry that names them all.

    Raises:
        LogUnavailable: the entry is not known to be durable; nothing may be shown.
    """
    return show_clinical(
        services, granted, produce, lambda content: content,
        what=what, patients=patients, purpose=purpose, topic=topic,
    )  # fmt: skip


def show_clinical(
    services: Services,
    granted: Granted,
    produce: Callable[[], tuple[T, int]],
    show: Callable[[T], U],
    *,
    what: str,
    patients: Callable[[T], Sequence[UUID]],
    purpose: str | None = None,
    topic: str = RECORD_READ,
) -> Disclosed[U]:
    """As :func:`read_clinical`, of what ``show`` makes of the content read.

    ``show`` works while the access entry becomes durable; where it fails, the entry stands for a
    reading that was shown to nobody.

    Raises:
        LogUnavailable: as :func:`read_clinical`.
    """
    content, position = produce()
    named = tuple(patients(content))
    durable = services.access.begin(
        AccessEntry(
            accessor(granted.principal, granted.decision.stint),
            granted.action.value,
            what,
            named,
            count=len(named),
            purpose=purpose,
            topic=topic,
            position=position,
        )
    )
    shown = show(content)
    durable()
    return Disclosed(shown, position, _MADE_HERE)
