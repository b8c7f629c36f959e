"""Sign a release of the briefing's rules: writes ``<release>.sig`` beside ``<release>.json``.

    python deploy/sign_rules.py projections/rules/2026-11-2.json --key /path/to/rules.key
    python deploy/sign_rules.py --new-key /path/to/rules.key

The key file holds 32 bytes in hexadecimal and is the maintainer's alone: it stands in no
repository, and a new one asks for the vkey printed here to be pinned in
``projections/rule_release.py``. A release that has been activated anywhere is never signed again.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

from releve.security.signed_release import sign_release

SIGNER = "releve-rules"


def main(arguments: list[str] | None = None) -> int:
    """Sign, or make a key; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", nargs="?", type=Path, help="the JSON file of the release")
    parser.add_argument("--key", type=Path, help="file with the private key, 64 hex digits")
    parser.add_argument("--new-key", type=Path, help="write a new private key there")
    given = parser.parse_args(arguments)
    if given.new_key is not None:
        handle = os.open(given.new_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
        return 0
    if given.release is None or given.key is None:
        parser.error("a release and --key, or --new-key")
    seed = bytes.fromhex(given.key.read_text(encoding="ascii").strip())
    note, vkey = sign_release(seed, SIGNER, given.release.stem, given.release.read_bytes())
    given.release.with_suffix(".sig").write_text(note, encoding="utf-8")
    sys.stdout.write(f"{vkey}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
