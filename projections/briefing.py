"""The briefing's cards: thirty seconds on one patient, every line with where it comes from.

A card's bytes are canonical JSON (RFC 8785) without issue time, ledger position or random value, so
that an edition can be kept, hashed and replayed. Who comes first is said by :mod:`.ranking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from releve.domain.values import Owner
from releve.projections import wording
from releve.projections.briefing_text import Card, clipped
from releve.projections.card_fitting import fit
from releve.projections.critical_values import Alarm, to_tell
from releve.projections.dates import (
    age_on,
    first_instant,
    french,
    french_hour,
    is_child,
    last_day,
    zone_of,
)
from releve.projections.directory import Directory
from releve.projections.patient_summary import Item, Line, PatientSummary, Result
from releve.projections.ranking import (
    TO_VALIDATE,
    Ranked,
    Viewpoint,
    due_day,
    extract,
    is_corrected_for,
    rank,
    signals,
    urgency,
    viewpoint,
)
from releve.projections.rule_release import Rules, Signal
from releve.projections.since_last_stay import own_news
from releve.projections.slot_presence import presence_of, sourced
from releve.projections.summary_corrections import item_of
from releve.projections.summary_record import day_of
from releve.projections.summary_staleness import is_old_line
from releve.projections.vocabulary import CHILD

__all__ = [
    "Card", "Ranked", "Viewpoint", "build_card", "card_bytes", "extract",
    "is_needed", "owner_label", "owner_of", "rank", "signals", "viewpoint",
]  # fmt: skip


def is_needed(ranked: Ranked, view: Viewpoint, rules: Rules) -> bool:
    """Whether a patient has a card: whoever is ranked, comes today, is visited, or has news."""
    if ranked.tier != rules.rest.tier:
        return True
    summary = ranked.summary
    coming = summary.appointments_between(view.day, view.last_day)
    if any(day_of(line) == view.day or line.detail.get("mode") in _VISITS for line in coming):
        return True
    return view.returning and bool(own_news(summary, view))


_VISITS = frozenset({"ehpad", "visite"})


def build_card(ranked: Ranked, view: Viewpoint, directory: Directory, rules: Rules) -> Card:
    """The 30-second card of one patient: at most ``rules.card.words`` words, every line sourced.

    Sections that do not fit are shortened from the least urgent end and what is left out is
    counted under ``more``, each line once. Severity, allergies, the one-liner and the first action
    always stay; so does every critical value and every if/then that was met, beyond the budget
    where they alone exceed it.
    """
    limits = rules.card
    summary = ranked.summary
    items = sorted(summary.open_items, key=lambda item: urgency(view, item))
    allergies = presence_of(summary, "allergies", view.zone, view.day)
    vigilance = [line for line in summary.slot("vigilance") if line.current]
    coming = summary.appointments_between(view.day, view.last_day)
    card: Card = {
        "patient": str(summary.patient),
        "tier": ranked.tier,
        "why": [_WHY[signal] for rule in rules.tiers for signal in rule.any
                if rule.tier == ranked.tier and signal in ranked.signals],
        "identity": _identity(summary, view),
        "death": _death(summary),
        "allergies": allergies,
        "treatments": presence_of(summary, "medications", view.zone, view.day),
        "problems": presence_of(summary, "problems", view.zone, view.day),
        "severity": _severity(summary, view),
        "alarms": [_alarm(alarm) for alarm in ranked.alarms],
        "one_liner": _one_liner(summary, view, rules),
        "actions": [_action(item, summary, view, directory) for item in items],
        "contingencies": [
            _contingency(line, summary, view)
            for line in sorted(summary.contingencies, key=lambda line: -line.version)
            if line.current
        ],
        "results": _results(ranked, view, rules),
        "pending": _pending(summary, items, view, directory),
        "questions": _questions(summary, view),
        "opinions": _opinions(summary),
        "changes": _treatment_changes(summary, view, limits.treatment_days),
        "vigilance": [sourced(line, text=line.text, expired=line.is_past("until", view.day))
                      for line in vigilance],
        "to_validate": min(len(summary.to_validate), TO_VALIDATE),
        "unvalidated": _unvalidated(summary),
        "handover": _handover(summary),
        "new": len(summary.news_for(view.reader, view.since)),
        "since": own_news(summary, view) if view.returning else [],
        "treated": view.reader is not None and summary.treated_by(view.reader),
        "last_contact": _contact(summary),
        "appointments": [_appointment(line, view) for line in coming],
        "next_appointment": _next(summary, view),
        "incomplete": summary.incomplete,
        "as_of": summary.recorded_at.isoformat() if summary.recorded_at else None,
        "more": {},
    }  # fmt: skip
    card["contingencies"].sort(key=lambda each: (not each["met"], not each["by"]))
    allergies["more"] = max(0, len(allergies["lines"]) - limits.allergies)
    del allergies["lines"][limits.allergies :]
    fit(card, rules.card)
    return card


def card_bytes(card: Card) -> bytes:
    """The card as RFC 8785 JSON: sorted keys, no spaces, UTF-8; its only numbers are integers."""
    return msgspec.json.encode(card, order="sorted")


_WHY: Mapping[Signal, str] = {
    "incomplete": "dossier incomplet",
    "critical-result": "résultat critique non lu",
    "unstable": "instable",
    "contingency-met": "seuil atteint",
    "contingency-not-comparable": "seuil non comparable",
    "result-unit-error": "résultat non comparable",
    "overdue-with-harm": "en retard, danger",
    "watcher": "à surveiller",
    "corrected-result": "résultat corrigé après votre lecture",
    "question-to-me": "question pour vous",
    "result-to-review": "résultat à lire",
    "result-late": "résultat attendu, en retard",
    "result-to-inform": "patient à prévenir",
    "overdue": "en retard",
    "due-in-stint": "à faire ce séjour",
    "no-deadline": "sans échéance",
    "booked-changed": "attendu, du nouveau",
    "changed": "du nouveau",
    "to-validate": "à valider",
    "to-validate-danger": "allergie ou valeur critique à valider",
    "deceased": "décédé",
}


def _identity(summary: PatientSummary, view: Viewpoint) -> dict[str, Any]:
    who = summary.identity
    birth_date = who.birth_date if who else None
    sexes = CHILD if is_child(birth_date, view.start_day) else wording.SEX
    return {
        "name": summary.full_name(),
        "birth_name": (who.birth_name if who else None) or "",
        "first_names": list(who.first_names) if who else [],
        "birth_date": birth_date or "",
        "born": french(birth_date, view.zone),
        "age": age_on(birth_date, view.start_day),
        "sex": (who.sex if who else None) or "unknown",
        "sex_label": sexes[(who.sex if who else None) or "unknown"],
        "status": who.identity_status if who else "provisoire",
        "incomplete": summary.identity_incomplete,
        "ald": [line.detail.get("code") or "" for line in summary.ald_in_force],
    }


def _death(summary: PatientSummary) -> dict[str, Any] | None:
    line = summary.death
    if line is None:
        return None
    return sourced(line, date=line.detail["date"], text=wording.on(line.detail["date"], line.zone))


def _alarm(alarm: Alarm) -> dict[str, Any]:
    """A value that nobody has judged and that is critical, or cannot be compared."""
    said = {} if alarm.line.topic != _RESULT else {"status": alarm.line.detail["status"]}
    return sourced(
        alarm.line,
        text=alarm.text,
        label=alarm.label,
        critical=alarm.critical,
        status=wording.RESULT_STATUS.get(said.get("status", ""), ""),
        sampled=alarm.as_of,
        **({"to_judge": True} if alarm.is_for_judging else {}),
    )


_RESULT = "patient.result-received"


def _results(ranked: Ranked, view: Viewpoint, rules: Rules) -> list[dict[str, Any]]:
    """Results to read or to tell.

    A critical value that was read and not told comes first, with the conduct decided; then what
    alarms, which stands above as well, then what was corrected for this reader.
    """
    summary = ranked.summary
    alarming = {alarm.entry for alarm in ranked.alarms}
    found = []
    for result in summary.results:
        state = result.state(view.day)
        corrected = is_corrected_for(result, view, rules)
        settled = state in ("done", "cancelled") and not corrected
        if result.received is None or settled:
            continue
        untold = to_tell(result, summary, rules)
        value = ", ".join(dict.fromkeys(alarm.text for alarm in untold)) or result.title
        said = sourced(
            result.received,
            text=f"{value} : {result.to_say}" if untold or state == "to-inform" else result.title,
            state=state,
            label=wording.RESULT_STATE[state],
            status=wording.RESULT_STATUS[result.status or "final"],
            alarm=result.entry_id in alarming,
            corrected_for_reader=corrected,
            previous_reader=_author(result.previous_review),
            attempts=len(result.attempts),
            validation=result.validation,
        )
        if untold:
            # What is measured may hold " : " itself: two fields until the card is fitted.
            said |= {"critical": True, "value": value, "conduct": result.to_say}
        order = (not untold, result.entry_id not in alarming, not corrected, result.line.version)
        found.append((order, said))
    return [said for _, said in sorted(found, key=lambda each: each[0])]


def _author(line: Line | None) -> str:
    return line.author if line is not None else ""


def _pending(
    summary: PatientSummary, items: list[Item], view: Viewpoint, directory: Directory
) -> list[dict[str, Any]]:
    """What is still to come, by whom and since when it was ordered; late ones first."""
    found = []
    told: set[UUID] = set()
    for result in summary.open_results(view.day):
        if result.received is not None or result.order is None:
            continue
        item = item_of(summary, result)
        if item is not None:
            told.add(item.line.entry_id)
            said = _action(item, summary, view, directory)
        else:
            said = _awaited(result, view)
        found.append(said | {"text": result.title, "ordered_by": result.order.author,
                             "since": result.order.as_of})  # fmt: skip
    found.sort(key=lambda each: (not each["overdue"], each["due"] or ""))
    return found + [
        _action(item, summary, view, directory)
        for item in items
        if item.kind == "result" and item.line.entry_id not in told
    ]


def _awaited(result: Result, view: Viewpoint) -> dict[str, Any]:
    """An order whose item is not known here."""
    due = result.line.detail["expected_by"]
    return sourced(
        result.line,
        kind="result",
        due=due,
        due_text=f"pour {wording.on(due, view.zone)}",
        overdue=result.overdue(view.day),
        harm_if_late=bool(result.line.detail.get("harm_if_late")),
        owner=wording.OWNER_ROLE["medecin_en_poste"],
    )


def _questions(summary: PatientSummary, view: Viewpoint) -> list[dict[str, Any]]:
    """Questions that nobody has answered, the reader's first."""
    found = [
        sourced(
            each.line,
            text=each.line.detail["text"],
            to=each.line.detail["to_name"],
            mine=each.to == view.reader,
        )
        for each in summary.open_questions
    ]
    return sorted(found, key=lambda each: not each["mine"])


