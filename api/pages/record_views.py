"""What the patient's page shows besides the slots: vigilance, results, questions, who they are.

Pure: a summary and a moment in, plain values for the templates out.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from releve.api.document_words import short_line, short_test
from releve.api.entry_kinds import kind_of
from releve.api.pages import views
from releve.api.pages.result_views import TONE
from releve.api.pages.views import day_and_hour, line_view
from releve.projections import wording
from releve.projections.critical_values import of_result
from releve.projections.dates import Moment, french, last_day
from releve.projections.open_items import is_offered_to
from releve.projections.patient_summary import Item, Line, PatientSummary, Question
from releve.projections.rule_release import Rules
from releve.projections.summary_staleness import review_due

CLOSED_SHOWN = 4


def vigilance(summary: PatientSummary, at: Moment) -> list[dict[str, Any]]:
    """Points in force that everybody must keep in mind; one past its day says so."""
    return [
        line_view(line, line.text, over=line.is_past("until", at.day))
        for line in summary.slot("vigilance")
        if line.current
    ]


def to_validate(summary: PatientSummary) -> list[dict[str, Any]]:
    """Imported lines that wait for a doctor's word, oldest first; a result waits to be read.

    The values of a result stand among the results, not here.
    """
    return [
        line_view(
            line,
            _titled(line) or views.without_label(line.text),
            kind=kind_of(line.topic)[0],
            is_result=line.topic == "patient.result-received",
        )
        for line in summary.to_validate
    ]


def _titled(line: Line) -> str:
    """A result by its title and status; empty for any other line."""
    if line.topic != "patient.result-received" or not line.detail.get("title"):
        return ""
    return f"{line.detail['title']} ({wording.RESULT_STATUS[line.detail['status']]})"


def open_results(summary: PatientSummary, at: Moment, rules: Rules) -> list[dict[str, Any]]:
    """Results that are not done, each in one line: critical and unread ones first."""
    found = []
    for result in summary.open_results(at.day):
        state = result.state(at.day)
        found.append(
            line_view(
                result.line,
                result.title,
                state=wording.RESULT_STATE[state],
                tone=TONE[state],
                critical=[
                    short_test(alarm.text)
                    for alarm in of_result(result, summary, rules)
                    if alarm.critical
                ],
                values=[
                    short_line(
                        wording.result_line_text(each, at.zone), wording.concept_text(each["code"])
                    )
                    for each in result.lines[:4]
                ],
                readable=result.received is not None and result.review is None,
                to_tell=state == "to-inform",
                to_say=result.to_say if state == "to-inform" else "",
                corrected=result.corrected_after_review,
                expected=french(result.order.detail["expected_by"], at.zone)
                if result.order is not None and result.received is None
                else "",
            )
        )
    return sorted(found, key=lambda each: (not each["critical"], not each["readable"]))


def questions(summary: PatientSummary, person: UUID) -> list[dict[str, Any]]:
    """Open questions, and those that were answered; mine to answer are marked."""
    found = [question_view(each, person) for each in summary.questions if each.line.current]
    return sorted(found, key=lambda each: bool(each["answer"]))


def question_view(question: Question, person: UUID) -> dict[str, Any]:
    """One question with its answer."""
    line = question.line
    answer = question.answer
    return line_view(
        line,
        line.detail["text"],
        to=line.detail["to_name"],
        due=french(line.detail["due"], line.zone) if line.detail.get("due") else "",
        mine=question.open and question.to == person,
        asked_by_me=line.person == person,
        answer=line_view(answer, answer.detail["text"]) if answer is not None else None,
    )


def item_more(item: Item, person: UUID, role: str) -> dict[str, Any]:
    """What an open item says besides its text: its offer, and whether it ends with its result."""
    offer = item.offer
    again = item.reopened
    return {
        "offered": line_view(
            offer, offer.detail.get("message") or "",
            to=offer.detail.get("to_name") or wording.owner_text(offer.detail["to"]),
        ) if offer is not None else None,
        "offered_to_me": is_offered_to(item, person, role),
        "follows_result": item.follows is not None,
        "reopened": line_view(again, again.reason or "") if again is not None else None,
    }  # fmt: skip


def closed_items(summary: PatientSummary) -> list[dict[str, Any]]:
    """The last few items that are closed, newest closing first."""
    closed = [(item, item.closing) for item in summary.items if item.line.current]
    said = [(item, closing) for item, closing in closed if closing is not None]
    said.sort(key=lambda each: -each[1].version)
    return [
        line_view(
            closing, str(item.line.detail["text"]), item=str(item.line.entry_id),
            how=closing.text,
        )
        for item, closing in said[:CLOSED_SHOWN]
    ]  # fmt: skip


def appointments(summary: PatientSummary, at: Moment) -> list[dict[str, Any]]:
    """The next few appointments of the agenda."""
    coming = [
        line for line in summary.booked
        if (last_day(line.detail["starts_at"], line.zone) or at.day) >= at.day
    ]  # fmt: skip
    return [
        line_view(line, wording.appointment_text(line.detail, line.zone)) for line in coming[:3]
    ]


def administrative(summary: PatientSummary, at: Moment, rules: Rules) -> dict[str, Any]:
    """ALD, contact details, INS, what was last read through and whether that is long ago."""
    contacts = summary.contact_details
    ins = summary.ins
    return {
        "ald": [
            line_view(
                line, wording.ald_text(line.detail, line.zone), over=line.is_past("ends", at.day)
            )
            for line in summary.ald_in_force
        ],
        "contacts": line_view(contacts, views.without_label(contacts.text)) if contacts else None,
        "contact_rows": _contacts(contacts) if contacts else [],
        "ins": line_view(ins, views.without_label(ins.text)) if ins else None,
        "attending": bool(summary.medecin_traitant),
        "review": told(summary.summary_review),
        "review_late": _review_late(summary, at, rules),
        "reconciliation": told(summary.reconciliation),
    }


def _review_late(summary: PatientSummary, at: Moment, rules: Rules) -> str:
    """Since when the summary is to be read again; empty while it is not."""
    due = review_due(summary, rules, at.day)
    if due is None or not due.is_over(at.day):
        return ""
    never = "" if due.last else ", jamais relue"
    return f"depuis le {due.due:%d/%m/%Y}{never}"


def told(line: Line | None) -> dict[str, Any] | None:
    """A line with who wrote it and when; None where there is none."""
    return line_view(line, line.text) if line is not None else None


def _contacts(line: Line) -> list[tuple[str, str]]:
    said = line.detail
    rows = [(label.capitalize(), number) for label, number in said.get("phones", ())]
    if said.get("address"):
        rows.append(("Adresse", said["address"]))
    people = [("Personne de confiance", said.get("trusted_person"))]
    people += [("Représentant légal", each) for each in said.get("legal_representatives", ())]
    for title, each in people:
        if each:
            parts = (each["name"], each.get("relationship"), each.get("phone"))
            rows.append((title, ", ".join(part for part in parts if part)))
    return rows


def death(summary: PatientSummary, at: Moment) -> dict[str, Any] | None:
    """The death that was recorded, with who told of it."""
    line = summary.death
    if line is None:
        return None
    return line_view(line, f"Décès {wording.on(line.detail['date'], at.zone)}",
                     told_by=line.detail["source"])  # fmt: skip


def last_contact(summary: PatientSummary) -> str:
    """When and by whom the patient was last seen."""
    line = summary.last_contact
    return f"{day_and_hour(line.as_of, line.zone)}, {line.author}" if line is not None else ""
