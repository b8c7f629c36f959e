"""The Merkle tree against RFC 6962 written again here from its definition, and CT vectors."""

import hashlib
from itertools import pairwise
from uuid import UUID

import pytest

from releve.security.errors import Malformed
from releve.security.ledger import merkle
from releve.security.ledger.merkle import Frontier, Tile

SIZES = range(130)
LEAVES = [merkle.leaf(n.to_bytes(4, "big")) for n in range(700)]
IN_MEMORY = merkle.hashes_in_memory(LEAVES)

# Certificate Transparency's reference inputs and the roots over the first 1..8 of them.
CT_INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 2.1, word for word, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


ROOTS = [mth(LEAVES[:size]) for size in SIZES]


def test_certificate_transparency_roots() -> None:
    hashes = [merkle.leaf(bytes.fromhex(text)) for text in CT_INPUTS]
    for count, expected in enumerate(CT_ROOTS, start=1):
        assert merkle.root(hashes[:count]).hex() == expected
    assert merkle.EMPTY_ROOT.hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_certificate_transparency_proofs() -> None:
    hashes = merkle.hashes_in_memory([merkle.leaf(bytes.fromhex(text)) for text in CT_INPUTS])
    assert [part.hex() for part in merkle.inclusion_proof(5, 8, hashes)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [part.hex() for part in merkle.consistency_proof(6, 8, hashes)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_the_frontier_gives_every_root_and_survives_being_stored() -> None:
    frontier = Frontier()
    for size in SIZES:
        assert frontier.size == size
        assert frontier.root() == ROOTS[size]
        assert merkle.root(LEAVES[:size]) == ROOTS[size]
        assert merkle.root_at(size, IN_MEMORY) == ROOTS[size]
        stored = frontier.to_bytes()
        assert len(stored) == 32 * size.bit_count()
        frontier = Frontier.from_bytes(size, stored)
        frontier.append(LEAVES[size])


@pytest.mark.parametrize(("size", "length"), [(0, 32), (1, 0), (3, 32), (3, 65), (-1, 0)])
def test_a_frontier_of_another_size_is_refused(size: int, length: int) -> None:
    with pytest.raises(Malformed):
        Frontier.from_bytes(size, bytes(length))


def test_every_inclusion_proof_is_the_one_of_the_rfc_and_verifies() -> None:
    for size in SIZES:
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, IN_MEMORY)
            assert proof == path(index, LEAVES[:size])
            assert merkle.verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])


def test_an_inclusion_proof_shows_nothing_else() -> None:
    for size in (1, 2, 3, 7, 8, 9, 64, 65, 129):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, IN_MEMORY)
            leaf, root = LEAVES[index], ROOTS[size]
            for other in range(size):
                if other != index:
                    assert not merkle.verify_inclusion(leaf, other, size, proof, root)
                    assert not merkle.verify_inclusion(LEAVES[other], index, size, proof, root)
            assert not merkle.verify_inclusion(leaf, index, size, [*proof, leaf], root)
            assert not merkle.verify_inclusion(leaf, index, size, proof, ROOTS[size - 1])
            assert not merkle.verify_inclusion(leaf, size, size, proof, root)
            if proof:
                assert not merkle.verify_inclusion(leaf, index, size, proof[:-1], root)
                assert not merkle.verify_inclusion(leaf, index, size, [b"", *proof[1:]], root)
                assert not merkle.verify_inclusion(leaf, index, size, [proof[0][:31]], root)


def test_every_consistency_proof_is_the_one_of_the_rfc_and_verifies() -> None:
    for new in SIZES:
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, IN_MEMORY)
            assert proof == (subproof(old, LEAVES[:new], True) if 0 < old < new else [])
            assert merkle.verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)


