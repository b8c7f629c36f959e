"""What the pages show of a summary: words and dates, each line with as-of, author and source.

Pure: a summary, a directory and a moment in; plain values for the templates out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from releve.api.document_words import short_line, short_test
from releve.api.entry_kinds import kind_of
from releve.projections import wording
from releve.projections.briefing import owner_label
from releve.projections.dates import (
    Moment,
    age_on,
    first_instant,
    french,
    french_hour,
    is_child,
    zone_of,
)
from releve.projections.directory import Directory
from releve.projections.patient_summary import SLOTS, Item, Line, PatientSummary
from releve.projections.ranking import due_day
from releve.projections.records import plain_name
from releve.projections.rule_release import Rules
from releve.projections.slot_presence import badge_of, presence_of
from releve.projections.summary_staleness import is_old_line
from releve.projections.timeline import TimelineEntry
from releve.projections.vocabulary import BORN, CHILD

ALWAYS: Final = ("allergies", "medications", "problems")
"""Slots that are shown whatever they hold: known, none, or not asked."""
ORDER: Final = (
    *ALWAYS, "past-illness", "procedures", "immunizations", "devices", "vital-signs", "results",
    "adverse-reactions", "functional-status", "lifestyle", "occupation", "family-history",
    "pregnancies", "care-plan", "advance-directives", "documents",
)  # fmt: skip
"""Slots in the order of the page; vigilance points stand at its top."""
MOST_LINES: Final = 8
"""Lines of a slot that are shown at first, where the slot is not one of :data:`ALWAYS`."""


@lru_cache(maxsize=4096)  # a page tells the same few moments again and again
def day_and_hour(text: str | None, zone: str) -> str:
    """``23/11/2026 à 8 h 30`` for an instant, no more than what was written for a partial date."""
    if not text:
        return ""
    day = french(text, zone)
    moment = first_instant(text, zone) if "T" in text else None
    return f"{day} à {french_hour(moment.astimezone(zone_of(zone)))}" if moment else day


def line_view(line: Line, text: str | None = None, **more: Any) -> dict[str, Any]:
    """A line with what every line says: as of, by whom, through which door."""
    return {
        "entry_id": str(line.entry_id),
        "text": line.text if text is None else text,
        "as_of": day_and_hour(line.as_of, line.zone),
        "author": line.source_author,
        "source": line.source_words,
        "late": is_late_entry(line),
        **more,
    }


def is_late_entry(line: Line) -> bool:
    """Say whether an entry typed here was written more than a day after what it tells."""
    happened = first_instant(line.as_of, line.zone)
    if line.source is not None or happened is None:
        return False
    return line.recorded_at - happened > timedelta(hours=24)


def traits(summary: PatientSummary, at: Moment) -> dict[str, Any]:
    """Who the patient is, without anything clinical."""
    who = summary.identity
    name = summary.full_name()
    birth_name = (who.birth_name or "") if who else ""
    born = french(who.birth_date, at.zone) if who and who.birth_date else ""
    sexes = CHILD if who and is_child(who.birth_date, at.day) else wording.SEX
    return {
        "id": str(summary.patient),
        "href": f"/patients/{summary.patient}",
        "name": name,
        "short": name,
        "birth_name": birth_name if not name.startswith(birth_name.upper()) else "",
        "born": f"{BORN.get(who.sex or '' if who else '', 'né(e)')} le {born}"
        if born
        else "naissance inconnue",
        "age": age_on(who.birth_date if who else None, at.day),
        "sex": sexes[(who.sex if who else None) or "unknown"],
        "ins": _INS[who.identity_status if who else "provisoire"],
        "identity_incomplete": summary.identity_incomplete,
        "died": died(summary, at),
        "apart": apart(summary),
    }


def died(summary: PatientSummary, at: Moment) -> str:
    """``décédée le 21/11/2026`` where a death was recorded, else empty."""
    line = summary.death
    if line is None:
        return ""
    who = summary.identity
    word = {"female": "décédée", "male": "décédé"}.get((who.sex or "") if who else "", "décédé(e)")
    return f"{word} le {french(line.detail['date'], at.zone)}"


def apart(summary: PatientSummary) -> str:
    """What tells a patient from a namesake born the same day: place of birth, telephone."""
    who, contacts = summary.identity, summary.contact_details
    phones = contacts.detail.get("phones", ()) if contacts is not None else ()
    return ", ".join(
        part
        for part in (
            f"commune de naissance {who.birth_place}" if who and who.birth_place else "",
            f"tél. {phones[0][1]}" if phones else "",
        )
        if part
    )


_INS: Final = {
    "provisoire": "provisoire", "recuperee": "récupérée", "validee": "validée",
    "qualifiee": "qualifiée",
}  # fmt: skip


def who_on_a_board(
    summary: PatientSummary, at: Moment, shared_names: frozenset[str], *, clinical: bool
) -> dict[str, Any]:
    """Who a line of a board is about: birth date, age, sex, same-name warning, allergy badge.

    ``shared_names`` are :meth:`~releve.projections.records.CentreRecords.shared_names`; without
    ``clinical`` there is no badge.
    """
    who = traits(summary, at)
    namesake = plain_name(who["name"]) in shared_names
    return {
        "birth_name": who["birth_name"],
        "said": " · ".join(part for part in (who["born"], who["age"], who["sex"]) if part),
        "died": who["died"],
        "namesake": namesake,
        "apart": who["apart"] if namesake else "",
        "allergy": allergy(summary, at) if clinical else None,
    }


def severity_of(summary: PatientSummary) -> str | None:
    """The level last said, or None when nobody said one."""
    line = summary.severity
    return str(line.detail["severity"]) if line else None


def identity(
    summary: PatientSummary,
    at: Moment,
    directory: Directory,
    namesakes: Iterable[PatientSummary] = (),
) -> dict[str, Any]:
    """The identity bar: traits, declared doctor, severity, allergy badge, same-name warning."""
    attending = summary.medecin_traitant
    severity = summary.severity
    who, others = traits(summary, at), [traits(each, at) for each in namesakes]
    return who | {
        "namesakes": [
            "né le même jour" if each["born"] == who["born"] else each["born"] for each in others
        ],
        "apart": who["apart"] if others else "",
        "attending": _attending(attending, directory) if attending else "",
        "severity": severity_of(summary),
        "severity_overdue": severity is not None and severity.is_past("review_by", at.day),
        "allergy": allergy(summary, at),
    }


def _attending(line: Line, directory: Directory) -> str:
    if line.detail.get("name"):
        return str(line.detail["name"])
    centre = line.detail.get("centre")
    found = directory.centre(UUID(centre)) if centre else None
    return found.name if found else "le centre"


def allergy(summary: PatientSummary, at: Moment) -> dict[str, Any]:
    """The badge of every page that shows a summary: the one of the briefing's cards."""
    return badge_of(presence_of(summary, "allergies", at.zone, at.day), at.zone)


