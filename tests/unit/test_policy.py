"""The policy, whole: every role, action, time slot and flag, against a frozen table.

``RELEVE_WRITE_GOLDEN=1`` writes the table anew; the diff is then what a reviewer reads.
"""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from releve.domain.aggregates.deciding import ANSWER_WINDOW, LATE_ENTRY_WINDOW
from releve.security.policy import (
    GRACE,
    QUESTIONS,
    ROLES,
    Action,
    Actor,
    Context,
    Resource,
    StintWindow,
    decide,
    phase,
    reading_opens_at,
)

GOLDEN = Path(__file__).with_name("policy.golden")
PARIS = ZoneInfo("Europe/Paris")
CENTRE = UUID(int=1)
ELSEWHERE = UUID(int=2)
STINT = UUID(int=3)
PERSON = UUID(int=4)
START = datetime(2026, 11, 23, 8, 30, tzinfo=PARIS)
END = datetime(2026, 11, 28, 13, 0, tzinfo=PARIS)
WINDOW = StintWindow(STINT, CENTRE, START, END)
TICK = timedelta(microseconds=1)
OPENS = datetime(2026, 11, 20, 8, 0, tzinfo=PARIS)

SLOTS = {
    "before-opening": OPENS - TICK,
    "at-opening": OPENS,
    "before-start": START - TICK,
    "at-start": START,
    "at-end": END,
    "after-end": END + TICK,
    "at-72h": END + timedelta(hours=72),
    "after-72h": END + timedelta(hours=72) + TICK,
    "at-14d": END + timedelta(days=14),
    "after-14d": END + timedelta(days=14) + TICK,
}
STINT_ACTIONS = (
    Action.READ_BRIEFING,
    Action.ISSUE_BRIEFING,
    Action.READ_OWN_PATIENTS,
    Action.CLOSE_HANDOVER,
    Action.TAKE_WATCH,
)
FLAGS = ("centre", "own", "objected", "late", "treated", "authored", "asked", "case")


def outcome(role: str, action: Action, now: datetime, flags: frozenset[str]) -> str:
    """Ask once; ``late`` puts the clinical time inside the stint, else it is ``now``."""
    standing = frozenset({CENTRE}) if role not in ("doctor", "intern") else frozenset()
    actor = Actor(role, PERSON, standing, (WINDOW,) if role in ("doctor", "intern") else ())
    centre = CENTRE if "centre" in flags else ELSEWHERE
    resource = Resource(
        "patient",
        frozenset({centre}),
        stint=STINT if action in STINT_ACTIONS else None,
        own_record="own" in flags,
        objected="objected" in flags,
    )
    context = Context(
        now,
        occurred_at=START + timedelta(hours=1) if "late" in flags else now,
        treated="treated" in flags,
        authored="authored" in flags,
        asked="asked" in flags,
        case="case" in flags,
    )
    decision = decide(actor, action, resource, context)
    return "+".join((decision.rule, *sorted(decision.obligations))) if decision.allowed else "-"


def minimal(sets: list[frozenset[str]]) -> list[frozenset[str]]:
    return [s for s in sets if not any(other < s for other in sets)]


def table() -> list[str]:
    """One line per (role, action, slot, outcome): the flag sets that lead to it.

    All 2^8 combinations are asked. A line lists every combination as a bit string in hexadecimal
    (bit n = combination n in the order of FLAGS), after the smallest combinations in words.
    """
    combinations = [
        frozenset(f for f, on in zip(FLAGS, bits, strict=True) if on)
        for bits in itertools.product((False, True), repeat=len(FLAGS))
    ]
    lines = []
    for role in (*ROLES, "system", "stranger"):
        for action in Action:
            for slot, now in SLOTS.items():
                found: dict[str, list[int]] = {}
                for n, flags in enumerate(combinations):
                    found.setdefault(outcome(role, action, now, flags), []).append(n)
                for result, numbers in sorted(found.items()):
                    if result == "-":
                        continue
                    words = " | ".join(
                        "+".join(f for f in FLAGS if f in s) or "always"
                        for s in minimal([combinations[n] for n in numbers])
                    )
                    mask = sum(1 << n for n in numbers)
                    lines.append(f"{role} {action} {slot}: {result} if {words} #{mask:064x}")
    return lines


def test_the_whole_table_is_the_frozen_one() -> None:
    lines = table()
    if os.environ.get("RELEVE_WRITE_GOLDEN"):
        GOLDEN.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == GOLDEN.read_text(encoding="utf-8").splitlines()


