"""The long forms, by `make faults` only: each with the same load and the same checker (docs/faults.md)."""

import asyncio
import os
import time
from functools import partial
from pathlib import Path

import pytest

from shared.testing.push_service import Answer
from tests.faults import injected
from tests.faults.checker import check_lag, read_all
from tests.faults.load import PATIENCE_S
from tests.faults.mutations import tree
from tests.faults.report import Report
from tests.faults.stage import CHILDREN, Stage, set_up

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.slow]
STOPS_WITHIN_S = 15.0


async def test_twenty_kills(tmp_path: Path, report: Report) -> None:
    async with set_up(tmp_path, report) as on:
        await on.under("F1 kill -9, 20 times", lambda: injected.f1_kill(on.rig, on.load, on.dice, 20))


async def test_broker_and_stores_unreachable(tmp_path: Path, report: Report) -> None:
    async with set_up(tmp_path, report) as on:
        await on.under("F6 broker unreachable 60 s", lambda: injected.f6_broker_unreachable(on.rig, on.load, 60))
        await on.under("F7 stores killed, one frozen 20 s", lambda: injected.f7_stores(on.rig, on.load, 20))


async def test_a_network_that_fails(tmp_path: Path, report: Report) -> None:
    """F6 and F7 by the network, where the servers live on: an answer that is lost leaves what was asked done."""
    async with set_up(tmp_path, report, proxied=("kafka", "records", "schedule")) as on:
        broker, stores = on.network["kafka"], {name: on.network[name] for name in ("records", "schedule")}
        await on.under("F6 network before the broker", lambda: injected.f6_network(on.rig, on.load, broker, 15))
        await on.under("F7 network before two stores", lambda: injected.f7_network(on.rig, on.load, stores, 12))


async def test_slow_reader_rebalances_and_polite_stops(tmp_path: Path, report: Report) -> None:
    async with set_up(tmp_path, report) as on:
        await on.under("F11 a reader frozen 20 s", lambda: injected.f11_slow_reader(on.rig, on.load, 20))
        await on.under("F13 rebalance storm", lambda: injected.f13_rebalances(on.rig, on.load, 8))
        ends: list[tuple[str, int | None, float]] = []

        async def stops() -> int:
            ends.extend(await injected.f19_polite_stops(on.rig, on.load))
            return len(ends)

        await on.under("F19 SIGTERM of each service", stops)
        assert [(name, code) for name, code, seconds in ends if code != 0 or seconds > STOPS_WITHIN_S] == []


async def test_a_broker_that_forgot_everything(tmp_path: Path, report: Report) -> None:
    """F5: what has no later event to show the gap is found by the reconciler (R4)."""
    async with set_up(tmp_path, report, settings={"HAGUKUMI_RECONCILE_EVERY_S": "10"}) as on:
        await on.under("F5 every topic empty", lambda: injected.f5_empty_broker(on.rig, on.load))


async def test_clocks_handlers_and_rebuilds(tmp_path: Path, report: Report) -> None:
    views = (("gateway", "plans"), ("notify", "families"), ("schedule", "consents"), ("questionnaire", "children"))
    async with set_up(tmp_path, report) as on:
        await on.under("F10 clocks wrong by 10 minutes", lambda: injected.f10_clocks(on.rig, on.load))
        await on.under("F12 a handler over the poll interval", lambda: injected.f12_slow_handler(on.rig, on.load, 3, 6))
        await on.under("F17 views rebuilt under load", lambda: injected.f17_rebuilds(on.rig, on.load, views))


@pytest.mark.skipif(not os.environ.get("SOAK"), reason="a full disk is asked for: make faults SOAK=60")
async def test_a_full_disk(tmp_path: Path, report: Report) -> None:
    async with set_up(tmp_path, report) as on:
        await on.under("F14 disk full", lambda: injected.f14_disk_full(on.rig, on.load, 10))


