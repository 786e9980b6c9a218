"""Invented people, and a town whose families notify learns of by events, as from Kafka."""

import base64
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Literal

import httpx
from fastapi import FastAPI

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.duty import Duty
from services.notify.commands.fanout import LANES, expand_pages, push_pages
from services.notify.commands.library import Library
from services.notify.commands.reminders import Reminders, deliver_reminders, push_reminders
from shared.auth import InternalTokens, Principal
from shared.bus import envelope_of
from shared.documents import Document
from shared.events.base import Envelope, Event
from shared.events.gateway import StaffAssigned
from shared.events.records import (
    Actor,
    ChildDied,
    ChildFacts,
    ChildMoved,
    ChildRegistered,
    DeathRetracted,
    GuardianRemoved,
    PersonName,
    PregnancyEnded,
    PregnancyEvent,
    PregnancyLossRetracted,
    PregnancyMoved,
    PregnancyRegistered,
)
from shared.events.schedule import PlanChanged, PlanItem, ReminderDue, Why
from shared.ids import new_id
from shared.runtime import Runtime
from shared.views import View

TOWN, OTHER_TOWN = "131016", "131024"
NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TODAY = date(2026, 11, 23)

NURSE = Principal("nurse-1", "staff", municipality=TOWN)
SECOND_NURSE = Principal("nurse-3", "staff", municipality=TOWN)
OTHER_NURSE = Principal("nurse-2", "staff", municipality=OTHER_TOWN)
REGISTER = Principal("register", "system", municipality=TOWN)
MOTHER = Principal("mother-1", "guardian")
FATHER = Principal("father-1", "guardian")
STRANGER = Principal("stranger", "guardian")
CLINIC = Principal("doctor-1", "clinic", organisation="clinic-1")
OPERATOR = Principal("operator", "operator")

