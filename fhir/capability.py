"""``/fhir/metadata``: the CapabilityStatement, which lists exactly what works."""

from __future__ import annotations

from typing import Final

from releve import __version__
from releve.fhir import exact_json
from releve.fhir.exact_json import JsonObject

FHIR_VERSION: Final = "4.0.1"
PUBLISHED: Final = "2026-11-23"
"""Day of the last change to this statement."""

SUMMARY_DEFINITION: Final = "http://hl7.org/fhir/uv/ips/OperationDefinition/summary"


def capability_statement(base_url: str) -> bytes:
    """The CapabilityStatement of the service whose FHIR base is ``base_url``."""
    return exact_json.dump(_statement(base_url.rstrip("/")))


def _statement(base_url: str) -> JsonObject:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": PUBLISHED,
        "publisher": "Relève",
        "kind": "instance",
        "software": {"name": "Relève", "version": __version__},
        "implementation": {"description": "Relève : continuité des soins", "url": base_url},
        "fhirVersion": FHIR_VERSION,
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "documentation": (
                    "Lecture seule. Chaque lecture d'un dossier est inscrite au journal des accès "
                    "avant que la réponse ne parte."
                ),
                "security": {"description": "Jeton porteur (Authorization: Bearer) exigé."},
                "resource": [
                    {
                        "type": "Patient",
                        "interaction": [{"code": "read"}],
                        "versioning": "versioned",
                        "readHistory": False,
                        "operation": [{"name": "summary", "definition": SUMMARY_DEFINITION}],
                    }
                ],
            }
        ],
    }
