"""The briefing: what the incoming doctor reads on Monday at 8:30."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import show_clinical
from releve.api.document_words import short_test
from releve.api.gate import Granted, Guard, Submission, allowed, authorise, may, services_of
from releve.api.issuing import edition_of_the_day, issue_now
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.patient import acts_of
from releve.api.pages.shell import clinical_answer, moment, rendered, see
from releve.api.pages.since_edition import changed_since, stand_in, telephone
from releve.api.problems import refuse
from releve.api.reading import alarms_now
from releve.domain.commands import COMMANDS
from releve.projections.briefing import Card
from releve.projections.briefing_text import (
    SINCE,
    alarm_line,
    around_sections,
    cover_words,
    left_out,
)
from releve.projections.dates import french_day, french_hour, zone_of
from releve.projections.directory import CentreEntry, Directory, StintLine
from releve.projections.editions import Edition
from releve.projections.ended_alarms import Became, ended_alarms
from releve.projections.patient_summary import PatientSummary
from releve.projections.records import plain_name
from releve.projections.rhythm import rhythm
from releve.projections.rule_release import CURRENT, Rules, load_rules
from releve.projections.slot_presence import badge_of, is_imported_none
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)
READ_BACK_TIERS = frozenset({"T0"})
WORDS_A_MINUTE = 200

Home = Annotated[Granted, Depends(Guard(Action.USE_SERVICE))]
Reading = Annotated[Granted, Depends(Guard(Action.READ_BRIEFING, "stint"))]
Issuing = Annotated[Granted, Depends(Guard(Action.ISSUE_BRIEFING, "stint"))]


@router.get("/releve")
def mine(request: Request, granted: Home) -> Response:
    """Go to the briefing of one's own stint, or of whoever is in post."""
    services, principal = services_of(request), granted.principal
    stint = principal.stint
    if stint is None:
        found = services.directory.load().current_or_next(principal.centre, services.clock())
        stint = found.stint if found else None
    if stint is None:
        raise refuse(404)
    return see(f"/sejours/{stint}/briefing")


@router.post("/sejours/{stint}/edition")
def renew(request: Request, granted: Issuing, submitted: Submission) -> Response:
    """Issue an edition with what changed, and show it."""
    services = services_of(request)
    issue_now(services, services.editions, granted, granted.stint)
    return see(f"/sejours/{granted.stint}/briefing")


@router.get("/sejours/{stint}/briefing")
def briefing(request: Request, granted: Reading, tout: int = 0) -> Response:
    """The two-minute page: tiers, cards, whom one replaces and whom to call."""
    services, principal = services_of(request), granted.principal
    line = services.directory.load().stint(granted.stint)
    if line is None:
        raise refuse(404)
    own = may(services, granted, Action.ISSUE_BRIEFING)

    def produce() -> tuple[dict[str, Any], int]:
        editions = services.editions
        edition = editions.newest(line.stint)
        if own:
            issuing = authorise(services, principal, Action.ISSUE_BRIEFING, "stint", granted.stint)
            edition = edition_of_the_day(services, editions, issuing, line.stint)
        position, summaries = services.records.summaries(line.centre)
        shown = _Shown(request, granted, line, edition, summaries, bool(tout), own)
        return {"position": position, **shown.content()}, position

    def show(content: dict[str, Any]) -> str:
        return rendered(request, principal, "briefing.html", here="releve", **content)

    disclosed = show_clinical(
        services, granted, produce, show, what="page.briefing",
        patients=lambda content: [
            UUID(patient)
            for patient in dict.fromkeys(
                [card["patient"] for each in content["sections"] for card in each["cards"]]
                + [row["patient"] for each in content["beside"] for row in each["rows"]]
                + [row["patient"] for row in (content["delta"] or {"rows": ()})["rows"]]
            )
            if patient
        ],
    )  # fmt: skip
    return clinical_answer(disclosed)


