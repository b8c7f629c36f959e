"""Rules release: which signed release of tiers, limits and thresholds is in force."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.folding import Folded
from releve.domain.codes import Sha256
from releve.domain.commands import ActivateRulesRelease, Command
from releve.domain.events import Event, Payload
from releve.domain.values import words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class RulesReleaseActivated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A release of the rules came into force; its signature was checked."""

    topic: ClassVar[str] = "rules.release-activated"

    release: str
    sha256: str
    signer: str
    reviewed_by: str


# State


@dataclass(slots=True, kw_only=True)
class RulesInForce(Folded):
    """The release in force, as its events tell it."""

    release: str
    sha256: str
    known: dict[str, str] = field(default_factory=dict)
    """Every release that was in force, with the hash of its bytes."""


def fold(rules: RulesInForce | None, events: Iterable[Event]) -> RulesInForce | None:
    """``rules`` after ``events``; ``rules`` itself is changed."""
    for event in events:
        payload = event.payload
        if isinstance(payload, RulesReleaseActivated):
            if rules is None:
                rules = RulesInForce(
                    id=event.originator_id, release=payload.release, sha256=payload.sha256
                )
            rules.release, rules.sha256 = payload.release, payload.sha256
            rules.known[payload.release] = payload.sha256
        if rules is not None:
            rules.passed(event)
    return rules


# Decisions


def decide(rules: RulesInForce | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``rules``, or the reason why it makes none."""
    if isinstance(command, ActivateRulesRelease):
        return activate(rules, command)
    raise TypeError(f"{command.name} is not a command about rules")


def activate(rules: RulesInForce | None, command: ActivateRulesRelease) -> tuple[Fact, ...]:
    """Once while it is in force; a release that was replaced may be put in force again.

    The same name with other bytes is refused: what a briefing names must stay what it was.
    """
    release = words(command.release, field="release", limit=40)
    sha256 = str(Sha256(command.sha256))
    if rules is not None and rules.release == release and rules.sha256 == sha256:
        return ()
    if rules is not None and rules.known.get(release, sha256) != sha256:
        raise refuse(
            "other-release",
            "Cette version des règles ne peut pas entrer en vigueur.",
            "Une autre version a déjà porté ce nom.",
            "Donner un nouveau nom à la version.",
            field="release",
        )
    return (
        Fact(
            RulesReleaseActivated(
                release=release,
                sha256=sha256,
                signer=words(command.signer, field="signer", limit=200),
                reviewed_by=words(command.reviewed_by, field="reviewed_by", limit=400),
            )
        ),
    )
