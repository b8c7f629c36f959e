"""Editions of a briefing: issued once, replayed byte for byte, with the rules that ranked them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from psycopg_pool import ConnectionPool

from releve.domain.aggregates.patient.encounters import NoteAmended, NoteSigned
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.values import Concept
from releve.projections import directory, editions, records, rule_release, timeline
from releve.projections.briefing import build_card, card_bytes, rank
from releve.projections.patient_summary import PatientSummary
from releve.projections.rule_release import CURRENT, release_bytes
from releve.security.keys.data_keys import DataKeys
from releve.security.signed_release import sign_release
from support.feed_house import NOW, House, mend, poison
from support.patient_events import Stream

pytestmark = pytest.mark.postgres


class OvertakenRecords(records.CentreRecords):
    """The real records of a process that another one overtakes once they are read."""

    meanwhile: Callable[[], object] | None = None

    def summaries(self, centre: UUID) -> tuple[int, dict[UUID, PatientSummary]]:
        read = super().summaries(centre)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return read


class TestEditions:
    def arranged(self, house: House) -> Stream:
        house.found()
        stream = house.person(
            1,
            NoteSigned(one_liner="Insuffisance cardiaque"),
            IllnessSeveritySet(severity="unstable", reason="dyspnée de repos"),
            ItemOpened(kind="result", text="NFS", due="2026-11-20", harm_if_late=True),
        )
        house.person(2, IllnessSeveritySet(severity="watcher", reason="poids"))
        house.person(3, ProblemRecorded(concept=Concept(text="Asthme")))
        house.person(4)
        house.run()
        return stream

    def issue(self, house: House, now: datetime = NOW) -> editions.Edition:
        place = directory.load(house.database.service_pool, house.ledger.data_keys)
        return house.editions.issue(place, house.stint.id, now)

    def test_are_issued_once_while_nothing_changes(self, house: House) -> None:
        self.arranged(house)
        first = self.issue(house)
        again = self.issue(house, NOW + timedelta(hours=2))
        assert (first.fresh, first.number) == (True, 1)
        assert again.edition == first.edition
        assert again.sha256 == first.sha256
        assert again.manifest == first.manifest
        assert [card["tier"] for card in first.opened() if card] == ["T0", "T2"]
        told = first.to_json()
        assert told["tiers"] == {"T0": 1, "T1": 0, "T2": 1, "T3": 0, "T4": 0, "T5": 2}
        assert told["words"] <= 400
        for name in ("stint", "edition", "position", "issued_at", "rule_release", "sha256",
                     "words", "t5", "rows", "manifest"):  # fmt: skip
            assert name in told
        for name in ("patient", "tier", "severity", "allergies", "one_liner", "actions",
                     "contingencies", "pending", "changes", "as_of"):  # fmt: skip
            assert name in told["rows"][0]

    def test_an_older_state_never_follows_what_another_process_issued_meanwhile(
        self, house: House
    ) -> None:
        stream = self.arranged(house)
        pool, keys = house.database.service_pool, house.ledger.data_keys
        overtaken = OvertakenRecords(pool, keys)
        place = directory.load(pool, keys)

        def another() -> None:
            house.write(stream, IllnessSeveritySet(severity="stable", reason="mieux"))
            house.run()
            self.issue(house)

        overtaken.meanwhile = another
        late = editions.Editions(pool, keys, overtaken, house.ledger.reader.known_at)
        given = late.issue(place, house.stint.id, NOW)
        newest = house.editions.newest(house.stint.id)
        assert newest is not None
        assert given.edition == newest.edition
        assert newest.number == 1
        assert newest.position == house.feed.position()

    def test_are_issued_again_when_a_parked_record_is_whole_or_the_day_turns(
        self, house: House
    ) -> None:
        stream = self.arranged(house)
        first = self.issue(house)
        assert self.issue(house, NOW + timedelta(days=1)).edition == first.edition, (
            "another day with the same cards is the same edition"
        )
        body = poison(house, stream, 2)
        house.write(stream, ProblemRecorded(concept=Concept(text="Goutte")))
        house.run()
        whole = self.issue(house)
        assert whole.number == 2
        house.feed.rebuild()
        parked = self.issue(house)
        assert parked.number == 3, "a rebuild reads the damaged event again and parks the record"
        mend(house, stream, 2, body)
        assert house.feed.retry_parked() == 1
        again = self.issue(house)
        assert again.number == 4
        assert again.sha256 == whole.sha256

    def test_are_given_back_with_the_only_connection(self, house: House) -> None:
        self.arranged(house)
        issued = self.issue(house)
        with ConnectionPool(
            house.database.service_url, min_size=1, max_size=1, timeout=60, open=True
        ) as pool:
            keys = DataKeys(pool, house.ledger.key_files, lifetime=timedelta(0))
            alone = editions.Editions(pool, keys, house.records, house.ledger.reader.known_at)
            given = [alone.newest(house.stint.id) for _ in range(2)]
        assert [each.sha256 for each in given if each is not None] == [issued.sha256] * 2

    def test_replay_byte_for_byte_after_amendments_and_a_rebuild(self, house: House) -> None:
        stream = self.arranged(house)
        first = self.issue(house)
        house.write(
            stream, NoteAmended(kind="replacement", one_liner="Autre chose"),
            target=stream.events[1].event_id, reason="erreur",
        )  # fmt: skip
        house.run()
        place = directory.load(house.database.service_pool, house.ledger.data_keys)
        house.feed.rebuild()
        second = house.editions.issue(place, house.stint.id, NOW)
        assert second.number == 2
        assert second.sha256 != first.sha256
        again = house.editions.replay(edition=first.edition)
        assert again is not None
        assert again.cards == first.cards
        assert again.manifest == first.manifest
        assert again.to_text() == first.to_text()
        assert again.to_json() == first.to_json()
        by_position = house.editions.replay(stint=house.stint.id, position=first.position)
        assert by_position is not None
        assert by_position.edition == first.edition
        assert house.editions.replay(edition=uuid4()) is None

    def test_keep_the_rules_that_ranked_them(
        self, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.arranged(house)
        first = self.issue(house)
        rules = json.loads(release_bytes(CURRENT))
        for path in (Path(rule_release.__file__).parent / "rules").iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        rules["release"] = "2099-01"
        rules["tiers"][0]["any"].append("watcher")
        content = json.dumps(rules).encode()
        note, vkey = sign_release(bytes(32), "releve-rules", "2099-01", content)
        (tmp_path / "2099-01.json").write_bytes(content)
        (tmp_path / "2099-01.sig").write_text(note, encoding="utf-8")
        monkeypatch.setattr(rule_release, "SIGNER", vkey)
        monkeypatch.setattr(rule_release, "_FOLDER", tmp_path)
        house.editions = editions.Editions(
            house.database.service_pool,
            house.ledger.data_keys,
            house.records,
            house.ledger.reader.known_at,
            release="2099-01",
        )
        second = self.issue(house)
        assert (second.number, second.rule_release) == (2, "2099-01")
        assert second.head["tiers"]["T0"] == 2
        again = house.editions.replay(edition=first.edition)
        assert again is not None
        assert again.rule_release == CURRENT
        assert again.to_text() == first.to_text()
        assert again.sha256 == first.sha256

    def test_cards_are_those_of_the_fold_of_the_ledger_at_their_position(
        self, house: House
    ) -> None:
        stream = self.arranged(house)
        edition = self.issue(house)
        house.write(stream, ProblemRecorded(concept=Concept(text="Goutte")))
        house.run()
        place = directory.load(house.database.service_pool, house.ledger.data_keys)
        view = house.editions.seen_from(place, house.stint.id, edition.issued_at)
        for patient, kept in zip(edition.patients, edition.cards, strict=True):
            then = timeline.replay(house.ledger.reader, patient, position=edition.position)
            (ranked,) = rank([then.summary], view, edition.rules)
            assert card_bytes(build_card(ranked, view, place, edition.rules)) == kept

    def test_leave_a_grey_line_for_an_erased_patient(self, house: House) -> None:
        stream = self.arranged(house)
        first = self.issue(house)
        house.ledger.destroy_key(stream.id)
        again = house.editions.replay(edition=first.edition)
        assert again is not None
        assert again.cards[0] is None
        assert again.cards[1:] == first.cards[1:]
        assert again.manifest_sha256 == first.manifest_sha256
        assert again.to_json()["rows"][0] == {"patient": str(stream.id), "erased": True}
        assert "Dossier effacé" in again.to_text()
