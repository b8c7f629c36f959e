"""A briefing in words: plain French text, the contract's JSON, and how words are counted.

Words are counted on what is read: names, badges, reasons, lines and labels. Where a line comes from
(date, author, source) is printed small beside it and is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from releve.projections.dates import french
from releve.projections.rule_release import Rules
from releve.projections.since_last_stay import weight
from releve.projections.slot_presence import is_imported_none, substance
from releve.projections.vocabulary import BORN, INS_STATUS

Card = dict[str, Any]

_BADGE_WORDS = 5
"""Up to how many words a row names two substances; beyond, it names one."""


_WORD = re.compile(r"\S*[^\W_]\S*").finditer


class Section(NamedTuple):
    """One tier of the two-minute page, or one section beside the tiers; and how much is hidden.

    ``patients`` goes with ``rows``; it is empty where a row is about nobody.
    """

    tier: str
    title: str
    rows: tuple[str, ...]
    patients: tuple[str, ...]
    hidden: int


def counted(text: str) -> int:
    """The number of words: what stands between spaces and holds a letter or a digit."""
    return sum(1 for _ in _WORD(text))


def clipped(text: str, words: int) -> str:
    """The first ``words`` words, with an ellipsis when something was left out.

    A number is not parted from what it counts: ``lundi 8 h`` is never cut to ``lundi 8…``.
    """
    parts = text.split()
    if len(parts) <= words:
        return text
    kept = parts[:words]
    while len(kept) > 1 and kept[-1][-1:].isdigit() and kept[-1][:1].isdigit():
        kept.pop()
    return " ".join(kept).rstrip(",;:.…") + "…"


def allergy_badge(card: Card) -> str:
    """The badge every row carries: the substances, "aucune" and when asked, or not asked."""
    allergies = card["allergies"]
    if allergies["state"] != "known":
        extra = [line["text"] for line in allergies["parts"]]
        return " ; ".join([allergies["text"], *extra])
    names = ", ".join(substance(line) for line in allergies["lines"])
    return f"Allergies : {names}" + (f" +{allergies['more']}" if allergies["more"] else "")


def short_badge(card: Card) -> str:
    """The badge of a row: the same three states in as few words as will do.

    A substance is named whole or counted; "none" keeps the day on which it was asked.
    """
    allergies = card["allergies"]
    if allergies["state"] == "known":
        names = [substance(line) for line in allergies["lines"]]
        shown = names[:2] if counted(" ".join(names[:2])) <= _BADGE_WORDS else names[:1]
        more = len(names) - len(shown) + allergies["more"]
        return f"Allergies : {', '.join(shown)}" + (f" +{more}" if more > 0 else "")
    if allergies["state"] == "none":
        asked = allergies.get("asked")  # a card kept by an older release has none
        if is_imported_none(allergies):
            return f"Aucune allergie, à valider ({asked})"
        return f"Aucune allergie ({asked})" if asked else str(allergies["text"])
    return str(allergies["text"])


def identity_line(card: Card) -> str:
    """``FOURNIER Marcel, 12/03/1948, 78 ans, homme``, with the birth name where it differs."""
    who = card["identity"]
    birth_name = who["birth_name"].upper()
    was_born = BORN.get(who.get("sex", ""), "né(e)")
    differs = birth_name and not who["name"].startswith(birth_name)
    born = f"{was_born} {birth_name}" if differs else ""
    incomplete = "identité incomplète" if who["incomplete"] else ""
    return ", ".join(
        part
        for part in (
            who["name"], born, who["born"], who["age"], who["sex_label"], *cover_words(card),
            incomplete,
        )
        if part
    )  # fmt: skip


def cover_words(card: Card) -> list[str]:
    """``["ALD 8+30", "INS qualifiée"]``; a card that an older release kept does not know them."""
    who = card["identity"]
    if "ald" not in who:
        return []
    ald = [f"ALD {'+'.join(who['ald'])}".strip()] if who["ald"] else []
    return [*ald, f"INS {INS_STATUS[who['status']]}"]


Sourced = tuple[str, Mapping[str, Any] | None]


def card_lines(card: Card) -> list[Sourced]:
    """The card as lines of plain text, each with what it comes from (``source_line``).

    A card that an older release of this product kept has fewer sections; it reads as it did.
    """
    allergies = card["allergies"]
    known = allergies["lines"][0] if allergies["lines"] else allergies["absence"]
    lines: list[Sourced] = []
    if card["incomplete"]:
        lines.append((card["incomplete"].upper(), None))
    lines.append((f"{card['tier']} {identity_line(card)}", None))
    if card.get("death"):
        lines.append((f"DÉCÈS {card['death']['text']}", card["death"]))
    lines.append((allergy_badge(card), known))
    unasked = [
        label
        for name, label in (("treatments", "traitements"), ("problems", "problèmes"))
        if card[name]["state"] == "not-asked"
    ]
    if unasked:
        lines.append((f"Non demandés : {', '.join(unasked)}", None))
    lines += [
        (card[name]["text"], card[name]["absence"])
        for name in ("treatments", "problems")
        if is_imported_none(card[name])
    ]
    lines += [(alarm_line(line), line) for line in card.get("alarms", ())]
    if card["more"].get("alarms"):
        plural = "s" * (card["more"]["alarms"] > 1)
        lines.append((f"+{card['more']['alarms']} valeur{plural} à lire", None))
    severity = card["severity"]
    if severity:
        reason = f" : {severity['reason']}" if severity["reason"] else ""
        again = " (à réévaluer)" if severity["reassess"] else ""
        lines.append((severity["label"].upper() + reason + again, severity))
    spoken = card["one_liner"]
    if spoken:
        older = f" ({spoken['older_than']})" if spoken["older_than"] else ""
        lines.append((spoken["text"] + older, spoken))
    lines += [(f"- {action_line(line)}", line) for line in card["actions"]]
    lines += [(contingency_line(line), line) for line in card["contingencies"]]
    lines += _results(card)
    lines += [(f"Traitement récent : {line['text']}", line) for line in card["changes"]]
    lines += [(f"{each['about']} remis en question : {each['text']}", each)
              for each in card.get("opinions", ())]  # fmt: skip
    lines += [(f"Vigilance : {line['text']}", line) for line in card["vigilance"]]
    if card.get("to_validate"):
        lines.append((f"À valider : {card['to_validate']}", None))
    lines += [(f"À valider : {line['text']}", line) for line in card.get("unvalidated", ())]
    handover = card["handover"]
    if handover and handover["read_back_requested"] and not handover["read_back"]:
        lines.append(("Restitution demandée", handover))
    if card["last_contact"]:
        lines.append((f"Vu le {card['last_contact']['text']}", card["last_contact"]))
    if card.get("next_appointment"):
        following = card["next_appointment"]
        lines.append((f"Prochain rendez-vous {following['text']}", following))
    left = left_out(card)
    if left:
        lines.append((", ".join(f"+{said}" for said in left), None))
    return lines


def left_out(card: Card) -> list[str]:
    """What the card counts and does not hold, in words: ``["2 actions", "1 consigne"]``.

    Values to read and lines "à valider" are counted where they stand.
    """
    return [
        f"{count} {word}{'s' * (count > 1 and not word.endswith('s'))}"
        for name, word in _LEFT_OUT.items()
        if (count := card["more"].get(name, 0))
    ]


_LEFT_OUT: Mapping[str, str] = {
    "actions": "action", "contingencies": "consigne", "results": "résultat",
    "pending": "attendu", "questions": "question", "opinions": "avis", "changes": "traitement",
    "vigilance": "vigilance",
}  # fmt: skip


def _results(card: Card) -> list[Sourced]:
    """What is to be read, told or awaited, and the questions that wait for an answer."""
    alarmed = {line["entry"] for line in card.get("alarms", ())}
    lines: list[Sourced] = []
    for line in card.get("results", ()):
        if line["corrected_for_reader"]:
            lines.append((f"Corrigé après votre lecture : {line['text']}", line))
        elif line["entry"] not in alarmed:
            lines.append((f"{line['label'].capitalize()} : {line['text']}", line))
    told = {line["entry"] for line in card["actions"]}
    for line in card["pending"]:
        if line["entry"] not in told:
            by = f" (prescrit par {line['ordered_by']})" if line.get("ordered_by") else ""
            lines.append((f"En attente : {line['text']}{by}", line))
    for line in card.get("questions", ()):
        to = "pour vous" if line["mine"] else f"à {line['to']}"
        lines.append((f"Question {to} : {line['text']}", line))
    return lines


def alarm_line(alarm: Mapping[str, Any]) -> str:
    """``CRITIQUE NON LU : Potassium 6,4 mmol/L (téléphoné)``."""
    head = "CRITIQUE NON LU" if alarm["critical"] else "NON COMPARABLE, À LIRE"
    if alarm.get("to_judge"):
        head = "CRITIQUE, GRAVITÉ À DIRE" if alarm["critical"] else "NON COMPARABLE, À JUGER"
    return f"{head} : {alarm['text']}" + (f" ({alarm['status']})" if alarm["status"] else "")


def card_text(card: Card) -> list[str]:
    """The card's lines without where they come from; what :func:`card_words` counts."""
    return [text for text, _ in card_lines(card)]


