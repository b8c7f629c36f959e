"""Pages of a record's week: acts with a form of their own, results, items, questions."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from releve.api.pages.acts import ACTS
from releve.api.pages.patient import SHOWN
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.commands import COMMANDS
from releve.domain.values import Concept
from support.inbox import imported
from support.web import FORM, Web, declared_here, hidden, submit, write

pytestmark = pytest.mark.postgres


@pytest.fixture
def page(web: Web, machine: TestClient) -> str:
    """A new record's address."""
    return declared_here(web, machine, "FEUILLE")


def centre(web: Web) -> str:
    return str(web.services.persona("present").centre)


def act(client: TestClient, page: str, word: str, entry: str = "", **typed: str) -> Response:
    """Fill in the form of an act and send it."""
    address = f"{page}/gestes/{word}{'/' + entry if entry else ''}"
    shown = client.get(address)
    assert shown.status_code == 200, (word, shown.status_code)
    return client.post(address, data={**hidden(shown, address), **typed}, headers=FORM)


def done(client: TestClient, page: str, word: str, entry: str = "", **typed: str) -> str:
    """As :func:`act`, accepted; the page it led to."""
    answer = act(client, page, word, entry, **typed)
    assert answer.status_code == 303, re.findall(r'class="error"[^>]*>([^<]+)', answer.text)
    shown = client.get(answer.headers["location"])
    assert shown.status_code == 200
    return shown.text


POTASSIUM = {"text": "Potassium", "codings": [{"system": "http://loinc.org", "code": "2823-3"}]}


def potassium(value: str, **more: Any) -> dict[str, Any]:
    quantity = {"value": value, "unit": "mmol/L", "code": "mmol/L"}
    return {"title": "Ionogramme", "lines": [{"code": POTASSIUM, "value": quantity, **more}]}


def test_every_act_is_a_command_of_a_patient_with_a_form(doctor: TestClient, page: str) -> None:
    name = re.findall(r"<title>.*?, (.*?) · ", doctor.get(f"{page}/gestes/probleme").text)[0]
    for word, found in ACTS.items():
        assert COMMANDS[found.command].target == "patient", word
        if not found.about and word not in ("coordonnees", "rendez-vous"):  # the office's
            shown = doctor.get(f"{page}/gestes/{word}")
            assert shown.status_code == 200, word
            assert found.title in shown.text
            (signs,) = re.findall(r'name="signer" value="1">(.*?)</button>', shown.text)
            assert name in signs, word
            assert re.search(r", (née?|né\(e\)) le [0-9/]+|, naissance inconnue", signs), word


def test_lists_grow_change_and_end(doctor: TestClient, page: str) -> None:
    done(doctor, page, "probleme", concept="Asthme", code="j45")
    done(doctor, page, "allergie", substance="Iode", reaction="Urticaire", criticality="high",
         verification="confirmed")  # fmt: skip
    done(doctor, page, "vaccin", vaccine="Grippe", status="completed", given_on="2026-11-20",
         lot="EX1")  # fmt: skip
    done(doctor, page, "acte", concept="Cholécystectomie", performed="2014")
    done(doctor, page, "dispositif", concept="Stimulateur", since="2021-05")
    done(doctor, page, "histoire", slot="lifestyle", concept="Vit seule")
    done(doctor, page, "mesure", code="weight", value="71,5 kg")
    done(doctor, page, "vigilance", text="Rein unique")
    done(doctor, page, "ald", status="granted", code="8", starts="2026-11-02", ends="2031-11-01")
    shown = doctor.get(page).text
    for said in ("Asthme", "Iode", "Urticaire", "Grippe", "Cholécystectomie", "Stimulateur",
                 "Vit seule", "71,5 kg", "Rein unique", "ALD 8"):  # fmt: skip
        assert said in shown, said
    problem = linked(shown, page, "reviser-probleme")
    done(doctor, page, "reviser-probleme", problem, clinical_status="resolved", reason="Guérie")
    allergy = linked(shown, page, "reviser-allergie")
    done(doctor, page, "reviser-allergie", allergy, verification="refuted", reason="Test négatif")
    point = linked(shown, page, "lever-vigilance")
    after = done(doctor, page, "lever-vigilance", point, reason="Erreur de lecture")
    assert "Aucune allergie" not in after
    assert "allergy known" not in after  # refuted: off the badge, still in the list
    assert "réfutée" in after
    assert f"{page}/gestes/lever-vigilance/" not in after


