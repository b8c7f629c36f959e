"""What can go wrong with the database and its directory, in words for whoever runs Relève.

::

    DatabaseProblem
    ├── UsageProblem         the command asks for something it may not have     (exit 2)
    ├── EnvironmentProblem   disk, path, rights, missing or wrong binaries      (exit 3)
    └── ServerProblem        the database answers badly or not at all           (exit 4)
"""

from __future__ import annotations


class DatabaseProblem(Exception):
    """Something about the database stops the command; ``code`` is stable, the rest is French."""

    exit_code = 4

    def __init__(self, code: str, what: str, why: str = "", do: str = "") -> None:
        """Carry what happened, why, and what to do about it."""
        self.code = code
        self.what = what
        self.why = why
        self.do = do
        super().__init__(f"{code}: {what} {why} {do}".strip())


class UsageProblem(DatabaseProblem):
    """The command asks for something that it may not have."""

    exit_code = 2


class EnvironmentProblem(DatabaseProblem):
    """Disk, path, rights, or PostgreSQL's programs are not as they must be."""

    exit_code = 3


class ServerProblem(DatabaseProblem):
    """The server does not start, does not answer, or refuses what it must allow."""

    exit_code = 4
