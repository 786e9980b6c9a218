"""An invented child and its events, as records and questionnaire would announce them."""

from datetime import UTC, date, datetime
from typing import Any

from services.gateway.domain import child_view, clinic_feed
from services.gateway.domain.clinic_feed import FeedItem
from shared.events import questionnaire as q
from shared.events import records as r
from shared.events.base import Event

CHILD = "c" * 32
TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
GUARDIAN = r.Actor(subject="mother-1", role="guardian")
DOCTOR = r.Actor(subject="doctor-1", role="clinic", organisation="wakaba")


def facts(**changes: Any) -> r.ChildFacts:
    """A girl born on 2026-09-22."""
    return r.ChildFacts(
        **{
            "birth_date": date(2026, 9, 22),
            "sex": "F",
            "name": r.PersonName(family="若葉", given="ひかり", family_kana="ワカバ", given_kana="ヒカリ"),
            "municipality": "139912",
            "district": "みどり台",
            **changes,
        }
    )


def dose(dose_id: str = "d1", **changes: Any) -> r.Dose:
    """A 五種混合 that the clinic gave."""
    return r.Dose(
        **{
            "id": dose_id,
            "given_on": TODAY,
            "code": "penta",
            "cvx": "170",
            "lot": "GB0001",
            "provenance": "clinic",
            "organisation": "wakaba",
            "recorded_at": NOW,
            **changes,
        }
    )


def submitted(clinic: str | None = "wakaba") -> q.QuestionnaireSubmitted:
    """A 予診票 with an answer of each kind."""
    return q.QuestionnaireSubmitted(
        child=CHILD,
        form="yoshinhyo-infant",
        form_version="2026.1",
        vaccine="hepb",
        clinic=clinic,
        answers=(
            q.Answer(link_id="ill_today", text="今日、体に具合の悪いところがありますか", value=False, type="boolean"),
            q.Answer(link_id="temperature", text="診察前の体温", value=36.6, type="decimal", unit="Cel"),
            q.Answer(link_id="weight", text="出生体重", value=2900, type="integer", unit="g"),
            q.Answer(link_id="delivery", text="分娩時の異常", value="none", type="choice", display="なし"),
            q.Answer(link_id="last", text="最近の予防接種の日", value="2026-10-23", type="date"),
            q.Answer(link_id="question", text="質問", value="ありません", type="string"),
            q.Answer(link_id="other", text="その他"),
        ),
        submitted_by="mother-1",
        submitted_at=NOW,
    )


def decided(decision: Any = "go_ahead") -> q.TriageDecided:
    """The doctor's decision on it."""
    return q.TriageDecided(
        child=CHILD,
        vaccine="hepb",
        organisation="wakaba",
        decision=decision,
        explained=True,
        temperature_c=36.7,
        decided_by="doctor-1",
        decided_at=NOW,
    )


class Told:
    """The child's document as the view keeps it, and what each clinic was told."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.records: dict[str, list[FeedItem]] = {}
        self.today = TODAY
        self._revision = 0
        self._responses: dict[str, int] = {}

    def registers(self, **changes: Any) -> None:
        """The record is opened."""
        self.happens(r.ChildRegistered(child=facts(**changes), guardians=("mother-1",), by=GUARDIAN))

    def consents(self, clinic: str = "wakaba", until: date | None = None) -> None:
        """The guardian lets a clinic read."""
        self.happens(r.ConsentGiven(organisation=clinic, kind="clinic", purpose="care", until=until, by=GUARDIAN))

    def withdraws(self, clinic: str = "wakaba") -> None:
        """The guardian takes it back."""
        self.happens(r.ConsentWithdrawn(organisation=clinic, by=GUARDIAN))

    def receives(self, given: r.Dose) -> None:
        """A dose is recorded."""
        self.happens(r.DoseRecorded(dose=given, by=DOCTOR))

    def happens(self, *events: Event) -> None:
        """The next events of the record."""
        for event in events:
            self._revision += 1
            child_view.apply_record(self.state, event, self._revision)
            if isinstance(event, r.ConsentGiven):
                self.state["consents"][event.organisation]["feed"] = True
            self.tells()

    def answers(self, event: Event, response: str = "r1") -> None:
        """The next event of a questionnaire."""
        self._responses[response] = self._responses.get(response, 0) + 1
        child_view.apply_response(self.state, event, self._responses[response], response)
        self.tells()

    def tells(self) -> None:
        """What the clinics do not know yet is emitted."""
        for item in clinic_feed.announce(self.state, CHILD, today=self.today, now=NOW):
            self.records.setdefault(item.clinic, []).append(item)

    def story(self, clinic: str = "wakaba") -> list[str]:
        """What happened, as the clinic reads it."""
        return [item.happened for item in self.records.get(clinic, [])]

    def last(self, clinic: str = "wakaba") -> dict[str, Any]:
        """The last resource that the clinic got."""
        return self.records[clinic][-1].resource
