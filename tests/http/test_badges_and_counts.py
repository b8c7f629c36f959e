"""What a briefing and a page may never leave unsaid: who accepted it, what is critical, the rest.

Each through public doors: lines come in as documents, commands and readings go over HTTP.
"""

from __future__ import annotations

import html
import re
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.values import Concept
from support.inbox import imported
from support.web import Web, declared_here, submit, write

pytestmark = pytest.mark.postgres
NONE = "Aucune allergie connue, à valider (import CDA, demandé le 01/01/2020)"
ASKED = 'class="allergy none"'
AMOXICILLIN = AllergyRecorded(substance=Concept(text="Amoxicilline"), clinical_status="active")


def page_of_briefing(web: Web) -> str:
    return f"/sejours/{web.stint('present')}/briefing"


def renewed(web: Web, doctor: TestClient) -> None:
    """Issue an edition with what changed."""
    page = page_of_briefing(web)
    assert submit(doctor, page, f"/sejours/{web.stint('present')}/edition").status_code == 303


def card(web: Web, doctor: TestClient, family: str) -> str:
    """The card of one patient on the whole page; empty where there is none."""
    shown = html.unescape(doctor.get(f"{page_of_briefing(web)}?tout=1").text)
    cards = [each.partition("</article>")[0] for each in shown.split("<article")[1:]]
    return next((each for each in cards if family in each), "")


def row(web: Web, machine: TestClient, page: str, among: str = "") -> dict[str, Any]:
    """The row of one patient of the present edition as JSON, or of what stands in since."""
    answer = machine.get(f"/api/v1/stints/{web.stint('present')}/briefing").json()
    rows = answer[among]["rows"] if among else answer["rows"]
    (found,) = [each for each in rows if each["patient"] == page.rpartition("/")[2]]
    return dict(found)


def badge(shown: str) -> str:
    """The first allergy badge of a page, with its class."""
    found = re.search(r'<span class="allergy (.*?)</span>', html.unescape(shown), re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]*>", "", found[1])


def potassium_and(*others: tuple[str, str, str, str]) -> list[dict[str, Any]]:
    measured = (("Potassium", "2823-3", "6.9", "mmol/L"), *others)
    return [
        {"code": {"text": name, "codings": [{"system": "http://loinc.org", "code": loinc}]},
         "value": {"value": value, "unit": unit}}
        for name, loinc, value, unit in measured
    ]  # fmt: skip


