"""The one way in for writes: a granted command becomes events, then readings catch up with it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from releve.api.gate import Granted
from releve.domain.commands import COMMANDS, Command, CommandSpec, RegisterPatient, WriteHandover
from releve.domain.continuity import CommandContext, Outcome
from releve.domain.events import Author, Channel, Source
from releve.fhir.import_files import IDENTIFIER, identifier_value
from releve.security.ledger.store import Claim
from releve.security.policy import Action

if TYPE_CHECKING:
    from releve.api.services import Services

SETTLES_WITHIN = timedelta(seconds=2)
"""How long an answer waits for its own events to be numbered and shown."""

ACTIONS: Mapping[str, Action] = {
    "register-patient": Action.WRITE_IDENTITY,
    "declare-medecin-traitant": Action.WRITE_IDENTITY,
    "record-consultation": Action.WRITE_CLINICAL,
    "sign-note": Action.WRITE_NOTE,
    "amend-note": Action.AMEND_NOTE,
    "record-observation": Action.WRITE_VITALS,
    "record-problem": Action.WRITE_CLINICAL,
    "record-allergy": Action.WRITE_CLINICAL,
    "assert-absence": Action.WRITE_CLINICAL,
    "start-medication": Action.WRITE_CLINICAL,
    "set-illness-severity": Action.WRITE_CLINICAL,
    "attach-document": Action.IMPORT,
    "open-item": Action.OPEN_ITEM,
    "close-item": Action.CLOSE_ITEM,
    "set-contingency": Action.WRITE_CLINICAL,
    "write-handover": Action.WRITE_HANDOVER,
    "read-back-handover": Action.READ_BACK,
    "mark-entry-in-error": Action.MARK_IN_ERROR,
    "import-record": Action.IMPORT,
    "open-centre": Action.ADMINISTER,
    "onboard-practitioner": Action.ADMINISTER,
    "plan-stint": Action.WRITE_AGENDA,
    "start-stint": Action.WRITE_AGENDA,
    "end-stint": Action.WRITE_AGENDA,
    "issue-briefing": Action.ISSUE_BRIEFING,
    "open-briefing": Action.READ_BRIEFING,
}
"""What the policy is asked for each command; a command that is missing here has no door."""


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
        ReleveError: as the application service says.
    """
    principal = granted.principal
    actor = principal.actor_bytes()
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
        source=Source(channel=channel),
        read_backs_requested=_read_backs_requested(services, granted, command),
    )
    outcome = services.continuity.execute(
        command,
        context,
        target=target,
        claims=[*_claims(services, command), *claims],
        attachments=attachments,
    )
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


def action_for(command: str, role: str) -> Action:
    """What the policy is asked for a command: the office closes administrative items only."""
    if command == "close-item" and role in ("coordinator", "secretary"):
        return Action.CLOSE_ADMIN_ITEM
    return ACTIONS[command]


def _claims(services: Services, command: Command) -> list[Claim]:
    """Identifiers that the record alone may hold, as blind-index rows of the same transaction."""
    if not isinstance(command, RegisterPatient):
        return []
    return [
        Claim(IDENTIFIER, services.blind_index.mac(IDENTIFIER, identifier_value(each)))
        for each in command.identifiers
    ]


def _read_backs_requested(services: Services, granted: Granted, command: Command) -> int:
    """For how many other patients the author's stint has asked for a read-back already."""
    stint = granted.decision.stint
    if not isinstance(command, WriteHandover) or not command.read_back_requested or stint is None:
        return 0
    summaries = services.records.summaries(granted.centre)[1]
    return sum(
        each.line.current
        and each.line.stint == stint
        and bool(each.line.detail.get("read_back_requested"))
        for patient, summary in summaries.items()
        if patient != granted.target
        for each in summary.handovers
    )
