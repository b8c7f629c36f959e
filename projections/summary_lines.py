"""What a patient summary is made of: lines as they were said, in 19 slots and a few lists.

Every line keeps the payload as it was received (``detail``), who said it, when, through which door
and at which position. Corrections change a line's ``state``; nothing is rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.severity import Said, in_force
from releve.domain.clinical_time import Moment, Recency, moment, recency
from releve.domain.events import Source
from releve.projections.dates import last_day

State = Literal["current", "past", "refuted", "in-error", "superseded"]
Presence3 = Literal["known", "none", "not-asked"]


MEDICATION: Final = "patient.medication-started"
HANDOVER: Final = "patient.handover-written"


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

FORMAT: Final = 2
"""Shape of the sealed summary; another number asks for a rebuild."""


class Line(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One entry of the record, as it was said.

    ``as_of`` is clinical time as written (instant or partial date), ``recorded_at`` when it was
    written down; ``entry_id`` is the id of the event. ``detail`` is the payload map of ``topic``.
    """

    entry_id: UUID
    topic: str
    slot: str
    text: str
    as_of: str
    recorded_at: datetime
    author: str
    role: str
    position: int
    version: int
    detail: dict[str, Any]
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
    error_reason: str | None = None
    """Why it was declared an error, once it was."""

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

    def ended_by(self, day: date) -> bool:
        """Whether it is a treatment said to be running whose planned end was before ``day``."""
        end = self.detail.get("end")
        if not end or self.topic != MEDICATION or not self.current:
            return False
        last = last_day(end, self.zone)
        return last is not None and last < day

    @property
    def concept(self) -> Mapping[str, Any] | None:
        """The coded meaning as received: ``{"text", "codings": [...]}``."""
        found: Mapping[str, Any] | None = (
            self.detail.get("concept") or self.detail.get("substance") or self.detail.get("code")
        )
        return found

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


