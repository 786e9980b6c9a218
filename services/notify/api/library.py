"""The content library, to look things up."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from services.notify.commands.library import Library, listed, the_article
from shared.web import Asking, api_router


def router(library: Library) -> APIRouter:
    """The routes of the library."""
    routes = api_router()

    @routes.get("/v1/library")
    async def articles(asked: Asking) -> JSONResponse:
        """The articles in force."""
        return JSONResponse({"items": listed(library)})

    @routes.get("/v1/library/{article}")
    async def article(article: str, asked: Asking) -> JSONResponse:
        """One article with its source."""
        return JSONResponse(the_article(library, article))

    return routes
