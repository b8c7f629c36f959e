"""Lines that wait for a doctor's word, document by document, with what the record says of each.

Pure: a record's events and a moment in, plain values for the template out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from releve.api.document_words import part_in_words, warning_in_words
from releve.api.pages import views
from releve.api.pages.views import day_and_hour, line_view
from releve.domain.aggregates.patient import Patient, fold
from releve.domain.aggregates.patient.comparison import Bearing, Relation, bearings
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.entries import about
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.aggregates.patient.validation import EntryValidated, awaiting_validation
from releve.domain.errors import NotFound
from releve.domain.events import Event
from releve.projections import wording
from releve.projections.critical_values import Alarm, alarms
from releve.projections.dates import Moment
from releve.projections.patient_summary import SLOTS, Line, PatientSummary, fold_all
from releve.projections.rule_release import Rules

CHOICE: Final = "choix."
REASON: Final = "motif."
"""What a line's two fields are called, before its id."""

MOST: Final = 200
"""Lines on one page: a form of more would not be taken whole. The others come once these are judged
or left out of it, document by document."""

_TITLES: Final = {slot.name: slot.title for slot in SLOTS}
_OTHER: Final = "results"
"""Where a line stands that has no slot of its own: a report, whose lines have one."""

_SAID: Final[dict[Relation, str]] = {
    "same": "Déjà au dossier",
    "absent": "Le dossier dit le contraire",
    "present": "Le dossier dit le contraire",
    "allergy": "Allergie au dossier",
    "treatment": "Traitement en cours",
}
_STATES: Final = {
    "patient.problem-recorded": ("Actif au dossier", "Passé au dossier", "Écarté au dossier"),
    "patient.allergy-recorded": ("Active au dossier", "Passée au dossier", "Réfutée au dossier"),
    "patient.medication-started": ("En cours au dossier", "Arrêté au dossier", ""),
}
"""How the record says it where the line says otherwise: it stands, it is over, it is denied."""


