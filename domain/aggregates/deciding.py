"""What every decision gets and gives: a context without a clock, facts without ids.

A decision is a pure function ``(state, command, context) -> tuple[Fact, ...]`` that raises
:class:`~releve.domain.errors.Refused` or :class:`~releve.domain.errors.Invalid` instead. It reads
no clock, database or log: ``now``, the author and the author's stint stand in :class:`Context`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, ParamSpec
from uuid import UUID

from releve.domain.commands import COMMANDS, Command
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Author, Payload, Source
from releve.domain.values import StintPeriod, plain, span, time_zone

if TYPE_CHECKING:
    from releve.domain.aggregates.patient.record import Patient
    from releve.domain.aggregates.stint import Stint

LATE_ENTRY_WINDOW = timedelta(hours=72)
"""How long after the end of a stint its doctor may still write what happened in it."""

ANSWER_WINDOW = timedelta(days=14)
"""How long after the end of a stint its doctor may still answer what a colleague asks."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far ahead of the record's clock a device may say that something happened."""

NEEDS_STINT = frozenset({"doctor", "intern"})
"""Roles whose every entry belongs to a stint; the référent médical and the team are permanent."""

RELEVE = Author(role="system", name="Relève")
"""Answerable for what follows from a fact by rule alone."""


_TITLES = frozenset({"dr", "docteur", "pr", "professeur", "m", "mme", "madame", "monsieur"})


@dataclass(frozen=True, slots=True)
class Colleague:
    """Whom something is put to, as the centre knows them; no names where it does not."""

    names: tuple[str, ...] = ()
    """The names that they are known by there."""
    standing: bool = False
    """Whether they answer at the centre whatever the stints, as the référent médical does."""
    stays_until: datetime | None = None
    """When their last stint there is over, planned ones included."""

    @property
    def known(self) -> bool:
        """Whether they have, or had, a place there from which to answer."""
        return bool(self.names) and (self.standing or self.stays_until is not None)

    def is_called(self, written: str) -> bool:
        """Whether a written name is one of theirs, or a part of it; titles say nothing."""
        here = set(plain(written).split()) - _TITLES
        every = (set(plain(name).split()) - _TITLES for name in self.names)
        return bool(here) and any(there and (here <= there or there <= here) for there in every)


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a decision may know besides the state and the command."""

    author: Author
    now: datetime
    event_id: Callable[[int], UUID]
    """Id that the command's n-th event will have."""
    stint: Stint | None = None
    """The author's stint, folded."""
    candidate: Patient | None = None
    """The record that a document is to be matched with, folded."""
    former: Patient | None = None
    """The record that the document was matched with before, folded."""
    rivals: int = 0
    """Other records of the centre that the document fits."""
    document_with: UUID | None = None
    """The record with which the document of an entry that would come back is matched now."""
    own_stints: tuple[StintPeriod, ...] = ()
    """The doctor's other stints at the centre, of a stint that is planned or moved."""
    colleague: Colleague | None = None
    """Whom a question or an offer is put to; None where the door does not know who works there."""
    stream: UUID | None = None
    centre: UUID | None = None
    zone: str = "Europe/Paris"
    source: Source = field(default_factory=Source)
    occurred_at: str | None = None
    late_reason: str | None = None
    read_backs_requested: int = 0
    """Patients for whom the author's stint has asked for a read-back already."""
    originals: frozenset[str] = frozenset()
    """SHA-256 of the originals that came with the command."""

    @property
    def today(self) -> date:
        """The civil day at the centre."""
        return self.now.astimezone(time_zone(self.zone)).date()

    def happened(self, command: Command) -> str | None:
        """Clinical time as the command, or the door, gives it; None when it is now."""
        return command.occurred_at or self.occurred_at


