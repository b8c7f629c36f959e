"""What stands in the slots: three states, what is current, revised, imported and validated."""

from __future__ import annotations

from uuid import UUID

import pytest

from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    AllergyRevised,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationStarted,
    MedicationStopped,
)
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.offers import ItemAccepted, ItemDeclined, ItemOffered
from releve.domain.aggregates.patient.open_items import ItemOpened, ItemRevised
from releve.domain.aggregates.patient.problems import ProblemRecorded, ProblemRevised
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.aggregates.patient.vigilance import VigilancePointLifted, VigilancePointSet
from releve.domain.events import Source
from releve.domain.values import Coding, Component, Concept, Owner, Quantity
from support.patient_events import LAST_WEEK, Stream, summary_of
from support.results import measure

HPRIM = Source(channel="hprim", system="Laboratoire de l'exemple")


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

    def test_an_active_allergy_always_wins_over_what_it_contradicts(self) -> None:
        stream = Stream()
        stream.add(AbsenceAsserted(slot="allergies"))
        food = stream.add(AbsenceAsserted(slot="allergies", part="food"))
        drug = stream.add(AbsenceAsserted(slot="allergies", part="drug"))
        assert summary_of(stream).allergy_state == "none"
        peanut = stream.add(
            AllergyRecorded(substance=Concept(text="Arachide"), categories=("food",))
        )
        presence = summary_of(stream).presence("allergies")
        assert (presence.state, presence.absence) == ("known", None)
        assert [line.entry_id for line in presence.parts] == [drug.event_id]
        stream.add(EntryMarkedInError(), target=peanut.event_id, reason="autre patient")
        presence = summary_of(stream).presence("allergies")
        assert presence.state == "none"
        assert [line.entry_id for line in presence.parts] == [food.event_id, drug.event_id]

    def test_a_treatment_contradicts_none_and_an_allergy_says_nothing_of_treatments(self) -> None:
        stream = Stream()
        stream.add(AbsenceAsserted(slot="medications"))
        stream.add(AllergyRecorded(substance=Concept(text="Iode"), categories=("medication",)))
        assert summary_of(stream).presence("medications").state == "none"
        assert len(summary_of(stream).absences_in_force("medications")) == 1
        stream.add(MedicationStarted(concept=Concept(text="Ramipril")))
        assert summary_of(stream).absences_in_force("medications") == []

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
        stream.add(measure("4.10"))
        summary = summary_of(stream)
        assert [line.text for line in summary.slot("vital-signs")] == ["TA systolique 142 mmHg"]
        assert [line.text for line in summary.slot("results")] == ["Potassium 4,10 mmol/L"]


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
        line = stream.add(AllergyRecorded(substance=Concept(text="Iode")), source=HPRIM)
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

    def test_a_refutation_that_nobody_accepted_stands_beside_what_was_accepted(self) -> None:
        stream = Stream()
        source = Source(channel="fhir", system="EHR", source_id="AllergyIntolerance/1")
        iodine = Concept(text="Iode")
        first = stream.add(AllergyRecorded(substance=iodine), source=source)
        stream.add(EntryValidated(verdict="accepted"), target=first.event_id)
        refuted = stream.add(
            AllergyRecorded(substance=iodine, verification="refuted"),
            source=source,
            target=first.event_id,
        )
        summary = summary_of(stream)
        assert summary.allergy_state == "known"
        assert [each.entry_id for each in summary.to_validate] == [refuted.event_id]
        assert [(each.entry_id, each.state) for each in summary.slot("allergies")] == [
            (first.event_id, "current"), (refuted.event_id, "refuted"),
        ]  # fmt: skip
        stream.add(EntryValidated(verdict="accepted"), target=refuted.event_id)
        summary = summary_of(stream)
        assert (summary.allergy_state, summary.to_validate) == ("not-asked", [])
        assert [each.entry_id for each in summary.slot("allergies")] == [refuted.event_id]

    def test_many_unjudged_versions_do_not_make_the_accepted_one_forgotten(self) -> None:
        stream = Stream()
        source = Source(channel="fhir", system="EHR", source_id="MedicationStatement/1")
        last = first = stream.add(MedicationStarted(concept=Concept(text="X")), source=source)
        stream.add(EntryValidated(verdict="accepted"), target=first.event_id)
        for day in range(30):
            last = stream.add(
                MedicationStarted(concept=Concept(text="X"), status="stopped", end=f"{2000 + day}"),
                source=source,
                target=last.event_id,
            )
        summary = summary_of(stream)
        assert [each.entry_id for each in summary.to_validate] == [last.event_id]
        assert first.event_id in [each.entry_id for each in summary.slot("medications")]
        stream.add(EntryValidated(verdict="accepted"), target=last.event_id)
        summary = summary_of(stream)
        assert [each.entry_id for each in summary.slot("medications")] == [last.event_id]
