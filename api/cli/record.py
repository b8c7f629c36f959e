"""What is done to the record: import, command, briefing, replay, rebuild, FHIR out."""

from __future__ import annotations

import enum
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from releve.api.cli.evidence import exports, identifier
from releve.api.cli.reports import counted, import_text
from releve.api.cli.runner import (
    DONE,
    FAILED,
    USAGE,
    CommandError,
    Invocation,
    Result,
    command,
    one_line,
    private_file,
)

imports = typer.Typer(
    no_args_is_help=True, help="Faire entrer ce que d'autres logiciels ont écrit."
)


LAST_POSITION = 2**63 - 1
"""The greatest position that the ledger's column can hold."""


class Format(enum.StrEnum):
    """How a briefing is printed."""

    text = "text"
    json = "json"
    html = "html"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(imports, name="import")
    command(app, "command")(speak)
    command(app, "briefing")(briefing)
    command(app, "replay")(replay)
    command(app, "rebuild")(rebuild)


def instant(text: str | None, option: str) -> datetime | None:
    """A time that was typed, aware, or a usage error."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CommandError(
            USAGE,
            "bad-time",
            f"{option} n'est pas un instant RFC 3339 avec décalage.",
            "Sans décalage, l'instant serait ambigu.",
            f"Par exemple {option} 2026-11-23T08:30:00+01:00.",
        )
    return found


@command(imports, "fhir")
def import_fhir(
    at: Invocation,
    files: Annotated[list[Path], typer.Argument(help="Bundles FHIR R4 en JSON.")],
    centre: Annotated[str | None, typer.Option("--centre", help="FINESS du centre.")] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Prendre ce qui est bon dans un fichier refusé.")
    ] = False,
) -> Result:
    """Importer des bundles FHIR R4 (IPS ou Synthea) ; l'original est gardé octet pour octet."""
    from releve.api.cli import acts
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        report = acts.import_fhir(services, files, finess=centre, keep_going=keep_going)
    data = report.as_json()
    text = import_text(
        data,
        counted(data["files"], "fichier"),
        counted(len(data["patients"]), "patient"),
        counted(data["events"], "événement"),
    )
    return Result(data, text, report.exit_code)