def test_treatments_are_changed_stopped_and_reconciled(doctor: TestClient, page: str) -> None:
    done(doctor, page, "traitement", concept="Ramipril 5 mg", dose_text="1 le matin")
    shown = done(doctor, page, "traitement", concept="Furosémide 40 mg", dose_text="1 le matin")
    entries = re.findall(rf'href="{page}/gestes/changer-traitement/([0-9a-f-]{{36}})"', shown)
    assert len(entries) == 2
    furosemide, ramipril = entries
    form = doctor.get(f"{page}/gestes/changer-traitement/{furosemide}").text
    assert 'value="1 le matin"' in form
    changed = done(doctor, page, "changer-traitement", furosemide, dose_text="2 le matin",
                   reason="Œdèmes")  # fmt: skip
    assert "2 le matin" in changed
    assert "Œdèmes" in changed
    done(doctor, page, "reconcilier", against="Ordonnance de sortie",
         **{f"checked.{ramipril}": "oui"})  # fmt: skip
    stopped = done(doctor, page, "arreter-traitement", ramipril, reason="Toux sèche")
    assert "Ordonnance de sortie" in stopped
    assert "Toux sèche" in stopped
    assert f"{page}/gestes/arreter-traitement/{ramipril}" not in stopped


def test_a_refused_act_keeps_what_was_typed(doctor: TestClient, page: str) -> None:
    done(doctor, page, "traitement", concept="Ramipril 5 mg")
    entry = linked(doctor.get(f"{page}/traitements").text, page, "changer-traitement")
    refused = act(doctor, page, "changer-traitement", entry, dose_text="2 le matin", reason=" ")
    assert refused.status_code == 422
    assert 'id="reason-erreur"' in refused.text
    assert 'value="2 le matin"' in refused.text
    late = act(doctor, page, "prescrire", kind="laboratory", text="TSH", expected_by="2020-01-01")
    assert late.status_code == 422
    assert 'value="TSH"' in late.text


def test_a_result_goes_from_order_to_a_patient_who_knows(
    web: Web, doctor: TestClient, machine: TestClient, page: str
) -> None:
    shown = done(doctor, page, "prescrire", kind="laboratory", text="Ionogramme",
                 expected_by="2026-11-26", harm_if_late="oui")  # fmt: skip
    assert "résultat attendu" in shown
    order = re.search(r'id="resultat-([0-9a-f-]{36})"', shown)
    assert order is not None
    result = write(machine, page, "receive-result", status="final", order=order[1],
                   **potassium("5.9", interpretation="H"))[0]  # fmt: skip
    waiting = doctor.get(f"{page}/resultats").text
    assert "à lire" in waiting
    (told,) = machine.get(f"/api/v1{page}/results").json()["results"]
    assert (told["state"], told["versions"][0]["entry"]) == ("to-review", result)
    assert told["order"]["entry"] == order[1]
    groups = machine.get(f"/api/v1/centres/{centre(web)}/results").json()["groups"]
    (row,) = (
        row for group in groups if group["group"] == "to-review" for row in group["results"]
        if row["patient"] == page.rpartition("/")[2]
    )  # fmt: skip
    assert row["result"]["entry"] == result
    assert f'href="{page}/gestes/relire/{result}"' in waiting
    assert "Ionogramme" in doctor.get("/resultats").text
    silent = act(doctor, page, "relire", result, verdict="abnormal")
    assert silent.status_code == 422  # an abnormal one calls for an action
    assert 'id="action-erreur"' in silent.text
    read = done(doctor, page, "relire", result, verdict="abnormal", action="Arrêt du ramipril")
    assert "patient à prévenir" in read
    done(doctor, page, "appel", result, channel="phone", outcome="no-answer")
    told = done(doctor, page, "prevenu", result, channel="phone", text="Arrêter le ramipril")
    assert "lu, patient prévenu" in told
    corrected = write(machine, page, "receive-result", status="corrected", replaces=result,
                      **potassium("4.9"))[0]  # fmt: skip
    both = doctor.get(f"{page}/resultats").text
    assert "corrigé après lecture" in both
    assert "5,9 mmol/L" in both
    assert "4,9 mmol/L" in both
    assert f"{page}/gestes/relire/{corrected}" in both


