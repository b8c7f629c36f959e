"""How a card is cut to what one patient may take of thirty seconds, and what gives way first."""

from __future__ import annotations

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

    What cannot wait gives way last: lists first, then lines, the one-liner, further alarms and
    allergies; of a critical value to be told, the conduct alone is cut.
    """
    full = {name: len(card[name]) for name in (*_SHORTENED, "contingencies", "alarms")}
    for name, most in (
        ("actions", limits.actions), ("contingencies", limits.contingencies),
        ("pending", limits.pending), ("changes", limits.treatment_changes),
        ("vigilance", limits.vigilance), ("results", limits.results),
        ("questions", limits.questions), ("opinions", limits.opinions), ("alarms", _ALARMS),
        ("unvalidated", _UNVALIDATED),
    ):  # fmt: skip
        del card[name][most:]
    card["more"] = {"alarms": full["alarms"] - len(card["alarms"])}
    _clip_lines(card, limits.line_words * 2)
    over = card_words(card) - limits.words
    if over > 0:
        over = _shortened(card, limits)
    if over > 0 and card["one_liner"]:
        said = card["one_liner"]["text"]
        card["one_liner"]["text"] = clipped(said, max(6, counted(said) - over))
    while len(card["alarms"]) > 1 and card_words(card) > limits.words:
        card["alarms"].pop()
        card["more"]["alarms"] += 1
    allergies = card["allergies"]
    while len(allergies["lines"]) > 1 and card_words(card) > limits.words:
        allergies["lines"].pop()  # a substance is named whole, or counted
        allergies["more"] += 1
    untold = _untold(card)
    if untold and card_words(card) > limits.words:
        _clip_lines(card, limits.line_words // 3)
    for line in reversed(untold):
        over = card_words(card) - limits.words
        if over > 0:
            most = max(1, len(line["conduct"].split()) - over)
            line["text"] = f"{line['value']} : {clipped(line['conduct'], most)}"
    for line in untold:
        del line["value"], line["conduct"]
    card["more"] = {
        name: count - len(card[name]) for name, count in full.items() if count > len(card[name])
    }


def _shortened(card: Card, limits: CardLimits) -> int:
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
        while len(card[name]) > least:
            card[name].pop()
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
