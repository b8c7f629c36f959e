"""The demo centre started twice at once: one centre, of one size, with its nights behind it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from releve.api.cli.acts import speak_as
from releve.api.cli.runner import CommandError
from releve.api.demo.running import build
from releve.api.nightly import Nightly
from releve.api.services import Services, open_services
from releve.api.settings import Settings
from support.postgres import Database
from support.web import MONDAY, SIZES

pytestmark = pytest.mark.postgres


def built(services: Services, share_told: list[float]) -> bool:
    """Whether this command was the one that seeded the centre."""
    return build(services, SIZES, lambda share, said: share_told.append(share))[0] is not None


def test_two_commands_at_once_build_one_centre_with_its_nights_behind_it(
    database: Database, tmp_path: Path
) -> None:
    settings = Settings(state_dir=tmp_path, database_url=database.superuser_url, demo_now=MONDAY)
    with open_services(settings) as first, open_services(settings) as second:
        before = Nightly(first)
        assert before.run_once() == 0
        with ThreadPoolExecutor(2) as commands:
            seeded = list(commands.map(lambda each: built(each, []), (first, second)))
        assert sorted(seeded) == [False, True]
        assert first.catch_up() == second.catch_up()
        assert len(second.directory.load().centres) == 1
        ends = (MONDAY + timedelta(days=80)).date().isoformat()
        told = {"status": "granted", "code": "22", "starts": "2022-02-12", "ends": ends}
        present = first.persona("present")
        patient = next(iter(first.records.summaries(present.centre)[1]))
        speak_as(
            first, present, "change-ald-status", told,
            targets={"patient": patient}, client_key=None,
        )  # fmt: skip
        assert before.run_once() == Nightly(second).run_once() == 0
        with pytest.raises(CommandError) as refused:
            build(second, replace(SIZES, patients=SIZES.patients + 1), lambda share, said: None)
        assert refused.value.code == "other-sizes"