BY = Actor(subject="nurse-1", role="staff")
WHY = Why(rule="r", sentence="決まりです。", sentence_en="The rule.", source="law")
PDF = base64.b64encode(b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n").decode()
ROSTER: dict[str, Any] = {"otherwise": [{"staff": ["nurse-1"], "minutes": 10}]}
ALARM: dict[str, Any] = {"kind": "call_back", "about": "c1", "words": "至急の連絡が1件あります"}
SCHOOL: dict[str, Any] = {
    "name": "わかば小学校",
    "latitude": 35.0,
    "longitude": 139.0,
    "capacity": 200,
    "supplies": {"formula_liquid": 48, "diapers_s": 300},
}
UNDER_SIX: dict[str, Any] = {"age_years": {"under": 6}}
NOTICE: dict[str, Any] = {
    "title": {"ja": "わかば幼稚園は本日休園です", "en": "Wakaba kindergarten is closed today"},
    "body": {"ja": "大雨のため本日は休園します。", "en": "Closed today because of heavy rain."},
    "audience": UNDER_SIX,
    "urgency": "important",
}


class Town:
    """The service, its callers, and what the other services tell it."""

    def __init__(self, app: FastAPI, http: httpx.AsyncClient, tokens: InternalTokens) -> None:
        self.app = app
        self.http = http
        self.tokens = tokens
        self.runtime: Runtime = app.state.runtime
        self.notices: Notices = app.state.notices
        self.reminders: Reminders = app.state.reminders
        self.library: Library = app.state.library
        self.duty: Duty = app.state.duty
        views = {sink.name: sink for sink in self.runtime.follower.sinks if isinstance(sink, View)}
        self.families, self.pregnancies = views[kept.FAMILIES], views[kept.PREGNANCIES]
        self.contacts = next(sink for sink in self.runtime.follower.sinks if sink.name == "contacts")
        self.streams: dict[tuple[str, str], int] = {}

    # What other services say ----------------------------------------------------------------------------------

    def envelope(self, subject: str, event: Event) -> Envelope:
        """The next event of this subject, as the follower hands it over."""
        name = (event.stream, subject)
        doc = Document(id=subject, heads={f"{event.stream.replace('.', '/')}:{subject}": self.streams.get(name, 0)})
        self.streams[name] = doc.emit(event, self.runtime.clock.now(), tenant=TOWN)
        return envelope_of(doc.outgoing[0], event.stream.partition(".")[0])

    async def hears(self, subject: str, *events: Event) -> list[Envelope]:
        """These events arrive for the views of families and pregnancies."""
        envelopes = [self.envelope(subject, event) for event in events]
        view = self.pregnancies if isinstance(events[0], PregnancyEvent) else self.families
        for sink in (view, self.contacts):
            assert await sink.apply(envelopes) == []
        return envelopes

    async def born(
        self,
        birth: str = "2024-05-01",
        guardians: Iterable[str] = (MOTHER.subject,),
        *,
        town: str = TOWN,
        district: str | None = None,
    ) -> str:
        """The id of a child whom records told of."""
        child = new_id()
        name = PersonName(family="若葉", given="ひかり", family_kana="ワカバ", given_kana="ヒカリ")
        facts = ChildFacts(
            birth_date=date.fromisoformat(birth), sex="F", name=name, municipality=town, district=district
        )
        await self.hears(child, ChildRegistered(child=facts, guardians=tuple(guardians), by=BY))
        return child

    async def expects(self, guardian: str = MOTHER.subject, expected: str = "2027-03-01", *, town: str = TOWN) -> str:
        """The id of a pregnancy whom records told of."""
        pregnancy = new_id()
        due = date.fromisoformat(expected)
        event = PregnancyRegistered(guardian=guardian, municipality=town, expected_delivery=due, by=BY)
        await self.hears(pregnancy, event)
        return pregnancy

    async def ends(self, pregnancy: str, outcome: Literal["birth", "loss"] = "loss") -> None:
        await self.hears(pregnancy, PregnancyEnded(outcome=outcome, ended_on=TODAY, by=BY))

    async def goes_on(self, pregnancy: str) -> None:
        await self.hears(pregnancy, PregnancyLossRetracted(reason="another woman", by=BY))

    async def moves(self, child: str, to: str) -> None:
        moved = ChildMoved(from_municipality=TOWN, to_municipality=to, effective_on=TODAY, by=BY)
        await self.hears(child, moved)

    async def woman_moves(self, pregnancy: str, to: str) -> None:
        await self.hears(pregnancy, PregnancyMoved(from_municipality=TOWN, to_municipality=to, by=BY))

    async def dies(self, child: str) -> None:
        await self.hears(child, ChildDied(died_on=TODAY, by=BY))

    async def lives_after_all(self, child: str) -> None:
        await self.hears(child, DeathRetracted(reason="another child", by=BY))

    async def loses(self, child: str, guardian: str) -> None:
        await self.hears(child, GuardianRemoved(guardian=guardian, reason="court"))

    async def plans(self, child: str, **series: str) -> None:
        """schedule says where the child's series stand: `mr1="due"`."""
        items = tuple(PlanItem(series=name, dose_number=1, status=status, why=WHY) for name, status in series.items())
        plan = PlanChanged(rule_set="jp", as_of=TODAY, municipality=TOWN, items=items, doses=(), based_on={})
        await self.hears(child, plan)

    def fires(self, child: str, kind: str = "overdue", series: str = "mr1") -> Envelope:
        """A reminder that schedule fired; not yet heard."""
        event = ReminderDue(reminder_id=new_id(), kind=kind, series=series, dose_number=1, free_until=date(2027, 3, 31))
        return self.envelope(child, event)

    async def reminded(self, envelope: Envelope, *, pushes: bool = True) -> list[tuple[Envelope, str]]:
        """Both groups handle a fired reminder, the view of families first."""
        await self.families.apply([envelope])
        rejected = await deliver_reminders(self.reminders, [envelope])
        if pushes:
            await push_reminders(self.reminders, [envelope])
        return rejected

    async def employs(self, *staff: str) -> None:
        """The directory says who works for the town."""
        towns = next(sink for sink in self.runtime.follower.sinks if sink.name == kept.TOWNS)
        told = [StaffAssigned(staff=one, municipality=TOWN, profession="public_health_nurse") for one in staff]
        assert await towns.apply([self.envelope(TOWN, event) for event in told]) == []

    # What callers do ------------------------------------------------------------------------------------------

    def token(self, who: Principal) -> str:
        return f"Bearer {self.tokens.sign('notify', 'act', who)}"

    async def call(
        self, who: Principal | None, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """One call as the gateway makes it."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent["authorization"] = self.token(who)
        if method == "POST":
            sent.setdefault("Idempotency-Key", new_id())
        if isinstance(body, bytes):
            return await self.http.request(
                method, path, content=body, headers={**sent, "content-type": "application/json"}
            )
        return await self.http.request(method, path, json=body, headers=sent)

    async def does(self, who: Principal, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """The body of a call that must succeed."""
        answer = await self.call(who, method, path, body, **headers)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    async def refused(self, body: dict[str, Any], who: Principal = NURSE) -> list[tuple[str, str]]:
        """(pointer, code) of each broken rule of a notice that must be refused, with nothing stored."""
        before = await self.runtime.store.count(kept.ANNOUNCEMENTS, {})
        answer = await self.call(who, "POST", "/v1/announcements", body)
        assert answer.status_code == 422, answer.text
        assert await self.runtime.store.count(kept.ANNOUNCEMENTS, {}) == before
        assert await self.runtime.store.count(kept.RECIPIENTS, {}) == 0
        return [(error["pointer"], error["code"]) for error in answer.json()["errors"]]

    async def publishes(self, **changes: Any) -> str:
        """The id of a published notice, an emergency with its second person; nothing is expanded yet."""
        found = await self.does(NURSE, "POST", "/v1/announcements", {**NOTICE, **changes})
        if found["state"] == "awaiting_approval":
            await self.does(SECOND_NURSE, "POST", f"/v1/announcements/{found['id']}/approval")
        return str(found["id"])

    async def announced(self, announcement: str) -> list[Envelope]:
        """The events of a notice that wait in its outbox."""
        doc = await self.runtime.store.get(kept.ANNOUNCEMENTS, announcement)
        assert doc is not None
        return [envelope_of(entry, "notify") for entry in doc["outbox"]]

    async def pages(self, announcement: str) -> list[Envelope]:
        return [event for event in await self.announced(announcement) if event.type in LANES]

    async def expands(self, announcement: str, *, pushes: bool = False) -> None:
        """The workers do all pages of a notice."""
        pages = await self.pages(announcement)
        assert await expand_pages(self.notices, pages) == []
        if pushes:
            assert await push_pages(self.notices, pages) == []

    async def ledger(self, announcement: str, query: str = "") -> dict[str, Any]:
        return await self.does(NURSE, "GET", f"/v1/announcements/{announcement}/deliveries{query}")

    async def inbox(self, who: Principal = MOTHER) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.does(who, "GET", "/v1/inbox"))["items"]
        return items

    async def told(self, collection: str) -> list[tuple[str, dict[str, Any]]]:
        """(name, data) of every event that waits in this collection's outboxes."""
        rows = await self.runtime.store.find(collection, {})
        return [(entry["type"].split(".")[-2], json.loads(entry["data"])) for row in rows for entry in row["outbox"]]
