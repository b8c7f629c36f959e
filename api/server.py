"""Serving the application: address, workers, shutdown."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn

from releve.api.app import create_app
from releve.api.cli.runner import ENVIRONMENT, USAGE, CommandError, Invocation
from releve.api.lifeline import surviving
from releve.api.logs import configure_logs
from releve.api.services import open_services
from releve.api.worker import working

if TYPE_CHECKING:
    from starlette.types import ASGIApp

SHUTDOWN_S = 3
COLLECTING = (10_000, 20, 20)
"""Objects made before the garbage collector looks, and how often it looks at older ones."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, so that a taken port is said before anything else is built.

    Raises:
        CommandError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sets TCP_NODELAY only on sockets that say they are TCP: without it the
    # body of every answer waits 40 ms for the acknowledgement of its headers.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                ENVIRONMENT,
                "port-taken",
                f"Le port {port} est déjà pris.",
                "Un autre programme écoute à cette adresse.",
                f"Relancer avec --port {port + 1}, ou --port 0 pour un port libre.",
            ) from None
        raise CommandError(
            ENVIRONMENT,
            "address",
            f"L'adresse {host} ne peut pas être écoutée.",
            os.strerror(error.errno or 0),
            "Relancer avec --host 127.0.0.1.",
        ) from None
    listening.listen(128)
    return listening


def address(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def stop_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that everything that was opened is closed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def run(app: ASGIApp, listening: socket.socket) -> None:
    """Answer until interrupted; drains for at most three seconds.

    A page makes thousands of objects and hardly a cycle: the garbage collector looks less often.
    """
    gc.set_threshold(*COLLECTING)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        lifespan="on",
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def serve(
    at: Invocation, *, host: str | None, port: int | None, workers: int, with_worker: bool
) -> None:
    """``releve serve``: one process, or several that share the address.

    Raises:
        CommandError: the address is taken, or demo personas would be reachable from elsewhere.
    """
    chosen = host or at.settings.host
    inherited = os.environ.get("RELEVE_LISTEN_FD")
    stop_on_sigterm()
    configure_logs()
    if inherited is not None:
        listening = socket.socket(fileno=int(inherited))
        _end_with_parent(int(os.environ["RELEVE_PARENT_FD"]))
    else:
        listening = bind(chosen, at.settings.port if port is None else port)
    with contextlib.ExitStack() as stack:
        if inherited is None and workers > 1:
            stack.enter_context(_siblings(at, chosen, listening, workers - 1))
        services = stack.enter_context(open_services(at.settings, host=chosen))
        stack.enter_context(surviving(services))
        if with_worker:
            stack.enter_context(working(services, beside=workers > 1))
        app = create_app(services)
        with contextlib.suppress(KeyboardInterrupt):  # asked to end as soon as it was reachable
            if inherited is None:
                at.tell({"address": address(listening)}, f"✓ {address(listening)}")
            run(app, listening)


@contextlib.contextmanager
def _siblings(at: Invocation, host: str, listening: socket.socket, count: int) -> Iterator[None]:
    """More processes on the same socket, without jobs of their own; they end with this one."""
    command = [sys.executable, "-m", "releve", "serve", "--no-worker", "--host", host]
    command += ["--state-dir", str(at.settings.state_dir)]
    if at.settings.database_url is not None and not os.environ.get("RELEVE_DATABASE_URL"):
        raise CommandError(
            USAGE,
            "workers-and-url",
            "--workers et --database-url ne vont pas ensemble.",
            "Une URL ne passe pas en argument d'un autre processus : elle s'y lirait.",
            "Donner l'URL par RELEVE_DATABASE_URL.",
        )
    reading, writing = os.pipe()  # closed by our end, however it comes
    environment = {
        **os.environ,
        "RELEVE_LISTEN_FD": str(listening.fileno()),
        "RELEVE_PARENT_FD": str(reading),
    }
    running = [
        subprocess.Popen(command, pass_fds=[listening.fileno(), reading], env=environment)  # noqa: S603 - ourselves
        for _ in range(count)
    ]
    os.close(reading)
    try:
        yield
    finally:
        os.close(writing)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=SHUTDOWN_S + 5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_with_parent(reading: int) -> None:
    """End this process when the one that started it is gone, even killed: the pipe closes."""

    def wait() -> None:
        os.read(reading, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
