"""Who may do what, to which record, and when: one pure function, default deny.

:func:`decide` reads no clock, no database and no setting. Its whole table is frozen in
``tests/unit/policy.golden`` (roles x actions x time slots x flags): a changed line is a changed
promise, and shows up as one in review.

Access follows the **stint**, never the organisation a sign-in names. A doctor's window, in the
civil time of the centre's zone where a day is meant and in elapsed time where a delay is meant::

    08:00, third day before      start            end          +72 h              +14 days
    ───────────┬───────────────────┬───────────────┬──────────────┬───────────────────┬─────────
     nothing   │ reading           │ in post       │ grace        │ questions asked   │ nothing
               │ (Friday 08:00 for │ reads, writes │ late entries,│ of her only       │
               │  a Monday)        │               │ own patients │                   │
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

READING_LEAD_DAYS = 3
READING_OPENS = time(8, 0)
GRACE = timedelta(hours=72)
QUESTIONS = timedelta(days=14)


class Action(StrEnum):
    """What somebody asks to do; the value is the name that access entries keep."""

    READ_IDENTITY = "identity.read"
    WRITE_IDENTITY = "identity.write"
    READ_AGENDA = "agenda.read"
    WRITE_AGENDA = "agenda.write"
    WRITE_CONTACT = "contact.write"
    RECORD_CONTACT = "contact.record"
    READ_BRIEFING = "briefing.read"
    ISSUE_BRIEFING = "briefing.issue"
    READ_CLINICAL = "clinical.read"
    READ_OWN_PATIENTS = "stint.own-patients"
    WRITE_CLINICAL = "clinical.write"
    WRITE_VITALS = "vitals.write"
    WRITE_ALD = "ald.write"
    WRITE_NOTE = "note.write"
    AMEND_NOTE = "note.amend"
    MARK_IN_ERROR = "entry.mark-in-error"
    REVIEW_RESULT = "result.review"
    DROP_RESULT = "inbox.drop"
    IMPORT = "inbox.import"
    READ_INBOX = "inbox.read"
    READ_INBOX_HEADER = "inbox.header"
    MATCH_DOCUMENT = "inbox.match"
    REJECT_DOCUMENT = "inbox.reject"
    WRITE_HANDOVER = "handover.write"
    READ_BACK = "handover.read-back"
    READ_HANDOVERS = "handover.board"
    CLOSE_HANDOVER = "handover.close"
    TAKE_WATCH = "watch.take"
    READ_ITEM_LABELS = "item.labels"
    OPEN_ITEM = "item.open"
    CLOSE_ITEM = "item.close"
    CLOSE_ADMIN_ITEM = "item.close-admin"
    ASK_QUESTION = "question.ask"
    READ_ASKED_CARD = "question.read"
    ANSWER_QUESTION = "question.answer"
    READ_STRUCTURE = "audit.structure"
    READ_CONTENT = "audit.content"
    READ_ACCESS_LOG = "audit.accesses"
    EXPORT_EVIDENCE = "audit.export"
    READ_CHECKPOINT = "ledger.checkpoint"
    READ_COORDINATION = "centre.coordination"
    RUN_CENTRE = "centre.run"
    ADMINISTER = "centre.administer"
    BREAK_GLASS = "break-glass"
    USE_SERVICE = "service.use"


Phase = Literal["closed", "reading", "in-post", "grace", "questions", "over"]


@dataclass(frozen=True, slots=True)
class StintWindow:
    """One doctor's time at one centre, as far as rights depend on it."""

    stint: UUID
    centre: UUID
    starts_at: datetime
    ends_at: datetime
    zone: str = "Europe/Paris"

    def covers(self, moment: datetime) -> bool:
        """Say whether a clinical moment lies inside the stint, ends included."""
        return self.starts_at <= moment <= self.ends_at


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the role they signed in with, their standing posts and their stints.

    ``centres`` is where a standing role (référent, coordinator, nurse, ...) is held; a doctor has
    none and gets everything from ``stints``. Whoever is ``suspended`` gets nothing at all.
    """

    role: str
    person: UUID | None = None
    centres: frozenset[UUID] = frozenset()
    stints: tuple[StintWindow, ...] = ()
    suspended: bool = False


Kind = Literal["patient", "stint", "centre", "practitioner", "inbox", "ledger", "service"]


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for: a patient's record, a stint's briefing, a document, a centre, a person.

    ``centres`` are those the record belongs to: declared there, or an encounter, import or
    appointment there; of a person, those they work at. ``stint`` names the stint of a briefing, of
    its handovers, or of a list of whom it saw.
    """

    kind: Kind
    centres: frozenset[UUID] = frozenset()
    stint: UUID | None = None
    own_record: bool = False
    """The record is the asker's own."""
    objected: bool = False
    """The patient objected to sharing with the asker."""


