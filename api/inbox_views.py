"""What of an inbox document may be shown to whom: the header to the desk, the content to a doctor.

The header is built from named fields only, so that a field which is added later stays content
until somebody says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from releve.api.delivering import undelivered
from releve.api.inbox import FORMATS, KINDS, name_hint, original
from releve.api.proposing import Proposal, proposals
from releve.api.reading import rules_of
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.events import Payload, Source
from releve.domain.values import DocumentFormat, IdentityTraits, ResultLine
from releve.fhir.received_document import ReadDocument, Unreadable, read_document
from releve.projections import wording
from releve.projections.inbox import InboxLine, SourceState, source_states
from releve.projections.patient_summary import PatientSummary
from releve.projections.results_board import unmatched_verdicts
from releve.projections.rule_release import Rules

if TYPE_CHECKING:
    from releve.api.services import Services


@dataclass(frozen=True, slots=True)
class Sorting:
    """What headers of one centre are made with, read once for all of them."""

    services: Services
    centre: UUID
    summaries: Mapping[UUID, PatientSummary]
    rules: Rules
    position: int

    @classmethod
    def of(cls, services: Services, centre: UUID) -> Sorting:
        """Read now: the records of the centre and the rules in force."""
        position, summaries = services.records.summaries(centre)
        return cls(services, centre, summaries, rules_of(services.directory.load()), position)

    def header(self, line: InboxLine) -> dict[str, Any]:
        """What anybody who sorts the post may see: whose, which kind, how, when, status."""
        received = line.received
        summaries = self.summaries
        found = proposals(self.services, line, summaries) if line.state != "matched" else []
        return {
            "inbox": line.document,
            "state": line.state,
            "urgent": self.urgent(line),
            "kind": kind_of(line),
            "format": received.format,
            "door": received.door,
            "sender": sender_of(received.format, line.source),
            "received_at": line.received_at,
            "entered_by": line.entered_by,
            "identity": identity(received.identity),
            "patient": line.patient,
            "patient_name": _name(summaries.get(line.patient)) if line.patient else "",
            "decided_by": line.decided_by,
            "decided_at": line.decided_at,
            "sender_told": line.sender_told,
            "aside": line.aside,
            "undelivered": bool(undelivered(self.services, line)),
            "proposals": [
                _proposal(each, summaries[each.patient], received.identity) for each in found
            ],
        }

    def urgent(self, line: InboxLine) -> bool:
        """Whether a critical value waits in it: its rank, which tells no value."""
        return line.waits_as == "waiting" and "critical" in unmatched_verdicts(line, self.rules)


_SENDER_LENGTH: Final = 80
_FREE_FORM: Final = frozenset({"pdf", "text"})
"""Formats with no place for who sends: what stands there is the document's own prose."""


def sender_of(form: DocumentFormat, source: Source) -> str:
    """Who sent a document, on one short line: where its format has a place for it."""
    if form in _FREE_FORM:
        return ""
    return " ".join((source.author or source.system or "").split())[:_SENDER_LENGTH]


def patients_in(headers: Iterable[dict[str, Any]]) -> list[UUID]:
    """Every record that headers name, matched or proposed, once."""
    named = []
    for each in headers:
        named += [each["patient"]] if each["patient"] else []
        named += [proposal["patient"] for proposal in each["proposals"]]
    return list(dict.fromkeys(named))


def kind_of(line: InboxLine) -> str:
    """The kind of document in words: by its LOINC code where that is a known one."""
    received = line.received
    if received.format == "phone":
        return "Résultat dicté"
    if received.format == "text" and received.media_type not in _READ_AS_TEXT:
        return "Fichier non lu ici"
    return KINDS.get(received.kind or "", f"Document {FORMATS[received.format]}")


_READ_AS_TEXT: Final = frozenset({"text/plain", "text/csv"})


