"""What the live events are fed from: every replica reads the ends of the topics for itself, without a group."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from services.gateway.commands.changes import Listeners
from services.gateway.domain import child_view
from shared import bus
from shared.documents import Documents
from shared.events.base import Envelope
from shared.events.notify import AlarmTaken, DeliveryEvent, DutyCalled, PageDelivered
from shared.events.records import ChildEvent
from shared.events.schedule import PlanEvent
from shared.native.envelopes import BadRecord, read_envelope
from shared.runtime import Runtime
from shared.waiting import FRESH_WAIT_S, until

log = structlog.get_logger(__name__)
TOPICS = {ChildEvent.topic(): "child", PlanEvent.topic(): "plan", DeliveryEvent.topic(): "inbox"}
DUTY = frozenset({DutyCalled.event_type(), AlarmTaken.event_type()})
AT_ONCE = 64


def follow_changes(runtime: Runtime, listeners: Listeners, children: Documents, plans: Documents) -> None:
    """Tell the listeners of this replica what changed, once its views have it."""
    telling: set[asyncio.Task[None]] = set()

    async def tell(kind: str, envelope: Envelope) -> None:
        change = {"kind": kind, "id": envelope.subject}
        if envelope.type == PageDelivered.event_type():
            page = PageDelivered.model_validate_json(envelope.data)
            change["id"] = page.announcement
            listeners.tell([f"guardian:{recipient}" for recipient in page.recipients], change)
            return
        if envelope.type in DUTY:
            # Everybody of the town's staff hears it: who is called knows by the alarm itself.
            listeners.tell([f"municipality:{envelope.tenant}"], {"kind": "alarm", "id": envelope.subject})
            return
        if kind == "inbox":
            listeners.tell([f"guardian:{envelope.subject}"], change)
            return
        view = children if kind == "child" else plans

        async def applied() -> bool:
            doc = await view.load(envelope.subject)
            return doc is not None and doc.read_to(envelope.stream, envelope.subject) >= envelope.revision

        if not await until(applied, FRESH_WAIT_S, lambda: view.next_commit(envelope.subject)):
            return
        record = await children.load(envelope.subject)
        if record is None:
            return
        today = runtime.clock.today().isoformat()
        refused = child_view.refused_now(record.state)
        readers = [
            reader
            for reader, last_day in child_view.readers(record.state).items()
            if (last_day is None or last_day >= today) and reader not in refused
        ]
        if kind == "child":
            change["revision"] = f"{envelope.stream}:{envelope.subject}={envelope.revision}"
        listeners.tell(readers, change)

    def hear(record: "ConsumerRecord[bytes | None, bytes | None]") -> None:
        try:
            envelope = read_envelope(record.topic, record.key, record.value, record.headers)
        except BadRecord:
            return
        task = asyncio.create_task(tell(TOPICS[record.topic], envelope))
        telling.add(task)
        task.add_done_callback(telling.discard)

    async def follow() -> None:
        consumer = AIOKafkaConsumer(
            *TOPICS, **bus.client_options(runtime.settings), auto_offset_reset="latest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            async for record in consumer:
                if listeners and len(telling) < AT_ONCE:
                    hear(record)
        finally:
            await consumer.stop()

    runtime.background.append(follow)
