"""Briefing editions: what a doctor was shown, kept so that it can be shown again byte for byte.

An edition is ranked and its cards are built once. Each card's bytes are sealed under its patient's
key and kept beside the log; a manifest binds them in order (docs/formats.md §2) and its hash goes
into ``stint.briefing-issued``. Replaying opens the kept bytes: no rule, template, amendment or
rebuild changes them, and an erased patient leaves a grey line under a manifest that still holds.
"""

from __future__ import annotations

import base64
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from releve.domain.errors import NotFound, Tampered
from releve.projections.briefing import (
    Card,
    Viewpoint,
    build_card,
    card_bytes,
    is_needed,
    rank,
    viewpoint,
)
from releve.projections.directory import CentreEntry, Directory, StintLine
from releve.projections.edition import Edition
from releve.projections.edition_frame import (
    Intake,
    alarms_of,
    counted_words,
    frame_of,
    intake_alarms,
    issued_head,
)
from releve.projections.overtaken_cards import is_overtaken
from releve.projections.projected_rows import GENERATION
from releve.projections.ranking import documents_to_validate
from releve.projections.records import KEPT_S, CentreRecords
from releve.projections.rule_release import in_force, load_rules
from releve.projections.since_last_stay import centre_counts
from releve.security.errors import KeyDestroyed, SecurityError
from releve.security.keys.data_keys import DataKeys, KeyId
from releve.security.keys.sealed_rows import edition_mac, open_row, seal_row

__all__ = ["Edition", "Editions", "issue_briefing_data"]


class _Opened(NamedTuple):
    """An edition in memory, what its rows add up to, and until when it may serve."""

    edition: Edition
    mark: tuple[Any, ...]
    until: float


_OPENED_AT_ONCE: Final = 8


