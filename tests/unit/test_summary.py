from __future__ import annotations

from datetime import timedelta

import pytest

from releve.domain.aggregates import CODEC, REGISTRY
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.identity import MedecinTraitantDeclared, Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.events import Source
from releve.domain.values import Coding, Component, Concept, Quantity, Threshold
from releve.projections import patient_summary, wording
from releve.projections.patient_summary import (
    PatientSummary,
    fold,
    fold_all,
    from_bytes,
    to_bytes,
)
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
