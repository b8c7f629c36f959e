"""What ``releve demo --check`` counts and proves once the demo centre stands."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.api.cli.acts import briefing, fhir_of, issue_current
from releve.api.demo import people
from releve.api.demo.acts import Sizes
from releve.domain.commands import OpenBriefing
from releve.domain.events import Author
from releve.domain.requests import CommandContext
from releve.fhir import exact_json, ips_checker
from releve.fhir.summary import document
from releve.projections import records
from releve.projections.editions import Edition
from releve.security.ledger.verification import verify_database

if TYPE_CHECKING:
    from releve.api.demo.seeding import Seeded
    from releve.api.services import Services


def examine(services: Services, sizes: Sizes, seeded: Seeded | None) -> tuple[dict[str, Any], bool]:
    """The contract's object without ``seconds``, and whether everything holds."""
    from releve.api.demo.running import built_monday, canaries, write_canaries
    from releve.api.demo.seeding import recounted

    counted = seeded or recounted(services, sizes, built_monday(services.settings))
    now = services.clock()
    directory = services.directory.load()
    edition = _edition(services)
    topics = Counter(counted.topics) + _own_acts(services, edition)
    items = records.count_items(services.pool, services.data_keys, directory, now)
    fhir = _fhir(services)
    size = services.settled()
    ledger = verify_database(services.pool, [services.signer.vkey])
    path = services.settings.state_dir / "canaries.txt"
    write_canaries(path, canaries(counted, _own_words() | _database_words(services)))
    data = {
        "patients": counted.patients,
        "stints": counted.stints,
        "consultations": counted.consultations,
        "events": sum(topics.values()),
        "position": size - 1,
        "as_of": now.isoformat(),
        "topics": dict(sorted(topics.items())),
        "sizes_asked": asdict(sizes),
        "briefing": {
            "stint": str(edition.stint),
            "edition": str(edition.edition),
            "sha256": edition.sha256,
            "patients": edition.ranked,
            "words": edition.words(),
            "tiers": {**edition.head["tiers"], "T5": edition.head["t5"]},
        },
        "open_items": items.open,
        "overdue": items.overdue,
        "orphan_open_items": items.orphans,
        "ledger": {
            "size": ledger["size"],
            "root": ledger["root"],
            "verified": ledger["verified"],
            "problems": ledger["problems"][:20],
        },
        "fhir": fhir,
        "sizes": {"database_bytes": _database_bytes(services)},
        "canaries": str(path),
    }
    ok = ledger["verified"] and not items.orphans and not fhir["invalid"]
    return data, ok


def _edition(services: Services) -> Edition:
    """The first edition of the stint in post (of the first centre)."""
    directory = services.directory.load()
    now = services.clock()
    for centre in sorted(directory.centres.values(), key=lambda each: each.finess):
        for line in directory.in_post(centre.centre, now):
            kept = services.editions.of_stint(line.stint)
            found = services.editions.replay(edition=kept[0][0]) if kept else None
            return found or issue_current(services, line.stint)
    raise RuntimeError("the demo has no stint in post at its own time")


def _own_acts(services: Services, edition: Edition) -> Counter[str]:
    """What the check itself does with the demo: its doctor opens the briefing, one is read and one
    record exported, each written down like any other; one more of the same makes no difference.
    """
    directory = services.directory.load()
    line = directory.stint(edition.stint)
    if line is None:
        raise RuntimeError("the edition's stint is not in the directory")
    author = Author(
        role="doctor", name=line.practitioner_name, person=line.practitioner, stint=line.stint
    )
    context = CommandContext(
        author=author,
        now=services.clock.for_write(),
        key=people.request_key(0, "check", str(edition.edition)),
        actor=b"demo-check",
        centre=line.centre,
    )
    services.continuity.execute(OpenBriefing(edition=edition.edition), context, target=line.stint)
    briefing(services, stint=None, finess=None, edition=edition.edition, position=None, at=None)
    centre = directory.centres[line.centre]
    patient = min(services.records.summaries(centre.centre)[1])
    fhir_of(services, patient, everything=False)
    in_post = sum(
        len(list(directory.in_post(each.centre, services.clock())))
        for each in directory.centres.values()
    )
    return Counter({
        "stint.briefing-issued": in_post,
        "stint.briefing-opened": 1,
        "access.record-read": 1,
        "access.exported": 1,
    })  # fmt: skip


def _fhir(services: Services) -> dict[str, int]:
    """Build every patient's summary and judge it as a foreign one would be judged."""
    resources = summaries = invalid = 0
    directory = services.directory.load()
    for centre in directory.centres.values():
        for patient in services.records.summaries(centre.centre)[1]:
            whole = records.read_patient(services.pool, services.data_keys, patient)
            if whole is None:
                continue
            bundle = document(whole.summary, centre)
            summaries += 1
            entries = [entry["resource"] for entry in bundle["entry"]]
            resources += len(entries)
            parsed = exact_json.parse(exact_json.dump(bundle))
            invalid += bool(ips_checker.check(parsed))  # R4 structure is its first rule
    return {"resources": resources, "summaries": summaries, "invalid": invalid}


def _database_bytes(services: Services) -> int:
    with services.pool.connection() as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


_ANY_WORD = re.compile(r"[^\W\d_]{4,}", re.UNICODE)


_PRODUCT = {"checking.py", "personas.py", "progress.py", "running.py", "seeding.py"}
"""The demo's modules that are the product's; the others hold its people and their notes."""


def _own_words() -> set[str]:
    """Every word of the product's own schema, code and messages, the demo's people aside."""
    import releve

    root = Path(releve.__file__).parent
    words: set[str] = set()
    # In a source tree the sub-packages are links, which rglob does not follow.
    paths = [path for folder in root.iterdir() for path in folder.resolve().rglob("*")]
    for path in sorted(paths):
        if "demo" in path.parts[-3:-1] and path.name not in _PRODUCT:
            continue
        if path.suffix not in {".py", ".sql", ".html", ".json", ".css", ".js", ".svg"}:
            continue
        text = path.read_text(encoding="utf-8")
        words.update(word.lower() for word in _ANY_WORD.findall(text))
    return words


def _database_words(services: Services) -> set[str]:
    """Every word of PostgreSQL's own names and descriptions."""
    with services.pool.connection() as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class UNION SELECT proname FROM pg_proc"
            " UNION SELECT attname FROM pg_attribute UNION SELECT description FROM pg_description"
            " UNION SELECT word FROM pg_get_keywords()"
        ).fetchall()
    return {word.lower() for row in rows for word in _ANY_WORD.findall(str(row[0]))}
