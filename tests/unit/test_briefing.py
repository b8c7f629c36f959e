from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from uuid import UUID, uuid5

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from releve.domain.aggregates.patient.ald import AldStatusChanged
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationStarted,
    MedicationStopped,
)
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.questions import (
    OpinionRecorded,
    QuestionAnswered,
    QuestionAsked,
)
from releve.domain.aggregates.patient.results import (
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.events import Author, Source
from releve.domain.values import (
    Coding,
    Concept,
    NamedPerson,
    Owner,
    Quantity,
    ResultLine,
    Threshold,
)
from releve.projections.briefing import (
    Card,
    Ranked,
    Viewpoint,
    build_card,
    card_bytes,
    extract,
    is_needed,
    rank,
    viewpoint,
)
from releve.projections.briefing_text import (
    allergy_badge,
    around_sections,
    as_text,
    banner,
    card_text,
    card_words,
    contingency_line,
    page,
    page_row,
    page_words,
)
from releve.projections.directory import CentreEntry, Directory, PractitionerEntry, StintLine
from releve.projections.patient_summary import PatientSummary, fold_all, from_bytes, to_bytes
from releve.projections.ranking import documents_to_validate
from releve.projections.rule_release import load_rules
from releve.projections.since_last_stay import centre_counts
from support.patient_events import CENTRE, STINT, Stream

RULES = load_rules("2026-11")
LENOIR = UUID("00000000-0000-4000-8000-0000000000d2")
NEXT = UUID("00000000-0000-4000-8000-00000000005b")
REFERENT = NamedPerson(name="Dr Odile Référente", phone="+33 5 99 00 00 01")
DIRECTORY = Directory(
    [
        CentreEntry(
            centre=CENTRE,
            name="Centre de santé d'Ajonc",
            finess="990000010",
            referent=REFERENT,
            on_call_chain=(REFERENT, NamedPerson(name="Dr Alix Second", phone="+33 5 99 00 00 02")),
            phones=(("SAMU", "15"),),
        ),
        PractitionerEntry(practitioner=LENOIR, name="Lenoir", given="Paul"),
        StintLine(
            stint=STINT,
            practitioner=UUID(int=7),
            practitioner_name="Dr Élise Garnier",
            centre=CENTRE,
            starts_at=datetime(2026, 11, 16, 7, tzinfo=UTC),
            ends_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
        ),
        StintLine(
            stint=NEXT,
            practitioner=LENOIR,
            practitioner_name="Dr Paul Lenoir",
            centre=CENTRE,
            starts_at=datetime(2026, 11, 23, 7, tzinfo=UTC),
            ends_at=datetime(2026, 11, 28, 12, tzinfo=UTC),
        ),
    ]
)
HEAD = {
    "zone": "Europe/Paris",
    "centre": "Centre de santé d'Ajonc",
    "doctor": "Dr Paul Lenoir",
    "period": "du lundi 23 novembre 2026 au samedi 28 novembre 2026",
    "replaces": "Dr Élise Garnier",
    "colleagues": [],
    "numbers": [["SAMU", "15"]],
    "referent": "Dr Odile Référente",
    "number": 1,
    "issued": "lundi 23 novembre 2026",
    "t5": 0,
    "rule_release": "2026-11",
}


def seen(now: datetime = datetime(2026, 11, 23, 7, 30, tzinfo=UTC), since: int = -1) -> Viewpoint:
    return viewpoint(DIRECTORY.stints[NEXT], "Europe/Paris", now, since)


def person(number: int = 1) -> Stream:
    stream = Stream(number)
    stream.add(
        Registered(
            birth_name="FOURNIER",
            first_names=("Marcel",),
            birth_date="1948-03-12",
            sex="male",
            birth_place="23096",
        )
    )
    return stream


def summary_of(stream: Stream) -> PatientSummary:
    return fold_all(None, stream.events, stream.id)


def card_of(stream: Stream, view: Viewpoint | None = None) -> Card:
    view = view or seen()
    (ranked,) = rank([extract(summary_of(stream))], view, RULES)
    return build_card(ranked, view, DIRECTORY, RULES)


def tier_of(stream: Stream, *, since: int = 10**6, unread: int = 0) -> str:
    summary = summary_of(stream)
    summary.unread = unread
    (ranked,) = rank([summary], seen(since=since), RULES)
    return ranked.tier


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
        chance = random.Random(seed)  # noqa: S311
        summaries = []
        for number in range(12):
            stream = person(number)
            if chance.random() < 0.7:
                level = chance.choice(["unstable", "watcher", "stable"])
                stream.add(IllnessSeveritySet(severity=level, reason="x"))  # type: ignore[arg-type]
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


def overloaded() -> Stream:
    long = "surveiller de près la fonction rénale et le poids chaque matin avant le petit déjeuner "
    stream = person()
    for number in range(9):
        stream.add(AllergyRecorded(substance=Concept(text=f"Substance numéro {number} longue")))
        stream.add(MedicationStarted(concept=Concept(text=f"Médicament {number} " + long)))
        stream.add(
            ItemOpened(kind="result", text=long + str(number), due="2026-11-18", harm_if_late=True)
        )
        stream.add(ContingencySet(condition=long, action=long, valid_until="2027-01-01"))
    stream.add(EncounterRecorded(mode="cabinet", reason=long))
    stream.add(NoteSigned(one_liner=("mot " * 40).strip()))
    stream.add(IllnessSeveritySet(severity="unstable", reason=long * 3))
    return stream


class TestCard:
    def test_holds_ninety_words_whatever_the_record_holds(self) -> None:
        card = card_of(overloaded())
        assert card_words(card) <= 90
        assert card["actions"], "the first action always stays"
        assert card["severity"]["level"] == "unstable"
        assert card["more"]["actions"] == 9 - len(card["actions"])
        assert len(card["one_liner"]["text"]) <= 160
        assert card["allergies"]["more"] == 9 - len(card["allergies"]["lines"])

    def test_is_canonical_json(self) -> None:
        for stream in (overloaded(), person()):
            card = card_of(stream)
            assert card_bytes(card) == rfc8785.dumps(card)
        odd = {"é": 'ligne\n"\\\x07\u2028😀', "a": [True, None, 12]}
        assert card_bytes({"x": odd["é"], "a": odd["a"]}) == rfc8785.dumps(
            {"x": odd["é"], "a": odd["a"]}
        )

    def test_does_not_change_with_the_hour_it_is_made(self) -> None:
        stream = overloaded()
        early = card_of(stream, seen(datetime(2026, 11, 21, 6, tzinfo=UTC)))
        late = card_of(stream, seen(datetime(2026, 11, 23, 21, tzinfo=UTC)))
        assert card_bytes(early) == card_bytes(late)

    def test_does_not_depend_on_ledger_positions(self) -> None:
        here, there = overloaded(), overloaded()
        moved = [
            event.__class__(
                **{
                    **{f: getattr(event, f) for f in event.__struct_fields__},
                    "position": (event.position or 0) + 5_000,
                }
            )
            for event in there.events
        ]
        there.events[:] = moved
        assert card_bytes(card_of(here)) == card_bytes(card_of(there))

    def test_of_the_extract_is_the_card_of_the_whole_summary(self) -> None:
        stream = overloaded()
        whole = summary_of(stream)
        thin = from_bytes(to_bytes(extract(whole)))
        view = seen()
        cards = [
            build_card(rank([each], view, RULES)[0], view, DIRECTORY, RULES)
            for each in (whole, thin)
        ]
        assert cards[0]["actions"] == cards[1]["actions"]
        for card in cards:
            card["treatments"]["lines"] = card["problems"]["lines"] = []
        assert card_bytes(cards[0]) == card_bytes(cards[1])

    def test_every_line_says_since_when_by_whom_and_from_where(self) -> None:
        stream = person()
        stream.add(AllergyRecorded(substance=Concept(text="Pénicilline")))
        stream.add(NoteSigned(one_liner="IC"))
        stream.add(IllnessSeveritySet(severity="watcher", reason="poids"))
        stream.add(ItemOpened(kind="result", text="NFS", due="2026-11-25"))
        stream.add(ContingencySet(condition="dyspnée", action="appeler le 15"))
        stream.add(MedicationStarted(concept=Concept(text="Furosémide 40 mg")))
        card = card_of(stream)
        lines = [card["severity"], card["one_liner"], *card["allergies"]["lines"]]
        for name in ("actions", "contingencies", "pending", "changes"):
            assert card[name]
            lines += card[name]
        for line in lines:
            assert line["author"] == "Dr Élise Garnier"
            assert line["source"] == "saisi"
            assert line["as_of"].startswith("2026-11-16")
            assert str(UUID(line["entry"])) == line["entry"]

    def test_badge_has_three_states(self) -> None:
        stream = person()
        assert allergy_badge(card_of(stream)) == "Allergies : non demandées"
        stream.add(AbsenceAsserted(slot="allergies", asked_on="2026-11-16"))
        assert allergy_badge(card_of(stream)) == "Aucune allergie connue (demandé le 16/11/2026)"
        stream.add(AllergyRecorded(substance=Concept(text="Pénicilline")))
        assert allergy_badge(card_of(stream)) == "Allergies : Pénicilline"

    def test_a_treatment_past_its_planned_end_is_to_be_checked(self) -> None:
        stream = person()
        imported = Source(channel="fhir", system="EHR")
        for end in ("2026-11-20", "2026-11-23", "2026-11"):
            stream.add(
                MedicationStarted(
                    concept=Concept(text="Ramipril"), status="active", start="2026-11-02", end=end
                ),
                source=imported,
            )
        texts = {line["text"] for line in card_of(stream)["changes"]}
        assert texts == {
            "Ramipril, depuis le 02/11/2026, fin prévue le 20/11/2026 dépassée (à vérifier)"
            " (à valider)",
            "Ramipril, depuis le 02/11/2026, jusqu'au 23/11/2026 (à valider)",
            "Ramipril, depuis le 02/11/2026, jusqu'en 11/2026 (à valider)",
        }

    def test_a_measure_older_than_the_contingency_is_listed_beside_it(self) -> None:
        stream = person()
        stream.add(
            ContingencySet(
                condition="Kaliémie > 5,5",
                action="ECG",
                threshold=Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L"),
            )
        )
        stream.add(
            ObservationRecorded(
                code=Concept(text="Kaliémie", codings=(Coding(code="2823-3"),)),
                value=Quantity(value="6.1", unit="mmol/L"),
            ),
            occurred_at="2026-11-12",
        )
        assert tier_of(stream) == "T5"
        (contingency,) = card_of(stream)["contingencies"]
        assert contingency["met"] is False
        assert contingency_line(contingency) == (
            "Si Kaliémie > 5,5 : ECG [mesure antérieure : Kaliémie 6,1 mmol/L, 12/11/2026]"
        )

    def test_substances_with_long_names_are_counted_and_never_cut(self) -> None:
        stream = person()
        long = "Excipient à effet notoire " + "très " * 25
        for number in range(4):
            stream.add(AllergyRecorded(substance=Concept(text=f"{long}{number}")))
        card = card_of(stream)
        assert card_words(card) <= RULES.card.words
        names = [line["text"] for line in card["allergies"]["lines"]]
        assert all(name.startswith(long) for name in names)
        assert 1 <= len(names) == 4 - card["allergies"]["more"]

    def test_age_is_that_of_the_first_day_of_the_stint(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="PETIT", birth_date="1948-11-23"))
        assert card_of(stream)["identity"]["age"] == "78 ans"
        stream = Stream()
        stream.add(Registered(birth_name="PETIT", birth_date="1948-11-24"))
        assert card_of(stream)["identity"]["age"] == "77 ans"

    def test_an_old_one_liner_is_greyed_sooner_when_the_patient_is_not_stable(self) -> None:
        for level, day, greyed in (
            ("stable", "2026-09-01", False),
            ("stable", "2026-08-20", True),
            ("watcher", "2026-10-20", True),
            ("watcher", "2026-10-30", False),
        ):
            stream = person()
            stream.add(IllnessSeveritySet(severity=level, reason="x"))  # type: ignore[arg-type]
            stream.add(NoteSigned(one_liner="HTA"), occurred_at=day)
            assert card_of(stream)["one_liner"]["greyed"] is greyed

    def test_a_contingency_in_error_is_not_on_the_card(self) -> None:
        stream = person()
        wrong = stream.add(ContingencySet(condition="fièvre", action="appeler"))
        assert len(card_of(stream)["contingencies"]) == 1
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="autre patient")
        (ranked,) = rank([summary_of(stream)], seen(), RULES)
        for card in (build_card(ranked, seen(), DIRECTORY, RULES), card_of(stream)):
            assert card["contingencies"] == []

    def test_a_handover_that_asks_for_a_read_back_says_whether_one_came(self) -> None:
        stream = person()
        stream.add(HandoverWritten(severity="unstable", summary="IC", read_back_requested=True))
        handover = card_of(stream)["handover"]
        assert handover["read_back_requested"] is True
        assert handover["read_back"] is False


