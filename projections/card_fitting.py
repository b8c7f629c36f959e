"""How a card is cut to what one patient may take of thirty seconds, and what gives way first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from releve.projections.briefing_text import Card, card_words, clipped, counted
from releve.projections.rule_release import CardLimits

_CONTINGENCY_WORDS: Final = 10
"""Words of an if, and of a then, that no budget cuts."""
_ALARMS = 2
_UNVALIDATED = 3
_SHORTENED = (
    "actions", "pending", "results", "questions", "opinions", "changes", "vigilance", "unvalidated",
)  # fmt: skip


def fit(card: Card, limits: CardLimits) -> None:
    """Shorten a card in place until it holds its budget of words, and count what gave way.

    What cannot wait gives way last: lists first, then lines, the one-liner, values that cannot be
    compared and allergies; of a critical value to be told, the conduct alone is cut. A critical
    value that nobody read and an if/then that was met give way to nothing: a card that they alone
    fill exceeds its budget.
    """
    count = _counter(card)
    for name, most in (
        ("actions", limits.actions), ("contingencies", limits.contingencies),
        ("pending", limits.pending), ("changes", limits.treatment_changes),
        ("vigilance", limits.vigilance), ("results", limits.results),
        ("questions", limits.questions), ("opinions", limits.opinions), ("alarms", _ALARMS),
        ("unvalidated", _UNVALIDATED),
    ):  # fmt: skip
        del card[name][max(most, _held(card, name)) :]
    count()
    _clip_lines(card, limits.line_words * 2)
    over = card_words(card) - limits.words
    if over > 0:
        over = _shortened(card, limits, count)
    if over > 0 and card["one_liner"]:
        said = card["one_liner"]["text"]
        card["one_liner"]["text"] = clipped(said, max(6, counted(said) - over))
    least = max(1, _held(card, "alarms"))
    while len(card["alarms"]) > least and card_words(card) > limits.words:
        card["alarms"].pop()
        count()
    allergies = card["allergies"]
    while len(allergies["lines"]) > 1 and card_words(card) > limits.words:
        allergies["lines"].pop()  # a substance is named whole, or counted
        allergies["more"] += 1
    untold = _untold(card)
    held = _held(card, "alarms") + _held(card, "contingencies")
    if (untold or held) and card_words(card) > limits.words:
        _clip_lines(card, limits.line_words // 3)
    for line in reversed(untold):
        over = card_words(card) - limits.words
        if over > 0:
            most = max(1, len(line["conduct"].split()) - over)
            line["text"] = f"{line['value']} : {clipped(line['conduct'], most)}"
    for line in untold:
        del line["value"], line["conduct"]


def _counter(card: Card) -> Callable[[], None]:
    """What says under ``more`` how many lines of the whole card it holds no longer, each once.

    A result that alarms stands among the alarms, and what is awaited among the actions.
    """
    told = {line["entry"] for line in card["actions"]}

    def told_here(name: str) -> int:
        if name == "results":
            return sum(not line["alarm"] or line["corrected_for_reader"] for line in card[name])
        if name == "pending":
            return sum(line["entry"] not in told for line in card[name])
        return len(card[name])

    names = (*_SHORTENED, "contingencies", "alarms")
    full = {name: told_here(name) for name in names}

    def count() -> None:
        left = {name: full[name] - told_here(name) for name in names}
        card["more"] = {name: number for name, number in left.items() if number}

    return count


def _held(card: Card, name: str) -> int:
    """How many lines of a section give way to nothing; they stand first in it."""
    if name == "alarms":
        return sum(line["critical"] for line in card[name])
    if name == "contingencies":
        return sum(line["met"] for line in card[name])
    return 0


def _shortened(card: Card, limits: CardLimits, count: Callable[[], None]) -> int:
    """Clip lines, then drop the least urgent ones; give how many words are still too many."""
    for words in (limits.line_words, limits.line_words * 2 // 3, limits.line_words // 2):
        _clip_lines(card, words)
        if card_words(card) <= limits.words:
            return 0
    for name, least in (
        ("unvalidated", 1), ("changes", 1), ("opinions", 0), ("pending", 1), ("results", 1),
        ("questions", 1),
        ("actions", 2), ("contingencies", 1), ("changes", 0), ("pending", 0), ("vigilance", 0),
        ("unvalidated", 0), ("questions", 0), ("results", 0), ("actions", 1), ("contingencies", 0),
    ):  # fmt: skip
        if name == "results":
            least = max(least, len(_untold(card)))
        least = max(least, _held(card, name))
        while len(card[name]) > least:
            card[name].pop()
            count()
            if card_words(card) <= limits.words:
                return 0
    return card_words(card) - limits.words


def _untold(card: Card) -> list[dict[str, Any]]:
    """Critical values to be told: value and conduct give way after everything else."""
    return [line for line in card["results"] if line.get("critical")]


def _clip_lines(card: Card, words: int) -> None:
    for name in _SHORTENED:
        for line in card[name]:
            if line.get("critical"):
                continue
            line["text"] = clipped(line["text"], words)
    for line in card["contingencies"]:
        # Half of a condition misleads: other lines give way first.
        line["condition"] = clipped(line["condition"], max(_CONTINGENCY_WORDS, words))
        line["action"] = clipped(line["action"], max(_CONTINGENCY_WORDS, words))
    if card["severity"]:
        card["severity"]["reason"] = clipped(card["severity"]["reason"], words)