@dataclass(frozen=True, slots=True)
class Context:
    """The moment, and what is known about the asker's part in this record."""

    now: datetime
    occurred_at: datetime | None = None
    """Clinical time of what would be written; only a full instant counts."""
    treated: bool = False
    """The asker wrote on this record during the stint."""
    authored: bool = False
    """The entry acted on (note, order, item, entry in error) is the asker's own."""
    asked: bool = False
    """A question about this record is put to the asker and unanswered."""
    case: bool = False
    """An audit case is open: number, second person, less than 30 days."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Allow or deny, by which rule, and what the door then owes.

    ``obligations``: ``trace`` (access entry durable before bytes leave), ``labels-only`` (no
    body, diagnosis or result), ``structure-only`` (no clinical text), ``late-entry`` (say so on
    the record), ``cosign`` (a senior must sign too).
    """

    effect: Literal["allow", "deny"]
    rule: str
    obligations: frozenset[str] = frozenset()
    stint: UUID | None = None
    """The stint that opened the door, where one did: the author's stint for what is written."""

    @property
    def allowed(self) -> bool:
        """True when the effect is ``allow``."""
        return self.effect == "allow"


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def reading_opens_at(window: StintWindow) -> datetime:
    """Give the instant reads open: 08:00, centre time, on the third day before the start."""
    zone = _zone(window.zone)
    first_day = window.starts_at.astimezone(zone).date()
    return datetime.combine(first_day - timedelta(days=READING_LEAD_DAYS), READING_OPENS, zone)


def phase(window: StintWindow, now: datetime) -> Phase:
    """Say where ``now`` (aware) lies in a stint's window.

    Comparisons are made in UTC, so that the 72 hours and 14 days are elapsed time and a change of
    clocks neither shortens nor lengthens them.
    """
    at = now.astimezone(UTC)
    start, end = window.starts_at.astimezone(UTC), window.ends_at.astimezone(UTC)
    if at < reading_opens_at(window).astimezone(UTC):
        return "closed"
    if at < start:
        return "reading"
    if at <= end:
        return "in-post"
    if at <= end + GRACE:
        return "grace"
    if at <= end + QUESTIONS:
        return "questions"
    return "over"


_TRACE = frozenset({"trace"})
_NOTHING: frozenset[str] = frozenset()

