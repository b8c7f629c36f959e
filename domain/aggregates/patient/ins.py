"""INS: how far an identity was checked, and when its matricule may leave."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload
from releve.domain.values import (
    Identifier,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class InsStatusChanged(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The identity's status changed; the matricule stands where the status gives one."""

    topic: ClassVar[str] = "patient.ins-status-changed"

    status: Literal["provisoire", "recuperee", "validee", "qualifiee"]
    matricule: Identifier | None = None
    proof: str | None = None
    service: bool = False


# State

FOLDS: dict[type[Payload], Fold] = {
    InsStatusChanged: file,
}
