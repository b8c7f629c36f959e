"""docs/security.md says what stands in the clear, who may do what and which limits hold.

Columns are read from a migrated database, rights from ``policy.golden``, headers and limits from
the code that applies them. A page that says more, less or otherwise fails here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from releve.api.demo.generator import Sizes
from releve.api.demo.running import build, canaries
from releve.api.frame import (
    BODY_LIMIT,
    CONTENT_SECURITY_POLICY,
    HEADER_LIMIT,
    SECURITY_HEADERS,
    STRICT_TRANSPORT,
    UPLOAD_LIMIT,
)
from releve.api.gate import PUBLIC
from releve.api.routes.bodies import DEPTH_LIMIT, NOTE_LIMIT
from releve.api.services import open_services
from releve.api.settings import Settings
from releve.api.worker import SWEEPING_EVERY_S
from releve.fhir.exact_json import MAX_BYTES
from releve.projections.records import KEPT_S
from releve.security.identity import ABSOLUTE, IDLE
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.keyfile import ARGON2ID
from releve.security.ledger.store import SKEW
from releve.security.policy import (
    GRACE,
    QUESTIONS,
    READING_LEAD_DAYS,
    READING_OPENS,
    ROLES,
    Action,
)
from support.postgres import Database

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).with_name("policy.golden")
Column = tuple[str, str]

FORMS = {"clear", "sealed", "wrapped", "keyed hash", "hash", "header", "mixed"}
"""How a column may stand, in the words of the page's legend."""
OPAQUE = {"sealed", "wrapped", "keyed hash", "hash"}
"""Forms that only bytes can have: a text column of one of them would be a lie."""

# What stands in the clear


def rows(name: str) -> list[list[str]]:
    """The cells of the table under a marker ``<!-- name: … -->``, head and rule left out."""
    found = re.search(rf"<!-- {name}:.*?-->\n((?:\|.*\n)+)", PAGE)
    assert found is not None, f"no table {name!r} on the page"
    lines = found[1].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def told() -> dict[Column, tuple[str, str]]:
    """(table, column) -> (form, why), as the page has it."""
    found: dict[Column, tuple[str, str]] = {}
    for table, columns, form, why in rows("columns"):
        for column in re.findall(r"`(\w+)`", columns):
            key = (table.strip("`"), column)
            assert key not in found, f"{key} stands twice"
            found[key] = (form, why)
    return found


def held(database: Database) -> dict[Column, str]:
    """(table, column) -> type, of every table that this product makes; partitions are one table."""
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute(
            "SELECT n.nspname || '.' || c.relname, a.attname,"
            "       format_type(a.atttypid, a.atttypmod)"
            " FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition"
            " AND a.attnum > 0 AND NOT a.attisdropped"
            " AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
        ).fetchall()
    return {(table, column): kind for table, column, kind in found}


@pytest.mark.postgres
def test_every_column_of_the_database_has_its_line_and_no_other_has_one(database: Database) -> None:
    assert sorted(told()) == sorted(held(database))


@pytest.mark.postgres
def test_each_line_says_how_the_column_stands_and_why(database: Database) -> None:
    kinds = held(database)
    for column, (form, why) in told().items():
        assert form in FORMS, column
        assert len(why) > 10, column
        assert form not in OPAQUE or kinds[column] == "bytea", column
        assert kinds[column] != "bytea" or form != "clear" or "bytes of" in why, column


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> tuple[Database, list[str]]:
    """A database with a small demo centre, somebody signed in, and the words it must not show."""
    settings = Settings(state_dir=tmp_path / "releve", database_url=database.superuser_url)
    with open_services(settings) as services:
        seeded, _ = build(services, Sizes(patients=30, weeks=3), lambda share, said: None)
        assert seeded is not None
        services.identity.sessions.open(services.persona("present").persona)
        services.settled()
    return database, canaries(seeded, set())


@pytest.mark.postgres
@pytest.mark.slow
def test_no_column_holds_a_name_an_identifier_or_a_rare_word(
    filled: tuple[Database, list[str]],
) -> None:
    """As text, and as the bytes of every ``bytea``; the whole dump is another test's."""
    database, words = filled
    assert len(words) > 60
    needles = [word.lower().encode() for word in words]
    empty = []
    with psycopg.connect(database.owner_url) as connection:
        for table, column in held(database):
            schema, _, name = table.partition(".")
            found = connection.execute(
                sql.SQL("SELECT {} FROM {}").format(
                    sql.Identifier(column), sql.Identifier(schema, name)
                )
            ).fetchall()
            values = b"\0".join(_bytes(value) for (value,) in found if value is not None)
            if not values:
                empty.append(table)
            shown = [word for word in needles if word in values.lower()]
            assert shown == [], f"{table}.{column}"
    # Without rows the loop proves nothing of a table.
    assert set(empty) <= {"ledger.attachment", "projection.parked", *_SOMETIMES_EMPTY}


_SOMETIMES_EMPTY = {"ledger.tile", "keys.data_key", "ledger.head", "projection.feed",
                    "projection.access", "projection.directory"}  # fmt: skip
"""No full tile in 256 events; nullable columns of the others; nobody read anything yet."""


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


# Who may do what


class Right(NamedTuple):
    """One line of the golden table, its bit mask left out."""

    role: str
    action: str
    slot: str
    rule: str
    owed: frozenset[str]
    condition: str


def rights() -> list[Right]:
    """Every line of the golden table."""
    found = []
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        said = re.fullmatch(r"(\S+) (\S+) (\S+): (\S+) if (.+) #[0-9a-f]+", line)
        assert said is not None, line
        role, action, slot, outcome, when = said.groups()
        rule, *owed = outcome.split("+")
        flags = {flag for each in when.split(" | ") for flag in each.split("+")}
        condition = " and ".join(sorted(flags - {"centre", "always"}))
        found.append(Right(role, action, slot, rule, frozenset(owed), condition))
    return found


