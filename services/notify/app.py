"""notify: who hears what, by which channel, and the proof that it arrived."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import yaml
from fastapi import FastAPI

from services.notify import store as kept
from services.notify.api import (
    announcements,
    calendar_feed,
    contact_points,
    disaster,
    duty,
    inbox,
    ladder,
    library,
    push,
    training,
)
from services.notify.commands.announcements import Notices, publish_scheduled
from services.notify.commands.calendar_feed import Calendars
from services.notify.commands.contact_points import ContactPoints
from services.notify.commands.contacts import Contacts, recount, refresh
from services.notify.commands.devices import Devices
from services.notify.commands.duty import Duty, climb
from services.notify.commands.failures import tell_failures
from services.notify.commands.fanout import finish_pages, still_published
from services.notify.commands.ladder import climb_due
from services.notify.commands.later import send_digests, send_later
from services.notify.commands.library import Library, deliver_content, load_articles
from services.notify.commands.pushing import IN_FLIGHT, Pusher
from services.notify.commands.reminders import Reminders, deliver_late
from services.notify.commands.training import Training, load_courses
from services.notify.domain.preferences import Night
from services.notify.subscribers import subscribe
from shared.egress import Egress
from shared.runtime import Runtime
from shared.service import create_service
from shared.settings import Settings

MOST_PAGES = 5_000
"""Events of one notice that may wait at once: of 2,500,000 recipients, whose notice is still far from a document's 16 MB."""
TEXTS = Path(__file__).with_name("texts") / "reminders.yaml"


def create_app(settings: Settings) -> FastAPI:
    """The service, wired."""
    runtime = Runtime(settings)
    egress = Egress(settings, connections=2 * IN_FLIGHT)
    pusher = Pusher(runtime.store, egress, settings, runtime.clock)
    notices = Notices(
        store=runtime.store,
        announcements=runtime.documents(kept.ANNOUNCEMENTS, MOST_PAGES),
        mailboxes=runtime.documents(kept.MAILBOXES),
        pages=runtime.documents(kept.PAGES),
        pusher=pusher,
        night=Night(settings.quiet_from, settings.quiet_to),
    )
    reminders = Reminders(
        pregnancies=runtime.documents(kept.PREGNANCIES),
        notices=notices,
        families=runtime.documents(kept.FAMILIES),
        texts=yaml.safe_load(TEXTS.read_text(encoding="utf-8")),
    )
    calendars = Calendars(
        store=runtime.store,
        families=reminders.families,
        texts=reminders.texts,
        clock=runtime.clock,
        key=settings.own_secret,
    )
    contacts = Contacts(runtime.store, runtime.documents(kept.CONTACTS))
    pusher.lost = partial(refresh, contacts)
    devices = Devices(runtime.store, egress, runtime.clock, lost=pusher.lost)
    subscribe(runtime, notices, reminders, contacts)

    on_duty = Duty(runtime.documents(kept.ROSTERS), runtime.documents(kept.ALARMS))
    content = Library(notices, reminders.families, runtime.documents(kept.PREGNANCIES), load_articles())

    async def time_passes() -> None:
        await publish_scheduled(notices)
        await deliver_late(reminders)

    async def articles_come() -> None:
        # A loop of its own: its pushes may take a while.
        await deliver_content(content)

    async def alarms_climb() -> None:
        # A loop of its own: nothing that fails elsewhere keeps an alarm from climbing.
        await climb(on_duty)

    async def ladders_are_climbed() -> None:
        await climb_due(notices, lambda target: still_published(notices, target))
        await tell_failures(notices)

    async def what_waits_is_sent() -> None:
        await send_later(reminders)
        await send_digests(reminders)
        await recount(contacts)

    async def pages_are_finished() -> None:
        await asyncio.sleep(settings.reconcile_every_s)
        await finish_pages(notices, timedelta(seconds=settings.reconcile_every_s))

    runtime.details["channels"] = pusher.states
    runtime.on_start.append(partial(kept.ensure_indexes, runtime.store))
    runtime.on_stop.append(egress.close)
    runtime.background += [
        time_passes,
        articles_come,
        alarms_climb,
        ladders_are_climbed,
        what_waits_is_sent,
        pages_are_finished,
    ]
    routers = [
        announcements.router(runtime, notices),
        ladder.router(notices),
        inbox.router(runtime, notices),
        push.router(pusher, devices, contacts),
        contact_points.router(ContactPoints(devices, pusher, settings), contacts),
        calendar_feed.router(calendars),
        library.router(content),
        disaster.router(runtime, notices),
        duty.router(on_duty),
        training.router(Training(runtime.store, runtime.clock, load_courses())),
    ]
    app = create_service(runtime, routers, title="Hagukumi notify")
    app.state.notices, app.state.reminders, app.state.devices = notices, reminders, devices
    app.state.library, app.state.duty, app.state.contacts = content, on_duty, contacts
    return app
