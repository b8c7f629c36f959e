from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

from releve.domain.aggregates import CODEC, REGISTRY
from releve.domain.aggregates.patient.ald import AldStatusChanged
from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    AllergyRevised,
)
from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.contingencies import (
    ContingencyActivated,
    ContingencySet,
    ContingencyWithdrawn,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.history import HistoryRecorded
from releve.domain.aggregates.patient.identity import MedecinTraitantDeclared, Registered
from releve.domain.aggregates.patient.ins import InsStatusChanged
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationStarted,
    MedicationStopped,
)
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.offers import ItemAccepted, ItemDeclined, ItemOffered
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    ItemRevised,
)
from releve.domain.aggregates.patient.problems import ProblemRecorded, ProblemRevised
from releve.domain.aggregates.patient.questions import (
    OpinionRecorded,
    QuestionAnswered,
    QuestionAsked,
)
from releve.domain.aggregates.patient.results import (
    ContactAttempted,
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.summary_review import SummaryReviewed
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.aggregates.patient.vigilance import VigilancePointLifted, VigilancePointSet
from releve.domain.events import Author, Event, Source
from releve.domain.values import (
    Coding,
    Component,
    Concept,
    Owner,
    Quantity,
    ResultLine,
    ResultStatus,
    Threshold,
)
from releve.projections import patient_summary, wording
from releve.projections.patient_summary import (
    PatientSummary,
    fold,
    fold_all,
    from_bytes,
    to_bytes,
)
from releve.projections.ranking import extract
from releve.projections.rule_release import load_rules
from releve.projections.summary_staleness import review_due
from releve.projections.timeline import entries_of
from support.patient_events import CENTRE, MONDAY, Stream

POTASSIUM = Concept(text="Kaliémie", codings=(Coding(system="http://loinc.org", code="2823-3"),))


def summary_of(stream: Stream) -> PatientSummary:
    return fold_all(None, stream.events, stream.id)


def potassium(value: str, unit: str = "mmol/L") -> ObservationRecorded:
    return ObservationRecorded(code=POTASSIUM, value=Quantity(value=value, unit=unit))


class TestEveryTopic:
    def test_has_a_handler_and_a_line_of_french(self) -> None:
        patient = {topic for topic in REGISTRY if topic.startswith("patient.")}
        assert set(patient_summary._HANDLERS) == patient
        assert set(wording._TEXTS) == patient

    def test_that_is_unknown_here_is_refused_and_not_skipped(self) -> None:
        class Novel(Registered, frozen=True, kw_only=True):
            topic = "patient.novel"

        stream = Stream()
        stream.add(Novel())
        with pytest.raises(KeyError):
            summary_of(stream)


class TestFolding:
    def test_leaves_the_summary_it_was_given_as_it_was(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="Exemple"))
        before = summary_of(stream)
        kept = to_bytes(before)
        fold(before, stream.add(ProblemRecorded(concept=Concept(text="Asthme"))))
        fold(before, stream.add(IllnessSeveritySet(severity="unstable", reason="x")))
        assert to_bytes(before) == kept

    def test_one_by_one_from_bytes_gives_the_bytes_of_all_at_once(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="Exemple", first_names=("Jeanne",), birth_date="1948"))
        note = stream.add(NoteSigned(one_liner="HTA", plan="revoir"))
        for number in range(30):
            stream.add(potassium(f"4.{number}"))
            stream.add(NoteSigned(subjective="encore", plan=str(number)))
        stream.add(
            NoteAmended(kind="addendum", text="suite"), target=note.event_id, reason="reçu depuis"
        )
        stream.add(EntryMarkedInError(), target=stream.events[10].event_id, reason="erreur")
        summary: PatientSummary | None = None
        for event in stream.events:
            summary = from_bytes(to_bytes(fold(summary, event)))
        assert summary is not None
        assert to_bytes(summary) == to_bytes(summary_of(stream))

    def test_does_not_grow_with_the_length_of_the_record(self) -> None:
        def size(repeats: int) -> int:
            stream = Stream()
            stream.add(Registered(birth_name="Exemple"))
            for number in range(repeats):
                stream.add(EncounterRecorded(mode="cabinet", reason="suivi"))
                stream.add(NoteSigned(one_liner="HTA équilibrée", plan="revoir"))
                stream.add(potassium("4.1"))
                item = stream.add(ItemOpened(kind="call", text="Appeler", due="2026-12-01"))
                stream.add(ItemClosed(outcome="done", evidence="fait"), target=item.event_id)
                stream.add(IllnessSeveritySet(severity="stable", reason=str(number % 10)))
            return len(to_bytes(summary_of(stream)))

        assert size(200) < size(40) * 1.05

    def test_reads_back_what_the_codec_stored(self) -> None:
        stream = Stream()
        event = stream.add(
            AllergyRecorded(substance=Concept(text="Pénicilline"), criticality="high")
        )
        topic, schema, envelope, payload = CODEC.encode(event)

        class Header:
            stream = event.originator_id
            version = event.originator_version
            event_id = event.event_id
            event_class = event.event_class
            recorded_at = int(event.recorded_at.timestamp() * 1_000_000)
            session = event.session

        again = CODEC.decode(
            topic, schema, envelope, payload, header=Header(), position=event.position
        )
        assert to_bytes(fold(None, again)) == to_bytes(fold(None, event))


