"""The summary says of a record what its decisions say of it, whatever was revised or taken back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from releve.domain.aggregates.patient.ald import AldStatusChanged, alds
from releve.domain.aggregates.patient.appointments import AppointmentNoticed, upcoming_appointments
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.identity import (
    MedecinTraitantDeclared,
    MedecinTraitantEnded,
    Registered,
    medecin_traitant,
)
from releve.domain.aggregates.patient.ins import InsStatusChanged, ins_status
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationStarted,
    MedicationStopped,
    current_medications,
    medication_in_force,
)
from releve.domain.aggregates.patient.problems import (
    ProblemRecorded,
    ProblemRevised,
    current_problems,
    problem_in_force,
)
from releve.domain.aggregates.patient.questions import OpinionRecorded, open_challenges
from releve.domain.aggregates.patient.record import Patient
from releve.domain.aggregates.patient.validation import EntryValidated, awaiting_validation
from releve.domain.continuity import fold
from releve.domain.events import Event, Payload, Source
from releve.domain.values import Concept, Quantity
from releve.projections.patient_summary import PatientSummary, fold_all
from support.given import AMONT, AVAL, CENTRE, NOW, REFERENT, STREAM, Told, entry, events

IDENTITY = Registered(birth_name="EXEMPLE")
ASTHMA = ProblemRecorded(
    concept=Concept(text="Asthme"), clinical_status="resolved", abatement="2020"
)
RELAPSE = Told(ProblemRevised(clinical_status="relapse"), target=entry(2))
OLDER = MedecinTraitantDeclared(kind="person", since="2020-01", name="Dr Avant")
NEWER = MedecinTraitantDeclared(kind="centre", since="2026-01-05", centre=CENTRE)
END = Told(MedecinTraitantEnded(ended="2026-11-20"), target=entry(3))
GRANTED = AldStatusChanged(status="granted", code="8", starts="2022-02-01", ends="2027-02-12")
DATES_ONLY = AldStatusChanged(status="granted", starts="2022-02-01")
RENEWED = AldStatusChanged(status="renewed", starts="2027-02-13", ends="2032-02-12")
DRUG = MedicationStarted(
    concept=Concept(text="Ramipril"), dose=Quantity(value="5", unit="mg"), dose_text="1 le matin"
)
CHALLENGED = Told(OpinionRecorded(stance="challenges", text="Veineux"), AVAL, target=entry(2))
BOOKED = AppointmentNoticed(starts_at="2026-11-25T10:00:00+01:00", reference="a1")
MOVED = AppointmentNoticed(starts_at="2026-11-26T09:00:00+01:00", reference="a1")
UNNAMED = AppointmentNoticed(starts_at="2026-11-25T10:00:00+01:00")
CDA = Source(channel="cda", system="urn:oid:2.999")


def wrong(place: int) -> Told:
    return Told(EntryMarkedInError(), target=entry(place))


HISTORIES: dict[str, tuple[Payload | Told, ...]] = {
    "relapse": (ASTHMA, RELAPSE),
    "relapse taken back": (ASTHMA, RELAPSE, wrong(3)),
    "doctor ended": (OLDER, NEWER, END),
    "end taken back": (OLDER, NEWER, END, wrong(4)),
    "declared again": (OLDER, NEWER, END, NEWER),
    "renewed by dates": (GRANTED, Told(RENEWED, target=entry(2))),
    "renewal taken back": (GRANTED, Told(RENEWED, target=entry(2)), wrong(3)),
    "renewed twice, the first by mistake": (
        GRANTED,
        Told(RENEWED, target=entry(2)),
        Told(AldStatusChanged(status="renewed", ends="2030"), target=entry(3)),
        wrong(3),
    ),
    "number given later": (DATES_ONLY, Told(GRANTED, target=entry(2))),
    "ended": (GRANTED, Told(AldStatusChanged(status="ended", ends="2026"), target=entry(2))),
    "redosed in words": (DRUG, Told(MedicationChanged(dose_text="2"), target=entry(2))),
    "stopped": (DRUG, Told(MedicationStopped(stopped_on="2026-11-20"), target=entry(2))),
    "challenged": (ASTHMA, CHALLENGED),
    "challenge withdrawn": (
        ASTHMA,
        CHALLENGED,
        Told(OpinionRecorded(stance="agrees", text="Vu"), AVAL, target=entry(2)),
    ),
    "challenge shared": (
        ASTHMA,
        CHALLENGED,
        Told(OpinionRecorded(stance="agrees", text="Moi aussi"), REFERENT, target=entry(2)),
    ),
    "challenge answered": (
        ASTHMA,
        CHALLENGED,
        Told(OpinionRecorded(stance="adds", text="Bilatéral"), AMONT, target=entry(2)),
    ),
    "challenge answered by a revision": (ASTHMA, CHALLENGED, RELAPSE),
    "imported": (Told(ASTHMA, source=CDA),),
    "import refused": (
        Told(ASTHMA, source=CDA),
        Told(EntryValidated(verdict="refused"), target=entry(2)),
    ),
    "refusal taken back": (
        Told(ASTHMA, source=CDA),
        Told(EntryValidated(verdict="refused"), target=entry(2)),
        wrong(3),
    ),
    "appointment moved": (
        Told(BOOKED),
        Told(MOVED, target=entry(2)),
    ),
    "appointment without a reference cancelled": (
        Told(UNNAMED),
        Told(msgspec.structs.replace(UNNAMED, status="cancelled"), target=entry(2)),
    ),
    "move taken back": (
        Told(BOOKED),
        Told(MOVED, target=entry(2)),
        wrong(3),
    ),
    "an older doubt about the identity": (
        Told(InsStatusChanged(status="validee", proof="passeport"), at="2026-11-20"),
        Told(InsStatusChanged(status="provisoire"), at="2026-11-01"),
    ),
}


def folded(told: Iterable[Payload | Told]) -> tuple[Patient, PatientSummary]:
    stream = events([IDENTITY, *told])
    state = fold("patient", None, [*stream])
    numbered = [placed(event, place) for place, event in enumerate(stream, start=1)]
    summary = fold_all(None, numbered, STREAM)
    assert isinstance(state, Patient)
    assert summary is not None
    return state, summary


def placed(event: Event, position: int) -> Event:
    return msgspec.structs.replace(event, position=position)


@pytest.mark.parametrize("told", HISTORIES.values(), ids=HISTORIES)
def test_the_summary_says_what_the_record_says(told: tuple[Payload | Told, ...]) -> None:
    record, summary = folded(told)
    status = summary.identity.identity_status if summary.identity else "provisoire"
    assert status == ins_status(record)[0]
    declared, shown = medecin_traitant(record), summary.medecin_traitant
    assert (declared.since if declared else None) == (shown.detail["since"] if shown else None)
    assert [(ald.code, ald.starts, ald.ends) for ald in alds(record) if not ald.ended] == [
        tuple(line.detail.get(name) for name in ("code", "starts", "ends"))
        for line in summary.ald_in_force
    ]
    problems = [problem_in_force(record, event) for event in current_problems(record)]
    assert [(p.clinical_status, p.abatement) for p in problems] == [
        (line.clinical_status, line.detail.get("abatement")) for line in summary.slot("problems")
    ]
    drugs = [medication_in_force(record, event) for event in current_medications(record)]
    assert [(drug.dose_text, drug.dose is None) for drug in drugs] == [
        (line.detail.get("dose_text"), "dose" not in line.detail)
        for line in summary.slot("medications")
        if line.state == "current"
    ]
    assert [event.event_id for event in upcoming_appointments(record, NOW)] == [
        line.entry_id for line in summary.booked
    ]
    challenges = {event.envelope.target for event in open_challenges(record)}
    assert challenges == {
        line.entry_id for line in summary.lines if line.current and summary.challenge_of(line)
    }
    assert [event.event_id for event in awaiting_validation(record)] == [
        line.entry_id for line in summary.to_validate
    ]