def boxes(summary: PatientSummary, at: Moment, *, whole: bool = False) -> list[dict[str, Any]]:
    """Every slot that holds something or was asked about, and the three that always stand."""
    titles = {slot.name: slot.title for slot in SLOTS}
    found = []
    for name in ORDER:
        presence = summary.presence(name)
        lines = summary.slot(name)
        if name not in ALWAYS and not lines and presence.state == "not-asked":
            continue
        current = [line for line in lines if line.current]
        most = len(current) if whole or name in ALWAYS else MOST_LINES
        found.append(
            {
                "name": name,
                "title": titles[name],
                "state": presence.state if presence.state != "not-asked" or not lines else "past",
                "lines": [box_line(line, summary, at) for line in current[:most]],
                "rest": max(0, len(current) - most),
                "past": [line_view(line, why=line.why,
                                   past=state_word(line) + ", à valider" * line.waits)
                         for line in lines if not line.current],
                "none_text": wording.ABSENCE.get(name, ""),
                "none_waits": presence.waits,
                "asked_on": french(presence.asked_on, at.zone) if presence.asked_on else "",
                "asked_by": presence.absence.source_author if presence.absence else "",
                "asked_through": presence.absence.door_words if presence.absence else "",
                "parts": [
                    line_view(line, wording.absence_text(line.detail), waits=line.waits)
                    for line in presence.parts
                ],
            }
        )  # fmt: skip
    return found


