""" "Depuis mon dernier séjour": what became of what a returning doctor left behind.

By the position up to which she had read, never by dates: a late entry or an amendment about an
earlier day is news. Positions themselves stay out of what is told, so that a card keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from releve.projections import wording
from releve.projections.dates import french
from releve.projections.patient_summary import Line, PatientSummary

if TYPE_CHECKING:
    from releve.projections.ranking import Viewpoint

MOST = 6
"""Lines of news of one patient; the rest is counted."""
News = dict[str, Any]
_BEST_FIRST = (
    "death", "outcome", "answer", "stopped", "corrected", "diagnosis", "allergy", "amended",
    "other",
)  # fmt: skip


def weight(kind: str) -> int:
    """The place of a kind of news: what became of the patient and of one's own asking first."""
    return _BEST_FIRST.index(kind)


def own_news(summary: PatientSummary, view: Viewpoint) -> list[News]:
    """What came after the reader last read a record of hers: outcomes first, then the rest counted.

    Empty for a patient that she never treated. ``kind`` is outcome, answer, death, diagnosis,
    allergy, stopped, amended, corrected or other.
    """
    reader = view.reader
    if reader is None or not summary.treated_by(reader):
        return []
    since = summary.seen_position(reader, view.since)
    found = [
        _news(kind, line, text)
        for kind, line, text in _told(summary, reader)
        if line.position > since and line.person != reader
    ]
    found.sort(key=lambda each: weight(each["kind"]))
    named = {each["entry"] for each in found}
    # The same words twice tell nothing twice: two amendments for one reason are one piece of news.
    found = list({each["text"]: each for each in reversed(found)}.values())[::-1]
    others = [
        change
        for change in summary.news_for(reader, view.since)
        if str(change.entry_id) not in named
    ]
    kept = found[:MOST]
    rest = len(others) + len(found) - len(kept)
    if rest:
        plural = "s" * (rest > 1)
        said = f"{rest} autre{plural} changement{plural}"
        kept.append({"kind": "other", "text": said, "count": rest, "entry": "", "author": "",
                     "as_of": None})  # fmt: skip
    return kept


def _told(summary: PatientSummary, reader: UUID) -> Iterator[tuple[str, Line, str]]:
    """Everything that may be news, whenever it was written: kind, what says it, and its words."""
    death = summary.death
    if death is not None:
        yield "death", death, f"décès {wording.on(death.detail['date'], death.zone)}"
    for result in summary.corrected_results:
        before, now = result.previous_review, result.received
        if before is not None and now is not None and before.person == reader:
            yield "corrected", now, f"corrigé après votre lecture : {result.title}"
    for item in summary.items:
        closing = item.closing
        if closing is not None and _is_hers(item.line, item.owner, reader):
            outcome = wording.OUTCOME[closing.detail["outcome"]]
            told = f"« {item.line.detail['text']} » {outcome} : {closing.detail['evidence']}"
            yield "outcome", closing, told
    for question in summary.questions:
        if question.answer is not None and question.line.person == reader:
            yield "answer", question.answer, f"réponse : {question.answer.detail['text']}"
    for note in summary.notes:
        for amendment in note.amendments:
            if amendment.current:
                yield "amended", amendment, "note amendée" + _because(amendment)
    for line in summary.lines:
        yield from _of_line(line)


def _is_hers(line: Line, owner: dict[str, Any], reader: UUID) -> bool:
    return line.person == reader or owner.get("person") == str(reader)


def _of_line(line: Line) -> Iterator[tuple[str, Line, str]]:
    changed = line.revised
    what = wording.concept_text(line.concept)
    if line.topic == "patient.problem-recorded":
        if line.current and line.slot == "problems":
            yield "diagnosis", line, f"diagnostic : {what}"
        if changed is not None:
            state = "réfuté" if line.state == "refuted" else "révisé"
            yield "diagnosis", changed, f"{what} {state}" + _because(changed)
    elif line.topic == "patient.allergy-recorded" and changed is not None:
        state = "réfutée" if line.state == "refuted" else "révisée"
        yield "allergy", changed, f"allergie {what} {state}" + _because(changed)
    elif changed is not None and changed.topic == "patient.medication-stopped":
        stopped = french(changed.detail["stopped_on"], line.zone)
        yield "stopped", changed, f"{what} arrêté ({stopped})" + _because(changed)


def _because(line: Line) -> str:
    return f" : {line.reason}" if line.reason else ""


def _news(kind: str, line: Line, text: str) -> News:
    return {
        "kind": kind,
        "text": text,
        "entry": str(line.entry_id),
        "author": line.author,
        "as_of": line.as_of,
    }


def centre_counts(summaries: Iterable[PatientSummary], view: Viewpoint) -> dict[str, int]:
    """What changed at the centre after the reader last read it, as numbers alone."""
    counts = dict.fromkeys(("patients", "deaths", "diagnoses", "stopped", "closed", "results"), 0)
    for summary in summaries:
        news = summary.news_for(view.reader, view.since)
        counts["patients"] += bool(news)
        for change in news:
            name = _COUNTED.get(change.topic)
            if name is not None:
                counts[name] += 1
    return counts


_COUNTED = {
    "patient.death-recorded": "deaths",
    "patient.problem-recorded": "diagnoses",
    "patient.medication-stopped": "stopped",
    "patient.item-closed": "closed",
    "patient.result-received": "results",
}