class TestOwner:
    def owner(self, owner: Owner, now: datetime) -> str:
        stream = person()
        stream.add(ItemOpened(kind="call", text="Appeler", due="2026-11-24", owner=owner))
        return str(card_of(stream, seen(now))["actions"][0]["owner"])

    def test_of_a_stint_that_is_over_is_the_doctor_in_post(self) -> None:
        accepted = Owner(person=UUID(int=7), stint=STINT)
        assert self.owner(accepted, datetime(2026, 11, 23, 8, tzinfo=UTC)) == "Dr Paul Lenoir"

    def test_is_the_referent_when_nobody_is_in_post(self) -> None:
        found = DIRECTORY.answerable(Owner(), CENTRE, datetime(2026, 11, 22, 8, tzinfo=UTC))
        assert found is not None
        assert (found.name, found.role) == ("Dr Odile Référente", "referent")

    def test_is_the_coordination_where_it_was_given_there(self) -> None:
        given_to = Owner(role="coordinator")
        assert self.owner(given_to, datetime(2026, 11, 23, 8, tzinfo=UTC)) == "coordination"


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
        for section in page(HEAD, crowd(40), RULES):
            for row in section.rows:
                assert "llergie" in row

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


NEW = load_rules("2026-11-2")
POTASSIUM = Concept(text="Potassium", codings=(Coding(code="2823-3"),))
ME = Author(role="doctor", name="Dr Paul Lenoir", person=LENOIR)
OTHER = Author(role="doctor", name="Dr Élise Garnier", person=UUID(int=7))
CDA = Source(channel="cda", system="urn:oid:1.2.250.1.71.4.2.2|1990000101")
SECRETARY = Author(role="secretary", name="Lou Exemple", person=UUID(int=9))


