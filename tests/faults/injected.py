"""The faults of docs/faults.md, one function each: inject under load, wait until the platform says that it is back.

Processes end by their own number; a supervisor starts them again as Kubernetes would.
"""

import asyncio
import json
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.local.environment import ROOT
from deploy.local.platform import Service
from deploy.local.ports import HOST, free_port
from deploy.local.processes import Process
from shared.native.envelopes import event_id
from tests.faults.checker import Letter, behind, dead_letters, heads, read_all
from tests.faults.load import PATIENCE_S, Load
from tests.faults.proxy import Network, Proxy
from tests.faults.rig import CANARY, CLINIC, SERVICES, TOWN, Family, Rig

CRASH_POINTS = {
    "records": ("after_commit_before_archive:3", "after_archive_before_publish:3", "after_publish_before_pull:3"),
    "schedule": ("after_bulk_before_commit:2",),
    "notify": ("after_claim_before_push:2", "after_push_before_mark:2"),
}
SESSION_S = 10.0
"""How long a silent consumer keeps its partitions (shared/delivery.py)."""


async def wait_until(holds: Callable[[], Any], what: str, within: float = PATIENCE_S) -> None:
    """Ask again until it holds; raises TimeoutError that says what did not."""
    begun = time.monotonic()
    while not await asyncio.to_thread(holds):
        if time.monotonic() - begun > within:
            raise TimeoutError(f"{what} (waited {within:.0f} s)")
        await asyncio.sleep(0.05)


async def wait_async(holds: Callable[[], Awaitable[Any]], what: str, within: float = PATIENCE_S) -> None:
    """The same for a question that waits itself."""
    begun = time.monotonic()
    while not await holds():
        if time.monotonic() - begun > within:
            raise TimeoutError(f"{what} (waited {within:.0f} s)")
        await asyncio.sleep(0.1)


async def all_ready(rig: Rig, services: Sequence[str] = SERVICES) -> None:
    """Every service says that it is ready."""
    for service in services:
        await wait_until(partial(rig.platform.is_ready, service), f"{service} is ready again")


async def _dies(process: Process, starts: int, what: str) -> None:
    await wait_until(lambda: process.starts > starts, what)


@asynccontextmanager
async def _dies_at(rig: Rig, process: Process, place: str) -> AsyncIterator[None]:
    """Start it so that it dies at this place: what has to happen for that happens in between; then it is back.

    The rig starts it itself, each time at once: the supervisor waits longer each time that something dies soon.
    """
    process.environment["HAGUKUMI_CRASH_AT"] = place
    await rig.off(process.kill9)
    await rig.off(process.start)
    # It has read its environment: what is started after the crash is not armed.
    process.environment.pop("HAGUKUMI_CRASH_AT", None)
    armed = process.starts
    yield
    await wait_until(lambda: process.starts > armed or not process.alive, f"{process.name} died at {place}")
    await rig.off(process.start)
    await rig.off(process.wait_ready)


async def f1_kill(rig: Rig, load: Load, dice: random.Random, times: int) -> int:
    """F1: kill -9 of each service in turn, at random moments; the next does not wait for the last to be back."""
    order = [SERVICES[at % len(SERVICES)] for at in range(times)]
    dice.shuffle(order)
    for name in order:
        process = rig.platform.service(name)
        await load.acknowledged(dice.randrange(1, 12))
        await wait_until(partial(getattr, process, "alive"), f"{name} runs before it is killed")
        starts = process.starts
        await rig.off(process.kill9)
        await _dies(process, starts, f"{name} was started again")
    await all_ready(rig)
    return times


async def f2_crash_points(rig: Rig, load: Load) -> int:
    """F2: each place between commit, archive, publish, pull, bulk write, claim and push, once, under load."""

    async def die_at(name: str, places: Sequence[str]) -> None:
        process = rig.platform.service(name)
        for place in places:
            async with _dies_at(rig, process, place):
                pass

    await asyncio.gather(*(die_at(name, places) for name, places in CRASH_POINTS.items()))
    await load.acknowledged(1)
    return sum(map(len, CRASH_POINTS.values()))


async def f2_last_batch(rig: Rig, load: Load) -> int:
    """F2 with nothing after it: the last batch is applied, its reader dies before it commits, and no event comes to heal it."""
    async with _dies_at(rig, rig.platform.service("schedule"), "after_bulk_before_commit"):
        await all_ready(rig)
        await load.one_dose(rig.families[0])
    await all_ready(rig)
    return 1


