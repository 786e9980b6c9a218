"""Looks, as an outsider with every key, whether the promises held: stores, archives, topics, pushes, logs.

It shares no code with what it checks, except the schedule's rules, which are pure: a plan is compared with its recount.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from services.schedule import store as schedule_documents
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.rule_files import load_rule_set
from shared.testing.push_service import PushService, Receiver
from tests.faults.ledger import Ledger
from tests.faults.rig import CANARY, LOT, SERVICES, Rig

VIEWS = {
    "schedule": ("plans",),
    "questionnaire": ("children",),
    "notify": ("families",),
    "gateway": ("children", "plans"),
}
"""The views that follow a child's record, by service."""
MOST_MEMORY_MB = 400
TOO_MANY = 429


@dataclass
class Findings:
    """What was found wrong, by promise; empty lists are what is hoped for."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    unhealed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Every sentence."""
        return [*self.lost, *self.doubled, *self.out_of_order, *self.unhealed, *self.wrong]


@dataclass(frozen=True)
class Letter:
    """A dead letter: where the record stood, and its bytes."""

    topic: str
    partition: int
    offset: int
    value: bytes | None


def heads(rig: Rig) -> dict[str, int]:
    """The revision of each child's record."""
    return {doc["_id"]: doc["revision"] for doc in rig.database("records").children.find({}, {"revision": 1})}


def behind(rig: Rig) -> list[str]:
    """What has not arrived everywhere yet: outboxes, views behind their owner's head, plans that the gateway lacks."""
    found: list[str] = []
    for service in SERVICES:
        database = rig.database(service)
        for name in database.list_collection_names():
            for doc in database[name].find({"pending": {"$exists": True, "$ne": None}}, {"pending": 1}):
                found.append(f"{service}.{name} {doc['_id']} is unfinished")
    followers = [
        (service, collection)
        for service, collections in VIEWS.items()
        for collection in collections
        if (service, collection) != ("gateway", "plans")
    ]
    plans = {doc["_id"]: doc["revision"] for doc in rig.database("schedule").plans.find({}, {"revision": 1})}
    found += _not_applied(rig, "records/child", heads(rig), followers)
    found += _not_applied(rig, "schedule/plan", plans, [("gateway", "plans"), ("notify", "families")])
    for notice in rig.database("notify").announcements.find({}, {"state": 1}):
        items = rig.database("notify").inbox.count_documents({"announcement": notice["_id"]})
        if items < len(rig.guardians):
            found.append(f"notice {notice['_id']} reached {items} of {len(rig.guardians)}")
    return found