def action_line(action: Mapping[str, Any]) -> str:
    """``Rappeler le laboratoire, pour le 25/11/2026, EN RETARD — Dr Lenoir``."""
    marks = [action["text"], action["due_text"]]
    if action["overdue"]:
        marks.append("EN RETARD")
    if action["harm_if_late"]:
        marks.append("danger si retard")
    return ", ".join(marks) + f" — {action['owner']}"


def contingency_line(contingency: Mapping[str, Any]) -> str:
    """``Si kaliémie > 5,5 : ECG``, marked when its threshold was met or its time has passed."""
    marks = ""
    for fired in contingency["by"]:
        met = "ATTEINT" if fired["comparable"] else "NON COMPARABLE"
        marks += f" [{met} : {fired['text']}]"
    for older in contingency.get("older", ()):
        marks += f" [mesure antérieure : {older['text']}, {older['on']}]"
    if contingency["expired"]:
        marks += " [échéance passée]"
    return f"Si {contingency['condition']} : {contingency['action']}{marks}"


def card_words(card: Card) -> int:
    """How many words the card makes its reader read."""
    return sum(counted(line) for line in card_text(card))


def page_row(card: Card, words: int) -> str:
    """One row of the two-minute page: who, the badge, and the one thing that matters most."""
    who = card["identity"]
    parts = [", ".join(part for part in (who["name"], who["born"], who["age"]) if part)]
    if card["incomplete"]:
        parts.append(card["incomplete"])
    if card.get("death"):
        parts.append(f"décès {card['death']['text']}")
    alarms = card.get("alarms", ())
    if alarms:
        parts.append(alarm_line(alarms[0]) + (f" +{len(alarms) - 1}" if len(alarms) > 1 else ""))
    severity = card["severity"]
    if severity and severity["level"] != "stable":
        reason = severity["reason"] or (card["one_liner"] or {}).get("text", "")
        parts.append(f"{severity['label']} : {clipped(reason, words)}")
    met = [line for line in card["contingencies"] if line["by"]]
    if met:
        parts.append(clipped(contingency_line(met[0]), words + 6))
    elif alarms:
        pass  # the value is what matters most
    elif untold := [line for line in card.get("results", ()) if line.get("critical")]:
        parts.append(clipped(f"à prévenir : {untold[0]['text']}", words + 6))
    elif card["actions"]:
        action = card["actions"][0]
        late = ", en retard" if action["overdue"] else ""
        parts.append(f"{clipped(action['text'], words)}{late}")
    elif card.get("results") or card.get("questions"):
        parts.append(clipped(_results(card)[0][0], words + 3))
    if card.get("to_validate") and len(parts) < 3:
        parts.append(f"à valider : {card['to_validate']}")
    if card["tier"] == "T2" and card["contingencies"] and not met:
        first = card["contingencies"][0]
        condition, then = (clipped(first[name], words) for name in ("condition", "action"))
        parts.append(f"si {condition} : {then}")
    parts.append(short_badge(card))
    return " · ".join(parts)