async def f5_forgotten(rig: Rig, load: Load) -> int:
    """F5, half: what a reader has not read yet is gone from the topic; later events show the gap, the owner's archive heals it."""
    process = rig.platform.service("schedule")
    await rig.off(process.stop)
    await load.acknowledged(20)
    await rig.off(lambda: forget(rig, "records.child.v1"))
    await rig.off(process.start)
    # Every child gets an event after the gap; what comes after none is the reconciler's (R4).
    await load.acknowledged(10)
    for family in rig.families:
        await load.one_dose(family)
    await all_ready(rig)
    return 1


def forget(rig: Rig, topic: str) -> None:
    """Delete every record of a topic, as a retention that was too short would."""
    admin = AdminClient({**rig.platform.kafka.admin_options()})
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    everything = [TopicPartition(topic, number, OFFSET_END) for number in partitions]
    for deleted in admin.delete_records(everything).values():
        deleted.result(10)


async def f3_frozen_owner(rig: Rig, load: Load) -> int:
    """F3: a consumer frozen for longer than its session; another takes its partitions, then it wakes and goes on."""
    second = another(rig, "schedule")
    await rig.off(second.start)
    await rig.off(second.wait_ready)
    first = rig.platform.service("schedule")
    await rig.off(first.sigstop)
    frozen = time.monotonic()
    try:
        # The gateway's pre-checks and plans wait meanwhile; records and their doses do not.
        while time.monotonic() < frozen + SESSION_S + 2.0:
            await load.acknowledged(1)
            await asyncio.sleep(0.1)
    finally:
        await rig.off(first.sigcont)
    await load.acknowledged(10)
    await all_ready(rig)
    await rig.off(second.stop)
    return 1


def another(rig: Rig, name: str) -> Service:
    """A second replica of a service: its own ports and its own name in the consumer groups."""
    of = rig.platform.service(name)
    http, probe = free_port(), free_port()
    settings = {
        **of.environment,
        "HAGUKUMI_HTTP_PORT": str(http),
        "HAGUKUMI_PROBE_PORT": str(probe),
        "HAGUKUMI_INSTANCE": f"{name}-2",
    }
    return Service(
        name,
        f"http://{HOST}:{http}",
        f"http://{HOST}:{probe}",
        settings,
        log=rig.data / "logs" / f"{name}-2.log",
        supervisor=rig.platform.supervisor,
        on_start=lambda: None,
    )


async def f4_broker_killed(rig: Rig, load: Load) -> int:
    """F4: the broker is killed and comes back with its log; writes go on meanwhile."""
    process = rig.platform.kafka.process
    starts = process.starts
    await rig.off(process.kill9)
    await load.acknowledged(5)
    await _dies(process, starts, "the broker was started again")
    await rig.off(process.wait_ready)
    await all_ready(rig)
    return 1


async def f8_repeats(rig: Rig, dice: random.Random, topics: Sequence[str]) -> int:
    """F8: every event of these topics three times more, out of order within a window of 50."""
    sent = 0
    for topic in topics:
        records = await read_all(rig, topic)
        repeats = [record for record in records for _ in range(3)]
        for start in range(0, len(repeats), 50):
            window = repeats[start : start + 50]
            dice.shuffle(window)
            repeats[start : start + 50] = window
        async with AIOKafkaProducer(**rig.platform.kafka_options(topic.partition(".")[0]), acks="all") as producer:
            for record in repeats:
                await producer.send(
                    topic, record.value, key=record.key, headers=[*record.headers, ("rig_repeat", b"1")]
                )
            await producer.flush()
        sent += len(repeats)
    return sent


