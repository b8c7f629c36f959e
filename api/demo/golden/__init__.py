"""Golden patients: each a hand-written scene, each one trap."""

from __future__ import annotations

from datetime import date

from releve.api.demo.golden.first_page import first_page
from releve.api.demo.golden.story import Golden

__all__ = ["Golden", "scenes"]


def scenes(monday: date) -> tuple[Golden, ...]:
    """The golden patients of a centre whose present stint begins on ``monday``."""
    return first_page(monday)
