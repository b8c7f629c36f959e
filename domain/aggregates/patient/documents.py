"""Originals: the exact bytes something came in, kept sealed beside the record."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload
from releve.domain.values import Unmapped


class DocumentAttached(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An original was attached; its bytes are sealed apart under the same patient key."""

    topic: ClassVar[str] = "patient.document-attached"

    sha256: str
    size: int
    media_type: str
    title: str = ""
    kind: str | None = None
    """LOINC code of the kind of document."""
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()