class TestWhatNobodyAccepted:
    def test_an_imported_none_is_never_said_like_one_that_was_asked(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        page = declared_here(web, machine, "AUCUNE")
        (none, *_) = imported(
            web, UUID(page.rpartition("/")[2]),
            AbsenceAsserted(slot="allergies", asked_on="2020-01-01",
                            concept=Concept(text="716186003")),
            AbsenceAsserted(slot="medications", asked_on="2020-01-01"),
            AbsenceAsserted(slot="procedures", asked_on="2020-01-01"),
        )  # fmt: skip
        amber = f'not-asked">{NONE}'
        assert amber in html.unescape(doctor.get("/patients?q=AUCUNE").text)
        for address in (page, f"{page}/consultation", f"{page}/transmission", f"{page}/chronologie",
                        f"{page}/gestes/allergie"):  # fmt: skip
            shown = doctor.get(address)
            assert shown.status_code == 200, address
            assert badge(shown.text) == amber, address
            assert ASKED not in shown.text, address
        record = html.unescape(doctor.get(page).text)
        for box in ("allergies", "medications", "procedures"):
            shown_box = record.partition(f'aria-labelledby="case-{box}"')[2]
            assert "à valider" in shown_box.partition("</section>")[0], box
        asks = "Demandé ce jour : aucune allergie connue"
        assert asks in doctor.get(f"{page}/consultation").text
        left = "« Aucune allergie » est importé, à valider"
        assert left in doctor.get(f"{page}/transmission").text

        renewed(web, doctor)
        of_card = card(web, doctor, "AUCUNE")
        assert badge(of_card) == amber
        assert "Aucun traitement connu, à valider (import CDA, demandé le 01/01/2020)" in of_card
        assert "716186003" not in of_card
        said = row(web, machine, page)["allergies"]
        assert (said["state"], said["validation"], said["text"]) == ("none", "to-validate", NONE)

        write(machine, page, "validate-entry", entry=none, verdict="accepted")
        assert ASKED in doctor.get(page).text
        assert asks not in doctor.get(f"{page}/consultation").text
        assert ASKED in card(web, doctor, "AUCUNE"), "the kept card says what is no longer so"

    def test_what_was_asked_here_is_not_made_doubtful_by_a_later_import(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        page = declared_here(web, machine, "DEMANDEE")
        write(machine, page, "assert-absence", slot="allergies", asked_on="2026-11-23")
        imported(web, UUID(page.rpartition("/")[2]),
                 AbsenceAsserted(slot="allergies", asked_on="2020-01-01"))  # fmt: skip
        assert badge(doctor.get(page).text) == (
            'none">Aucune allergie connue, demandé le 23/11/2026'
        )

    def test_an_imported_allergy_is_marked_wherever_it_is_named(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        page = declared_here(web, machine, "MARQUEE")
        (allergy, *_) = imported(
            web, UUID(page.rpartition("/")[2]), AMOXICILLIN,
            MedicationStarted(concept=Concept(text="Ramipril 5 mg")),
            ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active"),
        )  # fmt: skip
        write(machine, page, "open-item", kind="call", text="Appeler", due="2026-11-25")
        write(machine, page, "receive-result", status="phoned", title="Iono", caller="Labo",
              read_back=True, lines=potassium_and())  # fmt: skip
        marked = "Amoxicilline (à valider)"
        for address in (page, f"{page}/consultation", f"{page}/gestes/allergie",
                        f"{page}/transmission", f"{page}/chronologie"):  # fmt: skip
            assert marked in badge(doctor.get(address).text), address
        for address in ("/resultats", "/points", "/patients?q=MARQUEE"):
            assert marked in html.unescape(doctor.get(address).text), address
        then = html.unescape(doctor.get(f"{page}/chronologie").text)
        thread, _, summary = then.partition('<aside class="stack" aria-label="La synthèse d’alors"')
        for text in ("Amoxicilline", "Ramipril 5 mg", "Asthme"):
            assert re.search(rf"{text}[^<]* <span class=\"tag warn\">à valider", thread), text
            assert re.search(rf"{text}[^<]* <span class=\"tag warn\">à valider", summary), text
        entries = machine.get(f"/api/v1{page}/timeline").json()["entries"]
        assert {each["validation"] for each in entries if each["event_id"] == allergy} == {
            "to-validate"
        }
        write(machine, page, "validate-entry", entry=allergy, verdict="accepted")
        shown = html.unescape(doctor.get(f"{page}/chronologie").text)
        assert marked not in shown
        assert not re.search(r"Amoxicilline[^<]* <span class=\"tag warn\">à valider", shown)


class TestWhatACardHolds:
    def test_every_critical_value_of_a_result_is_shown(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        page = declared_here(web, machine, "TROISVALEURS")
        lines = potassium_and(
            ("Sodium", "2951-2", "118", "mmol/L"), ("Hémoglobine", "718-7", "5.1", "g/dL")
        )
        write(machine, page, "receive-result", status="phoned", title="Bilan", caller="Labo",
              read_back=True, lines=lines)  # fmt: skip
        renewed(web, doctor)
        of_card = card(web, doctor, "TROISVALEURS")
        for value in ("Potassium 6,9 mmol/L", "Sodium 118 mmol/L", "Hémoglobine 5,1 g/dL"):
            assert f"CRITIQUE NON LU : {value}" in of_card
        assert len(row(web, machine, page)["alarms"]) == 3

    def test_what_a_card_leaves_out_is_counted_on_the_page_and_in_json(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        page = declared_here(web, machine, "TROPPLEIN")
        write(machine, page, "set-illness-severity", severity="watcher", reason="sortie récente")
        for number in range(4):
            write(machine, page, "set-contingency", condition=f"signe {number}", action="appeler")
        for number in range(3):
            write(machine, page, "set-vigilance-point", text=f"Point {number}")
        for number in range(6):
            write(machine, page, "open-item", kind="call", text=f"Appel {number}", due="2026-11-25")
        renewed(web, doctor)
        said = row(web, machine, page)
        assert said["more"]["contingencies"] == 4 - len(said["contingencies"]) > 0
        assert said["more"]["vigilance"] == 3 - len(said["vigilance"]) > 0
        assert said["more"]["actions"] == 6 - len(said["actions"]) > 0
        of_card = re.sub(r"<[^>]*>", "", card(web, doctor, "TROPPLEIN"))
        told = of_card.partition("De plus au dossier de TROPPLEIN Ida : ")[2].partition(".")[0]
        counts = {name: int(number) for number, name in re.findall(r"(\d+) ([a-zé]+)", told)}
        assert counts == {
            word + "s" * (said["more"][name] > 1): said["more"][name]
            for name, word in (("actions", "action"), ("contingencies", "consigne"),
                               ("vigilance", "vigilance"))
        }  # fmt: skip

    def test_an_if_then_that_was_met_stays_and_says_by_which_value(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        page = declared_here(web, machine, "ATTEINT")
        long = "surveiller de près la fonction rénale et le poids chaque matin"
        threshold = {"loinc": "2823-3", "comparator": ">", "unit": "mmol/L"}
        for value in ("5.0", "5.5", "6.0", "6.5"):
            write(machine, page, "set-contingency", condition=f"K+ > {value}", action=long,
                  threshold={**threshold, "value": value})  # fmt: skip
        for number in range(6):
            write(machine, page, "open-item", kind="call", text=f"{long} {number}",
                  due="2026-11-20", harm_if_late=True)  # fmt: skip
        for number in range(4):
            write(machine, page, "set-vigilance-point", text=f"{long} {number}")
        write(machine, page, "receive-result", status="phoned", title="Iono", caller="Labo",
              read_back=True, lines=potassium_and())  # fmt: skip
        renewed(web, doctor)
        assert [each["met"] for each in row(web, machine, page)["contingencies"]] == [True] * 4
        of_card = card(web, doctor, "ATTEINT")
        assert of_card.count("seuil atteint : Potassium 6,9 mmol/L") == 4


class TestSinceTheEdition:
    def kept(self, web: Web, doctor: TestClient, machine: TestClient, family: str) -> str:
        """A patient on an edition, to be watched, with allergies asked for."""
        page = declared_here(web, machine, family)
        write(machine, page, "assert-absence", slot="allergies", asked_on="2026-11-23")
        write(machine, page, "set-illness-severity", severity="watcher", reason="sortie récente")
        renewed(web, doctor)
        of_card = card(web, doctor, family)
        assert ASKED in of_card
        assert "nouvelle depuis l’édition" not in of_card
        return page

    def test_an_allergy_is_never_hidden_behind_a_green_badge(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        page = self.kept(web, doctor, machine, "DEPUISALLERGIE")
        write(machine, page, "record-allergy", substance={"text": "Arachide"})
        of_card = card(web, doctor, "DEPUISALLERGIE")
        assert "nouvelle depuis l’édition" in of_card
        assert badge(of_card) == 'known">Allergie Arachide'
        assert row(web, machine, page)["allergies"]["state"] == "none", "the edition stays"
        assert row(web, machine, page, "since")["allergies"]["state"] == "known"

    @pytest.mark.parametrize(
        ("family", "command", "data", "shown"),
        [
            ("DEPUISPOINT", "open-item",
             {"kind": "call", "text": "Rappeler pour le potassium", "due": "2026-11-20",
              "harm_if_late": True}, "Rappeler pour le potassium"),
            ("DEPUISCONSIGNE", "set-contingency",
             {"condition": "dyspnée de repos", "action": "appeler le 15"}, "dyspnée de repos"),
        ],
    )  # fmt: skip
    def test_a_late_point_that_harms_and_an_if_then_stand_on_the_card(
        self, web: Web, doctor: TestClient, machine: TestClient, family: str, command: str,
        data: dict[str, Any], shown: str,
    ) -> None:  # fmt: skip
        page = self.kept(web, doctor, machine, family)
        write(machine, page, "record-problem", concept={"text": "Arthrose"})
        assert "nouvelle depuis l’édition" not in card(web, doctor, family), "nothing misleads"
        write(machine, page, command, **data)
        of_card = card(web, doctor, family)
        assert "nouvelle depuis l’édition" in of_card
        assert shown in of_card

    def test_whoever_stood_higher_keeps_their_place_and_what_was_read_stays_said(
        self, web: Web, doctor: TestClient, machine: TestClient
    ) -> None:
        page = declared_here(web, machine, "DEPUISLECTURE")
        (result, *_) = write(machine, page, "receive-result", status="phoned", title="Iono",
                             caller="Labo", read_back=True, lines=potassium_and())  # fmt: skip
        renewed(web, doctor)
        write(machine, page, "review-result", result=result, verdict="critical", action="ECG")
        write(machine, page, "record-allergy", substance={"text": "Arachide"})
        shown = html.unescape(doctor.get(f"{page_of_briefing(web)}?tout=1").text)
        first = shown.partition('id="T0"')[2].partition("</section>")[0]
        of_card = next(each for each in first.split("<article") if "DEPUISLECTURE" in each)
        assert "Allergie</strong> Arachide" in of_card
        assert "✓ lu à" in of_card
        assert "dans l’édition : résultat critique non lu" in of_card
