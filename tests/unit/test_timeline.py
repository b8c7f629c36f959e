from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from releve.domain.aggregates import REGISTRY
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.identity import MedecinTraitantDeclared, Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.events import Payload, Source
from releve.domain.values import Component, Concept, Quantity, Reaction, Unmapped
from releve.projections import wording
from releve.projections.dates import age_on, first_instant, french, last_day
from releve.projections.timeline import entries_of
from support.patient_events import MONDAY, Stream

SAID: list[tuple[Payload, str]] = [
    (
        Registered(birth_name="Petit", first_names=("Zoé",), birth_date="1948-03", sex="female"),
        "Identité ouverte : Petit Zoé, né(e) en 03/1948, femme",
    ),
    (
        MedecinTraitantDeclared(kind="centre", since="2026-11-02"),
        "Médecin traitant déclaré : le centre, depuis le 02/11/2026",
    ),
    (EncounterRecorded(mode="ehpad", site="Les Tilleuls", reason="chute"),
     "Consultation en EHPAD (Les Tilleuls) : chute"),
    (NoteSigned(one_liner="HTA", subjective="Va bien", plan="Revoir"),
     "Note : HTA · S : Va bien · P : Revoir"),
    (NoteAmended(kind="addendum", text="Reçu depuis"), "Ajout à la note : Reçu depuis"),
    (NoteAmended(kind="replacement", plan="Autre"), "Note remplacée : P : Autre"),
    (
        ObservationRecorded(
            code=Concept(text="TA"),
            components=(
                Component(code=Concept(text="syst."), value=Quantity(value="142", unit="mmHg")),
                Component(code=Concept(text="diast."), value=Quantity(value="80", unit="mmHg")),
            ),
        ),
        "Mesure : TA syst. 142 mmHg / diast. 80 mmHg",
    ),
    (
        ProblemRecorded(
            concept=Concept(text="Cancer du sein"), clinical_status="remission",
            verification="confirmed", onset="2015", abatement="2020-06", laterality="droite",
        ),
        "Problème : Cancer du sein, droite, en rémission, depuis 2015, jusqu'en 06/2020",
    ),
    (
        AllergyRecorded(
            substance=Concept(text="Pénicilline"), criticality="high", verification="unconfirmed",
            reactions=(Reaction(manifestations=(Concept(text="urticaire"),)),),
        ),
        "Allergie : Pénicilline, risque élevé, urticaire, non confirmée",
    ),
    (
        AbsenceAsserted(slot="allergies", part="food", asked_on="2026-11-02"),
        "Aucune allergie alimentaire connue, demandé le 02/11/2026",
    ),
    (AbsenceAsserted(slot="medications"), "Aucun traitement connu"),
    (
        MedicationStarted(
            concept=Concept(text="Ramipril 5 mg"), status="stopped", start="2024",
            end="2026-10-01", dose=Quantity(value="1.5", unit="cp"),
        ),
        "Traitement : Ramipril 5 mg, 1,5 cp, arrêté, depuis 2024, jusqu'au 01/10/2026",
    ),
    (
        DocumentAttached(
            sha256="00" * 32, size=3, media_type="application/pdf", title="Courrier",
            unmapped=(Unmapped(path="Bundle.entry[3]", type="Immunization"),),
        ),
        "Document joint : Courrier (1 élément non codé)",
    ),
    (
        ItemOpened(kind="result", text="NFS", due="2026-11-20", harm_if_late=True),
        "Point ouvert (résultat attendu) : NFS, pour le 20/11/2026, danger si retard",
    ),
    (ItemOpened(kind="call", text="Appeler", no_deadline=True),
     "Point ouvert (appel) : Appeler, sans échéance"),
    (ItemClosed(outcome="not-needed", evidence="doublon"),
     "Point clos, plus nécessaire : doublon"),
    (ContingencySet(condition="fièvre", action="appeler", who="infirmière",
                    valid_until="2026-12-01"),
     "Si fièvre : appeler, infirmière, jusqu'au 01/12/2026"),
    (IllnessSeveritySet(severity="watcher", reason="poids", review_by="2026-11-27"),
     "Gravité : à surveiller, poids, à réévaluer le 27/11/2026"),
    (HandoverWritten(severity="unstable", summary="IC", actions=("peser", "appeler")),
     "Transmission : instable — IC · À faire : peser ; appeler"),
    (HandoverReadBack(kind="restatement", text="Je pèse"), "Restitution : Je pèse"),
    (EntryMarkedInError(harm=True), "Entrée déclarée erronée, avec conséquence possible"),
]  # fmt: skip


class TestText:
    @pytest.mark.parametrize(("payload", "said"), SAID, ids=lambda each: getattr(each, "topic", ""))
    def test_says_what_was_recorded(self, payload: Payload, said: str) -> None:
        detail = wording.detail_of(payload)
        assert wording.entry_text(payload.topic, detail, "Europe/Paris") == said

    def test_exists_for_every_patient_topic(self) -> None:
        told = {payload.topic for payload, _ in SAID}
        assert told == {topic for topic in REGISTRY if topic.startswith("patient.")}