class Waiting:
    """A record read once, and its imported lines that nobody has judged.

    Every screen counts those that current views show; what a document tells of the past, or denies,
    waits here as well, and so does a measure that newer ones have pushed out of the summary.
    """

    def __init__(self, events: Sequence[Event], at: Moment, rules: Rules) -> None:
        """``events`` are the whole record, in order.

        Raises:
            NotFound: there are none.
        """
        record = fold(None, events)
        if record is None:
            raise NotFound
        self.record: Patient = record
        self.summary: PatientSummary = fold_all(None, events, record.id)
        self.position = max((e.position for e in events if e.position is not None), default=-1)
        self._at = at
        self._told_of: dict[UUID, list[Event]] = {}
        for event in events:
            self._told_of.setdefault(event.event_id, []).append(event)
            if event.envelope.target is not None:
                self._told_of.setdefault(event.envelope.target, []).append(event)
        self._held = {line.entry_id: line for line in _lines_of(self.summary)}
        self._alarms: dict[UUID, Alarm] = {}
        for alarm in reversed(alarms(self.summary, rules)):
            self._alarms[alarm.entry] = alarm

    @cached_property
    def lines(self) -> dict[UUID, Line]:
        """Each line that waits, oldest first."""
        shown = {line.entry_id: line for line in self.summary.to_validate}
        found = {}
        for event in awaiting_validation(self.record):
            line = shown.get(event.event_id)
            if line is None and not isinstance(event.payload, ResultReceived):
                line = self._line(event)
            if line is not None and line.validation == "to-validate":
                found[event.event_id] = line
        return found

    def documents(self, entry: UUID | None = None) -> list[dict[str, Any]]:
        """What waits, one group for each document that came in, the newest first.

        With ``entry``, the document that brought that entry alone. Of all groups together no more
        than :data:`MOST` lines are given; ``number`` counts what waits in a group.

        Raises:
            NotFound: the record has no such entry.
        """
        wanted: UUID | None = None
        if entry is not None:
            known = self.record.entries.get(entry)
            if known is None:
                raise NotFound
            wanted = _import_of(known)
        groups: dict[UUID, list[Line]] = {}
        for line in self.lines.values():
            key = _import_of(self.record.entries[line.entry_id])
            if wanted in (None, key):
                groups.setdefault(key, []).append(line)
        found, room = [], MOST
        for key, lines in reversed(groups.items()):
            found.append(self._document(key, lines, lines[:room]))
            room = max(0, room - len(lines))
        return found

    def judged_meanwhile(self, entries: Iterable[UUID]) -> list[dict[str, Any]]:
        """Those of ``entries`` that wait no more: what became of each, by whom."""
        found = []
        for entry in entries:
            event = self.record.entries.get(entry)
            if event is None or entry in self.lines:
                continue
            verdict = next(iter(about(self.record, EntryValidated, entry)), None)
            became = "n’a plus cours"
            if verdict is not None and isinstance(verdict.payload, EntryValidated):
                who, why = verdict.envelope.author.name, verdict.envelope.reason
                became = f"{wording.VALIDATION[verdict.payload.verdict]} par {who}"
                became += f" : {why}" if why else ""
            found.append({"text": self._text(self._line(event)), "became": became})
        return found

    def _document(self, key: UUID, lines: list[Line], shown: list[Line]) -> dict[str, Any]:
        """One document with its lines by slot, in the order of the patient's page."""
        first = lines[0]
        original = self._original(key, first)
        by_slot: dict[str, list[dict[str, Any]]] = {}
        for line in shown:
            by_slot.setdefault(line.slot or _OTHER, []).append(self._row(line))
        order = {name: place for place, name in enumerate(views.ORDER)}
        return {
            "id": str(key),
            "title": (original.title if original else "") or "Lignes reçues",
            "author": first.source_author,
            "source": first.door_words,
            "received": day_and_hour(first.recorded_at.isoformat(), self._at.zone),
            "unmapped": [part_in_words(each.type, each.path) for each in original.unmapped]
            if original
            else [],
            "warnings": [warning_in_words(each) for each in original.warnings] if original else [],
            "number": len(lines),
            "rest": len(lines) - len(shown),
            "slots": [
                {"name": name, "title": _TITLES.get(name, name), "lines": by_slot[name]}
                for name in sorted(by_slot, key=lambda each: order.get(each, len(order)))
            ],
        }

    def _original(self, key: UUID, line: Line) -> DocumentAttached | None:
        sha256 = line.source.original_sha256 if line.source else None
        for event in self.record.standing(self.record.documents):
            payload = event.payload
            if isinstance(payload, DocumentAttached) and (
                _import_of(event) == key or payload.sha256 == sha256
            ):
                return payload
        return None

    def _row(self, line: Line) -> dict[str, Any]:
        event = self.record.entries[line.entry_id]
        alarm = self._alarms.get(line.entry_id)
        is_result = isinstance(event.payload, ResultReceived)
        title = str(line.detail.get("title") or "") if is_result else ""
        return line_view(
            line,
            title or self._text(line),
            past="" if line.current else views.state_word(line),
            is_result=is_result,
            values=[
                wording.result_line_text(each, self._at.zone)
                for each in line.detail.get("lines", ())
            ] if is_result else [],
            alarm="" if alarm is None else
            "valeur critique" if alarm.critical else "valeur non comparable",
            notes=[
                *(self._note(each) for each in bearings(self.record, event, self._at.day)),
                *self._replaced(event),
            ],
            choice=f"{CHOICE}{line.entry_id}",
            reason=f"{REASON}{line.entry_id}",
        )  # fmt: skip

    def _note(self, bearing: Bearing) -> dict[str, Any]:
        line = self._line(bearing.entry)
        if line.state == "in-error":
            # What its own source took back neither says the same nor the contrary.
            return self._told(line, f"{views.state_word(line)} au dossier".capitalize(), "warn")
        word = _SAID.get(bearing.relation)
        if word is None:
            word = _STATES[line.topic][("current", "past", "refuted").index(_standing(line))]
        return self._told(line, word, tone="warn" if bearing.relation == "same" else "late")

    def _replaced(self, event: Event) -> Iterable[dict[str, Any]]:
        """The version of the same line that this one takes the place of, until it is refused."""
        older = self.record.entries.get(event.envelope.target) if event.envelope.target else None
        if older is not None and not isinstance(older.payload, ResultReceived):
            yield self._told(self._line(older), "Remplace", tone="grey")

    def _told(self, line: Line, word: str, tone: str) -> dict[str, Any]:
        waits = line.entry_id in self.lines
        why = f" ({line.why})" if line.why else ""
        return line_view(line, self._text(line) + why, word=word, tone=tone, waits=waits)

    def _line(self, event: Event) -> Line:
        """An entry as the summary has it; one that the summary forgot, from its own events."""
        found = self._held.get(event.event_id)
        if found is None:
            alone = fold_all(None, self._told_of[event.event_id], self.record.id)
            found = next(each for each in _lines_of(alone) if each.entry_id == event.event_id)
        return found

    def _text(self, line: Line) -> str:
        return views.without_label(wording.line_text(line, self._at.day))


def _lines_of(summary: PatientSummary) -> Iterable[Line]:
    """One line for each coded entry; for a report its own, not those of its tests."""
    yield from (line for line in summary.lines if line.ordinal is None)
    yield from summary.absences
    yield from (each.line for each in summary.results)


def _standing(line: Line) -> str:
    """``current``, ``past`` or ``refuted``: a problem of the past is current in its own slot."""
    if line.slot == "past-illness" and line.current:
        return "past"
    return line.state if line.state in ("past", "refuted") else "current"


def _import_of(event: Event) -> UUID:
    """What one delivery wrote has one command; what has none came by itself."""
    return event.envelope.command_id or event.event_id
