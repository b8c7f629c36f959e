"""The watched folder: files that another program leaves are taken into the inbox.

A file stands in ``FOLDER/<FINESS>/``, or in ``FOLDER`` itself where the installation has one centre
only. It is taken once it has stopped growing, and removed only when its document is durable with
every byte of it; from then on its original is in the ledger, sealed. What cannot be read is moved
to ``refused/`` beside it with the reason. What belongs to no centre (a folder that is no centre's
FINESS, a loose file where there are several) stays and is counted, in the log and by ``releve
doctor``. File names may hold names of patients: none is logged.
"""

from __future__ import annotations

import logging
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from uuid import UUID, uuid4

from releve.api.inbox import receive
from releve.domain.errors import Invalid, Refused
from releve.fhir.document_content import MAX_BYTES

if TYPE_CHECKING:
    from releve.api.services import Services

_log: Final = logging.getLogger("releve.watched")

REFUSED: Final = "refused"
REASON: Final = ".reason.txt"
_TAKEN: Final = ".releve-"
"""How a file is named while it is removed; one that a crash left so is taken as any other."""
_TOO_LARGE: Final = f"Le fichier dépasse {MAX_BYTES // (1024 * 1024)} Mio."


class _Seen(NamedTuple):
    """What a file looked like: when two passes see the same, its writer is done."""

    inode: int
    size: int
    changed_ns: int


class Taken(NamedTuple):
    """What one pass did."""

    received: int
    known: int
    refused: int


class Astray(NamedTuple):
    """What stands in a watched folder and belongs to no centre, so that nobody takes it."""

    folders: int
    files: int

    def __bool__(self) -> bool:
        return bool(self.folders or self.files)


@dataclass
class WatchedFolder:
    """Takes what stands in one folder, pass after pass; one per worker."""

    services: Services
    folder: Path
    _seen: dict[Path, _Seen] = field(default_factory=dict)
    _astray: Astray | None = None

    def run_once(self) -> Taken:
        """Take every file that has not changed since the pass before.

        Two workers on one folder take a file twice and keep one document: the same bytes for the
        same centre are the same.
        """
        done: Counter[str] = Counter()
        seen: dict[Path, _Seen] = {}
        for centre, path in self._files():
            now = _looked_at(path)
            if now is None or not now.size:  # an empty one is about to be written
                continue
            seen[path] = now
            if self._seen.get(path) != now:
                continue
            try:
                done[self._dealt_with(centre, path, now)] += 1
            except FileNotFoundError:
                continue  # another worker was quicker
            except OSError as error:  # one file that cannot be read or removed stops no other
                _log.warning("left where it is: %s", type(error).__name__)
            else:
                del seen[path]
        self._seen = seen
        self._tell_astray()
        taken = Taken(done["received"], done["known"], done["refused"])
        if any(taken):
            _log.info("taken: %d new, %d known, %d refused", *taken)
        return taken

    def _dealt_with(
        self, centre: UUID, path: Path, seen: _Seen
    ) -> Literal["received", "known", "refused"]:
        try:
            known = self._take(centre, path, seen)
        except (Invalid, Refused) as error:
            _set_aside(path, error.why or error.what)
            return "refused"
        return "known" if known else "received"

    def _take(self, centre: UUID, path: Path, seen: _Seen) -> bool:
        if seen.size > MAX_BYTES:
            raise Invalid("document-unreadable", why=_TOO_LARGE)
        raw = _read(path)
        found = receive(self.services, raw, centre=centre, door="watched", name_hint=path.name)
        _remove(path, seen)  # the document is durable with these bytes; the clear copy goes
        return all(each.known for each in (found, *found.others))

    def _files(self) -> Iterator[tuple[UUID, Path]]:
        """(centre, file) of what stands in the folder; hidden files are another program's own."""
        for entry, centre in _entries(self.services, self.folder):
            if centre is None:
                continue
            if entry.is_dir():
                for path in sorted(entry.iterdir()):
                    if not _passed_over(path):
                        yield centre, path
            else:
                yield centre, entry

    def _tell_astray(self) -> None:
        """Once for each change, not at every pass."""
        found = astray(self.services, self.folder)
        if found and found != self._astray:
            _log.warning(
                "of no centre, left: %d folders that are no FINESS, %d loose files",
                found.folders,
                found.files,
            )
        self._astray = found


def astray(services: Services, folder: Path) -> Astray:
    """How many folders and files of a watched folder belong to no centre of this installation."""
    left = [entry for entry, centre in _entries(services, folder) if centre is None]
    folders = sum(entry.is_dir() and not entry.is_symlink() for entry in left)
    return Astray(folders, len(left) - folders)


def _entries(services: Services, folder: Path) -> Iterator[tuple[Path, UUID | None]]:
    """(what stands in the folder itself, whose it is); links are nobody's."""
    centres = services.directory.load().centres
    only = next(iter(centres)) if len(centres) == 1 else None
    by_finess = {entry.finess: entry.centre for entry in centres.values()}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _passed_over(entry):
            continue
        if entry.is_symlink():
            yield entry, None
        elif entry.is_dir():
            yield entry, by_finess.get(entry.name)
        else:
            yield entry, only


def _passed_over(path: Path) -> bool:
    """Hidden files are another program's own, unless we were about to remove them."""
    hidden = path.name.startswith(".") and not path.name.startswith(_TAKEN)
    return hidden or path.name == REFUSED


def _looked_at(path: Path) -> _Seen | None:
    """The file as it is now; None for what is no plain file (a link could lead anywhere)."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _Seen(found.st_ino, found.st_size, found.st_mtime_ns)


def _read(path: Path) -> bytes:
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(opened, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _remove(path: Path, seen: _Seen) -> None:
    """Remove a file that still is what was read; a newer one of its name stays for the next pass.

    Looked at again under a name of its own, where nobody can put another file in between.
    """
    if _looked_at(path) != seen:
        return
    alone = path.with_name(f"{_TAKEN}{uuid4().hex}{path.suffix}")
    path.rename(alone)
    if _looked_at(alone) == seen:
        alone.unlink()


def _set_aside(path: Path, why: str) -> None:
    """Move a file out of the way, its reason beside it; an older one of that name stays."""
    aside = path.parent / REFUSED
    aside.mkdir(mode=0o700, exist_ok=True)
    name, number = path.name, 0
    while not _told(aside, name, why):
        number += 1
        name = f"{number}-{path.name}"
    try:
        path.rename(aside / name)
    except OSError:
        (aside / (name + REASON)).unlink()
        raise


def _told(aside: Path, name: str, why: str) -> bool:
    """Write the reason first, which keeps the name for us; False where the name is taken."""
    if (aside / name).exists():
        return False
    try:
        with (aside / (name + REASON)).open("x", encoding="utf-8") as reason:
            reason.write(why + "\n")
    except FileExistsError:
        return False
    return True
