"""The command line: ``releve``. Names, shapes and exit codes are kept (docs/cli.md).

Heavy modules are imported inside the commands, so that ``releve --help`` answers at once.
"""

from __future__ import annotations

import sys

import typer

from releve.api.cli import arrivals, bench, database, evidence, record, rules, serving
from releve.api.cli.runner import run

app = typer.Typer(
    name="releve",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich alone takes longer to load than the rest
    help="La relève d'un centre de santé : transmissions, briefings, preuves.",
)
for module in (serving, database, record, arrivals, evidence, rules, bench):
    module.register(app)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Afficher la version."),
) -> None:
    if version:
        from releve import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: run the command and leave with its exit code."""
    sys.exit(run(app, sys.argv[1:]))