def test_an_item_is_revised_offered_closed_and_reopened(
    web: Web, doctor: TestClient, machine: TestClient, page: str
) -> None:
    item = write(machine, page, "open-item", kind="call", text="Rappeler la fille",
                 due="2026-11-27")[0]  # fmt: skip
    assert "Rappeler la fille" in doctor.get("/points?tout=1").text
    revised = done(doctor, page, "reviser-point", item, text="Rappeler le fils",
                   due="2026-11-30", reason="Absente")  # fmt: skip
    assert "Rappeler le fils" in revised
    done(doctor, page, "offrir", item, to="referent", message="Mardi ?")
    referent = web.browser("referent")
    board = referent.get("/points")
    assert "Proposés à vous" in board.text
    accept = f"{page}/gestes/accepter-point/{item}"
    assert accept in board.text
    shared = board.text.split('<form id="geste"')[1].split("</form>")[0]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', shared))
    taken = referent.post(accept, data=fields, headers=FORM)
    assert taken.status_code == 303
    assert taken.headers["location"].startswith("/points?")
    closed = submit(doctor, page, f"{page}/points/{item}",
                    **{f"p{item[:8]}.{name}": said for name, said in
                       (("outcome", "done"), ("evidence", "Prévenu"))})  # fmt: skip
    assert closed.status_code == 303
    assert f"{page}/gestes/rouvrir-point/{item}" in doctor.get(page).text
    again = done(doctor, page, "rouvrir-point", item, reason="Pas venu")
    assert "Pas venu" in again


def test_a_challenge_stands_beside_the_problem_until_it_is_answered(
    web: Web, doctor: TestClient, page: str
) -> None:
    (problem,) = imported(web, patient_of(page), ProblemRecorded(concept=Concept(text="Phlébite")))
    challenged = done(doctor, page, "second-avis", problem, stance="challenges",
                      text="Plutôt un hématome")  # fmt: skip
    assert "remis en question" in challenged
    assert "Plutôt un hématome" in challenged
    answered = done(doctor, page, "reviser-probleme", problem, verification="provisional",
                    reason="Écho-Doppler demandé")  # fmt: skip
    assert "remis en question" not in answered
    assert "Plutôt un hématome" in answered


def test_the_referent_keeps_contact_details(web: Web, page: str) -> None:
    referent = web.browser("referent")
    shown = done(referent, page, "coordonnees", phones="+33 6 99 00 00 01", label_0="mobile",
                 address="3 rue du Lavoir", trusted_person="Dominique Exemple")  # fmt: skip
    assert "3 rue du Lavoir" in shown
    again = referent.get(f"{page}/gestes/coordonnees").text
    assert 'value="Dominique Exemple"' in again


class TestQuestions:
    def test_a_doctor_who_left_answers_and_reads_nothing_else(
        self, web: Web, doctor: TestClient, page: str
    ) -> None:
        done(doctor, page, "probleme", concept="Goutte")
        asked = doctor.get(f"{page}/gestes/question").text
        gone = web.services.persona("previous")
        option = re.search(rf'value="({gone.person}\|[^"]+)"', asked)
        assert option is not None, "who left less than 14 days ago may be asked"
        entry = web.services.reader.stream(patient_of(page))[-1].event_id
        done(doctor, page, "question", str(entry), to=option[1].replace("&#39;", "'"),
             text="Pourquoi la colchicine ?")  # fmt: skip
        before = web.browser("previous")
        shown = before.get("/questions")
        assert "Pourquoi la colchicine ?" in shown.text
        assert "Goutte" in shown.text  # what it quotes
        assert before.get(page).status_code == 404
        (told,) = web.machine("previous").get("/api/v1/questions").json()["questions"]
        assert told["text"] == "Pourquoi la colchicine ?"
        assert "Goutte" in told["about"]["text"]
        question = web.services.reader.stream(patient_of(page))[-1].event_id
        to = f"{page}/questions/{question}"
        control = f"reponse-{str(question)[:8]}"
        empty = submit(before, "/questions", to, **{control: " "})
        assert empty.status_code == 422
        assert f'id="{control}-erreur"' in empty.text
        sent = submit(before, "/questions", to, **{control: "Crise en septembre"})
        assert sent.status_code == 303
        assert "Pourquoi la colchicine" not in before.get("/questions").text
        assert "Crise en septembre" in doctor.get("/questions").text
        assert "Crise en septembre" in doctor.get(page).text

    def test_are_nobody_elses(self, web: Web) -> None:
        assert web.browser("coordinator").get("/questions").status_code == 404
        assert web.browser("auditor").get("/questions").status_code == 404
        assert web.machine("coordinator").get("/api/v1/questions").status_code == 404
        assert web.machine("coordinator").get(
            f"/api/v1/centres/{centre(web)}/results"
        ).status_code == 404  # fmt: skip


