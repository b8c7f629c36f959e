"""One received document on its page: its traits, the records it may be of, what it says."""

from __future__ import annotations

import html
import re
from typing import Any
from uuid import UUID, uuid4

import pytest

from releve.api.document_words import (
    name_of_test,
    part_in_words,
    reference_in_words,
    short_line,
    short_test,
    warning_in_words,
)
from support.inbox import ODETTE, SAMPLES, odette, pdf, send
from support.web import Web, hidden, submit

pytestmark = pytest.mark.postgres


def plain(page: str) -> str:
    """A page without entities and unbreakable spaces."""
    return html.unescape(page).replace("\xa0", " ").replace("\u202f", " ")


def test_the_desk_sees_the_documents_traits_and_both_values_where_they_differ(web: Web) -> None:
    known = [{"system": "urn:oid:2.999.7", "value": str(uuid4())}]
    odette(web, birth_name="TRAITS", identifiers=known)
    said: dict[str, Any] = {**ODETTE, "birth_name": "TRAITS", "sex": "male", "identifiers": known}
    said.pop("prior_search")
    document = send(web.machine("coordinator"), pdf("traits"), **said)
    shown = plain(web.browser("coordinator").get(f"/arrivees/{document}").text)
    assert re.search(r"<dt>Nom de naissance</dt><dd>TRAITS</dd>", shown)
    assert re.search(r"<dt>Prénoms</dt><dd>ODETTE, MARIE, ROSE</dd>", shown)
    assert re.search(r"<dt>Sexe</dt><dd>homme</dd>", shown)
    assert "sexe (document : homme ; dossier : femme)" in shown
    assert "né(e)" not in shown.partition("<dl")[0]


def test_a_record_is_opened_with_the_documents_traits_and_leads_back_to_it(web: Web) -> None:
    office = web.browser("coordinator")
    said: dict[str, Any] = {
        "birth_name": "INCONNUE", "first_names": ["LISE"], "birth_date": "1960-05-04",
        "sex": "female",
    }  # fmt: skip
    document = send(web.machine("coordinator"), pdf("nouveau"), **said)
    page = f"/arrivees/{document}"
    (href,) = re.findall(r'href="(/patients/nouveau\?document=[^"]+)"', office.get(page).text)
    form = office.get(href).text
    for value in ("INCONNUE", "LISE", "1960-05-04"):
        assert f'value="{value}"' in form
    opened = submit(office, href, "/patients/nouveau", searched="oui", birth_name="INCONNUE",
                    first_names="LISE", birth_date="1960-05-04", sex="female")  # fmt: skip
    assert opened.headers["location"] == f"{page}?fait=dossier"
    assert re.search(r'name="patient" value="[\w-]{36}" checked', office.get(page).text)
    nobody = office.get(f"/patients/nouveau?document={UUID(int=9)}")
    assert nobody.status_code == 404


def test_a_refused_match_keeps_the_search_and_what_it_found(web: Web) -> None:
    office = web.browser("coordinator")
    patient = odette(web, birth_name="CHERCHEE")
    document = send(web.machine("coordinator"), pdf("cherche"), birth_name="AUTRE")
    page = f"/arrivees/{document}"
    found = submit(office, page, page, cherche="cherchee")
    assert f'value="{patient}"' in found.text
    to = f"{page}/rattacher"
    refused = office.post(
        to,
        data={**hidden(found, to), "patient": str(patient)},
        headers={"sec-fetch-site": "same-origin"},
    )
    assert refused.status_code == 422
    assert f'value="{patient}" checked' in refused.text
    assert 'name="cherche" type="search" value="cherchee"' in refused.text
    assert "rejeter" not in plain(refused.text).replace(f"{page}/rejeter", "")


def test_a_summary_says_of_each_line_what_it_is_and_how_it_stands(web: Web) -> None:
    raw = (SAMPLES / "vsm.xml").read_bytes() + b"<!-- page -->"
    document = send(web.machine("coordinator"), raw)
    shown = plain(web.browser("present").get(f"/arrivees/{document}").text)
    for kind, said in (
        ("Traitement", "Naproxène, arrêté"),
        ("Antécédent familial", "Mère : Diabète"),
        ("Allergie", "Amoxicilline"),
        ("Problème", "Embolie pulmonaire, écartée, inactif, réfuté"),
    ):
        assert re.search(rf'<span class="tag grey">{kind}</span> {said}', shown), said
    assert "Traitement : énoncé négatif" in shown
    assert "/ClinicalDocument" not in shown


def test_a_value_is_named_by_its_test_alone() -> None:
    long = "Potassium [Moles/Volume] Sérum/Plasma ; Numérique 6,2 mmol/L (très haut)"
    assert short_test(long) == "Potassium 6,2 mmol/L (très haut)"
    assert short_test("CRP [Masse/Volume] Sérum < 0,6 mg/L") == "CRP < 0,6 mg/L"
    assert short_test("Potassium 6,2 mmol/L [ATTEINT]") == "Potassium 6,2 mmol/L [ATTEINT]"
    in_words = "Ag HBs [Présence] Sérum/Plasma Immunoanalyse" + " mot" * 2_000 + " : négatif"
    assert short_test(in_words) == in_words  # a pattern that tries every way would not end


def test_what_was_not_measured_in_blood_says_so() -> None:
    urine = "Potassium [Moles/Volume] Urine ; Numérique"
    assert short_test(f"{urine} 62 mmol/L") == "Potassium (urine) 62 mmol/L"
    assert name_of_test(urine) == "Potassium (urine)"
    assert name_of_test("TSH [Unités/Volume] Sérum/Plasma") == "TSH"
    tsh = "TSH [Unités/Volume] Sérum/Plasma"
    assert short_line(f"{tsh} pas encore disponible", tsh) == "TSH pas encore disponible"
    assert short_line("INR 2,4", "TSH") == "INR 2,4"


def test_a_reference_is_written_as_the_page_writes_numbers() -> None:
    assert reference_in_words("3.5 à 5.1 mmol/L") == "3,5 à 5,1 mmol/L"
    assert reference_in_words("45 à 84 umol/L ; <= 5 ug/L") == "45 à 84 µmol/L ; ≤ 5 µg/L"
    assert reference_in_words("Voir culture. Négatif") == "Voir culture. Négatif"


def test_parts_and_warnings_are_said_without_their_path() -> None:
    path = "/ClinicalDocument/component[2]/section/entry/observation"
    assert part_in_words("observation:34552-0", path) == "observation (code 34552-0)"
    assert part_in_words("substanceAdministration:DRUG", f"{path}/x") == "traitement"
    assert part_in_words("inconnu", "/a/inconnu") == "inconnu"
    assert (
        warning_in_words(f"{path} : annulé par sa source") == "Observation : annulé par sa source"
    )
    assert warning_in_words("Le document ne dit pas quand.") == "Le document ne dit pas quand."