def page(head: Mapping[str, Any], cards: Sequence[Card], rules: Rules) -> list[Section]:
    """The two-minute page: every T0 row, then as many of the others as the budget allows.

    What is not shown is counted; nothing disappears. T0 rows are shortened, never left out. After
    the tiers come today's appointments, visits, what became of the reader's own patients, and what
    leaving doctors said to all.
    """
    titles = rules.titles()
    by_tier: dict[str, list[Card]] = {tier: [] for tier in titles}
    for card in cards:
        if card["tier"] != rules.rest.tier:
            by_tier[card["tier"]].append(card)
    for words in (8, 6, 4, 3):
        shown = {tier: rules.page.shown.get(tier, len(rows)) for tier, rows in by_tier.items()}
        also = around_sections(head, cards, rules, words)
        while True:
            sections = _sections(by_tier, titles, shown, words) + also
            if page_words(head, sections) <= rules.page.words:
                return sections
            longest = next(
                (tier for tier in ("T3", "T2", "T1")
                 if min(shown[tier], len(by_tier[tier])) > _LEAST[words][tier]), None,
            )  # fmt: skip
            if longest is None:
                break
            shown[longest] = min(shown[longest], len(by_tier[longest])) - 1
    return sections


_LEAST: Mapping[int, Mapping[str, int]] = {
    8: {"T1": 4, "T2": 4, "T3": 2},
    6: {"T1": 3, "T2": 3, "T3": 1},
    4: {"T1": 1, "T2": 1, "T3": 0},
    3: {"T1": 0, "T2": 0, "T3": 0},
}