class TestIdentity:
    def test_is_incomplete_while_one_of_five_traits_is_missing(self) -> None:
        stream = Stream()
        traits = Registered(
            birth_name="EXEMPLE", first_names=("Jeanne",), birth_date="1948-03-02", sex="female"
        )
        stream.add(traits)
        assert summary_of(stream).identity_incomplete
        stream = Stream()
        stream.add(
            Registered(
                birth_name="EXEMPLE",
                first_names=("Jeanne",),
                birth_date="1948-03-02",
                sex="female",
                birth_place="23096",
            )
        )
        assert not summary_of(stream).identity_incomplete

    def test_medecin_traitant_is_the_last_one_declared(self) -> None:
        stream = Stream()
        stream.add(
            MedecinTraitantDeclared(kind="centre", since="2026-01-01", centre=CENTRE), centre=None
        )
        wrong = stream.add(MedecinTraitantDeclared(kind="person", since="2026-02-01", name="Dr B"))
        summary = summary_of(stream)
        assert summary.medecin_traitant is not None
        assert summary.medecin_traitant.entry_id == wrong.event_id
        assert summary.centres == [CENTRE]
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="confusion")
        attending = summary_of(stream).medecin_traitant
        assert attending is not None
        assert attending.detail["kind"] == "centre"

    def test_medecin_traitant_is_the_one_with_the_latest_date(self) -> None:
        stream = Stream()
        now = stream.add(MedecinTraitantDeclared(kind="centre", since="2026-01-01", centre=CENTRE))
        stream.add(MedecinTraitantDeclared(kind="person", since="2020", name="Dr Ancien"))
        attending = summary_of(stream).medecin_traitant
        assert attending is not None
        assert attending.entry_id == now.event_id


class TestThreeStates:
    def test_nothing_said_is_not_asked(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="Exemple"))
        summary = summary_of(stream)
        for slot in ("allergies", "medications", "problems"):
            assert summary.presence(slot).state == "not-asked"

    def test_none_says_when_it_was_asked(self) -> None:
        stream = Stream()
        stream.add(AbsenceAsserted(slot="allergies", asked_on="2026-11-10"))
        assert summary_of(stream).presence("allergies")[:2] == ("none", "2026-11-10")

    def test_none_of_a_part_is_not_none_of_the_whole(self) -> None:
        stream = Stream()
        stream.add(AbsenceAsserted(slot="allergies", part="food"))
        presence = summary_of(stream).presence("allergies")
        assert presence.state == "not-asked"
        assert len(presence.parts) == 1
        stream.add(AllergyRecorded(substance=Concept(text="Pénicilline")))
        presence = summary_of(stream).presence("allergies")
        assert presence.state == "known"
        assert len(presence.parts) == 1

    @pytest.mark.parametrize(
        ("clinical", "verification", "state"),
        [
            ("active", "confirmed", "known"),
            (None, None, "known"),
            ("active", "unconfirmed", "known"),
            ("inactive", "confirmed", "not-asked"),
            ("resolved", None, "not-asked"),
            ("active", "refuted", "not-asked"),
            (None, "entered-in-error", "not-asked"),
        ],
    )
    def test_only_a_standing_allergy_is_known(
        self, clinical: str | None, verification: str | None, state: str
    ) -> None:
        stream = Stream()
        stream.add(
            AllergyRecorded(
                substance=Concept(text="Pénicilline"),
                clinical_status=clinical,
                verification=verification,
            )
        )
        assert summary_of(stream).allergy_state == state

    def test_a_refuted_allergy_stays_visible_with_its_state(self) -> None:
        stream = Stream()
        stream.add(AllergyRecorded(substance=Concept(text="Pénicilline"), verification="refuted"))
        (line,) = summary_of(stream).slot("allergies")
        assert line.state == "refuted"
        assert line.verification == "refuted"

    def test_an_allergy_in_error_leaves_the_slot_and_the_state(self) -> None:
        stream = Stream()
        wrong = stream.add(AllergyRecorded(substance=Concept(text="Iode")))
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="autre patient")
        summary = summary_of(stream)
        assert summary.slot("allergies") == []
        assert summary.allergy_state == "not-asked"
        (kept,) = summary.slot("allergies", every=True)
        assert (kept.state, kept.error_reason) == ("in-error", "autre patient")


class TestSlots:
    def test_a_problem_that_is_over_is_never_among_the_active_ones(self) -> None:
        stream = Stream()
        for status in ("active", "recurrence", "relapse", "remission", "resolved", "inactive"):
            stream.add(ProblemRecorded(concept=Concept(text=status), clinical_status=status))
        stream.add(ProblemRecorded(concept=Concept(text="ended"), abatement="2020"))
        slots = summary_of(stream).slots()
        assert {line.concept["text"] for line in slots["problems"] if line.concept} == {
            "active", "recurrence", "relapse",
        }  # fmt: skip
        assert {line.concept["text"] for line in slots["past-illness"] if line.concept} == {
            "remission", "resolved", "inactive", "ended",
        }  # fmt: skip

    def test_a_line_keeps_codes_status_dates_and_source_as_received(self) -> None:
        stream = Stream()
        concept = Concept(
            text="Metformine", codings=(Coding(system="urn:oid:1.2.3", code="A10BA02"),)
        )
        stream.add(
            MedicationStarted(
                concept=concept, statement="MedicationRequest", status="on-hold", start="2021-04"
            ),
            occurred_at="2021-04",
            source=Source(channel="fhir", system="EHR", source_id="MedicationRequest/1"),
        )
        (line,) = summary_of(stream).slot("medications")
        assert line.current
        assert line.concept == {
            "text": "Metformine",
            "codings": [{"system": "urn:oid:1.2.3", "code": "A10BA02"}],
        }
        assert (line.status, line.detail["start"], line.as_of) == ("on-hold", "2021-04", "2021-04")
        assert line.source is not None
        assert line.source.source_id == "MedicationRequest/1"
        assert "04/2021" in line.text

    def test_stopped_treatments_are_kept_and_not_current(self) -> None:
        stream = Stream()
        stream.add(MedicationStarted(concept=Concept(text="A"), status="stopped"))
        stream.add(MedicationStarted(concept=Concept(text="B")))
        lines = summary_of(stream).slot("medications")
        assert [(line.concept or {})["text"] for line in lines] == ["B", "A"]
        assert [line.current for line in lines] == [True, False]

    def test_measures_go_to_vital_signs_by_category_or_code(self) -> None:
        stream = Stream()
        pressure = Concept(text="TA", codings=(Coding(code="85354-9"),))
        stream.add(
            ObservationRecorded(
                code=pressure,
                components=(
                    Component(
                        code=Concept(text="systolique"), value=Quantity(value="142", unit="mmHg")
                    ),
                ),
            )
        )
        stream.add(potassium("4.10"))
        summary = summary_of(stream)
        assert [line.text for line in summary.slot("vital-signs")] == ["TA systolique 142 mmHg"]
        assert [line.text for line in summary.slot("results")] == ["Kaliémie 4,10 mmol/L"]


