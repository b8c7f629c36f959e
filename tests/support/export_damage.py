"""Audit exports damaged on purpose, and what verify.py finds in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from releve.security.ledger import verify
from support.export_bytes import Ledger, canonical, write_zip

Members = dict[str, bytes]
"""The files of an export, by name."""
Found = set[tuple[str, int | None]]
"""Each problem's kind, and its position in the log."""
VKEY = Ledger().vkey


def check(path: Path, members: Members, **options: Any) -> dict[str, Any]:
    """What verify.py says of an export, with the log's key unless told otherwise."""
    options.setdefault("vkeys", [VKEY])
    return verify.verify_export(str(write_zip(path / "export.zip", members)), **options)


def found(result: dict[str, Any]) -> Found:
    """What a verifier named, and where."""
    return {(p["kind"], p["position"]) for p in result["problems"]}


def flipped(raw: bytes, at: int, bit: int = 1) -> bytes:
    """The bytes with one bit changed in one of them."""
    return raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]


def edit(members: Members, name: str, change: Callable[[bytes], bytes]) -> Members:
    """An export with one file changed."""
    return {**members, name: change(members[name])}


def touch(members: Members, name: str, at: int, bit: int = 1) -> Members:
    """An export with one bit of one file changed."""
    return {**members, name: flipped(members[name], at, bit)}


def edit_json(members: Members, name: str, change: Callable[[Any], None]) -> Members:
    """An export with one JSON file changed in place, and written as the product writes it."""
    value = json.loads(members[name])
    change(value)
    return {**members, name: canonical(value)}


def without(members: Members, *names: str) -> Members:
    """An export without some of its files."""
    return {name: raw for name, raw in members.items() if name not in names}