def ask(role: str, action: Action, now: datetime, *flags: str) -> str:
    return outcome(role, action, now, frozenset({"centre", *flags}))


class TestADoctorsWindow:
    def test_outlasts_the_stint_by_as_long_as_the_domain_takes_what_is_written(self) -> None:
        assert (GRACE, QUESTIONS) == (LATE_ENTRY_WINDOW, ANSWER_WINDOW)

    def test_reads_open_on_friday_at_eight_for_a_monday(self) -> None:
        assert reading_opens_at(WINDOW) == OPENS
        assert OPENS.strftime("%A") == "Friday"
        assert ask("doctor", Action.READ_CLINICAL, OPENS - TICK) == "-"
        assert ask("doctor", Action.READ_CLINICAL, OPENS) == "reading-before-stint+trace"

    def test_writes_last_from_start_to_end(self) -> None:
        assert ask("doctor", Action.WRITE_CLINICAL, START - TICK, "late") == "-"
        assert ask("doctor", Action.WRITE_CLINICAL, START) == "in-post"
        assert ask("doctor", Action.WRITE_CLINICAL, END) == "in-post"
        assert ask("doctor", Action.WRITE_CLINICAL, END + TICK) == "-"

    def test_grace_takes_what_happened_in_the_stint_and_nothing_newer(self) -> None:
        later = END + timedelta(hours=71)
        assert ask("doctor", Action.WRITE_NOTE, later, "late") == "grace-late-entry+late-entry"
        assert ask("doctor", Action.WRITE_NOTE, later) == "-"
        assert ask("doctor", Action.READ_BACK, later, "treated", "late") == "-"
        assert ask("doctor", Action.READ_CLINICAL, later) == "-"
        assert ask("doctor", Action.READ_CLINICAL, later, "treated") == "grace-own-patients+trace"

    def test_after_fourteen_days_nothing_is_left(self) -> None:
        over = END + timedelta(days=14) + TICK
        every = frozenset(FLAGS) - {"own", "objected"}
        left = {a for a in Action if outcome("doctor", a, over, every) != "-"}
        assert left == {Action.USE_SERVICE, Action.READ_CHECKPOINT}

    @pytest.mark.parametrize(
        ("zone", "start", "opens"),
        [
            # Clocks go forward on 29 March 2026, back on 25 October 2026.
            ("Europe/Paris", (2026, 3, 30, 8, 30), "2026-03-27T07:00:00+00:00"),
            ("Europe/Paris", (2026, 4, 1, 8, 30), "2026-03-29T06:00:00+00:00"),
            ("Europe/Paris", (2026, 10, 26, 8, 30), "2026-10-23T06:00:00+00:00"),
            ("Indian/Reunion", (2026, 3, 30, 8, 30), "2026-03-27T04:00:00+00:00"),
        ],
    )
    def test_opening_is_civil_time_of_the_centres_zone(
        self, zone: str, start: tuple[int, int, int, int, int], opens: str
    ) -> None:
        begins = datetime(*start, tzinfo=ZoneInfo(zone))
        window = StintWindow(STINT, CENTRE, begins, begins + timedelta(days=5), zone)
        assert reading_opens_at(window).astimezone(UTC).isoformat() == opens

    def test_delays_are_elapsed_time_across_a_change_of_clocks(self) -> None:
        ends = datetime(2026, 10, 24, 13, 0, tzinfo=PARIS)  # 25 October has 25 hours
        window = StintWindow(STINT, CENTRE, ends - timedelta(days=5), ends)
        elapsed = ends.astimezone(UTC) + timedelta(hours=72)
        assert phase(window, elapsed) == "grace"
        assert phase(window, elapsed + TICK) == "questions"
        assert elapsed.astimezone(PARIS).hour == 12  # not 13: one civil hour was repeated

    def test_the_widest_of_two_stints_decides(self) -> None:
        before = StintWindow(
            UUID(int=9), CENTRE, START - timedelta(days=60), END - timedelta(days=60)
        )
        actor = Actor("doctor", PERSON, frozenset(), (before, WINDOW))
        patient = Resource("patient", frozenset({CENTRE}))
        decision = decide(actor, Action.WRITE_CLINICAL, patient, Context(START))
        assert decision.stint == STINT
        assert decide(actor, Action.WRITE_CLINICAL, patient, Context(END + TICK)).rule != "no-stint"

    def test_the_list_of_whom_she_saw_is_hers_alone_until_grace_ends(self) -> None:
        actor = Actor("doctor", PERSON, frozenset(), (WINDOW,))
        other = UUID(int=77)
        for now, own in ((START, True), (END + TICK, True), (END + timedelta(hours=73), False)):
            for stint, allowed in ((STINT, own), (other, False)):
                listed = Resource("stint", frozenset({CENTRE}), stint=stint)
                decision = decide(actor, Action.READ_OWN_PATIENTS, listed, Context(now))
                assert decision.allowed is allowed, (now, stint)
        listed = Resource("stint", frozenset({CENTRE}), stint=STINT)
        after = Context(END + TICK)
        assert not decide(actor, Action.READ_BRIEFING, listed, after).allowed
        assert not decide(actor, Action.READ_IDENTITY, listed, after).allowed

    def test_in_grace_only_ones_own_entry_is_marked_in_error(self) -> None:
        later = END + timedelta(hours=1)
        assert ask("doctor", Action.MARK_IN_ERROR, later, "authored") == "grace-own-error"
        assert ask("doctor", Action.MARK_IN_ERROR, later, "late", "treated") == "-"
        assert ask("doctor", Action.MARK_IN_ERROR, END) == "in-post"
        assert ask("nurse", Action.MARK_IN_ERROR, START, "authored") == "-"

    def test_a_briefing_is_issued_to_its_own_doctor_only(self) -> None:
        actor = Actor("doctor", PERSON, frozenset(), (WINDOW,))
        other = Resource("stint", frozenset({CENTRE}), stint=UUID(int=77))
        assert not decide(actor, Action.ISSUE_BRIEFING, other, Context(START)).allowed

    def test_the_watch_is_taken_in_post_and_handovers_are_closed_until_grace_ends(self) -> None:
        actor = Actor("doctor", PERSON, frozenset(), (WINDOW,))
        own = Resource("stint", frozenset({CENTRE}), stint=STINT)
        colleague = Resource("stint", frozenset({CENTRE}), stint=UUID(int=77))
        for action, before, later in (
            (Action.TAKE_WATCH, "not-own-watch", "not-own-watch"),
            (Action.CLOSE_HANDOVER, "not-own-handovers", "own-handovers"),
        ):
            assert decide(actor, action, own, Context(START - TICK)).rule == before
            assert decide(actor, action, own, Context(START)).stint == STINT
            assert not decide(actor, action, colleague, Context(START)).allowed
            assert decide(actor, action, own, Context(END + TICK)).rule == later

    def test_a_question_asked_of_her_opens_its_card_until_day_14_and_nothing_else(self) -> None:
        later = END + timedelta(hours=73)
        asked = {a for a in Action if ask("doctor", a, later, "asked", "treated", "late") != "-"}
        assert asked == {
            Action.READ_ASKED_CARD,
            Action.ANSWER_QUESTION,
            Action.USE_SERVICE,
            Action.READ_CHECKPOINT,
        }
        assert ask("doctor", Action.READ_ASKED_CARD, later, "treated") == "-"
        over = END + timedelta(days=14) + TICK
        assert ask("doctor", Action.ANSWER_QUESTION, over, "asked") == "-"

    def test_a_referent_answers_what_is_asked_of_them_out_of_post(self) -> None:
        assert ask("referent", Action.ANSWER_QUESTION, START) == "-"
        assert ask("referent", Action.ANSWER_QUESTION, START, "asked") == "referent-asked"


