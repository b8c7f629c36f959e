"""The tier of a record and its place there: severity, items, results, appointments."""

from __future__ import annotations

import random
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.results import Informed, ResultReviewed
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.values import Coding, Concept, Quantity, Severity, Threshold
from releve.projections.briefing import build_card, is_needed, rank
from releve.projections.briefing_text import card_text, page, page_row
from support.briefing import (
    DIRECTORY,
    HEAD,
    NEW,
    OTHER,
    RULES,
    card_of,
    person,
    ranked_of,
    seen,
    tier_of,
)
from support.given import SECRETARY
from support.patient_events import Stream, summary_of
from support.results import phoned


class TestTiers:
    def test_unstable_is_first_and_a_watcher_third(self) -> None:
        stream = person()
        stream.add(IllnessSeveritySet(severity="watcher", reason="créatinine en hausse"))
        assert tier_of(stream) == "T2"
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée de repos"))
        assert tier_of(stream) == "T0"

    def test_a_record_with_unread_events_is_critical_and_says_so(self) -> None:
        stream = person()
        assert tier_of(stream) == "T5"
        assert tier_of(stream, unread=3) == "T0"
        summary = summary_of(stream)
        summary.unread = 3
        (ranked,) = rank([summary], seen(), RULES)
        card = build_card(ranked, seen(), DIRECTORY, RULES)
        assert card["incomplete"] == "dossier incomplet : 3 éléments non lus"
        assert "DOSSIER INCOMPLET : 3 ÉLÉMENTS NON LUS" in card_text(card)

    def test_a_threshold_met_is_critical_and_one_not_comparable_is_second(self) -> None:
        for value, unit, tier in (("6.1", "mmol/L", "T0"), ("6.1", "mg/dL", "T1")):
            stream = person()
            stream.add(
                ContingencySet(
                    condition="Kaliémie > 5,5",
                    action="ECG le jour même",
                    threshold=Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L"),
                    valid_until="2026-11-01",
                )
            )
            stream.add(
                ObservationRecorded(
                    code=Concept(text="Kaliémie", codings=(Coding(code="2823-3"),)),
                    value=Quantity(value=value, unit=unit),
                )
            )
            assert tier_of(stream) == tier
            (contingency,) = card_of(stream)["contingencies"]
            assert contingency["expired"], "an expired one still fires, and says it is expired"
            assert contingency["met"] is (tier == "T0")

    @pytest.mark.parametrize(
        ("valid_until", "expired"),
        [("2026-11-22", True), ("2026-11-23", False), ("2026-11", False), (None, False)],
    )
    def test_an_if_then_is_expired_after_its_last_civil_day(
        self, valid_until: str | None, expired: bool
    ) -> None:
        stream = person()
        stream.add(ContingencySet(condition="x", action="y", valid_until=valid_until))
        (contingency,) = card_of(stream)["contingencies"]
        assert contingency["expired"] is expired

    @pytest.mark.parametrize(
        ("due", "harm", "tier"),
        [
            ("2026-11-20", True, "T1"),
            ("2026-11-20", False, "T3"),
            ("2026-11-23", True, "T3"),
            ("2026-11-28", False, "T3"),
            ("2026-11-29", True, "T5"),
            ("2026-11", True, "T5"),
            (None, True, "T3"),
        ],
    )
    def test_items_count_by_their_last_possible_day(
        self, due: str | None, harm: bool, tier: str
    ) -> None:
        stream = person()
        stream.add(
            ItemOpened(
                kind="result", text="NFS", due=due, no_deadline=due is None, harm_if_late=harm
            )
        )
        assert tier_of(stream) == tier

    def test_what_is_new_since_the_doctor_last_looked_is_fifth(self) -> None:
        stream = person()
        new = stream.add(ProblemRecorded(concept=Concept(text="Asthme")))
        assert new.position is not None
        assert tier_of(stream, since=new.position - 1) == "T4"
        assert tier_of(stream, since=new.position) == "T5"

    def test_severity_keeps_its_rank_after_its_review_day(self) -> None:
        stream = person()
        stream.add(IllnessSeveritySet(severity="unstable", reason="x", review_by="2026-11-20"))
        assert tier_of(stream) == "T0"
        assert card_of(stream)["severity"]["reassess"] is True
        assert any("(à réévaluer)" in line for line in card_text(card_of(stream)))

    def test_every_signal_of_the_rules_reaches_the_tier_they_say(self) -> None:
        for rule in RULES.tiers:
            for signal in rule.any:
                assert RULES.tier_of(frozenset({signal})) == rule.tier
        assert RULES.tier_of(frozenset()) == "T5"


