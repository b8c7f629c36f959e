"""Who is signed in: the port that OpenID Connect fills, the demo's chooser, and sessions.

A session is a row; the browser holds a random value and nothing else, and the database holds only
that value's hash, so neither a stolen cookie jar nor a stolen dump tells the other's half. Sessions
and tokens run on the machine's clock, never on the record's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from psycopg_pool import ConnectionPool

from releve.security.errors import Denied, NotAuthenticated

IDLE = timedelta(minutes=20)
ABSOLUTE = timedelta(hours=10)
TOKEN_PREFIX = "rlv_"  # noqa: S105  a public prefix that secret scanners look for
_COOKIE_PREFIX = "c."
_SEEN_EVERY = timedelta(seconds=30)
_CSRF_LENGTH = 32


@dataclass(frozen=True, slots=True)
class SignIn:
    """Where to send the browser, and what to keep until it comes back (empty for the demo)."""

    address: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Identified:
    """Who the provider says came back: a subject that is stable, and how sure it is (``acr``)."""

    subject: str
    acr: str
    authenticated_at: datetime


class IdentityProvider(Protocol):
    """What signs people in. OpenID Connect (authorization code + PKCE) implements it as it is."""

    def begin(self, *, return_to: str) -> SignIn:
        """Start a sign-in that ends at ``return_to``, a path of this service."""
        ...

    def complete(self, answer: Mapping[str, str], state: str) -> Identified:
        """Check what the browser brought back.

        Raises:
            NotAuthenticated: the answer proves nobody.
        """
        ...


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody the demo lets you be. Invented, always."""

    persona: str
    """Short stable name, such as ``present`` or ``coordinator``; the subject of the session."""
    name: str
    role: str
    person: UUID
    centre: UUID
    stint: UUID | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    purpose: str = ""
    """One line for the chooser: what this person does this morning."""


class DemoIdentity:
    """The demo's chooser: pick a persona, no password. Refused anywhere a real person could reach.

    Raises:
        Denied: the environment is production, or the service is not bound to loopback.
    """

    def __init__(
        self, personas: Callable[[], Iterable[Persona]], *, environment: str, host: str
    ) -> None:
        if environment == "production":
            raise Denied("demo personas are refused in production")
        if not is_loopback(host):
            raise Denied("demo personas are refused off loopback")
        self._personas = personas

    def personas(self) -> Sequence[Persona]:
        """Everybody one may be, in the order of the chooser."""
        return tuple(self._personas())

    def persona(self, name: str) -> Persona:
        """The persona of that short name.

        Raises:
            NotAuthenticated: there is none.
        """
        for persona in self._personas():
            if persona.persona == name:
                return persona
        raise NotAuthenticated("no such persona")

    def begin(self, *, return_to: str) -> SignIn:
        """Send the browser to the chooser."""
        return SignIn("/connexion")

    def complete(self, answer: Mapping[str, str], state: str) -> Identified:
        """Take the chosen persona at its word: this is the demo."""
        persona = self.persona(answer.get("persona", ""))
        return Identified(persona.persona, "demo", datetime.now(UTC))


def is_loopback(host: str) -> bool:
    """Say whether an address to bind to can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is alive; ``csrf`` is the key its forms must show."""

    subject: str
    id_hash: bytes
    csrf: bytes
    bearer: bool
    expires_at: datetime

    def form_token(self) -> str:
        """A token for one form: the synchroniser key under a fresh mask, so that it never repeats.

        A page that is compressed and also reflects input would otherwise give it away by length.
        """
        mask = secrets.token_bytes(_CSRF_LENGTH)
        masked = bytes(a ^ b for a, b in zip(mask, self.csrf, strict=True))
        return base64.urlsafe_b64encode(mask + masked).decode()

    def accepts(self, token: str) -> bool:
        """Say whether a form carried a token of this session."""
        try:
            raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (ValueError, UnicodeEncodeError):
            return False
        if len(raw) != 2 * _CSRF_LENGTH:
            return False
        mask, masked = raw[:_CSRF_LENGTH], raw[_CSRF_LENGTH:]
        return hmac.compare_digest(
            bytes(a ^ b for a, b in zip(mask, masked, strict=True)), self.csrf
        )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class Sessions:
    """Sessions and demo bearer tokens, one row each, on the machine's clock.

    A cookie's value and a bearer token differ by prefix and are hashed with it: neither is ever
    taken for the other, so that a token cannot be made to act through a browser.
    """

    def __init__(
        self, pool: ConnectionPool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._pool = pool
        self._clock = clock

    def open(self, subject: str) -> str:
        """Open a session and give the cookie's value; call it at every sign-in, never reuse one."""
        return self._insert(subject, _COOKIE_PREFIX)[0]

    def issue_token(self, subject: str) -> tuple[str, datetime]:
        """Make a bearer token; give it with the instant it ends."""
        return self._insert(subject, TOKEN_PREFIX)

    def by_cookie(self, value: str) -> Session | None:
        """The live session of a cookie, or None; moves its idle limit."""
        return self._read(value, bearer=False) if value.startswith(_COOKIE_PREFIX) else None

    def by_token(self, value: str) -> Session | None:
        """The live session of a bearer token, or None."""
        return self._read(value, bearer=True) if value.startswith(TOKEN_PREFIX) else None

    def close(self, session: Session) -> None:
        """End a session at once."""
        with self._pool.connection() as connection:
            connection.execute(
                "DELETE FROM identity.session WHERE id_hash = %s", (session.id_hash,)
            )

    def sweep(self) -> int:
        """Forget every session past its limits; give how many there were."""
        now = self._clock()
        with self._pool.connection() as connection:
            done = connection.execute("DELETE FROM identity.session WHERE expires_at <= %s", (now,))
            return done.rowcount

    def _insert(self, subject: str, prefix: str) -> tuple[str, datetime]:
        value = prefix + secrets.token_urlsafe(32)
        now = self._clock()
        expires = now + ABSOLUTE
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO identity.session (id_hash, subject, csrf, created_at, seen_at,"
                " expires_at) VALUES (%s, %s, %s, %s, %s, %s)",
                (_hash(value), subject, secrets.token_bytes(_CSRF_LENGTH), now, now, expires),
            )
        return value, expires

    def _read(self, value: str, *, bearer: bool) -> Session | None:
        now = self._clock()
        id_hash = _hash(value)
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT subject, csrf, seen_at, expires_at FROM identity.session"
                " WHERE id_hash = %s",
                (id_hash,),
            ).fetchone()
            if row is None:
                return None
            subject, csrf, seen_at, expires_at = row
            if now >= expires_at or (not bearer and now - seen_at >= IDLE):
                connection.execute("DELETE FROM identity.session WHERE id_hash = %s", (id_hash,))
                return None
            if now - seen_at >= _SEEN_EVERY:
                connection.execute(
                    "UPDATE identity.session SET seen_at = %s WHERE id_hash = %s", (now, id_hash)
                )
        return Session(subject, id_hash, bytes(csrf), bearer, expires_at)


@dataclass(frozen=True, slots=True)
class Identity:
    """Sign-in and sessions together, as the doors use them.

    ``demo`` is the chooser where the demo profile runs, and None everywhere else.
    """

    provider: IdentityProvider | None
    sessions: Sessions
    demo: DemoIdentity | None = None