class TestNotes:
    def test_an_addendum_adds_and_a_replacement_replaces(self) -> None:
        stream = Stream()
        note = stream.add(NoteSigned(one_liner="Toux", plan="Repos"))
        stream.add(
            NoteAmended(kind="replacement", one_liner="Pneumopathie", plan="Amoxicilline"),
            target=note.event_id,
            reason="radio reçue",
        )
        stream.add(NoteAmended(kind="addendum", text="Allergie vérifiée"), target=note.event_id)
        summary = summary_of(stream)
        (kept,) = summary.notes
        assert len(kept.amendments) == 2
        assert b"Repos" not in to_bytes(summary), "the text of a note stays in the ledger"
        spoken = summary.one_liner()
        assert spoken is not None
        assert spoken.text == "Pneumopathie"

    def test_an_amendment_in_error_gives_the_first_text_back(self) -> None:
        stream = Stream()
        note = stream.add(NoteSigned(one_liner="Toux"))
        amended = stream.add(
            NoteAmended(kind="replacement", one_liner="Autre"), target=note.event_id
        )
        stream.add(EntryMarkedInError(), target=amended.event_id, reason="erreur")
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.text == "Toux"

    def test_a_one_liner_says_what_arrived_after_it(self) -> None:
        stream = Stream()
        together = MONDAY + timedelta(hours=1)
        stream.add(NoteSigned(one_liner="HTA équilibrée"), at=together)
        stream.add(MedicationStarted(concept=Concept(text="Ramipril")), at=together)
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.older_than is None, "what one consultation wrote together is not newer"
        coffee = HistoryRecorded(slot="lifestyle", concept=Concept(text="Trois tasses de café"))
        stream.add(coffee, at=together + timedelta(hours=2))
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.older_than is None, "a way of life makes no synthesis older"
        stream.add(potassium("5.9"), at=together + timedelta(hours=3))
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.older_than is not None
        assert spoken.older_than.text == "Kaliémie 5,9 mmol/L"

    def test_the_last_one_liner_outlives_later_notes_without_one(self) -> None:
        stream = Stream()
        stream.add(NoteSigned(one_liner="Insuffisance cardiaque"))
        for _ in range(25):
            stream.add(NoteSigned(plan="rien"))
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.text == "Insuffisance cardiaque"


class TestItems:
    def test_an_item_is_open_until_it_is_closed_and_again_when_that_was_an_error(self) -> None:
        stream = Stream()
        item = stream.add(ItemOpened(kind="result", text="NFS", due="2026-11-20"))
        assert len(summary_of(stream).open_items) == 1
        closing = stream.add(ItemClosed(outcome="done", evidence="reçue"), target=item.event_id)
        assert summary_of(stream).open_items == []
        stream.add(EntryMarkedInError(), target=closing.event_id, reason="mauvais point")
        (reopened,) = summary_of(stream).open_items
        assert reopened.line.as_of == item.envelope.occurred_at

    def test_an_item_in_error_is_not_open(self) -> None:
        stream = Stream()
        item = stream.add(ItemOpened(kind="call", text="Appeler", no_deadline=True))
        stream.add(EntryMarkedInError(), target=item.event_id, reason="doublon")
        assert summary_of(stream).open_items == []


class TestHandover:
    def test_supersedes_the_previous_one_of_the_same_stint_and_keeps_read_backs(self) -> None:
        stream = Stream()
        first = stream.add(HandoverWritten(severity="watcher", summary="IC"))
        second = stream.add(HandoverWritten(severity="unstable", summary="IC décompensée"))
        stream.add(HandoverReadBack(kind="restatement", text="Je la pèse"), target=second.event_id)
        summary = summary_of(stream)
        assert [each.line.state for each in summary.handovers] == ["superseded", "current"]
        assert [line.detail["text"] for line in summary.handovers[1].read_backs] == ["Je la pèse"]
        assert summary.severity is not None
        assert summary.severity.detail["severity"] == "unstable"
        stream.add(EntryMarkedInError(), target=second.event_id, reason="autre patient")
        summary = summary_of(stream)
        assert summary.handovers[0].line.entry_id == first.event_id
        assert summary.handovers[0].line.current
        assert summary.severity is not None
        assert summary.severity.detail["severity"] == "watcher"

    def test_the_same_gravity_again_keeps_the_reason_in_force(self) -> None:
        stream = Stream()
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée de repos"))
        stream.add(HandoverWritten(severity="unstable", summary="IC"))
        severity = summary_of(stream).severity
        assert severity is not None
        assert severity.detail["reason"] == "dyspnée de repos"


LAST_WEEK = "2026-11-09T10:00:00+01:00"


