"""The page of the briefing: four hundred words, no critical row left out, and as plain text."""

from __future__ import annotations

import json

import pytest

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.encounters import EncounterRecorded
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.values import Concept
from releve.projections.briefing import Card, build_card, card_bytes, extract, rank
from releve.projections.briefing_text import as_text, clipped, page, page_row, page_words
from support.briefing import DIRECTORY, HEAD, ME, NEW, OTHER, RULES, back, card_of, person, seen
from support.patient_events import summary_of


def crowd(count: int) -> list[Card]:
    summaries = []
    for number in range(count):
        stream = person(number)
        kind = number % 4
        if kind == 0 and number < 24:
            stream.add(
                IllnessSeveritySet(severity="unstable", reason="dyspnée de repos depuis hier")
            )
        if kind == 1:
            stream.add(IllnessSeveritySet(severity="watcher", reason="créatinine en hausse"))
            stream.add(ContingencySet(condition="oligurie", action="bilan le jour même et appel"))
        due = "2026-11-18" if kind == 2 else "2026-11-26"
        stream.add(
            ItemOpened(
                kind="result", text="Rappeler le laboratoire", due=due, harm_if_late=kind == 2
            )
        )
        summaries.append(summary_of(stream))
    view = seen()
    return [build_card(each, view, DIRECTORY, RULES) for each in rank(summaries, view, RULES)]


class TestPage:
    @pytest.mark.parametrize("count", [0, 1, 10, 60, 200])
    def test_holds_four_hundred_words_and_never_drops_a_critical_row(self, count: int) -> None:
        cards = crowd(count)
        sections = page(HEAD, cards, RULES)
        assert page_words(HEAD, sections) <= 400
        for section in sections:
            in_tier = sum(card["tier"] == section.tier for card in cards)
            assert len(section.rows) + section.hidden == in_tier
            assert section.tier != "T0" or section.hidden == 0
        assert sum(len(each.rows) + each.hidden for each in sections) == count

    def test_every_row_carries_the_allergy_badge(self) -> None:
        rows = [row for section in page(HEAD, crowd(40), RULES) for row in section.rows]
        assert len(rows) > 10
        assert all("llergie" in row for row in rows)

    def test_a_row_names_whole_substances_and_counts_the_others(self) -> None:
        long = "Association de céphalosporine de troisième génération et de lidocaïne"
        stream = person()
        stream.add(AllergyRecorded(substance=Concept(text=long)))
        stream.add(AllergyRecorded(substance=Concept(text="Acide acétylsalicylique")))
        stream.add(AllergyRecorded(substance=Concept(text="Latex")))
        row = page_row(card_of(stream), 3)
        named = [name for name in (long, "Acide acétylsalicylique", "Latex") if name in row]
        assert len(named) + int(row.rpartition("+")[2]) == 3
        assert not row.endswith("…")
        for number in range(4):
            stream.add(AllergyRecorded(substance=Concept(text=f"Produit {number}")))
        row = page_row(card_of(stream), 3)
        assert row.rpartition(" +")[2] in ("5", "6")

    @pytest.mark.parametrize(
        ("asked_on", "shown"),
        [
            ("2026-11-19", "Aucune allergie (19/11)"),
            ("2019-11-19", "Aucune allergie (19/11/2019)"),
            ("2026-10", "Aucune allergie (10/2026)"),
        ],
    )
    def test_none_keeps_the_day_it_was_asked_on_every_row(self, asked_on: str, shown: str) -> None:
        stream = person()
        stream.add(AbsenceAsserted(slot="allergies", asked_on=asked_on))
        assert page_row(card_of(stream), 3).endswith(f" · {shown}")

    def test_as_text_prints_banner_tiers_and_cards(self) -> None:
        cards = [json.loads(card_bytes(card)) for card in crowd(12)]
        text = as_text(HEAD, [*cards, None], RULES, sha256="00", manifest="11")
        assert "Vous remplacez Dr Élise Garnier." in text
        assert "T0 CRITIQUES : 3" in text
        assert "Dossier effacé" in text
        assert "FOURNIER Marcel, 12/03/1948, 78 ans" in text
        assert "[16/11/2026, Dr Élise Garnier, saisi]" in text
        assert text.index("T0 CRITIQUES") < text.index("T1 EN RETARD") < text.index("CARTES")

    @pytest.mark.parametrize("count", [10, 120])
    def test_the_page_holds_four_hundred_words_with_every_section(self, count: int) -> None:
        summaries = []
        for number in range(count):
            stream = person(number)
            stream.add(EncounterRecorded(mode="cabinet"), author=ME)
            stream.add(AppointmentNoticed(starts_at=f"2026-11-23T{8 + number % 9:02}:00:00+01:00"))
            stream.add(ProblemRecorded(concept=Concept(text="Asthme allergique")), author=OTHER)
            if number % 3 == 0:
                stream.add(IllnessSeveritySet(severity="watcher", reason="poids"), author=OTHER)
            summaries.append(extract(summary_of(stream)))
        view = back(-1)
        cards = [build_card(each, view, DIRECTORY, NEW) for each in rank(summaries, view, NEW)]
        head = {**HEAD, "messages": ["Dr X : " + "merci " * 60], "since": "12 décès",
                "alarms": ["Rien reçu de : Labo A."]}  # fmt: skip
        sections = page(head, cards, NEW)
        assert page_words(head, sections) <= 400
        assert {"RDV", "DEPUIS", "MOTS"} <= {each.tier for each in sections}
        (today,) = [each for each in sections if each.tier == "RDV"]
        assert len(today.rows) + today.hidden == count


def test_what_is_cut_keeps_no_number_without_its_unit() -> None:
    text = "Lire créatinine et potassium prélevés lundi 8 h"
    assert clipped(text, 9) == text
    assert clipped(text, 7) == "Lire créatinine et potassium prélevés lundi…"
    assert clipped("8 h 30 ou 9 h", 1) == "8…"
