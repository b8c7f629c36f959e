"""Every event ever released decodes for ever: one frozen sample of each topic and schema.

A sample is what was sealed (``topic``, ``schema``, ``envelope``, ``payload``) and what it reads as
today. A sample that has to change is a broken promise; a new schema adds a sample.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from releve.domain.aggregates import CODEC, REGISTRY
from releve.domain.errors import Tampered
from releve.domain.events import Envelope, Payload, as_map
from releve.domain.upcasting import EventCodec
from releve.security.ledger.envelope import Header

SAMPLES = sorted((Path(__file__).parent / "domain").glob("*.json"))
HEADER = Header.unpack(
    (Path(__file__).parent / "bytes" / "first-of-a-stream.rle1").read_bytes()[:172]
)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def as_json(value: object) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_stored_event_reads_as_it_did(path: Path) -> None:
    sample = read(path)
    event = CODEC.decode(
        sample["topic"],
        sample["schema"],
        sample["envelope"],
        sample["payload"],
        header=HEADER,
        position=7,
    )
    assert as_json(as_map(event.payload)) == sample["reads_as"]
    assert as_json(as_map(event.envelope)) == sample["envelope"]
    assert (event.topic, event.position, event.originator_id) == (
        sample["topic"],
        7,
        HEADER.stream,
    )
    topic, schema, envelope, payload = CODEC.encode(event)
    assert schema == REGISTRY[topic].schema
    assert CODEC.payload(topic, schema, as_json(payload)) == event.payload
    assert CODEC.envelope(as_json(envelope)) == event.envelope


def test_every_topic_and_schema_has_a_sample() -> None:
    released = {
        f"{topic}.{schema}"
        for topic, payload in REGISTRY.items()
        for schema in range(1, payload.schema + 1)
    }
    assert {_written(path) for path in SAMPLES} == released


def _written(path: Path) -> str:
    """``topic.schema`` of a sample; a field that a schema was given later has one of its own."""
    return ".".join(path.stem.split(".")[:3])


@pytest.mark.parametrize("topic", sorted(REGISTRY))
def test_the_newest_samples_of_a_topic_show_every_field(topic: str) -> None:
    newest = f"{topic}.{REGISTRY[topic].schema}"
    samples = [read(path) for path in SAMPLES if _written(path) == newest]
    # "No deadline" and a date exclude each other; schema 1 shows the other one.
    shown = {name for sample in samples for name in sample["payload"]}
    shown |= {"no_deadline"} if topic == "patient.item-opened" else set()
    assert shown == set(REGISTRY[topic].__struct_fields__)


def test_some_sample_shows_every_field_of_the_envelope() -> None:
    shown = set().union(*(read(path)["envelope"] for path in SAMPLES))
    # The zone is left out where it is the default.
    assert shown | {"zone"} == set(Envelope.__struct_fields__)


def test_an_item_of_schema_1_without_a_date_has_no_deadline() -> None:
    undated = CODEC.payload("patient.item-opened", 1, {"kind": "call", "text": "x"})
    dated = CODEC.payload("patient.item-opened", 1, {"kind": "call", "text": "x", "due": "2026"})
    assert as_map(undated) == {"kind": "call", "text": "x", "no_deadline": True}
    assert as_map(dated) == {"kind": "call", "text": "x", "due": "2026"}


@pytest.mark.parametrize(
    ("topic", "schema", "payload", "code"),
    [
        ("os:getcwd", 1, {}, "unknown-topic"),
        ("patient.note-signed", 2, {}, "unknown-schema"),
        ("patient.note-signed", 0, {}, "unknown-schema"),
        ("patient.item-closed", 1, {"outcome": "done"}, "unreadable-event"),
        ("patient.item-closed", 1, {"outcome": "lost", "evidence": "x"}, "unreadable-event"),
    ],
)
def test_what_is_not_in_the_registry_is_never_guessed(
    topic: str, schema: int, payload: dict[str, object], code: str
) -> None:
    with pytest.raises(Tampered) as caught:
        CODEC.payload(topic, schema, payload)
    assert caught.value.code == code


def test_an_envelope_without_an_author_is_unreadable() -> None:
    with pytest.raises(Tampered):
        CODEC.envelope({"occurred_at": "2026"})


def test_a_schema_without_its_upcaster_does_not_start() -> None:
    with pytest.raises(TypeError, match="no upcaster"):
        EventCodec(REGISTRY, {})


def test_a_payload_outside_the_registry_is_not_stored() -> None:
    class Stray(Payload, frozen=True, kw_only=True):
        topic = "patient.stray"

    sample = read(SAMPLES[0])
    event = CODEC.decode(
        sample["topic"], sample["schema"], sample["envelope"], sample["payload"], header=HEADER
    )
    stray = type(event)(
        **{name: getattr(event, name) for name in event.__struct_fields__ if name != "payload"},
        payload=Stray(),
    )
    with pytest.raises(TypeError, match="registry"):
        CODEC.encode(stray)