class TestLateEntries:
    def test_a_late_severity_does_not_lower_todays(self) -> None:
        stream = Stream()
        today = stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée"))
        stream.add(IllnessSeveritySet(severity="stable"), occurred_at=LAST_WEEK)
        stream.add(HandoverWritten(severity="stable", summary="RAS"), occurred_at=LAST_WEEK)
        severity = summary_of(stream).severity
        assert severity is not None
        assert severity.entry_id == today.event_id
        stream.add(EntryMarkedInError(), target=today.event_id, reason="autre patient")
        severity = summary_of(stream).severity
        assert severity is not None
        assert severity.detail["severity"] == "stable"

    def test_many_late_entries_do_not_push_out_what_is_in_force(self) -> None:
        stream = Stream()
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée"))
        stream.add(NoteSigned(one_liner="IC décompensée"))
        contact = stream.add(EncounterRecorded(mode="cabinet", reason="dyspnée"))
        latest = stream.add(potassium("5.1"))
        shown = stream.add(HandoverWritten(severity="unstable", summary="IC"))
        for _ in range(40):
            stream.add(IllnessSeveritySet(severity="stable"), occurred_at=LAST_WEEK)
            stream.add(NoteSigned(one_liner="RAS"), occurred_at=LAST_WEEK)
            stream.add(EncounterRecorded(mode="cabinet"), occurred_at=LAST_WEEK)
            stream.add(potassium("4.0"), occurred_at=LAST_WEEK)
            stream.add(HandoverWritten(severity="stable", summary="RAS"), occurred_at=LAST_WEEK)
        summary = summary_of(stream)
        assert summary.severity is not None
        assert summary.severity.detail["reason"] == "dyspnée"
        assert summary.handover is not None
        assert summary.handover.line.entry_id == shown.event_id
        assert summary.last_contact is not None
        assert summary.last_contact.entry_id == contact.event_id
        assert latest.event_id in [line.entry_id for line in summary.slot("results")]

    def test_a_late_note_does_not_replace_todays_one_liner(self) -> None:
        stream = Stream()
        stream.add(NoteSigned(one_liner="IC décompensée"))
        late = stream.add(NoteSigned(one_liner="RAS"), occurred_at=LAST_WEEK)
        stream.add(NoteAmended(kind="replacement", one_liner="RAS, relu"), target=late.event_id)
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.text == "IC décompensée"
        stream.add(NoteAmended(kind="addendum", one_liner="IC, mieux"), target=late.event_id)
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.text == "IC, mieux", "an addendum speaks of the day it is written"

    def test_a_late_handover_is_not_the_one_to_read(self) -> None:
        stream = Stream()
        today = stream.add(HandoverWritten(severity="unstable", summary="IC"))
        late = stream.add(HandoverWritten(severity="stable", summary="RAS"), occurred_at=LAST_WEEK)
        summary = summary_of(stream)
        assert summary.handover is not None
        assert summary.handover.line.entry_id == today.event_id
        assert [each.line.state for each in summary.handovers] == ["current", "superseded"]
        assert [entry.status for entry in entries_of(stream.events)] == ["current", "superseded"]
        stream.add(EntryMarkedInError(), target=today.event_id, reason="autre patient")
        back = summary_of(stream).handover
        assert back is not None
        assert back.line.entry_id == late.event_id

    def test_a_replaced_handover_in_error_leaves_the_one_in_force_alone(self) -> None:
        stream = Stream()
        stream.add(HandoverWritten(severity="stable", summary="un"))
        replaced = stream.add(HandoverWritten(severity="stable", summary="deux"))
        stream.add(HandoverWritten(severity="stable", summary="trois"))
        stream.add(EntryMarkedInError(), target=replaced.event_id, reason="erreur")
        states = [each.line.state for each in summary_of(stream).handovers]
        assert states == ["superseded", "in-error", "current"]

    def test_the_record_known_before_a_late_entry_stays_as_it_was(self) -> None:
        stream = Stream()
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée"))
        before = to_bytes(summary_of(stream))
        stream.add(IllnessSeveritySet(severity="stable"), occurred_at=LAST_WEEK)
        assert to_bytes(fold_all(None, stream.events[:1], stream.id)) == before


class TestContingencies:
    def arranged(self) -> Stream:
        stream = Stream()
        stream.add(
            ContingencySet(
                condition="Kaliémie > 5,5",
                action="ECG",
                threshold=Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L"),
            )
        )
        return stream

    @pytest.mark.parametrize(
        ("value", "unit", "expected"),
        [
            ("5.6", "mmol/L", [True]),
            ("5.50", "mmol/L", []),
            ("5.6", "mg/dL", [False]),
            ("environ 6", "mmol/L", [False]),
        ],
    )
    def test_a_measure_meets_the_threshold_or_is_said_not_to_be_comparable(
        self, value: str, unit: str, expected: list[bool]
    ) -> None:
        stream = self.arranged()
        stream.add(potassium(value, unit))
        assert [each.matched for each in summary_of(stream).firing] == expected

    def test_it_rings_until_a_clinician_judges_the_patient_again(self) -> None:
        stream = self.arranged()
        measured = stream.add(potassium("6.2"))
        assert len(summary_of(stream).firing) == 1
        stream.add(NoteSigned(plan="vu"))
        assert len(summary_of(stream).firing) == 1
        stream.add(IllnessSeveritySet(severity="unstable", reason="hyperkaliémie"))
        assert summary_of(stream).firing == []
        stream.add(EntryMarkedInError(), target=measured.event_id, reason="hémolyse")
        assert summary_of(stream).firing == []
        assert all(fired.void for fired in summary_of(stream).fired)

    def test_an_earlier_measure_does_not_meet_a_later_threshold(self) -> None:
        stream = Stream()
        stream.add(potassium("6.2"))
        stream.add(self.arranged().events[0].payload)
        assert summary_of(stream).firing == []

    def test_it_is_not_answered_by_a_late_word_on_how_the_patient_was_before(self) -> None:
        stream = self.arranged()
        stream.add(potassium("6.2"))
        stream.add(IllnessSeveritySet(severity="stable"), occurred_at=LAST_WEEK)
        stream.add(HandoverWritten(severity="stable", summary="RAS"), occurred_at=LAST_WEEK)
        assert len(summary_of(stream).firing) == 1
        stream.add(HandoverWritten(severity="unstable", summary="hyperkaliémie"))
        assert summary_of(stream).firing == []

    @pytest.mark.parametrize(
        ("occurred_at", "source"),
        [
            (LAST_WEEK, Source()),
            ("2026-11", Source(channel="fhir", system="EHR")),
            ("2026-11-16", Source(channel="fhir", system="EHR")),
            ("2019-02-03", Source(channel="fhir", system="EHR")),
        ],
    )
    def test_a_measure_from_before_it_was_written_is_listed_and_does_not_ring(
        self, occurred_at: str, source: Source
    ) -> None:
        stream = self.arranged()
        stream.add(potassium("6.2"), occurred_at=occurred_at, source=source)
        summary = summary_of(stream)
        surely_before = occurred_at in (LAST_WEEK, "2019-02-03")
        assert len(summary.firing) == (not surely_before)
        assert len(summary.older_measures) == surely_before
        stream.add(IllnessSeveritySet(severity="stable"))
        assert summary_of(stream).older_measures == []

    def test_only_the_newest_of_many_old_measures_are_listed(self) -> None:
        stream = self.arranged()
        for day in range(1, 29):
            stream.add(potassium("6.2"), occurred_at=f"2020-02-{day:02d}")
        listed = [each.as_of for each in summary_of(stream).older_measures]
        assert sorted(listed) == [f"2020-02-{day}" for day in range(23, 29)]


