"""What R4 allows in a resource: structure, primitive types, codes, reference targets.

Structure is judged by ``fhir.resources.R4B`` (its field names are R4's for every resource we read
or write). What it lets pass is judged here from the same tables: JSON types of primitives, codes
outside a required list, targets a reference may have. No message repeats a value that was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.resource import Resource
from pydantic import BaseModel, ValidationError

from releve.fhir.exact_json import JsonObject

# Resource types of R4 (4.0.1) that R4B dropped: legal to receive, but nothing here can judge them.
R4_ONLY: Final = frozenset(
    {
        "EffectEvidenceSynthesis", "MedicinalProduct", "MedicinalProductAuthorization",
        "MedicinalProductContraindication", "MedicinalProductIndication",
        "MedicinalProductIngredient", "MedicinalProductInteraction",
        "MedicinalProductManufactured", "MedicinalProductPackaged",
        "MedicinalProductPharmaceutical", "MedicinalProductUndesirableEffect",
        "RiskEvidenceSynthesis", "SubstanceNucleicAcid", "SubstancePolymer", "SubstanceProtein",
        "SubstanceReferenceInformation", "SubstanceSourceMaterial", "SubstanceSpecification",
    }
)  # fmt: skip

Severity = Literal["error", "warning"]


class Issue(NamedTuple):
    """One thing that is wrong: where (FHIRPath from the Bundle), what (French), how badly."""

    path: str
    reason: str
    severity: Severity = "error"
    rule: str = "structure"
    """Which rule it breaks: FHIR's own key (``bdl-10``, ``ait-2``) where it has one."""


class Element(NamedTuple):
    """What R4 says of one element of a type, by its JSON name."""

    name: str
    """FHIRPath name: ``onset`` for ``onsetDateTime``."""
    datatype: str
    many: bool
    codes: tuple[str, ...]
    targets: tuple[str, ...]


class Node(NamedTuple):
    """One element met while walking a resource."""

    path: str
    key: str
    element: Element
    value: Any


_JSON_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "boolean": bool,
    "integer": int,
    "positiveInt": int,
    "unsignedInt": int,
    "decimal": (int, Decimal),
}
_LONGER_LISTS: Final = {
    ("Observation", "status"): (
        "registered", "preliminary", "final", "amended", "corrected", "cancelled",
        "entered-in-error", "unknown",
    ),
    ("DiagnosticReport", "status"): (
        "registered", "partial", "preliminary", "final", "amended", "corrected", "appended",
        "cancelled", "entered-in-error", "unknown",
    ),
    ("DeviceUseStatement", "status"): (
        "active", "completed", "entered-in-error", "intended", "stopped", "on-hold",
    ),
    ("Task", "status"): (
        "draft", "requested", "received", "accepted", "rejected", "ready", "cancelled",
        "in-progress", "on-hold", "failed", "completed", "entered-in-error",
    ),
    ("Encounter", "status"): (
        "planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled",
        "entered-in-error", "unknown",
    ),
}  # fmt: skip
_REASONS: Final = {
    "extra_forbidden": "élément inconnu en FHIR R4",
    "missing": "élément obligatoire absent",
    "fhir-validation-wrong-resource-type": "type de ressource inattendu",
}


def model_of(type_name: str) -> type[BaseModel] | None:
    """The R4B class of a resource or datatype, ``None`` when R4B has no such type."""
    if not re.fullmatch(r"[A-Za-z]{1,64}", type_name):
        return None
    return _model(type_name)


def is_resource(type_name: str) -> bool:
    """Whether R4 has a concrete resource type of this name."""
    model = model_of(type_name)
    concrete = model is not None and issubclass(model, Resource)
    return type_name in R4_ONLY or (concrete and type_name not in ("Resource", "DomainResource"))


@lru_cache(maxsize=512)
def _model(type_name: str) -> type[BaseModel] | None:
    try:
        found: type[BaseModel] = get_fhir_model_class(type_name)
    except (KeyError, ValueError, ImportError):
        return None
    return found


@lru_cache(maxsize=512)
def elements_of(type_name: str) -> dict[str, Element]:
    """Every element of a type by its JSON name; empty for a type that R4B does not have."""
    model = model_of(type_name)
    if model is None:
        return {}
    found: dict[str, Element] = {}
    for attribute, field in model.model_fields.items():
        if attribute.endswith("__ext") or attribute in ("fhir_comments", "resource_type"):
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        annotation = str(field.annotation)
        named = re.search(r"abc\.(\w+?)Type\b|Annotated\[[^\]]*?(\w+)\(|\b(bool)\b", annotation)
        complex_type, primitive, boolean = named.groups() if named else (None, "string", None)
        datatype = complex_type or ("boolean" if boolean else primitive[0].lower() + primitive[1:])
        key = field.alias or attribute
        choice = extra.get("one_of_many")
        found[key] = Element(
            name=choice if isinstance(choice, str) else key,
            datatype=datatype,
            many="List[" in annotation,
            codes=_codes(type_name, key, extra.get("enum_values")),
            targets=_strings(extra.get("enum_reference_types")),
        )
    return found