class Editions:
    """Issues editions and gives them back."""

    def __init__(
        self,
        pool: ConnectionPool[Any],
        data_keys: DataKeys,
        records: CentreRecords,
        known_at: Callable[[datetime], int],
        *,
        release: str | None = None,
        intake: Callable[[UUID, datetime], Intake] | None = None,
    ) -> None:
        """Take a pool of the service role, keys, opened records and ``LedgerReader.known_at``.

        New editions are ranked with the rules of ``release``, else with those that were activated.
        ``intake`` says what a centre's inbox holds at a moment.
        """
        self._pool = pool
        self._data_keys = data_keys
        self._records = records
        self._known_at = known_at
        self._release = release
        self._intake = intake
        self._in_memory: OrderedDict[UUID, _Opened] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, directory: Directory, stint: UUID, now: datetime) -> Edition:
        """The edition that stands now: the newest kept one if its cards are the same, else new.

        Where the answer is ``fresh``, the caller has ``stint.briefing-issued`` written (command
        ``issue-briefing``) with :func:`issue_briefing_data`, under an idempotency key made of the
        edition's id; a retry of either half changes nothing.

        Raises:
            NotFound: no such stint, or its centre is unknown.
            KeyServiceDown: try again.
        """
        line = directory.stint(stint)
        centre = directory.centre(line.centre) if line else None
        if line is None or centre is None:
            raise NotFound
        view = self._view(directory, line, centre, now)
        release = self._in_force(directory)
        frame = self._frame(directory, centre, line, view, now, release)
        standing = self._standing(line, view, release, frame)
        if standing is not None:
            return standing
        position, cards, tiers, told = self._built(directory, centre, view, release)
        keys = self._keys(stint, [patient for patient, _ in cards])
        cards = [each for each in cards if (each[0], GENERATION) in keys]
        patients = [patient for patient, _ in cards]
        macs = [
            [patient.hex, base64.b64encode(edition_mac(keys[patient, GENERATION], card)).decode()]
            for patient, card in cards
        ]
        for _ in range(3):
            newest = self.newest(stint)
            if newest is not None and newest.position > position:
                # Issued meanwhile from later records: an older state must not follow it.
                return replace(newest, fresh=not _told(line, newest))
            said = ("alarms", "messages")
            if (
                newest is not None
                and _cards_of(newest.manifest) == macs
                and all(newest.head.get(name) == frame[name] for name in said)
            ):
                return replace(newest, fresh=not _told(line, newest))
            number = newest.number + 1 if newest else 1
            issued = newest.issued_at if newest else None
            head = frame | issued_head(centre, number, now, tiers, told, issued, release)
            edition = Edition(
                edition=uuid5(stint, f"edition {number}"),
                stint=stint,
                number=number,
                position=position,
                rule_release=release,
                issued_at=now.astimezone(UTC),
                head=head,
                patients=tuple(patients),
                cards=tuple(card for _, card in cards),
                manifest=_manifest(macs, position, release),
                fresh=True,
            )
            if self._kept(edition, {name[0]: key for name, key in keys.items()}):
                return edition
        raise psycopg.errors.SerializationFailure("another edition was issued each time")

    def newest(self, stint: UUID) -> Edition | None:
        """The newest edition of a stint, or None."""
        return self._found(_NEWEST, (stint,))

    def replay(
        self,
        *,
        edition: UUID | None = None,
        stint: UUID | None = None,
        position: int | None = None,
        at: datetime | None = None,
    ) -> Edition | None:
        """A kept edition: by its id, or a stint's last one up to a position or a moment.

        None when there is none. Byte for byte what was issued, whatever happened since.

        Raises:
            Tampered: kept bytes do not match the manifest.
            KeyServiceDown: try again.
        """
        if edition is not None:
            return self._found(_BY_ID, (edition,))
        if stint is None:
            return None
        if position is not None:
            return self._found(_UP_TO, (stint, position))
        if at is not None:
            return self._found(_AT, (stint, at))
        return self.newest(stint)

    def of_stint(self, stint: UUID) -> list[tuple[UUID, int, int, datetime]]:
        """(edition, number, position, issued_at) of every edition of a stint, oldest first."""
        with self._pool.connection() as connection:
            rows = connection.execute(_LISTED, (stint,)).fetchall()
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def arrived(
        self, directory: Directory, edition: Edition, now: datetime, tiers: frozenset[str]
    ) -> list[Card]:
        """Cards, made now, of patients whom the edition's own cards no longer tell safely.

        In briefing order: who has reached one of ``tiers`` since, and whose kept card would mislead
        (:func:`~releve.projections.overtaken_cards.is_overtaken`). They are shown instead of an
        edition's own while it is being read, and kept only in the next one.

        Raises:
            KeyServiceDown: try again.
        """
        line = directory.stint(edition.stint)
        centre = directory.centre(line.centre) if line else None
        if line is None or centre is None:
            return []
        view = self._view(directory, line, centre, now)
        rules = load_rules(self._in_force(directory))
        _, summaries = self._records.summaries(centre.centre)
        newer = [each for each in summaries.values() if each.position > edition.position]
        known = {card["patient"]: card for card in edition.opened() if card is not None}
        found = []
        for each in rank(newer, view, rules):
            kept = known.get(str(each.summary.patient))
            overtaken = is_overtaken(kept, each.summary, edition.position, view)
            if overtaken or each.tier in tiers:
                card = msgspec.json.decode(card_bytes(build_card(each, view, directory, rules)))
                if overtaken or kept is None or _rings(kept) != _rings(card):
                    found.append(card)
        return found

    def _in_force(self, directory: Directory) -> str:
        """The release to rank with: the one given, else the one activated that is carried here."""
        if self._release is not None:
            return self._release
        return in_force(directory.rules.release if directory.rules else None)

    def intake(self, centre: UUID, now: datetime) -> list[str]:
        """What the centre's inbox holds at ``now`` that no card can say, in words."""
        return intake_alarms(self._intake(centre, now)) if self._intake else []

    def _frame(
        self,
        directory: Directory,
        centre: CentreEntry,
        line: StintLine,
        view: Viewpoint,
        now: datetime,
        release: str,
    ) -> dict[str, Any]:
        """The part of the head that says where, for whom, after whom; and what is amiss."""
        with self._pool.connection() as connection:
            found = connection.execute(_PARKED).fetchone()
        parked = int(found[0]) if found else 0
        intake = self._intake(centre.centre, now) if self._intake else Intake()
        return frame_of(directory, centre, line, view) | {
            "parked": parked,
            "rule_release": release,
            "intake": {"unmatched": intake.unmatched, "critical": intake.critical},
            "alarms": alarms_of(directory, centre, view, intake, release),
        }

    def _standing(
        self, line: StintLine, view: Viewpoint, release: str, frame: dict[str, Any]
    ) -> Edition | None:
        """The newest edition, where nothing that it was made of has changed."""
        with self._pool.connection() as connection:
            row = connection.execute(_UNCHANGED, (view.centre, line.stint)).fetchone()
        if row is None or not row[0]:
            return None
        newest = self.newest(line.stint)
        if newest is None or newest.rule_release != release:
            return None
        if frame != {name: newest.head.get(name) for name in frame}:
            return None
        return replace(newest, fresh=not _told(line, newest))

    def _keys(self, stint: UUID, patients: Sequence[UUID]) -> dict[KeyId, bytes]:
        """The keys that seal an edition; a patient erased just now has none."""
        keys: dict[KeyId, bytes] = {}
        names = [(stint, GENERATION), *((patient, GENERATION) for patient in patients)]
        for name, key in self._data_keys.look_up(names).items():
            if isinstance(key, bytes):
                keys[name] = key
            elif not isinstance(key, KeyDestroyed) or name[0] == stint:
                raise key
        return keys

    def seen_from(self, directory: Directory, stint: UUID, now: datetime) -> Viewpoint:
        """From where an edition of a stint looks at ``now``: what a card is built from, besides.

        Raises:
            NotFound: no such stint, or its centre is unknown.
        """
        line = directory.stint(stint)
        centre = directory.centre(line.centre) if line else None
        if line is None or centre is None:
            raise NotFound
        return self._view(directory, line, centre, now)

    def _view(
        self, directory: Directory, line: StintLine, centre: CentreEntry, now: datetime
    ) -> Viewpoint:
        returning = directory.last_stint_before(line.stint) is not None
        seen = self._seen(directory, line)
        return viewpoint(line, centre.zone, now, seen, returning=returning)

    def _seen(self, directory: Directory, line: StintLine) -> int:
        """Up to which position this doctor has read the centre's records, in earlier stints.

        The last briefing that they opened; what they read of one patient later stands in that
        record. Without one, what was known when their last stint here began; for a first stint,
        when the stint before it did.
        """
        own = directory.stints_before(line.stint)
        opened = [
            edition.position
            for each in own
            for edition in each.editions
            if edition.edition in each.opened
        ]
        if opened:
            return max(opened)
        before = own[-1] if own else directory.previous(line.stint)
        return self._known_at(before.starts_at) if before else -1

    def _built(
        self, directory: Directory, centre: CentreEntry, view: Viewpoint, release: str
    ) -> tuple[int, list[tuple[UUID, bytes]], dict[str, int], dict[str, Any]]:
        rules = load_rules(release)
        position, summaries = self._records.summaries(centre.centre)
        ranked = rank(summaries.values(), view, rules)
        tiers = dict.fromkeys(rules.titles(), 0)
        cards = []
        for each in ranked:
            tiers[each.tier] += 1
            if is_needed(each, view, rules):
                card = card_bytes(build_card(each, view, directory, rules))
                cards.append((each.summary.patient, card))
        since = counted_words(centre_counts(summaries.values(), view)) if view.returning else ""
        documents = sum(documents_to_validate(each) for each in summaries.values())
        return position, cards, tiers, {"since": since, "to_validate": documents}

    def _kept(self, edition: Edition, keys: dict[UUID, bytes]) -> bool:
        """Write an edition in one transaction; False when its number was taken meanwhile."""
        number = max(edition.position, 0)
        kind = f"edition/{edition.edition}"
        head = seal_row(
            keys[edition.stint], kind, edition.stint, number, msgspec.json.encode(edition.head)
        )
        cards = [
            seal_row(keys[patient], kind, patient, number, card or b"")
            for patient, card in zip(edition.patients, edition.cards, strict=True)
        ]
        try:
            with self._pool.connection() as connection, connection.transaction():
                connection.execute(
                    _INSERT,
                    (
                        edition.edition,
                        edition.stint,
                        edition.number,
                        edition.position,
                        edition.rule_release,
                        edition.issued_at,
                        edition.manifest,
                        head,
                    ),
                )
                connection.execute(
                    _INSERT_CARDS,
                    (edition.edition, list(range(len(cards))), list(edition.patients), cards),
                )
        except psycopg.errors.UniqueViolation:
            return False
        return True

    def _found(self, statement: str, parameters: Sequence[Any]) -> Edition | None:
        with self._pool.connection() as connection:
            row = connection.execute(statement, parameters).fetchone()
            if row is None:
                return None
            edition, stint, number, position, release, issued_at, manifest, head = row
            mark = (bytes(manifest), connection.execute(_MARK, (edition,)).fetchone())
        # No connection is held while keys are looked up, which takes one.
        kept = self._unchanged(edition, mark)
        if kept is not None:
            return kept
        with self._pool.connection() as connection:
            cards = connection.execute(_CARDS, (edition,)).fetchall()
        names = [(stint, GENERATION), *((card[0], GENERATION) for card in cards)]
        keys = self._data_keys.look_up(names)
        kind = f"edition/{edition}"
        at = max(position, 0)
        stint_key = keys[stint, GENERATION]
        if isinstance(stint_key, SecurityError):
            raise stint_key
        listed = _cards_of(manifest)
        opened: list[bytes | None] = []
        for patient, body in cards:
            key = keys[patient, GENERATION]
            if isinstance(key, KeyDestroyed):
                opened.append(None)
                continue
            if isinstance(key, SecurityError):
                raise key
            card = open_row(key, kind, patient, at, body)
            mac = base64.b64encode(edition_mac(key, card)).decode()
            if len(opened) >= len(listed) or listed[len(opened)] != [patient.hex, mac]:
                raise Tampered("edition-altered")
            opened.append(card)
        if len(opened) != len(listed):
            raise Tampered("edition-altered")
        found = Edition(
            edition=edition,
            stint=stint,
            number=number,
            position=position,
            rule_release=release,
            issued_at=issued_at.astimezone(UTC),
            head=msgspec.json.decode(open_row(stint_key, kind, stint, at, head)),
            patients=tuple(card[0] for card in cards),
            cards=tuple(opened),
            manifest=bytes(manifest),
        )
        with self._lock:
            self._in_memory[edition] = _Opened(found, mark, time.monotonic() + KEPT_S)
            self._in_memory.move_to_end(edition)
            while len(self._in_memory) > _OPENED_AT_ONCE:
                self._in_memory.popitem(last=False)
        return found

    def _unchanged(self, edition: UUID, mark: tuple[Any, ...]) -> Edition | None:
        """The edition as it was opened a moment ago, while no byte of it and no key has changed."""
        with self._lock:
            kept = self._in_memory.get(edition)
        if kept is None or kept.mark != mark or kept.until < time.monotonic():
            return None
        found = kept.edition
        keys = self._data_keys.look_up((patient, GENERATION) for patient in found.patients)
        for patient, card in zip(found.patients, found.cards, strict=True):
            key = keys[patient, GENERATION]
            if isinstance(key, SecurityError) and (
                card is not None or type(key) is not KeyDestroyed
            ):
                return None
        return found