DR_LENOIR = Author(role="doctor", name="Dr Paul Lenoir", person=UUID(int=8))
LAB = Source(channel="hprim", system="Laboratoire de l'exemple")
DAY = date(2026, 11, 23)


def result(value: str, status: ResultStatus = "final", **more: object) -> ResultReceived:
    line = ResultLine(code=POTASSIUM, value=Quantity(value=value, unit="mmol/L"))
    return ResultReceived(status=status, title="Ionogramme", lines=(line,), **more)  # type: ignore[arg-type]


class TestResults:
    def ordered(self) -> tuple[Stream, Event, Event]:
        stream = Stream()
        item = uuid5(stream.id, "2")
        order = stream.add(
            InvestigationOrdered(
                kind="laboratory", text="Ionogramme", expected_by="2026-11-20", item=item
            )
        )
        opened = stream.add(
            ItemOpened(kind="result", text="Ionogramme", due="2026-11-20", follows=order.event_id)
        )
        assert opened.event_id == item
        return stream, order, opened

    def state(self, stream: Stream, day: date = DAY) -> str:
        (one,) = summary_of(stream).results
        return one.state(day)

    def test_go_from_the_order_to_a_patient_who_was_told(self) -> None:
        stream, order, _ = self.ordered()
        assert self.state(stream, date(2026, 11, 20)) == "expected"
        assert self.state(stream, date(2026, 11, 21)) == "expected-late"
        partial = stream.add(result("5.1", "partial", order=order.event_id))
        assert self.state(stream) == "partial"
        final = stream.add(result("5.2", order=order.event_id), target=partial.event_id)
        assert self.state(stream) == "to-review"
        stream.add(ResultReviewed(verdict="known"), target=final.event_id)
        assert self.state(stream) == "to-inform"
        stream.add(ContactAttempted(channel="phone", outcome="no-answer"), target=final.event_id)
        assert self.state(stream) == "to-inform"
        stream.add(Informed(channel="phone"), target=final.event_id)
        assert self.state(stream) == "done"
        (one,) = summary_of(stream).results
        assert one.order is not None
        assert (one.order.entry_id, len(one.versions)) == (order.event_id, 2)

    def test_a_partial_one_that_was_read_is_not_done(self) -> None:
        stream, order, _ = self.ordered()
        partial = stream.add(result("5.1", "partial", order=order.event_id))
        stream.add(ResultReviewed(verdict="known", inform_patient=False), target=partial.event_id)
        assert self.state(stream) == "partial"

    def test_a_call_after_the_report_stands_beside_it(self) -> None:
        stream = Stream()
        lab: dict[str, Any] = {"report": "R1", "laboratory": "Labo"}
        final = stream.add(result("4.1", **lab))
        called = stream.add(result("6.4", "phoned", **lab))
        again = stream.add(result("6.6", "phoned", **lab), target=called.event_id)
        first, second = summary_of(stream).results
        assert [each.entry_id for each in first.versions] == [final.event_id]
        assert [each.entry_id for each in second.versions] == [called.event_id, again.event_id]
        assert second.state(DAY) == "to-review"

    @pytest.mark.parametrize(
        ("concept", "matched"),
        [
            (Concept(text="K", codings=(Coding(code="6298-4"),)), [True]),
            (Concept(text="Potassium plasmatique", codings=(Coding(code="K"),)), [False]),
            (Concept(text="Potassium urinaire"), []),
        ],
    )
    def test_sister_codes_fire_and_the_same_words_alone_are_to_be_read(
        self, concept: Concept, matched: list[bool]
    ) -> None:
        stream = TestContingencies().arranged()
        line = ResultLine(code=concept, value=Quantity(value="6.4", unit="mmol/L"))
        stream.add(ResultReceived(status="final", lines=(line,)))
        assert [each.matched for each in summary_of(stream).firing] == matched

    def test_a_phoned_one_that_was_read_still_waits_for_its_paper(self) -> None:
        stream = Stream()
        phoned = stream.add(result("6.4", "phoned", caller="Mme Exemple", read_back=True))
        assert self.state(stream) == "to-review"
        stream.add(ResultReviewed(verdict="critical", action="SAMU"), target=phoned.event_id)
        assert self.state(stream) == "partial"

    def test_a_corrected_one_is_to_be_read_again_and_names_who_had_read_it(self) -> None:
        stream = Stream()
        first = stream.add(result("5.1"))
        stream.add(
            ResultReviewed(verdict="known", inform_patient=False),
            target=first.event_id,
            author=DR_LENOIR,
        )
        assert self.state(stream) == "done"
        corrected = stream.add(result("6.1", "corrected"), target=first.event_id)
        (one,) = summary_of(stream).results
        assert one.state(DAY) == "to-review"
        assert one.corrected_after_review
        assert one.previous_review is not None
        assert one.previous_review.author == "Dr Paul Lenoir"
        assert [line.text for line in summary_of(stream).slot("results")] == ["Kaliémie 6,1 mmol/L"]
        stream.add(EntryMarkedInError(), target=corrected.event_id, reason="autre patient")
        assert self.state(stream) == "done"
        assert [line.text for line in summary_of(stream).slot("results")] == ["Kaliémie 5,1 mmol/L"]
        stream.add(EntryReinstated(), target=corrected.event_id, reason="c'était le bon")
        assert self.state(stream) == "to-review"
        assert [line.text for line in summary_of(stream).slot("results")] == ["Kaliémie 6,1 mmol/L"]

    def test_a_partial_that_comes_after_the_final_does_not_hide_it(self) -> None:
        stream = Stream()
        final = stream.add(result("6.9"))
        late = stream.add(result("4.1", "partial"), target=final.event_id)
        (one,) = summary_of(stream).results
        assert (one.entry_id, one.state(DAY)) == (final.event_id, "to-review")
        assert [each.entry_id for each in one.versions] == [late.event_id, final.event_id]
        assert [line.text for line in summary_of(stream).slot("results")] == ["Kaliémie 6,9 mmol/L"]
        stream.add(EntryMarkedInError(), target=final.event_id, reason="autre patient")
        assert self.state(stream) == "partial"

    def test_another_value_of_the_same_order_does_not_replace_what_was_phoned(self) -> None:
        stream, order, _ = self.ordered()
        stream.add(result("6.4", "phoned", order=order.event_id))
        stream.add(result("4.1", order=order.event_id))
        found = summary_of(stream).results
        assert [(one.status, one.state(DAY)) for one in found] == [
            ("phoned", "to-review"), ("final", "to-review"),
        ]  # fmt: skip

    def test_an_order_closed_as_no_longer_needed_is_cancelled_until_it_is_opened_again(
        self,
    ) -> None:
        stream, _, item = self.ordered()
        stream.add(ItemClosed(outcome="not-needed", evidence="refus"), target=item.event_id)
        assert self.state(stream) == "cancelled"
        stream.add(ItemReopened(), target=item.event_id, reason="le patient accepte")
        assert self.state(stream) == "expected-late"

    def test_an_imported_one_that_was_refused_leaves_what_it_answered_expected(self) -> None:
        stream, order, _ = self.ordered()
        came = stream.add(result("5.2", order=order.event_id), source=LAB)
        (one,) = summary_of(stream).results
        assert one.validation == "to-validate"
        stream.add(EntryValidated(verdict="refused"), target=came.event_id, reason="homonyme")
        assert self.state(stream) == "expected-late"
        assert summary_of(stream).slot("results") == []

    def test_meets_a_threshold_until_it_is_reviewed(self) -> None:
        stream = TestContingencies().arranged()
        came = stream.add(result("5.6"))
        assert [fired.matched for fired in summary_of(stream).firing] == [True]
        review = stream.add(ResultReviewed(verdict="critical", action="ECG"), target=came.event_id)
        assert summary_of(stream).firing == []
        stream.add(EntryMarkedInError(), target=review.event_id, reason="pas le bon patient")
        assert len(summary_of(stream).firing) == 1

    def test_activation_said_by_the_record_itself_is_not_counted_twice(self) -> None:
        stream = TestContingencies().arranged()
        came = stream.add(result("5.6"))
        stream.add(ContingencyActivated(by=came.event_id), target=stream.events[0].event_id)
        assert len(summary_of(stream).firing) == 1

    def test_a_withdrawn_contingency_rings_no_more(self) -> None:
        stream = TestContingencies().arranged()
        stream.add(result("5.6"))
        stream.add(ContingencyWithdrawn(), target=stream.events[0].event_id, reason="arrêté")
        assert summary_of(stream).firing == []
        assert not summary_of(stream).contingencies[0].current