def test_the_table_of_roles_is_the_policys() -> None:
    assert rows("roles") == rendered_roles()


def rendered_roles() -> list[list[str]]:
    """One row a rule: who it serves, when it holds, what it allows, what it owes.

    Rules that serve two roles alike share a row; what everybody signed in may do stands first.
    """
    rules: dict[tuple[str, str, str, str], dict[str, set[str]]] = {}
    for right in rights():
        owed = ", ".join(sorted(right.owed - {"trace"})) or "–"
        row = rules.setdefault(
            (right.role, right.rule, right.condition, owed), {"slots": set(), "actions": set()}
        )
        row["slots"].add(right.slot)
        row["actions"].add(right.action)
    alike: dict[tuple[str, ...], list[str]] = {}
    for (role, rule, condition, owed), row in rules.items():
        ordered = [action.value for action in Action if action.value in row["actions"]]
        when = _phases(row["slots"]) + (f", if {condition}" if condition else "")
        may = ", ".join(f"`{action}`" for action in ordered)
        alike.setdefault((f"`{rule}`", when, may, owed), []).append(role)
    shown = [
        ["all" if set(who) == set(ROLES) else ", ".join(sorted(who, key=ROLES.index)), *cells]
        for cells, who in alike.items()
    ]
    return sorted(shown, key=lambda cells: cells[0] != "all")


_PHASES = {
    "before-opening": "earlier", "at-opening": "reading", "before-start": "reading",
    "at-start": "in post", "at-end": "in post", "after-end": "grace", "at-72h": "grace",
    "after-72h": "questions", "at-14d": "questions", "after-14d": "later",
}  # fmt: skip


def _phases(slots: set[str]) -> str:
    assert slots <= set(_PHASES)
    phases = list(dict.fromkeys(_PHASES[slot] for slot in _PHASES if slot in slots))
    return "always" if len(phases) == len(set(_PHASES.values())) else ", ".join(phases)


def test_what_is_traced_is_what_the_page_says() -> None:
    traced = {right.action for right in rights() if "trace" in right.owed}
    said = re.search(r"Owe a trace whoever asks: (.+?)\.\n", PAGE)
    assert said is not None
    assert set(re.findall(r"`([a-z.-]+)`", said[1])) == traced


def test_what_no_role_may_do_is_named() -> None:
    granted = {right.action for right in rights()}
    said = re.search(r"No role is granted: (.+?)\.\n", PAGE)
    assert said is not None
    assert set(re.findall(r"`([a-z.-]+)`", said[1])) == {a.value for a in Action} - granted


def test_the_windows_are_the_policys() -> None:
    assert rows("windows") == [
        ["reading", f"{READING_OPENS:%H:%M} on day {-READING_LEAD_DAYS}, civil time of the centre",
         "the start"],
        ["in post", "the start", "the end, or the moment the stint was ended"],
        ["grace", "the end", f"{_hours(GRACE.total_seconds())} elapsed after it"],
        ["questions", f"{_hours(GRACE.total_seconds())} after the end",
         f"{QUESTIONS.days} days elapsed after it"],
        ["closed", "before and after all that", "–"],
    ]  # fmt: skip


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h"


# The web


def test_the_headers_are_those_of_every_answer() -> None:
    sent = {
        **SECURITY_HEADERS,
        "Strict-Transport-Security": STRICT_TRANSPORT,
        "Cache-Control": "no-store",
    }
    sent["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    assert {name.strip("`"): value.strip("`") for name, value, _ in rows("headers")} == sent


def test_what_answers_without_a_session_is_the_closed_list() -> None:
    said = re.search(r"Without a session answer: (.+?)\.\n", PAGE)
    assert said is not None
    assert set(re.findall(r"`([^`]+)`", said[1])) == PUBLIC


def test_the_limits_are_the_codes_own() -> None:
    memory_kib, passes, lanes = ARGON2ID
    kept = {name: each.default for name, each in signature(DataKeys).parameters.items()}
    life, idle = _minutes(kept["lifetime"]), _minutes(kept["idle"])
    assert [[name, value] for name, value, _ in rows("limits")] == [
        ["body of a request", _mib(BODY_LIMIT)],
        ["document sent to the inbox", _mib(UPLOAD_LIMIT)],
        ["headers of a request", f"{HEADER_LIMIT // 1024} KiB"],
        ["one text in a JSON body", f"{NOTE_LIMIT // 1024} KiB"],
        ["depth of a JSON body", f"{DEPTH_LIMIT} levels"],
        ["imported file", _mib(MAX_BYTES)],
        ["session, idle", _minutes(IDLE)],
        ["session or demo token, in all", _hours(ABSOLUTE.total_seconds())],
        ["opened data keys in memory", f"{kept['capacity']:,}, for {life}, {idle} idle"],
        [
            "a centre's opened rows in memory",
            f"{KEPT_S / 60:.0f} min idle, looked at every {SWEEPING_EVERY_S:.0f} s",
        ],
        ["clock of an append", f"{SKEW.total_seconds():g} s from the database's"],
        ["Argon2id", f"{memory_kib // 1024} MiB, {passes} passes, {lanes} lanes"],
    ]


def _minutes(delay: timedelta) -> str:
    return f"{delay.total_seconds() / 60:g} min"


def _mib(size: int) -> str:
    return f"{size // (1024 * 1024)} MiB"


def test_every_named_test_of_the_page_exists() -> None:
    named: Sequence[str] = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
