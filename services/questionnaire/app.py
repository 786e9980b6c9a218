"""questionnaire, wired: what it reads, what it answers, what it keeps."""

from fastapi import FastAPI

from services.questionnaire.api import routes
from services.questionnaire.commands import Desk
from services.questionnaire.store import CHILDREN, RESPONSES, ensure_indexes, load_library
from services.questionnaire.subscribers import subscribe
from shared.runtime import Runtime
from shared.service import create_service
from shared.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The service; a form file that contradicts itself stops it here."""
    runtime = Runtime(settings)
    desk = Desk(
        responses=runtime.documents(RESPONSES),
        children=runtime.documents(CHILDREN),
        library=load_library(),
        clock=runtime.clock,
    )
    subscribe(runtime, desk.children)
    runtime.on_start.append(lambda: ensure_indexes(runtime.store))
    return create_service(runtime, [routes(runtime, desk)], title="Hagukumi questionnaire")
