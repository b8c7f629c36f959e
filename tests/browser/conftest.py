"""A real server and a real Chromium; without a browser these tests fail, they never skip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # no stubs
from playwright.sync_api import Browser, expect, sync_playwright

from support.browser import Site, served
from support.commands import PATIENCE_S
from support.postgres import Database
from support.web import open_web


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium as Debian packages it."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.fail("no Chromium: apt-get install chromium (browser tests never skip)")
    arguments = ["--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=executable, args=arguments, timeout=PATIENCE_S * 1000
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module's state directory."""
    return tmp_path_factory.mktemp("state") / "releve"


@pytest.fixture(scope="module")
def site(module_database: Database, state: Path, browser: Browser) -> Iterator[Site]:
    """The module's own demo centre, served; no page of it may break the content policy."""
    with open_web(module_database, state) as web, served(web) as url:
        found = Site(web, url, browser)
        yield found
        assert found.violations == []


@pytest.fixture(scope="session")
def axe() -> Axe:
    """The accessibility checker."""
    return Axe()
