"""docs/doctor.md speaks the screen's words: what it prints in bold stands in pages or rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

from releve.domain.aggregates.patient.handover import MOST_READ_BACKS
from releve.projections.rule_release import CURRENT, load_rules
from releve.security.policy import GRACE, QUESTIONS, READING_LEAD_DAYS, READING_OPENS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")

EMPHASIS = {
    "ce logiciel n'est pas certifié", "ses règles n'ont pas été relues par un clinicien",
    "personne n'est prévenu",
    "sans seuil, une consigne est du texte",
}  # fmt: skip
"""Sentences in bold that are ours to say loudly, not words of a screen."""


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


def test_words_in_bold_are_on_the_screen() -> None:
    shown = screen()
    named = {plain(each).strip(" .:") for each in re.findall(r"\*\*(.+?)\*\*", PAGE)}
    assert len(named) > 30
    assert {each for each in named if each not in shown} == EMPHASIS


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
    assert "au plus sept restitutions" in PAGE
    assert MOST_READ_BACKS == 7
