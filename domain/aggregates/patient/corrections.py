"""Corrections that touch any entry: it leaves every current view and stays in the timeline."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload


class EntryMarkedInError(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The entry named by the envelope's target was an error, for the envelope's reason."""

    topic: ClassVar[str] = "patient.entry-marked-in-error"

    harm: bool = False
