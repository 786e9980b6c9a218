"""Inboxes of a lane are filled before its pushes go on, and no push waits for long."""

import asyncio

import pytest

from services.notify.commands import filling
from services.notify.commands.filling import Filling


async def _waits(lanes: Filling, lane: str) -> bool:
    """Whether a push of the lane waits now."""
    waiting = asyncio.create_task(lanes.over(lane))
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    waiting.cancel()
    return not done


async def test_a_push_waits_while_inboxes_of_its_lane_are_filled_and_a_moment_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filling, "QUIET_S", 1.5)
    monkeypatch.setattr(filling, "LONGEST_S", 60.0)
    lanes = Filling()
    assert not await _waits(lanes, "urgent")
    async with lanes.of(["urgent", "urgent"]):
        assert await _waits(lanes, "urgent")
        assert not await _waits(lanes, "newsletter")
        async with lanes.of(["urgent"]):
            pass
        assert await _waits(lanes, "urgent")
    # The next batch is on its way.
    assert await _waits(lanes, "urgent")
    async with lanes.of(["urgent"]):
        pass
    async with asyncio.timeout(30):
        await lanes.over("urgent")
    assert not await _waits(lanes, "urgent")


async def test_no_push_is_held_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "LONGEST_S", 0.1)
    lanes = Filling()
    async with lanes.of(["urgent"]), asyncio.timeout(5):
        await lanes.over("urgent")
