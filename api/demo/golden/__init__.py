"""Golden patients: each a hand-written scene, each one trap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from releve.api.demo.golden.first_page import first_page
from releve.api.demo.golden.story import Golden, Step
from releve.api.demo.golden.traps import traps

__all__ = ["Golden", "Step", "scenes"]


def scenes(monday: date, name_at: Callable[[int], str]) -> tuple[Golden, ...]:
    """The golden patients of a centre whose present stint begins on ``monday``.

    ``name_at`` gives the doctor in post so many days from it, as they are written.
    """
    return (*first_page(monday), *traps(monday, name_at))
