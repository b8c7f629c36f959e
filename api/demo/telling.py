"""Acts become events through the domain's own decisions; nothing is sealed or written here.

Only the idempotency keys come from the seed, so that ids are the same in any directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from releve.api.demo import people
from releve.api.demo.acts import LABORATORY, Act, Entry
from releve.api.services import DerivedIds
from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.stint import Stint
from releve.domain.commands import COMMANDS, Command
from releve.domain.continuity import Attachment
from releve.domain.events import Author, Event, Source
from releve.domain.requests import CommandContext, State, fold, propose

ACTOR = b"demo"


class Teller:
    """Every stream of the demo as it stands so far, and where each label leads."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ids = DerivedIds()
        self._states: dict[str, State] = {}
        self._streams: dict[str, UUID] = {}
        self._entries: dict[str, tuple[Event, ...]] = {}

    def stream(self, label: str) -> UUID:
        """The stream that a label names."""
        return self._streams[label]

    def state(self, label: str) -> State | None:
        """The stream of a label as it stands; None before its first event."""
        return self._states.get(label)

    def decided(self, act: Act) -> tuple[Event, ...]:
        """What the domain makes of an act; empty where it changes nothing."""
        command = self._filled(act)
        spec = COMMANDS[command.name]
        key = people.request_key(self._seed, "act", act.label)
        stream = self._streams.get(act.target)
        target = stream
        if stream is None:
            stream = self._ids.stream(ACTOR, key)
            self._streams[act.target] = stream
            target = None
        context = CommandContext(
            author=self._author(act),
            now=act.at,
            key=key,
            actor=ACTOR,
            centre=None if spec.target == "rules" else self._streams.get(act.centre),
            source=act.source or Source(channel="demo"),
            entered_by=self._streams[act.entered_by] if act.entered_by else None,
        )
        stint = self._states.get(act.stint) if act.stint else None
        candidate = self._states.get(act.candidate) if act.candidate else None
        events = propose(
            self._ids,
            self._states.get(act.target),
            command,
            context,
            stream,
            target=target,
            author_stint=stint if isinstance(stint, Stint) else None,
            candidate=candidate if isinstance(candidate, Patient) else None,
            originals=[] if act.content is None else [hashlib.sha256(act.content).hexdigest()],
        )
        state = fold(spec.target, self._states.get(act.target), events)
        if state is not None:
            self._states[act.target] = state
        self._entries[act.label] = events
        return events

    def _filled(self, act: Act) -> Command:
        """The command with the ids that stood open in the act."""
        command = act.command
        for path, label in act.refers.items():
            command = with_value(command, path, self._streams[label])
        for path, entry in act.entries.items():
            found = (
                tuple(self._entry(each) for each in entry)
                if isinstance(entry, tuple)
                else self._entry(entry)
            )
            command = with_value(command, path, found)
        return command

    def _entry(self, entry: Entry) -> UUID:
        found = [event for event in self._entries[entry.act] if event.topic == entry.topic]
        return found[entry.nth].event_id

    def _author(self, act: Act) -> Author:
        match act.author:
            case "system":
                return Author(role="system", name="Relève")
            case "laboratory":
                return Author(role="ehr", name=LABORATORY)
            case "coordinator" | "secretary" | "nurse":
                title, (family, given) = _STAFF[act.author]
                person = self._streams.get(f"{act.centre}/{act.author}")
                return Author(role=act.author, name=f"{title} {given} {family}", person=person)
            case "referent":
                family, given = people.REFERENT
                person = self._streams[f"{act.centre}/doctor-{family}"]
                return Author(role="referent", name=f"Dr {given} {family}", person=person)
            case "doctor":
                return self._doctor(act)

    def _doctor(self, act: Act) -> Author:
        stint = self._states[act.stint or ""]
        if not isinstance(stint, Stint):
            raise TypeError("a doctor's act names their stint")
        return Author(
            role="intern" if stint.mode == "interne" else "doctor",
            name=stint.practitioner_name,
            person=stint.practitioner,
            stint=self._streams[act.stint or ""],
        )


_STAFF = {
    "coordinator": ("Mme", people.COORDINATOR),
    "secretary": ("Mme", people.SECRETARIES[0]),
    "nurse": ("Mme", people.NURSE),
}


def with_value(command: Command, path: str, value: object) -> Command:
    """``command`` with ``value`` in the field that ``path`` leads to: names, or places in a list,
    with points between them.
    """
    changed: Command = _replaced(command, path.split("."), value)
    return changed


def _replaced(struct: Any, names: list[str], value: object) -> Any:
    name, *below = names
    if isinstance(struct, tuple):
        place = int(name)
        inside = _replaced(struct[place], below, value) if below else value
        return (*struct[:place], inside, *struct[place + 1 :])
    inside = _replaced(getattr(struct, name), below, value) if below else value
    return msgspec.structs.replace(struct, **{name: inside})


def attached(events: Iterable[Event], originals: Sequence[bytes]) -> list[Attachment]:
    """The originals, each with the event that bears its SHA-256."""
    by_hash = {hashlib.sha256(content).hexdigest(): content for content in originals}
    return [
        Attachment(event.event_id, by_hash[sha256])
        for event in events
        if (sha256 := getattr(event.payload, "sha256", None)) in by_hash
    ]