async def f9_poison(rig: Rig, load: Load) -> list[Letter]:
    """F9: what can never be read, on a topic that every service follows; what was written, where."""
    options = rig.platform.kafka_options("records")
    await load.one_dose(rig.families[0])

    async def doses() -> list[Any]:
        return [
            record
            for record in await read_all(rig, "records.child.v1")
            if dict(record.headers).get("ce_type") == b"jp.hagukumi.records.DoseRecorded.v1"
        ]

    await wait_async(doses, "a dose is announced")
    good = (await doses())[0]
    deep = b"[" * 5_000 + b"]" * 5_000
    # None of these revisions is in the owner's archive: a forged record parks nobody (R6).
    forged = [(name, b"999999" if name == "ce_revision" else raw) for name, raw in good.headers]
    bad_id = [(name, b"00000000-0000-0000-0000-000000000000" if name == "ce_id" else raw) for name, raw in forged]
    cases: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]] = [
        (good.key, b'{"dose": ', forged),
        (good.key, json.dumps({"dose": {"id": 7}, "by": "nobody"}).encode(), forged),
        (good.key, good.value, _typed(forged, b"jp.hagukumi.records.DoseRecorded.v9")),
        (good.key, b"", forged),
        (good.key, None, forged),
        (None, good.value, forged),
        (b"another-child", good.value, forged),
        (good.key, good.value.replace(b"CANARYLOT", b"\xff\xfe\xfd"), forged),
        (good.key, b'{"dose": {"dose_ml": NaN}}', forged),
        (good.key, b'{"dose": ' + deep + b"}", forged),
        (good.key, good.value, bad_id),
        (good.key, good.value, []),
        # Under the right id, and no store could take it as a number, or as the name of a field.
        (good.key, good.value, _placed(good.headers, good.key.decode(), 10**30)),
        (b"a.child", good.value, _placed(good.headers, "a.child", 1)),
        (b"a\0child", good.value, _placed(good.headers, "a\0child", 1)),
        (good.key, b"x" * 900_000, forged),
    ]
    written: list[Letter] = []
    async with AIOKafkaProducer(**options, acks="all", max_request_size=2_000_000) as producer:
        for key, value, headers in cases:
            place = await producer.send_and_wait(
                "records.child.v1", value, key=key, headers=[*headers, ("rig_poison", b"1")]
            )
            written.append(Letter(place.topic, place.partition, place.offset, value))
    return [*written, await f9_forged_next(rig, load)]


async def f9_forged_next(rig: Rig, load: Load) -> Letter:
    """F9: nonsense at the revision that comes next, under the right key and id; the true event of that revision comes later."""
    guardian = rig.families[0].guardian
    facts = {
        "birth_date": rig.families[0].birth.isoformat(),
        "sex": "M",
        "name": {"family": CANARY, "given": CANARY, "family_kana": CANARY, "given_kana": CANARY},
        "municipality": TOWN,
    }
    child = (await guardian.post("/v1/children", facts, key="rig-quiet-child"))["id"]
    await wait_until(lambda: not [one for one in behind(rig) if child in one], "every view knows the new child")
    head = heads(rig)[child]
    register = next(
        record for record in await read_all(rig, "records.child.v1") if (record.key or b"").decode() == child
    )
    changed = {
        "ce_type": b"jp.hagukumi.records.ChildCorrected.v1",
        "ce_revision": str(head + 1).encode(),
        "ce_id": event_id("records.child", child, head + 1).encode(),
        "rig_poison": b"1",
    }
    headers = {**dict(register.headers), **changed}
    async with AIOKafkaProducer(**rig.platform.kafka_options("records"), acks="all") as producer:
        place = await producer.send_and_wait(
            "records.child.v1", b'{"child": ', key=register.key, headers=list(headers.items())
        )
    letter = Letter(place.topic, place.partition, place.offset, b'{"child": ')

    async def put_aside() -> bool:
        return letter in await dead_letters(rig)

    await wait_async(put_aside, "the forged record is put aside")
    # The true one: were the subject parked, or the revision taken for known, no view would ever reach it.
    await guardian.put(f"/v1/children/{child}/consents/{CLINIC}", {"purpose": "care"})
    rig.clinic.wrote.update(guardian.wrote)
    await f9_passed_over(rig, load, Family(child, guardian, rig.families[0].birth), list(register.headers))
    return letter


async def f9_passed_over(rig: Rig, load: Load, family: Family, headers: Sequence[tuple[str, bytes]]) -> None:
    """F9: a record that can be read and says nothing to its readers claims the next revision; its owner gives it to a dose."""
    await wait_until(lambda: not [one for one in behind(rig) if family.child in one], "every view knows the consent")
    head = heads(rig)[family.child]
    changed = {
        "ce_type": b"jp.hagukumi.records.SomethingNewer.v1",
        "ce_revision": str(head + 1).encode(),
        "ce_id": event_id("records.child", family.child, head + 1).encode(),
        "rig_poison": b"1",
    }
    async with AIOKafkaProducer(**rig.platform.kafka_options("records"), acks="all") as producer:
        await producer.send_and_wait(
            "records.child.v1", b"{}", key=family.child.encode(), headers=list({**dict(headers), **changed}.items())
        )

    def counted() -> bool:
        doc = rig.view("schedule", "plans").find_one({"_id": family.child}, {"applied": 1})
        return bool(doc["applied"][f"records/child:{family.child}"] == head + 1)

    await wait_until(counted, "the forged record is counted as read")
    # Were that the end of it, the plan would never know of this dose (I3).
    await load.one_dose(family)