def phoned(value: str, unit: str = "mmol/L") -> ResultReceived:
    line = ResultLine(code=POTASSIUM, value=Quantity(value=value, unit=unit))
    return ResultReceived(
        status="phoned", title="Ionogramme", lines=(line,), caller="Mme Exemple", read_back=True
    )


def back(since: int) -> Viewpoint:
    """The view of Dr Lenoir, who has been here before and had read up to ``since``."""
    return seen(since=since)._replace(returning=True)


def ranked_of(*streams: Stream, view: Viewpoint | None = None) -> list[Ranked]:
    return rank([extract(summary_of(each)) for each in streams], view or seen(), NEW)


def new_card(stream: Stream, view: Viewpoint | None = None) -> Card:
    (ranked,) = ranked_of(stream, view=view)
    return build_card(ranked, view or seen(), DIRECTORY, NEW)


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
    def booked(self, number: int, starts_at: str, **more: str) -> Stream:
        stream = person(number)
        stream.add(AppointmentNoticed(starts_at=starts_at, **more))  # type: ignore[arg-type]
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


class TestSinceMyLastStay:
    """Dr Lenoir was here, left, and comes back; positions alone decide what is news."""

    def left(self) -> tuple[Stream, int]:
        stream = person()
        stream.add(EncounterRecorded(mode="cabinet"), author=ME)
        self.drug = stream.add(MedicationStarted(concept=Concept(text="Ramipril")), author=ME)
        self.item = stream.add(ItemOpened(kind="result", text="NFS", due="2026-11-10"), author=ME)
        self.asked = stream.add(
            QuestionAsked(to=UUID(int=7), to_name="Dr Élise Garnier", text="Échographie ?"),
            author=ME,
        )
        self.read = stream.add(ResultReceived(status="final", title="Iono"))
        stream.add(
            ResultReviewed(verdict="known", inform_patient=False), target=self.read.event_id,
            author=ME,
        )  # fmt: skip
        return stream, len(stream.events) - 1

    def news(self, stream: Stream, since: int) -> list[tuple[str, str]]:
        return [(each["kind"], each["text"]) for each in new_card(stream, back(since))["since"]]

    def test_tells_what_became_of_items_questions_drugs_and_results(self) -> None:
        stream, since = self.left()
        assert self.news(stream, since) == []
        stream.add(
            ItemClosed(outcome="done", evidence="normale"), target=self.item.event_id, author=OTHER
        )
        stream.add(
            QuestionAnswered(text="faite, normale"), target=self.asked.event_id, author=OTHER
        )
        stream.add(ProblemRecorded(concept=Concept(text="Goutte")), author=OTHER)
        stream.add(
            MedicationStopped(stopped_on="2026-11-15"), target=self.drug.event_id, reason="toux",
            author=OTHER,
        )  # fmt: skip
        stream.add(
            ResultReceived(status="corrected", title="Iono"), target=self.read.event_id,
            author=SECRETARY,
        )  # fmt: skip
        stream.add(DeathRecorded(date="2026-11-20", source="famille"), author=OTHER)
        assert self.news(stream, since) == [
            ("death", "décès le 20/11/2026"),
            ("outcome", "« NFS » fait : normale"),
            ("answer", "réponse : faite, normale"),
            ("stopped", "Ramipril arrêté (15/11/2026) : toux"),
            ("corrected", "corrigé après votre lecture : Iono"),
            ("diagnosis", "diagnostic : Goutte"),
        ]

    def test_on_the_page_the_weightiest_news_comes_first_and_says_since_when(self) -> None:
        cards = []
        for number, payload in enumerate(
            (ProblemRecorded(concept=Concept(text="Goutte")),) * 6
            + (DeathRecorded(date="2026-11-20", source="famille"),)
        ):
            stream = person(number)
            stream.add(EncounterRecorded(mode="cabinet"), author=ME)
            stream.add(payload, author=OTHER)
            cards.append(new_card(stream, back(1)))
        head = HEAD | {"since": "12 dossiers modifiés", "left": "18/10"}
        (section,) = around_sections(head, cards, NEW)
        assert section.title == "Depuis votre dernier séjour (depuis le 18/10)"
        assert section.rows[0] == "FOURNIER Marcel : décès le 20/11/2026"
        assert section.rows[-1] == "Au centre : 12 dossiers modifiés"
        assert (len(section.rows), section.hidden) == (6, 2)
        (whole,) = around_sections(head, cards, NEW, whole=True)
        assert (len(whole.rows), whole.hidden) == (8, 0)

    def test_a_late_entry_about_before_her_stay_is_news_and_her_own_writing_is_not(self) -> None:
        stream, since = self.left()
        stream.add(
            ProblemRecorded(concept=Concept(text="Asthme")), author=OTHER, occurred_at="2019-02-03"
        )
        stream.add(ProblemRecorded(concept=Concept(text="HTA")), author=ME)
        assert self.news(stream, since) == [], "she wrote after it: it was before her"
        stream.add(
            ProblemRecorded(concept=Concept(text="BPCO")), author=OTHER, occurred_at="2018-02-03"
        )
        assert self.news(stream, since) == [("diagnosis", "diagnostic : BPCO")]

    def test_an_amendment_is_told_and_an_error_counted(self) -> None:
        stream, since = self.left()
        note = stream.add(NoteSigned(one_liner="HTA"), author=ME)
        stream.add(NoteAmended(kind="addendum", text="suite"), target=note.event_id, author=OTHER)
        stream.add(EntryMarkedInError(), target=self.drug.event_id, reason="x", author=OTHER)
        assert self.news(stream, since) == [
            ("amended", "note amendée"),
            ("other", "1 autre changement"),
        ]

    def test_a_patient_whom_she_never_treated_is_counted_with_the_centre(self) -> None:
        stream = person()
        stream.add(ProblemRecorded(concept=Concept(text="Asthme")), author=OTHER)
        assert self.news(stream, -1) == []
        counts = centre_counts([summary_of(stream)], back(-1))
        assert counts["patients"] == counts["diagnoses"] == 1

    def test_what_her_screen_did_not_show_when_she_wrote_is_news(self) -> None:
        stream, since = self.left()
        stream.add(ProblemRecorded(concept=Concept(text="Asthme")), author=OTHER)
        stream.add(ProblemRecorded(concept=Concept(text="HTA")), author=ME, seen_position=since)
        assert self.news(stream, since) == [("diagnosis", "diagnostic : Asthme")]


