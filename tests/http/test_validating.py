"""A received document's lines judged on one page, and by one command at the JSON door."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from releve.api.pages.validation_views import MOST
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.history import HistoryRecorded
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.aggregates.patient.validation import EntryValidated, awaiting_validation
from releve.domain.values import Concept, Quantity
from releve.projections.records import read_patient
from support.inbox import imported
from support.web import FORM, PARIS, Web, hidden, key, registered

pytestmark = pytest.mark.postgres

VSM = Path(__file__).parents[1] / "conformance" / "data" / "inbox" / "vsm.xml"
ODETTE: dict[str, Any] = {
    "birth_name": "BELLANGER", "used_name": "PICHON", "first_names": ["Odette"],
    "birth_date": "1948-03-02", "sex": "female", "birth_place": "23096", "prior_search": "name",
}  # fmt: skip
ASTHMA = ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active")
RAMIPRIL = MedicationStarted(concept=Concept(text="Ramipril 5 mg"))
IODINE = AllergyRecorded(substance=Concept(text="Iode"), clinical_status="active")


@pytest.fixture
def patient(web: Web, machine: TestClient) -> UUID:
    """A new record."""
    return registered(machine, "CORBEAU")


def address(patient: UUID, entry: str = "") -> str:
    return f"/patients/{patient}/a-valider" + (f"/{entry}" if entry else "")


def send(client: TestClient, page: Response, to: str, **chosen: str) -> Response:
    """Send the page's form with these choices, as a browser without JavaScript does."""
    return client.post(to, data={**hidden(page, to), **chosen}, headers=FORM)


def choose(**said: str) -> dict[str, str]:
    """Fields of the form: ``{"c" + id: verdict, "m" + id: reason}``."""
    names = {"c": "choix.", "m": "motif."}
    return {names[name[0]] + name[1:]: value for name, value in said.items()}


def verdicts(web: Web, patient: UUID) -> list[tuple[str, str, str | None]]:
    """(entry, verdict, reason) of every line that was judged, in order."""
    record = web.services.continuity.patient(patient)
    return [
        (str(event.envelope.target), event.payload.verdict, event.envelope.reason)
        for event in record.told(EntryValidated)
        if isinstance(event.payload, EntryValidated)
    ]


def waiting(web: Web, patient: UUID) -> list[str]:
    record = web.services.continuity.patient(patient)
    return [str(event.event_id) for event in awaiting_validation(record)]


def line(page: str, entry: str) -> str:
    """What the page shows of one line, its fields included."""
    found = re.search(rf'<fieldset id="choix.{entry}".*?</fieldset>', page, re.DOTALL)
    assert found is not None
    return found[0]