class TestRevisions:
    def test_a_refuted_allergy_leaves_the_badge_and_says_why(self) -> None:
        stream = Stream()
        allergy = stream.add(AllergyRecorded(substance=Concept(text="Pénicilline")))
        refuted = stream.add(
            AllergyRevised(verification="refuted"), target=allergy.event_id, reason="test négatif"
        )
        summary = summary_of(stream)
        assert summary.allergy_state == "not-asked"
        (line,) = summary.slot("allergies")
        assert (line.state, line.why) == ("refuted", "test négatif")
        stream.add(EntryMarkedInError(), target=refuted.event_id, reason="autre patient")
        assert summary_of(stream).allergy_state == "known"

    def test_a_dose_that_changes_replaces_both_of_its_forms(self) -> None:
        stream = Stream()
        drug = stream.add(
            MedicationStarted(concept=Concept(text="Ramipril"), dose_text="1 cp de 5 mg")
        )
        change = MedicationChanged(dose=Quantity(value="10", unit="mg"))
        stream.add(change, target=drug.event_id, reason="TA haute")
        (line,) = summary_of(stream).slot("medications")
        assert line.text == "Ramipril, 10 mg"
        stream.add(MedicationStopped(stopped_on="2026-11-20"), target=drug.event_id, reason="toux")
        (line,) = summary_of(stream).slot("medications")
        assert (line.state, line.status, line.detail["end"], line.why) == (
            "past", "stopped", "2026-11-20", "toux",
        )  # fmt: skip

    def test_a_late_revision_does_not_undo_a_newer_one(self) -> None:
        stream = Stream()
        problem = stream.add(ProblemRecorded(concept=Concept(text="HTA")))
        stream.add(ProblemRevised(severity="sévère"), target=problem.event_id, reason="x")
        stream.add(
            ProblemRevised(severity="légère"),
            target=problem.event_id,
            reason="x",
            occurred_at=LAST_WEEK,
        )
        (line,) = summary_of(stream).slot("problems")
        assert line.detail["severity"] == "sévère"

    def test_many_revisions_keep_what_they_add_up_to(self) -> None:
        stream = Stream()
        drug = stream.add(MedicationStarted(concept=Concept(text="AVK"), indication="FA"))
        for number in range(20):
            change = MedicationChanged(dose_text=f"{number} mg")
            stream.add(change, target=drug.event_id, reason="INR")
        (line,) = summary_of(stream).slot("medications")
        assert line.text == "AVK, 19 mg, FA"
        assert len(line.revisions) < 8

    def test_a_vigilance_point_stands_past_its_day_until_it_is_lifted(self) -> None:
        stream = Stream()
        point = stream.add(VigilancePointSet(text="Vit seule", until="2026-11-01"))
        assert [line.current for line in summary_of(stream).slot("vigilance")] == [True]
        stream.add(VigilancePointLifted(), target=point.event_id, reason="vit chez sa fille")
        assert [line.current for line in summary_of(stream).slot("vigilance")] == [False]

    def test_an_item_keeps_its_age_and_its_first_words_come_back(self) -> None:
        stream = Stream()
        item = stream.add(ItemOpened(kind="call", text="Appeler", due="2026-11-20"))
        wrong = stream.add(
            ItemRevised(due="2026-12-20"), target=item.event_id, reason="mauvais patient"
        )
        (kept,) = summary_of(stream).open_items
        assert (kept.due, kept.line.as_of) == ("2026-12-20", item.envelope.occurred_at)
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="mauvais patient")
        (kept,) = summary_of(stream).open_items
        assert kept.due == "2026-11-20"

    def test_an_offer_keeps_the_owner_until_it_is_accepted(self) -> None:
        stream = Stream()
        item = stream.add(ItemOpened(kind="call", text="Appeler", no_deadline=True))
        offer = ItemOffered(to=Owner(person=UUID(int=8)), to_name="Dr Paul Lenoir")
        stream.add(offer, target=item.event_id)
        (kept,) = summary_of(stream).open_items
        assert (kept.state, kept.owner) == ("offered", {})
        stream.add(ItemDeclined(), target=item.event_id, reason="je pars")
        assert summary_of(stream).open_items[0].state == "open"
        stream.add(offer, target=item.event_id)
        stream.add(ItemAccepted(owner=Owner(person=UUID(int=8))), target=item.event_id)
        (kept,) = summary_of(stream).open_items
        assert (kept.state, kept.owner["person"]) == ("open", str(UUID(int=8)))