def identity(said: IdentityTraits | None) -> dict[str, Any]:
    """Name, birth date and sex as the document, or whoever brought it in, says them."""
    if said is None:
        return {"name": "", "birth_name": "", "first_names": [], "birth_date": "", "sex": ""}
    first = said.used_first_name or (said.first_names[0] if said.first_names else "")
    return {
        "name": " ".join(p for p in (said.used_name or said.birth_name, first) if p),
        "birth_name": said.birth_name or "",
        "first_names": list(said.first_names),
        "birth_date": said.birth_date or "",
        "sex": said.sex or "",
    }


_SHOWN: Final = ("birth_name", "first_names", "birth_date", "sex")
"""Traits whose two values are shown side by side where they differ."""


def _proposal(
    found: Proposal, summary: PatientSummary, said: IdentityTraits | None
) -> dict[str, Any]:
    who = summary.identity
    return {
        "patient": found.patient,
        "name": _name(summary),
        "birth_date": (who.birth_date or "") if who else "",
        "agreed": list(found.compared.agreed),
        "differing": list(found.compared.differing),
        "values": {
            each: {"document": getattr(said, each), "record": getattr(who, each)}
            for each in found.compared.differing
            if each in _SHOWN and said is not None and who is not None
        },
        "fits": found.fits,
    }


def _name(summary: PatientSummary | None) -> str:
    return summary.full_name() if summary else ""


def content(services: Services, line: InboxLine) -> dict[str, Any]:
    """Everything the document says, for who may read the record; its bytes are fetched apart."""
    received = line.received
    read = reread(services, line)
    centre = services.directory.load().centre(line.centre)
    zone = centre.zone if centre else "Europe/Paris"
    return {
        "title": received.title,
        "one_liner": received.one_liner,
        "loinc": received.kind or "",
        "issued_at": received.issued_at or "",
        "size": received.size,
        "sha256": received.sha256,
        "media_type": received.media_type,
        "results": [result(each) for each in (received.results if read is None else read.results)],
        "result_status": received.result_status or "",
        "coded_lines": received.coded_lines,
        "entries": [
            _entry_text(each.payload, zone)
            for each in (read.entries if read else ())
            if not isinstance(each.payload, ResultReceived)  # its lines are the results above
        ],
        "text": read.text if read else "",
        "embedded": [each.media_type for each in read.embedded] if read else [],
        "unmapped": [{"path": each.path, "type": each.type} for each in received.unmapped],
        "warnings": list(received.warnings),
        "caller": received.caller,
        "read_back": received.read_back,
        "reason": line.reason,
        "undelivered": undelivered(services, line),
    }


def reread(services: Services, line: InboxLine) -> ReadDocument | None:
    """What the reader of today finds in the original; None for what was told by phone."""
    if line.received.format == "phone":
        return None
    try:
        return read_document(
            original(services, line),
            media_type=line.received.media_type,
            name_hint=name_hint(line),
        )
    except Unreadable:
        return None


def _entry_text(payload: Payload, zone: str) -> str:
    """One coded line as every page says it: what it is, then its words, status and relation."""
    return wording.entry_text(payload.topic, wording.detail_of(payload), zone)


def result(line: ResultLine) -> dict[str, Any]:
    """One line of a result as its source wrote it."""
    value = line.value
    shown = " ".join(p for p in (line.comparator, value.value, value.unit) if p) if value else ""
    return {
        "test": line.code.text,
        "value": shown.replace(".", ",") if value else (line.text or ""),
        "text": line.text or "",
        "reference": line.reference_range or "",
        "interpretation": line.interpretation or "",
    }


def senders(services: Services, centre: UUID, at: datetime) -> list[SourceState]:
    """The centre's expected senders, silent ones first; names of systems, never of patients."""
    entry = services.directory.load().centre(centre)
    return source_states(
        entry.expected_sources if entry else (),
        services.inbox.lines(centre),
        lambda: services.records.summaries(centre)[1].values(),
        at,
    )
