"""The day's appointments in three forms; what somebody comes for is never kept."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from releve.domain.errors import Invalid
from releve.fhir.day_list import MAX_APPOINTMENTS, DayList, read_day_list
from releve.fhir.document_content import Unreadable
from releve.fhir.patient_line import patient_in

INBOX = Path(__file__).resolve().parents[1] / "conformance" / "data" / "inbox"
ZONE = "Europe/Paris"


def read(name: str) -> DayList:
    return read_day_list((INBOX / name).read_bytes(), zone=ZONE)


def pasted(text: str, day: str | None = "2026-10-15") -> DayList:
    return read_day_list(text.encode(), zone=ZONE, day=day)


@pytest.mark.parametrize("name", ["day-list.csv", "day-list.ics", "day-list.txt"])
def test_every_form_gives_the_same_appointments(name: str) -> None:
    first, second, *_ = read(name).lines
    assert first.starts_at == "2026-10-15T08:30:00+02:00"
    assert (first.identity.used_name, first.identity.used_first_name) == ("PICHON", "Odette")
    assert first.identity.birth_date == "1948-03-02"
    assert second.starts_at == "2026-10-15T08:50:00+02:00"
    assert (second.identity.used_name, second.identity.used_first_name) == ("VERGNAUD", "Marcel")
    assert second.identity.birth_date == "1951-11-19"


@pytest.mark.parametrize("name", ["day-list.csv", "day-list.ics", "day-list.txt"])
def test_the_reason_of_a_visit_is_nowhere(name: str) -> None:
    kept = msgspec.json.encode(read(name)).decode().casefold()
    assert not any(word in kept for word in ("essoufflement", "renouvellement", "vaccin"))


def test_csv_takes_headings_birth_name_status_and_length() -> None:
    found = read("day-list.csv")
    first, _, third = found.lines
    assert (first.identity.birth_name, first.identity.sex) == ("BELLANGER", "female")
    assert (first.minutes, first.reference, first.status) == (20, "R-1", "booked")
    assert (third.status, third.identity.birth_date) == ("cancelled", None)
    assert [one.line for one in found.problems] == [5, 6]


def test_csv_with_other_separators_and_columns() -> None:
    text = 'Heure\tPatient\tNé(e) le\tFin\n9h\t"DUPONT Jeanne"\t02.03.1948\t09:25\n'
    (line,) = pasted(text).lines
    assert (line.starts_at, line.minutes) == ("2026-10-15T09:00:00+02:00", 25)
    assert (line.identity.used_name, line.identity.used_first_name) == ("DUPONT", "Jeanne")
    comma = "heure,nom,prénom,date\n09:15,DUPONT,Jeanne,2026-10-16\n"
    assert pasted(comma).lines[0].starts_at == "2026-10-16T09:15:00+02:00"


def test_a_calendar_gives_references_lengths_and_cancellations() -> None:
    found = read("day-list.ics")
    first, second = found.lines
    assert (first.reference, first.minutes) == ("rdv-1@agenda.invalid", 20)
    assert (second.status, second.minutes) == ("cancelled", 15)
    assert [one.line for one in found.problems] == [22, 27]


def test_what_is_nested_in_an_event_is_not_the_event() -> None:
    text = (
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20261015T063000Z\r\n"
        "BEGIN:VALARM\r\nUID:alarm\r\nDURATION:PT1H\r\nSUMMARY:AUTRE Personne\r\nEND:VALARM\r\n"
        "SUMMARY:DUPONT Jeanne\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    (line,) = pasted(text).lines
    assert (line.reference, line.minutes, line.identity.used_name) == ("a", 15, "DUPONT")


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ("DTSTART:20261015T083000\nRRULE:FREQ=DAILY\nSUMMARY:DUPONT Jeanne", "répété"),
        ("DTSTART;TZID=Lune/Mer:20261015T083000\nSUMMARY:DUPONT Jeanne", "fuseau"),
        ("DTSTART;TZID=../../etc/passwd:20261015T083000\nSUMMARY:DUPONT Jeanne", "fuseau"),
        ("DTSTART:20260329T023000\nSUMMARY:DUPONT Jeanne", "changement d'heure"),
        ("DTSTART:20261345T083000\nSUMMARY:DUPONT Jeanne", "heure"),
        ("SUMMARY:DUPONT Jeanne", "heure"),
    ],
)
def test_events_that_cannot_be_taken_say_why(properties: str, why: str) -> None:
    text = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\n{properties}\nEND:VEVENT\nEND:VCALENDAR\n"
    found = pasted(text)
    assert found.lines == ()
    assert why in found.problems[0].why


def test_a_zone_named_by_windows_and_another_zone() -> None:
    event = (
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;TZID={}:20261015T083000\n"
        "SUMMARY:DUPONT Jeanne\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    assert (
        pasted(event.format('"Romance Standard Time"'))
        .lines[0]
        .starts_at.endswith("08:30:00+02:00")
    )
    (line,) = read_day_list(event.format("Europe/Paris").encode(), zone="Indian/Reunion").lines
    assert line.starts_at == "2026-10-15T10:30:00+04:00"


def test_plain_lines_take_their_day_from_a_heading_or_from_the_caller() -> None:
    assert read("day-list.txt").lines[2].status == "cancelled"
    assert pasted("09:15 DUPONT Jeanne").lines[0].starts_at == "2026-10-15T09:15:00+02:00"
    assert "jour" in pasted("09:15 DUPONT Jeanne", day=None).problems[0].why


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("Annulé", "cancelled"),
        ("Rendez-vous annulé par la patiente", "cancelled"),
        ("Ne vient pas : annulé", "cancelled"),
        ("Non annulé", "booked"),
        ("non-annulé", "booked"),
        ("pas encore annulé", "booked"),
        ("Not cancelled", "booked"),
        ("Annulé : non", "booked"),
    ],
)
def test_a_status_that_denies_it_cancels_nothing(status: str, wanted: str) -> None:
    table = f"Heure;Nom;Statut\n09:15;DUPONT;{status}\n"
    (line,) = read_day_list(table.encode(), zone=ZONE, day="2026-11-24").lines
    assert line.status == wanted


def test_a_reason_that_speaks_of_stopping_cancels_nothing() -> None:
    (line,) = pasted("09:15 DUPONT Jeanne 02/03/1948 annulation du traitement").lines
    assert line.status == "booked"


@pytest.mark.parametrize(
    ("line", "name", "first", "birth", "born"),
    [
        ("DUPONT Jeanne 02/03/1948", "DUPONT", "Jeanne", None, "1948-03-02"),
        ("DUPONT JEANNE (02-03-1948) toux", "DUPONT", "JEANNE", None, "1948-03-02"),
        ("Mme PICHON née BELLANGER Odette", "PICHON", "Odette", "BELLANGER", None),
        ("DE LA TOUR Anne Marie 07/07/1977", "DE LA TOUR", "Anne Marie", None, "1977-07-07"),
        ("DUPONT Jeanne Fièvre", "DUPONT", "Jeanne", None, None),
        ("LE-GALL Yann-Erwan, fièvre", "LE-GALL", "Yann-Erwan", None, None),
        ("M. D'ARTAGNAN Éric 1950-01-31", "D'ARTAGNAN", "Éric", None, "1950-01-31"),
        ("DUPONT Jeanne toux 02/03/1948", "DUPONT", "Jeanne", None, "1948-03-02"),
    ],
)
def test_names_on_one_line(
    line: str, name: str, first: str, birth: str | None, born: str | None
) -> None:
    patient = patient_in(line)
    assert patient is not None
    assert (patient.name, patient.first_name) == (name, first)
    assert (patient.birth_name, patient.born) == (birth, born)


@pytest.mark.parametrize("line", ["pause", "réunion d'équipe", "", "02/03/1948", "a B"])
def test_lines_that_name_nobody(line: str) -> None:
    assert patient_in(line) is None


def test_a_birth_date_that_does_not_exist_refuses_its_line() -> None:
    found = pasted("09:15 DUPONT Jeanne 31/02/1948")
    assert found.lines == ()
    assert "naissance" in found.problems[0].why


def test_problems_hold_no_word_of_their_line() -> None:
    found = pasted("fièvre de Monsieur SECRET\n10h réunion SECRÈTE?")
    assert len(found.problems) == 2
    assert not any("SECR" in one.why.upper() for one in found.problems)


def test_limits() -> None:
    found = pasted("09:15 DUPONT Jeanne\n" * (MAX_APPOINTMENTS + 50))
    assert len(found.lines) == MAX_APPOINTMENTS
    assert len(found.problems) == 1
    with pytest.raises(Unreadable):
        read_day_list(b"x" * (2 * 1024 * 1024 + 1), zone=ZONE)
    with pytest.raises(Invalid):
        read_day_list(b"x", zone="Lune/Mer")


PIECES = st.sampled_from(
    ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "END:VEVENT", "DTSTART:00010101T000000Z", "SUMMARY:A B",
     "DTSTART:99991231T235900Z", "DTEND:20261015T083000", "Heure;Nom", "25:99;X", "09:15 DUPONT A",
     "9h DUPONT 01/01/0001", ";;;;", '"', "\t", "01/01/9999", "00:00 DUPONT Jeanne 02/03/1948"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(PIECES, max_size=12).map(lambda parts: "\n".join(parts).encode()),
    ),
    st.sampled_from([ZONE, "Indian/Reunion", "America/Cayenne"]),
)
def test_any_bytes_are_a_list_or_problems(raw: bytes, zone: str) -> None:
    found = read_day_list(raw, zone=zone, day="2026-10-15")
    assert all(one.raw_line_number >= 1 for one in found.lines)
