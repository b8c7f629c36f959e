"""Logs that cannot leak: names of events and a closed list of fields, as JSON on standard error.

A field that is not on the list is dropped, whoever adds it. Requests are logged by route template,
never by address: an address may hold a pseudonym, and a careless client's may hold more.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "request", "method", "route", "status", "duration_ms",
        "code", "rule", "role", "command", "position", "size", "lag", "parked", "projection",
        "events", "seconds", "error", "where", "version", "port", "address", "component",
    }
)  # fmt: skip
"""Fields a log line may have. ``error`` is a class name, ``where`` a file and line of our own."""


def only_allowed(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop every field that is not allowed, and every value that is not a plain one."""
    return {
        name: value
        for name, value in event.items()
        if name in ALLOWED and isinstance(value, str | int | float | bool | None)
    }


def configure_logs(level: int = logging.INFO) -> None:
    """Send structured lines to standard error, one JSON object each."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    if not any(isinstance(each, Templates) for each in root.handlers):
        root.addHandler(Templates(max(level, logging.WARNING)))


class Templates(logging.Handler):
    """Brings the standard library's loggers into the same lines, without other people's values.

    Our own messages hold names and class names only. Of a library's, such as the connection pool's,
    the template is told and what would fill it is not.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        ours = record.name == "releve" or record.name.startswith("releve.")
        error = record.exc_info[0] if record.exc_info else None
        structlog.get_logger().log(
            record.levelno,
            record.getMessage() if ours else str(record.msg),
            component=record.name,
            error=error.__name__ if error else None,
        )


def where(error: BaseException) -> str:
    """Say where an error rose in our own code: file and line, no value of any variable."""
    found = "?"
    trace = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module == "releve" or module.startswith("releve."):
            found = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
