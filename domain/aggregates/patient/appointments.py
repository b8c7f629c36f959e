"""Appointments: references to the centre's agenda, never their reason."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload
from releve.domain.values import (
    Mode,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class AppointmentNoticed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The agenda holds an appointment, or cancels it; the same ``reference`` replaces."""

    topic: ClassVar[str] = "patient.appointment-noticed"

    starts_at: str
    minutes: int = 15
    status: Literal["booked", "cancelled"] = "booked"
    mode: Mode = "cabinet"
    site: str | None = None
    reference: str | None = None


# State

FOLDS: dict[type[Payload], Fold] = {
    AppointmentNoticed: file,
}
