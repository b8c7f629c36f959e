"""Death: what still enters a record afterwards, and what no longer does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.identity import lived_date
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.aggregates.patient.severity import current_severity
from releve.domain.clinical_time import moment
from releve.domain.commands import (
    ChangeMedication,
    Command,
    NoticeAppointment,
    OrderInvestigation,
    ReconcileMedications,
    RecordConsultation,
    RecordDeath,
    RecordImmunization,
    RecordObservation,
    RecordProcedure,
    SetContingency,
    SetIllnessSeverity,
    StartMedication,
    WriteHandover,
)
from releve.domain.events import Event, Payload
from releve.domain.values import instant, span, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class DeathRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The patient died on ``date`` (a partial date), as ``source`` says."""

    topic: ClassVar[str] = "patient.death-recorded"

    date: str
    source: str


# State

FOLDS: dict[type[Payload], Fold] = {
    DeathRecorded: file,
}


def death_of(patient: Patient) -> Event | None:
    """The death, where one stands."""
    return next(patient.standing(patient.told(DeathRecorded)), None)


def last_instant(death: Event) -> datetime:
    """The latest moment (UTC) at which the patient may have been alive.

    A day, month or year counts to its end, but never beyond the moment the death was written down.
    """
    told = death.payload
    if not isinstance(told, DeathRecorded):
        raise TypeError(death.topic)
    return moment(told.date, death.envelope.zone, death.recorded_at).latest


CARE_ACTS: dict[type[Command], str | None] = {
    RecordConsultation: None,
    RecordObservation: None,
    StartMedication: None,
    ChangeMedication: None,
    ReconcileMedications: None,
    OrderInvestigation: None,
    SetIllnessSeverity: None,
    SetContingency: None,
    RecordImmunization: "given_on",
    RecordProcedure: "performed",
    NoticeAppointment: "starts_at",
}
"""What is done to a living patient, and the field that dates it where one does.

Whatever of this happened after the death is refused; what happened before it may still be written.
Everything that is not here still enters: late results and their review, letters, notes by phone,
imports, corrections, closing and handing over what is open, telling the family.
"""


# Decisions


def record_death(patient: Patient, command: RecordDeath, ctx: Context) -> tuple[Fact, ...]:
    """Once, on a day that has come and is not before the birth, with who said so."""
    if death_of(patient) is not None:
        raise refuse(
            "death-already-recorded",
            "Le décès est déjà enregistré.",
            "Une personne meurt une fois.",
            "Si la date est fausse, marquer l'entrée erronée, puis enregistrer la bonne.",
        )
    lived_date(patient, command.date, ctx, field="date")
    source = words(command.source, field="source", limit=160)
    return (Fact(DeathRecorded(date=command.date, source=source)),)


def refuse_care_after(patient: Patient, command: Command, ctx: Context) -> None:
    """Refuse a care act that happened after the patient's death, as ``CARE_ACTS`` says."""
    death = death_of(patient)
    if death is None:
        return
    alive = last_instant(death)
    for act in _acts(patient, command):
        if _begins(act, ctx.happened(act) or ctx.happened(command), ctx) > alive:
            raise refuse(
                "after-death",
                "Cet acte n'est pas enregistré.",
                "Le décès de ce patient est enregistré ; aucun soin ne le suit.",
                "Signer une note, ou vérifier la date du décès avec le médecin en poste.",
            )


def _acts(patient: Patient, command: Command) -> Iterator[Command]:
    """The care acts in a command: itself, or the parts of a consultation or handover too.

    A handover repeats the severity that is known; another one, or a new reason, sets it.
    """
    if isinstance(command, NoticeAppointment) and command.status == "cancelled":
        return
    if type(command) in CARE_ACTS:
        yield command
    if isinstance(command, RecordConsultation):
        parts = (*command.observations, *command.medications, *command.contingencies)
        for part in (*parts, command.severity):
            if part is not None and part.occurred_at is not None:
                yield part
    elif isinstance(command, WriteHandover):
        yield from command.new_contingencies
        if command.severity_reason or command.severity != current_severity(patient):
            yield SetIllnessSeverity(severity=command.severity, reason=command.severity_reason)


def _begins(act: Command, happened: str | None, ctx: Context) -> datetime:
    """The earliest moment at which the act may have taken place."""
    dated = CARE_ACTS[type(act)]
    written = None if dated is None else getattr(act, dated)
    if isinstance(act, NoticeAppointment):
        return instant(act.starts_at, field="starts_at")
    told = written or happened
    return ctx.now if told is None else span(told, ctx.zone, field=dated or "occurred_at")[0]
