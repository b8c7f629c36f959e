"""What ``import`` commands say for a person: counts, then each line that needs a look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def counted(number: int, noun: str) -> str:
    """``1 fichier``, ``2 fichiers``: French counts zero and one as one."""
    return f"{number} {noun}{'s' if number > 1 else ''}"


def import_text(data: Mapping[str, Any], *counts: str) -> str:
    """The report of an import, ``data`` being its JSON: ``counts`` first, then file by file."""
    lines = [", ".join(counts)]
    lines += [f"  déjà reçu : {name}" for name in data["duplicates"]]
    lines += [f"  ✗ {row['file']} {row['path']} : {row['reason']}" for row in data["rejected"]]
    lines += [f"  ! {row['file']} {row['path']} : {row['reason']}" for row in data["warnings"]]
    if data["unmapped"]:
        kept = len(data["unmapped"])
        kept_words = "éléments gardés" if kept > 1 else "élément gardé"
        lines.append(f"  {kept} {kept_words} dans l'original, sans événement")
    return "\n".join(lines)
