"""docs/integrator.md, run: every curl line against the application, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from releve.api import problems
from support.web import BASE, Web

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "integrator.md").read_text("utf-8")
FILES = ROOT / "tests" / "conformance" / "data" / "inbox"
EXAMPLE = re.compile(r"^```sh\n(.*?)^```\n→ `(\d{3})`(.*?)$", re.MULTILINE | re.DOTALL)


def send(client: TestClient, line: str, variables: dict[str, str]) -> Response:
    """Do what a shell and curl would: variables, quotes, ``-X -H -d -F --data-binary``, an address.

    Single quotes keep a dollar sign, a backslash before it too; no other syntax is understood.
    """
    filled = re.sub(r"(?<!\\)\$([A-Z]+)", lambda found: variables[found[1]], line)
    words = shlex.split(filled)
    assert words.pop(0) == "curl"
    method, headers, address = None, {}, None
    body: str | bytes | None = None
    parts: dict[str, tuple[str | None, bytes]] = {}
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = words.pop(0)
        elif word == "--data-binary":
            body = (FILES / words.pop(0).removeprefix("@")).read_bytes()
        elif word == "-F":
            name, _, value = words.pop(0).partition("=")
            file = value.removeprefix("@")
            is_file = value.startswith("@")
            parts[name] = (file, (FILES / file).read_bytes()) if is_file else (None, value.encode())
        else:
            assert address is None, line
            assert not word.startswith("-"), word
            address = word
    assert address is not None, line
    assert address.startswith(BASE), line
    return client.request(
        method or ("POST" if body or parts else "GET"),
        address,
        headers=headers,
        **({"files": parts} if parts else {"content": body}),
    )


def test_every_example_answers_as_the_page_says(web: Web) -> None:
    token, _ = web.services.identity.sessions.issue_token(web.services.persona("present").persona)
    variables = {
        "BASE": BASE, "TOKEN": token, "STINT": str(web.stint("present")),
        "CENTRE": str(web.services.persona("present").centre), "PATIENT": str(web.patient()),
        "POSITION": "0",
    }  # fmt: skip
    client, ran, written = web.client(), 0, []
    for block, status, said in EXAMPLE.findall(PAGE):
        for line in block.splitlines():
            answer = send(client, line, variables)
            ran += 1
            assert answer.status_code == int(status), (line, answer.text)
            found: Any = answer.json()
            named = re.match(r" `([a-z-]+)`", said)
            if int(status) >= 400 and named and "problem" in answer.headers["content-type"]:
                assert found["code"] == named[1], line
            if "releve-position" in answer.headers:
                variables["POSITION"] = answer.headers["releve-position"]
            if "/api/v1/inbox " in line and answer.status_code == 201:
                variables["DOCUMENT"] = found["inbox"]
            if "/api/v1/patients " in line and answer.status_code == 201:
                variables["NEW"] = found["patient"]
            if "/open-item " in line and int(status) < 300:
                written.append(found["event_ids"])
    assert ran == PAGE.count("\ncurl ") > 15
    assert written[0] == written[1]


def test_every_example_has_an_answer_to_compare() -> None:
    assert len(EXAMPLE.findall(PAGE)) == PAGE.count("```sh\n")


def test_the_statuses_are_those_the_product_gives() -> None:
    told = {int(each) for each in re.findall(r"^\| `(\d{3})` \|", PAGE, re.MULTILINE)}
    given = {
        *problems.STATUS.values(),
        *(problem.status for problem in problems.SECURITY.values()),
        *problems._HTTP,
        412,  # a conflict where the request carried If-Match
    }
    assert told == given - _NEVER_SENT


_NEVER_SENT = {428}
"""Known to the table of words; no route requires a precondition."""
