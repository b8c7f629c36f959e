"""The briefing: who needs the incoming doctor first, and one card per patient.

Ranking is a pure function of summaries, directory, rules and a viewpoint; the same inputs give the
same order and the same bytes. A card's bytes are canonical JSON (RFC 8785) without issue time,
ledger position or random value, so that an edition can be kept, hashed and replayed.

A day counts, not an hour: due dates and delays are compared with the civil day of the viewpoint in
the centre's zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from releve.domain.values import Owner
from releve.projections import wording
from releve.projections.briefing_text import card_words, clipped, counted
from releve.projections.dates import age_on, first_instant, french, last_day, zone_of
from releve.projections.directory import Directory, StintLine
from releve.projections.patient_summary import Item, Line, PatientSummary
from releve.projections.rule_release import CardLimits, Rules, Signal, Tier

_FAR = 2**62
_SEVERITY_RANK: Mapping[str, int] = {"unstable": 3, "watcher": 2, "stable": 1}
Card = dict[str, Any]


class Viewpoint(NamedTuple):
    """From where a briefing looks: whose stint, on which civil day, what they saw last."""

    stint: UUID
    centre: UUID
    zone: str
    day: date
    """Reference day for ages, delays and what is late."""
    at: datetime
    """Moment at which owners are resolved."""
    start_day: date
    last_day: date
    """Last civil day of the stint."""
    since: int
    """Ledger position up to which this doctor has seen the centre's records."""


class Ranked(NamedTuple):
    """One patient with tier and what put them there."""

    tier: Tier
    signals: frozenset[Signal]
    summary: PatientSummary
    key: tuple[int, int, int, int, int, str]


def viewpoint(stint: StintLine, zone: str, now: datetime, since: int) -> Viewpoint:
    """The viewpoint of a stint at ``now``; before the stint begins, that of its first day."""
    start = stint.starts_at.astimezone(zone_of(zone))
    end = stint.over_at.astimezone(zone_of(zone))
    today = now.astimezone(zone_of(zone)).date()
    day = max(start.date(), today)
    at = start if day == start.date() else datetime.combine(day, time(12), zone_of(zone))
    return Viewpoint(
        stint.stint, stint.centre, zone, day, at, start.date(), max(end.date(), day), since
    )


def extract(summary: PatientSummary) -> PatientSummary:
    """The bounded part of a summary that ranking and card need; same type, same answers.

    It does not grow with the length of the record, so a briefing's cost depends on the number of
    patients alone.
    """
    spoken = summary.one_liner()
    unread = [each for each in summary.results if each.received and not each.review]
    codes = [line["code"] for each in unread for line in each.lines]
    keep: list[Line] = [line for line in summary.lines if line.slot == "allergies" and line.current]
    for slot, most in (("medications", 20), ("problems", 4), ("vigilance", 4)):
        keep += [line for line in summary.slot(slot) if line.current][:most]
    keep += [line for line in summary.slot("medications") if not line.current][:_STOPPED]
    keep += [
        line
        for line in summary.slot("results")
        if line.current and (line.detail["code"] in codes or line.validation == "to-validate")
    ]
    if spoken is not None and spoken.older_than is not None and spoken.older_than not in keep:
        keep.append(spoken.older_than)
    keep.sort(key=lambda line: (line.version, line.ordinal or 0))
    contact = summary.last_contact
    severity = summary.severity
    attending = summary.medecin_traitant
    handover = summary.handover
    shown = {line.entry_id for line in keep}
    return msgspec.structs.replace(
        summary,
        registered=None,
        attending=[attending] if attending else [],
        lines=[_thin(line) for line in keep],
        absences=[line for line in summary.absences if line.current],
        encounters=[contact] if contact else [],
        notes=[note for note in summary.notes if spoken is not None and note.spoken is spoken.line],
        handovers=[handover] if handover else [],
        results=[each for each in summary.results if not each.settled or each.previous_review],
        contingencies=[line for line in summary.contingencies if line.current],
        severities=[severity] if severity else [],
        fired=[*summary.firing, *summary.older_measures],
        opinions=[line for line in summary.opinions if line.current and line.target in shown],
        appointments=summary.booked,
        told=[line for line in (summary.ins, summary.death, summary.summary_review) if line],
    )


_STOPPED = 4
_THIN = frozenset(
    {"concept", "substance", "code", "status", "start", "end", "dose_text", "dose", "value",
     "frequency", "comparator", "interpretation", "reference_range", "text", "until"}
)  # fmt: skip


def _thin(line: Line) -> Line:
    detail = {name: value for name, value in line.detail.items() if name in _THIN}
    first = line.first and {}
    return msgspec.structs.replace(line, detail=detail, first=first)


