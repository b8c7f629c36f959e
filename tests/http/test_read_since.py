"""A critical value of Monday's edition: read, told, and said so everywhere at once."""

from __future__ import annotations

import html
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from releve.api.demo.generator import Sizes
from support.postgres import Server
from support.web import MONDAY, Web, open_web, submit
from support.week import IRENE, board, first_card, golden, write

pytestmark = pytest.mark.postgres
CONDUCT = "Arrêter la spironolactone, ECG au cabinet ce matin, contrôle du potassium mercredi"


@pytest.fixture(scope="module")
def web(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    database = postgres.create()
    state = tmp_path_factory.mktemp("read") / "releve"
    with open_web(database, state, MONDAY, Sizes(patients=60, weeks=3)) as opened:
        yield opened
    database.drop()


def plain(page: str) -> str:
    """A page without its entities and its narrow or unbreakable spaces."""
    return html.unescape(page).replace("\xa0", " ").replace("\u202f", " ")


def of_verdelhan(page: str) -> str:
    """The card of the patient whose potassium is critical."""
    cards = plain(page).split("<article")[1:]
    return next(card for card in cards if "VERDELHAN Roger" in card).partition("</article>")[0]


def test_a_critical_value_says_who_read_it_and_stays_first_until_the_patient_knows(
    web: Web,
) -> None:
    doctor: TestClient = web.browser(IRENE)
    page = f"/sejours/{web.stint(IRENE)}/briefing"
    before = plain(first_card(doctor.get(page).text))
    assert "VERDELHAN Roger" in before
    assert "CRITIQUE NON LU : Potassium 6,2 mmol/L" in before
    assert "06 39 98" in before, "the number to call stands beside the value"
    read = f'href="/patients/{golden(web, "VERDELHAN Roger")}/gestes/relire/'
    assert read in before

    waiting = board(web)["to-review"]
    (row,) = [each for each in waiting if each["critical"]]
    write(
        web.machine(IRENE), row["patient"], "review-result",
        result=row["result"]["entry"], verdict="critical", action=CONDUCT,
    )  # fmt: skip
    shown = plain(doctor.get(page).text)
    card = of_verdelhan(shown)
    assert "CRITIQUE NON LU" not in card
    assert "Potassium 6,2 mmol/L" in card
    assert f"✓ lu à 8 h 30 par {web.services.persona(IRENE).name}" in card
    assert "résultat critique non lu" not in card
    banner = shown.partition('class="notices"')[2].partition("</div>\n</div>")[0]
    assert "VERDELHAN Roger</a> : résultat lu" in banner

    assert submit(doctor, page, f"/sejours/{web.stint(IRENE)}/edition").status_code == 303
    renewed = of_verdelhan(doctor.get(page).text)
    assert f"critique, {CONDUCT}" in renewed
    assert "Potassium 6,2 mmol/L" in renewed
    told = plain(doctor.get("/resultats").text)
    group = told.partition('aria-labelledby="to-inform"')[2]
    assert "VERDELHAN Roger" in group.partition("</li>")[0], "the critical one is the first to tell"
    assert "que personne n’a lue" not in told
