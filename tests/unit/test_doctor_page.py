"""docs/doctor.md and docs/coordinator.md speak the screen's words: bold words stand on it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from releve.domain.aggregates.patient.handover import MOST_READ_BACKS
from releve.projections.coordination import ALD_AHEAD, WEEKS
from releve.projections.rule_release import CURRENT, load_rules
from releve.security.policy import GRACE, QUESTIONS, READING_LEAD_DAYS, READING_OPENS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
DESK = (ROOT / "docs" / "coordinator.md").read_text(encoding="utf-8")

EMPHASIS = {
    "ce logiciel n'est pas certifié", "ses règles n'ont pas été relues par un clinicien",
    "personne n'est prévenu",
    "sans seuil, une consigne est du texte",
}  # fmt: skip
"""Sentences in bold that are ours to say loudly, not words of a screen."""
LOUD = {
    "jamais un mot médical", "rien ici n'est certifié", "avec son unité",
    "relisez la valeur à l'appelant", "elle ne se relit pas au secrétariat",
}  # fmt: skip
"""The same on the desk's page."""


def plain(text: str) -> str:
    """Lower case, straight apostrophes, ordinary spaces, no markup."""
    text = re.sub(r"</?[a-z][^<>]*>|\{[{%].*?[%}]\}", "", text)
    return re.sub(r"\s+", " ", text.replace("’", "'").replace("\u202f", " ")).lower()


def screen() -> str:
    """Every word that a page can show: templates, page modules, wording, rules."""
    paths = [
        *(ROOT / "api" / "templates").glob("*.html"),
        *(ROOT / "api" / "pages").glob("*.py"),
        *(ROOT / "projections").glob("*.py"),
        *(ROOT / "projections" / "rules").glob("*.json"),
    ]
    return plain("\n".join(path.read_text(encoding="utf-8") for path in paths))


@pytest.mark.parametrize(("page", "loud"), [(PAGE, EMPHASIS), (DESK, LOUD)], ids=["doctor", "desk"])
def test_words_in_bold_are_on_the_screen(page: str, loud: set[str]) -> None:
    shown = screen()
    named = {plain(each).strip(" .:") for each in re.findall(r"\*\*(.+?)\*\*", page)}
    assert len(named) > 25
    assert {each for each in named if each not in shown} == loud


def test_the_tiers_are_the_rules_in_their_order() -> None:
    titles = list(load_rules().titles().values())
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| .+ \|$", PAGE, re.MULTILINE)
    assert rows[: len(titles)] == titles


def test_it_says_that_no_clinician_reviewed_as_long_as_none_did() -> None:
    rules = json.loads((ROOT / "projections" / "rules" / f"{CURRENT}.json").read_text("utf-8"))
    unreviewed = rules["reviewed_by"].startswith("Non relu")
    assert ("n'ont pas été relues par un clinicien" in PAGE) == unreviewed


def test_the_numbers_are_the_codes() -> None:
    assert f"dès {READING_OPENS.hour} h le troisième jour avant" in PAGE
    assert READING_LEAD_DAYS == 3
    assert f"{GRACE.total_seconds() / 3600:g} heures" in PAGE
    assert f"jusqu'au {QUESTIONS.days}e jour" in PAGE
    assert f"{ALD_AHEAD.days} jours" in DESK
    assert "huit semaines" in DESK
    assert WEEKS == 8
    assert "au plus sept restitutions" in PAGE
    assert MOST_READ_BACKS == 7
