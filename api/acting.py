"""The one way in for writes: a granted command becomes events, then readings catch up with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import psycopg

from releve.api import delivering, proposing
from releve.api.arrived import arrived_since
from releve.api.gate import Granted, Principal, authorise, instant
from releve.api.problems import Overloaded, Overtaken
from releve.api.proposing import held_identifiers
from releve.domain.aggregates.deciding import NEEDS_STINT, Colleague
from releve.domain.aggregates.patient.ins import InsStatusChanged
from releve.domain.commands import (
    COMMANDS,
    AmendNote,
    AnswerQuestion,
    AskQuestion,
    ChangeAldStatus,
    ChangeInsStatus,
    CloseItem,
    Command,
    CommandSpec,
    GrantRole,
    InformPatient,
    MarkEntryInError,
    MatchDocument,
    OfferItem,
    PlanStint,
    ReceiveResult,
    RegisterPatient,
    ReinstateEntry,
    ReopenItem,
    ReviewResult,
    ReviseItem,
    ReviseStint,
    RevokeRole,
    WriteHandover,
)
from releve.domain.continuity import Outcome, Written
from releve.domain.errors import Refused
from releve.domain.events import Author, Channel, Source
from releve.domain.requests import CommandContext
from releve.domain.values import Identifier, Nir, StintPeriod
from releve.security.ledger.store import Claim
from releve.security.policy import Action, Kind

if TYPE_CHECKING:
    from releve.api.services import Services

SETTLES_WITHIN = timedelta(seconds=2)
"""How long an answer waits for its own events to be numbered and shown."""

_STINTS: Final = 0x52454C4556450003  # whoever plans or moves a stint

_ASKED: Mapping[Action, tuple[str, ...]] = {
    Action.WRITE_IDENTITY: (
        "register-patient", "declare-medecin-traitant", "end-medecin-traitant",
        "change-ins-status",
    ),
    Action.WRITE_CONTACT: ("change-contact-details",),
    Action.RECORD_CONTACT: ("record-contact-attempt",),
    Action.WRITE_AGENDA: (
        "notice-appointment", "plan-stint", "revise-stint", "cancel-stint", "start-stint",
        "end-stint",
    ),
    Action.WRITE_CLINICAL: (
        "record-consultation", "record-problem", "revise-problem", "record-allergy",
        "revise-allergy", "assert-absence", "start-medication", "change-medication",
        "stop-medication", "reconcile-medications", "record-procedure", "record-device",
        "record-history", "record-death", "set-illness-severity", "set-vigilance-point",
        "lift-vigilance-point", "review-summary", "validate-entry", "validate-entries",
        "set-contingency", "withdraw-contingency", "order-investigation", "record-opinion",
    ),
    Action.WRITE_VITALS: ("record-observation", "record-immunization"),
    Action.WRITE_ALD: ("change-ald-status",),
    Action.WRITE_NOTE: ("sign-note",),
    Action.AMEND_NOTE: ("amend-note",),
    Action.MARK_IN_ERROR: ("mark-entry-in-error", "reinstate-entry"),
    Action.REVIEW_RESULT: ("receive-result", "review-result", "inform-patient"),
    Action.IMPORT: ("attach-document", "import-record", "receive-document"),
    Action.MATCH_DOCUMENT: ("match-document",),
    Action.REJECT_DOCUMENT: ("reject-document",),
    Action.OPEN_ITEM: ("open-item", "accept-item", "decline-item"),
    Action.CLOSE_ITEM: ("close-item", "revise-item", "reopen-item", "offer-item"),
    Action.WRITE_HANDOVER: ("write-handover",),
    Action.READ_BACK: ("read-back-handover",),
    Action.CLOSE_HANDOVER: ("close-handover",),
    Action.TAKE_WATCH: ("take-watch",),
    Action.ASK_QUESTION: ("ask-question",),
    Action.ANSWER_QUESTION: ("answer-question",),
    Action.ISSUE_BRIEFING: ("issue-briefing",),
    Action.READ_BRIEFING: ("open-briefing",),
    Action.RUN_CENTRE: (
        "add-site", "change-policy", "change-roster", "record-closure", "record-gap",
    ),
    Action.ADMINISTER: (
        "open-centre", "onboard-practitioner", "verify-practitioner", "suspend-practitioner",
        "grant-role", "revoke-role", "activate-rules-release",
    ),
}  # fmt: skip
ACTIONS: Mapping[str, Action] = {name: action for action, names in _ASKED.items() for name in names}
"""What the policy is asked for each command; :func:`action_for` knows the exceptions."""

_OFFICE = frozenset({"coordinator", "secretary"})
_OF_ITEMS = frozenset(
    {"open-item", "close-item", "revise-item", "offer-item", "accept-item", "decline-item"}
)


def public_commands(target: str) -> list[CommandSpec]:
    """The commands that a door speaks for one kind of target."""
    return [spec for spec in COMMANDS.values() if spec.public and spec.target == target]


@dataclass(frozen=True, slots=True)
class Performed:
    """What a command did, and the ledger position of its last event where it is known yet."""

    outcome: Outcome
    position: int | None


def perform(
    services: Services,
    granted: Granted,
    command: Command,
    *,
    client_key: str,
    target: UUID | None = None,
    expected_version: int | None = None,
    seen_position: int | None = None,
    channel: Channel = "ui",
    claims: Sequence[Any] = (),
    attachments: Sequence[bytes] = (),
    wait: bool = True,
) -> Performed:
    """Execute a command in the name of who was granted it; durable when this returns.

    The idempotency key is bound to the person and role: two people never share a request.

    Raises:
        Overloaded: the stint asks for more read-backs than it may; those that it asked for.
        Overtaken: somebody wrote on the patient's record above ``expected_version``; what, as far
            as the principal may read it, comes with it.
        ReleveError: as the application service says.
    """
    principal = granted.principal
    actor = principal.actor_bytes()
    with _in_turn(services, command):
        flagged = _flagged(services, granted, command)
        context = CommandContext(
            author=Author(
                role=principal.role,  # type: ignore[arg-type]  # the policy knows the same words
                name=principal.name,
                person=principal.person,
                stint=granted.decision.stint,
            ),
            now=services.clock.for_write(),
            key=services.blind_index.request_key(actor, client_key.encode()),
            actor=actor,
            centre=granted.centre,
            zone=principal.zone,
            seen_position=seen_position,
            expected_version=expected_version,
            source=Source(channel=_channel(principal, command, channel)),
            read_backs_requested=len(flagged),
            rivals=_rivals(services, granted, command, target),
            own_stints=_own_stints(services, command, target),
            colleague=_colleague(services, granted, command),
            corrects=_corrected(
                services, command, target, seen_position, named=expected_version is not None
            ),
            document_with=_document_with(services, command, target),
        )
        try:
            outcome = services.continuity.execute(
                command,
                context,
                target=target,
                claims=[*_claims(services, command, target), *claims],
                attachments=attachments,
            )
        except Written as meanwhile:
            if granted.kind != "patient" or target is None or expected_version is None:
                raise
            raise Overtaken(meanwhile, arrived_since(services, granted, expected_version)) from None
        except Refused as refused:
            if refused.code != "too-many-read-backs":
                raise
            raise Overloaded(refused, flagged) from None
    if isinstance(command, MatchDocument):
        delivered = delivering.deliver(services, outcome.stream)
        if wait and delivered is not None:
            settle(services, delivered)
    return Performed(outcome, settle(services, outcome) if wait else None)


def settle(services: Services, outcome: Outcome) -> int | None:
    """Wait until the outcome has a position and readings show it; None when they do not in time."""
    if not outcome.events:
        return services.feed.position()
    deadline = time.monotonic() + SETTLES_WITHIN.total_seconds()
    while (position := services.reader.position_of(outcome.stream, outcome.version)) is None:
        if time.monotonic() >= deadline:
            return None
        services.catch_up()
        time.sleep(0.002)
    services.catch_up()
    services.feed.wait_for(position, max(0.0, deadline - time.monotonic()))
    return position


def action_for(command: Command, role: str) -> Action:
    """What the policy is asked for a command in a role.

    The office acts on administrative items only; whoever answers the laboratory's telephone drops
    a result without reading any; other software brings results and long-term conditions in as an
    import does.
    """
    if isinstance(command, ReceiveResult) and command.status == "phoned":
        return Action.DROP_RESULT
    if role == "ehr" and isinstance(command, ReceiveResult | ChangeAldStatus):
        return Action.IMPORT
    if role in _OFFICE and command.name in _OF_ITEMS:
        return Action.CLOSE_ADMIN_ITEM
    return ACTIONS[command.name]


def authorise_command(
    services: Services, principal: Principal, command: Command, target: UUID | None
) -> Granted:
    """Ask the policy for a command addressed to ``target`` (None where it opens a stream).

    A command that names a second record or centre is asked about there too: a document is matched
    with a record one may open, a role granted at a centre one administers.

    Raises:
        RequestRefused: refused, or unknown: the same 404.
    """
    spec = COMMANDS[command.name]
    action = action_for(command, principal.role)
    granted = authorise(
        services,
        principal,
        action,
        "centre" if target is None else kind_of(spec),
        target if target is not None or not isinstance(command, PlanStint) else command.centre,
        occurred_at=instant(command.occurred_at),
        entry=_acted_on(command),
    )
    if isinstance(command, MatchDocument):
        authorise(services, principal, Action.READ_IDENTITY, "patient", command.patient)
    elif isinstance(command, GrantRole | RevokeRole):
        authorise(services, principal, action, "centre", command.centre)
    return granted


def kind_of(spec: CommandSpec) -> Kind:
    """What the policy is asked about for a command that is addressed to something."""
    return "service" if spec.target == "rules" else spec.target


def _acted_on(command: Command) -> UUID | None:
    """The entry that a command changes, where the policy may ask whose it is."""
    match command:
        case (
            AmendNote(note=entry)
            | MarkEntryInError(entry=entry)
            | ReinstateEntry(entry=entry)
            | CloseItem(item=entry)
            | ReviseItem(item=entry)
            | ReopenItem(item=entry)
            | OfferItem(item=entry)
            | ReviewResult(result=entry)
            | InformPatient(result=entry)
        ):
            return entry
        case _:
            return None


def _channel(principal: Principal, command: Command, channel: Channel) -> Channel:
    """Where an entry came from: a result that was phoned in, or other software, say so."""
    if isinstance(command, ReceiveResult) and command.status == "phoned":
        return "phone"
    return "fhir" if principal.role == "ehr" and channel == "ui" else channel


def _claims(services: Services, command: Command, target: UUID | None) -> list[Claim]:
    """Identifiers that the record alone may hold, as blind-index rows of the same transaction.

    A matricule comes back with its entry that is reinstated, where nobody else has it by then.
    """
    named: tuple[Identifier, ...] = ()
    if isinstance(command, RegisterPatient):
        named = command.identifiers
    elif isinstance(command, ChangeInsStatus) and command.matricule and command.system:
        matricule = str(Nir(command.matricule, field="matricule"))
        named = (Identifier(system=command.system, value=matricule),)
    elif isinstance(command, ReinstateEntry) and target is not None:
        entry = services.continuity.patient(target).entries.get(command.entry)
        if entry is not None and isinstance(entry.payload, InsStatusChanged):
            named = (entry.payload.matricule,) if entry.payload.matricule else ()
    return held_identifiers(services).claims(named, target) if named else []


def _rivals(services: Services, granted: Granted, command: Command, target: UUID | None) -> int:
    """Other records that a document to be matched fits: homonyms, twins."""
    if not isinstance(command, MatchDocument) or target is None:
        return 0
    return proposing.rivals(services, target, granted.centre, command.patient)


def _document_with(services: Services, command: Command, target: UUID | None) -> UUID | None:
    """Where the document of an entry that a correction would bring back belongs now."""
    if not isinstance(command, ReinstateEntry | MarkEntryInError) or target is None:
        return None
    return delivering.document_with(services, target, command.entry)


def _corrected(
    services: Services, command: Command, target: UUID | None, seen: int | None, *, named: bool
) -> UUID | None:
    """The match that another one was asked for in the knowledge of: only that one is corrected."""
    if not isinstance(command, MatchDocument) or target is None:
        return None
    return delivering.corrected(services, target, seen, named=named)


def _colleague(services: Services, granted: Granted, command: Command) -> Colleague | None:
    """Whom a question or an offer is put to: their names, and until when they are at the centre."""
    asked = isinstance(command, AskQuestion)
    if isinstance(command, AskQuestion):
        person: UUID | None = command.to
    else:
        person = command.to.person if isinstance(command, OfferItem) else None
    if person is None:
        return None
    directory = services.directory.load()
    entry, here = directory.practitioners.get(person), directory.centre(granted.centre)
    if entry is not None and entry.suspended:
        return Colleague()
    stints = [e for e in directory.stints_of(granted.centre) if e.practitioner == person]
    roster = (here.referent, *(() if asked else here.coordinators)) if here else ()
    named = [each for each in roster if each.person == person]
    names = [each.practitioner_name for each in stints] + [each.name for each in named]
    if entry is not None:
        names.append(entry.full_name)
    permanent = AnswerQuestion.roles - NEEDS_STINT if asked else _ANSWER_FOR_ITEMS
    role = any(
        granted.centre in directory.standing_at(person, each, services.clock())
        for each in permanent
    )
    return Colleague(
        names=tuple(names),
        standing=role or bool(named),
        stays_until=max((each.over_at for each in stints), default=None),
    )


_ANSWER_FOR_ITEMS: Final = frozenset({"referent", "coordinator"})
"""Roles that hold an item without a stint."""


@contextlib.contextmanager
def _in_turn(services: Services, command: Command) -> Iterator[None]:
    """One at a time plans or moves a stint, knowing the stints planned before.

    That nobody overlaps themselves concerns several streams, so no stream's version can tell that
    another stint was planned meanwhile. A connection of its own: the pool's are for what is done
    inside.
    """
    if not isinstance(command, PlanStint | ReviseStint):
        yield
        return
    with psycopg.connect(services.database.service_url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_STINTS,))
        services.catch_up()
        yield


def _own_stints(
    services: Services, command: Command, target: UUID | None
) -> tuple[StintPeriod, ...]:
    """The other stints at the centre of the doctor whose stint is planned or moved."""
    if not isinstance(command, PlanStint | ReviseStint):
        return ()
    directory = services.directory.load()
    moved = directory.stint(target) if target else None
    about = command if isinstance(command, PlanStint) else moved
    if about is None:
        return ()
    return tuple(
        StintPeriod(each.starts_at, each.over_at)
        for each in directory.stints_of(about.centre)
        if each.practitioner == about.practitioner and each.stint != target
    )


def _flagged(services: Services, granted: Granted, command: Command) -> list[UUID]:
    """The other patients for whom the author's stint has asked for a read-back already."""
    stint = granted.decision.stint
    if not isinstance(command, WriteHandover) or not command.read_back_requested or stint is None:
        return []
    summaries = services.records.summaries(granted.centre)[1]
    return [
        patient
        for patient, summary in summaries.items()
        if patient != granted.target
        and any(
            each.line.current
            and each.line.stint == stint
            and bool(each.line.detail.get("read_back_requested"))
            for each in summary.handovers
        )
    ]