def signals(summary: PatientSummary, view: Viewpoint) -> frozenset[Signal]:
    """What can be said of a patient for ranking, seen from ``view``."""
    found: set[Signal] = set()
    if summary.unread:
        found.add("incomplete")
    severity = summary.severity
    level = severity.detail["severity"] if severity else None
    if level == "unstable":
        found.add("unstable")
    elif level == "watcher":
        found.add("watcher")
    for fired in summary.firing:
        found.add("contingency-met" if fired.matched else "contingency-not-comparable")
    for item in summary.open_items:
        due = _due_day(item)
        if due is None:
            found.add("no-deadline")
        elif due < view.day:
            found.add("overdue-with-harm" if item.harm_if_late else "overdue")
        elif due <= view.last_day:
            found.add("due-in-stint")
    if any(change.position > view.since for change in summary.changes):
        found.add("changed")
    return frozenset(found)


def rank(summaries: Iterable[PatientSummary], view: Viewpoint, rules: Rules) -> list[Ranked]:
    """All patients in briefing order: a total order, the same for the same inputs."""
    ranked = []
    tiers = {tier: index for index, tier in enumerate(rules.titles())}
    for summary in summaries:
        said = signals(summary, view)
        tier = rules.tier_of(said)
        severity = summary.severity
        items = summary.open_items
        dues = [due.toordinal() for item in items if (due := _due_day(item)) is not None]
        opened = [_opened(item) for item in items]
        key = (
            tiers[tier],
            -_SEVERITY_RANK.get(severity.detail["severity"] if severity else "", 0),
            min(dues, default=_FAR),
            _FAR,  # first appointment: agendas are not read yet
            min(opened, default=_FAR),
            summary.patient.hex,
        )
        ranked.append(Ranked(tier, said, summary, key))
    ranked.sort(key=lambda each: each.key)
    return ranked


def build_card(ranked: Ranked, view: Viewpoint, directory: Directory, rules: Rules) -> Card:
    """The 30-second card of one patient: at most ``rules.card.words`` words, every line sourced.

    Sections that do not fit are shortened from the least urgent end and what is left out is
    counted under ``more``. Severity, allergies, one-liner and the first action always stay.
    """
    limits = rules.card
    summary = ranked.summary
    items = sorted(summary.open_items, key=_urgency(view))
    allergies = _presence(summary, "allergies", view)
    pending = [item for item in items if item.kind == "result"]
    treatments = _treatment_changes(summary, view, limits.treatment_days)
    vigilance = [line for line in summary.slot("vigilance") if line.current]
    card: Card = {
        "patient": str(summary.patient),
        "tier": ranked.tier,
        "why": [_WHY[signal] for rule in rules.tiers for signal in rule.any
                if rule.tier == ranked.tier and signal in ranked.signals],
        "identity": _identity(summary, view),
        "allergies": allergies,
        "treatments": _presence(summary, "medications", view),
        "problems": _presence(summary, "problems", view),
        "severity": _severity(summary, view),
        "one_liner": _one_liner(summary, view, rules),
        "actions": [_action(item, summary, view, directory) for item in items],
        "contingencies": [
            _contingency(line, summary, view)
            for line in sorted(summary.contingencies, key=lambda line: -line.version)
            if line.current
        ],
        "pending": [_action(item, summary, view, directory) for item in pending],
        "changes": [_sourced(line, text=wording.line_text(line, view.day)) for line in treatments],
        "vigilance": [_sourced(line, text=line.text) for line in vigilance],
        "handover": _handover(summary),
        "new": sum(change.position > view.since for change in summary.changes),
        "last_contact": _contact(summary),
        "incomplete": summary.incomplete,
        "as_of": summary.recorded_at.isoformat() if summary.recorded_at else None,
        "more": {},
    }  # fmt: skip
    card["contingencies"].sort(key=lambda each: not each["met"])
    allergies["more"] = max(0, len(allergies["lines"]) - limits.allergies)
    del allergies["lines"][limits.allergies :]
    _fitted(card, rules)
    return card


def card_bytes(card: Card) -> bytes:
    """The card as RFC 8785 JSON: sorted keys, no spaces, UTF-8; its only numbers are integers."""
    return msgspec.json.encode(card, order="sorted")


_WHY: Mapping[Signal, str] = {
    "incomplete": "dossier incomplet",
    "unstable": "instable",
    "contingency-met": "seuil atteint",
    "contingency-not-comparable": "seuil non comparable",
    "overdue-with-harm": "en retard, danger",
    "watcher": "à surveiller",
    "overdue": "en retard",
    "due-in-stint": "à faire ce séjour",
    "no-deadline": "sans échéance",
    "changed": "du nouveau",
}


