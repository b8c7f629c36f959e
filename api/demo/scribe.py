"""Writes acts: their labels, their authors' stints, the generator of each entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random

from releve.api.demo import people
from releve.api.demo.acts import PARIS, Act, Author, Entry, Sizes
from releve.api.demo.authors import Style, style_of
from releve.api.demo.calendar import Week, stints
from releve.domain.commands import Command
from releve.domain.events import Source


@dataclass
class Scribe:
    """One centre's place in time, and the acts written for it so far."""

    sizes: Sizes
    number: int
    monday: date
    acts: list[Act] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The weeks and who is there."""
        self.label = f"centre-{self.number}"
        self.first = self.monday - timedelta(weeks=self.sizes.weeks)
        self.now = datetime.combine(self.monday, time(8, 25), PARIS)
        """Nothing is recorded after it: it is Monday morning."""
        turn = self.number * 13 % len(people.DOCTORS)
        doctors = [*people.DOCTORS[turn:], *people.DOCTORS[:turn]]
        self.weeks = stints(doctors, self.first, self.sizes.weeks, self.label)

    def rng(self, kind: str, key: str) -> Random:
        """The generator of one entity of this centre, and of nothing else."""
        return people.generator(self.sizes.seed, f"{self.label}/{kind}", key)

    def share(self, kind: str, key: str) -> float:
        """A number from 0 to 1 that is this entity's own: one draw, without a generator."""
        return people.share(self.sizes.seed, f"{self.label}/{kind}", key)

    def week_of(self, at: datetime) -> Week:
        """The stint in which a moment lies."""
        there = at.astimezone(PARIS).date()
        return self.weeks[max(0, min((there - self.first).days // 7, self.sizes.weeks))]

    def person(self, doctor: tuple[str, str]) -> str:
        """The label of a doctor's own stream."""
        return f"{self.label}/doctor-{doctor[0]}"

    def style(self, week: Week) -> Style:
        """The hand of the doctor in post."""
        return style_of(self.rng("style", week.doctor[0]))

    def write(
        self,
        at: datetime,
        label: str,
        target: str,
        author: Author,
        command: Command,
        *,
        stint: str | None = None,
        entries: Mapping[str, Entry | tuple[Entry, ...]] | None = None,
        refers: Mapping[str, str] | None = None,
        source: Source | None = None,
        content: bytes | None = None,
        candidate: str | None = None,
        entered_by: str | None = None,
    ) -> str | None:
        """Keep an act and give its label; None, and nothing kept, where it lies in the future."""
        if at > self.now:
            return None
        if author == "doctor" and stint is None:
            stint = self.week_of(at).label
        whole = f"{target}:{label}"
        self.acts.append(
            Act(
                at=at,
                label=whole,
                target=target,
                command=command,
                author=author,
                centre=self.label,
                stint=stint,
                entries=entries or {},
                refers=refers or {},
                source=source,
                content=content,
                candidate=candidate,
                entered_by=entered_by,
            )
        )
        return whole