def _opinions(summary: PatientSummary) -> list[dict[str, Any]]:
    """Challenges that nobody has answered, with what they stand beside."""
    found = []
    for line in summary.lines:
        challenge = summary.challenge_of(line) if line.current else None
        if challenge is not None:
            about = wording.concept_text(line.concept) or line.text
            found.append(sourced(challenge, text=challenge.detail["text"], about=about))
    return found


def _unvalidated(summary: PatientSummary) -> list[dict[str, Any]]:
    """Imported lines that no doctor has accepted: allergies, treatments and problems first."""
    found = sorted(summary.to_validate[:TO_VALIDATE], key=lambda line: _FIRST.get(line.slot, 3))
    return [
        # The concept of "none known" may be a bare code; its own words say what is none.
        sourced(
            line,
            text=(line.current and line.topic != _ABSENCE and wording.concept_text(line.concept))
            or line.text,
        )
        for line in found
    ]


_ABSENCE = "patient.absence-asserted"
_FIRST: Mapping[str, int] = {"allergies": 0, "medications": 1, "problems": 2}


def _treatment_changes(summary: PatientSummary, view: Viewpoint, days: int) -> list[dict[str, Any]]:
    """Treatments started, changed or stopped in the last ``days``, the newest first."""
    first = view.day - timedelta(days=days)
    found = []
    for line in summary.slot("medications"):
        changed = line.revised
        text = wording.line_text(line, view.day)
        when = line.detail.get("start") or line.as_of
        if not line.current:
            if changed is None or changed.topic != _STOPPED:
                continue
            when = changed.detail["stopped_on"]
            why = f" ({changed.reason})" if changed.reason else ""
            text = (
                f"{wording.concept_text(line.concept)}, arrêté {wording.on(when, view.zone)}{why}"
            )
        elif changed is not None:
            when = changed.as_of
            text = f"{text} (modifié {wording.on(when, view.zone)})"
        day = last_day(when, line.zone)
        if day is not None and day >= first:
            mark = " (à valider)" if line.validation == "to-validate" else ""
            said = changed or line
            found.append((said, sourced(said, text=text + mark, validation=line.validation)))
    found.sort(key=lambda each: -each[0].version)
    return [each for _, each in found]