@dataclass(frozen=True, slots=True)
class Fact:
    """One event to be: its payload, and what its envelope says that the command's does not."""

    payload: Payload
    occurred_at: str | None = None
    encounter_id: UUID | None = None
    target: UUID | None = None
    reason: str | None = None
    source: Source | None = None
    author: Author | None = None
    """Who is answerable, where it is not whoever gave the command: a rule that fired by itself."""


def require_stint(
    command: Command,
    ctx: Context,
    *,
    before: bool = False,
    afterwards: bool = False,
    answering: bool = False,
) -> None:
    """Refuse a doctor's entry that no stint of theirs covers.

    The entry is written during the stint, or in the 72 hours after it with a reason; what it tells
    happened in the stint. ``before`` is for measures, which may have been taken before it;
    ``afterwards`` for addenda and handovers, which may themselves happen in those 72 hours;
    ``answering`` for the answer to a colleague, which is no late entry and may come until 14 days
    after the stint.
    """
    happened = ctx.happened(command)
    begins, ends = (ctx.now, ctx.now)
    if happened is not None:
        begins, ends = span(happened, ctx.zone)
        if begins > ctx.now + CLOCK_TOLERANCE:
            raise Invalid(
                "in-the-future", field="occurred_at", why="Cette date n'est pas encore passée."
            )
    if ctx.author.role not in NEEDS_STINT:
        return
    stint = ctx.stint
    if stint is None or stint.practitioner != ctx.author.person:
        raise _outside("Un médecin écrit pendant un séjour qui est le sien.")
    if stint.cancelled:
        raise _outside("Ce séjour a été annulé.")
    if ctx.centre is not None and stint.centre != ctx.centre:
        raise _outside("Ce séjour se passe dans un autre centre.")
    start, end = stint.window
    if ctx.now < start:
        raise _outside("Ce séjour n'a pas commencé.")
    if answering:
        if ctx.now > end + ANSWER_WINDOW:
            raise _outside("Ce séjour est fini depuis plus de 14 jours.")
        if ends < start:
            raise _outside("Une réponse ne précède pas le séjour.")
        return
    if ctx.now > end:
        if ctx.now > end + LATE_ENTRY_WINDOW:
            raise _outside("Ce séjour est fini depuis plus de 72 heures.")
        if not (command.late_reason or ctx.late_reason):
            raise Refused(
                "late-reason-missing",
                what="Cette saisie est tardive.",
                why="Après la fin du séjour, une saisie dit pourquoi elle vient après.",
                do="Indiquer la raison de la saisie tardive.",
                field="late_reason",
            )
        if happened is None and afterwards:
            return
    if begins > end or (ends < start and not before):
        raise _outside("Ce qui est rapporté ne s'est pas passé pendant ce séjour.")


def _outside(why: str) -> Refused:
    return Refused(
        "outside-stint",
        what="Aucun séjour ne couvre cette saisie.",
        why=why,
        do="Vérifier la date, ou demander au référent du centre.",
    )


def refuse(code: str, what: str, why: str, do: str, *, field: str | None = None) -> Refused:
    """A refusal with its four texts, for the reader."""
    return Refused(code, what=what, why=why, do=do, field=field)


def require_role(command: Command, ctx: Context) -> None:
    """Refuse a command that the author's role does not speak (``COMMANDS``)."""
    if ctx.author.role not in COMMANDS[command.name].roles:
        raise refuse(
            "role-not-allowed",
            "Cette action n'est pas ouverte à ce rôle.",
            "Elle revient à un autre membre de l'équipe.",
            "La demander au médecin en poste.",
        )


_Rest = ParamSpec("_Rest")


def under(
    path: str, decide: Callable[_Rest, tuple[Fact, ...]], *args: _Rest.args, **kwargs: _Rest.kwargs
) -> tuple[Fact, ...]:
    """What ``decide`` gives for a part of a command; a refusal names the part's path."""
    try:
        return decide(*args, **kwargs)
    except (Invalid, Refused) as refused:
        refused.field = path if refused.field is None else f"{path}.{refused.field}"
        raise