class TestAWholeDocument:
    def test_has_every_line_with_nothing_chosen(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        made = machine.post("/api/v1/patients", json=ODETTE, headers=key())
        assert made.status_code == 201, made.text
        patient = UUID(made.json()["patient"])
        desk = web.browser("coordinator")
        kept = web.machine("coordinator").post(
            "/api/v1/inbox", content=VSM.read_bytes(), headers={"content-type": "text/xml"}
        )
        document = kept.json()["inbox"]
        matched = web.machine("coordinator").post(
            f"/api/v1/inbox/{document}/match-document", json={"patient": str(patient)},
            headers=key(),
        )  # fmt: skip
        assert matched.status_code == 201, matched.text
        of_inbox = doctor.get(f"/arrivees/{document}").text
        linked = re.search(rf'href="(/patients/{patient}/a-valider/[0-9a-f-]{{36}})"', of_inbox)
        assert linked is not None
        assert "a-valider" not in desk.get(f"/arrivees/{document}").text
        page = doctor.get(linked[1])
        assert page.status_code == 200
        lines = waiting(web, patient)
        assert len(lines) == 15
        assert page.text.count("<fieldset") == 15
        for entry in lines:
            assert "checked" not in line(page.text, entry)
        assert "Volet de synthèse médicale" in page.text
        places = [page.text.index(f">{title}</h3>") for title in
                  ("Allergies et intolérances", "Traitements", "Problèmes actifs")]  # fmt: skip
        assert places == sorted(places)
        read = read_patient(web.services.pool, web.services.data_keys, patient)
        assert read is not None
        for each in read.summary.slot("medications"):
            assert each.text in html.unescape(page.text)
        assert f'href="/patients/{patient}/a-valider"' in doctor.get(f"/patients/{patient}").text

        first, second, *rest = lines
        sent = send(doctor, page, linked[1], **{f"choix.{first}": "accepted"},
                    **{f"choix.{second}": "refused", f"motif.{second}": "Pas elle"},
                    **{f"choix.{each}": "later" for each in rest})  # fmt: skip
        assert sent.status_code == 303
        assert sent.headers["location"].startswith(f"/patients/{patient}?fait=lignes-jugees")
        assert verdicts(web, patient) == [
            (first, "accepted", None),
            (second, "refused", "Pas elle"),
        ]
        assert waiting(web, patient) == rest

    def test_is_asked_for_by_the_entry_it_brought_and_by_no_other(
        self, web: Web, doctor: TestClient, patient: UUID
    ) -> None:
        (first,) = imported(web, patient, ASTHMA)
        (second,) = imported(web, patient, RAMIPRIL)
        alone = doctor.get(address(patient, second)).text
        assert f"choix.{second}" in alone
        assert f"choix.{first}" not in alone
        assert "1 ligne de plus" in alone
        both = doctor.get(address(patient)).text
        assert both.index(f"choix.{second}") < both.index(f"choix.{first}")
        for unknown in (str(uuid4()), "x"):
            assert doctor.get(address(patient, unknown)).status_code == 404


class TestSending:
    def test_nothing_chosen_writes_nothing(
        self, web: Web, doctor: TestClient, patient: UUID
    ) -> None:
        lines = imported(web, patient, ASTHMA, RAMIPRIL, IODINE)
        to = address(patient)
        page = doctor.get(to)
        later = {f"choix.{each}": "later" for each in lines}
        empty = {f"choix.{each}": "" for each in lines}
        forged = {f"choix.{each}": "all" for each in lines} | {"choix.*": "accepted"}
        for chosen in ({}, later, empty, forged, {"tout": "accepted"}):
            refused = send(doctor, page, to, **chosen)
            assert refused.status_code == 422, chosen
            assert 'role="alert"' in refused.text
        assert verdicts(web, patient) == []
        assert waiting(web, patient) == lines

    def test_a_refusal_says_why_and_keeps_every_choice_until_it_does(
        self, web: Web, doctor: TestClient, patient: UUID
    ) -> None:
        first, second = imported(web, patient, ASTHMA, RAMIPRIL)
        to = address(patient)
        page = doctor.get(to)
        refused = send(doctor, page, to,
                       **choose(**{f"c{first}": "accepted", f"c{second}": "refused"}))  # fmt: skip
        assert refused.status_code == 422
        assert "Dire pourquoi cette ligne est refusée." in line(refused.text, second)
        assert 'value="accepted" checked' in line(refused.text, first)
        assert 'value="refused" checked' in line(refused.text, second)
        unsaid = send(doctor, page, to, **choose(**{f"m{second}": "Jamais prise"}))
        assert unsaid.status_code == 422
        assert "effacer le motif" in line(unsaid.text, second)
        assert 'value="Jamais prise"' in line(unsaid.text, second)
        assert verdicts(web, patient) == []

    def test_a_refused_line_leaves_the_summary_and_stays_in_the_thread(
        self, web: Web, doctor: TestClient, patient: UUID
    ) -> None:
        (entry,) = imported(web, patient, RAMIPRIL)
        to = address(patient)
        send(doctor, doctor.get(to), to,
             **choose(**{f"c{entry}": "refused", f"m{entry}": "Jamais prise"}))  # fmt: skip
        before, _, thread = doctor.get(f"/patients/{patient}").text.partition('id="fil"')
        thread, _, boxes = thread.partition('id="case-')
        assert "Ramipril" not in before + boxes
        assert "Ramipril 5 mg" in thread
        assert "Jamais prise" in thread
        assert "Rien n’est à valider ici." in doctor.get(to).text

    def test_twice_writes_once(self, web: Web, doctor: TestClient, patient: UUID) -> None:
        first, second = imported(web, patient, ASTHMA, RAMIPRIL)
        to = address(patient)
        page = doctor.get(to)
        chosen = choose(**{f"c{first}": "accepted"})
        assert [send(doctor, page, to, **chosen).status_code for _ in range(2)] == [303, 303]
        assert verdicts(web, patient) == [(first, "accepted", None)]
        other = send(doctor, page, to, **choose(**{f"c{second}": "accepted"}))
        assert other.status_code == 409
        assert "déjà été envoyée" in other.text
        assert 'value="accepted" checked' in line(other.text, second)
        again = send(doctor, other, to, **choose(**{f"c{second}": "accepted"}))
        assert again.status_code == 303
        assert waiting(web, patient) == []

    def test_what_somebody_judged_meanwhile_is_told_and_the_choices_are_kept(
        self, web: Web, doctor: TestClient, machine: TestClient, patient: UUID
    ) -> None:
        first, second, third = imported(web, patient, ASTHMA, RAMIPRIL, IODINE)
        to = address(patient)
        page = doctor.get(to)
        answer = machine.post(
            f"/api/v1/patients/{patient}/validate-entry",
            json={"entry": first, "verdict": "refused", "reason": "Doublon"}, headers=key(),
        )  # fmt: skip
        assert answer.status_code == 201, answer.text
        chosen = choose(**{
            f"c{first}": "accepted", f"c{second}": "refused", f"m{second}": "Arrêté",
            f"c{third}": "later",
        })  # fmt: skip
        told = send(doctor, page, to, **chosen)
        assert told.status_code == 409
        name = web.services.persona("present").name
        assert f"Asthme : <strong>refusée par {name} : Doublon</strong>" in told.text
        assert f"choix.{first}" not in told.text
        assert 'value="refused" checked' in line(told.text, second)
        assert 'value="Arrêté"' in line(told.text, second)
        assert 'value="later" checked' in line(told.text, third)
        assert len(verdicts(web, patient)) == 1
        kept = {name: value for name, value in chosen.items() if first not in name}
        assert send(doctor, told, to, **kept).status_code == 303
        assert verdicts(web, patient)[1:] == [(second, "refused", "Arrêté")]

    def test_a_result_is_accepted_by_reading_it_alone(
        self, web: Web, doctor: TestClient, patient: UUID
    ) -> None:
        received = ResultReceived(status="final", title="Ionogramme", conclusion="Normal")
        (result,) = imported(web, patient, received)
        shown = line(doctor.get(address(patient)).text, result)
        assert f"/gestes/relire/{result}" in shown
        assert 'value="accepted"' not in shown
        assert 'value="refused"' in shown

    def test_what_does_not_fit_on_one_page_is_said(
        self, web: Web, doctor: TestClient, patient: UUID
    ) -> None:
        many = [HistoryRecorded(slot="lifestyle", concept=Concept(text=f"Habitude {each}"))
                for each in range(MOST + 3)]  # fmt: skip
        lines = imported(web, patient, *many)
        to = address(patient)
        page = doctor.get(to)
        assert page.text.count("<fieldset") == MOST
        assert "3 lignes de ce document ne tiennent pas" in page.text
        assert f"{MOST + 3} à valider" in page.text
        whole: dict[str, str] = {}
        for entry in lines[:MOST]:
            whole |= {f"choix.{entry}": "refused", f"motif.{entry}": "Dossier d’un autre patient"}
        assert send(doctor, page, to, **whole).status_code == 303
        assert waiting(web, patient) == lines[MOST:]


def test_after_the_stint_it_is_a_late_entry(web: Web) -> None:
    browser = web.browser("previous")
    listed = browser.get(browser.get("/transmissions").headers["location"]).text
    treated = re.search(r'href="/patients/([0-9a-f-]{36})/transmission"', listed)
    assert treated is not None
    patient = UUID(treated[1])
    (entry,) = imported(web, patient, RAMIPRIL)
    to = address(patient, entry)
    page = browser.get(to)
    assert page.status_code == 200
    chosen = {f"choix.{entry}": "accepted", "late_reason": "Courrier lu le soir"}
    now = send(browser, page, to, **chosen)
    assert now.status_code == 422
    assert 'id="occurred_at-erreur"' in now.text
    assert 'value="accepted" checked' in line(now.text, entry)
    stint = web.services.directory.load().stint(web.stint("previous"))
    assert stint is not None
    then = (stint.over_at - timedelta(hours=2)).astimezone(PARIS)
    typed = then.replace(tzinfo=None).isoformat(timespec="minutes")
    without = send(browser, page, to, occurred_at=typed, **{f"choix.{entry}": "accepted"})
    assert without.status_code == 422
    assert 'id="late_reason-erreur"' in without.text
    assert send(browser, page, to, occurred_at=typed, **chosen).status_code == 303
    assert verdicts(web, patient)[-1] == (entry, "accepted", "Courrier lu le soir")


class TestBesideALine:
    def test_stands_what_the_record_says_of_it(
        self, web: Web, doctor: TestClient, machine: TestClient, patient: UUID
    ) -> None:
        own = f"/api/v1/patients/{patient}"
        for command, data in (
            ("assert-absence", {"slot": "allergies"}),
            ("start-medication", {"concept": {"text": "Ramipril 5 mg"}, "dose_text": "matin"}),
            ("record-problem", {"concept": {"text": "Asthme"}, "onset": "1990"}),
        ):
            sent = machine.post(f"{own}/{command}", json=data, headers=key())
            assert sent.status_code == 201, sent.text
        problem, drug, allergy = imported(web, patient, ASTHMA, RAMIPRIL, IODINE)
        page = doctor.get(address(patient)).text
        assert "Déjà au dossier" in line(page, problem)
        assert "1990" in line(page, problem)
        assert "Déjà au dossier" in line(page, drug)
        assert "matin" in line(page, drug)
        assert "Le dossier dit le contraire" in line(page, allergy)
        assert "Aucune allergie connue" in line(page, allergy)

    def test_stands_that_a_doctor_stopped_or_refuted_it(
        self, web: Web, doctor: TestClient, machine: TestClient, patient: UUID
    ) -> None:
        own = f"/api/v1/patients/{patient}"
        for command, data, more, change in (
            ("start-medication", {"concept": {"text": "Ramipril 5 mg"}}, "stop-medication",
             {"name": "medication", "reason": "Toux sèche"}),
            ("record-allergy", {"substance": {"text": "Iode"}}, "revise-allergy",
             {"name": "allergy", "reason": "Test négatif", "verification": "refuted"}),
        ):  # fmt: skip
            made = machine.post(f"{own}/{command}", json=data, headers=key())
            (entry,) = made.json()["event_ids"]
            changed = {**change, str(change["name"]): entry}
            del changed["name"]
            done = machine.post(f"{own}/{more}", json=changed, headers=key())
            assert done.status_code == 201, done.text
        drug, allergy, none = imported(
            web, patient, RAMIPRIL, IODINE, AbsenceAsserted(slot="medications")
        )
        page = doctor.get(address(patient)).text
        assert "Arrêté au dossier" in line(page, drug)
        assert "Toux sèche" in line(page, drug)
        assert "Réfutée au dossier" in line(page, allergy)
        assert "Ramipril 5 mg" in line(page, none)

    def test_a_measure_that_newer_ones_pushed_out_of_the_summary_still_waits(
        self, web: Web, doctor: TestClient, patient: UUID
    ) -> None:
        weights = imported(web, patient, *(
            ObservationRecorded(
                code=Concept(text="Poids"),
                value=Quantity(value=f"7{each}.5", unit="kg", code="kg"),
            ) for each in range(5)
        ))  # fmt: skip
        page = doctor.get(address(patient)).text
        assert [f"7{each},5" in line(page, entry) for each, entry in enumerate(weights)] == [
            True
        ] * 5


@pytest.mark.parametrize(
    "persona", ["nurse", "secretary", "coordinator", "intern", "auditor", "referent"]
)
def test_it_is_nobodys_but_a_doctors(web: Web, patient: UUID, persona: str) -> None:
    (entry,) = imported(web, patient, ASTHMA)
    if persona in ("nurse", "secretary", "intern"):
        web.hire(persona)
    browser, client = web.browser(persona), web.machine(persona)
    refused = browser.get(address(patient))
    assert refused.status_code == 404
    assert refused.text == browser.get(address(uuid4())).text
    token = re.search(r'name="jeton" value="([^"]+)"', web.browser("present").get("/patients").text)
    assert token is not None
    chosen = {"jeton": token[1], f"choix.{entry}": "accepted"}
    assert browser.post(address(patient), data=chosen, headers=FORM).status_code in (403, 404)
    sent = client.post(
        f"/api/v1/patients/{patient}/validate-entries",
        json={"judgements": [{"entry": entry, "verdict": "accepted"}]}, headers=key(),
    )  # fmt: skip
    assert sent.status_code in (404, 422)
    assert verdicts(web, patient) == []
    assert "/a-valider" not in browser.get(f"/patients/{patient}").text


class TestAtTheJsonDoor:
    def post(self, client: TestClient, patient: UUID, *said: Any, **headers: str) -> Response:
        return client.post(
            f"/api/v1/patients/{patient}/validate-entries", json={"judgements": list(said)},
            headers={**key(), **headers},
        )  # fmt: skip

    def test_several_lines_are_one_append(
        self, web: Web, machine: TestClient, patient: UUID
    ) -> None:
        first, second, third = imported(web, patient, ASTHMA, RAMIPRIL, IODINE)
        before = web.services.continuity.patient(patient).version
        said = (
            {"entry": first, "verdict": "accepted"},
            {"entry": third, "verdict": "refused", "reason": "Autre patient"},
        )
        one = key()
        done = self.post(machine, patient, *said, **one)
        assert done.status_code == 201, done.text
        assert len(done.json()["event_ids"]) == 2
        assert done.headers["etag"] == f'"{before + 2}"'
        again = self.post(machine, patient, *said, **one)
        assert (again.status_code, again.json()["event_ids"]) == (200, done.json()["event_ids"])
        assert waiting(web, patient) == [second]

    def test_a_version_that_was_overtaken_is_refused_with_what_arrived(
        self, web: Web, machine: TestClient, patient: UUID
    ) -> None:
        first, second = imported(web, patient, ASTHMA, RAMIPRIL)
        version = web.services.continuity.patient(patient).version
        done = self.post(machine, patient, {"entry": first, "verdict": "accepted"})
        assert done.status_code == 201
        stale = self.post(
            machine, patient, {"entry": second, "verdict": "accepted"},
            **{"if-match": f'"{version}"'},
        )  # fmt: skip
        assert stale.status_code == 412
        assert [each["topic"] for each in stale.json()["arrived"]] == ["patient.entry-validated"]
        judged = self.post(machine, patient, {"entry": second, "verdict": "accepted"},
                           {"entry": first, "verdict": "refused", "reason": "x"})  # fmt: skip
        assert judged.status_code == 422
        assert judged.json()["errors"] == [
            {"loc": "judgements[1].entry", "type": "already-validated"}
        ]
        assert waiting(web, patient) == [second]

    def test_no_lines_and_no_field_accept_nothing(
        self, web: Web, machine: TestClient, patient: UUID
    ) -> None:
        (entry,) = imported(web, patient, ASTHMA)
        assert self.post(machine, patient).json()["code"] == "nothing-judged"
        path = f"/api/v1/patients/{patient}/validate-entries"
        assert machine.post(path, json={}, headers=key()).status_code == 422
        assert waiting(web, patient) == [entry]

    def test_of_another_record_is_unknown_here(
        self, web: Web, machine: TestClient, patient: UUID
    ) -> None:
        (own,) = imported(web, patient, ASTHMA)
        theirs = web.patient()
        there = self.post(machine, theirs, {"entry": own, "verdict": "accepted"})
        assert (there.status_code, there.json()["code"]) == (422, "unknown-entry")


def test_the_briefing_leads_to_the_page(web: Web, doctor: TestClient, patient: UUID) -> None:
    imported(web, patient, IODINE)
    briefing = f"/sejours/{web.stint('present')}/briefing"
    shown = doctor.get(briefing)
    to = briefing.replace("briefing", "edition")
    assert doctor.post(to, data=hidden(shown, to), headers=FORM).status_code == 303
    assert f'href="/patients/{patient}/a-valider"' in doctor.get(f"{briefing}?tout=1").text


def test_the_reading_is_written_down(web: Web, doctor: TestClient, patient: UUID) -> None:
    imported(web, patient, ASTHMA)
    before = web.services.reader.head().size
    doctor.get(address(patient))
    web.services.settled()
    read = web.services.reader.by_position(before - 1, 20)
    (entry,) = (each.access for each in read if each.access is not None)
    assert (entry.what, entry.patients) == ("page.validating", (patient,))
