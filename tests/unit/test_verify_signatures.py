"""verify.py on who signed: checkpoints, keys, witnesses, a checkpoint kept elsewhere, Ed25519."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from releve.security.ledger import merkle, notes, verify
from support.export_bytes import CELL, Ledger, b64, small_ledger, stream_id
from support.export_damage import VKEY, Members, check, edit, flipped, found, touch


class TestCheckpoint:
    def test_every_changed_byte_is_found(self, tmp_path: Path, patient_export: Members) -> None:
        raw = patient_export["checkpoint"]
        for at in range(len(raw)):
            result = check(tmp_path, touch(patient_export, "checkpoint", at))
            kinds = {p["kind"] for p in result["problems"]}
            assert kinds & {
                "checkpoint-format", "checkpoint-signature", "unknown-signature",
                "missing-signature",
            }, at  # fmt: skip
            assert not result["verified"]

    def test_another_root_or_size_signed_by_the_log_key(
        self, tmp_path: Path, log_export: Members
    ) -> None:
        signer = Ledger().signer
        damaged = {**log_export, "checkpoint": signer.sign(309, bytes(32)).encode()}
        assert ("root", None) in found(check(tmp_path, damaged))
        root = base64.b64decode(log_export["checkpoint"].split(b"\n")[2])
        for size in (308, 310, 10**15, 2**62):
            damaged = {**log_export, "checkpoint": signer.sign(size, root).encode()}
            result = found(check(tmp_path, damaged))
            assert ("manifest", None) in result
        assert ("omitted-tail", 309) in result

    def test_no_key_or_another_key_is_not_trusted(
        self, tmp_path: Path, log_export: Members
    ) -> None:
        result = check(tmp_path, log_export, vkeys=[])
        assert found(result) == {("untrusted-key", None)}
        assert verify.exit_code(result) == 5
        other = Ledger(seed=2).vkey
        assert found(check(tmp_path, log_export, vkeys=[other])) == {("untrusted-key", None)}
        assert found(check(tmp_path, log_export, vkeys=[other, VKEY])) == set()

    def test_a_log_of_another_key_under_the_same_name(self, tmp_path: Path) -> None:
        made = Ledger(seed=2)
        made.add(stream_id(1))
        assert found(check(tmp_path, made.export())) == {("untrusted-key", None)}

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            (lambda raw: raw[:-1], "untrusted-key"),
            (lambda raw: b"", "untrusted-key"),
            (lambda raw: raw + raw, "untrusted-key"),
            (lambda raw: raw + b"x\n", "untrusted-key"),
            (lambda raw: flipped(raw, 60), "untrusted-key"),
        ],
    )
    def test_bad_vkeys(
        self, tmp_path: Path, log_export: Members, change: Callable[[bytes], bytes], kind: str
    ) -> None:
        assert kind in {k for k, _ in found(check(tmp_path, edit(log_export, "vkeys", change)))}

    @pytest.mark.parametrize(
        "change",
        [
            lambda t: t.replace("\n\n", "\nextension\n\n"),
            lambda t: t.replace("\n309\n", "\n0309\n"),
            lambda t: t + "\n",
            lambda t: t[:-1],
            lambda t: t.replace("—", "-"),
            lambda t: t + t.splitlines()[-1] + "\n",
        ],
    )
    def test_other_forms_are_refused(
        self, tmp_path: Path, log_export: Members, change: Callable[[str], str]
    ) -> None:
        damaged = edit(log_export, "checkpoint", lambda raw: change(raw.decode()).encode())
        assert "checkpoint-format" in {k for k, _ in found(check(tmp_path, damaged))}

    def test_another_origin_than_the_keys_name(self, tmp_path: Path) -> None:
        made = Ledger()
        made.add(stream_id(1))
        members = made.export()
        key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
        text = members["checkpoint"].decode().split("\n\n")[0].replace(CELL.hex, "0" * 32) + "\n"
        key_id = made.vkey.split("+")[1]
        signature = b64(bytes.fromhex(key_id) + key.sign(text.encode()))
        members["checkpoint"] = f"{text}\n— {made.signer.origin} {signature}\n".encode()
        assert found(check(tmp_path, members)) == {("checkpoint-format", None)}


def witness(seed: int, name: str, note: bytes) -> tuple[str, bytes]:
    """A witness's vkey and its line on a note (C2SP tlog-cosignature)."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    public = b"\x04" + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    text = note.decode().split("\n\n")[0] + "\n"
    stamp = 1_795_420_900
    raw = key.sign(notes.cosigned_message(stamp, text))
    line = b64(key_id + stamp.to_bytes(8, "big") + raw)
    return f"{name}+{key_id.hex()}+{b64(public)}", f"— {name} {line}\n".encode()


