"""What waits: records that are not read yet, and facts that are not announced yet."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.ops.places import Place, Trouble, about
from shared.outbox import PARKED_FROM


@dataclass(frozen=True, slots=True)
class Lag:
    """How far one group is behind on one topic, in records."""

    group: str
    topic: str
    behind: int
    read: int


async def lag(place: Place, topic: str | None) -> list[Lag]:
    """Every group's lag. Raises Trouble for a topic that is not there, KafkaError when Kafka is away."""
    admin = AIOKafkaAdminClient(**place.kafka, request_timeout_ms=10_000)
    consumer = AIOKafkaConsumer(**place.kafka, enable_auto_commit=False, request_timeout_ms=10_000)
    try:
        await admin.start()
        await consumer.start()
        if topic is not None and topic not in await consumer.topics():
            raise Trouble(f"There is no topic {topic}.", 2)
        found: dict[tuple[str, str], list[int]] = {}
        for group, *_ in await admin.list_consumer_groups():
            offsets: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
            places = [one for one in offsets if topic in {None, one.topic}]
            ends = await consumer.end_offsets(places) if places else {}
            for one in places:
                at = max(0, offsets[one].offset)
                row = found.setdefault((group, one.topic), [0, 0])
                row[0] += max(0, ends[one] - at)
                row[1] += at
        return [Lag(group, name, behind, read) for (group, name), (behind, read) in sorted(found.items())]
    finally:
        await consumer.stop()
        await admin.close()


@dataclass(frozen=True, slots=True)
class Outbox:
    """What one collection has not announced: documents, events, seconds since the oldest."""

    service: str
    collection: str
    documents: int
    events: int
    oldest_s: float


async def outboxes(place: Place) -> list[Outbox]:
    """The outboxes of every service; empty ones too."""
    found = []
    for service in place.stores:
        async with place.store(service) as store:
            for collection in (await about(store, service))["collections"]:
                documents = events = 0
                oldest = now = time.time() * 1000
                query = {"pending": {"$gte": 0, "$lt": PARKED_FROM}}
                async for doc in store.each(collection, query, fields=["pending", "outbox.place"]):
                    if doc.get("outbox"):
                        documents += 1
                        events += len(doc["outbox"])
                        oldest = min(oldest, doc["pending"])
                found.append(Outbox(service, collection, documents, events, (now - oldest) / 1000))
    return found
