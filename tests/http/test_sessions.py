"""Sessions and tokens on a real database: what they keep, what ends them, what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from releve.security.errors import Denied, NotAuthenticated
from releve.security.identity import (
    ABSOLUTE,
    IDLE,
    DemoIdentity,
    Persona,
    Session,
    Sessions,
    is_loopback,
)
from support.postgres import Database

pytestmark = pytest.mark.postgres
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SOMEBODY = Persona("present", "Dr Alix Exemple", "doctor", UUID(int=1), UUID(int=2), UUID(int=3))


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return Sessions(database.service_pool, clock)


class TestASession:
    def test_is_found_by_its_cookie_and_by_nothing_else(self, sessions: Sessions) -> None:
        value = sessions.open("present")
        found = sessions.by_cookie(value)
        assert found is not None
        assert found.subject == "present"
        assert sessions.by_token(value) is None
        assert sessions.by_cookie(value[:-1]) is None
        assert sessions.by_cookie("") is None

    def test_leaves_no_secret_in_the_database(self, database: Database, sessions: Sessions) -> None:
        value = sessions.open("present")
        with database.service_pool.connection() as connection:
            row = connection.execute("SELECT t::text FROM identity.session t").fetchone()
        assert row is not None
        assert value not in str(row[0])
        assert value.removeprefix("c.") not in str(row[0])

    def test_two_sign_ins_never_share_a_value(self, sessions: Sessions) -> None:
        first, second = sessions.open("present"), sessions.open("present")
        assert first != second
        assert len(first) >= 43

    def test_ends_when_nothing_happens_for_twenty_minutes(
        self, sessions: Sessions, clock: Clock
    ) -> None:
        value = sessions.open("present")
        clock.now += IDLE - timedelta(seconds=1)
        assert sessions.by_cookie(value) is not None
        clock.now += IDLE - timedelta(seconds=1)
        assert sessions.by_cookie(value) is not None
        clock.now += IDLE
        assert sessions.by_cookie(value) is None
        clock.now = NOON
        assert sessions.by_cookie(value) is None  # gone, not asleep

    def test_ends_after_ten_hours_whatever_happens(self, sessions: Sessions, clock: Clock) -> None:
        value = sessions.open("present")
        while clock.now < NOON + ABSOLUTE - timedelta(minutes=10):
            clock.now += timedelta(minutes=10)
            assert sessions.by_cookie(value) is not None
        clock.now = NOON + ABSOLUTE
        assert sessions.by_cookie(value) is None

    def test_ends_at_once_when_closed(self, sessions: Sessions) -> None:
        value = sessions.open("present")
        found = sessions.by_cookie(value)
        assert found is not None
        sessions.close(found)
        assert sessions.by_cookie(value) is None

    def test_past_sessions_are_swept(self, sessions: Sessions, clock: Clock) -> None:
        sessions.open("present")
        clock.now += ABSOLUTE
        kept = sessions.open("next")
        assert sessions.sweep() == 1
        assert sessions.by_cookie(kept) is not None


class TestABearerToken:
    def test_is_no_cookie_and_outlives_idleness(self, sessions: Sessions, clock: Clock) -> None:
        token, expires = sessions.issue_token("auditor")
        assert expires == NOON + ABSOLUTE
        assert sessions.by_cookie(token) is None
        clock.now += IDLE * 3
        found = sessions.by_token(token)
        assert found is not None
        assert found.bearer
        clock.now = expires
        assert sessions.by_token(token) is None


class TestAFormToken:
    def opened(self, sessions: Sessions) -> Session:
        found = sessions.by_cookie(sessions.open("present"))
        assert found is not None
        return found

    def test_changes_every_time_and_is_accepted_every_time(self, sessions: Sessions) -> None:
        session = self.opened(sessions)
        tokens = {session.form_token() for _ in range(20)}
        assert len(tokens) == 20
        assert all(session.accepts(token) for token in tokens)

    def test_of_another_session_or_altered_is_refused(self, sessions: Sessions) -> None:
        session, other = self.opened(sessions), self.opened(sessions)
        token = session.form_token()
        flipped = ("B" if token[0] == "A" else "A") + token[1:]
        for wrong in (other.form_token(), flipped, "", "é", token[:-4], token + "AAAA", "A" * 88):
            assert not session.accepts(wrong)


class TestTheDemosChooser:
    def test_takes_a_persona_it_knows_and_no_other(self) -> None:
        demo = DemoIdentity(lambda: [SOMEBODY], environment="demo", host="127.0.0.1")
        assert demo.complete({"persona": "present"}, "").subject == "present"
        with pytest.raises(NotAuthenticated):
            demo.complete({"persona": "absent"}, "")
        with pytest.raises(NotAuthenticated):
            demo.complete({}, "")

    @pytest.mark.parametrize(
        ("environment", "host"),
        [("production", "127.0.0.1"), ("demo", "0.0.0.0"), ("demo", "::"), ("demo", "10.0.0.7"),  # noqa: S104  refused
         ("demo", "example.org"), ("demo", "")],
    )  # fmt: skip
    def test_is_refused_in_production_and_off_loopback(self, environment: str, host: str) -> None:
        with pytest.raises(Denied):
            DemoIdentity(lambda: [SOMEBODY], environment=environment, host=host)

    def test_loopback_is_told_by_address_not_by_name(self) -> None:
        assert all(map(is_loopback, ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost")))
        outside = ("localhost.example.org", "0.0.0.0", "::", "128.0.0.1")  # noqa: S104  refused
        assert not any(map(is_loopback, outside))