class TestWitnesses:
    def test_signed_and_counted(self, tmp_path: Path, log_export: Members) -> None:
        one, line = witness(7, "witness.one", log_export["checkpoint"])
        two, _ = witness(8, "witness.two", log_export["checkpoint"])
        signed = edit(log_export, "checkpoint", lambda raw: raw + line)
        listed = edit(signed, "vkeys", lambda raw: raw + f"{one}\n".encode())
        assert found(check(tmp_path, listed)) == set()
        assert found(check(tmp_path, listed, witnesses=[one])) == set()
        assert found(check(tmp_path, listed, witnesses=[one, two])) == {("missing-signature", None)}
        assert found(check(tmp_path, listed, witnesses=[one, two], quorum=1)) == set()
        assert found(check(tmp_path, log_export, witnesses=[one])) == {("missing-signature", None)}
        assert found(check(tmp_path, signed)) == {("unknown-signature", None)}
        unsigned = edit(listed, "checkpoint", lambda raw: raw[: -len(line)])
        assert found(check(tmp_path, unsigned)) == {("missing-signature", None)}
        wrong, bad = witness(7, "witness.one", log_export["checkpoint"].replace(b"\n309", b"\n308"))
        assert wrong == one
        damaged = edit(listed, "checkpoint", lambda raw: raw.replace(line, bad))
        assert found(check(tmp_path, damaged)) == {("witness-signature", None)}


class TestHeld:
    def test_a_kept_checkpoint_of_this_log(self, tmp_path: Path, log_export: Members) -> None:
        made = small_ledger()
        for size in (1, 100, 255, 256, 257, 304):
            assert found(check(tmp_path, log_export, held=made.note(size))) == set(), size

    def test_a_truncated_and_signed_again_log_is_a_rollback(self, tmp_path: Path) -> None:
        made = small_ledger()
        held = made.note()
        shorter = small_ledger(200)
        assert ("rollback", None) in found(check(tmp_path, shorter.export(), held=held))

    def test_a_rewritten_and_signed_again_log_is_a_fork(self, tmp_path: Path) -> None:
        held = small_ledger().note(200)
        made = Ledger()
        for n in range(300):
            made.add(stream_id(n % 6), size=1)
        assert found(check(tmp_path, made.export(), held=held)) == {("fork", None)}

    def test_another_log_is_a_fork(self, tmp_path: Path, log_export: Members) -> None:
        other = notes.LogSigner(bytes([1]) * 32, "releve/" + "0" * 32)
        held = other.sign(100, bytes(32)).encode()
        assert found(check(tmp_path, log_export, held=held)) == {("fork", None)}

    def test_a_partial_export_says_when_it_cannot_tell(self, tmp_path: Path) -> None:
        made = Ledger()
        for _ in range(900):
            made.add(stream_id(1))
        made.add(stream_id(2))
        held = [made.note(300), made.note(890)]
        members = made.export([stream_id(2)])
        assert found(check(tmp_path, members, held=held[0])) == {("consistency", None)}
        assert found(check(tmp_path, members, held=held[1])) == set()
        forged = made.signer.sign(890, bytes(32)).encode()
        assert found(check(tmp_path, members, held=forged)) == {("fork", None)}

    def test_an_unusable_kept_checkpoint_is_wrong_use(
        self, tmp_path: Path, log_export: Members
    ) -> None:
        with pytest.raises(verify.Unusable):
            check(tmp_path, log_export, held=b"nothing")

    def test_a_kept_checkpoint_signed_by_somebody_else(
        self, tmp_path: Path, log_export: Members
    ) -> None:
        small = small_ledger()
        root = merkle.root(small.leaves()[:100])
        held = Ledger(seed=3).signer.sign(100, root).encode()
        assert found(check(tmp_path, log_export, held=held)) == {("checkpoint-signature", None)}


class TestEd25519:
    @pytest.mark.parametrize(
        ("public", "message", "signature"),
        [
            (
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
                "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
                "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ],
    )  # fmt: skip
    def test_vectors_of_rfc_8032(self, public: str, message: str, signature: str) -> None:
        key, text, raw = (bytes.fromhex(v) for v in (public, message, signature))
        assert verify.ed25519_verify(key, text, raw)
        assert not verify.ed25519_verify(key, text + b"x", raw)
        assert not verify.ed25519_verify(key, text, flipped(raw, 3))
        assert not verify.ed25519_verify(key, text, raw[:-1])

    def test_agrees_with_another_implementation(self) -> None:
        generator = random.Random(3)  # noqa: S311 - a repeatable test
        for _ in range(10):
            key = Ed25519PrivateKey.from_private_bytes(generator.randbytes(32))
            message = generator.randbytes(40)
            public, signature = key.public_key().public_bytes_raw(), key.sign(message)
            assert verify.ed25519_verify(public, message, signature)
            at = generator.randrange(64)
            assert not verify.ed25519_verify(public, message, flipped(signature, at))

    def test_a_scalar_not_reduced_is_refused(self) -> None:
        key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        signature = key.sign(b"m")
        order = 2**252 + 27742317777372353535851937790883648493
        larger = int.from_bytes(signature[32:], "little") + order
        forged = signature[:32] + larger.to_bytes(32, "little")
        assert not verify.ed25519_verify(key.public_key().public_bytes_raw(), b"m", forged)
