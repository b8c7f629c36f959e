"""A laboratory's values without a report: results, by sample; a summary's stay measures."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.bundles import (
    PATIENT,
    Resource,
    accepted,
    coded,
    collection,
    imported,
    raw,
)
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.events import Event
from releve.fhir.document_content import to_receive
from releve.fhir.received_document import read_document

LOINC = "http://loinc.org"
HL7 = "http://terminology.hl7.org/CodeSystem"
LABORATORY = [{"coding": [{"system": f"{HL7}/observation-category", "code": "laboratory"}]}]
MORNING = "2026-11-20T08:10:00+01:00"
WRITTEN = "2026-11-21T09:00:00+01:00"


def value(loinc: str, number: float, *, unit: str = "mmol/L", **other: Any) -> Resource:
    made: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "category": LABORATORY,
        "code": coded(loinc, f"test {loinc}", LOINC),
        "subject": {"reference": PATIENT},
        "effectiveDateTime": MORNING,
        "valueQuantity": {"value": number, "unit": unit},
        **other,
    }
    return {key: said for key, said in made.items() if said is not None}


def payloads(*resources: Resource) -> list[Any]:
    return [one.payload for one in accepted(raw(collection(*resources))).entries]


def summary(*resources: Resource, kind: str = "60591-5") -> Resource:
    """A document of that kind that tells ``resources`` among what is known."""
    told = collection(*resources)
    about = {"reference": PATIENT}
    sections: list[Resource] = [
        {
            "title": title,
            "code": coded(code, title, LOINC),
            "text": {
                "status": "generated",
                "div": '<div xmlns="http://www.w3.org/1999/xhtml">-</div>',
            },
            "emptyReason": {"text": "non renseigné"},
        }
        for code, title in (
            ("11450-4", "Problèmes"),
            ("48765-2", "Allergies"),
            ("10160-0", "Traitements"),
        )
    ]
    composition: Resource = {
        "resourceType": "Composition",
        "status": "final",
        "type": coded(kind, "Document", LOINC),
        "subject": about,
        "date": WRITTEN,
        "author": [{"display": "Dr Exemple"}],
        "title": "Document",
        "section": sections,
    }
    entry = {"fullUrl": "urn:uuid:0d6d3f36-7ac5-4ac6-9a3a-8e0f3a5c00c0", "resource": composition}
    return {
        **told,
        "type": "document",
        "timestamp": WRITTEN,
        "identifier": {"system": "urn:oid:1.2.250.1.999.9", "value": "DOC-1"},
        "entry": [entry, *told["entry"]],
    }


def of_summary(*resources: Resource, kind: str = "60591-5") -> list[Any]:
    return [one.payload for one in accepted(raw(summary(*resources, kind=kind))).entries]


def opened(events: list[Event]) -> int:
    return sum(isinstance(event.payload, ItemOpened) for event in events)


def test_a_lone_value_is_a_result_with_an_item() -> None:
    events = imported(raw(collection(value("2823-3", 7.6))))
    (result,) = [one for one in events if isinstance(one.payload, ResultReceived)]
    assert isinstance(result.payload, ResultReceived)
    assert (result.payload.status, result.payload.title) == ("final", "test 2823-3")
    assert result.payload.sampled_at == MORNING
    assert opened(events) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"category": None},
        {"category": [{"coding": [{"system": f"{HL7}/v2-0074", "code": "LAB"}]}]},
        {"category": None, "valueQuantity": {"value": 6, "comparator": ">", "unit": "mmol/L"}},
        {"valueQuantity": None, "valueString": "hémolysé"},
        {"valueQuantity": None, "valueInteger": 7},
    ],
)
def test_an_analyte_of_the_rules_needs_no_category(changed: Resource) -> None:
    (result,) = payloads(value("2823-3", 7.6, **changed))
    assert isinstance(result, ResultReceived)
    assert len(result.lines) == 1


@pytest.mark.parametrize(
    ("code", "category"),
    [("2339-0", "vital-signs"), ("8867-4", "vital-signs"), ("29463-7", None), ("2823-3", "exam")],
)
def test_what_no_laboratory_measured_stays_a_measure(code: str, category: str | None) -> None:
    said = category and [{"coding": [{"system": f"{HL7}/observation-category", "code": category}]}]
    (measure,) = payloads(value(code, 72, unit="/min", category=said))
    assert isinstance(measure, ObservationRecorded)


def test_the_values_of_one_sample_are_one_result() -> None:
    lab, other = [{"display": "Labo A"}], [{"display": "Labo B"}]
    found = payloads(
        value("2823-3", 4.1, performer=lab),
        value("2951-2", 140, performer=lab),
        value("2160-0", 80, performer=lab, effectiveDateTime="2026-11-20T18:00:00+01:00"),
        value("718-7", 13, performer=other, unit="g/dL"),
        value("6301-6", 1, performer=lab, unit="{INR}"),
        value("1988-5", 3, performer=lab, unit="mg/L"),
    )
    assert sorted((len(each.lines), each.laboratory) for each in found) == [
        (1, "Labo A"),
        (1, "Labo B"),
        (4, "Labo A"),
    ]
    (panel,) = [each for each in found if len(each.lines) == 4]
    assert panel.title == "test 2823-3, test 2951-2, test 6301-6 et 1 autre"


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        (("final", "preliminary"), "partial"),
        (("final", "corrected"), "corrected"),
        (("corrected", "unknown"), "partial"),
        (("final", "final"), "final"),
    ],
)
def test_a_sample_is_as_far_as_its_least_advanced_value(stated: tuple[str, str], kept: str) -> None:
    first, second = stated
    (result,) = payloads(value("2823-3", 4.1, status=first), value("2951-2", 140, status=second))
    assert result.status == kept


def test_a_value_taken_back_by_its_source_is_no_result() -> None:
    (measure,) = payloads(value("2823-3", 7.6, status="entered-in-error"))
    assert isinstance(measure, ObservationRecorded)


def test_the_same_sample_again_is_no_event_in_whatever_bundle_and_order_its_values_come() -> None:
    potassium, sodium = value("2823-3", 7.6), value("2951-2", 140)
    potassium["identifier"] = [{"system": "urn:oid:1.2.250.1.999.3", "value": "K-1"}]
    sodium["identifier"] = [{"system": "urn:oid:1.2.250.1.999.3", "value": "NA-1"}]
    first = collection(potassium, sodium)
    events = imported(raw(first))
    later = collection(value("2160-0", 80, effectiveDateTime=WRITTEN), potassium, sodium)
    assert len(imported(raw(first), raw(first))) == len(events)
    again = imported(raw(first), raw(later))[len(events) :]
    (new,) = [one for one in again if isinstance(one.payload, ResultReceived)]
    assert isinstance(new.payload, ResultReceived)
    assert new.payload.title == "test 2160-0"

    corrected = {**potassium, "status": "corrected"}
    corrected["valueQuantity"] = {"value": 4.6, "unit": "mmol/L"}
    turned = imported(raw(first), raw(collection(sodium, corrected)))
    (newer,) = [one for one in turned[len(events) :] if isinstance(one.payload, ResultReceived)]
    (older,) = [one for one in events if isinstance(one.payload, ResultReceived)]
    assert newer.envelope.target == older.event_id
    assert isinstance(newer.payload, ResultReceived)
    assert newer.payload.status == "corrected"


def test_what_a_report_speaks_for_is_not_told_twice() -> None:
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": "Ionogramme"},
        "subject": {"reference": PATIENT},
        "result": [{"reference": "urn:uuid:0d6d3f36-7ac5-4ac6-9a3a-8e0f3a5c0009"}],
    }
    bundle = collection(report, value("2951-2", 140))
    bundle["entry"].append(
        {"fullUrl": report["result"][0]["reference"], "resource": value("2823-3", 4.1)}
    )
    found: list[Any] = [one.payload for one in accepted(raw(bundle)).entries]
    assert [each.title for each in found] == ["Ionogramme", "test 2951-2"]


def test_nothing_of_a_sample_is_dropped_in_silence() -> None:
    noted = value("2951-2", 140, note=[{"text": "garrot prolongé"}])
    planned = accepted(raw(collection(value("2823-3", 4.1), noted)))
    assert [one.path for one in planned.document.unmapped] == ["Bundle.entry[2].resource.note[0]"]


def test_years_of_values_of_a_summary_stay_measures_without_an_item() -> None:
    values = [
        value("2823-3", 4.1, effectiveDateTime=f"20{year}-0{month}-11T08:00:00+01:00")
        for year in range(16, 26)
        for month in range(1, 10)
    ]
    recent = value("2823-3", 4.2)
    events = imported(raw(summary(*values, recent)))
    assert sum(isinstance(one.payload, ObservationRecorded) for one in events) == 91
    assert opened(events) == 0


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, ResultReceived),
        ({"effectiveDateTime": "2026-09-22"}, ResultReceived),  # sixty days before it was written
        ({"effectiveDateTime": "2026-09-21"}, ObservationRecorded),
        ({"effectiveDateTime": None}, ResultReceived),
        ({"valueQuantity": {"value": 6.0, "unit": "mmol/L"}}, ObservationRecorded),
        ({"valueQuantity": {"value": 2.7, "unit": "mmol/L"}}, ResultReceived),
        ({"valueQuantity": {"value": 30, "unit": "mg/dL"}}, ObservationRecorded),
        (
            {
                "code": coded("1751-7", "Albumine", LOINC),
                "interpretation": [{"coding": [{"code": "LL"}]}],
            },
            ResultReceived,
        ),
        ({"code": coded("1751-7", "Albumine", LOINC)}, ObservationRecorded),
    ],
)
def test_a_critical_value_of_a_summary_that_was_news_is_a_result(
    changed: Resource, kind: type
) -> None:
    (found,) = of_summary(value("2823-3", 7.6, **changed))
    assert isinstance(found, kind)


@pytest.mark.parametrize("kind", ["11502-2", "11488-4"])
def test_a_document_that_is_no_summary_sends_its_values(kind: str) -> None:
    (found,) = of_summary(value("2823-3", 4.1), kind=kind)
    assert isinstance(found, ResultReceived)


@pytest.mark.parametrize(
    ("told", "values"),
    [
        (value("2823-3", 30, unit="mg/dL"), ["30"]),
        (value("2823-3", 4.1, effectiveDateTime="2019-02-03"), []),
        (value("2823-3", 7.6), ["7.6"]),
    ],
)
def test_the_inbox_is_told_the_recent_values_of_a_summary(
    told: Resource, values: list[str]
) -> None:
    content = raw(summary(told))
    command, _ = to_receive(read_document(content), content)
    assert [line.value.value for line in command.results if line.value] == values