def _placed(headers: Sequence[tuple[str, bytes]], subject: str, revision: int) -> list[tuple[str, bytes]]:
    """These headers at another place of the stream, under that place's own id."""
    place = {
        "ce_subject": subject.encode(),
        "ce_partitionkey": subject.encode(),
        "ce_revision": str(revision).encode(),
        "ce_id": event_id("records.child", subject, revision).encode(),
    }
    return list({**dict(headers), **place}.items())


def _typed(headers: Sequence[tuple[str, bytes]], kind: bytes) -> list[tuple[str, bytes]]:
    return [(name, kind if name == "ce_type" else raw) for name, raw in headers]


async def f6_broker_unreachable(rig: Rig, load: Load, seconds: float) -> int:
    """F6: the broker answers nothing for a while, as behind a black hole; writes stay accepted all the time."""
    process = rig.platform.kafka.process
    process.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        while time.monotonic() < begun + seconds:
            await load.acknowledged(3)
            await asyncio.sleep(0.2)
    finally:
        process.signal(signal.SIGCONT)
    await all_ready(rig)
    return 1


async def f5_empty_broker(rig: Rig, load: Load) -> int:
    """F5: the broker comes back with no topic, no user and no offset; everything there is again comes from archives."""
    broker = rig.platform.kafka
    await rig.off(broker.stop)
    await load.acknowledged(5)
    await rig.off(partial(shutil.rmtree, broker.folder / "log"))
    await rig.off(broker.start)
    await rig.off(rig.platform.describe_broker)
    await load.acknowledged(20)
    await all_ready(rig)
    return 1


async def f7_stores(rig: Rig, load: Load, frozen_s: float) -> int:
    """F7: each store killed and started again, then the record's own frozen; nothing is acknowledged that is not kept."""
    for name in SERVICES:
        process = rig.platform.store(name).process
        starts = process.starts
        await rig.off(process.kill9)
        await _dies(process, starts, f"the store of {name} was started again")
        await rig.off(process.wait_ready)
        await load.acknowledged(5)
    process = rig.platform.store("records").process
    process.signal(signal.SIGSTOP)
    await asyncio.sleep(frozen_s)
    process.signal(signal.SIGCONT)
    await load.acknowledged(5)
    await all_ready(rig)
    return len(SERVICES) + 1


async def f6_network(rig: Rig, load: Load, broker: Proxy, seconds: float) -> int:
    """F6 by the network: the broker far away, its answers lost, nothing at all, every connection reset; writes stay accepted."""
    ways = (Network.SLOW, Network.DEAF, Network.HOLE, Network.RESET)
    for way in ways:
        broker.set_to(way)
        begun = time.monotonic()
        while time.monotonic() < begun + seconds:
            await load.acknowledged(3)
            await asyncio.sleep(0.2)
        broker.set_to(Network.OPEN)
        await load.acknowledged(5)
    assert broker.lost, "nobody was connected by the proxy"
    await all_ready(rig)
    return len(ways)


async def f7_network(rig: Rig, load: Load, stores: Mapping[str, Proxy], seconds: float) -> int:
    """F7 by the network: each of these stores far away, deaf (what was asked is done, nobody is told), gone, resetting."""
    ways = (Network.SLOW, Network.DEAF, Network.HOLE, Network.RESET)
    for proxy in stores.values():
        for way in ways:
            proxy.set_to(way)
            await asyncio.sleep(seconds)
            proxy.set_to(Network.OPEN)
            await load.acknowledged(5)
        assert proxy.lost, "nobody was connected by the proxy"
    await all_ready(rig)
    return len(ways) * len(stores)