def _due_day(item: Item) -> date | None:
    return last_day(item.due, item.line.zone) if item.due else None


def _opened(item: Item) -> int:
    moment = first_instant(item.line.as_of, item.line.zone) or item.line.recorded_at
    return int(moment.timestamp())


def _urgency(view: Viewpoint) -> Any:
    def key(item: Item) -> tuple[bool, int, int, int]:
        due = _due_day(item)
        late = due is not None and due < view.day
        return (
            not (late and item.harm_if_late),
            due.toordinal() if due else _FAR,
            not item.harm_if_late,
            item.line.version,
        )

    return key


def _sourced(line: Line, **said: Any) -> dict[str, Any]:
    """What every line carries: since when, by whom, from where."""
    source = line.source
    channel = wording.CHANNEL[source.channel if source else "ui"]
    return {
        **said,
        "as_of": line.as_of,
        "author": line.source_author,
        "role": line.role,
        "source": f"{channel}, {source.system}" if source and source.system else channel,
        "entry": str(line.entry_id),
    }


def _identity(summary: PatientSummary, view: Viewpoint) -> dict[str, Any]:
    who = summary.identity
    birth_date = who.birth_date if who else None
    return {
        "name": summary.full_name(),
        "birth_name": (who.birth_name if who else None) or "",
        "first_names": list(who.first_names) if who else [],
        "birth_date": birth_date or "",
        "born": french(birth_date, view.zone),
        "age": age_on(birth_date, view.start_day),
        "sex": (who.sex if who else None) or "unknown",
        "sex_label": wording.SEX[(who.sex if who else None) or "unknown"],
        "status": who.identity_status if who else "provisoire",
        "incomplete": summary.identity_incomplete,
    }


def _presence(summary: PatientSummary, slot: str, view: Viewpoint) -> dict[str, Any]:
    state, asked_on, parts, absence = summary.presence(slot)
    known = [line for line in summary.slot(slot) if line.current] if state == "known" else []
    texts = {
        "known": "",
        "none": f"{wording.ABSENCE[slot]} (demandé {wording.on(asked_on, view.zone)})",
        "not-asked": _NOT_ASKED[slot],
    }
    shown = known if slot == "allergies" else []
    return {
        "state": state,
        "asked_on": asked_on,
        "text": texts[state],
        "asked": _asked_day(asked_on, view),
        "lines": [
            _sourced(line, text=wording.concept_text(line.concept) or line.text) for line in shown
        ],
        "parts": [_sourced(line, text=wording.absence_text(line.detail)) for line in parts],
        "absence": _sourced(absence, text=texts["none"]) if absence else None,
    }


def _asked_day(asked_on: str | None, view: Viewpoint) -> str:
    """``19/11``, with its year where that is another than the briefing's."""
    day = french(asked_on, view.zone)
    this_year = f"/{view.day.year}"
    return day.removesuffix(this_year) if day.count("/") == 2 else day


_NOT_ASKED: Mapping[str, str] = {
    "allergies": "Allergies : non demandées",
    "medications": "Traitements : non demandés",
    "problems": "Problèmes : non demandés",
}


def _severity(summary: PatientSummary, view: Viewpoint) -> dict[str, Any] | None:
    line = summary.severity
    if line is None:
        return None
    level = line.detail["severity"]
    review = line.detail.get("review_by")
    day = last_day(review, line.zone) if review else None
    return _sourced(
        line,
        level=level,
        label=wording.SEVERITY[level],
        reason=line.detail.get("reason", ""),
        review_by=review,
        reassess=day is not None and day < view.day,
    )


def _one_liner(summary: PatientSummary, view: Viewpoint, rules: Rules) -> dict[str, Any] | None:
    spoken = summary.one_liner()
    if spoken is None:
        return None
    limit = rules.card.one_liner_characters
    text = spoken.text if len(spoken.text) <= limit else spoken.text[: limit - 1].rstrip() + "…"
    severity = summary.severity
    level = severity.detail["severity"] if severity else "unknown"
    said = first_instant(spoken.line.as_of, spoken.line.zone) or spoken.line.recorded_at
    greyed = said.date() < view.day - timedelta(days=rules.stale_days[level])
    newer = spoken.older_than
    older = f"antérieur à : {clipped(newer.text, 6)}" if newer else None
    return _sourced(spoken.line, text=text, older_than=older, greyed=greyed)


def _action(
    item: Item, summary: PatientSummary, view: Viewpoint, directory: Directory
) -> dict[str, Any]:
    due = _due_day(item)
    return _sourced(
        item.line,
        text=item.line.detail["text"],
        kind=item.kind,
        due=item.due,
        due_text=f"pour {wording.on(item.due, view.zone)}" if item.due else "sans échéance",
        overdue=due is not None and due < view.day,
        harm_if_late=item.harm_if_late,
        owner=owner_label(item, summary, view.centre, view.at, directory),
    )