def box_line(line: Line, summary: PatientSummary, at: Moment) -> dict[str, Any]:
    """A line that stands, with its last change, whether it is to be accepted, and second looks."""
    changed = line.revised
    challenge = summary.challenge_of(line)
    text = wording.line_text(line, at.day)
    if line.slot == "results":
        text = short_line(text, wording.concept_text(line.detail.get("code")))
    return line_view(
        line,
        text,
        past="",
        topic=line.topic,
        validation=line.validation if line.ordinal is None else "",
        changed=line_view(changed, line.why) if changed is not None else None,
        challenged=challenge is not None,
        opinions=[
            line_view(
                each, each.detail["text"], stance=wording.STANCE[each.detail["stance"]],
                open=challenge is not None and each.entry_id == challenge.entry_id,
            )
            for each in summary.opinions_on(line.entry_id)
        ],
    )  # fmt: skip


def state_word(line: Line) -> str:
    """Why a line that is not current does not stand, in one word of its slot."""
    words = {"past": "passé", "refuted": "réfuté", "in-error": "saisi par erreur",
             "superseded": "remplacé"}  # fmt: skip
    known = {**wording.MEDICATION_STATUS, **wording.CLINICAL_STATUS}
    if line.slot == "allergies":
        known |= wording.ALLERGY_STATUS
        words |= {"past": "passée", "refuted": "réfutée", "in-error": "saisie par erreur",
                  "superseded": "remplacée"}  # fmt: skip
    status = line.clinical_status or line.status
    if status is None or line.state != "past":
        return words.get(line.state, "")
    return known.get(status, words["past"])


def one_liner(summary: PatientSummary, at: Moment, rules: Rules) -> dict[str, Any] | None:
    """The line in force, greyed when it is old, with what arrived after it."""
    spoken = summary.one_liner()
    if spoken is None:
        return None
    stale = is_old_line(summary, spoken, rules, at.day)
    newer = spoken.older_than.text if spoken.older_than else ""
    return line_view(spoken.line, spoken.text, stale=stale, older_than=newer)


def items(
    summary: PatientSummary, at: Moment, centre: UUID | None, directory: Directory
) -> list[dict[str, Any]]:
    """Open items, the most urgent first: late with harm, then by due date, then without one."""
    return [
        item_view(item, summary, at, centre, directory)
        for item in sorted(summary.open_items, key=lambda item: _urgency(item, at))
    ]


def item_view(
    item: Item, summary: PatientSummary, at: Moment, centre: UUID | None, directory: Directory
) -> dict[str, Any]:
    """One open item: what, by when, who answers for it now."""
    due = due_day(item)
    days = (at.day - due).days if due else 0
    return line_view(
        item.line,
        str(item.line.detail["text"]),
        kind=wording.ITEM_KIND[item.kind],
        raw_kind=item.kind,
        due=french(item.due, at.zone) if item.due else "",
        late=f"{days} jour{'s' if days > 1 else ''}" if days > 0 else "",
        harm=item.harm_if_late,
        done_when=str(item.line.detail.get("done_when") or ""),
        owner=owner_label(item, summary, centre, at.now, directory),
    )


def _urgency(item: Item, at: Moment) -> tuple[bool, int, int]:
    due = due_day(item)
    late = due is not None and due < at.day
    return not (late and item.harm_if_late), due.toordinal() if due else 2**31, item.line.version


def contingencies(summary: PatientSummary, at: Moment) -> list[dict[str, Any]]:
    """If… then, newest first; an expired one stays, marked."""
    return [
        line_view(
            line,
            condition=line.detail["condition"],
            action=line.detail["action"],
            expired=line.is_past("valid_until", at.day),
            met=_met(summary, line, at),
            older=[
                f"{each.text}, {french(each.as_of, at.zone)}"
                for each in summary.older_measures_of(line)
            ],
        )
        for line in reversed(summary.contingencies)
        if line.current
    ]


def _met(summary: PatientSummary, line: Line, at: Moment) -> str:
    """The last measure that met it and was judged since: it rings no more, and stays said."""
    judged = [
        each
        for each in summary.fired
        if each.contingency == line.entry_id
        and each.matched
        and each.answered
        and not (each.old or each.void)
    ]
    last = max(judged, key=lambda each: each.happened_by, default=None)
    if last is None:
        return ""
    return f"{short_test(last.text)}, {day_and_hour(last.as_of, at.zone)}"


