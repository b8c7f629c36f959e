"""A page about one patient: who they are on top, and one access entry for what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, services_of
from releve.api.pages import views
from releve.api.pages.shell import clinical_page, moment
from releve.api.reading import patient_at
from releve.projections.dates import Moment
from releve.projections.directory import Directory
from releve.projections.patient_summary import PatientSummary


@dataclass(frozen=True, slots=True)
class Opened:
    """One patient's summary, with the position and the moment that a page shows it at."""

    summary: PatientSummary
    position: int
    at: Moment
    directory: Directory


def patient_page(
    request: Request,
    granted: Granted,
    template: str,
    content: Callable[[Opened], dict[str, Any]],
    *,
    others: Sequence[UUID] = (),
    status: int = 200,
) -> Response:
    """The page that ``template`` makes of ``content`` and of the identity bar (``who``).

    ``granted`` is the reading of the patient; ``others`` are the patients that ``content`` names
    beside them.

    Raises:
        NotFound: no such patient is projected.
        LogUnavailable: the access entry is not known to be durable; nothing is shown.
    """
    services = services_of(request)
    at = moment(request, granted.principal)

    def produce() -> tuple[dict[str, Any], int]:
        summary, position = patient_at(services, granted.patient)
        directory = services.directory.load()
        namesakes = services.records.same_names(granted.centre, summary)
        who = views.identity(summary, at, directory, namesakes)
        return {"who": who, **content(Opened(summary, position, at, directory))}, position

    disclosed = read_clinical(
        services, granted, produce,
        what=f"page.{template.removesuffix('.html')}",
        patients=lambda _: (granted.patient, *others),
    )  # fmt: skip
    return clinical_page(
        request, granted.principal, template, disclosed, here="patients", status=status
    )
