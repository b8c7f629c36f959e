"""Signed notes against the published example of Go's note package, and what must be refused."""

import base64
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from releve.security.errors import Malformed, Tampered
from releve.security.ledger import notes
from releve.security.ledger.notes import Checkpoint, LogSigner, SignatureKind, VerifierKey

# The example of https://pkg.go.dev/golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

CELL = UUID("6c0ffee0-0000-8000-8000-000000000001")
ORIGIN = notes.log_origin(CELL)
SIGNER = LogSigner(bytes(range(32)), ORIGIN)
ROOT = bytes(range(32, 64))

# The example of C2SP tlog-cosignature; its keys are not published.
PUBLISHED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5"
    "/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJs"
    "X3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
WITNESS = VerifierKey(
    "witness.example", SignatureKind.COSIGNATURE, WITNESS_KEY.public_key().public_bytes_raw()
)


def cosign(note: str, time: int) -> str:
    """What a witness does, after C2SP tlog-cosignature."""
    text = note[: note.index("\n\n") + 1]
    signature = WITNESS_KEY.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
    raw = WITNESS.key_hash + time.to_bytes(8, "big") + signature
    return f"— witness.example {base64.b64encode(raw).decode()}"


def test_the_published_example_verifies() -> None:
    key = VerifierKey.parse(PETER)
    note = notes.parse_note(PETER_NOTE)
    assert key.text() == PETER
    (signature,) = note.signatures
    assert (signature.name, signature.key_hash) == ("PeterNeumann", bytes.fromhex("c74f20a3"))
    assert key.verifies(signature, note.text)
    assert not key.verifies(signature, note.text.replace("you", "You"))
    assert LogSigner(PETER_SEED, "PeterNeumann").vkey == PETER


def test_the_published_cosigned_checkpoint_is_read() -> None:
    note = notes.parse_note(PUBLISHED)
    assert Checkpoint.parse(note.text).size == 20852163
    assert Checkpoint.parse(note.text).text() == note.text
    assert notes.cosignature_time(note.signatures[1]) == 1679315147


def test_a_checkpoint_is_signed_and_read_back() -> None:
    note = SIGNER.sign(129, ROOT)
    assert note.startswith(
        "releve/6c0ffee0000080008000000000000001\n129\n"
        "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n\n— releve/6c0ffee0000080008000000000000001 "
    )
    assert notes.verify_note(note, [SIGNER.vkey]) == Checkpoint(ORIGIN, 129, ROOT)
    assert SIGNER.sign(129, ROOT) == note, "Ed25519 signs the same text the same way"


def test_every_changed_character_of_a_signed_checkpoint_is_refused() -> None:
    note = SIGNER.sign(129, ROOT)
    raw = note.encode()
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            text = changed.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(Tampered):
            notes.verify_note(text, [SIGNER.vkey])


def test_a_witness_cosigns_with_its_time() -> None:
    note = SIGNER.sign(129, ROOT)
    line = cosign(note, 1_795_419_000)
    both = notes.add_signatures(note, [line])
    keys = [SIGNER.vkey, WITNESS.text()]
    assert notes.verify_note(both, keys) == Checkpoint(ORIGIN, 129, ROOT)
    assert notes.cosignature_time(notes.parse_note(both).signatures[1]) == 1_795_419_000
    assert WITNESS.text().split("+", 2)[2].startswith("BD"), "the kind of the key comes first: 4"
    with pytest.raises(Tampered):
        notes.verify_note(note, keys)
    other = notes.add_signatures(SIGNER.sign(130, ROOT), [line])
    with pytest.raises(Tampered):
        notes.verify_note(other, keys)
    # Another time than the one that was signed.
    raw = bytearray(base64.b64decode(line.rpartition(" ")[2]))
    raw[11] ^= 1
    late = notes.add_signatures(note, [f"— witness.example {base64.b64encode(raw).decode()}"])
    with pytest.raises(Tampered):
        notes.verify_note(late, keys)


def test_lines_of_unknown_keys_are_passed_over_and_keys_must_be_given() -> None:
    note = SIGNER.sign(129, ROOT)
    with_witness = notes.add_signatures(note, [cosign(note, 1)])
    assert notes.verify_note(with_witness, [SIGNER.vkey]).size == 129
    with pytest.raises(Tampered):
        notes.verify_note(note, [])
    with pytest.raises(Tampered):
        notes.verify_note(note, [LogSigner(bytes(32), ORIGIN).vkey])


def test_a_log_signature_is_not_a_cosignature() -> None:
    note = SIGNER.sign(129, ROOT)
    (signature,) = notes.parse_note(note).signatures
    with pytest.raises(Malformed):
        notes.cosignature_time(signature)
    public = VerifierKey.parse(SIGNER.vkey).public_key
    assert not VerifierKey(ORIGIN, SignatureKind.COSIGNATURE, public).verifies(
        signature, notes.parse_note(note).text
    )


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n" + base64.b64encode(ROOT).decode(),
        "origin\n1\n" + base64.b64encode(ROOT).decode() + "\nextension\n",
        "origin\n01\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n-1\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n\u0661\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n18446744073709551616\n" + base64.b64encode(ROOT).decode() + "\n",
        "\n1\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n1\n" + base64.b64encode(ROOT[:31]).decode() + "\n",
        "origin\n1\nICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj9=\n",
        "origin\n1\n====\n",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        PETER_NOTE[:-1],
        PETER_NOTE.replace("— ", "- "),
        PETER_NOTE.replace("PeterNeumann ", "Peter+Neumann "),
        PETER_NOTE.replace("PeterNeumann ", "Peter Neumann "),
        PETER_NOTE.replace("problem", "pro\x00blem"),
        PETER_NOTE.replace("\n", "\r\n"),
        PETER_NOTE + "\n",
        "text\n\n— name AAAA\n",
    ],
)
def test_what_is_not_a_note_is_refused(note: str) -> None:
    with pytest.raises(Malformed):
        notes.parse_note(note)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("PeterNeumann", "PeterNewman"),
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("+ARpc", "+Ahpc"),
        PETER[:-4],
        PETER + "\n",
    ],
)
def test_what_is_not_a_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(Malformed):
        VerifierKey.parse(vkey)


def test_a_signer_refuses_a_name_or_seed_that_no_verifier_could_take() -> None:
    for seed, origin in ((bytes(32), "two words"), (bytes(32), "a+b"), (bytes(31), ORIGIN)):
        with pytest.raises(Malformed):
            LogSigner(seed, origin)
    assert bytes(range(32)).hex() not in repr(SIGNER)
