"""Courses for staff."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.commands import training as commands
from services.notify.commands.training import Training
from shared.web import Asking, api_router


class AnswersBody(BaseModel):
    """The place of the chosen answer of each question, in their order."""

    model_config = ConfigDict(extra="forbid")

    answers: list[Annotated[int, Field(ge=0, le=5, strict=True)]] = Field(max_length=20)


def router(training: Training) -> APIRouter:
    """The routes of training."""
    routes = api_router()

    @routes.get("/v1/training")
    async def listed(asked: Asking) -> JSONResponse:
        """The courses, and what the caller completed."""
        return JSONResponse({"items": await commands.listed(training, asked.principal)})

    @routes.post("/v1/training/{course}/completions")
    async def complete(course: str, body: AnswersBody, asked: Asking) -> JSONResponse:
        """Hand in the answers of a course."""
        return JSONResponse(await commands.complete(training, asked.principal, course, body.answers))

    @routes.get("/v1/municipalities/{code}/training")
    async def of_town(code: str, asked: Asking) -> JSONResponse:
        """Who completed what."""
        return JSONResponse({"items": await commands.of_town(training, asked.principal, code)})

    return routes
