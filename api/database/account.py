"""As whom PostgreSQL runs. It refuses to run as root, so root needs another way.

An ordinary user runs it as it is. Root runs it inside a user namespace where root appears as an
unprivileged account: nothing is created, no mode and no owner changes, the files stay root's.
Where user namespaces are refused (some containers), root runs it as the account ``postgres`` or
``daemon`` by ``setpriv``; then the directory must be one that this account can reach, and a
directory made for it is made its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from releve.api.database.problems import EnvironmentProblem


@dataclass(frozen=True, slots=True)
class Account:
    """How to start a PostgreSQL program: words before the command, owner of new directories."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None
    """uid and gid that new directories and files must be given, where that is needed."""

    def command(self, *words: str) -> list[str]:
        """Put the words of a command behind the prefix."""
        return [*self.prefix, *words]

    def own(self, path: Path) -> None:
        """Give a path that we have just made to the account that needs it."""
        if self.owner is not None:
            os.chown(path, *self.owner)

    def first_unreachable(self, path: Path) -> Path | None:
        """Name the highest directory on the way to ``path`` that PostgreSQL cannot enter."""
        for directory in reversed([path, *path.parents]):
            if directory.exists() and not self._can_enter(directory):
                return directory
        return None

    def _can_enter(self, directory: Path) -> bool:
        test = self.command("/usr/bin/test", "-x", str(directory))
        return subprocess.run(test, check=False).returncode == 0  # noqa: S603 - no shell


@cache
def account() -> Account:
    """Find out once how this process may run PostgreSQL.

    Raises:
        EnvironmentProblem: root, and neither a user namespace nor ``setpriv`` works.
    """
    if os.geteuid() != 0:
        return Account()
    entry = _unprivileged_entry()
    unshare, setpriv = shutil.which("unshare"), shutil.which("setpriv")
    if unshare is not None:
        prefix: tuple[str, ...] = (
            unshare,
            "--user",
            f"--map-user={entry.pw_uid}",
            f"--map-group={entry.pw_gid}",
            "--",
        )
        if _works(prefix):
            return Account(prefix)
    if setpriv is not None:
        # Changing the user clears the parent-death signal, so setpriv must set it itself.
        prefix = (
            setpriv,
            f"--reuid={entry.pw_uid}",
            f"--regid={entry.pw_gid}",
            "--clear-groups",
            "--pdeathsig=INT",
            "--",
        )
        if _works(prefix):
            return Account(prefix, (entry.pw_uid, entry.pw_gid))
    raise EnvironmentProblem(
        "database-root",
        "PostgreSQL refuse de tourner en root, et rien ici ne permet de l'en détacher.",
        "Les espaces de noms utilisateur sont refusés et setpriv ne fonctionne pas.",
        "Lancer Relève avec un utilisateur ordinaire, ou donner une base par --database-url.",
    )


def _unprivileged_entry() -> pwd.struct_passwd:
    """Choose an account with a line in passwd: initdb looks its own user up there."""
    for name in ("postgres", "daemon", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    for entry in pwd.getpwall():
        if entry.pw_uid != 0:
            return entry
    raise EnvironmentProblem(
        "database-root",
        "PostgreSQL refuse de tourner en root, et aucun autre compte n'existe.",
        "/etc/passwd ne contient que root.",
        "Lancer Relève avec un utilisateur ordinaire, ou donner une base par --database-url.",
    )


def _works(prefix: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            [*prefix, "/usr/bin/id", "-u"], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and done.stdout.strip() not in ("", "0")
