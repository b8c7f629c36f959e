"""The summary says of a record what its decisions say of it, whatever was revised or taken back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from releve.domain.aggregates.patient.ald import AldStatusChanged, alds
from releve.domain.aggregates.patient.appointments import AppointmentNoticed, booked
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
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
from releve.domain.aggregates.patient.results import (
    ResultReceived,
    ResultReviewed,
    current_results,
)
from releve.domain.aggregates.patient.validation import EntryValidated, awaiting_validation
from releve.domain.events import Event, Payload, Source
from releve.domain.requests import fold
from releve.domain.values import Concept, Quantity, ResultLine
from releve.projections.patient_summary import PatientSummary, fold_all
from releve.projections.timeline import entries_of
from support.given import AMONT, AVAL, CENTRE, REFERENT, STREAM, Told, entry, events

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


def accepts(place: int) -> Told:
    return Told(EntryValidated(verdict="accepted"), target=entry(place))


def refuses(place: int) -> Told:
    return Told(EntryValidated(verdict="refused"), target=entry(place))


def stated(status: str, replaces: int | None = None) -> Told:
    said = msgspec.structs.replace(DRUG, status=status)
    return Told(said, source=CDA, target=None if replaces is None else entry(replaces))


def potassium(value: str) -> ResultReceived:
    line = ResultLine(code=Concept(text="Potassium"), value=Quantity(value=value, unit="mmol/L"))
    return ResultReceived(status="final", report="R1", laboratory="Labo", lines=(line,))


STATED, ENDED_ABROAD = stated("active"), stated("completed", 2)
LOW, HIGHER = potassium("4.1"), Told(potassium("6.8"), source=CDA, target=entry(2))
OTHER = msgspec.structs.replace(LOW, lines=(ResultLine(code=Concept(text="TSH"), text="2,1"),))
READ = Told(ResultReviewed(verdict="normal"), target=entry(3))


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
    **{
        f"a treatment said to be over, {name}": (STATED, *more)
        for name, more in {
            "before anybody judged it": (ENDED_ABROAD,),
            "after it was accepted": (accepts(2), ENDED_ABROAD),
            "accepted too": (accepts(2), ENDED_ABROAD, accepts(4)),
            "accepted by mistake": (accepts(2), ENDED_ABROAD, accepts(4), wrong(5)),
            "refused": (accepts(2), ENDED_ABROAD, refuses(4)),
            "refused by mistake": (accepts(2), ENDED_ABROAD, refuses(4), wrong(5)),
            "then said otherwise": (accepts(2), ENDED_ABROAD, stated("on-hold", 4)),
            "then otherwise, accepted": (
                accepts(2),
                ENDED_ABROAD,
                stated("on-hold", 4),
                accepts(5),
            ),
            "then otherwise, refused": (
                accepts(2),
                ENDED_ABROAD,
                stated("on-hold", 4),
                refuses(5),
            ),
            "accepted, the first in error and back": (
                accepts(2),
                ENDED_ABROAD,
                accepts(4),
                wrong(2),
                Told(EntryReinstated(), target=entry(2)),
            ),
            "its first acceptance by mistake": (accepts(2), ENDED_ABROAD, wrong(3)),
        }.items()
    },
    **{
        f"a result sent in two versions, {name}": (Told(LOW, source=CDA), HIGHER, *more)
        for name, more in {
            "unread": (),
            "read": (READ,),
            "read by mistake": (READ, wrong(4)),
            "refused": (refuses(3),),
            "refused by mistake": (refuses(3), wrong(4)),
            "in error": (wrong(3),),
            "in error and back": (wrong(3), Told(EntryReinstated(), target=entry(3))),
        }.items()
    },
    "two reports of one number": (Told(LOW, source=CDA), Told(OTHER, source=CDA)),
    "a call of the same number": (
        Told(LOW, source=CDA),
        msgspec.structs.replace(LOW, status="phoned"),
    ),
    "a partial after the final one, which is in error": (
        Told(LOW, source=CDA),
        Told(msgspec.structs.replace(LOW, status="partial"), source=CDA, target=entry(2)),
        wrong(2),
    ),
    "a partial after a final one that was refused by mistake": (
        Told(LOW, source=CDA),
        refuses(2),
        Told(msgspec.structs.replace(LOW, status="partial"), source=CDA, target=entry(2)),
        wrong(3),
    ),
    "a partial after the final one": (
        Told(LOW, source=CDA),
        Told(msgspec.structs.replace(LOW, status="partial"), source=CDA, target=entry(2)),
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
    "stopped here and sent again": (
        Told(DRUG, source=CDA),
        Told(MedicationStopped(stopped_on="2026-11-20"), target=entry(2)),
        Told(msgspec.structs.replace(DRUG, dose_text="2 le matin"), source=CDA, target=entry(2)),
    ),
    "that stop taken back": (
        Told(DRUG, source=CDA),
        Told(MedicationStopped(stopped_on="2026-11-20"), target=entry(2)),
        Told(msgspec.structs.replace(DRUG, dose_text="2 le matin"), source=CDA, target=entry(2)),
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
    in_order = sorted(booked(record), key=lambda one: one[0])
    assert [event.event_id for _, event, _ in in_order] == [
        line.entry_id for line in summary.booked
    ]
    challenges = {event.envelope.target for event in open_challenges(record)}
    assert challenges == {
        line.entry_id for line in summary.lines if line.current and summary.challenge_of(line)
    }
    waiting = [event.event_id for event in awaiting_validation(record)]
    assert waiting == [line.entry_id for line in summary.to_validate]
    values = [line for line in reversed(summary.slot("results")) if line.ordinal is not None]
    assert [event.event_id for event in current_results(record)] == [
        line.entry_id for line in values
    ]
    assert [line.validation == "to-validate" for line in values] == [
        line.entry_id in waiting for line in values
    ]


@pytest.mark.parametrize("told", HISTORIES.values(), ids=HISTORIES)
def test_the_timeline_says_what_the_record_says(told: tuple[Payload | Told, ...]) -> None:
    record, summary = folded(told)
    stream = events([IDENTITY, *told])
    status = {each.event_id: each.status for each in entries_of(stream)}
    gone = {event.event_id for event in stream if not record.stands(event)}
    assert gone == {
        entry_id
        for entry_id, said in status.items()
        if said in ("in-error", "refused", "superseded")
    }
    for line in summary.slot("medications", every=True):
        if line.state in ("in-error", "refused", "superseded"):
            assert status[line.entry_id] == line.state