def test_a_consistency_proof_shows_nothing_else() -> None:
    for new in (2, 3, 7, 8, 9, 64, 65, 129):
        for old in range(1, new):
            proof = merkle.consistency_proof(old, new, IN_MEMORY)
            roots = ROOTS[old], ROOTS[new]
            assert not merkle.verify_consistency(old, new, ROOTS[old - 1], roots[1], proof)
            assert not merkle.verify_consistency(old, new, roots[0], ROOTS[old], proof)
            assert not merkle.verify_consistency(old, new, *roots, [*proof, proof[0]])
            assert not merkle.verify_consistency(old, new, *roots, proof[:-1])
            assert not merkle.verify_consistency(new, old, roots[1], roots[0], proof)
            for at in range(len(proof)):
                changed = [*proof[:at], merkle.leaf(proof[at]), *proof[at + 1 :]]
                assert not merkle.verify_consistency(old, new, *roots, changed)
    assert not merkle.verify_consistency(0, 5, ROOTS[1], ROOTS[5], [])
    assert not merkle.verify_consistency(5, 5, ROOTS[5], ROOTS[5], [ROOTS[5]])


def test_what_does_not_exist_is_refused() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(Malformed):
            merkle.inclusion_proof(index, size, IN_MEMORY)
    with pytest.raises(Malformed):
        merkle.consistency_proof(6, 5, IN_MEMORY)
    with pytest.raises(Malformed):
        merkle.root_at(len(LEAVES) + 1, IN_MEMORY)
    with pytest.raises(Malformed):
        merkle.split(bytes(33))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513, 700])
def test_tiles_alone_give_roots_and_proofs(size: int) -> None:
    stored = {tile.path: merkle.read_tile(tile, IN_MEMORY) for tile in merkle.tiles_of(size)}
    hashes = merkle.hashes_in_tiles(size, lambda tile: stored[tile.path])
    assert merkle.root_at(size, hashes) == mth(LEAVES[:size])
    for index in {0, 1, size // 2, size - 1} & set(range(size)):
        proof = merkle.inclusion_proof(index, size, hashes)
        assert proof == path(index, LEAVES[:size])
    for old in {1, size // 3, size - 1} & set(range(1, size)):
        assert merkle.consistency_proof(old, size, hashes) == subproof(old, LEAVES[:size], True)
    with pytest.raises(Malformed):
        hashes(0, size, 1)


def test_a_tile_of_another_width_is_refused() -> None:
    hashes = merkle.hashes_in_tiles(300, lambda tile: bytes(32 * (tile.width - 1)))
    with pytest.raises(Malformed):
        merkle.root_at(300, hashes)


def test_completed_tiles_are_given_once_each_in_an_order_that_can_be_built() -> None:
    steps = [0, 1, 255, 256, 300, 1024, 65_535, 65_536, 200_000]
    given = [tile for old, new in pairwise(steps) for tile in merkle.completed_tiles(old, new)]
    assert sorted(given) == [tile for tile in merkle.tiles_of(200_000) if tile.width == 256]
    assert len(set(given)) == len(given)
    assert list(merkle.completed_tiles(65_535, 65_536)) == [Tile(0, 255), Tile(1, 0)]
    assert list(merkle.tiles_of(70_000)) == [
        *(Tile(0, index) for index in range(273)),
        Tile(0, 273, 112),
        Tile(1, 0),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999, 5), "tile/0/999.p/5"),
        (Tile(1, 1000), "tile/1/x001/000"),
        # The example of C2SP tlog-tiles.
        (Tile(3, 1234067), "tile/3/x001/x234/067"),
        (Tile(0, 1234067, 255), "tile/0/x001/x234/067.p/255"),
    ],
)
def test_tile_paths(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/8/000",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000/",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/0/\u0660\u0660\u0660",
    ],
)
def test_other_spellings_of_a_tile_path_are_refused(path: str) -> None:
    with pytest.raises(Malformed):
        Tile.parse(path)


def test_the_heads_tree_is_ordered_by_pseudonym() -> None:
    heads = [(UUID(int=n << 120), n, LEAVES[n]) for n in (200, 3, 127, 128)]
    ordered = merkle.heads_leaves(heads)
    assert ordered == [merkle.heads_leaf(*head) for head in sorted(heads, key=lambda h: h[1])]
    stream, version, leaf_hash = heads[0]
    assert (
        merkle.heads_leaf(*heads[0])
        == hashlib.sha256(
            b"\x00" + stream.bytes + bytes(7) + bytes((version,)) + leaf_hash
        ).digest()
    )
