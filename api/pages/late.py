"""What is written in the 72 hours after a stint: said when it happened, and why it comes late."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from fastapi import Request

from releve.api.acting import ACTIONS
from releve.api.gate import Granted, authorise, late_moment, services_of
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.domain.commands import COMMANDS

SAY_WHEN: Final = "Votre séjour est fini : dire quand cela s’est passé, pendant votre séjour."
"""What is wrong with a late form that dates what it says after the stint."""


def is_late(granted: Granted) -> bool:
    """Whether what was allowed is so only because a stint ended less than 72 hours ago."""
    return granted.decision.rule.startswith("grace")


def may_write(
    request: Request, granted: Granted, command: str, entry: UUID | None = None
) -> Granted:
    """Whether the reader of a record may speak a command about it (and one entry), now or late.

    Raises:
        RequestRefused: not by the role, nor by the policy.
    """
    services, principal = services_of(request), granted.principal
    if principal.role not in COMMANDS[command].roles:
        raise RequestRefused(NOT_AVAILABLE)
    return authorise(
        services, principal, ACTIONS[command], "patient", granted.patient,
        occurred_at=late_moment(principal, services.clock()), entry=entry,
    )  # fmt: skip