def _rings(card: Card) -> tuple[str, list[str]]:
    """How urgent a card is, and for which values."""
    return card["tier"], [alarm["entry"] for alarm in card.get("alarms", ())]


def _told(line: StintLine, edition: Edition) -> bool:
    """Whether the stint's stream is known to say that the edition was issued."""
    return any(each.edition == edition.edition for each in line.editions)


def issue_briefing_data(edition: Edition) -> dict[str, Any]:
    """The data of the command ``issue-briefing`` that binds an edition to its stint's stream."""
    return {
        "edition": str(edition.edition),
        "manifest": edition.manifest_sha256,
        "position": edition.position,
        "rule_release": edition.rule_release,
        "patients": len(edition.patients),
    }


def _manifest(macs: list[list[str]], position: int, release: str) -> bytes:
    """RFC 8785 JSON over (patient stream, base64 HMAC) in order, position and rule release."""
    return msgspec.json.encode(
        {"cards": macs, "position": position, "rule_release": release}, order="sorted"
    )


def _cards_of(manifest: bytes) -> list[list[str]]:
    cards: list[list[str]] = msgspec.json.decode(manifest)["cards"]
    return cards


_COLUMNS = (
    "SELECT edition, stint, number, position, rule_release, issued_at, manifest, head "
    "FROM ledger.edition "
)
_NEWEST = _COLUMNS + "WHERE stint = %s ORDER BY number DESC LIMIT 1"
_BY_ID = _COLUMNS + "WHERE edition = %s"
_UP_TO = _COLUMNS + "WHERE stint = %s AND position <= %s ORDER BY number DESC LIMIT 1"
_AT = _COLUMNS + "WHERE stint = %s AND issued_at <= %s ORDER BY number DESC LIMIT 1"
_LISTED = (
    "SELECT edition, number, position, issued_at FROM ledger.edition "
    "WHERE stint = %s ORDER BY number"
)
# Who wrote the rows, and how long they are: a changed card is opened and compared again.
_MARK = (
    "SELECT count(*), sum(xmin::text::bigint), sum(octet_length(body)) FROM ledger.edition_card "
    "WHERE edition = %s"
)
_CARDS = "SELECT patient, body FROM ledger.edition_card WHERE edition = %s ORDER BY ordinal"
# Nothing of the centre's patients, and nothing of the directory but this stint's own briefings,
# was written after the newest edition.
_UNCHANGED = (
    "SELECT NOT EXISTS (SELECT FROM projection.revision r "
    "WHERE r.build = f.build AND r.scope = %s AND r.position > e.position) "
    "AND NOT EXISTS (SELECT FROM projection.directory d "
    "WHERE d.build = f.build AND d.position > e.position AND d.stream <> e.stint) "
    "FROM projection.feed f, ledger.edition e "
    "WHERE f.name = 'main' AND e.stint = %s ORDER BY e.number DESC LIMIT 1"
)
_PARKED = (
    "SELECT count(p.stream) FROM projection.feed f "
    "JOIN projection.parked p ON p.name = f.name AND p.build = f.build WHERE f.name = 'main'"
)
_INSERT = (
    "INSERT INTO ledger.edition "
    "(edition, stint, number, position, rule_release, issued_at, manifest, head) "
    "VALUES (%s, %s, %s, %s, %s, %s, %b, %b)"
)
_INSERT_CARDS = (
    "INSERT INTO ledger.edition_card (edition, ordinal, patient, body) "
    "SELECT %b, * FROM unnest(%b::integer[], %b::uuid[], %b::bytea[])"
)
