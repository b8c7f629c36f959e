"""Takes the whole database out as plain SQL, and puts such a file into an empty database.

The dump is pg_dump's, of the server's own major version, with every schema. Owners are left out:
whoever restores owns. Rights are kept, for they are half of the product's guard; the roles that
they name are made first, without login, where the target cluster lacks them.

Transaction ids do not survive: after a restore the sequencer starts a new incarnation, and
positions go on from the last one. Rights on the database itself do not travel either; the next
command that makes logins gives them again.
"""

from __future__ import annotations

import os
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from releve.api.database.binaries import Binaries, resolve
from releve.api.database.problems import EnvironmentProblem, ServerProblem


def dump(owner_url: str, out: BinaryIO, *, pg_bin: Path | None = None) -> None:
    """Write the whole database to ``out``, which must have a file descriptor.

    Raises:
        EnvironmentProblem: no PostgreSQL of the server's version here, or the disk is full.
        ServerProblem: the server does not answer, or pg_dump fails.
    """
    binaries = _matching(owner_url, pg_bin)
    out.write(
        b"-- Releve: plain dump. Restore into an empty database with psql.\n"
        + files("releve.api").joinpath("migrations", "sql", "roles.sql").read_bytes()
    )
    out.flush()
    _run(binaries, "pg_dump", owner_url, "--no-owner", "--no-password", out=out)
    out.flush()


def restore(owner_url: str, file: Path, *, pg_bin: Path | None = None) -> None:
    """Put a dump into an empty database, whole or not at all.

    Raises:
        EnvironmentProblem: no PostgreSQL of the server's version here.
        ServerProblem: the server does not answer, or refuses a line.
    """
    binaries = _matching(owner_url, pg_bin)
    words = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction")
    with Path(os.devnull).open("wb") as nowhere:
        _run(binaries, "psql", owner_url, *words, f"--file={file}", out=nowhere)


def _matching(owner_url: str, pg_bin: Path | None) -> Binaries:
    try:
        with psycopg.connect(owner_url, connect_timeout=10) as connection:
            major = connection.info.server_version // 10000
    except psycopg.OperationalError as refused:
        raise ServerProblem(
            "database-unreachable",
            "La base de données ne répond pas.",
            "Connexion refusée.",
            "releve db status, puis relancer.",
        ) from refused
    return resolve(pg_bin, major=major)


def _run(binaries: Binaries, program: str, url: str, *words: str, out: BinaryIO) -> None:
    # The password goes through the environment: arguments are everybody's to read.
    given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    password = given.pop("password", "")
    environment = {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C",
        "PGPASSWORD": password,
        "HOME": str(Path.home()),  # ~/.pgpass and client certificates
    }
    done = subprocess.run(  # noqa: S603 - programs found by us, no shell
        [binaries.program(program), *words, f"--dbname={make_conninfo('', **given)}"],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
    )
    if done.returncode == 0:
        return
    said = done.stderr.decode(errors="replace")
    if "No space left on device" in said:
        raise EnvironmentProblem(
            "disk-full",
            "Le disque est plein.",
            "La copie n'est pas entière.",
            "Libérer de la place, ou choisir un autre endroit par --out.",
        )
    state = next((line for line in said.splitlines() if "error" in line.lower()), "")
    raise ServerProblem(
        "database-dump",
        f"{program} a échoué.",
        state[:300],
        "releve db status, puis relancer.",
    )