_STINT_READS = frozenset(
    {
        Action.READ_IDENTITY,
        Action.READ_AGENDA,
        Action.READ_CLINICAL,
        Action.READ_ITEM_LABELS,
        Action.READ_BRIEFING,
        Action.READ_INBOX,
        Action.READ_INBOX_HEADER,
        Action.READ_HANDOVERS,
    }
)
_STINT_WRITES = frozenset(
    {
        Action.WRITE_IDENTITY,
        Action.WRITE_CLINICAL,
        Action.WRITE_VITALS,
        Action.WRITE_ALD,
        Action.WRITE_NOTE,
        Action.AMEND_NOTE,
        Action.MARK_IN_ERROR,
        Action.REVIEW_RESULT,
        Action.RECORD_CONTACT,
        Action.DROP_RESULT,
        Action.IMPORT,
        Action.MATCH_DOCUMENT,
        Action.REJECT_DOCUMENT,
        Action.WRITE_HANDOVER,
        Action.READ_BACK,
        Action.OPEN_ITEM,
        Action.CLOSE_ITEM,
        Action.CLOSE_ADMIN_ITEM,
        Action.ASK_QUESTION,
        Action.ANSWER_QUESTION,
    }
)
_OWN_STINT: Mapping[Action, tuple[str, frozenset[Phase]]] = {
    Action.ISSUE_BRIEFING: ("own-briefing", frozenset({"reading", "in-post"})),
    Action.READ_OWN_PATIENTS: ("own-patients", frozenset({"reading", "in-post", "grace"})),
    Action.CLOSE_HANDOVER: ("own-handovers", frozenset({"in-post", "grace"})),
    Action.TAKE_WATCH: ("own-watch", frozenset({"in-post"})),
}
"""What a doctor does to a stint of her own only: by which rule, and when."""
_ADDS = _STINT_WRITES | {Action.CLOSE_HANDOVER, Action.TAKE_WATCH}
_NOT_AN_INTERNS = frozenset(
    {
        Action.WRITE_IDENTITY,
        Action.WRITE_ALD,
        Action.IMPORT,
        Action.MATCH_DOCUMENT,
        Action.REJECT_DOCUMENT,
    }
)
_LATE_ENTRIES = frozenset({Action.WRITE_CLINICAL, Action.WRITE_VITALS, Action.WRITE_NOTE})
_ANYBODY_SIGNED_IN = frozenset({Action.USE_SERVICE, Action.READ_CHECKPOINT})
_CLINICAL = (
    frozenset(
        {
            Action.READ_IDENTITY,
            Action.WRITE_IDENTITY,
            Action.READ_CLINICAL,
            Action.READ_ITEM_LABELS,
            Action.READ_ASKED_CARD,
            Action.READ_CONTENT,
        }
    )
    | _STINT_WRITES
)
_READS = frozenset(
    {
        Action.READ_IDENTITY,
        Action.READ_BRIEFING,
        Action.READ_CLINICAL,
        Action.READ_OWN_PATIENTS,
        Action.READ_INBOX,
        Action.READ_INBOX_HEADER,
        Action.READ_HANDOVERS,
        Action.READ_ITEM_LABELS,
        Action.READ_ASKED_CARD,
        Action.READ_COORDINATION,
        Action.READ_STRUCTURE,
        Action.READ_CONTENT,
        Action.READ_ACCESS_LOG,
        Action.EXPORT_EVIDENCE,
    }
)


def _allow(rule: str, action: Action, *more: str, stint: UUID | None = None) -> Decision:
    owed = (_TRACE if action in _READS else _NOTHING) | frozenset(more)
    return Decision("allow", rule, owed, stint)


def _deny(rule: str) -> Decision:
    return Decision("deny", rule)