class TestStatus:
    def test_tells_what_later_events_made_of_an_entry(self) -> None:
        stream = Stream()
        note = stream.add(NoteSigned(plan="a"))
        wrong = stream.add(ProblemRecorded(concept=Concept(text="Goutte")))
        item = stream.add(ItemOpened(kind="call", text="Appeler", no_deadline=True))
        first = stream.add(HandoverWritten(severity="stable", summary="x"))
        stream.add(HandoverWritten(severity="stable", summary="y"))
        stream.add(NoteAmended(kind="addendum", text="b"), target=note.event_id)
        stream.add(ItemClosed(outcome="done", evidence="fait"), target=item.event_id)
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="autre patient")
        told = {entry.event_id: entry.status for entry in entries_of(stream.events)}
        assert told[note.event_id] == "amended"
        assert told[wrong.event_id] == "in-error"
        assert told[item.event_id] == "closed"
        assert told[first.event_id] == "superseded"
        assert [entry.status for entry in entries_of(stream.events)][-4:] == ["current"] * 4

    def test_of_a_closing_in_error_leaves_its_item_current(self) -> None:
        stream = Stream()
        item = stream.add(ItemOpened(kind="call", text="Appeler", no_deadline=True))
        closing = stream.add(ItemClosed(outcome="done", evidence="x"), target=item.event_id)
        stream.add(EntryMarkedInError(), target=closing.event_id, reason="mauvais point")
        assert [e.status for e in entries_of(stream.events)] == ["current", "in-error", "current"]

    def test_late_is_what_was_typed_well_after_it_happened(self) -> None:
        stream = Stream()
        stream.add(NoteSigned(plan="a"), at=MONDAY, occurred_at="2026-11-16T09:30:00+01:00")
        stream.add(NoteSigned(plan="a"), at=MONDAY, occurred_at="2026-11-13T09:30:00+01:00")
        stream.add(
            ProblemRecorded(concept=Concept(text="Asthme")),
            at=MONDAY, occurred_at="2003", source=Source(channel="fhir"),
        )  # fmt: skip
        assert [entry.late for entry in entries_of(stream.events)] == [False, True, False]


class TestDates:
    @pytest.mark.parametrize(
        ("text", "shown", "first", "last"),
        [
            ("2026", "2026", "2025-12-31T23:00:00+00:00", "2026-12-31"),
            ("2026-02", "02/2026", "2026-01-31T23:00:00+00:00", "2026-02-28"),
            ("2026-11-23", "23/11/2026", "2026-11-22T23:00:00+00:00", "2026-11-23"),
            (
                "2026-11-22T23:30:00+00:00", "23/11/2026", "2026-11-22T23:30:00+00:00",
                "2026-11-23",
            ),
        ],
    )  # fmt: skip
    def test_keep_their_precision_and_count_in_the_zone(
        self, text: str, shown: str, first: str, last: str
    ) -> None:
        zone = "Europe/Paris"
        assert french(text, zone) == shown
        assert first_instant(text, zone) == datetime.fromisoformat(first)
        assert last_day(text, zone) == date.fromisoformat(last)

    def test_what_is_no_date_is_shown_as_written_and_compares_with_nothing(self) -> None:
        assert french("vers la Toussaint", "Europe/Paris") == "vers la Toussaint"
        assert first_instant("vers la Toussaint", "Europe/Paris") is None
        assert last_day("2026-13-45", "Europe/Paris") is None

    def test_a_day_is_another_one_in_la_reunion(self) -> None:
        late = (MONDAY.replace(hour=22)).isoformat()
        assert last_day(late, "Europe/Paris") == date(2026, 11, 16)
        assert last_day(late, "Indian/Reunion") == date(2026, 11, 17)

    @pytest.mark.parametrize(
        ("born", "age"),
        [
            ("1948-11-23", "78 ans"), ("1948-11-24", "77 ans"), ("1948", "77 ans"),
            ("2025-01-23", "22 mois"), ("2026-11-20", "3 jours"), ("2026-11-22", "1 jour"),
            ("2027-01-01", ""), (None, ""),
        ],
    )  # fmt: skip
    def test_age(self, born: str | None, age: str) -> None:
        assert age_on(born, date(2026, 11, 23)) == age

    def test_summer_time_does_not_move_a_civil_day(self) -> None:
        for day in (date(2026, 3, 29), date(2026, 10, 25)):
            midnight = first_instant(day.isoformat(), "Europe/Paris")
            next_one = first_instant((day + timedelta(days=1)).isoformat(), "Europe/Paris")
            assert midnight is not None
            assert next_one is not None
            assert next_one - midnight in (timedelta(hours=23), timedelta(hours=25))
            assert last_day(midnight.astimezone(UTC).isoformat(), "Europe/Paris") == day
