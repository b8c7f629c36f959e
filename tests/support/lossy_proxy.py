"""A unix-socket proxy before a PostgreSQL server that can lose an answer on request."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from support.commands import PATIENCE_S

Pool = ConnectionPool[psycopg.Connection[tuple[object, ...]]]


class LossyProxy:
    """Forwards bytes both ways; while ``losing`` is set, answers are cut and not passed on.

    The request has reached the server by then: what the client asked for is done, or will be.
    """

    def __init__(self, url: str) -> None:
        parts = conninfo_to_dict(url)
        host, port = str(parts["host"]), str(parts.get("port") or "5432")
        self._server = str(Path(host) / f".s.PGSQL.{port}")
        # A test's own directory may be too deep for the address of a socket.
        self._directory = tempfile.mkdtemp(prefix="releve-", dir="/tmp")
        self.url = make_conninfo(url, host=self._directory)
        self.losing = threading.Event()
        self.lost = 0
        self._one = False
        self._counting = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self._directory) / f".s.PGSQL.{port}"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_one(self) -> None:
        """Cut the next answer and no other.

        A pool replaces a broken connection in the background, at once: that it finds the server
        again must not hang on who is faster.
        """
        self._one = True
        self.losing.set()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _loses(self) -> bool:
        with self._counting:
            if not self.losing.is_set():
                return False
            self.lost += 1
            if self._one:
                self._one = False
                self.losing.clear()
            return True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(
                    target=self._forward, args=(source, sink, answers), daemon=True
                ).start()

    def _forward(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers and self._loses():
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def lossy_pool(url: str, connections: int = 2) -> Iterator[tuple[Pool, LossyProxy]]:
    """A pool of connections that all go through one proxy."""
    proxy = LossyProxy(url)
    pool: Pool = ConnectionPool(
        proxy.url, min_size=1, max_size=connections, open=True, timeout=PATIENCE_S
    )
    try:
        # Whoever asks before the first connection stands makes the pool open a second one, and
        # an answer meant to be lost on the one would be lost while the other is made ready.
        pool.wait(PATIENCE_S)
        yield pool, proxy
    finally:
        pool.close()
        proxy.close()
