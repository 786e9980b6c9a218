"""Courses for staff."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.commands import training as commands
from services.notify.commands.training import Training
from shared.runtime import Runtime
from shared.web import api_router

Authorization = Annotated[str | None, Header()]


class AnswersBody(BaseModel):
    """The place of the chosen answer of each question, in their order."""

    model_config = ConfigDict(extra="forbid")

    answers: list[Annotated[int, Field(ge=0, le=5, strict=True)]] = Field(max_length=20)


def router(runtime: Runtime, training: Training) -> APIRouter:
    """The routes of training."""
    routes = api_router()

    @routes.get("/v1/training")
    async def listed(authorization: Authorization = None) -> JSONResponse:
        """The courses, and what the caller completed."""
        return JSONResponse({"items": await commands.listed(training, runtime.principal(authorization))})

    @routes.post("/v1/training/{course}/completions")
    async def complete(course: str, body: AnswersBody, authorization: Authorization = None) -> JSONResponse:
        """Hand in the answers of a course."""
        principal = runtime.principal(authorization)
        return JSONResponse(await commands.complete(training, principal, course, body.answers))

    @routes.get("/v1/municipalities/{code}/training")
    async def of_town(code: str, authorization: Authorization = None) -> JSONResponse:
        """Who completed what."""
        return JSONResponse({"items": await commands.of_town(training, runtime.principal(authorization), code)})

    return routes
