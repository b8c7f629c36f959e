"""What an act of the demo is: one command at one time, by somebody, to somebody.

An act names streams and entries by label; :mod:`releve.api.demo.seeding` turns labels into ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from releve.domain.commands import Command
from releve.domain.events import Source

PARIS = ZoneInfo("Europe/Paris")
INS_TEST = "urn:oid:1.2.250.1.213.1.4.10"
LABORATORY = "Laboratoire des Trois-Vallons"
LATER = UUID(int=0)
"""Stands in a command for an id that the seeder fills in."""

Author = Literal["doctor", "referent", "coordinator", "secretary", "nurse", "laboratory", "system"]


@dataclass(frozen=True)
class Sizes:
    """How large the demo is; the default is one centre's twelve weeks."""

    patients: int = 1800
    weeks: int = 12
    centres: int = 1
    seed: int = 20240418


@dataclass(frozen=True)
class Entry:
    """An entry that an earlier act made: its topic, and which one of that topic."""

    act: str
    topic: str
    nth: int = 0


@dataclass(frozen=True)
class Act:
    """One command at one time. ``target``, ``stint`` and ``centre`` are labels, not stream ids."""

    at: datetime
    label: str
    target: str
    command: Command
    author: Author
    centre: str
    stint: str | None = None
    entries: Mapping[str, Entry | tuple[Entry, ...]] = field(default_factory=dict)
    """Fields of the command (a path with points) to fill with the id of an entry, or of several."""
    refers: Mapping[str, str] = field(default_factory=dict)
    """Fields of the command to fill with a stream's id: path -> label."""
    source: Source | None = None
    content: bytes | None = None
    """The original that comes with the command."""
    candidate: str | None = None
    """The record that a document is matched with."""
    entered_by: str | None = None
    """Label of who brought in what somebody else is answerable for."""
