"""ALD: long-term conditions that the insurer covers in full, with their dates."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import in_order
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.commands import ChangeAldStatus
from releve.domain.errors import Invalid
from releve.domain.events import Payload
from releve.domain.values import PartialDate

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class AldStatusChanged(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An ALD was granted, renewed or ended; the number names the disease."""

    topic: ClassVar[str] = "patient.ald-status-changed"

    status: Literal["granted", "renewed", "ended"]
    code: str | None = None
    starts: str | None = None
    ends: str | None = None


# State

FOLDS: dict[type[Payload], Fold] = {
    AldStatusChanged: file,
}


class Ald(msgspec.Struct, frozen=True, kw_only=True):
    """One long-term condition as its events leave it."""

    entry: UUID
    """The last event about it, which a renewal or an end then names as its target."""
    code: str | None
    """1 to 32; None while only a coordinator wrote about it."""
    starts: str | None
    ends: str | None
    ended: bool


def alds(patient: Patient) -> list[Ald]:
    """Every ALD the record knows, those that are over included, the first granted first."""
    first: dict[UUID, UUID] = {}
    known: dict[UUID, Ald] = {}
    for event in patient.told(AldStatusChanged):
        said, target = event.payload, event.envelope.target
        if not isinstance(said, AldStatusChanged):
            continue
        root = None if target is None else first.get(target)
        if root is None and said.status != "granted":
            # A source that names no entry continues the one of its number.
            root = next((each for each, ald in known.items() if ald.code == said.code), None)
        root = first[event.event_id] = root or event.event_id
        if not patient.stands(event):
            continue
        before = known.get(root)
        known[root] = Ald(
            entry=event.event_id,
            code=said.code or (before.code if before else None),
            starts=(before.starts if before else None) or said.starts,
            ends=said.ends or (before.ends if before else None),
            ended=said.status == "ended",
        )
    return list(known.values())


# Decisions

CODES = frozenset(str(number) for number in range(1, 33))
"""1 to 30 of the list (annex to article D160-4 CSS), 31 off the list, 32 several conditions."""


def change_ald_status(patient: Patient, command: ChangeAldStatus, ctx: Context) -> tuple[Fact, ...]:
    """Granted once, renewed or ended where one is known; the coordinator gives dates only.

    A doctor's grant with the number completes the one a coordinator wrote with the same start, and
    a coordinator's other end the one a doctor wrote.
    """
    for name, value in (("starts", command.starts), ("ends", command.ends)):
        if value is not None:
            PartialDate(value, field=name)
    in_order(command.starts, command.ends, field="ends")
    by_desk = ctx.author.role == "coordinator"
    if by_desk and command.code is not None:
        raise refuse(
            "ald-code-is-clinical",
            "Le numéro d'ALD n'est pas enregistré.",
            "Il nomme la maladie ; la coordination enregistre les dates seules.",
            "Renvoyer sans numéro ; le médecin le complète.",
            field="code",
        )
    if command.code is not None and command.code not in CODES:
        raise Invalid("invalid-field", field="code", why="Un numéro d'ALD va de 1 à 32.")
    target = _granted(patient, command, ctx) if command.status == "granted" else None
    if command.status != "granted":
        target = _continued(patient, command, ctx)
    ends = command.ends
    if command.status == "ended" and ends is None:
        ends = ctx.today.isoformat()
    return (
        Fact(
            AldStatusChanged(
                status=command.status, code=command.code, starts=command.starts, ends=ends
            ),
            target=target,
        ),
    )


def _granted(patient: Patient, command: ChangeAldStatus, ctx: Context) -> UUID | None:
    if command.starts is None:
        raise Invalid("missing-field", field="starts", why="Une ALD a un premier jour.")
    if command.code is None and ctx.author.role != "coordinator":
        raise Invalid("missing-field", field="code", why="Une ALD a un numéro, de 1 à 32.")
    running = [ald for ald in alds(patient) if not ald.ended]
    for ald in running:
        if ald.code is None and ald.starts == command.starts and command.code is not None:
            return ald.entry
    if command.code is not None:
        same = [ald for ald in running if ald.code == command.code]
    else:
        same = [ald for ald in running if ald.starts == command.starts]
        if len(same) == 1 and same[0].code and command.ends not in (None, same[0].ends):
            return same[0].entry
    if same:
        raise refuse(
            "ald-already-granted",
            "Cette ALD est déjà enregistrée.",
            "Le dossier porte la même, qui n'est pas terminée.",
            "La renouveler, ou la terminer.",
            field="code" if command.code is not None else "starts",
        )
    return None


def _continued(patient: Patient, command: ChangeAldStatus, ctx: Context) -> UUID:
    """The ALD that is renewed or ended: the one of that number, or the only one there is."""
    if command.status == "renewed" and command.ends is None:
        raise Invalid("missing-field", field="ends", why="Un renouvellement a une fin.")
    running = [ald for ald in alds(patient) if not ald.ended]
    if command.code is not None:
        named = [ald for ald in running if ald.code == command.code]
        running = named or [ald for ald in running if ald.code is None]
    if not running:
        raise refuse(
            "no-ald",
            "Aucune ALD n'est en cours.",
            "Le dossier ne porte pas celle-ci, ou elle est terminée.",
            "L'enregistrer comme accordée.",
            field="status",
        )
    if len(running) > 1:
        raise refuse(
            "ald-ambiguous",
            "L'ALD n'est pas changée.",
            "Ce patient en a plusieurs ; les dates seules ne disent pas laquelle.",
            "Demander au médecin en poste de l'enregistrer avec son numéro.",
            field="status",
        )
    in_order(running[0].starts, command.ends, field="ends")
    return running[0].entry