def patient_of(page: str) -> UUID:
    return UUID(page.rpartition("/")[2])


def linked(shown: str, page: str, word: str) -> str:
    """The entry that a link to an act names."""
    found = re.search(rf'href="{page}/gestes/{word}/([0-9a-f-]{{36}})"', shown)
    assert found is not None, word
    return found[1]


def test_imported_lines_are_accepted_or_refused_one_by_one(
    web: Web, doctor: TestClient, page: str
) -> None:

    accepted, refused = imported(
        web,
        patient_of(page),
        MedicationStarted(concept=Concept(text="Ramipril 5 mg")),
        MedicationStarted(concept=Concept(text="Aspirine 75 mg")),
    )
    shown = doctor.get(page)
    assert shown.text.count("à valider") >= 2
    to = f"{page}/gestes/accepter/{accepted}"
    assert f'formaction="{to}"' in shown.text
    sent = doctor.post(to, data=hidden(shown, f"{page}/gestes/accepter"), headers=FORM)
    assert sent.status_code == 303
    without = act(doctor, page, "refuser", refused, reason="")
    assert without.status_code == 422
    after = done(doctor, page, "refuser", refused, reason="Jamais prise")
    assert "Ramipril 5 mg" in after
    assert "à valider" not in after.split('id="fil"')[0]


@pytest.mark.parametrize("persona", ["coordinator", "auditor"])
def test_who_reads_no_content_is_given_none(web: Web, page: str, persona: str) -> None:
    browser = web.browser(persona)
    for address in ("/resultats", "/points", f"{page}/resultats", f"{page}/traitements",
                    f"{page}/gestes/traitement"):  # fmt: skip
        assert browser.get(address).status_code == 404, address


def test_a_nurse_is_offered_her_own_acts_only(web: Web, page: str) -> None:
    nurse = web.browser(web.hire("nurse"))
    shown = nurse.get(page).text
    assert f"{page}/gestes/mesure" in shown
    assert f"{page}/gestes/traitement" not in shown
    assert nurse.get(f"{page}/gestes/traitement").status_code == 404
    assert "37,9 °C" in done(nurse, page, "mesure", code="temperature", value="37,9 °C")


def test_an_unknown_act_or_entry_is_not_there(doctor: TestClient, page: str) -> None:
    nothing = "00000000-0000-4000-8000-000000000001"
    for address in ("gestes/rien", f"gestes/relire/{nothing}", f"gestes/traitement/{nothing}",
                    "gestes/relire", "gestes/relire/x"):  # fmt: skip
        assert doctor.get(f"{page}/{address}").status_code == 404, address


def test_the_thread_reads_its_newest_entries_alone(
    web: Web, doctor: TestClient, machine: TestClient, page: str
) -> None:
    for number in range(SHOWN + 5):
        write(machine, page, "sign-note", plan=f"Note numéro {number}.")
    patient = patient_of(page)
    whole = web.services.reader.stream(patient)
    assert web.services.reader.stream(patient, last=7) == whole[-7:]
    assert web.services.reader.stream(patient, last=10**6) == whole
    shown = doctor.get(page).text
    assert f"{SHOWN} entrées sur {len(whole)}" in shown
    assert "Note numéro 2." not in shown
    assert "Note numéro 2." in doctor.get(f"{page}?tout=1").text


def test_a_note_is_copied_for_other_software(
    doctor: TestClient, machine: TestClient, page: str
) -> None:
    (note,) = write(machine, page, "sign-note", plan="Revoir jeudi")
    assert f"{page}/entrees/{note}#copier" in doctor.get(page).text
    shown = doctor.get(f"{page}/entrees/{note}").text
    copied = shown.split("<textarea")[1].split("</textarea>")[0]
    assert "FEUILLE Ida" in copied
    assert "Revoir jeudi" in copied


def test_a_page_stays_light_and_its_reading_is_written_down(
    web: Web, doctor: TestClient, page: str
) -> None:
    before = web.services.reader.head().size
    answer = doctor.get(f"{page}/resultats", headers={"accept-encoding": "identity"})
    assert len(answer.content) < 50 * 1024
    web.services.settled()
    read = web.services.reader.by_position(before - 1, 20)
    (entry,) = (each.access for each in read if each.access is not None)
    assert (entry.what, entry.patients) == ("page.results", (patient_of(page),))
