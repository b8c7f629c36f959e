"""``releve verify`` and ``releve export audit``: what an auditor asks for."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from releve.api.cli.runner import (
    DONE,
    FAILED,
    INTEGRITY,
    USAGE,
    CommandError,
    Invocation,
    Result,
    command,
)

exports = typer.Typer(no_args_is_help=True, help="Sortir des preuves ou un dossier.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "verify")(verify)
    app.add_typer(exports, name="export")


def verify(
    at: Invocation,
    export: Annotated[
        Path | None, typer.Argument(help="Un export d'audit ; sinon toute la base.")
    ] = None,
    vkey: Annotated[
        list[str] | None, typer.Option("--vkey", help="Clé de vérification, ou @FICHIER.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Un point de contrôle déjà détenu.")
    ] = None,
    witness: Annotated[
        list[str] | None, typer.Option("--witness", help="Clé d'un témoin, ou @FICHIER.")
    ] = None,
    quorum: Annotated[
        int | None, typer.Option("--quorum", min=0, help="Témoins exigés ; tous par défaut.")
    ] = None,
) -> Result:
    """Recalculer chaque empreinte depuis les octets ; code 5 si une seule ne correspond pas."""
    held = checkpoint.read_text(encoding="utf-8") if checkpoint else None
    keys = [text for name in vkey or () for text in _key_lines(name)]
    witnesses = [text for name in witness or () for text in _key_lines(name)]
    from releve.security.ledger.verify import Unusable, verify_export

    try:
        if export is not None:
            keys = keys or _pinned(at)
            found = verify_export(export, keys, held=held, witnesses=witnesses, quorum=quorum)
        else:
            found = _verify_database(at, keys, held, witnesses, quorum)
    except Unusable as error:
        raise CommandError(
            USAGE,
            "bad-evidence",
            "Une clé ou le point de contrôle donné ne peut pas être lu.",
            str(error),
            "Donner la clé telle qu'elle est publiée, ou @FICHIER qui la contient.",
        ) from error
    return Result(found, _verdict(found), _exit_code(found))


def _verify_database(
    at: Invocation, keys: list[str], held: str | None, witnesses: list[str], quorum: int | None
) -> dict[str, Any]:
    from releve.api.services import open_services
    from releve.security.errors import Tampered
    from releve.security.ledger.verification import verify_database

    with open_services(at.settings) as services:
        services.sequencer.run_until_idle()
        with contextlib.suppress(Tampered):  # found again below, and located
            services.checkpointer.run_once()
        return verify_database(
            services.pool,
            keys or [services.signer.vkey],
            held=held,
            witnesses=witnesses,
            quorum=quorum,
        )


def _exit_code(found: dict[str, Any]) -> int:
    if not found["verified"]:
        return INTEGRITY
    return FAILED if found["problems"] else DONE


def _verdict(found: dict[str, Any]) -> str:
    lines = [
        f"{'✓ intègre' if found['verified'] else '✗ ALTÉRÉ'} : {found['size']} positions, "
        f"racine {found['root']}"
    ]
    for problem in found["problems"][:50]:
        where = "" if problem["position"] is None else f" à la position {problem['position']}"
        lines.append(f"  {problem['kind']}{where} : {problem['detail']}")
    if len(found["problems"]) > 50:
        lines.append(f"  … et {len(found['problems']) - 50} autres")
    lines += [f"  non vérifié : {each}" for each in found.get("unchecked", ())]
    return "\n".join(lines)


def _key_lines(given: str) -> list[str]:
    if not given.startswith("@"):
        return [given]
    text = Path(given[1:]).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip()]


def _pinned(at: Invocation) -> list[str]:
    path = at.settings.state_dir / "log.vkey"
    return [path.read_text(encoding="ascii").strip()] if path.exists() else []


@command(exports, "audit")
def audit(
    at: Invocation,
    out: Annotated[Path, typer.Option("--out", help="Le fichier zip à écrire.")],
    patient: Annotated[str | None, typer.Option("--patient", help="Un dossier.")] = None,
    centre: Annotated[str | None, typer.Option("--centre", help="FINESS d'un centre.")] = None,
    stream: Annotated[str | None, typer.Option("--stream", help="Pseudonyme d'un flux.")] = None,
) -> Result:
    """Écrire un export vérifiable hors ligne ; sans sélecteur, tout le journal."""
    if sum(each is not None for each in (patient, centre, stream)) > 1:
        raise CommandError(
            USAGE,
            "one-selector",
            "Un seul de --patient, --centre, --stream.",
            "Un export a une seule étendue.",
            "Choisir l'un des trois, ou aucun pour tout le journal.",
        )
    from releve.api.cli import acts
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        services.catch_up()
        done = acts.write_audit_export(
            services,
            patient=identifier(patient) if patient else None,
            finess=centre,
            stream=identifier(stream) if stream else None,
            out=out,
        )
    return Result(done, f"{out} : {done['entries']} entrées, {done['size']} positions")


def identifier(text: str) -> UUID:
    """A UUID that was typed, or a usage error that does not repeat it."""
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(
            USAGE,
            "bad-id",
            "Cet identifiant n'est pas un UUID.",
            "Un identifiant a la forme 8-4-4-4-12 en hexadécimal.",
            "Recopier l'identifiant affiché.",
        ) from None
