"""notify: who hears what, by which channel, and the proof that it arrived."""

import asyncio
from functools import partial
from pathlib import Path

import yaml
from fastapi import FastAPI

from services.notify import store as kept
from services.notify.api import announcements, inbox, push
from services.notify.commands.announcements import Notices, publish_scheduled
from services.notify.commands.pushing import Pusher
from services.notify.subscribers import subscribe
from shared.egress import Egress
from shared.service import Runtime, create_service
from shared.settings import Settings

TEXTS = Path(__file__).with_name("texts") / "reminders.yaml"


def create_app(settings: Settings) -> FastAPI:
    """The service, wired."""
    runtime = Runtime(settings)
    pusher = Pusher(runtime.store, Egress(settings), settings, runtime.clock)
    notices = Notices(
        store=runtime.store,
        announcements=runtime.documents(kept.ANNOUNCEMENTS),
        mailboxes=runtime.documents(kept.MAILBOXES),
        pages=runtime.documents(kept.PAGES),
        pusher=pusher,
    )
    subscribe(runtime, notices, yaml.safe_load(TEXTS.read_text(encoding="utf-8")))

    async def time_passes() -> None:
        await publish_scheduled(notices)
        await asyncio.sleep(1.0)

    runtime.on_start += [partial(kept.ensure_indexes, runtime.store), pusher.ensure_indexes]
    runtime.background.append(time_passes)
    routers = [announcements.router(runtime, notices), inbox.router(runtime, notices), push.router(runtime, pusher)]
    return create_service(runtime, routers, title="Hagukumi notify")
