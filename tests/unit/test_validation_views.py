"""What the page of lines to judge shows of a record, from its events alone."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from releve.api.pages.validation_views import Waiting
from releve.domain.aggregates.patient.allergies import AllergyRecorded
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.history import ProcedureRecorded
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.errors import NotFound
from releve.domain.events import Payload, Source
from releve.domain.values import Coding, Concept, Quantity, Unmapped
from releve.projections.dates import Moment
from releve.projections.rule_release import CURRENT, load_rules
from support.given import AVAL, NOW, Told, entry, events

IDENTITY = Registered(birth_name="EXEMPLE")
SHA = "ab" * 32
VSM = Source(channel="cda", system="Centre hospitalier", original_sha256=SHA)
AT = Moment(NOW, "Europe/Paris")
RULES = load_rules(CURRENT)
ASTHMA = ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active")


def sent(payload: Payload, **more: Any) -> Told:
    return Told(payload, source=VSM, **more)


def waiting(*told: Payload | Told) -> Waiting:
    return Waiting(events((IDENTITY, *told)), AT, RULES)


def rows(found: Waiting) -> dict[str, dict[str, Any]]:
    """Every line that is shown, by its id."""
    return {
        row["entry_id"]: row
        for document in found.documents()
        for slot in document["slots"]
        for row in slot["lines"]
    }


def test_a_document_is_named_with_what_was_not_taken_over() -> None:
    original = DocumentAttached(
        sha256=SHA, size=1, media_type="text/xml", title="Synthèse",
        unmapped=(Unmapped(path="section[3]", type="grossesse"),), warnings=("Sans date",),
    )  # fmt: skip
    (document,) = waiting(sent(original), sent(ASTHMA)).documents()
    assert document["title"] == "Synthèse"
    assert (document["unmapped"], document["warnings"]) == (
        ["rubrique : grossesse"],
        ["Sans date"],
    )
    (bare,) = waiting(sent(ASTHMA)).documents()
    assert bare["title"] == "Lignes reçues"


def test_a_new_version_says_what_it_takes_the_place_of() -> None:
    older = MedicationStarted(concept=Concept(text="Ramipril"), dose_text="5 mg le matin")
    newer = MedicationStarted(concept=Concept(text="Ramipril"), dose_text="10 mg le matin")
    found = rows(waiting(sent(older), sent(newer, target=entry(2))))
    assert list(found) == [str(entry(3))]
    (note,) = found[str(entry(3))]["notes"]
    assert note["word"] == "Remplace"
    assert "5 mg le matin" in note["text"]


@pytest.mark.parametrize(
    ("known", "said", "word"),
    [
        (ASTHMA, ASTHMA, "Déjà au dossier"),
        (
            ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="resolved"),
            ASTHMA,
            "Passé au dossier",
        ),
        (
            ASTHMA,
            ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="resolved"),
            "Actif au dossier",
        ),
        (
            ProblemRecorded(concept=Concept(text="Asthme"), verification="refuted"),
            ASTHMA,
            "Écarté au dossier",
        ),
        (
            ASTHMA,
            ProblemRecorded(concept=Concept(text="Asthme"), verification="refuted"),
            "Actif au dossier",
        ),
        (
            MedicationStarted(concept=Concept(text="Iode"), status="stopped"),
            MedicationStarted(concept=Concept(text="Iode")),
            "Arrêté au dossier",
        ),
        (
            MedicationStarted(concept=Concept(text="Iode"), status="entered-in-error"),
            MedicationStarted(concept=Concept(text="Iode")),
            "Saisi par erreur au dossier",
        ),
        (
            AllergyRecorded(substance=Concept(text="Iode"), verification="entered-in-error"),
            AllergyRecorded(substance=Concept(text="Iode")),
            "Saisie par erreur au dossier",
        ),
        (
            ProcedureRecorded(concept=Concept(text="Iode"), status="entered-in-error"),
            ProcedureRecorded(concept=Concept(text="Iode")),
            "Saisi par erreur au dossier",
        ),
        (
            AllergyRecorded(substance=Concept(text="Iode")),
            MedicationStarted(concept=Concept(text="Iode")),
            "Allergie au dossier",
        ),
        (
            MedicationStarted(concept=Concept(text="Iode")),
            AllergyRecorded(substance=Concept(text="Iode")),
            "Traitement en cours",
        ),
    ],
)
def test_what_the_record_says_has_a_word(known: Payload, said: Payload, word: str) -> None:
    (row,) = rows(waiting(known, sent(said))).values()
    assert [note["word"] for note in row["notes"]] == [word]


def test_another_line_that_waits_is_marked_so() -> None:
    found = rows(waiting(sent(ASTHMA), sent(ASTHMA)))
    assert [[note["waits"] for note in row["notes"]] for row in found.values()] == [[True], [True]]


def test_a_critical_measure_says_so() -> None:
    potassium = ObservationRecorded(
        code=Concept(text="Potassium", codings=(Coding(system="http://loinc.org", code="2823-3"),)),
        value=Quantity(value="6.8", unit="mmol/L", code="mmol/L"),
    )
    (row,) = rows(waiting(sent(potassium, at="2026-11-24T08:00:00+01:00"))).values()
    assert row["alarm"] == "valeur critique"


def test_a_result_waits_until_it_is_read() -> None:
    received = sent(ResultReceived(status="final", title="Ionogramme", conclusion="Normal"))
    (row,) = rows(waiting(received)).values()
    assert (row["text"], row["is_result"]) == ("Ionogramme", True)
    read = Told(ResultReviewed(verdict="normal"), target=entry(2))
    assert waiting(received, read).documents() == []


def test_what_was_judged_meanwhile_is_told_with_its_author() -> None:
    refused = Told(EntryValidated(verdict="refused"), AVAL, target=entry(2), reason="Doublon")
    found = waiting(sent(ASTHMA), sent(ASTHMA), refused)
    assert found.judged_meanwhile([entry(2), entry(3), uuid4()]) == [
        {"text": "Asthme", "became": "refusée par Dr Aval : Doublon"}
    ]
    replaced = waiting(sent(ASTHMA), sent(ASTHMA, target=entry(2)))
    assert [each["became"] for each in replaced.judged_meanwhile([entry(2)])] == ["n’a plus cours"]


def test_an_unknown_entry_is_no_document() -> None:
    found = waiting(sent(ASTHMA))
    with pytest.raises(NotFound):
        found.documents(uuid4())
    with pytest.raises(NotFound):
        Waiting((), AT, RULES)
