"""The same seed tells the same story: a frozen hash of every act of a small centre."""

from __future__ import annotations

import hashlib
from datetime import date

import msgspec
import pytest

from releve.api.demo.acts import Act, Sizes
from releve.api.demo.generator import history
from releve.api.demo.telling import Teller

MONDAY = date(2026, 11, 23)
FROZEN = "db796040b86c858fc9789d6406230cb5"
"""Changes with every change of the story; whoever changes it has looked at the new demo."""


def manifest(sizes: Sizes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for act in history(sizes, MONDAY):
        digest.update(msgspec.json.encode((act.at, act.label, act.author, act.stint, act.command)))
        digest.update(b"" if act.content is None else act.content)
    return digest.hexdigest()


def test_the_story_of_a_small_centre_is_frozen() -> None:
    assert manifest(Sizes(patients=100, weeks=4)) == FROZEN


def test_the_same_seed_tells_the_same_and_another_seed_another() -> None:
    sizes = Sizes(patients=80, weeks=3)
    assert manifest(sizes) == manifest(sizes)
    assert manifest(sizes) != manifest(Sizes(patients=80, weeks=3, seed=1))


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(patients=1, weeks=1),
        Sizes(patients=30, weeks=3),
        Sizes(patients=40, weeks=2, centres=5),
        Sizes(patients=60, weeks=20, seed=99),
    ],
    ids=str,
)
def test_any_size_is_decided_by_the_domain_without_a_refusal(sizes: Sizes) -> None:
    teller = Teller(sizes.seed)
    acts = list(history(sizes, MONDAY))
    assert [act.at for act in acts] == sorted(act.at for act in acts)
    assert len({act.label for act in acts}) == len(acts)
    ids = [event.event_id for act in acts for event in teller.decided(act)]
    assert len(set(ids)) == len(ids)
    registered = sum(act.command.name == "register-patient" for act in acts)
    assert registered == sizes.patients * sizes.centres


def test_one_more_patient_leaves_the_others_as_they_were() -> None:
    def told(patients: int) -> dict[str, Act]:
        acts = history(Sizes(patients=patients, weeks=3), MONDAY)
        return {act.label: act for act in acts if act.label.endswith(":register")}

    fewer, more = told(120), told(121)
    assert sum(fewer[label] == more.get(label) for label in fewer) >= len(fewer) - 4
