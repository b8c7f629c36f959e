"""What the patient's page is given: doubtful treatments, old measures, the handover to read."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from releve.api.pages import record_views, views
from releve.domain.aggregates.patient.allergies import AllergyRecorded
from releve.domain.aggregates.patient.contact_details import ContactDetailsChanged
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.encounters import NoteSigned
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.summary_review import SummaryReviewed
from releve.domain.events import Author, Source
from releve.domain.values import Concept, Sex
from releve.projections.dates import Moment
from releve.projections.directory import Directory
from releve.projections.rule_release import CURRENT, load_rules
from support.patient_events import Stream, summary_of
from support.results import IF_THEN, measure, result

AT = Moment(datetime(2026, 11, 23, 7, 30, tzinfo=UTC), "Europe/Paris")


def test_a_treatment_past_its_planned_end_is_shown_as_to_be_checked() -> None:
    stream = Stream()
    stream.add(
        MedicationStarted(concept=Concept(text="Ramipril"), status="active", end="2026-01-10"),
        source=Source(channel="fhir", system="EHR"),
    )
    boxes = {box["name"]: box for box in views.boxes(summary_of(stream), AT)}
    (line,) = boxes["medications"]["lines"]
    assert line["text"] == "Ramipril, fin prévue le 10/01/2026 dépassée (à vérifier)"
    earlier = Moment(datetime(2026, 1, 10, 22, tzinfo=UTC), "Europe/Paris")
    boxes = {box["name"]: box for box in views.boxes(summary_of(stream), earlier)}
    (line,) = boxes["medications"]["lines"]
    assert line["text"] == "Ramipril, jusqu'au 10/01/2026"


def test_the_one_liner_fades_after_the_days_of_the_signed_rules_as_on_the_card() -> None:
    stream = Stream()
    stream.add(IllnessSeveritySet(severity="stable"))
    stream.add(NoteSigned(one_liner="HTA"), occurred_at="2026-10-01")
    rules = load_rules(CURRENT)
    shorter = msgspec.structs.replace(rules, stale_days={**rules.stale_days, "stable": 20})
    for each, faded in ((rules, False), (shorter, True)):
        line = views.one_liner(summary_of(stream), AT, each)
        assert line is not None
        assert line["stale"] is faded


def test_a_board_names_its_patient_by_birth_sex_and_same_name() -> None:
    said = {}
    people: tuple[tuple[Sex, str], ...] = (
        ("male", "2011-11-24"), ("female", "2011-11-23"), ("female", "1948-03-02"),
    )  # fmt: skip
    for number, (sex, born) in enumerate(people):
        stream = Stream(number)
        stream.add(Registered(birth_name="ROUX", first_names=("Alix",), sex=sex, birth_date=born))
        summary = summary_of(stream)
        shown = views.who_on_a_board(summary, AT, frozenset({"roux alix"}), clinical=bool(number))
        assert shown["namesake"]
        assert (shown["allergy"] is not None) == bool(number)
        said[born] = shown["said"]
    assert said == {
        "2011-11-24": "né le 24/11/2011 · 14 ans · garçon",
        "2011-11-23": "née le 23/11/2011 · 15 ans · femme",
        "1948-03-02": "née le 02/03/1948 · 78 ans · femme",
    }


def test_two_people_of_one_name_are_told_apart_and_the_dead_are_said_to_be() -> None:
    one, other = Stream(1), Stream(2)
    for stream, place in ((one, "23096"), (other, "87085")):
        stream.add(
            Registered(birth_name="ROUX", first_names=("Alix",), sex="female",
                       birth_date="1948-03-02", birth_place=place)
        )  # fmt: skip
    other.add(ContactDetailsChanged(phones=(("mobile", "06 39 98 00 01"),)))
    other.add(DeathRecorded(date="2026-11-20", source="famille"))
    first, second = summary_of(one), summary_of(other)
    shared = frozenset({"roux alix"})
    here = views.who_on_a_board(first, AT, shared, clinical=False)
    there = views.who_on_a_board(second, AT, shared, clinical=False)
    assert (here["apart"], here["died"]) == ("commune de naissance 23096", "")
    assert there["apart"] == "commune de naissance 87085, tél. 06 39 98 00 01"
    assert there["died"] == "décédée le 20/11/2026"
    assert views.who_on_a_board(first, AT, frozenset(), clinical=False)["apart"] == ""
    bar = views.identity(first, AT, Directory([]), [second])
    assert bar["namesakes"] == ["né le même jour"]
    assert bar["apart"] == "commune de naissance 23096"
    assert views.identity(first, AT, Directory([]))["apart"] == ""


def test_a_critical_result_that_nobody_read_stands_first_and_says_so() -> None:
    stream = Stream()
    stream.add(result("final", "4.1"))
    stream.add(result("final", "6.4"))
    shown = record_views.open_results(summary_of(stream), AT, load_rules(CURRENT))
    assert [(each["critical"], each["values"]) for each in shown] == [
        (["Potassium 6,4 mmol/L"], ["Potassium 6,4 mmol/L"]), ([], ["Potassium 4,1 mmol/L"]),
    ]  # fmt: skip


def test_a_sender_is_named_once_with_the_day_it_came_and_never_by_its_identifier() -> None:
    for system, author, shown in (
        ("Labo A", "Labo A", "import CDA du 16/11/2026"),
        ("urn:oid:1.2.250.1.71.4.2.2|1990000101", "Dr Vidal, Labo A", "import CDA du 16/11/2026"),
        ("1.2.250.1.71.4.2.2", "Labo A", "import CDA du 16/11/2026"),
        ("Hôpital B", "Dr Vidal", "import CDA du 16/11/2026, Hôpital B"),
    ):
        stream = Stream()
        stream.add(
            AllergyRecorded(substance=Concept(text="Iode")),
            source=Source(channel="cda", system=system, author=author),
        )
        (line,) = summary_of(stream).slot("allergies")
        assert line.source_words == shown


def test_a_refuted_allergy_is_never_called_active() -> None:
    stream = Stream()
    for clinical, verification in (("active", "refuted"), ("resolved", "confirmed")):
        stream.add(
            AllergyRecorded(
                substance=Concept(text="Iode"),
                clinical_status=clinical,
                verification=verification,
            )
        )
    (box,) = (box for box in views.boxes(summary_of(stream), AT) if box["name"] == "allergies")
    assert {line["past"] for line in box["past"]} == {"réfutée", "résolue"}


def test_the_newest_old_measure_stands_beside_its_contingency() -> None:
    stream = Stream()
    stream.add(IF_THEN)
    for value, day in (("6.1", "2026-11-12"), ("5.9", "2026-11-05")):
        stream.add(measure(value), occurred_at=day)
    (shown,) = views.contingencies(summary_of(stream), AT)
    assert shown["older"] == ["Potassium 6,1 mmol/L, 12/11/2026"]
    assert views.fired(summary_of(stream)) == []


def test_the_handover_to_read_is_the_latest_by_clinical_time() -> None:
    stream = Stream()
    stream.add(HandoverWritten(severity="unstable", summary="Aujourd'hui"))
    stream.add(
        HandoverWritten(severity="stable", summary="La semaine dernière"),
        author=Author(role="referent", name="Dr Odile Référente"),
        occurred_at="2026-11-09T10:00:00+01:00",
    )
    received = views.handover(summary_of(stream))
    assert received is not None
    assert received["summary"] == "Aujourd'hui"


def test_a_summary_that_nobody_read_in_time_says_so_until_it_is_read() -> None:
    def late(stream: Stream, year: int) -> str:
        at = Moment(datetime(year, 11, 23, 7, 30, tzinfo=UTC), "Europe/Paris")
        found = record_views.administrative(summary_of(stream), at, load_rules())
        return str(found["review_late"])

    stream = Stream()
    stream.add(Registered(birth_name="EXEMPLE", birth_date="1980-01-01"))
    assert late(stream, 2026) == ""
    assert late(stream, 2027) == "depuis le 16/11/2027, jamais relue"
    stream.add(SummaryReviewed())
    assert late(stream, 2026) == ""
    assert late(stream, 2027) == "depuis le 16/11/2027"