class TestStandingRoles:
    def test_a_referent_reads_always_and_consults_only_in_post(self) -> None:
        assert ask("referent", Action.READ_CLINICAL, END + timedelta(days=90)) == "referent+trace"
        assert ask("referent", Action.WRITE_CLINICAL, START) == "-"
        in_post = Actor("referent", PERSON, frozenset({CENTRE}), (WINDOW,))
        patient = Resource("patient", frozenset({CENTRE}))
        assert decide(in_post, Action.WRITE_CLINICAL, patient, Context(START)).rule == "in-post"

    def test_a_secretary_has_a_coordinators_rights(self) -> None:
        lines = GOLDEN.read_text(encoding="utf-8").splitlines()
        held = {
            role: [line.split(" ", 1)[1] for line in lines if line.startswith(f"{role} ")]
            for role in ("coordinator", "secretary")
        }
        assert held["coordinator"]
        assert held["coordinator"] == held["secretary"]

    @pytest.mark.parametrize("role", ["coordinator", "secretary"])
    def test_the_office_never_reads_clinical_text(self, role: str) -> None:
        every = frozenset(FLAGS) - {"own", "objected"}
        for action in (
            Action.READ_CLINICAL,
            Action.READ_OWN_PATIENTS,
            Action.READ_CONTENT,
            Action.READ_BRIEFING,
            Action.READ_STRUCTURE,
            Action.READ_ASKED_CARD,
            Action.READ_INBOX,
            Action.REVIEW_RESULT,
            Action.CLOSE_ITEM,
        ):
            assert {outcome(role, action, now, every) for now in SLOTS.values()} == {"-"}
        for action in (
            Action.READ_ITEM_LABELS,
            Action.READ_INBOX_HEADER,
            Action.READ_HANDOVERS,
            Action.READ_COORDINATION,
        ):
            assert "labels-only" in ask(role, action, START)

    @pytest.mark.parametrize("role", ["coordinator", "secretary"])
    @pytest.mark.parametrize(
        "action",
        [
            Action.DROP_RESULT,
            Action.MATCH_DOCUMENT,
            Action.REJECT_DOCUMENT,
            Action.RECORD_CONTACT,
            Action.WRITE_AGENDA,
        ],
    )
    def test_the_office_adds(self, role: str, action: Action) -> None:
        assert ask(role, action, START) == "office"

    def test_a_nurse_sees_the_inbox_by_its_headers(self) -> None:
        assert ask("nurse", Action.READ_INBOX_HEADER, START) == "nurse-header+labels-only+trace"
        for action in (Action.READ_INBOX, Action.MATCH_DOCUMENT, Action.DROP_RESULT):
            assert ask("nurse", action, START) == "-"

    def test_a_trainee_reads_the_inbox_and_files_nothing(self) -> None:
        assert ask("intern", Action.READ_INBOX, START) == "in-post+trace"
        for action in (Action.IMPORT, Action.MATCH_DOCUMENT, Action.REJECT_DOCUMENT):
            assert ask("intern", action, START) == "-"

    def test_other_software_creates_by_import_and_neither_matches_nor_reads_the_inbox(self) -> None:
        writes = {a for a in Action if ask("ehr", a, START) == "ehr"}
        assert writes == {Action.IMPORT, Action.DROP_RESULT, Action.READ_AGENDA}

    def test_an_auditor_sees_content_only_inside_a_case(self) -> None:
        assert ask("auditor", Action.READ_CONTENT, START) == "-"
        assert ask("auditor", Action.READ_CONTENT, START, "case") == "audit-case+trace"
        assert "structure-only" in ask("auditor", Action.READ_STRUCTURE, START)
        assert ask("auditor", Action.READ_CLINICAL, START, "case") == "-"
        assert ask("dpo", Action.READ_CONTENT, START, "case") == "-"