class TestValidation:
    def test_an_imported_line_waits_for_a_doctor(self) -> None:
        stream = Stream()
        line = stream.add(AllergyRecorded(substance=Concept(text="Iode")), source=LAB)
        typed = stream.add(ProblemRecorded(concept=Concept(text="HTA")))
        summary = summary_of(stream)
        assert [each.entry_id for each in summary.to_validate] == [line.event_id]
        assert summary.allergy_state == "known", "a danger counts before anybody has accepted it"
        (kept,) = summary.slot("problems")
        assert (kept.entry_id, kept.validation) == (typed.event_id, "")
        stream.add(EntryValidated(verdict="accepted"), target=line.event_id)
        (kept,) = summary_of(stream).slot("allergies")
        assert kept.validation == "accepted"
        assert kept.validated is not None

    def test_a_refused_line_gives_back_what_it_had_replaced(self) -> None:
        stream = Stream()
        source = Source(channel="fhir", system="EHR", source_id="AllergyIntolerance/1")
        first = stream.add(AllergyRecorded(substance=Concept(text="Iode")), source=source)
        stream.add(EntryValidated(verdict="accepted"), target=first.event_id)
        newer = stream.add(
            AllergyRecorded(substance=Concept(text="Iode"), criticality="high"),
            source=source,
            target=first.event_id,
        )
        assert [each.entry_id for each in summary_of(stream).slot("allergies")] == [newer.event_id]
        stream.add(EntryValidated(verdict="refused"), target=newer.event_id, reason="faux")
        summary = summary_of(stream)
        assert [each.entry_id for each in summary.slot("allergies")] == [first.event_id]
        states = {each.entry_id: each.state for each in summary.slot("allergies", every=True)}
        assert states[newer.event_id] == "refused"


class TestWhoThePatientIs:
    def test_ins_status_is_the_last_that_stands(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="EXEMPLE"))
        wrong = stream.add(InsStatusChanged(status="qualifiee", proof="passeport"))
        identity = summary_of(stream).identity
        assert identity is not None
        assert identity.identity_status == "qualifiee"
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="autre patient")
        identity = summary_of(stream).identity
        assert identity is not None
        assert identity.identity_status == "provisoire"

    def test_an_appointment_is_what_the_agenda_last_said(self) -> None:
        stream = Stream()
        for starts_at, status in (("2026-11-24T09:00:00+01:00", "booked"),
                                  ("2026-11-25T10:00:00+01:00", "booked")):  # fmt: skip
            stream.add(AppointmentNoticed(starts_at=starts_at, status=status, reference="A1"))  # type: ignore[arg-type]
        following = summary_of(stream).next_appointment(DAY)
        assert following is not None
        assert following.detail["starts_at"].startswith("2026-11-25")
        stream.add(
            AppointmentNoticed(
                starts_at="2026-11-25T10:00:00+01:00", status="cancelled", reference="A1"
            )
        )
        assert summary_of(stream).next_appointment(DAY) is None

    def test_many_past_appointments_never_push_out_the_next_one(self) -> None:
        stream = Stream()
        for number in range(60):
            starts_at = (MONDAY - timedelta(days=60 - number)).isoformat()
            stream.add(AppointmentNoticed(starts_at=starts_at, reference=f"P{number}"))
        stream.add(AppointmentNoticed(starts_at="2026-12-01T09:00:00+01:00", reference="N"))
        for number in range(60, 120):
            starts_at = (MONDAY - timedelta(days=120 - number)).isoformat()
            stream.add(AppointmentNoticed(starts_at=starts_at, reference=f"P{number}"))
        summary = summary_of(stream)
        assert len(summary.appointments) <= 24
        following = summary.next_appointment(DAY)
        assert following is not None
        assert following.detail["reference"] == "N"
        assert [line.detail["reference"] for line in extract(summary).appointments] == ["N"]

    def test_an_ald_is_in_force_until_it_ends(self) -> None:
        stream = Stream()
        stream.add(AldStatusChanged(status="granted", code="8"))
        stream.add(AldStatusChanged(status="granted", code="30"))
        stream.add(AldStatusChanged(status="ended", code="30"))
        assert [line.detail["code"] for line in summary_of(stream).ald_in_force] == ["8"]

    def test_a_question_is_open_until_it_is_answered(self) -> None:
        stream = Stream()
        asked = stream.add(QuestionAsked(to=UUID(int=8), to_name="Dr Paul Lenoir", text="?"))
        assert [each.to for each in summary_of(stream).open_questions] == [UUID(int=8)]
        stream.add(QuestionAnswered(text="Toux"), target=asked.event_id, author=DR_LENOIR)
        assert summary_of(stream).open_questions == []

    def test_a_challenge_stands_beside_the_problem_until_somebody_answers(self) -> None:
        stream = Stream()
        problem = stream.add(ProblemRecorded(concept=Concept(text="Arthrose")))
        stream.add(
            OpinionRecorded(stance="challenges", text="goutte ?"),
            target=problem.event_id,
            author=DR_LENOIR,
        )
        summary = summary_of(stream)
        (line,) = summary.slot("problems")
        assert summary.challenge_of(line) is not None
        stream.add(ProblemRevised(clinical_status="active"), target=problem.event_id, reason="vu")
        summary = summary_of(stream)
        (line,) = summary.slot("problems")
        assert summary.challenge_of(line) is None


