"""A partial report is a result too: nobody says that it is needed no more before reading it."""

from __future__ import annotations

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened, ItemReopened
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed
from releve.domain.commands import CloseItem, MarkEntryInError
from releve.domain.values import Concept, Quantity, ResultLine
from support.given import Told, entry, given

IDENTITY = Registered(birth_name="EXEMPLE")
LINE = ResultLine(
    code=Concept(text="Potassium"), value=Quantity(value="6.9", unit="mmol/L", code="mmol/L")
)
PARTIAL = ResultReceived(status="partial", title="Ionogramme", lines=(LINE,))
ITEM = ItemOpened(kind="result", text="Lire", due="2026-11-24", follows=entry(2))
READ = Told(ResultReviewed(verdict="abnormal", action="ECG"), target=entry(2))
NOT_NEEDED = CloseItem(item=entry(3), outcome="not-needed", evidence="Refait ailleurs")


def test_an_item_is_not_dropped_while_its_partial_is_unread() -> None:
    given(IDENTITY, PARTIAL, ITEM).when(NOT_NEEDED).refused("follows-result", field="outcome")


def test_once_read_its_definitive_one_may_be_needed_no_more() -> None:
    answer = given(IDENTITY, PARTIAL, ITEM, READ).when(NOT_NEEDED)
    answer.then(ItemClosed(outcome="not-needed", evidence="Refait ailleurs"))


def test_a_reading_in_error_opens_again_what_was_dropped_after_it() -> None:
    dropped = Told(ItemClosed(outcome="not-needed", evidence="Refait"), target=entry(3))
    answer = given(IDENTITY, PARTIAL, ITEM, READ, dropped).when(
        MarkEntryInError(entry=entry(4), reason="Lu chez un autre")
    )
    answer.then(EntryMarkedInError(), ItemReopened())