async def f10_clocks(rig: Rig, load: Load) -> int:
    """F10: the processes' clocks differ by up to 20 minutes; nothing is ordered by them (G11)."""
    wrong = dict(zip(SERVICES, (600, -600, 0, 600, -600), strict=True))
    for skews in (wrong, dict.fromkeys(SERVICES, 0)):
        for name, seconds in skews.items():
            process = rig.platform.service(name)
            process.environment["HAGUKUMI_CLOCK_SKEW_S"] = str(seconds)
            await rig.off(process.stop)
            await rig.off(process.start)
            await wait_until(partial(rig.platform.is_ready, name), f"{name} is ready again")
        await load.acknowledged(20)
    return len(SERVICES)


async def f11_slow_reader(rig: Rig, load: Load, seconds: float) -> int:
    """F11: one reader does nothing for a while; writes and the other readers go on (G10)."""
    process = rig.platform.service("notify")
    await rig.off(process.sigstop)
    try:
        begun = time.monotonic()
        while time.monotonic() < begun + seconds:
            child = rig.families[load.dice.randrange(len(rig.families))]
            await load.one_dose(child)
            rig.clinic.wrote.clear()
    finally:
        await rig.off(process.sigcont)
    await all_ready(rig)
    return 1


async def f12_slow_handler(rig: Rig, load: Load, times: int, seconds: float) -> int:
    """F12: a handler takes longer than the poll interval, while its process lives: its store stands still."""
    process = rig.platform.service("schedule")
    process.environment["HAGUKUMI_MAX_POLL_INTERVAL_MS"] = "3000"
    second = another(rig, "schedule")
    await rig.off(process.stop)
    await rig.off(process.start)
    await rig.off(second.start)
    await rig.off(second.wait_ready)
    store = rig.platform.store("schedule").process
    for _ in range(times):
        await load.acknowledged(3)
        store.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            store.signal(signal.SIGCONT)
    process.environment.pop("HAGUKUMI_MAX_POLL_INTERVAL_MS")
    await rig.off(second.stop)
    await rig.off(process.stop)
    await rig.off(process.start)
    await all_ready(rig)
    return times


async def f13_rebalances(rig: Rig, load: Load, times: int) -> int:
    """F13: a second replica comes and goes, again and again, while events flow."""
    for _ in range(times):
        second = another(rig, "schedule")
        await rig.off(second.start)
        await rig.off(second.wait_ready)
        await load.acknowledged(5)
        await rig.off(second.stop)
    return times


async def f14_disk_full(rig: Rig, load: Load, seconds: float) -> int:
    """F14: no file may grow any more, first at the record's store, then at the broker; then there is room again.

    A limit on the size of files (RLIMIT_FSIZE) answers every write with an error, as a full disk does, to this process alone.
    """
    for process in (rig.platform.store("records").process, rig.platform.kafka.process):
        starts = process.starts
        if process.pid is not None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        await asyncio.sleep(seconds)
        # Who met a full disk is started again once there is room; some have ended by themselves.
        if process.starts == starts:
            await rig.off(process.kill9)
        await _dies(process, starts, "it was started again")
        await rig.off(process.wait_ready)
        await load.acknowledged(10)
    await all_ready(rig)
    return 2


async def f17_rebuilds(rig: Rig, load: Load, views: Sequence[tuple[str, str]]) -> int:
    """F17: each view is built anew and swapped beside live traffic, by the operators' own command."""
    for service, view in views:
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shared.ops", "rebuild", service, view, "--data", str(rig.data)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asked.communicate()
        if asked.returncode != 0:
            raise AssertionError(f"{service} {view}: {said.decode()[-500:]}")
        await load.acknowledged(3)
    return len(views)


async def f18_versions(rig: Rig, load: Load, newer: Path) -> int:
    """F18: the services go over to a newer tree one by one and back again, so that old and new write and read side by side."""
    for folder in (newer, ROOT):
        for name in SERVICES:
            process = rig.platform.service(name)
            process.folder = folder
            await rig.off(process.stop)
            await rig.off(process.start)
            await wait_until(partial(rig.platform.is_ready, name), f"{name} is ready again")
            await load.acknowledged(10)
    return 2 * len(SERVICES)


async def f19_polite_stops(rig: Rig, load: Load) -> list[tuple[str, int | None, float]]:
    """F19: SIGTERM of each service under load; its exit code and how long it took."""
    ends = []
    for name in SERVICES:
        process = rig.platform.service(name)
        begun = time.monotonic()
        code = await rig.off(process.stop)
        ends.append((name, code, time.monotonic() - begun))
        await rig.off(process.start)
        await wait_until(partial(rig.platform.is_ready, name), f"{name} is ready again")
        await load.acknowledged(3)
    return ends
