"""Practitioner (RPPS): who the people are that write on records."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload


class PractitionerOnboarded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A practitioner or another member of a centre's team was made known."""

    topic: ClassVar[str] = "practitioner.onboarded"

    name: str
    given: str
    rpps: str | None = None
    title: str = "Dr"
    qualification: str = ""
    role: str = "doctor"