def fired(summary: PatientSummary) -> list[str]:
    """Contingencies whose threshold a measure met, in words."""
    known = {line.entry_id: line for line in summary.contingencies}
    return [
        f"{short_test(each.text)} ({day_and_hour(each.as_of, summary.zone)}) : "
        + (known[each.contingency].detail["action"] if each.contingency in known else "")
        + ("" if each.matched else " — unité ou valeur non comparable, à vérifier")
        for each in summary.firing
    ]


def severity_line(summary: PatientSummary) -> str:
    """Why the patient is as ill as they are, by whom and when."""
    line = summary.severity
    if line is None:
        return ""
    reason = line.detail.get("reason", "")
    review = line.detail.get("review_by")
    told = f"{reason} · " if reason else ""
    until = f" · à réévaluer le {french(review, line.zone)}" if review else ""
    return f"{told}{day_and_hour(line.as_of, line.zone)}, {line.source_author}{until}"


def handover(summary: PatientSummary) -> dict[str, Any] | None:
    """The handover in force with what its receivers answered."""
    latest = summary.handover
    if latest is None:
        return None
    return line_view(
        latest.line,
        severity=latest.line.detail["severity"],
        summary=latest.line.detail["summary"],
        actions=list(latest.line.detail.get("actions", ())),
        situation=latest.line.detail.get("situation", ""),
        requested=bool(latest.line.detail.get("read_back_requested")),
        stint=latest.line.stint,
        person=latest.line.person,
        answers=[
            line_view(
                line, line.detail.get("text", ""), kind=wording.READ_BACK[line.detail["kind"]]
            )
            for line in latest.read_backs
            if line.current
        ],
        answered=any(line.current for line in latest.read_backs),
    )


def without_label(text: str) -> str:
    """A timeline line without the label that its column already says, one part a line."""
    for part in (" · S : ", " · O : ", " · A : ", " · P : ", " · À faire : ", " · Situation : "):
        text = text.replace(part, "\n" + part.removeprefix(" · "))
    for label in ("Note : ", "Mesure : ", "Problème : ", "Allergie : ", "Traitement : ",
                  "Transmission : ", "Gravité : ", "Document joint : ", "Vaccin : ", "Acte : ",
                  "Dispositif : ", "Vigilance : ", "Résultat : ", "Résultat lu : ", "Appel : ",
                  "Prévenu : ", "Réponse : ", "Coordonnées : ", "Rendez-vous ",
                  "Problème révisé : ", "Allergie révisée : ", "Traitement modifié : ",
                  "Point révisé : ", "Point proposé : "):  # fmt: skip
        if text.startswith(label):
            return text.removeprefix(label)
    if text.startswith("Point ouvert ("):
        nature, _, rest = text.removeprefix("Point ouvert (").partition(") : ")
        return f"{nature.capitalize()} : {rest}"
    return text


BECAME: Final = {
    "amended": "amendée", "superseded": "remplacée", "closed": "clos", "in-error": "erreur",
    "revised": "révisée", "stopped": "arrêtée", "lifted": "levée", "withdrawn": "retirée",
    "ended": "terminée", "answered": "répondue", "reviewed": "lu", "accepted": "acceptée",
    "refused": "refusée",
}  # fmt: skip


def entry_view(entry: TimelineEntry, zone: str) -> dict[str, Any]:
    """One entry of the thread, its label in a column of its own."""
    kind, family = kind_of(entry.topic)
    status = BECAME.get(entry.status, "")
    late = "saisie tardive" if entry.late else ""
    recorded = day_and_hour(entry.recorded_at.isoformat(), zone)
    happened = day_and_hour(entry.occurred_at, zone)
    return {
        "event_id": str(entry.event_id),
        "kind": kind,
        "family": family,
        "text": without_label(entry.text),
        "as_of": happened,
        "recorded": recorded if recorded != happened else "",
        "author": entry.author,
        "source": wording.CHANNEL.get(entry.channel, entry.channel),
        "position": entry.position,
        "struck": entry.status == "in-error",
        "status": " · ".join(part for part in (status, late, entry.reason or "") if part),
        "waits": entry.waits,
    }
