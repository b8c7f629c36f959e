"""Consultations and notes: what was done, what was written, how it was amended."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.events import Payload
from releve.domain.values import Mode


class EncounterRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A consultation took place."""

    topic: ClassVar[str] = "patient.encounter-recorded"

    mode: Mode
    reason: str = ""
    site: str | None = None


class NoteSigned(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A note was signed: S/O/A/P in plain text, and one line of at most 160 characters."""

    topic: ClassVar[str] = "patient.note-signed"

    one_liner: str = ""
    subjective: str = ""
    objective: str = ""
    assessment: str = ""
    plan: str = ""


class NoteAmended(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A signed note (the envelope's target) got an addendum, or is replaced, for a reason."""

    topic: ClassVar[str] = "patient.note-amended"

    kind: Literal["addendum", "replacement"]
    text: str = ""
    one_liner: str = ""
    subjective: str = ""
    objective: str = ""
    assessment: str = ""
    plan: str = ""
