"""The content library, to look things up."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse

from services.notify.commands.library import Library, listed, the_article
from shared.runtime import Runtime
from shared.web import api_router

Authorization = Annotated[str | None, Header()]


def router(runtime: Runtime, library: Library) -> APIRouter:
    """The routes of the library."""
    routes = api_router()

    @routes.get("/v1/library")
    async def articles(authorization: Authorization = None) -> JSONResponse:
        """The articles in force."""
        runtime.principal(authorization)
        return JSONResponse({"items": listed(library)})

    @routes.get("/v1/library/{article}")
    async def article(article: str, authorization: Authorization = None) -> JSONResponse:
        """One article with its source."""
        runtime.principal(authorization)
        return JSONResponse(the_article(library, article))

    return routes