class TestMoreOnTheCard:
    def test_a_death_stops_severity_from_ranking_and_is_said(self) -> None:
        stream = person()
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée"))
        stream.add(DeathRecorded(date="2026-11-20", source="famille"))
        stream.add(AppointmentNoticed(starts_at="2026-11-23T09:15:00+01:00"))
        (ranked,) = ranked_of(stream)
        assert (ranked.tier, "deceased" in ranked.signals) == ("T4", True)
        card = new_card(stream)
        assert "DÉCÈS le 20/11/2026" in card_text(card)
        assert "décès enregistré" in page(HEAD, [card], NEW)[-1].rows[0]

    def test_says_what_is_pending_by_whom_and_since_when(self) -> None:
        stream = person()
        item = uuid5(stream.id, "3")
        order = stream.add(
            InvestigationOrdered(
                kind="laboratory", text="Iono", expected_by="2026-11-20", item=item
            )
        )
        stream.add(ItemOpened(kind="result", text="Iono", due="2026-11-20", follows=order.event_id))
        (pending,) = new_card(stream)["pending"]
        assert (pending["entry"], pending["ordered_by"], pending["since"]) == (
            str(item), "Dr Élise Garnier", order.envelope.occurred_at,
        )  # fmt: skip
        assert pending["overdue"]

    def test_imported_lines_are_marked_until_a_doctor_accepts_them(self) -> None:
        stream = person()
        line = stream.add(
            AllergyRecorded(substance=Concept(text="Iode")), source=Source(channel="cda")
        )
        card = new_card(stream)
        assert allergy_badge(card) == "Allergies : Iode (à valider)"
        assert "À valider : 1" in card_text(card)
        stream.add(EntryValidated(verdict="accepted"), target=line.event_id)
        assert allergy_badge(new_card(stream)) == "Allergies : Iode"

    def test_an_imported_line_is_something_to_do_and_an_allergy_cannot_wait(self) -> None:
        stream = person()
        lines = [
            stream.add(MedicationStarted(concept=Concept(text="Apixaban")), source=CDA),
            stream.add(ProblemRecorded(concept=Concept(text="Insuffisance cardiaque")), source=CDA),
        ]
        assert new_card(stream)["tier"] == "T3"
        lines.append(stream.add(AllergyRecorded(substance=Concept(text="Arachide")), source=CDA))
        card = new_card(stream)
        assert (card["tier"], card["to_validate"]) == ("T1", 3)
        assert card["why"] == ["allergie ou valeur critique à valider"]
        assert [line["text"] for line in card["unvalidated"]] == [
            "Arachide", "Apixaban", "Insuffisance cardiaque",
        ]  # fmt: skip
        assert "à valider" in page_row(card, 8)
        for number, line in enumerate(reversed(lines), 1):
            stream.add(EntryValidated(verdict="accepted"), target=line.event_id)
            tier = "T5" if number == 3 else "T3"
            assert (new_card(stream)["tier"], new_card(stream)["to_validate"]) == (tier, 3 - number)
        assert new_card(stream)["unvalidated"] == []

    def test_lines_to_validate_are_counted_as_documents_and_keep_the_budget(self) -> None:
        stream = person()
        for number in range(60):
            came = datetime(2026, 11, 20, 8 + number // 30, tzinfo=UTC)
            drug = MedicationStarted(concept=Concept(text=f"Médicament {number} " * 6))
            stream.add(drug, source=CDA, at=came)
        whole = summary_of(stream)
        assert documents_to_validate(whole) == documents_to_validate(extract(whole)) == 2
        card = new_card(stream)
        assert (card["to_validate"], len(card["unvalidated"])) == (40, 3)
        assert card_words(card) <= 90
        (ranked,) = rank([whole], back(-1), NEW)
        assert card_bytes(build_card(ranked, back(-1), DIRECTORY, NEW)) == card_bytes(card)
        assert "2 documents à valider" in "\n".join(banner(HEAD | {"to_validate": 2}))

    def test_stopped_and_changed_treatments_are_recent_ones(self) -> None:
        stream = person()
        for name in ("Ramipril", "Bisoprolol", "Ancien"):
            drug = stream.add(
                MedicationStarted(concept=Concept(text=name), start="2020"), occurred_at="2020"
            )
            if name == "Ramipril":
                stopped = MedicationStopped(stopped_on="2026-11-15")
                stream.add(stopped, target=drug.event_id, reason="toux")
            elif name == "Bisoprolol":
                stream.add(MedicationChanged(dose_text="5 mg"), target=drug.event_id, reason="TA")
        assert [line["text"] for line in new_card(stream)["changes"]] == [
            "Bisoprolol, 5 mg, depuis 2020 (modifié le 16/11/2026)",
            "Ramipril, arrêté le 15/11/2026 (toux)",
        ]

    def test_a_challenge_stands_beside_its_problem_and_a_question_names_its_reader(self) -> None:
        stream = person()
        problem = stream.add(ProblemRecorded(concept=Concept(text="Arthrose")))
        stream.add(
            OpinionRecorded(stance="challenges", text="goutte ?"), target=problem.event_id,
            author=OTHER,
        )  # fmt: skip
        stream.add(QuestionAsked(to=LENOIR, to_name="Dr Paul Lenoir", text="Pourquoi ?"))
        text = card_text(new_card(stream))
        assert "Arthrose remis en question : goutte ?" in text
        assert "Question pour vous : Pourquoi ?" in text
        assert "question-to-me" in ranked_of(stream)[0].signals

    def test_whoever_read_a_result_that_was_corrected_is_told_for_fourteen_days(self) -> None:
        stream = person()
        first = stream.add(ResultReceived(status="final", title="Iono"))
        stream.add(
            ResultReviewed(verdict="known", inform_patient=False), target=first.event_id, author=ME
        )
        stream.add(ResultReceived(status="corrected", title="Iono"), target=first.event_id)
        assert "Corrigé après votre lecture : Iono" in card_text(new_card(stream))
        stream.add(
            ResultReviewed(verdict="known", inform_patient=False),
            target=stream.events[-1].event_id,
            author=OTHER,
        )
        assert "Corrigé après votre lecture : Iono" in card_text(new_card(stream)), (
            "that somebody else has read it since tells her nothing"
        )
        later = seen(datetime(2026, 12, 3, 8, tzinfo=UTC))
        assert "corrected-result" not in ranked_of(stream, view=later)[0].signals
        someone = seen()._replace(reader=UUID(int=7))
        assert "corrected-result" not in ranked_of(stream, view=someone)[0].signals

    def test_holds_ninety_words_and_its_bytes_with_everything_on_it(self) -> None:
        stream = overloaded()
        for number in range(6):
            stream.add(phoned("6.4"), author=SECRETARY)
            stream.add(QuestionAsked(to=LENOIR, to_name="Dr Lenoir", text="pourquoi " * 20))
            stream.add(VigilancePointSet(text=f"vigilance {number} " * 8))
            stream.add(AppointmentNoticed(starts_at="2026-11-24T09:15:00+01:00"))
            stream.add(AldStatusChanged(status="granted", code=str(number + 1)))
        card = new_card(stream, back(-1))
        assert card_words(card) <= 90
        assert len(card["alarms"]) + card["more"]["alarms"] == 6
        assert card_bytes(card) == rfc8785.dumps(card)

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
