"""Which versions and orders make one result of a summary, by the rules of the record itself.

A version in force is one result, with what it replaced and the order that it answers; what does not
stand lies beside. Marked in error, refused or taken back, one result may be two again, or two one:
they are made anew from their lines, which say all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.record import later_than
from releve.domain.aggregates.patient.results import answered_order, replacing
from releve.projections.summary_courses import Result, standing
from releve.projections.summary_lines import Line

_STEPS = 6


def kin(results: Sequence[Result], entries: Iterable[UUID]) -> list[int]:
    """The places of the results that speak of ``entries``, and of all that hang together with them.

    ``entries`` are orders, versions, or what was said of them. Results hang together by the version
    that one replaces and by the order that both answer.
    """
    named = [names_in(result) for result in results]
    known, found = set(entries), set[int]()
    grows = True
    while grows:
        near = {n for n, names in enumerate(named) if n not in found and names & known}
        grows = bool(near)
        found |= near
        known.update(*(named[n] for n in near))
    return sorted(found)


def names_in(result: Result) -> set[UUID]:
    """Every entry that a result speaks of: its versions, its orders, and what was said of them."""
    found: set[UUID | None] = {None if result.order is None else result.order.entry_id}
    for version in result.versions:
        found |= {version.entry_id, version.target, order_in(version)}
        found |= {said.entry_id for said in version.revisions}
    for review in result.reviews:
        found |= {review.entry_id, order_in(review)}
    found |= {each.entry_id for each in result.informings}
    return {each for each in found if each is not None}


def order_in(line: Line) -> UUID | None:
    """The order that a version, or a reading of it, names."""
    said = line.detail.get("order")
    return None if said is None else UUID(said)


def regrouped(results: Iterable[Result]) -> list[Result]:
    """``results``, which hang together, anew: one for each version in force and awaited order."""
    return _Lines(list(results)).results()


class _Lines:
    """All that was said of results that hang together."""

    def __init__(self, before: list[Result]) -> None:
        self.before = before
        self.orders = {one.order.entry_id: one.order for one in before if one.order is not None}
        held = sorted((v for one in before for v in one.versions), key=lambda each: each.version)
        self.by_id = {line.entry_id: line for line in held}
        self.superseded: dict[UUID, UUID] = {}
        self.versions: list[Line] = []
        """Each before what replaced it."""
        for line in held:
            self._version(line)
        self.reviews = _once(step for one in before for step in one.reviews)
        self.informings = _once(step for one in before for step in one.informings)
        self.attempts = _once(step for one in before for step in one.attempts)

    def _version(self, line: Line) -> None:
        known = None if line.target is None else self.by_id.get(line.target)
        at = len(self.versions)
        if known is not None:
            pair = replacing(
                (line.entry_id, line.detail["status"]), (known.entry_id, known.detail["status"])
            )
            if pair is not None:
                older, newer = pair
                self.superseded[older] = newer
                if older == line.entry_id:
                    at = self.versions.index(known)
        self.versions.insert(at, line)

    def results(self) -> list[Result]:
        """Oldest first."""
        groups: dict[UUID, list[Line]] = {}
        for line in self.versions:
            groups.setdefault(self._place(line), []).append(line)
        answered: dict[UUID, UUID] = {}
        for name in sorted(groups, key=lambda each: not self.by_id[each].current):
            order = self._order_of(groups[name])
            if order is None:
                continue
            first = answered.setdefault(order, name)
            if first != name and not self.by_id[name].current:
                # Nothing of it stands: history of the order that another result answers.
                lines = {line.entry_id for line in (*groups.pop(name), *groups[first])}
                groups[first] = [line for line in self.versions if line.entry_id in lines]
        made = [self._result(self._order_of(lines), lines) for lines in groups.values()]
        made += [self._result(order, []) for order in self.orders if order not in answered]
        return sorted(made, key=_began)

    def _place(self, line: Line) -> UUID:
        """The version in force whose result this one belongs to; the first one where none is."""
        last = line.entry_id if line.current else None
        for newer in later_than(self.superseded, line.entry_id):
            if self.by_id[newer].current:
                last = newer
        if last is not None:
            return last
        first = self._first(line)
        if first is not line:
            return self._place(first)
        heirs = (each for each in self.versions if each.current and self._first(each) is first)
        return next((self._place(heir) for heir in heirs), first.entry_id)

    def _first(self, line: Line) -> Line:
        return list(self._versions_of(line.entry_id))[-1]

    def _versions_of(self, version: UUID) -> Iterator[Line]:
        """That version and those before it, newest first."""
        at: UUID | None = version
        while at is not None and at in self.by_id:
            yield self.by_id[at]
            at = self.by_id[at].target

    def _order_of(self, versions: list[Line]) -> UUID | None:
        """The order that a result answers, as the record has it, among those kept."""
        last = next((each for each in reversed(versions) if each.current), versions[-1])
        for line in self._versions_of(last.entry_id):
            read = [each for each in self.reviews if each.target == line.entry_id]
            order = answered_order(order_in(line), map(order_in, standing(read)))
            known = None if order is None else self.orders.get(order)
            if known is not None and known.current:
                return order
        return None

    def _result(self, order: UUID | None, lines: list[Line]) -> Result:
        named = {line.entry_id for line in lines} | ({order} - {None})

        def about(steps: Iterable[Line]) -> tuple[Line, ...]:
            return last_of_each([step for step in steps if step.target in named])

        found = Result(
            order=None if order is None else self.orders[order],
            versions=tuple(lines),
            reviews=about(self.reviews),
            informings=about(self.informings),
            attempts=about(self.attempts)[-_STEPS:],
        )
        for one in self.before:
            if one.entry_id == found.entry_id or _has(one, found.entry_id):
                return msgspec.structs.replace(
                    found, cancelled=one.cancelled, settled_by=one.settled_by
                )
        return found


def _has(result: Result, version: UUID) -> bool:
    return any(line.entry_id == version for line in result.versions)


def last_of_each(steps: Sequence[Line]) -> tuple[Line, ...]:
    """The last few steps about each entry, oldest first."""
    kept: Mapping[UUID | None, list[Line]] = {step.target: [] for step in steps}
    for step in steps:
        kept[step.target].append(step)
    last = {step.entry_id for each in kept.values() for step in each[-_STEPS:]}
    return tuple(step for step in steps if step.entry_id in last)


def _once(steps: Iterable[Line]) -> list[Line]:
    found = {step.entry_id: step for step in steps}
    return sorted(found.values(), key=lambda each: each.version)


def _began(result: Result) -> int:
    first = result.order or result.versions[0]
    return min([first.version, *(line.version for line in result.versions)])