class Note(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A signed note with its amendments, oldest first; the first text stays."""

    line: Line
    amendments: tuple[Line, ...] = ()

    @property
    def text(self) -> Mapping[str, Any]:
        """The parts in force: the last replacement's, else the note's own."""
        parts: Mapping[str, Any] = self.line.detail
        for amendment in self.amendments:
            if amendment.current and amendment.detail["kind"] == "replacement":
                parts = amendment.detail
        return parts

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


class Item(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An open item and, once it is closed, what closed it."""

    line: Line
    closing: Line | None = None

    @property
    def open(self) -> bool:
        """Whether it still has to happen."""
        return self.line.current and self.closing is None

    @property
    def due(self) -> str | None:
        """The day it is due, as written; None when it was said to have no deadline."""
        return self.line.detail.get("due")

    @property
    def harm_if_late(self) -> bool:
        """Whether being late may hurt."""
        return bool(self.line.detail.get("harm_if_late"))

    @property
    def kind(self) -> str:
        """What kind of thing must happen: result, call, review…"""
        return str(self.line.detail["kind"])


class Handover(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A handover note and what its receivers answered, oldest first."""

    line: Line
    read_backs: tuple[Line, ...] = ()


class Fired(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A measure met a contingency's threshold, or could not be compared with it.

    ``answered`` is set once a clinician has said how ill the patient is, afterwards and about a
    moment that is not before the measure. An ``old`` one was measured before the contingency was
    written: it is listed and does not ring.
    """

    contingency: UUID
    observation: UUID
    text: str
    as_of: str
    position: int
    matched: bool
    happened_by: datetime
    """The latest moment at which it may have been measured."""
    old: bool = False
    answered: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Something new on the record, for "since your last stint"."""

    entry_id: UUID
    position: int
    text: str
    stint: UUID | None = None


class Presence(NamedTuple):
    """One of three states: known, none (asked on a day), or not asked."""

    state: Presence3
    asked_on: str | None = None
    parts: tuple[Line, ...] = ()
    """"None known" that was said of a part only (food, drug)."""
    absence: Line | None = None


class Spoken(NamedTuple):
    """The one-liner in force, and what arrived after it was written."""

    text: str
    line: Line
    older_than: Line | None = None


class PatientSummary(msgspec.Struct, kw_only=True):
    """What current views need to know of one patient; see the module for what it leaves out."""

    patient: UUID
    format: int = FORMAT
    position: int = -1
    version: int = 0
    recorded_at: datetime | None = None
    zone: str = "Europe/Paris"
    registered: Line | None = None
    identity: Registered | None = None
    attending: list[Line] = []
    centres: list[UUID] = []
    lines: list[Line] = []
    absences: list[Line] = []
    encounters: list[Line] = []
    encounter_count: int = 0
    notes: list[Note] = []
    handovers: list[Handover] = []
    items: list[Item] = []
    contingencies: list[Line] = []
    severities: list[Line] = []
    fired: list[Fired] = []
    changes: list[Change] = []
    unread: int = 0
    """Events of this patient that could not be read: the record is incomplete."""

    @property
    def incomplete(self) -> str | None:
        """The banner of a record with events that could not be read, else None."""
        if not self.unread:
            return None
        plural = "s" * (self.unread > 1)
        return f"dossier incomplet : {self.unread} élément{plural} non lu{plural}"

    @property
    def identity_incomplete(self) -> bool:
        """Whether one of the five strict traits is missing."""
        who = self.identity
        return who is None or not (
            who.birth_name and who.first_names and who.birth_date and who.sex and who.birth_place
        )

    @property
    def medecin_traitant(self) -> Line | None:
        """The declared médecin traitant in force, the centre or a person: the latest ``since``."""
        return max((line for line in self.attending if line.current), key=_since, default=None)

    @property
    def severity(self) -> Line | None:
        """What was last said of how ill the patient is, by itself or in a handover.

        Last by clinical time: a late entry about another day does not change it.
        """
        return in_force(
            Said(line.recency, line.detail["severity"], line.topic == HANDOVER, line)
            for line in self.severities
            if line.current
        )

    @property
    def handover(self) -> Handover | None:
        """The handover to read: the latest by clinical time of those that stand."""
        standing = (each for each in self.handovers if each.line.current)
        return max(standing, key=lambda each: each.line.recency, default=None)

    @property
    def open_items(self) -> list[Item]:
        """What still has to happen, oldest first."""
        return [item for item in self.items if item.open]

    @property
    def firing(self) -> list[Fired]:
        """Thresholds met (or not comparable) since anybody last judged the patient."""
        return [fired for fired in self.fired if not fired.answered and not fired.old]

    @property
    def older_measures(self) -> list[Fired]:
        """Measures past a threshold, taken before it was set and heard of after; not yet judged."""
        return [fired for fired in self.fired if fired.old and not fired.answered]

    def older_measures_of(self, contingency: Line) -> list[Fired]:
        """The newest of :attr:`older_measures` for that contingency, where there is one."""
        own = [one for one in self.older_measures if one.contingency == contingency.entry_id]
        return sorted(own, key=lambda one: one.happened_by)[-1:]

    @property
    def last_contact(self) -> Line | None:
        """The latest consultation by clinical time."""
        seen = [line for line in self.encounters if line.current]
        return max(seen, key=lambda line: line.recency, default=None)

    @property
    def allergy_state(self) -> Presence3:
        """Three states, never fewer: known, none, not-asked."""
        return self.presence("allergies").state

    def slot(self, name: str, *, every: bool = False) -> list[Line]:
        """The lines of one slot, current ones first, newest first inside.

        ``every`` adds what was declared an error; refuted lines are always given, with their state.
        """
        found = [
            line for line in self.lines if line.slot == name and (every or line.state != "in-error")
        ]
        found.sort(key=lambda line: -line.version)
        found.sort(key=lambda line: not line.current)
        return found

    def slots(self) -> dict[str, list[Line]]:
        """All 19 slots in order, each with its lines."""
        return {slot.name: self.slot(slot.name) for slot in SLOTS}

    def presence(self, name: str) -> Presence:
        """Whether something is known in a slot, nothing is (and when that was asked), or neither.

        "None known" about a part of a slot does not make the whole slot "none".
        """
        said = [line for line in self.absences if line.current and line.slot == name]
        parts = tuple(line for line in said if line.detail.get("part"))
        if any(line.slot == name and line.current for line in self.lines):
            return Presence("known", parts=parts)
        whole = [line for line in said if not line.detail.get("part")]
        if whole:
            asked = whole[-1].detail.get("asked_on") or whole[-1].as_of
            return Presence("none", asked, parts, whole[-1])
        return Presence("not-asked", parts=parts)

    def one_liner(self) -> Spoken | None:
        """The one-liner in force with the newest result, treatment or problem written after it.

        In force is the latest by clinical time. A replacement speaks of its note's moment.
        """
        said = [
            (note.spoken_at, line)
            for note in self.notes
            if note.line.current and (line := note.spoken) is not None
        ]
        said += [(each.line.recency, each.line) for each in self.handovers if each.line.current]
        if not said:
            return None
        line = max(said, key=lambda each: each[0])[1]
        newer = [
            other for other in self.lines
            if other.recorded_at > line.recorded_at and other.state in ("current", "past")
            and other.topic != "patient.document-attached"
        ]  # fmt: skip
        text = line.detail.get("one_liner") or line.detail.get("summary") or ""
        return Spoken(text, line, max(newer, key=lambda each: each.version, default=None))

    def full_name(self) -> str:
        """``NOM Prénom``: the name in use, else the birth name."""
        who = self.identity
        if who is None:
            return "Identité inconnue"
        family = (who.used_name or who.birth_name or "").upper()
        given = who.used_first_name or (who.first_names[0] if who.first_names else "")
        return f"{family} {given}".strip() or "Identité inconnue"


_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODER = msgspec.msgpack.Decoder(PatientSummary)


def to_bytes(summary: PatientSummary) -> bytes:
    """The summary as MessagePack; the same summary always gives the same bytes."""
    return _ENCODER.encode(summary)


def from_bytes(raw: bytes) -> PatientSummary:
    """The summary that :func:`to_bytes` wrote.

    Raises:
        msgspec.ValidationError: the bytes are of another format.
    """
    return _DECODER.decode(raw)


def _since(line: Line) -> Recency:
    return recency(line.detail["since"], line.zone, line.recorded_at, line.version)
