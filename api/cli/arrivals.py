"""What comes in by file: ``releve import cda``, ``pdf``, ``phone-log``, ``day-list``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from releve.api.cli.record import imports
from releve.api.cli.reports import counted, import_text
from releve.api.cli.runner import DONE, FAILED, Invocation, Result, command

Files = Annotated[list[Path], typer.Argument(help="Les fichiers à déposer.")]
Centre = Annotated[str | None, typer.Option("--centre", help="FINESS du centre.")]


def register(app: typer.Typer) -> None:
    """Nothing of its own: these commands stand under ``import``."""


@command(imports, "cda")
def import_cda(at: Invocation, files: Files, centre: Centre = None) -> Result:
    """Déposer des documents CDA R2 (VSM, CR-BIO, IPS-FR, archive XDM) dans la boîte d'arrivée."""
    return _deposited(at, files, centre, "application/xml")


@command(imports, "pdf")
def import_pdf(at: Invocation, files: Files, centre: Centre = None) -> Result:
    """Déposer des PDF dans la boîte d'arrivée ; l'original est gardé octet pour octet."""
    return _deposited(at, files, centre, "application/pdf")


@command(imports, "phone-log")
def import_phone_log(at: Invocation, files: Files, centre: Centre = None) -> Result:
    """Reprendre des résultats notés au téléphone (CSV) ; chacun attend d'être rattaché."""
    from releve.api.cli import acts
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        report = acts_of_arrivals().phone_log(services, files, acts.centre_of(services, centre))
    return _told(report)


@command(imports, "day-list")
def import_day_list(
    at: Invocation,
    files: Files,
    centre: Centre = None,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Inscrire les rendez-vous dont le dossier est certain."),
    ] = False,
) -> Result:
    """Lire l'agenda du jour (CSV, ICS, texte) ; montre les dossiers, n'inscrit que si confirmé."""
    from releve.api.cli import acts
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        report = acts_of_arrivals().day_list(
            services, files, acts.centre_of(services, centre), confirm=confirm
        )
    return _told(report)


def acts_of_arrivals() -> Any:
    """The module that does it, loaded when it is needed."""
    from releve.api.cli import arriving

    return arriving


def _deposited(at: Invocation, files: list[Path], centre: str | None, media_type: str) -> Result:
    from releve.api.cli import acts
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        report = acts_of_arrivals().deposit(
            services, files, acts.centre_of(services, centre), media_type
        )
    return _told(report)


def _told(report: Any) -> Result:
    data = report.as_json()
    text = import_text(
        data, counted(data["files"], "fichier"), counted(data["events"], "événement")
    )
    return Result(data, text, FAILED if data["rejected"] else DONE)
