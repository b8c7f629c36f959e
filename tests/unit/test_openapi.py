"""The description of the JSON door names what is served, no more and no less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi.routing import APIRoute

from releve.api.acting import public_commands
from releve.api.routes import DOORS
from releve.api.routes.operating import describe


def test_every_reading_is_described_once() -> None:
    served = {
        route.path
        for router in DOORS
        for route in router.routes
        if isinstance(route, APIRoute)
        and "GET" in (route.methods or ())
        and route.path.startswith("/api/v1")
    }
    paths = describe("http://127.0.0.1/")["paths"]
    told = {path for path, operations in paths.items() if "get" in operations}
    assert told == served
    ids = [each["operationId"] for path in paths.values() for each in path.values()]
    assert len(set(ids)) == len(ids)


def test_every_command_is_described_and_every_reference_resolves() -> None:
    document = describe("http://127.0.0.1/")
    assert document["openapi"] == "3.1.0"
    told = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    }
    for target in ("patient", "stint", "centre", "practitioner", "inbox"):
        assert {s.name.replace("-", "_") for s in public_commands(target)} <= told
    schemas = document["components"]["schemas"]

    def references(found: Any) -> Iterator[str]:
        if isinstance(found, dict):
            for name, value in found.items():
                if name == "$ref":
                    yield value
                yield from references(value)
        elif isinstance(found, list):
            for each in found:
                yield from references(each)

    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference
