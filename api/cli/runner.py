"""How a command runs: common options, one JSON object, errors with what, why and what to do.

Exit codes: 0 done · 1 a check, budget or row failed · 2 usage · 3 environment · 4 database ·
5 integrity.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from releve.api.settings import Settings

DONE, FAILED, USAGE, ENVIRONMENT, DATABASE, INTEGRITY = range(6)


class CommandError(Exception):
    """A command cannot go on: ``exit_code`` and what, why, what to do."""

    def __init__(self, exit_code: int, code: str, what: str, why: str = "", do: str = "") -> None:
        self.exit_code = exit_code
        self.code = code
        self.what = what
        self.why = why
        self.do = do
        super().__init__(f"{code}: {what}")


@dataclass(frozen=True)
class Result:
    """What a command found: ``data`` for ``--json``, ``text`` for a person."""

    data: dict[str, Any]
    text: str | None = None
    exit_code: int = DONE


@dataclass(frozen=True)
class Invocation:
    """The options every command has, and where to say how far the work is."""

    settings: Settings
    as_json: bool

    def say(self, line: str) -> None:
        """One line of progress, on standard error so that standard output stays clean."""
        typer.echo(line, err=True)

    def tell(self, data: dict[str, Any], line: str) -> None:
        """What a command that goes on has to say: one JSON object with ``--json``, else a line."""
        if self.as_json:
            typer.echo(one_line(data))
        else:
            self.say(line)


StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Dossier d'état (clés, réglages, base embarquée)."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="URL libpq du propriétaire d'un PostgreSQL ordinaire."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Un seul objet JSON en dernière ligne de la sortie.")
]


def settings_from(state_dir: Path | None, database_url: str | None) -> Settings:
    """Environment first, then what the command line says."""
    from pydantic import ValidationError

    from releve.api.settings import Settings

    given: dict[str, Any] = {}
    if state_dir is not None:
        given["state_dir"] = state_dir
    if database_url is not None:
        given["database_url"] = database_url
    try:
        settings = Settings(**given)
    except ValidationError as error:
        names = ", ".join(sorted({"RELEVE_" + str(e["loc"][0]).upper() for e in error.errors()}))
        raise CommandError(
            USAGE,
            "bad-setting",
            f"Un réglage n'est pas lisible : {names}.",
            "Sa valeur n'est pas de la forme attendue.",
            "Corriger la variable d'environnement (docs/operations.md).",
        ) from None
    return settings.model_copy(update={"state_dir": settings.state_dir.expanduser().absolute()})


def command(
    group: typer.Typer, name: str, **options: Any
) -> Callable[[Callable[..., Result | None]], Callable[..., Result | None]]:
    """Register ``function(invocation, …) -> Result`` with the options every command has."""

    def register(function: Callable[..., Result | None]) -> Callable[..., Result | None]:
        group.command(name, **options)(_prepared(function))
        return function

    return register


def default_command(
    group: typer.Typer,
) -> Callable[[Callable[..., Result | None]], Callable[..., Result | None]]:
    """Register what the group does when no command of it is named."""

    def register(function: Callable[..., Result | None]) -> Callable[..., Result | None]:
        group.callback(invoke_without_command=True)(_prepared(function, of_group=True))
        return function

    return register


def _prepared(
    function: Callable[..., Result | None], *, of_group: bool = False
) -> Callable[..., int]:
    """The function as typer calls it: its own options, the common ones, and an exit code."""
    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    common = [
        inspect.Parameter("state_dir", keyword, default=None, annotation=StateDir),
        inspect.Parameter("database_url", keyword, default=None, annotation=DatabaseUrl),
        inspect.Parameter("as_json", keyword, default=False, annotation=AsJson),
    ]
    if of_group:
        common.append(inspect.Parameter("context", keyword, annotation=typer.Context))

    def invoke(
        *,
        state_dir: Path | None = None,
        database_url: str | None = None,
        as_json: bool = False,
        context: typer.Context | None = None,
        **given: Any,
    ) -> int:
        if context is not None and context.invoked_subcommand is not None:
            return DONE
        invocation = Invocation(settings_from(state_dir, database_url), as_json)
        result = function(invocation, **given)
        if result is None:
            return DONE
        if result.text is not None and not as_json:
            typer.echo(result.text)
        else:
            typer.echo(one_line(result.data))
        return result.exit_code

    parameters = [p.replace(kind=keyword) for p in own] + common
    invoke.__signature__ = signature.replace(  # type: ignore[attr-defined] # read by typer
        parameters=parameters, return_annotation=int
    )
    invoke.__annotations__ = {p.name: p.annotation for p in parameters}
    invoke.__doc__ = function.__doc__
    return invoke


def one_line(data: dict[str, Any]) -> str:
    """One JSON object on one line; dates and ids as text."""
    import orjson

    return orjson.dumps(data, default=str).decode()


def run(app: typer.Typer, arguments: list[str]) -> int:
    """Run the command line; errors print what, why and what to do, never a traceback."""
    as_json = "--json" in arguments
    try:
        returned = app(args=arguments, standalone_mode=False)
    except typer.Exit as left:
        return left.exit_code
    except typer.Abort:
        return _report(CommandError(FAILED, "interrupted", "Interrompu."), as_json)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
            return USAGE
        return _report(_misused(error), as_json)
    except KeyboardInterrupt:
        return _report(CommandError(FAILED, "interrupted", "Interrompu."), as_json)
    except BrokenPipeError:
        return DONE
    except Exception as error:  # the door: every error becomes words and an exit code
        return _report(_explained(error), as_json)
    return returned if isinstance(returned, int) else DONE


def private_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: it holds clinical content."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "wb") as file:
        file.write(content)


def _misused(error: typer.TyperException) -> CommandError:
    """A command line that cannot be read, in French; the parser's own words are English."""
    said = error.format_message()
    quoted = re.search(r"'([^']*)'|: (--?[\w-]+)", said)
    name = next((each for each in quoted.groups() if each), "") if quoted else ""
    why = "La ligne de commande n'est pas celle attendue."
    match type(error).__name__:
        case "NoSuchOption":
            what = f"L'option {name} n'existe pas ici."
        case "MissingParameter":
            what = f"Il manque {name}."
        case "BadParameter":
            what = f"La valeur donnée à {name} n'est pas acceptée."
            why = _accepted(said) or why
        case "BadOptionUsage":
            what = f"L'option {name} attend une valeur."
        case _ if said.startswith("No such command"):
            what = f"La commande {name} n'existe pas."
        case _ if "extra argument" in said:
            what = "Il y a un mot de trop dans la commande."
        case _:
            what = said
    return CommandError(USAGE, "usage", what, why, "Ajouter --help à la commande pour son usage.")


