"""docs/domain.md names every topic with its module, its commands and its tests, as they are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from releve.domain.aggregates import REGISTRY
from releve.domain.commands import COMMANDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "domain.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| `([a-z.-]+)` \| `([\w/.]+)` \| (.+?) \| `([\w.]+)` \| ([\d, ]+|—) \|$", PAGE, re.MULTILINE
)
SCENARIOS = (ROOT / "tests" / "http" / "test_scenarios.py").read_text(encoding="utf-8")


def test_every_topic_has_its_line_and_no_other_topic_has_one() -> None:
    assert sorted(topic for topic, *_ in ROWS) == sorted(REGISTRY)


def test_each_line_names_the_module_that_declares_the_topic() -> None:
    for topic, module, _, test, _ in ROWS:
        declared = REGISTRY[topic].__module__.removeprefix("releve.domain.aggregates.")
        assert module == declared.replace(".", "/") + ".py"
        assert f"{REGISTRY[topic].__name__}(" in (ROOT / "tests" / "unit" / test).read_text("utf-8")


def test_every_command_is_named_and_the_internal_ones_are_marked() -> None:
    named = {name for _, _, commands, *_ in ROWS for name in re.findall(r"`([a-z-]+)`", commands)}
    assert named == set(COMMANDS)
    marked = set(re.findall(r"`([a-z-]+)` \(internal\)", PAGE))
    assert marked == {spec.name for spec in COMMANDS.values() if not spec.public}


def test_each_scenario_named_is_a_test() -> None:
    named = {number for *_, numbers in ROWS for number in re.findall(r"\d+", numbers)}
    tested = {
        int(number)
        for name in re.findall(r"^def test_((?:\d\d_(?:and_)?)+)", SCENARIOS, re.MULTILINE)
        for number in re.findall(r"\d\d", name)
    }
    assert named
    assert {int(number) for number in named} <= tested


def test_the_roadmap_names_every_scenario_that_is_not_told_yet() -> None:
    waiting = {
        number
        for each in ast.parse(SCENARIOS).body
        if isinstance(each, ast.AnnAssign) and getattr(each.target, "id", "") in ("LATER", "PARTLY")
        if each.value is not None
        for number in ast.literal_eval(each.value)
    }
    roadmap = (ROOT / "docs" / "roadmap.md").read_text(encoding="utf-8")
    section = roadmap.partition("## Scenarios that cannot be told yet")[2].partition("\n## ")[0]
    said = {int(n) for group in re.findall(r"\(([\d, ]+)[,)]", section)
            for n in re.findall(r"\d+", group)}  # fmt: skip
    assert waiting
    assert waiting <= said
