"""One fault under load, a quiet period, the checker: what every fault of the rig goes through."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from deploy.local.platform import Platform
from deploy.local.ports import HOST, Ports
from shared.testing.push_service import PushService, Receiver
from tests.faults import checker, injected
from tests.faults.checker import Findings, Letter
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.others import move_in
from tests.faults.proxy import Proxy
from tests.faults.report import Report, Row
from tests.faults.rig import Rig, settle_in

CHILDREN = 16
ENOUGH = 20
"""A fault during which fewer were acknowledged has shown nothing."""


@dataclass
class Stage:
    """The rig with its load, its pushes, and what was injected that may lie among the dead letters."""

    rig: Rig
    ledger: Ledger
    load: Load
    push: PushService
    receivers: list[Receiver]
    report: Report
    dice: random.Random
    letters: list[Letter] = field(default_factory=list)
    network: Mapping[str, Proxy] = field(default_factory=dict)
    """What stands before the broker (`kafka`) and before some services' stores, where the network is the fault."""

    async def under(self, name: str, fault: Callable[[], Awaitable[int]], *, loaded: bool = True) -> Findings:
        """One fault under load, a quiet period, the checker; a row in the table."""
        before = self.ledger.count("ok")
        if loaded:
            self.load.start()
            await self.load.acknowledged(5)
        row = Row(name, await fault())
        back = time.monotonic()
        if loaded:
            await self.load.acknowledged(ENOUGH)
            await self.load.stop()
        row.acknowledged = self.ledger.count("ok") - before
        await self.quiet()
        row.recovery_s = round(time.monotonic() - back, 1)
        found = await self.check()
        row.lost, row.doubled, row.out_of_order = len(found.lost), len(found.doubled), len(found.out_of_order)
        row.unhealed, row.wrong = len(found.unhealed), len(found.wrong)
        self.report.rows.append(row)
        assert row.injected > 0
        assert not loaded or row.acknowledged >= ENOUGH
        assert found.all() == [], found.all()[:10]
        return found

    async def quiet(self) -> None:
        """Wait until everything has arrived everywhere; what has not after three minutes is unhealed."""
        left: list[str] = []

        async def arrived() -> bool:
            left[:] = await self.rig.off(lambda: checker.behind(self.rig))
            if not left:
                left.extend((await checker.check_lag(self.rig)).unhealed)
            if not left:
                left.extend((await self.rig.off(lambda: checker.check_health(self.rig))).unhealed)
            return not left

        try:
            await injected.wait_async(arrived, "everything has arrived")
        except TimeoutError:
            assert left == [], f"unhealed after three minutes: {left[:10]}"

    async def check(self) -> Findings:
        """I1 to I8."""
        parts = [
            await self.rig.off(lambda: checker.check_stores(self.rig, self.ledger)),
            checker.check_pushes(self.receivers, self.push),
            await checker.check_topics(self.rig),
            await checker.check_lag(self.rig),
            await self.rig.off(lambda: checker.check_health(self.rig)),
            await self.check_letters(),
        ]
        found = Findings()
        for part in parts:
            for name in vars(found):
                getattr(found, name).extend(getattr(part, name))
        return found

    async def check_letters(self) -> Findings:
        """I6: dead letters are exactly what was injected, with equal bytes, and nobody is parked."""
        found = Findings()
        letters = set(await checker.dead_letters(self.rig))
        found.lost += [
            f"no dead letter of {one.topic} {one.partition}/{one.offset}" for one in set(self.letters) - letters
        ]
        found.wrong += [
            f"a dead letter of {one.topic} {one.partition}/{one.offset}" for one in letters - set(self.letters)
        ]
        for service, collections in checker.VIEWS.items():
            for collection in collections:
                parked = self.rig.view(service, collection).count_documents({"parked": {"$ne": None}})
                if parked:
                    found.unhealed.append(f"{parked} subjects are parked in {service}.{collection}")
        return found


@asynccontextmanager
async def set_up(
    folder: Path,
    report: Report,
    children: int = CHILDREN,
    settings: Mapping[str, str] | None = None,
    *,
    proxied: Sequence[str] = (),
    others: int = 0,
) -> AsyncIterator[Stage]:
    """The platform with a small town whose guardians all have a browser that takes pushes, at any hour of the night too.

    `proxied`: "kafka" and services whose store are reached through a proxy of the rig only. `others`: so many more
    guardians, known to notify alone, one in five of them with a browser.
    """
    by_day = {"HAGUKUMI_QUIET_FROM": "0", "HAGUKUMI_QUIET_TO": "0", **(settings or {})}
    async with AsyncExitStack() as stack:
        # Each leads to the port at which the platform's folder keeps its server.
        at = Ports(folder)
        servers = {name: at.of(name if name == "kafka" else f"store-{name}") for name in proxied}
        network = {name: await stack.enter_async_context(Proxy(servers[name])) for name in proxied}
        stores = {
            name: {"HAGUKUMI_MONGO_URL": f"mongodb://{HOST}:{proxy.port}/?directConnection=true&retryWrites=false"}
            for name, proxy in network.items()
            if name != "kafka"
        }
        start = partial(Platform.start, folder, settings=by_day, service_settings=stores)
        behind = network["kafka"].port if "kafka" in network else 0
        platform = stack.enter_context(await asyncio.to_thread(partial(start, kafka_behind=behind)))
        rig = await settle_in(platform, children)
        stack.push_async_callback(rig.close)
        key = await rig.families[0].guardian.get("/v1/push-key")
        push = await stack.enter_async_context(
            PushService(origin=platform.push_origin, application_server_key=key["key"])
        )
        receivers = [Receiver(push, family.guardian.subject) for family in rig.families]
        for family, receiver in zip(rig.families, receivers, strict=True):
            await family.guardian.put(
                f"/v1/push-subscriptions/{family.guardian.subject}", receiver.subscription(), expect=None
            )
        receivers += await move_in(rig, push, others)
        ledger = Ledger(folder / "ledger.jsonl")
        load = Load(rig, ledger, report.seed)
        yield Stage(rig, ledger, load, push, receivers, report, random.Random(report.seed), network=network)
