"""The same bytes about two patients: what of a typed identity names a document of its own."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from releve.domain.values import IdentityTraits, plain
from releve.fhir.held_identifiers import identifier_value

SAME_WORDS: Final = (
    "Le même contenu est arrivé ici avec une autre identité, ou sans elle : vérifier à qui il est."
)


def _plainly(traits: IdentityTraits) -> dict[str, object]:
    """The traits that are given, each as it is compared."""
    given = {
        "birth_name": plain(traits.birth_name),
        "first_names": " ".join(plain(name) for name in traits.first_names),
        "used_name": plain(traits.used_name),
        "used_first_name": plain(traits.used_first_name),
        "birth_date": traits.birth_date,
        "sex": traits.sex,
        "birth_place": plain(traits.birth_place),
        "identifiers": sorted(identifier_value(each) for each in traits.identifiers),
    }
    return {name: value for name, value in given.items() if value}


def says(first: IdentityTraits | None, now: IdentityTraits) -> bool:
    """True when a document came with every trait that it is now said to have."""
    known = {} if first is None else _plainly(first)
    return all(known.get(name) == value for name, value in _plainly(now).items())


def named_by(identity: IdentityTraits) -> bytes:
    """What an identity adds to the name of a document: the same traits, the same bytes."""
    form = msgspec.json.encode(_plainly(identity), order="sorted")
    return b"|" + hashlib.sha256(form).digest()
