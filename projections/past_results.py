"""Results that were done long ago: by name, status and who read them, without a value.

A summary is bounded, and a reading that is taken back years later is still taken back. What is kept
of a settled result is enough to be in sight again; its values are in the timeline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from releve.projections.summary_courses import Result
from releve.projections.summary_lines import RESULT, REVIEWED, VALIDATED, Line

_SAID: Final = frozenset(
    {
        "status", "title", "order", "report", "verdict", "action", "inform_patient", "item", "text",
        "expected_by", "kind",
    }
)  # fmt: skip
_ORDERED: Final = "patient.investigation-ordered"
_INFORMED: Final = "patient.informed"


def named_only(result: Result) -> Result:
    """A result that is done, with what brings it back and little else."""
    return msgspec.structs.replace(
        result,
        order=None if result.order is None else _bare(result.order),
        versions=tuple(map(_bare, result.versions)),
        reviews=tuple(map(_bare, result.reviews)),
        informings=tuple(map(_bare, result.informings)),
        attempts=(),
    )


def _bare(line: Line) -> Line:
    source = line.source
    if source is not None:
        source = msgspec.structs.replace(source, source_id=None, original_sha256=None)
    return Line(
        entry_id=line.entry_id,
        topic="",
        as_of="",
        recorded_at=line.recorded_at,
        author=line.author,
        role="",
        position=line.position,
        version=line.version,
        detail={name: value for name, value in line.detail.items() if name in _SAID},
        state=line.state,
        zone="",
        target=line.target,
        source=source,
        wrong=line.wrong,
        revisions=tuple(map(_bare, line.revisions)),
    )


def spelled_out(result: Result) -> Result:
    """The same among results that wait again: what was left out is said as far as it is known."""
    (order,) = _as(_ORDERED, () if result.order is None else (result.order,)) or (None,)
    return msgspec.structs.replace(
        result,
        order=order,
        versions=_as(RESULT, result.versions),
        reviews=_as(REVIEWED, result.reviews),
        informings=_as(_INFORMED, result.informings),
    )


def _as(topic: str, lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(
        msgspec.structs.replace(
            line,
            topic=topic,
            as_of=line.recorded_at.isoformat(),
            zone="Europe/Paris",
            revisions=_as(VALIDATED, line.revisions),
        )
        for line in lines
    )
