"""A Bundle as a set of entries that refer to one another.

Resolution follows R4 (Bundle, "Resolving references in Bundles"): a fragment inside its resource,
an absolute address or URN by ``fullUrl``, a relative one against the base of the entry that holds
it, and else by type and id where exactly one entry has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from releve.fhir import r4b
from releve.fhir.exact_json import JsonObject

_REST: Final = re.compile(r"^(https?://.+/)([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})$")
_RELATIVE: Final = re.compile(r"^([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry with a resource: where it stands and what it is called."""

    index: int
    type: str
    resource: JsonObject
    full_url: str | None = None

    @property
    def path(self) -> str:
        """FHIRPath of the resource from the Bundle."""
        return f"Bundle.entry[{self.index}].resource"

    @property
    def name(self) -> str:
        """What the source calls this resource: ``fullUrl``, else ``Type/id``, else its place."""
        if self.full_url:
            return self.full_url
        identity = self.resource.get("id")
        return f"{self.type}/{identity}" if identity else f"entry/{self.index}"


class Reference(NamedTuple):
    """One literal reference of a resource and what it leads to."""

    node: r4b.Node
    literal: str
    target: Entry | None
    target_type: str | None
    """Type of what it names: the entry's, the contained resource's, or as the text itself says."""

    @property
    def resolved(self) -> bool:
        """Whether the Bundle holds what is referred to."""
        return self.target is not None or (
            self.literal.startswith("#") and self.target_type is not None
        )


@dataclass(slots=True)
class BundleIndex:
    """The entries of a Bundle whose ``entry`` is a list of objects, by every name they have."""

    bundle: JsonObject
    leaving_out: frozenset[int] = frozenset()
    """Places of entries that count as not there."""
    entries: list[Entry] = field(default_factory=list)
    _by_url: dict[str, Entry] = field(default_factory=dict)
    _by_id: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listed = self.bundle.get("entry")
        for index, one in enumerate(listed if isinstance(listed, list) else ()):
            resource = one.get("resource") if isinstance(one, dict) else None
            if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
                continue
            if index in self.leaving_out:
                continue
            url = one.get("fullUrl")
            entry = Entry(
                index, resource["resourceType"], resource, url if isinstance(url, str) else None
            )
            self.entries.append(entry)
            if entry.full_url:
                self._by_url.setdefault(entry.full_url, entry)
            identity = resource.get("id")
            if isinstance(identity, str):
                self._by_id.setdefault((entry.type, identity), []).append(entry)

    def of_type(self, *types: str) -> list[Entry]:
        """The entries of these resource types, in order."""
        return [entry for entry in self.entries if entry.type in types]

    def resolve(self, literal: str, holder: Entry) -> Entry | None:
        """The entry that ``literal``, written in ``holder``, refers to; ``None`` when not here."""
        address = literal.split("#")[0].split("/_history/")[0]
        if address in self._by_url:
            return self._by_url[address]
        relative = _RELATIVE.match(address)
        if relative is None:
            return None
        base = _REST.match(holder.full_url or "")
        if base is not None and base[1] + address in self._by_url:
            return self._by_url[base[1] + address]
        named = self._by_id.get((relative[1], relative[2]), [])
        return named[0] if len(named) == 1 else None

    def references(self, holder: Entry, nodes: Iterable[r4b.Node]) -> Iterator[Reference]:
        """Every literal reference among the ``nodes`` of one resource, contained ones included."""
        inside = _contained_types(holder)
        for node in nodes:
            if node.element.datatype != "Reference" or not isinstance(node.value, dict):
                continue
            literal = node.value.get("reference")
            if not isinstance(literal, str):
                continue
            if literal.startswith("#"):
                yield Reference(node, literal, None, inside.get(literal[1:]))
                continue
            target = self.resolve(literal, holder)
            named = _RELATIVE.match(literal) or _REST.match(literal)
            type_named = named[named.re.groups - 1] if named else None
            yield Reference(node, literal, target, target.type if target else type_named)

    def contained(self, literal: str, holder: Entry) -> JsonObject | None:
        """The contained resource that a fragment reference names."""
        for one in _contained(holder):
            if one.get("id") == literal.removeprefix("#"):
                return one
        return None


def _contained(holder: Entry) -> list[JsonObject]:
    listed: Any = holder.resource.get("contained")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _contained_types(holder: Entry) -> dict[str, str]:
    found = {"": holder.type}
    for one in _contained(holder):
        identity, type_name = one.get("id"), one.get("resourceType")
        if isinstance(identity, str) and isinstance(type_name, str):
            found[identity] = type_name
    return found
