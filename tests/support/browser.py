"""The application as `releve serve` runs it, and a real browser's way in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page

from releve.api.server import address, bind
from support.commands import PATIENCE_S
from support.web import Web

CSP_NEEDLES = ("Content Security Policy", "Content-Security-Policy", "Refused to")


@dataclass
class Site:
    """A served application: its address, its services and the browser that looks at it."""

    web: Web
    url: str
    browser: Browser
    violations: list[str] = field(default_factory=list)

    def context(self, *, javascript: bool = True, dark: bool = False) -> BrowserContext:
        """A fresh browser profile that writes down everything the page's policy refused."""
        context = self.browser.new_context(
            base_url=self.url,
            java_script_enabled=javascript,
            viewport={"width": 1366, "height": 900},
            locale="fr-FR",
            timezone_id="Europe/Paris",
            reduced_motion="reduce",
            color_scheme="dark" if dark else "light",
        )
        context.on("console", lambda message: self._heard(message.text))
        context.on("weberror", lambda error: self.violations.append(str(error.error)))
        context.set_default_timeout(PATIENCE_S * 1000)
        return context

    def _heard(self, text: str) -> None:
        if any(needle in text for needle in CSP_NEEDLES):
            self.violations.append(text)

    def sign_in(self, context: BrowserContext, persona: str) -> Page:
        """A page of that context, signed in through the chooser as a person would."""
        page = context.new_page()
        subject = self.web.services.persona(persona).persona
        opened = page.goto("/connexion")
        assert opened is not None
        assert opened.status == 200
        with page.expect_navigation():
            page.click(f'button[value="{subject}"]')
        return page


@contextmanager
def served(web: Web) -> Iterator[str]:
    """Serve an application on a free loopback port as ``releve serve`` does."""
    listening = bind("127.0.0.1", 0)
    config = uvicorn.Config(web.app, access_log=False, log_config=None, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield address(listening)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