def _sections(
    by_tier: Mapping[str, list[Card]], titles: Mapping[str, str], shown: Mapping[str, int],
    words: int,
) -> list[Section]:  # fmt: skip
    return [
        Section(
            tier,
            titles[tier],
            tuple(page_row(card, words) for card in cards[: shown[tier]]),
            tuple(card["patient"] for card in cards[: shown[tier]]),
            max(0, len(cards) - shown[tier]),
        )
        for tier, cards in by_tier.items()
        if cards
    ]


APPOINTMENTS, VISITS, SINCE, MESSAGES = "RDV", "VISITES", "DEPUIS", "MOTS"
"""Sections of the page that are no tier."""
_SHARE: Mapping[int, int] = {8: 100, 6: 60, 4: 30, 3: 0}
"""Percent of their usual rows that these sections keep as the page fills up."""


def around_sections(
    head: Mapping[str, Any],
    cards: Sequence[Card],
    rules: Rules,
    words: int = 8,
    *,
    whole: bool = False,
) -> list[Section]:
    """Today's appointments, visits of the stint, news of one's own patients, words to all.

    News begins with the weightiest: a death, then what became of one's own points and questions.
    ``whole`` leaves nothing out.
    """
    limits = rules.page
    today: list[tuple[str, str, str]] = []
    visits: list[tuple[str, str, str]] = []
    news: list[tuple[int, str, str, str]] = []
    for card in cards:
        for line in card.get("appointments", ()):
            if line["today"] and line["mode"] not in _VISITS:
                today.append((line["starts_at"], coming_row(card, line), card["patient"]))
            elif line["mode"] in _VISITS:
                visits.append((line["starts_at"], visit_row(card, line), card["patient"]))
        if card.get("since"):
            best = min(weight(each["kind"]) for each in card["since"])
            news.append((best, card["tier"], news_row(card, words), card["patient"]))
    said = [("", clipped(text, words * 3), "") for text in head.get("messages", ())]
    told = [row[1:] for row in sorted(news, key=lambda row: row[:2])]
    left = f" (depuis le {head['left']})" if head.get("left") else ""
    found = []
    for name, title, rows, most in (
        (APPOINTMENTS, "Rendez-vous du jour", sorted(today), limits.appointments),
        (VISITS, "Visites du séjour", sorted(visits), limits.visits),
        (SINCE, f"Depuis votre dernier séjour{left}", told, limits.since),
        (MESSAGES, "De vos prédécesseurs", said, limits.messages),
    ):
        centre = (
            [("", f"Au centre : {head['since']}", "")]
            if name == SINCE and head.get("since")
            else []
        )
        if rows or centre:
            kept = rows if whole else rows[: -(-most * _SHARE[words] // 100)]
            rows, kept = rows + centre, kept + centre
            found.append(
                Section(
                    name, title, tuple(row[1] for row in kept), tuple(row[2] for row in kept),
                    len(rows) - len(kept),
                )
            )  # fmt: skip
    return found


_VISITS = frozenset({"ehpad", "visite"})
_DOT: Mapping[str, str] = {"unstable": "● instable", "watcher": "○ à surveiller"}


def coming_row(card: Card, appointment: Mapping[str, Any]) -> str:
    """``9 h 15 FOURNIER Marcel, 78 ans · ○ à surveiller · 3 nouveautés``."""
    return " · ".join([f"{appointment['hour']} {_who(card)}".strip(), *_marks(card)])


def visit_row(card: Card, appointment: Mapping[str, Any]) -> str:
    """``24/11, Les Tilleuls : FOURNIER Marcel, 78 ans``."""
    day = "/".join(reversed(appointment["day"].split("-")[1:]))
    where = ", ".join(part for part in (day, appointment["site"]) if part)
    return " · ".join([f"{where} : {_who(card)}", *_marks(card)])


def _who(card: Card) -> str:
    who = card["identity"]
    return ", ".join(part for part in (who["name"], who["born"], who["age"]) if part)


def _marks(card: Card) -> list[str]:
    severity = card["severity"]
    dot = _DOT.get(severity["level"], "") if severity and not card.get("death") else ""
    death = "décès enregistré" if card.get("death") else ""
    new = f"{card['new']} nouveauté{'s' * (card['new'] > 1)}" if card["new"] else ""
    return [part for part in (death, dot, new, short_badge(card)) if part]


def news_row(card: Card, words: int) -> str:
    """``FOURNIER Marcel : « NFS » fait : normale ; décès le 20/11/2026``."""
    told = [clipped(each["text"], words + 4) for each in card["since"][:2]]
    more = len(card["since"]) - len(told)
    name = card["identity"]["name"]
    return f"{name} : {' ; '.join(told)}" + (f" ; +{more}" if more > 0 else "")


def page_words(head: Mapping[str, Any], sections: Iterable[Section]) -> int:
    """How many words the two-minute page makes its reader read, banner and titles included."""
    total = sum(counted(line) for line in banner(head))
    for section in sections:
        total += counted(_title(section)) + sum(counted(row) for row in section.rows)
    return total


def _title(section: Section) -> str:
    count = len(section.rows) + section.hidden
    hidden = f" ({section.hidden} de plus)" if section.hidden and section.rows else ""
    tier = f"{section.tier} " if section.tier[:1] == "T" else ""
    return f"{tier}{section.title} : {count}{hidden}"


def banner(head: Mapping[str, Any]) -> list[str]:
    """Where you are, whom you replace, who is there, which numbers to call."""
    lines = [f"{head['centre']} · {head['doctor']}, {head['period']}"]
    if head["replaces"]:
        lines.append(f"Vous remplacez {head['replaces']}.")
    if head["colleagues"]:
        lines.append("Avec vous : " + ", ".join(head["colleagues"]))
    numbers = [f"{label} {number}" for label, number in head["numbers"]]
    lines.append(" · ".join([f"Référent : {head['referent']}", *numbers]))
    if head.get("to_validate"):
        plural = "s" * (head["to_validate"] > 1)
        lines.append(f"{head['to_validate']} document{plural} à valider")
    if head.get("last_edition"):
        lines.append(f"Édition précédente : {head['last_edition']}")
    return [*head.get("alarms", ()), *lines]


def as_text(
    head: Mapping[str, Any],
    cards: Sequence[Card | None],
    rules: Rules,
    *,
    sha256: str,
    manifest: str,
) -> str:
    """The whole edition as plain text: the two-minute page, then every card with its sources."""
    read = [card for card in cards if card is not None]
    sections = page(head, read, rules)
    lines = [*banner(head), f"Édition {head['number']}, {head['issued']}", ""]
    for section in sections:
        lines.append(_title(section).upper())
        lines += [f"  {row}" for row in section.rows]
        lines.append("")
    lines.append(f"{head['t5']} autres dossiers sans rien à signaler.")
    lines += ["", "CARTES", ""]
    for card in cards:
        if card is not None and card["tier"] == rules.rest.tier:
            continue  # who only comes today, or has only news, stands on the page
        if card is None:
            lines += ["Dossier effacé : cette carte ne peut plus être lue.", ""]
            continue
        lines += [
            f"{text}  [{source_line(source, head['zone'])}]" if source else text
            for text, source in card_lines(card)
        ]
        lines.append("")
    lines += [f"sha256 {sha256}", f"manifeste {manifest}", f"règles {head['rule_release']}"]
    return "\n".join(lines) + "\n"


def source_line(line: Mapping[str, Any], zone: str) -> str:
    """``19/11/2026, Dr Garnier, saisi``: since when, by whom, from where."""
    return f"{french(line['as_of'], zone)}, {line['author']}, {line['source']}"


def row_json(card: Card) -> dict[str, Any]:
    """One row of the contract's JSON."""
    severity, who = card["severity"], card["identity"]
    return {
        "patient": card["patient"],
        "tier": card["tier"],
        "why": card["why"],
        "name": who["name"],
        "identity": {
            "birth_name": who["birth_name"] or None,
            "birth_date": who["birth_date"] or None,
            "age": who["age"],
            "sex": who.get("sex"),
            "incomplete": who["incomplete"],
            **({"ins": who["status"], "ald": who["ald"]} if "ald" in who else {}),
        },
        "severity": severity["level"] if severity else None,
        "severity_reason": severity["reason"] if severity else None,
        "allergies": card["allergies"],
        "one_liner": card["one_liner"],
        "actions": card["actions"],
        "contingencies": card["contingencies"],
        "pending": card["pending"],
        "changes": card["changes"],
        "more": card["more"],
        **{
            name: card[name]
            for name in (
                "alarms",
                "results",
                "questions",
                "opinions",
                "vigilance",
                "to_validate",
                "unvalidated",
                "appointments",
                "since",
                "new",
                "death",
            )
            if name in card
        },
        "incomplete": card["incomplete"],
        "as_of": card["as_of"],
    }
