"""A consultation with everything it produced, decided part by part and written in one append."""

from __future__ import annotations

from releve.domain.aggregates.deciding import Context, Fact, require_role, require_stint, under
from releve.domain.aggregates.patient.allergies import assert_absence, record_allergy
from releve.domain.aggregates.patient.contingencies import set_contingency
from releve.domain.aggregates.patient.encounters import EncounterRecorded, sign_note
from releve.domain.aggregates.patient.medications import start_medication
from releve.domain.aggregates.patient.observations import record_observation
from releve.domain.aggregates.patient.open_items import open_item
from releve.domain.aggregates.patient.problems import record_problem
from releve.domain.aggregates.patient.record import Patient
from releve.domain.aggregates.patient.severity import set_illness_severity
from releve.domain.commands import Command, RecordConsultation, RecordObservation
from releve.domain.values import readable


def record_consultation(
    patient: Patient, command: RecordConsultation, ctx: Context
) -> tuple[Fact, ...]:
    """The encounter, then its parts in the order they are thought: each under its own rules.

    A part is refused as it would be alone, and names itself (``items[0].due``); nothing of the
    consultation is then written. A part may have happened at another time than the whole.
    """
    facts = [
        Fact(
            EncounterRecorded(
                mode=command.mode,
                reason=readable(command.reason, field="reason", limit=400),
                site=readable(command.site or "", field="site", limit=160) or None,
            )
        )
    ]
    encounter = ctx.event_id(0)

    def add(part: Command, decided: tuple[Fact, ...]) -> None:
        require_role(part, ctx)
        if part.occurred_at is not None:
            require_stint(part, ctx, before=isinstance(part, RecordObservation))
        facts.extend(
            Fact(
                fact.payload,
                occurred_at=part.occurred_at,
                encounter_id=encounter,
                target=fact.target,
                reason=fact.reason,
            )
            for fact in decided
        )

    if command.note is not None:
        add(command.note, under("note", sign_note, patient, command.note, ctx))
    for place, measure in enumerate(command.observations):
        path = f"observations[{place}]"
        add(measure, under(path, record_observation, patient, measure, ctx))
    for place, problem in enumerate(command.problems):
        path = f"problems[{place}]"
        add(problem, under(path, record_problem, patient, problem, ctx, facts))
    for place, allergy in enumerate(command.allergies):
        path = f"allergies[{place}]"
        add(allergy, under(path, record_allergy, patient, allergy, ctx, facts))
    for place, drug in enumerate(command.medications):
        add(drug, under(f"medications[{place}]", start_medication, patient, drug, ctx))
    for place, absence in enumerate(command.absences):
        path = f"absences[{place}]"
        add(absence, under(path, assert_absence, patient, absence, ctx, facts))
    if command.severity is not None:
        severity = command.severity
        add(severity, under("severity", set_illness_severity, patient, severity, ctx))
    for place, item in enumerate(command.items):
        add(item, under(f"items[{place}]", open_item, patient, item, ctx))
    for place, contingency in enumerate(command.contingencies):
        path = f"contingencies[{place}]"
        add(contingency, under(path, set_contingency, patient, contingency, ctx))
    return tuple(facts)
