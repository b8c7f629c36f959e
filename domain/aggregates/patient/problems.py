"""Problems: what the patient has, had, or was thought to have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import (
    about,
    amended,
    from_source,
    in_order,
    optional_text,
    past_date,
    something,
    standing_entry,
)
from releve.domain.aggregates.patient.record import Fold, Patient, file, supersede
from releve.domain.codes import written_codings
from releve.domain.commands import RecordProblem, ReviseProblem
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import (
    Concept,
    words,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ProblemRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A problem entered the record with the status its source gives it.

    Statuses are FHIR codes (condition-clinical, condition-ver-status); resolved, inactive and
    remission are never shown as active.
    """

    topic: ClassVar[str] = "patient.problem-recorded"

    concept: Concept
    clinical_status: str | None = None
    verification: str | None = None
    onset: str | None = None
    abatement: str | None = None
    recorded: str | None = None
    category: str | None = None
    severity: str | None = None
    laterality: str | None = None


class ProblemRevised(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A problem (the envelope's target) is now so; what is absent stays as it was."""

    topic: ClassVar[str] = "patient.problem-revised"

    clinical_status: str | None = None
    verification: str | None = None
    onset: str | None = None
    abatement: str | None = None
    severity: str | None = None
    laterality: str | None = None


# State


def _recorded(patient: Patient, event: Event) -> None:
    patient.problems.append(event)
    supersede(patient, event)


FOLDS: dict[type[Payload], Fold] = {
    ProblemRecorded: _recorded,
    ProblemRevised: file,
}

ACTIVE = frozenset({"active", "recurrence", "relapse"})
PAST = frozenset({"inactive", "remission", "resolved"})
"""FHIR condition-clinical, both halves."""
DENIED = frozenset({"refuted", "entered-in-error"})
"""Verification statuses of what the patient does not have."""
VERIFICATIONS = frozenset({"unconfirmed", "provisional", "differential", "confirmed", "refuted"})
"""FHIR condition-ver-status, less the one that only a correction may say."""


def is_denied(verification: str | None) -> bool:
    """True for what was refuted or entered in error: never in a current view."""
    return verification in DENIED


def is_active_problem(problem: ProblemRecorded) -> bool:
    """True when the patient has it now; without a status, only an end date makes it past."""
    if is_denied(problem.verification):
        return False
    if problem.clinical_status is None:
        return problem.abatement is None
    return problem.clinical_status in ACTIVE


def same_concept(one: Concept, other: Concept) -> bool:
    """True when both carry a same code or, without codes on one side, the same words."""
    codes = {(c.system, c.code) for c in one.codings if c.code}
    others = {(c.system, c.code) for c in other.codings if c.code}
    if codes and others:
        return not codes.isdisjoint(others)
    return one.text.strip().casefold() == other.text.strip().casefold()


def problem_in_force(patient: Patient, event: Event) -> ProblemRecorded:
    """What a recorded problem says after its revisions; an active one has no end date."""
    problem = event.payload
    if not isinstance(problem, ProblemRecorded):
        raise TypeError(event.topic)
    revisions = sorted(
        about(patient, ProblemRevised, event.event_id), key=lambda revision: revision.recency
    )
    for revision in revisions:
        if isinstance(revision.payload, ProblemRevised):
            problem = _after(problem, revision.payload)
    return problem


def _after(problem: ProblemRecorded, revision: ProblemRevised) -> ProblemRecorded:
    problem = amended(problem, revision)
    if revision.clinical_status in ACTIVE:
        return msgspec.structs.replace(problem, abatement=None)
    return problem


def current_problems(patient: Patient) -> Iterator[Event]:
    """Standing problem events that are active after their revisions (:func:`problem_in_force`)."""
    return (
        event
        for event in patient.standing(patient.problems)
        if is_active_problem(problem_in_force(patient, event))
    )


# Decisions


def record_problem(
    patient: Patient, command: RecordProblem, ctx: Context, earlier: Iterable[Fact] = ()
) -> tuple[Fact, ...]:
    """No second active problem with the same code, laterality and source."""
    if command.clinical_status not in ACTIVE | PAST:
        raise Invalid("invalid-field", field="clinical_status")
    if command.verification not in VERIFICATIONS:
        raise Invalid("invalid-field", field="verification")
    for name, value in (("onset", command.onset), ("abatement", command.abatement)):
        if value is not None:
            past_date(value, ctx, field=name)
    in_order(command.onset, command.abatement, field="abatement")
    if command.abatement is not None and command.clinical_status in ACTIVE:
        raise Invalid(
            "invalid-field", field="abatement", why="Un problème actif n'a pas de date de fin."
        )
    problem = ProblemRecorded(
        concept=read_concept(command.concept, "concept"),
        clinical_status=command.clinical_status,
        verification=command.verification,
        onset=command.onset,
        abatement=command.abatement,
        recorded=None,
        severity=command.severity,
        laterality=command.laterality,
    )
    refuse_second_active(
        patient, problem, ctx.source.system, (fact.payload for fact in earlier), field="concept"
    )
    return (Fact(problem),)


def refuse_second_active(
    patient: Patient,
    problem: ProblemRecorded,
    system: str | None,
    earlier: Iterable[Payload] = (),
    *,
    but: Event | None = None,
    field: str,
) -> None:
    """Refuse a problem that is active already with the same code, laterality and source.

    ``but`` is the entry itself, where it is one; ``earlier`` what the same command wrote before.
    """
    if not is_active_problem(problem):
        return
    known: list[Payload] = [
        problem_in_force(patient, event)
        for event in from_source(patient, patient.problems, system, but=but)
    ]
    for other in [*known, *earlier]:
        if (
            isinstance(other, ProblemRecorded)
            and is_active_problem(other)
            and other.laterality == problem.laterality
            and same_concept(other.concept, problem.concept)
        ):
            raise refuse(
                "problem-already-active",
                "Ce problème est déjà actif.",
                "Le dossier le porte déjà, de la même source et du même côté.",
                "Compléter le problème existant.",
                field=field,
            )


def revise_problem(patient: Patient, command: ReviseProblem, ctx: Context) -> tuple[Fact, ...]:
    """A problem that stands now has another status, certainty or date, for a reason.

    A problem that comes back loses its end date; none becomes a second active one of its kind.
    """
    event, _ = standing_entry(patient, command.problem, ProblemRecorded, field="problem")
    reason = words(command.reason, field="reason", limit=400)
    if command.clinical_status is not None and command.clinical_status not in ACTIVE | PAST:
        raise Invalid("invalid-field", field="clinical_status")
    if command.verification is not None and command.verification not in VERIFICATIONS:
        raise Invalid("invalid-field", field="verification")
    for name, value in (("onset", command.onset), ("abatement", command.abatement)):
        if value is not None:
            past_date(value, ctx, field=name)
    revision = ProblemRevised(
        clinical_status=command.clinical_status,
        verification=command.verification,
        onset=command.onset,
        abatement=command.abatement,
        severity=optional_text(command.severity, field="severity", limit=80),
        laterality=optional_text(command.laterality, field="laterality", limit=80),
    )
    something(*msgspec.structs.astuple(revision))
    before = problem_in_force(patient, event)
    if command.abatement is not None and (command.clinical_status or before.clinical_status) in (
        ACTIVE
    ):
        raise Invalid(
            "invalid-field", field="abatement", why="Un problème actif n'a pas de date de fin."
        )
    after = _after(before, revision)
    in_order(after.onset, after.abatement, field="abatement")
    refuse_second_active(
        patient, after, event.envelope.source.system, but=event, field="clinical_status"
    )
    return (Fact(revision, target=command.problem, reason=reason),)


def read_concept(concept: Concept, field: str) -> Concept:
    """A concept written here: with words to read, and codes that their systems could hold."""
    return Concept(
        text=words(concept.text, field=f"{field}.text", limit=400),
        codings=written_codings(concept.codings, field=f"{field}.codings"),
    )