class _Shown:
    """One briefing as it is shown: the edition's kept cards, and what happened since."""

    def __init__(
        self,
        request: Request,
        granted: Granted,
        line: StintLine,
        edition: Edition | None,
        summaries: dict[UUID, PatientSummary],
        everything: bool,
        own: bool,
    ) -> None:
        self.request = request
        self.granted = granted
        self.line = line
        self.edition = edition
        self.summaries = summaries
        self.everything = everything
        self.own = own
        self.services = services_of(request)
        self.at = moment(request, granted.principal)
        self.directory: Directory = self.services.directory.load()
        self.may_answer = may(self.services, granted, Action.READ_BACK)
        self.may_judge = granted.principal.role in COMMANDS["validate-entries"].roles and may(
            self.services, granted, Action.WRITE_CLINICAL
        )
        self.can = acts_of(
            granted.principal.role, allowed(self.services, granted, {Action.REVIEW_RESULT})
        )
        self.names = self.services.records.shared_names(line.centre)

    def content(self) -> dict[str, Any]:
        """Everything the template shows."""
        rules = self.edition.rules if self.edition else load_rules(CURRENT)
        titles = rules.titles()
        cards = self._cards()
        by_tier = {tier: [card for card in cards if card["tier"] == tier] for tier in titles}
        sections = []
        for tier, title in titles.items():
            found = by_tier[tier]
            limit = len(found) if self.everything else rules.page.shown.get(tier, len(found))
            if tier == rules.rest.tier or (tier == "T4" and not self.everything):
                continue
            if found:
                sections.append(
                    {"tier": tier, "title": title, "number": len(found),
                     "hidden": max(0, len(found) - limit),
                     "cards": [self._card(card) for card in found[:limit]]}
                )  # fmt: skip
        words = self.edition.words() if self.edition else 0
        return {
            "href": f"/sejours/{self.line.stint}/briefing",
            "renew": f"/sejours/{self.line.stint}/edition" if self.own else "",
            "take": f"/sejours/{self.line.stint}/prise-de-releve"
            if self.own and self.line.active(self.at.now) and self.line.watch is None
            else "",
            "token": self.granted.principal.session.form_token(),
            "greeting": self._greeting(),
            "day": french_day(self.at.day).capitalize(),
            "to_validate": self.edition.head.get("to_validate", 0) if self.edition else 0,
            "minutes": max(1, round(words / WORDS_A_MINUTE)),
            "counts": self._counts(titles, by_tier),
            "sections": sections,
            "rest": self._rest(titles),
            "changed": {"number": len(by_tier.get("T4", ())), "title": titles.get("T4", "")},
            "everything": self.everything,
            "beside": self._beside(cards, rules),
            "delta": self._delta(),
            "alarms": alarms_now(self.services, self.line.centre, self.at.now),
            "may_judge": self.may_judge,
            "issued": self._issued(),
            "rules": rules.release,
            "reviewed_by": rules.reviewed_by,
            **self._around(),
        }

    def _cards(self) -> list[Card]:
        """The edition's cards, below those made now where its own would mislead."""
        if self.edition is None:
            return []
        now = self.services.editions.arrived(
            self.directory, self.edition, self.at.now, READ_BACK_TIERS
        )
        kept = {card["patient"]: card for card in self.edition.opened() if card}
        rules = self.edition.rules
        for card in now:
            patient = card["patient"]
            live = self.summaries.get(UUID(patient))
            stand_in(card, kept.pop(patient, None), live, rules, self.at)
        for card in kept.values():
            card["read"] = ended_alarms(
                card, self.summaries.get(UUID(card["patient"])), rules, self.at
            )
        # An unread critical value comes before a patient who was known to be unstable.
        return sorted([*now, *kept.values()], key=lambda card: not _is_alarming(card))

    def _beside(self, cards: list[Card], rules: Rules) -> list[dict[str, Any]]:
        """Today's appointments, visits, news of one's own patients, words to all."""
        head = self.edition.head if self.edition else {}
        names = {card["patient"]: card["identity"]["name"] for card in cards}
        return [
            {
                "id": section.tier.lower(),
                "title": self._to_reader(section.title),
                "hidden": section.hidden,
                "rows": [
                    _linked(text, patient, names.get(patient, ""))
                    for text, patient in zip(section.rows, section.patients, strict=True)
                    if patient or section.tier != SINCE
                ],
                "notes": [
                    text
                    for text, patient in zip(section.rows, section.patients, strict=True)
                    if not patient and section.tier == SINCE
                ],
            }
            for section in around_sections(head, cards, rules, whole=self.everything)
        ]

    @property
    def _mine(self) -> bool:
        """Whether the reader is the doctor whom the page addresses."""
        return self.line.practitioner == self.granted.principal.person

    def _to_reader(self, words: str) -> str:
        """Fixed words that say "you" to the stint's doctor, as anybody else is to read them."""
        for addressed, told in () if self._mine else _OF_ANOTHER:
            words = words.replace(addressed, told)
        return words

    def _greeting(self) -> str:
        if self._mine:
            return f"Bonjour {self.line.practitioner_name}"
        return f"Relève de {self.line.practitioner_name}"

    def _counts(
        self, titles: dict[str, str], by_tier: dict[str, list[Card]]
    ) -> list[dict[str, Any]]:
        notes = {"T0": "à voir d’abord", "T1": "danger si cela attend", "T2": "ce séjour",
                 "T3": "échéances du séjour", "T4": "rendez-vous ce séjour"}  # fmt: skip
        return [
            {"tier": tier, "number": len(by_tier[tier]), "title": titles[tier], "note": note}
            for tier, note in notes.items()
            if tier in titles
        ]

    def _rest(self, titles: dict[str, str]) -> dict[str, Any]:
        total = int(self.edition.head["t5"]) if self.edition else 0
        return {"number": total, "title": titles.get("T5", "Autres dossiers")}

    def _card(self, card: Card) -> dict[str, Any]:
        """A kept card as shown, with the answers given since it was issued."""
        patient = UUID(card["patient"])
        live = self.summaries.get(patient)
        zone = self.at.zone
        name = card["identity"]["name"]
        birth_name = card["identity"]["birth_name"].upper()
        for lines in (
            card["actions"], card["contingencies"], card["changes"], card.get("unvalidated", ()),
            card["pending"],
        ):  # fmt: skip
            for line in lines:
                line["as_of_text"] = views.day_and_hour(line["as_of"], zone)
        if card["one_liner"]:
            card["one_liner"]["as_of_text"] = views.day_and_hour(card["one_liner"]["as_of"], zone)
        answered, form = self._answer(card, live)
        read: dict[str, Became] = card.get("read", {})
        return {
            "fresh": False,
            "questions": [],
            "opinions": [],
            "death": None,
            "to_validate": 0,
            "unvalidated": [],
            "next_appointment": None,
            **card,
            "alarms": [
                {
                    "text": short_test(line["text"] if line["entry"] in read else alarm_line(line)),
                    "since": read.get(line["entry"]),
                    "href": self._to_read(card, line) if line["entry"] not in read else "",
                    "verb": _verb(line),
                    "origin": f"{_dated(line, zone)} · {line['author']} · {line['source']}",
                }
                for line in card.get("alarms", ())
            ],
            "left_out": left_out(card),
            "unsaid": card["more"].get("alarms", 0),
            "awaited": [
                line
                for line in card["pending"]
                if line["entry"] not in {action["entry"] for action in card["actions"]}
            ],
            "href": f"/patients/{patient}",
            "birth_name": birth_name if birth_name and not name.startswith(birth_name) else "",
            "cover": cover_words(card),
            "namesake": plain_name(name) in self.names,
            "allergy": badge_of(card["allergies"], zone),
            "imported_none": [
                card[slot]["text"]
                for slot in ("treatments", "problems")
                if is_imported_none(card[slot])
            ],
            "unasked": [
                word
                for slot, word in (("treatments", "traitements"), ("problems", "problèmes"))
                if card[slot]["state"] == "not-asked"
            ],
            "closed": self._closed(card, live),
            "answered": answered,
            "form": form,
            "phone": telephone(live) if _calls(card) else "",
            "why": [
                _READ_SINCE
                if read and not _is_alarming(card) and word == _UNREAD
                else self._to_reader(word)
                for word in card["why"]
            ],
            "results": [
                {
                    "critical": False,
                    **line,
                    "text": short_test(line["text"]),
                    "href": self._to_read(card, line),
                }
                for line in card.get("results", ())
                if line["corrected_for_reader"] or not line["alarm"]  # told above
            ],
            "read_back_asked": self._asked(card),
            "take_kind": self._take_kind(live),
        }

    def _to_read(self, card: Card, line: Mapping[str, Any]) -> str:
        """Where a result is read, or told, by somebody who may; the lines to judge otherwise."""
        patient = f"/patients/{card['patient']}"
        if line.get("to_judge"):
            return f"{patient}#changer" if self.may_judge else ""
        if not line.get("status"):
            return f"{patient}/a-valider" if self.may_judge else ""
        act = "prevenu" if line.get("state") == "to-inform" else "relire"
        return f"{patient}/gestes/{act}/{line['entry']}?retour=releve" if act in self.can else ""

    def _closed(self, card: Card, live: PatientSummary | None) -> set[str]:
        """Items of the card that were closed since."""
        if live is None:
            return set()
        still = {str(item.line.entry_id) for item in live.open_items}
        return {line["entry"] for line in card["actions"]} - still

    def _asked(self, card: Card) -> bool:
        note = card["handover"]
        return bool(note) and (card["tier"] in READ_BACK_TIERS or note["read_back_requested"])

    def _take_kind(self, live: PatientSummary | None) -> str:
        """``continuation`` for the same doctor's next stint, else ``takes``."""
        received = views.handover(live) if live else None
        same = received is not None and received["person"] == self.granted.principal.person
        return "continuation" if same else "takes"

    def _answer(self, card: Card, live: PatientSummary | None) -> tuple[str, Form | None]:
        note = card["handover"]
        if not note or live is None:
            return "", None
        received = views.handover(live)
        if received is None or received["entry_id"] != note["entry"]:
            return "transmission réécrite depuis", None
        if received["answers"]:
            last = received["answers"][-1]
            return f"{last['kind']}, {last['author']}", None
        principal = self.granted.principal
        if not self.own or not self.may_answer or received["stint"] == principal.stint:
            return "", None
        return "", Form(
            principal.session.form_token(), forms.new_key(), self.edition_position, live.version
        )

    @property
    def edition_position(self) -> int:
        """The position the screen shows."""
        return self.edition.position if self.edition else -1

    def _delta(self) -> dict[str, Any] | None:
        """Patients with something newer than the edition, gravest first."""
        if self.edition is None:
            return None
        editions = self.services.editions
        return changed_since(
            self.summaries,
            self.edition.position,
            self.edition.issued_at,
            editions.seen_from(self.directory, self.line.stint, self.at.now),
            self.edition.rules,
            self.names,
            self.at,
        )

    def _issued(self) -> dict[str, Any] | None:
        if self.edition is None:
            return None
        local = self.edition.issued_at.astimezone(zone_of(self.at.zone))
        return {
            "number": self.edition.number,
            "at": f"le {local:%d/%m/%Y} à {french_hour(local)}",
            "position": self.edition.position,
            "rules": self.edition.rule_release,
            "manifest": self.edition.manifest_sha256,
        }

    def _around(self) -> dict[str, Any]:
        """Whom one replaces, who is there, whom to call."""
        centre: CentreEntry | None = self.directory.centre(self.line.centre)
        before = self.directory.previous(self.line.stint)
        after = self.directory.successor(self.line.stint)
        colleagues = [
            f"{each.practitioner_name} ({_presence_of(each)})"
            for each in self.directory.overlapping(self.line.stint)
        ]
        numbers: list[tuple[str, str]] = []
        if centre:
            numbers = [*centre.phones]
            numbers += [(f"Astreinte : {each.name}", each.phone) for each in centre.on_call_chain]
        own = self._mine
        replaced = "premier séjour ici"
        if before:
            replaced = f"{'vous remplacez' if own else 'remplace'} {before.practitioner_name}"
        return {
            "own": own,
            "rhythm": rhythm(self.line.pattern),
            "predecessor": before.practitioner_name if before else "",
            "successor": after.practitioner_name if after else "",
            "colleagues": ", ".join(colleagues),
            "replaced": replaced,
            "referent": centre.referent.name if centre else "",
            "numbers": numbers,
        }


