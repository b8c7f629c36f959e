"""``releve rules``: which signed release ranks new briefings, and putting another in force."""

from __future__ import annotations

from typing import Annotated

import typer

from releve.api.cli.runner import USAGE, CommandError, Invocation, Result, command

rules = typer.Typer(no_args_is_help=True, help="La version des règles en vigueur.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(rules, "status")(status)
    command(rules, "activate")(activate)
    app.add_typer(rules, name="rules")


def status(at: Invocation) -> Result:
    """Dire quelle version classe les nouveaux briefings, et lesquelles ce logiciel contient."""
    from releve.api.services import open_services
    from releve.projections.rule_release import in_force, load_rules, releases

    with open_services(at.settings) as services:
        services.catch_up()
        told = services.directory.load().rules
    release = in_force(told.release if told else None)
    carried = [
        {"release": name, "reviewed_by": load_rules(name).reviewed_by} for name in releases()
    ]
    since = told.since.isoformat() if told and told.release == release else None
    text = "\n".join(
        f"{'→' if each['release'] == release else ' '} {each['release']} · {each['reviewed_by']}"
        for each in carried
    )
    return Result({"in_force": release, "since": since, "releases": carried}, text)


def activate(
    at: Invocation,
    release: Annotated[str, typer.Argument(help="Le nom d'une version que ce logiciel contient.")],
) -> Result:
    """Vérifier la signature d'une version et la mettre en vigueur ; rien si elle l'est déjà."""
    from releve.api.rules import activate_release
    from releve.api.services import open_services
    from releve.projections.rule_release import releases

    if release not in releases():
        raise CommandError(
            USAGE,
            "unknown-release",
            "Cette version des règles n'existe pas ici.",
            f"Ce logiciel contient : {', '.join(releases())}.",
            "Choisir l'une d'elles, ou mettre le logiciel à jour.",
        )
    with open_services(at.settings) as services:
        services.catch_up()
        outcome = activate_release(services, release)
    done = bool(outcome.event_ids)
    text = f"✓ Version {release} " + ("mise en vigueur." if done else "déjà en vigueur.")
    return Result({"release": release, "activated": done}, text)
