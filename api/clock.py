"""The record's time. The machine's clock in production; in the demo, a Monday that runs on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class RecordClock:
    """``now`` for everything that is written on a record or shown beside it.

    In the demo profile time starts at ``start``, or one second after the ledger's greatest
    ``recorded_at`` where that is later, and runs on. ``known_time`` reads that greatest time, so
    that a command never writes below what another process has already written. Sessions, tokens
    and rate limits use the machine's clock instead.
    """

    def __init__(
        self, *, start: datetime | None = None, known_time: Callable[[], datetime] | None = None
    ) -> None:
        """``start`` is the demo's; without it the machine's clock is the record's."""
        self._known_time = known_time
        self._origin: datetime | None = None
        if start is not None:
            known = known_time() if known_time else start
            self._origin = max(start, known + timedelta(seconds=1)).astimezone(UTC)
            self._began = time.monotonic()

    @property
    def demo(self) -> bool:
        """Whether the record's time is not the machine's."""
        return self._origin is not None

    def __call__(self) -> datetime:
        """Now, aware, UTC."""
        if self._origin is None:
            return datetime.now(UTC)
        return self._origin + timedelta(seconds=time.monotonic() - self._began)

    def for_write(self) -> datetime:
        """Now, but never below the known time of the last position (demo profile)."""
        now = self()
        if self._origin is None or self._known_time is None:
            return now
        return max(now, self._known_time())