def speak(
    at: Invocation,
    name: Annotated[str | None, typer.Argument(help="Voir --list.")] = None,
    persona: Annotated[str | None, typer.Option("--as", help="Une persona de la démo.")] = None,
    patient: Annotated[str | None, typer.Option("--patient")] = None,
    stint: Annotated[str | None, typer.Option("--stint")] = None,
    centre: Annotated[str | None, typer.Option("--centre", help="Identifiant ou FINESS.")] = None,
    practitioner: Annotated[str | None, typer.Option("--practitioner")] = None,
    document: Annotated[str | None, typer.Option("--document", help="Boîte d'arrivée.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="Fichier JSON, ou - .")] = None,
    original: Annotated[
        Path | None, typer.Option("--original", help="Le document lui-même (attach-document).")
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option("--idempotency-key")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Les commandes, avec exemples.")] = False,
) -> Result:
    """Passer une commande au service, par la politique d'accès et le journal."""
    from releve.api.cli import acts

    if listing:
        rows = acts.catalogue()
        text = "\n".join(f"{row['name']:<28} {row['target']:<13} {row['summary']}" for row in rows)
        return Result({"commands": rows}, text)
    if name is None or persona is None:
        raise CommandError(
            USAGE,
            "missing-argument",
            "Il manque le nom de la commande ou --as.",
            "Une commande est toujours passée par quelqu'un.",
            "releve command --list ; releve demo personas",
        )
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        services.catch_up()
        found = acts.speak_as(
            services,
            services.persona(persona),
            name,
            _json(data),
            targets={
                "patient": identifier(patient) if patient else None,
                "stint": identifier(stint) if stint else None,
                "centre": acts.centre_called(services, centre) if centre else None,
                "practitioner": identifier(practitioner) if practitioner else None,
                "inbox": identifier(document) if document else None,
            },
            client_key=idempotency_key,
            originals=[original.read_bytes()] if original else [],
        )
    return Result(found, one_line(found))


def _json(given: str | None) -> Any:
    import json
    import sys

    if given is None:
        return {}
    try:
        if given == "-":
            raw = sys.stdin.buffer.read() if sys.stdin is not None else b""
        else:
            raw = Path(given).read_bytes()
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise CommandError(
            USAGE,
            "bad-json",
            "--data n'est pas du JSON.",
            f"Ligne {line}." if line else "Il ne se lit pas.",
            "releve command --list --json montre un exemple par commande.",
        ) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def briefing(
    at: Invocation,
    stint: Annotated[str | None, typer.Option("--stint")] = None,
    centre: Annotated[str | None, typer.Option("--centre", help="FINESS.")] = None,
    edition: Annotated[str | None, typer.Option("--edition", help="Rejouer cette édition.")] = None,
    position: Annotated[int | None, typer.Option("--position", min=0, max=LAST_POSITION)] = None,
    moment: Annotated[str | None, typer.Option("--at", help="Instant RFC 3339.")] = None,
    format: Annotated[Format, typer.Option("--format")] = Format.text,
    out: Annotated[Path | None, typer.Option("--out")] = None,
) -> Result:
    """Éditer ou montrer le briefing d'un séjour ; avec un sélecteur, rejouer l'édition gardée."""
    from releve.api.cli import acts
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        services.catch_up()
        shown = acts.briefing(
            services,
            stint=identifier(stint) if stint else None,
            finess=centre,
            edition=identifier(edition) if edition else None,
            position=position,
            at=instant(moment, "--at"),
        )
        text = shown.rendered(format.value)
    if out is not None:
        private_file(out, text.encode())
        return Result({**shown.data, "out": str(out)}, f"{out} écrit", DONE)
    return Result(shown.data, text, DONE)


def replay(
    at: Invocation,
    patient: Annotated[str, typer.Argument(help="Identifiant du dossier.")],
    moment: Annotated[str | None, typer.Option("--at", help="Jusqu'à ce temps clinique.")] = None,
    position: Annotated[int | None, typer.Option("--position", min=0, max=LAST_POSITION)] = None,
    known_at: Annotated[
        str | None, typer.Option("--known-at", help="Tel que connu à cet instant.")
    ] = None,
) -> Result:
    """Rejouer un dossier depuis le journal, tel que connu à une position ou un instant."""
    from releve.api.cli import acts
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        services.catch_up()
        found = acts.replay_patient(
            services,
            identifier(patient),
            at=instant(moment, "--at"),
            position=position,
            known_at=instant(known_at, "--known-at"),
        )
    lines = [
        f"{entry['recorded_at']}  {entry['author'] or '—':<24} {entry['text']}"
        for entry in found["entries"]
    ]
    return Result(found, "\n".join(lines) or "Aucune entrée.")


def rebuild(
    at: Invocation,
    projection: Annotated[str, typer.Argument(help="all, ou une projection.")] = "all",
    check: Annotated[bool, typer.Option("--check", help="Comparer avec ce qui est servi.")] = False,
    parked: Annotated[
        bool, typer.Option("--parked", help="Relire seulement les dossiers en attente.")
    ] = False,
) -> Result:
    """Reconstruire les projections à côté, puis échanger ; ou relire les dossiers en attente."""
    from releve.api.services import open_services
    from releve.projections.rebuild import PROJECTIONS

    if parked and (check or projection != "all"):
        raise CommandError(
            USAGE,
            "one-selector",
            "--parked va seul.",
            "Il relit les dossiers en attente et ne reconstruit rien.",
            "releve rebuild --parked",
        )
    if projection not in ("all", *PROJECTIONS):
        raise CommandError(
            USAGE,
            "unknown-projection",
            "Cette projection n'existe pas.",
            f"Projections : all, {', '.join(PROJECTIONS)}.",
            "releve rebuild",
        )
    with open_services(at.settings) as services:
        services.catch_up()
        if parked:
            whole = services.feed.retry_parked()
            left = len(services.feed.parked())
            again = f"{counted(whole, 'dossier')} relu{'s' if whole > 1 else ''} en entier"
            told = f"{again}, {left} encore en attente"
            return Result({"whole": whole, "parked": left}, told, FAILED if left else DONE)
        report = services.feed.rebuild(projection, check=check)
    data = report.to_json()
    rate = f"{data['seconds']:.2f} s ({data['events_per_second']}/s)"
    text = f"{counted(data['events'], 'événement')} en {rate}"
    return Result(data, text, FAILED if data["identical"] is False else DONE)


@command(exports, "fhir")
def export_fhir(
    at: Invocation,
    patient: Annotated[str, typer.Option("--patient", help="Identifiant du dossier.")],
    out: Annotated[Path, typer.Option("--out", help="Le fichier à écrire.")],
    summary: Annotated[bool, typer.Option("--summary", help="Document IPS (par défaut).")] = False,
    everything: Annotated[bool, typer.Option("--everything", help="Tout le dossier.")] = False,
) -> Result:
    """Écrire le résumé IPS d'un dossier, ou tout le dossier, en FHIR R4."""
    if summary and everything:
        raise CommandError(
            USAGE,
            "one-selector",
            "--summary et --everything ne vont pas ensemble.",
            "Un fichier tient un seul bundle.",
            "Choisir l'un des deux.",
        )
    from releve.api.cli import acts
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        services.catch_up()
        raw = acts.fhir_of(services, identifier(patient), everything=everything)
    private_file(out, raw)
    return Result({"out": str(out), "bytes": len(raw)}, f"{out} : {len(raw)} octets")
