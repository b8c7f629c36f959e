from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from releve.domain.aggregates import REGISTRY
from releve.domain.aggregates.patient.ald import AldStatusChanged
from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    AllergyRevised,
)
from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.contact_details import ContactDetailsChanged
from releve.domain.aggregates.patient.contingencies import (
    ContingencyActivated,
    ContingencySet,
    ContingencyWithdrawn,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.identity import (
    MedecinTraitantDeclared,
    MedecinTraitantEnded,
    Registered,
)
from releve.domain.aggregates.patient.ins import InsStatusChanged
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationReconciled,
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
from releve.domain.events import Payload, Source
from releve.domain.values import (
    Component,
    Concept,
    Owner,
    Quantity,
    Reaction,
    RelatedPerson,
    ResultLine,
    Unmapped,
)
from releve.projections import wording
from releve.projections.dates import age_on, first_instant, french, last_day
from releve.projections.patient_summary import fold_all
from releve.projections.timeline import entries_of, not_yet_known, what_happened
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
    (EntryReinstated(), "Entrée rétablie"),
    (EntryValidated(verdict="refused"), "Entrée importée refusée"),
    (MedecinTraitantEnded(ended="2026-11-02", successor="Dr Exemple"),
     "Médecin traitant : fin le 02/11/2026, successeur Dr Exemple"),
    (ProblemRevised(clinical_status="resolved", abatement="2026-11"),
     "Problème révisé : résolu, jusqu'en 11/2026"),
    (AllergyRevised(verification="refuted"), "Allergie révisée : réfutée"),
    (MedicationChanged(dose_text="1 cp le soir", end="2026-12-01"),
     "Traitement modifié : 1 cp le soir, jusqu'au 01/12/2026"),
    (MedicationStopped(stopped_on="2026-11-20"), "Traitement arrêté le 20/11/2026"),
    (MedicationReconciled(against="ordonnance d'Exemple", remarks="rien à changer"),
     "Traitements comparés à ordonnance d'Exemple, rien à changer"),
    (ImmunizationRecorded(vaccine=Concept(text="Grippe"), given_on="2026-10-12", lot="A1",
                          dose_number=1),
     "Vaccin : Grippe, dose 1, le 12/10/2026, lot A1"),
    (ImmunizationRecorded(vaccine=Concept(text="Zona"), status="not-done", reason="refus"),
     "Vaccin : Zona, non fait, refus"),
    (ProcedureRecorded(concept=Concept(text="Appendicectomie"), performed="1998"),
     "Acte : Appendicectomie, en 1998"),
    (DeviceRecorded(concept=Concept(text="Stimulateur"), since="2021-04", status="inactive"),
     "Dispositif : Stimulateur, retiré, depuis 04/2021"),
    (HistoryRecorded(slot="family-history", concept=Concept(text="Infarctus"),
                     relationship="père"),
     "Antécédent familial : père : Infarctus"),
    (HistoryRecorded(slot="lifestyle", concept=Concept(text="Tabac"),
                     value=Quantity(value="20", unit="PA")),
     "Mode de vie : Tabac 20 PA"),
    (VigilancePointSet(text="Vit seule", until="2026-12-31"),
     "Vigilance : Vit seule, jusqu'au 31/12/2026"),
    (VigilancePointLifted(), "Point de vigilance levé"),
    (InvestigationOrdered(kind="laboratory", text="Ionogramme", expected_by="2026-11-26",
                          item=UUID(int=1), criticality="urgent", harm_if_late=True, why="IEC"),
     "Prescription (biologie) : Ionogramme, urgent, attendu le 26/11/2026, danger si retard, IEC"),
    (ResultReceived(status="phoned", title="Ionogramme", caller="Mme Exemple", read_back=True,
                    lines=(ResultLine(code=Concept(text="Potassium"), interpretation="HH",
                                      value=Quantity(value="6.4", unit="mmol/L")),)),
     "Résultat : Ionogramme (téléphoné) : Potassium 6,4 mmol/L (très haut), appel de Mme Exemple, "
     "relu à l'appelant"),
    (ResultReviewed(verdict="abnormal", action="arrêt du ramipril"),
     "Résultat lu : anormal, arrêt du ramipril"),
    (ResultReviewed(verdict="known", inform_patient=False),
     "Résultat lu : déjà connu, patient non prévenu, par choix"),
    (ContactAttempted(channel="phone", outcome="no-answer"),
     "Appel : patient, par téléphone, sans réponse"),
    (Informed(channel="in-person", whom="sa fille"), "Prévenu : sa fille, de vive voix"),
    (ItemRevised(due="2026-12-04", harm_if_late=False),
     "Point révisé : pour le 04/12/2026, sans danger"),
    (ItemReopened(), "Point rouvert"),
    (ItemOffered(to=Owner(role="referent"), message="mardi"),
     "Point proposé : référent médical, mardi"),
    (ItemAccepted(owner=Owner()), "Point accepté"),
    (ItemDeclined(), "Point décliné"),
    (ContingencyActivated(by=UUID(int=1)), "Si… alors : seuil atteint"),
    (ContingencyWithdrawn(), "Si… alors retiré"),
    (QuestionAsked(to=UUID(int=1), to_name="Dr Exemple", text="Pourquoi ?", due="2026-11-27"),
     "Question à Dr Exemple : Pourquoi ?, réponse attendue le 27/11/2026"),
    (QuestionAnswered(text="Toux"), "Réponse : Toux"),
    (OpinionRecorded(stance="challenges", text="plutôt une goutte"),
     "Autre avis (remet en question) : plutôt une goutte"),
    (InsStatusChanged(status="qualifiee", proof="passeport"),
     "Identité INS qualifiée, preuve : passeport"),
    (ContactDetailsChanged(phones=(("mobile", "06"),),
                           trusted_person=RelatedPerson(name="Paul Exemple")),
     "Coordonnées : mobile 06, personne de confiance Paul Exemple"),
    (DeathRecorded(date="2026-11-20", source="famille"), "Décès le 20/11/2026 (source : famille)"),
    (AppointmentNoticed(starts_at="2026-11-24T09:15:00+01:00", mode="ehpad", site="Les Tilleuls"),
     "Rendez-vous le 24/11/2026 à 9\u00a0h\u00a015, en EHPAD (Les Tilleuls)"),
    (SummaryReviewed(next_review="2027-11-23"),
     "Synthèse relue, prochaine relecture le 23/11/2027"),
    (AldStatusChanged(status="granted", code="8", starts="2026-11-23", ends="2031-11-22"),
     "ALD 8, accordée, depuis le 23/11/2026, jusqu'au 22/11/2031"),
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


class TestWhatBecameOfAnEntry:
    def test_is_said_for_revisions_validations_and_reinstatement(self) -> None:
        stream = Stream()
        drug = stream.add(MedicationStarted(concept=Concept(text="Ramipril")))
        stream.add(MedicationChanged(dose_text="5 mg"), target=drug.event_id, reason="TA")
        problem = stream.add(ProblemRecorded(concept=Concept(text="Goutte")))
        stream.add(EntryMarkedInError(), target=problem.event_id, reason="autre patient")
        assert [each.status for each in entries_of(stream.events)][:3] == [
            "revised", "current", "in-error",
        ]  # fmt: skip
        stream.add(EntryReinstated(), target=problem.event_id, reason="c'était bien lui")
        stream.add(MedicationStopped(stopped_on="2026-11-16"), target=drug.event_id, reason="toux")
        stream.add(EntryValidated(verdict="refused"), target=problem.event_id, reason="non")
        assert [each.status for each in entries_of(stream.events)][:3] == [
            "stopped", "current", "refused",
        ]  # fmt: skip

    def test_a_partial_after_the_final_is_history_and_the_final_stays_in_force(self) -> None:
        stream = Stream()
        final = stream.add(ResultReceived(status="final", title="NFS"))
        stream.add(ResultReceived(status="partial", title="NFS"), target=final.event_id)
        assert [each.status for each in entries_of(stream.events)] == ["current", "superseded"]

    def test_both_versions_of_a_corrected_result_stay(self) -> None:
        stream = Stream()
        first = stream.add(ResultReceived(status="final", title="NFS"))
        stream.add(ResultReceived(status="corrected", title="NFS"), target=first.event_id)
        assert [(each.topic, each.status) for each in entries_of(stream.events)] == [
            ("patient.result-received", "superseded"), ("patient.result-received", "current"),
        ]  # fmt: skip


class TestNotYetKnown:
    """Acceptance scenario 12: an entry written on Thursday about Monday."""

    def stream(self) -> Stream:
        stream = Stream()
        stream.add(EncounterRecorded(mode="cabinet"), at=MONDAY)
        stream.add(
            NoteSigned(one_liner="Chute lundi"),
            at=MONDAY + timedelta(days=3),
            occurred_at=MONDAY.isoformat(),
        )
        stream.add(EncounterRecorded(mode="visite"), at=MONDAY + timedelta(days=4))
        return stream

    @pytest.mark.parametrize(
        ("known_to", "days", "texts"),
        [
            (0, 0, ["patient.note-signed"]),
            (0, -1, []),
            (0, 5, ["patient.note-signed", "patient.encounter-recorded"]),
            (1, 1, []),
            (-1, 0, ["patient.encounter-recorded", "patient.note-signed"]),
        ],
    )
    def test_is_what_had_happened_and_stood_nowhere(
        self, known_to: int, days: int, texts: list[str]
    ) -> None:
        found = not_yet_known(self.stream().events, known_to, MONDAY + timedelta(days=days))
        assert [entry.topic for entry in found] == texts


class TestWhatHappened:
    def test_what_was_set_right_since_is_right_then(self) -> None:
        stream = Stream()
        wrong = stream.add(AllergyRecorded(substance=Concept(text="Arachide")))
        note = stream.add(NoteSigned(one_liner="HTA"))
        imported = Source(channel="fhir", system="urn:oid:2.999")
        refused = stream.add(ProblemRecorded(concept=Concept(text="Asthme")), source=imported)
        back = stream.add(ProblemRecorded(concept=Concept(text="Goutte")))
        later = stream.add(
            ProblemRecorded(concept=Concept(text="Zona")), at=MONDAY + timedelta(days=1)
        )
        for day, (payload, target) in enumerate(
            [
                (EntryMarkedInError(), wrong),
                (NoteAmended(kind="addendum", text="et diabète"), note),
                (EntryValidated(verdict="refused"), refused),
                (EntryMarkedInError(), back),
                (EntryReinstated(), back),
                (EntryMarkedInError(), later),
                (ProblemRevised(clinical_status="resolved"), back),
            ],
            start=2,
        ):
            stream.add(payload, at=MONDAY + timedelta(days=day), target=target.event_id, reason="x")
        then = what_happened(stream.events, MONDAY + timedelta(hours=9))
        assert [event.event_id for event in then[:4]] == [
            wrong.event_id, note.event_id, refused.event_id, back.event_id,
        ]  # fmt: skip
        assert [each.status for each in entries_of(then)][:4] == [
            "in-error", "amended", "refused", "current",
        ]  # fmt: skip
        summary = fold_all(None, then, stream.id)
        assert summary.slot("allergies") == []
        assert [line.text for line in summary.slot("problems")] == ["Goutte"]


def test_a_threshold_that_was_met_names_the_if_and_what_met_it() -> None:
    stream = Stream()
    rule = stream.add(ContingencySet(condition="K+ > 5,5", action="ECG"))
    code = Concept(text="Potassium")
    measured = stream.add(
        ObservationRecorded(code=code, value=Quantity(value="6.2", unit="mmol/L"))
    )
    stream.add(ContingencyActivated(by=measured.event_id), target=rule.event_id)
    told = entries_of(stream.events)[-1].text
    assert told == "Si K+ > 5,5 : seuil atteint (Potassium 6,2 mmol/L)"