def _codes(type_name: str, key: str, listed: object) -> tuple[str, ...]:
    codes = _strings(listed)
    if "+" in codes:  # the tables end a list with "+" where R4's page does, and R4 goes on
        return _LONGER_LISTS.get((type_name, key), ())
    return codes


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def walk(content: JsonObject, type_name: str, path: str) -> list[Node]:
    """Every element of a resource that validated, depth first, with its FHIRPath.

    Contained resources are walked under their own types; primitive extensions (``_name``) are not
    elements and are passed over.
    """
    found: list[Node] = []
    _walk(content, type_name, path, found)
    return found


def _walk(content: JsonObject, type_name: str, path: str, found: list[Node]) -> None:
    known = elements_of(type_name)
    for key, value in content.items():
        element = known.get(key)
        if element is None:
            continue
        place = f"{path}.{element.name}"
        if not isinstance(value, list):
            _visit(Node(place, key, element, value), found)
            continue
        for index, one in enumerate(value):
            _visit(Node(f"{place}[{index}]", key, element, one), found)


def _visit(node: Node, found: list[Node]) -> None:
    if node.value is None:
        return
    found.append(node)
    if isinstance(node.value, dict):
        inner = node.element.datatype
        if inner == "Resource":
            inner = str(node.value.get("resourceType", "Resource"))
        _walk(node.value, inner, node.path, found)


def structure(content: JsonObject, path: str) -> list[Issue]:
    """What keeps a resource from being R4, empty when nothing does; never raises for its content.

    ``content`` must have a ``resourceType`` that :func:`model_of` knows.
    """
    return judged(content, path)[0]


def judged(content: JsonObject, path: str) -> tuple[list[Issue], list[Node]]:
    """What :func:`structure` says and, where it says nothing, every element (:func:`walk`)."""
    if issues := _unsound(content, path):
        return issues, []
    nodes = walk(content, str(content["resourceType"]), path)
    reason = "type JSON que FHIR R4 n'admet pas pour cet élément"
    issues = [Issue(node.path, reason) for node in nodes if not _json_type_fits(node)]
    return issues, [] if issues else nodes


def _unsound(content: JsonObject, path: str) -> list[Issue]:
    for index, inside in enumerate(_contained(content)):
        inner = inside.get("resourceType") if isinstance(inside, dict) else None
        if not isinstance(inner, str) or model_of(inner) is None:
            return [Issue(f"{path}.contained[{index}]", "type de ressource inconnu en FHIR R4")]
    type_name = str(content["resourceType"])
    model = model_of(type_name)
    if empty := list(_nulls(content, type_name, path)):
        return empty
    if model is None:
        return [Issue(path, "type de ressource inconnu en FHIR R4")]
    try:
        model.model_validate(content)
    except ValidationError as error:
        return [
            Issue(
                _path_of(type_name, path, one["loc"]),
                _REASONS.get(one["type"], "valeur ou structure que FHIR R4 n'admet pas"),
            )
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        # The library answers some malformed content with its own errors instead of a refusal.
        return [Issue(path, "structure que FHIR R4 n'admet pas")]
    return []


def unknown_codes(nodes: Iterable[Node]) -> list[Issue]:
    """Codes outside the list that R4 requires, as warnings: they are kept as received."""
    return [
        Issue(node.path, "code hors de la liste que FHIR R4 impose", "warning", "required-code")
        for node in nodes
        if node.element.codes and node.value not in node.element.codes
    ]


def _contained(content: JsonObject) -> list[Any]:
    contained = content.get("contained")
    return contained if isinstance(contained, list) else []


def _nulls(content: JsonObject, type_name: str, path: str) -> Iterator[Issue]:
    """Elements that are ``null``: FHIR leaves out what it does not say.

    Only a list of primitives may hold nulls, where its extensions (``_name``) say more.
    """
    known = elements_of(type_name)
    for key, value in content.items():
        element = known.get(key.removeprefix("_"))
        name, inner = (element.name, element.datatype) if element else (_printable(key), "")
        many = isinstance(value, list)
        extended = key.startswith("_") or f"_{key}" in content
        for number, one in enumerate(value) if isinstance(value, list) else ((0, value),):
            here = f"{path}.{name}[{number}]" if many else f"{path}.{name}"
            if one is None and not (many and extended):
                yield Issue(here, "null : FHIR n'admet pas d'élément sans valeur")
            elif isinstance(one, dict):
                if inner == "Resource":
                    inner = str(one.get("resourceType", "Resource"))
                yield from _nulls(one, "Extension" if key.startswith("_") else inner, here)
            elif isinstance(one, list):
                yield Issue(here, "liste dans une liste : FHIR ne l'admet pas")


def _json_type_fits(node: Node) -> bool:
    if isinstance(node.value, dict):
        return node.element.datatype not in _JSON_TYPES
    expected = _JSON_TYPES.get(node.element.datatype, str)
    if isinstance(node.value, bool):
        return expected is bool
    return isinstance(node.value, expected)


def _path_of(type_name: str, path: str, location: tuple[int | str, ...]) -> str:
    known = elements_of(type_name)
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
            continue
        if step in ("root", "resource_type"):
            continue
        element = known.get(step)
        path += f".{element.name if element else _printable(step)}"
        known = elements_of(element.datatype) if element else {}
    return path


def _printable(key: str) -> str:
    """A key of the file as it may be shown: cut short, and only if it could be an element name."""
    return key if re.fullmatch(r"[A-Za-z_]\w{0,63}", key, re.ASCII) else "elementInconnu"
