"""The short form: faults under load on one running platform, and the checker after each (docs/faults.md)."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults import checker, injected
from tests.faults.report import Report
from tests.faults.stage import Stage, set_up

# Less than three minutes on a quiet machine; how long it takes beside two other processes of tests fails nobody.
pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(1_800, func_only=True)]


async def repeats(stage: Stage) -> None:
    """F8, and that the repeats changed nothing at all."""
    before = await stage.rig.off(lambda: checker.canonical(stage.rig))
    topics = ("records.child.v1", "schedule.plan.v1")
    await stage.under(
        "F8 repeats out of order", lambda: injected.f8_repeats(stage.rig, stage.dice, topics), loaded=False
    )
    assert await stage.rig.off(lambda: checker.canonical(stage.rig)) == before


async def poison(stage: Stage) -> None:
    """F9, with the letters that it must leave."""

    async def inject() -> int:
        stage.letters += await injected.f9_poison(stage.rig, stage.load)
        return len(stage.letters)

    await stage.under("F9 poison", inject)


FAULTS: dict[str, Callable[[Stage], Awaitable[object]]] = {
    "F1": lambda on: on.under("F1 kill -9 of each service", lambda: injected.f1_kill(on.rig, on.load, on.dice, 5)),
    "F2": lambda on: on.under("F2 crash points", lambda: injected.f2_crash_points(on.rig, on.load)),
    "F2-last": lambda on: on.under("F2 last batch", lambda: injected.f2_last_batch(on.rig, on.load), loaded=False),
    "F3": lambda on: on.under("F3 frozen past its session", lambda: injected.f3_frozen_owner(on.rig, on.load)),
    "F4": lambda on: on.under("F4 broker killed", lambda: injected.f4_broker_killed(on.rig, on.load)),
    "F8": repeats,
    "F9": poison,
    "F5-forgotten": lambda on: on.under("F5 unread records forgotten", lambda: injected.f5_forgotten(on.rig, on.load)),
}
"""The short form, in the order in which it runs: the forgotten records come last, since they leave the topics shorter."""


async def test_faults_under_load(tmp_path: Path, report: Report, pytestconfig: pytest.Config) -> None:
    chosen = pytestconfig.getoption("--faults", default=None)
    async with set_up(tmp_path, report) as stage:
        for name in chosen.split(",") if chosen else FAULTS:
            await FAULTS[name](stage)
        assert stage.push.requests
        assert (await checker.check_canaries(stage.rig)).all() == []
