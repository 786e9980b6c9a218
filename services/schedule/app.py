"""schedule: what is due when, why, and who is late."""

import asyncio

from fastapi import FastAPI

from services.schedule import store as kept
from services.schedule.api import router
from services.schedule.commands.day_turn import turn_the_day
from services.schedule.commands.planning import Planning
from services.schedule.commands.recounting import plans_and_recounts
from services.schedule.commands.reminders import fire_reminders
from services.schedule.rule_files import load_rule_set
from services.schedule.subscribers import subscribe
from shared.events.schedule import PreCheckAnswered
from shared.runtime import Runtime
from shared.service import create_service
from shared.settings import Settings

REMINDERS_EVERY_S = 1.0


def create_app(settings: Settings) -> FastAPI:
    """The service, wired."""
    runtime = Runtime(settings)
    rules = load_rule_set(overlays=settings.rule_overlays)
    planning = Planning(
        rules=rules, plans=runtime.documents(kept.PLANS, as_text=kept.AS_TEXT), lots=runtime.documents(kept.LOTS)
    )
    planning.view = subscribe(runtime, planning)
    runtime.relay.unhurried.add(PreCheckAnswered.event_type())

    async def time_passes() -> None:
        await turn_the_day(planning)
        await fire_reminders(planning)
        await asyncio.sleep(REMINDERS_EVERY_S)

    async def clock_moved() -> None:
        await turn_the_day(planning)
        await fire_reminders(planning)

    runtime.checks["plans equal to their recount"] = lambda: plans_and_recounts(planning)
    runtime.background.append(time_passes)
    runtime.on_clock.append(clock_moved)
    return create_service(runtime, [router(runtime, planning)], title="Hagukumi schedule")