def _accepted(said: str) -> str | None:
    """What the parser would have accepted, where it says so."""
    choices = re.search(r"is not one of (.+?)\.?$", said)
    if choices:
        return f"Valeurs acceptées : {choices[1]}."
    bound = re.search(r"(greater|less) than or equal to (\S+)", said)
    if bound:
        return f"{'Au moins' if bound[1] == 'greater' else 'Au plus'} {bound[2]}."
    return "Un nombre entier est attendu." if "valid integer" in said else None


def _report(error: CommandError, as_json: bool) -> int:
    with contextlib.suppress(OSError):  # nowhere to say it: the exit code still does
        _say_error(error, as_json)
    return error.exit_code


def _say_error(error: CommandError, as_json: bool) -> None:
    if as_json:
        body = {"code": error.code, "what": error.what, "why": error.why, "do": error.do}
        typer.echo(one_line({"error": body}))
    else:
        typer.echo(f"✗ {error.what}", err=True)
        if error.why:
            typer.echo(f"  Pourquoi : {error.why}", err=True)
        if error.do:
            typer.echo(f"  À faire : {error.do}", err=True)


def _explained(error: Exception) -> CommandError:
    """Any error as one that a person can act on; an unknown one is said to be ours."""
    from releve.api.cli.explain import explain

    explained = explain(error)
    if explained is not None:
        return explained
    import traceback

    if os.environ.get("RELEVE_TRACEBACK"):
        traceback.print_exception(error, file=sys.stderr)
    return CommandError(
        FAILED,
        "internal",
        "Une erreur inattendue s'est produite.",
        f"{type(error).__name__} dans {_where(error)}.",
        "Relancer avec RELEVE_TRACEBACK=1 et signaler l'erreur.",
    )


def _where(error: Exception) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return Path(frame.tb_frame.f_code.co_filename).name if frame else "?"