async def test_old_and_new_event_version_side_by_side(tmp_path: Path, report: Report) -> None:
    """F18: inside a major version only optional fields are added; one that does not know them reads past them."""
    newer = tmp_path / "newer"
    tree(newer)
    file = newer / "shared" / "events" / "records.py"
    text = file.read_text(encoding="utf-8")
    old = "class DoseRecorded(ChildEvent):\n"
    assert text.count(old) == 1
    place = text.index("    dose: Dose\n", text.index(old))
    file.write_text(f'{text[:place]}    needle_gauge: str | None = "25G"\n{text[place:]}', encoding="utf-8")
    async with set_up(tmp_path, report) as on:
        await on.under("F18 two versions of an event", lambda: injected.f18_versions(on.rig, on.load, newer))
        told = [record.value or b"" for record in await read_all(on.rig, "records.child.v1")]
        assert {b"needle_gauge" in value for value in told if b'"dose"' in value} == {True, False}


async def test_a_push_service_that_fails(tmp_path: Path, report: Report) -> None:
    """F15: 500, an answer that never comes, 429, a token that is gone; nobody gets a message twice."""
    async with set_up(tmp_path, report) as on:
        ways = (Answer(500), Answer(201, after=30.0), Answer(429, retry_after=1, times=2), Answer(410))
        for receiver, answer in zip(on.receivers, ways * 3, strict=False):
            on.push.answers[receiver.path] = answer
        await on.under("F15 push service fails", lambda: _some_notices(on, 3))


async def test_a_fan_out_killed_on_its_way(tmp_path: Path, report: Report) -> None:
    """F16: one notice to many guardians, notify killed at 10, 50 and 90 per cent of them."""
    guardians = int(os.environ.get("FAMILIES", "5000"))
    there: list[int] = []
    async with set_up(tmp_path, report, others=guardians - CHILDREN) as on:
        fault = f"F16 fan-out of {guardians:,}"
        await on.under(fault, lambda: _killed_on_its_way(on, guardians, there), loaded=False)
        on.report.rows[-1].fault = f"{fault}, kills at {', '.join(f'{items:,}' for items in there)}"
        # A kill after the last page has shown nothing.
        assert there[0] < there[1] < guardians
        # Whose push was under way at a kill may have none: its outcome is unknown, and it is not sent again.
        assert len(on.push.requests) > 0.9 * len(on.receivers)


@pytest.mark.skipif(not os.environ.get("SOAK"), reason="a soak is asked for: make faults SOAK=600")
async def test_soak(tmp_path: Path, report: Report) -> None:
    """F20: load for so many seconds, a service killed every 30 s."""
    seconds = float(os.environ["SOAK"])
    async with set_up(tmp_path, report) as on:
        await on.under(f"F20 soak of {seconds:.0f} s", lambda: _soak(on, seconds))


async def _some_notices(on: Stage, count: int) -> int:
    before = len(on.ledger.of("notice", "ok"))
    while len(on.ledger.of("notice", "ok")) < before + count:
        await on.load.acknowledged(1)
    return len(on.push.answers)


async def _killed_on_its_way(on: Stage, guardians: int, there: list[int]) -> int:
    """`there` takes how many items there were at each kill."""
    notice = asyncio.create_task(on.load.one_notice())
    process = on.rig.platform.service("notify")
    inbox = on.rig.database("notify").inbox
    patience = PATIENCE_S + guardians / 50

    def holds(items: int) -> bool:
        return bool(inbox.estimated_document_count() >= items)

    async def all_is_read() -> bool:
        return not (await check_lag(on.rig)).unhealed

    for share in (0.1, 0.5, 0.9):
        enough = partial(holds, int(guardians * share))
        await injected.wait_until(enough, f"{share:.0%} of the items are there", patience)
        await on.rig.off(process.kill9)
        there.append(await on.rig.off(inbox.estimated_document_count))
        await injected.wait_until(lambda: on.rig.platform.is_ready("notify"), "notify is back")
    await notice
    await injected.wait_until(partial(holds, guardians), "every item is there", patience)
    # The pushes go in a group of their own, behind the items.
    await injected.wait_async(all_is_read, "every page is pushed", patience)
    return len(there)


async def _soak(on: Stage, seconds: float) -> int:
    end, kills = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        kills += await injected.f1_kill(on.rig, on.load, on.dice, 1)
        await asyncio.sleep(30)
    return kills