_STOPPED = "patient.medication-stopped"


def _appointment(line: Line, view: Viewpoint) -> dict[str, Any]:
    """When and where the patient comes, in the centre's civil time; never why."""
    moment = first_instant(line.detail["starts_at"], line.zone)
    local = moment.astimezone(zone_of(view.zone)) if moment else None
    mode = line.detail.get("mode", "cabinet")
    return sourced(
        line,
        starts_at=line.detail["starts_at"],
        day=day_of(line).isoformat(),
        hour=french_hour(local) if local and "T" in line.detail["starts_at"] else "",
        mode=mode,
        site=line.detail.get("site") or "",
        today=day_of(line) == view.day,
    )


def _next(summary: PatientSummary, view: Viewpoint) -> dict[str, Any] | None:
    line = summary.next_appointment(view.day)
    if line is None:
        return None
    return _appointment(line, view) | {"text": wording.on(line.detail["starts_at"], view.zone)}


def _severity(summary: PatientSummary, view: Viewpoint) -> dict[str, Any] | None:
    line = summary.severity
    if line is None:
        return None
    level = line.detail["severity"]
    return sourced(
        line,
        level=level,
        label=wording.SEVERITY[level],
        reason=line.detail.get("reason", ""),
        review_by=line.detail.get("review_by"),
        reassess=line.is_past("review_by", view.day),
    )


