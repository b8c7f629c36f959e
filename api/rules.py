"""Putting a release of the rules in force: verified first, then told once on the cell's own stream.

Every edition names the release it was ranked with; which one new editions take is an event.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from releve.domain.commands import ActivateRulesRelease
from releve.domain.continuity import Outcome
from releve.domain.events import Author, Source
from releve.domain.requests import CommandContext
from releve.projections.rule_release import SIGNER, load_rules, release_bytes

if TYPE_CHECKING:
    from releve.api.services import Services

_ACTOR: Final = b"rules"
_SYSTEM: Final = Author(role="system", name="Relève")


def activate_release(services: Services, release: str) -> Outcome:
    """Put a release that this build carries in force; no event when it is in force already.

    Raises:
        FileNotFoundError: this build does not carry that release, or not its signature.
        Tampered: its bytes are not those that were signed.
        Refused: another release had that name before.
    """
    rules = load_rules(release)
    in_force = services.directory.load().rules
    # The same release may come back after another one: what it replaces is part of the request.
    replaced = in_force.since.isoformat() if in_force else ""
    context = CommandContext(
        author=_SYSTEM,
        now=services.clock.for_write(),
        key=services.blind_index.request_key(_ACTOR, f"{release}@{replaced}".encode()),
        actor=_ACTOR,
        source=Source(channel="system"),
    )
    outcome = services.continuity.execute(
        ActivateRulesRelease(
            release=release,
            sha256=hashlib.sha256(release_bytes(release)).hexdigest(),
            signer=SIGNER,
            reviewed_by=rules.reviewed_by,
        ),
        context,
        target=in_force.rules if in_force else None,
    )
    services.catch_up()
    return outcome
