"""Dead letters: records that could not be used, with their bytes and the reason; what became of each is kept (promise G6)."""

import hashlib
import re
import time
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from shared.healing import remember
from shared.ops import parked
from shared.ops.places import Place, Trouble, about
from shared.store import Store

HANDLED = "handled_letters"


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that was put aside; never its bytes."""

    id: str
    """`partition:offset` in the dead-letter topic."""
    topic: str
    reason: str
    reader: str
    type: str
    subject: str
    revision: int
    size: int
    digest: str
    at: float
    handled: str = ""


async def letters(place: Place, topic: str, *, handled: bool = False) -> list[Letter]:
    """The dead letters of a topic that nobody has taken care of; raises Trouble for a topic without any place for them."""
    name = topic if topic.endswith(".dlt") else f"{topic}.dlt"
    found: list[Letter] = []
    options = {
        **place.kafka,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "request_timeout_ms": 10_000,
    }
    looking = AIOKafkaConsumer(**options)
    try:
        await looking.start()
        if name not in await looking.topics():
            raise Trouble(f"There is no topic {name}.", 2)
    finally:
        await looking.stop()
    consumer = AIOKafkaConsumer(name, **options)
    try:
        await consumer.start()
        places = sorted(consumer.assignment())
        ends = await consumer.end_offsets(places)
        for one in places:
            while await consumer.position(one) < ends[one]:
                batch = await consumer.getmany(one, timeout_ms=2_000)
                found += [_letter(record) for records in batch.values() for record in records]
                if not batch:
                    break
    finally:
        await consumer.stop()
    return [letter for letter in await _with_what_became(place, found) if handled or not letter.handled]


def _letter(record: "ConsumerRecord[bytes | None, bytes | None]") -> Letter:
    headers = {key: (raw or b"").decode(errors="replace") for key, raw in record.headers}
    value = record.value or b""
    revision = headers.get("ce_revision", "0")
    return Letter(
        id=f"{record.partition}:{record.offset}",
        topic=str(record.topic),
        reason=headers.get("dlt_reason", "unknown"),
        reader=headers.get("dlt_reader", ""),
        type=_opaque(headers.get("ce_type", "")),
        subject=_opaque(headers.get("ce_subject", "")),
        revision=int(revision) if re.fullmatch("[0-9]{1,15}", revision) else 0,
        size=len(value),
        digest=hashlib.sha256(value).hexdigest(),
        at=record.timestamp / 1000,
    )


def _opaque(word: str) -> str:
    """The word of a header if it looks as ours do: anything else may be a name, and is not shown."""
    return word if re.fullmatch(r"[A-Za-z0-9:._-]{1,150}", word) else ""


async def _with_what_became(place: Place, found: list[Letter]) -> list[Letter]:
    known: dict[str, str] = {}
    for service in {letter.reader for letter in found} & place.stores.keys():
        async with place.store(service) as store:
            rows = await store.get_many(HANDLED, [_key(letter) for letter in found if letter.reader == service])
            known |= {key: f"{row['what']}: {row['reason']}" for key, row in rows.items()}
    return [
        Letter(**{name: getattr(one, name) for name in Letter.__slots__} | {"handled": known.get(_key(one), "")})
        for one in found
    ]


def _key(letter: Letter) -> str:
    return f"{letter.topic}:{letter.id}"


async def one(place: Place, topic: str, letter_id: str) -> Letter:
    """One dead letter; raises Trouble when there is none of this id."""
    found = next((letter for letter in await letters(place, topic, handled=True) if letter.id == letter_id), None)
    if found is None:
        raise Trouble(f"There is no dead letter {letter_id} of {topic}.", 2)
    return found


async def replay(place: Place, topic: str, letter_id: str, *, reason: str, who: str, dry_run: bool) -> Letter:
    """Have its reader get that revision from the owner's archive; raises Trouble, then nothing was touched."""
    letter = await one(place, topic, letter_id)
    stream = letter.topic.removesuffix(".dlt").rpartition(".v")[0]
    if not letter.subject or not letter.revision:
        raise Trouble("The record does not say which event it was, so nothing can be replayed. Nothing was touched.")
    kind, _ = await parked.type_of(place, stream, letter.subject, letter.revision)
    parked.know(kind)
    async with place.store(letter.reader) as store:
        readers = [name for followed, name in (await about(store, letter.reader))["readings"] if followed == stream]
        if not dry_run:
            await place.note(store, letter.reader, "letter.replay", letter.subject, reason, who)
            await remember(store, readers, [(stream, letter.subject, letter.revision - 1, letter.revision)])
            await _handled(store, letter, "replayed", reason, who)
    if not dry_run:
        async for held in parked.parked(place):
            same = (held.service, held.stream, held.subject) == (letter.reader, stream, letter.subject)
            if same and held.revision == letter.revision:
                await parked.replay(
                    place, held.service, held.view, held.document, reason=reason, who=who, dry_run=False
                )
    return letter


async def discard(place: Place, topic: str, letter_id: str, *, reason: str, who: str, dry_run: bool) -> Letter:
    """Say that nothing is to be done about it; its bytes stay in the topic. Raises Trouble, then nothing was touched."""
    if not reason.strip():
        raise Trouble("A dead letter is discarded with a reason only (--reason).", 2)
    letter = await one(place, topic, letter_id)
    async with place.store(letter.reader) as store:
        if not dry_run:
            await place.note(store, letter.reader, "letter.discard", letter.subject, reason, who)
            await _handled(store, letter, "discarded", reason, who)
    return letter


async def _handled(store: Store, letter: Letter, what: str, reason: str, who: str) -> None:
    row = {"what": what, "reason": reason, "who": who, "at": time.time()}
    await store.update(HANDLED, {"_id": _key(letter)}, {"$set": row}, upsert=True)
