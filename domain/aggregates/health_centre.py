"""Health centre (FINESS): it does not open without a référent and a chain of two named people."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload
from releve.domain.values import NamedPerson


class CentreOpened(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A centre opened: FINESS, time zone, référent médical and on-call chain."""

    topic: ClassVar[str] = "centre.opened"

    name: str
    finess: str
    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    zone: str = "Europe/Paris"
    address: str = ""
    phones: tuple[tuple[str, str], ...] = ()
    """Local numbers as (label, number): SAMU, laboratory, pharmacy."""
