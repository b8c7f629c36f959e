"""Every error a command may meet, as words and an exit code."""

from __future__ import annotations

from pathlib import Path

from releve.api.cli.runner import DATABASE, ENVIRONMENT, FAILED, USAGE, CommandError


def explain(error: Exception) -> CommandError | None:
    """The error as a person can act on it, or ``None`` for one that is ours to mend."""
    if isinstance(error, CommandError):
        return error
    return _domain(error) or _security(error) or _database(error) or _system(error) or _door(error)


def _domain(error: Exception) -> CommandError | None:
    from releve.domain.errors import Invalid, ReleveError, Reused, Unavailable

    if not isinstance(error, ReleveError):
        return None
    code = FAILED
    if isinstance(error, Invalid | Reused):
        code = USAGE
    elif isinstance(error, Unavailable):
        code = DATABASE
    what = error.what if error.field is None else f"{error.what} Champ : {error.field}."
    return CommandError(code, error.code, what, error.why, error.do)


def _security(error: Exception) -> CommandError | None:
    from releve.domain import errors as domain
    from releve.security import errors as security

    if not isinstance(error, security.SecurityError):
        return None
    if isinstance(error, security.KeyRefused):
        return CommandError(
            ENVIRONMENT,
            error.code,
            "Une clé du dossier d'état est refusée.",
            f"{error}.",
            "Corriger ce fichier ou RELEVE_KEY_PASSPHRASE_FILE ; releve doctor montre les clés.",
        )
    if isinstance(error, security.NotAuthenticated):
        return CommandError(
            USAGE,
            "unknown-persona",
            "Cette personne de démonstration n'existe pas ici.",
            "Elle n'est pas dans la liste, ou RELEVE_ENV vaut `production`.",
            "releve demo personas",
        )
    words: type[domain.ReleveError] = domain.Unavailable
    code = DATABASE
    if isinstance(error, security.Denied):
        words, code = domain.NotFound, FAILED
    elif isinstance(error, security.KeyDestroyed):
        words, code = domain.Erased, FAILED
    elif isinstance(error, security.Tampered):
        words, code = domain.Tampered, FAILED
    elif isinstance(error, security.KeyServiceDown | security.KeyMissing):
        code = ENVIRONMENT
    elif error.code == domain.NotFound.code:
        words, code = domain.NotFound, FAILED
    return CommandError(code, error.code, words.what, words.why, words.do)


def _door(error: Exception) -> CommandError | None:
    from releve.api.problems import RequestRefused

    if isinstance(error, RequestRefused):
        problem = error.problem
        return CommandError(FAILED, problem.code, problem.what, problem.why, problem.do)
    return None


def _database(error: Exception) -> CommandError | None:
    from releve.api.database.problems import DatabaseProblem

    if isinstance(error, DatabaseProblem):
        return CommandError(error.exit_code, error.code, error.what, error.why, error.do)
    import psycopg
    from psycopg_pool import PoolTimeout

    if isinstance(error, psycopg.Error | PoolTimeout):
        state = getattr(error, "sqlstate", None)
        return CommandError(
            DATABASE,
            "database",
            "La base de données a refusé ou interrompu le travail.",
            f"{type(error).__name__}{f' (SQLSTATE {state})' if state else ''}.",
            "releve db status, puis relancer : rien de ce qui a été confirmé n'est perdu.",
        )
    return None


def _why_absent(name: object) -> str:
    """Whether it is the file, or the folder that should hold it."""
    parent = Path(str(name)).absolute().parent
    if not parent.is_dir():
        return "Le dossier qui devrait le contenir n'existe pas."
    return "Il n'existe pas, ou n'est pas un fichier."


def _system(error: Exception) -> CommandError | None:
    import errno

    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return CommandError(
            ENVIRONMENT,
            "no-such-file",
            f"Chemin introuvable : {error.filename}.",
            _why_absent(error.filename),
            "Vérifier le chemin.",
        )
    if isinstance(error, PermissionError):
        return CommandError(
            ENVIRONMENT,
            "permission",
            f"Accès refusé : {error.filename}.",
            "Les droits de ce fichier ou dossier l'interdisent.",
            "Choisir un autre dossier avec --state-dir, ou corriger les droits.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CommandError(
            ENVIRONMENT,
            "disk-full",
            "Le disque est plein.",
            "Il n'y a plus de place pour écrire.",
            "Libérer de la place, puis relancer : rien de ce qui a été confirmé n'est perdu.",
        )
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return CommandError(
            ENVIRONMENT,
            "port-taken",
            "Le port est déjà pris.",
            "Un autre programme écoute à cette adresse.",
            "Relancer avec --port 0 ou un autre port.",
        )
    return None