class TestNothingByDefault:
    @pytest.mark.parametrize("role", ["", "system", "patient", "root", "Doctor"])
    def test_an_unknown_role_has_no_right_at_all(self, role: str) -> None:
        every = frozenset(FLAGS) - {"own", "objected"}
        assert {outcome(role, a, START, every) for a in Action} == {"-"}

    @pytest.mark.parametrize("flag", ["own", "objected"])
    def test_nobody_reads_their_own_record_nor_one_they_are_refused(self, flag: str) -> None:
        for role in ROLES:
            for action in (Action.READ_CLINICAL, Action.WRITE_CLINICAL, Action.READ_IDENTITY):
                assert ask(role, action, START, flag, "treated", "late") == "-"

    def test_another_centres_record_is_nobodys(self) -> None:
        every = frozenset(FLAGS) - {"own", "objected", "centre"}
        for role in ROLES:
            for action in Action:
                if action not in (Action.USE_SERVICE, Action.READ_CHECKPOINT):
                    assert outcome(role, action, START, every) == "-", (role, action)

    def test_break_glass_stays_shut(self) -> None:
        assert {ask(role, Action.BREAK_GLASS, START) for role in ROLES} == {"-"}

    def test_whoever_is_suspended_gets_nothing_whatever_their_stints(self) -> None:
        for role in ROLES:
            actor = Actor(role, PERSON, frozenset({CENTRE}), (WINDOW,), suspended=True)
            for kind in ("patient", "stint", "centre", "inbox", "service"):
                resource = Resource(kind, frozenset({CENTRE}), stint=STINT)
                context = Context(START, START, treated=True, authored=True, asked=True, case=True)
                rules = {decide(actor, action, resource, context).rule for action in Action}
                assert rules == {"suspended"}

    def test_a_moment_without_zone_is_refused(self) -> None:
        actor = Actor("referent", PERSON, frozenset({CENTRE}))
        naive = Context(datetime(2026, 11, 23, 9, 0))  # noqa: DTZ001  the point of this test
        assert not decide(actor, Action.READ_CLINICAL, Resource("patient"), naive).allowed
