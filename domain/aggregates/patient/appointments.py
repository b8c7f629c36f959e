"""Appointments: references to the centre's agenda, never their reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Literal

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import optional_text
from releve.domain.aggregates.patient.record import Fold, Patient, file_version
from releve.domain.commands import NoticeAppointment
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import Mode, instant

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
    AppointmentNoticed: file_version,
}


def booked(patient: Patient) -> Iterator[tuple[datetime, Event, AppointmentNoticed]]:
    """Appointments that the agenda holds, past ones included, with their start."""
    for event in patient.standing(patient.told(AppointmentNoticed)):
        noticed = event.payload
        if isinstance(noticed, AppointmentNoticed) and noticed.status == "booked":
            yield instant(noticed.starts_at, field="starts_at"), event, noticed


# Decisions

LONGEST = 480
"""Minutes of the longest appointment: a day's session."""


def notice_appointment(
    patient: Patient, command: NoticeAppointment, ctx: Context
) -> tuple[Fact, ...]:
    """The same reference moves or cancels; without one, the same start is the same appointment.

    What the record says already makes no event, so that a day list may come twice. Only a booked
    appointment is cancelled.
    """
    starts = instant(command.starts_at, field="starts_at")
    if not 1 <= command.minutes <= LONGEST:
        raise Invalid("invalid-field", field="minutes", why=f"De 1 à {LONGEST} minutes.")
    reference = optional_text(command.reference, field="reference", limit=100)
    noticed = AppointmentNoticed(
        starts_at=command.starts_at,
        minutes=command.minutes,
        status=command.status,
        mode=command.mode,
        site=optional_text(command.site, field="site", limit=160),
        reference=reference,
    )
    older = next(
        (
            event
            for begins, event, known in booked(patient)
            if (known.reference == reference if reference is not None else begins == starts)
            and event.envelope.source.system == ctx.source.system
        ),
        None,
    )
    if older is None and command.status == "cancelled":
        raise refuse(
            "unknown-appointment",
            "Le rendez-vous n'est pas annulé.",
            "Ce dossier n'a pas ce rendez-vous.",
            "Vérifier la référence, ou l'heure, dans l'agenda.",
            field="reference" if reference is not None else "starts_at",
        )
    if older is not None and older.payload == noticed:
        return ()
    return (Fact(noticed, target=None if older is None else older.event_id),)
