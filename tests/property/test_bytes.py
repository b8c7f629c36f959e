"""Whatever is packed comes back, and whatever is changed is refused, over generated values."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from releve.security.errors import KeyRefused, Malformed, Tampered
from releve.security.keys import sealed_rows
from releve.security.keys.records import (
    ARGON2ID_ALLOWED,
    Algorithm,
    Kdf,
    KeyFileRecord,
    Purpose,
    WrappedKey,
)
from releve.security.ledger import envelope, merkle, notes
from releve.security.ledger.envelope import Content, Header
from releve.security.ledger.merkle import Frontier, Tile

KEY = bytes(range(32))


def exactly(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


def numbers(bits: int, lowest: int = 0) -> st.SearchStrategy[int]:
    return st.integers(lowest, (1 << bits) - 1)


uuids = st.builds(UUID, int=numbers(128))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts | st.binary(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
maps = st.dictionaries(texts, values, max_size=5)
contents = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    numbers(64, 1),
    maps,
    maps,
)
headers = st.builds(
    Header,
    flags=st.just(0),
    event_class=st.integers(1, 8),
    event_id=uuids,
    stream=uuids,
    version=numbers(64),
    recorded_at=numbers(64),
    session=uuids,
    key_generation=numbers(32),
    prev=exactly(32),
    commitment=exactly(32),
    body_sha256=exactly(32),
)
wrapped_keys = st.builds(
    WrappedKey,
    algorithm=st.sampled_from([Algorithm.LOCAL_GCM, Algorithm.PKCS11_GCM]),
    kek=uuids,
    kek_version=numbers(32),
    generation=numbers(32),
    stream=uuids,
    created=numbers(64),
    blob=exactly(60),
)


@st.composite
def key_files(draw: st.DrawFn) -> KeyFileRecord:
    kdf = draw(st.sampled_from(Kdf))
    memory, passes, lanes = (
        draw(st.sampled_from(sorted(ARGON2ID_ALLOWED))) if kdf is Kdf.ARGON2ID else (0, 0, 0)
    )
    return KeyFileRecord(
        purpose=draw(st.sampled_from(Purpose)),
        key_id=draw(uuids),
        version=draw(numbers(32, 1)),
        kdf=kdf,
        memory_kib=memory,
        passes=passes,
        lanes=lanes,
        salt=draw(exactly(16)),
        nonce=draw(exactly(12)),
        ciphertext=draw(exactly(48)),
    )


def seal(content: Content, header: Header) -> tuple[bytes, bytes]:
    assume(header.version > 0)
    return envelope.seal(
        KEY,
        event_class=header.event_class,
        event_id=header.event_id,
        stream=header.stream,
        version=header.version,
        recorded_at_us=header.recorded_at,
        session=header.session,
        key_generation=header.key_generation,
        prev=header.prev,
        content=content,
    )


@given(contents, headers)
def test_what_is_sealed_is_what_opens(content: Content, header: Header) -> None:
    raw, body = seal(content, header)
    assert envelope.open_sealed(KEY, raw, body) == content
    assert (len(body) - 28) % 256 == 0
    opened = Header.unpack(raw)
    assert (opened.event_id, opened.stream, opened.version, opened.prev) == (
        header.event_id,
        header.stream,
        header.version,
        header.prev,
    )


@given(contents, headers, st.data())
def test_one_flipped_bit_of_a_sealed_event_is_refused(
    content: Content, header: Header, data: st.DataObject
) -> None:
    raw, body = seal(content, header)
    bit = data.draw(st.integers(0, (len(raw) + len(body)) * 8 - 1))
    changed = flip(raw + body, bit)
    with pytest.raises(Tampered):
        envelope.open_sealed(KEY, changed[:172], changed[172:])


@given(contents)
def test_content_has_one_form(content: Content) -> None:
    raw = envelope.encode_content(content)
    assert envelope.decode_content(raw) == content
    assert envelope.encode_content(envelope.decode_content(raw)) == raw


@given(st.binary(max_size=200))
@example(b"\x94\xa1t\x01\x80\x80")
def test_any_bytes_are_content_in_its_one_form_or_refused(raw: bytes) -> None:
    try:
        content = envelope.decode_content(raw)
    except Malformed:
        return
    assert envelope.encode_content(content) == raw


@given(maps, st.floats(), st.lists(texts, max_size=3))
def test_a_float_is_found_however_deep(
    payload: dict[str, Any], number: float, way: list[str]
) -> None:
    buried: Any = number
    for key in way:
        buried = [{key: buried}]
    with pytest.raises(Malformed):
        envelope.encode_content(("t", 1, {}, payload | {"x": buried}))


@given(headers)
def test_headers_pack_and_unpack(header: Header) -> None:
    raw = header.pack()
    assert len(raw) == 172
    assert Header.unpack(raw) == header


@given(st.binary(max_size=400) | exactly(168).map(lambda rest: b"RLE1" + rest))
def test_any_bytes_are_a_header_or_refused(raw: bytes) -> None:
    try:
        header = Header.unpack(raw)
    except Malformed:
        return
    assert header.pack() == raw


@given(wrapped_keys, st.data())
def test_wrapped_keys_pack_and_parse(record: WrappedKey, data: st.DataObject) -> None:
    raw = record.pack()
    assert WrappedKey.parse(raw) == record
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    with suppress(Malformed):
        assert WrappedKey.parse(flip(raw, bit)) != record


@given(key_files(), st.data())
def test_key_files_pack_and_parse(record: KeyFileRecord, data: st.DataObject) -> None:
    raw = record.pack()
    assert len(raw) == 108
    assert KeyFileRecord.parse(raw) == record
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    with suppress(Malformed, KeyRefused):
        assert KeyFileRecord.parse(flip(raw, bit)) != record


@given(st.binary(max_size=200) | exactly(104).map(lambda rest: b"RLK1" + rest))
def test_any_bytes_are_a_key_file_or_refused(raw: bytes) -> None:
    try:
        record = KeyFileRecord.parse(raw)
    except (Malformed, KeyRefused):
        return
    assert record.pack() == raw


@given(st.text(max_size=20), uuids, numbers(64), st.binary(max_size=600), st.data())
def test_rows_open_where_they_stand_and_flipped_ones_nowhere(
    kind: str, patient: UUID, position: int, plaintext: bytes, data: st.DataObject
) -> None:
    assume(kind.isprintable())
    row = sealed_rows.seal_row(KEY, kind, patient, position, plaintext)
    assert sealed_rows.open_row(KEY, kind, patient, position, row) == plaintext
    bit = data.draw(st.integers(0, len(row) * 8 - 1))
    with pytest.raises(Tampered):
        sealed_rows.open_row(KEY, kind, patient, position, flip(row, bit))


@given(st.lists(exactly(32), max_size=600), st.data())
def test_proofs_from_tiles_verify(leaves: list[bytes], data: st.DataObject) -> None:
    size = len(leaves)
    memory = merkle.hashes_in_memory(leaves)
    stored = {tile: merkle.read_tile(tile, memory) for tile in merkle.tiles_of(size)}
    hashes = merkle.hashes_in_tiles(size, stored.__getitem__)
    root = merkle.root(leaves)
    assert merkle.root_at(size, hashes) == root
    old = data.draw(st.integers(0, size))
    proof = merkle.consistency_proof(old, size, hashes)
    assert merkle.verify_consistency(old, size, merkle.root(leaves[:old]), root, proof)
    if size:
        index = data.draw(st.integers(0, size - 1))
        path = merkle.inclusion_proof(index, size, hashes)
        assert merkle.verify_inclusion(leaves[index], index, size, path, root)
        other = merkle.leaf(leaves[index])
        assert not merkle.verify_inclusion(other, index, size, path, root)


@given(st.lists(exactly(32), max_size=80), st.data())
def test_a_frontier_goes_on_where_it_stopped(leaves: list[bytes], data: st.DataObject) -> None:
    stop = data.draw(st.integers(0, len(leaves)))
    frontier = Frontier()
    frontier.extend(leaves[:stop])
    frontier = Frontier.from_bytes(stop, frontier.to_bytes())
    frontier.extend(leaves[stop:])
    assert frontier.root() == merkle.root(leaves)


@given(st.integers(0, 7), numbers(56), st.integers(1, 256))
def test_tile_paths_are_read_as_they_are_written(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile


@given(numbers(64), exactly(32), exactly(32))
def test_checkpoints_are_read_as_they_are_signed(size: int, root: bytes, seed: bytes) -> None:
    signer = notes.LogSigner(seed, "releve/test")
    assert notes.verify_note(signer.sign(size, root), [signer.vkey]) == notes.Checkpoint(
        "releve/test", size, root
    )


@given(st.text(max_size=200))
def test_any_text_is_a_note_or_refused(text: str) -> None:
    try:
        note = notes.parse_note(text)
    except Malformed:
        return
    assert note.signatures


def flip(raw: bytes, bit: int) -> bytes:
    """The same bytes with one bit changed."""
    number = int.from_bytes(raw, "big") ^ 1 << bit
    return number.to_bytes(len(raw), "big")
