"""What a patient summary is made of: lines as they were said, in 19 slots, and what became of them.

Every line keeps the payload as it was received, who said it, when, through which door and at which
position. A revision changes what a line says from then on and stands beside it; a correction
changes its ``state``. The words of a line are made when it is read and never stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from releve.domain.clinical_time import Moment, Recency, moment
from releve.domain.events import Source
from releve.projections import wording
from releve.projections.dates import french, last_day

_IDENTIFIER: Final = re.compile(r"urn:|https?://|\d+(\.\d+){3}").match
State = Literal["current", "past", "refuted", "refused", "in-error", "superseded"]
"""``refused`` is an imported line that a doctor did not accept."""
Validation = Literal["", "to-validate", "accepted", "refused"]
Presence3 = Literal["known", "none", "not-asked"]


MEDICATION: Final = "patient.medication-started"
HANDOVER: Final = "patient.handover-written"
VALIDATED: Final = "patient.entry-validated"
REVIEWED: Final = "patient.result-reviewed"
_JUDGED: Final = frozenset({VALIDATED, REVIEWED})
"""What is said of an imported line that does not change what it says."""
RESULT: Final = "patient.result-received"
IMPORTING: Final = frozenset({"fhir", "cda", "hprim", "pdf"})
"""Doors through which lines come in that a doctor has yet to accept ("à valider")."""
CODED: Final = frozenset(
    {
        "patient.problem-recorded", "patient.allergy-recorded", "patient.absence-asserted",
        MEDICATION, "patient.observation-recorded", "patient.immunization-recorded",
        "patient.procedure-recorded", "patient.device-recorded", "patient.history-recorded",
        RESULT,
    }
)  # fmt: skip
"""Topics whose imported lines are accepted or refused one by one."""


class Slot(NamedTuple):
    """One section of the summary, by our name, its LOINC code and its French title."""

    name: str
    loinc: str
    title: str


SLOTS: Final = (
    Slot("problems", "11450-4", "Problèmes actifs"),
    Slot("past-illness", "11348-0", "Antécédents médicaux"),
    Slot("procedures", "47519-4", "Antécédents chirurgicaux et actes"),
    Slot("allergies", "48765-2", "Allergies et intolérances"),
    Slot("adverse-reactions", "44939-7", "Effets indésirables"),
    Slot("medications", "10160-0", "Traitements"),
    Slot("devices", "46264-8", "Dispositifs"),
    Slot("vigilance", "44944-7", "Points de vigilance"),
    Slot("functional-status", "47420-5", "Statut fonctionnel"),
    Slot("vital-signs", "8716-3", "Constantes"),
    Slot("lifestyle", "29762-2", "Mode de vie"),
    Slot("occupation", "10161-8", "Facteurs professionnels"),
    Slot("family-history", "10157-6", "Antécédents familiaux"),
    Slot("immunizations", "11369-6", "Vaccinations"),
    Slot("pregnancies", "10162-6", "Grossesses"),
    Slot("care-plan", "18776-5", "Plan de soins"),
    Slot("advance-directives", "42348-3", "Directives anticipées"),
    Slot("results", "30954-2", "Résultats"),
    Slot("documents", "55107-7", "Documents"),
)
"""The sections of IPS-FR 2024.01, in its order."""


class Line(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One entry of the record, as it was said.

    ``as_of`` is clinical time as written (instant or partial date), ``recorded_at`` when it was
    written down (the import date of an imported line); ``entry_id`` is the id of the event.
    ``detail`` is the payload map of ``topic`` with its standing revisions applied.
    """

    entry_id: UUID
    topic: str
    as_of: str
    recorded_at: datetime
    author: str
    role: str
    position: int
    version: int
    detail: dict[str, Any]
    slot: str = ""
    state: State = "current"
    zone: str = "Europe/Paris"
    person: UUID | None = None
    stint: UUID | None = None
    centre: UUID | None = None
    encounter_id: UUID | None = None
    target: UUID | None = None
    reason: str | None = None
    source: Source | None = None
    """The door it came through; None when it was typed here."""
    wrong: bool = False
    """Whether it is declared an error now."""
    error_reason: str | None = None
    """Why it was declared an error, once it was."""
    ordinal: int | None = None
    """Which line of its result it is, from 0; None for every other entry."""
    first: dict[str, Any] | None = None
    """The payload before its revisions, where there are any."""
    revisions: tuple[Line, ...] = ()
    """What was said of this very line afterwards, oldest first; the last few."""

    @property
    def text(self) -> str:
        """What it says, in one line of French."""
        body = wording.BODIES.get(self.topic) if self.slot else None
        if body is not None:
            return body(self.detail, self.zone)
        return wording.entry_text(self.topic, self.detail, self.zone)

    @property
    def current(self) -> bool:
        """Whether current views show it."""
        return self.state == "current"

    @property
    def moment(self) -> Moment:
        """When it happened, as far as it says."""
        return moment(self.as_of, self.zone, self.recorded_at)

    @property
    def recency(self) -> Recency:
        """Its place in the order of what is in force: clinical time, then version."""
        return self.moment.latest, self.version

    @property
    def imported(self) -> bool:
        """Whether it came from another system, line by line."""
        return self.source is not None and self.source.channel in IMPORTING

    @property
    def validation(self) -> Validation:
        """Where an imported line stands: "à valider", accepted, refused; empty for all others.

        A value that a doctor read in its result is accepted by that.
        """
        if not self.imported or self.topic not in CODED:
            return ""
        verdict = self.validated
        if verdict is None:
            read = any(each.topic == REVIEWED and not each.wrong for each in self.revisions)
            return "accepted" if read else "to-validate"
        found: Validation = verdict.detail["verdict"]
        return found

    @property
    def waits(self) -> bool:
        """Whether a doctor has yet to accept or refuse it, whatever it says of its state."""
        return (
            self.validation == "to-validate"
            and not self.wrong
            and self.state not in ("superseded", "refused")
        )

    @property
    def validated(self) -> Line | None:
        """The doctor's verdict on an imported line that stands, with its author and date."""
        said = [each for each in self.revisions if each.topic == VALIDATED and not each.wrong]
        return said[-1] if said else None

    @property
    def revised(self) -> Line | None:
        """The last standing change of what it says, with its reason, its author and its date."""
        said = [each for each in self.revisions if each.topic not in _JUDGED and not each.wrong]
        return max(said, key=lambda each: each.recency, default=None)

    @property
    def why(self) -> str:
        """Why it stands as it does: in error, refused, refuted, stopped, lifted; may be empty."""
        if self.wrong:
            return self.error_reason or ""
        if self.state == "refused" and self.validated is not None:
            return self.validated.reason or ""
        changed = self.revised
        return (changed.reason or "") if changed else ""

    def ended_by(self, day: date) -> bool:
        """Whether it is a treatment said to be running whose planned end was before ``day``."""
        return self.topic == MEDICATION and self.current and self.is_past("end", day)

    def is_past(self, name: str, day: date) -> bool:
        """Whether the last day that its field ``name`` may mean was before ``day``; no date: no."""
        said = self.detail.get(name)
        last = last_day(said, self.zone) if said else None
        return last is not None and last < day

    @property
    def concept(self) -> Mapping[str, Any] | None:
        """The coded meaning as received: ``{"text", "codings": [...]}``; not an ALD's number."""
        said = self.detail
        found = (
            said.get("concept") or said.get("substance") or said.get("code") or said.get("vaccine")
        )
        return found if isinstance(found, Mapping) else None

    @property
    def clinical_status(self) -> str | None:
        """FHIR clinical status of a problem or an allergy, as received."""
        return self.detail.get("clinical_status")

    @property
    def verification(self) -> str | None:
        """FHIR verification status of a problem or an allergy, as received."""
        return self.detail.get("verification")

    @property
    def status(self) -> str | None:
        """FHIR status of a treatment (default ``active``) or of a measure, as received."""
        default = "active" if self.topic == MEDICATION else None
        return self.detail.get("status", default)

    @property
    def source_author(self) -> str:
        """Who asserts it: the source's own author where it names one, else ours."""
        return (self.source.author if self.source else None) or self.author

    @property
    def door_words(self) -> str:
        """The door it came through: typed, pasted, imported in some format."""
        channel = self.source.channel if self.source is not None else "ui"
        return wording.CHANNEL.get(channel, channel)

    @property
    def source_words(self) -> str:
        """The door it came through, and the sender's name where its author does not say it.

        What another system wrote says on which day it came: ``import CDA du 23/11/2026``. A sender
        that is only known by an identifier is named by the author's organisation.
        """
        if self.source is None:
            return self.door_words
        channel = self.door_words
        if self.source.channel in IMPORTING:
            channel += f" du {french(self.recorded_at.isoformat(), self.zone)}"
        sender = self.source.system or ""
        told = not sender or sender in self.source_author or _IDENTIFIER(sender)
        return channel if told else f"{channel}, {sender}"


