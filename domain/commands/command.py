"""What a command is, who may speak it, and how data become one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import msgspec

from releve.domain.errors import Invalid
from releve.domain.events import Role

Target = Literal["patient", "centre", "practitioner", "stint", "inbox", "rules"]

DOCTORS: frozenset[Role] = frozenset({"doctor", "referent"})
CLINICIANS: frozenset[Role] = frozenset({"doctor", "referent", "intern", "nurse"})
PRESCRIBERS: frozenset[Role] = frozenset({"doctor", "referent", "intern"})
DESK: frozenset[Role] = frozenset({"coordinator", "secretary"})
"""Who runs everything that is not medical; adds, and never reads clinical text back."""
TEAM: frozenset[Role] = CLINICIANS | DESK
OFFICE: frozenset[Role] = frozenset({"coordinator", "administrator", "system"})
MACHINES: frozenset[Role] = frozenset({"ehr", "system"})

ANY_ID = "00000000-0000-4000-8000-000000000001"
"""Stands in examples for the id of something that exists."""


class Command(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A wish: in the imperative, addressed to one aggregate, refused or told as events.

    ``name`` is the kebab-case name, in the topic's words; ``target`` what it is addressed to;
    ``roles`` who may speak it; ``example`` data that are accepted; ``creates`` whether it opens a
    stream; ``public`` is False for what only the product itself speaks.
    """

    name: ClassVar[str]
    target: ClassVar[Target]
    roles: ClassVar[frozenset[Role]]
    example: ClassVar[Mapping[str, Any]]
    creates: ClassVar[bool] = False
    public: ClassVar[bool] = True

    occurred_at: str | None = None
    """Clinical time where it is not now: RFC 3339 with offset, or a partial date."""
    late_reason: str | None = None
    """Why it is written after the stint that it happened in."""


@dataclass(frozen=True)
class CommandSpec:
    """One command as doors see it: how it is addressed, who speaks it, how its data are read."""

    type: type[Command]

    @property
    def name(self) -> str:
        """The kebab-case name, in the topic's words."""
        return self.type.name

    @property
    def target(self) -> Target:
        """The kind of aggregate that it is addressed to."""
        return self.type.target

    @property
    def roles(self) -> frozenset[Role]:
        """Who may speak it."""
        return self.type.roles

    @property
    def example(self) -> Mapping[str, Any]:
        """Data that are accepted; a test says so."""
        return MappingProxyType(dict(self.type.example))

    @property
    def creates(self) -> bool:
        """Whether it opens a new stream."""
        return self.type.creates

    @property
    def public(self) -> bool:
        """False for what only the product itself speaks (import, issue of a briefing)."""
        return self.type.public

    @property
    def summary(self) -> str:
        """The first line of the command's docstring."""
        return (self.type.__doc__ or "").strip().splitlines()[0]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the command's data, definitions inside."""
        return msgspec.json.schema(self.type)

    def parse(self, data: object) -> Command:
        """The command that ``data`` (decoded JSON) describes.

        Raises:
            Invalid: a field is missing, unknown or of another type; names it, not its value.
        """
        try:
            parsed = msgspec.convert(data, self.type, strict=True)
        except msgspec.ValidationError as refused:
            raise _named(refused) from None
        inside = _unknown_in(data, parsed, "")
        if inside is not None:
            raise _unknown(inside)
        return parsed


def _unknown_in(data: object, parsed: object, path: str) -> str | None:
    """The path of the structure that was sent with a field it does not have; None where all do.

    Values of the domain read stored events, which a later release may have added fields to, so
    they let unknown ones pass; what somebody sends must not lose a field without being told.
    """
    if isinstance(parsed, msgspec.Struct) and isinstance(data, Mapping):
        names = dict(zip(parsed.__struct_encode_fields__, parsed.__struct_fields__, strict=True))
        tag = parsed.__struct_config__.tag_field
        if any(name not in names and name != tag for name in data):
            return path
        below = [(data[name], getattr(parsed, field), f"{path}.{name}".lstrip("."))
                 for name, field in names.items() if name in data]  # fmt: skip
    elif isinstance(parsed, list | tuple) and isinstance(data, list | tuple):
        below = [(sent, read, f"{path}[{n}]")
                 for n, (sent, read) in enumerate(zip(data, parsed, strict=True))]  # fmt: skip
    else:
        return None
    return next((found for each in below if (found := _unknown_in(*each)) is not None), None)


def _unknown(path: str) -> Invalid:
    """A refusal that says in which structure a field is unknown, never what it was called."""
    return Invalid(
        "unknown-field", why="Un champ n'existe pas dans cette commande.", field=path or None
    )


def _named(refused: msgspec.ValidationError) -> Invalid:
    """The path and kind of a refusal, without the value that the library may quote."""
    text = str(refused)
    path = re.search(r" - at `\$\.?([^`]*)`", text)
    missing = re.match(r"Object (?:missing required|contains unknown) field `([^`]*)`", text)
    field = path.group(1) if path else ""
    if missing and missing.group(0).startswith("Object missing"):
        field = f"{field}.{missing.group(1)}" if field else missing.group(1)
        return Invalid("missing-field", why="Ce champ est obligatoire.", field=field)
    if missing:
        return _unknown(field)
    return Invalid("invalid-field", field=field or None)