def _is_alarming(card: Card) -> bool:
    """Whether a critical value of the card is still unread."""
    read = card.get("read", {})
    return any(alarm["critical"] and alarm["entry"] not in read for alarm in card.get("alarms", ()))


def _linked(text: str, patient: str, name: str) -> dict[str, str]:
    """A row whose patient's name alone is the link; the whole row where it does not stand in it."""
    before, after = "", ""
    if name and name in text:
        before, _, after = text.partition(name)
    else:
        name = text
    return {"text": text, "patient": patient, "before": before, "name": name, "after": after}


def _verb(alarm: Mapping[str, Any]) -> str:
    """What the link beside a value does: where it leads, as :meth:`_Shown._to_read` says."""
    if alarm.get("to_judge"):
        return "Dire la gravité"
    return "Lire" if alarm.get("status") else "Accepter ou refuser"


def _dated(alarm: Mapping[str, Any], zone: str) -> str:
    """When a value was sampled and when it came, each by its name where they differ."""
    came, sampled = alarm["as_of"], alarm.get("sampled") or alarm["as_of"]
    said = views.day_and_hour(came, zone)
    if sampled == came:
        return said
    return f"prélevé le {views.day_and_hour(sampled, zone)} · reçu le {said}"


def _calls(card: Card) -> bool:
    """Whether the card asks for a call to the patient."""
    return (
        any(line.get("kind") == "call" for line in card["actions"])
        or any(line.get("state") == "to-inform" for line in card.get("results", ()))
        or bool(card.get("alarms"))
    )


_UNREAD: Final = "résultat critique non lu"
_OF_ANOTHER: Final = (
    ("votre lecture", "sa lecture"), ("votre dernier", "son dernier"),
    ("vos prédécesseurs", "ses prédécesseurs"), ("pour vous", "pour ce médecin"),
)  # fmt: skip
_READ_SINCE: Final = "résultat critique, lu depuis l’édition"


def _presence_of(line: StintLine) -> str:
    """``salarié, les lundis et mardis``."""
    mode = {
        "volontaire": "volontaire", "salarie": "salarié", "remplacant": "remplaçant",
        "interne": "interne",
    }.get(line.mode, line.mode)  # fmt: skip
    return ", ".join(part for part in (mode, rhythm(line.pattern)) if part)
