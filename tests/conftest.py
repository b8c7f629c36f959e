"""What every test lives under: no setting from outside, no network, a real PostgreSQL.

Fixtures: ``database`` (a test's own, migrated), ``module_database`` (a module's own),
``postgres`` (the session's server), ``each_postgres`` and ``each_database`` (the same on Debian's
server and on the wheel's: a missing build fails, it does not skip).
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from releve.api.database import binaries
from support.postgres import BUILDS, Database, Server, build

# Properties are about values, not about time: the machine may be busy while they run. A commit has
# one verdict, so the whole suite draws the same values each time; quick and long runs search.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("same", unhurried, derandomize=True)
settings.register_profile("search", unhurried)
settings.load_profile("same")

for _name in [name for name in os.environ if name.startswith("RELEVE_")]:
    if _name != "RELEVE_WRITE_GOLDEN":  # asks tests/unit/test_policy.py to write its table anew
        del os.environ[_name]


def _loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    if text is None or text in ("", "localhost"):
        return True
    try:
        return isinstance(text, str) and ipaddress.ip_address(text.split("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not _loopback(address[0]):
            raise RuntimeError(f"a test reached for the network: {address[0]}")
    elif event == "socket.getaddrinfo" and not _loopback(arguments[0]):
        raise RuntimeError(f"a test looked up a host: {arguments[0]!r}")


sys.addaudithook(_refuse_network)


@pytest.fixture(scope="session", autouse=True)
def _own_state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the default state directory out of the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The session's server, of the first build found."""
    server = Server(binaries.resolve(), durable=False)
    yield server
    server.close()


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    """A migrated database of this test's own, dropped after it."""
    made = postgres.create()
    yield made
    made.drop()


@pytest.fixture(scope="module")
def module_database(postgres: Server) -> Iterator[Database]:
    """A migrated database that the tests of one module share."""
    made = postgres.create()
    yield made
    made.drop()


@pytest.fixture(scope="session", params=BUILDS)
def each_postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each build in turn; a build that is missing fails."""
    server = Server(build(request.param))
    yield server
    server.close()


@pytest.fixture
def each_database(each_postgres: Server) -> Iterator[Database]:
    """A migrated database on each build in turn."""
    made = each_postgres.create()
    yield made
    made.drop()