def _one_liner(summary: PatientSummary, view: Viewpoint, rules: Rules) -> dict[str, Any] | None:
    spoken = summary.one_liner()
    if spoken is None:
        return None
    limit = rules.card.one_liner_characters
    text = spoken.text if len(spoken.text) <= limit else spoken.text[: limit - 1].rstrip() + "…"
    greyed = is_old_line(summary, spoken, rules, view.day)
    newer = spoken.older_than
    older = f"écrit avant : {clipped(newer.text, 6)}" if newer else None
    return sourced(spoken.line, text=text, older_than=older, greyed=greyed)


def _action(
    item: Item, summary: PatientSummary, view: Viewpoint, directory: Directory
) -> dict[str, Any]:
    due = due_day(item)
    return sourced(
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
    fired = [each for each in summary.firing if each.contingency == line.entry_id]
    older = summary.older_measures_of(line)
    return sourced(
        line,
        condition=line.detail["condition"],
        action=line.detail["action"],
        who=line.detail.get("who") or "",
        valid_until=line.detail.get("valid_until"),
        expired=line.is_past("valid_until", view.day),
        met=any(each.matched for each in fired),
        by=[{"text": each.text, "as_of": each.as_of, "entry": str(each.observation),
             "comparable": each.matched} for each in fired],
        older=[{"text": each.text, "as_of": each.as_of, "entry": str(each.observation),
                "on": french(each.as_of, line.zone)} for each in older],
    )  # fmt: skip


def _handover(summary: PatientSummary) -> dict[str, Any] | None:
    latest = summary.handover
    if latest is None:
        return None
    return sourced(
        latest.line,
        read_back_requested=bool(latest.line.detail.get("read_back_requested")),
        read_back=bool([line for line in latest.read_backs if line.current]),
    )


def _contact(summary: PatientSummary) -> dict[str, Any] | None:
    line = summary.last_contact
    if line is None:
        return None
    return sourced(line, text=f"{french(line.as_of, line.zone)}, {line.author}")