def _not_applied(
    rig: Rig, stream: str, heads: Mapping[str, int], followers: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """Where a view has not applied a subject of this stream up to its head."""
    for service, collection in followers:
        applied = {doc["_id"]: doc.get("applied", {}) for doc in rig.view(service, collection).find({}, {"applied": 1})}
        for subject, head in heads.items():
            last = applied.get(subject, {}).get(f"{stream}:{subject}", 0)
            if last != head:
                yield f"{service}.{collection} has {last} of {head} of {stream} {subject}"


def check_stores(rig: Rig, ledger: Ledger) -> Findings:
    """I1, I2 in the archives, I3 and the inbox half of I4."""
    found = Findings()
    _acknowledged_is_there(rig, ledger, found)
    for service in SERVICES:
        _archive_is_dense(rig, service, found)
    _plans_are_right(rig, found)
    _inboxes_are_whole(rig, ledger, found)
    return found


def _acknowledged_is_there(rig: Rig, ledger: Ledger, found: Findings) -> None:
    """I1: acknowledged ⊆ found ⊆ asked, one of each."""
    stored: Counter[str] = Counter()
    ids: set[str] = set()
    for doc in rig.database("records").children.find({}, {"state": 1}):
        for dose in doc["state"].get("doses", {}).values():
            stored[dose["lot"]] += 1
            ids.add(dose["id"])
        for one in doc["state"].get("growth", {}).values():
            stored[f"{one['weight_kg']:.3f}"] += 1
    asked = {entry.mark: entry for entry in ledger.entries.values() if entry.kind in {"dose", "growth"}}
    for mark, entry in asked.items():
        if entry.told == "ok" and not stored[mark]:
            found.lost.append(f"{entry.kind} {mark} was acknowledged and is not there")
        if entry.told == "ok" and entry.kind == "dose" and entry.answer["id"] not in ids:
            found.lost.append(f"{mark} was acknowledged under an id that is not there")
        if entry.told == "refused" and stored[mark]:
            found.wrong.append(f"{entry.kind} {mark} was refused and is there")
        if stored[mark] > 1:
            found.doubled.append(f"{entry.kind} {mark} is there {stored[mark]} times")
    found.wrong += [f"{mark} is there and nobody asked for it" for mark in stored if mark not in asked]


def _archive_is_dense(rig: Rig, service: str, found: Findings) -> None:
    """I2: revisions 1..n per subject, and n is the document's own head."""
    revisions: defaultdict[str, list[int]] = defaultdict(list)
    for entry in rig.database(service).events.find({}, {"stream": 1, "subject": 1, "revision": 1}):
        revisions[f"{entry['stream']}:{entry['subject']}"].append(entry["revision"])
    for subject, known in revisions.items():
        if sorted(known) != list(range(1, len(known) + 1)):
            found.lost.append(f"{service}'s archive of {subject} has {sorted(known)[:5]}… of {len(known)}")
    owned = {"records": ("children", "records.child"), "schedule": ("plans", "schedule.plan")}.get(service)
    if owned is not None:
        for doc in rig.database(service)[owned[0]].find({}, {"revision": 1}):
            if len(revisions[f"{owned[1]}:{doc['_id']}"]) != doc["revision"]:
                found.lost.append(f"{service}'s archive ends before revision {doc['revision']} of {doc['_id']}")


def _plans_are_right(rig: Rig, found: Findings) -> None:
    """I3: each plan equals its recount, knows exactly the record's doses, and is what the gateway shows."""
    rules = load_rule_set()
    records = {doc["_id"]: doc["state"] for doc in rig.database("records").children.find({}, {"state": 1})}
    shown = {
        doc["_id"]: json.loads(doc["state"]["plan"]) for doc in rig.view("gateway", "plans").find({}, {"state.plan": 1})
    }
    for doc in rig.database("schedule").plans.find({}):
        child, state, plan = doc["_id"], doc["state"], json.loads(doc["state"]["plan"])
        recorded = {dose["id"]: dose["given_on"] for dose in records[child].get("doses", {}).values()}
        known = {dose: one["given_on"] for dose, one in state.get("doses", {}).items()}
        if recorded != known:
            found.wrong.append(f"schedule knows {len(known)} doses of {child}, the record has {len(recorded)}")
        history = schedule_documents.history_of(state)
        on = schedule_documents.day(plan["as_of"])
        assert on is not None
        again = plan_to_json(make_plan(rules, history, on))
        if again != plan:
            found.wrong.append(f"the plan of {child} is not its recount")
        theirs = [(item["series"], item["dose_number"], item["status"]) for item in shown[child]["items"]]
        if theirs != [(item["series"], item["dose_number"], item["status"]) for item in plan["items"]]:
            found.wrong.append(f"the gateway shows another plan of {child}")


def _inboxes_are_whole(rig: Rig, ledger: Ledger, found: Findings) -> None:
    """I4: each published notice once in the inbox of each guardian of the town, and nothing else."""
    guardians = rig.guardians
    known = {entry.answer["id"] for entry in ledger.of("notice", "ok")}
    items: Counter[tuple[str, str]] = Counter()
    for item in rig.database("notify").inbox.find({"announcement": {"$ne": None}}, {"announcement": 1, "recipient": 1}):
        items[item["announcement"], item["recipient"]] += 1
    for notice in known:
        reached = {recipient for announcement, recipient in items if announcement == notice}
        if reached != guardians:
            found.lost.append(f"notice {notice} reached {len(reached & guardians)} of {len(guardians)}")
    found.doubled += [f"{recipient} has {notice} twice" for (notice, recipient), times in items.items() if times > 1]
    found.wrong += [f"{notice} was never acknowledged" for notice in {one for one, _ in items} - known]


def check_pushes(receivers: Iterable[Receiver], push: PushService) -> Findings:
    """I4: at most one push for each message and recipient; I7: what it says is nobody's health.

    A 429 is a definite refusal (RFC 8030 section 8.4): what is sent again after it was not sent before.
    """
    found = Findings()
    sent: defaultdict[str, list[bytes]] = defaultdict(list)
    for one in push.requests:
        if one.status != TOO_MANY:
            sent[one.path].append(one.body)
    for receiver in receivers:
        texts = Counter(receiver.decrypt(body) for body in sent.pop(receiver.path, []))
        found.doubled += [f"{receiver.path} got a push {times} times" for times in texts.values() if times > 1]
        found.wrong += [f"a push to {receiver.path} names a child" for text in texts if CANARY in text or LOT in text]
    found.wrong += [f"a push went to {path}, where nobody is" for path in sent]
    found.wrong += [f"a push was malformed: {one.problem}" for one in push.requests if one.problem]
    return found


async def check_topics(rig: Rig, topics: Iterable[str] = ("records.child.v1", "schedule.plan.v1")) -> Findings:
    """I2 on the topics: per subject the first sight of each revision is in order and dense; a repeat has equal bytes."""
    found = Findings()
    ids: dict[str, tuple[str, str, int]] = {}
    for topic in topics:
        seen: dict[tuple[str, int], tuple[str, bytes | None]] = {}
        last: dict[str, int] = {}
        records = await read_all(rig, topic)
        if not records:
            found.lost.append(f"{topic} is empty")
        for record in records:
            headers = {name: raw.decode(errors="replace") for name, raw in record.headers}
            if not re.fullmatch("[0-9]+", headers.get("ce_revision", "")) or "rig_poison" in headers:
                continue
            subject, revision = headers["ce_subject"], int(headers["ce_revision"])
            place = topic, subject, revision
            if ids.setdefault(headers["ce_id"], place) != place:
                found.doubled.append(f"{place} and {ids[headers['ce_id']]} have one event id")
            known = seen.setdefault((subject, revision), (headers["ce_id"], record.value))
            if known != (headers["ce_id"], record.value):
                found.doubled.append(f"{topic} has two different revisions {revision} of {subject}")
            if "rig_repeat" in headers:
                continue
            # The first that is still there may be any: Kafka may forget what lies before.
            if revision > last.setdefault(subject, revision - 1) + 1:
                found.out_of_order.append(f"{topic}: {subject} has {revision} after {last[subject]}")
            last[subject] = max(last[subject], revision)
    return found


async def check_lag(rig: Rig) -> Findings:
    """I5: every group of every service stands at the end of what it follows; where it has committed nothing, at the beginning."""
    found = Findings()
    options = rig.platform.kafka_options("operator")
    admin = AIOKafkaAdminClient(**options)
    consumer = AIOKafkaConsumer(**options)
    await admin.start()
    await consumer.start()
    try:
        for group, *_ in await admin.list_consumer_groups():
            committed = await admin.list_consumer_group_offsets(group)
            followed = [*{*committed, *await _assigned(admin, group)}]
            begins, ends = await consumer.beginning_offsets(followed), await consumer.end_offsets(followed)
            for place in followed:
                stands = committed[place].offset if place in committed else begins[place]
                if stands != ends[place] and ends[place] > 0:
                    found.unhealed.append(f"{group} stands at {stands} of {ends[place]} in {place.topic}")
    finally:
        await consumer.stop()
        await admin.close()
    return found


async def _assigned(admin: AIOKafkaAdminClient, group: str) -> list[TopicPartition]:
    """What the members of a group read, whether they have committed anything there or not."""
    (described,) = await admin.describe_consumer_groups([group])
    members = described.groups[0][5]
    assignments = [ConsumerProtocolMemberAssignment.decode(assignment) for *_, assignment in members if assignment]
    return [
        TopicPartition(topic, partition)
        for assignment in assignments
        for topic, partitions in assignment.assignment
        for partition in partitions
    ]


async def dead_letters(rig: Rig) -> list[Letter]:
    """Every dead letter of every topic of the services."""
    found: list[Letter] = []
    for record in await read_all(rig, *[topic for topic in await _topics(rig) if topic.endswith(".dlt")]):
        headers = {name: raw.decode(errors="replace") for name, raw in record.headers}
        place = headers["dlt_topic"], int(headers["dlt_partition"]), int(headers["dlt_offset"])
        found.append(Letter(*place, record.value))
    return found


async def check_canaries(rig: Rig) -> Findings:
    """I7: no name and no lot in a log, a key or a header."""
    found = Findings()
    for log in sorted((rig.data / "logs").glob("*.log")):
        text = log.read_text(encoding="utf-8", errors="replace")
        found.wrong += [f"{log.name} holds {word}" for word in (CANARY, LOT) if word in text]
    for record in await read_all(rig, *await _topics(rig)):
        around = repr((record.key, [(name, raw) for name, raw in record.headers]))
        if LOT in around or CANARY.encode().hex() in (record.key or b"").hex():
            found.wrong.append(f"{record.topic} holds a canary outside its values")
    return found


def check_health(rig: Rig) -> Findings:
    """I8: all are ready and none has grown."""
    found = Findings()
    for service in SERVICES:
        if not rig.platform.is_ready(service):
            found.unhealed.append(f"{service} is not ready")
        status = Path(f"/proc/{rig.platform.pid(service)}/status").read_text(encoding="ascii")
        megabytes = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) // 1024
        if megabytes > MOST_MEMORY_MB:
            found.wrong.append(f"{service} holds {megabytes} MB")
    return found


