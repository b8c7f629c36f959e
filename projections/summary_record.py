"""The patient summary itself: what current views need to know of one patient, and its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, part_of
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.severity import Said, in_force
from releve.domain.clinical_time import Recency, recency
from releve.projections.dates import first_instant, last_day
from releve.projections.summary_courses import (
    Change,
    Fired,
    Handover,
    Item,
    Question,
    Result,
    Seen,
    was_old,
)
from releve.projections.summary_lines import (
    HANDOVER,
    SLOTS,
    Line,
    Note,
    Presence,
    Presence3,
    Spoken,
)

FORMAT: Final = 4
"""Shape of the sealed summary; another number asks for a rebuild."""

INS: Final = "patient.ins-status-changed"
CONTACT_DETAILS: Final = "patient.contact-details-changed"
DEATH: Final = "patient.death-recorded"
ATTENDING_ENDED: Final = "patient.medecin-traitant-ended"
_LASTING: Final = ("code", "starts")
"""What the continuation of an ALD does not change once it is known."""
RECONCILED: Final = "patient.medication-reconciled"
REVIEWED: Final = "patient.summary-reviewed"


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
    """The traits, with the INS status in force."""
    attending: list[Line] = []
    centres: list[UUID] = []
    lines: list[Line] = []
    absences: list[Line] = []
    encounters: list[Line] = []
    encounter_count: int = 0
    notes: list[Note] = []
    handovers: list[Handover] = []
    items: list[Item] = []
    results: list[Result] = []
    contingencies: list[Line] = []
    severities: list[Line] = []
    fired: list[Fired] = []
    changes: list[Change] = []
    questions: list[Question] = []
    opinions: list[Line] = []
    """Second looks; the target of each is the entry that it stands beside."""
    appointments: list[Line] = []
    ald: list[Line] = []
    told: list[Line] = []
    """What replaces itself: INS, contact details, death, reconciliation, review; the last few."""
    seen_by: list[Seen] = []
    """Who wrote on this record, latest last: what came after is new to them."""
    unread: int = 0
    """Events of this patient that could not be read: the record is incomplete."""
    recalled: list[UUID] = []
    """What a later word takes back or brings back, and so is never let go (``summary_recall``)."""

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

    def last_told(
        self, topic: str, which: Callable[[Line], bool] = lambda line: True
    ) -> Line | None:
        """The latest standing line of a topic that replaces itself, by clinical time."""
        said = (line for line in self.told if line.topic == topic and line.current and which(line))
        return max(said, key=lambda line: line.recency, default=None)

    @property
    def ins(self) -> Line | None:
        """The INS status in force; its matricule may leave only while it says ``qualifiee``.

        The last one written, whatever day it speaks of: a doubt takes effect when it is said.
        """
        said = (line for line in self.told if line.topic == INS and line.current)
        return max(said, key=lambda line: line.version, default=None)

    @property
    def contact_details(self) -> Line | None:
        """Phones, address, trusted person and legal representatives in force."""
        return self.last_told(CONTACT_DETAILS)

    @property
    def death(self) -> Line | None:
        """The death that was recorded, where one stands."""
        return self.last_told(DEATH)

    @property
    def reconciliation(self) -> Line | None:
        """When the treatments were last checked against a source."""
        return self.last_told(RECONCILED)

    @property
    def summary_review(self) -> Line | None:
        """When the summary was last read through; reading some of its slots is not that."""
        return self.last_told(REVIEWED, lambda line: not line.detail.get("slots"))

    @property
    def medecin_traitant(self) -> Line | None:
        """The declared médecin traitant in force, the centre or a person: the latest ``since``.

        An end leaves none: what was declared before it does not come back.
        """
        ended = max(
            (
                end.version
                for line in self.attending
                for end in line.revisions
                if end.topic == ATTENDING_ENDED and not end.wrong
            ),
            default=0,
        )
        declared = (line for line in self.attending if line.current and line.version > ended)
        return max(declared, key=_since, default=None)

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
        found = (each for each in self.handovers if each.line.current)
        return max(found, key=lambda each: each.line.recency, default=None)

    @property
    def open_items(self) -> list[Item]:
        """What still has to happen, oldest first."""
        return [item for item in self.items if item.open]

    @property
    def open_questions(self) -> list[Question]:
        """Questions that nobody has answered, oldest first."""
        return [question for question in self.questions if question.open]

    def open_results(self, day: date) -> list[Result]:
        """Results that are not done on ``day``: expected, partial, to read, to tell."""
        return [each for each in self.results if each.state(day) not in ("done", "cancelled")]

    def is_history(self, result: Result) -> bool:
        """Whether it was old when it came in, as all that it replaced was, and answers no order.

        As the record has it (``results.is_history``): nobody is asked to act on it. Where what it
        replaced is not kept any more, it is to be read.
        """
        holder: Result | None = result
        version = result.received
        while version is not None and holder is not None and was_old(version):
            if holder.order is not None and holder.order.current:
                return False
            if version.target is None:
                return True
            replaced = version.target
            holder, version = next(
                ((one, each) for one in self.results for each in one.versions
                 if each.entry_id == replaced),
                (None, None),
            )  # fmt: skip
        return False

    @property
    def corrected_results(self) -> list[Result]:
        """Results of which somebody had read an earlier version, the newest correction first."""
        found = [each for each in self.results if each.corrected_after_review]
        return sorted(found, key=lambda each: -each.line.version)

    @property
    def to_validate(self) -> list[Line]:
        """Imported lines that no doctor has accepted or refused yet; a result counts once.

        One that says of itself that it is over or refuted waits like any other.
        """
        found = [
            line for line in (*self.lines, *self.absences) if line.ordinal is None and line.waits
        ]
        found += [
            each.line
            for each in self.results
            if each.line.current and each.validation == "to-validate"
        ]
        return sorted(found, key=lambda line: line.version)

    def opinions_on(self, entry: UUID) -> list[Line]:
        """Second looks that stand beside an entry, oldest first."""
        return [line for line in self.opinions if line.current and line.target == entry]

    def seen_position(self, person: UUID | None, since: int) -> int:
        """Up to where a person has read this record, who read the centre's up to ``since``."""
        own = [seen.position for seen in self.seen_by if seen.person == person]
        return max([since, *own])

    def treated_by(self, person: UUID) -> bool:
        """Whether a person ever took part in this patient's care."""
        return any(seen.person == person and seen.treated for seen in self.seen_by)

    def news_for(self, person: UUID | None, since: int) -> list[Change]:
        """What changed after a person last read this record, their own writing aside."""
        seen = self.seen_position(person, since)
        return [
            change
            for change in self.changes
            if change.position > seen and (person is None or change.person != person)
        ]

    def challenge_of(self, line: Line) -> Line | None:
        """The newest challenge that nobody has answered.

        A revision of the entry answers it, or a doctor's verdict on an imported one, an opinion by
        the entry's author, and the challenger's own agreement.
        """
        said = self.opinions_on(line.entry_id)
        revised = max((each.version for each in line.revisions if not each.wrong), default=0)
        for challenge in reversed(said):
            if challenge.detail["stance"] != "challenges" or revised > challenge.version:
                continue
            if not any(_answers(each, challenge, line) for each in said):
                return challenge
        return None

    @property
    def ald_in_force(self) -> list[Line]:
        """ALD that were granted or renewed and not ended, each with its number and first day.

        What continues another names it; a source that names none continues the one of its number.
        """
        firsts: dict[UUID, UUID] = {}
        known: dict[UUID, Line] = {}
        for line in sorted(self.ald, key=lambda each: each.version):
            first = firsts.get(line.target) if line.target is not None else None
            if first is None and line.detail["status"] != "granted":
                code = line.detail.get("code")
                same = (each for each, last in known.items() if last.detail.get("code") == code)
                first = next(same, None)
            first = firsts[line.entry_id] = first or line.entry_id
            if not line.current:
                continue
            if first in known:
                before = known[first].detail
                detail = {**before, **line.detail}
                detail.update((name, before[name]) for name in _LASTING if name in before)
                line = msgspec.structs.replace(line, detail=detail)
            known[first] = line
        return [line for line in known.values() if line.detail["status"] != "ended"]

    @property
    def booked(self) -> list[Line]:
        """Appointments that the agenda holds, earliest first: the last word on each reference."""
        by_reference: dict[str, Line] = {}
        replaced = {line.target for line in self.appointments if line.current}
        for line in self.appointments:
            if line.current and line.entry_id not in replaced:
                by_reference[line.detail.get("reference") or line.entry_id.hex] = line
        found = [line for line in by_reference.values() if line.detail.get("status") != "cancelled"]
        return sorted(found, key=starts)

    def appointments_between(self, first: date, last: date) -> list[Line]:
        """Booked appointments of these civil days, both included, earliest first."""
        return [line for line in self.booked if first <= day_of(line) <= last]

    def next_appointment(self, day: date) -> Line | None:
        """The first appointment of ``day`` or later."""
        return next((line for line in self.booked if day_of(line) >= day), None)

    @property
    def firing(self) -> list[Fired]:
        """Thresholds met (or not comparable) since anybody last judged the patient."""
        return [fired for fired in self.fired if not (fired.answered or fired.old or fired.void)]

    @property
    def older_measures(self) -> list[Fired]:
        """Measures past a threshold, taken before it was set and not to be read; not yet judged."""
        return [fired for fired in self.fired if fired.old and not (fired.answered or fired.void)]

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

        ``every`` adds what was declared an error, refused or replaced; refuted lines are always
        given, with their state.
        """
        found = [
            line for line in self.lines if line.slot == name and (every or line.state not in _GONE)
        ]
        found.sort(key=lambda line: -line.version)
        found.sort(key=lambda line: not line.current)
        return found

    def slots(self) -> dict[str, list[Line]]:
        """All 19 slots in order, each with its lines."""
        return {slot.name: self.slot(slot.name) for slot in SLOTS}

    def entry(self, entry: UUID) -> Line | None:
        """The line of that entry among those kept, whatever its state; the first of a result."""
        places: Iterable[Line] = (
            *self.lines, *self.absences, *self.encounters, *self.contingencies, *self.severities,
            *(note.line for note in self.notes), *(each.line for each in self.handovers),
            *(item.line for item in self.items), *(each.line for each in self.results),
        )  # fmt: skip
        return next((line for line in places if line.entry_id == entry), None)

    def presence(self, name: str) -> Presence:
        """Whether something is known in a slot, nothing is (and when that was asked), or neither.

        "None known" about a part of a slot does not make the whole slot "none".
        """
        said = self.absences_in_force(name)
        parts = tuple(line for line in said if line.detail.get("part"))
        if any(line.slot == name and line.current for line in self.lines):
            return Presence("known", parts=parts)
        whole = [line for line in said if not line.detail.get("part")]
        # What a doctor asked or accepted is not made doubtful by a later import.
        whole = [line for line in whole if line.validation != "to-validate"] or whole
        if whole:
            asked = whole[-1].detail.get("asked_on") or whole[-1].as_of
            return Presence("none", asked, parts, whole[-1])
        return Presence("not-asked", parts=parts)

    def absences_in_force(self, name: str) -> list[Line]:
        """What was said to be none in a slot and no line of it contradicts, oldest first.

        Any line that stands contradicts "none known"; an allergy, that of its categories too.
        """
        said = [line for line in self.absences if line.slot == name and line.current]
        if not said:
            return said
        taken = {
            part
            for line in self.lines
            if line.slot == name and line.current
            for part in (None, *line.detail.get("categories", ()))
        }
        return [
            line
            for line in said
            if part_of(msgspec.convert(line.detail, AbsenceAsserted)) not in taken
        ]

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
            if _told_at(other) > line.recorded_at and other.state in ("current", "past")
            and other.slot not in _ASIDE
        ]  # fmt: skip
        text = line.detail.get("one_liner") or line.detail.get("summary") or ""
        return Spoken(text, line, max(newer, key=_told_at_and_version, default=None))

    def full_name(self) -> str:
        """``NOM Prénom``: the name in use, else the birth name."""
        who = self.identity
        if who is None:
            return "Identité inconnue"
        family = (who.used_name or who.birth_name or "").upper()
        given = who.used_first_name or (who.first_names[0] if who.first_names else "")
        return f"{family} {given}".strip() or "Identité inconnue"


_ASIDE = frozenset(
    {"documents", "vigilance", "immunizations", "family-history", "lifestyle", "occupation"}
)
"""Slots whose news does not make a one-liner older than it."""
_GONE = frozenset({"in-error", "refused", "superseded"})


def _told_at(line: Line) -> datetime:
    """When a line last said something new."""
    changed = line.revised
    return changed.recorded_at if changed is not None else line.recorded_at


def _told_at_and_version(line: Line) -> tuple[datetime, int]:
    return _told_at(line), line.version


def starts(line: Line) -> tuple[datetime, int]:
    """When an appointment begins, with its version for a total order."""
    moment = first_instant(line.detail["starts_at"], line.zone) or line.recorded_at
    return moment, line.version


def day_of(line: Line) -> date:
    """The civil day of an appointment, in its centre's zone."""
    return last_day(line.detail["starts_at"], line.zone) or line.recorded_at.date()


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


def _answers(opinion: Line, challenge: Line, entry: Line) -> bool:
    """Whether an opinion answers a challenge of ``entry``: its author's, or a change of mind."""
    if opinion.version <= challenge.version or opinion.person is None:
        return False
    if opinion.person == entry.person:
        return True
    return opinion.person == challenge.person and opinion.detail["stance"] == "agrees"
