"""The running service on the real broker: families come by Kafka, a notice goes through Kafka to its inboxes and to a browser."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local.broker import LocalKafka
from deploy.local.client import until
from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from services.notify import store as kept
from services.notify.app import create_app
from services.notify.tests.town import ALARM, BY, MOTHER, NOTICE, NURSE, TOWN, WHY, Town
from shared import bus
from shared.auth import InternalTokens, Principal
from shared.clock import Clock
from shared.documents import Document
from shared.events.base import Envelope, Event
from shared.events.gateway import MunicipalityOpened, StaffAssigned
from shared.events.records import ChildFacts, ChildRegistered, PersonName, PregnancyRegistered
from shared.events.schedule import PlanChanged, PlanItem, ReminderDue
from shared.ids import new_id
from shared.native.envelopes import read_envelope
from shared.settings import Settings
from shared.testing.plugin import service_settings
from shared.testing.push_service import PushService, Receiver

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def test_a_notice_and_a_reminder_over_kafka(
    local_kafka: LocalKafka,
    local_store: LocalStore,
    keys: dict[str, Any],
    secrets: SecretFiles,
    push: PushService,
) -> None:
    settings = service_settings("notify", local_kafka, local_store, f"t{new_id()[:12]}")
    settings.internal_keys_file = keys["notify"]
    settings.vapid_key_file = secrets.push_key()
    settings.egress_allowed_origin = push.origin
    settings.quiet_from = settings.quiet_to
    gateway = InternalTokens(Settings(service="gateway", internal_keys_file=keys["gateway"]))
    app = create_app(settings)
    child = new_id()
    now = Clock().now()

    async def say(service: str, *events: Event) -> None:
        doc = Document(id=child)
        for event in events:
            doc.emit(event, now, tenant=TOWN)
        producer = bus.Producer(service_settings(service, local_kafka, local_store, "unused"))
        for entry in doc.outgoing:
            assert await producer.send([bus.to_message(entry, service)]) == [None]
        await producer.stop()

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://notify") as http,
    ):
        town = Town(app, http, gateway)
        name = PersonName(family="若葉", given="ひかり", family_kana="ワカバ", given_kana="ヒカリ")
        facts = ChildFacts(birth_date=Clock().today(), sex="F", name=name, municipality=TOWN)
        item = PlanItem(series="mr1", dose_number=1, status="due", why=WHY)
        plan = PlanChanged(
            rule_set="jp", as_of=Clock().today(), municipality=TOWN, items=(item,), doses=(), based_on={}
        )
        due = ReminderDue(reminder_id=new_id(), kind="morning", series="mr1", dose_number=1)
        await say("schedule", plan, due)
        await say("records", ChildRegistered(child=facts, guardians=(MOTHER.subject,), by=BY))

        receiver = Receiver(push, "phone")
        await town.does(MOTHER, "PUT", "/v1/push-subscriptions/phone", receiver.subscription())

        async def preview() -> bool:
            body = {"audience": NOTICE["audience"]}
            return bool((await town.does(NURSE, "POST", "/v1/announcements/preview", body))["recipients"])

        await until(preview, "the family is known")
        emergency = await town.publishes(urgency="emergency")
        notice = await town.publishes()

        async def all_there() -> list[dict[str, Any]]:
            items = await town.inbox()
            return items if len(items) == 3 else []

        items = await until(all_there, "the inbox holds all three")
        assert {item.get("announcement") for item in items} == {emergency, notice, None}

        async def pushed() -> bool:
            ledgers = [await town.ledger(one) for one in (emergency, notice)]
            return all(ledger["push"]["accepted"] == 1 for ledger in ledgers)

        await until(pushed, "both were pushed")
        assert all(request.problem is None for request in push.requests)
        titles = [receiver.decrypt(request.body) for request in push.requests]
        assert sum(NOTICE["title"]["ja"] in title for title in titles) == 2

        reminder = next(item for item in items if item.get("reminder"))
        await town.does(MOTHER, "POST", f"/v1/inbox/{reminder['id']}/read")
        heard = await asyncio.wait_for(_heard(local_kafka, emergency, notice), 30)
        names = sorted(envelope.type.split(".")[-2] for envelope in heard)
        assert names == ["MessageDelivered", "MessageRead", "PageDelivered", "PageDelivered"]
        assert {envelope.tenant for envelope in heard} == {TOWN}


async def test_a_flood_over_kafka(
    local_kafka: LocalKafka,
    local_store: LocalStore,
    keys: dict[str, Any],
    secrets: SecretFiles,
) -> None:
    """A pregnancy and the staff come by Kafka; two people send a safety check; its board is complete; an alarm rings and is taken."""
    settings = service_settings("notify", local_kafka, local_store, f"t{new_id()[:12]}")
    settings.internal_keys_file = keys["notify"]
    settings.vapid_key_file = secrets.push_key()
    app = create_app(settings)
    pregnancy, today, code = new_id(), Clock().today(), "131024"
    nurse = Principal("nurse-5", "staff", municipality=code)
    second = Principal("nurse-6", "staff", municipality=code)

    async def say(service: str, subject: str, *events: Event) -> None:
        doc = Document(id=subject)
        for event in events:
            doc.emit(event, Clock().now(), tenant=code)
        producer = bus.Producer(service_settings(service, local_kafka, local_store, "unused"))
        for entry in doc.outgoing:
            assert await producer.send([bus.to_message(entry, service)]) == [None]
        await producer.stop()

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://notify") as http,
    ):
        town = Town(app, http, InternalTokens(Settings(service="gateway", internal_keys_file=keys["gateway"])))
        staff = StaffAssigned(staff=nurse.subject, municipality=code, profession="midwife")
        await say("gateway", code, MunicipalityOpened(code=code, name="かわべ市"), staff)
        expected = today + timedelta(days=141)
        registered = PregnancyRegistered(guardian="woman-5", municipality=code, expected_delivery=expected, by=BY)
        await say("records", pregnancy, registered)
        audience = {"pregnancy_week": {"from": 19, "under": 20}}

        async def previewed() -> bool:
            found = await town.does(nurse, "POST", "/v1/announcements/preview", {"audience": audience})
            return bool(found["pregnancies"] == 1)

        await until(previewed, "the pregnancy is known", within=60)
        body = {**NOTICE, "title": {"ja": "{{town}}: 安否を確かめます"}, "audience": audience, "urgency": "emergency"}
        sent = await town.does(nurse, "POST", "/v1/announcements", {**body, "safety_check": True})
        await town.does(second, "POST", f"/v1/announcements/{sent['id']}/approval")
        woman = Principal("woman-5", "guardian")

        async def arrived() -> list[dict[str, Any]]:
            return await town.inbox(woman)

        [item] = await until(arrived, "the safety check arrives", within=60)
        assert item["title"]["ja"] == "かわべ市: 安否を確かめます"
        board = f"/v1/announcements/{sent['id']}/safety"
        assert (await town.does(nurse, "GET", board))["counts"]["unaccounted"] == 1
        await town.does(woman, "POST", f"/v1/inbox/{item['id']}/safety", {"state": "needs_help", "needs": ["midwife"]})
        found = await town.does(nurse, "GET", board)
        assert (found["counts"]["needs_help"], found["needs"]) == (1, {"midwife": 1})
        roster = {"otherwise": [{"staff": [nurse.subject], "minutes": 10}]}
        await town.does(nurse, "PUT", f"/v1/municipalities/{code}/duty-roster", roster)
        alarm = await town.does(second, "POST", "/v1/alarms", {**ALARM, "about": pregnancy})
        app.state.runtime.clock.move_to(Clock().now() + timedelta(minutes=11))

        async def rang_again() -> bool:
            [ringing] = (await town.does(nurse, "GET", "/v1/alarms?state=ringing"))["items"]
            return bool(ringing["turn"] == 2)

        await until(rang_again, "the alarm climbs", within=60)
        await town.does(nurse, "POST", f"/v1/alarms/{alarm['id']}/acknowledgement")


async def test_an_emergency_overtakes_a_newsletter_in_progress(
    local_kafka: LocalKafka,
    local_store: LocalStore,
    keys: dict[str, Any],
    secrets: SecretFiles,
) -> None:
    """Sixty pages of a newsletter are on their way when an emergency is published: its page waits for few of them."""
    settings = service_settings("notify", local_kafka, local_store, f"t{new_id()[:12]}")
    settings.internal_keys_file = keys["notify"]
    settings.vapid_key_file = secrets.push_key()
    app = create_app(settings)
    pages, code = 60, "131032"
    nurse, second = (Principal(f"nurse-{one}", "staff", municipality=code) for one in (7, 8))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://notify") as http,
    ):
        town = Town(app, http, InternalTokens(Settings(service="gateway", internal_keys_file=keys["gateway"])))
        store = town.runtime.store
        child = {"birth_date": Clock().today().isoformat(), "municipality": code, "attributes": []}
        readers = [f"reader-{number}" for number in range(pages * kept.PAGE_SIZE)]
        many = Document(
            new_id(), 1, state={"child": {**child, "district": "一丁目"}, "guardians": dict.fromkeys(readers)}
        )
        one = Document(
            new_id(), 1, state={"child": {**child, "district": "二丁目"}, "guardians": {MOTHER.subject: True}}
        )
        await kept.LINES.write(store, [many, one])
        newsletter = await town.does(nurse, "POST", "/v1/announcements", {**NOTICE, "audience": {"district": "一丁目"}})

        async def worked() -> int:
            return await store.count(kept.INBOX, {"announcement": newsletter["id"]}) // kept.PAGE_SIZE

        await until(worked, "the newsletter is in progress", within=60)
        urgent = {**NOTICE, "audience": {"district": "二丁目"}, "urgency": "emergency"}
        sent = await town.does(nurse, "POST", "/v1/announcements", urgent)
        await town.does(second, "POST", f"/v1/announcements/{sent['id']}/approval")
        before = await worked()

        async def arrived() -> list[dict[str, Any]]:
            return await town.inbox()

        await until(arrived, "the emergency is in its inbox", within=60)
        after = await worked()
        assert before < pages / 2, "the newsletter was too fast for this test"
        assert after - before < pages / 4


async def _heard(kafka: LocalKafka, *notices: str) -> list[Envelope]:
    """What the gateway hears of these notices' pages and of the mother."""
    reader = AIOKafkaConsumer("notify.delivery.v1", **kafka.client_options("gateway"), auto_offset_reset="earliest")
    await reader.start()
    found: list[Envelope] = []
    try:
        async for record in reader:
            envelope = read_envelope(record.topic, record.key, record.value, record.headers)
            if envelope.subject == MOTHER.subject or envelope.subject.partition(":")[0] in notices:
                found.append(envelope)
            if len(found) == 4:
                break
    finally:
        await reader.stop()
    return found