def decide(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    """Decide whether ``actor`` may do ``action`` to ``resource`` in ``context``; default deny.

    A refusal carries the rule that refused, for the access log and for tests; doors answer every
    refusal exactly as they answer an unknown record.
    """
    if context.now.tzinfo is None:
        return _deny("no-zone")
    rules = _BY_ROLE.get(actor.role)
    if rules is None:
        return _deny("unknown-role")
    if actor.suspended:
        return _deny("suspended")
    if action in _ANYBODY_SIGNED_IN:
        return _allow("signed-in", action)
    if action in _CLINICAL and resource.kind == "patient":
        if resource.own_record:
            return _deny("own-record")
        if resource.objected:
            return _deny("objected")
    return rules(actor, action, resource, context)


def _doctor(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    """A doctor has what her stints at the record's centres give; the widest one decides."""
    best = _deny("no-stint")
    order = {"no-stint": 0, "window-closed": 1, "window-over": 2}
    for window in actor.stints:
        if window.centre not in resource.centres:
            continue
        found = _in_window(window, action, resource, context)
        if found.allowed:
            return found
        if order.get(found.rule, 3) >= order.get(best.rule, 3):
            best = found
    return best


def _in_window(
    window: StintWindow, action: Action, resource: Resource, context: Context
) -> Decision:
    where = phase(window, context.now)
    stint = window.stint
    if action in _OWN_STINT:
        rule, when = _OWN_STINT[action]
        if resource.stint == stint and where in when:
            return _allow(rule, action, stint=stint)
        return _deny(f"not-{rule}")
    if action is Action.READ_ASKED_CARD and context.asked and where not in ("closed", "over"):
        return _allow("question-asked", action, stint=stint)
    match where:
        case "closed":
            return _deny("window-closed")
        case "reading":
            if action in _STINT_READS:
                return _allow("reading-before-stint", action, stint=stint)
            return _deny("before-start")
        case "in-post":
            if action in _STINT_READS or action in _STINT_WRITES:
                return _allow("in-post", action, stint=stint)
            return _deny("not-a-doctors-act")
        case "grace":
            return _in_grace(window, action, resource, context)
        case "questions":
            if context.asked and action is Action.ANSWER_QUESTION:
                return _allow("question-asked", action, stint=stint)
            return _deny("after-grace")
        case "over":
            return _deny("window-over")


def _in_grace(
    window: StintWindow, action: Action, resource: Resource, context: Context
) -> Decision:
    stint = window.stint
    if action in (Action.READ_CLINICAL, Action.READ_IDENTITY) and context.treated:
        return _allow("grace-own-patients", action, stint=stint)
    if action is Action.ANSWER_QUESTION and context.asked:
        return _allow("question-asked", action, stint=stint)
    if action is Action.AMEND_NOTE and context.authored:
        return _allow("grace-addendum", action, stint=stint)
    if action is Action.MARK_IN_ERROR and context.authored:
        return _allow("grace-own-error", action, stint=stint)
    if action is Action.REVIEW_RESULT and context.authored:
        return _allow("grace-own-order", action, stint=stint)
    if action is Action.WRITE_HANDOVER and context.treated:
        return _allow("grace-handover", action, stint=stint)
    if action in _LATE_ENTRIES:
        if context.occurred_at is not None and window.covers(context.occurred_at):
            return _allow("grace-late-entry", action, "late-entry", stint=stint)
        return _deny("grace-outside-stint")
    return _deny("grace")


def _intern(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    """A trainee has a doctor's windows; what she writes asks for a second signature."""
    if action in _NOT_AN_INTERNS:
        return _deny("not-an-interns-act")
    found = _doctor(actor, action, resource, context)
    if found.allowed and action in _ADDS:
        return Decision("allow", found.rule, found.obligations | {"cosign"}, found.stint)
    return found


_REFERENT = frozenset(
    {
        Action.READ_IDENTITY,
        Action.WRITE_IDENTITY,
        Action.READ_AGENDA,
        Action.WRITE_AGENDA,
        Action.READ_CLINICAL,
        Action.READ_OWN_PATIENTS,
        Action.READ_BRIEFING,
        Action.READ_ITEM_LABELS,
        Action.READ_HANDOVERS,
        Action.READ_COORDINATION,
        Action.READ_INBOX,
        Action.READ_INBOX_HEADER,
        Action.MATCH_DOCUMENT,
        Action.REJECT_DOCUMENT,
        Action.WRITE_CONTACT,
        Action.RECORD_CONTACT,
        Action.REVIEW_RESULT,
        Action.DROP_RESULT,
        Action.IMPORT,
        Action.WRITE_HANDOVER,
        Action.READ_BACK,
        Action.OPEN_ITEM,
        Action.CLOSE_ITEM,
        Action.CLOSE_ADMIN_ITEM,
        Action.AMEND_NOTE,
        Action.ASK_QUESTION,
        Action.READ_ACCESS_LOG,
    }
)
_NURSE = frozenset(
    {
        Action.READ_IDENTITY,
        Action.READ_AGENDA,
        Action.READ_CLINICAL,
        Action.READ_ITEM_LABELS,
        Action.WRITE_VITALS,
        Action.WRITE_NOTE,
        Action.RECORD_CONTACT,
        Action.OPEN_ITEM,
    }
)
_OFFICE = frozenset(
    {
        Action.READ_IDENTITY,
        Action.WRITE_IDENTITY,
        Action.READ_AGENDA,
        Action.WRITE_AGENDA,
        Action.WRITE_CONTACT,
        Action.RECORD_CONTACT,
        Action.WRITE_ALD,
        Action.DROP_RESULT,
        Action.IMPORT,
        Action.MATCH_DOCUMENT,
        Action.REJECT_DOCUMENT,
        Action.CLOSE_ADMIN_ITEM,
        Action.RUN_CENTRE,
    }
)
_LABELS = {
    Action.READ_ITEM_LABELS: "office-labels",
    Action.READ_INBOX_HEADER: "office-header",
    Action.READ_HANDOVERS: "office-handovers",
    Action.READ_COORDINATION: "office-coordination",
}
"""What the office reads without bodies, diagnoses, results or texts, by which rule."""
_EHR = frozenset(
    {
        Action.READ_IDENTITY,
        Action.READ_AGENDA,
        Action.READ_CLINICAL,
        Action.IMPORT,
        Action.DROP_RESULT,
    }
)

_ADMINISTRATOR = frozenset(
    {Action.ADMINISTER, Action.RUN_CENTRE, Action.READ_AGENDA, Action.WRITE_AGENDA}
)


def _standing(actor: Actor, resource: Resource) -> bool:
    return not actor.centres.isdisjoint(resource.centres)


def _referent(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    """The référent médical answers for the centre at all times; consults only while in post."""
    if _standing(actor, resource) and action in _REFERENT:
        return _allow("referent", action)
    if (
        _standing(actor, resource)
        and context.asked
        and action in (Action.READ_ASKED_CARD, Action.ANSWER_QUESTION)
    ):
        return _allow("referent-asked", action)
    return _doctor(actor, action, resource, context)


def _nurse(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    if not _standing(actor, resource):
        return _deny("not-this-centre")
    if action is Action.CLOSE_ITEM and context.authored:
        return _allow("nurse-own-item", action)
    if action is Action.READ_INBOX_HEADER:
        return _allow("nurse-header", action, "labels-only")
    if action in _NURSE:
        return _allow("nurse", action)
    return _deny("not-a-nurses-act")


def _office(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    """Coordinator and secretary: logistics and labels; they add, and never read back."""
    if not _standing(actor, resource):
        return _deny("not-this-centre")
    if action in _LABELS:
        return _allow(_LABELS[action], action, "labels-only")
    if action in _OFFICE:
        return _allow("office", action)
    return _deny("no-clinical-content")


def _auditor(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    """Structure by default; content only inside a case."""
    if not _standing(actor, resource) and resource.kind != "ledger":
        return _deny("not-this-centre")
    if action in (Action.READ_STRUCTURE, Action.READ_ACCESS_LOG, Action.EXPORT_EVIDENCE):
        return _allow("audit-structure", action, "structure-only")
    if action is Action.READ_CONTENT:
        return _allow("audit-case", action) if context.case else _deny("no-case")
    return _deny("auditors-read-structure")


def _dpo(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    if not _standing(actor, resource) and resource.kind != "ledger":
        return _deny("not-this-centre")
    if action in (Action.READ_STRUCTURE, Action.READ_ACCESS_LOG):
        return _allow("dpo", action, "structure-only")
    return _deny("not-a-dpos-act")


def _administrator(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    if action in _ADMINISTRATOR and (resource.kind == "service" or _standing(actor, resource)):
        return _allow("administrator", action)
    return _deny("no-clinical-content")


def _ehr(actor: Actor, action: Action, resource: Resource, context: Context) -> Decision:
    """Other software reads within its centres and creates into the inbox; it changes nothing."""
    if _standing(actor, resource) and action in _EHR:
        return _allow("ehr", action)
    return _deny("out-of-scope")


_BY_ROLE: dict[str, Callable[[Actor, Action, Resource, Context], Decision]] = {
    "doctor": _doctor,
    "intern": _intern,
    "referent": _referent,
    "nurse": _nurse,
    "coordinator": _office,
    "secretary": _office,
    "auditor": _auditor,
    "dpo": _dpo,
    "administrator": _administrator,
    "ehr": _ehr,
}
ROLES = tuple(_BY_ROLE)
"""Roles that can hold any right; every other word is refused everything."""