async def _topics(rig: Rig) -> list[str]:
    consumer = AIOKafkaConsumer(**rig.platform.kafka_options("operator"))
    await consumer.start()
    try:
        return sorted(topic for topic in await consumer.topics() if not topic.startswith("__"))
    finally:
        await consumer.stop()


async def read_all(rig: Rig, *topics: str) -> list[Any]:
    """Every record of these topics that is there now, partition by partition."""
    consumer = AIOKafkaConsumer(
        *topics, **rig.platform.kafka_options("operator"), auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    await consumer.start()
    try:
        ends = {place: end for place, end in (await consumer.end_offsets(list(consumer.assignment()))).items() if end}
        found: list[Any] = []
        while ends:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
            ends = {place: end for place, end in ends.items() if await consumer.position(place) < end}
        return sorted(found, key=lambda record: (record.topic, record.partition, record.offset))
    finally:
        await consumer.stop()


def canonical(rig: Rig) -> str:
    """Everything that the views hold, for a comparison before and after: repeats must change nothing (G3)."""
    found = {}
    for service, collections in VIEWS.items():
        for collection in collections:
            for doc in rig.view(service, collection).find({}, {"state": 1, "applied": 1}):
                found[f"{service}.{collection}:{doc['_id']}"] = [doc["state"], doc["applied"]]
    return json.dumps(found, sort_keys=True, default=str, ensure_ascii=False)