def years(count: int) -> Stream:
    """A record of that many years of care, six visits a year, each with all that a visit makes."""
    stream = Stream()
    stream.add(Registered(birth_name="EXEMPLE", first_names=("Jeanne",), birth_date="1948"))
    text = "Suivi au long cours, bien toléré. " * 12
    for visit in range(count * 6):
        at = MONDAY + timedelta(days=60 * visit)
        day = at.date().isoformat()
        stream.add(EncounterRecorded(mode="cabinet", reason="suivi"), at=at)
        stream.add(NoteSigned(one_liner="HTA équilibrée", subjective=text, plan=text), at=at)
        stream.add(potassium("4.1"), at=at)
        stream.add(IllnessSeveritySet(severity="watcher", reason=f"poids {visit}"), at=at)
        item = uuid5(stream.id, str(len(stream.events) + 2))
        order = stream.add(
            InvestigationOrdered(kind="laboratory", text="Bilan", expected_by=day, item=item), at=at
        )
        stream.add(ItemOpened(kind="result", text="Bilan", due=day, follows=order.event_id), at=at)
        came = stream.add(
            ResultReceived(
                status="final",
                order=order.event_id,
                lines=tuple(
                    ResultLine(
                        code=Concept(text=f"Analyse {n}", codings=(Coding(code=f"{n}-1"),)),
                        value=Quantity(value="1.0", unit="g/L"),
                    )
                    for n in range(15)
                ),
            ),
            at=at,
        )
        stream.add(ResultReviewed(verdict="normal"), target=came.event_id, at=at)
        stream.add(Informed(channel="phone"), target=came.event_id, at=at)
        stream.add(ItemClosed(outcome="done", evidence="prévenue"), target=item, at=at)
        drug = stream.add(MedicationStarted(concept=Concept(text=f"Produit {visit}")), at=at)
        stream.add(MedicationStopped(stopped_on=day), target=drug.event_id, reason="fini", at=at)
        stream.add(AppointmentNoticed(starts_at=at.isoformat(), reference=f"A{visit}"), at=at)
        stream.add(HandoverWritten(severity="watcher", summary="HTA", situation=text), at=at)
    return stream


class TestTheRow:
    def test_is_no_larger_after_ten_years_than_after_five(self) -> None:
        five, ten = (len(to_bytes(summary_of(years(count)))) for count in (5, 10))
        assert ten < five * 1.1, "what is bounded may be fuller, and no more"
        assert ten < 60_000

    def test_of_the_briefing_is_smaller_and_bounded(self) -> None:
        five, ten = (len(to_bytes(extract(summary_of(years(count))))) for count in (5, 10))
        assert ten < five * 1.05
        assert ten < 30_000


class TestReviewOfTheSummary:
    def due(self, stream: Stream, day: date = DAY) -> date | None:
        found = review_due(summary_of(stream), load_rules(), day)
        return found.due if found else None

    def opened(self, birth_date: str = "1980-01-01") -> Stream:
        stream = Stream()
        stream.add(Registered(birth_name="EXEMPLE", birth_date=birth_date))
        return stream

    def test_is_due_after_a_year_and_after_three_months_for_who_is_frail(self) -> None:
        assert self.due(self.opened()) == date(2027, 11, 16)
        assert self.due(self.opened("1951-11-23")) == date(2027, 2, 16)
        assert self.due(self.opened("1951-11-24")) == date(2027, 11, 16)
        ald = self.opened()
        ald.add(AldStatusChanged(status="granted", code="8"))
        assert self.due(ald) == date(2027, 2, 16)
        ehpad = self.opened()
        ehpad.add(EncounterRecorded(mode="ehpad"))
        assert self.due(ehpad) == date(2027, 2, 16)

    def test_counts_from_the_last_reading_that_stands_and_no_later_than_it_said(self) -> None:
        stream = self.opened()
        read = stream.add(SummaryReviewed(next_review="2027-01-31"))
        assert self.due(stream) == date(2027, 1, 31)
        stream.add(EntryMarkedInError(), target=read.event_id, reason="autre patient")
        assert self.due(stream) == date(2027, 11, 16)
        stream.add(SummaryReviewed(next_review="2040-01-01"))
        assert self.due(stream) == date(2027, 11, 16)
        stream.add(DeathRecorded(date="2026-11-20", source="famille"))
        assert self.due(stream) is None
