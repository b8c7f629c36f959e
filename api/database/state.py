"""The state directory: keys, settings, the embedded database, and who is working in it.

::

    VERSION          format of this directory; a directory that has none is not ours
    lock             held shared by every command while it works
    database.json    passwords of the database's roles, 0600
    keys/            key files (releve.security.keys)
    pg/              the embedded cluster (releve.api.database.embedded, .supervisor)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from releve.api.database.account import account
from releve.api.database.embedded import explained, new_password
from releve.api.database.problems import EnvironmentProblem, ServerProblem, UsageProblem

FORMAT = "1"
"""What ``VERSION`` holds."""

_UNFINISHED = ".VERSION.new"


class StateDirectory:
    """A state directory that exists and is ours."""

    def __init__(self, path: Path) -> None:
        """Name a directory that :func:`open_state` has checked."""
        self.path = path

    @property
    def keys(self) -> Path:
        """Where key files live."""
        return self.path / "keys"

    @property
    def pg(self) -> Path:
        """Where the embedded cluster lives."""
        return self.path / "pg"

    @property
    def lock(self) -> Path:
        """The file that each command holds shared while it works."""
        return self.path / "lock"

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Hold the shared lock: the database is not stopped and not removed meanwhile.

        A directory that was emptied since it was opened is made again first.
        """
        while (descriptor := self._shared()) is None:
            open_state(self.path)
        try:
            yield
        finally:
            os.close(descriptor)

    def _shared(self) -> int | None:
        """The lock file, locked; None where a reset took it, or all else, away meanwhile."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_at(descriptor, self.lock) and (self.path / "VERSION").exists():
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def passwords(self) -> dict[str, str]:
        """Read the roles' passwords; the first time, make them.

        ``installation`` among them is no password: it tells this installation's logins from
        another's on a shared server.

        Raises:
            EnvironmentProblem: the file is missing although a cluster exists, or is damaged.
        """
        file = self.path / "database.json"
        with _alone_in(self.path):
            try:
                read = json.loads(file.read_bytes())
            except FileNotFoundError:
                if (self.pg / "data").exists():
                    raise EnvironmentProblem(
                        "state-incomplete",
                        f"{file} a disparu.",
                        "Il contient les mots de passe de la base qui est dans pg/.",
                        "Le remettre depuis une sauvegarde.",
                    ) from None
                read = {
                    name: new_password()
                    for name in ("postgres", "releve_owner", "releve_service", "releve_worker")
                }
                read["installation"] = new_password()[:8]
                try:
                    _write_durably(file, json.dumps(read, indent=1) + "\n")
                except OSError as failed:
                    raise explained(failed, self.path) from failed
            except ValueError as damaged:
                raise EnvironmentProblem(
                    "state-damaged",
                    f"{file} est illisible.",
                    "Ce n'est pas du JSON.",
                    "Le remettre depuis une sauvegarde.",
                ) from damaged
        return {str(name): str(value) for name, value in read.items()}


def open_state(path: Path, *, create: bool = True) -> StateDirectory:
    """Open a state directory; an absent or empty one is made, mode 0700.

    The mode and owner of a directory that exists are never changed.

    Raises:
        EnvironmentProblem: not ours (not empty, no VERSION), a later format, or not writable.
    """
    path = Path(os.path.abspath(path.expanduser()))
    try:
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
                _own(path)
        path = path.resolve(strict=True)
        with _alone_in(path):
            _check_or_mark(path, create=create)
            state = StateDirectory(path)
            if not state.keys.exists():
                state.keys.mkdir(mode=0o700)
            if not state.pg.exists():
                state.pg.mkdir(mode=0o700)
                _own(state.pg)
    except FileNotFoundError as absent:
        raise EnvironmentProblem(
            "state-absent",
            f"Le dossier d'état {path} n'existe pas.",
            "Aucune commande ne l'a encore créé.",
            "Lancer `releve demo` ou `releve db start`, ou corriger --state-dir.",
        ) from absent
    except (PermissionError, NotADirectoryError) as refused:
        raise EnvironmentProblem(
            "state-unwritable",
            f"Le dossier d'état {path} ne peut pas servir.",
            "Il n'est pas accessible en lecture et en écriture, ou n'est pas un dossier.",
            "Choisir un autre dossier par --state-dir.",
        ) from refused
    except OSError as failed:
        raise explained(failed, path) from failed
    return state


def reset(path: Path) -> None:
    """Empty a state directory that is ours; an absent or empty one is left as it is.

    Everything is destroyed, keys included. The embedded server must have been stopped:
    ``supervisor.stop_and_reset`` does both.

    Raises:
        EnvironmentProblem: the directory holds something and has no VERSION.
        UsageProblem: a command is working in it.
    """
    path = Path(os.path.abspath(path.expanduser()))
    if not path.exists() or not any(path.iterdir()):
        return
    path = path.resolve()
    if not (path / "VERSION").is_file():
        raise _not_ours(path)
    with _alone_in(path), exclusive(path / "lock") as alone:
        if not alone:
            raise UsageProblem(
                "state-busy",
                f"Le dossier d'état {path} est en cours d'utilisation.",
                "Une autre commande de Relève y travaille.",
                "L'arrêter, puis relancer avec --reset.",
            )
        for entry in sorted(path.iterdir(), key=lambda each: each.name == "VERSION"):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


@contextlib.contextmanager
def exclusive(lock: Path, *, patience_s: float = 0.5) -> Iterator[bool]:
    """Try to hold a lock file alone; yields whether that succeeded within the patience."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience_s
        while not (got := try_lock(descriptor, fcntl.LOCK_EX)) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield got
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, kind: int) -> bool:
    """Take a lock now or tell that somebody else holds it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether a path still names the file that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _own(path: Path) -> None:
    """Give a new directory to PostgreSQL's account, where there is a way to run it at all."""
    with contextlib.suppress(EnvironmentProblem):
        account().own(path)


def _check_or_mark(path: Path, *, create: bool) -> None:
    mark = path / "VERSION"
    if mark.exists():
        found = mark.read_text().strip()
        if found != FORMAT:
            raise EnvironmentProblem(
                "state-version",
                f"Le dossier d'état {path} est au format {found or 'inconnu'}.",
                f"Cette version de Relève lit le format {FORMAT}.",
                "Installer la version de Relève qui va avec ce dossier.",
            )
        return
    # A command that came while it was emptied leaves a lock, and nothing else.
    if any(entry.name not in (_UNFINISHED, "lock") for entry in path.iterdir()):
        raise _not_ours(path)
    if not create:
        raise FileNotFoundError(path)
    _write_durably(mark, FORMAT + "\n", unfinished=path / _UNFINISHED)


def _not_ours(path: Path) -> EnvironmentProblem:
    return EnvironmentProblem(
        "state-foreign",
        f"{path} n'est pas un dossier d'état de Relève.",
        "Il n'est pas vide et n'a pas de fichier VERSION.",
        "Choisir par --state-dir un dossier absent ou vide.",
    )


@contextlib.contextmanager
def _alone_in(path: Path) -> Iterator[None]:
    """Let one process at a time make or check what is in the directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + 30
        while not try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise ServerProblem(
                    "state-busy",
                    f"Le dossier d'état {path} reste verrouillé.",
                    "Une autre commande de Relève le prépare ou l'efface.",
                    "Attendre qu'elle finisse, puis relancer.",
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _write_durably(file: Path, text: str, *, unfinished: Path | None = None) -> None:
    """Write a private file whole or not at all, and keep it through a power cut."""
    unfinished = unfinished or file.with_name(f".{file.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.rename(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
