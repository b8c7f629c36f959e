"""While the demo centre is being built, every page says how far it is."""

from __future__ import annotations

import html
import threading
from dataclasses import dataclass
from datetime import date

from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_PAGE = """<!doctype html><html lang="fr"><head><meta charset="utf-8">
<meta http-equiv="refresh" content="1"><meta name="viewport" content="width=device-width">
<title>Relève se prépare</title><link rel="stylesheet" href="/static/app.css"></head>
<body><main class="page narrow"><h1>Le centre de démonstration se construit</h1>
<p role="status">{said}</p><progress max="100" value="{percent}">{percent} %</progress>
<p>Cette page se rafraîchit seule ; le briefing s'ouvrira ici.</p></main></body></html>"""


@dataclass(frozen=True)
class Stage:
    """How far the work is: ``share`` from 0 to 1, and what is being done."""

    share: float
    said: str


class Progress:
    """Shared between the thread that builds and the pages that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stage = Stage(0.0, "Préparation.")
        self._failed: Exception | None = None
        self._ready = threading.Event()

    @property
    def ready(self) -> bool:
        """Whether the centre stands."""
        return self._ready.is_set()

    @property
    def failure(self) -> Exception | None:
        """What stopped the work, if something did."""
        return self._failed

    def week(self, monday: date, share: float) -> None:
        """A week of the centre's past was written."""
        self.say(share, f"Semaine du {monday:%d/%m/%Y} écrite.")

    def say(self, share: float, said: str) -> None:
        """Any other step."""
        with self._lock:
            self._stage = Stage(share, said)

    def done(self) -> None:
        """The centre stands: pages answer from now on."""
        self._ready.set()

    def fail(self, error: Exception) -> None:
        """The work stopped; pages go on saying so."""
        self._failed = error
        self.say(0.0, "La construction s'est arrêtée : voir le terminal.")

    def stage(self) -> Stage:
        """How far it is now."""
        with self._lock:
            return self._stage


class UntilReady:
    """ASGI middleware: the progress page for everything but style sheets and health."""

    def __init__(self, app: ASGIApp, progress: Progress) -> None:
        self._app = app
        self._progress = progress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the progress page until the centre stands."""
        waiting = scope["type"] == "http" and not self._progress.ready
        if not waiting or scope["path"].startswith(("/static/", "/healthz")):
            await self._app(scope, receive, send)
            return
        stage = self._progress.stage()
        headers = {"Cache-Control": "no-store", "Retry-After": "1"}
        if scope["path"].startswith(("/api/", "/fhir/", "/readyz")):
            response: HTMLResponse | JSONResponse = JSONResponse(
                {"code": "starting", "what": stage.said}, 503, headers
            )
        else:
            page = _PAGE.format(said=html.escape(stage.said), percent=round(stage.share * 100))
            response = HTMLResponse(page, 200, headers)
        await response(scope, receive, send)