class TestOrder:
    @settings(deadline=None, max_examples=50)
    @given(st.integers(0, 2**32))
    def test_is_total_and_does_not_depend_on_the_order_of_the_input(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a repeatable test
        summaries = []
        for number in range(12):
            stream = person(number)
            if chance.random() < 0.7:
                level = chance.choice(get_args(Severity))
                stream.add(IllnessSeveritySet(severity=level, reason="x"))
            for _ in range(chance.randrange(3)):
                due = chance.choice([None, "2026-11-18", "2026-11-24", "2026-12-24"])
                stream.add(
                    ItemOpened(
                        kind="call",
                        text="Appeler",
                        due=due,
                        no_deadline=due is None,
                        harm_if_late=chance.random() < 0.5,
                    )
                )
            summaries.append(summary_of(stream))
        first = [each.summary.patient for each in rank(summaries, seen(), RULES)]
        chance.shuffle(summaries)
        again = rank(summaries, seen(), RULES)
        assert [each.summary.patient for each in again] == first
        assert [each.tier for each in again] == sorted(each.tier for each in again)
        assert len({each.key for each in again}) == len(again)

    def test_inside_a_tier_the_more_severe_then_the_earlier_due_come_first(self) -> None:
        late, later, severe = person(1), person(2), person(3)
        later.add(ItemOpened(kind="call", text="b", due="2026-11-10", harm_if_late=True))
        late.add(ItemOpened(kind="call", text="a", due="2026-11-02", harm_if_late=True))
        severe.add(IllnessSeveritySet(severity="watcher", reason="x"))
        severe.add(ItemOpened(kind="call", text="c", due="2026-11-19", harm_if_late=True))
        ordered = rank([summary_of(each) for each in (later, late, severe)], seen(), RULES)
        assert [each.summary.patient for each in ordered] == [severe.id, late.id, later.id]

    def test_items_without_a_deadline_come_after_those_with_one(self) -> None:
        dated, undated = person(2), person(1)
        undated.add(ItemOpened(kind="call", text="a", no_deadline=True))
        dated.add(ItemOpened(kind="call", text="b", due="2026-11-27"))
        ordered = rank([summary_of(undated), summary_of(dated)], seen(), RULES)
        assert [each.summary.patient for each in ordered] == [dated.id, undated.id]


class TestCriticalResults:
    def test_a_phoned_potassium_is_the_first_line_of_the_page(self) -> None:
        unstable, called = person(1), person(2)
        unstable.add(IllnessSeveritySet(severity="unstable", reason="dyspnée de repos"))
        unstable.add(ItemOpened(kind="call", text="Appeler", due="2026-11-02", harm_if_late=True))
        called.add(phoned("6.4"), author=SECRETARY)
        ordered = ranked_of(unstable, called)
        assert [each.summary.patient for each in ordered] == [called.id, unstable.id]
        cards = [build_card(each, seen(), DIRECTORY, NEW) for each in ordered]
        first = page(HEAD, cards, NEW)[0].rows[0]
        assert "CRITIQUE NON LU : Potassium 6,4 mmol/L (téléphoné)" in first
        assert cards[0]["why"] == ["résultat critique non lu"]

    def test_it_stays_there_until_a_doctor_has_read_it(self) -> None:
        stream = person()
        came = stream.add(phoned("6.4"), author=SECRETARY)
        assert ranked_of(stream)[0].tier == "T0"
        stream.add(ResultReviewed(verdict="critical", action="SAMU"), target=came.event_id)
        assert ranked_of(stream)[0].tier == "T3"  # the patient does not know
        stream.add(Informed(channel="phone"), target=came.event_id)
        assert ranked_of(stream)[0].tier == "T5"

    def test_one_that_cannot_be_compared_is_second_and_never_normal(self) -> None:
        stream = person()
        stream.add(phoned("6.4", "mg/dL"), author=SECRETARY)
        (ranked,) = ranked_of(stream)
        assert ranked.tier == "T1"
        assert "NON COMPARABLE" in page_row(build_card(ranked, seen(), DIRECTORY, NEW), 3)

    def test_the_old_release_still_ranks_as_it_did(self) -> None:
        stream = person()
        stream.add(phoned("6.4"), author=SECRETARY)
        assert tier_of(stream) == "T5"


class TestAppointments:
    def booked(self, number: int, starts_at: str, **more: Any) -> Stream:
        stream = person(number)
        stream.add(AppointmentNoticed(starts_at=starts_at, **more))
        return stream

    def test_booked_this_stint_with_changes_is_fifth(self) -> None:
        stream = self.booked(1, "2026-11-24T09:00:00+01:00")
        assert ranked_of(stream, view=seen(since=10**6))[0].tier == "T5"
        stream.add(ProblemRecorded(concept=Concept(text="Asthme")), author=OTHER)
        assert ranked_of(stream)[0].tier == "T4"
        later = self.booked(2, "2026-12-24T09:00:00+01:00")
        later.add(ProblemRecorded(concept=Concept(text="Asthme")), author=OTHER)
        assert ranked_of(later)[0].tier == "T5"

    def test_the_earlier_appointment_comes_first(self) -> None:
        streams = [
            self.booked(number, f"2026-11-2{day}T09:00:00+01:00")
            for number, day in ((1, 6), (2, 4), (3, 5))
        ]
        for stream in streams:
            stream.add(ItemOpened(kind="call", text="Appeler", due="2026-11-25"))
        ordered = ranked_of(*streams)
        assert [each.summary.patient for each in ordered] == [
            streams[1].id, streams[2].id, streams[0].id,
        ]  # fmt: skip

    def test_of_today_and_visits_stand_on_the_page_with_a_dot_and_what_is_new(self) -> None:
        today = self.booked(1, "2026-11-23T09:15:00+01:00")
        today.add(IllnessSeveritySet(severity="stable"), author=OTHER)
        visit = self.booked(2, "2026-11-25T14:00:00+01:00", mode="ehpad", site="Les Tilleuls")
        other = self.booked(3, "2026-11-26T09:00:00+01:00")
        view = seen(since=-1)
        ranked = ranked_of(today, visit, other, view=view)
        needed = [each.summary.patient for each in ranked if is_needed(each, view, NEW)]
        assert needed == [today.id, visit.id]
        cards = [build_card(each, view, DIRECTORY, NEW) for each in ranked]
        sections = {each.tier: each.rows for each in page(HEAD, cards, NEW)}
        assert sections["RDV"][0].startswith("9\u00a0h\u00a015 FOURNIER Marcel, 12/03/1948, 78 ans")
        assert "1 nouveauté" in sections["RDV"][0]
        assert sections["VISITES"][0].startswith("25/11, Les Tilleuls : FOURNIER Marcel")