class Note(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is kept of a signed note and its amendments, oldest first: who, when, the one-liner.

    The text stays in the ledger, where the thread of a patient's page reads it.
    """

    line: Line
    amendments: tuple[Line, ...] = ()

    @property
    def spoken(self) -> Line | None:
        """The line whose one-liner is in force, or None when nobody wrote one."""
        said = self.line if self.line.detail.get("one_liner") else None
        for amendment in self.amendments:
            if amendment.current and amendment.detail.get("one_liner"):
                said = amendment
        return said

    @property
    def spoken_at(self) -> Recency:
        """The place of its one-liner in the order of what is in force."""
        said = self.spoken or self.line
        if said.detail.get("kind") == "replacement":
            return self.line.moment.latest, said.version
        return said.recency


class Presence(NamedTuple):
    """One of three states: known, none (asked on a day), or not asked."""

    state: Presence3
    asked_on: str | None = None
    parts: tuple[Line, ...] = ()
    """"None known" that was said of a part only (food, drug)."""
    absence: Line | None = None

    @property
    def waits(self) -> bool:
        """Whether "none" is another system's word alone: no doctor has asked, or accepted it."""
        return self.absence is not None and self.absence.validation == "to-validate"


class Spoken(NamedTuple):
    """The one-liner in force, and what arrived after it was written."""

    text: str
    line: Line
    older_than: Line | None = None
