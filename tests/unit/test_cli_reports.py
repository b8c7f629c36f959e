"""What ``releve import`` says for a person."""

from __future__ import annotations

from typing import Any

from releve.api.cli.reports import counted, import_text

NOTHING: dict[str, Any] = {"duplicates": [], "rejected": [], "warnings": [], "unmapped": []}


def test_none_and_one_are_said_in_the_singular() -> None:
    assert [counted(n, "fichier") for n in (0, 1, 2)] == ["0 fichier", "1 fichier", "2 fichiers"]


def test_counts_come_first_then_each_line_that_needs_a_look() -> None:
    row = {"file": "a.xml", "path": "/ClinicalDocument", "reason": "pas de date"}
    said = import_text(
        {"duplicates": ["b.xml"], "rejected": [row], "warnings": [row], "unmapped": [row]},
        "1 fichier",
        "0 événement",
    )
    assert said.splitlines() == [
        "1 fichier, 0 événement",
        "  déjà reçu : b.xml",
        "  ✗ a.xml /ClinicalDocument : pas de date",
        "  ! a.xml /ClinicalDocument : pas de date",
        "  1 élément gardé dans l'original, sans événement",
    ]
    assert import_text(NOTHING, "1 fichier") == "1 fichier"
    assert "2 éléments gardés" in import_text({**NOTHING, "unmapped": [row, row]}, "1 fichier")
