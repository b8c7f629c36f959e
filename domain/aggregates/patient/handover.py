"""Handover notes (I-PASS) and what their receiver answered."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.events import Payload
from releve.domain.values import Severity


class HandoverWritten(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """I-PASS for one patient; supersedes the previous one of the same stint."""

    topic: ClassVar[str] = "patient.handover-written"

    severity: Severity
    summary: str
    """One line of at most 160 characters."""
    actions: tuple[str, ...] = ()
    situation: str = ""
    items: tuple[UUID, ...] = ()
    contingencies: tuple[UUID, ...] = ()
    read_back_requested: bool = False


class HandoverReadBack(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The receiver said what they will do first, asked a question, or continues their own stint.

    The handover is the envelope's target.
    """

    topic: ClassVar[str] = "patient.handover-read-back"

    kind: Literal["restatement", "question", "takes", "continuation"]
    text: str = ""