def owner_label(
    item: Item, summary: PatientSummary, centre: UUID | None, at: datetime, directory: Directory
) -> str:
    """Who answers for an item at a moment, as words; an item always has somebody."""
    owner = owner_of(item)
    home = item.line.centre or centre or (summary.centres[0] if summary.centres else None)
    found = directory.answerable(owner, home, at)
    if found is None:
        return wording.OWNER_ROLE[owner.role]
    if found.name is None:
        return wording.OWNER_ROLE[found.role]
    return f"{found.name} (référent)" if found.role == "referent" else found.name


def owner_of(item: Item) -> Owner:
    """The owner that last accepted an item, else the one it was given when it was opened."""
    return msgspec.convert(item.owner, Owner)


def _contingency(line: Line, summary: PatientSummary, view: Viewpoint) -> dict[str, Any]:
    until = line.detail.get("valid_until")
    day = last_day(until, line.zone) if until else None
    fired = [each for each in summary.firing if each.contingency == line.entry_id]
    older = summary.older_measures_of(line)
    return _sourced(
        line,
        condition=line.detail["condition"],
        action=line.detail["action"],
        who=line.detail.get("who") or "",
        valid_until=until,
        expired=day is not None and day < view.day,
        met=any(each.matched for each in fired),
        by=[{"text": each.text, "as_of": each.as_of, "entry": str(each.observation),
             "comparable": each.matched} for each in fired],
        older=[{"text": each.text, "as_of": each.as_of, "entry": str(each.observation),
                "on": french(each.as_of, line.zone)} for each in older],
    )  # fmt: skip


def _treatment_changes(summary: PatientSummary, view: Viewpoint, days: int) -> list[Line]:
    first = view.day - timedelta(days=days)
    found = []
    for line in summary.slot("medications"):
        since = line.detail.get("start") or line.as_of
        day = last_day(since, line.zone)
        if line.current and day is not None and day >= first:
            found.append(line)
    return found


def _handover(summary: PatientSummary) -> dict[str, Any] | None:
    latest = summary.handover
    if latest is None:
        return None
    return _sourced(
        latest.line,
        read_back_requested=bool(latest.line.detail.get("read_back_requested")),
        read_back=bool([line for line in latest.read_backs if line.current]),
    )


def _contact(summary: PatientSummary) -> dict[str, Any] | None:
    line = summary.last_contact
    if line is None:
        return None
    return _sourced(line, text=f"{french(line.as_of, line.zone)}, {line.author}")


CONTINGENCY_WORDS: Final = 10
"""Words of an if, and of a then, that no budget cuts."""


def _fitted(card: Card, rules: Rules) -> None:
    """Shorten a card in place until it holds its budget of words."""
    limits = rules.card
    full = {
        name: len(card[name])
        for name in ("actions", "contingencies", "pending", "changes", "vigilance")
    }
    del card["actions"][limits.actions :]
    del card["contingencies"][limits.contingencies :]
    del card["pending"][limits.pending :]
    del card["changes"][limits.treatment_changes :]
    del card["vigilance"][limits.vigilance :]
    _clip_lines(card, limits.line_words * 2)
    over = card_words(card) - limits.words
    if over > 0:
        over = _shortened(card, limits)
    if over > 0 and card["one_liner"]:
        said = card["one_liner"]["text"]
        card["one_liner"]["text"] = clipped(said, max(6, counted(said) - over))
    allergies = card["allergies"]
    while len(allergies["lines"]) > 1 and card_words(card) > limits.words:
        allergies["lines"].pop()  # a substance is named whole, or counted
        allergies["more"] += 1
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
        ("changes", 1), ("pending", 1), ("actions", 2), ("contingencies", 1), ("changes", 0),
        ("pending", 0), ("vigilance", 0), ("actions", 1), ("contingencies", 0),
    ):  # fmt: skip
        while len(card[name]) > least:
            card[name].pop()
            if card_words(card) <= limits.words:
                return 0
    return card_words(card) - limits.words


def _clip_lines(card: Card, words: int) -> None:
    for name in ("actions", "pending", "changes", "vigilance"):
        for line in card[name]:
            line["text"] = clipped(line["text"], words)
    for line in card["contingencies"]:
        # Half of a condition misleads: other lines give way first.
        line["condition"] = clipped(line["condition"], max(CONTINGENCY_WORDS, words))
        line["action"] = clipped(line["action"], max(CONTINGENCY_WORDS, words))
    if card["severity"]:
        card["severity"]["reason"] = clipped(card["severity"]["reason"], words)
